use emberline_pipeline::datasets::batch::dense_vectors;
use emberline_pipeline::datasets::{Column, Dataset, Element, Slot};
use serde_json::Value;

use super::*;
use crate::testing::{assert_close, floats, numbers, oracle, texts};

fn evaluate(data: &Dataset, columns: EvaluatorColumns, threads: usize) -> Result<Metrics> {
    (ENTRY.build)(columns).evaluate(data, &[], &Run::local(0, threads))
}

fn oracle_table(case: &Value) -> Dataset {
    let pairs: Vec<Vec<f64>> = case["data"]["prediction_label"]
        .as_array()
        .unwrap()
        .iter()
        .map(numbers)
        .collect();
    let column = |j: usize| pairs.iter().map(|p| Some(p[j])).collect::<Vec<_>>();
    let w: Vec<Option<f64>> = numbers(&case["data"]["weights"])
        .into_iter()
        .map(Some)
        .collect();
    Dataset::from_columns(vec![
        floats("prediction", &column(0)),
        floats("label", &column(1)),
        floats("w", &w),
    ])
    .unwrap()
}

/// Source of the numbers and of the tolerance: case `multiclass_metrics_with_and_without_weights` of the oracles.
#[test]
fn spark_s_metrics_with_and_without_weights_are_met() {
    let case = oracle("multiclass_metrics_with_and_without_weights");
    let data = oracle_table(&case);
    for (kind, weight) in [("unweighted", None), ("weighted", Some("w".to_owned()))] {
        let want = &case["expected"][kind];
        let columns = EvaluatorColumns {
            weight,
            beta: 2.0,
            ..EvaluatorColumns::default()
        };
        let m = evaluate(&data, columns, 1).unwrap();
        let tol = case["tolerance"]["rel"].as_f64().unwrap();
        for (ours, theirs) in [
            ("accuracy", "accuracy"),
            ("weighted_precision", "weightedPrecision"),
            ("weighted_recall", "weightedRecall"),
            ("f1", "f1"),
            ("f_beta", "weightedFMeasure_beta2"),
            ("weighted_false_positive_rate", "weightedFalsePositiveRate"),
            ("hamming_loss", "hammingLoss"),
        ] {
            assert_close(
                &[m.values[ours]],
                &[want[theirs].as_f64().unwrap()],
                tol,
                ours,
            );
        }
        let by = |f: fn(&emberline_pipeline::LabelMetrics) -> f64| {
            m.by_label.iter().map(f).collect::<Vec<_>>()
        };
        assert_close(
            &by(|l| l.precision),
            &numbers(&want["precisionByLabel"]),
            tol,
            "precision",
        );
        assert_close(
            &by(|l| l.recall),
            &numbers(&want["recallByLabel"]),
            tol,
            "recall",
        );
        assert_close(
            &by(|l| l.f1),
            &numbers(&want["fMeasureByLabel_beta1"]),
            tol,
            "f1",
        );
        assert_close(
            &by(|l| l.false_positive_rate),
            &numbers(&want["falsePositiveRateByLabel"]),
            tol,
            "fpr",
        );
        let confusion = want["confusion"].as_array().unwrap();
        let mut cells = Vec::new();
        for (i, row) in confusion.iter().enumerate() {
            assert_close(&m.confusion[i], &numbers(row), tol, "confusion");
            cells.extend(numbers(row).into_iter().enumerate().map(|(j, w)| (i, j, w)));
        }
        let counts = Counts::of_cells(3, cells);
        let f2: Vec<f64> = (0..3).map(|c| counts.f_measure(c, 2.0)).collect();
        assert_close(&f2, &numbers(&want["fMeasureByLabel_beta2"]), tol, "f2");
    }
}

fn scored(labels: &[&str], predictions: &[&str], probabilities: &[f64]) -> Dataset {
    let some = |v: &[&'static str]| v.iter().copied().map(Some).collect::<Vec<_>>();
    let leak = |v: &[&str]| {
        v.iter()
            .map(|s| &*s.to_string().leak())
            .collect::<Vec<&'static str>>()
    };
    let slots = ["a", "b"].into_iter().map(Slot::numeric).collect();
    Dataset::from_columns(vec![
        texts("label", &some(&leak(labels))),
        texts("prediction", &some(&leak(predictions))),
        (
            Column::vector("probability", slots),
            dense_vectors(probabilities.to_vec(), 2, Element::F64, false, labels.len()).unwrap(),
        ),
    ])
    .unwrap()
}

#[test]
fn log_loss_is_the_textbook_mean_and_certain_errors_are_clipped() {
    let m = evaluate(
        &scored(&["a", "b"], &["a", "a"], &[0.8, 0.2, 0.7, 0.3]),
        EvaluatorColumns::default(),
        1,
    )
    .unwrap();
    assert!((m.values["log_loss"] + (0.8_f64.ln() + 0.3_f64.ln()) / 2.0).abs() < 1e-15);
    let m = evaluate(
        &scored(&["b"], &["a"], &[1.0, 0.0]),
        EvaluatorColumns::default(),
        1,
    )
    .unwrap();
    assert_eq!(m.values["log_loss"], -1e-15_f64.ln());
}

#[test]
fn a_label_the_model_never_saw_is_an_error_and_a_warning() {
    let data = scored(&["a", "zebra"], &["a", "b"], &[0.9, 0.1, 0.4, 0.6]);
    let m = evaluate(&data, EvaluatorColumns::default(), 1).unwrap();
    assert_eq!(m.values["accuracy"], 0.5);
    assert!(m.warnings[0].contains("`zebra`"), "{:?}", m.warnings);
    let labels: Vec<&str> = m.by_label.iter().map(|l| l.label.as_str()).collect();
    assert_eq!(labels, ["a", "b", "zebra"]);
    assert_eq!(
        m.confusion,
        [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    );
}

#[test]
fn without_probabilities_log_loss_is_left_out_with_a_warning() {
    let data = oracle_table(&oracle("multiclass_metrics_with_and_without_weights"));
    let m = evaluate(&data, EvaluatorColumns::default(), 1).unwrap();
    assert!(!m.values.contains_key("log_loss") && m.warnings[0].contains("`log_loss` left out"));
}

#[test]
fn a_text_label_against_a_number_is_refused_before_reading() {
    let data = Dataset::from_columns(vec![
        texts("label", &[Some("a")]),
        floats("prediction", &[Some(1.0)]),
    ])
    .unwrap();
    let error = evaluate(&data, EvaluatorColumns::default(), 1).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("comparable with `label`, which is text"),
        "{error}"
    );
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn partitions_and_threads_change_no_bit() {
    let n = 30_000;
    let column = |f: fn(i32) -> f64| (0..n).map(|i| Some(f(i))).collect::<Vec<_>>();
    let data = Dataset::from_columns(vec![
        floats("label", &column(|i| f64::from(i % 5))),
        floats("prediction", &column(|i| f64::from(i % 7 % 5))),
        floats("w", &column(|i| 0.1 + f64::from(i).sin().abs())),
    ])
    .unwrap();
    let columns = || EvaluatorColumns {
        weight: Some("w".to_owned()),
        ..EvaluatorColumns::default()
    };
    let first = evaluate(&data, columns(), 1).unwrap();
    for parts in [1, 2, 3, 7, 64] {
        for threads in [1, 2, 4] {
            assert_eq!(
                evaluate(&data.clone().repartition(parts), columns(), threads).unwrap(),
                first
            );
        }
    }
}

#[test]
fn a_weight_of_two_equals_a_row_twice() {
    let table = |rows: &[(f64, f64, f64)]| {
        let column =
            |f: fn(&(f64, f64, f64)) -> f64| rows.iter().map(|r| Some(f(r))).collect::<Vec<_>>();
        Dataset::from_columns(vec![
            floats("label", &column(|r| r.0)),
            floats("prediction", &column(|r| r.1)),
            floats("w", &column(|r| r.2)),
        ])
        .unwrap()
    };
    let columns = || EvaluatorColumns {
        weight: Some("w".to_owned()),
        ..EvaluatorColumns::default()
    };
    let once = evaluate(
        &table(&[(0.0, 0.0, 2.0), (0.0, 1.0, 1.0), (1.0, 1.0, 1.0)]),
        columns(),
        1,
    )
    .unwrap();
    let twice = evaluate(
        &table(&[
            (0.0, 0.0, 1.0),
            (0.0, 0.0, 1.0),
            (0.0, 1.0, 1.0),
            (1.0, 1.0, 1.0),
        ]),
        columns(),
        1,
    )
    .unwrap();
    // Whole weights: every sum is exact.
    assert_eq!(once.values, twice.values);
    assert_eq!(once.confusion, twice.confusion);
}

use emberline_pipeline::datasets::batch::dense_vectors;
use emberline_pipeline::datasets::random::Draw;
use emberline_pipeline::datasets::{Column, Element, Slot};

use super::*;
use crate::testing::{assert_close, floats, numbers, oracle, texts};

/// Rows of score, label and weight.
fn table(rows: &[(f64, f64, f64)]) -> Dataset {
    let column =
        |f: fn(&(f64, f64, f64)) -> f64| rows.iter().map(|r| Some(f(r))).collect::<Vec<_>>();
    let slots = ["0", "1"].into_iter().map(Slot::numeric).collect();
    let flat = rows.iter().flat_map(|r| [1.0 - r.0, r.0]).collect();
    Dataset::from_columns(vec![
        floats("label", &column(|r| r.1)),
        floats("w", &column(|r| r.2)),
        (
            Column::vector("probability", slots),
            dense_vectors(flat, 2, Element::F64, false, rows.len()).unwrap(),
        ),
    ])
    .unwrap()
}

fn columns(weighted: bool, num_bins: usize) -> EvaluatorColumns {
    EvaluatorColumns {
        weight: weighted.then(|| "w".to_owned()),
        num_bins,
        ..EvaluatorColumns::default()
    }
}

fn measure(rows: &[(f64, f64, f64)], weighted: bool, num_bins: usize) -> Metrics {
    (ENTRY.build)(columns(weighted, num_bins))
        .evaluate(&table(rows), &[], &Run::local(0, 1))
        .unwrap()
}

fn random_rows(n: u64, levels: f64) -> Vec<(f64, f64, f64)> {
    let draw = Draw::new(11, "scores");
    let row = |i| {
        let (u, v) = (draw.uniform(3 * i), draw.uniform(3 * i + 1));
        let score = ((u * u + v) / 2.0 * levels).floor() / levels;
        (
            score,
            f64::from(u8::from(draw.uniform(3 * i + 2) < u)),
            1.0 + (i % 4) as f64,
        )
    };
    (0..n).map(row).collect()
}

fn pairs(points: &serde_json::Value) -> Vec<f64> {
    points
        .as_array()
        .unwrap()
        .iter()
        .flat_map(numbers)
        .collect()
}

fn flat(points: &[(f64, f64)]) -> Vec<f64> {
    points.iter().flat_map(|p| [p.0, p.1]).collect()
}

/// Source of the numbers and of the tolerance: case `binary_metrics_curves` of the oracles.
#[test]
fn spark_s_curves_and_areas_are_met() {
    let case = oracle("binary_metrics_curves");
    let (want, tol) = (
        &case["expected"],
        case["tolerance"]["abs"].as_f64().unwrap(),
    );
    let rows: Vec<_> = case["data"]["score_label"]
        .as_array()
        .unwrap()
        .iter()
        .map(numbers)
        .map(|p| (p[0], p[1], 1.0))
        .collect();
    let m = measure(&rows, false, 0);
    assert_close(&flat(&m.curves["roc"]), &pairs(&want["roc"]), tol, "roc");
    assert_close(&flat(&m.curves["pr"]), &pairs(&want["pr"]), tol, "pr");
    assert_close(
        &[m.values["area_under_roc"]],
        &[want["areaUnderROC"].as_f64().unwrap()],
        tol,
        "roc area",
    );
    assert_close(
        &[m.values["area_under_pr"]],
        &[want["areaUnderPR_spark_trapezoid"].as_f64().unwrap()],
        tol,
        "pr area",
    );
    // The oracle's notes state scikit-learn's average precision to six places.
    assert!((m.values["average_precision"] - 0.767_857).abs() < 5e-7);
    let steps = [
        (0.8, 1.0, 0.0),
        (0.6, 2.0, 1.0),
        (0.4, 0.0, 1.0),
        (0.1, 1.0, 1.0),
    ]
    .map(|(score, positive, negative)| Step {
        score,
        positive,
        negative,
    });
    let curve = Curve::new(&steps);
    assert_close(
        curve.thresholds(),
        &numbers(&want["thresholds"]),
        tol,
        "thresholds",
    );
    assert_close(
        curve.true_positives(),
        &numbers(&want["true_positives"]),
        tol,
        "tp",
    );
    assert_close(
        curve.false_positives(),
        &numbers(&want["false_positives"]),
        tol,
        "fp",
    );
    assert_close(
        &curve.precision(),
        &numbers(&want["precision"]),
        tol,
        "precision",
    );
    assert_close(&curve.recall(), &numbers(&want["recall"]), tol, "recall");
    assert_close(&curve.f_measure(1.0), &numbers(&want["f1"]), tol, "f1");
    assert_close(&curve.f_measure(2.0), &numbers(&want["f2"]), tol, "f2");
}

/// Every pair of a positive and a negative row, ties counted half.
fn auc_by_pairs(rows: &[(f64, f64, f64)]) -> f64 {
    let (mut won, mut all) = (0.0, 0.0);
    for p in rows.iter().filter(|r| r.1 == 1.0) {
        for n in rows.iter().filter(|r| r.1 == 0.0) {
            let share = if p.0 > n.0 {
                1.0
            } else if p.0 == n.0 {
                0.5
            } else {
                0.0
            };
            won += p.2 * n.2 * share;
            all += p.2 * n.2;
        }
    }
    won / all
}

#[test]
fn the_area_is_the_share_of_pairs_in_order() {
    for levels in [4.0, 50.0, 1e9] {
        let rows = random_rows(1_000, levels);
        // Whole weights: all sums are exact and one division rounds.
        assert!(
            (measure(&rows, true, 0).values["area_under_roc"] - auc_by_pairs(&rows)).abs() < 1e-15
        );
    }
}

#[test]
fn bins_come_near_the_exact_area_and_bound_the_curve() {
    let rows = random_rows(20_000, 1e9);
    let (exact, binned) = (measure(&rows, true, 0), measure(&rows, true, 200));
    for (name, v) in &exact.values {
        // Joining rows into 200 steps straightens the curve within each: the error is of order 1 / bins^2 where the curve
        // is smooth, and 1 / bins where it is not.
        assert!(
            (binned.values[name] - v).abs() < 5e-3,
            "{name}: {} and {v}",
            binned.values[name]
        );
    }
    assert!(binned.curves["roc"].len() <= 202);
    assert!(
        (measure(&rows, true, 1_000_000).values["area_under_roc"] - exact.values["area_under_roc"])
            .abs()
            < 1e-4
    );
}

#[test]
fn scores_crowding_at_one_are_told_apart_in_bins() {
    // Half of the rows at 1 - 1e-9 and half at 1 - 1e-12: bins of equal width would not separate them.
    let rows: Vec<_> = (0..100)
        .map(|i| {
            if i % 2 == 0 {
                (1.0 - 1e-9, 0.0, 1.0)
            } else {
                (1.0 - 1e-12, 1.0, 1.0)
            }
        })
        .collect();
    assert_eq!(measure(&rows, false, 1_000).values["area_under_roc"], 1.0);
}

#[test]
fn one_class_leaves_the_areas_out_with_a_warning() {
    let m = measure(&[(0.1, 1.0, 1.0), (0.9, 1.0, 1.0)], false, 0);
    assert!(
        m.values.is_empty() && m.warnings[0].contains("all of one class"),
        "{m:?}"
    );
}

#[test]
fn rows_with_a_label_never_seen_are_left_out_with_a_warning() {
    let m = measure(
        &[(0.1, 0.0, 1.0), (0.9, 1.0, 1.0), (0.5, 7.0, 1.0)],
        false,
        0,
    );
    assert_eq!(m.values["area_under_roc"], 1.0);
    assert!(m.warnings[0].contains("never saw"), "{:?}", m.warnings);
}

#[test]
fn three_classes_or_a_missing_score_do_not_fit() {
    let three = Dataset::from_columns(vec![
        texts("label", &[Some("a")]),
        (
            Column::vector("probability", ["a", "b", "c"].map(Slot::numeric).to_vec()),
            dense_vectors(vec![0.5, 0.3, 0.2], 3, Element::F64, false, 1).unwrap(),
        ),
    ])
    .unwrap();
    let error = (ENTRY.fits)(three.schema(), &EvaluatorColumns::default()).unwrap_err();
    assert!(
        error.to_string().contains("scores for 3 classes"),
        "{error}"
    );
    let rows = table(&[(f64::NAN, 1.0, 1.0)]);
    let error = (ENTRY.build)(columns(false, 0))
        .evaluate(&rows, &[], &Run::local(0, 1))
        .unwrap_err();
    assert_eq!(error.exit_code(), 3);
}

#[test]
fn partitions_and_threads_change_no_bit() {
    let data = table(&random_rows(30_000, 5_000.0));
    for num_bins in [0, 1_000] {
        let measure = |n, threads| {
            let evaluator = (ENTRY.build)(columns(true, num_bins));
            evaluator
                .evaluate(&data.clone().repartition(n), &[], &Run::local(0, threads))
                .unwrap()
        };
        let first = measure(1, 1);
        assert!(first.curves["roc"].len() <= 1_002);
        for n in [1, 2, 3, 7, 64] {
            for threads in [1, 2, 4] {
                assert_eq!(measure(n, threads), first);
            }
        }
    }
}

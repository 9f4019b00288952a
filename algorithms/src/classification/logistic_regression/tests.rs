use emberline_pipeline::datasets::Dataset;
use emberline_pipeline::datasets::random::Draw;
use emberline_pipeline::predictor::ClassifierModel;
use emberline_pipeline::{
    Arrays, Component, Estimator, Fitted, Load, Registry, Run, StopReason, Transformer,
};
use ndarray::{Array2, array};

use super::*;
use crate::linear::{LinearScorer, Link, LossPass, Scale, Side};
use crate::testing::{
    floats, iris, labelled, matrix, numbers, oracle, sparse_vectors, texts, vectors,
};

type Fit = Fitted<ClassifierModel<LinearScorer>>;

/// Close enough that only rounding is left.
fn tight() -> LogisticRegressionParams {
    LogisticRegressionParams {
        tol: 1e-15,
        max_iter: 1_000,
        ..LogisticRegressionParams::default()
    }
}

fn fit_on(
    params: LogisticRegressionParams,
    data: &Dataset,
    threads: usize,
) -> emberline_pipeline::Result<Fit> {
    LogisticRegression::build(params, &Registry::new())?.fit(data, &Run::local(0, threads))
}

fn fit(params: LogisticRegressionParams, x: &Array2<f64>, y: &[f64]) -> Fit {
    fit_on(params, &labelled(x, y), 1).unwrap()
}

/// `n` rows of `d` features and one of `k` classes, drawn with noise so that no boundary is perfect.
pub(crate) fn noisy(n: usize, d: usize, k: usize) -> (Array2<f64>, Vec<f64>) {
    let draw = Draw::new(7, "test rows");
    let unit =
        |i: usize, j: usize| (draw.at(i as u64).bits(j as u64) >> 11) as f64 / (1u64 << 53) as f64;
    let x = Array2::from_shape_fn((n, d), |(i, j)| 3.0 * unit(i, j) + j as f64);
    let class = |i: usize| {
        let score: f64 = (0..d)
            .map(|j| (x[(i, j)] - j as f64) * if j % 2 == 0 { 1.0 } else { -0.4 })
            .sum();
        ((score + 2.0 * unit(i, d)) * 0.8)
            .clamp(0.0, k as f64 - 1.0)
            .floor()
    };
    let y = (0..n).map(class).collect();
    (x, y)
}

fn assert_close(got: &[f64], want: &[f64], relative: f64) {
    assert_eq!(got.len(), want.len());
    for (g, w) in got.iter().zip(want) {
        assert!(
            (g - w).abs() <= relative * w.abs().max(1e-300),
            "{g} is not {w} within {relative:e}"
        );
    }
}

#[test]
fn spector_and_mazzeo_have_the_published_optimum() {
    let case = oracle("logistic_spector_mazzeo");
    let data = &case["data"]["inline"];
    let fitted = fit(tight(), &matrix(&data["X"]), &numbers(&data["y"]));
    let (want, scorer) = (&case["expected"], &fitted.model.scorer);
    // The tolerances of the case: other programs' stopping rules.
    assert_close(
        &scorer.coefficients.row(0).to_vec(),
        &numbers(&want["coefficients"]),
        1e-6,
    );
    assert_close(
        &scorer.intercepts,
        &[want["intercept"].as_f64().unwrap()],
        1e-6,
    );
    let figures = &fitted.report.figures;
    let errors = ["x0", "x1", "x2", "(intercept)"].map(|n| figures[&format!("std_error[{n}]")]);
    assert_close(
        &errors,
        &numbers(&want["std_errors_coef_then_intercept"]),
        1e-6,
    );
    for name in ["log_likelihood", "null_log_likelihood"] {
        assert!(
            (figures[name] - want[name].as_f64().unwrap()).abs() < 1e-8,
            "{name}: {}",
            figures[name]
        );
    }
}

#[test]
fn iris_has_the_published_multinomial_optimum() {
    let case = oracle("multinomial_logistic_l2_iris");
    let (x, y) = iris();
    let params = LogisticRegressionParams {
        family: Family::Multinomial,
        reg_param: 0.01,
        standardization: false,
        ..tight()
    };
    let fitted = fit(params, &x, &y);
    let (want, scorer) = (&case["expected"], &fitted.model.scorer);
    // The case allows 1e-4; both are optima of one strictly convex function, so that 1e-7 holds.
    let coefficients = matrix(&want["coefficients"]);
    assert!(
        (&scorer.coefficients - &coefficients)
            .iter()
            .all(|d| d.abs() < 1e-7),
        "{scorer:?}"
    );
    for (got, want) in scorer
        .intercepts
        .iter()
        .zip(numbers(&want["intercepts_centred"]))
    {
        assert!((got - want).abs() < 1e-6, "{got} {want}");
    }
    assert!(
        (fitted.report.figures["objective"] - want["objective"].as_f64().unwrap()).abs() < 1e-10
    );
    let out = fitted
        .model
        .transform(labelled(&x, &y).read(0, None).unwrap())
        .unwrap();
    let mut p = [0.0; 3];
    for (row, name) in [(0, "probability_first_row"), (100, "probability_row_100")] {
        out.vector("probability").unwrap().read(row, &mut p);
        assert_close(&p, &numbers(&want[name]), 1e-5);
    }
    let predicted = out.numbers("prediction").unwrap();
    let right = (0..150).filter(|&i| predicted.value(i) == y[i]).count();
    assert_eq!(right, 146); // the case's training accuracy, 0.97333
}

/// Loss and gradient of a pass over one small block.
fn pass(link: &Link, w: &Array2<f64>, b: &[f64], data: &Dataset) -> crate::linear::LossSums {
    let run = Run::local(0, 1);
    let classes = crate::labels::class_list(data, "label", &run)
        .unwrap()
        .classes;
    let spec = emberline_pipeline::datasets::BlockSpec {
        features: "features".into(),
        label: emberline_pipeline::datasets::LabelSpec::Classes {
            column: "label".into(),
            classes: classes.into(),
        },
        weight: None,
        missing: emberline_pipeline::datasets::MissingRule::Error,
    };
    let d = w.ncols();
    let scale = Scale {
        centre: vec![0.3; d],
        inverse: (1..=d).map(|j| 1.0 / j as f64).collect(),
        sd: vec![1.0; d],
    };
    let pass = LossPass {
        scale,
        link: link.clone(),
        coefficients: w.clone(),
        intercepts: b.to_vec(),
    };
    run.round(&run.pin(data, &spec).unwrap(), &pass)
        .unwrap()
        .unwrap()
}

#[test]
fn gradients_agree_with_central_differences() {
    let (x, y) = noisy(60, 4, 3);
    let data = labelled(&x, &y);
    let side = |class| Side {
        class,
        positive: 1.5,
        negative: 0.7,
    };
    let links = [
        Link::Binary(vec![side(0), side(1), side(2)]),
        Link::Softmax(vec![0.5, 1.0, 2.0]),
    ];
    let w = Array2::from_shape_fn((3, 4), |(k, j)| 0.3 * k as f64 - 0.2 * j as f64);
    let b = [0.1, -0.2, 0.4];
    for link in links {
        let total = |w: &Array2<f64>, b: &[f64]| pass(&link, w, b, &data).loss.iter().sum::<f64>();
        let sums = pass(&link, &w, &b, &data);
        let h = 1e-5;
        for k in 0..3 {
            for j in 0..4 {
                let (mut up, mut down) = (w.clone(), w.clone());
                up[(k, j)] += h;
                down[(k, j)] -= h;
                let slope = (total(&up, &b) - total(&down, &b)) / (2.0 * h);
                // Central differences err by h^2 times the third derivative (60 rows: 1e-8) and by rounding over h (1e-9).
                assert!(
                    (slope - sums.gradient[(k, j)]).abs() < 1e-6,
                    "{link:?} {k} {j}"
                );
            }
            let (mut up, mut down) = (b, b);
            up[k] += h;
            down[k] -= h;
            let slope = (total(&w, &up) - total(&w, &down)) / (2.0 * h);
            assert!((slope - sums.intercepts[k]).abs() < 1e-6, "{link:?} {k}");
        }
    }
}

#[test]
fn a_weight_of_two_is_a_row_given_twice() {
    let (x, y) = noisy(120, 3, 3);
    let weight: Vec<Option<f64>> = (0..120).map(|i| Some(f64::from(i % 3))).collect();
    let label: Vec<Option<f64>> = y.iter().copied().map(Some).collect();
    let weighted = Dataset::from_columns(vec![
        vectors(&x),
        floats("label", &label),
        floats("w", &weight),
    ])
    .unwrap();
    let rows: Vec<usize> = (0..120).flat_map(|i| vec![i; i % 3]).collect();
    let repeated = x.select(ndarray::Axis(0), &rows);
    let labels: Vec<f64> = rows.iter().map(|&i| y[i]).collect();
    let params = LogisticRegressionParams {
        reg_param: 0.02,
        elastic_net_param: 0.3,
        class_weights: ClassWeights::Mode(WeightMode::Balanced),
        ..tight()
    };
    let a = fit_on(
        LogisticRegressionParams {
            weight_col: Some("w".into()),
            ..params.clone()
        },
        &weighted,
        1,
    )
    .unwrap();
    let b = fit(params, &repeated, &labels);
    // Two optima of one function, found along paths that round differently.
    assert!(
        (&a.model.scorer.coefficients - &b.model.scorer.coefficients)
            .iter()
            .all(|d| d.abs() < 1e-6)
    );
}

#[test]
fn sparse_features_give_the_model_of_dense_ones() {
    let (mut x, y) = noisy(300, 5, 3);
    x.mapv_inplace(|v| if v.fract() < 0.5 { 0.0 } else { v });
    let label: Vec<Option<f64>> = y.iter().copied().map(Some).collect();
    let sparse = Dataset::from_columns(vec![sparse_vectors(&x), floats("label", &label)]).unwrap();
    for elastic_net_param in [0.0, 1.0] {
        let params = LogisticRegressionParams {
            reg_param: 0.01,
            elastic_net_param,
            ..tight()
        };
        let a = fit_on(params.clone(), &sparse, 1).unwrap().model.scorer;
        let b = fit(params, &x, &y).model.scorer;
        assert!(
            (&a.coefficients - &b.coefficients)
                .iter()
                .all(|d| d.abs() < 1e-7),
            "{a:?} {b:?}"
        );
    }
}

#[test]
fn bits_do_not_depend_on_partitions_or_threads() {
    let (x, y) = noisy(3 * 8192 + 100, 4, 3);
    let data = labelled(&x, &y);
    let bits = |partitions, threads| {
        let params = LogisticRegressionParams {
            reg_param: 0.001,
            max_iter: 6,
            ..LogisticRegressionParams::default()
        };
        let fitted = fit_on(params, &data.clone().repartition(partitions), threads).unwrap();
        let scorer = &fitted.model.scorer;
        let all = scorer.coefficients.iter().chain(&scorer.intercepts);
        all.map(|v| v.to_bits()).collect::<Vec<_>>()
    };
    let first = bits(1, 1);
    for (partitions, threads) in [(2, 2), (3, 4), (7, 1), (64, 2)] {
        assert_eq!(
            bits(partitions, threads),
            first,
            "{partitions} partitions, {threads} threads"
        );
    }
}

#[test]
fn classes_swapped_give_the_mirrored_model() {
    let (x, y) = noisy(200, 3, 2);
    let mirrored: Vec<f64> = y.iter().map(|v| 1.0 - v).collect();
    let a = fit(tight(), &x, &y).model.scorer;
    let b = fit(tight(), &x, &mirrored).model.scorer;
    assert!(
        (&a.coefficients + &b.coefficients)
            .iter()
            .all(|d| d.abs() < 1e-7)
    );
    assert!((a.intercepts[0] + b.intercepts[0]).abs() < 1e-7);
}

#[test]
fn two_classes_as_multinomial_predict_what_binomial_predicts() {
    let (x, y) = noisy(200, 3, 2);
    let binomial = fit(tight(), &x, &y).model.scorer;
    let params = LogisticRegressionParams {
        family: Family::Multinomial,
        ..tight()
    };
    let multinomial = fit(params, &x, &y).model.scorer;
    let odds = &multinomial.coefficients.row(1) - &multinomial.coefficients.row(0);
    assert!(
        (&odds - &binomial.coefficients.row(0))
            .iter()
            .all(|d| d.abs() < 1e-6)
    );
    // Without a penalty only differences are determined; the sum over classes is fixed at 0.
    assert!(
        multinomial
            .coefficients
            .sum_axis(ndarray::Axis(0))
            .iter()
            .all(|s| s.abs() < 1e-12)
    );
}

#[test]
fn features_far_from_zero_and_of_odd_units_change_nothing() {
    let (x, y) = noisy(300, 3, 2);
    let plain = fit(tight(), &x, &y).model.scorer;
    // Shift and factor are powers of two, so that moving the numbers rounds the last of their bits alone.
    let moved = x.mapv(|v| ((v * 1024.0).round() / 1024.0 + 1_048_576.0) * 4096.0);
    let rounded = fit(tight(), &x.mapv(|v| (v * 1024.0).round() / 1024.0), &y)
        .model
        .scorer;
    let far = fit(tight(), &moved, &y).model.scorer;
    assert!(
        (&far.coefficients * 4096.0 - &rounded.coefficients)
            .iter()
            .all(|d| d.abs() < 1e-6),
        "{far:?} {rounded:?}"
    );
    assert!(
        (&plain.coefficients - &rounded.coefficients)
            .iter()
            .all(|d| d.abs() < 0.1)
    );
}

#[test]
fn perfect_separation_ends_and_is_told() {
    let x = array![[1.0], [2.0], [3.0], [4.0]];
    let fitted = fit(
        LogisticRegressionParams::default(),
        &x,
        &[0.0, 0.0, 1.0, 1.0],
    );
    assert!(
        fitted
            .report
            .warnings
            .iter()
            .any(|w| w.contains("separate the classes perfectly")),
        "{:?}",
        fitted.report
    );
    assert!(fitted.report.history.len() < 101);
    let calm = fit(
        LogisticRegressionParams {
            reg_param: 0.1,
            ..tight()
        },
        &x,
        &[0.0, 0.0, 1.0, 1.0],
    );
    assert!(calm.report.warnings.is_empty() && calm.report.stop != StopReason::MaxIter);
}

#[test]
fn a_strong_lasso_keeps_no_coefficient_but_the_intercept() {
    let (x, y) = noisy(200, 3, 2);
    let params = LogisticRegressionParams {
        reg_param: 10.0,
        elastic_net_param: 1.0,
        ..tight()
    };
    let fitted = fit(params, &x, &y);
    assert!(fitted.model.scorer.coefficients.iter().all(|w| *w == 0.0));
    let ones = y.iter().sum::<f64>();
    let odds = (ones / (200.0 - ones)).ln();
    assert!((fitted.model.scorer.intercepts[0] - odds).abs() < 1e-9);
}

#[test]
fn a_constant_feature_gets_no_coefficient_beside_an_intercept_and_works_as_one_without() {
    let (x, y) = noisy(200, 2, 2);
    let with = ndarray::concatenate![ndarray::Axis(1), x, Array2::from_elem((200, 1), 5.0)];
    let plain = fit(tight(), &x, &y).model.scorer;
    let beside = fit(tight(), &with, &y).model.scorer;
    assert_eq!(beside.coefficients[(0, 2)], 0.0);
    let instead = fit(
        LogisticRegressionParams {
            fit_intercept: false,
            ..tight()
        },
        &with,
        &y,
    )
    .model
    .scorer;
    assert!((instead.coefficients[(0, 2)] * 5.0 - plain.intercepts[0]).abs() < 1e-6);
}

#[test]
fn one_class_only_is_refused_by_name() {
    let error = fit_on(tight(), &labelled(&array![[1.0], [2.0]], &[3.0, 3.0]), 1).unwrap_err();
    assert!(
        error.to_string().contains("all rows have the label `3`"),
        "{error}"
    );
    assert_eq!(error.exit_code(), 3);
}

#[test]
fn a_missing_feature_names_column_and_row() {
    let data = labelled(&array![[1.0], [f64::NAN]], &[0.0, 1.0]);
    let error = fit_on(tight(), &data, 1).unwrap_err().to_string();
    assert!(error.contains("x0") && error.contains("row 1"), "{error}");
}

#[test]
fn parameters_out_of_range_are_all_reported() {
    let params = LogisticRegressionParams {
        reg_param: -1.0,
        elastic_net_param: 2.0,
        tol: f64::NAN,
        ..LogisticRegressionParams::default()
    };
    let error = LogisticRegression::build(params, &Registry::new()).unwrap_err();
    let names: Vec<&str> = error.0.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["reg_param", "elastic_net_param", "tol"]);
}

#[test]
fn class_weights_read_as_a_word_or_a_table() {
    let read = |text: &str| {
        let table: toml::Table = text.parse().unwrap();
        ENTRY.build(&table, &Registry::new())
    };
    assert!(read("class_weights = \"balanced\"").is_ok());
    assert!(read("class_weights = { yes = 2.0, no = 1 }").is_ok());
    assert!(read("class_weights = \"even\"").is_err());
}

#[test]
fn text_labels_come_back_and_a_reloaded_model_predicts_the_same_bits() {
    let x = array![
        [1.0, 0.5],
        [2.0, 1.5],
        [3.0, 0.0],
        [2.5, 4.0],
        [0.0, 1.0],
        [2.2, 2.0]
    ];
    let names = ["no", "yes", "yes", "no", "no", "yes"].map(Some);
    let data = Dataset::from_columns(vec![vectors(&x), texts("label", &names)]).unwrap();
    let params = LogisticRegressionParams {
        reg_param: 0.1,
        ..tight()
    };
    let model = fit_on(params, &data, 1).unwrap().model;
    let mut arrays = Arrays::new();
    let state = model.save(&mut arrays);
    let loaded = ClassifierModel::<LinearScorer>::load(&state, &arrays, &Registry::new()).unwrap();
    let scores = |m: &ClassifierModel<LinearScorer>| {
        let out = m.transform(data.read(0, None).unwrap()).unwrap();
        assert_eq!(out.text("prediction").unwrap().value(1), "yes");
        out.vector("probability")
            .unwrap()
            .as_f64_slice()
            .unwrap()
            .to_vec()
    };
    assert_eq!(scores(&model), scores(&loaded));
    let importances = fit_on(
        LogisticRegressionParams {
            reg_param: 0.1,
            ..tight()
        },
        &data,
        1,
    )
    .unwrap()
    .report
    .importances;
    assert_eq!(importances.len(), 2);
    assert!(importances[0].1 >= importances[1].1);
}

#[test]
fn narrow_features_are_summed_wide() {
    use emberline_pipeline::datasets::batch::dense_vectors;
    use emberline_pipeline::datasets::{ColumnType, Element};
    // Halves are exact in 32 bits, so that both storages hold the same numbers and every sum is the same.
    let (x, y) = noisy(200, 3, 3);
    let x = x.mapv(|v| (2.0 * v).round() / 2.0);
    let (mut column, _) = vectors(&x);
    if let ColumnType::Vector { element, .. } = &mut column.ty {
        *element = Element::F32;
    }
    let flat = x.iter().copied().collect();
    let narrow = (
        column,
        dense_vectors(flat, 3, Element::F32, false, 200).unwrap(),
    );
    let label: Vec<Option<f64>> = y.iter().copied().map(Some).collect();
    let data = Dataset::from_columns(vec![narrow, floats("label", &label)]).unwrap();
    let params = LogisticRegressionParams {
        reg_param: 0.01,
        ..LogisticRegressionParams::default()
    };
    let a = fit_on(params.clone(), &data, 1).unwrap().model.scorer;
    assert_eq!(*a, *fit(params, &x, &y).model.scorer);
}

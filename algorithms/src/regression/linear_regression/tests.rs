use emberline_pipeline::datasets::Dataset;
use emberline_pipeline::datasets::random::Draw;
use emberline_pipeline::predictor::ScalarModel;
use emberline_pipeline::{Arrays, Component, Estimator, Fitted, Load, Registry, Run, Transformer};
use ndarray::{Array2, array};
use serde_json::Value;

use super::*;
use crate::linear::RegressionScorer;
use crate::testing::{floats, labelled, matrix, numbers, oracle, sparse_vectors, vectors};

type Fit = Fitted<ScalarModel<RegressionScorer>>;

fn fit_on(params: LinearRegressionParams, data: &Dataset, threads: usize) -> Fit {
    LinearRegression::build(params, &Registry::new())
        .unwrap()
        .fit(data, &Run::local(0, threads))
        .unwrap()
}

fn fit(params: LinearRegressionParams, x: &Array2<f64>, y: &[f64]) -> Fit {
    fit_on(params, &labelled(x, y), 1)
}

fn plain() -> LinearRegressionParams {
    LinearRegressionParams::default()
}

/// `x, x^2, ... x^degree`, as a user would write them into a table.
fn powers(x: &[f64], degree: i32) -> Array2<f64> {
    Array2::from_shape_fn((x.len(), degree as usize), |(i, j)| x[i].powi(j as i32 + 1))
}

fn assert_relative(what: &str, got: f64, want: f64, tolerance: f64) {
    let error = ((got - want) / want).abs();
    assert!(
        error <= tolerance,
        "{what}: {got} is {error:.1e} from {want}, {tolerance:.0e} is allowed"
    );
}

/// Compares coefficients, standard errors, residual deviation and R squared with certified values.
fn assert_certified(fitted: &Fit, want: &Value, tolerance: &Value) {
    let (scorer, figures) = (&fitted.model.scorer, &fitted.report.figures);
    let limit = |name: &str, otherwise: f64| tolerance[name].as_f64().unwrap_or(otherwise);
    for (name, value) in want["coefficients"].as_object().unwrap() {
        let j: usize = name[1..].parse().unwrap();
        let (got, key) = match j {
            0 => (scorer.intercept, "std_error[(intercept)]".to_owned()),
            _ => (scorer.coefficients[j - 1], format!("std_error[x{}]", j - 1)),
        };
        assert_relative(
            name,
            got,
            value.as_f64().unwrap(),
            limit("coefficients_rel", 1e-10),
        );
        let error = want["std_errors"][name].as_f64().unwrap();
        assert_relative(&key, figures[&key], error, limit("std_errors_rel", 1e-9));
    }
    let sd = want["residual_standard_deviation"].as_f64().unwrap();
    assert_relative(
        "residual_sd",
        figures["residual_sd"],
        sd,
        limit("residual_standard_deviation_rel", 1e-8),
    );
    let r2 = want["r_squared"].as_f64().unwrap();
    assert!(
        (figures["r_squared"] - r2).abs() <= limit("r_squared_abs", 1e-9),
        "{} {r2}",
        figures["r_squared"]
    );
}

#[test]
fn norris_has_its_certified_values() {
    let case = oracle("nist_norris_ols");
    let x = powers(&numbers(&case["data"]["x"]), 1);
    let fitted = fit(plain(), &x, &numbers(&case["data"]["y"]));
    assert_certified(&fitted, &case["expected"], &case["tolerance"]);
}

#[test]
fn lines_through_the_origin_have_their_certified_values() {
    let case = oracle("nist_noint_through_origin");
    for name in ["NoInt1", "NoInt2"] {
        let y = numbers(&case["data"]["y"][name]);
        let mut x = numbers(&case["data"]["x"]);
        if name == "NoInt2" {
            x = vec![4.0, 5.0, 6.0]; // the set's own rows, NIST NoInt2.dat
        }
        let params = LinearRegressionParams {
            fit_intercept: false,
            ..plain()
        };
        let fitted = fit(params, &powers(&x, 1), &y);
        assert_eq!(fitted.model.scorer.intercept, 0.0);
        // The figures are certified to 15 digits; the case's tolerances leave room for the last rounding alone.
        assert_certified(&fitted, &case["expected"][name], &case["tolerance"]);
    }
}

#[test]
fn longley_has_its_certified_values() {
    let case = oracle("nist_longley_ols");
    let fitted = fit(
        plain(),
        &matrix(&case["data"]["X"]),
        &numbers(&case["data"]["y"]),
    );
    assert_certified(&fitted, &case["expected"], &case["tolerance"]);
}

#[test]
fn filip_has_at_least_seven_digits() {
    let case = oracle("nist_filip_poly10");
    let x = powers(&numbers(&case["data"]["x"]), 10);
    let fitted = fit(plain(), &x, &numbers(&case["data"]["y"]));
    // The powers are rounded to 1e-16 and the condition is 1e9 or more: eight digits is what the data hold.
    let mut tolerance = case["tolerance"].clone();
    tolerance["coefficients_rel"] = Value::from(1e-7);
    assert_certified(&fitted, &case["expected"], &tolerance);
    assert!(
        fitted.report.figures["condition"] > 1e8 && fitted.report.warnings.is_empty(),
        "{:?}",
        fitted.report
    );
}

#[test]
fn wampler_polynomials_are_met_exactly() {
    let case = oracle("nist_wampler_exact_poly5");
    let x = powers(&numbers(&case["data"]["x"]), 5);
    for name in ["Wampler1", "Wampler2"] {
        let fitted = fit(plain(), &x, &numbers(&case["data"]["y"][name]));
        let want = &case["expected"][name]["coefficients"];
        let scorer = &fitted.model.scorer;
        assert!(
            (scorer.intercept - want["B0"].as_f64().unwrap()).abs() < 1e-6,
            "{scorer:?}"
        );
        for (j, got) in scorer.coefficients.iter().enumerate() {
            assert!(
                (got - want[format!("B{}", j + 1)].as_f64().unwrap()).abs() < 1e-6,
                "{scorer:?}"
            );
        }
        assert!(
            fitted.report.figures["residual_sd"] < 1e-6,
            "{:?}",
            fitted.report.figures
        );
    }
}

#[test]
fn weighted_rows_have_the_published_solution() {
    let case = oracle("weighted_least_squares_4rows");
    let (x, y) = (matrix(&case["data"]["X"]), numbers(&case["data"]["y"]));
    let weight = numbers(&case["data"]["weight"]);
    let some = |v: &[f64]| v.iter().copied().map(Some).collect::<Vec<_>>();
    for features in [vectors(&x), sparse_vectors(&x)] {
        let data = Dataset::from_columns(vec![
            features,
            floats("label", &some(&y)),
            floats("w", &some(&weight)),
        ])
        .unwrap();
        for (intercept, name) in [(true, "with_intercept"), (false, "without_intercept")] {
            let params = LinearRegressionParams {
                weight_col: Some("w".to_owned()),
                fit_intercept: intercept,
                standardization: false,
                ..plain()
            };
            let fitted = fit_on(params, &data, 1);
            let want = &case["expected"][name];
            for (got, want) in fitted
                .model
                .scorer
                .coefficients
                .iter()
                .zip(numbers(&want["coefficients"]))
            {
                assert_relative(name, *got, want, 1e-9);
            }
            if intercept {
                assert_relative(
                    name,
                    fitted.model.scorer.intercept,
                    want["intercept"].as_f64().unwrap(),
                    1e-9,
                );
            }
        }
    }
}

/// `n` noisy rows of `d` correlated features.
fn rows(n: usize, d: usize) -> (Array2<f64>, Vec<f64>) {
    let draw = Draw::new(3, "test rows");
    let unit = |i: usize, j: usize| draw.at(i as u64).uniform(j as u64);
    let x = Array2::from_shape_fn((n, d), |(i, j)| {
        (j + 1) as f64 * (unit(i, j) + 0.5 * unit(i, d)) + 10.0
    });
    let y = (0..n).map(|i| {
        3.0 + unit(i, d + 1)
            + (0..d)
                .map(|j| {
                    x[(i, j)]
                        * if j % 3 == 0 {
                            0.0
                        } else {
                            1.0 - j as f64 * 0.4
                        }
                })
                .sum::<f64>()
    });
    let y = y.collect();
    (x, y)
}

/// The gradient of the textbook objective without its penalty: `-1/n sum (y - prediction) x`, centred features.
fn slopes(x: &Array2<f64>, y: &[f64], scorer: &RegressionScorer) -> Vec<f64> {
    let n = y.len() as f64;
    let residual: Vec<f64> = x
        .outer_iter()
        .zip(y)
        .map(|(row, y)| {
            y - scorer.intercept
                - row
                    .iter()
                    .zip(&scorer.coefficients)
                    .map(|(x, w)| x * w)
                    .sum::<f64>()
        })
        .collect();
    assert!(
        residual.iter().sum::<f64>().abs() / n < 1e-10,
        "a free intercept leaves no mean residual"
    );
    x.columns()
        .into_iter()
        .map(|c| -c.iter().zip(&residual).map(|(x, r)| x * r).sum::<f64>() / n)
        .collect()
}

#[test]
fn penalised_solutions_meet_the_conditions_of_the_textbook_objective() {
    let (x, y) = rows(200, 6);
    let sd = x.std_axis(ndarray::Axis(0), 0.0);
    for solver in [Solver::Qr, Solver::Lbfgs] {
        for (reg, alpha, standardization) in [
            (0.5, 0.0, true),
            (0.5, 0.0, false),
            (0.05, 1.0, true),
            (0.1, 0.4, true),
            (0.1, 0.4, false),
        ] {
            let params = LinearRegressionParams {
                reg_param: reg,
                elastic_net_param: alpha,
                standardization,
                solver,
                tol: 1e-15,
                max_iter: 2_000,
                ..plain()
            };
            let scorer = fit(params, &x, &y).model.scorer;
            for (j, slope) in slopes(&x, &y, &scorer).into_iter().enumerate() {
                let unit = if standardization { sd[j] } else { 1.0 };
                let w = scorer.coefficients[j];
                let slope = slope + reg * (1.0 - alpha) * unit * unit * w;
                // QR and the polished descent end at rounding, OWL-QN where no step lowers the objective: sqrt(EPSILON).
                let tolerance = if solver == Solver::Qr { 1e-9 } else { 1e-6 };
                let missed = if w == 0.0 {
                    slope.abs() - reg * alpha * unit
                } else {
                    (slope + reg * alpha * unit * w.signum()).abs()
                };
                assert!(
                    missed <= tolerance,
                    "{solver:?} {reg} {alpha} {standardization} x{j}: {missed:e}"
                );
            }
        }
    }
}

#[test]
fn a_lasso_drops_features_and_a_strong_one_drops_all() {
    let (x, y) = rows(200, 6);
    let with = |reg_param| LinearRegressionParams {
        reg_param,
        elastic_net_param: 1.0,
        ..plain()
    };
    let some = fit(with(0.1), &x, &y).model.scorer;
    assert!(
        some.coefficients.contains(&0.0) && some.coefficients.iter().any(|w| *w != 0.0),
        "{some:?}"
    );
    let none = fit(with(1e6), &x, &y).model.scorer;
    assert!(none.coefficients.iter().all(|w| *w == 0.0));
    assert!((none.intercept - y.iter().sum::<f64>() / 200.0).abs() < 1e-10);
}

#[test]
fn the_label_in_other_units_gives_the_coefficients_in_other_units() {
    let (x, y) = rows(100, 3);
    let params = LinearRegressionParams {
        reg_param: 0.3,
        ..plain()
    };
    let a = fit(params.clone(), &x, &y).model.scorer;
    let b = fit(
        params,
        &x,
        &y.iter().map(|v| v * 1000.0).collect::<Vec<_>>(),
    )
    .model
    .scorer;
    // Ridge is homogeneous in the label; a penalty scaled by its spread would be too, but not so the lasso's strength.
    for (a, b) in a.coefficients.iter().zip(&b.coefficients) {
        assert!((a * 1000.0 - b).abs() < 1e-9 * b.abs().max(1.0));
    }
}

#[test]
fn dependent_features_share_the_least_norm_and_are_told() {
    let (x, y) = rows(60, 2);
    let twice = ndarray::concatenate![
        ndarray::Axis(1),
        x,
        x.column(0).insert_axis(ndarray::Axis(1)).to_owned()
    ];
    let fitted = fit(plain(), &twice, &y);
    let once = fit(plain(), &x, &y);
    let (scorer, single) = (&fitted.model.scorer, &once.model.scorer);
    assert!(
        fitted.report.warnings[0].contains("linearly dependent: 3 of 4"),
        "{:?}",
        fitted.report.warnings
    );
    assert!(
        (scorer.coefficients[0] - scorer.coefficients[2]).abs() < 1e-9,
        "{scorer:?}"
    );
    assert!((scorer.coefficients[0] * 2.0 - single.coefficients[0]).abs() < 1e-9);
    assert_eq!(fitted.report.figures["rank"], 3.0);
}

#[test]
fn fewer_rows_than_features_and_a_single_row_give_finite_numbers() {
    let x = array![[1.0, 2.0, 3.0], [2.0, 1.0, 0.0]];
    let fitted = fit(plain(), &x, &[1.0, 4.0]);
    let predict = |row: [f64; 3]| {
        let scorer = &fitted.model.scorer;
        emberline_pipeline::predictor::RowScorer::predict(&**scorer, &row)
    };
    assert!(
        (predict([1.0, 2.0, 3.0]) - 1.0).abs() < 1e-9
            && (predict([2.0, 1.0, 0.0]) - 4.0).abs() < 1e-9
    );
    let one = fit(plain(), &array![[1.0, 2.0]], &[7.0]);
    assert_eq!(
        (
            one.model.scorer.intercept,
            one.model.scorer.coefficients.clone()
        ),
        (7.0, vec![0.0, 0.0])
    );
}

#[test]
fn a_constant_label_is_its_own_prediction() {
    let (x, _) = rows(20, 2);
    let fitted = fit(plain(), &x, &[4.25; 20]);
    assert!((fitted.model.scorer.intercept - 4.25).abs() < 1e-12);
    assert!(!fitted.report.figures.contains_key("r_squared"));
}

/// Many rows: products serve, and must not be told from QR.
#[test]
fn products_give_what_qr_gives_to_eleven_digits() {
    let (x, y) = rows(20_000, 6);
    let weight: Vec<Option<f64>> = (0..y.len()).map(|i| Some((i % 3) as f64 * 0.5)).collect();
    let label: Vec<Option<f64>> = y.iter().copied().map(Some).collect();
    let columns = vec![vectors(&x), floats("label", &label), floats("w", &weight)];
    let data = &Dataset::from_columns(columns).unwrap();
    for weight_col in [None, Some("w".to_owned())] {
        for (reg, alpha) in [(0.0, 0.0), (0.3, 0.0), (0.05, 0.5)] {
            let params = |solver| LinearRegressionParams {
                reg_param: reg,
                elastic_net_param: alpha,
                solver,
                weight_col: weight_col.clone(),
                ..plain()
            };
            let short = fit_on(params(Solver::Auto), data, 1);
            let long = fit_on(params(Solver::Qr), data, 1);
            // Condition below 100, so that products err by at most 1e4 rounding errors: 1e-12 and a little.
            let (a, b) = (&short.model.scorer, &long.model.scorer);
            assert_relative("intercept", a.intercept, b.intercept, 1e-10);
            for (a, b) in a.coefficients.iter().zip(&b.coefficients) {
                assert!((a - b).abs() <= 1e-11, "{a} {b}");
            }
            for (name, want) in &long.report.figures {
                if name != "gradient_norm" {
                    assert_relative(name, short.report.figures[name], *want, 1e-9);
                }
            }
            assert_eq!(short.report.rows, long.report.rows);
        }
    }
}

#[test]
fn many_rows_of_nearly_dependent_features_still_go_by_qr() {
    let (mut x, y) = rows(5_000, 3);
    // The last column is the first but for 1e-7: condition 1e7, its square drowns in rounding.
    for i in 0..5_000 {
        x[(i, 2)] = x[(i, 0)] + 1e-7 * x[(i, 1)];
    }
    let fitted = fit(plain(), &x, &y);
    let by_qr = fit(
        LinearRegressionParams {
            solver: Solver::Qr,
            ..plain()
        },
        &x,
        &y,
    );
    assert!(fitted.report.figures["condition"] > 1e6);
    assert_eq!(
        fitted.model.scorer.coefficients,
        by_qr.model.scorer.coefficients
    );
}

#[test]
fn a_constant_feature_among_many_rows_gets_no_coefficient() {
    let (mut x, y) = rows(5_000, 3);
    x.column_mut(1).fill(0.1);
    let fitted = fit(plain(), &x, &y);
    assert_eq!(fitted.model.scorer.coefficients[1], 0.0);
    assert!(fitted.model.scorer.coefficients[0] != 0.0);
}

#[test]
fn a_weight_of_two_is_a_row_given_twice() {
    let (x, y) = rows(90, 4);
    let weight: Vec<Option<f64>> = (0..90).map(|i| Some(f64::from(i % 3))).collect();
    let label: Vec<Option<f64>> = y.iter().copied().map(Some).collect();
    let data = Dataset::from_columns(vec![
        vectors(&x),
        floats("label", &label),
        floats("w", &weight),
    ])
    .unwrap();
    let index: Vec<usize> = (0..90).flat_map(|i| vec![i; i % 3]).collect();
    let labels: Vec<f64> = index.iter().map(|&i| y[i]).collect();
    for (reg_param, elastic_net_param) in [(0.0, 0.0), (0.2, 0.0), (0.05, 0.8)] {
        let params = LinearRegressionParams {
            reg_param,
            elastic_net_param,
            ..plain()
        };
        let a = fit_on(
            LinearRegressionParams {
                weight_col: Some("w".into()),
                ..params.clone()
            },
            &data,
            1,
        );
        let b = fit(params, &x.select(ndarray::Axis(0), &index), &labels);
        for (a, b) in a
            .model
            .scorer
            .coefficients
            .iter()
            .zip(&b.model.scorer.coefficients)
        {
            assert!((a - b).abs() < 1e-9, "{a} {b}");
        }
    }
}

#[test]
fn bits_do_not_depend_on_partitions_or_threads() {
    let (x, y) = rows(3 * 8192 + 77, 3);
    let data = labelled(&x, &y);
    for (reg_param, solver) in [(0.0, Solver::Qr), (0.1, Solver::Lbfgs)] {
        let bits = |partitions, threads| {
            let params = LinearRegressionParams {
                reg_param,
                solver,
                elastic_net_param: 0.5,
                ..plain()
            };
            let scorer = fit_on(params, &data.clone().repartition(partitions), threads)
                .model
                .scorer;
            let all = scorer.coefficients.iter().chain([&scorer.intercept]);
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
}

#[test]
fn a_reloaded_model_predicts_the_same_bits() {
    let (x, y) = rows(50, 3);
    let data = labelled(&x, &y);
    let model = fit(plain(), &x, &y).model;
    let mut arrays = Arrays::new();
    let state = model.save(&mut arrays);
    let loaded = ScalarModel::<RegressionScorer>::load(&state, &arrays, &Registry::new()).unwrap();
    let predict = |m: &ScalarModel<RegressionScorer>| {
        let out = m.transform(data.read(0, None).unwrap()).unwrap();
        out.numbers("prediction").unwrap().values().to_vec()
    };
    assert_eq!(predict(&model), predict(&loaded));
}

#[test]
fn a_text_label_is_refused_before_any_row_is_read() {
    let x = array![[1.0]];
    let data = Dataset::from_columns(vec![
        vectors(&x),
        crate::testing::texts("label", &[Some("a")]),
    ])
    .unwrap();
    let stage = LinearRegression::build(plain(), &Registry::new()).unwrap();
    let error = emberline_pipeline::Stage::output_schema(&stage, data.schema()).unwrap_err();
    assert!(
        error.to_string().contains("column `label` is text"),
        "{error}"
    );
}

use approx::assert_relative_eq;
use ndarray::array;

use super::*;
use crate::testing::stages::{check_stage, failure, table, vectors_of};
use crate::testing::vectors;

fn normed(p: f64) -> Vec<Vec<f64>> {
    let data = table(vec![vectors(&array![
        [3.0, -4.0],
        [0.0, 0.0],
        [1e200, 1e200]
    ])]);
    vectors_of(
        &check_stage(
            NormalizerParams {
                p,
                ..NormalizerParams::default()
            },
            &data,
        ),
        "features",
    )
}

#[test]
fn rows_have_unit_norm_and_zeros_stay_zeros() {
    assert_eq!(normed(2.0)[..2], [[0.6, -0.8], [0.0, 0.0]]);
    assert_eq!(normed(1.0)[0], [3.0 / 7.0, -4.0 / 7.0]);
    assert_eq!(normed(f64::INFINITY)[0], [0.75, -1.0]);
    let cube = &normed(3.0)[0];
    // Two powers and a root: a few roundings.
    assert_relative_eq!(
        cube.iter().map(|v| v.abs().powi(3)).sum::<f64>(),
        1.0,
        max_relative = 1e-14
    );
}

#[test]
fn squares_of_large_numbers_do_not_overflow() {
    assert_relative_eq!(normed(2.0)[2][0], 0.5f64.sqrt(), max_relative = 1e-15);
}

#[test]
fn rows_without_a_norm_and_norms_that_are_none_are_refused() {
    let data = table(vec![vectors(&array![[3.0, 1.0], [1.0, f64::NAN]])]);
    let (message, code) = failure(NormalizerParams::default(), &data);
    assert!(
        message.contains("column `features`, row 1: slot 1 is missing"),
        "{message}"
    );
    assert_eq!(code, 3);
    let half = NormalizerParams {
        p: 0.5,
        ..NormalizerParams::default()
    };
    assert!(
        failure(half, &data)
            .0
            .contains("p` must be at least 1 (`inf` is allowed), got 0.5")
    );
}

#[test]
fn an_infinite_order_reads_from_toml_and_stays_in_the_evidence() {
    let params: NormalizerParams = toml::from_str("p = inf").unwrap();
    assert_eq!(params.p, f64::INFINITY);
    assert_eq!(serde_json::to_value(&params).unwrap()["p"], "inf");
}

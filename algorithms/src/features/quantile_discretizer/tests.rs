use super::*;
use crate::adapters::HandleInvalid;
use crate::testing::floats;
use emberline_pipeline::{Component, Registry, Stage};

use crate::testing::stages::{check_stage, failure, fit_stage, numbers_of, table};

fn params(num_buckets: usize) -> QuantileDiscretizerParams {
    QuantileDiscretizerParams {
        input: Some("x".into()),
        num_buckets,
        ..QuantileDiscretizerParams::default()
    }
}

fn data(values: &[Option<f64>]) -> emberline_pipeline::datasets::Dataset {
    table(vec![floats("x", values)])
}

#[test]
fn buckets_hold_about_as_many_rows_each() {
    let values: Vec<Option<f64>> = (0..12).rev().map(|i| Some(f64::from(i * i))).collect();
    let out = check_stage(params(4), &data(&values));
    let mut counts = [0; 4];
    numbers_of(&out, "x_bucket")
        .iter()
        .for_each(|b| counts[b.unwrap() as usize] += 1);
    // A split belongs to the bucket above it, so the first is one short and the last one over.
    assert_eq!(counts, [2, 3, 3, 4]);
}

#[test]
fn quantiles_that_coincide_are_merged_with_a_warning() {
    let values: Vec<Option<f64>> = [1.0, 1.0, 1.0, 1.0, 2.0, 3.0].map(Some).to_vec();
    let (_, report) = fit_stage(params(4), &data(&values)).unwrap();
    assert_eq!(
        report.report.unwrap().warnings,
        ["column `x`: many rows share a value, 3 of 4 buckets are left"]
    );
    let out = check_stage(params(4), &data(&values));
    assert_eq!(
        numbers_of(&out, "x_bucket"),
        [1.0, 1.0, 1.0, 1.0, 2.0, 2.0].map(Some)
    );
}

#[test]
fn missing_values_are_passed_over_in_training_and_treated_as_asked_after() {
    let values = [Some(1.0), None, Some(2.0), Some(3.0), Some(4.0)];
    let keep = QuantileDiscretizerParams {
        handle_invalid: HandleInvalid::Keep,
        ..params(2)
    };
    let out = check_stage(keep, &data(&values));
    assert_eq!(
        numbers_of(&out, "x_bucket"),
        [0.0, 2.0, 1.0, 1.0, 1.0].map(Some)
    );
    assert!(
        failure(params(2), &data(&values))
            .0
            .contains("column `x`, row 1: the value is missing")
    );
}

#[test]
fn what_cannot_be_cut_is_refused() {
    assert!(
        failure(params(1), &data(&[Some(1.0)]))
            .0
            .contains("num_buckets` must be between 2 and 65536, got 1")
    );
    assert!(
        failure(params(2), &data(&[None]))
            .0
            .contains("column `x` holds no value at all")
    );
    let two = QuantileDiscretizerParams {
        num_buckets_array: vec![2, 3],
        ..params(2)
    };
    // Before any row is read: the schema alone tells.
    let stage = QuantileDiscretizer::build(two, &Registry::new()).unwrap();
    let error = stage
        .output_schema(data(&[Some(1.0)]).schema())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`num_buckets_array` has 2 numbers for 1 columns"
    );
}

#[test]
fn more_buckets_than_any_column_has_use_for_are_refused() {
    // Found by putting every number at the edges of its range: the splits were counted out one by one, for hours.
    for (params, name) in [
        (params(1 << 40), "num_buckets"),
        (
            QuantileDiscretizerParams {
                num_buckets_array: vec![1 << 40],
                ..params(2)
            },
            "num_buckets_array",
        ),
    ] {
        let error = QuantileDiscretizer::build(params, &Registry::new()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains(&format!("`{name}` must be between 2 and 65536")),
            "{error}"
        );
    }
}

use emberline_pipeline::datasets::Attribute;

use super::*;
use crate::adapters::HandleInvalid;
use crate::testing::floats;
use crate::testing::stages::{check_stage, failure, integers, numbers_of, table};

const INF: f64 = f64::INFINITY;

fn params(splits: &[f64]) -> BucketizerParams {
    BucketizerParams {
        input: Some("x".into()),
        splits: splits.to_vec(),
        ..BucketizerParams::default()
    }
}

fn data(values: &[Option<f64>]) -> emberline_pipeline::datasets::Dataset {
    table(vec![floats("x", values)])
}

#[test]
fn a_bucket_holds_its_lower_end_and_the_last_one_both() {
    let values = [-1.0, -0.5, 0.0, 0.49, 0.5].map(Some);
    let out = check_stage(params(&[-1.0, 0.0, 0.25, 0.5]), &data(&values));
    assert_eq!(
        numbers_of(&out, "x_bucket"),
        [0.0, 0.0, 1.0, 2.0, 2.0].map(Some)
    );
    let Attribute::Nominal { categories } = &out.schema().get("x_bucket").unwrap().attribute else {
        panic!()
    };
    assert_eq!(categories.to_vec(), ["[-1, 0)", "[0, 0.25)", "[0.25, 0.5]"]);
}

#[test]
fn infinite_ends_take_every_number() {
    let values = [-INF, -1e300, 0.0, 1e300, INF].map(Some);
    let out = check_stage(params(&[-INF, 0.0, INF]), &data(&values));
    assert_eq!(
        numbers_of(&out, "x_bucket"),
        [0.0, 0.0, 1.0, 1.0, 1.0].map(Some)
    );
    let Attribute::Nominal { categories } = &out.schema().get("x_bucket").unwrap().attribute else {
        panic!()
    };
    assert_eq!(categories.to_vec(), ["(-inf, 0)", "[0, inf)"]);
}

#[test]
fn missing_values_are_refused_dropped_or_get_a_bucket_of_their_own() {
    let values = [Some(1.0), None, Some(f64::NAN), Some(-1.0)];
    let with = |handle_invalid| BucketizerParams {
        handle_invalid,
        ..params(&[-INF, 0.0, INF])
    };
    let kept = check_stage(with(HandleInvalid::Keep), &data(&values));
    assert_eq!(
        numbers_of(&kept, "x_bucket"),
        [1.0, 2.0, 2.0, 0.0].map(Some)
    );
    let skipped = check_stage(with(HandleInvalid::Skip), &data(&values));
    assert_eq!(skipped.row_ids().as_ref(), [0, 3]);
    let (message, _) = failure(with(HandleInvalid::Error), &data(&values));
    assert!(
        message.contains("column `x`, row 1: the value is missing"),
        "{message}"
    );
}

#[test]
fn a_value_outside_of_all_buckets_is_always_an_error() {
    let params = BucketizerParams {
        handle_invalid: HandleInvalid::Keep,
        ..params(&[0.0, 1.0, 2.0])
    };
    let (message, code) = failure(params, &data(&[Some(1.0), Some(2.5)]));
    assert!(
        message.contains("column `x`, row 1: 2.5 lies outside of the buckets from 0 to 2"),
        "{message}"
    );
    assert_eq!(code, 3);
}

#[test]
fn each_column_may_have_its_own_splits() {
    let data = table(vec![floats("x", &[Some(1.0)]), integers("n", &[Some(1)])]);
    let params = BucketizerParams {
        inputs: vec!["x".into(), "n".into()],
        splits_array: vec![vec![0.0, 5.0, 9.0], vec![0.0, 0.5, 1.0]],
        ..BucketizerParams::default()
    };
    let out = check_stage(params, &data);
    assert_eq!(
        (numbers_of(&out, "x_bucket"), numbers_of(&out, "n_bucket")),
        (vec![Some(0.0)], vec![Some(1.0)])
    );
}

#[test]
fn splits_that_do_not_increase_are_refused() {
    let x = data(&[Some(1.0)]);
    for bad in [&[0.0, 1.0][..], &[0.0, 0.0, 1.0], &[0.0, f64::NAN, 1.0]] {
        assert!(
            failure(params(bad), &x)
                .0
                .contains("at least three increasing numbers")
        );
    }
    assert!(
        failure(params(&[]), &x)
            .0
            .contains("splits` or `splits_array` must be given")
    );
}

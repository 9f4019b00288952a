use ndarray::array;

use super::*;
use crate::testing::stages::{check_stage, failure, numbers_of, table, vectors_of};
use crate::testing::{floats, vectors};

#[test]
fn the_greatest_distance_from_zero_becomes_one_and_zeros_stay() {
    let data = table(vec![vectors(&array![
        [1.0, 0.0, 2.0],
        [-4.0, 0.0, f64::NAN],
        [0.0, 0.0, 1.0]
    ])]);
    let rows = vectors_of(
        &check_stage(MaxAbsScalerParams::default(), &data),
        "features",
    );
    assert_eq!(
        (rows[0].as_slice(), rows[2].as_slice()),
        ([0.25, 0.0, 1.0].as_slice(), [0.0, 0.0, 0.5].as_slice())
    );
    assert_eq!(rows[1][..2], [-1.0, 0.0]);
}

#[test]
fn numeric_columns_are_taken_and_an_empty_one_is_refused() {
    let params = MaxAbsScalerParams {
        inputs: vec!["*".into()],
        ..MaxAbsScalerParams::default()
    };
    let data = table(vec![
        floats("a", &[Some(-5.0), None]),
        floats("b", &[Some(1.0), Some(2.0)]),
    ]);
    let out = check_stage(params.clone(), &data);
    assert_eq!(numbers_of(&out, "a"), [Some(-1.0), None]);
    assert_eq!(numbers_of(&out, "b"), [Some(0.5), Some(1.0)]);
    let empty = table(vec![floats("a", &[None, None])]);
    assert!(
        failure(params, &empty)
            .0
            .contains("column `a` holds no value at all")
    );
}

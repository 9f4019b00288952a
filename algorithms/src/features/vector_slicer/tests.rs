use ndarray::array;

use super::*;
use crate::testing::stages::{check_stage, failure, table, vectors_of};
use crate::testing::vectors;

fn params(indices: &[usize], names: &[&str]) -> VectorSlicerParams {
    let names = names.iter().map(ToString::to_string).collect();
    VectorSlicerParams {
        indices: indices.to_vec(),
        names,
        ..VectorSlicerParams::default()
    }
}

fn data() -> emberline_pipeline::datasets::Dataset {
    table(vec![vectors(&array![
        [1.0, 2.0, 3.0],
        [4.0, f64::NAN, 6.0]
    ])])
}

#[test]
fn slots_come_by_position_then_by_name_in_the_order_asked_for() {
    let out = check_stage(params(&[2], &["x1", "x0"]), &data());
    let rows = vectors_of(&out, "sliced_features");
    assert_eq!(rows[0], [3.0, 2.0, 1.0]);
    assert!(rows[1][1].is_nan());
    let names: Vec<&str> = out
        .schema()
        .get("sliced_features")
        .unwrap()
        .slots
        .iter()
        .map(|s| s.name.as_str())
        .collect();
    assert_eq!(names, ["x2", "x1", "x0"]);
}

#[test]
fn slots_that_are_not_there_or_chosen_twice_are_named() {
    assert!(
        failure(params(&[3], &[]), &data())
            .0
            .contains("column `features` has 3 slots, there is no slot 3")
    );
    assert!(
        failure(params(&[], &["x00"]), &data())
            .0
            .contains("has no slot `x00`; did you mean `x0`?")
    );
    assert!(
        failure(params(&[1], &["x1"]), &data())
            .0
            .contains("slot 1 of column `features` is chosen twice")
    );
    assert!(
        failure(params(&[1, 1], &[]), &data())
            .0
            .contains("must not hold 1 twice")
    );
    assert!(
        failure(params(&[], &[]), &data())
            .0
            .contains("choose at least one slot")
    );
}

use emberline_pipeline::datasets::Attribute;
use ndarray::array;

use super::*;
use crate::testing::stages::{check_stage, failure, integers, numbers_of, table, vectors_of};
use crate::testing::{floats, vectors};

fn data() -> emberline_pipeline::datasets::Dataset {
    table(vec![
        floats("x", &[Some(0.5), None, Some(-1.0)]),
        integers("n", &[Some(3), Some(2), None]),
    ])
}

#[test]
fn numbers_above_the_threshold_become_one_and_missing_stays_missing() {
    let params = BinarizerParams {
        inputs: vec!["*".into()],
        threshold: Some(0.5),
        ..BinarizerParams::default()
    };
    let out = check_stage(params, &data());
    assert_eq!(numbers_of(&out, "x_binary"), [Some(0.0), None, Some(0.0)]);
    assert_eq!(numbers_of(&out, "n_binary"), [Some(1.0), Some(1.0), None]);
    assert_eq!(
        out.schema().get("n_binary").unwrap().attribute,
        Attribute::Binary
    );
}

#[test]
fn each_column_may_have_its_own_threshold() {
    let params = BinarizerParams {
        inputs: vec!["*".into()],
        thresholds: vec![0.0, 2.0],
        ..BinarizerParams::default()
    };
    let out = check_stage(params.clone(), &data());
    assert_eq!(numbers_of(&out, "x_binary"), [Some(1.0), None, Some(0.0)]);
    assert_eq!(numbers_of(&out, "n_binary"), [Some(1.0), Some(0.0), None]);
    let three = BinarizerParams {
        thresholds: vec![0.0; 3],
        ..params.clone()
    };
    assert!(
        failure(three, &data())
            .0
            .contains("`thresholds` has 3 numbers for 2 columns")
    );
    let both = BinarizerParams {
        threshold: Some(1.0),
        ..params
    };
    assert!(
        failure(both, &data())
            .0
            .contains("cannot stand beside `threshold`")
    );
}

#[test]
fn vectors_are_taken_slot_by_slot() {
    let params = BinarizerParams {
        input: Some("features".into()),
        ..BinarizerParams::default()
    };
    let out = check_stage(
        params,
        &table(vec![vectors(&array![[0.0, 2.0], [1e-9, -2.0]])]),
    );
    assert_eq!(
        vectors_of(&out, "features_binary"),
        [[0.0, 1.0], [1.0, 0.0]]
    );
    assert!(
        out.schema()
            .get("features_binary")
            .unwrap()
            .slots
            .iter()
            .all(|s| s.attribute == Attribute::Binary)
    );
}

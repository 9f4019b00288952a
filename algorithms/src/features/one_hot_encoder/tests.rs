use emberline_pipeline::datasets::{Attribute, Dataset};
use emberline_pipeline::{Pipeline, Run};

use super::*;
use crate::features::string_indexer::StringIndexerParams;
use crate::features::vector_assembler::VectorAssemblerParams;
use crate::testing::stages::{
    booleans, check_model, check_stage, failure, fit_stage, integers, table, vectors_of,
};
use crate::testing::{floats, texts};

fn params(input: &str) -> OneHotEncoderParams {
    OneHotEncoderParams {
        input: Some(input.to_owned()),
        ..OneHotEncoderParams::default()
    }
}

fn sizes() -> Dataset {
    table(vec![integers("size", &[Some(0), Some(2), Some(1)])])
}

#[test]
fn the_last_category_has_no_slot_unless_asked_for() {
    let out = check_stage(params("size"), &sizes());
    assert_eq!(
        vectors_of(&out, "size_onehot"),
        [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]
    );
    let all = check_stage(
        OneHotEncoderParams {
            drop_last: false,
            ..params("size")
        },
        &sizes(),
    );
    assert_eq!(
        vectors_of(&all, "size_onehot"),
        [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    );
}

#[test]
fn slots_are_named_by_category_and_know_their_original_column() {
    let data = table(vec![texts(
        "colour",
        &[Some("red"), Some("blue"), Some("red"), Some("dark green")],
    )]);
    let pipeline = Pipeline::builder()
        .stage(StringIndexerParams {
            inputs: vec!["*".into()],
            ..StringIndexerParams::default()
        })
        .stage(OneHotEncoderParams {
            inputs: vec!["*".into()],
            ..OneHotEncoderParams::default()
        })
        .stage(VectorAssemblerParams::default())
        .build()
        .unwrap();
    let model = pipeline.fit(&data, &Run::local(0, 1)).unwrap().model;
    let schema = model.transform_dataset(&data).unwrap().schema().clone();
    let onehot = schema.get("colour_onehot").unwrap();
    let names: Vec<&str> = onehot.slots.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["colour=red", "colour=blue"]);
    assert!(
        onehot
            .slots
            .iter()
            .all(|s| s.column == "colour" && s.attribute == Attribute::Binary)
    );
    let features = schema.get("features").unwrap();
    assert!(features.slots.iter().all(|s| s.column == "colour"));
    assert!(
        matches!(features.slots[0].attribute, Attribute::Nominal { .. }),
        "the index keeps its categories"
    );
}

#[test]
fn a_boolean_has_two_categories_without_reading_a_row() {
    let data = table(vec![booleans("b", &[Some(true), Some(false)])]);
    let (_, report) = fit_stage(params("b"), &data).unwrap();
    assert_eq!(report.report.unwrap().rounds, 0);
    let out = check_stage(
        OneHotEncoderParams {
            drop_last: false,
            ..params("b")
        },
        &data,
    );
    assert_eq!(vectors_of(&out, "b_onehot"), [[0.0, 1.0], [1.0, 0.0]]);
    assert_eq!(
        out.schema().get("b_onehot").unwrap().slots[1].name,
        "b=true"
    );
}

#[test]
fn what_is_no_category_is_refused_or_kept_as_one_more() {
    let later = table(vec![integers("size", &[Some(7), None, Some(1)])]);
    let (strict, _) = fit_stage(params("size"), &sizes()).unwrap();
    let error = strict
        .transform_dataset(&later)
        .unwrap()
        .read(0, None)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("column `size`, row 0: 7 is no category: whole numbers from 0 to 2"),
        "{error}"
    );

    let keep = OneHotEncoderParams {
        handle_invalid: OneHotInvalid::Keep,
        ..params("size")
    };
    let (dropped, _) = fit_stage(keep.clone(), &sizes()).unwrap();
    let rows = vectors_of(&check_model(&dropped, &later), "size_onehot");
    assert_eq!(rows, [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]);
    let (all, _) = fit_stage(
        OneHotEncoderParams {
            drop_last: false,
            ..keep
        },
        &sizes(),
    )
    .unwrap();
    let rows = vectors_of(&check_model(&all, &later), "size_onehot");
    assert_eq!(rows[0], [0.0, 0.0, 0.0, 1.0]);
}

#[test]
fn numbers_that_are_no_categories_are_refused_in_training() {
    let refused =
        |values: &[Option<f64>]| failure(params("x"), &table(vec![floats("x", values)])).0;
    assert!(
        refused(&[Some(0.0), Some(1.5)])
            .contains("column `x` holds 1.5, categories are whole numbers")
    );
    assert!(refused(&[Some(-1.0)]).contains("holds -1"));
    assert!(refused(&[Some(1e9)]).contains("holds 1000000000"));
    assert!(refused(&[None]).contains("column `x` holds no value at all"));
}

#[test]
fn a_single_category_leaves_no_slot_and_says_so() {
    let data = table(vec![integers("k", &[Some(0), Some(0)])]);
    let (_, report) = fit_stage(params("k"), &data).unwrap();
    assert_eq!(
        report.report.unwrap().warnings,
        ["column `k` has one category: without the last no slot is left"]
    );
    let out = check_stage(params("k"), &data);
    assert_eq!(vectors_of(&out, "k_onehot"), vec![Vec::<f64>::new(); 2]);
}

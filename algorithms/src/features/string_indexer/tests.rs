use emberline_pipeline::datasets::{Attribute, Column, ColumnType, Dataset, Roles};
use emberline_pipeline::row::Cell;

use super::*;
use crate::adapters::HandleInvalid;
use crate::testing::stages::{
    booleans, check_model, check_stage, failure, fit_stage, integers, numbers_of, table, through,
};
use crate::testing::texts;

fn colours() -> Dataset {
    // red 3, blue 2, green 2, missing 1
    let values = ["red", "green", "blue", "red", "blue", "green", "red"];
    let mut values: Vec<Option<&str>> = values.iter().copied().map(Some).collect();
    values.push(None);
    table(vec![texts("colour", &values)])
}

fn params(input: &str) -> StringIndexerParams {
    StringIndexerParams {
        input: Some(input.to_owned()),
        ..StringIndexerParams::default()
    }
}

fn keep(input: &str) -> StringIndexerParams {
    StringIndexerParams {
        handle_invalid: HandleInvalid::Keep,
        ..params(input)
    }
}

fn categories(column: &Column) -> Vec<String> {
    match &column.attribute {
        Attribute::Nominal { categories } => categories.to_vec(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn categories_are_numbered_by_frequency_and_ties_by_name() {
    let out = check_stage(keep("colour"), &colours());
    let column = out.schema().get("colour_index").unwrap();
    assert_eq!(categories(column), ["red", "blue", "green", UNKNOWN]);
    assert_eq!(
        (column.origin(), &column.ty, column.nullable),
        ("colour", &ColumnType::Integer, false)
    );
    let expected = [0.0, 2.0, 1.0, 0.0, 1.0, 2.0, 0.0, 3.0].map(Some);
    assert_eq!(numbers_of(&out, "colour_index"), expected);
}

#[test]
fn every_order_is_the_one_it_says() {
    let order = |string_order_type| {
        let (model, _) = fit_stage(
            StringIndexerParams {
                string_order_type,
                ..keep("colour")
            },
            &colours(),
        )
        .unwrap();
        let mut names = categories(
            through(&model, &colours())
                .schema()
                .get("colour_index")
                .unwrap(),
        );
        names.pop();
        names
    };
    assert_eq!(
        order(StringOrderType::FrequencyAsc),
        ["blue", "green", "red"]
    );
    assert_eq!(
        order(StringOrderType::AlphabetAsc),
        ["blue", "green", "red"]
    );
    assert_eq!(
        order(StringOrderType::AlphabetDesc),
        ["red", "green", "blue"]
    );
}

#[test]
fn integers_sort_by_value_and_booleans_are_taken_too() {
    let data = table(vec![
        integers("n", &[Some(10), Some(9), Some(-1), Some(10)]),
        booleans("b", &[Some(true), Some(false), Some(true), Some(true)]),
    ]);
    let params = StringIndexerParams {
        inputs: vec!["n".into(), "b".into()],
        string_order_type: StringOrderType::AlphabetAsc,
        ..StringIndexerParams::default()
    };
    let out = check_stage(params, &data);
    assert_eq!(
        categories(out.schema().get("n_index").unwrap()),
        ["-1", "9", "10"]
    );
    assert_eq!(numbers_of(&out, "n_index"), [2.0, 1.0, 0.0, 2.0].map(Some));
    assert_eq!(
        categories(out.schema().get("b_index").unwrap()),
        ["false", "true"]
    );
    assert_eq!(numbers_of(&out, "b_index"), [1.0, 0.0, 1.0, 1.0].map(Some));
}

#[test]
fn a_glob_takes_text_without_a_role_and_the_output_may_replace_it() {
    let data = table(vec![
        texts("a", &[Some("x")]),
        texts("y", &[Some("u")]),
        integers("n", &[Some(1)]),
    ])
    .with_roles(Roles {
        label: Some("y".into()),
        ..Roles::default()
    })
    .unwrap();
    let params = StringIndexerParams {
        inputs: vec!["*".into()],
        outputs: vec!["a".into()],
        ..StringIndexerParams::default()
    };
    let out = check_stage(params, &data);
    let names: Vec<&str> = out
        .schema()
        .columns()
        .iter()
        .map(|c| c.name.as_str())
        .collect();
    assert_eq!(names, ["a", "y", "n"]);
    assert_eq!(numbers_of(&out, "a"), [Some(0.0)]);
}

#[test]
fn a_category_not_seen_in_training_is_refused_dropped_or_shared_with_missing_ones() {
    let seen = table(vec![texts(
        "colour",
        &[Some("red"), Some("blue"), Some("red")],
    )]);
    let with = |handle_invalid| {
        let (model, _) = fit_stage(
            StringIndexerParams {
                handle_invalid,
                ..params("colour")
            },
            &seen,
        )
        .unwrap();
        model
    };
    let later = table(vec![texts("colour", &[Some("pink"), Some("blue"), None])]);
    let kept = check_model(&with(HandleInvalid::Keep), &later);
    assert_eq!(numbers_of(&kept, "colour_index"), [2.0, 1.0, 2.0].map(Some));
    let skipped = check_model(&with(HandleInvalid::Skip), &later);
    assert_eq!(skipped.row_ids().as_ref(), [1]);
    let refused = with(HandleInvalid::Error);
    let error = refused
        .transform_dataset(&later)
        .unwrap()
        .read(0, None)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("column `colour`, row 0: category `pink` was not seen in training"),
        "{error}"
    );

    let mut scorer = refused.scorer(later.schema()).unwrap();
    scorer.input()[0] = Cell::Text("pink".into());
    assert!(
        scorer
            .score()
            .unwrap_err()
            .to_string()
            .contains("`pink` was not seen")
    );
}

#[test]
fn a_missing_value_is_refused_with_column_and_row() {
    let (message, code) = failure(params("colour"), &colours());
    assert!(
        message.contains("stage `string_indexer`: column `colour`, row 7: the value is missing"),
        "{message}"
    );
    assert_eq!(code, 3);
}

#[test]
fn a_category_with_the_shared_name_joins_the_unknown_ones() {
    let data = table(vec![texts("c", &[Some(UNKNOWN), Some("a"), None])]);
    let out = check_stage(keep("c"), &data);
    assert_eq!(
        categories(out.schema().get("c_index").unwrap()),
        ["a", UNKNOWN]
    );
    assert_eq!(numbers_of(&out, "c_index"), [1.0, 0.0, 1.0].map(Some));
}

#[test]
fn a_column_without_values_or_with_too_many_is_refused() {
    let empty = table(vec![texts("c", &[None, None])]);
    assert!(
        failure(params("c"), &empty)
            .0
            .contains("column `c` holds no value at all")
    );
    let few = StringIndexerParams {
        max_categories: 2,
        ..params("colour")
    };
    let (message, code) = failure(few, &colours());
    assert!(
        message.contains("column `colour` has 3 distinct values, `max_categories` is 2"),
        "{message}"
    );
    assert_eq!(code, 3);
}

#[test]
fn columns_that_do_not_fit_are_named_before_any_row_is_read() {
    let data = table(vec![
        crate::testing::floats("x", &[Some(1.0)]),
        texts("x_index", &[None]),
    ]);
    assert!(
        failure(params("x"), &data)
            .0
            .contains("column `x` is float, text, boolean or integer")
    );
    let taken = StringIndexerParams {
        output: Some("x".into()),
        ..params("x_index")
    };
    let (message, code) = failure(taken, &data);
    assert!(
        message.contains("output column `x` exists already"),
        "{message}"
    );
    assert_eq!(code, 2);
    assert!(
        failure(StringIndexerParams::default(), &data)
            .0
            .contains(".input` is missing")
    );
}

#[test]
fn a_column_of_another_type_than_in_training_is_refused() {
    let (model, _) = fit_stage(keep("colour"), &colours()).unwrap();
    let error = model
        .transform_dataset(&table(vec![integers("colour", &[Some(1)])]))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("column `colour` is integer, text, as in training, is needed"),
        "{error}"
    );
}

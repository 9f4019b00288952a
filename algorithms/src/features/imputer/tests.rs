use emberline_pipeline::datasets::{ColumnType, Dataset};

use super::*;
use crate::testing::stages::{
    booleans, check_model, check_stage, failure, fit_stage, fitted_rows, integers, numbers_of,
    table, texts_of,
};
use crate::testing::{floats, texts};

fn params(strategy: Strategy) -> ImputerParams {
    ImputerParams {
        inputs: vec!["*".into()],
        strategy,
        ..ImputerParams::default()
    }
}

fn mixed() -> Dataset {
    table(vec![
        floats(
            "x",
            &[
                Some(1.0),
                None,
                Some(2.0),
                Some(f64::NAN),
                Some(6.0),
                Some(2.0),
            ],
        ),
        integers("n", &[Some(4), Some(4), None, Some(-1), Some(10), Some(10)]),
        booleans(
            "b",
            &[
                Some(true),
                None,
                Some(false),
                Some(true),
                Some(true),
                Some(true),
            ],
        ),
        texts(
            "t",
            &[Some("u"), Some("v"), None, Some("v"), Some("u"), None],
        ),
    ])
}

#[test]
fn the_mean_fills_numbers_in_place_and_makes_integers_floats() {
    let out = check_stage(params(Strategy::Mean), &mixed());
    assert_eq!(
        numbers_of(&out, "x"),
        [1.0, 2.75, 2.0, 2.75, 6.0, 2.0].map(Some)
    );
    assert_eq!(numbers_of(&out, "n")[2], Some(5.4));
    let n = out.schema().get("n").unwrap();
    assert_eq!((&n.ty, n.nullable), (&ColumnType::Float, false));
    assert_eq!(texts_of(&out, "t")[2], None);
}

#[test]
fn the_median_is_exact_and_between_the_middle_two() {
    let out = check_stage(params(Strategy::Median), &mixed());
    assert_eq!(numbers_of(&out, "x")[1], Some(2.0));
    assert_eq!(numbers_of(&out, "n")[2], Some(4.0));
    let even = table(vec![floats("x", &[Some(1.0), None, Some(2.0)])]);
    assert_eq!(
        numbers_of(&check_stage(params(Strategy::Median), &even), "x")[1],
        Some(1.5)
    );
}

#[test]
fn the_most_frequent_value_keeps_the_type_and_ties_go_to_the_least() {
    let out = check_stage(params(Strategy::Mode), &mixed());
    assert_eq!(numbers_of(&out, "x")[1], Some(2.0));
    assert_eq!(numbers_of(&out, "n")[2], Some(4.0));
    assert_eq!(out.schema().get("n").unwrap().ty, ColumnType::Integer);
    assert_eq!(numbers_of(&out, "b")[1], Some(1.0));
    assert_eq!(out.schema().get("b").unwrap().ty, ColumnType::Boolean);
    assert_eq!(texts_of(&out, "t")[2].as_deref(), Some("u"));
}

#[test]
fn a_constant_fills_the_columns_of_its_kind() {
    let text = ImputerParams {
        value: Some(FillValue::Text("none".into())),
        ..params(Strategy::Constant)
    };
    let out = check_stage(text, &mixed());
    assert_eq!(texts_of(&out, "t")[5].as_deref(), Some("none"));
    assert_eq!(numbers_of(&out, "x")[1], None);
    let number = ImputerParams {
        value: Some(FillValue::Number(-7.0)),
        ..params(Strategy::Constant)
    };
    let out = check_stage(number, &mixed());
    assert_eq!(numbers_of(&out, "n")[2], Some(-7.0));
    assert_eq!(out.schema().get("n").unwrap().ty, ColumnType::Integer);
    assert_eq!(
        out.schema().get("b").unwrap().ty,
        ColumnType::Float,
        "-7 is no boolean"
    );
}

#[test]
fn a_number_may_stand_for_missing() {
    let params = ImputerParams {
        missing_value: Some(-1.0),
        input: Some("n".into()),
        ..ImputerParams::default()
    };
    let out = check_stage(params, &mixed());
    assert_eq!(
        numbers_of(&out, "n"),
        [4.0, 4.0, 7.0, 7.0, 10.0, 10.0].map(Some)
    );
}

#[test]
fn a_named_output_leaves_the_input_as_it_was() {
    let params = ImputerParams {
        input: Some("x".into()),
        output: Some("full".into()),
        ..ImputerParams::default()
    };
    let out = check_stage(params, &mixed());
    assert_eq!(
        (numbers_of(&out, "x")[1], numbers_of(&out, "full")[1]),
        (None, Some(2.75))
    );
    assert_eq!(out.schema().get("full").unwrap().origin(), "x");
}

#[test]
fn a_column_without_values_is_refused_kept_or_filled_by_a_constant() {
    let data = table(vec![floats("x", &[None, Some(f64::NAN)])]);
    for strategy in [Strategy::Mean, Strategy::Median, Strategy::Mode] {
        let (message, code) = failure(params(strategy), &data);
        assert!(
            message.contains("column `x` holds no value at all; leave it out of the inputs"),
            "{message}"
        );
        assert!(message.contains("`keep_empty = true`"), "{message}");
        assert_eq!(code, 3);
        let kept = check_stage(
            ImputerParams {
                keep_empty: true,
                ..params(strategy)
            },
            &data,
        );
        assert_eq!(numbers_of(&kept, "x"), [None, None]);
    }
    let constant = ImputerParams {
        value: Some(FillValue::Number(0.5)),
        ..params(Strategy::Constant)
    };
    assert_eq!(
        numbers_of(&fitted_rows(constant, &data), "x"),
        [Some(0.5), Some(0.5)]
    );
}

#[test]
fn an_infinite_value_is_refused_with_column_and_row() {
    let data = table(vec![floats("x", &[Some(1.0), Some(f64::INFINITY)])]);
    let (message, _) = failure(params(Strategy::Mean), &data);
    assert!(
        message.contains("column `x`, row 1: inf is not finite"),
        "{message}"
    );
}

#[test]
fn parameters_that_contradict_each_other_are_named() {
    let data = mixed();
    assert!(
        failure(params(Strategy::Constant), &data)
            .0
            .contains(".value` is missing")
    );
    let idle = ImputerParams {
        value: Some(FillValue::Number(1.0)),
        ..params(Strategy::Mean)
    };
    assert!(
        failure(idle, &data)
            .0
            .contains(".value` is used by `strategy = \"constant\"` alone")
    );
    let text = ImputerParams {
        input: Some("t".into()),
        ..ImputerParams::default()
    };
    assert!(
        failure(text, &data)
            .0
            .contains("column `t` is text, a number")
    );
}

#[test]
fn training_decides_what_later_rows_get() {
    let (model, report) = fit_stage(params(Strategy::Mean), &mixed()).unwrap();
    assert_eq!(report.report.unwrap().rows, 6);
    let later = table(vec![
        floats("x", &[None]),
        integers("n", &[None]),
        booleans("b", &[None]),
        texts("t", &[None]),
    ]);
    assert_eq!(numbers_of(&check_model(&model, &later), "x"), [Some(2.75)]);
}

use ndarray::array;

use super::*;
use crate::testing::stages::{check_stage, failure, numbers_of, table, vectors_of};
use crate::testing::{floats, vectors};

fn params(degree: u32) -> PolynomialExpansionParams {
    PolynomialExpansionParams {
        degree,
        ..PolynomialExpansionParams::default()
    }
}

fn names(out: &emberline_pipeline::datasets::Batch, column: &str) -> Vec<String> {
    out.schema()
        .get(column)
        .unwrap()
        .slots
        .iter()
        .map(|s| s.name.clone())
        .collect()
}

#[test]
fn terms_stand_in_the_documented_order_under_their_names() {
    let out = check_stage(params(2), &table(vec![vectors(&array![[2.0, 3.0]])]));
    assert_eq!(
        names(&out, "polynomial_features"),
        ["x0", "x0^2", "x1", "x0*x1", "x1^2"]
    );
    assert_eq!(
        vectors_of(&out, "polynomial_features"),
        [[2.0, 4.0, 3.0, 6.0, 9.0]]
    );
}

#[test]
fn three_slots_at_degree_three_give_every_product_once() {
    let out = check_stage(params(3), &table(vec![vectors(&array![[2.0, 3.0, 5.0]])]));
    let names = names(&out, "polynomial_features");
    // (3 + 3 choose 3) - 1 terms.
    assert_eq!(names.len(), 19);
    assert_eq!(names[..6], ["x0", "x0^2", "x0^3", "x1", "x0*x1", "x0^2*x1"]);
    assert_eq!(names[9..13], ["x2", "x0*x2", "x0^2*x2", "x1*x2"]);
    let row = &vectors_of(&out, "polynomial_features")[0];
    assert_eq!((row[5], row[13], row[18]), (12.0, 30.0, 125.0));
    assert_eq!(names[13], "x0*x1*x2");
    let slots = &out.schema().get("polynomial_features").unwrap().slots;
    assert_eq!(
        (slots[1].column.as_str(), slots[13].column.as_str()),
        ("x0", "x0*x1*x2")
    );
}

#[test]
fn a_number_is_expanded_to_its_powers_and_missing_stays_missing() {
    let data = table(vec![floats("x", &[Some(-2.0), None])]);
    let out = check_stage(
        PolynomialExpansionParams {
            input: Some("x".into()),
            ..params(3)
        },
        &data,
    );
    let rows = vectors_of(&out, "polynomial_x");
    assert_eq!(rows[0], [-2.0, 4.0, -8.0]);
    assert!(rows[1].iter().all(|v| v.is_nan()));
    assert_eq!(numbers_of(&out, "x")[0], Some(-2.0));
}

#[test]
fn too_many_terms_are_refused_before_any_row_is_read() {
    let wide = table(vec![vectors(&ndarray::Array2::zeros((1, 400)))]);
    let (message, code) = failure(params(2), &wide);
    assert!(
        message.contains("400 slots at degree 2 have more than 65536 terms"),
        "{message}"
    );
    assert_eq!(code, 2);
    assert!(
        failure(params(0), &wide)
            .0
            .contains("degree` must be from 1 to 64, got 0")
    );
}

//! Small datasets for unit tests.
#![allow(dead_code)] // each stage's tests use what they need

pub mod stages;

use std::sync::Arc;

use emberline_pipeline::datasets::arrow::array::{ArrayRef, Float64Array, StringArray};
use emberline_pipeline::datasets::batch::dense_vectors;
use emberline_pipeline::datasets::{Column, ColumnType, Dataset, Element, Slot};
use ndarray::Array2;

/// A float column; `None` is missing.
pub fn floats(name: &str, values: &[Option<f64>]) -> (Column, ArrayRef) {
    (
        Column::new(name, ColumnType::Float, true),
        Arc::new(Float64Array::from(values.to_vec())),
    )
}

/// A text column; `None` is missing.
pub fn texts(name: &str, values: &[Option<&str>]) -> (Column, ArrayRef) {
    (
        Column::new(name, ColumnType::Text, true),
        Arc::new(StringArray::from(values.to_vec())),
    )
}

/// A vector column `features` with slots `x0`, `x1`, ...; NaN is missing.
pub fn vectors(x: &Array2<f64>) -> (Column, ArrayRef) {
    let slots = (0..x.ncols())
        .map(|j| Slot::numeric(format!("x{j}")))
        .collect();
    let flat = x.iter().copied().collect();
    (
        Column::vector("features", slots),
        dense_vectors(flat, x.ncols(), Element::F64, true, x.nrows()).unwrap(),
    )
}

/// A dataset with `features` and a float column `label`.
pub fn labelled(x: &Array2<f64>, y: &[f64]) -> Dataset {
    let label: Vec<Option<f64>> = y.iter().copied().map(Some).collect();
    Dataset::from_columns(vec![vectors(x), floats("label", &label)]).unwrap()
}

/// A case of the published oracles, by name.
pub fn oracle(name: &str) -> serde_json::Value {
    let all: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/oracles/cases.json")).unwrap();
    let cases = all["cases"].as_array().unwrap();
    cases.iter().find(|c| c["name"] == name).unwrap().clone()
}

/// A JSON list of numbers.
pub fn numbers(value: &serde_json::Value) -> Vec<f64> {
    let list = value.as_array().unwrap();
    list.iter().map(|v| v.as_f64().unwrap()).collect()
}

/// A JSON list of rows.
pub fn matrix(value: &serde_json::Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = value.as_array().unwrap().iter().map(numbers).collect();
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

/// The same rows with the features in sparse storage; zeros are left out.
pub fn sparse_vectors(x: &Array2<f64>) -> (Column, ArrayRef) {
    let (mut column, _) = vectors(x);
    if let ColumnType::Vector { layout, .. } = &mut column.ty {
        *layout = emberline_pipeline::datasets::Layout::Sparse;
    }
    let (mut offsets, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
    for row in x.outer_iter() {
        for (j, v) in row.iter().enumerate().filter(|(_, v)| **v != 0.0) {
            indices.push(j as u32);
            values.push(*v);
        }
        offsets.push(values.len() as i32);
    }
    let array = emberline_pipeline::datasets::batch::sparse_vectors(offsets, indices, values);
    (column, array.unwrap())
}

/// `iris`: measurements `(150, 4)` and class indices, species in alphabetical order.
pub fn iris() -> (Array2<f64>, Vec<f64>) {
    let text = include_str!("../../datasets/data/iris.csv");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .skip(1)
        .map(|l| l.split(',').collect())
        .collect();
    let x = Array2::from_shape_fn((rows.len(), 4), |(i, j)| rows[i][j].parse().unwrap());
    let species = ["setosa", "versicolor", "virginica"];
    let class = |r: &Vec<&str>| species.iter().position(|s| *s == r[4]).unwrap() as f64;
    let y = rows.iter().map(class).collect();
    (x, y)
}

/// Fails where a number differs by more than `tol`, relative above 1 and absolute below.
pub fn assert_close(got: &[f64], want: &[f64], tol: f64, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (g, w) in got.iter().zip(want) {
        assert!(
            (g - w).abs() <= tol * w.abs().max(1.0),
            "{what}: {got:?}, expected {want:?}"
        );
    }
}

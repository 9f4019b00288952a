//! Small datasets for unit tests.
#![allow(dead_code)] // each stage's tests use what they need

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, StringArray};
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

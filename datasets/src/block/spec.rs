//! How columns become a block, and what is refused on the way.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Block, Classes, Csr, Features, Matrix, Mixed};
use crate::arrow::array::Array;
use crate::arrow::buffer::ScalarBuffer;
use crate::batch::Batch;
use crate::schema::{Attribute, ColumnType, Element, Layout, Schema, SchemaError, SchemaErrors};
use crate::{DataError, Result, simd};

/// Which columns an estimator trains on, and how they become numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlockSpec {
    /// The vector column of features.
    pub features: String,
    /// The label, if the learner has one.
    pub label: LabelSpec,
    /// The weight column, if any.
    pub weight: Option<String>,
    /// What a missing or non-finite feature means.
    pub missing: MissingRule,
}

/// How the label becomes a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum LabelSpec {
    /// No label.
    None,
    /// The column's own numbers (regression).
    Number(String),
    /// The index of each value in a class list (classification).
    Classes {
        /// The label column.
        column: String,
        /// Classes in index order.
        classes: Arc<Classes>,
    },
}

/// What to do with a missing or non-finite feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MissingRule {
    /// Refuse it, naming column and row.
    Error,
    /// Keep a missing value as NaN; an infinite one is refused.
    Keep,
}

impl BlockSpec {
    /// The columns to read.
    #[must_use]
    pub fn columns(&self) -> Vec<String> {
        let label = match &self.label {
            LabelSpec::None => None,
            LabelSpec::Number(column) | LabelSpec::Classes { column, .. } => Some(column.clone()),
        };
        let mut columns = vec![self.features.clone()];
        for extra in label.into_iter().chain(self.weight.clone()) {
            if !columns.contains(&extra) {
                columns.push(extra);
            }
        }
        columns
    }

    /// Whether these columns exist with fitting types.
    ///
    /// # Errors
    /// Every column that is missing or mistyped.
    pub fn check(&self, schema: &Schema) -> std::result::Result<(), SchemaErrors> {
        let mut errors = Vec::new();
        match schema.get(&self.features) {
            Ok(column) if !column.ty.is_vector() => errors.push(SchemaError::Type {
                column: self.features.clone(),
                found: column.ty.to_string(),
                expected: "a vector (put a `vector_assembler` before this stage)".to_owned(),
            }),
            Ok(_) => {}
            Err(e) => errors.push(e),
        }
        if let LabelSpec::Number(label) = &self.label {
            check_number(schema, label, &mut errors);
        }
        if let LabelSpec::Classes { column, .. } = &self.label
            && let Err(e) = schema.get(column)
        {
            errors.push(e);
        }
        if let Some(weight) = &self.weight {
            check_number(schema, weight, &mut errors);
        }
        SchemaErrors::check(errors)
    }

    /// Turns a batch into a block.
    ///
    /// # Errors
    /// A feature, label or weight that the rules refuse; column and row are named.
    pub fn block(&self, batch: &Batch) -> Result<Block> {
        let features = self.features(batch)?;
        let label = match &self.label {
            LabelSpec::None => None,
            LabelSpec::Number(column) => Some(finite(batch, column)?),
            LabelSpec::Classes { column, classes } => Some(class_indices(batch, column, classes)?),
        };
        let weight = self
            .weight
            .as_deref()
            .map(|w| weights(batch, w))
            .transpose()?;
        Ok(Block {
            features,
            label,
            weight,
            row_ids: batch.row_ids().clone(),
        })
    }

    fn features(&self, batch: &Batch) -> Result<Features> {
        let column = batch.schema().get(&self.features)?;
        let vectors = batch.vector(&self.features)?;
        let (n, d) = (vectors.rows(), vectors.width());
        let refuse = |i: usize, j: usize, value: f64| {
            let slot = column
                .slots
                .get(j)
                .map_or_else(|| j.to_string(), |s| s.name.clone());
            let column = format!("{}[{slot}]", self.features);
            let row = batch.row_ids()[i];
            if value.is_nan() {
                DataError::Missing { column, row }
            } else {
                DataError::NotFinite { column, row, value }
            }
        };
        let bad = |v: f64| v.is_infinite() || (v.is_nan() && self.missing == MissingRule::Error);
        let (layout, element) = match &column.ty {
            ColumnType::Vector {
                layout, element, ..
            } => (*layout, *element),
            _ => (Layout::Dense, Element::F64),
        };
        if layout == Layout::Sparse {
            if let Some((offsets, indices, values)) = vectors.as_sparse() {
                if let Some(k) = values.iter().position(|v| bad(*v)) {
                    let i = offsets.partition_point(|o| *o as usize <= k) - 1;
                    return Err(refuse(i, indices[k] as usize, values[k]));
                }
                let binary = column
                    .slots
                    .iter()
                    .map(|s| s.attribute == Attribute::Binary);
                let binary: Vec<bool> = binary.collect();
                let known = binary.len() == d && binary.contains(&true);
                let mixed = known.then(|| Mixed::of_sparse((offsets, indices, values), &binary));
                if let Some(mixed) = mixed.flatten() {
                    return Ok(Features::Mixed(mixed));
                }
            }
            let mut csr = Csr {
                offsets: vec![0],
                indices: Vec::new(),
                values: Vec::new(),
                width: d,
            };
            let mut fault = None;
            for i in 0..n {
                vectors.for_each_stored(i, |j, v| {
                    if bad(v) {
                        fault.get_or_insert((i, j, v));
                    }
                    csr.indices.push(j as u32);
                    csr.values.push(v);
                });
                csr.offsets.push(csr.values.len());
            }
            return match fault {
                Some((i, j, v)) => Err(refuse(i, j, v)),
                None => Ok(Features::Csr(csr)),
            };
        }
        if element == Element::F32 {
            let flat: ScalarBuffer<f32> = match vectors.as_f32_buffer() {
                Some(shared) => shared,
                None => read_rows(&vectors).into_iter().map(|v| v as f32).collect(),
            };
            let unfit = |piece: &[f32]| {
                simd::dispatch(
                    #[inline(always)]
                    || !all_finite_f32(piece),
                )
            };
            if let Some(k) = first(&flat, unfit, |v| bad(f64::from(v))) {
                return Err(refuse(k / d, k % d, f64::from(flat[k])));
            }
            return Ok(Features::F32(Matrix::new(n, d, flat)?));
        }
        let flat: ScalarBuffer<f64> = match vectors.as_f64_buffer() {
            Some(shared) => shared,
            None => read_rows(&vectors).into(),
        };
        let unfit = |piece: &[f64]| {
            simd::dispatch(
                #[inline(always)]
                || !all_finite_f64(piece),
            )
        };
        if let Some(k) = first(&flat, unfit, bad) {
            return Err(refuse(k / d, k % d, flat[k]));
        }
        Ok(Features::F64(Matrix::new(n, d, flat)?))
    }
}

/// The first value that is `bad`. Only pieces in which some value is not finite are looked at value by value.
fn first<T: Copy>(
    values: &[T],
    unfit: impl Fn(&[T]) -> bool,
    bad: impl Fn(T) -> bool,
) -> Option<usize> {
    const PIECE: usize = 4_096;
    let mut pieces = values.chunks(PIECE).enumerate();
    pieces.find_map(|(i, piece)| {
        let k = unfit(piece).then(|| piece.iter().position(|v| bad(*v)))??;
        Some(i * PIECE + k)
    })
}

// A largest bit pattern is found in vectors, where a search that may end early goes value by value.

#[inline(always)]
fn all_finite_f32(values: &[f32]) -> bool {
    let sizes = values.iter().map(|v| v.to_bits() & (u32::MAX >> 1));
    sizes.fold(0, |most, v| if v > most { v } else { most }) < f32::INFINITY.to_bits()
}

#[inline(always)]
fn all_finite_f64(values: &[f64]) -> bool {
    let sizes = values.iter().map(|v| v.to_bits() & (u64::MAX >> 1));
    sizes.fold(0, |most, v| if v > most { v } else { most }) < f64::INFINITY.to_bits()
}

fn read_rows(vectors: &crate::batch::VectorColumn<'_>) -> Vec<f64> {
    let mut flat = vec![0.0; vectors.rows() * vectors.width()];
    for (i, row) in flat.chunks_exact_mut(vectors.width().max(1)).enumerate() {
        vectors.read(i, row);
    }
    flat
}

fn check_number(schema: &Schema, name: &str, errors: &mut Vec<SchemaError>) {
    match schema.get(name) {
        Ok(column) if !column.ty.is_numeric() => errors.push(SchemaError::Type {
            column: name.to_owned(),
            found: column.ty.to_string(),
            expected: "a number".to_owned(),
        }),
        Ok(_) => {}
        Err(e) => errors.push(e),
    }
}

fn finite(batch: &Batch, column: &str) -> Result<Vec<f64>> {
    let numbers = batch.numbers(column)?;
    if numbers.null_count() == 0
        && simd::dispatch(
            #[inline(always)]
            || all_finite_f64(numbers.values()),
        )
    {
        return Ok(numbers.values().to_vec());
    }
    let mut out = Vec::with_capacity(numbers.len());
    for (i, v) in numbers.iter().enumerate() {
        let row = batch.row_ids()[i];
        let v = v.ok_or_else(|| DataError::Missing {
            column: column.to_owned(),
            row,
        })?;
        if !v.is_finite() {
            return Err(DataError::NotFinite {
                column: column.to_owned(),
                row,
                value: v,
            });
        }
        out.push(v);
    }
    Ok(out)
}

fn weights(batch: &Batch, column: &str) -> Result<Vec<f64>> {
    let out = finite(batch, column)?;
    match out.iter().position(|w| *w < 0.0) {
        None => Ok(out),
        Some(i) => Err(DataError::Value {
            column: column.to_owned(),
            row: batch.row_ids()[i],
            message: format!("the weight {} is negative; weights are 0 or more", out[i]),
        }),
    }
}

fn class_indices(batch: &Batch, column: &str, classes: &Classes) -> Result<Vec<f64>> {
    let encoded = classes.encode(batch, column)?;
    let mut out = Vec::with_capacity(encoded.len());
    for (i, index) in encoded.into_iter().enumerate() {
        let index = index.ok_or_else(|| DataError::Value {
            column: column.to_owned(),
            row: batch.row_ids()[i],
            message: "the label is missing or was not there when the classes were listed"
                .to_owned(),
        })?;
        out.push(index as f64);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_that_is_refused_is_found_in_any_piece() {
        for n in [1, 4_095, 4_096, 10_000] {
            let mut values = vec![f32::MAX; n];
            let find = |values: &[f32]| first(values, |p| !all_finite_f32(p), |v| !v.is_finite());
            assert_eq!(find(&values), None);
            for bad in [f32::NAN, f32::NEG_INFINITY] {
                values[n - 1] = bad;
                assert_eq!(find(&values), Some(n - 1));
            }
        }
        // A missing value that is allowed does not hide an infinite one behind it.
        let values = [1.0, f64::NAN, f64::INFINITY];
        let found = first(&values, |p| !all_finite_f64(p), f64::is_infinite);
        assert_eq!(found, Some(2));
        assert!(all_finite_f64(&[-f64::MAX, -0.0]));
    }
}

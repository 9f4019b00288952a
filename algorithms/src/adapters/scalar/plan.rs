//! How the columns of a batch, and the cells of a record, go through a kernel under one schema.

use std::borrow::Cow;
use std::sync::Arc;

use emberline_pipeline::datasets::arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray,
};
use emberline_pipeline::datasets::arrow::buffer::NullBuffer;
use emberline_pipeline::datasets::batch::dense_vectors;
use emberline_pipeline::datasets::{Batch, CodedText, Column, ColumnType, DataError, Element};
use emberline_pipeline::invalid::Reason;
use emberline_pipeline::row::Cell;

use super::super::{Refusal, is_narrow, value_name, width, wrong_width};
use super::{At, Datum, ScalarMap};
use crate::columns::Pair;

/// What one pass over the columns of a schema needs.
pub(super) struct Plan<'a, M: ScalarMap> {
    pub(super) map: Cow<'a, M>,
    pub(super) pairs: Vec<Pair>,
    pub(super) inputs: Vec<Column>,
    pub(super) outputs: Vec<Column>,
    pub(super) starts: Vec<usize>,
}

impl<M: ScalarMap> Plan<'_, M> {
    pub(super) fn one<'a>(
        &'a self,
        k: usize,
        j: usize,
        value: Datum<'a>,
        row: u64,
    ) -> Result<Option<Datum<'a>>, DataError> {
        match self.map.map(
            At {
                column: k,
                slot: self.starts[k] + j,
            },
            value,
        ) {
            Ok(out) => Ok(Some(out)),
            Err(refusal) => self.refused(k, j, refusal, row),
        }
    }

    /// The error a refusal becomes; `None` drops the row.
    #[cold]
    pub(super) fn refused<'a>(
        &self,
        k: usize,
        j: usize,
        refusal: Refusal,
        row: u64,
    ) -> Result<Option<Datum<'a>>, DataError> {
        refusal
            .error(|| value_name(&self.inputs[k], j), row)
            .map_or(Ok(None), Err)
    }

    pub(super) fn scalars(
        &self,
        batch: &Batch,
        k: usize,
        keep: &mut [bool],
    ) -> Result<ArrayRef, DataError> {
        let name = &self.inputs[k].name;
        if self.inputs[k].ty == ColumnType::Text {
            let text = batch.text(name)?;
            if let Some(coded) = text.coded() {
                return self.codes(batch, k, coded, keep);
            }
            let read = |i: usize| text.get(i).map_or(Datum::Missing, Datum::Text);
            return self.rows(batch, k, keep, |i, row| self.one(k, 0, read(i), row));
        }
        let numbers = batch.numbers(name)?;
        let at = At {
            column: k,
            slot: self.starts[k],
        };
        if self.outputs[k].ty == ColumnType::Float {
            let mut out = numbers.values().to_vec();
            if let Some(nulls) = numbers.nulls().filter(|n| n.null_count() > 0) {
                for (v, present) in out.iter_mut().zip(nulls) {
                    *v = if present { *v } else { f64::NAN };
                }
            }
            if self.map.map_numbers(at, &mut out) {
                return Ok(floats(out));
            }
        }
        let values = numbers.values();
        match numbers.nulls().filter(|n| n.null_count() > 0) {
            None => self.rows(batch, k, keep, |i, row| {
                self.one(k, 0, Datum::of(values[i]), row)
            }),
            Some(nulls) => self.rows(batch, k, keep, |i, row| {
                let x = if nulls.is_valid(i) {
                    values[i]
                } else {
                    f64::NAN
                };
                self.one(k, 0, Datum::of(x), row)
            }),
        }
    }

    /// Text that comes as codes: each text is mapped once.
    pub(super) fn codes(
        &self,
        batch: &Batch,
        k: usize,
        coded: CodedText<'_>,
        keep: &mut [bool],
    ) -> Result<ArrayRef, DataError> {
        let at = At {
            column: k,
            slot: self.starts[k],
        };
        let missing = self.map.map(at, Datum::Missing);
        let of: Vec<_> = (0..coded.texts.len())
            .map(|c| self.map.map(at, Datum::Text(coded.texts.value(c))))
            .collect();
        self.rows(batch, k, keep, |i, row| {
            let outcome = coded.code(i).map_or(&missing, |c| &of[c]);
            match outcome {
                Ok(out) => Ok(Some(*out)),
                Err(refusal) => self.refused(k, 0, refusal.clone(), row),
            }
        })
    }

    /// The output column of what `map` says for each row and its id.
    pub(super) fn rows<'a>(
        &self,
        batch: &Batch,
        k: usize,
        keep: &mut [bool],
        map: impl Fn(usize, u64) -> Result<Option<Datum<'a>>, DataError>,
    ) -> Result<ArrayRef, DataError> {
        let ids = batch.row_ids();
        if self.outputs[k].ty == ColumnType::Text {
            let mut texts = Vec::with_capacity(ids.len());
            for (i, keep) in keep.iter_mut().enumerate() {
                let out = map(i, ids[i])?;
                *keep &= out.is_some();
                texts.push(out.and_then(Datum::text));
            }
            return Ok(Arc::new(StringArray::from(texts)));
        }
        let (mut numbers, mut complete) = (Vec::with_capacity(ids.len()), true);
        for (i, keep) in keep.iter_mut().enumerate() {
            let out = map(i, ids[i])?;
            *keep &= out.is_some();
            let number = out.and_then(Datum::number).unwrap_or(f64::NAN);
            complete &= !number.is_nan();
            numbers.push(number);
        }
        let nulls = (!complete).then(|| present(&numbers));
        Ok(match &self.outputs[k].ty {
            ColumnType::Integer => {
                let whole: Vec<i64> = numbers.iter().map(|v| *v as i64).collect();
                Arc::new(Int64Array::new(whole.into(), nulls))
            }
            ColumnType::Boolean => {
                let truth = numbers.iter().map(|v| *v != 0.0).collect();
                Arc::new(BooleanArray::new(truth, nulls))
            }
            _ => Arc::new(Float64Array::new(numbers.into(), nulls)),
        })
    }

    /// Calls `note(reason, row)` for the values of input column `k` that fall under the policy.
    pub(super) fn find_invalid(
        &self,
        batch: &Batch,
        k: usize,
        note: &mut dyn FnMut(Reason, usize),
    ) -> Result<(), DataError> {
        let input = &self.inputs[k];
        let at = |j: usize| At {
            column: k,
            slot: self.starts[k] + j,
        };
        let mut see = |reason: Option<Reason>, row: usize| {
            if let Some(reason) = reason {
                note(reason, row);
            }
        };
        let n = batch.num_rows();
        if input.ty.is_vector() {
            let x = batch.vector(&input.name)?;
            let mut row = vec![0.0; x.width()];
            for i in 0..n {
                x.read(i, &mut row);
                for (j, v) in row.iter().enumerate() {
                    see(self.map.invalid(at(j), Datum::of(*v)), i);
                }
            }
        } else if input.ty == ColumnType::Text {
            let text = batch.text(&input.name)?;
            let of = |t: Option<&str>| {
                self.map
                    .invalid(at(0), t.map_or(Datum::Missing, Datum::Text))
            };
            if let Some(coded) = text.coded() {
                let missing = of(None);
                let texts = (0..coded.texts.len()).map(|c| of(Some(coded.texts.value(c))));
                let texts: Vec<Option<Reason>> = texts.collect();
                (0..n).for_each(|i| see(coded.code(i).map_or(missing, |c| texts[c]), i));
            } else {
                (0..n).for_each(|i| see(of(text.get(i)), i));
            }
        } else {
            let numbers = batch.numbers(&input.name)?;
            for i in 0..n {
                let value = if numbers.is_valid(i) {
                    Datum::of(numbers.value(i))
                } else {
                    Datum::Missing
                };
                see(self.map.invalid(at(0), value), i);
            }
        }
        Ok(())
    }

    pub(super) fn vectors(
        &self,
        batch: &Batch,
        k: usize,
        keep: &mut [bool],
    ) -> Result<ArrayRef, DataError> {
        let x = batch.vector(&self.inputs[k].name)?;
        let (n, w) = (x.rows(), x.width());
        let mut values = vec![0.0; n * w];
        for i in 0..n {
            let row = &mut values[i * w..(i + 1) * w];
            x.read(i, row);
            for (j, v) in row.iter_mut().enumerate() {
                let out = self.one(k, j, Datum::of(*v), batch.row_ids()[i])?;
                keep[i] &= out.is_some();
                *v = out.and_then(Datum::number).unwrap_or(f64::NAN);
            }
        }
        let element = if is_narrow(&self.outputs[k]) {
            Element::F32
        } else {
            Element::F64
        };
        dense_vectors(values, w, element, true, n)
    }
}

/// Which numbers are not NaN.
fn present(numbers: &[f64]) -> NullBuffer {
    numbers.iter().map(|v| !v.is_nan()).collect()
}

/// A column of numbers, NaN standing for missing.
fn floats(numbers: Vec<f64>) -> ArrayRef {
    let complete = !numbers.iter().fold(false, |any, v| any | v.is_nan());
    let nulls = (!complete).then(|| present(&numbers));
    Arc::new(Float64Array::new(numbers.into(), nulls))
}

impl<M: ScalarMap> Plan<'_, M> {
    /// One record's cell; false drops the record.
    pub(super) fn cell(&self, k: usize, from: &Cell, to: &mut Cell) -> Result<bool, DataError> {
        let input = &self.inputs[k];
        if input.ty.is_vector() {
            let (x, w) = (from.vector(), width(input).unwrap_or(0));
            if x.len() != w {
                return Err(wrong_width(&input.name, x.len(), w));
            }
            let narrow = is_narrow(&self.outputs[k]);
            for (j, (v, o)) in x.iter().zip(to.vector_mut(w)).enumerate() {
                let Some(out) = self.one(k, j, Datum::of(*v), 0)? else {
                    return Ok(false);
                };
                let out = out.number().unwrap_or(f64::NAN);
                *o = if narrow { f64::from(out as f32) } else { out };
            }
            return Ok(true);
        }
        let value = match from {
            Cell::Number(v) => Datum::of(*v),
            Cell::Text(t) => Datum::Text(t),
            _ => Datum::Missing,
        };
        let Some(out) = self.one(k, 0, value, 0)? else {
            return Ok(false);
        };
        match out {
            Datum::Text(t) => to.set_text(t),
            other => *to = other.number().map_or(Cell::Null, Cell::Number),
        }
        Ok(true)
    }
}

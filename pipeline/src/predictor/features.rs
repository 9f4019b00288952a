//! The features of a predictor: checked against those of training, read a run of rows at a time.

use std::sync::Arc;

use emberline_datasets::{
    Batch, Column, ColumnType, DataError, MissingRule, Schema, SchemaError, SchemaErrors, Slot,
};
use serde::{Deserialize, Serialize};

use crate::row::Cell;

/// The vector column a predictor reads, as it was in training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureInput {
    /// Column name.
    pub column: String,
    /// The slots of training; prediction needs the same, in the same order.
    pub slots: Arc<[Slot]>,
    /// What a missing feature means.
    pub missing: MissingRule,
}

impl FeatureInput {
    /// Whether `schema` has the features of training.
    ///
    /// # Errors
    /// The column is absent, no vector, or has other slots; the first ten differences are listed.
    pub fn check(&self, schema: &Schema) -> Result<(), SchemaErrors> {
        let column = schema.get(&self.column)?;
        if !column.ty.is_vector() {
            let (found, expected) = (
                column.ty.to_string(),
                format!("a vector of {} slots", self.slots.len()),
            );
            return Err(SchemaError::Type {
                column: self.column.clone(),
                found,
                expected,
            }
            .into());
        }
        other_slots(column, &slot_names(&self.slots)).map_or(Ok(()), |error| Err(error.into()))
    }

    /// The features of one record.
    ///
    /// # Errors
    /// The cell holds no vector of the right width, or a feature that the rule for missing values refuses.
    pub fn record<'a>(&self, cell: &'a Cell) -> Result<&'a [f64], DataError> {
        let x = cell.vector();
        if x.len() != self.slots.len() {
            return Err(DataError::Value {
                column: self.column.clone(),
                row: 0,
                message: format!(
                    "{} slots, the model was trained on {}",
                    x.len(),
                    self.slots.len()
                ),
            });
        }
        self.refuse(x, 0).map_or(Ok(x), Err)
    }

    fn is_bad(&self, v: f64) -> bool {
        v.is_infinite() || (v.is_nan() && self.missing == MissingRule::Error)
    }

    fn refuse(&self, x: &[f64], row: u64) -> Option<DataError> {
        let j = x.iter().position(|v| self.is_bad(*v))?;
        let column = format!(
            "{}[{}]",
            self.column,
            self.slots.get(j).map_or("", |s| s.name.as_str())
        );
        Some(if x[j].is_nan() {
            DataError::Missing { column, row }
        } else {
            DataError::NotFinite {
                column,
                row,
                value: x[j],
            }
        })
    }

    /// Calls `f(row, features)` for each row of a batch.
    ///
    /// # Errors
    /// A feature that the rule for missing values refuses.
    pub fn for_each_row(
        &self,
        batch: &Batch,
        mut f: impl FnMut(usize, &[f64]),
    ) -> Result<(), DataError> {
        let width = self.slots.len();
        self.for_each_run(batch, |start, n, x| {
            (0..n).for_each(|i| f(start + i, &x[i * width..(i + 1) * width]));
        })
    }

    /// Calls `f(first row, rows, features)` for each run of at most [`RUN_ROWS`] rows of a batch, features `(rows, d)` row by
    /// row: a kernel that gains from several rows at once gets them.
    ///
    /// # Errors
    /// A feature that the rule for missing values refuses.
    pub fn for_each_run(
        &self,
        batch: &Batch,
        mut f: impl FnMut(usize, usize, &[f64]),
    ) -> Result<(), DataError> {
        let vectors = batch.vector(&self.column)?;
        let width = vectors.width();
        if width != self.slots.len() {
            return Err(SchemaErrors::from(SchemaError::Rule(format!(
                "column `{}` has {width} slots, the model was trained on {}",
                self.column,
                self.slots.len()
            )))
            .into());
        }
        if !vectors.is_dense() {
            // Of a row only what is stored is written, checked and taken back again.
            let at_once = (SPARSE_RUN / width.max(1)).clamp(1, RUN_ROWS);
            let mut x = vec![0.0; width * at_once.min(vectors.rows())];
            for start in (0..vectors.rows()).step_by(at_once) {
                let n = at_once.min(vectors.rows() - start);
                for i in 0..n {
                    let row = &mut x[i * width..(i + 1) * width];
                    let mut fine = true;
                    vectors.for_each_stored(start + i, |j, v| {
                        row[j] = v;
                        fine &= !self.is_bad(v);
                    });
                    if !fine && let Some(error) = self.refuse(row, batch.row_ids()[start + i]) {
                        return Err(error);
                    }
                }
                f(start, n, &x[..n * width]);
                for i in 0..n {
                    vectors.for_each_stored(start + i, |j, _| x[i * width + j] = 0.0);
                }
            }
            return Ok(());
        }
        let flat = vectors.as_f64_slice();
        let mut buffer = vec![0.0; width * RUN_ROWS.min(vectors.rows())];
        for start in (0..vectors.rows()).step_by(RUN_ROWS) {
            let n = RUN_ROWS.min(vectors.rows() - start);
            let x = match flat {
                Some(flat) => &flat[start * width..(start + n) * width],
                None => {
                    let rows = buffer.chunks_exact_mut(width.max(1)).take(n);
                    rows.enumerate()
                        .for_each(|(i, row)| vectors.read(start + i, row));
                    &buffer[..n * width]
                }
            };
            for (i, row) in x.chunks_exact(width.max(1)).enumerate() {
                if let Some(error) = self.refuse(row, batch.row_ids()[start + i]) {
                    return Err(error);
                }
            }
            f(start, n, x);
        }
        Ok(())
    }
}

/// Rows that a kernel is given at once: a whole chunk, so that a tree which is fetched into the cache serves many rows.
pub const RUN_ROWS: usize = 8192;
/// Numbers that rows of a sparse column are written out to at once.
const SPARSE_RUN: usize = 1 << 18;

/// How the slots of a vector column differ from those of training: in number, in names (the first ten of either side), or in order. `None`
/// where they are the same; slots without names are counted only, and a column of unknown width is left to its rows.
#[must_use]
pub fn other_slots(column: &Column, trained: &[&str]) -> Option<SchemaError> {
    let ColumnType::Vector { width, .. } = column.ty else {
        return None;
    };
    let names = slot_names(&column.slots);
    let other_width = width.is_some_and(|w| w != trained.len());
    if !other_width && (names.is_empty() || names == trained) {
        return None;
    }
    let beyond = |some: &[&str], others: &[&str]| {
        let own = some.iter().filter(|n| !others.contains(n)).copied();
        own.take(10).collect::<Vec<_>>().join(", ")
    };
    let (absent, unknown) = (beyond(trained, &names), beyond(&names, trained));
    let how = match names.iter().zip(trained).position(|(n, t)| n != t) {
        Some(j) if absent.is_empty() && unknown.is_empty() => {
            format!(
                "their order differs: slot {j} is `{}`, it was `{}`",
                names[j], trained[j]
            )
        }
        _ => format!("missing: [{absent}], unknown: [{unknown}]"),
    };
    Some(SchemaError::Rule(format!(
        "column `{}` has {} slots, the model was trained on {}; {how}",
        column.name,
        width.unwrap_or(names.len()),
        trained.len()
    )))
}

fn slot_names(slots: &[Slot]) -> Vec<&str> {
    slots.iter().map(|s| s.name.as_str()).collect()
}

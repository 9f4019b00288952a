//! What column-wise stages share, so that each of them is its parameters and a small kernel.
//!
//! - [`ColumnMapper`] maps values one by one: a column becomes a column, a vector a vector of the same slots.
//! - [`VectorMapper`] maps the slots of a row together: a column becomes a vector column.
//! - [`Learner`] is the estimator whose model is one of the two.
//!
//! Each gives batch and record path (equal to the bit, as both call the same kernel), schema, saving and loading.

mod learner;
mod number;
mod scalar;
mod scaling;
#[cfg(test)]
mod tests;
mod vector;

use emberline_pipeline::datasets::{
    Attribute, Column, ColumnType, DataError, Element, Layout, Schema, SchemaErrors,
};
use emberline_pipeline::invalid::Fate;
use emberline_pipeline::{ParamCheck, ParamSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use learner::{Learn, Learner};
pub use number::{Extended, extended, extended_list, extended_lists};
pub use scalar::{At, ColumnMapper, Datum, ScalarMap, ScalarRule};
pub(crate) use scaling::slot_names;
pub use scaling::{ScalerParams, Scaling, SlotScale, scaled_columns};
pub use vector::{VectorMap, VectorMapper, VectorRule};

use crate::columns::{InOut, Pair};

/// What to do with a row that holds a value the stage cannot take: a missing one, a category not seen in training. Rows that are
/// skipped or kept are counted by column and reason in the report of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HandleInvalid {
    /// Refuse it, naming column, row and value.
    #[default]
    Error,
    /// Drop the row.
    Skip,
    /// Keep the row; the stage says what becomes of the value.
    Keep,
}

impl HandleInvalid {
    /// What becomes of such a row, where it is not refused.
    #[must_use]
    pub fn fate(self) -> Option<Fate> {
        match self {
            Self::Error => None,
            Self::Skip => Some(Fate::Skipped),
            Self::Keep => Some(Fate::Kept),
        }
    }
}

/// Parameters of a column-wise stage.
pub trait ColumnParams: ParamSet {
    /// Name in configs.
    const NAME: &'static str;
    /// What the stage does, in one line.
    const SUMMARY: &'static str;

    /// Notes every parameter out of its range; gives the columns as they were named.
    fn check(&self, check: &mut ParamCheck) -> InOut;
}

/// Why a kernel gives no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Drop the row.
    Skip,
    /// A value that must be present is missing.
    Missing,
    /// A value that the stage cannot take: the value, what was expected, the remedy.
    Value(String),
}

impl Refusal {
    /// The error it becomes; `None` where the row is dropped.
    fn error(self, column: impl FnOnce() -> String, row: u64) -> Option<DataError> {
        match self {
            Self::Skip => None,
            Self::Missing => Some(DataError::Missing {
                column: column(),
                row,
            }),
            Self::Value(message) => Some(DataError::Value {
                column: column(),
                row,
                message,
            }),
        }
    }
}

/// Names of the inputs or outputs of these pairs; none where the columns do not fit.
fn names(pairs: Result<Vec<Pair>, SchemaErrors>, of: fn(Pair) -> String) -> Vec<String> {
    pairs
        .map(|p| p.into_iter().map(of).collect())
        .unwrap_or_default()
}

/// The schema after `pairs` were written as `columns`; only a column written in place is replaced.
fn with_outputs(
    schema: &Schema,
    pairs: &[Pair],
    columns: Vec<Column>,
) -> Result<Schema, SchemaErrors> {
    let mut out = schema.clone();
    let pushed = pairs
        .iter()
        .zip(columns)
        .map(|(pair, column)| out.push(column, pair.input == pair.output));
    SchemaErrors::check(pushed.filter_map(Result::err).collect())?;
    Ok(out)
}

/// Gives a made column its name and the source column it stems from.
fn christen(mut column: Column, input: &Column, output: &str) -> Column {
    output.clone_into(&mut column.name);
    column.origin =
        (!column.ty.is_vector() && input.origin() != output).then(|| input.origin().to_owned());
    column
}

/// The column that holds a changed number for each number of `input`: a float, or a dense vector with the same slots.
#[must_use]
pub fn elementwise(input: &Column, attribute: &Attribute) -> Column {
    let mut column = input.clone();
    match &mut column.ty {
        ColumnType::Vector { layout, .. } => {
            *layout = Layout::Dense;
            let changed = input.slots.iter().cloned().map(|mut slot| {
                slot.attribute = attribute.clone();
                slot
            });
            column.slots = changed.collect();
        }
        ty => {
            *ty = ColumnType::Float;
            column.attribute = attribute.clone();
        }
    }
    column
}

/// Slots of a vector column, 1 for others; `None` while the width is unknown.
#[must_use]
pub fn width(column: &Column) -> Option<usize> {
    if let ColumnType::Vector { width, .. } = &column.ty {
        *width
    } else {
        Some(1)
    }
}

/// Name of a value for messages: the column, or `column[slot]` inside a vector.
#[must_use]
pub fn value_name(column: &Column, slot: usize) -> String {
    if !column.ty.is_vector() {
        return column.name.clone();
    }
    match column.slots.get(slot) {
        Some(s) => format!("{}[{}]", column.name, s.name),
        None => format!("{}[{slot}]", column.name),
    }
}

/// Whether a column's numbers are stored as `f32`.
fn is_narrow(column: &Column) -> bool {
    matches!(
        column.ty,
        ColumnType::Vector {
            element: Element::F32,
            ..
        }
    )
}

/// A record's vector of another width than the stage was compiled for.
fn wrong_width(column: &str, found: usize, needed: usize) -> DataError {
    DataError::Value {
        column: column.to_owned(),
        row: 0,
        message: format!("the vector has {found} slots, {needed} are needed"),
    }
}

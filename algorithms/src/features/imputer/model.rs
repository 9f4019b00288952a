//! From a missing value to the one filled in.

use emberline_pipeline::datasets::{Attribute, Column, ColumnType, SchemaError};
use emberline_pipeline::persist::{state, to_state};
use emberline_pipeline::{Arrays, ModelError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::adapters::{At, Datum, Refusal, ScalarMap};
use crate::columns::Choice;

/// What is filled into a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// Nothing: the column had no value in training and was to be kept.
    Nothing,
}

/// What is filled into each column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filling {
    pub(super) missing: Option<f64>,
    pub(super) columns: Vec<Filled>,
}

/// One column: its type in training, its type after, and what is filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filled {
    pub(super) from: ColumnType,
    pub(super) to: ColumnType,
    pub(super) fill: Fill,
}

impl Filling {
    /// What is filled into input column `k`.
    #[must_use]
    pub fn fill(&self, k: usize) -> &Fill {
        &self.columns[k].fill
    }
}

/// The column after filling. It keeps its meaning where it keeps its type.
pub(super) fn filled(input: &Column, ty: &ColumnType, nullable: bool) -> Column {
    let mut column = input.clone();
    if column.ty != *ty {
        column.attribute = Attribute::Numeric;
    }
    column.ty = ty.clone();
    column.nullable = nullable;
    column
}

impl ScalarMap for Filling {
    const STAGE: &'static str = "imputer";

    fn choice(&self) -> Choice {
        Choice {
            expected: "a number or text",
            by_name: |c| c.ty.is_numeric() || c.ty == ColumnType::Text,
            by_glob: |_| false,
            output: ToOwned::to_owned,
        }
    }

    fn column(&self, at: At, input: &Column) -> Result<Column, SchemaError> {
        match self.columns.get(at.column) {
            Some(c) if c.from == input.ty => Ok(filled(input, &c.to, c.fill == Fill::Nothing)),
            other => Err(SchemaError::Type {
                column: input.name.clone(),
                found: input.ty.to_string(),
                expected: format!(
                    "{}, as in training,",
                    other.map_or(&ColumnType::Float, |c| &c.from)
                ),
            }),
        }
    }

    fn map<'a>(&'a self, at: At, value: Datum<'a>) -> Result<Datum<'a>, Refusal> {
        match value {
            Datum::Missing => {}
            Datum::Number(v) if Some(v) == self.missing => {}
            present => return Ok(present),
        }
        Ok(match &self.columns[at.column].fill {
            Fill::Number(v) => Datum::Number(*v),
            Fill::Text(t) => Datum::Text(t),
            Fill::Nothing => Datum::Missing,
        })
    }

    fn map_numbers(&self, at: At, values: &mut [f64]) -> bool {
        let fill = match &self.columns[at.column].fill {
            Fill::Number(v) => *v,
            Fill::Nothing => f64::NAN,
            Fill::Text(_) => return false,
        };
        // NaN equals nothing, so it can stand for "no such value".
        let missing = self.missing.unwrap_or(f64::NAN);
        for v in values {
            *v = if v.is_nan() || *v == missing {
                fill
            } else {
                *v
            };
        }
        true
    }

    fn save(&self, _: &mut Arrays) -> Value {
        to_state(self)
    }

    fn load(value: &Value, _: &Arrays, columns: usize) -> Result<Self, ModelError> {
        let map: Self = state(Self::STAGE, value)?;
        let invalid = |message: String| Err(ModelError::stage(Self::STAGE, message));
        if map.columns.len() != columns {
            return invalid(format!(
                "{} values for {columns} columns",
                map.columns.len()
            ));
        }
        for (k, c) in map.columns.iter().enumerate() {
            let fits = match &c.fill {
                Fill::Number(v) => v.is_finite() && c.to.is_numeric() && c.from.is_numeric(),
                Fill::Text(_) => c.to == ColumnType::Text && c.from == ColumnType::Text,
                Fill::Nothing => c.from.is_numeric() == c.to.is_numeric(),
            };
            if !fits {
                return invalid(format!("column {k} is filled with a value of another type"));
            }
        }
        Ok(map)
    }
}

//! From a number to 0 or 1.

use std::borrow::Cow;

use emberline_pipeline::datasets::{Attribute, Column, ColumnType, SchemaError, SchemaErrors};
use emberline_pipeline::persist::{state, to_state};
use emberline_pipeline::{Arrays, ModelError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::params::BinarizerParams;
use crate::adapters::{At, Datum, Refusal, ScalarMap, ScalarRule, elementwise, scaled_columns};
use crate::columns::Choice;

/// One threshold for all columns, or one each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    thresholds: Vec<f64>,
}

impl ScalarRule for Thresholds {
    type Params = BinarizerParams;

    fn from_params(params: &BinarizerParams) -> Self {
        let one = params.threshold.unwrap_or(0.0);
        let thresholds = if params.thresholds.is_empty() {
            vec![one]
        } else {
            params.thresholds.clone()
        };
        Self { thresholds }
    }
}

impl ScalarMap for Thresholds {
    const STAGE: &'static str = "binarizer";

    fn choice(&self) -> Choice {
        Choice {
            output: |name| format!("{name}_binary"),
            ..scaled_columns()
        }
    }

    fn bound(&self, inputs: &[&Column]) -> Result<Cow<'_, Self>, SchemaErrors> {
        match self.thresholds.len() {
            n if n == inputs.len() => Ok(Cow::Borrowed(self)),
            1 => Ok(Cow::Owned(Self {
                thresholds: vec![self.thresholds[0]; inputs.len()],
            })),
            n => Err(SchemaError::Rule(format!(
                "`thresholds` has {n} numbers for {} columns",
                inputs.len()
            ))
            .into()),
        }
    }

    fn column(&self, _: At, input: &Column) -> Result<Column, SchemaError> {
        if input.ty.is_vector() {
            return Ok(elementwise(input, &Attribute::Binary));
        }
        Ok(Column::new("", ColumnType::Integer, input.nullable).with_attribute(Attribute::Binary))
    }

    fn map<'a>(&'a self, at: At, value: Datum<'a>) -> Result<Datum<'a>, Refusal> {
        let Datum::Number(v) = value else {
            return Ok(Datum::Missing);
        };
        Ok(Datum::Number(if v > self.thresholds[at.column] {
            1.0
        } else {
            0.0
        }))
    }

    fn save(&self, _: &mut Arrays) -> Value {
        to_state(self)
    }

    fn load(value: &Value, _: &Arrays, columns: usize) -> Result<Self, ModelError> {
        let map: Self = state(Self::STAGE, value)?;
        if map.thresholds.len() == 1 || map.thresholds.len() == columns {
            return Ok(map);
        }
        let message = format!("{} thresholds for {columns} columns", map.thresholds.len());
        Err(ModelError::stage(Self::STAGE, message))
    }
}

//! From an index to its category.

use std::borrow::Cow;

use emberline_pipeline::datasets::{Attribute, Column, ColumnType, SchemaError, SchemaErrors};
use emberline_pipeline::persist::{state, to_state};
use emberline_pipeline::{Arrays, ModelError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::params::IndexToStringParams;
use crate::adapters::{At, Datum, Refusal, ScalarMap, ScalarRule};
use crate::columns::Choice;

/// The categories behind the indices of each column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labels {
    /// Those of all columns; empty where each brings its own.
    given: Vec<String>,
    /// Those of each column; empty until the columns are known.
    columns: Vec<Vec<String>>,
}

impl ScalarRule for Labels {
    type Params = IndexToStringParams;

    fn from_params(params: &IndexToStringParams) -> Self {
        Self {
            given: params.labels.clone(),
            columns: Vec::new(),
        }
    }
}

impl ScalarMap for Labels {
    const STAGE: &'static str = "index_to_string";

    fn choice(&self) -> Choice {
        Choice {
            expected: "an index of categories",
            by_name: |c| c.ty.is_numeric(),
            by_glob: |c| c.ty.is_numeric() && matches!(c.attribute, Attribute::Nominal { .. }),
            output: |name| format!("{name}_string"),
        }
    }

    fn bound(&self, inputs: &[&Column]) -> Result<Cow<'_, Self>, SchemaErrors> {
        if self.columns.len() == inputs.len() {
            return Ok(Cow::Borrowed(self));
        }
        let (mut columns, mut errors) = (Vec::new(), Vec::new());
        for input in inputs {
            match &input.attribute {
                _ if !self.given.is_empty() => columns.push(self.given.clone()),
                // Empty before the indexer is fitted.
                Attribute::Nominal { categories } => columns.push(categories.to_vec()),
                _ => errors.push(SchemaError::Rule(format!(
                    "column `{}` carries no categories; give them in `labels`, or name a column that a `string_indexer` made",
                    input.name
                ))),
            }
        }
        SchemaErrors::check(errors)?;
        Ok(Cow::Owned(Self {
            given: self.given.clone(),
            columns,
        }))
    }

    fn column(&self, _: At, input: &Column) -> Result<Column, SchemaError> {
        Ok(Column::new("", ColumnType::Text, input.nullable))
    }

    fn map<'a>(&'a self, at: At, value: Datum<'a>) -> Result<Datum<'a>, Refusal> {
        let Datum::Number(v) = value else {
            return Ok(Datum::Missing);
        };
        let labels = &self.columns[at.column];
        if v >= 0.0 && v < labels.len() as f64 && v.fract() == 0.0 {
            return Ok(Datum::Text(&labels[v as usize]));
        }
        let last = labels.len().saturating_sub(1);
        Err(Refusal::Value(format!(
            "{v} is no index: there are labels for 0 to {last}"
        )))
    }

    fn save(&self, _: &mut Arrays) -> Value {
        to_state(self)
    }

    fn load(value: &Value, _: &Arrays, columns: usize) -> Result<Self, ModelError> {
        let map: Self = state(Self::STAGE, value)?;
        if map.columns.is_empty() || map.columns.len() == columns {
            return Ok(map);
        }
        let message = format!(
            "{} lists of labels for {columns} columns",
            map.columns.len()
        );
        Err(ModelError::stage(Self::STAGE, message))
    }
}

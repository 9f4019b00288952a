//! From a vector to some of its slots.

use std::borrow::Cow;

use emberline_pipeline::datasets::schema::nearest;
use emberline_pipeline::datasets::{Column, ColumnType, SchemaError, SchemaErrors, Slot};
use emberline_pipeline::persist::{state, to_state};
use emberline_pipeline::{Arrays, ModelError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::params::VectorSlicerParams;
use crate::adapters::{Refusal, VectorMap, VectorRule, width};
use crate::columns::Choice;

/// The slots taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slices {
    indices: Vec<usize>,
    names: Vec<String>,
    /// Positions in each column; empty until the columns are known.
    columns: Vec<Vec<usize>>,
}

impl VectorRule for Slices {
    type Params = VectorSlicerParams;

    fn from_params(params: &VectorSlicerParams) -> Self {
        Self {
            indices: params.indices.clone(),
            names: params.names.clone(),
            columns: Vec::new(),
        }
    }
}

impl Slices {
    fn positions(&self, input: &Column) -> Result<Vec<usize>, SchemaError> {
        let mut found = self.indices.clone();
        for name in &self.names {
            let position = input.slots.iter().position(|s| s.name == *name);
            found.push(position.ok_or_else(|| {
                let near = nearest(name, input.slots.iter().map(|s| s.name.as_str()));
                let hint = near
                    .map(|n| format!("; did you mean `{n}`?"))
                    .unwrap_or_default();
                SchemaError::Rule(format!(
                    "`names`: column `{}` has no slot `{name}`{hint}",
                    input.name
                ))
            })?);
        }
        let wide = width(input).unwrap_or(0);
        if let Some(j) = found.iter().find(|j| **j >= wide) {
            return Err(SchemaError::Rule(format!(
                "`indices`: column `{}` has {wide} slots, there is no slot {j}",
                input.name
            )));
        }
        if let Some(j) = (0..found.len()).find(|i| found[..*i].contains(&found[*i])) {
            return Err(SchemaError::Rule(format!(
                "slot {} of column `{}` is chosen twice",
                found[j], input.name
            )));
        }
        Ok(found)
    }
}

impl VectorMap for Slices {
    const STAGE: &'static str = "vector_slicer";

    fn choice(&self) -> Choice {
        Choice {
            expected: "a vector",
            by_name: |c| c.ty.is_vector(),
            by_glob: |c| c.ty.is_vector(),
            output: |name| format!("sliced_{name}"),
        }
    }

    fn bound(&self, inputs: &[&Column]) -> Result<Cow<'_, Self>, SchemaErrors> {
        if self.columns.len() == inputs.len() || inputs.iter().any(|c| width(c).is_none()) {
            return Ok(Cow::Borrowed(self));
        }
        let (columns, errors): (Vec<_>, Vec<_>) = inputs
            .iter()
            .map(|c| self.positions(c))
            .partition(Result::is_ok);
        SchemaErrors::check(errors.into_iter().filter_map(Result::err).collect())?;
        Ok(Cow::Owned(Self {
            columns: columns.into_iter().filter_map(Result::ok).collect(),
            ..self.clone()
        }))
    }

    fn column(&self, k: usize, input: &Column) -> Result<Column, SchemaError> {
        let (Some(positions), Some(wide)) = (self.columns.get(k), width(input)) else {
            return Ok(Column::vector_of_unknown_width(""));
        };
        if let Some(j) = positions.iter().find(|j| **j >= wide) {
            return Err(SchemaError::Rule(format!(
                "column `{}` has {wide} slots, there is no slot {j}",
                input.name
            )));
        }
        let slots = positions.iter().map(|j| match input.slots.get(*j) {
            Some(slot) => slot.clone(),
            None => Slot {
                name: format!("{}[{j}]", input.name),
                ..Slot::numeric(&input.name)
            },
        });
        let mut column = Column::vector("", slots.collect());
        if let (ColumnType::Vector { element, .. }, ColumnType::Vector { element: own, .. }) =
            (&mut column.ty, &input.ty)
        {
            *element = *own;
        }
        column.nullable = input.nullable;
        Ok(column)
    }

    fn map(&self, k: usize, x: &[f64], out: &mut [f64]) -> Result<(), Refusal> {
        for (o, j) in out.iter_mut().zip(&self.columns[k]) {
            *o = x[*j];
        }
        Ok(())
    }

    fn save(&self, _: &mut Arrays) -> Value {
        to_state(self)
    }

    fn load(value: &Value, _: &Arrays, columns: usize) -> Result<Self, ModelError> {
        let map: Self = state(Self::STAGE, value)?;
        if map.columns.is_empty() || map.columns.len() == columns {
            return Ok(map);
        }
        Err(ModelError::stage(
            Self::STAGE,
            format!("{} slices for {columns} columns", map.columns.len()),
        ))
    }
}

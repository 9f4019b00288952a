//! The assembler itself: it learns nothing, so parameters are the model.

use std::sync::Arc;

use emberline_pipeline::datasets::arrow::array::{Array, BooleanArray};
use emberline_pipeline::datasets::batch::dense_vectors;
use emberline_pipeline::datasets::{
    Attribute, Batch, Column, ColumnType, DataError, Element, Schema, SchemaError, SchemaErrors,
    Slot,
};
use emberline_pipeline::persist::{state, to_state};
use emberline_pipeline::predictor::extend;
use emberline_pipeline::row::{Cell, RowLayout, RowStep};
use emberline_pipeline::{
    AnyStage, Arrays, Component, Kind, Load, ModelError, ParamErrors, Registry, Stage, Transformer,
};
use serde_json::Value;

use super::params::VectorAssemblerParams;
use crate::adapters::HandleInvalid;
use crate::columns::{is_glob, select};

/// Puts columns side by side into one dense vector column.
///
/// - in: numbers (booleans count as 0 and 1) and vectors, `(n,)` or `(n, w)` each
/// - out: a vector column `(n, d)`, `d` the sum of the widths; each slot knows its original column, kind and categories
/// - cost: O(n d)
/// # Errors
/// A missing value names column and row, unless `handle_invalid` says otherwise. An infinite value is an error under
/// `error`, drops the row under `skip` and is kept under `keep`. A glob that would silently leave out a text column which no
/// stage has made numeric is refused.
#[derive(Debug, Clone)]
pub struct VectorAssembler {
    params: VectorAssemblerParams,
}

impl Component for VectorAssembler {
    const NAME: &'static str = "vector_assembler";
    const SUMMARY: &'static str = "puts columns side by side into one vector column";
    const KIND: Kind = Kind::Transformer;
    type Params = VectorAssemblerParams;

    fn build(params: VectorAssemblerParams, _: &Registry) -> Result<Self, ParamErrors> {
        params.check()?;
        Ok(Self { params })
    }

    fn erase(self) -> AnyStage {
        AnyStage::Transformer(Arc::new(self))
    }
}

impl VectorAssembler {
    fn inputs(&self, schema: &Schema) -> Result<Vec<String>, SchemaErrors> {
        let usable = |ty: &ColumnType| ty.is_numeric() || ty.is_vector();
        let chosen = select(&self.params.inputs, schema, usable, "a number or a vector")?;
        let chosen: Vec<String> = chosen
            .into_iter()
            .filter(|n| *n != self.params.output)
            .collect();
        self.refuse_forgotten_text(schema)?;
        Ok(chosen)
    }

    /// A text column that a glob covers but nothing has indexed would vanish without a word.
    fn refuse_forgotten_text(&self, schema: &Schema) -> Result<(), SchemaErrors> {
        let globs: Vec<String> = self
            .params
            .inputs
            .iter()
            .filter(|p| is_glob(p))
            .cloned()
            .collect();
        if globs.is_empty() {
            return Ok(());
        }
        let text = select(&globs, schema, |ty| *ty == ColumnType::Text, "text").unwrap_or_default();
        let used = |name: &str| {
            schema.columns().iter().any(|c| {
                c.origin.as_deref() == Some(name) || c.slots.iter().any(|s| s.column == name)
            })
        };
        let forgotten: Vec<&String> = text.iter().filter(|name| !used(name)).collect();
        if forgotten.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = forgotten.iter().map(|n| format!("`{n}`")).collect();
        Err(SchemaError::Rule(format!(
            "text columns {} would be left out of `{}`; add a `string_indexer` for them before, or exclude them with \"!{}\"",
            names.join(", "),
            self.params.output,
            forgotten[0]
        ))
        .into())
    }

    fn output_column(&self, schema: &Schema, inputs: &[String]) -> Result<Column, SchemaErrors> {
        let mut slots = Vec::new();
        let mut known = true;
        for name in inputs {
            let column = schema.get(name)?;
            match &column.ty {
                ColumnType::Vector {
                    width: Some(width), ..
                } if column.slots.len() == *width => {
                    slots.extend(column.slots.iter().cloned());
                }
                ColumnType::Vector {
                    width: Some(width), ..
                } => slots.extend((0..*width).map(|j| Slot {
                    name: format!("{name}[{j}]"),
                    column: name.clone(),
                    attribute: Attribute::Numeric,
                })),
                ColumnType::Vector { width: None, .. } => known = false,
                _ => slots.push(Slot {
                    name: name.clone(),
                    column: column.origin().to_owned(),
                    attribute: if column.ty == ColumnType::Boolean {
                        Attribute::Binary
                    } else {
                        column.attribute.clone()
                    },
                }),
            }
        }
        let mut column = if known {
            Column::vector(&self.params.output, slots)
        } else {
            Column::vector_of_unknown_width(&self.params.output)
        };
        if let ColumnType::Vector { element, .. } = &mut column.ty {
            *element = self.params.element;
        }
        column.nullable = self.params.handle_invalid == HandleInvalid::Keep;
        Ok(column)
    }
}

impl Stage for VectorAssembler {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn output_schema(&self, input: &Schema) -> Result<Schema, SchemaErrors> {
        let inputs = self.inputs(input)?;
        extend(input, vec![self.output_column(input, &inputs)?])
    }

    fn reads(&self, input: &Schema) -> Vec<String> {
        self.inputs(input).unwrap_or_default()
    }

    fn writes(&self, _: &Schema) -> Vec<String> {
        vec![self.params.output.clone()]
    }

    fn params(&self) -> Value {
        to_state(&self.params)
    }
}

impl Transformer for VectorAssembler {
    fn transform(&self, batch: Batch) -> Result<Batch, DataError> {
        let inputs = self.inputs(batch.schema())?;
        let column = self.output_column(batch.schema(), &inputs)?;
        let width = column.slots.len();
        let n = batch.num_rows();
        let mut values = vec![0.0; n * width];
        let mut offset = 0;
        for name in &inputs {
            if batch.schema().get(name)?.ty.is_vector() {
                let vectors = batch.vector(name)?;
                for i in 0..n {
                    vectors.read(
                        i,
                        &mut values[i * width + offset..i * width + offset + vectors.width()],
                    );
                }
                offset += vectors.width();
            } else {
                let numbers = batch.numbers(name)?;
                for i in 0..n {
                    values[i * width + offset] = if numbers.is_valid(i) {
                        numbers.value(i)
                    } else {
                        f64::NAN
                    };
                }
                offset += 1;
            }
        }
        let (batch, values) = self.treat_invalid(batch, values, &column)?;
        let rows = batch.num_rows();
        let keep = self.params.handle_invalid == HandleInvalid::Keep;
        batch.with_column(
            column,
            dense_vectors(values, width, self.params.element, keep, rows)?,
        )
    }

    fn drops_rows(&self) -> bool {
        self.params.handle_invalid == HandleInvalid::Skip
    }

    fn bind(&self, input: &Schema) -> Result<Option<Arc<dyn Transformer>>, SchemaErrors> {
        let params = VectorAssemblerParams {
            inputs: self.inputs(input)?,
            ..self.params.clone()
        };
        Ok(Some(Arc::new(Self { params })))
    }

    fn save(&self, _: &mut Arrays) -> Value {
        to_state(&self.params)
    }

    fn row_step(&self, layout: &mut RowLayout) -> Result<Box<dyn RowStep>, SchemaErrors> {
        let inputs = self.inputs(layout.schema())?;
        let column = self.output_column(layout.schema(), &inputs)?;
        extend(layout.schema(), vec![column.clone()])?;
        let mut cells = Vec::with_capacity(inputs.len());
        for name in &inputs {
            let is_vector = layout.ty(name)?.is_vector();
            cells.push((layout.cell(name)?, is_vector));
        }
        let (rule, width) = (self.params.handle_invalid, column.slots.len());
        let narrow = self.params.element == Element::F32;
        let names: Vec<String> = column.slots.iter().map(|s| s.name.clone()).collect();
        let to = layout.add(column);
        Ok(Box::new(move |row: &mut [Cell]| {
            let mut out = std::mem::take(&mut row[to]);
            let values = out.vector_mut(width);
            let mut offset = 0;
            for (from, is_vector) in &cells {
                if *is_vector {
                    let part = row[*from].vector();
                    values[offset..offset + part.len()].copy_from_slice(part);
                    offset += part.len();
                } else {
                    values[offset] = row[*from].number().unwrap_or(f64::NAN);
                    offset += 1;
                }
            }
            let bad = values.iter().position(|v| !v.is_finite());
            if narrow {
                values.iter_mut().for_each(|v| *v = f64::from(*v as f32));
            }
            let refused = bad.map(|j| invalid(&names[j], 0, values[j]));
            row[to] = out;
            match (refused, rule) {
                (None, _) | (_, HandleInvalid::Keep) => Ok(true),
                (_, HandleInvalid::Skip) => Ok(false),
                (Some(error), HandleInvalid::Error) => Err(error),
            }
        }))
    }
}

impl VectorAssembler {
    /// Refuses, drops or keeps rows with values that are not finite.
    fn treat_invalid(
        &self,
        batch: Batch,
        values: Vec<f64>,
        column: &Column,
    ) -> Result<(Batch, Vec<f64>), DataError> {
        let width = column.slots.len();
        let Some(first) = values.iter().position(|v| !v.is_finite()) else {
            return Ok((batch, values));
        };
        match self.params.handle_invalid {
            HandleInvalid::Keep => Ok((batch, values)),
            HandleInvalid::Error => Err(invalid(
                &column.slots[first % width].name,
                batch.row_ids()[first / width],
                values[first],
            )),
            HandleInvalid::Skip => {
                let keep: Vec<bool> = values
                    .chunks_exact(width)
                    .map(|row| row.iter().all(|v| v.is_finite()))
                    .collect();
                let kept = values
                    .chunks_exact(width)
                    .zip(&keep)
                    .filter(|(_, k)| **k)
                    .flat_map(|(row, _)| row)
                    .copied();
                let kept = kept.collect();
                Ok((batch.filter(&BooleanArray::from(keep))?, kept))
            }
        }
    }
}

fn invalid(column: &str, row: u64, value: f64) -> DataError {
    let column = column.to_owned();
    if value.is_nan() {
        DataError::Missing { column, row }
    } else {
        DataError::NotFinite { column, row, value }
    }
}

impl Load for VectorAssembler {
    fn load(value: &Value, _: &Arrays, _: &Registry) -> Result<Self, ModelError> {
        let params: VectorAssemblerParams = state(Self::NAME, value)?;
        params
            .check()
            .map_err(|e| ModelError::stage(Self::NAME, e))?;
        Ok(Self { params })
    }
}

//! The assembler itself: it learns nothing, so parameters are the model.

use std::borrow::Cow;
use std::sync::Arc;

use emberline_pipeline::datasets::arrow::array::{Array, BooleanArray, Float64Array};
use emberline_pipeline::datasets::batch::{dense_vectors, sparse_vectors_of};
use emberline_pipeline::datasets::{
    Attribute, Batch, Column, ColumnType, DataError, Element, Schema, SchemaError, SchemaErrors,
    Slot, VectorColumn,
};
use emberline_pipeline::invalid::{Fate, Reason};
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

/// Puts columns side by side into one vector column.
///
/// - in: numbers (booleans count as 0 and 1) and vectors, `(n,)` or `(n, w)` each
/// - out: a vector column `(n, d)`, `d` the sum of the widths; each slot knows its original column, kind and categories. It is
///   sparse where it has more than 32 slots and, as far as the schema tells, stores a third of them at most (one-hot
///   categories)
/// - cost: O(n d), or O(values stored)
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
        let chosen = select(
            &self.params.inputs,
            schema,
            usable,
            "a number, a vector, or an index that `string_indexer` makes of text",
        )?;
        let chosen: Vec<String> = chosen
            .into_iter()
            .filter(|n| *n != self.params.output)
            .collect();
        self.refuse_forgotten_text(schema)?;
        Ok(chosen)
    }

    /// A text column that a glob covers but nothing has indexed would vanish without a word.
    fn refuse_forgotten_text(&self, schema: &Schema) -> Result<(), SchemaErrors> {
        if !self.params.inputs.iter().any(|p| is_glob(p)) {
            return Ok(());
        }
        // What is left out on purpose is not forgotten.
        let globs: Vec<String> = self
            .params
            .inputs
            .iter()
            .filter(|p| is_glob(p) || p.starts_with('!'))
            .cloned()
            .collect();
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
        let inputs = inputs.iter().map(|name| schema.get(name));
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        Ok(if known && is_mostly_zero(&inputs, column.slots.len()) {
            column.sparse()
        } else {
            column
        })
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
        if column.is_sparse() {
            return self.assemble_stored(batch, &inputs, column);
        }
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

    fn invalid_fate(&self) -> Option<Fate> {
        self.params.handle_invalid.fate()
    }

    fn find_invalid(
        &self,
        batch: &Batch,
        note: &mut dyn FnMut(usize, Reason, usize),
    ) -> Result<(), DataError> {
        for (k, name) in self.inputs(batch.schema())?.iter().enumerate() {
            let mut see = |v: f64, row: usize| {
                if v.is_nan() {
                    note(k, Reason::Missing, row);
                } else if v.is_infinite() {
                    note(k, Reason::Infinite, row);
                }
            };
            if batch.schema().get(name)?.ty.is_vector() {
                let x = batch.vector(name)?;
                (0..x.rows()).for_each(|i| x.for_each_stored(i, |_, v| see(v, i)));
            } else {
                let x = batch.numbers(name)?;
                (0..x.len())
                    .for_each(|i| see(if x.is_valid(i) { x.value(i) } else { f64::NAN }, i));
            }
        }
        Ok(())
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

/// A vector of few slots is stored densely; a wide one sparsely where at most a third of its slots is expected to be stored.
/// Follows from the schema alone: a sparse column of binary slots is one-hot and stores one of them, of another a quarter is
/// guessed.
fn is_mostly_zero(inputs: &[&Column], width: usize) -> bool {
    const FEW_SLOTS: usize = 32;
    let stored = |c: &&Column| match &c.ty {
        ColumnType::Vector { width, .. } if c.is_sparse() => {
            if c.slots.iter().all(|s| s.attribute == Attribute::Binary) {
                1
            } else {
                width.unwrap_or(0).div_ceil(4)
            }
        }
        ColumnType::Vector { width, .. } => width.unwrap_or(0),
        _ => 1,
    };
    width > FEW_SLOTS && 3 * inputs.iter().map(stored).sum::<usize>() <= width
}

/// One input of a sparse vector.
enum Part<'a> {
    Number(Cow<'a, Float64Array>),
    Vector(VectorColumn<'a>),
}

impl VectorAssembler {
    /// The sparse vectors of a batch: all numbers, and of vectors the slots they store; 0 is left out of binary slots.
    fn assemble_stored(
        &self,
        batch: Batch,
        inputs: &[String],
        column: Column,
    ) -> Result<Batch, DataError> {
        let mut parts = Vec::with_capacity(inputs.len());
        let mut start = 0;
        for name in inputs {
            let part = if batch.schema().get(name)?.ty.is_vector() {
                Part::Vector(batch.vector(name)?)
            } else {
                Part::Number(batch.numbers(name)?)
            };
            let width = match &part {
                Part::Number(_) => 1,
                Part::Vector(x) => x.width(),
            };
            parts.push((start, part));
            start += width;
        }
        let binary: Vec<bool> = column
            .slots
            .iter()
            .map(|s| s.attribute == Attribute::Binary)
            .collect();
        let n = batch.num_rows();
        let (mut offsets, mut slots, mut values) = (
            Vec::with_capacity(n + 1),
            Vec::with_capacity(n * parts.len()),
            Vec::with_capacity(n * parts.len()),
        );
        offsets.push(0);
        let mut keep = Vec::new();
        for i in 0..n {
            let first = values.len();
            let mut push = |j: usize, v: f64| {
                if v != 0.0 || !binary[j] {
                    slots.push(j as u32);
                    values.push(v);
                }
            };
            for (start, part) in &parts {
                match part {
                    Part::Number(x) if x.is_valid(i) => push(*start, x.value(i)),
                    Part::Number(_) => push(*start, f64::NAN),
                    Part::Vector(x) => x.for_each_stored(i, |j, v| push(start + j, v)),
                }
            }
            if let Some(bad) = values[first..].iter().position(|v| !v.is_finite()) {
                match self.params.handle_invalid {
                    HandleInvalid::Keep => {}
                    HandleInvalid::Error => {
                        let name = &column.slots[slots[first + bad] as usize].name;
                        return Err(invalid(name, batch.row_ids()[i], values[first + bad]));
                    }
                    HandleInvalid::Skip => {
                        keep.resize(i, true);
                        keep.push(false);
                        slots.truncate(first);
                        values.truncate(first);
                        continue;
                    }
                }
            }
            offsets.push(values.len() as i32);
        }
        let array = sparse_vectors_of(offsets, slots, values, self.params.element)?;
        let batch = if keep.is_empty() {
            drop(parts);
            batch
        } else {
            drop(parts);
            keep.resize(n, true);
            batch.filter(&BooleanArray::from(keep))?
        };
        batch.with_column(column, array)
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

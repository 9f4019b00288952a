//! Values mapped one by one: a column becomes a column, a vector column one with the same slots.

use std::borrow::Cow;
use std::sync::Arc;

use emberline_pipeline::datasets::arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray,
};
use emberline_pipeline::datasets::arrow::buffer::NullBuffer;
use emberline_pipeline::datasets::batch::dense_vectors;
use emberline_pipeline::datasets::{
    Batch, CodedText, Column, ColumnType, DataError, Element, Schema, SchemaError, SchemaErrors,
};
use emberline_pipeline::invalid::{Fate, Reason};
use emberline_pipeline::persist::{state, to_state};
use emberline_pipeline::row::{Cell, RowLayout, RowStep};
use emberline_pipeline::{
    AnyStage, Arrays, Component, Kind, Load, ModelError, ParamCheck, ParamErrors, Registry, Stage,
    Transformer,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    ColumnParams, Refusal, christen, is_narrow, names, value_name, width, with_outputs, wrong_width,
};
use crate::columns::{Choice, InOut, Pair};

/// One value on its way through a kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Datum<'a> {
    /// No value (a null, or NaN).
    Missing,
    /// A number (a boolean is 0 or 1); never NaN on the way in.
    Number(f64),
    /// Text.
    Text(&'a str),
}

impl<'a> Datum<'a> {
    fn of(number: f64) -> Self {
        if number.is_nan() {
            Self::Missing
        } else {
            Self::Number(number)
        }
    }

    fn number(self) -> Option<f64> {
        if let Self::Number(v) = self {
            Some(v).filter(|v| !v.is_nan())
        } else {
            None
        }
    }

    fn text(self) -> Option<&'a str> {
        if let Self::Text(v) = self {
            Some(v)
        } else {
            None
        }
    }
}

/// Where a value stands: its column among the inputs, and its place among the slots of all inputs side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// Which input column, from 0.
    pub column: usize,
    /// Which slot, counted over all input columns (a scalar is one slot).
    pub slot: usize,
}

/// A kernel on single values.
pub trait ScalarMap: Clone + Send + Sync + 'static {
    /// Registry name of the stage.
    const STAGE: &'static str;

    /// Which columns it takes and how outputs are named.
    fn choice(&self) -> Choice;

    /// The kernel for these very columns, where it depends on them.
    ///
    /// # Errors
    /// They do not fit.
    fn bound(&self, _inputs: &[&Column]) -> Result<Cow<'_, Self>, SchemaErrors> {
        Ok(Cow::Borrowed(self))
    }

    /// The output for input column `at.column`, whose first slot is `at.slot`. Name and origin are set by the caller.
    ///
    /// # Errors
    /// The column is not what the kernel was made for.
    fn column(&self, at: At, input: &Column) -> Result<Column, SchemaError>;

    /// Maps one value; a missing result becomes a null.
    ///
    /// # Errors
    /// Why there is no result.
    fn map<'a>(&'a self, at: At, value: Datum<'a>) -> Result<Datum<'a>, Refusal>;

    /// Maps the numbers of one slot in place, NaN standing for missing before and after, to the bits that [`ScalarMap::map`] gives
    /// them; false, with nothing done, where the kernel has no such path or may refuse a number.
    fn map_numbers(&self, _at: At, _values: &mut [f64]) -> bool {
        false
    }

    /// True where [`Refusal::Skip`] may be given.
    fn drops_rows(&self) -> bool {
        self.invalid_fate() == Some(Fate::Skipped)
    }

    /// What becomes of a row with a value that the kernel cannot take, where it has a policy for that.
    fn invalid_fate(&self) -> Option<Fate> {
        None
    }

    /// Why that policy takes effect for this value; `None` where the kernel takes the value, or refuses it whatever the policy.
    fn invalid(&self, _at: At, _value: Datum<'_>) -> Option<Reason> {
        None
    }

    /// The kernel as data.
    fn save(&self, arrays: &mut Arrays) -> Value;

    /// Reads a kernel for `columns` columns back, checking every index and number.
    ///
    /// # Errors
    /// The content makes no sense.
    fn load(value: &Value, arrays: &Arrays, columns: usize) -> Result<Self, ModelError>;
}

/// A kernel that follows from parameters alone.
pub trait ScalarRule: ScalarMap {
    /// The parameters.
    type Params: ColumnParams<Stage = ColumnMapper<Self>>;

    /// The kernel these checked parameters stand for.
    fn from_params(params: &Self::Params) -> Self;
}

/// A stage that maps values one by one.
#[derive(Debug, Clone)]
pub struct ColumnMapper<M> {
    io: InOut,
    params: Value,
    map: M,
}

/// What one pass over the columns of a schema needs.
struct Plan<'a, M: ScalarMap> {
    map: Cow<'a, M>,
    pairs: Vec<Pair>,
    inputs: Vec<Column>,
    outputs: Vec<Column>,
    starts: Vec<usize>,
}

impl<M: ScalarMap> ColumnMapper<M> {
    /// A fitted stage over the columns of `pairs`.
    pub fn fitted(pairs: &[Pair], params: &impl Serialize, map: M) -> Self {
        Self {
            io: InOut::of(pairs),
            params: to_state(params),
            map,
        }
    }

    /// The kernel.
    pub fn map(&self) -> &M {
        &self.map
    }

    fn plan(&self, schema: &Schema) -> Result<Plan<'_, M>, SchemaErrors> {
        let pairs = self.io.resolve(schema, &self.map.choice())?;
        let inputs = pairs
            .iter()
            .map(|p| Ok(schema.get(&p.input)?.clone()))
            .collect::<Result<Vec<_>, SchemaErrors>>()?;
        let map = self.map.bound(&inputs.iter().collect::<Vec<_>>())?;
        let (mut outputs, mut starts, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        let mut slot = 0;
        for (k, (input, pair)) in inputs.iter().zip(&pairs).enumerate() {
            match map.column(At { column: k, slot }, input) {
                Ok(column) => outputs.push(christen(column, input, &pair.output)),
                Err(e) => errors.push(e),
            }
            starts.push(slot);
            slot += width(input).unwrap_or(0);
        }
        SchemaErrors::check(errors)?;
        Ok(Plan {
            map,
            pairs,
            inputs,
            outputs,
            starts,
        })
    }
}

impl<M: ScalarMap> Plan<'_, M> {
    fn one<'a>(
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
    fn refused<'a>(
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

    fn scalars(&self, batch: &Batch, k: usize, keep: &mut [bool]) -> Result<ArrayRef, DataError> {
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
    fn codes(
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
    fn rows<'a>(
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
    fn find_invalid(
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

    fn vectors(&self, batch: &Batch, k: usize, keep: &mut [bool]) -> Result<ArrayRef, DataError> {
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

impl<M: ScalarMap> Stage for ColumnMapper<M> {
    fn name(&self) -> &str {
        M::STAGE
    }

    fn output_schema(&self, input: &Schema) -> Result<Schema, SchemaErrors> {
        let plan = self.plan(input)?;
        with_outputs(input, &plan.pairs, plan.outputs)
    }

    fn reads(&self, input: &Schema) -> Vec<String> {
        names(self.io.resolve(input, &self.map.choice()), |p| p.input)
    }

    fn writes(&self, input: &Schema) -> Vec<String> {
        names(self.io.resolve(input, &self.map.choice()), |p| p.output)
    }

    fn params(&self) -> Value {
        self.params.clone()
    }
}

impl<M: ScalarMap> Transformer for ColumnMapper<M> {
    fn transform(&self, batch: Batch) -> Result<Batch, DataError> {
        let plan = self.plan(batch.schema())?;
        let mut keep = vec![true; batch.num_rows()];
        let mut out = batch.clone();
        for k in 0..plan.pairs.len() {
            let is_vector = plan.inputs[k].ty.is_vector();
            let array = if is_vector {
                plan.vectors(&batch, k, &mut keep)?
            } else {
                plan.scalars(&batch, k, &mut keep)?
            };
            out = out.with_column(plan.outputs[k].clone(), array)?;
        }
        if keep.iter().all(|k| *k) {
            Ok(out)
        } else {
            out.filter(&BooleanArray::from(keep))
        }
    }

    fn drops_rows(&self) -> bool {
        self.map.drops_rows()
    }

    fn invalid_fate(&self) -> Option<Fate> {
        self.map.invalid_fate()
    }

    fn find_invalid(
        &self,
        batch: &Batch,
        note: &mut dyn FnMut(usize, Reason, usize),
    ) -> Result<(), DataError> {
        let plan = self.plan(batch.schema())?;
        (0..plan.pairs.len())
            .try_for_each(|k| plan.find_invalid(batch, k, &mut |reason, row| note(k, reason, row)))
    }

    fn bind(&self, input: &Schema) -> Result<Option<Arc<dyn Transformer>>, SchemaErrors> {
        let plan = self.plan(input)?;
        let bound = Self {
            io: InOut::of(&plan.pairs),
            params: self.params.clone(),
            map: plan.map.into_owned(),
        };
        Ok(Some(Arc::new(bound)))
    }

    fn save(&self, arrays: &mut Arrays) -> Value {
        to_state(&Saved {
            columns: self.io.clone(),
            params: self.params.clone(),
            map: self.map.save(arrays),
        })
    }

    fn row_step(&self, layout: &mut RowLayout) -> Result<Box<dyn RowStep>, SchemaErrors> {
        let plan = self.plan(layout.schema())?;
        let plan = Plan {
            map: Cow::Owned(plan.map.into_owned()),
            ..plan
        };
        with_outputs(layout.schema(), &plan.pairs, plan.outputs.clone())?;
        let from = plan
            .pairs
            .iter()
            .map(|p| layout.cell(&p.input))
            .collect::<Result<Vec<_>, _>>()?;
        let to: Vec<usize> = plan.outputs.iter().map(|c| layout.add(c.clone())).collect();
        Ok(Box::new(move |row: &mut [Cell]| {
            for k in 0..plan.pairs.len() {
                let mut out = std::mem::take(&mut row[to[k]]);
                let kept = plan.cell(k, &row[from[k]], &mut out);
                row[to[k]] = out;
                if !kept? {
                    return Ok(false);
                }
            }
            Ok(true)
        }))
    }
}

impl<M: ScalarMap> Plan<'_, M> {
    /// One record's cell; false drops the record.
    fn cell(&self, k: usize, from: &Cell, to: &mut Cell) -> Result<bool, DataError> {
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

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    columns: InOut,
    params: Value,
    map: Value,
}

impl<M: ScalarMap> Load for ColumnMapper<M> {
    fn load(value: &Value, arrays: &Arrays, _: &Registry) -> Result<Self, ModelError> {
        let saved: Saved = state(M::STAGE, value)?;
        let map = M::load(&saved.map, arrays, saved.columns.n_patterns())?;
        Ok(Self {
            io: saved.columns,
            params: saved.params,
            map,
        })
    }
}

impl<M: ScalarRule> Component for ColumnMapper<M> {
    const NAME: &'static str = <M::Params as ColumnParams>::NAME;
    const SUMMARY: &'static str = <M::Params as ColumnParams>::SUMMARY;
    const KIND: Kind = Kind::Transformer;
    type Params = M::Params;

    fn build(params: M::Params, _: &Registry) -> Result<Self, ParamErrors> {
        let mut check = ParamCheck::new();
        let io = params.check(&mut check);
        check.finish()?;
        Ok(Self {
            io,
            params: to_state(&params),
            map: M::from_params(&params),
        })
    }

    fn erase(self) -> AnyStage {
        AnyStage::Transformer(Arc::new(self))
    }
}

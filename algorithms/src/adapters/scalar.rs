//! Values mapped one by one: a column becomes a column, a vector column one with the same slots.

mod plan;

use std::borrow::Cow;
use std::sync::Arc;

use emberline_pipeline::datasets::arrow::array::BooleanArray;
use emberline_pipeline::datasets::{Batch, Column, DataError, Schema, SchemaError, SchemaErrors};
use emberline_pipeline::invalid::{Fate, Reason};
use emberline_pipeline::persist::{state, to_state};
use emberline_pipeline::row::{Cell, RowLayout, RowStep};
use emberline_pipeline::{
    AnyStage, Arrays, Component, Kind, Load, ModelError, ParamCheck, ParamErrors, Registry, Stage,
    Transformer,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::plan::Plan;
use super::{ColumnParams, Refusal, christen, names, width, with_outputs};
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

//! The slots of a row mapped together: a column (a number is a vector of one slot) becomes a vector column.

use std::borrow::Cow;
use std::sync::Arc;

use emberline_pipeline::datasets::arrow::array::{Array, ArrayRef, BooleanArray, Float64Array};
use emberline_pipeline::datasets::batch::{dense_vectors, sparse_vectors};
use emberline_pipeline::datasets::{
    Batch, Column, DataError, Element, Schema, SchemaError, SchemaErrors, VectorColumn,
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

use super::{ColumnParams, Refusal, christen, is_narrow, names, width, with_outputs, wrong_width};
use crate::columns::{Choice, InOut, Pair};

/// A kernel on rows of numbers.
pub trait VectorMap: Clone + Send + Sync + 'static {
    /// Registry name of the stage.
    const STAGE: &'static str;

    /// Which columns it takes and how outputs are named.
    fn choice(&self) -> Choice;

    /// The kernel for these very columns, where it depends on them (names become positions).
    ///
    /// # Errors
    /// They do not fit.
    fn bound(&self, _inputs: &[&Column]) -> Result<Cow<'_, Self>, SchemaErrors> {
        Ok(Cow::Borrowed(self))
    }

    /// The vector column for input column `k`. Its name is set by the caller; its width must be known where that of the
    /// input is.
    ///
    /// # Errors
    /// The column is not what the kernel was made for.
    fn column(&self, k: usize, input: &Column) -> Result<Column, SchemaError>;

    /// Maps the slots `x` of input column `k`, one where it is a number, into `out`; NaN stands for missing in both.
    /// `out` holds anything before.
    ///
    /// # Errors
    /// Why there is no result.
    fn map(&self, k: usize, x: &[f64], out: &mut [f64]) -> Result<(), Refusal>;

    /// As [`VectorMap::map`], for an output column that is stored sparsely: calls `push(slot, value)` for the slots of the
    /// `width` that are not 0, ascending. Kernels that know those slots without looking at the others say so here.
    ///
    /// # Errors
    /// As [`VectorMap::map`].
    fn map_stored(
        &self,
        k: usize,
        x: &[f64],
        width: usize,
        mut push: impl FnMut(u32, f64),
    ) -> Result<(), Refusal> {
        let mut out = vec![0.0; width];
        self.map(k, x, &mut out)?;
        let stored = out.iter().enumerate().filter(|(_, v)| **v != 0.0);
        stored.for_each(|(j, v)| push(j as u32, *v));
        Ok(())
    }

    /// True where [`Refusal::Skip`] may be given.
    fn drops_rows(&self) -> bool {
        self.invalid_fate() == Some(Fate::Skipped)
    }

    /// What becomes of a row with slots that the kernel cannot take, where it has a policy for that.
    fn invalid_fate(&self) -> Option<Fate> {
        None
    }

    /// Why that policy takes effect for the slots `x` of input column `k`; `None` where the kernel takes them, or refuses them whatever
    /// the policy.
    fn invalid(&self, _k: usize, _x: &[f64]) -> Option<Reason> {
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
pub trait VectorRule: VectorMap {
    /// The parameters.
    type Params: ColumnParams<Stage = VectorMapper<Self>>;

    /// The kernel these checked parameters stand for.
    fn from_params(params: &Self::Params) -> Self;
}

/// A stage that maps rows of numbers to rows of numbers.
#[derive(Debug, Clone)]
pub struct VectorMapper<M> {
    io: InOut,
    params: Value,
    map: M,
}

struct Plan<'a, M: VectorMap> {
    map: Cow<'a, M>,
    pairs: Vec<Pair>,
    inputs: Vec<Column>,
    outputs: Vec<Column>,
}

impl<M: VectorMap> VectorMapper<M> {
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
        let (mut outputs, mut errors) = (Vec::new(), Vec::new());
        for (k, (input, pair)) in inputs.iter().zip(&pairs).enumerate() {
            match map.column(k, input) {
                Ok(column) => outputs.push(christen(column, input, &pair.output)),
                Err(e) => errors.push(e),
            }
        }
        SchemaErrors::check(errors)?;
        Ok(Plan {
            map,
            pairs,
            inputs,
            outputs,
        })
    }
}

/// The rows of an input column: vectors, or numbers as vectors of one slot; NaN stands for missing.
enum Rows<'a> {
    Vectors(VectorColumn<'a>),
    Numbers(Cow<'a, Float64Array>),
}

impl<'a> Rows<'a> {
    fn of(batch: &'a Batch, input: &Column) -> Result<Self, DataError> {
        Ok(if input.ty.is_vector() {
            Self::Vectors(batch.vector(&input.name)?)
        } else {
            Self::Numbers(batch.numbers(&input.name)?)
        })
    }

    fn read(&self, i: usize, x: &mut [f64]) {
        match self {
            Self::Vectors(v) => v.read(i, x),
            Self::Numbers(v) => x[0] = if v.is_valid(i) { v.value(i) } else { f64::NAN },
        }
    }
}

impl<M: VectorMap> Plan<'_, M> {
    fn array(&self, batch: &Batch, k: usize, keep: &mut [bool]) -> Result<ArrayRef, DataError> {
        let (input, n) = (&self.inputs[k], batch.num_rows());
        let (w, to) = (
            width(input).unwrap_or(0),
            width(&self.outputs[k]).unwrap_or(0),
        );
        let rows = Rows::of(batch, input)?;
        let mut x = vec![0.0; w];
        let refused = |refusal: Refusal, i: usize| {
            let error = refusal.error(|| input.name.clone(), batch.row_ids()[i]);
            error.map_or(Ok(false), Err)
        };
        if self.outputs[k].is_sparse() {
            let (mut offsets, mut slots, mut stored) = (
                Vec::with_capacity(n + 1),
                Vec::with_capacity(n),
                Vec::with_capacity(n),
            );
            offsets.push(0);
            for (i, keep) in keep.iter_mut().enumerate() {
                rows.read(i, &mut x);
                let push = |j: u32, v: f64| {
                    slots.push(j);
                    stored.push(v);
                };
                if let Err(refusal) = self.map.map_stored(k, &x, to, push) {
                    *keep = refused(refusal, i)?;
                }
                offsets.push(slots.len() as i32);
            }
            return sparse_vectors(offsets, slots, stored);
        }
        let mut values = vec![0.0; n * to];
        for i in 0..n {
            rows.read(i, &mut x);
            if let Err(refusal) = self.map.map(k, &x, &mut values[i * to..(i + 1) * to]) {
                keep[i] = refused(refusal, i)?;
            }
        }
        let element = if is_narrow(&self.outputs[k]) {
            Element::F32
        } else {
            Element::F64
        };
        dense_vectors(values, to, element, true, n)
    }

    /// One record's cell; false drops the record.
    fn cell(&self, k: usize, from: &Cell, to: &mut Cell) -> Result<bool, DataError> {
        let input = &self.inputs[k];
        let scalar = [from.number().unwrap_or(f64::NAN)];
        let x = if input.ty.is_vector() {
            from.vector()
        } else {
            &scalar
        };
        let w = width(input).unwrap_or(0);
        if x.len() != w {
            return Err(wrong_width(&input.name, x.len(), w));
        }
        let out = to.vector_mut(width(&self.outputs[k]).unwrap_or(0));
        if let Err(refusal) = self.map.map(k, x, out) {
            return refusal
                .error(|| input.name.clone(), 0)
                .map_or(Ok(false), Err);
        }
        if is_narrow(&self.outputs[k]) {
            out.iter_mut().for_each(|v| *v = f64::from(*v as f32));
        }
        Ok(true)
    }
}

impl<M: VectorMap> Stage for VectorMapper<M> {
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

impl<M: VectorMap> Transformer for VectorMapper<M> {
    fn transform(&self, batch: Batch) -> Result<Batch, DataError> {
        let plan = self.plan(batch.schema())?;
        let mut keep = vec![true; batch.num_rows()];
        let mut out = batch.clone();
        for k in 0..plan.pairs.len() {
            out = out.with_column(plan.outputs[k].clone(), plan.array(&batch, k, &mut keep)?)?;
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
        for (k, input) in plan.inputs.iter().enumerate() {
            let mut x = vec![0.0; width(input).unwrap_or(0)];
            let rows = Rows::of(batch, input)?;
            for i in 0..batch.num_rows() {
                rows.read(i, &mut x);
                if let Some(reason) = plan.map.invalid(k, &x) {
                    note(k, reason, i);
                }
            }
        }
        Ok(())
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

impl<M: VectorMap> Load for VectorMapper<M> {
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

impl<M: VectorRule> Component for VectorMapper<M> {
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

//! The estimator of a column-wise stage: parameters, and how its model is learnt.

use std::sync::Arc;

use emberline_pipeline::datasets::{Column, Dataset, Schema, SchemaError, SchemaErrors};
use emberline_pipeline::persist::to_state;
use emberline_pipeline::{
    AnyStage, Component, Estimator, Fitted, Kind, ParamCheck, ParamErrors, Registry, Result, Run,
    Stage, Transformer,
};
use serde_json::Value;

use super::{ColumnParams, christen, names, with_outputs};
use crate::columns::{Choice, InOut, Pair};

/// How a column-wise stage learns; implemented by its parameters.
pub trait Learn: ColumnParams {
    /// What it becomes.
    type Model: Transformer + 'static;

    /// Which columns it takes and how outputs are named.
    fn choice(&self) -> Choice;

    /// What can be promised of the output for `input` before any row is read. Name and origin are set by the caller.
    ///
    /// # Errors
    /// The column does not fit.
    fn column(&self, input: &Column) -> std::result::Result<Column, SchemaError>;

    /// Rules between the parameters and the columns chosen.
    ///
    /// # Errors
    /// One of them is broken.
    fn check_columns(&self, pairs: &[Pair]) -> std::result::Result<(), SchemaError> {
        let _ = pairs;
        Ok(())
    }

    /// Learns from the columns of `pairs`.
    ///
    /// # Errors
    /// The data cannot be read or used.
    fn learn(&self, data: &Dataset, pairs: &[Pair], run: &Run) -> Result<Fitted<Self::Model>>;
}

/// The checked parameters of a column-wise stage that learns; built through [`Component::build`] alone.
#[derive(Debug, Clone)]
pub struct Learner<P> {
    params: P,
    io: InOut,
}

impl<P: Learn> Learner<P> {
    fn pairs(&self, schema: &Schema) -> std::result::Result<Vec<Pair>, SchemaErrors> {
        let pairs = self.io.resolve(schema, &self.params.choice())?;
        self.params.check_columns(&pairs)?;
        Ok(pairs)
    }
}

impl<P: Learn<Stage = Self>> Component for Learner<P>
where
    P::Model: 'static,
{
    const NAME: &'static str = <P as ColumnParams>::NAME;
    const SUMMARY: &'static str = <P as ColumnParams>::SUMMARY;
    const KIND: Kind = Kind::Feature;
    type Params = P;

    fn build(params: P, _: &Registry) -> std::result::Result<Self, ParamErrors> {
        let mut check = ParamCheck::new();
        let io = params.check(&mut check);
        check.finish()?;
        Ok(Self { params, io })
    }

    fn erase(self) -> AnyStage {
        AnyStage::Estimator(Arc::new(self))
    }
}

impl<P: Learn> Stage for Learner<P> {
    fn name(&self) -> &str {
        <P as ColumnParams>::NAME
    }

    fn output_schema(&self, input: &Schema) -> std::result::Result<Schema, SchemaErrors> {
        let pairs = self.pairs(input)?;
        let mut columns = Vec::with_capacity(pairs.len());
        for pair in &pairs {
            let from = input.get(&pair.input)?;
            columns.push(christen(self.params.column(from)?, from, &pair.output));
        }
        with_outputs(input, &pairs, columns)
    }

    fn reads(&self, input: &Schema) -> Vec<String> {
        names(self.pairs(input), |p| p.input)
    }

    fn writes(&self, input: &Schema) -> Vec<String> {
        names(self.pairs(input), |p| p.output)
    }

    fn params(&self) -> Value {
        to_state(&self.params)
    }
}

impl<P: Learn> Estimator for Learner<P> {
    type Model = P::Model;

    fn fit(&self, data: &Dataset, run: &Run) -> Result<Fitted<P::Model>> {
        self.params.learn(data, &self.pairs(data.schema())?, run)
    }
}

//! The stage and its fit.

use std::sync::Arc;

use emberline_pipeline::datasets::{Dataset, Schema, SchemaErrors};
use emberline_pipeline::persist::to_state;
use emberline_pipeline::predictor::ScalarModel;
use emberline_pipeline::{
    AnyStage, Component, Estimator, Fitted, Kind, ParamErrors, Registry, Run, Stage,
};
use serde_json::Value;

use super::params::DecisionTreeRegressorParams;
use crate::learner::LearnerColumns;
use crate::tree::ForestRegressor;
use crate::tree::fit::Learner;

/// Learns one tree of yes-no questions, each chosen to make the label on its two sides vary as little as can be.
///
/// - in: a vector column `(n, d)`, missing values and nominal slots included; a label `(n,)`; weights `(n,)` or none
/// - out: the mean label of the leaf `(n,)`, in the label's unit
/// - cost: O(depth n d) to fit, O(depth) a row to predict
///
/// Breiman, Friedman, Olshen, Stone (1984), Classification and Regression Trees. The rules of binning, ties, categories and
/// missing values are those of [`crate::tree`]. Nothing is drawn: the tree follows from the data alone.
/// # Errors
/// A label or weight that is missing, an infinite feature, no rows, or weights that are all zero.
#[derive(Debug, Clone)]
pub struct DecisionTreeRegressor {
    params: DecisionTreeRegressorParams,
}

impl DecisionTreeRegressor {
    fn learner(&self) -> Learner<'_> {
        let p = &self.params;
        Learner {
            name: Self::NAME,
            params: to_state(p),
            columns: LearnerColumns {
                features: &p.features_col,
                label: p.label_col.as_deref(),
                weight: p.weight_col.as_deref(),
            },
            limits: p.limits(),
            forest: Learner::single(),
            seed: None,
        }
    }
}

impl Component for DecisionTreeRegressor {
    const NAME: &'static str = "decision_tree_regressor";
    const SUMMARY: &'static str = "one tree of yes-no questions that predicts a number";
    const KIND: Kind = Kind::Regressor;
    type Params = DecisionTreeRegressorParams;

    fn build(params: DecisionTreeRegressorParams, _: &Registry) -> Result<Self, ParamErrors> {
        params.check()?;
        Ok(Self { params })
    }

    fn erase(self) -> AnyStage {
        AnyStage::Estimator(Arc::new(self))
    }
}

impl Stage for DecisionTreeRegressor {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn output_schema(&self, input: &Schema) -> Result<Schema, SchemaErrors> {
        self.learner()
            .regressor_schema(input, &self.params.prediction_col)
    }

    fn reads(&self, input: &Schema) -> Vec<String> {
        self.learner().columns.reads(input)
    }

    fn writes(&self, _: &Schema) -> Vec<String> {
        vec![self.params.prediction_col.clone()]
    }

    fn params(&self) -> Value {
        to_state(&self.params)
    }
}

impl Estimator for DecisionTreeRegressor {
    type Model = ScalarModel<ForestRegressor>;

    fn fit(&self, data: &Dataset, run: &Run) -> emberline_pipeline::Result<Fitted<Self::Model>> {
        self.learner()
            .fit_regressor(&self.params.prediction_col, data, run)
    }

    fn working_memory(&self, input: &Schema, rows: u64) -> Option<u64> {
        self.learner().memory_of(false, input, rows)
    }
}

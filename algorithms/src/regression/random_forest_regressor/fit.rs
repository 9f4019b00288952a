//! The stage and its fit.

use std::sync::Arc;

use emberline_pipeline::datasets::{Dataset, Schema, SchemaErrors};
use emberline_pipeline::persist::to_state;
use emberline_pipeline::predictor::ScalarModel;
use emberline_pipeline::{
    AnyStage, Component, Estimator, Fitted, Kind, ParamErrors, Registry, Run, Stage,
};
use serde_json::Value;

use super::params::RandomForestRegressorParams;
use crate::learner::LearnerColumns;
use crate::tree::ForestRegressor;
use crate::tree::fit::Learner;

/// Learns many trees, each on rows and features of its own draw; the prediction is their mean.
///
/// - in: a vector column `(n, d)`, missing values and nominal slots included; a label `(n,)`; weights `(n,)` or none
/// - out: the mean over trees of the mean label of their leaves `(n,)`, in the label's unit
/// - cost: O(trees depth n m) to fit with `m` features drawn at each node, O(trees depth) a row to predict
///
/// Breiman (2001), Random Forests, Machine Learning 45(1). Rows are drawn by row id and features by the path from the root,
/// so that partitions, threads and the order of growing change nothing. The other rules are those of [`crate::tree`].
/// Reported: importances by original column, `n_nodes`, `depth`, and with `oob_score` the R2 on rows that a tree did not
/// see, with the mean squared error after each tree as history.
/// # Errors
/// A label or weight that is missing, an infinite feature, no rows, or weights that are all zero.
#[derive(Debug, Clone)]
pub struct RandomForestRegressor {
    params: RandomForestRegressorParams,
}

impl RandomForestRegressor {
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
            forest: p.forest(),
            seed: p.seed,
        }
    }
}

impl Component for RandomForestRegressor {
    const NAME: &'static str = "random_forest_regressor";
    const SUMMARY: &'static str = "many randomised trees whose mean predicts a number";
    const KIND: Kind = Kind::Regressor;
    type Params = RandomForestRegressorParams;

    fn build(params: RandomForestRegressorParams, _: &Registry) -> Result<Self, ParamErrors> {
        params.check()?;
        Ok(Self { params })
    }

    fn erase(self) -> AnyStage {
        AnyStage::Estimator(Arc::new(self))
    }
}

impl Stage for RandomForestRegressor {
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

impl Estimator for RandomForestRegressor {
    type Model = ScalarModel<ForestRegressor>;

    fn fit(&self, data: &Dataset, run: &Run) -> emberline_pipeline::Result<Fitted<Self::Model>> {
        self.learner()
            .fit_regressor(&self.params.prediction_col, data, run)
    }

    fn working_memory(&self, input: &Schema, rows: u64) -> Option<u64> {
        self.learner().memory_of(false, input, rows)
    }
}

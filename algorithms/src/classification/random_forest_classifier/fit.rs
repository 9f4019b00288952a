//! The stage and its fit.

use std::sync::Arc;

use emberline_pipeline::datasets::{Dataset, Schema, SchemaErrors};
use emberline_pipeline::persist::to_state;
use emberline_pipeline::predictor::{ClassColumns, ClassifierModel};
use emberline_pipeline::{
    AnyStage, Component, Estimator, Fitted, Kind, ParamErrors, Registry, Run, Stage,
};
use serde_json::Value;

use super::params::RandomForestClassifierParams;
use crate::learner::LearnerColumns;
use crate::tree::ForestClassifier;
use crate::tree::fit::Learner;

/// Learns many trees, each on rows and features of its own draw, which vote with the class shares of their leaves.
///
/// - in: a vector column `(n, d)`, missing values and nominal slots included; a label of any type; weights `(n,)` or none
/// - out: the predicted label, the sum of votes as `raw_prediction` and their share as `probability` `(n, k)`
/// - cost: O(trees depth n m) to fit with `m` features drawn at each node, O(trees depth) a row to predict
///
/// Breiman (2001), Random Forests, Machine Learning 45(1). Rows are drawn by row id and features by the path from the root,
/// so that partitions, threads and the order of growing change nothing. The other rules are those of [`crate::tree`].
/// Reported: importances by original column, `n_nodes`, `depth`, and with `oob_score` the accuracy on rows that a tree did
/// not see, with the error after each tree as history.
/// # Errors
/// A label or weight that is missing, an infinite feature, no rows, one class only, or weights that are all zero.
#[derive(Debug, Clone)]
pub struct RandomForestClassifier {
    params: RandomForestClassifierParams,
}

impl RandomForestClassifier {
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

    fn columns(&self) -> ClassColumns {
        ClassColumns {
            prediction: self.params.prediction_col.clone(),
            raw_prediction: self.params.raw_prediction_col.clone(),
            probability: self.params.probability_col.clone(),
        }
    }
}

impl Component for RandomForestClassifier {
    const NAME: &'static str = "random_forest_classifier";
    const SUMMARY: &'static str = "many randomised trees that vote for a class";
    const KIND: Kind = Kind::Classifier;
    type Params = RandomForestClassifierParams;

    fn build(params: RandomForestClassifierParams, _: &Registry) -> Result<Self, ParamErrors> {
        params.check()?;
        Ok(Self { params })
    }

    fn erase(self) -> AnyStage {
        AnyStage::Estimator(Arc::new(self))
    }
}

impl Stage for RandomForestClassifier {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn output_schema(&self, input: &Schema) -> Result<Schema, SchemaErrors> {
        self.learner().classifier_schema(input, &self.columns())
    }

    fn reads(&self, input: &Schema) -> Vec<String> {
        self.learner().columns.reads(input)
    }

    fn writes(&self, _: &Schema) -> Vec<String> {
        self.columns().names()
    }

    fn params(&self) -> Value {
        to_state(&self.params)
    }
}

impl Estimator for RandomForestClassifier {
    type Model = ClassifierModel<ForestClassifier>;

    fn fit(&self, data: &Dataset, run: &Run) -> emberline_pipeline::Result<Fitted<Self::Model>> {
        let impurity = self.params.impurity;
        self.learner()
            .fit_classifier(impurity, self.columns(), data, run)
    }

    fn working_memory(&self, input: &Schema, rows: u64) -> Option<u64> {
        self.learner().memory_of(true, input, rows)
    }
}

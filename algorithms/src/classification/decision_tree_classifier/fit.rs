//! The stage and its fit.

use std::sync::Arc;

use emberline_pipeline::datasets::{Dataset, Schema, SchemaErrors};
use emberline_pipeline::persist::to_state;
use emberline_pipeline::predictor::{ClassColumns, ClassifierModel};
use emberline_pipeline::{
    AnyStage, Component, Estimator, Fitted, Kind, ParamErrors, Registry, Run, Stage,
};
use serde_json::Value;

use super::params::DecisionTreeClassifierParams;
use crate::learner::LearnerColumns;
use crate::tree::ForestClassifier;
use crate::tree::fit::Learner;

/// Learns one tree of yes-no questions, each chosen to make the classes on its two sides as pure as can be.
///
/// - in: a vector column `(n, d)`, missing values and nominal slots included; a label of any type; weights `(n,)` or none
/// - out: the predicted label, the class shares of the leaf as `raw_prediction` and `probability` `(n, k)`
/// - cost: O(depth n d) to fit, O(depth) a row to predict
///
/// Breiman, Friedman, Olshen, Stone (1984), Classification and Regression Trees. The rules of binning, ties, categories and
/// missing values are those of [`crate::tree`]. Nothing is drawn: the tree follows from the data alone.
/// # Errors
/// A label or weight that is missing, an infinite feature, no rows, one class only, or weights that are all zero.
#[derive(Debug, Clone)]
pub struct DecisionTreeClassifier {
    params: DecisionTreeClassifierParams,
}

impl DecisionTreeClassifier {
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

    fn columns(&self) -> ClassColumns {
        ClassColumns {
            prediction: self.params.prediction_col.clone(),
            raw_prediction: self.params.raw_prediction_col.clone(),
            probability: self.params.probability_col.clone(),
        }
    }
}

impl Component for DecisionTreeClassifier {
    const NAME: &'static str = "decision_tree_classifier";
    const SUMMARY: &'static str = "one tree of yes-no questions that predicts a class";
    const KIND: Kind = Kind::Classifier;
    type Params = DecisionTreeClassifierParams;

    fn build(params: DecisionTreeClassifierParams, _: &Registry) -> Result<Self, ParamErrors> {
        params.check()?;
        Ok(Self { params })
    }

    fn erase(self) -> AnyStage {
        AnyStage::Estimator(Arc::new(self))
    }
}

impl Stage for DecisionTreeClassifier {
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

impl Estimator for DecisionTreeClassifier {
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

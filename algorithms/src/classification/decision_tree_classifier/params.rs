//! Parameters of the decision tree classifier.

use emberline_pipeline::{ParamCheck, ParamErrors, ParamSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DecisionTreeClassifier;
use crate::tree::Impurity;
use crate::tree::settings::Limits;

/// Parameters of [`DecisionTreeClassifier`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DecisionTreeClassifierParams {
    /// Splits between the root and any leaf, at most; 0 to 100. Default: 5.
    #[schemars(range(max = 100))]
    pub max_depth: usize,
    /// Bins of a feature, at most; 2 to 255. Default: 255, where Spark has 32: bins of one byte cost the same up to there,
    /// and more thresholds are seldom worse.
    #[schemars(range(min = 2, max = 255))]
    pub max_bins: usize,
    /// Rows in a child, at least; a row drawn twice counts twice. Default: 1.
    #[schemars(range(min = 1))]
    pub min_instances_per_node: u64,
    /// Share of the tree's weight in a child, at least, in `[0, 0.5)`. Default: 0.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 0.5))]
    pub min_weight_fraction_per_node: f64,
    /// Decrease of impurity by a split, at least, 0 or more; at 0 a split that gains nothing is still
    /// made. Default: 0.
    #[schemars(range(min = 0.0))]
    pub min_info_gain: f64,
    /// What a split makes purer: `gini` or `entropy`. Default: `gini`.
    pub impurity: Impurity,
    /// The vector column of features. Default: `features`.
    pub features_col: String,
    /// The column to predict. Default: the one with the role `label`, else `label`.
    pub label_col: Option<String>,
    /// Row weights. Default: the column with the role `weight`, if any.
    pub weight_col: Option<String>,
    /// Column for the predicted label, of the label's own type. Default: `prediction`.
    pub prediction_col: String,
    /// Column for the votes, one a class: the sum over trees of the class shares in their leaves. Default: `raw_prediction`.
    pub raw_prediction_col: String,
    /// Column for the votes divided by their sum. Default: `probability`.
    pub probability_col: String,
}

impl Default for DecisionTreeClassifierParams {
    fn default() -> Self {
        Self {
            max_depth: 5,
            max_bins: 255,
            min_instances_per_node: 1,
            min_weight_fraction_per_node: 0.0,
            min_info_gain: 0.0,
            impurity: Impurity::default(),
            features_col: "features".to_owned(),
            label_col: None,
            weight_col: None,
            prediction_col: "prediction".to_owned(),
            raw_prediction_col: "raw_prediction".to_owned(),
            probability_col: "probability".to_owned(),
        }
    }
}

impl ParamSet for DecisionTreeClassifierParams {
    type Stage = DecisionTreeClassifier;
}

impl DecisionTreeClassifierParams {
    pub(super) fn check(&self) -> Result<(), ParamErrors> {
        let mut check = ParamCheck::new();
        self.limits().check(&mut check);
        for (name, column) in [
            ("features_col", &self.features_col),
            ("prediction_col", &self.prediction_col),
            ("raw_prediction_col", &self.raw_prediction_col),
            ("probability_col", &self.probability_col),
        ] {
            check.require(name, "an empty name", "a column name", !column.is_empty());
        }
        check.finish()
    }

    /// When growth stops.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            max_depth: self.max_depth,
            max_bins: self.max_bins,
            min_instances_per_node: self.min_instances_per_node,
            min_weight_fraction_per_node: self.min_weight_fraction_per_node,
            min_info_gain: self.min_info_gain,
        }
    }
}

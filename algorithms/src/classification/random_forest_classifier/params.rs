//! Parameters of the random forest classifier.

use emberline_pipeline::{ParamCheck, ParamErrors, ParamSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RandomForestClassifier;
use crate::tree::settings::{ForestLimits, Limits};
use crate::tree::{FeatureSubset, Impurity};

/// Parameters of [`RandomForestClassifier`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RandomForestClassifierParams {
    /// Number of trees, 1 to 100000. Default: 100, where Spark has 20: more trees are never worse but for time.
    #[schemars(range(min = 1, max = 100000))]
    pub num_trees: usize,
    /// Features drawn afresh at each node: `auto` (`sqrt`; `all` for one tree), `all`, `sqrt`, `log2`,
    /// `onethird`, a fraction (0.5) or a count (5). Features that are constant at the node do not count. Default: `auto`.
    pub feature_subset_strategy: FeatureSubset,
    /// Draw the rows of each tree with replacement (Poisson counts). Default: true.
    pub bootstrap: bool,
    /// Rows drawn for each tree, as a share of all, in (0, 1]. Default: 1.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub subsampling_rate: f64,
    /// Score the forest on the rows that its trees did not see; reported as `oob_score`. Default: false.
    pub oob_score: bool,
    /// Seed of the draws. Default: that of the run.
    pub seed: Option<u64>,
    /// Splits between the root and any leaf, at most; 0 to 100. Default: 20, where Spark has 5: trees of a forest should be deep.
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

impl Default for RandomForestClassifierParams {
    fn default() -> Self {
        Self {
            num_trees: 100,
            feature_subset_strategy: FeatureSubset::Auto,
            bootstrap: true,
            subsampling_rate: 1.0,
            oob_score: false,
            seed: None,
            max_depth: 20,
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

impl ParamSet for RandomForestClassifierParams {
    type Stage = RandomForestClassifier;
}

impl RandomForestClassifierParams {
    pub(super) fn check(&self) -> Result<(), ParamErrors> {
        let mut check = ParamCheck::new();
        self.forest().check(&mut check);
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

    /// What the forest has beyond a tree.
    pub(super) fn forest(&self) -> ForestLimits {
        ForestLimits {
            num_trees: self.num_trees,
            subset: self.feature_subset_strategy,
            bootstrap: self.bootstrap,
            subsampling_rate: self.subsampling_rate,
            oob_score: self.oob_score,
        }
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

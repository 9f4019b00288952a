//! Parameters of PCA.

use emberline_pipeline::{ParamCheck, ParamErrors, ParamSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Pca;

/// Parameters of [`Pca`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PcaParams {
    /// Number of components, at least 1 and at most the number of feature slots. Default: 2.
    #[schemars(range(min = 1))]
    pub k: usize,
    /// The vector column to project. Default: `features`.
    pub input: String,
    /// Name of the vector column of scores. Default: `pca_features`.
    pub output: String,
    /// Whether the mean of training is subtracted before projecting. Spark does not do so: set `false` to get its scores, which
    /// differ by a constant in each component. Default: true.
    pub center: bool,
}

impl Default for PcaParams {
    fn default() -> Self {
        Self {
            k: 2,
            input: "features".to_owned(),
            output: "pca_features".to_owned(),
            center: true,
        }
    }
}

impl ParamSet for PcaParams {
    type Stage = Pca;
}

impl PcaParams {
    pub(super) fn check(&self) -> Result<(), ParamErrors> {
        let mut check = ParamCheck::new();
        check.require("k", self.k, "at least 1", self.k >= 1);
        check.require(
            "input",
            "an empty name",
            "a column name",
            !self.input.is_empty(),
        );
        check.require(
            "output",
            "an empty name",
            "a column name",
            !self.output.is_empty(),
        );
        check.finish()
    }
}

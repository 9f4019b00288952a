//! Parameters of `normalizer`.

use emberline_pipeline::{ParamCheck, ParamSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Normalizer;
use crate::adapters::{ColumnParams, extended};
use crate::columns::InOut;

/// Parameters of [`Normalizer`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NormalizerParams {
    /// Vector column to normalise. Default, where `inputs` is not given either: `features`.
    pub input: Option<String>,
    /// Vector columns to normalise, each for itself: names, globs, `!name` to leave out.
    pub inputs: Vec<String>,
    /// Name of the normalised column. Default: in place.
    pub output: Option<String>,
    /// Names of the normalised columns, as many as inputs. Default: in place.
    pub outputs: Vec<String>,
    /// Order of the norm, at least 1: 1 (sum of absolute values), 2 (Euclid), `inf` (greatest absolute value), or between.
    /// Default: 2.
    #[serde(with = "extended")]
    #[schemars(with = "crate::adapters::Extended", extend("minimum" = 1.0))]
    pub p: f64,
}

impl Default for NormalizerParams {
    fn default() -> Self {
        Self {
            input: None,
            inputs: Vec::new(),
            output: None,
            outputs: Vec::new(),
            p: 2.0,
        }
    }
}

impl ParamSet for NormalizerParams {
    type Stage = Normalizer;
}

impl ColumnParams for NormalizerParams {
    const NAME: &'static str = "normalizer";
    const SUMMARY: &'static str = "divides each row by its p-norm";

    fn check(&self, check: &mut ParamCheck) -> InOut {
        check.require("p", self.p, "at least 1 (`inf` is allowed)", self.p >= 1.0);
        InOut::read(
            check,
            (&self.input, &self.inputs),
            (&self.output, &self.outputs),
            &["features"],
        )
    }
}

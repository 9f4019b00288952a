//! Parameters of `binarizer`.

use emberline_pipeline::{ParamCheck, ParamSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Binarizer;
use crate::adapters::ColumnParams;
use crate::columns::InOut;

/// Parameters of [`Binarizer`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
pub struct BinarizerParams {
    /// Column to binarise: a number or a vector. Give this or `inputs`.
    pub input: Option<String>,
    /// Columns to binarise: names, globs (which take numbers without a role), `!name` to leave out.
    pub inputs: Vec<String>,
    /// Name of the binary column. Default: the input's name and `_binary`.
    pub output: Option<String>,
    /// Names of the binary columns, as many as inputs. Default: each input's name and `_binary`.
    pub outputs: Vec<String>,
    /// Threshold of all columns, finite. Default: 0.
    pub threshold: Option<f64>,
    /// A threshold for each column, finite, instead of one for all.
    pub thresholds: Vec<f64>,
}

impl ParamSet for BinarizerParams {
    type Stage = Binarizer;
}

impl ColumnParams for BinarizerParams {
    const NAME: &'static str = "binarizer";
    const SUMMARY: &'static str = "writes 1 for numbers above a threshold and 0 for the others";

    fn check(&self, check: &mut ParamCheck) -> InOut {
        if self.threshold.is_some() && !self.thresholds.is_empty() {
            check.reject(
                "thresholds",
                "cannot stand beside `threshold`; give one of the two",
            );
        }
        for v in &self.thresholds {
            check.require("thresholds", v, "finite", v.is_finite());
        }
        if let Some(v) = self.threshold {
            check.require("threshold", v, "finite", v.is_finite());
        }
        InOut::read(
            check,
            (&self.input, &self.inputs),
            (&self.output, &self.outputs),
            &[],
        )
    }
}

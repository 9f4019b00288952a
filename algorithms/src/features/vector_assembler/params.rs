//! Parameters of the vector assembler.

use emberline_pipeline::datasets::Element;
use emberline_pipeline::{ParamCheck, ParamErrors, ParamSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::VectorAssembler;
use crate::adapters::HandleInvalid;

/// Parameters of [`VectorAssembler`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VectorAssemblerParams {
    /// Columns to put side by side: names, globs, `!name` to leave out. Numbers and vectors serve. Default: `["*"]`.
    pub inputs: Vec<String>,
    /// Name of the vector column. Default: `features`.
    pub output: String,
    /// What to do with missing values: `error`, `skip` the row, or `keep` them missing (trees can use them). Default: `error`.
    /// What is skipped or kept is counted, by column and reason, in the report of a run.
    pub handle_invalid: HandleInvalid,
    /// Width of the stored numbers: `f64`, or `f32` for half the memory. Default: `f64`.
    pub element: Element,
}

impl Default for VectorAssemblerParams {
    fn default() -> Self {
        Self {
            inputs: vec!["*".to_owned()],
            output: "features".to_owned(),
            handle_invalid: HandleInvalid::Error,
            element: Element::F64,
        }
    }
}

impl ParamSet for VectorAssemblerParams {
    type Stage = VectorAssembler;
}

impl VectorAssemblerParams {
    pub(super) fn check(&self) -> Result<(), ParamErrors> {
        let mut check = ParamCheck::new();
        check.require(
            "inputs",
            "an empty list",
            "a list of at least one column",
            !self.inputs.is_empty(),
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

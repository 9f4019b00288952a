//! Parameters of `vector_slicer`.

use emberline_pipeline::{ParamCheck, ParamSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::VectorSlicer;
use crate::adapters::ColumnParams;
use crate::columns::InOut;

/// Parameters of [`VectorSlicer`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
pub struct VectorSlicerParams {
    /// Vector column to slice. Default, where `inputs` is not given either: `features`.
    pub input: Option<String>,
    /// Vector columns to slice: names, globs, `!name` to leave out.
    pub inputs: Vec<String>,
    /// Name of the slice. Default: `sliced_` and the input's name.
    pub output: Option<String>,
    /// Names of the slices, as many as inputs. Default: `sliced_` and each input's name.
    pub outputs: Vec<String>,
    /// Positions of slots, from 0, none twice.
    pub indices: Vec<usize>,
    /// Names of slots, none twice.
    pub names: Vec<String>,
}

impl ParamSet for VectorSlicerParams {
    type Stage = VectorSlicer;
}

impl ColumnParams for VectorSlicerParams {
    const NAME: &'static str = "vector_slicer";
    const SUMMARY: &'static str = "takes some slots of a vector by position or name";

    fn check(&self, check: &mut ParamCheck) -> InOut {
        if self.indices.is_empty() && self.names.is_empty() {
            check.reject(
                "indices",
                "is empty, and so is `names`; choose at least one slot",
            );
        }
        for (i, index) in self.indices.iter().enumerate() {
            if self.indices[..i].contains(index) {
                check.reject("indices", format!("must not hold {index} twice"));
            }
        }
        for (i, name) in self.names.iter().enumerate() {
            if self.names[..i].contains(name) {
                check.reject("names", format!("must not hold `{name}` twice"));
            }
        }
        InOut::read(
            check,
            (&self.input, &self.inputs),
            (&self.output, &self.outputs),
            &["features"],
        )
    }
}

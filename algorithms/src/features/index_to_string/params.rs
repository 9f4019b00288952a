//! Parameters of `index_to_string`.

use emberline_pipeline::{ParamCheck, ParamSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::IndexToString;
use crate::adapters::ColumnParams;
use crate::columns::InOut;

/// Parameters of [`IndexToString`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
pub struct IndexToStringParams {
    /// Column of indices. Give this or `inputs`.
    pub input: Option<String>,
    /// Columns of indices: names, globs (which take indexed columns without a role), `!name` to leave out.
    pub inputs: Vec<String>,
    /// Name of the text column. Default: the input's name and `_string`.
    pub output: Option<String>,
    /// Names of the text columns, as many as inputs. Default: each input's name and `_string`.
    pub outputs: Vec<String>,
    /// The category behind each index, for all columns. Default: those each column carries from its `string_indexer`.
    pub labels: Vec<String>,
}

impl ParamSet for IndexToStringParams {
    type Stage = IndexToString;
}

impl ColumnParams for IndexToStringParams {
    const NAME: &'static str = "index_to_string";
    const SUMMARY: &'static str = "turns indices back into the categories they stand for";

    fn check(&self, check: &mut ParamCheck) -> InOut {
        InOut::read(
            check,
            (&self.input, &self.inputs),
            (&self.output, &self.outputs),
            &[],
        )
    }
}

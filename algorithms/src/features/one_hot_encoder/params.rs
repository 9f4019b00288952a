//! Parameters of the one-hot encoder.

use emberline_pipeline::{ParamCheck, ParamSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::OneHotEncoder;
use crate::adapters::ColumnParams;
use crate::columns::InOut;

/// What to do with a value that is no category of the column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OneHotInvalid {
    /// Refuse it, naming column and row.
    #[default]
    Error,
    /// Count it as one more category, after all others; under `drop_last` that is the one left out: all slots are 0.
    Keep,
}

/// Parameters of [`OneHotEncoder`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OneHotEncoderParams {
    /// Column to encode: indexed, boolean, or whole numbers from 0. Give this or `inputs`.
    pub input: Option<String>,
    /// Columns to encode: names, globs (which take indexed columns without a role), `!name` to leave out.
    pub inputs: Vec<String>,
    /// Name of the vector column. Default: the input's name without `_index`, and `_onehot`.
    pub output: Option<String>,
    /// Names of the vector columns, as many as inputs. Default: each input's name without `_index`, and `_onehot`.
    pub outputs: Vec<String>,
    /// Whether to leave out the slot of the last category. Default: true.
    pub drop_last: bool,
    /// What to do with missing values and values that are no category: `error`, or `keep` them as one more category.
    /// Default: `error`.
    /// What is kept is counted, by column and reason, in the report of a run.
    pub handle_invalid: OneHotInvalid,
}

impl Default for OneHotEncoderParams {
    fn default() -> Self {
        Self {
            input: None,
            inputs: Vec::new(),
            output: None,
            outputs: Vec::new(),
            drop_last: true,
            handle_invalid: OneHotInvalid::default(),
        }
    }
}

impl ParamSet for OneHotEncoderParams {
    type Stage = OneHotEncoder;
}

impl ColumnParams for OneHotEncoderParams {
    const NAME: &'static str = "one_hot_encoder";
    const SUMMARY: &'static str = "spreads each category over a slot of its own";

    fn check(&self, check: &mut ParamCheck) -> InOut {
        InOut::read(
            check,
            (&self.input, &self.inputs),
            (&self.output, &self.outputs),
            &[],
        )
    }
}

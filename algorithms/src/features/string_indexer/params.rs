//! Parameters of the string indexer.

use emberline_pipeline::{ParamCheck, ParamSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::StringIndexer;
use crate::adapters::{ColumnParams, HandleInvalid};
use crate::columns::InOut;

/// In which order categories are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StringOrderType {
    /// The most frequent first; ties in ascending order.
    #[default]
    FrequencyDesc,
    /// The least frequent first; ties in ascending order.
    FrequencyAsc,
    /// Ascending: text by its characters, integers by value.
    AlphabetAsc,
    /// Descending.
    AlphabetDesc,
}

/// Parameters of [`StringIndexer`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StringIndexerParams {
    /// Column to index: text, booleans or integers. Give this or `inputs`.
    pub input: Option<String>,
    /// Columns to index: names, globs (which take text columns without a role), `!name` to leave out.
    pub inputs: Vec<String>,
    /// Name of the indexed column. Default: the input's name and `_index`.
    pub output: Option<String>,
    /// Names of the indexed columns, as many as inputs. Default: each input's name and `_index`.
    pub outputs: Vec<String>,
    /// Order of the numbers: `frequency_desc`, `frequency_asc`, `alphabet_asc` or `alphabet_desc`. Default: `frequency_desc`.
    pub string_order_type: StringOrderType,
    /// What to do with missing values and categories not seen in training: `error`, `skip` the row, or `keep` them together
    /// under one more index, after all others, named `__unknown__`. Default: `error`.
    /// What is skipped or kept is counted, by column and reason, in the report of a run.
    pub handle_invalid: HandleInvalid,
    /// Most distinct values a column may have, at least 1: a column of free text or numbers is stopped early. Default: 100000.
    #[schemars(range(min = 1))]
    pub max_categories: usize,
}

impl Default for StringIndexerParams {
    fn default() -> Self {
        Self {
            input: None,
            inputs: Vec::new(),
            output: None,
            outputs: Vec::new(),
            string_order_type: StringOrderType::default(),
            handle_invalid: HandleInvalid::default(),
            max_categories: 100_000,
        }
    }
}

impl ParamSet for StringIndexerParams {
    type Stage = StringIndexer;
}

impl ColumnParams for StringIndexerParams {
    const NAME: &'static str = "string_indexer";
    const SUMMARY: &'static str = "numbers the categories of text, boolean or integer columns";

    fn check(&self, check: &mut ParamCheck) -> InOut {
        check.require(
            "max_categories",
            self.max_categories,
            "at least 1",
            self.max_categories >= 1,
        );
        InOut::read(
            check,
            (&self.input, &self.inputs),
            (&self.output, &self.outputs),
            &[],
        )
    }
}

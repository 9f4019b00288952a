//! Parameters of `bucketizer`.

use emberline_pipeline::{ParamCheck, ParamSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Bucketizer;
use crate::adapters::{ColumnParams, HandleInvalid, extended_list, extended_lists};
use crate::columns::InOut;

/// Parameters of [`Bucketizer`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
pub struct BucketizerParams {
    /// Column to bucket: a number. Give this or `inputs`.
    pub input: Option<String>,
    /// Columns to bucket: names, globs (which take numbers without a role), `!name` to leave out.
    pub inputs: Vec<String>,
    /// Name of the bucketed column. Default: the input's name and `_bucket`.
    pub output: Option<String>,
    /// Names of the bucketed columns, as many as inputs. Default: each input's name and `_bucket`.
    pub outputs: Vec<String>,
    /// Ends of the buckets of all columns: at least three numbers, increasing; the first may be `-inf`, the last `inf`.
    #[serde(with = "extended_list")]
    #[schemars(with = "Vec<crate::adapters::Extended>")]
    pub splits: Vec<f64>,
    /// Splits for each column, instead of one list for all.
    #[serde(with = "extended_lists")]
    #[schemars(with = "Vec<Vec<crate::adapters::Extended>>")]
    pub splits_array: Vec<Vec<f64>>,
    /// What to do with missing values: `error`, `skip` the row, or `keep` it in one more bucket, after all others, named
    /// `__missing__`. Default: `error`.
    /// What is skipped or kept is counted, by column and reason, in the report of a run.
    pub handle_invalid: HandleInvalid,
}

impl ParamSet for BucketizerParams {
    type Stage = Bucketizer;
}

impl ColumnParams for BucketizerParams {
    const NAME: &'static str = "bucketizer";
    const SUMMARY: &'static str = "numbers the bucket each value falls into, by given splits";

    fn check(&self, check: &mut ParamCheck) -> InOut {
        if self.splits.is_empty() == self.splits_array.is_empty() {
            check.reject("splits", "or `splits_array` must be given, and not both");
        }
        for (name, list) in self
            .splits_array
            .iter()
            .map(|l| ("splits_array", l))
            .chain([("splits", &self.splits)])
        {
            let increasing = list.windows(2).all(|w| w[0] < w[1]);
            if !list.is_empty() && (list.len() < 3 || !increasing) {
                check.reject(
                    name,
                    format!("must be at least three increasing numbers, got {list:?}"),
                );
            }
        }
        InOut::read(
            check,
            (&self.input, &self.inputs),
            (&self.output, &self.outputs),
            &[],
        )
    }
}

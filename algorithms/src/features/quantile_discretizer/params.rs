//! Parameters of the quantile discretizer, and how it finds its splits.

use emberline_pipeline::datasets::{Column, Dataset, SchemaError};
use emberline_pipeline::{FitReport, Fitted, ParamCheck, ParamSet, Result, Run};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{QuantileDiscretizer, QuantileDiscretizerModel};
use crate::adapters::{ColumnMapper, ColumnParams, HandleInvalid, Learn};
use crate::columns::{Choice, InOut, Pair};
use crate::features::bucketizer::{Buckets, bucketed, bucketed_columns};
use crate::stats::{no_values, quantile_lower, sorted_values};

/// More buckets than this are no longer buckets; each costs time and a number in the model, whatever the rows.
const MOST_BUCKETS: usize = 65_536;

/// Parameters of [`QuantileDiscretizer`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QuantileDiscretizerParams {
    /// Column to bucket: a number. Give this or `inputs`.
    pub input: Option<String>,
    /// Columns to bucket: names, globs (which take numbers without a role), `!name` to leave out.
    pub inputs: Vec<String>,
    /// Name of the bucketed column. Default: the input's name and `_bucket`.
    pub output: Option<String>,
    /// Names of the bucketed columns, as many as inputs. Default: each input's name and `_bucket`.
    pub outputs: Vec<String>,
    /// Number of buckets of all columns, 2 to 65,536. Default: 2.
    #[schemars(range(min = 2, max = 65536))]
    pub num_buckets: usize,
    /// Number of buckets for each column, 2 to 65,536, instead of one number for all.
    pub num_buckets_array: Vec<usize>,
    /// What to do with missing values: `error`, `skip` the row, or `keep` it in one more bucket, after all others, named
    /// `__missing__`. Default: `error`.
    /// What is skipped or kept is counted, by column and reason, in the report of a run.
    pub handle_invalid: HandleInvalid,
}

impl Default for QuantileDiscretizerParams {
    fn default() -> Self {
        Self {
            input: None,
            inputs: Vec::new(),
            output: None,
            outputs: Vec::new(),
            num_buckets: 2,
            num_buckets_array: Vec::new(),
            handle_invalid: HandleInvalid::default(),
        }
    }
}

impl ParamSet for QuantileDiscretizerParams {
    type Stage = QuantileDiscretizer;
}

impl ColumnParams for QuantileDiscretizerParams {
    const NAME: &'static str = "quantile_discretizer";
    const SUMMARY: &'static str =
        "numbers the bucket each value falls into, with buckets of about equal size";

    fn check(&self, check: &mut ParamCheck) -> InOut {
        let rule = format!("between 2 and {MOST_BUCKETS}");
        let holds = |n: usize| (2..=MOST_BUCKETS).contains(&n);
        let n = self.num_buckets;
        check.require("num_buckets", n, &rule, holds(n));
        for n in &self.num_buckets_array {
            check.require("num_buckets_array", n, &rule, holds(*n));
        }
        InOut::read(
            check,
            (&self.input, &self.inputs),
            (&self.output, &self.outputs),
            &[],
        )
    }
}

impl Learn for QuantileDiscretizerParams {
    type Model = QuantileDiscretizerModel;

    fn choice(&self) -> Choice {
        bucketed_columns()
    }

    fn column(&self, _: &Column) -> std::result::Result<Column, SchemaError> {
        Ok(bucketed(Vec::new()))
    }

    fn check_columns(&self, pairs: &[Pair]) -> std::result::Result<(), SchemaError> {
        let given = self.num_buckets_array.len();
        if given == 0 || given == pairs.len() {
            return Ok(());
        }
        Err(SchemaError::Rule(format!(
            "`num_buckets_array` has {given} numbers for {} columns",
            pairs.len()
        )))
    }

    fn learn(
        &self,
        data: &Dataset,
        pairs: &[Pair],
        run: &Run,
    ) -> Result<Fitted<QuantileDiscretizerModel>> {
        let given = &self.num_buckets_array;
        let columns: Vec<String> = pairs.iter().map(|p| p.input.clone()).collect();
        let mut report = FitReport {
            rounds: 1,
            ..FitReport::default()
        };
        let mut splits = Vec::with_capacity(pairs.len());
        report.rows = sorted_values(data, &columns, None, columns.len(), run, |j, values| {
            let n = given.get(j).copied().unwrap_or(self.num_buckets);
            let mut own = vec![f64::NEG_INFINITY];
            for i in 1..n {
                // Adding 0 makes -0 and 0 one split.
                let split = quantile_lower(values, i as f64 / n as f64)
                    .ok_or_else(|| no_values(&columns[j]))?
                    + 0.0;
                if own.last() != Some(&split) {
                    own.push(split);
                }
            }
            if own.len() < n {
                let message = format!(
                    "column `{}`: many rows share a value, {} of {n} buckets are left",
                    columns[j],
                    own.len()
                );
                report.warnings.push(message);
            }
            own.push(f64::INFINITY);
            splits.push(own);
            Ok(())
        })?;
        let map = Buckets::new(splits, self.handle_invalid);
        Ok(Fitted {
            model: ColumnMapper::fitted(pairs, self, map),
            report,
        })
    }
}

//! Parameters of the imputer.

use emberline_pipeline::{ParamCheck, ParamSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Imputer;
use crate::adapters::ColumnParams;
use crate::columns::InOut;

/// What a missing value becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The mean of the column's values.
    #[default]
    Mean,
    /// Their median.
    Median,
    /// The most frequent of them; the least of several.
    Mode,
    /// The given `value`.
    Constant,
}

/// A constant to fill in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FillValue {
    /// For numeric columns.
    Number(f64),
    /// For text columns.
    Text(String),
}

/// Parameters of [`Imputer`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
pub struct ImputerParams {
    /// Column to fill. Give this or `inputs`.
    pub input: Option<String>,
    /// Columns to fill: names, globs (which take the columns without a role that the strategy can fill, but no indices of
    /// categories), `!name` to leave out.
    pub inputs: Vec<String>,
    /// Name of the filled column. Default: in place.
    pub output: Option<String>,
    /// Names of the filled columns, as many as inputs. Default: in place.
    pub outputs: Vec<String>,
    /// What to fill in: `mean`, `median`, `mode` or `constant`. Default: `mean`.
    pub strategy: Strategy,
    /// What `constant` fills in: a finite number for numeric columns, a text for text columns. No default.
    pub value: Option<FillValue>,
    /// A finite number that stands for "missing" in numeric columns, besides null and NaN. Default: none.
    pub missing_value: Option<f64>,
    /// Whether a column without any value is left as it is. Default: false (it is an error).
    pub keep_empty: bool,
}

impl ParamSet for ImputerParams {
    type Stage = Imputer;
}

impl ColumnParams for ImputerParams {
    const NAME: &'static str = "imputer";
    const SUMMARY: &'static str =
        "fills missing values with mean, median, most frequent value or a constant";

    fn check(&self, check: &mut ParamCheck) -> InOut {
        match (&self.value, self.strategy) {
            (None, Strategy::Constant) => check.reject(
                "value",
                "is missing; `strategy = \"constant\"` needs a number or a text",
            ),
            (Some(FillValue::Number(v)), Strategy::Constant) => {
                check.require("value", v, "finite", v.is_finite())
            }
            (Some(_), Strategy::Mean | Strategy::Median | Strategy::Mode) => {
                check.reject("value", "is used by `strategy = \"constant\"` alone");
            }
            _ => {}
        }
        if let Some(v) = self.missing_value {
            check.require(
                "missing_value",
                v,
                "finite (null and NaN are missing anyway)",
                v.is_finite(),
            );
        }
        InOut::read(
            check,
            (&self.input, &self.inputs),
            (&self.output, &self.outputs),
            &[],
        )
    }
}

//! Parameters of `polynomial_expansion`.

use emberline_pipeline::{ParamCheck, ParamSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PolynomialExpansion;
use crate::adapters::ColumnParams;
use crate::columns::InOut;

/// Parameters of [`PolynomialExpansion`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PolynomialExpansionParams {
    /// Column to expand: a vector or a number. Default, where `inputs` is not given either: `features`.
    pub input: Option<String>,
    /// Columns to expand, each for itself: names, globs (which take vectors), `!name` to leave out.
    pub inputs: Vec<String>,
    /// Name of the expanded column. Default: `polynomial_` and the input's name.
    pub output: Option<String>,
    /// Names of the expanded columns, as many as inputs. Default: `polynomial_` and each input's name.
    pub outputs: Vec<String>,
    /// Greatest sum of exponents of a term, 1 to 64. Default: 2.
    #[schemars(range(min = 1, max = 64))]
    pub degree: u32,
}

impl Default for PolynomialExpansionParams {
    fn default() -> Self {
        Self {
            input: None,
            inputs: Vec::new(),
            output: None,
            outputs: Vec::new(),
            degree: 2,
        }
    }
}

impl ParamSet for PolynomialExpansionParams {
    type Stage = PolynomialExpansion;
}

impl ColumnParams for PolynomialExpansionParams {
    const NAME: &'static str = "polynomial_expansion";
    const SUMMARY: &'static str = "adds powers and products of the slots of a vector";

    fn check(&self, check: &mut ParamCheck) -> InOut {
        check.require(
            "degree",
            self.degree,
            "from 1 to 64",
            (1..=64).contains(&self.degree),
        );
        InOut::read(
            check,
            (&self.input, &self.inputs),
            (&self.output, &self.outputs),
            &["features"],
        )
    }
}

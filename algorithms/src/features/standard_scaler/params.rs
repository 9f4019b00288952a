//! Parameters of the standard scaler, and how they turn moments into scales.

use emberline_pipeline::datasets::{DataError, Dataset, Moments};
use emberline_pipeline::{ParamCheck, ParamSet, Result, Run};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::StandardScaler;
use crate::adapters::{ColumnParams, ScalerParams, SlotScale, slot_names};
use crate::columns::InOut;
use crate::stats::present_moments;

/// Parameters of [`StandardScaler`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StandardScalerParams {
    /// Column to scale: a vector or a number. Default, where `inputs` is not given either: `features`.
    pub input: Option<String>,
    /// Columns to scale: names, globs (which take numbers without a role), `!name` to leave out.
    pub inputs: Vec<String>,
    /// Name of the scaled column. Default: in place.
    pub output: Option<String>,
    /// Names of the scaled columns, as many as inputs. Default: in place.
    pub outputs: Vec<String>,
    /// Whether to take the mean away. Makes sparse data dense. Default: false.
    pub with_mean: bool,
    /// Whether to divide by the standard deviation. Default: true.
    pub with_std: bool,
}

impl Default for StandardScalerParams {
    fn default() -> Self {
        Self {
            input: None,
            inputs: Vec::new(),
            output: None,
            outputs: Vec::new(),
            with_mean: false,
            with_std: true,
        }
    }
}

impl ParamSet for StandardScalerParams {
    type Stage = StandardScaler;
}

impl ColumnParams for StandardScalerParams {
    const NAME: &'static str = "standard_scaler";
    const SUMMARY: &'static str =
        "divides each feature by its standard deviation, after taking its mean away if asked";

    fn check(&self, check: &mut ParamCheck) -> InOut {
        if !self.with_mean && !self.with_std {
            check.reject(
                "with_std",
                "must be true where `with_mean` is false, else nothing is scaled",
            );
        }
        InOut::read(
            check,
            (&self.input, &self.inputs),
            (&self.output, &self.outputs),
            &["features"],
        )
    }
}

impl ScalerParams for StandardScalerParams {
    fn slots(
        &self,
        data: &Dataset,
        columns: &[String],
        run: &Run,
    ) -> Result<(Vec<SlotScale>, u64)> {
        let found = present_moments(data, columns, run)?;
        // Deviations of these very rows must be numbers too, or their scaled values are none.
        let reach = |end: Option<f64>, mean: f64| end.is_none_or(|v| (v - mean).is_finite());
        let fits = |m: &Moments| {
            let mean = if self.with_mean { m.mean() } else { 0.0 };
            m.sd().is_finite() && reach(m.min(), mean) && reach(m.max(), mean)
        };
        if let Some(j) = found.slots.iter().position(|m| !fits(m))
            && self.with_std
        {
            let name = slot_names(data, columns).swap_remove(j);
            return Err(DataError::Unusable(format!(
                "column `{name}`: its values lie so far apart that their deviations are beyond any number; divide them before this stage, or set `with_std = false`"
            ))
            .into());
        }
        let scale = |sd: f64| if self.with_std && sd > 0.0 { sd } else { 1.0 };
        let slots = found.slots.iter().map(|m| {
            (
                if self.with_mean { m.mean() } else { 0.0 },
                Some(scale(m.sd())),
            )
        });
        Ok((slots.collect(), found.rows))
    }
}

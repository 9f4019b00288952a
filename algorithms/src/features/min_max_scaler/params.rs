//! Parameters of the min max scaler, and how they turn statistics into scales.

use emberline_pipeline::datasets::{DataError, Dataset};
use emberline_pipeline::{ParamCheck, ParamSet, Result, Run};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::MinMaxScaler;
use crate::adapters::{ColumnParams, ScalerParams, SlotScale, slot_names};
use crate::columns::InOut;
use crate::stats::present_moments;

/// Parameters of [`MinMaxScaler`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MinMaxScalerParams {
    /// Column to scale: a vector or a number. Default, where `inputs` is not given either: `features`.
    pub input: Option<String>,
    /// Columns to scale: names, globs (which take numbers without a role), `!name` to leave out.
    pub inputs: Vec<String>,
    /// Name of the scaled column. Default: in place.
    pub output: Option<String>,
    /// Names of the scaled columns, as many as inputs. Default: in place.
    pub outputs: Vec<String>,
    /// Lower end of the range, finite and below `max`. Default: 0.
    pub min: f64,
    /// Upper end of the range, finite. Default: 1.
    pub max: f64,
}

impl Default for MinMaxScalerParams {
    fn default() -> Self {
        Self {
            input: None,
            inputs: Vec::new(),
            output: None,
            outputs: Vec::new(),
            min: 0.0,
            max: 1.0,
        }
    }
}

impl ParamSet for MinMaxScalerParams {
    type Stage = MinMaxScaler;
}

impl ColumnParams for MinMaxScalerParams {
    const NAME: &'static str = "min_max_scaler";
    const SUMMARY: &'static str = "stretches each feature over the range from `min` to `max`";

    fn check(&self, check: &mut ParamCheck) -> InOut {
        check.require("min", self.min, "finite", self.min.is_finite());
        check.require("max", self.max, "finite", self.max.is_finite());
        check.require(
            "min",
            self.min,
            &format!("below `max` ({})", self.max),
            self.min < self.max,
        );
        InOut::read(
            check,
            (&self.input, &self.inputs),
            (&self.output, &self.outputs),
            &["features"],
        )
    }
}

impl ScalerParams for MinMaxScalerParams {
    fn slots(
        &self,
        data: &Dataset,
        columns: &[String],
        run: &Run,
    ) -> Result<(Vec<SlotScale>, u64)> {
        let found = present_moments(data, columns, run)?;
        let mut slots = Vec::with_capacity(found.slots.len());
        for (j, m) in found.slots.iter().enumerate() {
            let (least, greatest) = (m.min().unwrap_or(0.0), m.max().unwrap_or(0.0));
            let range = greatest - least;
            if !range.is_finite() {
                let name = slot_names(data, columns).swap_remove(j);
                let message = format!(
                    "column `{name}` ranges from {least:e} to {greatest:e}: the difference overflows"
                );
                return Err(DataError::Unusable(message).into());
            }
            slots.push((least, (range > 0.0).then_some(range)));
        }
        Ok((slots, found.rows))
    }

    fn range(&self) -> (f64, f64) {
        (self.max - self.min, self.min)
    }
}

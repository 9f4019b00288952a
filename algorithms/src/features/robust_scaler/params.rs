//! Parameters of the robust scaler, and how they turn statistics into scales.

use emberline_pipeline::datasets::Dataset;
use emberline_pipeline::{ParamCheck, ParamSet, Result, Run};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RobustScaler;
use crate::adapters::{ColumnParams, ScalerParams, SlotScale, slot_names};
use crate::columns::InOut;
use crate::stats::{no_values, quantile_linear, sorted_values};

/// Parameters of [`RobustScaler`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RobustScalerParams {
    /// Column to scale: a vector or a number. Default, where `inputs` is not given either: `features`.
    pub input: Option<String>,
    /// Columns to scale: names, globs (which take numbers without a role), `!name` to leave out.
    pub inputs: Vec<String>,
    /// Name of the scaled column. Default: in place.
    pub output: Option<String>,
    /// Names of the scaled columns, as many as inputs. Default: in place.
    pub outputs: Vec<String>,
    /// Lower quantile, from 0, below `upper` and 1. Default: 0.25.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub lower: f64,
    /// Upper quantile, above `lower` and 0, at most 1. Default: 0.75.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub upper: f64,
    /// Whether to take the median away. Default: false.
    pub with_centering: bool,
    /// Whether to divide by the distance between the quantiles. Default: true.
    pub with_scaling: bool,
}

impl Default for RobustScalerParams {
    fn default() -> Self {
        Self {
            input: None,
            inputs: Vec::new(),
            output: None,
            outputs: Vec::new(),
            lower: 0.25,
            upper: 0.75,
            with_centering: false,
            with_scaling: true,
        }
    }
}

impl ParamSet for RobustScalerParams {
    type Stage = RobustScaler;
}

impl ColumnParams for RobustScalerParams {
    const NAME: &'static str = "robust_scaler";
    const SUMMARY: &'static str =
        "divides each feature by a quantile range, after taking its median away if asked";

    fn check(&self, check: &mut ParamCheck) -> InOut {
        // One mistake is one report: an `upper` that no `lower` could be below is at fault alone.
        let fits = self.upper > 0.0 && self.upper <= 1.0;
        check.require(
            "lower",
            self.lower,
            &format!("from 0 and below `upper` ({})", self.upper),
            self.lower >= 0.0 && (!fits || self.lower < self.upper),
        );
        check.require("upper", self.upper, "above 0 and at most 1", fits);
        if !self.with_centering && !self.with_scaling {
            check.reject(
                "with_scaling",
                "must be true where `with_centering` is false, else nothing is scaled",
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

impl ScalerParams for RobustScalerParams {
    fn slots(
        &self,
        data: &Dataset,
        columns: &[String],
        run: &Run,
    ) -> Result<(Vec<SlotScale>, u64)> {
        let names = slot_names(data, columns);
        let mut slots = Vec::with_capacity(names.len());
        let rows = sorted_values(data, columns, None, names.len(), run, |j, values| {
            let at = |p| quantile_linear(values, p).ok_or_else(|| no_values(&names[j]));
            let distance = at(self.upper)? - at(self.lower)?;
            let scaled = self.with_scaling && distance > 0.0 && distance.is_finite();
            slots.push((
                if self.with_centering { at(0.5)? } else { 0.0 },
                Some(if scaled { distance } else { 1.0 }),
            ));
            Ok(())
        })?;
        Ok((slots, rows))
    }
}

//! Parameters of the max abs scaler, and how they turn statistics into scales.

use emberline_pipeline::datasets::Dataset;
use emberline_pipeline::{ParamCheck, ParamSet, Result, Run};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::MaxAbsScaler;
use crate::adapters::{ColumnParams, ScalerParams, SlotScale};
use crate::columns::InOut;
use crate::stats::present_moments;

/// Parameters of [`MaxAbsScaler`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
pub struct MaxAbsScalerParams {
    /// Column to scale: a vector or a number. Default, where `inputs` is not given either: `features`.
    pub input: Option<String>,
    /// Columns to scale: names, globs (which take numbers without a role), `!name` to leave out.
    pub inputs: Vec<String>,
    /// Name of the scaled column. Default: in place.
    pub output: Option<String>,
    /// Names of the scaled columns, as many as inputs. Default: in place.
    pub outputs: Vec<String>,
}

impl ParamSet for MaxAbsScalerParams {
    type Stage = MaxAbsScaler;
}

impl ColumnParams for MaxAbsScalerParams {
    const NAME: &'static str = "max_abs_scaler";
    const SUMMARY: &'static str = "divides each feature by its greatest absolute value";

    fn check(&self, check: &mut ParamCheck) -> InOut {
        InOut::read(
            check,
            (&self.input, &self.inputs),
            (&self.output, &self.outputs),
            &["features"],
        )
    }
}

impl ScalerParams for MaxAbsScalerParams {
    fn slots(
        &self,
        data: &Dataset,
        columns: &[String],
        run: &Run,
    ) -> Result<(Vec<SlotScale>, u64)> {
        let found = present_moments(data, columns, run)?;
        let slots = found.slots.iter().map(|m| {
            let greatest = m
                .max()
                .unwrap_or(0.0)
                .abs()
                .max(m.min().unwrap_or(0.0).abs());
            (0.0, Some(if greatest > 0.0 { greatest } else { 1.0 }))
        });
        Ok((slots.collect(), found.rows))
    }
}

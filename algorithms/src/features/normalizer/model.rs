//! From a row to its direction.

use emberline_pipeline::datasets::{Attribute, Column, SchemaError};
use emberline_pipeline::persist::{state, to_state};
use emberline_pipeline::{Arrays, ModelError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::params::NormalizerParams;
use crate::adapters::{Refusal, VectorMap, VectorRule, elementwise, extended};
use crate::columns::Choice;

/// The norm rows are divided by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Norm {
    #[serde(with = "extended")]
    p: f64,
}

impl Norm {
    /// The norm of finite numbers.
    fn of(&self, x: &[f64]) -> f64 {
        let greatest = x.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        if greatest == 0.0 || self.p.is_infinite() {
            return greatest;
        }
        if self.p == 1.0 {
            return x.iter().map(|v| v.abs()).sum();
        }
        // Shares of the greatest value: no power overflows or vanishes.
        let share = |v: &f64| v.abs() / greatest;
        if self.p == 2.0 {
            return greatest * x.iter().map(|v| share(v) * share(v)).sum::<f64>().sqrt();
        }
        greatest
            * x.iter()
                .map(|v| share(v).powf(self.p))
                .sum::<f64>()
                .powf(1.0 / self.p)
    }
}

impl VectorRule for Norm {
    type Params = NormalizerParams;

    fn from_params(params: &NormalizerParams) -> Self {
        Self { p: params.p }
    }
}

impl VectorMap for Norm {
    const STAGE: &'static str = "normalizer";

    fn choice(&self) -> Choice {
        Choice {
            expected: "a vector (put numbers side by side with a `vector_assembler`)",
            by_name: |c| c.ty.is_vector(),
            by_glob: |c| c.ty.is_vector(),
            output: ToOwned::to_owned,
        }
    }

    fn column(&self, _: usize, input: &Column) -> Result<Column, SchemaError> {
        Ok(elementwise(input, &Attribute::Numeric))
    }

    fn map(&self, _: usize, x: &[f64], out: &mut [f64]) -> Result<(), Refusal> {
        if let Some(j) = x.iter().position(|v| !v.is_finite()) {
            let what = if x[j].is_nan() { "missing" } else { "infinite" };
            return Err(Refusal::Value(format!(
                "slot {j} is {what}, so the row has no norm; impute it, or drop the row"
            )));
        }
        let norm = self.of(x);
        for (o, v) in out.iter_mut().zip(x) {
            *o = if norm > 0.0 { v / norm } else { *v };
        }
        Ok(())
    }

    fn save(&self, _: &mut Arrays) -> Value {
        to_state(self)
    }

    fn load(value: &Value, _: &Arrays, _: usize) -> Result<Self, ModelError> {
        let map: Self = state(Self::STAGE, value)?;
        if map.p >= 1.0 {
            Ok(map)
        } else {
            Err(ModelError::stage(Self::STAGE, format!("`p` is {}", map.p)))
        }
    }
}

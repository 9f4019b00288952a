//! From the units of the features to the units of training and back.

use emberline_pipeline::Result;
use emberline_pipeline::datasets::{DataError, Slot};
use serde::{Deserialize, Serialize};

use super::Moments;

/// `z = (x - centre) * inverse`, feature by feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// What is taken off `(d,)`; all 0 without an intercept.
    pub centre: Vec<f64>,
    /// One over the spread `(d,)`; 0 for a feature that is left out because it does not vary.
    pub inverse: Vec<f64>,
    /// Standard deviation of the population `(d,)`.
    pub sd: Vec<f64>,
}

/// How strongly each coefficient is penalised, in units of training.
#[derive(Debug, Clone, PartialEq)]
pub struct Penalty {
    /// Strength of `1/2 v^2` `(d,)`.
    pub l2: Vec<f64>,
    /// Strength of `|v|` `(d,)`.
    pub l1: Vec<f64>,
}

impl Scale {
    /// With an intercept features are centred and divided by their standard deviation, and a constant feature is left out:
    /// the intercept does its work. Without one they are divided by their root mean square, for zero must stay zero.
    ///
    /// # Errors
    /// A feature so large that its squares overflow.
    pub fn new(moments: &Moments, intercept: bool, slots: &[Slot]) -> Result<Self> {
        let d = moments.mean.len();
        let sd: Vec<f64> = (0..d).map(|j| moments.sd(j)).collect();
        let mut inverse = Vec::with_capacity(d);
        for (j, sd) in sd.iter().enumerate() {
            let spread = if intercept { *sd } else { moments.rms(j) };
            let (least, most) = (moments.least[j], moments.most[j]);
            if !spread.is_finite() || !(most - least).is_finite() || !moments.mean[j].is_finite() {
                let name = slots.get(j).map_or("", |s| s.name.as_str());
                return Err(DataError::Unusable(format!(
                    "feature `{name}` ranges from {least:e} to {most:e}, its squares overflow; scale it first"
                ))
                .into());
            }
            let usable = spread > 0.0 && (1.0 / spread).is_finite();
            inverse.push(if usable { 1.0 / spread } else { 0.0 });
        }
        let centre = if intercept {
            moments.mean.clone()
        } else {
            vec![0.0; d]
        };
        Ok(Self {
            centre,
            inverse,
            sd,
        })
    }

    /// The row `x = 0` in units of training `(d,)`.
    #[must_use]
    pub fn zero(&self) -> Vec<f64> {
        let parts = self.centre.iter().zip(&self.inverse);
        parts.map(|(m, s)| -m * s).collect()
    }

    /// The penalty `reg * ((1 - alpha) / 2 * |w|^2 + alpha * |w|_1)` in units of training; under `standardization` it counts
    /// coefficients per standard deviation of their feature, else per unit.
    #[must_use]
    pub fn penalty(&self, reg: f64, alpha: f64, standardization: bool) -> Penalty {
        let unit = |j: usize| {
            let unit = if standardization { self.sd[j] } else { 1.0 };
            unit * self.inverse[j]
        };
        let units: Vec<f64> = (0..self.sd.len()).map(unit).collect();
        Penalty {
            l2: units.iter().map(|u| reg * (1.0 - alpha) * u * u).collect(),
            l1: units.iter().map(|u| reg * alpha * u).collect(),
        }
    }

    /// Coefficients per unit of each feature, and the intercept at `x = 0`, from those of training.
    #[must_use]
    pub fn restore(&self, trained: &[f64], intercept: f64) -> (Vec<f64>, f64) {
        let coefficients: Vec<f64> = trained
            .iter()
            .zip(&self.inverse)
            .map(|(v, s)| v * s)
            .collect();
        let shift: f64 = coefficients
            .iter()
            .zip(&self.centre)
            .map(|(w, m)| w * m)
            .sum();
        (coefficients, intercept - shift)
    }
}

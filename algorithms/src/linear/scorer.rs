//! Linear models as scorers of one row.

use emberline_pipeline::persist::{state, to_state};
use emberline_pipeline::predictor::{ClassScorer, RowScorer};
use emberline_pipeline::{Arrays, ModelError, Registry};
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::dot;

/// How margins become probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassLink {
    /// One margin: the log odds of class 1.
    Binomial,
    /// One margin a class; probabilities by softmax.
    Multinomial,
    /// One margin a class: its log odds against the rest; probabilities are normalised to sum to 1.
    OneVsRest,
}

/// A linear classifier.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearScorer {
    /// How margins become probabilities.
    pub link: ClassLink,
    /// Coefficients, `(1, d)` or `(k, d)`.
    pub coefficients: Array2<f64>,
    /// Intercepts, one a row of coefficients.
    pub intercepts: Vec<f64>,
}

/// `1 / (1 + exp(-margin))`, precise at both ends.
#[must_use]
pub fn sigmoid(margin: f64) -> f64 {
    let e = (-margin.abs()).exp();
    if margin >= 0.0 {
        1.0 / (1.0 + e)
    } else {
        e / (1.0 + e)
    }
}

/// `ln sigmoid(margin)`, also where the probability itself is too small for a number.
#[must_use]
pub fn log_sigmoid(margin: f64) -> f64 {
    margin.min(0.0) - (-margin.abs()).exp().ln_1p()
}

impl LinearScorer {
    fn margin(&self, k: usize, x: &[f64]) -> f64 {
        let row = self.coefficients.row(k);
        row.as_slice().map_or(0.0, |w| dot(w, x)) + self.intercepts[k]
    }
}

impl ClassScorer for LinearScorer {
    fn raw(&self, x: &[f64], raw: &mut [f64]) {
        if self.link == ClassLink::Binomial {
            let margin = self.margin(0, x);
            (raw[0], raw[1]) = (-margin, margin);
            return;
        }
        for (k, out) in raw.iter_mut().enumerate() {
            *out = self.margin(k, x);
        }
    }

    fn probability(&self, raw: &[f64], probability: &mut [f64]) {
        let normalise = |p: &mut [f64]| {
            let total: f64 = p.iter().sum();
            p.iter_mut().for_each(|v| *v /= total);
        };
        match self.link {
            ClassLink::Binomial => {
                let both = probability.iter_mut().zip(raw);
                both.for_each(|(p, m)| *p = sigmoid(*m));
            }
            ClassLink::Multinomial => {
                let top = raw.iter().fold(f64::NEG_INFINITY, |m, v| m.max(*v));
                let both = probability.iter_mut().zip(raw);
                both.for_each(|(p, m)| *p = (m - top).exp());
                normalise(probability);
            }
            ClassLink::OneVsRest => {
                // Relative to the largest, so that a row which every class refuses still gets finite shares.
                let top = raw.iter().fold(f64::NEG_INFINITY, |m, v| m.max(*v));
                let top = log_sigmoid(top);
                let both = probability.iter_mut().zip(raw);
                both.for_each(|(p, m)| *p = (log_sigmoid(*m) - top).exp());
                normalise(probability);
            }
        }
    }

    fn save(&self, arrays: &mut Arrays) -> Value {
        arrays.put_matrix("coefficients", &self.coefficients);
        arrays.put_f64("intercepts", &self.intercepts);
        to_state(&self.link)
    }

    fn load(
        value: &Value,
        arrays: &Arrays,
        n_features: usize,
        n_classes: usize,
        _: &Registry,
    ) -> Result<Self, ModelError> {
        const STAGE: &str = "linear classifier";
        let link: ClassLink = state(STAGE, value)?;
        let models = if link == ClassLink::Binomial {
            1
        } else {
            n_classes
        };
        let coefficients = arrays.matrix(STAGE, "coefficients", Some(n_features))?;
        if coefficients.nrows() != models || (models == 1 && n_classes != 2) {
            let found = coefficients.nrows();
            return Err(ModelError::stage(
                STAGE,
                format!("{found} models for {n_classes} classes"),
            ));
        }
        Ok(Self {
            link,
            coefficients,
            intercepts: arrays.vector(STAGE, "intercepts", models)?.to_vec(),
        })
    }
}

/// A linear regression.
#[derive(Debug, Clone, PartialEq)]
pub struct RegressionScorer {
    /// Coefficients `(d,)`.
    pub coefficients: Vec<f64>,
    /// Intercept.
    pub intercept: f64,
}

impl RowScorer for RegressionScorer {
    fn predict(&self, x: &[f64]) -> f64 {
        dot(&self.coefficients, x) + self.intercept
    }

    fn save(&self, arrays: &mut Arrays) -> Value {
        arrays.put_f64("coefficients", &self.coefficients);
        arrays.put_f64("intercept", &[self.intercept]);
        Value::Null
    }

    fn load(
        _: &Value,
        arrays: &Arrays,
        n_features: usize,
        _: &Registry,
    ) -> Result<Self, ModelError> {
        const STAGE: &str = "linear regression";
        Ok(Self {
            coefficients: arrays.vector(STAGE, "coefficients", n_features)?.to_vec(),
            intercept: arrays.vector(STAGE, "intercept", 1)?[0],
        })
    }
}

//! The one pass of the regression evaluator.

use emberline_pipeline::datasets::{Batch, DataError};
use emberline_pipeline::{Partial, Round};
use serde::{Deserialize, Serialize};

use crate::evaluation::shared::{finite, weights};

/// Names the columns of the pass.
#[derive(Serialize, Deserialize)]
pub struct Pass {
    pub label: String,
    pub prediction: String,
    pub weight: Option<String>,
}

/// Weighted moments of label, prediction and error.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Moments {
    pub rows: u64,
    pub weight: f64,
    pub mean_label: f64,
    pub m2_label: f64,
    pub mean_prediction: f64,
    pub m2_prediction: f64,
    pub squared: f64,
    pub absolute: f64,
}

impl Pass {
    pub fn columns(&self) -> Vec<String> {
        [&self.label, &self.prediction]
            .into_iter()
            .chain(&self.weight)
            .cloned()
            .collect()
    }
}

/// Mean and sum of squared deviations of one block, in two passes: sums of squares would cancel for labels far from 0.
fn moments(values: &[f64], weights: &[f64], total: f64) -> (f64, f64) {
    let mean = values.iter().zip(weights).map(|(v, w)| v * w).sum::<f64>() / total;
    (
        mean,
        values
            .iter()
            .zip(weights)
            .map(|(v, w)| w * (v - mean) * (v - mean))
            .sum(),
    )
}

impl Round for Pass {
    const NAME: &'static str = "regression/moments";
    type Unit = Batch;
    type Partial = Moments;
    type Scratch = ();

    fn map(&self, batch: &Batch, (): &mut ()) -> Result<Moments, DataError> {
        let label = finite(batch, &self.label)?;
        let prediction = finite(batch, &self.prediction)?;
        let w = weights(batch, self.weight.as_deref())?;
        let total: f64 = w.iter().sum();
        let divisor = if total > 0.0 { total } else { 1.0 };
        let (mean_label, m2_label) = moments(&label, &w, divisor);
        let (mean_prediction, m2_prediction) = moments(&prediction, &w, divisor);
        let errors = || label.iter().zip(&prediction).map(|(y, p)| y - p).zip(&w);
        Ok(Moments {
            rows: batch.num_rows() as u64,
            weight: total,
            mean_label,
            m2_label,
            mean_prediction,
            m2_prediction,
            squared: errors().map(|(e, w)| w * e * e).sum(),
            absolute: errors().map(|(e, w)| w * e.abs()).sum(),
        })
    }
}

/// Combines means and squared deviations of two sets of rows (Chan, Golub, LeVeque 1983).
fn combine(a: (f64, f64), b: (f64, f64), wa: f64, wb: f64) -> (f64, f64) {
    let total = wa + wb;
    if wa == 0.0 || wb == 0.0 {
        return if wb == 0.0 { a } else { b };
    }
    let delta = b.0 - a.0;
    (
        a.0 + delta * (wb / total),
        a.1 + b.1 + delta * delta * (wa * wb / total),
    )
}

impl Partial for Moments {
    fn merge(&mut self, later: Self) {
        let (wa, wb) = (self.weight, later.weight);
        (self.mean_label, self.m2_label) = combine(
            (self.mean_label, self.m2_label),
            (later.mean_label, later.m2_label),
            wa,
            wb,
        );
        (self.mean_prediction, self.m2_prediction) = combine(
            (self.mean_prediction, self.m2_prediction),
            (later.mean_prediction, later.m2_prediction),
            wa,
            wb,
        );
        self.rows += later.rows;
        self.weight += later.weight;
        self.squared += later.squared;
        self.absolute += later.absolute;
    }
}

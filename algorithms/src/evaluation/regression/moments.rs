//! The one pass of the regression evaluator.

use emberline_pipeline::datasets::numeric::raised;
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

/// Weighted moments of label, prediction and error, as they are and, where a sum is beyond any number, of the numbers in units of 2^600.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Moments {
    pub rows: u64,
    pub plain: Sums,
    pub far: Option<Sums>,
}

/// Weighted moments of label, prediction and error.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Sums {
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
        let plain = Sums::of(&label, &prediction, &w);
        let far = (!plain.is_finite()).then(|| {
            let small = |v: &[f64]| v.iter().map(|v| raised(*v, -1)).collect::<Vec<f64>>();
            Sums::of(&small(&label), &small(&prediction), &w)
        });
        Ok(Moments {
            rows: batch.num_rows() as u64,
            plain,
            far,
        })
    }
}

impl Sums {
    fn of(label: &[f64], prediction: &[f64], w: &[f64]) -> Self {
        let total: f64 = w.iter().sum();
        let divisor = if total > 0.0 { total } else { 1.0 };
        let (mean_label, m2_label) = moments(label, w, divisor);
        let (mean_prediction, m2_prediction) = moments(prediction, w, divisor);
        let errors = || label.iter().zip(prediction).map(|(y, p)| y - p).zip(w);
        Self {
            weight: total,
            mean_label,
            m2_label,
            mean_prediction,
            m2_prediction,
            squared: errors().map(|(e, w)| w * e * e).sum(),
            absolute: errors().map(|(e, w)| w * e.abs()).sum(),
        }
    }

    fn is_finite(&self) -> bool {
        let means = self.mean_label.is_finite() && self.mean_prediction.is_finite();
        let squares = self.m2_label.is_finite() && self.m2_prediction.is_finite();
        means && squares && self.squared.is_finite() && self.absolute.is_finite()
    }

    /// The same of the numbers in units of 2^600.
    fn far(&self) -> Self {
        Self {
            weight: self.weight,
            mean_label: raised(self.mean_label, -1),
            m2_label: raised(self.m2_label, -2),
            mean_prediction: raised(self.mean_prediction, -1),
            m2_prediction: raised(self.m2_prediction, -2),
            squared: raised(self.squared, -2),
            absolute: raised(self.absolute, -1),
        }
    }

    fn merge(&mut self, later: &Self) {
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
        self.weight += later.weight;
        self.squared += later.squared;
        self.absolute += later.absolute;
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
        let far = |m: &Self| m.far.unwrap_or_else(|| m.plain.far());
        let (mut own, other) = (far(self), far(&later));
        self.plain.merge(&later.plain);
        self.rows += later.rows;
        own.merge(&other);
        self.far =
            (self.far.is_some() || later.far.is_some() || !self.plain.is_finite()).then_some(own);
    }
}

impl Moments {
    fn far(&self) -> Sums {
        self.far.unwrap_or_else(|| self.plain.far())
    }

    /// A figure of the plain sums, in the unit of the numbers (1) or its square (2); of the far ones where it is beyond any number.
    pub fn figure(&self, power: i8, of: impl Fn(&Sums) -> f64) -> f64 {
        let plain = of(&self.plain);
        if plain.is_finite() {
            plain
        } else {
            raised(of(&self.far()), power)
        }
    }

    /// Sum of squared errors by that of squared deviations of the label; `None` where all labels are equal.
    pub fn unexplained(&self) -> Option<f64> {
        let (squared, total, far) = (self.plain.squared, self.plain.m2_label, self.far());
        let any = if total.is_finite() {
            total
        } else {
            far.m2_label
        } > 0.0;
        any.then(|| match (squared.is_finite(), total.is_finite()) {
            (true, true) => squared / total,
            (true, false) => raised(squared / far.m2_label, -2),
            (false, true) => raised(far.squared / total, 2),
            (false, false) => far.squared / far.m2_label,
        })
    }
}

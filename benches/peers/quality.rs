//! How good a model is, in `f64` from its parameters or predictions.

use std::thread::scope;

use emberline::datasets::arrow::array::{ArrayRef, AsArray};
use emberline::datasets::arrow::datatypes::{Float64Type, Int64Type};
use emberline::pipeline::stage::StageOp;
use emberline::prelude::*;
use ndarray::{Array2, ArrayView1};
use serde::{Deserialize, Serialize};

use crate::Outcome;
use crate::input::Features;

/// Maps runs of rows on two threads; results in order.
fn over_rows<T: Send>(rows: usize, work: impl Fn(usize, usize) -> T + Sync) -> Vec<T> {
    const PARTS: usize = 2;
    let work = &work;
    scope(|scope| {
        let part = |p| scope.spawn(move || work(p * rows / PARTS, (p + 1) * rows / PARTS));
        let parts: Vec<_> = (0..PARTS).map(part).collect();
        parts.into_iter().filter_map(|p| p.join().ok()).collect()
    })
}

/// Sum over rows of the squared distance to the nearest centre `(k, d)`, by differences. Dense features only.
pub fn distortion(features: &Features, centres: &Array2<f64>) -> f64 {
    let nearest = |row: &[f32]| {
        let distance = |centre: ArrayView1<'_, f64>| -> f64 {
            let pairs = row.iter().zip(centre);
            pairs.map(|(x, c)| (f64::from(*x) - c).powi(2)).sum()
        };
        centres
            .rows()
            .into_iter()
            .map(distance)
            .fold(f64::INFINITY, f64::min)
    };
    let part = |from, to| (from..to).map(|i| nearest(features.row(i))).sum::<f64>();
    over_rows(features.rows(), part).iter().sum()
}

/// Value of an objective, and the largest entry of its gradient.
pub struct Optimum {
    pub objective: f64,
    pub grad_max: f64,
}

/// A linear model for each of `k` targets.
pub struct Linear<'a> {
    pub features: &'a Features,
    /// `(k, d)`.
    pub coefficients: &'a Array2<f64>,
    /// `(k,)`.
    pub intercepts: &'a [f64],
}

impl Linear<'_> {
    /// Mean over the `k` problems of the mean of `loss(row, problem, margin)`, which gives value and derivative, plus
    /// `penalty / 2 |w|^2`; intercepts go free.
    fn optimum(
        &self,
        penalty: f64,
        loss: impl Fn(usize, usize, f64) -> (f64, f64) + Sync,
    ) -> Optimum {
        let (k, d) = self.coefficients.dim();
        let part = |from: usize, to: usize| {
            let (mut value, mut gradient) = (0.0, Array2::<f64>::zeros((k, d + 1)));
            let mut margins = vec![0.0; k];
            for i in from..to {
                margins.copy_from_slice(self.intercepts);
                self.features.for_each(i, |j, v| {
                    let column = margins.iter_mut().enumerate();
                    column.for_each(|(c, m)| *m += v * self.coefficients[(c, j)]);
                });
                for (c, m) in margins.iter_mut().enumerate() {
                    let (own, slope) = loss(i, c, *m);
                    value += own;
                    *m = slope;
                    gradient[(c, d)] += slope;
                }
                self.features.for_each(i, |j, v| {
                    (0..k).for_each(|c| gradient[(c, j)] += v * margins[c]);
                });
            }
            (value, gradient)
        };
        let rows = self.features.rows() as f64;
        let parts = over_rows(self.features.rows(), part);
        let mut gradient = Array2::<f64>::zeros((k, d + 1));
        parts.iter().for_each(|(_, g)| gradient += g);
        gradient /= rows;
        for ((c, j), w) in self.coefficients.indexed_iter() {
            gradient[(c, j)] += penalty * w;
        }
        let square: f64 = self.coefficients.iter().map(|w| w * w).sum();
        let value: f64 = parts.iter().map(|(v, _)| v).sum();
        Optimum {
            objective: (value / rows + penalty / 2.0 * square) / k as f64,
            grad_max: gradient.iter().fold(0.0, |m, g| m.max(g.abs())),
        }
    }

    /// Logistic loss of each class against the rest; of class 1 where there is one model.
    pub fn logistic(&self, labels: &[i32], penalty: f64) -> Optimum {
        let alone = self.coefficients.nrows() == 1;
        self.optimum(penalty, |i, c, margin| {
            let own = if alone { 1 } else { c as i32 };
            let sign = if labels[i] == own { 1.0 } else { -1.0 };
            let against = -sign * margin;
            let softplus = against.max(0.0) + (-against.abs()).exp().ln_1p();
            (softplus, -sign / (1.0 + (-against).exp()))
        })
    }

    /// Half the squared error.
    pub fn squares(&self, labels: &[f32]) -> Optimum {
        self.optimum(0.0, |i, _, margin| {
            let residual = margin - f64::from(labels[i]);
            (residual * residual / 2.0, residual)
        })
    }
}

/// Share of equal ones.
pub fn accuracy(predicted: &[f64], truth: &[i32]) -> f64 {
    let pairs = predicted.iter().zip(truth);
    let right = pairs.filter(|(p, t)| **p == f64::from(**t)).count();
    right as f64 / truth.len() as f64
}

/// One minus the squared error over that of the mean.
pub fn r2(predicted: &[f64], truth: &[f32]) -> f64 {
    let mean = truth.iter().map(|t| f64::from(*t)).sum::<f64>() / truth.len() as f64;
    let square = |p: f64, t: &f32| (f64::from(*t) - p).powi(2);
    let left: f64 = predicted
        .iter()
        .zip(truth)
        .map(|(p, t)| square(*p, t))
        .sum();
    1.0 - left / truth.iter().map(|t| square(mean, t)).sum::<f64>()
}

/// Takes one column of numbers, batch by batch.
#[derive(Serialize, Deserialize)]
struct Collect {
    column: String,
}

impl Round for Collect {
    const NAME: &'static str = "peers/collect";
    type Unit = Batch;
    type Partial = Vec<f64>;
    type Scratch = ();

    fn map(&self, batch: &Batch, (): &mut ()) -> std::result::Result<Vec<f64>, DataError> {
        let column: &ArrayRef = batch.column(&self.column)?;
        let whole = column.as_primitive_opt::<Int64Type>();
        Ok(match whole {
            Some(whole) => whole.values().iter().map(|v| *v as f64).collect(),
            None => column.as_primitive::<Float64Type>().values().to_vec(),
        })
    }
}

/// The predictions of a fitted stage for every row, computed on the threads of `run`.
pub fn predict(
    model: std::sync::Arc<dyn Transformer>,
    data: &Dataset,
    run: &Run,
) -> Outcome<Vec<f64>> {
    let scored = data.with_op(std::sync::Arc::new(StageOp(model)))?;
    let column = "prediction".to_owned();
    let round = Collect {
        column: column.clone(),
    };
    Ok(run.scan(&scored, &[column], &round)?.unwrap_or_default())
}

//! What becomes of rows once their nearest centres are known.

use emberline_datasets::simd::Vectors;
use serde::{Deserialize, Serialize};

use super::Rows;

/// Sums for the next centres.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// Weighted sum of the rows of each centre `(k, d)`.
    pub sums: Vec<f64>,
    /// Weight of the rows of each centre `(k,)`.
    pub weights: Vec<f64>,
    /// Weighted sum of squared distances.
    pub cost: f64,
}

/// Takes what the assignment finds, strip by strip in row order.
pub enum Sink<'a> {
    /// Adds rows up, each times its weight.
    Sums {
        /// Weights of the block's rows; 1 each without.
        weights: Option<&'a [f64]>,
        sums: &'a mut Sums,
    },
    /// Is told the first row of a strip, the nearest centre of each of its rows, and the squared distance to it.
    Each(&'a mut dyn FnMut(usize, &[u32], &[f64])),
}

impl Sink<'_> {
    /// The rows from `start` on.
    #[inline(always)]
    pub fn take<S: Vectors>(
        &mut self,
        simd: S,
        rows: &impl Rows,
        start: usize,
        own: &[u32],
        distances: &[f64],
    ) {
        match self {
            Self::Sums { weights, sums } => {
                let weights = weights.map(|w| &w[start..start + own.len()]);
                sums.add(simd, rows, start, (own, distances, weights));
            }
            Self::Each(each) => each(start, own, distances),
        }
    }
}

impl Sums {
    /// Nothing yet, for `k` centres of width `d`.
    pub fn none(k: usize, d: usize) -> Self {
        Self {
            sums: vec![0.0; k * d],
            weights: vec![0.0; k],
            cost: 0.0,
        }
    }

    #[inline(always)]
    fn add<S: Vectors>(
        &mut self,
        simd: S,
        rows: &impl Rows,
        start: usize,
        (own, distances, weights): (&[u32], &[f64], Option<&[f64]>),
    ) {
        let d = self.sums.len() / self.weights.len();
        let found = (start..).zip(own).zip(distances);
        let Some(weights) = weights else {
            for ((i, c), distance) in found {
                let c = *c as usize;
                rows.add_once(simd, i, &mut self.sums[c * d..(c + 1) * d]);
                self.weights[c] += 1.0;
                self.cost += distance;
            }
            return;
        };
        for (((i, c), distance), w) in found.zip(weights).filter(|(_, w)| **w > 0.0) {
            let c = *c as usize;
            rows.add(simd, i, *w, &mut self.sums[c * d..(c + 1) * d]);
            self.weights[c] += w;
            self.cost += w * distance;
        }
    }
}

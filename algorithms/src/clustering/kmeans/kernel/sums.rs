//! What becomes of rows once their nearest centres are known.

use emberline_datasets::simd::Vectors;
use serde::{Deserialize, Serialize};

use super::screen::LANES;
use super::{Centres, Rows};

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
    Each(Told<'a>),
}

/// Called with the first row of a strip, the nearest centre of each of its rows, and the squared distance to it.
pub type Told<'a> = &'a mut dyn FnMut(usize, &[u32], &[f64]);

impl Sink<'_> {
    /// The rows from `start` on, measured.
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

    /// The rows from `start` on, sixteen at most, whose distances to their centres are still to be measured.
    #[inline(always)]
    pub fn measure<S: Vectors>(
        &mut self,
        simd: S,
        rows: &mut impl Rows,
        start: usize,
        own: &[u32],
        centres: &Centres,
    ) {
        match self {
            Self::Sums { weights, sums } => {
                let weights = weights.map(|w| &w[start..start + own.len()]);
                sums.measure(simd, rows, start, (own, centres, weights));
            }
            Self::Each(each) => {
                let mut distances = [0.0; LANES];
                for (l, (distance, c)) in distances.iter_mut().zip(own).enumerate() {
                    *distance = rows.distance(simd, start + l, centres.row(*c as usize));
                }
                each(start, own, &distances[..own.len()]);
            }
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
        for (l, (c, distance)) in own.iter().zip(distances).enumerate() {
            let (c, w) = (*c as usize, weights.map_or(1.0, |w| w[l]));
            if w > 0.0 {
                rows.add(simd, start + l, w, &mut self.sums[c * d..(c + 1) * d]);
                self.weights[c] += w;
                self.cost += w * distance;
            }
        }
    }

    #[inline(always)]
    fn measure<S: Vectors>(
        &mut self,
        simd: S,
        rows: &mut impl Rows,
        start: usize,
        (own, centres, weights): (&[u32], &Centres, Option<&[f64]>),
    ) {
        let d = centres.d();
        for (l, c) in own.iter().enumerate() {
            let (c, w) = (*c as usize, weights.map_or(1.0, |w| w[l]));
            if w > 0.0 {
                let sum = &mut self.sums[c * d..(c + 1) * d];
                let distance = rows.add_measured(simd, start + l, w, centres.row(c), sum);
                self.weights[c] += w;
                self.cost += w * distance;
            }
        }
    }
}

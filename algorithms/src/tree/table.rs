//! The training rows as the growers see them: bytes by column, integer labels and integer weights.

use std::sync::Arc;

use emberline_pipeline::datasets::{Block, DataError};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::bins::FeatureBins;
use super::sample::MOST_DRAWS;
use super::summary::{DataSummary, each_column};

/// Sum of all weights in units, at most: with [`MOST_DRAWS`] per row it stays below 2^62.
const WEIGHT_BITS: i32 = 56;
/// Size of a label in units, at most 2 to this power: as many bits as an `f64` holds.
const LABEL_BITS: i32 = 52;

/// What is predicted, and the scale that makes sums of it exact integers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Task {
    /// One of so many classes.
    Classes(usize),
    /// A number: `offset + units / 2^exponent`.
    Number {
        /// The middle of the labels' range.
        offset: f64,
        /// Base-2 logarithm of the units in 1.
        exponent: i32,
    },
}

impl Task {
    /// Regression on labels between two bounds.
    #[must_use]
    pub fn number(min: f64, max: f64) -> Self {
        let offset = min / 2.0 + max / 2.0;
        let size = (max - offset).max(offset - min);
        // 2^e <= size < 2^(e + 1)
        let e = ((size.to_bits() >> 52) as i32 & 0x7ff) - 1023;
        let exponent = if size > 0.0 { LABEL_BITS - 1 - e } else { 0 };
        Self::Number { offset, exponent }
    }

    fn units(offset: f64, exponent: i32, y: f64) -> i64 {
        scaled(y - offset, exponent).round() as i64
    }
}

/// `x * 2^exponent`, also where that power of two is itself beyond the range of an `f64`.
#[must_use]
pub fn scaled(x: f64, exponent: i32) -> f64 {
    let half = exponent / 2;
    x * 2.0_f64.powi(half) * 2.0_f64.powi(exponent - half)
}

/// Base-2 logarithm of the units in a weight of 1: as many as keep every weight whole, as far as sums stay in their integers.
#[must_use]
pub fn weight_exponent(summary: &DataSummary) -> i32 {
    let most = WEIGHT_BITS - summary.weight.log2().ceil() as i32;
    (-summary.weight_exponent).min(most)
}

/// The labels of all rows.
#[derive(Debug)]
pub enum Labels {
    /// Class indices.
    Classes(Vec<u32>),
    /// Numbers in units of [`Task::Number`].
    Numbers(Vec<i64>),
}

/// All training rows.
#[derive(Debug)]
pub struct Table {
    n_rows: usize,
    n_features: usize,
    bins: Vec<u8>,
    /// Labels `(n,)`.
    pub labels: Labels,
    /// Weights in units `(n,)`; `None` means 1 each.
    pub weights: Option<Vec<u64>>,
    /// Row ids `(n,)`.
    pub row_ids: Vec<u64>,
}

impl Table {
    /// Room for `n_rows` rows.
    ///
    /// # Errors
    /// More rows than 32-bit indices reach.
    pub fn new(
        n_rows: u64,
        n_features: usize,
        task: Task,
        weighted: bool,
    ) -> Result<Self, DataError> {
        let n = u32::try_from(n_rows)
            .ok()
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| n.checked_mul(n_features.max(1)).is_some())
            .ok_or_else(|| {
                DataError::Unusable(format!(
                    "{n_rows} rows are more than a tree can index; train on a sample"
                ))
            })?;
        Ok(Self {
            n_rows: n,
            n_features,
            bins: vec![0; n * n_features],
            labels: match task {
                Task::Classes(_) => Labels::Classes(Vec::with_capacity(n)),
                Task::Number { .. } => Labels::Numbers(Vec::with_capacity(n)),
            },
            weights: weighted.then(|| Vec::with_capacity(n)),
            row_ids: Vec::with_capacity(n),
        })
    }

    /// Adds the rows of the next block.
    pub fn push(
        &mut self,
        block: &Arc<Block>,
        bins: &[FeatureBins],
        task: Task,
        weight_exponent: i32,
    ) {
        let (start, n, m) = (self.row_ids.len(), self.n_rows, block.n_rows());
        if n > 0 && m > 0 {
            let mut columns: Vec<&mut [u8]> = self
                .bins
                .chunks_exact_mut(n)
                .map(|c| &mut c[start..start + m])
                .collect();
            each_column(block, |j, values| {
                let (own, bins) = (&mut columns[j], &bins[j]);
                own.par_iter_mut()
                    .with_min_len(2048)
                    .zip(values)
                    .for_each(|(b, x)| *b = bins.bin(*x));
            });
        }
        let labels = (0..m).map(|i| block.label(i));
        match (&mut self.labels, task) {
            (Labels::Classes(all), _) => all.extend(labels.map(|y| y as u32)),
            (Labels::Numbers(all), Task::Number { offset, exponent }) => {
                all.extend(labels.map(|y| Task::units(offset, exponent, y)));
            }
            (Labels::Numbers(all), Task::Classes(_)) => all.extend(labels.map(|y| y as i64)),
        }
        if let Some(weights) = &mut self.weights {
            let scale = 2.0_f64.powi(weight_exponent);
            let units = |w: f64| {
                if w > 0.0 {
                    ((w * scale).round() as u64).max(1)
                } else {
                    0
                }
            };
            weights.extend((0..m).map(|i| units(block.weight(i))));
        }
        self.row_ids.extend_from_slice(&block.row_ids);
    }

    /// Number of rows.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Number of features.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// The bins of feature `j`, `(n,)`.
    #[must_use]
    pub fn column(&self, j: usize) -> &[u8] {
        &self.bins[j * self.n_rows..(j + 1) * self.n_rows]
    }

    /// The weight of row `i` in units.
    #[must_use]
    pub fn weight(&self, i: usize) -> u64 {
        self.weights.as_ref().map_or(1, |w| w[i])
    }
}

// The bound on sums that the two constants promise.
const _: () = assert!((MOST_DRAWS as u64) < 1 << (62 - WEIGHT_BITS));

//! Weighted means and spreads of the features, and the weight of each class, in one pass.

use emberline_pipeline::datasets::{Block, DataError};
use emberline_pipeline::{Partial, Round};
use serde::{Deserialize, Serialize};

/// Moments of the rows with a positive weight.
///
/// A weight counts as that many equal rows.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Moments {
    /// Rows with a positive weight.
    pub rows: u64,
    /// Sum of weights.
    pub weight: f64,
    /// Mean of each feature `(d,)`.
    pub mean: Vec<f64>,
    /// Weighted sum of squared deviations from the mean `(d,)`.
    pub square: Vec<f64>,
    /// Least value of each feature `(d,)`.
    pub least: Vec<f64>,
    /// Largest value of each feature `(d,)`.
    pub most: Vec<f64>,
    /// Mean of the label.
    pub label_mean: f64,
    /// Weighted sum of squared deviations of the label from its mean.
    pub label_square: f64,
    /// Weight of each class, where the label is a class index; else empty.
    pub class_weight: Vec<f64>,
}

impl Moments {
    /// Standard deviation of feature `j`, of the population (divisor: the sum of weights); exactly 0 where it is constant.
    #[must_use]
    pub fn sd(&self, j: usize) -> f64 {
        if self.least[j] == self.most[j] {
            return 0.0;
        }
        let sd = (self.square[j] / self.weight).sqrt();
        // Squares of tiny numbers vanish though the feature does vary.
        if sd > 0.0 {
            sd
        } else {
            self.most[j] - self.least[j]
        }
    }

    /// Root mean square of feature `j`.
    #[must_use]
    pub fn rms(&self, j: usize) -> f64 {
        self.mean[j].hypot((self.square[j] / self.weight).sqrt())
    }

    /// Adds another group to a mean and sum of squares: Chan, Golub & LeVeque 1983.
    fn combine(mean: &mut f64, square: &mut f64, (own, new): (f64, f64), other: (f64, f64)) {
        let (delta, total) = (other.0 - *mean, own + new);
        *square += other.1 + delta * delta * (own * new / total);
        *mean += delta * (new / total);
    }
}

impl Partial for Moments {
    fn merge(&mut self, later: Self) {
        if later.rows == 0 {
            return;
        }
        if self.rows == 0 {
            *self = later;
            return;
        }
        let weights = (self.weight, later.weight);
        for j in 0..self.mean.len() {
            let other = (later.mean[j], later.square[j]);
            Self::combine(&mut self.mean[j], &mut self.square[j], weights, other);
            self.least[j] = self.least[j].min(later.least[j]);
            self.most[j] = self.most[j].max(later.most[j]);
        }
        let other = (later.label_mean, later.label_square);
        Self::combine(&mut self.label_mean, &mut self.label_square, weights, other);
        self.rows += later.rows;
        self.weight += later.weight;
        for (own, new) in self.class_weight.iter_mut().zip(later.class_weight) {
            *own += new;
        }
    }
}

/// The pass that gives [`Moments`]. `n_classes` is 0 where the label is a number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MomentsPass {
    /// Number of classes.
    pub n_classes: usize,
}

impl Round for MomentsPass {
    const NAME: &'static str = "linear/moments";
    type Unit = Block;
    type Partial = Moments;
    type Scratch = ();

    fn map(&self, block: &Block, (): &mut ()) -> Result<Moments, DataError> {
        let d = block.n_features();
        let rows: Vec<usize> = (0..block.n_rows())
            .filter(|&i| block.weight(i) > 0.0)
            .collect();
        if rows.is_empty() {
            return Ok(Moments::default());
        }
        let weight: f64 = rows.iter().map(|&i| block.weight(i)).sum();
        let mut sums = Columns::new(d);
        // Two passes over the block, the second around the mean of the first: no cancellation.
        for &i in &rows {
            sums.add(block, i);
        }
        let mean: Vec<f64> = sums.sum.iter().map(|s| s / weight).collect();
        let mut square = sums.squares(block, &rows, &mean, weight);
        square.iter_mut().for_each(|s| *s = s.max(0.0));
        let label_mean = rows
            .iter()
            .map(|&i| block.weight(i) * block.label(i))
            .sum::<f64>()
            / weight;
        let label_square = rows
            .iter()
            .map(|&i| block.weight(i) * (block.label(i) - label_mean).powi(2))
            .sum();
        let mut class_weight = vec![0.0; self.n_classes];
        if self.n_classes > 0 {
            for &i in &rows {
                class_weight[block.label(i) as usize] += block.weight(i);
            }
        }
        let (least, most) = sums.extremes(rows.len());
        Ok(Moments {
            rows: rows.len() as u64,
            weight,
            mean,
            square,
            least,
            most,
            label_mean,
            label_square,
            class_weight,
        })
    }
}

/// Column sums of one block.
struct Columns {
    sum: Vec<f64>,
    least: Vec<f64>,
    most: Vec<f64>,
    /// Stored values per slot; sparse rows leave zeros out.
    stored: Vec<usize>,
}

impl Columns {
    fn new(d: usize) -> Self {
        Self {
            sum: vec![0.0; d],
            least: vec![f64::INFINITY; d],
            most: vec![f64::NEG_INFINITY; d],
            stored: vec![0; d],
        }
    }

    fn add(&mut self, block: &Block, i: usize) {
        let w = block.weight(i);
        block.features.for_each_stored(i, |j, x| {
            self.sum[j] += w * x;
            self.least[j] = self.least[j].min(x);
            self.most[j] = self.most[j].max(x);
            self.stored[j] += 1;
        });
    }

    fn extremes(&self, rows: usize) -> (Vec<f64>, Vec<f64>) {
        let zero = |j: usize, own: f64, pick: fn(f64, f64) -> f64| {
            if self.stored[j] < rows {
                pick(own, 0.0)
            } else {
                own
            }
        };
        let each = 0..self.sum.len();
        (
            each.clone()
                .map(|j| zero(j, self.least[j], f64::min))
                .collect(),
            each.map(|j| zero(j, self.most[j], f64::max)).collect(),
        )
    }

    fn squares(&self, block: &Block, rows: &[usize], mean: &[f64], weight: f64) -> Vec<f64> {
        let mut square = vec![0.0; mean.len()];
        let mut stored_weight = vec![0.0; mean.len()];
        for &i in rows {
            let w = block.weight(i);
            block.features.for_each_stored(i, |j, x| {
                square[j] += w * (x - mean[j]) * (x - mean[j]);
                stored_weight[j] += w;
            });
        }
        for j in 0..mean.len() {
            if self.stored[j] < rows.len() {
                square[j] += (weight - stored_weight[j]) * mean[j] * mean[j];
            }
        }
        square
    }
}

//! Weighted means and spreads of the features, and the weight of each class, in one pass.

use std::ops::Range;

use emberline_pipeline::datasets::simd::dispatch;
use emberline_pipeline::datasets::{Block, DataError, Features, StoredRows};
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
    /// Rows looked at in each block, from its first on.
    pub rows: usize,
}

impl MomentsPass {
    /// The moments of all rows.
    #[must_use]
    pub fn new(n_classes: usize) -> Self {
        Self {
            n_classes,
            rows: usize::MAX,
        }
    }
}

impl Round for MomentsPass {
    const NAME: &'static str = "linear/moments";
    type Unit = Block;
    type Partial = Moments;
    type Scratch = ();

    fn map(&self, block: &Block, (): &mut ()) -> Result<Moments, DataError> {
        let n = block.n_rows().min(self.rows);
        let height = match &block.features {
            Features::Csr(_) | Features::Mixed(_) => n,
            Features::F64(_) | Features::F32(_) => PIECE,
        };
        let mut whole = Moments::default();
        for start in (0..n).step_by(height.max(1)) {
            whole.merge(self.of_rows(block, start..n.min(start + height)));
        }
        Ok(whole)
    }
}

/// Rows of a dense piece: the second look at them, around the mean of the first, finds them near the processor.
const PIECE: usize = 128;

impl MomentsPass {
    fn of_rows(&self, block: &Block, range: Range<usize>) -> Moments {
        let rows: Vec<usize> = range.filter(|&i| block.weight(i) > 0.0).collect();
        if rows.is_empty() {
            return Moments::default();
        }
        let weight: f64 = rows.iter().map(|&i| block.weight(i)).sum();
        // Two looks at the rows, the second around the mean of the first: no cancellation.
        let columns = match &block.features {
            Features::F64(x) => Columns::dense(x.as_slice(), block, &rows, weight),
            Features::F32(x) => Columns::dense(x.as_slice(), block, &rows, weight),
            Features::Csr(x) => Columns::sparse(x, block, &rows, weight),
            Features::Mixed(x) => Columns::sparse(x, block, &rows, weight),
        };
        let label = |i: &usize| (block.weight(*i), block.label(*i));
        let label_mean = rows.iter().map(label).map(|(w, y)| w * y).sum::<f64>() / weight;
        let label_square = rows
            .iter()
            .map(label)
            .map(|(w, y)| w * (y - label_mean).powi(2))
            .sum();
        let mut class_weight = vec![0.0; self.n_classes];
        if self.n_classes > 0 {
            for (w, class) in rows.iter().map(label) {
                class_weight[class as usize] += w;
            }
        }
        Moments {
            rows: rows.len() as u64,
            weight,
            mean: columns.mean,
            square: columns.square,
            least: columns.least,
            most: columns.most,
            label_mean,
            label_square,
            class_weight,
        }
    }
}

#[inline(always)]
fn add_row<T: Copy>(x: &[T], w: f64, sum: &mut [f64], least: &mut [f64], most: &mut [f64])
where
    f64: From<T>,
{
    let d = x.len();
    let (sum, least, most) = (&mut sum[..d], &mut least[..d], &mut most[..d]);
    for j in 0..d {
        let x = f64::from(x[j]);
        sum[j] += w * x;
        least[j] = if x < least[j] { x } else { least[j] };
        most[j] = if x > most[j] { x } else { most[j] };
    }
}

#[inline(always)]
fn add_deviations<T: Copy>(x: &[T], w: f64, mean: &[f64], square: &mut [f64])
where
    f64: From<T>,
{
    let d = x.len();
    let (mean, square) = (&mean[..d], &mut square[..d]);
    for j in 0..d {
        let off = f64::from(x[j]) - mean[j];
        square[j] += w * off * off;
    }
}

/// The features of some rows.
struct Columns {
    mean: Vec<f64>,
    square: Vec<f64>,
    least: Vec<f64>,
    most: Vec<f64>,
}

impl Columns {
    fn new(d: usize) -> Self {
        Self {
            mean: vec![0.0; d],
            square: vec![0.0; d],
            least: vec![f64::INFINITY; d],
            most: vec![f64::NEG_INFINITY; d],
        }
    }

    fn dense<T: Copy>(x: &[T], block: &Block, rows: &[usize], weight: f64) -> Self
    where
        f64: From<T>,
    {
        let d = block.n_features();
        let mut whole = Self::new(d);
        dispatch(
            #[inline(always)]
            || {
                let row = |i: &usize| (&x[i * d..][..d], block.weight(*i));
                for (x, w) in rows.iter().map(row) {
                    add_row(x, w, &mut whole.mean, &mut whole.least, &mut whole.most);
                }
                whole.mean.iter_mut().for_each(|m| *m /= weight);
                for (x, w) in rows.iter().map(row) {
                    add_deviations(x, w, &whole.mean, &mut whole.square);
                }
            },
        );
        whole
    }

    fn sparse(x: &impl StoredRows, block: &Block, rows: &[usize], weight: f64) -> Self {
        let d = block.n_features();
        let mut whole = Self::new(d);
        let (mut stored, mut stored_weight) = (vec![0; d], vec![0.0; d]);
        for &i in rows {
            let w = block.weight(i);
            x.for_each_stored(i, |j, x| {
                whole.mean[j] += w * x;
                whole.least[j] = whole.least[j].min(x);
                whole.most[j] = whole.most[j].max(x);
                stored[j] += 1;
                stored_weight[j] += w;
            });
        }
        whole.mean.iter_mut().for_each(|m| *m /= weight);
        for &i in rows {
            let w = block.weight(i);
            x.for_each_stored(i, |j, x| {
                let off = x - whole.mean[j];
                whole.square[j] += w * off * off;
            });
        }
        // Slots that are not stored are zeros.
        for j in (0..d).filter(|&j| stored[j] < rows.len()) {
            let left = (weight - stored_weight[j]).max(0.0);
            whole.square[j] += left * whole.mean[j] * whole.mean[j];
            whole.least[j] = whole.least[j].min(0.0);
            whole.most[j] = whole.most[j].max(0.0);
        }
        whole
    }
}

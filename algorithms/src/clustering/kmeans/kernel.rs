//! The inner loop: one row against all centres.

use emberline_pipeline::datasets::{Block, DataError, Features};
use serde::{Deserialize, Serialize};

/// Centres side by side in one lane group: enough independent sums to fill the vector units.
const LANES: usize = 8;

/// Centres `(k, d)`, row-major.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Centres {
    d: usize,
    values: Vec<f64>,
}

impl Centres {
    /// No centres of width `d`.
    pub fn none(d: usize) -> Self {
        Self {
            d,
            values: Vec::new(),
        }
    }

    /// Centres from their numbers, row-major; `d` at least 1.
    pub fn of(d: usize, values: Vec<f64>) -> Self {
        Self { d, values }
    }

    pub fn k(&self) -> usize {
        self.values.len().checked_div(self.d).unwrap_or(0)
    }

    pub fn d(&self) -> usize {
        self.d
    }

    pub fn values(&self) -> &[f64] {
        &self.values
    }

    pub fn row(&self, c: usize) -> &[f64] {
        &self.values[c * self.d..(c + 1) * self.d]
    }

    pub fn row_mut(&mut self, c: usize) -> &mut [f64] {
        &mut self.values[c * self.d..(c + 1) * self.d]
    }

    pub fn push(&mut self, centre: &[f64]) {
        self.values.extend_from_slice(centre);
    }

    /// Leaves out the centres for which `keep` is false.
    pub fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        let kept = (0..self.k())
            .filter(|&c| keep(c))
            .flat_map(|c| self.row(c).iter().copied())
            .collect();
        self.values = kept;
    }
}

/// Centres laid out for the kernel: groups of [`LANES`], slot by slot.
///
/// The sum for one centre runs over the slots in order whatever the group, so a row gets the same bits in training, in a batch
/// and as one record.
#[derive(Debug, Clone, PartialEq)]
pub struct Panels {
    d: usize,
    groups: Vec<Vec<[f64; LANES]>>,
}

impl Panels {
    pub fn new(centres: &Centres) -> Self {
        let group = |first: usize| {
            let lane = |l: usize, j: usize| {
                if first + l < centres.k() {
                    centres.row(first + l)[j]
                } else {
                    f64::INFINITY
                }
            };
            (0..centres.d)
                .map(|j| std::array::from_fn(|l| lane(l, j)))
                .collect()
        };
        Self {
            d: centres.d,
            groups: (0..centres.k()).step_by(LANES).map(group).collect(),
        }
    }

    /// The nearest centre and the squared distance to it; ties go to the lower index. Infinite without centres.
    pub fn nearest(&self, x: &[f64]) -> (usize, f64) {
        let (mut best, mut least) = (0, f64::INFINITY);
        for (g, group) in self.groups.iter().enumerate() {
            let mut sums = [0.0; LANES];
            for (x, centres) in x[..self.d].iter().zip(group) {
                for (sum, c) in sums.iter_mut().zip(centres) {
                    let t = x - c;
                    *sum += t * t;
                }
            }
            for (l, sum) in sums.iter().enumerate() {
                if *sum < least {
                    (best, least) = (g * LANES + l, *sum);
                }
            }
        }
        (best, least)
    }
}

/// Squared Euclidean distance, slot by slot.
pub fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum()
}

/// How rows are seen: as they are, or scaled to length 1.
///
/// Between vectors of length 1, one minus the cosine is half the squared Euclidean distance, so cosine k-means is Euclidean
/// k-means whose rows and centres are kept at length 1 (Dhillon and Modha 2001, Machine Learning 42).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Geometry {
    /// Scale to length 1.
    pub cosine: bool,
    /// The feature column, for messages.
    pub column: String,
}

impl Geometry {
    /// From squared Euclidean distance to the distance of the measure.
    pub fn scale(&self) -> f64 {
        if self.cosine { 0.5 } else { 1.0 }
    }

    /// Scales a row to length 1 where that is asked for.
    pub fn prepare(&self, x: &mut [f64], row: u64) -> Result<(), DataError> {
        if self.cosine && !normalise(x) {
            let message = "a vector of zeros has no direction; leave such rows out, or use the Euclidean distance".to_owned();
            return Err(DataError::Value {
                column: self.column.clone(),
                row,
                message,
            });
        }
        Ok(())
    }

    /// Calls `f(row, features)` for each row of a block, in order.
    pub fn for_each_row(
        &self,
        block: &Block,
        mut f: impl FnMut(usize, &[f64]),
    ) -> Result<(), DataError> {
        let d = block.n_features();
        if let (Features::F64(x), false) = (&block.features, self.cosine) {
            (0..block.n_rows()).for_each(|i| f(i, x.row(i)));
            return Ok(());
        }
        let mut row = vec![0.0; d];
        for i in 0..block.n_rows() {
            match &block.features {
                Features::F64(x) => row.iter_mut().zip(x.row(i)).for_each(|(r, v)| *r = *v),
                Features::F32(x) => row
                    .iter_mut()
                    .zip(x.row(i))
                    .for_each(|(r, v)| *r = f64::from(*v)),
                sparse @ (Features::Csr(_) | Features::Mixed(_)) => {
                    row.fill(0.0);
                    sparse.for_each_stored(i, |j, v| row[j] = v);
                }
            }
            self.prepare(&mut row, block.row_ids[i])?;
            f(i, &row);
        }
        Ok(())
    }
}

/// Scales to length 1; false for a vector of zeros, which is left as it is.
pub fn normalise(x: &mut [f64]) -> bool {
    // By the largest value first, so that squares neither overflow nor vanish.
    let largest = x.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    if largest == 0.0 {
        return false;
    }
    x.iter_mut().for_each(|v| *v /= largest);
    let length = x.iter().map(|v| v * v).sum::<f64>().sqrt();
    x.iter_mut().for_each(|v| *v /= length);
    true
}

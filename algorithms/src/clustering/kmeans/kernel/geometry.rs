//! Distances between rows as they are, or between their directions.

use emberline_pipeline::datasets::{Block, DataError, Features};
use serde::{Deserialize, Serialize};

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

    /// Writes row `i` of a block.
    pub fn row(&self, block: &Block, i: usize, out: &mut [f64]) -> Result<(), DataError> {
        match &block.features {
            Features::F64(x) => out.copy_from_slice(x.row(i)),
            Features::F32(x) => out
                .iter_mut()
                .zip(x.row(i))
                .for_each(|(r, v)| *r = f64::from(*v)),
            sparse @ (Features::Csr(_) | Features::Mixed(_)) => {
                out.fill(0.0);
                sparse.for_each_stored(i, |j, v| out[j] = v);
            }
        }
        self.prepare(out, block.row_ids[i])
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

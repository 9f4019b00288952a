//! The one pass of PCA: mean and co-moments.

use emberline_pipeline::datasets::{Block, DataError};
use emberline_pipeline::{Partial, Round};
use ndarray::{Array1, Array2, Axis};
use serde::{Deserialize, Serialize};

/// The pass.
#[derive(Serialize, Deserialize)]
pub struct MomentRound;

/// Rows, their mean `(d,)` and their sum of outer products about it `(d, d)`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Moments {
    pub rows: f64,
    pub mean: Array1<f64>,
    pub products: Array2<f64>,
}

impl Round for MomentRound {
    const NAME: &'static str = "pca/moments";
    type Unit = Block;
    type Partial = Moments;
    type Scratch = ();

    fn map(&self, block: &Block, (): &mut ()) -> Result<Moments, DataError> {
        let x = block.dense();
        let rows = block.n_rows() as f64;
        let mean = x.sum_axis(Axis(0)) / rows;
        // About the block's own mean: products of raw values would cancel for columns far from 0.
        let centred = &x - &mean;
        Ok(Moments {
            rows,
            products: centred.t().dot(&centred),
            mean,
        })
    }
}

impl Partial for Moments {
    /// Chan, Golub, LeVeque 1983, for products of pairs.
    fn merge(&mut self, later: Self) {
        let total = self.rows + later.rows;
        let delta = &later.mean - &self.mean;
        let factor = self.rows * later.rows / total;
        self.products += &later.products;
        for (i, mut row) in self.products.rows_mut().into_iter().enumerate() {
            row.scaled_add(delta[i] * factor, &delta);
        }
        self.mean.scaled_add(later.rows / total, &delta);
        self.rows = total;
    }
}

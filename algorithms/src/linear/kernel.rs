//! The pass of the linear learners: loss and gradient of all models from one read of the features.

use emberline_pipeline::datasets::{Block, DataError, Features, StoredRows};
use emberline_pipeline::{Partial, Round};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::residual::Residuals;
use super::tile::{Tile, Tiles};
use super::{Scale, product, sparse};

/// A binary model's view of the classes: which one is positive, and how rows are weighted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// Index of the positive class; all others are negative.
    pub class: usize,
    /// Factor on the weight of positive rows.
    pub positive: f64,
    /// Factor on the weight of negative rows.
    pub negative: f64,
}

/// How margins meet labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Link {
    /// Independent binary models by log loss, one a column of margins.
    Binary(Vec<Side>),
    /// One model of all classes by log loss; the factors on the weight of each class's rows.
    Softmax(Vec<f64>),
    /// One model of a number by half the squared error; `(centre, inverse)` bring the label to units of training.
    Squares(f64, f64),
}

impl Link {
    /// Number of independent losses among `columns` columns of margins.
    fn n_losses(&self, columns: usize) -> usize {
        match self {
            Self::Binary(_) => columns,
            Self::Softmax(_) | Self::Squares(..) => 1,
        }
    }
}

/// Computes loss and gradient sums at the given coefficients, all in units of training.
///
/// Per tile of rows: margins of all models by one product, residuals in place, gradients by another. Sparse
/// blocks stay sparse: centring is done on the sums.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LossPass {
    /// Units of training.
    pub scale: Scale,
    /// How margins meet labels.
    pub link: Link,
    /// Coefficients `(m, d)`.
    pub coefficients: Array2<f64>,
    /// Intercepts `(m,)`.
    pub intercepts: Vec<f64>,
}

/// Sums over rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LossSums {
    /// Weighted loss of each independent model.
    pub loss: Vec<f64>,
    /// Gradient by coefficients `(m, d)`.
    pub gradient: Array2<f64>,
    /// Gradient by intercepts `(m,)`.
    pub intercepts: Vec<f64>,
    /// How far the worst row is on the right side of the boundary, for each independent model; negative on the wrong side.
    pub least_margin: Vec<f64>,
}

impl Partial for LossSums {
    fn merge(&mut self, later: Self) {
        self.loss
            .iter_mut()
            .zip(&later.loss)
            .for_each(|(a, b)| *a += b);
        self.gradient += &later.gradient;
        let both = self.intercepts.iter_mut().zip(&later.intercepts);
        both.for_each(|(a, b)| *a += b);
        let both = self.least_margin.iter_mut().zip(&later.least_margin);
        both.for_each(|(a, b)| *a = a.min(*b));
    }
}

impl Round for LossPass {
    const NAME: &'static str = "linear/loss";
    type Unit = Block;
    type Partial = LossSums;
    type Scratch = ();

    fn map(&self, block: &Block, (): &mut ()) -> Result<LossSums, DataError> {
        let (m, d) = self.coefficients.dim();
        let losses = self.link.n_losses(m);
        let mut sums = LossSums {
            loss: vec![0.0; losses],
            gradient: Array2::zeros((m, d)),
            intercepts: vec![0.0; m],
            least_margin: vec![f64::INFINITY; losses],
        };
        match &block.features {
            Features::Csr(x) => self.sparse(block, x, &mut sums),
            Features::Mixed(x) => self.sparse(block, x, &mut sums),
            _ => self.dense(block, &mut sums),
        }
        Ok(sums)
    }
}

impl LossPass {
    fn dense(&self, block: &Block, sums: &mut LossSums) {
        let (m, d) = self.coefficients.dim();
        let stride = Tile::stride(d);
        let mut tiles = Tiles::new(block.n_rows(), d, 0);
        let mut weights = vec![0.0; m * stride];
        for (own, w) in self.coefficients.iter().enumerate() {
            weights[own / d * stride + own % d] = *w;
        }
        let mut margins = vec![0.0; m * tiles.height()];
        let mut gradient = vec![0.0; m * stride];
        let mut residuals = Residuals::new(&self.link, m, tiles.height());
        tiles.for_each(block, &self.scale, |start, tile| {
            let rows = tile.rows;
            let margins = &mut margins[..m * rows];
            product::margins(tile, &weights, &self.intercepts, margins, rows);
            residuals.replace(block, start, rows, margins, sums);
            product::add_products(tile, margins, rows, m, &mut gradient);
        });
        for ((k, j), g) in sums.gradient.indexed_iter_mut() {
            *g = gradient[k * stride + j];
        }
    }

    fn sparse(&self, block: &Block, x: &impl StoredRows, sums: &mut LossSums) {
        let (m, d) = self.coefficients.dim();
        let lanes = sparse::lanes(m);
        // Per slot the coefficients of all models side by side, in units of x; the centring goes into the intercepts.
        let mut by_slot = vec![0.0; d * lanes];
        let mut intercepts = self.intercepts.clone();
        for (k, row) in self.coefficients.outer_iter().enumerate() {
            for (j, v) in row.iter().enumerate() {
                by_slot[j * lanes + k] = v * self.scale.inverse[j];
                intercepts[k] -= by_slot[j * lanes + k] * self.scale.centre[j];
            }
        }
        let height = sparse::HEIGHT.min(x.rows());
        let mut gradient = vec![0.0; d * lanes];
        let mut side_by_side = vec![0.0; height * lanes];
        let mut margins = vec![0.0; height * m];
        let mut residuals = Residuals::new(&self.link, m, height);
        for start in (0..x.rows()).step_by(height.max(1)) {
            let rows = start..x.rows().min(start + height);
            let n = rows.len();
            let margins = &mut margins[..n * m];
            sparse::margins(x, rows.clone(), &by_slot, m, &mut side_by_side);
            for (k, (own, b)) in margins.chunks_exact_mut(n).zip(&intercepts).enumerate() {
                for (i, v) in own.iter_mut().enumerate() {
                    *v = side_by_side[i * lanes + k] + b;
                }
            }
            residuals.replace(block, start, n, margins, sums);
            for (k, own) in margins.chunks_exact(n).enumerate() {
                for (i, v) in own.iter().enumerate() {
                    side_by_side[i * lanes + k] = *v;
                }
            }
            sparse::add_products(x, rows, &side_by_side, m, &mut gradient);
        }
        for ((k, j), g) in sums.gradient.indexed_iter_mut() {
            let centred = gradient[j * lanes + k] - self.scale.centre[j] * sums.intercepts[k];
            *g = centred * self.scale.inverse[j];
        }
    }
}

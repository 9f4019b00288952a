//! The pass of the linear learners: loss and gradient of all models from one read of the features.

use emberline_pipeline::datasets::{Block, DataError, Features, StoredRows};
use emberline_pipeline::{Partial, Round};
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, Axis, Slice};
use serde::{Deserialize, Serialize};

use super::{Scale, Tiles, dot};

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
/// Per tile of rows: margins of all models by one matrix product, residuals in place, gradients by another. Sparse
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
        let mut tiles = Tiles::new(block.n_rows(), d, 0);
        let mut margins = Array2::zeros((Tiles::height(block.n_rows(), d), m));
        tiles.for_each(block, &self.scale, |start, tile, t| {
            let z = Tiles::view(tile, t);
            let mut margins = margins.slice_axis_mut(Axis(0), Slice::from(..t));
            self.margins(z, &mut margins);
            for i in 0..t {
                if let Some(own) = margins.row_mut(i).as_slice_mut() {
                    self.residuals(block, start + i, own, sums);
                }
            }
            add_products(margins.view(), z, &mut sums.gradient);
        });
    }

    fn margins(&self, z: ArrayView2<'_, f64>, margins: &mut ndarray::ArrayViewMut2<'_, f64>) {
        if let (1, Some(w)) = (self.intercepts.len(), self.coefficients.as_slice()) {
            // A product with one column is a row of dot products; the general routine would pack all of z first.
            for (z, out) in z.outer_iter().zip(margins.iter_mut()) {
                *out = z.as_slice().map_or(0.0, |z| dot(z, w)) + self.intercepts[0];
            }
            return;
        }
        general_mat_mul(1.0, &z, &self.coefficients.t(), 0.0, margins);
        for mut row in margins.outer_iter_mut() {
            row.iter_mut()
                .zip(&self.intercepts)
                .for_each(|(v, b)| *v += b);
        }
    }

    /// Margins of row `i` in; out come the derivatives of its loss by them.
    fn residuals(&self, block: &Block, i: usize, margins: &mut [f64], sums: &mut LossSums) {
        let (weight, label) = (block.weight(i), block.label(i));
        if weight == 0.0 {
            margins.fill(0.0);
            return;
        }
        match &self.link {
            Link::Binary(sides) => {
                for (k, (side, margin)) in sides.iter().zip(margins.iter_mut()).enumerate() {
                    let positive = label == side.class as f64;
                    let factor = if positive {
                        side.positive
                    } else {
                        side.negative
                    };
                    let signed = if positive { *margin } else { -*margin };
                    let (loss, slope) = log_loss(signed);
                    sums.loss[k] += weight * factor * loss;
                    sums.least_margin[k] = sums.least_margin[k].min(signed);
                    *margin = weight * factor * if positive { slope } else { -slope };
                }
            }
            Link::Softmax(factors) => {
                let class = label as usize;
                let weight = weight * factors[class];
                let (loss, lead) = softmax(margins, class);
                sums.loss[0] += weight * loss;
                sums.least_margin[0] = sums.least_margin[0].min(lead);
                margins.iter_mut().for_each(|v| *v *= weight);
            }
            Link::Squares(centre, inverse) => {
                let error = margins[0] - (label - centre) * inverse;
                sums.loss[0] += 0.5 * weight * error * error;
                margins[0] = weight * error;
            }
        }
        sums.intercepts
            .iter_mut()
            .zip(margins)
            .for_each(|(a, b)| *a += *b);
    }

    fn sparse(&self, block: &Block, x: &impl StoredRows, sums: &mut LossSums) {
        let (m, d) = self.coefficients.dim();
        // Per slot the coefficients of all models side by side, in units of x; the centring goes into the intercepts.
        let mut by_slot = vec![0.0; d * m];
        let mut intercepts = self.intercepts.clone();
        for (k, row) in self.coefficients.outer_iter().enumerate() {
            for (j, v) in row.iter().enumerate() {
                by_slot[j * m + k] = v * self.scale.inverse[j];
                intercepts[k] -= by_slot[j * m + k] * self.scale.centre[j];
            }
        }
        let mut gradient = vec![0.0; d * m];
        let mut margins = vec![0.0; m];
        for i in 0..x.rows() {
            margins.copy_from_slice(&intercepts);
            x.for_each_stored(i, |j, v| {
                let own = &by_slot[j * m..][..m];
                margins.iter_mut().zip(own).for_each(|(a, w)| *a += v * w);
            });
            self.residuals(block, i, &mut margins, sums);
            x.for_each_stored(i, |j, v| {
                let own = &mut gradient[j * m..][..m];
                own.iter_mut().zip(&margins).for_each(|(g, r)| *g += v * r);
            });
        }
        for ((k, j), g) in sums.gradient.indexed_iter_mut() {
            let centred = gradient[j * m + k] - self.scale.centre[j] * sums.intercepts[k];
            *g = centred * self.scale.inverse[j];
        }
    }
}

/// `gradient += residuals^T z`.
fn add_products(
    residuals: ArrayView2<'_, f64>,
    z: ArrayView2<'_, f64>,
    gradient: &mut Array2<f64>,
) {
    if residuals.ncols() == 1 {
        if let Some(g) = gradient.as_slice_mut() {
            for (z, r) in z.outer_iter().zip(residuals.iter()) {
                g.iter_mut().zip(z.iter()).for_each(|(g, z)| *g += r * z);
            }
        }
        return;
    }
    general_mat_mul(1.0, &residuals.t(), &z, 1.0, gradient);
}

/// `ln(1 + exp(-margin))` and its derivative, without overflow or cancellation.
fn log_loss(margin: f64) -> (f64, f64) {
    let e = (-margin.abs()).exp();
    if margin >= 0.0 {
        (e.ln_1p(), -e / (1.0 + e))
    } else {
        (e.ln_1p() - margin, -1.0 / (1.0 + e))
    }
}

/// Replaces margins by the derivatives of the log loss for the true class; returns the loss, and how far the true class leads.
fn softmax(margins: &mut [f64], class: usize) -> (f64, f64) {
    let own = margins[class];
    let mut best_other = f64::NEG_INFINITY;
    for (k, v) in margins.iter().enumerate() {
        if k != class && *v > best_other {
            best_other = *v;
        }
    }
    let top = own.max(best_other);
    // The others' sum apart: 1 - p(own) would cancel where the true class is nearly sure.
    let (mut others, mut own_share) = (0.0, 0.0);
    for (k, v) in margins.iter_mut().enumerate() {
        *v = (*v - top).exp();
        if k == class {
            own_share = *v;
        } else {
            others += *v;
        }
    }
    let total = own_share + others;
    margins.iter_mut().for_each(|v| *v /= total);
    margins[class] = -others / total;
    let loss = if own >= best_other {
        others.ln_1p()
    } else {
        total.ln() + (top - own)
    };
    (loss, own - best_other)
}

//! Products of all pairs of columns, over all rows or every so many.

use emberline_pipeline::datasets::{Block, DataError};
use emberline_pipeline::{Partial, Pinned, Result, Round, Run};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::product::add_squares;
use super::tile::{Tile, Tiles};
use super::{Scale, algebra};
use crate::optim::Metric;

/// `z^T z` summed over tiles.
pub struct Gram {
    sums: Vec<f64>,
    width: usize,
}

impl Gram {
    /// Nothing summed yet, for tiles of `width` columns.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self {
            sums: vec![0.0; width * Tile::stride(width)],
            width,
        }
    }

    /// Adds the rows of a tile.
    pub fn add(&mut self, tile: &Tile<'_>) {
        add_squares(tile, &mut self.sums);
    }

    /// The whole symmetric matrix `(width, width)`.
    #[must_use]
    pub fn into_matrix(self) -> Array2<f64> {
        let stride = Tile::stride(self.width);
        Array2::from_shape_fn((self.width, self.width), |(i, j)| {
            self.sums[i.min(j) * stride + i.max(j)]
        })
    }
}

/// Sums the products of features in units of training over a sample of rows: every `step`th of each block.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SamplePass {
    scale: Scale,
    step: usize,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Sample {
    products: Array2<f64>,
    weight: f64,
}

impl Partial for Sample {
    fn merge(&mut self, later: Self) {
        self.products += &later.products;
        self.weight += later.weight;
    }
}

impl Round for SamplePass {
    const NAME: &'static str = "linear/sample";
    type Unit = Block;
    type Partial = Sample;
    type Scratch = ();

    fn map(&self, block: &Block, (): &mut ()) -> std::result::Result<Sample, DataError> {
        let (n, d) = (block.n_rows(), block.n_features());
        let mut gram = Gram::new(d);
        let mut weight = 0.0;
        let mut tiles = Tiles::new(n.div_ceil(self.step), d, 0).every(self.step);
        tiles.for_each(block, &self.scale, |start, tile| {
            for i in 0..tile.rows {
                let own = block.weight(start + i * self.step);
                weight += own;
                if own != 1.0 {
                    let root = own.sqrt();
                    tile.row_mut(i).iter_mut().for_each(|z| *z *= root);
                }
            }
            gram.add(tile);
        });
        Ok(Sample {
            products: gram.into_matrix(),
            weight,
        })
    }
}

/// More features than this, and the inverse of their products costs more than it saves.
const MAX_FEATURES: usize = 1_024;
/// Rows sampled for each feature: the correlations are then right to `sqrt(1/16)`, which is plenty for a search direction.
const ROWS_A_FEATURE: usize = 16;
/// Rows sampled at least.
const LEAST_ROWS: usize = 4_096;

/// An inverse Hessian for the search: of `curvature` times the correlations of features, plus the L2 strengths `l2` `(d,)`.
///
/// The loss of a linear model has this Hessian where all rows have the same curvature, as they do at the start. From it, a
/// search of correlated features, or of features whose penalties differ by powers of ten, needs a few dozen passes
/// instead of hundreds. Where the products would cost too much (over 1,024 features, few rows) or may not be used (`diagonal`:
/// under an L1 penalty coordinates must not mix), it is the diagonal, for which features of variance 1 need no pass.
///
/// # Errors
/// The data cannot be passed over.
pub fn metric(
    (run, data): (&Run, &Pinned),
    scale: &Scale,
    l2: &[f64],
    (curvature, intercept): (f64, bool),
    diagonal: bool,
) -> Result<Metric> {
    let d = data.n_features();
    let rest: Option<f64> = intercept.then_some(1.0 / curvature);
    let plain = || {
        let own = l2.iter().map(|l| 1.0 / (curvature + l));
        Metric::diagonal(own.chain(rest).collect())
    };
    let rows = usize::try_from(data.n_rows()).unwrap_or(usize::MAX);
    let wanted = (ROWS_A_FEATURE * d).max(LEAST_ROWS);
    if diagonal || !(2..=MAX_FEATURES).contains(&d) || rows < ROWS_A_FEATURE * d {
        return Ok(plain());
    }
    let pass = SamplePass {
        scale: scale.clone(),
        step: (rows / wanted).max(1),
    };
    let Some(sample) = run.round(data, &pass)? else {
        return Ok(plain());
    };
    let mut hessian = correlations(&sample) * curvature;
    for (j, l2) in l2.iter().enumerate() {
        hessian[(j, j)] += l2;
    }
    let inverse = algebra::inverse_of_hessian(&hessian);
    Ok(inverse.map_or_else(plain, |m| Metric::dense(&m, rest.into_iter().collect())))
}

/// How features of variance 1 (as they are in units of training) go together, from a sample.
///
/// A feature that the sample shows with a variance off by a factor of two is too rare for it and stands alone: a step along
/// it would come out far too long. The others are drawn together by a hundredth, so that no direction seems flat by chance.
fn correlations(sample: &Sample) -> Array2<f64> {
    let products = &sample.products;
    let root: Vec<f64> = products.diag().iter().map(|p| p.sqrt()).collect();
    let told = |j: usize| (0.5..=2.0).contains(&(products[(j, j)] / sample.weight));
    Array2::from_shape_fn(products.dim(), |(i, j)| {
        if i == j {
            1.0
        } else if told(i) && told(j) {
            0.99 * products[(i, j)] / (root[i] * root[j])
        } else {
            0.0
        }
    })
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_feature_too_rare_for_the_sample_stands_alone() {
        let sample = Sample {
            products: array![[10.0, 4.0, 0.2], [4.0, 16.0, 0.1], [0.2, 0.1, 0.01]],
            weight: 10.0,
        };
        let found = correlations(&sample);
        // 4 / sqrt(10 * 16), drawn to zero by a hundredth; the third has a variance of 0.001 in place of 1.
        assert!((found[(0, 1)] - 0.99 * 4.0 / 160.0_f64.sqrt()).abs() < 1e-15);
        assert_eq!(found.row(2).to_vec(), [0.0, 0.0, 1.0]);
        assert_eq!(found[(1, 0)], found[(0, 1)]);
    }
}

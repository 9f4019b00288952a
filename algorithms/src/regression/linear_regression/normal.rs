//! The short way to the triangle: products of all pairs of columns in one pass, where that loses next to no digits.
//!
//! A triangle from products has the square of the condition number in its errors, one from the rows has not. So the products are
//! used only where the condition is small, and that is seen from the products themselves.

use emberline_pipeline::datasets::{Block, DataError};
use emberline_pipeline::{Partial, Pinned, Result, Round, Run};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::linear::{Gram, Moments, MomentsPass, Scale, Tiles};

/// Rows of each block that tell about where a column lies.
const SAMPLE: usize = 64;
/// The least share of a column's square that the columns before it may leave unexplained. With it, and a condition below
/// [`MAX_CONDITION`], products lose four of their sixteen digits at most.
const LEAST_PIVOT: f64 = 1e-4;
/// The largest condition number for which products serve.
pub(super) const MAX_CONDITION: f64 = 100.0;

/// Sums products of the columns `[x - shift | y - shift | 1]`, each row times the root of its weight.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ProductsPass {
    shift: Vec<f64>,
    label: f64,
}

/// Products of the columns `(d + 2, d + 2)`, and what they were shifted by.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Products {
    rows: u64,
    sums: Array2<f64>,
    shift: Vec<f64>,
    label: f64,
}

impl Partial for Products {
    fn merge(&mut self, later: Self) {
        self.rows += later.rows;
        self.sums += &later.sums;
    }
}

impl Round for ProductsPass {
    const NAME: &'static str = "linear_regression/products";
    type Unit = Block;
    type Partial = Products;
    type Scratch = ();

    fn map(&self, block: &Block, (): &mut ()) -> std::result::Result<Products, DataError> {
        let (n, d) = (block.n_rows(), block.n_features());
        let scale = Scale {
            centre: self.shift.clone(),
            inverse: vec![1.0; d],
            sd: vec![1.0; d],
        };
        let mut gram = Gram::new(d + 2);
        let mut rows = 0;
        Tiles::new(n, d, 2).for_each(block, &scale, |start, tile| {
            for i in 0..tile.rows {
                let weight = block.weight(start + i);
                let row = tile.row_mut(i);
                (row[d], row[d + 1]) = (block.label(start + i) - self.label, 1.0);
                if weight != 1.0 {
                    let root = weight.sqrt();
                    row.iter_mut().for_each(|z| *z *= root);
                }
                rows += u64::from(weight > 0.0);
            }
            gram.add(tile);
        });
        Ok(Products {
            rows,
            sums: gram.into_matrix(),
            shift: self.shift.clone(),
            label: self.label,
        })
    }
}

/// The products of all rows, shifted to about the means of the columns (exactly to the value of a constant one). `None` where a
/// shift, taken from a sample, turns out so far from the mean that digits are lost, or a product overflows.
///
/// # Errors
/// The data cannot be passed over.
pub(super) fn products(run: &Run, data: &Pinned) -> Result<Option<Products>> {
    let sample = MomentsPass {
        n_classes: 0,
        rows: SAMPLE,
    };
    let Some(about) = run.round(data, &sample)?.filter(|m| m.rows > 0) else {
        return Ok(None);
    };
    let shift = |j: usize| {
        if about.least[j] == about.most[j] {
            about.least[j]
        } else {
            about.mean[j]
        }
    };
    let pass = ProductsPass {
        shift: (0..data.n_features()).map(shift).collect(),
        label: about.label_mean,
    };
    let products = run.round(data, &pass)?;
    Ok(products.filter(|p| p.is_sound()))
}

impl Products {
    fn d(&self) -> usize {
        self.shift.len()
    }

    /// The sum over rows of column `j`, shifted.
    fn sum(&self, j: usize) -> f64 {
        self.sums[(j, self.d() + 1)]
    }

    fn weight(&self) -> f64 {
        self.sum(self.d() + 1)
    }

    /// Products of columns `i` and `j` about their means.
    fn centred(&self, i: usize, j: usize) -> f64 {
        self.sums[(i, j)] - self.sum(i) * (self.sum(j) / self.weight())
    }

    /// Whether all is finite and centring cancels two bits at most.
    fn is_sound(&self) -> bool {
        let near = |j: usize| {
            let whole = self.sums[(j, j)];
            whole.is_finite() && (whole == 0.0 || self.centred(j, j) > 0.25 * whole)
        };
        self.weight() > 0.0 && (0..=self.d()).all(near)
    }

    /// Moments of the columns. The extremes are made up: they tell a constant column from others, no more.
    pub fn moments(&self) -> Moments {
        let (d, weight) = (self.d(), self.weight());
        let square: Vec<f64> = (0..d).map(|j| self.centred(j, j)).collect();
        let mean: Vec<f64> = (0..d)
            .map(|j| self.shift[j] + self.sum(j) / weight)
            .collect();
        let spread: Vec<f64> = square.iter().map(|s| (s / weight).sqrt()).collect();
        let away = |sign: f64| {
            let pairs = mean.iter().zip(&spread);
            pairs.map(|(m, s)| m + sign * s).collect()
        };
        Moments {
            rows: self.rows,
            weight,
            least: away(-1.0),
            most: away(1.0),
            label_mean: self.label + self.sum(d) / weight,
            label_square: self.centred(d, d),
            class_weight: Vec::new(),
            mean,
            square,
        }
    }

    /// The triangle of the rows `sqrt(w) [1 | z | target]` in units of training, by Cholesky's factorisation. `None` where the
    /// columns before one explain nearly all of it.
    pub fn triangle(&self, scale: &Scale, label_inverse: f64) -> Option<Array2<f64>> {
        let q = self.d() + 1;
        let unit = |j: usize| scale.inverse.get(j).copied().unwrap_or(label_inverse);
        let mut r = Array2::<f64>::zeros((q + 1, q + 1));
        r[(0, 0)] = self.weight().sqrt();
        for i in 0..q {
            if unit(i) == 0.0 {
                continue; // left out as constant: a row and a column of zeros
            }
            let (above, mut own) = r.view_mut().split_at(ndarray::Axis(0), i + 1);
            let mut row = own.row_mut(0);
            for j in i..q {
                row[j + 1] = self.centred(i, j) * unit(i) * unit(j);
            }
            let whole = row[i + 1];
            for earlier in above.outer_iter().skip(1) {
                let factor = earlier[i + 1];
                for j in i..q {
                    row[j + 1] -= factor * earlier[j + 1];
                }
            }
            let pivot = row[i + 1];
            if pivot.is_nan() || pivot <= LEAST_PIVOT * whole {
                return None;
            }
            let root = pivot.sqrt();
            row.iter_mut().for_each(|v| *v /= root);
        }
        Some(r)
    }
}

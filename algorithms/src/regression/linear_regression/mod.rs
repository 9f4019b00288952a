//! `linear_regression`: least squares, ridge, lasso and elastic net.
//!
//! The objective is the textbook one, `1/(2 W) sum w (y - prediction)^2 + reg_param * (a |b|_1 + (1 - a)/2 |b|^2)` with `W` the sum
//! of weights, `a` being `elastic_net_param`, and a free intercept. Under `standardization` (the default) `b` counts per standard
//! deviation of its feature. Spark divides the label by its standard deviation as well, so that its `reg_param` means
//! `reg_param * sd(y)` here for the L1 part; the penalty of this stage never depends on the label's units.
//!
//! **Least squares and ridge.** From 2,048 rows on, with an intercept and `solver = "auto"`, one pass sums the products of all
//! columns (shifted to about their means, in `f64`); where the condition number seen there is at most 100 and the columns do not
//! explain each other or the label but for 1e-4, the solution is taken from them: of sixteen digits four are lost at most.
//! Otherwise Householder QR decides, which does not square the condition number: each
//! block is reduced to a triangle, triangles merge pairwise along the engine's tree (TSQR: Demmel, Grigori, Hoemmen & Langou 2012,
//! SIAM J. Sci. Comput. 34(1)). Features are centred and scaled first. The figure `condition` is the ratio of the extreme singular
//! values of the scaled design. Where it says that features are linearly dependent to working precision, the solution of least
//! norm (on the scaled features) is taken, and a warning says so.
//!
//! **Lasso and elastic net** go by coordinate descent on the Gram matrix of the same triangle, finished by solving for the
//! active features exactly (Friedman, Hastie & Tibshirani 2010, J. Stat. Softw. 33(1)).
//!
//! Above 2,000 features, where a triangle a block gets too large, `solver = "auto"` goes to L-BFGS (OWL-QN with an L1 part).

mod coordinate;
mod fit;
mod least_squares;
mod normal;
mod params;
#[cfg(test)]
mod tests;
mod triangle;

use emberline_pipeline::{Entry, Invariance, Traits};

pub use fit::LinearRegression;
pub use params::{LinearRegressionParams, Solver};

/// The registry entry.
pub const ENTRY: Entry = Entry::estimator::<LinearRegression>().with(Traits {
    weighted: true,
    needs_label: true,
    accepts_sparse: true,
    invariant_to: &[Invariance::Affine, Invariance::Similar],
    ..Traits::new("")
});

//! `standard_scaler`: every feature at unit spread.

mod params;
#[cfg(test)]
mod tests;

use emberline_pipeline::{Entry, Traits};

pub use params::StandardScalerParams;

use crate::adapters::{ColumnMapper, Learner, Scaling};

/// Divides each feature by its standard deviation, and takes its mean away first where asked to.
///
/// For methods that compare features or penalise coefficients (linear models, k-means, PCA) when units differ. Trees do not
/// need it.
/// - in: vectors `(n, d)` or numbers `(n,)`; a missing value is passed over in training and stays missing
/// - out: the same columns (in place by default), free of units; sample deviation, with `n - 1`
/// - cost: one pass, O(n d), O(d) memory
///
/// A feature that is constant in training is divided by 1. Row weights are not used, as in Spark ML.
/// # Errors
/// An infinite value names column and row; a feature without any value is refused.
/// # Source
/// The stage of that name in Spark ML (same defaults; there a constant feature becomes 0). Moments: Chan, Golub and LeVeque
/// 1983, The American Statistician 37(3).
pub type StandardScaler = Learner<StandardScalerParams>;

/// A fitted [`StandardScaler`].
pub type StandardScalerModel = ColumnMapper<Scaling<StandardScalerParams>>;

/// The registry entry.
pub const ENTRY: Entry = Entry::estimator::<StandardScaler>().with(Traits {
    accepts_nan: true,
    accepts_inf: true,
    accepts_sparse: true,
    ..Traits::new("inputs = [\"x1\", \"features\"]")
});

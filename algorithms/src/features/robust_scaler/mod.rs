//! `robust_scaler`: every feature at unit quantile range.

mod params;
#[cfg(test)]
mod tests;

use emberline_pipeline::{Entry, Traits};

pub use params::RobustScalerParams;

use crate::adapters::{ColumnMapper, Learner, Scaling};

/// Divides each feature by the distance between two of its quantiles, and takes its median away first where asked to.
///
/// For features with far values, which move neither median nor quantiles.
/// - in: vectors `(n, d)` or numbers `(n,)`; a missing value is passed over in training and stays missing
/// - out: the same columns (in place by default), free of units
/// - cost: O(n d log n); 8 bytes a value, in as many passes as the memory limit asks for
///
/// Quantiles are exact, interpolated between the two nearest values. A feature without a distance is divided by 1.
/// # Errors
/// An infinite value names column and row; a feature without any value is refused.
/// # Source
/// The stage of that name in Spark ML, with its defaults (its quantiles are approximate, and a feature without a distance
/// becomes 0 there). Hyndman and Fan 1996, The American Statistician 50(4), type 7.
pub type RobustScaler = Learner<RobustScalerParams>;

/// A fitted [`RobustScaler`].
pub type RobustScalerModel = ColumnMapper<Scaling<RobustScalerParams>>;

/// The registry entry.
pub const ENTRY: Entry = Entry::estimator::<RobustScaler>().with(Traits {
    row_order_free: true,
    accepts_nan: true,
    accepts_inf: true,
    accepts_sparse: true,
    ..Traits::new("inputs = [\"x1\", \"features\"]")
});

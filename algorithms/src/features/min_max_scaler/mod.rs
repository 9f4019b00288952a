//! `min_max_scaler`: every feature in the same range.

mod params;
#[cfg(test)]
mod tests;

use emberline_pipeline::{Entry, Traits};

pub use params::MinMaxScalerParams;

use crate::adapters::{ColumnMapper, Learner, Scaling};

/// Moves and stretches each feature so that its least value in training becomes `min` and its greatest `max`.
///
/// For methods that need bounded features. One far value squeezes all others: see `robust_scaler`.
/// - in: vectors `(n, d)` or numbers `(n,)`; a missing value is passed over in training and stays missing
/// - out: the same columns (in place by default), free of units; later rows may leave the range
/// - cost: one pass, O(n d), O(d) memory
///
/// A feature that is constant in training becomes the middle of the range, in later rows too.
/// # Errors
/// An infinite value names column and row; a feature without any value, or whose range overflows, is refused.
/// # Source
/// The stage of that name in Spark ML, with its defaults.
pub type MinMaxScaler = Learner<MinMaxScalerParams>;

/// A fitted [`MinMaxScaler`].
pub type MinMaxScalerModel = ColumnMapper<Scaling<MinMaxScalerParams>>;

/// The registry entry.
pub const ENTRY: Entry = Entry::estimator::<MinMaxScaler>().with(Traits {
    row_order_free: true,
    accepts_nan: true,
    accepts_inf: true,
    accepts_sparse: true,
    ..Traits::new("inputs = [\"x1\", \"features\"]")
});

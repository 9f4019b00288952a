//! `max_abs_scaler`: every feature between -1 and 1.

mod params;
#[cfg(test)]
mod tests;

use emberline_pipeline::{Entry, Traits};

pub use params::MaxAbsScalerParams;

use crate::adapters::{ColumnMapper, Learner, Scaling};

/// Divides each feature by the greatest absolute value it has in training.
///
/// For features around zero whose zeros must stay zeros.
/// - in: vectors `(n, d)` or numbers `(n,)`; a missing value is passed over in training and stays missing
/// - out: the same columns (in place by default), free of units, -1 to 1 in training
/// - cost: one pass, O(n d), O(d) memory
///
/// A feature that is zero throughout is divided by 1.
/// # Errors
/// An infinite value names column and row; a feature without any value is refused.
/// # Source
/// The stage of that name in Spark ML.
pub type MaxAbsScaler = Learner<MaxAbsScalerParams>;

/// A fitted [`MaxAbsScaler`].
pub type MaxAbsScalerModel = ColumnMapper<Scaling<MaxAbsScalerParams>>;

/// The registry entry.
pub const ENTRY: Entry = Entry::estimator::<MaxAbsScaler>().with(Traits {
    row_order_free: true,
    accepts_nan: true,
    accepts_inf: true,
    accepts_sparse: true,
    ..Traits::new("inputs = [\"x1\", \"features\"]")
});

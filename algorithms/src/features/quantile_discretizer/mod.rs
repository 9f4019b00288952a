//! `quantile_discretizer`: numbers fall into buckets of about equal size.

mod params;
#[cfg(test)]
mod tests;

use emberline_pipeline::{Entry, Traits};

pub use params::QuantileDiscretizerParams;

use super::bucketizer::Buckets;
use crate::adapters::{ColumnMapper, Learner};

/// Numbers the bucket each value falls into, with buckets that hold about as many rows of the training data each.
///
/// - in: numbers `(n,)`, any number of columns
/// - out: integers `(n,)`, 0 to the number of buckets less one, with the buckets as categories
/// - cost: O(n log n); 8 bytes a value
///
/// Splits are exact quantiles and values of the data; the outer buckets are open to both sides. Where many rows share a value,
/// quantiles coincide and buckets are merged, with a warning.
/// # Errors
/// A missing value names column and row, unless `handle_invalid` says otherwise (training passes it over); an infinite value; a
/// column without any value.
/// # Source
/// The stage of that name in Spark ML (its quantiles are approximate). Hyndman and Fan 1996, The American Statistician 50(4),
/// type 1.
pub type QuantileDiscretizer = Learner<QuantileDiscretizerParams>;

/// A fitted [`QuantileDiscretizer`].
pub type QuantileDiscretizerModel = ColumnMapper<Buckets<QuantileDiscretizerParams>>;

/// The registry entry.
pub const ENTRY: Entry = Entry::estimator::<QuantileDiscretizer>().with(Traits {
    row_order_free: true,
    accepts_inf: true,
    ..Traits::new("inputs = [\"x0\", \"x2\"]\nnum_buckets = 4")
});

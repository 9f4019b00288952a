//! `bucketizer`: numbers fall into given buckets.

mod model;
mod params;
#[cfg(test)]
mod tests;

use emberline_pipeline::{Entry, Traits};

pub(crate) use model::bucketed;
pub use model::{Buckets, bucketed_columns};
pub use params::BucketizerParams;

use crate::adapters::ColumnMapper;

/// Numbers the bucket each value falls into: from one split, with it, up to the next, without it; the last bucket holds both ends.
///
/// - in: numbers `(n,)`; splits in their unit
/// - out: integers `(n,)`, 0 to the number of buckets less one, with the buckets as categories: `[18, 65)`
/// - cost: O(n log b) for b buckets
/// # Errors
/// A missing value names column and row, unless `handle_invalid` says otherwise. A value outside of all buckets is always an
/// error: begin with `-inf` and end with `inf` to have none.
/// # Source
/// The stage of that name in Spark ML.
pub type Bucketizer = ColumnMapper<Buckets>;

/// The registry entry.
pub const ENTRY: Entry = Entry::transformer::<Bucketizer>().with(Traits {
    accepts_inf: true,
    ..Traits::new("inputs = [\"x0\", \"x1\"]\nsplits = [-inf, 0.0, 3.0, inf]")
});

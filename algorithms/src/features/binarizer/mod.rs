//! `binarizer`: numbers become 0 or 1.

mod model;
mod params;
#[cfg(test)]
mod tests;

use emberline_pipeline::{Entry, Traits};

pub use model::Thresholds;
pub use params::BinarizerParams;

use crate::adapters::ColumnMapper;

/// Writes 1 for numbers above a threshold and 0 for the others.
///
/// - in: numbers `(n,)` or vectors `(n, d)`; thresholds in their unit
/// - out: 0 or 1, as integers `(n,)` or vectors `(n, d)`; a missing value stays missing
/// - cost: O(n d)
/// # Errors
/// A number of `thresholds` that is not that of the columns.
/// # Source
/// The stage of that name in Spark ML.
pub type Binarizer = ColumnMapper<Thresholds>;

/// The registry entry.
pub const ENTRY: Entry = Entry::transformer::<Binarizer>().with(Traits {
    accepts_nan: true,
    accepts_inf: true,
    accepts_sparse: true,
    ..Traits::new("inputs = [\"x0\", \"features\"]\nthreshold = 0.5")
});

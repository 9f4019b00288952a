//! `normalizer`: every row at unit length.

mod model;
mod params;
#[cfg(test)]
mod tests;

use emberline_pipeline::{Entry, Traits};

pub use model::Norm;
pub use params::NormalizerParams;

use crate::adapters::VectorMapper;

/// Divides each row by its length, its p-norm.
///
/// For methods that should see directions and not lengths, such as of word counts.
/// - in: vectors `(n, d)`, complete
/// - out: vectors `(n, d)` (in place by default) of norm 1, free of units; a row of zeros stays as it is
/// - cost: O(n d)
/// # Errors
/// A missing or infinite value names column and row.
/// # Source
/// The stage of that name in Spark ML.
pub type Normalizer = VectorMapper<Norm>;

/// The registry entry.
pub const ENTRY: Entry = Entry::transformer::<Normalizer>().with(Traits {
    accepts_sparse: true,
    ..Traits::new("")
});

//! `vector_slicer`: some slots of a vector.

mod model;
mod params;
#[cfg(test)]
mod tests;

use emberline_pipeline::{Entry, Traits};

pub use model::Slices;
pub use params::VectorSlicerParams;

use crate::adapters::VectorMapper;

/// Takes some slots of a vector, in the order asked for: those by position first, then those by name.
///
/// - in: vectors `(n, d)`
/// - out: vectors `(n, w)` with the chosen slots, their names and meaning
/// - cost: O(n w)
/// # Errors
/// A position or name that is not there, or is chosen twice.
/// # Source
/// The stage of that name in Spark ML.
pub type VectorSlicer = VectorMapper<Slices>;

/// The registry entry.
pub const ENTRY: Entry = Entry::transformer::<VectorSlicer>().with(Traits {
    accepts_nan: true,
    accepts_inf: true,
    accepts_sparse: true,
    ..Traits::new("indices = [0, 3]")
});

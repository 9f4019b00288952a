//! `index_to_string`: numbers become the categories they stand for.

mod model;
mod params;
#[cfg(test)]
mod tests;

use emberline_pipeline::{Entry, Traits};

pub use model::Labels;
pub use params::IndexToStringParams;

use crate::adapters::ColumnMapper;

/// Turns indices back into the categories they stand for: what `string_indexer` did, undone.
///
/// - in: whole numbers from 0 `(n,)`, any number of columns
/// - out: text `(n,)`; a missing index stays missing
/// - cost: O(n)
/// # Errors
/// A column without categories where `labels` is not given; a value that is no index names column and row.
/// # Source
/// The stage of that name in Spark ML.
pub type IndexToString = ColumnMapper<Labels>;

/// The registry entry.
pub const ENTRY: Entry = Entry::transformer::<IndexToString>().with(Traits {
    accepts_nan: true,
    ..Traits::new("input = \"index\"")
});

//! `string_indexer`: categories become numbers.

mod fit;
mod model;
mod params;
#[cfg(test)]
mod tests;

use emberline_pipeline::{Entry, Traits};

pub use model::{Indexing, UNKNOWN};
pub use params::{StringIndexerParams, StringOrderType};

use crate::adapters::{ColumnMapper, Learner};

/// Numbers the categories of a column, the most frequent one 0 (or in another order).
///
/// For text that a model is to take: an index says nothing but which category it is, so follow with a `one_hot_encoder` for
/// linear models; trees take the index as it is, as a category.
/// - in: text, booleans or integers `(n,)`, any number of columns
/// - out: integers `(n,)`, 0 to the number of categories less one, with the categories as the column's attribute
/// - cost: one pass; memory for each distinct value
/// # Errors
/// More distinct values than `max_categories`. A missing value or a category not seen in training names column, row and value,
/// unless `handle_invalid` says otherwise. Missing values are passed over in training.
/// # Source
/// The stage of that name in Spark ML. Unlike there, integers are ordered by value and not by their digits.
pub type StringIndexer = Learner<StringIndexerParams>;

/// A fitted [`StringIndexer`].
pub type StringIndexerModel = ColumnMapper<Indexing>;

/// The registry entry.
pub const ENTRY: Entry = Entry::estimator::<StringIndexer>().with(Traits {
    row_order_free: true,
    learns_categories: true,
    ..Traits::new("input = \"text\"")
});

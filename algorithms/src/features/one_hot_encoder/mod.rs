//! `one_hot_encoder`: a category becomes a row of zeros with a one in it.

mod fit;
mod model;
mod params;
#[cfg(test)]
mod tests;

use emberline_pipeline::{Entry, Traits};

pub use model::OneHot;
pub use params::{OneHotEncoderParams, OneHotInvalid};

use crate::adapters::{Learner, VectorMapper};

/// Spreads a category over slots of its own: 1 in the slot of the row's category, 0 in the others.
///
/// For linear models, k-means and all that would read meaning into the order of indices. Trees do better without.
/// - in: indexed columns (see `string_indexer`), booleans, or whole numbers from 0 `(n,)`, any number of columns
/// - out: a dense vector `(n, w)` a column, with slots named `column=category`; `w` is the number of categories, one less
///   under `drop_last`, one more under `handle_invalid = "keep"`
/// - cost: O(n w); one pass for columns whose categories are not known from their attribute (greatest value and 1)
///
/// The slots of a column without the last one are as much as all of them where there is an intercept, and do not add up to it.
/// # Errors
/// A missing value, or one that is no category, names column and row, unless `handle_invalid` says otherwise.
/// # Source
/// The stage of that name in Spark ML, with its defaults.
pub type OneHotEncoder = Learner<OneHotEncoderParams>;

/// A fitted [`OneHotEncoder`].
pub type OneHotEncoderModel = VectorMapper<OneHot>;

/// The registry entry.
pub const ENTRY: Entry = Entry::estimator::<OneHotEncoder>().with(Traits {
    row_order_free: true,
    learns_categories: true,
    ..Traits::new("inputs = [\"index\", \"flag\", \"whole\"]")
});

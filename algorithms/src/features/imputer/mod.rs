//! `imputer`: missing values are filled in.

mod fit;
mod model;
mod params;
#[cfg(test)]
mod tests;

use emberline_pipeline::{Entry, Traits};

pub use model::{Fill, Filling};
pub use params::{FillValue, ImputerParams, Strategy};

use crate::adapters::{ColumnMapper, Learner};

/// Fills missing values with the mean, the median or the most frequent value of their column, or with a constant.
///
/// For learners that take no missing values; trees can use them as they are.
/// - in: numbers `(n,)`, any number of columns; text too under `mode` and `constant`
/// - out: the same columns (in place by default) in their unit. Integers and booleans stay what they are under `mode`, and under
///   a `constant` that is one of them, and become floats otherwise
/// - cost: one pass; `median` sorts 8 bytes a value, `mode` keeps each distinct value
///
/// The median is exact, and between the two middle values where their number is even. Of several most frequent values the least
/// is taken. Row weights are not used, as in Spark ML.
/// # Errors
/// A column without any value, unless `keep_empty`; an infinite value under `mean` and `median`.
/// # Source
/// The stage of that name in Spark ML (its median is approximate, and its integers stay integers under `mean`).
pub type Imputer = Learner<ImputerParams>;

/// A fitted [`Imputer`].
pub type ImputerModel = ColumnMapper<Filling>;

/// The registry entry.
pub const ENTRY: Entry = Entry::estimator::<Imputer>().with(Traits {
    accepts_nan: true,
    accepts_inf: true,
    ..Traits::new("inputs = [\"x0\", \"x2\"]")
});

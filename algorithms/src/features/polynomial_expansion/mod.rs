//! `polynomial_expansion`: powers and products of the slots.

mod model;
mod params;
#[cfg(test)]
mod tests;

use emberline_pipeline::{Entry, Traits};

pub use model::Polynomials;
pub use params::PolynomialExpansionParams;

use crate::adapters::VectorMapper;

/// Adds all products of slots up to a degree, so that linear models can bend.
///
/// The terms of `(x, y)` for degree 2 are `x, x^2, y, x*y, y^2`: those without `y` first, then those with `y`, with `y^2`, and in
/// each of these groups the same for `x`; the constant term is left out. Slots are named after their terms.
/// - in: vectors `(n, d)` or numbers `(n,)`
/// - out: vectors `(n, w)`, `w = (d + degree)! / (d! degree!) - 1`; a term of a missing slot is missing
/// - cost: O(n w), one multiplication a term
/// # Errors
/// More than 65536 terms. A term that is infinite names column and row: scale the slots before.
/// # Source
/// The stage of that name in Spark ML, and its order of terms.
pub type PolynomialExpansion = VectorMapper<Polynomials>;

/// The registry entry.
pub const ENTRY: Entry = Entry::transformer::<PolynomialExpansion>().with(Traits {
    accepts_nan: true,
    accepts_sparse: true,
    ..Traits::new("inputs = [\"x0\", \"features\"]")
});

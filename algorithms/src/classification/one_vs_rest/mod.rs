//! `one_vs_rest`: a binary classifier for each class, against all others.
//!
//! Over `logistic_regression` (the default) the classes are trained together: one pass over the data a step for all of them, each
//! following the path it would follow alone, and leaving when it has converged. Over any other classifier of the registry
//! they are trained one after the other on relabelled rows.
//!
//! A row gets the class whose model gives the highest probability, the lower class index where two are equal; probabilities
//! are divided by their sum. The raw prediction is the margin of each class over logistic regression, else its probability.
//! Two classes need one model only, and get the probabilities of the binary classifier itself.

mod fit;
mod model;
mod params;
#[cfg(test)]
mod tests;

use emberline_pipeline::{Entry, Invariance, Traits};

pub use fit::OneVsRest;
pub use model::OneVsRestScorer;
pub use params::{OneVsRestParams, StageTable};

/// The registry entry.
pub const ENTRY: Entry = Entry::estimator::<OneVsRest>().with(Traits {
    weighted: true,
    needs_label: true,
    accepts_sparse: true,
    falling_objective: true,
    invariant_to: &[Invariance::Affine, Invariance::Similar],
    ..Traits::new("")
});

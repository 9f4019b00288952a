//! `logistic_regression`: linear log odds of two classes or more, by maximum likelihood under a penalty.
//!
//! The objective is the weighted mean log loss plus `reg_param * ((1 - a) / 2 |w|^2 + a |w|_1)`, `a` being
//! `elastic_net_param`, with free intercepts. Under `standardization` (the default, as in Spark) `w` counts per standard
//! deviation of its feature; coefficients are returned per unit of the feature either way. The standard deviation is that of the
//! population, so that a weight of 2 equals a row given twice; Spark divides by `n - 1`, which shifts the penalty by `1/n`.
//!
//! Solved by L-BFGS, or OWL-QN where there is an L1 part ([`crate::optim`]), one pass over the data a step, on centred and
//! scaled features whatever `standardization` says. Without a penalty the multinomial coefficients are fixed up to a constant per
//! feature only; they are centred over the classes, as in Spark; so are multinomial intercepts always.

pub(crate) mod fit;
mod params;
#[cfg(test)]
pub(crate) mod tests;

use emberline_pipeline::{Entry, Invariance, Traits};

pub use fit::LogisticRegression;
pub use params::{ClassWeights, Family, LogisticRegressionParams, WeightMode};

/// The registry entry.
pub const ENTRY: Entry = Entry::estimator::<LogisticRegression>().with(Traits {
    weighted: true,
    needs_label: true,
    accepts_sparse: true,
    falling_objective: true,
    invariant_to: &[Invariance::Affine, Invariance::Similar],
    ..Traits::new("")
});

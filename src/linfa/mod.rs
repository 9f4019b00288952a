//! Learners of [linfa](https://docs.rs/linfa) as stages of an Emberline pipeline, and tables to and from `linfa::Dataset`.
//!
//! linfa 0.8 stands on ndarray 0.16, Emberline on 0.17; rows cross between the two as slices, so a dense `f64` block becomes a
//! linfa view without a copy ([`block_view`]).
//!
//! To make a linfa learner a stage, state how it is fitted and how it predicts in a [`LinfaLearner`], and register
//! `Entry::estimator::<LinfaStage<MyLearner>>()`; `examples/linfa_naive_bayes.rs` does so from start to end. Columns, original
//! labels, checks, saving, the batch path and the one-record path are then those of every other stage.

mod convert;
mod stage;
#[cfg(test)]
mod tests;

pub use convert::{LinfaData, block_view, from_linfa, to_linfa};
pub use stage::{LinfaLearner, LinfaStage};

//! Evaluators: predictions to numbers, in as few passes as the metrics allow.
//!
//! Sums run along the engine's canonical tree, so a metric has the same bits for any number of partitions and threads. Weights
//! count as repetition: a row of weight 2 is the same as the row twice. A metric that has no value on the rows at hand (the
//! area under a curve of one class) is left out with a warning, and never reported as NaN.

pub mod binary;
pub mod clustering;
pub mod multiclass;
pub mod regression;
mod shared;

use emberline_pipeline::EvaluatorEntry;

pub use binary::BinaryEvaluator;
pub use clustering::ClusteringEvaluator;
pub use multiclass::MulticlassEvaluator;
pub use regression::RegressionEvaluator;

/// The evaluators of this crate.
pub const ENTRIES: &[EvaluatorEntry] = &[
    multiclass::ENTRY,
    binary::ENTRY,
    regression::ENTRY,
    clustering::ENTRY,
];

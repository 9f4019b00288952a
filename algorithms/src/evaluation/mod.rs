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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_known_metric_and_no_name_occurs_twice() {
        let mut metrics = std::collections::BTreeSet::new();
        for entry in ENTRIES {
            assert!(
                entry
                    .metrics
                    .iter()
                    .all(|(name, doc)| metrics.insert(*name) && !doc.is_empty())
            );
            assert!(
                entry
                    .defaults
                    .iter()
                    .all(|d| entry.metrics.iter().any(|(name, _)| name == d))
            );
            assert_eq!((entry.build)(Default::default()).name(), entry.name);
        }
    }
}

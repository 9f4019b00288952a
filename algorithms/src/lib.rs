//! Feature stages, learners and evaluators of Emberline.
//!
//! One folder a stage (`mod.rs params.rs fit.rs model.rs ...`) and one line in the list below. [`registry`] is what the TOML
//! reader, the command line and the common checks walk.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod adapters;
pub mod columns;
pub mod evaluation;
pub mod labels;
pub mod learner;
pub mod linear;
pub mod optim;
pub mod stats;
#[cfg(test)]
pub(crate) mod testing;
pub mod tree;

use emberline_pipeline::Registry;

/// Result of this crate; the error is the pipeline's unless another is named.
pub(crate) type Result<T, E = emberline_pipeline::Error> = std::result::Result<T, E>;

/// Declares the module of each stage and lists its `ENTRY`.
macro_rules! stages {
    ($($(#[$doc:meta])* $area:ident { $($stage:ident,)* })*) => {
        $($(#[$doc])* pub mod $area { $(pub mod $stage;)* })*

        pub mod prelude {
            //! The parameters and models of every stage, for scripts.
            //!
            //! Each stage's `ENTRY` is left to its own module: the name is the same in all of them.
            #![allow(ambiguous_glob_reexports)]
            $($(pub use super::$area::$stage::*;)*)*
        }

        fn register_stages(registry: &mut Registry) {
            $($(registry.register($area::$stage::ENTRY);)*)*
        }
    };
}

stages! {
    /// Stages that rewrite columns.
    features {
        binarizer,
        bucketizer,
        imputer,
        index_to_string,
        max_abs_scaler,
        min_max_scaler,
        normalizer,
        one_hot_encoder,
        pca,
        polynomial_expansion,
        quantile_discretizer,
        robust_scaler,
        standard_scaler,
        string_indexer,
        vector_assembler,
        vector_slicer,
    }
    /// Learners of classes.
    classification {
        decision_tree_classifier,
        logistic_regression,
        one_vs_rest,
        random_forest_classifier,
    }
    /// Learners of numbers.
    regression {
        decision_tree_regressor,
        linear_regression,
        random_forest_regressor,
    }
    /// Learners that group rows.
    clustering {
        kmeans,
    }
}

/// Every stage and evaluator of this crate.
#[must_use]
pub fn registry() -> Registry {
    let mut registry = Registry::new();
    register_stages(&mut registry);
    for jobs in [labels::jobs, linear::jobs, stats::jobs, tree::jobs] {
        registry.register_jobs(jobs);
    }
    for entry in evaluation::ENTRIES {
        registry.register_evaluator(*entry);
    }
    registry
}

//! Feature stages, learners and evaluators of Emberline.
//!
//! One folder a stage (`mod.rs params.rs fit.rs model.rs ...`) and one line in the list below. [`registry`] is what the TOML
//! reader, the command line and the common checks walk.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod columns;
pub mod labels;
pub mod learner;
pub mod linear;
pub mod optim;
#[cfg(test)]
pub(crate) mod testing;

use emberline_pipeline::Registry;

/// Declares the module of each stage and lists its `ENTRY`.
macro_rules! stages {
    ($($(#[$doc:meta])* $area:ident { $($stage:ident,)* })*) => {
        $($(#[$doc])* pub mod $area { $(pub mod $stage;)* })*

        fn register_stages(registry: &mut Registry) {
            $($(registry.register($area::$stage::ENTRY);)*)*
        }
    };
}

stages! {
    /// Stages that rewrite columns.
    features {
        vector_assembler,
    }
    /// Learners of classes.
    classification {
        logistic_regression,
    }
}

/// Every stage and evaluator of this crate.
#[must_use]
pub fn registry() -> Registry {
    let mut registry = Registry::new();
    register_stages(&mut registry);
    registry
}

//! Emberline trains, evaluates and applies classic machine-learning pipelines over partitioned datasets.
//!
//! A pipeline is written in TOML (`emberline train config.toml`) or in Rust:
//!
//! ```
//! use emberline::prelude::*;
//!
//! # fn main() -> Result<()> {
//! let data = open(&SourceOptions::new("bundled:iris"))?;
//! let pipeline = Pipeline::builder()
//!     .stage(VectorAssemblerParams::default())
//!     .stage(RandomForestClassifierParams { num_trees: 20, ..Default::default() })
//!     .build()?;
//! let plan = TrainPlan::new("iris", data, pipeline).split(Split::new(0.25, 42).stratified("species"));
//! let trained = train(&plan, &emberline::registry(), &Run::local(42, 0))?;
//! let accuracy = trained.metrics.map_or(0.0, |m| m.values["accuracy"]);
//! assert!(accuracy > 0.9);
//! # Ok(())
//! # }
//! ```
//!
//! Everything a script needs is in [`prelude`]. Authors of stages look into [`pipeline`] and [`datasets`].
#![cfg_attr(test, allow(clippy::unwrap_used))]

#[cfg(feature = "cluster")]
pub mod cluster;
pub mod conformance;
#[cfg(feature = "linfa")]
pub mod linfa;
pub mod report;

pub use emberline_algorithms as algorithms;
pub use emberline_algorithms::registry;
pub use emberline_datasets as datasets;
pub use emberline_datasets::arrow;
pub use emberline_pipeline as pipeline;
pub use emberline_pipeline::config;

pub mod prelude {
    //! What a training script needs, in one line: `use emberline::prelude::*;`.

    pub use emberline_algorithms::prelude::*;
    pub use emberline_datasets::{
        Attribute, Batch, Column, ColumnType, DataError, Dataset, Schema, SourceOptions, Split,
        source::open,
    };
    pub use emberline_pipeline::config::{Config, ConfigError, ConfigErrors};
    pub use emberline_pipeline::{
        AnyStage, Component, Entry, Error, Estimator, Event, EventLog, EventSink, FitReport,
        Fitted, Jobs, Kind, Load, Metrics, ModelError, ModelFile, ParamCheck, ParamErrors,
        ParamSet, Pipeline, PipelineModel, Registry, Result, Round, Run, Scorer, Stage, Tee,
        Traits, Transformer,
        train::{TrainOutcome, TrainPlan, train},
    };

    pub use crate::report::Report;
}

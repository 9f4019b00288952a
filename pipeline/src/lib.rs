//! Traits, parameters, pipelines, engines, configuration, model files and events of Emberline.
//!
//! Start at [`Pipeline`]; an author of stages starts at [`stage`] and [`engine`].
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod config;
pub mod engine;
mod error;
pub mod evaluate;
pub mod event;
pub mod invalid;
pub mod model_file;
mod nan;
mod param;
pub mod persist;
mod pipeline;
pub mod predictor;
pub mod registry;
pub mod row;
mod run;
pub mod stage;
#[cfg(test)]
mod toy;
pub mod train;

pub use emberline_datasets as datasets;
pub use engine::{BlockSource, Engine, Exchange, Jobs, Local, Partial, Pinned, Round, Work};
pub use error::{Error, Result};
pub use evaluate::{Evaluator, EvaluatorColumns, EvaluatorEntry, LabelMetrics, Metrics};
pub use event::{Event, EventLog, EventSink, JsonLines, NoEvents, Tee};
pub use invalid::{InvalidRows, InvalidValues, invalid_rows};
pub use model_file::{Evidence, ModelFile, Saved, Verification};
pub use param::{ParamCheck, ParamError, ParamErrors, ParamSet};
pub use persist::{Arrays, ModelError, SavedStage};
pub use pipeline::{
    FittedPipeline, PIPELINE, Pipeline, PipelineBuilder, PipelineModel, Scorer, StageReport,
};
pub use registry::{Component, Entry, Invariance, Kind, Load, Registry, Traits};
pub use run::{Cancel, Rounds, Run};
pub use stage::{
    AnyStage, ErasedEstimator, Estimator, FitReport, Fitted, Stage, StopReason, Transformer,
};
pub use train::{
    EvaluateOptions, Evaluation, Timings, TrainOutcome, TrainPlan, evaluate_model, predict, train,
};

//! The traits: typed for authors, erased for pipelines.

use std::sync::Arc;

use emberline_datasets::recipe::Step;
use emberline_datasets::{Batch, DataError, Dataset, RowOp, Schema, SchemaErrors};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Result;
use crate::engine::Jobs;
use crate::invalid::{Fate, Reason};
use crate::model_file;
use crate::persist::Arrays;
use crate::predictor::ScoreClasses;
use crate::row::{RowLayout, RowStep};
use crate::run::Run;

/// Anything that stands in a pipeline.
pub trait Stage: Send + Sync {
    /// Name in the registry, in configs and in messages.
    fn name(&self) -> &str;

    /// Columns this stage promises, given those it receives. Reads no row.
    ///
    /// # Errors
    /// Every way in which `input` does not fit, at once.
    fn output_schema(&self, input: &Schema) -> std::result::Result<Schema, SchemaErrors>;

    /// Columns this stage reads, of those it receives.
    fn reads(&self, input: &Schema) -> Vec<String>;

    /// Columns this stage (once fitted) adds or replaces.
    fn writes(&self, input: &Schema) -> Vec<String>;

    /// Effective parameters, defaults resolved; kept in the model as evidence.
    fn params(&self) -> Value;
}

/// A fitted or rule-based stage: row-wise and pure.
pub trait Transformer: Stage {
    /// Adds its columns to a batch. The result for a row depends on that row alone.
    ///
    /// # Errors
    /// A value the stage cannot take.
    fn transform(&self, batch: Batch) -> std::result::Result<Batch, DataError>;

    /// True where rows may be dropped (`handle_invalid = "skip"`).
    fn drops_rows(&self) -> bool {
        false
    }

    /// What becomes of a row with a value that the stage cannot take, where it has a policy for that (`handle_invalid`); `None` where
    /// such a value is refused, or where there is none.
    fn invalid_fate(&self) -> Option<Fate> {
        None
    }

    /// Finds the rows of `batch` that this policy lets pass, so that they can be counted: calls `note(column, reason, row)` with the
    /// column's place in [`Stage::reads`] and the row's in the batch, in any order; what is noted twice counts once. A stage with a
    /// policy must note every such row: the conformance suite counts them.
    ///
    /// # Errors
    /// The columns do not fit.
    fn find_invalid(
        &self,
        _batch: &Batch,
        _note: &mut dyn FnMut(usize, Reason, usize),
    ) -> std::result::Result<(), DataError> {
        Ok(())
    }

    /// The stages it consists of, where it is a pipeline.
    fn parts(&self) -> Option<&[Arc<dyn Transformer>]> {
        None
    }

    /// The transformer with everything that depends on the training schema written out (globs become names), so that a
    /// fitted pipeline never picks up a column it was not trained on. `None` where nothing does.
    ///
    /// # Errors
    /// The schema does not fit.
    fn bind(
        &self,
        _input: &Schema,
    ) -> std::result::Result<Option<Arc<dyn Transformer>>, SchemaErrors> {
        Ok(None)
    }

    /// Everything needed to load it again: the state, and long lists of numbers in `arrays`.
    fn save(&self, arrays: &mut Arrays) -> Value;

    /// The transformer as a scorer of classes, where it is a fitted classifier: what a stage that holds classifiers
    /// (one-vs-rest) calls for each row.
    fn as_classifier(&self) -> Option<&dyn ScoreClasses> {
        None
    }

    /// The compiled path for one record. Gives the same bits as [`Transformer::transform`].
    ///
    /// # Errors
    /// The record's columns do not fit.
    fn row_step(
        &self,
        layout: &mut RowLayout,
    ) -> std::result::Result<Box<dyn RowStep>, SchemaErrors>;
}

/// A stage that learns from data.
pub trait Estimator: Stage {
    /// What it becomes.
    type Model: Transformer + 'static;

    /// Learns from the rows of `data`.
    ///
    /// # Errors
    /// The data do not fit, or the engine fails. Running out of rounds is no error: see [`StopReason`].
    fn fit(&self, data: &Dataset, run: &Run) -> Result<Fitted<Self::Model>>;

    /// Bytes that a fit on `rows` rows holds beside its blocks, for as long as it runs: bounds, tables, orders of rows. A pipeline sets
    /// them aside before it calls [`Estimator::fit`], and refuses where the memory limit has no room for them. What grows with
    /// neither rows nor width need not be counted. `None` where `input` leaves a width open.
    fn working_memory(&self, _input: &Schema, _rows: u64) -> Option<u64> {
        Some(0)
    }
}

/// Why a fit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The method has no rounds to repeat, or did all it had to do.
    #[default]
    Done,
    /// The stopping rule held.
    Converged,
    /// `max_iter` was reached first.
    MaxIter,
    /// No step could improve the objective further in floating point.
    NoProgress,
}

impl std::fmt::Display for StopReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::Converged => "converged",
            Self::MaxIter => "stopped at max_iter",
            Self::NoProgress => "no further progress",
        })
    }
}

/// How a fit went. Free of clock readings, so that equal fits give equal reports.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FitReport {
    /// Rows learnt from.
    pub rows: u64,
    /// Rounds done.
    pub rounds: u64,
    /// Why it stopped.
    pub stop: StopReason,
    /// The objective after each round, first to last.
    #[serde(deserialize_with = "crate::nan::list")]
    pub history: Vec<f64>,
    /// Importance of each original column, largest first; empty where the method has none.
    #[serde(deserialize_with = "crate::nan::pairs")]
    pub importances: Vec<(String, f64)>,
    /// Named figures of the method: `condition`, `oob_score`, `effective_k`, ...
    #[serde(deserialize_with = "crate::nan::named")]
    pub figures: std::collections::BTreeMap<String, f64>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// A model, and how its fit went.
#[derive(Debug, Clone)]
pub struct Fitted<M> {
    /// The fitted stage.
    pub model: M,
    /// How it went.
    pub report: FitReport,
}

/// Object-safe face of [`Estimator`]; nobody implements it by hand.
pub trait ErasedEstimator: Stage {
    /// Fits, then boxes the model.
    ///
    /// # Errors
    /// As [`Estimator::fit`].
    fn fit_boxed(&self, data: &Dataset, run: &Run) -> Result<Fitted<Arc<dyn Transformer>>>;

    /// As [`Estimator::working_memory`].
    fn memory_of_fit(&self, input: &Schema, rows: u64) -> Option<u64>;
}

impl<E: Estimator> ErasedEstimator for E {
    fn fit_boxed(&self, data: &Dataset, run: &Run) -> Result<Fitted<Arc<dyn Transformer>>> {
        let Fitted { model, report } = self.fit(data, run)?;
        Ok(Fitted {
            model: Arc::new(model),
            report,
        })
    }

    fn memory_of_fit(&self, input: &Schema, rows: u64) -> Option<u64> {
        self.working_memory(input, rows)
    }
}

/// A stage of a pipeline before fitting.
#[derive(Clone)]
pub enum AnyStage {
    /// Needs no fitting.
    Transformer(Arc<dyn Transformer>),
    /// Learns from data.
    Estimator(Arc<dyn ErasedEstimator>),
}

impl AnyStage {
    /// The stage, whichever it is.
    #[must_use]
    pub fn stage(&self) -> &dyn Stage {
        match self {
            Self::Transformer(t) => &**t,
            Self::Estimator(e) => &**e,
        }
    }
}

/// A transformer as a step of a dataset.
pub struct StageOp(pub Arc<dyn Transformer>);

impl RowOp for StageOp {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn output_schema(&self, input: &Schema) -> std::result::Result<Schema, SchemaErrors> {
        self.0.output_schema(input)
    }

    fn inputs(&self, input: &Schema) -> Vec<String> {
        self.0.reads(input)
    }

    fn outputs(&self, input: &Schema) -> Vec<String> {
        self.0.writes(input)
    }

    fn drops_rows(&self) -> bool {
        self.0.drops_rows()
    }

    fn apply(&self, batch: Batch) -> std::result::Result<Batch, DataError> {
        self.0.transform(batch)
    }

    fn step(&self) -> Option<std::result::Result<Step, DataError>> {
        let bytes = model_file::stage_to_bytes(&*self.0);
        Some(
            bytes
                .map_err(|e| DataError::format(self.0.name(), e))
                .and_then(|b| Step::of(STEP, &b)),
        )
    }
}

/// Name of a fitted stage among the steps of a dataset.
const STEP: &str = "pipeline/stage";

/// Adds the reader of fitted stages.
pub(crate) fn jobs(jobs: &mut Jobs) {
    jobs.step_by(STEP, |step, registry| {
        let bytes: Vec<u8> = step.read()?;
        let stage = model_file::stage_from_bytes(&bytes, registry)
            .map_err(|e| DataError::format(STEP, e))?;
        Ok(Arc::new(StageOp(stage)))
    });
}

/// Applies a transformer to every batch of a dataset as it is read.
///
/// # Errors
/// The columns do not fit.
pub fn apply(data: &Dataset, transformer: Arc<dyn Transformer>) -> Result<Dataset> {
    Ok(data.with_op(Arc::new(StageOp(transformer)))?)
}

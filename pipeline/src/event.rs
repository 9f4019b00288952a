//! The one stream of typed events that the progress bar, the run log, reports and time budgets read.

mod jsonl;

use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use crate::invalid::{Fate, InvalidRows, InvalidValues};

pub use jsonl::JsonLines;

/// Something that happened in a run. One JSON object a line in `events.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The run begins.
    RunStarted {
        /// Name of the config.
        name: String,
        /// Seed of the run.
        seed: u64,
        /// Engine, with its size: `local, 2 threads`.
        engine: String,
    },
    /// A stage begins to be fitted.
    StageStarted {
        /// Stage name.
        stage: String,
        /// Position in the pipeline, from 0.
        index: usize,
        /// Number of stages.
        of: usize,
    },
    /// One round of an iterative stage is done.
    RoundFinished {
        /// Stage name.
        stage: String,
        /// Rounds done, from 1.
        round: u64,
        /// The most rounds there will be, where that is known.
        max_rounds: Option<u64>,
        /// The objective after the round, where it has one.
        loss: Option<f64>,
        /// Rows gone through per second.
        rows_per_s: f64,
        /// Bytes of partial results merged.
        bytes: u64,
        /// Seconds left if all rounds are needed.
        eta_s: Option<f64>,
    },
    /// The state of a stage was written to disk.
    CheckpointWritten {
        /// Stage name.
        stage: String,
        /// Round it holds.
        round: u64,
        /// File size.
        bytes: u64,
    },
    /// A stage is fitted.
    StageFinished {
        /// Stage name.
        stage: String,
        /// Wall time.
        seconds: f64,
        /// Rounds it took.
        rounds: u64,
        /// Why it stopped.
        stop: String,
    },
    /// A metric was computed.
    MetricComputed {
        /// Metric name.
        metric: String,
        /// Its value.
        value: f64,
    },
    /// A stage skipped or kept rows by its policy, or might have.
    InvalidRows {
        /// Which rows were looked at: `training rows`, `held-out rows`, `rows`.
        among: String,
        /// Stage name.
        stage: String,
        /// What became of them.
        fate: Fate,
        /// Rows.
        rows: u64,
        /// The same by column and reason.
        columns: Vec<InvalidValues>,
    },
    /// A round, or some pieces of work, were computed by other processes.
    JobComputed {
        /// Stage name; empty between stages.
        stage: String,
        /// What was computed: the name of the round or work.
        job: String,
        /// Wall time, the way there and back included.
        seconds: f64,
        /// Bytes that were sent with each part.
        bytes_sent: u64,
        /// Its parts.
        parts: Vec<PartComputed>,
    },
    /// Something the user should know and that stops nothing.
    Warning {
        /// Stage it concerns, if one.
        stage: Option<String>,
        /// What and what to do.
        message: String,
    },
    /// The run is over.
    RunFinished {
        /// Wall time.
        seconds: f64,
        /// False where it failed or was interrupted.
        ok: bool,
    },
}

/// A part of a job as it came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartComputed {
    /// Its number.
    pub part: usize,
    /// Who computed it.
    pub executor: String,
    /// Bytes of its answer.
    pub bytes: u64,
    /// Whether its blocks were there already; `None` where it needs none.
    pub kept: Option<bool>,
}

impl Event {
    pub(crate) fn invalid(found: &InvalidRows, among: &str) -> Self {
        Self::InvalidRows {
            among: among.to_owned(),
            stage: found.stage.clone(),
            fate: found.fate,
            rows: found.rows,
            columns: found.columns.clone(),
        }
    }
}

/// A reader of events. Called from any thread; must be quick.
pub trait EventSink: Send + Sync {
    /// Takes one event.
    fn emit(&self, event: &Event);
}

/// Drops every event.
#[derive(Debug, Default)]
pub struct NoEvents;

impl EventSink for NoEvents {
    fn emit(&self, _: &Event) {}
}

/// Keeps every event in memory, for tests and reports.
#[derive(Debug, Default)]
pub struct EventLog(Mutex<Vec<Event>>);

impl EventLog {
    /// The events so far.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }
}

impl EventSink for EventLog {
    fn emit(&self, event: &Event) {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(event.clone());
    }
}

/// Hands each event to several readers.
#[derive(Default)]
pub struct Tee(pub Vec<std::sync::Arc<dyn EventSink>>);

impl EventSink for Tee {
    fn emit(&self, event: &Event) {
        for sink in &self.0 {
            sink.emit(event);
        }
    }
}

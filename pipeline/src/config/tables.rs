//! The tables of a config as types; their docs are the descriptions in the JSON Schema.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::size::ByteSize;

/// Seed of a config that names none.
pub const DEFAULT_SEED: u64 = 42;

/// What stands before the first table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Head {
    /// Name of the run, shown in reports. Default: the file's name without its extension.
    pub name: Option<String>,
    /// Seed of everything random: splits, bootstraps, starting points. Default: 42.
    pub seed: u64,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            name: None,
            seed: DEFAULT_SEED,
        }
    }
}

/// What `[data]` holds beyond the options of the source.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DataExtras {
    /// Bytes of training blocks and cached rows held in memory before they spill to disk: `"256MiB"`, `"2GB"`, or a number.
    /// Changes no result. Default: no limit.
    pub memory_limit: Option<ByteSize>,
    /// Which rows are held out for evaluation. Default: none.
    pub split: Option<SplitOptions>,
}

/// Rows held out for evaluation: a share of the source's rows, or a source of their own. No stage sees them in `fit`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SplitOptions {
    /// Share of the rows that is held out, above 0 and below 1.
    pub test: Option<f64>,
    /// Whether every class keeps its share on both sides. Default: false.
    pub stratify: bool,
    /// Seed of the split. Default: the run's seed.
    pub seed: Option<u64>,
    /// Source of the held-out rows where the data come with their own: `bundled:adult_test`, a file, a folder.
    pub source: Option<String>,
}

/// How the model is measured.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluateOptions {
    /// Metrics to compute. Default: the usual ones for the kind of the last learner.
    pub metrics: Vec<String>,
    /// Measure on the training rows where no rows are held out; without it there is no evaluation then. Default: false.
    pub on_train: bool,
}

/// Where rounds are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// The cores of this machine.
    #[default]
    Local,
    /// The executors of a cluster; needs a build with the `cluster` feature.
    Cluster,
}

/// The engine. Changes no result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EngineOptions {
    /// `local`: the cores of this machine. `cluster`: the executors of the cluster that `scheduler` names. Default: `local`.
    pub kind: EngineKind,
    /// Address of the cluster's scheduler: `http://HOST:PORT`, or `https://HOST:PORT` where it speaks TLS. Needed by `kind = "cluster"`.
    pub scheduler: Option<String>,
    /// Share of the cluster that the run draws on: runs of one pool are served in the order in which they came, pools by their weights.
    /// Default: `default`.
    pub pool: Option<String>,
    /// File with the token of a cluster that asks for one. Default: none.
    pub token_file: Option<String>,
    /// PEM file with the certificates of who may have signed those of a cluster that speaks TLS; needed by `https://`. Default: none.
    pub tls_ca: Option<String>,
    /// Threads of this machine, at most 1,024; 0 means one a core. Default: 0.
    pub threads: usize,
    /// Seconds of work that are done again, at most, after a kill: how often `train` writes its checkpoint, a file beside the
    /// model (`NAME.ember.checkpoint`) that is gone once the model is written. 0: after every round. Default: 30.
    pub checkpoint_interval: f64,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            kind: EngineKind::default(),
            scheduler: None,
            pool: None,
            token_file: None,
            tls_ca: None,
            threads: 0,
            checkpoint_interval: 30.0,
        }
    }
}

/// What is written. Paths are relative to the current directory, or addresses in an object store (`s3://bucket/key`, builds with the
/// feature `s3`). Default: nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OutputOptions {
    /// Model file, usually `NAME.ember`.
    pub model: Option<String>,
    /// Folder for `report.html`, `metrics.json` and `events.jsonl`.
    pub report: Option<String>,
    /// File for the predictions on the held-out rows: `.csv`, `.jsonl` or `.parquet`.
    pub predictions: Option<String>,
}

/// Environment variables that strings of the config may use as `${NAME}`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EnvOptions {
    /// Names that may be used. Values never reach models, reports or messages. Default: none.
    pub allow: Vec<String>,
}

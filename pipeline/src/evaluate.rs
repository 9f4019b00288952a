//! Evaluators: one pass over predictions, to numbers.

use std::collections::BTreeMap;

use emberline_datasets::{Dataset, Schema, SchemaErrors};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::engine::Jobs;
use crate::invalid::InvalidRows;
use crate::registry::Kind;
use crate::run::Run;

/// Where an evaluator finds labels, predictions and weights, and the few figures that its metrics take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluatorColumns {
    /// The true label. Default: the column with the role `label`.
    pub label: Option<String>,
    /// Row weights. Default: the column with the role `weight`, if any.
    pub weight: Option<String>,
    /// Default: `prediction`.
    pub prediction: String,
    /// Default: `raw_prediction`.
    pub raw_prediction: String,
    /// Default: `probability`.
    pub probability: String,
    /// Default: `features` (clustering).
    pub features: String,
    /// Squared distance of a row to the centre of its cluster, as `kmeans` writes it. Default: `distance`.
    pub distance: String,
    /// Thresholds kept for the ROC and PR curves: 0 keeps every distinct score (exact, memory grows with the number of
    /// distinct scores), more than 0 bins the scores as they are read (memory is bounded). Default: 0.
    pub num_bins: usize,
    /// How many times recall counts as much as precision in `f_beta`, more than 0. Default: 1.
    pub beta: f64,
}

impl Default for EvaluatorColumns {
    fn default() -> Self {
        Self {
            label: None,
            weight: None,
            prediction: "prediction".to_owned(),
            raw_prediction: "raw_prediction".to_owned(),
            probability: "probability".to_owned(),
            features: "features".to_owned(),
            distance: "distance".to_owned(),
            num_bins: 0,
            beta: 1.0,
        }
    }
}

/// What an evaluator measured.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Metrics {
    /// Rows measured on.
    pub rows: u64,
    /// Value of each metric, by name.
    #[serde(deserialize_with = "crate::nan::named")]
    pub values: BTreeMap<String, f64>,
    /// Figures for each class, in class order; empty for regression and clustering.
    pub by_label: Vec<LabelMetrics>,
    /// `confusion[i][j]`: weight of rows of class `i` predicted as class `j`, in the order of `by_label`.
    #[serde(deserialize_with = "crate::nan::table")]
    pub confusion: Vec<Vec<f64>>,
    /// Named curves of `(x, y)` points: `roc`, `pr`, and the like.
    #[serde(deserialize_with = "crate::nan::curves")]
    pub curves: BTreeMap<String, Vec<(f64, f64)>>,
    /// What the stages of the model skipped or kept of the rows by their policies; empty where none has one. Skipped rows are not
    /// among those measured on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invalid: Vec<InvalidRows>,
    /// What the user should know, such as a metric that has no value on these rows.
    pub warnings: Vec<String>,
}

/// Figures of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelMetrics {
    /// The class.
    pub label: String,
    /// Of the rows predicted as this class, the share that is.
    #[serde(deserialize_with = "crate::nan::one")]
    pub precision: f64,
    /// Of the rows of this class, the share predicted as it.
    #[serde(deserialize_with = "crate::nan::one")]
    pub recall: f64,
    /// Harmonic mean of the two.
    #[serde(deserialize_with = "crate::nan::one")]
    pub f1: f64,
    /// Of the rows of other classes, the share predicted as this one.
    #[serde(deserialize_with = "crate::nan::one")]
    pub false_positive_rate: f64,
    /// Weight of the rows of this class.
    #[serde(deserialize_with = "crate::nan::one")]
    pub support: f64,
}

/// Measures predictions.
pub trait Evaluator: Send + Sync {
    /// Name: `multiclass`, `binary`, `regression`, `clustering`.
    fn name(&self) -> &'static str;

    /// Computes the named metrics (all of its own where empty) in as few passes as the metrics allow.
    ///
    /// # Errors
    /// Missing columns, labels or predictions of the wrong type, or no rows.
    fn evaluate(&self, data: &Dataset, metrics: &[String], run: &Run) -> Result<Metrics>;

    /// Whether more is better.
    fn larger_is_better(&self, metric: &str) -> bool;
}

/// An evaluator of the registry.
#[derive(Clone, Copy)]
pub struct EvaluatorEntry {
    /// Name.
    pub name: &'static str,
    /// What it measures, in one line.
    pub summary: &'static str,
    /// Models it is for.
    pub kind: Kind,
    /// Metrics it knows, each with one line of doc; the first ones are computed by default.
    pub metrics: &'static [(&'static str, &'static str)],
    /// Metrics computed where the config names none.
    pub defaults: &'static [&'static str],
    /// Whether it fits a table of predictions (a binary evaluator needs two classes).
    pub fits: fn(&Schema, &EvaluatorColumns) -> std::result::Result<(), SchemaErrors>,
    /// Makes one.
    pub build: fn(EvaluatorColumns) -> Box<dyn Evaluator>,
    /// Adds the rounds that it sends to other processes.
    pub jobs: fn(&mut Jobs),
}

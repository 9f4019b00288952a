//! What a model carries to show where it came from.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::evaluate::Metrics;
use crate::invalid::InvalidRows;
use crate::stage::FitReport;

/// Where a model came from. Free of clock, host, path, thread and partition: equal fits give equal evidence.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Seed of the run.
    pub seed: u64,
    /// The config in canonical form, without what changes no result (output paths, partitions, engine).
    pub config: Option<String>,
    /// Rows learnt from and held out.
    pub rows: RowCounts,
    /// The rows learnt from; `None` where the model was not trained by [`crate::train()`].
    pub data: Option<DataEvidence>,
    /// Parameters and course of the fit, a stage each.
    pub stages: Vec<StageEvidence>,
    /// Metrics on the held-out rows, without curves.
    pub metrics: Option<Metrics>,
    /// Metrics on the training rows, where they were computed, without curves.
    pub train_metrics: Option<Metrics>,
    /// Importance of each original column, largest first, of the last stage that has any.
    #[serde(deserialize_with = "crate::nan::pairs")]
    pub importances: Vec<(String, f64)>,
}

/// Rows of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowCounts {
    /// Rows that stages were fitted on.
    pub train: u64,
    /// Rows held out for the metrics.
    pub test: u64,
}

/// One stage's part of the evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageEvidence {
    /// Stage name.
    pub stage: String,
    /// Effective parameters.
    pub params: Value,
    /// How the fit went; `None` for transformers.
    pub report: Option<FitReport>,
    /// What it skips or keeps of the training rows by its policy; empty where it has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invalid: Vec<InvalidRows>,
}

/// What the rows that a model learnt from looked like, in the columns it uses.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataEvidence {
    /// Rows.
    pub rows: u64,
    /// SHA-256 over the values, hexadecimal: per block of the source, column by column in row order; then over the blocks.
    pub digest: String,
    /// Ranges and categories by column.
    pub columns: BTreeMap<String, ColumnProfile>,
    /// The smallest hashes of rows, at most [`SKETCH`]: enough to estimate how many rows of another table are among these.
    pub sketch: BTreeSet<u64>,
}

/// Hashes kept in a sketch. The standard error of an overlap estimated from it is at most 0.5 / sqrt(256) = 3 %.
pub const SKETCH: usize = 256;

/// Most categories that are counted one by one.
pub const MAX_CATEGORIES: usize = 100;

/// Range and categories of a column.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnProfile {
    /// Missing values (in a vector: slots).
    pub nulls: u64,
    /// Smallest finite number (in a vector: of all slots); `None` for text.
    pub min: Option<f64>,
    /// Largest finite number.
    pub max: Option<f64>,
    /// Rows of each category of a text, integer or boolean column; `None` where there are more than [`MAX_CATEGORIES`].
    pub categories: Option<BTreeMap<String, u64>>,
}

impl ColumnProfile {
    pub(crate) fn number(&mut self, v: f64) {
        if v.is_finite() {
            self.min = Some(self.min.map_or(v, |m| m.min(v)));
            self.max = Some(self.max.map_or(v, |m| m.max(v)));
        }
    }

    pub(crate) fn category(&mut self, name: &str, rows: u64) {
        let Some(counts) = &mut self.categories else {
            return;
        };
        if let Some(n) = counts.get_mut(name) {
            *n += rows;
        } else if counts.len() < MAX_CATEGORIES {
            counts.insert(name.to_owned(), rows);
        } else {
            self.categories = None;
        }
    }

    pub(crate) fn merge(&mut self, later: Self) {
        self.nulls += later.nulls;
        for v in [later.min, later.max].into_iter().flatten() {
            self.number(v);
        }
        match later.categories {
            None => self.categories = None,
            Some(counts) => counts.iter().for_each(|(name, n)| self.category(name, *n)),
        }
    }
}

impl DataEvidence {
    /// About which share of the rows of `other` is among these rows; `None` where too few can be compared to tell.
    ///
    /// Rows are compared by content. Both sketches hold every hash up to the smaller of their largest ones, so the share
    /// among those is a sample of all (bottom-k sketches, Cohen and Kaplan 2007).
    #[must_use]
    pub fn share_of(&self, other: &Self) -> Option<f64> {
        let reach = |sketch: &BTreeSet<u64>| match sketch.last() {
            Some(last) if sketch.len() >= SKETCH => *last,
            _ => u64::MAX,
        };
        let limit = reach(&self.sketch).min(reach(&other.sketch));
        let compared: Vec<u64> = other.sketch.range(..=limit).copied().collect();
        // A share estimated from fewer than 20 rows is off by a tenth or more.
        if compared.len() < 20 {
            return None;
        }
        let known = compared.iter().filter(|h| self.sketch.contains(h)).count();
        Some(known as f64 / compared.len() as f64)
    }
}

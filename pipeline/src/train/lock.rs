//! Accuracy under lock: what a config gave when it was locked, and whether it still does.
//!
//! Each metric gets a band from refits that leave one fold of the training rows out: three jackknife standard errors to either
//! side (Efron and Stein 1981, Ann. Stat. 9(3)), measured on the same rows as the model itself. A change that moves a metric
//! by more than leaving rows out does is no noise. The digest of the model tells whether anything changed at all; digests of every
//! stage's output on a few rows tell where it began.

use std::collections::BTreeMap;
use std::sync::Arc;

use emberline_datasets::{DataError, Dataset, Folds};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::profile::profile;
use super::{TrainOutcome, TrainPlan, train};
use crate::evaluate::Metrics;
use crate::event::NoEvents;
use crate::model_file::{DataEvidence, PROBE_ROWS, hex};
use crate::registry::Registry;
use crate::run::Run;
use crate::stage::apply;
use crate::{Error, Result};

/// Version of the lock file's format.
const FORMAT: u32 = 1;
/// Standard errors to either side of a locked metric.
const WIDTH: f64 = 3.0;
/// Share of a value by which it may move even where no fold moves it: sums in another order.
const ROUNDING: f64 = 1e-9;

/// What a config gave: the content of an `accuracy.lock`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Format of this file.
    pub version: u32,
    /// Program that wrote it.
    pub emberline: String,
    /// Instruction set it ran on; digests may differ on another.
    pub simd: String,
    /// SHA-256 of the config in canonical form.
    pub config: String,
    /// Digest of the training rows.
    pub data: String,
    /// SHA-256 of the model file.
    pub model: String,
    /// Folds behind the bands.
    pub folds: usize,
    /// The metrics and how far each may move.
    pub metrics: BTreeMap<String, Band>,
    /// The stages in order.
    pub stages: Vec<StageDigest>,
}

/// A locked metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Band {
    /// What it was.
    pub value: f64,
    /// The least it may be.
    pub low: f64,
    /// The most it may be.
    pub high: f64,
}

impl Band {
    /// Whether a value lies inside.
    #[must_use]
    pub fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// What a stage made of the first rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageDigest {
    /// Stage name.
    pub stage: String,
    /// Digest of the columns it wrote.
    pub output: String,
}

/// How a run compares with its lock.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Every locked metric with what it is now; `None` where it is not computed any more.
    pub metrics: BTreeMap<String, (Band, Option<f64>)>,
    /// Whether the model file has the locked bytes.
    pub same_model: bool,
    /// The first stage whose output on the first rows moved.
    pub first_moved: Option<String>,
    /// What else changed: the config, the data, the program, the instruction set.
    pub changes: Vec<String>,
    /// Whether the config itself is another one: a lock says nothing about that.
    pub other_config: bool,
}

impl Comparison {
    /// Names of the metrics that left their band.
    pub fn moved(&self) -> impl Iterator<Item = &str> {
        let out = |(_, (band, now)): &(&String, &(Band, Option<f64>))| {
            now.is_none_or(|now| !band.holds(now))
        };
        self.metrics.iter().filter(out).map(|(name, _)| &**name)
    }

    /// True where every metric is in its band and the config is the locked one.
    #[must_use]
    pub fn passed(&self) -> bool {
        !self.other_config && self.moved().next().is_none()
    }
}

impl Lock {
    /// Trains a plan, and again with each of `folds` folds left out, and locks what came of it.
    ///
    /// # Errors
    /// As [`train()`]; nothing is measured, so there is nothing to lock; fewer training rows than folds.
    pub fn of(
        plan: &TrainPlan,
        registry: &Registry,
        run: &Run,
        folds: usize,
    ) -> Result<(Self, TrainOutcome)> {
        let outcome = train(plan, registry, run)?;
        let metrics = measured(&outcome)?.values.clone();
        let refits = refits(plan, registry, run, &outcome, folds)?;
        let band = |name: &String, value: f64| {
            let of = |m: &BTreeMap<String, f64>| m.get(name).copied().unwrap_or(f64::NAN);
            let values: Vec<f64> = refits.iter().map(of).collect();
            let half = (WIDTH * jackknife(&values)).max(ROUNDING * value.abs());
            let half = if half.is_finite() { half } else { 0.0 };
            Band {
                value,
                low: value - half,
                high: value + half,
            }
        };
        let lock = Self {
            version: FORMAT,
            emberline: env!("CARGO_PKG_VERSION").to_owned(),
            simd: emberline_datasets::simd::name().to_owned(),
            config: config_digest(plan),
            data: data_digest(&outcome),
            model: hex(&Sha256::digest(outcome.model_file.to_bytes()?)),
            folds,
            metrics: metrics
                .iter()
                .filter(|(_, value)| value.is_finite())
                .map(|(name, value)| (name.clone(), band(name, *value)))
                .collect(),
            stages: stage_digests(&outcome, run)?,
        };
        Ok((lock, outcome))
    }

    /// Compares a run of `plan` with this lock.
    ///
    /// # Errors
    /// The rows cannot be read again, or the model cannot be written down.
    pub fn compare(
        &self,
        plan: &TrainPlan,
        outcome: &TrainOutcome,
        run: &Run,
    ) -> Result<Comparison> {
        let now = &measured(outcome)?.values;
        let stages = stage_digests(outcome, run)?;
        let moved = |i: &usize| self.stages.get(*i) != stages.get(*i);
        let first = (0..stages.len().max(self.stages.len())).find(moved);
        let name = |i: usize| {
            stages
                .get(i)
                .or(self.stages.get(i))
                .map(|s| s.stage.clone())
        };
        let mut changes = Vec::new();
        let other_config = self.config != config_digest(plan);
        if other_config {
            changes.push("the config is not the one that was locked; lock it again once its metrics are right".to_owned());
        }
        if self.data != data_digest(outcome) {
            changes.push("the training rows are not those that were locked".to_owned());
        }
        for (what, then, now) in [
            ("emberline", &*self.emberline, env!("CARGO_PKG_VERSION")),
            (
                "instruction set",
                &*self.simd,
                emberline_datasets::simd::name(),
            ),
        ] {
            if then != now {
                changes.push(format!("locked with {what} {then}, this is {now}"));
            }
        }
        let metric =
            |(name, band): (&String, &Band)| (name.clone(), (*band, now.get(name).copied()));
        Ok(Comparison {
            metrics: self.metrics.iter().map(metric).collect(),
            same_model: self.model == hex(&Sha256::digest(outcome.model_file.to_bytes()?)),
            first_moved: first.and_then(name),
            changes,
            other_config,
        })
    }

    /// The lock as TOML text.
    ///
    /// # Errors
    /// A fault of this program: the lock cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String> {
        let text = toml::to_string(self).map_err(|e| Error::Engine(format!("the lock: {e}")))?;
        Ok(format!(
            "# What the config beside this file gives. Made by `emberline lock`, checked by `emberline test`; commit it.\n{text}"
        ))
    }

    /// Reads the text that [`Lock::to_toml`] wrote; `file` is for messages.
    ///
    /// # Errors
    /// It is no lock, or one of a newer program.
    pub fn parse(file: &str, text: &str) -> Result<Self> {
        let fault = |why: String| Error::Usage(format!("`{file}`: {why}"));
        let lock: Self = toml::from_str(text).map_err(|e| {
            fault(format!(
                "{}; make it anew with `emberline lock`",
                e.message()
            ))
        })?;
        if lock.version == FORMAT {
            return Ok(lock);
        }
        Err(fault(format!(
            "a lock of format {}, this program reads format {FORMAT}",
            lock.version
        )))
    }
}

/// What the run was measured by.
fn measured(outcome: &TrainOutcome) -> Result<&Metrics> {
    let metrics = outcome.metrics.as_ref().or(outcome.train_metrics.as_ref());
    metrics.ok_or_else(|| {
        Error::Usage(
            "nothing is measured, so there is nothing to lock; add [data.split], or set evaluate.on_train = true"
                .to_owned(),
        )
    })
}

/// Metrics of the plan with each fold of its training rows left out, on the rows that the model itself was measured on.
fn refits(
    plan: &TrainPlan,
    registry: &Registry,
    run: &Run,
    outcome: &TrainOutcome,
    folds: usize,
) -> Result<Vec<BTreeMap<String, f64>>> {
    let on = outcome
        .test
        .clone()
        .unwrap_or_else(|| outcome.train.clone());
    // Refits are no runs of their own: their events would read as the run's.
    let quiet = run.clone().with_events(Arc::new(NoEvents));
    let parts = outcome.train.folds(&Folds::new(folds, run.seed))?;
    parts
        .into_iter()
        .map(|part| {
            let plan = TrainPlan {
                data: part.train,
                test: Some(on.clone()),
                split: None,
                checkpoints: None,
                ..plan.clone()
            };
            Ok(measured(&train(&plan, registry, &quiet)?)?.values.clone())
        })
        .collect()
}

/// The jackknife's standard error of a statistic from its values with each fold left out.
fn jackknife(values: &[f64]) -> f64 {
    let k = values.len() as f64;
    let mean = values.iter().sum::<f64>() / k;
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    ((k - 1.0) / k * squares).sqrt()
}

fn config_digest(plan: &TrainPlan) -> String {
    hex(&Sha256::digest(
        plan.config_text.as_deref().unwrap_or_default(),
    ))
}

fn data_digest(outcome: &TrainOutcome) -> String {
    let data = outcome.model_file.evidence.data.as_ref();
    data.map(|d| d.digest.clone()).unwrap_or_default()
}

/// What each stage writes on the first training rows.
fn stage_digests(outcome: &TrainOutcome, run: &Run) -> Result<Vec<StageDigest>> {
    let first = outcome.train.head(PROBE_ROWS)?;
    let mut data = Dataset::from_batches("first rows", outcome.train.schema().clone(), first);
    let mut digests = Vec::with_capacity(outcome.model.stages().len());
    for stage in outcome.model.stages() {
        let columns = stage.writes(data.schema());
        data = apply(&data, stage.clone())?;
        let profile = profile(&data, &columns, run).or_else(|e| match e {
            // Rows that a stage refuses are told by the fit; here they only leave nothing to compare.
            Error::Data(DataError::InStage { .. }) => Ok(DataEvidence::default()),
            other => Err(other),
        })?;
        digests.push(StageDigest {
            stage: stage.name().to_owned(),
            output: profile.digest.get(..16).unwrap_or_default().to_owned(),
        });
    }
    Ok(digests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_error_of_a_mean_is_the_textbook_one() {
        // Leaving value i of n out of a mean gives (n mean - x_i) / (n - 1); the jackknife then gives s / sqrt(n) exactly.
        let x = [1.0, 2.0, 4.0, 8.0, 16.0];
        let (n, total) = (x.len() as f64, x.iter().sum::<f64>());
        let left_out: Vec<f64> = x.iter().map(|v| (total - v) / (n - 1.0)).collect();
        let mean = total / n;
        let variance = x.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0);
        // Five terms of like size: a few roundings.
        assert!((jackknife(&left_out) - (variance / n).sqrt()).abs() < 1e-14 * mean);
    }

    #[test]
    fn a_lock_survives_its_text() {
        let band = Band {
            value: 0.1 + 0.2,
            low: 0.25,
            high: 0.375,
        };
        let lock = Lock {
            version: FORMAT,
            emberline: "0.1.0".to_owned(),
            simd: "AVX2".to_owned(),
            config: "c".to_owned(),
            data: "d".to_owned(),
            model: "m".to_owned(),
            folds: 5,
            metrics: BTreeMap::from([("accuracy".to_owned(), band)]),
            stages: vec![StageDigest {
                stage: "s".to_owned(),
                output: "o".to_owned(),
            }],
        };
        assert_eq!(Lock::parse("l", &lock.to_toml().unwrap()).unwrap(), lock);
        let newer = Lock {
            version: FORMAT + 1,
            ..lock
        };
        let error = Lock::parse("l", &newer.to_toml().unwrap())
            .unwrap_err()
            .to_string();
        assert!(error.contains("format 2"), "{error}");
    }
}

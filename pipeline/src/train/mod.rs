//! From data and a pipeline to a trained, measured model with its evidence; and back to predictions.
//!
//! [`train()`] owns the split: stages are fitted on training rows only, metrics are computed on held-out rows only.

mod conform;
mod evaluate;
mod lock;
mod plan;
mod predict;
mod profile;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use emberline_datasets::{DataError, Dataset, Schema};
use serde::Serialize;

pub use evaluate::{EvaluateOptions, Evaluation, evaluate_model};
pub use lock::{Band, Comparison, Lock, StageDigest};
pub use plan::TrainPlan;
pub use predict::{invalid_in, predict};

use self::evaluate::{Plan, Predictor};
use self::profile::profile;
use crate::Result;
use crate::engine::Jobs;
use crate::engine::journal::{Identity, Journal};
use crate::evaluate::Metrics;
use crate::event::Event;
use crate::invalid::{Fate, InvalidRows};
use crate::model_file::{DataEvidence, Evidence, ModelFile, Probes, RowCounts, StageEvidence};
use crate::pipeline::{FittedPipeline, Pipeline, PipelineModel, StageReport};
use crate::registry::{Kind, Registry};
use crate::run::Run;

/// Adds what training and evaluation send to other processes.
pub(crate) fn jobs(jobs: &mut Jobs) {
    jobs.round::<profile::ProfileRound>()
        .round::<crate::run::CountRows>()
        .step::<conform::Conform>(conform::CONFORM)
        .step::<predict::Select>(predict::SELECT);
}

/// What a training run gave.
pub struct TrainOutcome {
    /// The fitted pipeline.
    pub model: PipelineModel,
    /// The model with its evidence, ready to be saved.
    pub model_file: ModelFile,
    /// Metrics on the held-out rows; `None` without any, or where nothing predicts.
    pub metrics: Option<Metrics>,
    /// Metrics on the training rows, where asked for, and for clusterers without held-out rows.
    pub train_metrics: Option<Metrics>,
    /// What the last predictor is for; `None` where nothing predicts.
    pub kind: Option<Kind>,
    /// The rows learnt from, before any stage.
    pub train: Dataset,
    /// The rows held out, before any stage.
    pub test: Option<Dataset>,
    /// One report a stage, in order.
    pub stages: Vec<StageReport>,
    /// Rows learnt from and held out.
    pub rows: RowCounts,
    /// Where the time went.
    pub timings: Timings,
    /// What the user should know, of all stages and metrics.
    pub warnings: Vec<String>,
    /// The checkpoint, where the plan wants one: held until the model is saved, so that no other process takes the run up, and
    /// then to be discarded.
    pub checkpoint: Option<Arc<Journal>>,
}

/// Wall times in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Timings {
    /// Splitting, reading and caching the rows.
    pub load: f64,
    /// Fitting all stages.
    pub fit: f64,
    /// Measuring.
    pub evaluate: f64,
    /// Everything, evidence included.
    pub total: f64,
}

/// Trains the pipeline of a plan, measures it on held-out rows and gathers its evidence.
///
/// # Errors
/// The schema chain or a metric's name fails before any row is read; data cannot be read or used; a stage fails; the run was
/// stopped.
pub fn train(plan: &TrainPlan, registry: &Registry, run: &Run) -> Result<TrainOutcome> {
    let started = Instant::now();
    run.emit(&Event::RunStarted {
        name: plan.name.clone(),
        seed: run.seed,
        engine: run.engine.describe(),
    });
    let mut outcome = fit_and_measure(plan, registry, run);
    let seconds = started.elapsed().as_secs_f64();
    if let Ok(outcome) = &mut outcome {
        outcome.timings.total = seconds;
    }
    run.emit(&Event::RunFinished {
        seconds,
        ok: outcome.is_ok(),
    });
    outcome
}

/// The rows of a run, on either side of the split.
struct Sides {
    train: Dataset,
    test: Option<Dataset>,
    rows: RowCounts,
    warnings: Vec<String>,
}

fn fit_and_measure(plan: &TrainPlan, registry: &Registry, run: &Run) -> Result<TrainOutcome> {
    plan.pipeline.schemas(plan.data.schema())?;
    let predictor = plan.predictor(registry);
    let metrics = match &predictor {
        Some(p) => Some(p.plan(&plan.metrics, registry)?),
        None => plan.no_predictor()?,
    };
    let mut timings = Timings::default();
    let sides = timed(&mut timings.load, || Sides::load(plan, run))?;
    let columns = data_columns(&plan.pipeline, sides.train.schema());
    let data = profile(&sides.train, &columns, run)?;
    let (fitted, checkpoint) = timed(&mut timings.fit, || fit(plan, &sides, &data, run))?;
    let mut warnings = sides.warnings.clone();
    warnings.extend(fit_warnings(&fitted));
    let invalid = fitted.stages.iter().flat_map(|s| &s.invalid);
    warnings.extend(skipped(invalid, "training rows", run));
    let measured = timed(&mut timings.evaluate, || {
        measure(
            plan,
            predictor.as_ref(),
            metrics.as_ref(),
            &fitted.model,
            &sides,
            run,
        )
    })?;
    if plan.test.is_some() {
        warnings.extend(leak(&data, &columns, &fitted.model, &sides, run)?);
    }
    for metrics in [&measured.held_out, &measured.training]
        .into_iter()
        .flatten()
    {
        warnings.extend(metrics.warnings.iter().cloned());
    }
    if let Some(metrics) = &measured.held_out {
        warnings.extend(skipped(&metrics.invalid, "held-out rows", run));
    }
    let probes = Probes::record(&fitted.model, &sides.train)?;
    let evidence = evidence(plan, run, &fitted, data, &sides, &measured);
    Ok(TrainOutcome {
        model_file: ModelFile::new(&plan.name, fitted.model.clone(), evidence, probes),
        model: fitted.model,
        metrics: measured.held_out,
        train_metrics: measured.training,
        kind: predictor.map(|p| p.kind),
        train: sides.train,
        test: sides.test,
        stages: fitted.stages,
        rows: sides.rows,
        timings,
        warnings,
        checkpoint,
    })
}

fn timed<T>(seconds: &mut f64, f: impl FnOnce() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    let value = f();
    *seconds = started.elapsed().as_secs_f64();
    value
}

impl Sides {
    fn load(plan: &TrainPlan, run: &Run) -> Result<Self> {
        let (train, test, warnings) = plan.sides()?;
        for warning in &warnings {
            run.warn(warning.clone());
        }
        // Several estimators read the training rows, each more than once. Held-out rows that come from elsewhere are read
        // once and need not be kept.
        let columns = data_columns(&plan.pipeline, train.schema());
        // The other half is for blocks, which are read once a round and not once a stage.
        let memory = run.memory.part(2);
        let (train, test) = match test {
            Some(test) if plan.test.is_none() => {
                let mut parts = run
                    .engine
                    .cache(&[train, test], &columns, &memory)?
                    .into_iter();
                (parts.next(), parts.next())
            }
            test => {
                let parts = run.engine.cache(&[train], &columns, &memory)?;
                (parts.into_iter().next(), test)
            }
        };
        let train = train.ok_or_else(|| DataError::format("cache", "there is no training side"))?;
        let rows = RowCounts {
            train: run.count(&train)?,
            test: test.as_ref().map_or(Ok(0), |test| run.count(test))?,
        };
        let none = |what: &str| {
            Err(DataError::Unusable(format!(
                "there are no {what} rows; give more data or another split"
            ))
            .into())
        };
        match &test {
            _ if rows.train == 0 => none("training"),
            Some(_) if rows.test == 0 => none("held-out"),
            _ => Ok(Self {
                train,
                test,
                rows,
                warnings,
            }),
        }
    }
}

/// Metrics on both sides.
struct Measured {
    held_out: Option<Metrics>,
    training: Option<Metrics>,
}

fn measure(
    plan: &TrainPlan,
    predictor: Option<&Predictor>,
    metrics: Option<&Plan>,
    model: &PipelineModel,
    sides: &Sides,
    run: &Run,
) -> Result<Measured> {
    let (Some(predictor), Some(metrics)) = (predictor, metrics) else {
        return Ok(Measured {
            held_out: None,
            training: None,
        });
    };
    let on = |data: &Dataset, prefix: &str| -> Result<Metrics> {
        let measured = metrics.measure(model, data, run)?;
        evaluate::emit(&measured, prefix, run);
        if prefix.is_empty() {
            evaluate::emit_invalid(&measured, "held-out rows", run);
        }
        Ok(measured)
    };
    let held_out = sides
        .test
        .as_ref()
        .map(|test| on(&conform::conform(model, test)?, ""))
        .transpose()?;
    // A clusterer has no label to learn by heart: its fit is measured on the rows it grouped.
    let wanted = plan.on_train || (held_out.is_none() && predictor.kind == Kind::Clusterer);
    let training = wanted.then(|| on(&sides.train, "train_")).transpose()?;
    Ok(Measured { held_out, training })
}

/// Fits under a journal where the plan wants checkpoints; a run that is stopped writes what it has.
fn fit(
    plan: &TrainPlan,
    sides: &Sides,
    data: &DataEvidence,
    run: &Run,
) -> Result<(FittedPipeline, Option<Arc<Journal>>)> {
    let Some(checkpoints) = &plan.checkpoints else {
        return Ok((plan.pipeline.fit(&sides.train, run)?, None));
    };
    let identity = Identity {
        config: plan.config_text.clone().unwrap_or_default(),
        data: data.digest.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        simd: emberline_datasets::simd::name().to_owned(),
        overwrite: checkpoints.overwrite,
    };
    let journal = Arc::new(Journal::open(run.engine.clone(), checkpoints, &identity)?);
    let fitted = plan
        .pipeline
        .fit(&sides.train, &run.clone().with_engine(journal.clone()));
    match &fitted {
        // The same mistake would end the run again: there is nothing to go on to.
        Err(error) if !error.may_pass() => journal.discard()?,
        _ => journal.flush()?,
    }
    Ok((fitted?, Some(journal)))
}

/// Columns that the digest of the data covers, by name: those the stages read, the label and the weight.
pub(crate) fn data_columns(pipeline: &Pipeline, schema: &Schema) -> Vec<String> {
    let mut columns = pipeline.required_columns(schema);
    let roles = schema.roles();
    for role in [&roles.label, &roles.weight].into_iter().flatten() {
        if !columns.contains(role) {
            columns.push(role.clone());
        }
    }
    columns.retain(|c| schema.index_of(c).is_some());
    columns.sort();
    columns
}

fn fit_warnings(fitted: &FittedPipeline) -> Vec<String> {
    let of = |s: &StageReport| -> Vec<String> {
        let warnings = s.report.iter().flat_map(|r| &r.warnings);
        warnings
            .map(|w| format!("stage `{}`: {w}", s.stage))
            .collect()
    };
    fitted.stages.iter().flat_map(of).collect()
}

/// Rows that were skipped change what a result speaks of, so they are more than a figure.
fn skipped<'a>(
    found: impl IntoIterator<Item = &'a InvalidRows>,
    among: &str,
    run: &Run,
) -> Vec<String> {
    let skips = |i: &&InvalidRows| i.fate == Fate::Skipped && i.rows > 0;
    let warn = |i: &InvalidRows| {
        let message = format!("among the {among}, {i}");
        run.warn(message.clone());
        message
    };
    found.into_iter().filter(skips).map(warn).collect()
}

/// A separate test set that shares rows with the training set flatters the model.
fn leak(
    trained: &DataEvidence,
    columns: &[String],
    model: &PipelineModel,
    sides: &Sides,
    run: &Run,
) -> Result<Option<String>> {
    let Some(test) = &sides.test else {
        return Ok(None);
    };
    let test = conform::conform(model, test)?;
    if columns.iter().any(|c| test.schema().index_of(c).is_none()) {
        return Ok(None);
    }
    let share = trained.share_of(&profile(&test, columns, run)?);
    Ok(share.filter(|s| *s >= 0.5).map(|share| {
        let message = format!(
            "about {:.0} % of the test rows are also training rows; the metrics flatter the model",
            100.0 * share
        );
        run.warn(message.clone());
        message
    }))
}

fn evidence(
    plan: &TrainPlan,
    run: &Run,
    fitted: &FittedPipeline,
    data: DataEvidence,
    sides: &Sides,
    measured: &Measured,
) -> Evidence {
    let importances = fitted
        .stages
        .iter()
        .rev()
        .filter_map(|s| s.report.as_ref())
        .map(|r| &r.importances);
    Evidence {
        seed: run.seed,
        config: plan.config_text.clone(),
        rows: sides.rows,
        data: Some(data),
        stages: fitted
            .stages
            .iter()
            .map(|s| StageEvidence {
                stage: s.stage.clone(),
                params: s.params.clone(),
                report: s.report.clone(),
                invalid: s.invalid.clone(),
            })
            .collect(),
        metrics: measured.held_out.clone().map(without_curves),
        train_metrics: measured.training.clone().map(without_curves),
        importances: importances
            .into_iter()
            .find(|i| !i.is_empty())
            .cloned()
            .unwrap_or_default(),
    }
}

/// Curves have a point a row: too long for a model file.
fn without_curves(mut metrics: Metrics) -> Metrics {
    metrics.curves.clear();
    metrics
}

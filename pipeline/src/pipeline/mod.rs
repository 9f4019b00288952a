//! Pipelines: stages in order, fitted left to right.

mod model;

use std::sync::Arc;
use std::time::Instant;

use emberline_datasets::{Dataset, Held, Schema, SchemaErrors};
use serde_json::{Value, json};

use crate::Result;
use crate::event::Event;
use crate::invalid::{InvalidRows, invalid_rows};
use crate::param::{ParamCheck, ParamErrors, ParamSet};
use crate::registry::{Component, Registry};
use crate::run::Run;
use crate::stage::{
    AnyStage, ErasedEstimator, Estimator, FitReport, Fitted, Stage, Transformer, apply,
};

pub use model::{PipelineModel, Scorer};

/// Stages in order. Itself an estimator, so pipelines nest.
#[derive(Clone)]
pub struct Pipeline {
    stages: Vec<AnyStage>,
}

/// Collects stages; mistakes of all of them are reported at once.
#[derive(Default)]
pub struct PipelineBuilder {
    stages: Vec<AnyStage>,
    errors: ParamCheck,
}

impl Pipeline {
    /// Begins an empty pipeline.
    #[must_use]
    pub fn builder() -> PipelineBuilder {
        PipelineBuilder::default()
    }

    /// A pipeline of these stages.
    #[must_use]
    pub fn new(stages: Vec<AnyStage>) -> Self {
        Self { stages }
    }

    /// The stages in order.
    #[must_use]
    pub fn stages(&self) -> &[AnyStage] {
        &self.stages
    }

    /// The schema before the first stage and after each one. Reads no row.
    ///
    /// # Errors
    /// The first stage that does not fit, with all its mistakes.
    pub fn schemas(&self, input: &Schema) -> Result<Vec<Schema>> {
        let mut schemas = vec![input.clone()];
        for stage in &self.stages {
            let stage = stage.stage();
            let last = schemas.last().unwrap_or(input);
            let next = stage
                .output_schema(last)
                .map_err(|e| crate::Error::from(e).in_stage(stage.name()))?;
            schemas.push(next);
        }
        Ok(schemas)
    }

    /// Columns of the data that fitting reads.
    #[must_use]
    pub fn required_columns(&self, input: &Schema) -> Vec<String> {
        required(self.stages.iter().map(AnyStage::stage), input)
    }

    /// Fits every stage in order; the report of each comes with the model. Where stages skip or keep rows by a policy, a last pass
    /// counts them.
    ///
    /// # Errors
    /// The schema chain fails (before any row is read), or a stage does.
    pub fn fit(&self, data: &Dataset, run: &Run) -> Result<FittedPipeline> {
        let mut fitted = self.fit_stages(data, run)?;
        let invalid = invalid_rows(fitted.model.stages(), data, run)?;
        for (stage, invalid) in fitted.stages.iter_mut().zip(invalid) {
            invalid
                .iter()
                .for_each(|i| run.emit(&Event::invalid(i, "training rows")));
            stage.invalid = invalid;
        }
        Ok(fitted)
    }

    fn fit_stages(&self, data: &Dataset, run: &Run) -> Result<FittedPipeline> {
        self.schemas(data.schema())?;
        let of = self.stages.len();
        let mut fitted: Vec<Arc<dyn Transformer>> = Vec::with_capacity(of);
        let mut reports = Vec::with_capacity(of);
        let mut current = data.clone();
        for (index, stage) in self.stages.iter().enumerate() {
            run.cancel.check()?;
            let name = stage.stage().name().to_owned();
            let (model, report, seconds) =
                fit_one(stage, &current, run, index, of).map_err(|e| e.in_stage(&name))?;
            // The last stage's output is needed by nobody here: applying it lazily costs nothing.
            current = apply(&current, model.clone())?;
            fitted.push(model);
            reports.push(StageReport {
                stage: name,
                params: stage.stage().params(),
                seconds,
                report,
                invalid: Vec::new(),
            });
        }
        Ok(FittedPipeline {
            model: PipelineModel::new(fitted, data.schema().clone()),
            stages: reports,
        })
    }
}

fn fit_one(
    stage: &AnyStage,
    data: &Dataset,
    run: &Run,
    index: usize,
    of: usize,
) -> Result<(Arc<dyn Transformer>, Option<FitReport>, f64)> {
    let estimator = match stage {
        AnyStage::Transformer(t) => {
            let bound = t.bind(data.schema())?.unwrap_or_else(|| t.clone());
            return Ok((bound, None, 0.0));
        }
        AnyStage::Estimator(e) => e,
    };
    let name = estimator.name().to_owned();
    let run = run.in_stage(&name);
    run.emit(&Event::StageStarted {
        stage: name.clone(),
        index,
        of,
    });
    let _held = set_aside(&**estimator, data, &run)?;
    let started = Instant::now();
    let Fitted { model, report } = estimator.fit_boxed(data, &run)?;
    let seconds = started.elapsed().as_secs_f64();
    for warning in &report.warnings {
        run.emit(&Event::Warning {
            stage: Some(name.clone()),
            message: warning.clone(),
        });
    }
    run.emit(&Event::StageFinished {
        stage: name,
        seconds,
        rounds: report.rounds,
        stop: report.stop.to_string(),
    });
    Ok((model, Some(report), seconds))
}

/// Memory for what the fit holds beside its blocks; refused before the fit starts rather than in the middle of it.
fn set_aside(estimator: &dyn ErasedEstimator, data: &Dataset, run: &Run) -> Result<Held> {
    let rows = data.source().known_rows();
    let bytes = rows.and_then(|rows| estimator.memory_of_fit(data.schema(), rows));
    Ok(run.memory.hold("the fit", bytes.unwrap_or(0))?)
}

impl PipelineBuilder {
    /// Adds a stage by its parameters.
    #[must_use]
    pub fn stage<P: ParamSet>(self, params: P) -> Self {
        self.stage_of(params, &Registry::new())
    }

    /// Adds a stage that holds stages of `registry` by name (one-vs-rest).
    #[must_use]
    pub fn stage_of<P: ParamSet>(mut self, params: P, registry: &Registry) -> Self {
        match P::Stage::build(params, registry) {
            Ok(stage) => self.stages.push(stage.erase()),
            Err(errors) => self.errors.nested(P::Stage::NAME, errors),
        }
        self
    }

    /// Adds a stage that is built already: a nested pipeline, a fitted model, a stage of one's own.
    #[must_use]
    pub fn push(mut self, stage: AnyStage) -> Self {
        self.stages.push(stage);
        self
    }

    /// The pipeline.
    ///
    /// # Errors
    /// Every parameter of every stage that is out of range.
    pub fn build(self) -> std::result::Result<Pipeline, ParamErrors> {
        self.errors.finish()?;
        Ok(Pipeline {
            stages: self.stages,
        })
    }
}

/// How one stage of a pipeline was fitted.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct StageReport {
    /// Stage name.
    pub stage: String,
    /// Effective parameters.
    pub params: Value,
    /// Wall time of the fit; 0 for transformers.
    pub seconds: f64,
    /// How it went; `None` for transformers.
    pub report: Option<FitReport>,
    /// What the fitted stage skips or keeps of the training rows by its policy, these counts in order for the stages of a nested
    /// pipeline; empty where a value that it cannot take is refused.
    pub invalid: Vec<InvalidRows>,
}

/// A fitted pipeline, and how each stage went.
pub struct FittedPipeline {
    /// The model.
    pub model: PipelineModel,
    /// One report a stage, in order.
    pub stages: Vec<StageReport>,
}

/// Registry name of a nested pipeline.
pub const PIPELINE: &str = "pipeline";

impl Stage for Pipeline {
    fn name(&self) -> &str {
        PIPELINE
    }

    fn output_schema(&self, input: &Schema) -> std::result::Result<Schema, SchemaErrors> {
        self.stages.iter().try_fold(input.clone(), |schema, stage| {
            stage.stage().output_schema(&schema)
        })
    }

    fn reads(&self, input: &Schema) -> Vec<String> {
        input.columns().iter().map(|c| c.name.clone()).collect()
    }

    fn writes(&self, input: &Schema) -> Vec<String> {
        written(self.stages.iter().map(AnyStage::stage), input)
    }

    fn params(&self) -> Value {
        let stages: Vec<Value> = self
            .stages
            .iter()
            .map(|s| json!({ "stage": s.stage().name(), "params": s.stage().params() }))
            .collect();
        Value::Array(stages)
    }
}

/// Columns of `input` that the stages read, each where it is read first.
fn required<'a>(stages: impl Iterator<Item = &'a dyn Stage>, input: &Schema) -> Vec<String> {
    let mut schema = input.clone();
    let mut made = std::collections::BTreeSet::new();
    let mut required = Vec::new();
    for stage in stages {
        for name in stage.reads(&schema) {
            if !made.contains(&name) && !required.contains(&name) {
                required.push(name);
            }
        }
        made.extend(stage.writes(&schema));
        schema = stage.output_schema(&schema).unwrap_or(schema);
    }
    required
}

fn written<'a>(stages: impl Iterator<Item = &'a dyn Stage>, input: &Schema) -> Vec<String> {
    let mut schema = input.clone();
    let mut names: Vec<String> = Vec::new();
    for stage in stages {
        for name in stage.writes(&schema) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        schema = stage.output_schema(&schema).unwrap_or(schema);
    }
    names
}

impl Estimator for Pipeline {
    type Model = PipelineModel;

    fn fit(&self, data: &Dataset, run: &Run) -> Result<Fitted<PipelineModel>> {
        // The outer pipeline counts what the stages of this one let pass.
        let fitted = self.fit_stages(data, run)?;
        let mut report = FitReport::default();
        for stage in fitted.stages.into_iter().filter_map(|s| s.report) {
            report.rows = report.rows.max(stage.rows);
            report.rounds += stage.rounds;
            report.warnings.extend(stage.warnings);
        }
        Ok(Fitted {
            model: fitted.model,
            report,
        })
    }
}

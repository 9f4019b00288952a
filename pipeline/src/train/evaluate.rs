//! Metrics of a model: which evaluators fit its last predictor, and what they say.

use std::collections::BTreeMap;

use emberline_datasets::Dataset;
use emberline_datasets::schema::nearest;
use serde_json::Value;

use super::conform::conform;
use super::profile::profile;
use super::skipped;
use crate::evaluate::{EvaluatorColumns, EvaluatorEntry, Metrics};
use crate::event::Event;
use crate::invalid::invalid_rows;
use crate::model_file::ModelFile;
use crate::pipeline::{PIPELINE, PipelineModel};
use crate::registry::{Kind, Registry};
use crate::run::Run;
use crate::{Error, Result};

/// How a model is evaluated.
#[derive(Debug, Clone, Default)]
pub struct EvaluateOptions {
    /// Metrics to compute; those the evaluators choose where empty.
    pub metrics: Vec<String>,
    /// Evaluate also on the very rows the model was fitted on. Without it that is an error.
    pub allow_training_rows: bool,
}

/// What an evaluation found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Evaluation {
    /// The metrics.
    pub metrics: Metrics,
    /// About which share of the rows the model was fitted on; `None` where that cannot be told.
    pub training_share: Option<f64>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Measures a model on the rows of `data`, which it must not have been fitted on.
///
/// # Errors
/// The rows are those of training (compared by digest) and `allow_training_rows` is not set; the columns do not fit; a metric
/// is unknown; the model predicts nothing that can be measured.
pub fn evaluate_model(
    file: &ModelFile,
    data: &Dataset,
    options: &EvaluateOptions,
    registry: &Registry,
    run: &Run,
) -> Result<Evaluation> {
    let predictor =
        Predictor::last(&params_of(&file.model), registry).ok_or_else(nothing_to_measure)?;
    let plan = predictor.plan(&options.metrics, registry)?;
    let shaped = conform(&file.model, data)?;
    let training_share = training_share(file, &shaped, run)?;
    let mut warnings = Vec::new();
    match training_share {
        Some(share) if share >= 1.0 && !options.allow_training_rows => {
            return Err(Error::Usage(format!(
                "model `{}` was fitted on these very rows; evaluate it on others, or allow training rows",
                file.name
            )));
        }
        Some(share) if share >= 0.5 => warnings.push(format!(
            "about {:.0} % of these rows are rows the model was fitted on; the metrics flatter it",
            100.0 * share
        )),
        _ => {}
    }
    let metrics = plan.measure(&file.model, &shaped, run)?;
    emit(&metrics, "", run);
    emit_invalid(&metrics, "rows", run);
    warnings.extend(metrics.warnings.iter().cloned());
    for warning in &warnings {
        run.warn(warning.clone());
    }
    warnings.extend(skipped(&metrics.invalid, "rows", run));
    Ok(Evaluation {
        metrics,
        training_share,
        warnings,
    })
}

/// 1 where the digests are equal; below that an estimate from the sketches.
fn training_share(file: &ModelFile, data: &Dataset, run: &Run) -> Result<Option<f64>> {
    let Some(trained) = &file.evidence.data else {
        return Ok(None);
    };
    let columns: Vec<String> = trained.columns.keys().cloned().collect();
    if columns.iter().any(|c| data.schema().index_of(c).is_none()) {
        return Ok(None);
    }
    let given = profile(data, &columns, run)?;
    if given.digest == trained.digest {
        return Ok(Some(1.0));
    }
    // An estimate never stands for certainty: equal content in another order is found by its digest only.
    Ok(trained.share_of(&given).map(|share| share.min(0.999)))
}

pub(super) fn emit(metrics: &Metrics, prefix: &str, run: &Run) {
    for (metric, value) in &metrics.values {
        run.emit(&Event::MetricComputed {
            metric: format!("{prefix}{metric}"),
            value: *value,
        });
    }
}

pub(super) fn emit_invalid(metrics: &Metrics, among: &str, run: &Run) {
    for found in &metrics.invalid {
        run.emit(&Event::invalid(found, among));
    }
}

fn nothing_to_measure() -> Error {
    Error::Usage("the pipeline has no classifier, regressor or clusterer of the registry, so nothing can be measured".to_owned())
}

/// Names and parameters of stages, in order.
pub(super) fn params_of(model: &PipelineModel) -> Vec<(String, Value)> {
    model
        .stages()
        .iter()
        .map(|s| (s.name().to_owned(), s.params()))
        .collect()
}

/// The last stage that predicts.
pub(super) struct Predictor {
    pub(super) kind: Kind,
    columns: EvaluatorColumns,
}

impl Predictor {
    /// Looks for it from the end, also inside nested pipelines.
    pub(super) fn last(stages: &[(String, Value)], registry: &Registry) -> Option<Self> {
        stages.iter().rev().find_map(|(name, params)| {
            if name == PIPELINE {
                return Self::last(&nested(params), registry);
            }
            let kind = registry.get(name)?.kind;
            let predicts = matches!(kind, Kind::Classifier | Kind::Regressor | Kind::Clusterer);
            predicts.then(|| Self {
                kind,
                columns: columns(params),
            })
        })
    }

    /// Which evaluators compute which metrics. Names are unique among the evaluators of one kind.
    pub(super) fn plan(&self, metrics: &[String], registry: &Registry) -> Result<Plan> {
        let entries: Vec<EvaluatorEntry> = registry
            .evaluators()
            .iter()
            .filter(|e| e.kind == self.kind)
            .copied()
            .collect();
        let mut wanted: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for metric in metrics {
            let owner = entries
                .iter()
                .position(|e| e.metrics.iter().any(|(name, _)| name == metric));
            let owner = owner.ok_or_else(|| unknown(metric, self.kind, &entries))?;
            wanted.entry(owner).or_default().push(metric.clone());
        }
        Ok(Plan {
            entries,
            wanted,
            columns: self.columns.clone(),
        })
    }
}

fn unknown(metric: &str, kind: Kind, entries: &[EvaluatorEntry]) -> Error {
    let names: Vec<&str> = entries
        .iter()
        .flat_map(|e| e.metrics.iter().map(|(name, _)| *name))
        .collect();
    let hint = match nearest(metric, names.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if names.is_empty() => "there are none".to_owned(),
        None => format!("there are {}", names.join(", ")),
    };
    Error::Usage(format!("`{metric}` is no metric of a {kind}; {hint}"))
}

/// The stages of a nested pipeline, from its parameters.
fn nested(params: &Value) -> Vec<(String, Value)> {
    let stages = params.as_array().map(Vec::as_slice).unwrap_or_default();
    let stage = |s: &Value| {
        Some((
            s.get("stage")?.as_str()?.to_owned(),
            s.get("params")?.clone(),
        ))
    };
    stages.iter().filter_map(stage).collect()
}

/// Where a predictor with these parameters finds and writes its columns.
fn columns(params: &Value) -> EvaluatorColumns {
    let text = |key: &str| params.get(key).and_then(Value::as_str).map(str::to_owned);
    let usual = EvaluatorColumns::default();
    EvaluatorColumns {
        label: text("label_col"),
        weight: text("weight_col"),
        prediction: text("prediction_col").unwrap_or(usual.prediction),
        raw_prediction: text("raw_prediction_col").unwrap_or(usual.raw_prediction),
        probability: text("probability_col").unwrap_or(usual.probability),
        features: text("features_col").unwrap_or(usual.features),
        distance: text("distance_col").unwrap_or(usual.distance),
        ..usual
    }
}

/// Evaluators of one kind, and the metrics asked of each; by default all that fit, with their defaults.
pub(super) struct Plan {
    entries: Vec<EvaluatorEntry>,
    wanted: BTreeMap<usize, Vec<String>>,
    columns: EvaluatorColumns,
}

impl Plan {
    /// Metrics of `model` on `data`, which has the columns of training.
    pub(super) fn measure(
        &self,
        model: &PipelineModel,
        data: &Dataset,
        run: &Run,
    ) -> Result<Metrics> {
        let scored = model.transform_dataset(data)?;
        let columns = self.columns_for(model);
        let mut all = Metrics::default();
        for (i, entry) in self.entries.iter().enumerate() {
            let metrics: Vec<String> = match self.wanted.get(&i) {
                Some(named) => named.clone(),
                None if !self.wanted.is_empty()
                    || (entry.fits)(scored.schema(), &columns).is_err() =>
                {
                    continue;
                }
                None => entry.defaults.iter().map(|m| (*m).to_owned()).collect(),
            };
            (entry.fits)(scored.schema(), &columns)?;
            let run = run.in_stage(entry.name);
            add(
                &mut all,
                (entry.build)(columns.clone()).evaluate(&scored, &metrics, &run)?,
            );
        }
        all.invalid = invalid_rows(model.stages(), data, run)?.concat();
        Ok(all)
    }

    /// The label and weight of training, unless the predictor names its own.
    fn columns_for(&self, model: &PipelineModel) -> EvaluatorColumns {
        let roles = model.input_schema().roles();
        let mut columns = self.columns.clone();
        columns.label = columns.label.or_else(|| roles.label.clone());
        columns.weight = columns.weight.or_else(|| roles.weight.clone());
        columns
    }
}

fn add(all: &mut Metrics, more: Metrics) {
    all.rows = all.rows.max(more.rows);
    all.values.extend(more.values);
    all.curves.extend(more.curves);
    all.warnings.extend(more.warnings);
    if all.by_label.is_empty() {
        all.by_label = more.by_label;
    }
    if all.confusion.is_empty() {
        all.confusion = more.confusion;
    }
}

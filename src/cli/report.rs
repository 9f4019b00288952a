//! The report of a training run.

use std::collections::BTreeMap;

use emberline::datasets::Batch;
use emberline::prelude::*;
use emberline::report::{ClusterSize, FactGroup, Histogram, Residuals};

use super::output::{count, seconds};

/// Points of a scatter plot at most; the first held-out rows in row order.
const POINTS: usize = 2_000;

/// Bars of the histogram of residuals.
const BARS: usize = 30;

/// Everything worth showing of a run. Reads a few held-out rows once more for scatter plots and cluster sizes.
pub fn of_training(
    config: &Config,
    plan: &TrainPlan,
    outcome: &TrainOutcome,
    run: &Run,
) -> Result<Report> {
    let mut report = super::train::measured(outcome)
        .map(Report::of_metrics)
        .unwrap_or_default();
    report.title = config.name.clone();
    report.generated_by = concat!("emberline ", env!("CARGO_PKG_VERSION")).to_owned();
    report.task = task(plan, outcome);
    report.facts = facts(config, outcome, run);
    report.config = config.to_toml();
    report.warnings.extend(outcome.warnings.iter().cloned());
    report.add_stages(&outcome.stages);
    if let Some(metrics) = &outcome.metrics {
        report.add_invalid(&metrics.invalid, "held-out rows");
    }
    if !report.invalid.is_empty() {
        let rows = report.invalid.iter();
        report.facts.push(FactGroup {
            heading: "Rows let pass by policy".to_owned(),
            rows: rows
                .map(|i| (i.among.to_owned(), i.found.to_string()))
                .collect(),
        });
    }
    report.warnings.sort();
    report.warnings.dedup();
    let shown = outcome.test.as_ref().unwrap_or(&outcome.train);
    let predicted = outcome.model.transform_dataset(shown)?;
    match outcome.kind {
        Some(Kind::Regressor) => regression(&mut report, &predicted)?,
        Some(Kind::Clusterer) => report.cluster_sizes = cluster_sizes(&predicted)?,
        _ => {}
    }
    Ok(report)
}

fn task(plan: &TrainPlan, outcome: &TrainOutcome) -> String {
    let label = plan.data.schema().roles().label.clone().unwrap_or_default();
    match outcome.kind {
        Some(Kind::Classifier) => format!("classification of {label}"),
        Some(Kind::Regressor) => format!("regression of {label}"),
        Some(Kind::Clusterer) => "clustering".to_owned(),
        _ => "preparation of columns".to_owned(),
    }
}

fn facts(config: &Config, outcome: &TrainOutcome, run: &Run) -> Vec<FactGroup> {
    let row = |k: &str, v: String| (k.to_owned(), v);
    let data = vec![
        row("source", config.data.source.clone()),
        row("training rows", count(outcome.rows.train)),
        row("held-out rows", count(outcome.rows.test)),
    ];
    let timings = &outcome.timings;
    let machine = vec![
        row("engine", run.engine.describe()),
        row("seed", config.seed.to_string()),
        row("fit", seconds(timings.fit)),
        row("evaluate", seconds(timings.evaluate)),
        row("total", seconds(timings.total)),
    ];
    vec![
        FactGroup {
            heading: "Data".to_owned(),
            rows: data,
        },
        FactGroup {
            heading: "Run".to_owned(),
            rows: machine,
        },
    ]
}

fn regression(report: &mut Report, predicted: &Dataset) -> Result<()> {
    let Some(label) = predicted.schema().roles().label.clone() else {
        return Ok(());
    };
    let columns = [label.clone(), "prediction".to_owned()];
    if columns.iter().any(|c| predicted.schema().get(c).is_err()) {
        return Ok(());
    }
    let mut pairs = Vec::new();
    for batch in predicted.batches(Some(&columns))? {
        let batch = batch?;
        let (actual, guess) = (batch.numbers(&label)?, batch.numbers("prediction")?);
        pairs.extend(
            actual
                .iter()
                .zip(guess.iter())
                .filter_map(|(a, p)| Some((a?, p?))),
        );
        if pairs.len() >= POINTS {
            break;
        }
    }
    pairs.truncate(POINTS);
    let residuals: Vec<f64> = pairs.iter().map(|(a, p)| a - p).collect();
    report.residuals = Some(Residuals {
        points: pairs.iter().map(|(a, p)| (*p, a - p)).collect(),
        histogram: histogram(&residuals),
    });
    report.predicted_vs_actual = pairs;
    Ok(())
}

fn histogram(values: &[f64]) -> Histogram {
    let (low, high) = values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| {
            (l.min(*v), h.max(*v))
        });
    if low.partial_cmp(&high) != Some(std::cmp::Ordering::Less) {
        return Histogram::default();
    }
    let width = (high - low) / BARS as f64;
    let mut counts = vec![0.0; BARS];
    for v in values {
        counts[(((v - low) / width) as usize).min(BARS - 1)] += 1.0;
    }
    Histogram {
        edges: (0..=BARS).map(|i| low + width * i as f64).collect(),
        counts,
    }
}

fn cluster_sizes(predicted: &Dataset) -> Result<Vec<ClusterSize>> {
    let columns = ["prediction".to_owned()];
    if predicted.schema().get("prediction").is_err() {
        return Ok(Vec::new());
    }
    let mut sizes: BTreeMap<u64, u64> = BTreeMap::new();
    for batch in predicted.batches(Some(&columns))? {
        let batch: Batch = batch?;
        for cluster in batch.numbers("prediction")?.iter().flatten() {
            *sizes.entry(cluster as u64).or_default() += 1;
        }
    }
    Ok(sizes
        .into_iter()
        .map(|(id, count)| ClusterSize { id, count })
        .collect())
}

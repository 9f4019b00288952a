//! `emberline evaluate MODEL --data SRC`.

use emberline::pipeline::train::{EvaluateOptions, evaluate_model};
use emberline::prelude::*;
use serde_json::json;

use super::ModelOnData;
use super::output::{Out, count, number, table};

#[derive(Debug, clap::Args)]
pub struct EvaluateArgs {
    #[command(flatten)]
    on: ModelOnData,
    /// Metrics to compute, separated by commas. Default: those of the model's kind.
    #[arg(long, value_delimiter = ',')]
    metrics: Vec<String>,
    /// Allow measuring on the rows the model was trained on.
    #[arg(long)]
    on_train: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: &EvaluateArgs, registry: &Registry) -> Result<()> {
    let (file, saved, data) = args.on.open(registry)?;
    let run = args.on.run()?;
    let options = EvaluateOptions {
        metrics: args.metrics.clone(),
        allow_training_rows: args.on_train,
    };
    let evaluation = evaluate_model(&file, &data, &options, registry, &run)?;
    let metrics = &evaluation.metrics;
    let mut out = Out::lock();
    if args.json {
        let model = json!({ "path": args.on.model, "sha256": saved.sha256 });
        out.json(&json!({
            "metrics": metrics.values, "rows": metrics.rows, "by_label": metrics.by_label,
            "confusion": metrics.confusion, "invalid": metrics.invalid, "warnings": evaluation.warnings, "training_share": evaluation.training_share, "model": model,
        }));
        return Ok(());
    }
    let rows = metrics
        .values
        .iter()
        .map(|(name, value)| vec![name.clone(), number(*value)]);
    out.line(table(&["metric", "value"], rows.collect(), &[1]));
    if !metrics.by_label.is_empty() {
        let rows = metrics.by_label.iter().map(|l| {
            vec![
                l.label.clone(),
                number(l.precision),
                number(l.recall),
                number(l.f1),
                number(l.support),
            ]
        });
        out.line(table(
            &["class", "precision", "recall", "f1", "support"],
            rows.collect(),
            &[1, 2, 3, 4],
        ));
    }
    for warning in &evaluation.warnings {
        eprintln!("warning: {warning}");
    }
    out.line(format!("{} rows", count(metrics.rows)));
    for found in metrics.invalid.iter().filter(|i| i.rows > 0) {
        out.line(found);
    }
    Ok(())
}

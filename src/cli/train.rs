//! `emberline train CONFIG`.

use std::path::Path;
use std::sync::Arc;

use emberline::pipeline::event::JsonLines;
use emberline::prelude::*;
use serde_json::json;

use super::output::{Out, count, number, seconds, table};
use super::progress::Progress;
use super::{ConfigArgs, interruptible};

#[derive(Debug, clap::Args)]
pub struct TrainArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Replace an existing model file.
    #[arg(long)]
    overwrite: bool,
    /// Print one JSON object: metrics, model, rows, timings, stages.
    #[arg(long)]
    pub json: bool,
    /// No progress bar and no table.
    #[arg(short, long)]
    quiet: bool,
}

pub fn run(args: &TrainArgs, registry: &Registry) -> Result<()> {
    let config = args.config.read(registry)?;
    let model_path = config.output.model.as_ref().map(Path::new);
    if let Some(path) = model_path {
        // Found out now rather than after an hour of training; the save itself checks again.
        ModelFile::check_target(path, args.overwrite)?;
    }
    let (data, test) = config.dataset()?;
    config.check_data(registry, &data, test.as_ref())?;
    let plan = TrainPlan::with_data(&config, data, test, registry)?;

    let folders = [
        model_path.and_then(Path::parent),
        config.output.report.as_deref().map(Path::new),
    ];
    for folder in folders.into_iter().flatten() {
        std::fs::create_dir_all(folder).map_err(|e| DataError::io(folder, e))?;
    }
    let mut sinks: Vec<Arc<dyn EventSink>> = vec![Progress::new(args.quiet || args.json)];
    if let Some(report) = &config.output.report {
        sinks.push(Arc::new(JsonLines::create(
            Path::new(report).join("events.jsonl"),
        )?));
    }
    let run = interruptible(config.run().with_events(Arc::new(Tee(sinks))));
    let outcome = train(&plan, registry, &run)?;

    let saved = model_path
        .map(|path| outcome.model_file.save(path, args.overwrite))
        .transpose()?;
    if let Some(folder) = &config.output.report {
        super::report::of_training(&config, &plan, &outcome, &run)?
            .write(folder)
            .map_err(|e| Error::Usage(format!("the report cannot be written: {e}")))?;
    }
    let mut out = Out::lock();
    if args.json {
        let model = model_path
            .zip(saved.as_ref())
            .map(|(p, s)| json!({ "path": p, "sha256": s.sha256, "bytes": s.bytes }));
        out.json(&json!({
            "name": config.name,
            "metrics": measured(&outcome).map(|m| &m.values),
            "metrics_on": if outcome.metrics.is_some() { "held-out rows" } else { "training rows" },
            "model": model,
            "report": config.output.report,
            "rows": outcome.rows,
            "timings": outcome.timings,
            "stages": outcome.stages,
            "warnings": outcome.warnings,
        }));
    } else if !args.quiet {
        show(&mut out, &outcome);
        if let Some((path, saved)) = model_path.zip(saved) {
            out.line(format!(
                "model   {} ({} bytes, sha256 {})",
                path.display(),
                count(saved.bytes),
                &saved.sha256[..16]
            ));
        }
        if let Some(folder) = &config.output.report {
            out.line(format!(
                "report  {}",
                Path::new(folder).join("report.html").display()
            ));
        }
    }
    Ok(())
}

/// Metrics on held-out rows, else those on training rows that the config asked for.
pub fn measured(outcome: &TrainOutcome) -> Option<&Metrics> {
    outcome.metrics.as_ref().or(outcome.train_metrics.as_ref())
}

fn show(out: &mut Out, outcome: &TrainOutcome) {
    let stages = outcome.stages.iter().map(|s| {
        let fit = s.report.as_ref();
        let rounds = fit.map_or(0, |f| f.rounds);
        let stop = fit.map_or_else(String::new, |f| f.stop.to_string());
        vec![
            s.stage.clone(),
            seconds(s.seconds),
            if rounds > 0 {
                count(rounds)
            } else {
                String::new()
            },
            stop,
        ]
    });
    out.line(table(
        &["stage", "time", "rounds", "end"],
        stages.collect(),
        &[1, 2],
    ));
    match measured(outcome) {
        Some(metrics) => {
            let on = if outcome.metrics.is_some() { "on held-out rows" } else { "on training rows" };
            let rows = metrics.values.iter().map(|(name, value)| vec![name.clone(), number(*value)]);
            out.line(table(&["metric", on], rows.collect(), &[1]));
        }
        None => out.line("not evaluated: the config has no `[data.split]` (set `evaluate.on_train = true` to measure on training rows)"),
    }
    out.line(format!(
        "rows    {} trained, {} held out",
        count(outcome.rows.train),
        count(outcome.rows.test)
    ));
}

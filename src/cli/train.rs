//! `emberline train CONFIG`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use emberline::datasets::files;
use emberline::pipeline::InvalidRows;
use emberline::pipeline::engine::journal::{Checkpoints, Journal};
use emberline::pipeline::event::JsonLines;
use emberline::pipeline::model_file::Saved;
use emberline::prelude::*;
use serde_json::json;

use super::output::{Out, count, number, seconds, table};
use super::progress::Progress;
use super::{ConfigArgs, interruptible, run_of};

#[derive(Debug, clap::Args)]
pub struct TrainArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Replace an existing model file.
    #[arg(long)]
    overwrite: bool,
    /// Go on from the checkpoint of a run that was killed or stopped; without one, start from the beginning.
    #[arg(long, conflicts_with = "overwrite")]
    resume: bool,
    /// Run the driver beside the scheduler: print the id of the run, and return. `emberline cluster logs ID` shows what it prints.
    #[cfg(feature = "cluster")]
    #[arg(long)]
    detach: bool,
    /// Print one JSON object: metrics, model, rows, timings, stages.
    #[arg(long)]
    pub json: bool,
    /// No progress bar and no table.
    #[arg(short, long)]
    quiet: bool,
}

impl TrainArgs {
    /// Trains this config, and prints a table at the end.
    #[cfg(feature = "cluster")]
    pub fn of(config: std::path::PathBuf, set: Vec<String>, overwrite: bool, resume: bool) -> Self {
        Self {
            config: ConfigArgs { config, set },
            overwrite,
            resume,
            detach: false,
            json: false,
            quiet: false,
        }
    }
}

pub fn run(args: &TrainArgs, registry: &Registry) -> Result<()> {
    #[cfg(feature = "cluster")]
    if args.detach {
        return detach(args, registry);
    }
    run_with(
        args,
        registry,
        Progress::new(args.quiet || args.json),
        run_of,
    )
}

/// Trains; `progress` shows how it goes, `run_of` gives the run of the config.
pub fn run_with(
    args: &TrainArgs,
    registry: &Registry,
    progress: Arc<dyn EventSink>,
    run_of: impl FnOnce(&Config) -> Result<Run>,
) -> Result<()> {
    let config = args.config.read(registry)?;
    let model_path = config.output.model.as_ref().map(Path::new);
    let checkpoints = model_path
        .map(|path| checkpoints(path, &config, args))
        .transpose()?;
    let (data, test) = config.dataset()?;
    config.check_data(registry, &data, test.as_ref())?;
    let mut plan = TrainPlan::with_data(&config, data, test, registry)?;
    plan.checkpoints = checkpoints;

    let folders = [
        model_path.and_then(Path::parent),
        config.output.report.as_deref().map(Path::new),
    ];
    for folder in folders.into_iter().flatten() {
        files::make_folder(folder).map_err(|e| DataError::io(folder, e))?;
    }
    let mut sinks = vec![progress];
    if let Some(report) = &config.output.report {
        sinks.push(Arc::new(JsonLines::create(
            Path::new(report).join("events.jsonl"),
        )?));
    }
    let run = interruptible(run_of(&config)?.with_events(Arc::new(Tee(sinks))));
    let outcome = train(&plan, registry, &run)?;

    let saved = model_path
        .map(|path| save(&outcome, path, &plan))
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
            "invalid": outcome.metrics.as_ref().map_or(&[][..], |m| &m.invalid),
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

#[cfg(feature = "cluster")]
fn detach(args: &TrainArgs, registry: &Registry) -> Result<()> {
    let config = args.config.read(registry)?;
    let submission = emberline::cluster::Submission {
        folder: std::env::current_dir().map_err(|e| DataError::io(".", e))?,
        config: config.effective_toml(),
        overwrite: args.overwrite,
        resume: args.resume,
    };
    let run = submission.submit(&config)?;
    let scheduler = config.engine.scheduler.unwrap_or_default();
    let mut out = Out::lock();
    if args.json {
        out.json(&json!({ "run": run, "scheduler": scheduler }));
    } else if args.quiet {
        out.line(run);
    } else {
        out.line(format!("run     {run}"));
        out.line(format!(
            "follow  emberline cluster logs {run} --follow --scheduler {scheduler}"
        ));
        out.line(format!(
            "stop    emberline cluster cancel {run} --scheduler {scheduler}"
        ));
    }
    Ok(())
}

/// Where the run writes its checkpoint, and whether it may write its model; found out now rather than after an hour of training.
fn checkpoints(model: &Path, config: &Config, args: &TrainArgs) -> Result<Checkpoints> {
    let path = Checkpoints::path_of(model);
    let left = Journal::left_by(&path)?;
    if left.is_some() && !args.resume && !args.overwrite {
        return Err(Error::Usage(format!(
            "a run that did not end left `{}`; go on from it with --resume, or start anew with --overwrite",
            path.display()
        )));
    }
    // What the interrupted run was allowed to do, the one that goes on may do.
    let left = left.filter(|_| args.resume);
    let overwrite = args.overwrite || left.as_ref().is_some_and(|l| l.overwrite);
    if left.is_none() {
        ModelFile::check_target(model, overwrite)?;
    }
    Ok(Checkpoints {
        path,
        interval: Duration::from_secs_f64(config.engine.checkpoint_interval),
        resume: args.resume,
        overwrite,
    })
}

/// Saves the model, then removes the checkpoint: it has served.
fn save(outcome: &TrainOutcome, path: &Path, plan: &TrainPlan) -> Result<Saved> {
    let file = &outcome.model_file;
    // A run may be killed between the two: the one that goes on finds its own model there.
    let resumed = outcome.checkpoint.as_ref().is_some_and(|c| c.resumed());
    let own = resumed && file.to_bytes()? == files::read(path, u64::MAX).unwrap_or_default();
    let overwrite = plan.checkpoints.as_ref().is_some_and(|c| c.overwrite);
    let saved = file.save(path, overwrite || own)?;
    if let Some(checkpoint) = &outcome.checkpoint {
        checkpoint.discard()?;
    }
    Ok(saved)
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
    let some = |i: &&InvalidRows| i.rows > 0;
    for found in outcome.stages.iter().flat_map(|s| &s.invalid).filter(some) {
        out.line(format!("policy  training: {found}"));
    }
    for found in outcome.metrics.iter().flat_map(|m| &m.invalid).filter(some) {
        out.line(format!("policy  held out: {found}"));
    }
}

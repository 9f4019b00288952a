//! `emberline lock CONFIG` and `emberline test CONFIG|DIR`: accuracy as a regression test.

use std::path::{Path, PathBuf};

use emberline::datasets::files;
use emberline::pipeline::train::{Comparison, Lock};
use emberline::prelude::*;
use serde_json::json;

use super::output::{Out, number, table};
use super::{ConfigArgs, interruptible, run_of};

#[derive(Debug, clap::Args)]
pub struct LockArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Refits with a fold left out, from which each metric's band is made; at least 2.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(2..))]
    folds: u16,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub struct TestArgs {
    /// A config that was locked, or a folder of them.
    config: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// The lock of a config: `NAME.accuracy.lock` beside `NAME.toml`.
fn lock_path(config: &Path) -> PathBuf {
    config.with_extension("accuracy.lock")
}

fn plan_of(config: &Config, registry: &Registry) -> Result<TrainPlan> {
    let (data, test) = config.dataset()?;
    config.check_data(registry, &data, test.as_ref())?;
    TrainPlan::with_data(config, data, test, registry)
}

pub fn lock(args: &LockArgs, registry: &Registry) -> Result<()> {
    let config = args.config.read(registry)?;
    let plan = plan_of(&config, registry)?;
    let run = interruptible(run_of(&config)?);
    let (lock, _) = Lock::of(&plan, registry, &run, usize::from(args.folds))?;
    let path = lock_path(&args.config.config);
    files::replace(&path, lock.to_toml()?.as_bytes()).map_err(|e| DataError::io(&path, e))?;
    let mut out = Out::lock();
    if args.json {
        out.json(
            &json!({ "lock": path, "metrics": lock.metrics, "model": { "sha256": lock.model } }),
        );
        return Ok(());
    }
    let rows = lock.metrics.iter().map(|(name, band)| {
        vec![
            name.clone(),
            number(band.value),
            number(band.low),
            number(band.high),
        ]
    });
    out.line(table(
        &["metric", "value", "at least", "at most"],
        rows.collect(),
        &[1, 2, 3],
    ));
    out.line(format!("lock    {}", path.display()));
    Ok(())
}

pub fn test(args: &TestArgs, registry: &Registry) -> Result<()> {
    let configs = configs(&args.config)?;
    let mut failed = Vec::new();
    let mut all = Vec::new();
    for path in &configs {
        let compared = compare(path, registry)?;
        if !compared.passed() {
            failed.push(path.display().to_string());
        }
        if args.json {
            all.push(
                json!({ "config": path, "passed": compared.passed(), "comparison": compared }),
            );
        } else {
            show(path, &compared);
        }
    }
    if args.json {
        Out::lock().json(&json!({ "passed": failed.is_empty(), "configs": all }));
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Error::AccuracyMoved(failed.join(", ")))
    }
}

/// The configs to test: the file itself, or those of a folder that have a lock.
fn configs(path: &Path) -> Result<Vec<PathBuf>> {
    let missing =
        |what: String| Error::Usage(format!("{what}; make a lock with `emberline lock CONFIG`"));
    if !path.is_dir() {
        let lock = lock_path(path);
        return if lock.is_file() {
            Ok(vec![path.to_owned()])
        } else {
            Err(missing(format!(
                "`{}` has no lock `{}`",
                path.display(),
                lock.display()
            )))
        };
    }
    let entries = std::fs::read_dir(path).map_err(|e| DataError::io(path, e))?;
    let mut found = Vec::new();
    for entry in entries {
        let file = entry.map_err(|e| DataError::io(path, e))?.path();
        if file.extension().is_some_and(|e| e == "toml") && lock_path(&file).is_file() {
            found.push(file);
        }
    }
    found.sort();
    if found.is_empty() {
        return Err(missing(format!(
            "no config in `{}` has a lock",
            path.display()
        )));
    }
    Ok(found)
}

fn compare(path: &Path, registry: &Registry) -> Result<Comparison> {
    let file = lock_path(path);
    let text = std::fs::read_to_string(&file).map_err(|e| DataError::io(&file, e))?;
    let lock = Lock::parse(&file.display().to_string(), &text)?;
    let config = Config::read(path, &[], registry)?;
    let plan = plan_of(&config, registry)?;
    let run = interruptible(run_of(&config)?);
    let outcome = train(&plan, registry, &run)?;
    lock.compare(&plan, &outcome, &run)
}

fn show(path: &Path, compared: &Comparison) {
    let mut out = Out::lock();
    let verdict = match (compared.passed(), compared.same_model) {
        (true, true) => "ok, the same bytes".to_owned(),
        (true, false) => format!("ok, other bytes{}", since(compared)),
        (false, _) => format!("FAILED{}", since(compared)),
    };
    out.line(format!("{}: {verdict}", path.display()));
    for change in &compared.changes {
        out.line(format!("  note: {change}"));
    }
    let moved: Vec<&str> = compared.moved().collect();
    let rows = compared
        .metrics
        .iter()
        .filter(|(name, _)| moved.contains(&&***name));
    let rows: Vec<Vec<String>> = rows
        .map(|(name, (band, now))| {
            vec![
                name.clone(),
                now.map_or("not computed".to_owned(), number),
                number(band.value),
                number(band.low),
                number(band.high),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let header = ["metric", "now", "locked", "at least", "at most"];
        out.line(table(&header, rows, &[1, 2, 3, 4]));
    }
}

fn since(compared: &Comparison) -> String {
    let stage = compared.first_moved.as_ref();
    stage.map_or_else(
        || "; every stage gives what it gave on the first rows".to_owned(),
        |stage| format!("; the first stage whose output moved is `{stage}`"),
    )
}

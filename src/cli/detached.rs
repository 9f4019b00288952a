//! `emberline cluster logs|cancel|driver`: runs whose driver is beside the scheduler.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use emberline::cluster::{Submission, client, engine_of_run, failed, note_end};
use emberline::pipeline::engine::journal::Checkpoints;
use emberline::prelude::*;

use super::access::ClusterAt;
use super::progress::Lines;
use super::train::{self, TrainArgs};

/// How often a log that is followed is asked for more.
const POLL: Duration = Duration::from_millis(300);

#[derive(Debug, clap::Args)]
pub struct LogsArgs {
    /// Id of the run.
    run: String,
    /// Wait for more until the run ends.
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    at: ClusterAt,
}

#[derive(Debug, clap::Args)]
pub struct CancelArgs {
    /// Id of the run.
    run: String,
    #[command(flatten)]
    at: ClusterAt,
}

#[derive(Debug, clap::Args)]
pub struct DriverArgs {
    /// Folder of the run.
    folder: PathBuf,
    #[command(flatten)]
    at: ClusterAt,
}

pub fn logs(args: &LogsArgs) -> Result<()> {
    let client = client(&args.at.engine())?;
    let mut from = 0;
    loop {
        let (ended, log) = client.log(&args.run, from).map_err(failed)?;
        from += log.len() as u64;
        let mut out = std::io::stdout().lock();
        // A reader that went away wants no more.
        if out.write_all(&log).and_then(|()| out.flush()).is_err() {
            return Ok(());
        }
        drop(out);
        if log.is_empty() {
            if ended || !args.follow {
                return Ok(());
            }
            std::thread::sleep(POLL);
        }
    }
}

pub fn cancel(args: &CancelArgs) -> Result<()> {
    let client = client(&args.at.engine())?;
    client.stop_run(&args.run).map_err(failed)
}

/// Runs the driver of the run in this folder. Its output is the log of the run.
pub fn driver(args: &DriverArgs, registry: &Registry) -> Result<()> {
    let done = train_in(args, registry);
    note_end(&args.folder, &done)?;
    done
}

fn train_in(args: &DriverArgs, registry: &Registry) -> Result<()> {
    let submission = Submission::of_run(&args.folder)?;
    let file = args.folder.join("config.toml");
    // What was begun goes on; before there is a checkpoint it begins as it did.
    let begun = file.exists();
    std::fs::write(&file, &submission.config).map_err(|e| DataError::io(&file, e))?;
    let text = |key: &str, value: &str| format!("{key}={}", serde_json::Value::from(value));
    let mut set = vec![
        "engine.kind=\"cluster\"".to_owned(),
        text("engine.scheduler", &args.at.scheduler),
    ];
    let files = [
        ("engine.token_file", &args.at.token_file),
        ("engine.tls_ca", &args.at.tls_ca),
    ];
    set.extend(
        files
            .iter()
            .filter_map(|(key, file)| Some(text(key, file.as_ref()?))),
    );
    let config = Config::read(&file, &set, registry)?;
    let left = |model: &String| Checkpoints::path_of(Path::new(model)).exists();
    let resume = submission.resume || begun && config.output.model.as_ref().is_some_and(left);
    let id = args.folder.file_name().unwrap_or_default();
    let id = id.to_string_lossy();
    let again = if resume { ", resumed" } else { "" };
    eprintln!("run {id}{again}");
    let training = TrainArgs::of(file, set, submission.overwrite && !resume, resume);
    train::run_with(&training, registry, Lines::new(), |config| {
        let engine = engine_of_run(&config.engine, &id)?;
        Ok(config.run().with_engine(engine))
    })
}

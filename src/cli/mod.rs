//! The command line: one file a command. Only this module prints, reads the terminal or decides exit codes.

#[cfg(feature = "cluster")]
mod access;
mod check;
#[cfg(feature = "cluster")]
mod cluster;
mod data;
#[cfg(feature = "cluster")]
mod detached;
mod errors;
mod evaluate;
mod explain;
mod inspect;
mod lock;
mod output;
mod predict;
mod progress;
mod report;
mod schema;
mod stages;
mod train;
#[cfg(feature = "cluster")]
mod up;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use emberline::config::{EngineKind, EngineOptions};
use emberline::datasets::source::open_like;
use emberline::pipeline::model_file::Saved;
use emberline::prelude::*;

use output::Format;

/// Classic machine-learning pipelines over partitioned datasets.
#[derive(Debug, Parser)]
#[command(name = "emberline", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print more of what happens inside (also: EMBERLINE_LOG=debug).
    #[arg(short, long, global = true)]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train the pipeline of a config, evaluate it on held-out rows, and write the model and a report.
    Train(train::TrainArgs),
    /// Check a config against the data's schema: the schema after each stage and the memory plan; trains nothing.
    Check(check::CheckArgs),
    /// Measure a model on data it has not seen.
    Evaluate(evaluate::EvaluateArgs),
    /// Train a config, and again with folds left out, and write what came of it to `NAME.accuracy.lock` beside it.
    Lock(lock::LockArgs),
    /// Train locked configs again; fails with exit code 1 where a metric left its band.
    Test(lock::TestArgs),
    /// Apply a model to data and write the result.
    Predict(predict::PredictArgs),
    /// Replay the rows that a model carries along and compare the outputs bit for bit.
    Verify(inspect::VerifyArgs),
    /// Show what a model file holds: stages, schema, evidence.
    Inspect(inspect::InspectArgs),
    /// Look at data.
    #[command(subcommand)]
    Data(data::DataCommand),
    /// List the stages, or show one with its parameters.
    Stages(stages::StagesArgs),
    /// Print the JSON Schema of configs, for editors.
    Schema,
    /// Run a cluster, or look at one.
    #[cfg(feature = "cluster")]
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Show how a config would run: passes over the data, columns read, stages fused.
    Explain(explain::ExplainArgs),
}

/// A config and what overrides it.
#[derive(Debug, Args)]
struct ConfigArgs {
    /// The config file (TOML).
    config: PathBuf,
    /// Override a value: `seed=7`, `random_forest_classifier.num_trees=200`, `output.model=m.ember`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl ConfigArgs {
    fn read(&self, registry: &Registry) -> Result<Config> {
        Config::read(&self.config, &self.set, registry)
    }
}

/// A model and the data to apply it to.
#[derive(Debug, Args)]
struct ModelOnData {
    /// The model file.
    model: PathBuf,
    /// The data: a file, a glob, a folder (each also as `s3://...`), `bundled:NAME`, or `-` for standard input.
    #[arg(long, value_name = "SOURCE")]
    data: String,
    /// Format of the data, where the name does not tell: csv, jsonl, parquet, libsvm, arrow.
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Number of threads, at most 1,024; 0 means one a core.
    #[arg(long, default_value_t = 0, value_parser = threads)]
    threads: usize,
    /// Compute on the cluster of the scheduler at this address.
    #[arg(long, value_name = "URL")]
    scheduler: Option<String>,
    /// File with the token of the cluster.
    #[arg(long, value_name = "FILE", requires = "scheduler")]
    token_file: Option<String>,
    /// PEM file with the certificates of who may have signed those of the cluster.
    #[arg(long, value_name = "FILE", requires = "scheduler")]
    tls_ca: Option<String>,
}

/// A number of threads that a machine may have.
fn threads(text: &str) -> std::result::Result<usize, String> {
    let threads: usize = text
        .parse()
        .map_err(|_| "expected a whole number, 0 or more")?;
    if threads > 1024 {
        return Err("must be at most 1024; 0 takes one a core".to_owned());
    }
    Ok(threads)
}

impl ModelOnData {
    /// A run on this machine, or on the cluster that is named.
    fn run(&self) -> Result<Run> {
        let engine = EngineOptions {
            kind: match self.scheduler {
                Some(_) => EngineKind::Cluster,
                None => EngineKind::Local,
            },
            scheduler: self.scheduler.clone(),
            token_file: self.token_file.clone(),
            tls_ca: self.tls_ca.clone(),
            threads: self.threads,
            ..EngineOptions::default()
        };
        let name = self.model.file_stem().unwrap_or_default();
        let run = on_engine(
            Run::local(0, self.threads),
            &engine,
            &name.to_string_lossy(),
        )?;
        Ok(interruptible(run))
    }

    /// Loads the model, and opens the data as far as their schema.
    fn open(&self, registry: &Registry) -> Result<(ModelFile, Saved, Dataset)> {
        let (file, saved) = ModelFile::load_with_digest(&self.model, registry)?;
        file.require_probes(&self.model)?;
        let format = self.format.as_deref().map(|name| {
            serde_json::from_value(serde_json::Value::from(name)).map_err(|_| {
                Error::Usage(format!(
                    "no format `{name}`; known are csv, jsonl, parquet, libsvm, arrow"
                ))
            })
        });
        let label = file.model.input_schema().roles().label.clone();
        let options = SourceOptions {
            format: format.transpose()?,
            ..SourceOptions::new(&self.data)
        };
        let data = open_like(&options, file.model.input_schema(), None)?;
        let has_label = label
            .as_ref()
            .is_some_and(|l| data.schema().index_of(l).is_some());
        let mut roles = file.model.input_schema().roles().clone();
        let keep =
            |role: Option<String>| role.filter(|name| data.schema().index_of(name).is_some());
        roles.label = label.filter(|_| has_label);
        (roles.weight, roles.id, roles.group) =
            (keep(roles.weight), keep(roles.id), keep(roles.group));
        Ok((file, saved, data.with_roles(roles)?))
    }
}

/// Runs the command line and returns the process's exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    errors::start_logging(cli.verbose);
    let registry = emberline::registry();
    let (result, format) = match &cli.command {
        Command::Train(args) => (train::run(args, &registry), Format::of(args.json)),
        Command::Check(args) => (check::run(args, &registry), Format::of(args.json)),
        Command::Evaluate(args) => (evaluate::run(args, &registry), Format::of(args.json)),
        Command::Lock(args) => (lock::lock(args, &registry), Format::of(args.json)),
        Command::Test(args) => (lock::test(args, &registry), Format::of(args.json)),
        Command::Predict(args) => (predict::run(args, &registry), Format::Text),
        Command::Verify(args) => (inspect::verify(args, &registry), Format::of(args.json)),
        Command::Inspect(args) => (inspect::run(args, &registry), Format::of(args.json)),
        Command::Data(command) => (data::run(command), command.format()),
        Command::Stages(args) => (stages::run(args, &registry), Format::of(args.json)),
        Command::Schema => (schema::run(&registry), Format::Text),
        #[cfg(feature = "cluster")]
        Command::Cluster(command) => (cluster::run(command, &registry), command.format()),
        Command::Explain(args) => (explain::run(args, &registry), Format::Text),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            errors::show(&error, format);
            ExitCode::from(error.exit_code())
        }
    }
}

/// The run of a config, on the engine it names.
fn run_of(config: &Config) -> Result<Run> {
    on_engine(config.run(), &config.engine, &config.name)
}

#[cfg(feature = "cluster")]
fn on_engine(run: Run, engine: &EngineOptions, name: &str) -> Result<Run> {
    match engine.kind {
        EngineKind::Local => Ok(run),
        EngineKind::Cluster => Ok(run.with_engine(emberline::cluster::engine(engine, name)?)),
    }
}

#[cfg(not(feature = "cluster"))]
fn on_engine(run: Run, engine: &EngineOptions, _: &str) -> Result<Run> {
    match engine.kind {
        EngineKind::Local => Ok(run),
        EngineKind::Cluster => Err(Error::Usage(
            "this build has no cluster engine: build it with `--features cluster`, or compute on this machine (engine.kind = \"local\")".to_owned(),
        )),
    }
}

/// A run whose cancel switch is thrown by Ctrl-C and SIGTERM; a second signal ends the process at once.
fn interruptible(run: Run) -> Run {
    let cancel = run.cancel.clone();
    // A handler can be set once a process; every command sets one run up, so this is the first.
    let _ = ctrlc::set_handler(move || {
        if cancel.is_cancelled() {
            std::process::exit(130);
        }
        cancel.cancel();
    });
    run
}

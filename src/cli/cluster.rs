//! `emberline cluster scheduler|executor|status`; `up` is in `up.rs`, `logs`, `cancel` and `driver` are in `detached.rs`.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use emberline::cluster::{
    ClusterWorker, ExecutorOptions, Pool, SchedulerOptions, Status, TrainDrivers, client,
    default_memory, failed, read_token, run_executor, run_scheduler, stop_with_input,
};
use emberline::config::ByteSize;
use emberline::prelude::*;

use super::access::{ClusterAt, TlsArgs};
use super::detached::{self, CancelArgs, DriverArgs, LogsArgs};
use super::output::{Format, Out, count, table};
use super::up::{self, UpArgs};

#[derive(Debug, clap::Subcommand)]
pub enum ClusterCommand {
    /// Start a scheduler and executors on this machine, for trying and for tests; Ctrl-C stops them all.
    Up(UpArgs),
    /// Run the scheduler: it accepts runs and deals their work to executors.
    Scheduler(SchedulerArgs),
    /// Run an executor: it keeps rows and computes.
    Executor(ExecutorArgs),
    /// Show executors, the jobs that are at work, and detached runs.
    Status(StatusArgs),
    /// Show what the driver of a detached run printed.
    Logs(LogsArgs),
    /// Stop a detached run; its checkpoint stays, so that `train --resume` can go on from it.
    Cancel(CancelArgs),
    /// The driver of a detached run, as the scheduler starts it.
    #[command(hide = true)]
    Driver(DriverArgs),
}

impl ClusterCommand {
    pub fn format(&self) -> Format {
        Format::of(matches!(self, Self::Status(args) if args.json))
    }
}

#[derive(Debug, clap::Args)]
pub struct SchedulerArgs {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:50050")]
    listen: SocketAddr,
    /// Name or address that others reach it under, where it is another than it listens on: in containers, behind a proxy.
    #[arg(long, value_name = "HOST")]
    advertise: Option<String>,
    /// File with the token that every request must show; needed for any address but loopback.
    #[arg(long, value_name = "FILE")]
    token_file: Option<String>,
    /// Seconds after which an executor that was not heard of is lost.
    #[arg(long, default_value_t = 5)]
    executor_timeout: u64,
    /// Seconds without any executor after which jobs fail.
    #[arg(long, default_value_t = 30)]
    grace: u64,
    /// Share of a pool: `NAME=WEIGHT`, or `NAME=WEIGHT:SLOTS` with slots that it gets before others share. Others have weight 1.
    #[arg(long = "pool", value_name = "NAME=WEIGHT[:SLOTS]")]
    pools: Vec<String>,
    #[command(flatten)]
    tls: TlsArgs,
    #[command(flatten)]
    detached: DetachedArgs,
    /// End when standard input does.
    #[arg(long, hide = true)]
    attached: bool,
}

/// Where drivers run that were submitted with `train --detach`.
#[derive(Debug, clap::Args)]
pub struct DetachedArgs {
    /// Folder for detached runs: their configs and logs. Default: `emberline/runs/PORT` in $XDG_STATE_HOME or ~/.local/state.
    #[arg(long, value_name = "FOLDER")]
    pub runs_dir: Option<PathBuf>,
    /// Start no drivers: refuse `train --detach`.
    #[arg(long)]
    pub no_detach: bool,
}

impl DetachedArgs {
    /// The folder, for the scheduler at this port.
    fn folder(&self, port: u16) -> PathBuf {
        let home = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
        let state = || {
            home("XDG_STATE_HOME")
                .map(PathBuf::from)
                .or_else(|| home("HOME").map(|h| PathBuf::from(h).join(".local/state")))
                .unwrap_or_else(std::env::temp_dir)
        };
        let default = || state().join("emberline/runs").join(port.to_string());
        self.runs_dir.clone().unwrap_or_else(default)
    }
}

#[derive(Debug, clap::Args)]
pub struct ExecutorArgs {
    /// Address of the scheduler.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:50050")]
    scheduler: String,
    /// Address that the scheduler and drivers reach this executor under.
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// Port for data; the next one is for control. 0 takes two free ones.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Name or address that others reach it under, where it is another than it listens on: in containers, behind a proxy.
    #[arg(long, value_name = "HOST")]
    advertise: Option<String>,
    /// Parts computed at the same time. Default: one a core.
    #[arg(long)]
    slots: Option<usize>,
    /// Threads that compute them. Default: one a slot.
    #[arg(long)]
    threads: Option<usize>,
    /// What is kept in memory of rows and blocks: "4GiB". Default: six tenths of this machine's.
    #[arg(long)]
    memory: Option<String>,
    /// Folder for answers until they are fetched. Default: a temporary one, removed at the end; what executors that were killed left of
    /// theirs goes when another starts.
    #[arg(long)]
    work_dir: Option<PathBuf>,
    /// File with the token of the cluster.
    #[arg(long, value_name = "FILE")]
    token_file: Option<String>,
    #[command(flatten)]
    tls: TlsArgs,
    /// End when standard input does.
    #[arg(long, hide = true)]
    attached: bool,
}

#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    #[command(flatten)]
    at: ClusterAt,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub fn run(command: &ClusterCommand, registry: &Registry) -> Result<()> {
    match command {
        ClusterCommand::Up(args) => up::up(args),
        ClusterCommand::Scheduler(args) => scheduler(args),
        ClusterCommand::Executor(args) => executor(args, registry),
        ClusterCommand::Status(args) => status(args),
        ClusterCommand::Logs(args) => detached::logs(args),
        ClusterCommand::Cancel(args) => detached::cancel(args),
        ClusterCommand::Driver(args) => detached::driver(args, registry),
    }
}

pub fn engine_error(error: impl std::fmt::Display) -> Error {
    Error::Engine(error.to_string())
}

pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

pub fn memory_of(text: Option<&String>, processes: usize) -> Result<Option<u64>> {
    match text {
        None => Ok(default_memory(processes)),
        Some(text) => match text.parse::<ByteSize>() {
            Ok(size) => Ok(Some(size.0)),
            Err(e) => Err(Error::Usage(format!("--memory: {e}"))),
        },
    }
}

fn scheduler(args: &SchedulerArgs) -> Result<()> {
    let options = SchedulerOptions {
        listen: args.listen,
        advertise: args.advertise.clone(),
        token: args.token_file.as_deref().map(read_token).transpose()?,
        tls: args.tls.read(args.listen.ip())?,
        executor_timeout: Duration::from_secs(args.executor_timeout.max(2)),
        grace: Duration::from_secs(args.grace),
        pools: args
            .pools
            .iter()
            .map(|text| pool(text))
            .collect::<Result<_>>()?,
        drivers: if args.detached.no_detach {
            None
        } else {
            let (token, ca) = (args.token_file.as_deref(), args.tls.tls_ca.as_deref());
            let drivers = TrainDrivers::new(token, ca)?;
            let folder = args.detached.folder(args.listen.port());
            Some((Arc::new(drivers), folder))
        },
    };
    if args.attached {
        stop_with_input();
    }
    run_scheduler(options, |address| {
        let mut out = Out::lock();
        out.line(format!("scheduler at {}://{address}", args.tls.scheme()));
        let _ = std::io::stdout().flush();
    })
    .map_err(failed)
}

fn pool(text: &str) -> Result<(String, Pool)> {
    let parsed = text.split_once('=').and_then(|(name, share)| {
        let (weight, slots) = share.split_once(':').unwrap_or((share, "0"));
        let weight = weight
            .parse::<f64>()
            .ok()
            .filter(|w| *w > 0.0 && w.is_finite())?;
        let pool = Pool {
            weight,
            min_share: slots.parse().ok()?,
        };
        (!name.is_empty()).then(|| (name.to_owned(), pool))
    });
    parsed.ok_or_else(|| {
        Error::Usage(format!(
            "--pool {text}: expected NAME=WEIGHT or NAME=WEIGHT:SLOTS, such as nightly=0.5 or interactive=2:4"
        ))
    })
}

fn executor(args: &ExecutorArgs, registry: &Registry) -> Result<()> {
    let slots = args.slots.unwrap_or_else(cores).max(1);
    let threads = args.threads.unwrap_or(slots).max(1);
    let memory = memory_of(args.memory.as_ref(), 1)?;
    let options = ExecutorOptions {
        scheduler: args.scheduler.clone(),
        listen: SocketAddr::new(args.host, args.port),
        advertise: args.advertise.clone(),
        token: args.token_file.as_deref().map(read_token).transpose()?,
        tls: args.tls.read(args.host)?,
        slots,
        work_dir: args.work_dir.clone(),
        wait: Duration::from_secs(60),
    };
    let worker = Arc::new(ClusterWorker::new(registry.clone(), threads, memory)?);
    if args.attached {
        stop_with_input();
    }
    let served = run_executor(options, worker, |id| {
        let mut out = Out::lock();
        out.line(format!(
            "executor {id}, {slots} slots, scheduler {}",
            args.scheduler
        ));
        let _ = std::io::stdout().flush();
    });
    served.map_err(failed)
}

fn status(args: &StatusArgs) -> Result<()> {
    let client = client(&args.at.engine())?;
    let status = client.status().map_err(failed)?;
    let mut out = Out::lock();
    if args.json {
        out.json(&serde_json::to_value(&status).unwrap_or_default());
    } else {
        show(&mut out, &args.at.scheduler, &status);
    }
    Ok(())
}

fn show(out: &mut Out, scheduler: &str, status: &Status) {
    out.line(format!(
        "scheduler {scheduler}, version {}, up {:.0} s, {} bytes laid ready",
        status.version,
        status.uptime_s,
        count(status.blob_bytes)
    ));
    if status.repeated > 0 {
        out.line(format!(
            "{} late parts were run a second time, {} of them faster",
            status.repeated, status.overtaken
        ));
    }
    let executors = status.executors.iter().map(|e| {
        let worker = |key: &str| e.worker[key].as_u64().map_or_else(String::new, count);
        vec![
            e.id.clone(),
            e.address.clone(),
            format!("{}/{}", e.running, e.slots),
            worker("partitions"),
            worker("rows"),
            worker("held"),
            worker("memory_limit"),
            if e.set_aside { "set aside" } else { "" }.to_owned(),
        ]
    });
    let header = [
        "executor",
        "address",
        "at work",
        "partitions",
        "rows",
        "bytes",
        "limit",
        "",
    ];
    out.line(table(&header, executors.collect(), &[2, 3, 4, 5, 6]));
    if !status.detached.is_empty() {
        out.line(detached_runs(status));
    }
    if status.jobs.is_empty() {
        return out.line("no job is at work");
    }
    let jobs = status.jobs.iter().map(|j| {
        vec![
            j.run.clone(),
            j.pool.clone(),
            j.name.clone(),
            format!("{}/{}", j.done, j.parts),
            format!("{:.1} s", j.seconds),
        ]
    });
    out.line(table(
        &["run", "pool", "job", "parts", "time"],
        jobs.collect(),
        &[3, 4],
    ));
}

/// Detached runs, the newest last.
fn detached_runs(status: &Status) -> comfy_table::Table {
    let runs = status.detached.iter().map(|r| {
        let seconds = |ended: u64| ended.saturating_sub(r.submitted_ms) as f64 / 1e3;
        vec![
            r.run.clone(),
            r.state.to_string(),
            r.exit_code.map(|c| c.to_string()).unwrap_or_default(),
            r.ended_ms
                .map(|e| format!("{:.1} s", seconds(e)))
                .unwrap_or_default(),
            r.error.clone().unwrap_or_default(),
        ]
    });
    table(
        &["detached run", "state", "exit code", "took", "last error"],
        runs.collect(),
        &[2, 3],
    )
}

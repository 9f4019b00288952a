//! `emberline cluster scheduler|executor|up|status`; `logs`, `cancel` and `driver` are in `detached.rs`.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use emberline::cluster::{
    ClusterWorker, ExecutorOptions, Pool, SchedulerOptions, Status, TrainDrivers, client,
    default_memory, read_token, run_executor, run_scheduler, stop_with_input,
};
use emberline::config::ByteSize;
use emberline::prelude::*;

use super::detached::{self, CancelArgs, DriverArgs, LogsArgs};
use super::output::{Format, Out, count, table};

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
pub struct UpArgs {
    /// Number of executors.
    #[arg(long, default_value_t = 2)]
    executors: usize,
    /// Parts that each executor computes at the same time. Default: its share of the cores, at least 1.
    #[arg(long)]
    slots: Option<usize>,
    /// Port of the scheduler on 127.0.0.1.
    #[arg(long, default_value_t = 50050)]
    port: u16,
    /// What each executor keeps in memory of rows and blocks: "4GiB". Default: its share of six tenths of this machine's.
    #[arg(long)]
    memory: Option<String>,
    /// Seconds without any executor after which jobs fail.
    #[arg(long, default_value_t = 30)]
    grace: u64,
    /// Do not start processes again that ended.
    #[arg(long)]
    no_restart: bool,
    #[command(flatten)]
    detached: DetachedArgs,
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
    runs_dir: Option<PathBuf>,
    /// Start no drivers: refuse `train --detach`.
    #[arg(long)]
    no_detach: bool,
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
    /// Folder for answers until they are fetched. Default: a temporary one.
    #[arg(long)]
    work_dir: Option<PathBuf>,
    /// File with the token of the cluster.
    #[arg(long, value_name = "FILE")]
    token_file: Option<String>,
    /// End when standard input does.
    #[arg(long, hide = true)]
    attached: bool,
}

#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// Address of the scheduler.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:50050")]
    scheduler: String,
    /// File with the token of the cluster.
    #[arg(long, value_name = "FILE")]
    token_file: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub fn run(command: &ClusterCommand, registry: &Registry) -> Result<()> {
    match command {
        ClusterCommand::Up(args) => up(args),
        ClusterCommand::Scheduler(args) => scheduler(args),
        ClusterCommand::Executor(args) => executor(args, registry),
        ClusterCommand::Status(args) => status(args),
        ClusterCommand::Logs(args) => detached::logs(args),
        ClusterCommand::Cancel(args) => detached::cancel(args),
        ClusterCommand::Driver(args) => detached::driver(args, registry),
    }
}

fn engine_error(error: impl std::fmt::Display) -> Error {
    Error::Engine(error.to_string())
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn memory_of(text: Option<&String>, processes: usize) -> Result<Option<u64>> {
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
            let drivers = TrainDrivers::new(args.token_file.as_deref())?;
            let folder = args.detached.folder(args.listen.port());
            Some((Arc::new(drivers), folder))
        },
    };
    if args.attached {
        stop_with_input();
    }
    run_scheduler(options, |address| {
        let mut out = Out::lock();
        out.line(format!("scheduler at http://{address}"));
        let _ = std::io::stdout().flush();
    })
    .map_err(engine_error)
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
    let temporary;
    let work_dir = match &args.work_dir {
        Some(folder) => folder.clone(),
        None => {
            temporary =
                std::env::temp_dir().join(format!("emberline-executor-{}", std::process::id()));
            temporary.clone()
        }
    };
    let options = ExecutorOptions {
        scheduler: args.scheduler.clone(),
        listen: SocketAddr::new(args.host, args.port),
        advertise: args.advertise.clone(),
        token: args.token_file.as_deref().map(read_token).transpose()?,
        slots,
        work_dir: work_dir.clone(),
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
    if args.work_dir.is_none() {
        let _ = std::fs::remove_dir_all(&work_dir);
    }
    served.map_err(engine_error)
}

fn status(args: &StatusArgs) -> Result<()> {
    let client = client(&args.scheduler, args.token_file.as_deref())?;
    let status = client.status().map_err(engine_error)?;
    let mut out = Out::lock();
    if args.json {
        out.json(&serde_json::to_value(&status).unwrap_or_default());
    } else {
        show(&mut out, &args.scheduler, &status);
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

/// A child process that ends when its standard input does.
struct Role {
    name: String,
    arguments: Vec<String>,
    child: Child,
    started: Instant,
}

impl Role {
    fn start(name: String, arguments: Vec<String>) -> Result<Self> {
        let child = Self::spawn(&arguments)?;
        Ok(Self {
            name,
            arguments,
            child,
            started: Instant::now(),
        })
    }

    fn spawn(arguments: &[String]) -> Result<Child> {
        let program = std::env::current_exe().map_err(engine_error)?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| Error::Engine(format!("cannot start a process: {e}")))?;
        if let Some(output) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(output)
                    .lines()
                    .map_while(std::io::Result::ok)
                {
                    Out::lock().line(line);
                }
            });
        }
        Ok(child)
    }

    /// Starts it again where it ended.
    fn keep_up(&mut self) -> Result<()> {
        let Ok(Some(status)) = self.child.try_wait() else {
            return Ok(());
        };
        // Who ends by itself that soon will do so again; who was killed may be started again however often.
        if self.started.elapsed() < Duration::from_secs(1) && status.code().is_some() {
            return Err(Error::Engine(format!(
                "the {} ended at once ({status}); is its port taken?",
                self.name
            )));
        }
        eprintln!("the {} ended ({status}); it is started again", self.name);
        self.child = Self::spawn(&self.arguments)?;
        self.started = Instant::now();
        Ok(())
    }

    fn stop(&mut self) {
        drop(self.child.stdin.take());
    }

    fn wait(&mut self, until: Instant) {
        while Instant::now() < until {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn up(args: &UpArgs) -> Result<()> {
    let words = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
    let n = args.executors.max(1);
    let slots = args.slots.unwrap_or_else(|| (cores() / n).max(1));
    // Each executor may use every core: who is done with its rows leaves its core to the others, as threads of one process do.
    let threads = cores().max(slots);
    let scheduler = format!("http://127.0.0.1:{}", args.port);
    let mut arguments = words(&format!(
        "cluster scheduler --attached --listen 127.0.0.1:{} --grace {}",
        args.port, args.grace
    ));
    if args.detached.no_detach {
        arguments.push("--no-detach".to_owned());
    }
    if let Some(folder) = &args.detached.runs_dir {
        arguments.extend(["--runs-dir".to_owned(), folder.display().to_string()]);
    }
    let mut roles = vec![Role::start("scheduler".to_owned(), arguments)?];
    for i in 0..n {
        let mut arguments = words(&format!(
            "cluster executor --attached --scheduler {scheduler} --slots {slots} --threads {threads}"
        ));
        if let Some(memory) = memory_of(args.memory.as_ref(), n)? {
            arguments.extend(["--memory".to_owned(), memory.to_string()]);
        }
        roles.push(Role::start(format!("executor {}", i + 1), arguments)?);
    }
    let run = super::interruptible(Run::local(0, 1));
    let mut kept = Ok(());
    while kept.is_ok() && !run.cancel.is_cancelled() {
        std::thread::sleep(Duration::from_millis(100));
        if !args.no_restart {
            kept = roles.iter_mut().try_for_each(Role::keep_up);
        }
    }
    // Executors first: they tell the scheduler that they leave.
    let until = Instant::now() + Duration::from_secs(10);
    roles.reverse();
    let (executors, scheduler) = roles.split_at_mut(n);
    executors.iter_mut().for_each(Role::stop);
    executors.iter_mut().for_each(|role| role.wait(until));
    // It waits for the drivers of detached runs.
    let until = Instant::now() + Duration::from_secs(10);
    scheduler.iter_mut().for_each(Role::stop);
    scheduler.iter_mut().for_each(|role| role.wait(until));
    kept
}

//! `emberline cluster up`: a scheduler and executors as processes of this machine.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use emberline::prelude::*;

use super::access::TlsArgs;
use super::cluster::{DetachedArgs, cores, engine_error, memory_of};
use super::output::Out;

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
    tls: TlsArgs,
    #[command(flatten)]
    detached: DetachedArgs,
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

pub fn up(args: &UpArgs) -> Result<()> {
    let words = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
    let n = args.executors.max(1);
    let slots = args.slots.unwrap_or_else(|| (cores() / n).max(1));
    // Each executor may use every core: who is done with its rows leaves its core to the others, as threads of one process do.
    let threads = cores().max(slots);
    let scheduler = format!("{}://127.0.0.1:{}", args.tls.scheme(), args.port);
    let mut arguments = words(&format!(
        "cluster scheduler --attached --listen 127.0.0.1:{} --grace {}",
        args.port, args.grace
    ));
    arguments.extend(args.tls.words());
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
        arguments.extend(args.tls.words());
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

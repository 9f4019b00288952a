//! Starting clusters and drivers, looking at them, and stopping them.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_emberline");

static ALONE: Mutex<()> = Mutex::new(());

/// Held by who has a cluster: the next test waits.
pub fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A cluster of this machine; gone when it is dropped.
pub struct Cluster {
    child: Child,
    port: u16,
    _alone: MutexGuard<'static, ()>,
}

impl Cluster {
    /// `emberline cluster up` with so many executors and these further arguments, once all executors are there.
    pub fn up(executors: usize, arguments: &[&str]) -> Self {
        let alone = alone();
        let port = free_port();
        let child = Command::new(PROGRAM)
            .args(["cluster", "up", "--executors", &executors.to_string()])
            .args(["--port", &port.to_string()])
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let cluster = Self {
            child,
            port,
            _alone: alone,
        };
        cluster.wait_for(executors);
        cluster
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The table of a config that computes here, with a checkpoint after every round.
    fn engine(&self) -> String {
        format!(
            "kind = \"cluster\"\nscheduler = {:?}\ncheckpoint_interval = 0.0",
            self.url()
        )
    }

    /// Waits until so many executors are there.
    pub fn wait_for(&self, executors: usize) {
        wait_for(&self.url(), executors);
    }

    /// What goes on, where the scheduler answers.
    pub fn status(&self) -> Option<Value> {
        status(&self.url())
    }

    /// Processes of a role (`scheduler` or `executor`) of this cluster.
    pub fn pids(&self, role: &str) -> Vec<u32> {
        let own = self.child.id().to_string();
        let children = Command::new("pgrep").args(["-P", &own]).output().unwrap();
        let children = String::from_utf8(children.stdout).unwrap();
        let of_role = |pid: &u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words: Vec<&[u8]> = line.split(|b| *b == 0).collect();
            words.get(2) == Some(&role.as_bytes())
        };
        children
            .lines()
            .map(|l| l.parse().unwrap())
            .filter(of_role)
            .collect()
    }

    /// Executors that compute something now, by the address of their data service.
    pub fn at_work(&self) -> usize {
        let status = self.status().unwrap_or_default();
        let executors = status["executors"].as_array().cloned().unwrap_or_default();
        executors
            .iter()
            .filter(|e| e["running"].as_u64() > Some(0))
            .count()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        signal("TERM", self.child.id());
        let until = Instant::now() + Duration::from_secs(15);
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

/// A port that is free, as is the next.
pub fn free_port() -> u16 {
    let free = |port| TcpListener::bind(("127.0.0.1", port));
    loop {
        let first = free(0).unwrap();
        let port = first.local_addr().unwrap().port();
        if port < u16::MAX && free(port + 1).is_ok() {
            return port;
        }
    }
}

/// A process of ours; killed when it is dropped.
pub struct Process(Child);

impl Process {
    pub fn of(child: Child) -> Self {
        Self(child)
    }

    pub fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a role with these arguments.
pub fn start(arguments: &[&str]) -> Process {
    start_with(arguments, &[])
}

/// As [`start`], with these variables in its environment.
pub fn start_with(arguments: &[&str], variables: &[(&str, &str)]) -> Process {
    let child = Command::new(PROGRAM)
        .args(arguments)
        .envs(variables.iter().copied())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Process(child.unwrap())
}

/// What `emberline cluster status --json` prints, where the scheduler answers.
pub fn status(url: &str) -> Option<Value> {
    let output = emberline(&["cluster", "status", "--json", "--scheduler", url]);
    output
        .status
        .success()
        .then(|| serde_json::from_slice(&output.stdout).unwrap())
}

/// Ids of the executors of a cluster, in order of their addresses.
pub fn executors(url: &str) -> Vec<String> {
    let status = status(url).unwrap_or_default();
    let all = status["executors"].as_array().cloned().unwrap_or_default();
    let id = |e: &Value| e["id"].as_str().unwrap().to_owned();
    all.iter().map(id).collect()
}

/// Waits until a cluster has so many executors.
pub fn wait_for(url: &str, n: usize) {
    let started = Instant::now();
    while executors(url).len() < n {
        assert!(
            started.elapsed() < Duration::from_secs(120),
            "the cluster did not come up: {:?}",
            status(url)
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A number from the environment, for larger runs of the same code.
pub fn size(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |v| v.parse().unwrap())
}

/// Sends a signal to a process.
pub fn signal(name: &str, pid: u32) {
    let _ = Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .status();
}

pub fn emberline(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

/// A config in a folder of its own.
pub struct Job {
    folder: tempfile::TempDir,
    config: String,
}

impl Job {
    /// A config without its engine and output.
    pub fn new(config: &str) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            config: config.to_owned(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, engine: &str) -> (PathBuf, PathBuf) {
        let model = self.path(&format!("{name}.ember"));
        let text = format!(
            "{}\n[engine]\n{engine}\n[output]\nmodel = {model:?}\nreport = {:?}\n",
            self.config,
            self.path(name)
        );
        let config = self.path(&format!("{name}.toml"));
        std::fs::write(&config, text).unwrap();
        (config, model)
    }

    /// Trains on this machine; the bytes of the model.
    pub fn locally(&self) -> Vec<u8> {
        let (config, model) = self.write("local", "kind = \"local\"");
        let output = train(&config, &["--overwrite"]).wait_with_output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        std::fs::read(model).unwrap()
    }

    /// Trains on the engine of this table; what came of it.
    pub fn train(&self, name: &str, engine: &str, arguments: &[&str]) -> Output {
        let (config, _) = self.write(name, engine);
        train(&config, arguments).wait_with_output().unwrap()
    }

    /// Submits the training to a cluster; the id of the run.
    pub fn detach(&self, cluster: &Cluster, name: &str, arguments: &[&str]) -> String {
        let engine = cluster.engine();
        let output = self.train(name, &engine, &[&["--detach"], arguments].concat());
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The bytes of a model.
    pub fn model(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(&format!("{name}.ember"))).unwrap()
    }

    /// Begins to train on a cluster.
    pub fn begin(&self, cluster: &Cluster, name: &str, arguments: &[&str]) -> Training {
        self.begin_on(&cluster.engine(), name, arguments)
    }

    /// Begins to train on the engine of this table.
    pub fn begin_on(&self, engine: &str, name: &str, arguments: &[&str]) -> Training {
        let (config, model) = self.write(name, engine);
        Training {
            child: train(&config, arguments),
            model,
            started: Instant::now(),
        }
    }

    /// Trains on a cluster; the bytes of the model.
    pub fn on(&self, cluster: &Cluster) -> Vec<u8> {
        self.begin(cluster, "cluster", &["--overwrite"]).finish().0
    }
}

/// A driver at work.
pub struct Training {
    pub child: Child,
    model: PathBuf,
    started: Instant,
}

impl Training {
    /// Waits for the end; the bytes of the model, and how long it took.
    pub fn finish(self) -> (Vec<u8>, Duration) {
        let output = self.child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        (std::fs::read(self.model).unwrap(), self.started.elapsed())
    }

    /// Waits for an end that is a failure; exit code and what it said.
    pub fn fail(self) -> (i32, String, Duration) {
        let output = self.child.wait_with_output().unwrap();
        (
            output.status.code().unwrap_or(-1),
            said(&output),
            self.started.elapsed(),
        )
    }
}

fn train(config: &Path, arguments: &[&str]) -> Child {
    Command::new(PROGRAM)
        .arg("train")
        .arg(config)
        .arg("--quiet")
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What a process printed.
pub fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

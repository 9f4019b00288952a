//! Drivers that run beside the scheduler: started at a client's word, logged, stopped, and found again after a restart.
//!
//! Each run has a folder: `request` (what the client sent), `run.json` (what is known of it), `log` (what its driver printed) and
//! `end` (how it ended, written by the driver). The log is opened and locked before the driver starts, and is its standard output: the
//! lock is held for as long as the driver lives, whatever becomes of the scheduler. So a scheduler that was killed and started again
//! knows which drivers survived it, without trusting a process number.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::PIECE;

/// Ended runs that are remembered; older ones go with their folders.
const REMEMBERED: usize = 200;

/// What the drivers of a cluster are.
pub trait Drivers: Send + Sync + 'static {
    /// The command of the driver of the run in this folder, whose file `request` holds what the client sent. It is to write
    /// [`DriverEnd`] before it ends, and to end gently at SIGTERM. `scheduler` is the address to reach this cluster under.
    ///
    /// # Errors
    /// The request is no good; the client is told so.
    fn command(&self, folder: &Path, scheduler: &str) -> Result<Command, String>;
}

/// How a driver ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverEnd {
    /// Its exit code.
    pub exit_code: i32,
    /// Its last error.
    pub error: Option<String>,
}

impl DriverEnd {
    /// Exit code of a driver that was told to stop.
    const STOPPED: i32 = 130;

    /// Writes it into the folder of the run.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, folder: &Path) -> std::io::Result<()> {
        whole(&folder.join("end"), self)
    }
}

/// What became of a detached run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DriverState {
    /// Its driver is at work.
    #[default]
    Running,
    /// Its driver did what it was to do.
    Finished,
    /// Its driver ended with an error, or was killed.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

impl std::fmt::Display for DriverState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        })
    }
}

/// A detached run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverStatus {
    /// Its id.
    pub run: String,
    /// What became of it.
    pub state: DriverState,
    /// Process of its driver.
    pub pid: u32,
    /// Times it was started: 1, and one more for each restart of the scheduler that its driver did not survive.
    pub starts: u32,
    /// When it was submitted, in milliseconds since 1970.
    pub submitted_ms: u64,
    /// When it ended.
    pub ended_ms: Option<u64>,
    /// Its exit code; -1 where the driver was killed.
    pub exit_code: Option<i32>,
    /// Its last error.
    pub error: Option<String>,
    /// Whether somebody asked it to stop.
    pub stop_asked: bool,
}

/// The detached runs of a scheduler.
pub(crate) struct Runs {
    folder: PathBuf,
    scheduler: String,
    drivers: Arc<dyn Drivers>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    runs: BTreeMap<String, DriverStatus>,
    /// Held while this scheduler lives: two of them would start each run twice.
    lock: Option<File>,
    stopping: bool,
}

/// Why something asked of a run was not done.
pub(crate) type Refused = String;

impl Runs {
    pub(crate) fn new(folder: PathBuf, scheduler: String, drivers: Arc<dyn Drivers>) -> Self {
        Self {
            folder,
            scheduler,
            drivers,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks for the runs of a scheduler that was here before: drivers that live are watched, runs whose drivers died with it go on.
    ///
    /// # Errors
    /// The folder cannot be read, or another scheduler uses it.
    pub(crate) fn find(self: &Arc<Self>) -> Result<(), Refused> {
        if !self.folder.is_dir() {
            return Ok(());
        }
        self.claim(&mut self.lock())?;
        let entries = std::fs::read_dir(&self.folder).map_err(|e| self.failed(&e))?;
        for entry in entries.flatten() {
            let Some(status) = read::<DriverStatus>(&entry.path().join("run.json")) else {
                continue;
            };
            let run = status.run.clone();
            let running = status.state == DriverState::Running;
            self.lock().runs.insert(run.clone(), status);
            if running && let Err(error) = self.take_up(&run) {
                let end = DriverEnd {
                    exit_code: -1,
                    error: Some(error),
                };
                self.ended(&run, end);
            }
        }
        Ok(())
    }

    fn take_up(self: &Arc<Self>, run: &str) -> Result<(), Refused> {
        let folder = self.folder.join(run);
        let log = open_log(&folder).map_err(|e| self.failed(&e))?;
        match log.try_lock() {
            Err(TryLockError::WouldBlock) => {
                let runs = self.clone();
                let run = run.to_owned();
                std::thread::spawn(move || {
                    // Until the driver, which has the lock, is gone.
                    let _ = log.lock();
                    runs.settle(&run, "it ended without saying how");
                });
                Ok(())
            }
            Err(TryLockError::Error(e)) => Err(self.failed(&e)),
            Ok(()) if self.asked_to_stop(run) || said_more_than_stopped(&folder) => {
                self.settle(run, "stopped");
                Ok(())
            }
            Ok(()) => {
                tracing::warn!("run {run} goes on: its driver ended with the scheduler before");
                let _ = std::fs::remove_file(folder.join("end"));
                self.launch(run, log)
            }
        }
    }

    fn asked_to_stop(&self, run: &str) -> bool {
        self.lock().runs.get(run).is_some_and(|r| r.stop_asked)
    }

    /// Starts a driver for this request, and returns the id of the run.
    ///
    /// # Errors
    /// The request is no good, the folder cannot be written, or the process cannot be started.
    pub(crate) fn start(self: &Arc<Self>, name: &str, request: &[u8]) -> Result<String, Refused> {
        let run = {
            let mut state = self.lock();
            if state.stopping {
                return Err("the scheduler is stopping".to_owned());
            }
            std::fs::create_dir_all(&self.folder).map_err(|e| self.failed(&e))?;
            self.claim(&mut state)?;
            let now = now_ms();
            let plain = plain(name);
            let taken = |id: &String| state.runs.contains_key(id);
            let ids = (0..).map(|i: u64| format!("{plain}-{:x}", now + i));
            let Some(run) = ids.into_iter().find(|id| !taken(id)) else {
                return Err("no id is free".to_owned());
            };
            let status = DriverStatus {
                run: run.clone(),
                submitted_ms: now,
                ..DriverStatus::default()
            };
            state.runs.insert(run.clone(), status);
            self.forget(&mut state);
            run
        };
        let folder = self.folder.join(&run);
        let started = std::fs::create_dir(&folder)
            .and_then(|()| std::fs::write(folder.join("request"), request))
            .and_then(|()| open_log(&folder))
            .map_err(|e| self.failed(&e))
            .and_then(|log| {
                log.try_lock().map_err(|e| self.failed(&e))?;
                self.launch(&run, log)
            });
        if let Err(error) = started {
            self.lock().runs.remove(&run);
            let _ = std::fs::remove_dir_all(&folder);
            return Err(error);
        }
        Ok(run)
    }

    /// Starts the driver of a run whose log is locked, and watches it.
    fn launch(self: &Arc<Self>, run: &str, log: File) -> Result<(), Refused> {
        let folder = self.folder.join(run);
        let mut command = self.drivers.command(&folder, &self.scheduler)?;
        let other = log.try_clone().map_err(|e| self.failed(&e))?;
        // A group of its own: Ctrl-C in the terminal of the scheduler is for the scheduler, which then stops its drivers.
        command
            .stdin(Stdio::null())
            .stdout(other)
            .stderr(log)
            .process_group(0);
        let child = command
            .spawn()
            .map_err(|e| format!("the driver cannot be started: {e}"))?;
        // It holds the lock of the log too.
        drop(command);
        let pid = child.id();
        self.note(run, |status| {
            status.pid = pid;
            status.starts += 1;
        });
        let (runs, run) = (self.clone(), run.to_owned());
        std::thread::spawn(move || runs.watch(&run, child));
        Ok(())
    }

    fn watch(&self, run: &str, mut child: Child) {
        let how = match child.wait() {
            Ok(status) => format!("its driver ended with {status}"),
            Err(e) => format!("its driver is lost: {e}"),
        };
        self.settle(run, &how);
    }

    /// Notes the end of a driver that is gone: `how`, where it did not say itself.
    fn settle(&self, run: &str, how: &str) {
        let file = self.folder.join(run).join("end");
        let said: Option<DriverEnd> = read(&file);
        let stopping = self.lock().stopping && !self.asked_to_stop(run);
        if stopping
            && said
                .as_ref()
                .is_none_or(|e| e.exit_code == DriverEnd::STOPPED)
        {
            // Stopped with the scheduler; the next one goes on with it.
            let _ = std::fs::remove_file(&file);
            return self.note(run, |status| status.pid = 0);
        }
        let end = said.unwrap_or_else(|| DriverEnd {
            exit_code: -1,
            error: Some(how.to_owned()),
        });
        self.ended(run, end);
    }

    fn ended(&self, run: &str, end: DriverEnd) {
        self.note(run, |status| {
            status.state = match end.exit_code {
                0 => DriverState::Finished,
                _ if status.stop_asked => DriverState::Cancelled,
                _ => DriverState::Failed,
            };
            status.pid = 0;
            status.ended_ms = Some(now_ms());
            status.exit_code = Some(end.exit_code);
            status.error = end.error;
        });
    }

    /// Changes what is known of a run, in memory and on disk.
    fn note(&self, run: &str, change: impl FnOnce(&mut DriverStatus)) {
        let mut state = self.lock();
        let Some(status) = state.runs.get_mut(run) else {
            return;
        };
        change(status);
        let file = self.folder.join(run).join("run.json");
        if let Err(e) = whole(&file, status) {
            tracing::warn!("{} cannot be written: {e}", file.display());
        }
    }

    /// Asks a driver to stop.
    ///
    /// # Errors
    /// There is no such run, or it has ended.
    pub(crate) fn stop(&self, run: &str) -> Result<(), Refused> {
        let status = self.of(run)?;
        if status.state != DriverState::Running {
            return Err(format!("run `{run}` is {} already", status.state));
        }
        self.note(run, |status| status.stop_asked = true);
        self.tell(&status);
        Ok(())
    }

    /// SIGTERM, if the driver lives: its lock says so, and then the process number is its own.
    fn tell(&self, status: &DriverStatus) {
        let lives = File::open(self.folder.join(&status.run).join("log"))
            .is_ok_and(|log| matches!(log.try_lock(), Err(TryLockError::WouldBlock)));
        if lives && status.pid != 0 {
            let _ = kill(Pid::from_raw(status.pid.cast_signed()), Signal::SIGTERM);
        }
    }

    /// Stops all drivers, and waits until they are gone, for as long as `patience`; the next scheduler of this folder goes on with them.
    pub(crate) fn stop_all(&self, patience: Duration) {
        let at_work = |state: &State| -> Vec<DriverStatus> {
            let running = state
                .runs
                .values()
                .filter(|r| r.state == DriverState::Running);
            running.filter(|r| r.pid != 0).cloned().collect()
        };
        self.lock().stopping = true;
        let all = at_work(&self.lock());
        all.iter().for_each(|status| self.tell(status));
        let until = Instant::now() + patience;
        while !at_work(&self.lock()).is_empty() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What is known of a run.
    ///
    /// # Errors
    /// There is no such run.
    pub(crate) fn of(&self, run: &str) -> Result<DriverStatus, Refused> {
        self.lock().runs.get(run).cloned().ok_or_else(|| {
            format!(
                "the scheduler knows no detached run `{run}`; `emberline cluster status` lists them"
            )
        })
    }

    /// The runs in the order in which they were submitted.
    pub(crate) fn all(&self) -> Vec<DriverStatus> {
        let mut all: Vec<DriverStatus> = self.lock().runs.values().cloned().collect();
        all.sort_by_key(|r| r.submitted_ms);
        all
    }

    /// The log of a run from a byte on, as far as one answer holds; and whether the run has ended, so that no more will come.
    ///
    /// # Errors
    /// There is no such run, or its log cannot be read.
    pub(crate) fn log(&self, run: &str, from: u64) -> Result<(bool, Vec<u8>), Refused> {
        let ended = self.of(run)?.state != DriverState::Running;
        let mut bytes = Vec::new();
        let path = self.folder.join(run).join("log");
        File::open(&path)
            .and_then(|mut log| {
                log.seek(SeekFrom::Start(from))?;
                log.take(PIECE as u64).read_to_end(&mut bytes)
            })
            .map_err(|e| self.failed(&e))?;
        Ok((ended, bytes))
    }

    /// Forgets the oldest of too many ended runs.
    fn forget(&self, state: &mut State) {
        let ended = |r: &&DriverStatus| r.state != DriverState::Running;
        let mut old: Vec<(u64, String)> = state
            .runs
            .values()
            .filter(ended)
            .map(|r| (r.submitted_ms, r.run.clone()))
            .collect();
        old.sort();
        let surplus = old.len().saturating_sub(REMEMBERED);
        for (_, run) in old.drain(..surplus) {
            let _ = std::fs::remove_dir_all(self.folder.join(&run));
            state.runs.remove(&run);
        }
    }

    fn claim(&self, state: &mut State) -> Result<(), Refused> {
        if state.lock.is_some() {
            return Ok(());
        }
        let lock = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("lock"))
            .map_err(|e| self.failed(&e))?;
        lock.try_lock().map_err(|e| match e {
            TryLockError::WouldBlock => format!(
                "another scheduler keeps its runs in {}; name another folder with --runs-dir",
                self.folder.display()
            ),
            TryLockError::Error(e) => self.failed(&e),
        })?;
        state.lock = Some(lock);
        Ok(())
    }

    fn failed(&self, e: &dyn std::fmt::Display) -> Refused {
        format!(
            "the folder of runs {} cannot be used (--runs-dir names it): {e}",
            self.folder.display()
        )
    }
}

/// Whether the driver came to an end of its own; one that was told to stop, with nobody asking for it, stopped with its scheduler.
fn said_more_than_stopped(folder: &Path) -> bool {
    read::<DriverEnd>(&folder.join("end")).is_some_and(|end| end.exit_code != DriverEnd::STOPPED)
}

fn open_log(folder: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("log"))
}

/// Writes a file whole or not at all.
fn whole(path: &Path, value: &impl Serialize) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    std::fs::write(&beside, serde_json::to_vec(value)?)?;
    std::fs::rename(beside, path)
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// A name that is a folder's name everywhere.
fn plain(name: &str) -> String {
    let keep = |c: char| {
        if c.is_ascii_alphanumeric() || c == '_' {
            c
        } else {
            '-'
        }
    };
    let plain: String = name.chars().take(64).map(keep).collect();
    let plain = plain.trim_matches('-');
    if plain.is_empty() {
        "run".to_owned()
    } else {
        plain.to_owned()
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |d| d.as_millis() as u64)
}

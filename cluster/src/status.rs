//! What a cluster tells of itself, as data: for people, dashboards and tests.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::DriverStatus;

/// A cluster at one moment.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Status {
    /// Version of the program that runs the scheduler.
    pub version: String,
    /// Seconds since the scheduler started.
    pub uptime_s: f64,
    /// Executors by id.
    pub executors: Vec<ExecutorStatus>,
    /// Runs that have jobs at work, newest first.
    pub runs: Vec<RunStatus>,
    /// Jobs that are at work, newest first.
    pub jobs: Vec<JobStatus>,
    /// Detached runs in the order in which they were submitted, ended ones too.
    #[serde(default)]
    pub detached: Vec<DriverStatus>,
    /// Bytes laid ready for executors.
    pub blob_bytes: u64,
    /// Parts that were late and run a second time, since the scheduler started.
    pub repeated: u64,
    /// Those whose second run was first.
    pub overtaken: u64,
}

/// An executor.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ExecutorStatus {
    /// Its id, another one at each start.
    pub id: String,
    /// Address of its data service.
    pub address: String,
    /// Parts it computes at the same time.
    pub slots: u32,
    /// Parts it computes now.
    pub running: u32,
    /// Parts that failed on it lately.
    pub failures: u32,
    /// Whether it is set aside, after repeated failures or because it is too slow.
    pub set_aside: bool,
    /// What its worker holds.
    pub worker: Value,
}

/// A run that has jobs at work.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunStatus {
    /// Its id.
    pub id: String,
    /// Its pool.
    pub pool: String,
    /// Jobs of it that are at work.
    pub jobs: usize,
    /// Name of the newest.
    pub last: String,
}

/// A job.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct JobStatus {
    /// Id at the scheduler.
    pub id: String,
    /// What its client calls this submission of it.
    pub submission: String,
    /// Run it belongs to.
    pub run: String,
    /// Its pool.
    pub pool: String,
    /// What it is.
    pub name: String,
    /// `running`.
    pub state: String,
    /// Parts.
    pub parts: usize,
    /// Parts that were computed.
    pub done: usize,
    /// Tasks that are at work, and the executor of each.
    pub running: Vec<(usize, String)>,
    /// Seconds it took, or has been at work.
    pub seconds: f64,
}

/// The runs that jobs (newest first) belong to.
pub(crate) fn runs_of(jobs: &[JobStatus]) -> Vec<RunStatus> {
    let mut runs: Vec<RunStatus> = Vec::new();
    for job in jobs {
        match runs.iter_mut().find(|run| run.id == job.run) {
            Some(run) => run.jobs += 1,
            None => runs.push(RunStatus {
                id: job.run.clone(),
                pool: job.pool.clone(),
                jobs: 1,
                last: job.name.clone(),
            }),
        }
    }
    runs
}

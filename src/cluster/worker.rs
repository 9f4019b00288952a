//! What an executor computes with.

use std::sync::Arc;

use emberline_cluster::{Task, Worker};
use serde_json::Value;

use crate::pipeline::Cancel;
use crate::pipeline::engine::remote::{BlobId, Blobs, Host};
use crate::prelude::*;

/// A host of rounds inside an executor.
pub struct ClusterWorker {
    host: Host,
}

impl ClusterWorker {
    /// A worker that knows the stages of `registry`, with as many threads as the executor has slots and a memory limit in bytes for rows
    /// and blocks (`None`: no limit).
    ///
    /// # Errors
    /// The threads cannot be started.
    pub fn new(registry: Registry, threads: usize, memory_limit: Option<u64>) -> Result<Self> {
        Ok(Self {
            host: Host::new(registry, threads, memory_limit)?,
        })
    }
}

struct Fetched<'a>(&'a Task<'a>);

impl Blobs for Fetched<'_> {
    fn get(&self, id: &BlobId) -> Result<Arc<[u8]>> {
        self.0
            .fetch(id)
            .map_err(|e| Error::Engine(format!("bytes of the driver cannot be fetched: {e}")))
    }
}

impl Worker for ClusterWorker {
    fn compute(&self, task: &Task<'_>) -> Vec<u8> {
        let cancel = Cancel::of(task.cancelled.clone());
        self.host
            .compute(task.payload, task.part, &Fetched(task), &cancel)
    }

    fn scatter(&self, task: &Task<'_>, groups: usize) -> Vec<Vec<u8>> {
        let cancel = Cancel::of(task.cancelled.clone());
        self.host
            .scatter(task.payload, task.part, groups, &Fetched(task), &cancel)
    }

    fn gather(&self, task: &Task<'_>, group: usize, sent: &[Vec<u8>]) -> Vec<u8> {
        let cancel = Cancel::of(task.cancelled.clone());
        self.host
            .gather(task.payload, group, sent, &Fetched(task), &cancel)
    }

    fn status(&self) -> Value {
        serde_json::to_value(self.host.status()).unwrap_or_default()
    }
}

/// Six tenths of the memory that this process may use, dealt to so many processes: what an executor keeps where it is told nothing.
/// `None` where the system does not tell.
#[must_use]
pub fn default_memory(processes: usize) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let total = text.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    let kib: u64 = total.trim().trim_end_matches("kB").trim().parse().ok()?;
    let own = std::fs::read_to_string("/sys/fs/cgroup/memory.max").unwrap_or_default();
    let limit = own.trim().parse().unwrap_or(u64::MAX).min(kib * 1024);
    Some(limit / 10 * 6 / processes.max(1) as u64)
}

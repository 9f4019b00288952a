//! Jobs of opaque bytes on an Apache DataFusion Ballista cluster.
//!
//! This crate is the only one that names Ballista, and it knows nothing of machine learning: a [`Job`] is some bytes and the parts
//! they are to be computed for, an executor hands both to its [`Worker`], and the [`Client`] gets the answers back. Parts may also send
//! bytes to groups, whose answers are then made by executors from what all parts sent. So the generic
//! scheduler and executor, which take minutes to compile, are compiled when this crate changes and at no other time.
//!
//! - [`Scheduler`]: accepts jobs, deals parts to executors so that a part goes where it was before, keeps bytes that executors
//!   fetch by digest, starts drivers beside itself ([`Drivers`]), and tells what goes on.
//! - [`Executor`]: computes parts.
//! - [`Client`]: submits jobs, and repeats what was lost.
//!
//! All of them speak TLS where they are given certificates ([`Tls`], [`Authorities`]): who listens in `listen.rs`, who calls in `call.rs`.
//!
//! What Ballista 55 leaves to its users, and what is done about it, is written where it is done: a listener without delay
//! (`scheduler.rs`), slots counted from the tasks that run, second runs of late parts (`slots/`), one location a part and none of lost
//! executors (`client/`).
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod call;
mod client;
mod desk;
mod drivers;
mod error;
mod exchange;
mod executor;
mod front;
mod guard;
mod listen;
mod node;
mod scheduler;
mod scratch;
mod slots;
mod status;
mod tls;

mod process;

pub use client::{Client, ClientOptions};
pub use drivers::{DriverEnd, DriverState, DriverStatus, Drivers};
pub use error::{ClusterError, Result};
pub use executor::{Executor, ExecutorOptions};
pub use process::{run_executor, run_executors, run_scheduler, stop_with_input};
pub use scheduler::{Scheduler, SchedulerOptions};
pub use slots::Pool;
pub use status::{ExecutorStatus, JobStatus, RunStatus, Status};
pub use tls::{Authorities, Tls};

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// SHA-256 of bytes that were laid ready.
pub type Digest = [u8; 32];

/// Bytes of the largest message between any two processes.
pub(crate) const MESSAGE: usize = 16 << 20;

/// Answers and bytes laid ready travel in pieces of so many bytes, well under [`MESSAGE`].
pub(crate) const PIECE: usize = 4 << 20;

/// Work for a cluster.
#[derive(Debug, Clone)]
pub struct Job {
    /// What it is, for people.
    pub name: String,
    /// The run it belongs to.
    pub run: String,
    /// The share of the cluster it draws on.
    pub pool: String,
    /// Parts of jobs with equal keys go where they were before, as long as that executor lives.
    pub affinity: Digest,
    /// What all parts share.
    pub payload: Arc<[u8]>,
    /// The parts.
    pub parts: Vec<Vec<u8>>,
    /// Groups that the parts send to: the answers are then theirs. 0 where each part has an answer of its own.
    pub groups: usize,
}

impl Job {
    /// Number of answers.
    pub(crate) fn n_answers(&self) -> usize {
        if self.groups == 0 {
            self.parts.len()
        } else {
            self.groups
        }
    }
}

/// The answer to a part, or of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Id of the executor that gave it.
    pub executor: String,
    /// What its worker gave.
    pub bytes: Vec<u8>,
}

/// Computes parts of jobs inside an executor.
pub trait Worker: Send + Sync + 'static {
    /// The answer for a part. Errors are answers too; a panic fails the job and leaves the executor alive.
    fn compute(&self, task: &Task<'_>) -> Vec<u8>;

    /// What a part sends to each of so many groups.
    fn scatter(&self, task: &Task<'_>, groups: usize) -> Vec<Vec<u8>>;

    /// The answer of a group, from what all parts sent to it, in the order of the parts; the task's own part is empty.
    fn gather(&self, task: &Task<'_>, group: usize, sent: &[Vec<u8>]) -> Vec<u8>;

    /// What the worker holds, for the status of the cluster.
    fn status(&self) -> serde_json::Value;
}

/// A part of a job, where it is computed.
pub struct Task<'a> {
    /// What all parts share.
    pub payload: &'a [u8],
    /// The part.
    pub part: &'a [u8],
    /// Set when the answer is no longer wanted; the worker should look at it between blocks.
    pub cancelled: &'a Arc<AtomicBool>,
    pub(crate) desk: &'a desk::Blobs,
    pub(crate) missing: &'a std::sync::Mutex<Option<Digest>>,
}

impl Task<'_> {
    /// The bytes that the client laid ready under this digest.
    ///
    /// # Errors
    /// They are not there or cannot be fetched; the client is told, and lays them ready again.
    pub fn fetch(&self, digest: &Digest) -> Result<Arc<[u8]>> {
        self.desk.get(digest).inspect_err(|_| {
            let mut missing = self
                .missing
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            *missing = Some(*digest);
        })
    }
}

pub(crate) fn hex(digest: &Digest) -> String {
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

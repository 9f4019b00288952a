//! Emberline on a cluster: the engine whose rounds are computed by executors, and what executors compute with.
//!
//! `emberline-cluster` carries bytes between processes; [`crate::pipeline::engine::remote`] knows what they mean. This module joins the two.

mod carrier;
mod detached;
mod worker;

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use emberline_cluster::{Authorities, Client, ClientOptions, ClusterError};

use crate::config::EngineOptions;
use crate::pipeline::Engine;
use crate::pipeline::engine::Remote;
use crate::prelude::*;

pub use carrier::ClusterCarrier;
pub use detached::{Submission, TrainDrivers, note_end};
pub use emberline_cluster::{
    DriverState, DriverStatus, ExecutorOptions, Pool, SchedulerOptions, Status, Tls, run_executor,
    run_scheduler, stop_with_input,
};
pub use worker::{ClusterWorker, default_memory};

/// The pool of runs that name none.
pub const DEFAULT_POOL: &str = "default";

/// The engine that a config names, for a run of that name; `threads` are the driver's own.
///
/// # Errors
/// The address is no good, the token or certificates cannot be read, or no executor is there for a minute.
pub fn engine(options: &EngineOptions, name: &str) -> Result<Arc<dyn Engine>> {
    engine_of_run(options, &run_id(name))
}

/// As [`engine`], for a run that has an id.
///
/// # Errors
/// As [`engine`].
pub fn engine_of_run(options: &EngineOptions, run: &str) -> Result<Arc<dyn Engine>> {
    let client = client(options)?;
    let pool = options.pool.as_deref().unwrap_or(DEFAULT_POOL);
    let carrier = ClusterCarrier::new(client, run, pool)?;
    Ok(Arc::new(Remote::new(Arc::new(carrier), options.threads)))
}

/// A connection to the scheduler that an engine names.
///
/// # Errors
/// The address is no good, or the token or certificates cannot be read.
pub fn client(engine: &EngineOptions) -> Result<Client> {
    let mut options = ClientOptions::new(engine.scheduler.as_deref().unwrap_or_default());
    options.token = engine.token_file.as_deref().map(read_token).transpose()?;
    let authorities = engine.tls_ca.as_ref().map(Path::new);
    options.authorities = authorities
        .map(Authorities::read)
        .transpose()
        .map_err(failed)?;
    Client::new(options).map_err(failed)
}

/// The token in a file: its first line.
///
/// # Errors
/// The file cannot be read, or the token is too short to keep anybody out.
pub fn read_token(path: &str) -> Result<String> {
    let text = std::fs::read_to_string(path).map_err(|e| DataError::io(path, e))?;
    let token = text.lines().next().unwrap_or_default().trim().to_owned();
    let plain = token.bytes().all(|b| b.is_ascii_graphic());
    if token.len() < 16 || !plain {
        return Err(Error::Usage(format!(
            "`{path}` holds no token: it needs a line of 16 letters and digits or more (`openssl rand -hex 32` makes one)"
        )));
    }
    Ok(token)
}

/// A name that no other run of the cluster has.
fn run_id(name: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = now.map_or(0, |d| d.as_millis());
    format!("{name}-{ms:x}-{:x}", std::process::id())
}

/// What an error of the cluster is to a run, and who must act.
#[must_use]
pub fn failed(error: ClusterError) -> Error {
    match error {
        ClusterError::Cancelled => Error::Interrupted,
        ClusterError::Options(message) => Error::Usage(message),
        other => Error::Engine(other.to_string()),
    }
}

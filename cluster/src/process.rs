//! The roles as whole processes: threads, signals, the end.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;

use nix::sys::signal::{Signal, raise};

use crate::error::{ClusterError, Result};
use crate::{Executor, ExecutorOptions, Scheduler, SchedulerOptions, Worker};

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| ClusterError::Options(format!("cannot start threads: {e}")))
}

/// Runs a scheduler until SIGTERM or Ctrl-C; `ready` is told its address.
///
/// # Errors
/// As [`Scheduler::start`] and [`Scheduler::serve`].
pub fn run_scheduler(options: SchedulerOptions, ready: impl FnOnce(SocketAddr)) -> Result<()> {
    runtime()?.block_on(async {
        let scheduler = Scheduler::start(options).await?;
        ready(scheduler.address());
        scheduler.serve(stopped()).await
    })
}

/// Runs an executor until SIGTERM or Ctrl-C: it then finishes what it has begun and takes nothing new.
///
/// # Errors
/// As [`Executor::new`] and [`Executor::serve`].
pub fn run_executor(
    options: ExecutorOptions,
    worker: Arc<dyn Worker>,
    ready: impl FnOnce(&str),
) -> Result<()> {
    runtime()?.block_on(async {
        let executor = Executor::new(options)?;
        ready(executor.id());
        executor.serve(worker).await
    })
}

/// Runs several executors on the threads of this process, until each has ended: a cluster larger than its machine, for simulations.
///
/// # Errors
/// As [`Executor::new`] and [`Executor::serve`]; that of the first executor which has one.
pub fn run_executors(options: Vec<ExecutorOptions>, worker: Arc<dyn Worker>) -> Result<()> {
    runtime()?.block_on(async {
        let all = options.into_iter().map(Executor::new);
        let all = all.collect::<Result<Vec<_>>>()?;
        let all = all.into_iter().map(|one| one.serve(worker.clone()));
        futures::future::join_all(all).await.into_iter().collect()
    })
}

async fn stopped() {
    let term = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await.unwrap_or(()),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = term => {}
    }
}

/// Ends this process gently when its standard input does: the process that started it is gone.
pub fn stop_with_input() {
    std::thread::spawn(|| {
        let mut byte = [0];
        while matches!(std::io::stdin().read(&mut byte), Ok(n) if n > 0) {}
        let _ = raise(Signal::SIGTERM);
    });
}

//! An executor: computes parts of jobs with the worker it was given.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::extension::SessionConfigExt;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use datafusion::prelude::SessionConfig;
use serde_json::Value;

use crate::call::{Caller, parse_address};
use crate::desk::{Blobs, DeskClient, REPORT};
use crate::error::{ClusterError, Result};
use crate::guard::require_safe;
use crate::node::{Bench, Codec};
use crate::scratch::{Scratch, no_folder};
use crate::tls::Tls;
use crate::{MESSAGE, Worker, front};

/// How an executor runs.
#[derive(Clone)]
pub struct ExecutorOptions {
    /// Address of the scheduler: `http://HOST:PORT`, or `https://HOST:PORT` where the cluster speaks TLS.
    pub scheduler: String,
    /// Address that others reach it under. Its data service listens on this port, its control service on the next; port 0 takes
    /// two free ones. Any address but loopback needs a token, which every request must show.
    pub listen: SocketAddr,
    /// Host that others reach it under, where it is another.
    pub advertise: Option<String>,
    /// What every request shows.
    pub token: Option<String>,
    /// Certificates, where the cluster speaks TLS.
    pub tls: Option<Tls>,
    /// Parts computed at the same time.
    pub slots: usize,
    /// Folder for answers until they are fetched. `None` makes a temporary one. It is removed at the end, or by a later executor where
    /// the process is killed.
    pub work_dir: Option<PathBuf>,
    /// How long to wait for the scheduler at the start.
    pub wait: Duration,
}

impl ExecutorOptions {
    /// The host that others know it as.
    fn host(&self) -> String {
        let own = || self.listen.ip().to_string();
        self.advertise.clone().unwrap_or_else(own)
    }

    fn caller(&self) -> Caller {
        let authorities = self.tls.as_ref().map(|tls| tls.authorities.clone());
        Caller::new(self.token.clone(), authorities)
    }
}

/// An executor.
pub struct Executor {
    options: ExecutorOptions,
    id: String,
}

impl Executor {
    /// An executor with a fresh id.
    ///
    /// # Errors
    /// The options are no good, or the certificate is not one of this host.
    pub fn new(mut options: ExecutorOptions) -> Result<Self> {
        let (token, tls) = (options.token.as_deref(), options.tls.as_ref());
        require_safe(&options.listen, &options.host(), token, tls)?;
        options.caller().scheduler(&options.scheduler)?;
        if options.listen.port() == 0 {
            options.listen.set_port(free_ports(&options.listen)?);
        }
        let id = format!("{}-{:08x}", options.listen.port(), fresh());
        Ok(Self { options, id })
    }

    /// Its id, another one at each start.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Works until the process is told to stop; then finishes the parts at work, takes no others, and returns.
    ///
    /// # Errors
    /// The scheduler cannot be reached, or a port is taken.
    pub async fn serve(self, worker: Arc<dyn Worker>) -> Result<()> {
        let Self { options, id } = self;
        let (host, port) = parse_address(&options.scheduler)?;
        let peer = options.scheduler.clone();
        let caller = options.caller();
        let desk = DeskClient::new(&peer, caller.scheduler(&peer)?.connect_lazy());
        greet(&desk, &id, options.wait).await?;
        let reporting = tokio::spawn(report(desk.clone(), id.clone(), worker.clone()));
        let bench = Arc::new(Bench {
            executor: id.clone(),
            worker,
            blobs: Blobs {
                runtime: tokio::runtime::Handle::current(),
                desk,
            },
        });
        let failed = |e: &dyn std::fmt::Display| ClusterError::unreachable(&peer, e);
        let (work_dir, _scratch) = match options.work_dir.clone() {
            Some(folder) => (folder, None),
            None => {
                let scratch = Scratch::new(&std::env::temp_dir(), "emberline-executor-")?;
                // Ballista wants a folder in which nothing else lies.
                (scratch.path().join("answers"), Some(scratch))
            }
        };
        std::fs::create_dir_all(&work_dir).map_err(|e| no_folder(&work_dir, &e))?;
        let outer = options.listen.ip();
        let guarded = !outer.is_loopback() || options.tls.is_some();
        let mut doors = Vec::new();
        if guarded {
            for port in [options.listen.port(), options.listen.port() + 1] {
                let outer = SocketAddr::new(outer, port);
                let (token, tls) = (options.token.clone(), options.tls.clone());
                doors.push(front::open(outer, token, tls)?);
            }
        }
        let bind_host = if guarded { front::behind(outer) } else { outer };
        let hook = caller.hook();
        let config = ExecutorProcessConfig {
            executor_id: id,
            bind_host: bind_host.to_string(),
            external_host: Some(options.host()),
            port: options.listen.port(),
            grpc_port: options.listen.port() + 1,
            scheduler_host: host,
            scheduler_port: port,
            scheduler_connect_timeout_seconds: options.wait.as_secs().clamp(1, 3600) as u16,
            vcores: options.slots.max(1),
            task_scheduling_policy: TaskSchedulingPolicy::PushStaged,
            work_dir: Some(work_dir.to_string_lossy().into_owned()),
            executor_heartbeat_interval_seconds: 1,
            job_data_ttl_seconds: 60,
            job_data_clean_up_interval_seconds: 30,
            grpc_max_decoding_message_size: MESSAGE as u32,
            grpc_max_encoding_message_size: MESSAGE as u32,
            // Our jobs reserve nothing of it; blocks have a limit of their own.
            memory_pool_size: Some(0),
            override_physical_codec: Some(Arc::new(Codec::of(bench))),
            override_create_grpc_client_endpoint: Some(caller.hook()),
            // For what executors fetch from each other.
            override_config_producer: Some(Arc::new(move || {
                SessionConfig::new_with_ballista()
                    .with_ballista_override_create_grpc_client_endpoint(hook.clone())
            })),
            ..Default::default()
        };
        let served = start_executor_process(Arc::new(config)).await;
        reporting.abort();
        doors.iter().for_each(tokio::task::JoinHandle::abort);
        served.map_err(|e| failed(&e))
    }
}

/// Waits for the scheduler, for so long at most: Ballista would wait as well where no waiting helps, and not say why.
async fn greet(desk: &DeskClient, id: &str, wait: Duration) -> Result<()> {
    let until = Instant::now() + wait;
    loop {
        match tell(desk, id, &Value::Null).await {
            Err(error) if error.is_final() || Instant::now() > until => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            Ok(()) => return Ok(()),
        }
    }
}

/// Tells the scheduler, time and again, what the worker holds.
async fn report(desk: DeskClient, id: String, worker: Arc<dyn Worker>) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tick.tick().await;
        // A worker that panics here goes on to compute.
        let status = std::panic::catch_unwind(AssertUnwindSafe(|| worker.status()));
        // A scheduler that is away for a moment hears it the next time.
        let _ = tell(&desk, &id, &status.unwrap_or_default()).await;
    }
}

async fn tell(desk: &DeskClient, id: &str, status: &Value) -> Result<()> {
    let body = format!("{id}\0{status}").into_bytes();
    desk.act(REPORT, body).await.map(drop)
}

/// The first of two free ports beside each other.
fn free_ports(near: &SocketAddr) -> Result<u16> {
    for _ in 0..64 {
        let free = |port| std::net::TcpListener::bind((near.ip(), port));
        let Ok(first) = free(0) else { continue };
        let Ok(address) = first.local_addr() else {
            continue;
        };
        if address.port() < u16::MAX && free(address.port() + 1).is_ok() {
            return Ok(address.port());
        }
    }
    Err(ClusterError::Options(format!(
        "no two free ports beside each other on {}",
        near.ip()
    )))
}

/// Bits that differ from process to process.
pub(crate) fn fresh() -> u32 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish() as u32
}

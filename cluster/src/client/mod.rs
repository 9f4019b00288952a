//! The client: submits jobs, fetches answers, repeats what was lost.
//!
//! Ballista's own client opens a connection a job and another a part, and believes all locations it is told; Ballista 55 keeps those of
//! executors that were lost. This one keeps its connections, takes the newest location of each part, and submits again the parts whose
//! answers cannot be fetched: to compute a part twice changes nothing, and each is accepted once.

mod attempt;
mod fetch;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ballista_core::client::BallistaClient;
use ballista_core::config::BALLISTA_SHUFFLE_COMPRESSION_CODEC;
use ballista_core::extension::SessionConfigExt;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use datafusion::prelude::SessionConfig;
use tonic::transport::Channel;

use self::attempt::Miss;
use crate::call::Caller;
use crate::desk::{DeskClient, LOG, RUN, STATUS, STOP};
use crate::error::{ClusterError, Result};
use crate::node::Codec;
use crate::status::Status;
use crate::tls::Authorities;
use crate::{Answer, Digest, Job, MESSAGE};

/// How a client behaves.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Address of the scheduler: `http://HOST:PORT`, or `https://HOST:PORT` where it speaks TLS.
    pub scheduler: String,
    /// What every request shows.
    pub token: Option<String>,
    /// Who may have signed the certificates of a cluster that speaks TLS.
    pub authorities: Option<Authorities>,
    /// How long a scheduler or executors may be away before a job fails. Default: 60 s.
    pub patience: Duration,
    /// A job in which nothing moves for so long is submitted again, once, and then fails. Default: 120 s.
    pub no_progress: Duration,
}

impl ClientOptions {
    /// A client of the scheduler at this address.
    #[must_use]
    pub fn new(scheduler: impl Into<String>) -> Self {
        Self {
            scheduler: scheduler.into(),
            token: None,
            authorities: None,
            patience: Duration::from_secs(60),
            no_progress: Duration::from_secs(120),
        }
    }
}

/// Bytes laid ready that are remembered, in case the scheduler forgets them.
const REMEMBERED: usize = 512 << 20;

/// A connection to a cluster. Its methods block; call them from threads that may.
pub struct Client {
    options: ClientOptions,
    caller: Caller,
    runtime: tokio::runtime::Runtime,
    link: Link,
    flights: tokio::sync::Mutex<HashMap<String, BallistaClient>>,
    laid: Mutex<Laid>,
    /// Submissions that were given up, and when: the scheduler has to be told.
    abandoned: Mutex<Vec<(String, Instant)>>,
    submissions: AtomicU64,
    codec: Codec,
    session: SessionConfig,
}

#[derive(Clone)]
struct Link {
    scheduler: SchedulerGrpcClient<Channel>,
    desk: DeskClient,
}

#[derive(Default)]
struct Laid {
    blobs: BTreeMap<u64, (Digest, Arc<[u8]>)>,
    bytes: usize,
    next: u64,
}

impl Client {
    /// A client; connects when it is first used.
    ///
    /// # Errors
    /// The address, token or authorities are no good, or threads cannot be started.
    pub fn new(options: ClientOptions) -> Result<Self> {
        let caller = Caller::new(options.token.clone(), options.authorities.clone());
        let endpoint = caller.scheduler(&options.scheduler)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("emberline-client")
            .enable_all()
            .build()
            .map_err(|e| ClusterError::Options(format!("cannot start threads: {e}")))?;
        let channel = {
            let _inside = runtime.enter();
            endpoint.connect_lazy()
        };
        let link = Link {
            scheduler: SchedulerGrpcClient::new(channel.clone())
                .max_decoding_message_size(MESSAGE)
                .max_encoding_message_size(MESSAGE),
            desk: DeskClient::new(&options.scheduler, channel),
        };
        // Floats do not pack, and packing takes longer than sending.
        let session = SessionConfig::new_with_ballista()
            .with_repartition_file_scans(false)
            .set_str(BALLISTA_SHUFFLE_COMPRESSION_CODEC, "none");
        Ok(Self {
            options,
            caller,
            runtime,
            link,
            flights: tokio::sync::Mutex::default(),
            laid: Mutex::default(),
            abandoned: Mutex::default(),
            // Another client of the same run counts from elsewhere.
            submissions: AtomicU64::new(u64::from(crate::executor::fresh()) << 32),
            codec: Codec::default(),
            session,
        })
    }

    /// Lays bytes ready for executors.
    ///
    /// # Errors
    /// The scheduler cannot be reached for as long as the client is patient.
    pub fn put(&self, digest: &Digest, bytes: Arc<[u8]>) -> Result<()> {
        {
            let mut laid = self.laid.lock().unwrap_or_else(PoisonError::into_inner);
            let laid = &mut *laid;
            laid.bytes += bytes.len();
            laid.blobs.insert(laid.next, (*digest, bytes.clone()));
            laid.next += 1;
            while laid.bytes > REMEMBERED && laid.blobs.len() > 1 {
                let Some((_, (_, gone))) = laid.blobs.pop_first() else {
                    break;
                };
                laid.bytes -= gone.len();
            }
        }
        self.patiently(|| self.runtime.block_on(self.link.desk.put(digest, &bytes)))
    }

    /// Has a driver started beside the scheduler, for a run of that name; the id of the run.
    ///
    /// # Errors
    /// The scheduler cannot be reached, or refuses the request.
    pub fn start_run(&self, name: &str, request: &[u8]) -> Result<String> {
        let body = [name.as_bytes(), &[0], request].concat();
        let id = self.runtime.block_on(self.link.desk.act(RUN, body))?;
        Ok(String::from_utf8_lossy(&id).into_owned())
    }

    /// What a detached run logged from a byte on, in pieces; and whether it has ended, so that no more will come.
    ///
    /// # Errors
    /// The scheduler cannot be reached, or knows no such run.
    pub fn log(&self, run: &str, from: u64) -> Result<(bool, Vec<u8>)> {
        let body = [&from.to_le_bytes(), run.as_bytes()].concat();
        let mut log = self.runtime.block_on(self.link.desk.act(LOG, body))?;
        let rest = log.split_off(log.len().min(1));
        Ok((log == [1], rest))
    }

    /// Asks the driver of a detached run to stop.
    ///
    /// # Errors
    /// The scheduler cannot be reached, knows no such run, or the run has ended.
    pub fn stop_run(&self, run: &str) -> Result<()> {
        let asked = self.link.desk.act(STOP, run.as_bytes().to_vec());
        self.runtime.block_on(asked).map(drop)
    }

    /// What goes on in the cluster.
    ///
    /// # Errors
    /// The scheduler cannot be reached.
    pub fn status(&self) -> Result<Status> {
        self.runtime.block_on(self.ask_status())
    }

    async fn ask_status(&self) -> Result<Status> {
        let json = self.link.desk.act(STATUS, Vec::new()).await?;
        serde_json::from_slice(&json)
            .map_err(|e| ClusterError::unreachable(&self.options.scheduler, e))
    }

    /// As [`Client::status`], waiting for at least one executor.
    ///
    /// # Errors
    /// The scheduler cannot be reached, or no executor comes, for as long as the client is patient.
    pub fn ready(&self, cancelled: &dyn Fn() -> bool) -> Result<Status> {
        let started = Instant::now();
        loop {
            let found = self.status();
            match found {
                Ok(status) if !status.executors.is_empty() => return Ok(status),
                Err(error) if error.is_final() => return Err(error),
                _ if cancelled() => return Err(ClusterError::Cancelled),
                found if started.elapsed() > self.options.patience => {
                    return Err(found.err().unwrap_or_else(|| self.no_executors()));
                }
                _ => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    fn no_executors(&self) -> ClusterError {
        ClusterError::NoExecutors {
            scheduler: self.options.scheduler.clone(),
        }
    }

    fn patiently<T>(&self, mut act: impl FnMut() -> Result<T>) -> Result<T> {
        let started = Instant::now();
        loop {
            match act() {
                Err(ClusterError::Unreachable { .. })
                    if started.elapsed() < self.options.patience =>
                {
                    std::thread::sleep(Duration::from_millis(200));
                }
                done => return done,
            }
        }
    }

    /// Has all parts of a job computed; answers come in the order of the parts.
    ///
    /// # Errors
    /// A part panicked on every executor, nothing moved for too long, the cluster was away for too long, or `cancelled` said so.
    pub fn submit(&self, job: &Job, cancelled: &dyn Fn() -> bool) -> Result<Vec<Answer>> {
        let mut answers: Vec<Option<Answer>> = vec![None; job.n_answers()];
        let (mut tries, mut stuck) = (0, 0);
        let mut failing: Option<Instant> = None;
        loop {
            let open: Vec<usize> = (0..answers.len())
                .filter(|&i| answers[i].is_none())
                .collect();
            if open.is_empty() {
                return Ok(answers.into_iter().flatten().collect());
            }
            if cancelled() {
                return Err(ClusterError::Cancelled);
            }
            let begun = Instant::now();
            let missed =
                self.runtime
                    .block_on(self.attempt(job, &open, tries, cancelled, &mut answers));
            tries += 1;
            // Patience counts from the first failure in a row; an attempt that was at work for long begins another row.
            let moved = open.iter().any(|&i| answers[i].is_some());
            let lost = matches!(missed, Err(Miss::Again(ClusterError::Unreachable { .. })));
            if moved || lost && begun.elapsed() > self.options.patience {
                failing = None;
            }
            match missed {
                Ok(()) => {}
                Err(Miss::Final(error)) => return Err(error),
                Err(Miss::Again(error @ ClusterError::Stuck { .. })) => {
                    stuck += 1;
                    if stuck > 1 {
                        return Err(error);
                    }
                    tracing::warn!("{error}; it is submitted again");
                }
                Err(Miss::Again(error)) => {
                    let first = *failing.get_or_insert_with(Instant::now);
                    if first.elapsed() > self.options.patience {
                        return Err(error);
                    }
                    tracing::warn!("job `{}` is submitted again: {error}", job.name);
                    std::thread::sleep(Duration::from_millis(200));
                }
            }
        }
    }
}

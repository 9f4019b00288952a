//! The client: submits jobs, fetches answers, repeats what was lost.
//!
//! Ballista's own client opens a connection a job and another a part, and believes all locations it is told; Ballista 55 keeps those of
//! executors that were lost. This one keeps its connections, takes the newest location of each part, and submits again the parts whose
//! answers cannot be fetched: to compute a part twice changes nothing, and each is accepted once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ballista_core::client::BallistaClient;
use ballista_core::extension::SessionConfigExt;
use ballista_core::serde::protobuf::{
    CancelJobParams, ExecuteQueryParams, KeyValuePair, PartitionLocation,
    execute_query_params::Query, job_status, scheduler_grpc_client::SchedulerGrpcClient,
};
use ballista_core::version;
use datafusion::prelude::SessionConfig;
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::PhysicalPlanNode;
use futures::StreamExt;
use tonic::transport::{Channel, Endpoint};

use crate::desk::{DeskClient, LOG, RUN, STATUS, STOP};
use crate::error::{ClusterError, Result};
use crate::node::{Codec, JobExec, MISSING, Part, join};
use crate::scheduler::AGENT;
use crate::status::Status;
use crate::{Answer, Digest, Job, MESSAGE, hex};

/// How a client behaves.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Address of the scheduler: `http://HOST:PORT`.
    pub scheduler: String,
    /// What every request shows.
    pub token: Option<String>,
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
    runtime: tokio::runtime::Runtime,
    link: Link,
    flights: tokio::sync::Mutex<HashMap<String, BallistaClient>>,
    laid: Mutex<Laid>,
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

/// Host and port of `http://HOST:PORT`.
pub(crate) fn parse_address(url: &str) -> Result<(String, u16)> {
    let bad = || {
        ClusterError::Options(format!(
            "`{url}` is no address of a scheduler; it looks like http://127.0.0.1:50050"
        ))
    };
    let rest = url.strip_prefix("http://").ok_or_else(bad)?;
    let (host, port) = rest
        .trim_end_matches('/')
        .rsplit_once(':')
        .ok_or_else(bad)?;
    let port = port.parse().map_err(|_| bad())?;
    if host.is_empty() {
        return Err(bad());
    }
    Ok((host.to_owned(), port))
}

/// The endpoint with the token as the name of the agent.
pub(crate) fn with_token(endpoint: Endpoint, token: Option<&str>) -> Result<Endpoint> {
    let endpoint = endpoint.tcp_nodelay(true);
    match token {
        None => Ok(endpoint),
        Some(token) => endpoint
            .user_agent(format!("{AGENT}{token}"))
            .map_err(|e| ClusterError::Options(format!("the token cannot be sent: {e}"))),
    }
}

pub(crate) fn endpoint_for(url: &str, token: Option<&str>) -> Result<Endpoint> {
    parse_address(url)?;
    let endpoint = Endpoint::from_shared(url.to_owned())
        .map_err(|e| ClusterError::Options(format!("`{url}`: {e}")))?
        .connect_timeout(Duration::from_secs(5))
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true);
    with_token(endpoint, token)
}

/// Why an attempt at a job did not give all answers.
enum Miss {
    /// Asked again, it may.
    Again(ClusterError),
    /// It will not.
    Final(ClusterError),
}

impl Client {
    /// A client; connects when it is first used.
    ///
    /// # Errors
    /// The address or token is no good, or threads cannot be started.
    pub fn new(options: ClientOptions) -> Result<Self> {
        let endpoint = endpoint_for(&options.scheduler, options.token.as_deref())?;
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
        let session = SessionConfig::new_with_ballista().with_repartition_file_scans(false);
        Ok(Self {
            options,
            runtime,
            link,
            flights: tokio::sync::Mutex::default(),
            laid: Mutex::default(),
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
        let json = self
            .runtime
            .block_on(self.link.desk.act(STATUS, Vec::new()))?;
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
                Err(error @ (ClusterError::Forbidden { .. } | ClusterError::Options(_))) => {
                    return Err(error);
                }
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
        let mut since = Instant::now();
        let mut stuck = 0;
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
            let before = open.len();
            let missed = self
                .runtime
                .block_on(self.attempt(job, &open, cancelled, &mut answers));
            if answers.iter().filter(|a| a.is_none()).count() < before {
                since = Instant::now();
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
                Err(Miss::Again(error)) if since.elapsed() > self.options.patience => {
                    return Err(error);
                }
                Err(Miss::Again(error)) => {
                    tracing::warn!("job `{}` is submitted again: {error}", job.name);
                    std::thread::sleep(Duration::from_millis(200));
                }
            }
        }
    }

    /// Submits the open parts once.
    async fn attempt(
        &self,
        job: &Job,
        open: &[usize],
        cancelled: &dyn Fn() -> bool,
        answers: &mut [Option<Answer>],
    ) -> std::result::Result<(), Miss> {
        let peer = &self.options.scheduler;
        let failed = |message: String| ClusterError::Failed {
            job: job.name.clone(),
            message,
        };
        let of_status = |status: &tonic::Status| match ClusterError::of_status(peer, status) {
            error @ ClusterError::Unreachable { .. } => Miss::Again(error),
            error => Miss::Final(error),
        };
        let plan = JobExec::plan(job, open).map_err(|e| Miss::Final(failed(e.to_string())))?;
        let mut bytes = Vec::new();
        PhysicalPlanNode::try_from_physical_plan(plan, &self.codec)
            .and_then(|plan| plan.try_encode(&mut bytes))
            .map_err(|e| Miss::Final(failed(e.to_string())))?;
        if bytes.len() > MESSAGE - (1 << 20) {
            return Err(Miss::Final(failed(format!(
                "its description has {} bytes, a message holds {MESSAGE}",
                bytes.len()
            ))));
        }
        let settings = self
            .session
            .options()
            .entries()
            .into_iter()
            .map(|e| KeyValuePair {
                key: e.key,
                value: e.value,
            });
        let mut request = tonic::Request::new(ExecuteQueryParams {
            query: Some(Query::PhysicalPlan(bytes)),
            settings: settings.collect(),
            session_id: job.run.clone(),
            operation_id: format!("{}-{}", job.run, job.name),
        });
        version::insert_version_header(request.metadata_mut());
        let mut news = self
            .link
            .scheduler
            .clone()
            .execute_query_push(request)
            .await
            .map_err(|s| of_status(&s))?
            .into_inner();
        let mut id = String::new();
        let mut watch = Watch::new(self.options.no_progress);
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        loop {
            let news = tokio::select! {
                news = news.next() => news,
                _ = tick.tick() => {
                    if cancelled() {
                        self.cancel(&id).await;
                        return Err(Miss::Final(ClusterError::Cancelled));
                    }
                    if let Some(waiting) = watch.stuck(self, &id).await {
                        self.cancel(&id).await;
                        return Err(Miss::Again(ClusterError::Stuck {
                            job: job.name.clone(),
                            seconds: self.options.no_progress.as_secs(),
                            waiting,
                        }));
                    }
                    continue;
                }
            };
            let status = match news {
                Some(Ok(news)) => news.status,
                Some(Err(status)) => return Err(of_status(&status)),
                None => {
                    let error = ClusterError::unreachable(peer, "it closed the connection");
                    return Err(Miss::Again(error));
                }
            };
            let Some(status) = status else { continue };
            id.clone_from(&status.job_id);
            match status.status {
                Some(job_status::Status::Failed(failure)) => {
                    return Err(self.failure(job, &failure.error).await);
                }
                Some(job_status::Status::Successful(done)) => {
                    return self
                        .fetch(job, open, done.partition_location, answers)
                        .await;
                }
                _ => {}
            }
        }
    }

    /// What becomes of a job that Ballista gave up.
    async fn failure(&self, job: &Job, message: &str) -> Miss {
        if message.contains(MISSING) {
            let blobs: Vec<(Digest, Arc<[u8]>)> = {
                let laid = self.laid.lock().unwrap_or_else(PoisonError::into_inner);
                let named = |(digest, _): &&(Digest, Arc<[u8]>)| message.contains(&hex(digest));
                laid.blobs.values().filter(named).take(1).cloned().collect()
            };
            if let Some((digest, bytes)) = blobs.into_iter().next() {
                return match self.link.desk.put(&digest, &bytes).await {
                    Ok(()) => Miss::Again(ClusterError::unreachable(
                        &self.options.scheduler,
                        "it had forgotten bytes that were laid ready; they were sent again",
                    )),
                    Err(error) => Miss::Again(error),
                };
            }
        }
        let error = ClusterError::Failed {
            job: job.name.clone(),
            message: message.to_owned(),
        };
        if message.contains("panicked") {
            return Miss::Final(error);
        }
        if message.contains("no executors") || message.contains("No executors") {
            return Miss::Final(self.no_executors());
        }
        Miss::Again(error)
    }

    /// Fetches the answers of parts from where they were computed.
    async fn fetch(
        &self,
        job: &Job,
        open: &[usize],
        locations: Vec<PartitionLocation>,
        answers: &mut [Option<Answer>],
    ) -> std::result::Result<(), Miss> {
        // Locations of tasks that ran on executors lost since are still among them: of each part, the newest counts.
        let mut newest: BTreeMap<u32, PartitionLocation> = BTreeMap::new();
        for location in locations {
            if let Some(id) = &location.partition_id {
                newest.insert(id.partition_id, location);
            }
        }
        let fetches = newest
            .into_values()
            .map(|location| self.fetch_one(location));
        let mut miss = None;
        for fetched in futures::future::join_all(fetches).await {
            match fetched {
                Ok(parts) => {
                    for part in parts {
                        match answers.get_mut(part.number) {
                            Some(slot) if open.contains(&part.number) && slot.is_none() => {
                                *slot = Some(Answer {
                                    executor: part.executor,
                                    bytes: part.answer,
                                });
                            }
                            _ => tracing::warn!(
                                "job `{}`: another answer to part {} from {} is left aside",
                                job.name,
                                part.number,
                                part.executor
                            ),
                        }
                    }
                }
                Err(error) => miss = Some(error),
            }
        }
        match miss {
            Some(error) => Err(Miss::Again(error)),
            None if open.iter().any(|&i| answers[i].is_none()) => {
                Err(Miss::Again(ClusterError::Failed {
                    job: job.name.clone(),
                    message: "answers of some parts did not arrive".to_owned(),
                }))
            }
            None => Ok(()),
        }
    }

    async fn fetch_one(&self, location: PartitionLocation) -> Result<Vec<Part>> {
        let (Some(meta), Some(id)) = (
            location.executor_meta.clone(),
            location.partition_id.clone(),
        ) else {
            return Err(ClusterError::unreachable(
                "an executor",
                "it has no address",
            ));
        };
        let layout = location.layout();
        let peer = format!("executor {}", meta.id);
        let fetch = async {
            let known = self.flights.lock().await.get(&meta.id).cloned();
            let mut flight = match known {
                Some(flight) => flight,
                None => {
                    let token = self.options.token.clone();
                    let endpoint = ballista_core::extension::BallistaConfigGrpcEndpoint::new(
                        Arc::new(move |e| Ok(with_token(e, token.as_deref())?)),
                    );
                    let flight = BallistaClient::try_new(
                        &meta.host,
                        meta.port as u16,
                        MESSAGE,
                        false,
                        Some(Arc::new(endpoint)),
                        1,
                        100,
                        0,
                        0,
                    )
                    .await
                    .map_err(|e| ClusterError::unreachable(&peer, e))?;
                    self.flights
                        .lock()
                        .await
                        .insert(meta.id.clone(), flight.clone());
                    flight
                }
            };
            let mut rows = flight
                .fetch_partition(&meta.id, &id.into(), location.file_id, layout, true)
                .await
                .map_err(|e| ClusterError::unreachable(&peer, e))?;
            let mut batches = Vec::new();
            while let Some(batch) = rows.next().await {
                batches.push(batch.map_err(|e| ClusterError::unreachable(&peer, e))?);
            }
            Ok(join(&batches))
        };
        let fetched = tokio::time::timeout(Duration::from_secs(30), fetch)
            .await
            .unwrap_or_else(|_| Err(ClusterError::unreachable(&peer, "no answer for 30 s")));
        if fetched.is_err() {
            self.flights.lock().await.remove(&meta.id);
        }
        fetched
    }

    async fn cancel(&self, job_id: &str) {
        if job_id.is_empty() {
            return;
        }
        let request = CancelJobParams {
            job_id: job_id.to_owned(),
        };
        let mut request = tonic::Request::new(request);
        version::insert_version_header(request.metadata_mut());
        let _ = self.link.scheduler.clone().cancel_job(request).await;
    }
}

/// Looks whether a job moves.
struct Watch {
    limit: Duration,
    moved: Instant,
    looked: Instant,
    done: usize,
}

impl Watch {
    fn new(limit: Duration) -> Self {
        Self {
            limit,
            moved: Instant::now(),
            looked: Instant::now(),
            done: 0,
        }
    }

    /// What is waited for, once nothing moved for too long.
    async fn stuck(&mut self, client: &Client, job: &str) -> Option<String> {
        if self.looked.elapsed() < (self.limit / 8).min(Duration::from_secs(5)) {
            return None;
        }
        self.looked = Instant::now();
        let json = client.link.desk.act(STATUS, Vec::new()).await.ok()?;
        let status: Status = serde_json::from_slice(&json).ok()?;
        let found = status.jobs.iter().find(|j| j.id == job)?;
        if found.done > self.done {
            self.done = found.done;
            self.moved = Instant::now();
        }
        if self.moved.elapsed() < self.limit {
            return None;
        }
        let mut executors: Vec<&str> = found.running.iter().map(|(_, e)| e.as_str()).collect();
        executors.sort_unstable();
        executors.dedup();
        Some(match executors.as_slice() {
            [] => "its parts wait for a free executor".to_owned(),
            executors => format!("parts of it are at work on {}", executors.join(", ")),
        })
    }
}

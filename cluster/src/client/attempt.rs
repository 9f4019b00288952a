//! One attempt at a job: submitted, watched, and given up where nothing moves.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ballista_core::config::BALLISTA_JOB_NAME;
use ballista_core::serde::protobuf::{
    CancelJobParams, ExecuteQueryParams, KeyValuePair, execute_query_params::Query, job_status,
};
use ballista_core::version;
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::PhysicalPlanNode;
use futures::StreamExt;

use super::Client;
use crate::error::{ClusterError, Result};
use crate::node::{JobExec, MISSING};
use crate::{Answer, Digest, Job, MESSAGE, hex};

/// A job that was submitted is shown by the scheduler within this time.
const PLANNED: Duration = Duration::from_secs(2);

/// Why an attempt at a job did not give all answers.
pub(super) enum Miss {
    /// Asked again, it may.
    Again(ClusterError),
    /// It will not.
    Final(ClusterError),
}

impl Client {
    /// Submits the open parts once; `tries` attempts were made before.
    pub(super) async fn attempt(
        &self,
        job: &Job,
        open: &[usize],
        tries: u32,
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
        // Ballista tells the id of a job with the first news of it, which may be long in coming, or lost. So it gets a name that is known
        // before.
        let name = self.fresh_name(job);
        let own = KeyValuePair {
            key: BALLISTA_JOB_NAME.to_owned(),
            value: Some(name.clone()),
        };
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
            settings: std::iter::once(own).chain(settings).collect(),
            session_id: job.run.clone(),
            operation_id: name.clone(),
        });
        version::insert_version_header(request.metadata_mut());
        let mut scheduler = self.link.scheduler.clone();
        let mut news = match scheduler.execute_query_push(request).await {
            Ok(news) => news.into_inner(),
            Err(status) => {
                // It may be there all the same, its answer lost.
                self.abandon(name);
                return Err(of_status(&status));
            }
        };
        let mut watch = Watch::new(self.options.no_progress);
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        loop {
            let news = tokio::select! {
                news = news.next() => news,
                _ = tick.tick() => {
                    if cancelled() {
                        self.cancel(name).await;
                        return Err(Miss::Final(ClusterError::Cancelled));
                    }
                    self.cancel_abandoned().await;
                    if let Some(waiting) = watch.stuck(self, &name).await {
                        self.cancel(name).await;
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
                Some(Err(status)) => {
                    self.abandon(name);
                    return Err(of_status(&status));
                }
                None => {
                    self.abandon(name);
                    let error = ClusterError::unreachable(peer, "it closed the connection");
                    return Err(Miss::Again(error));
                }
            };
            let Some(status) = status else { continue };
            match status.status {
                Some(job_status::Status::Failed(failure)) => {
                    return Err(self.failure(job, &failure.error).await);
                }
                Some(job_status::Status::Successful(done)) => {
                    return self
                        .fetch(job, open, tries, done.partition_location, answers)
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

    /// A name that no other submission has.
    fn fresh_name(&self, job: &Job) -> String {
        let number = self.submissions.fetch_add(1, Ordering::Relaxed);
        format!("{}-{number}-{}", job.run, job.name)
    }

    fn lock_abandoned(&self) -> MutexGuard<'_, Vec<(String, Instant)>> {
        self.abandoned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn abandon(&self, name: String) {
        self.lock_abandoned().push((name, Instant::now()));
    }

    /// Stops jobs that were given up, once the scheduler can be reached: they would hold slots. One that it does not show yet may still
    /// be planned; after a while it has ended, or never came.
    async fn cancel_abandoned(&self) {
        let names = self.lock_abandoned().clone();
        if names.is_empty() {
            return;
        }
        let Ok(status) = self.ask_status().await else {
            return;
        };
        for (name, since) in names {
            let found = status.jobs.iter().find(|j| j.submission == name);
            let gone = match found {
                Some(job) => self.cancel_job(&job.id).await.is_ok(),
                None => since.elapsed() > PLANNED,
            };
            if gone {
                self.lock_abandoned().retain(|(other, _)| *other != name);
            }
        }
    }

    /// Stops a job, and waits until it is gone where the scheduler answers.
    async fn cancel(&self, name: String) {
        self.abandon(name.clone());
        let started = Instant::now();
        while started.elapsed() < PLANNED * 2 {
            self.cancel_abandoned().await;
            if !self
                .lock_abandoned()
                .iter()
                .any(|(other, _)| *other == name)
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn cancel_job(&self, id: &str) -> Result<()> {
        let request = CancelJobParams {
            job_id: id.to_owned(),
        };
        let mut request = tonic::Request::new(request);
        version::insert_version_header(request.metadata_mut());
        let peer = &self.options.scheduler;
        let cancelled = self.link.scheduler.clone().cancel_job(request).await;
        cancelled
            .map(drop)
            .map_err(|s| ClusterError::of_status(peer, &s))
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

    /// What is waited for, once nothing moved for too long in the job of that name.
    async fn stuck(&mut self, client: &Client, name: &str) -> Option<String> {
        if self.looked.elapsed() < (self.limit / 8).min(Duration::from_secs(5)) {
            return None;
        }
        self.looked = Instant::now();
        let status = client.ask_status().await.ok()?;
        let found = status.jobs.iter().find(|j| j.submission == name)?;
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

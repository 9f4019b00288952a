//! One attempt at a job: submitted, watched, and given up where nothing moves.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use ballista_core::serde::protobuf::{
    CancelJobParams, ExecuteQueryParams, KeyValuePair, execute_query_params::Query, job_status,
};
use ballista_core::version;
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::PhysicalPlanNode;
use futures::StreamExt;

use super::Client;
use crate::desk::STATUS;
use crate::error::ClusterError;
use crate::node::{JobExec, MISSING};
use crate::status::{JobStatus, Status};
use crate::{Answer, Digest, Job, MESSAGE, hex};

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
        self.cancel_abandoned().await;
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
                    if let Some((waiting, dead)) = watch.stuck(self, job, &id).await {
                        for id in dead {
                            self.cancel(&id).await;
                        }
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
                    self.abandon(id);
                    return Err(of_status(&status));
                }
                None => {
                    self.abandon(id);
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

    fn abandon(&self, job_id: String) {
        let mut abandoned = self
            .abandoned
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        abandoned.push(job_id);
    }

    /// Stops jobs that were given up, now that the scheduler can be reached again.
    async fn cancel_abandoned(&self) {
        let jobs = std::mem::take(
            &mut *self
                .abandoned
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        for job in jobs {
            self.cancel(&job).await;
        }
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

    /// What is waited for, once nothing moved for too long, and which jobs to stop. A job whose id did not arrive is the latest of its run,
    /// and one that was lost before its id came may hold the slots that it waits for: it has stood still for as long.
    async fn stuck(
        &mut self,
        client: &Client,
        job: &Job,
        id: &str,
    ) -> Option<(String, Vec<String>)> {
        if self.looked.elapsed() < (self.limit / 8).min(Duration::from_secs(5)) {
            return None;
        }
        self.looked = Instant::now();
        let json = client.link.desk.act(STATUS, Vec::new()).await.ok()?;
        let status: Status = serde_json::from_slice(&json).ok()?;
        let of_run = || status.jobs.iter().filter(|j| j.run == job.run);
        let found = match id {
            "" => of_run().max_by(|a, b| a.id.cmp(&b.id)),
            id => of_run().find(|j| j.id == id),
        }?;
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
        let waiting = match executors.as_slice() {
            [] => "its parts wait for a free executor".to_owned(),
            executors => format!("parts of it are at work on {}", executors.join(", ")),
        };
        let still = |j: &&JobStatus| j.done == 0 && j.seconds >= self.limit.as_secs_f64();
        let dead = of_run().filter(|j| j.id == found.id || still(j));
        Some((waiting, dead.map(|j| j.id.clone()).collect()))
    }
}

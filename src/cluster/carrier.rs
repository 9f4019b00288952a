//! Requests of the engine as jobs of the cluster.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use emberline_cluster::{Client, Job, Status};

use super::failed;
use crate::pipeline::Cancel;
use crate::pipeline::engine::remote::{BlobId, Carried, Carrier, Request};
use crate::prelude::*;

/// How long the number of executors is taken for granted.
const FRESH: Duration = Duration::from_secs(2);

/// Carries requests to the executors of a cluster.
pub struct ClusterCarrier {
    client: Client,
    run: String,
    pool: String,
    seen: Mutex<(Instant, Status)>,
}

impl ClusterCarrier {
    /// A carrier for the run of that id, which draws on `pool`. Waits for an executor.
    ///
    /// # Errors
    /// The scheduler cannot be reached, or has no executor for a minute.
    pub fn new(client: Client, run: &str, pool: &str) -> Result<Self> {
        let status = client.ready(&|| false).map_err(failed)?;
        Ok(Self {
            client,
            run: run.to_owned(),
            pool: pool.to_owned(),
            seen: Mutex::new((Instant::now(), status)),
        })
    }

    fn status(&self) -> Result<Status> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.0.elapsed() > FRESH || seen.1.executors.is_empty() {
            let status = self.client.ready(&|| false).map_err(failed)?;
            *seen = (Instant::now(), status);
        }
        Ok(seen.1.clone())
    }
}

impl Carrier for ClusterCarrier {
    fn describe(&self) -> String {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let n = seen.1.executors.len();
        let slots: u32 = seen.1.executors.iter().map(|e| e.slots).sum();
        format!(
            "cluster, {n} executor{}, {slots} slot{}, run {}",
            if n == 1 { "" } else { "s" },
            if slots == 1 { "" } else { "s" },
            self.run
        )
    }

    fn room(&self) -> Result<Option<u64>> {
        // An executor that has just come tells within a second what it may keep.
        let asked = Instant::now();
        let mut executors = self.status()?.executors;
        while executors.iter().any(|e| e.worker.is_null()) && asked.elapsed() < FRESH {
            std::thread::sleep(Duration::from_millis(100));
            executors = self.client.ready(&|| false).map_err(failed)?.executors;
        }
        let limits = executors.iter().map(|e| e.worker["memory_limit"].as_u64());
        Ok(limits.flatten().min())
    }

    fn slots(&self) -> Result<usize> {
        let executors = self.status()?.executors;
        Ok(executors.iter().map(|e| e.slots as usize).sum())
    }

    fn put(&self, id: BlobId, bytes: Arc<[u8]>) -> Result<()> {
        self.client.put(&id, bytes).map_err(failed)
    }

    fn carry(&self, request: &Request, cancel: &Cancel) -> Result<Vec<Carried>> {
        let job = Job {
            name: request.name.clone(),
            run: self.run.clone(),
            pool: self.pool.clone(),
            affinity: request.affinity,
            payload: request.job.clone(),
            parts: request.parts.clone(),
            groups: request.groups,
        };
        let answers = self
            .client
            .submit(&job, &|| cancel.is_cancelled())
            .map_err(failed)?;
        let carried = answers.into_iter().map(|answer| Carried {
            by: answer.executor,
            bytes: answer.bytes,
        });
        Ok(carried.collect())
    }
}

//! Fetching answers from the executors that have them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ballista_core::client::BallistaClient;
use ballista_core::extension::BallistaConfigGrpcEndpoint;
use ballista_core::serde::protobuf::PartitionLocation;
use futures::StreamExt;

use super::Client;
use super::attempt::Miss;
use crate::error::{ClusterError, Result};
use crate::node::{Part, join};
use crate::{Answer, Job, MESSAGE};

/// An executor that stopped does not answer, though its connection stands. So an answer has to begin after so long; where it does not, the
/// part is computed again, and the next attempt waits twice as long.
const BEGIN: Duration = Duration::from_secs(1);

/// The longest wait for an answer to begin, or to go on.
const GO_ON: Duration = Duration::from_secs(30);

impl Client {
    /// Fetches the answers of parts from where they were computed; `tries` attempts were made before.
    pub(super) async fn fetch(
        &self,
        job: &Job,
        open: &[usize],
        tries: u32,
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
        let begin = (BEGIN * 2_u32.pow(tries.min(5))).min(GO_ON);
        let fetches = newest
            .into_values()
            .map(|location| self.fetch_one(location, begin));
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

    async fn fetch_one(&self, location: PartitionLocation, begin: Duration) -> Result<Vec<Part>> {
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
        let silent = |time: Duration| {
            let seconds = time.as_secs();
            ClusterError::unreachable(&peer, format!("no answer for {seconds} s"))
        };
        let open = async {
            let known = self.flights.lock().await.get(&meta.id).cloned();
            let mut flight = match known {
                Some(flight) => flight,
                None => {
                    let endpoint = BallistaConfigGrpcEndpoint::new(self.caller.hook());
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
                // As the file has it: the other way unpacks it, packs it again and unpacks it here.
                .fetch_partition(&meta.id, &id.into(), location.file_id, layout, false)
                .await
                .map_err(|e| ClusterError::unreachable(&peer, e))?;
            let first = rows.next().await;
            Ok((rows, first))
        };
        let fetch = async {
            let (mut rows, mut next) = tokio::time::timeout(begin, open)
                .await
                .map_err(|_| silent(begin))??;
            let mut batches = Vec::new();
            while let Some(batch) = next {
                batches.push(batch.map_err(|e| ClusterError::unreachable(&peer, e))?);
                next = tokio::time::timeout(GO_ON, rows.next())
                    .await
                    .map_err(|_| silent(GO_ON))?;
            }
            Ok(join(&batches))
        };
        let fetched = fetch.await;
        if fetched.is_err() {
            self.flights.lock().await.remove(&meta.id);
        }
        fetched
    }
}

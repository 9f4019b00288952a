//! Which executor computes which part: slots, pools, parts that stay where their rows are, and second runs of late ones.
//!
//! Ballista counts free slots up and down and loses count when a stage is rolled back while a task of it is at work (55.0.0: a cluster of
//! single slots then never runs a task again). Here nothing is counted: what is free follows, at each deal, from the tasks that run.
//! It hands an executor all its tasks in one message, and where that is too large it drops the executor, which comes back, and so on
//! without end; here a deal hands out what fits. And it takes the age of heartbeats from the clock on the wall, which may be set.

mod deal;
mod state;
mod stragglers;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ballista_core::JobId;
use ballista_core::error::Result;
use ballista_core::serde::protobuf::{ExecutorHeartbeat, job_status};
use ballista_core::serde::scheduler::{ExecutorData, ExecutorMetadata};
use ballista_scheduler::cluster::memory::InMemoryClusterState;
use ballista_scheduler::cluster::{BoundTask, ClusterState, ClusterStateEventStream, ExecutorSlot};
use ballista_scheduler::config::TaskDistributionPolicy;
use ballista_scheduler::state::task_manager::JobInfoCache;

use self::deal::{Candidate, Free, HANDFUL, deal_one};
use self::state::State;
use self::stragglers::TaskId;
use crate::node::JobExec;

/// With nothing to deal, a look at so many tasks is worth this long a wait for each of them since the last look. Ballista asks after every
/// task that ends, and a look is at all of them: without a wait a round of 1,000 parts costs a million looks at a task.
const LOOK: Duration = Duration::from_micros(20);

/// Shares of the cluster by pool.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pool {
    /// How much of what is left it gets, against the others.
    pub weight: f64,
    /// Slots it gets before any share is dealt.
    pub min_share: usize,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            weight: 1.0,
            min_share: 0,
        }
    }
}

/// The executors of a cluster, and what runs on them.
pub(crate) struct Slots {
    inner: InMemoryClusterState,
    pools: BTreeMap<String, Pool>,
    state: Mutex<State>,
}

impl Slots {
    pub(crate) fn new(pools: BTreeMap<String, Pool>) -> Self {
        Self {
            inner: InMemoryClusterState::default(),
            pools,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Parts wait for an executor that is busy, or may be late: deal again soon, though nothing may happen until then.
    pub(crate) fn wants_deal(&self) -> bool {
        let state = self.lock();
        !state.waiting.is_empty() || state.stragglers.any_long()
    }

    /// Runs that were overtaken and that nobody waits for any more; `is_running` is asked about jobs.
    pub(crate) fn losers(&self, is_running: impl Fn(&JobId) -> bool) -> Vec<(TaskId, String)> {
        self.lock().stragglers.losers(is_running)
    }

    pub(crate) fn any_loser(&self) -> bool {
        self.lock().stragglers.any_loser()
    }

    /// Parts that were run a second time, and those whose second run was first.
    pub(crate) fn repeated(&self) -> (u64, u64) {
        let state = self.lock();
        (state.stragglers.repeated, state.stragglers.overtaken)
    }

    /// Since when a job is known.
    pub(crate) fn age_of(&self, job: &JobId) -> Duration {
        let submitted = self.lock().submitted.get(job).copied();
        submitted.map_or(Duration::ZERO, |at| at.elapsed())
    }

    /// Slots, failures and whether it is set aside.
    pub(crate) fn of(&self, executor: &str) -> (u32, u32, bool) {
        let state = self.lock();
        let health = state.health.get(executor);
        (
            state.capacity.get(executor).copied().unwrap_or(0),
            health.map_or(0, |h| h.failures),
            health.is_some_and(state::Health::is_aside),
        )
    }
}

impl Slots {
    /// Whether there is something to deal, or the last look at all tasks was long enough ago.
    async fn is_due(&self, jobs: &HashMap<JobId, JobInfoCache>) -> bool {
        for job in jobs.values() {
            if job.execution_graph.read().await.available_tasks() > 0 {
                return true;
            }
        }
        let looked = self.lock().looked;
        looked.is_none_or(|(at, tasks)| at.elapsed() >= LOOK * tasks)
    }

    /// What runs on each executor now, and the jobs that do. Tasks that ended since are counted for or against their executors.
    async fn count(
        &self,
        jobs: &HashMap<JobId, JobInfoCache>,
    ) -> (BTreeMap<String, u32>, Vec<Candidate>) {
        let mut running: BTreeMap<String, u32> = BTreeMap::new();
        let mut candidates = Vec::new();
        for (id, info) in jobs {
            if !matches!(info.status, Some(job_status::Status::Running(_))) {
                continue;
            }
            let graph = info.execution_graph.read().await;
            let tasks = graph.running_tasks();
            for task in &tasks {
                *running.entry(task.executor_id.clone()).or_default() += 1;
            }
            let mut state = self.lock();
            let mut seen = 0;
            for (stage, tasks) in graph.stages() {
                for task in tasks.task_infos().unwrap_or_default() {
                    seen += 1;
                    state.settle(&(id.clone(), *stage, task.task_id), &task.task_status);
                }
            }
            let submitted = *state
                .submitted
                .entry(id.clone())
                .or_insert_with(Instant::now);
            let label = JobExec::inside(&graph.physical_plan()).map(|job| job.label.clone());
            let label = label.unwrap_or_default();
            if graph.is_successful() {
                state.end(id, &label);
                continue;
            }
            candidates.push(Candidate {
                id: id.clone(),
                info: info.clone(),
                label,
                submitted,
                running: tasks.len(),
                tasks: seen,
            });
        }
        (running, candidates)
    }

    /// The order in which jobs are served: pools below their minimum first, then those that have least for their weight; inside a pool
    /// by time of submission.
    fn next_job(
        &self,
        candidates: &[Candidate],
        held: &BTreeMap<String, usize>,
        done: &HashSet<JobId>,
    ) -> Option<usize> {
        let key = |c: &Candidate| {
            let pool = self.pools.get(&c.label.pool).copied().unwrap_or_default();
            let held = held.get(&c.label.pool).copied().unwrap_or(0);
            let above = held >= pool.min_share;
            let share = if above {
                held as f64 / pool.weight.max(1e-9)
            } else {
                held as f64 / pool.min_share as f64
            };
            (above, share, c.submitted)
        };
        (0..candidates.len())
            .filter(|&i| !done.contains(&candidates[i].id))
            .min_by(|&a, &b| {
                let (a, b) = (key(&candidates[a]), key(&candidates[b]));
                a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2))
            })
    }
}

#[async_trait::async_trait]
impl ClusterState for Slots {
    async fn bind_schedulable_tasks(
        &self,
        _: TaskDistributionPolicy,
        jobs: Arc<HashMap<JobId, JobInfoCache>>,
        executors: Option<HashSet<String>>,
    ) -> Result<Vec<BoundTask>> {
        if !self.is_due(&jobs).await {
            return Ok(Vec::new());
        }
        let (running, candidates) = self.count(&jobs).await;
        let alive: HashSet<String> = self.inner.executor_heartbeats().into_keys().collect();
        let mut free: BTreeMap<String, Free> = BTreeMap::new();
        {
            let mut state = self.lock();
            let tasks = candidates.iter().map(|c| c.tasks).sum::<usize>();
            state.looked = Some((Instant::now(), tasks as u32));
            state.keep(|job| jobs.contains_key(job));
            let slots = |(id, capacity): (&String, &u32)| {
                let used = running.get(id).copied().unwrap_or(0);
                let slots = capacity.saturating_sub(used);
                let room = HANDFUL;
                (id.clone(), Free { slots, room })
            };
            let all = state.capacity.iter().filter(|(id, _)| alive.contains(*id));
            free.extend(
                all.clone()
                    .filter(|(id, _)| executors.as_ref().is_none_or(|only| only.contains(*id)))
                    .filter(|(id, _)| !state.is_aside(id))
                    .map(slots),
            );
            // With nobody else left, one that is set aside is better than none.
            if free.is_empty() {
                free.extend(all.map(slots));
            }
        }
        let mut held: BTreeMap<String, usize> = BTreeMap::new();
        for c in &candidates {
            *held.entry(c.label.pool.clone()).or_default() += c.running;
        }
        let mut bound = Vec::new();
        let mut done = HashSet::new();
        while free.values().any(|f| f.slots > 0) {
            let Some(i) = self.next_job(&candidates, &held, &done) else {
                break;
            };
            let job = &candidates[i];
            let mut graph = job.info.execution_graph.write().await;
            let session = graph.session_id().to_owned();
            let mut dealt = false;
            let mut tried = Vec::new();
            while let Some(stage) = graph.fetch_running_stage(&tried) {
                tried.push(stage.stage_id);
                let mut state = self.lock();
                if deal_one(&mut state, &mut free, stage, job, &session, &mut bound) {
                    dealt = true;
                    break;
                }
            }
            if dealt {
                *held.entry(job.label.pool.clone()).or_default() += 1;
            } else {
                done.insert(job.id.clone());
            }
        }
        self.run_twice(&candidates, &mut free, &mut bound).await;
        Ok(bound)
    }

    /// Nothing was counted, so nothing is given back.
    async fn unbind_tasks(&self, _: Vec<ExecutorSlot>) -> Result<()> {
        Ok(())
    }

    async fn register_executor(
        &self,
        metadata: ExecutorMetadata,
        spec: ExecutorData,
    ) -> Result<()> {
        let (id, slots) = (metadata.id.clone(), spec.total_vcores);
        self.inner.register_executor(metadata, spec).await?;
        let mut state = self.lock();
        state.heard.insert(id.clone(), Instant::now());
        state.capacity.insert(id, slots);
        Ok(())
    }

    async fn save_executor_metadata(&self, metadata: ExecutorMetadata) -> Result<()> {
        self.inner.save_executor_metadata(metadata).await
    }

    async fn get_executor_metadata(&self, executor_id: &str) -> Result<ExecutorMetadata> {
        self.inner.get_executor_metadata(executor_id).await
    }

    async fn registered_executor_metadata(&self) -> Vec<ExecutorMetadata> {
        self.inner.registered_executor_metadata().await
    }

    async fn save_executor_heartbeat(&self, heartbeat: ExecutorHeartbeat) -> Result<()> {
        let id = heartbeat.executor_id.clone();
        self.lock().heard.insert(id, Instant::now());
        self.inner.save_executor_heartbeat(heartbeat).await
    }

    async fn remove_executor(&self, executor_id: &str) -> Result<()> {
        self.lock().remove(executor_id);
        self.inner.remove_executor(executor_id).await
    }

    /// Who looks at them compares them with the clock on the wall as it is now, so they are dated by that: now, less how long ago each
    /// came. A clock that was set in between then loses nobody.
    fn executor_heartbeats(&self) -> HashMap<String, ExecutorHeartbeat> {
        let mut heartbeats = self.inner.executor_heartbeats();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |d| d.as_secs());
        let state = self.lock();
        for (id, heartbeat) in &mut heartbeats {
            let ago = state.heard.get(id).map_or(0, |at| at.elapsed().as_secs());
            heartbeat.timestamp = now.saturating_sub(ago);
        }
        heartbeats
    }

    fn get_executor_heartbeat(&self, executor_id: &str) -> Option<ExecutorHeartbeat> {
        self.inner.get_executor_heartbeat(executor_id)
    }

    async fn cluster_state_events(&self) -> Result<ClusterStateEventStream> {
        self.inner.cluster_state_events().await
    }
}

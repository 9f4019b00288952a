//! Which executor computes which part: slots, pools, and parts that stay where their rows are.
//!
//! Ballista counts free slots up and down and loses count when a stage is rolled back while a task of it is at work (55.0.0: a cluster of
//! single slots then never runs a task again). Here nothing is counted: what is free follows, at each deal, from the tasks that run.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ballista_core::JobId;
use ballista_core::error::Result;
use ballista_core::serde::protobuf::{ExecutorHeartbeat, job_status, task_status};
use ballista_core::serde::scheduler::{ExecutorData, ExecutorMetadata, TaskKey};
use ballista_scheduler::cluster::memory::InMemoryClusterState;
use ballista_scheduler::cluster::{BoundTask, ClusterState, ClusterStateEventStream, ExecutorSlot};
use ballista_scheduler::config::TaskDistributionPolicy;
use ballista_scheduler::state::execution_graph::{TaskDescription, create_task_info};
use ballista_scheduler::state::execution_stage::RunningStage;
use ballista_scheduler::state::task_manager::JobInfoCache;

use crate::Digest;
use crate::node::{JobExec, Label, Role};

/// A part waits so long for the executor that has its rows before another may take it.
const PATIENCE: Duration = Duration::from_millis(300);

/// Failures in a row after which an executor is set aside, and for how long.
const FAILURES: u32 = 4;
const ASIDE: Duration = Duration::from_secs(30);

/// Homes of parts that are remembered; those longest unused go first.
const MOST_HOMES: usize = 100_000;

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

#[derive(Default)]
struct State {
    capacity: BTreeMap<String, u32>,
    health: BTreeMap<String, Health>,
    homes: HashMap<(Digest, usize), Home>,
    /// When a part was first left waiting for its home.
    waiting: HashMap<(JobId, usize), Instant>,
    submitted: HashMap<JobId, Instant>,
    /// Who has a task, by job, stage and task: a task that failed does not tell.
    dealt: HashMap<(JobId, usize, usize), String>,
    /// When tasks were looked at, and how many.
    looked: Option<(Instant, u32)>,
}

#[derive(Default, Clone)]
struct Health {
    failures: u32,
    aside_until: Option<Instant>,
}

struct Home {
    executor: String,
    used: Instant,
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

    /// Parts wait for an executor that is busy: deal again soon, though nothing may happen until then.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.lock().waiting.is_empty()
    }

    /// Slots, failures and whether it is set aside.
    pub(crate) fn of(&self, executor: &str) -> (u32, u32, bool) {
        let state = self.lock();
        let health = state.health.get(executor);
        (
            state.capacity.get(executor).copied().unwrap_or(0),
            health.map_or(0, |h| h.failures),
            health.is_some_and(Health::is_aside),
        )
    }
}

impl Health {
    fn is_aside(&self) -> bool {
        self.aside_until.is_some_and(|until| Instant::now() < until)
    }
}

/// A job that has parts to deal.
struct Candidate {
    id: JobId,
    info: JobInfoCache,
    label: Arc<Label>,
    submitted: Instant,
    running: usize,
    /// Running ones and those that ended.
    tasks: usize,
}

impl State {
    fn settle(&mut self, task: &(JobId, usize, usize), status: &task_status::Status) {
        let failed = match status {
            task_status::Status::Running(_) => return,
            task_status::Status::Failed(_) => true,
            task_status::Status::Successful(_) => false,
        };
        let Some(executor) = self.dealt.remove(task) else {
            return;
        };
        let health = self.health.entry(executor).or_default();
        if !failed {
            *health = Health::default();
            return;
        }
        health.failures += 1;
        if health.failures >= FAILURES {
            health.aside_until = Some(Instant::now() + ASIDE);
            health.failures = 0;
        }
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
            candidates.push(Candidate {
                id: id.clone(),
                info: info.clone(),
                label: label.unwrap_or_default(),
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

/// Hands parts of a stage to executors until nothing more fits; tells how many were handed out.
fn deal_one(
    state: &mut State,
    free: &mut BTreeMap<String, u32>,
    stage: &mut RunningStage,
    job: &Candidate,
    session: &str,
    bound: &mut Vec<BoundTask>,
) -> bool {
    let mut pending = stage.pending.next_slice(usize::MAX);
    // Groups have no rows that wait for them anywhere.
    let at_home =
        JobExec::inside(&stage.plan).is_some_and(|job| !matches!(job.role, Role::Gather(_)));
    let mut taken = None;
    for (at, &part) in pending.iter().enumerate() {
        let home = state.homes.get(&(job.label.affinity, part));
        let home = home.filter(|_| at_home);
        let home = home.map(|h| h.executor.clone());
        let alive = home.filter(|h| state.capacity.contains_key(h));
        let waited = |state: &mut State| {
            let since = state
                .waiting
                .entry((job.id.clone(), part))
                .or_insert_with(Instant::now);
            since.elapsed()
        };
        let executor = match alive {
            Some(home) if free.get(&home).is_some_and(|n| *n > 0) => Some(home),
            Some(_) if waited(state) < PATIENCE => None,
            // Nobody has its rows, or who has them is busy for too long: the one with most room.
            _ => free
                .iter()
                .filter(|(_, n)| **n > 0)
                .max_by_key(|(_, n)| **n)
                .map(|(id, _)| id.clone()),
        };
        if let Some(executor) = executor {
            taken = Some((at, part, executor));
            break;
        }
    }
    let Some((at, part, executor)) = taken else {
        stage.pending.reschedule(pending);
        return false;
    };
    pending.remove(at);
    stage.pending.reschedule(pending);
    state.waiting.remove(&(job.id.clone(), part));
    if at_home {
        state.homes.insert(
            (job.label.affinity, part),
            Home {
                executor: executor.clone(),
                used: Instant::now(),
            },
        );
    }
    if let Some(n) = free.get_mut(&executor) {
        *n -= 1;
    }
    let task_id = stage.task_infos.len();
    let mut info = create_task_info(executor.clone(), task_id);
    info.global_input_partition_ids = vec![part];
    info.vcores_consumed = 1;
    stage.task_infos.push(info);
    let key = (job.id.clone(), stage.stage_id, task_id);
    state.dealt.insert(key, executor.clone());
    bound.push((
        executor,
        TaskDescription {
            session_id: session.to_owned(),
            key: TaskKey {
                job_id: job.id.clone(),
                stage_id: stage.stage_id,
                task_id,
            },
            stage_attempt_num: stage.stage_attempt_num,
            task_attempt: stage.task_failure_numbers.get(part).copied().unwrap_or(0),
            global_input_partition_ids: vec![part],
            vcores_consumed: 1,
            plan: stage.plan.clone(),
            session_config: stage.session_config.clone(),
        },
    ));
    true
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
        let mut free: BTreeMap<String, u32> = BTreeMap::new();
        {
            let mut state = self.lock();
            let tasks = candidates.iter().map(|c| c.tasks).sum::<usize>();
            state.looked = Some((Instant::now(), tasks as u32));
            state.waiting.retain(|(job, _), _| jobs.contains_key(job));
            state.submitted.retain(|job, _| jobs.contains_key(job));
            state.dealt.retain(|(job, _, _), _| jobs.contains_key(job));
            for (id, capacity) in &state.capacity {
                let wanted = executors.as_ref().is_none_or(|only| only.contains(id));
                let aside = state.health.get(id).is_some_and(Health::is_aside);
                if wanted && alive.contains(id) && !aside {
                    let used = running.get(id).copied().unwrap_or(0);
                    free.insert(id.clone(), capacity.saturating_sub(used));
                }
            }
            // With nobody else left, one that is set aside is better than none.
            if free.is_empty() {
                let all = state.capacity.iter().filter(|(id, _)| alive.contains(*id));
                free = all
                    .map(|(id, n)| {
                        (
                            id.clone(),
                            n.saturating_sub(running.get(id).copied().unwrap_or(0)),
                        )
                    })
                    .collect();
            }
            if state.homes.len() > MOST_HOMES {
                let mut used: Vec<Instant> = state.homes.values().map(|h| h.used).collect();
                let (_, median, _) = used.select_nth_unstable(MOST_HOMES / 2);
                let median = *median;
                state.homes.retain(|_, h| h.used > median);
            }
        }
        let mut held: BTreeMap<String, usize> = BTreeMap::new();
        for c in &candidates {
            *held.entry(c.label.pool.clone()).or_default() += c.running;
        }
        let mut bound = Vec::new();
        let mut done = HashSet::new();
        while free.values().any(|n| *n > 0) {
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
        self.lock().capacity.insert(id, slots);
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
        self.inner.save_executor_heartbeat(heartbeat).await
    }

    async fn remove_executor(&self, executor_id: &str) -> Result<()> {
        {
            let mut state = self.lock();
            state.capacity.remove(executor_id);
            state.health.remove(executor_id);
            state.homes.retain(|_, home| home.executor != executor_id);
        }
        self.inner.remove_executor(executor_id).await
    }

    fn executor_heartbeats(&self) -> HashMap<String, ExecutorHeartbeat> {
        self.inner.executor_heartbeats()
    }

    fn get_executor_heartbeat(&self, executor_id: &str) -> Option<ExecutorHeartbeat> {
        self.inner.get_executor_heartbeat(executor_id)
    }

    async fn cluster_state_events(&self) -> Result<ClusterStateEventStream> {
        self.inner.cluster_state_events().await
    }
}

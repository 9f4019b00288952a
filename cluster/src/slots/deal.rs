//! Handing parts to executors, once and again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ballista_core::JobId;
use ballista_core::serde::protobuf::failed_task::FailedReason;
use ballista_core::serde::protobuf::{FailedTask, TaskKilled, TaskStatus, task_status};
use ballista_core::serde::scheduler::{ExecutorMetadata, TaskKey};
use ballista_scheduler::cluster::{BoundTask, ClusterState};
use ballista_scheduler::state::execution_graph::{
    ExecutionGraphBox, TaskDescription, create_task_info,
};
use ballista_scheduler::state::execution_stage::{ExecutionStage, RunningStage};
use ballista_scheduler::state::task_manager::JobInfoCache;

use super::Slots;
use super::state::State;
use super::stragglers::{Dealt, Late};
use crate::node::{JobExec, Label};
use crate::{Digest, MESSAGE};

/// A part waits so long for the executor that has its rows before another may take it.
const PATIENCE: Duration = Duration::from_millis(300);

/// Bytes of tasks that an executor is handed at once: what a message holds, less some room.
pub(super) const HANDFUL: usize = MESSAGE - (1 << 20);
/// Bytes of a task beside its job and part.
const TASK: usize = 64 << 10;

/// What an executor can take at a deal.
#[derive(Clone, Copy)]
pub(super) struct Free {
    pub slots: u32,
    /// Bytes.
    pub room: usize,
}

impl Free {
    fn fits(&self, bytes: usize) -> bool {
        self.slots > 0 && self.room >= bytes
    }
}

/// The executor with most slots among those that can take so many bytes.
fn roomiest(free: &BTreeMap<String, Free>, bytes: usize, but: Option<&str>) -> Option<String> {
    free.iter()
        .filter(|(id, f)| f.fits(bytes) && but != Some(id.as_str()))
        .max_by_key(|(_, f)| f.slots)
        .map(|(id, _)| id.clone())
}

/// A job that has parts to deal.
pub(super) struct Candidate {
    pub id: JobId,
    pub info: JobInfoCache,
    pub label: Arc<Label>,
    pub submitted: Instant,
    pub running: usize,
    /// Running ones and those that ended.
    pub tasks: usize,
}

/// Hands one part of a stage to an executor, if one fits; tells whether it did.
pub(super) fn deal_one(
    state: &mut State,
    free: &mut BTreeMap<String, Free>,
    stage: &mut RunningStage,
    job: &Candidate,
    session: &str,
    bound: &mut Vec<BoundTask>,
) -> bool {
    let mut pending = stage.pending.next_slice(usize::MAX);
    let bytes = job.label.bytes + TASK;
    let rows = rows_of(stage, job);
    let mut taken = None;
    for (at, &part) in pending.iter().enumerate() {
        let waited = |state: &mut State| {
            let since = state
                .waiting
                .entry((job.id.clone(), part))
                .or_insert_with(Instant::now);
            since.elapsed()
        };
        let home = rows.and_then(|rows| state.home_of(&(rows, part)));
        let executor = match home {
            Some(home) if free.get(&home).is_some_and(|f| f.fits(bytes)) => Some(home),
            Some(_) if waited(state) < PATIENCE => None,
            // Nobody has its rows, or who has them is busy for too long: the one with most room.
            _ => roomiest(free, bytes, None),
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
    if let Some(rows) = rows {
        state.move_in((rows, part), &executor);
    }
    let dealt = Dealt {
        executor,
        rows,
        part,
        since: Instant::now(),
        instead_of: None,
    };
    bound.push(hand_out(state, free, stage, job, session, dealt));
    true
}

/// What the rows of a stage's parts belong to. Groups have no rows that wait for them anywhere.
fn rows_of(stage: &RunningStage, job: &Candidate) -> Option<Digest> {
    let node = JobExec::inside(&stage.plan)?;
    node.role.has_rows().then_some(job.label.affinity)
}

/// Writes down that an executor has a part now; the task for it.
fn hand_out(
    state: &mut State,
    free: &mut BTreeMap<String, Free>,
    stage: &mut RunningStage,
    job: &Candidate,
    session: &str,
    dealt: Dealt,
) -> BoundTask {
    let (part, executor) = (dealt.part, dealt.executor.clone());
    if let Some(free) = free.get_mut(&executor) {
        free.slots -= 1;
        free.room = free.room.saturating_sub(job.label.bytes + TASK);
    }
    let task_id = stage.task_infos.len();
    let mut info = create_task_info(executor.clone(), task_id);
    info.global_input_partition_ids = vec![part];
    info.vcores_consumed = 1;
    stage.task_infos.push(info);
    let key = (job.id.clone(), stage.stage_id, task_id);
    state.stragglers.deal(key, dealt);
    let task = TaskDescription {
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
    };
    (executor, task)
}

/// The stage of a task that is at work. Ballista lends out stages that have parts to deal, and no others: so the task is said to be
/// killed, which puts its part among those to deal, and stands as before when this returns. The part is taken out again.
fn stage_of<'a>(
    graph: &'a mut ExecutionGraphBox,
    executor: &ExecutorMetadata,
    late: &Late,
) -> Option<&'a mut RunningStage> {
    let job_id = graph.job_id().to_string();
    let ExecutionStage::Running(stage) = graph.stages().get(&late.stage)? else {
        return None;
    };
    let info = stage.task_infos.get(late.task)?.clone();
    let at_work = matches!(info.task_status, task_status::Status::Running(_));
    if !at_work || graph.available_tasks() > 0 {
        return None;
    }
    let failures = stage.task_failure_numbers.clone();
    let killed = TaskStatus {
        task_id: late.task as u32,
        job_id,
        stage_id: late.stage as u32,
        stage_attempt_num: stage.stage_attempt_num as u32,
        status: Some(task_status::Status::Failed(FailedTask {
            error: "late".to_owned(),
            retryable: true,
            count_to_failures: false,
            failed_reason: Some(FailedReason::TaskKilled(TaskKilled {})),
        })),
        ..TaskStatus::default()
    };
    if let Err(e) = graph.update_task_status(executor, vec![killed], usize::MAX, usize::MAX) {
        tracing::warn!("part {} cannot be run twice: {e}", late.part);
        return None;
    }
    let stage = graph.fetch_running_stage(&[])?;
    if stage.stage_id != late.stage {
        return None;
    }
    stage.task_infos[late.task] = info;
    stage.task_failure_numbers = failures;
    stage.pending.next_slice(usize::MAX);
    Some(stage)
}

impl Slots {
    /// Runs late parts a second time, on executors that nothing else is for.
    pub(super) async fn run_twice(
        &self,
        candidates: &[Candidate],
        free: &mut BTreeMap<String, Free>,
        bound: &mut Vec<BoundTask>,
    ) {
        if !self.lock().stragglers.any_long() {
            return;
        }
        for job in candidates {
            let late = self.lock().stragglers.late(&job.id, &job.label);
            for late in late {
                let bytes = job.label.bytes + TASK;
                let Some(executor) = roomiest(free, bytes, Some(&late.executor)) else {
                    continue;
                };
                let Ok(meta) = self.inner.get_executor_metadata(&late.executor).await else {
                    continue;
                };
                let mut graph = job.info.execution_graph.write().await;
                let session = graph.session_id().to_owned();
                let Some(stage) = stage_of(&mut graph, &meta, &late) else {
                    continue;
                };
                tracing::warn!(
                    "part {} of job `{}` is late on {}; {executor} computes it too",
                    late.part,
                    job.label.name,
                    late.executor
                );
                let dealt = Dealt {
                    executor,
                    rows: rows_of(stage, job),
                    part: late.part,
                    since: Instant::now(),
                    instead_of: Some(late.executor),
                };
                let mut state = self.lock();
                bound.push(hand_out(&mut state, free, stage, job, &session, dealt));
            }
        }
    }
}

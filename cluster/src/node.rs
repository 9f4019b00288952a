//! The node of our plans: it stands above a leaf of descriptor rows, one a part, and turns each into an answer. Where parts send to
//! groups, it stands there twice: below Ballista's shuffle it sends, above it makes the answers of groups.
//!
//! Ballista ships every task a plan whose leaves are cut down to the parts of the task, and knows how to cut leaves in memory. So
//! a part knows itself by the row below it, never by its partition number, which is 0 in every task.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ballista_core::serde::BallistaPhysicalExtensionCodec;
use datafusion::arrow::array::{AsArray, BinaryBuilder, RecordBatch, StringArray, UInt32Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning,
    PlanProperties, SendableRecordBatchStream,
};
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};
use futures::StreamExt;
use serde::{Deserialize, Serialize};

use crate::desk::Blobs;
use crate::exchange::{Received, sent, sent_schema};
use crate::{Digest, Job, PIECE, Task, Worker, hex};

const MAGIC: &[u8; 8] = b"EMBJOB01";

/// How a task that found bytes missing at the desk says so; the digest follows.
pub(crate) const MISSING: &str = "emberline-missing:";

/// What the scheduler may know of a job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Label {
    pub name: String,
    pub run: String,
    pub pool: String,
    pub affinity: Digest,
    /// What the largest part and what all share have in bytes.
    pub bytes: usize,
}

/// What a node does with its rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Role {
    /// Answers each part.
    Answer,
    /// Has each part send to so many groups.
    Scatter(usize),
    /// Answers each group, once it heard of so many parts.
    Gather(usize),
}

impl Role {
    /// Whether its parts have rows, which are kept somewhere.
    pub(crate) fn has_rows(self) -> bool {
        !matches!(self, Self::Gather(_))
    }

    fn schema(self) -> SchemaRef {
        match self {
            Self::Scatter(_) => sent_schema(),
            Self::Answer | Self::Gather(_) => answer_schema(),
        }
    }
}

/// Who computes in this process; driver and scheduler have nobody.
pub(crate) struct Bench {
    pub executor: String,
    pub worker: Arc<dyn Worker>,
    pub blobs: Blobs,
}

/// Turns descriptor rows into answers.
pub(crate) struct JobExec {
    input: Arc<dyn ExecutionPlan>,
    pub role: Role,
    pub label: Arc<Label>,
    payload: Arc<[u8]>,
    bench: Option<Arc<Bench>>,
    properties: Arc<PlanProperties>,
}

impl fmt::Debug for JobExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobExec({:?})", self.label)
    }
}

fn part_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("part", DataType::UInt32, false),
        Field::new("descriptor", DataType::Binary, false),
    ]))
}

/// Answers come in pieces: number of the part, the piece, and who computed it.
fn answer_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("part", DataType::UInt32, false),
        Field::new("piece", DataType::Binary, false),
        Field::new("executor", DataType::Utf8, false),
    ]))
}

impl JobExec {
    fn over(
        input: Arc<dyn ExecutionPlan>,
        role: Role,
        label: Arc<Label>,
        payload: Arc<[u8]>,
        bench: Option<Arc<Bench>>,
    ) -> Self {
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(role.schema()),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            EmissionType::Final,
            Boundedness::Bounded,
        ));
        Self {
            input,
            role,
            label,
            payload,
            bench,
            properties,
        }
    }

    /// The plan of a job, for these answers: parts by number, or groups, which need all parts.
    pub(crate) fn plan(job: &Job, open: &[usize]) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..job.parts.len()).collect();
        let parts = if job.groups == 0 { open } else { &all };
        let rows = parts
            .iter()
            .map(|&i| {
                let mut descriptor = BinaryBuilder::new();
                descriptor.append_value(&job.parts[i]);
                let batch = RecordBatch::try_new(
                    part_schema(),
                    vec![
                        Arc::new(UInt32Array::from(vec![i as u32])),
                        Arc::new(descriptor.finish()),
                    ],
                )?;
                Ok(vec![batch])
            })
            .collect::<Result<Vec<_>>>()?;
        let leaf = MemorySourceConfig::try_new(&rows, part_schema(), None)?;
        let leaf = DataSourceExec::from_data_source(leaf);
        let label = Label {
            name: job.name.clone(),
            run: job.run.clone(),
            pool: job.pool.clone(),
            affinity: job.affinity,
            bytes: job.payload.len() + job.parts.iter().map(Vec::len).max().unwrap_or(0),
        };
        let label = Arc::new(label);
        let over = |input, role| -> Arc<dyn ExecutionPlan> {
            let (label, payload) = (label.clone(), job.payload.clone());
            Arc::new(Self::over(input, role, label, payload, None))
        };
        if job.groups == 0 {
            return Ok(over(leaf, Role::Answer));
        }
        let scatter = over(leaf, Role::Scatter(job.groups));
        let group: Arc<dyn PhysicalExpr> = Arc::new(Column::new("group", 0));
        let tasks = job.parts.len().clamp(1, job.groups);
        let shuffle = RepartitionExec::try_new(scatter, Partitioning::Hash(vec![group], tasks))?;
        Ok(over(Arc::new(shuffle), Role::Gather(job.parts.len())))
    }

    /// The node inside a stage's plan.
    pub(crate) fn inside(plan: &Arc<dyn ExecutionPlan>) -> Option<&Self> {
        let any: &dyn Any = plan.as_ref();
        if let Some(node) = any.downcast_ref::<Self>() {
            return Some(node);
        }
        plan.children().into_iter().find_map(Self::inside)
    }

    fn encode(&self, bytes: &mut Vec<u8>) -> Result<()> {
        let label = postcard::to_allocvec(&(&*self.label, self.role))
            .map_err(|e| DataFusionError::Execution(e.to_string()))?;
        bytes.extend_from_slice(MAGIC);
        bytes.extend((label.len() as u32).to_le_bytes());
        bytes.extend(label);
        bytes.extend_from_slice(&self.payload);
        Ok(())
    }

    fn decode(
        bytes: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        bench: Option<Arc<Bench>>,
    ) -> Result<Self> {
        let bad = || DataFusionError::Execution("a job is cut short".to_owned());
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(bad)?;
        let (n, rest) = rest.split_first_chunk::<4>().ok_or_else(bad)?;
        let (label, payload) = rest
            .split_at_checked(u32::from_le_bytes(*n) as usize)
            .ok_or_else(bad)?;
        let (label, role): (Label, Role) =
            postcard::from_bytes(label).map_err(|e| DataFusionError::Execution(e.to_string()))?;
        let [input] = inputs else {
            return exec_err!("a job has one input, this one has {}", inputs.len());
        };
        Ok(Self::over(
            input.clone(),
            role,
            Arc::new(label),
            payload.into(),
            bench,
        ))
    }
}

impl DisplayAs for JobExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "JobExec: {}, {:?}, run={}, {} bytes",
            self.label.name,
            self.role,
            self.label.run,
            self.payload.len()
        )
    }
}

impl ExecutionPlan for JobExec {
    fn name(&self) -> &str {
        "JobExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(input) = children.pop() else {
            return exec_err!("a job has one input");
        };
        Ok(Arc::new(Self::over(
            input,
            self.role,
            self.label.clone(),
            self.payload.clone(),
            self.bench.clone(),
        )))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let Some(bench) = self.bench.clone() else {
            return exec_err!("jobs are computed by executors alone");
        };
        let mut rows = self.input.execute(partition, context)?;
        let (role, payload) = (self.role, self.payload.clone());
        // Dropped with the stream: when the task is cancelled, or its job is.
        let wanted = Wanted::default();
        let answers = async move {
            let wanted = wanted;
            let station = Station {
                bench,
                payload,
                cancelled: wanted.0.clone(),
            };
            let mut batches = Vec::new();
            let mut received = Received::default();
            while let Some(batch) = rows.next().await {
                let batch = batch?;
                match role {
                    Role::Gather(_) => received.add(&batch),
                    Role::Answer | Role::Scatter(_) => {
                        let numbers = batch.column(0).as_primitive::<UInt32Type>();
                        let descriptors = batch.column(1).as_binary::<i32>();
                        for i in 0..batch.num_rows() {
                            let part = descriptors.value(i).to_vec();
                            batches.extend(station.part(role, numbers.value(i), part).await?);
                        }
                    }
                }
            }
            if let Role::Gather(n_parts) = role {
                for (group, sent) in received.groups(n_parts)? {
                    batches.extend(station.group(group, sent).await?);
                }
            }
            Ok::<_, DataFusionError>(batches)
        };
        let flow = futures::stream::once(answers)
            .map(|outcome| match outcome {
                Ok(batches) => {
                    futures::stream::iter(batches.into_iter().map(Ok).collect::<Vec<_>>())
                }
                Err(e) => futures::stream::iter(vec![Err(e)]),
            })
            .flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(role.schema(), flow)))
    }
}

/// Where the work of a task is done.
struct Station {
    bench: Arc<Bench>,
    payload: Arc<[u8]>,
    cancelled: Arc<AtomicBool>,
}

impl Station {
    async fn part(&self, role: Role, number: u32, part: Vec<u8>) -> Result<Vec<RecordBatch>> {
        if let Role::Scatter(groups) = role {
            let pieces = self
                .work(part, move |worker, task| worker.scatter(task, groups))
                .await?;
            return sent(number, &pieces);
        }
        let answer = self.work(part, |worker, task| worker.compute(task)).await?;
        pieces(number, &answer, &self.bench.executor)
    }

    async fn group(&self, group: u32, sent: Vec<Vec<u8>>) -> Result<Vec<RecordBatch>> {
        let answer = self
            .work(Vec::new(), move |worker, task| {
                worker.gather(task, group as usize, &sent)
            })
            .await?;
        pieces(group, &answer, &self.bench.executor)
    }

    /// Lets the worker work, on a thread that may block.
    async fn work<T: Send + 'static>(
        &self,
        part: Vec<u8>,
        f: impl FnOnce(&dyn Worker, &Task<'_>) -> T + Send + 'static,
    ) -> Result<T> {
        let (bench, payload) = (self.bench.clone(), self.payload.clone());
        let cancelled = self.cancelled.clone();
        let work = move || {
            let missing = Mutex::default();
            let done = f(
                &*bench.worker,
                &Task {
                    payload: &payload,
                    part: &part,
                    cancelled: &cancelled,
                    desk: &bench.blobs,
                    missing: &missing,
                },
            );
            match missing.into_inner().unwrap_or_else(PoisonError::into_inner) {
                None => Ok(done),
                Some(digest) => exec_err!("{MISSING}{}", hex(&digest)),
            }
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            // Counted as passing, so that the part is tried elsewhere before the job fails.
            Err(e) => Err(DataFusionError::IoError(std::io::Error::other(panic_text(
                e,
            )))),
        }
    }
}

/// Set when it is dropped.
#[derive(Default)]
struct Wanted(Arc<AtomicBool>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn panic_text(error: tokio::task::JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else {
        return "the task was stopped".to_owned();
    };
    let text = panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    format!("the task panicked: {}", text.unwrap_or_default())
}

/// An answer as batches of one row, each well under the limit of a message.
fn pieces(part: u32, answer: &[u8], executor: &str) -> Result<Vec<RecordBatch>> {
    let n = answer.len().div_ceil(PIECE).max(1);
    (0..n)
        .map(|i| {
            let end = answer.len().min((i + 1) * PIECE);
            let mut piece = BinaryBuilder::new();
            piece.append_value(&answer[i * PIECE..end]);
            Ok(RecordBatch::try_new(
                answer_schema(),
                vec![
                    Arc::new(UInt32Array::from(vec![part])),
                    Arc::new(piece.finish()),
                    Arc::new(StringArray::from(vec![executor])),
                ],
            )?)
        })
        .collect()
}

/// A part as it came back.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub number: usize,
    pub answer: Vec<u8>,
    pub executor: String,
}

/// Puts the pieces of answers together again, in the order in which they came.
pub(crate) fn join(batches: &[RecordBatch]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for batch in batches {
        let numbers = batch.column(0).as_primitive::<UInt32Type>();
        let pieces = batch.column(1).as_binary::<i32>();
        let executors = batch.column(2).as_string::<i32>();
        for i in 0..batch.num_rows() {
            let number = numbers.value(i) as usize;
            match parts.last_mut().filter(|p| p.number == number) {
                Some(part) => part.answer.extend_from_slice(pieces.value(i)),
                None => parts.push(Part {
                    number,
                    answer: pieces.value(i).to_vec(),
                    executor: executors.value(i).to_owned(),
                }),
            }
        }
    }
    parts
}

/// The one codec that driver, scheduler and executors share: our node first, Ballista's own otherwise.
#[derive(Default)]
pub(crate) struct Codec {
    inner: BallistaPhysicalExtensionCodec,
    bench: Option<Arc<Bench>>,
}

impl Codec {
    /// The codec of a process that computes.
    pub(crate) fn of(bench: Arc<Bench>) -> Self {
        Self {
            inner: BallistaPhysicalExtensionCodec::default(),
            bench: Some(bench),
        }
    }
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Codec")
    }
}

impl PhysicalExtensionCodec for Codec {
    fn try_decode(
        &self,
        bytes: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if bytes.starts_with(MAGIC) {
            return Ok(Arc::new(JobExec::decode(
                bytes,
                inputs,
                self.bench.clone(),
            )?));
        }
        self.inner.try_decode(bytes, inputs, context, converter)
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        bytes: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        let any: &dyn Any = node.as_ref();
        if let Some(job) = any.downcast_ref::<JobExec>() {
            return job.encode(bytes);
        }
        self.inner.try_encode(node, bytes, converter)
    }
}

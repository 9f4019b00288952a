//! The side that computes: reads datasets from their recipes, keeps blocks, does the parts of jobs.

mod exchange;
mod holdings;
mod keep;

use std::any::Any;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use emberline_datasets::write::write_part;
use emberline_datasets::{Batch, DataError, Dataset, Held, Memory};
use rayon::prelude::*;
use serde::Serialize;
use serde_bytes::ByteBuf;

use self::holdings::{Opened, Place, Reread};
use self::keep::Keep;
use super::BlobId;
use super::job::{
    Answer, Blocks, Failure, Job, Part, Payload, Pinned as Facts, Reply, Task, unexpected,
};
use crate::engine::bytes::{from_bytes, to_bytes};
use crate::engine::jobs::Jobs;
use crate::engine::pinned::Pinned;
use crate::engine::round::{BlockSource, Boxed};
use crate::engine::tree::{Node, cover, reduce};
use crate::registry::Registry;
use crate::run::Cancel;
use crate::{Error, Result};

/// Datasets and shared work that are kept at the same time.
const MOST_DATASETS: usize = 64;
const MOST_SHARED: usize = 2;

/// Where bytes that a driver laid ready are fetched.
pub trait Blobs: Sync {
    /// The bytes of that digest.
    ///
    /// # Errors
    /// They are not there, or cannot be fetched.
    fn get(&self, id: &BlobId) -> Result<Arc<[u8]>>;
}

/// A process that computes parts of jobs. Blocks and rows are kept under a memory limit; blocks that find no room beside the others
/// of their dataset lie on disk, and rows are read from their source again.
pub struct Host {
    registry: Registry,
    jobs: Jobs,
    pool: rayon::ThreadPool,
    memory: Memory,
    blobs: Keep<BlobId, Arc<[u8]>>,
    sources: Keep<BlobId, Dataset>,
    rows: Keep<BlobId, Arc<Opened>>,
    partitions: Keep<Place, Arc<Pinned>>,
    shared: Keep<[BlobId; 2], Arc<Shared>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What pieces of work share, and its bytes.
type Shared = (Box<dyn Any + Send + Sync>, Held);

/// What a host holds, for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostStatus {
    /// Threads that compute.
    pub threads: usize,
    /// Partitions of blocks that are kept.
    pub partitions: usize,
    /// Rows of them.
    pub rows: u64,
    /// Blocks of them that lie on disk.
    pub spilled_blocks: usize,
    /// Bytes of memory that are held; `None` without a limit.
    pub held: Option<u64>,
    /// The memory limit in bytes, if there is one.
    pub memory_limit: Option<u64>,
    /// Parts whose blocks were there already.
    pub hits: u64,
    /// Parts whose blocks had to be made.
    pub misses: u64,
}

impl Host {
    /// A host with `threads` threads (0: one a core) and a memory limit in bytes (`None`: no limit).
    ///
    /// # Errors
    /// The threads cannot be started.
    pub fn new(registry: Registry, threads: usize, memory_limit: Option<u64>) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("emberline-{i}"))
            .build()
            .map_err(|e| Error::Engine(format!("cannot start {threads} threads: {e}")))?;
        Ok(Self {
            jobs: registry.jobs(),
            registry,
            pool,
            memory: Memory::limited(memory_limit),
            blobs: Keep::new(MOST_DATASETS),
            sources: Keep::new(MOST_DATASETS),
            rows: Keep::new(MOST_DATASETS),
            partitions: Keep::new(usize::MAX),
            shared: Keep::new(MOST_SHARED),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        })
    }

    /// Computes a part of a job. The answer tells of errors too: it is always sent back.
    #[must_use]
    pub fn compute(&self, job: &[u8], part: &[u8], blobs: &dyn Blobs, cancel: &Cancel) -> Vec<u8> {
        let mut kept = None;
        let outcome = self
            .answer(job, part, blobs, cancel, &mut kept)
            .map_err(Failure::from);
        to_bytes(&Reply { kept, outcome }).unwrap_or_default()
    }

    /// What is held now.
    #[must_use]
    pub fn status(&self) -> HostStatus {
        let partitions = self.partitions.values();
        HostStatus {
            threads: self.pool.current_num_threads(),
            partitions: partitions.len(),
            rows: partitions.iter().map(|p| p.n_rows()).sum(),
            spilled_blocks: partitions.iter().map(|p| p.n_spilled()).sum(),
            held: self
                .memory
                .limit()
                .zip(self.memory.free())
                .map(|(limit, free)| limit - free),
            memory_limit: self.memory.limit(),
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }

    fn answer(
        &self,
        job: &[u8],
        part: &[u8],
        blobs: &dyn Blobs,
        cancel: &Cancel,
        kept: &mut Option<bool>,
    ) -> Result<Answer> {
        let job: Job = from_bytes("job", job)?;
        let part: Part = from_bytes("part", part)?;
        self.forget(&job.forget);
        let load = |payload: &Payload| self.load(payload, blobs);
        match (&job.task, part) {
            (Task::Pin, Part::Chunks { chunks, .. }) => self.pin(job.rows, chunks, blobs, cancel),
            (
                Task::Blocks { round, n_blocks },
                Part::Chunks {
                    chunks,
                    first_block,
                },
            ) => {
                let round = self
                    .jobs
                    .round_over_blocks(&round.name, &load(&round.state)?)?;
                let (pinned, made) = self.partition(job.rows, &chunks, blobs, cancel)?;
                *kept = Some(made.is_none());
                let units = first_block..first_block + pinned.n_blocks();
                self.nodes(
                    units,
                    *n_blocks,
                    &|i| pinned.map_block(i - first_block, &*round).map(Some),
                    &|a, b| round.merge_erased(a, b),
                    &|partial| round.save_erased(partial),
                    cancel,
                )
            }
            (
                Task::Batches {
                    columns,
                    round,
                    n_chunks,
                },
                Part::Chunks { chunks, .. },
            ) => {
                let round = self
                    .jobs
                    .round_over_batches(&round.name, &load(&round.state)?)?;
                let rows = self.open(job.rows, blobs)?;
                let map = |i: usize| {
                    let batch: Batch = rows.data.read(i, Some(columns))?;
                    if batch.num_rows() == 0 {
                        return Ok(None);
                    }
                    round.map_erased(&batch, &mut None).map(Some)
                };
                self.nodes(
                    chunks,
                    *n_chunks,
                    &map,
                    &|a, b| round.merge_erased(a, b),
                    &|partial| round.save_erased(partial),
                    cancel,
                )
            }
            (
                Task::Write { folder, format },
                Part::Chunks {
                    chunks,
                    first_block: number,
                },
            ) => {
                let rows = self.open(job.rows, blobs)?;
                let check = || cancel.check().map_err(|_| DataError::Cancelled);
                let write = || write_part(&rows.data, chunks, folder, number, *format, &check);
                Ok(Answer::Written(self.pool.install(write)?))
            }
            (Task::Pieces { work, blocks }, Part::Pieces(pieces)) => {
                let state = load(&work.state)?;
                let key = [job.rows, super::digest(&state)];
                let work = self.jobs.work_of(&work.name, &state)?;
                let rows = self.open(job.rows, blobs)?;
                let shared = self.shared.get_or_make(&key, || {
                    let blocks: Blocks = from_bytes("blocks", &load(blocks)?)?;
                    let source = Reread {
                        rows: &rows,
                        spec: rows.spec()?,
                        blocks,
                        cancel,
                    };
                    let held = self.hold(work.shared_bytes(source.n_rows()), None)?;
                    let shared = self.pool.install(|| work.gather_erased(&source))?;
                    Ok(Arc::new((shared, held)))
                })?;
                let run = |i: u64| {
                    cancel.check()?;
                    let output = work.run_erased(i, &*shared.0)?;
                    Ok(ByteBuf::from(work.save_erased(&output)?))
                };
                let outputs: Vec<Result<ByteBuf>> = self.pool.install(|| {
                    let pieces: Vec<u64> = pieces.collect();
                    pieces.into_par_iter().with_max_len(1).map(run).collect()
                });
                Ok(Answer::Outputs(outputs.into_iter().collect::<Result<_>>()?))
            }
            _ => unexpected(),
        }
    }

    /// The partials of the largest nodes inside a range of units.
    fn nodes(
        &self,
        units: Range<usize>,
        n: usize,
        map: &(dyn Fn(usize) -> Result<Option<Boxed>> + Sync),
        merge: &(dyn Fn(Boxed, Boxed) -> Boxed + Sync),
        save: &(dyn Fn(&Boxed) -> Result<Vec<u8>> + Sync),
        cancel: &Cancel,
    ) -> Result<Answer> {
        let map = |i: usize| {
            cancel.check()?;
            map(i)
        };
        let of = |node: Node| -> Result<(Node, Option<ByteBuf>)> {
            let partial = reduce(node, n, &map, &|a, b| merge(a, b))?;
            let bytes = partial.as_ref().map(save).transpose()?;
            Ok((node, bytes.map(ByteBuf::from)))
        };
        let nodes: Vec<Result<_>> = self
            .pool
            .install(|| cover(&units, n).into_par_iter().map(of).collect());
        Ok(Answer::Nodes(nodes.into_iter().collect::<Result<_>>()?))
    }

    fn pin(
        &self,
        rows: BlobId,
        chunks: Range<usize>,
        blobs: &dyn Blobs,
        cancel: &Cancel,
    ) -> Result<Answer> {
        let opened = self.open(rows, blobs)?;
        let (pinned, counts) = self.partition(rows, &chunks, blobs, cancel)?;
        let slots = match (chunks.start, chunks.is_empty()) {
            (_, true) => Vec::new(),
            (first, false) => {
                let spec = opened.spec()?;
                let name = std::slice::from_ref(&spec.features);
                let batch = self.pool.install(|| opened.data.read(first, Some(name)))?;
                let column = batch.schema().get(&spec.features);
                column.map(|c| c.slots.to_vec()).unwrap_or_default()
            }
        };
        let counts = match counts {
            Some(counts) => counts,
            // The blocks were there already: which chunks they came from is counted again.
            None => {
                let count = |i: usize| {
                    let batch = opened.data.read(i, Some(&opened.spec()?.columns()))?;
                    Ok(batch.num_rows() as u64)
                };
                self.pool
                    .install(|| chunks.into_par_iter().map(count).collect::<Result<_>>())?
            }
        };
        Ok(Answer::Pinned(Facts {
            rows: counts,
            width: (pinned.n_blocks() > 0).then(|| pinned.n_features()),
            slots,
        }))
    }
}

//! The side that computes: reads datasets from their recipes, keeps blocks, does the parts of jobs.

use std::any::Any;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use emberline_datasets::write::write_part;
use emberline_datasets::{Batch, Block, BlockSpec, DataError, Dataset, Memory};
use rayon::prelude::*;
use serde::Serialize;

use super::job::{
    Answer, Blocks, Failure, Job, Part, Payload, Pinned as Facts, Reply, Rows, Sent, Task,
    unexpected,
};
use super::{BlobId, block_of};
use crate::engine::bytes::{from_bytes, to_bytes};
use crate::engine::jobs::Jobs;
use crate::engine::pinned::{Pinned, PinnedBuilder};
use crate::engine::round::{BlockSource, Boxed};
use crate::engine::tree::{Node, cover, reduce};
use crate::registry::Registry;
use crate::run::Cancel;
use crate::{Error, Result};

/// What is kept for rows that nobody asked about for so long is let go.
const IDLE: Duration = Duration::from_secs(900);

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
    shared: Keep<[BlobId; 2], Arc<dyn Any + Send + Sync>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// A dataset as opened here.
struct Opened {
    data: Dataset,
    spec: Option<BlockSpec>,
}

/// Blocks of some chunks of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    rows: BlobId,
    start: usize,
    end: usize,
}

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

    /// What a part of a job sends to the job's groups, in their order. Tells of errors too: something always goes to every group.
    #[must_use]
    pub fn scatter(
        &self,
        job: &[u8],
        part: &[u8],
        groups: usize,
        blobs: &dyn Blobs,
        cancel: &Cancel,
    ) -> Vec<Vec<u8>> {
        let first_block = match from_bytes("part", part) {
            Ok(Part::Chunks { first_block, .. }) => first_block,
            _ => 0,
        };
        let pieces = match self.pieces(job, part, groups, blobs, cancel) {
            Ok(pieces) => pieces.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(Failure::from(error)); groups],
        };
        let sent = pieces.into_iter().map(|piece| Sent { first_block, piece });
        sent.map(|sent| to_bytes(&sent).unwrap_or_default())
            .collect()
    }

    /// The answer of a group, from what all parts sent to it, in any order.
    #[must_use]
    pub fn gather(
        &self,
        job: &[u8],
        group: usize,
        sent: &[Vec<u8>],
        blobs: &dyn Blobs,
        cancel: &Cancel,
    ) -> Vec<u8> {
        let outcome = self
            .output(job, group, sent, blobs, cancel)
            .map_err(Failure::from);
        let reply = Reply {
            kept: None,
            outcome,
        };
        to_bytes(&reply).unwrap_or_default()
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
                    let shared = self.pool.install(|| work.gather_erased(&source))?;
                    Ok(Arc::from(shared))
                })?;
                let run = |i: u64| {
                    cancel.check()?;
                    work.save_erased(&work.run_erased(i, &*shared)?)
                };
                let outputs: Vec<Result<Vec<u8>>> = self.pool.install(|| {
                    let pieces: Vec<u64> = pieces.collect();
                    pieces.into_par_iter().with_max_len(1).map(run).collect()
                });
                Ok(Answer::Outputs(outputs.into_iter().collect::<Result<_>>()?))
            }
            _ => unexpected(),
        }
    }

    /// The pieces of a part, one a group.
    fn pieces(
        &self,
        job: &[u8],
        part: &[u8],
        groups: usize,
        blobs: &dyn Blobs,
        cancel: &Cancel,
    ) -> Result<Vec<Vec<u8>>> {
        let job: Job = from_bytes("job", job)?;
        let part: Part = from_bytes("part", part)?;
        self.forget(&job.forget);
        let (Task::Exchange { exchange, .. }, Part::Chunks { chunks, .. }) = (&job.task, part)
        else {
            return unexpected();
        };
        let state = self.load(&exchange.state, blobs)?;
        let exchange = self.jobs.exchange_of(&exchange.name, &state)?;
        let (pinned, _) = self.partition(job.rows, &chunks, blobs, cancel)?;
        cancel.check()?;
        let pieces = self.pool.install(|| exchange.scatter_erased(&*pinned))?;
        if pieces.len() != groups {
            return unexpected();
        }
        Ok(pieces)
    }

    fn output(
        &self,
        job: &[u8],
        group: usize,
        sent: &[Vec<u8>],
        blobs: &dyn Blobs,
        cancel: &Cancel,
    ) -> Result<Answer> {
        let job: Job = from_bytes("job", job)?;
        let Task::Exchange { exchange, n_parts } = &job.task else {
            return unexpected();
        };
        let sent = sent.iter().map(|bytes| from_bytes("piece", bytes));
        let mut sent: Vec<Sent> = sent.collect::<Result<_>>()?;
        // Parts without blocks begin where others do: their pieces are empty and need no place of their own.
        sent.sort_by_key(|sent| sent.first_block);
        if sent.len() != *n_parts {
            return Err(Error::Engine(format!(
                "group {group} got pieces of {} parts, there are {n_parts}",
                sent.len()
            )));
        }
        let state = self.load(&exchange.state, blobs)?;
        let exchange = self.jobs.exchange_of(&exchange.name, &state)?;
        cancel.check()?;
        let pieces = sent.into_iter().map(|sent| Ok(sent.piece?));
        let pieces: Vec<Vec<u8>> = pieces.collect::<Result<_>>()?;
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let output = self
            .pool
            .install(|| exchange.gather_erased(group, &pieces))?;
        Ok(Answer::Outputs(vec![output]))
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
        let of = |node: Node| -> Result<(Node, Option<Vec<u8>>)> {
            let partial = reduce(node, n, &map, &|a, b| merge(a, b))?;
            Ok((node, partial.as_ref().map(save).transpose()?))
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

    /// The blocks of these chunks; and the rows of each, where the blocks had to be made.
    fn partition(
        &self,
        rows: BlobId,
        chunks: &Range<usize>,
        blobs: &dyn Blobs,
        cancel: &Cancel,
    ) -> Result<(Arc<Pinned>, Option<Vec<u64>>)> {
        let place = Place {
            rows,
            start: chunks.start,
            end: chunks.end,
        };
        let mut counts = None;
        let opened = self.open(rows, blobs)?;
        let pinned = self.partitions.get_or_make(&place, || {
            let spec = opened.spec()?;
            let columns = spec.columns();
            let read = |i: usize| -> Result<(u64, Option<Block>)> {
                cancel.check()?;
                let batch = opened.data.read(i, Some(&columns))?;
                let n = batch.num_rows() as u64;
                Ok((n, (n > 0).then(|| spec.block(&batch)).transpose()?))
            };
            let mut found = Vec::with_capacity(chunks.len());
            let mut builder = PinnedBuilder::new(&self.memory);
            self.pool.install(|| {
                emberline_datasets::map_in_order(
                    chunks.len(),
                    |i| read(chunks.start + i),
                    |(n, block)| {
                        found.push(n);
                        let Some(block) = block else { return Ok(()) };
                        self.make_room(block.memory() as u64, rows);
                        builder.push(block)
                    },
                )
            })?;
            counts = Some(found);
            Ok(Arc::new(builder.finish(Arc::new([]))))
        })?;
        let counter = if counts.is_some() {
            &self.misses
        } else {
            &self.hits
        };
        counter.fetch_add(1, Ordering::Relaxed);
        Ok((pinned, counts))
    }

    /// Lets go of blocks of other datasets, those longest unused first, until so many bytes are free.
    fn make_room(&self, bytes: u64, rows: BlobId) {
        while self.memory.free().is_some_and(|free| free < bytes) {
            if !self.partitions.drop_oldest(|place| place.rows != rows) {
                return;
            }
        }
    }

    fn open(&self, rows: BlobId, blobs: &dyn Blobs) -> Result<Arc<Opened>> {
        self.rows.get_or_make(&rows, || {
            let Rows { recipe, spec } = from_bytes("rows", &self.blob(&rows, blobs)?)?;
            // As when a run is local, the other half is for blocks.
            let memory = self.memory.part(2);
            let source = self.sources.get_or_make(&recipe.source_print(), || {
                Ok(self.pool.install(|| recipe.open_source(&memory))?)
            })?;
            let read = |step: &_| self.jobs.read_step(step, &self.registry);
            let data = recipe.with_steps(&source, &read)?;
            Ok(Arc::new(Opened { data, spec }))
        })
    }

    fn load(&self, payload: &Payload, blobs: &dyn Blobs) -> Result<Arc<[u8]>> {
        match payload {
            Payload::Inline(bytes) => Ok(bytes.as_slice().into()),
            Payload::Blob(id) => self.blob(id, blobs),
        }
    }

    fn blob(&self, id: &BlobId, blobs: &dyn Blobs) -> Result<Arc<[u8]>> {
        self.blobs.get_or_make(id, || {
            let bytes = blobs.get(id)?;
            if super::digest(&bytes) == *id {
                return Ok(bytes);
            }
            Err(Error::Engine(
                "bytes of the driver arrived damaged; try again".to_owned(),
            ))
        })
    }

    fn forget(&self, done: &[BlobId]) {
        self.partitions
            .retain(|place, idle| !done.contains(&place.rows) && idle < IDLE);
        self.rows
            .retain(|rows, idle| !done.contains(rows) && idle < IDLE);
        self.shared
            .retain(|[rows, _], idle| !done.contains(rows) && idle < IDLE);
        self.blobs.retain(|_, idle| idle < IDLE);
        self.sources.retain(|_, idle| idle < IDLE);
    }
}

impl Opened {
    fn spec(&self) -> Result<&BlockSpec> {
        self.spec
            .as_ref()
            .ok_or_else(|| Error::Engine("the job names no features".to_owned()))
    }
}

/// All blocks of a dataset, made as they are asked for: who gathers them keeps something else.
struct Reread<'a> {
    rows: &'a Opened,
    spec: &'a BlockSpec,
    blocks: Blocks,
    cancel: &'a Cancel,
}

impl BlockSource for Reread<'_> {
    fn n_blocks(&self) -> usize {
        self.blocks.chunks.len()
    }

    fn n_rows(&self) -> u64 {
        self.blocks.rows
    }

    fn n_features(&self) -> usize {
        self.blocks.width
    }

    fn block(&self, i: usize) -> std::result::Result<Arc<Block>, DataError> {
        if self.cancel.is_cancelled() {
            return Err(DataError::Cancelled);
        }
        block_of(&self.rows.data, self.spec, &self.blocks, i)
    }
}

/// Values by key, made once each; those longest unused go first.
struct Keep<K, V> {
    most: usize,
    entries: Mutex<BTreeMap<K, Entry<V>>>,
}

struct Entry<V> {
    used: Instant,
    value: Arc<Mutex<Option<V>>>,
}

impl<K: Ord + Clone, V: Clone> Keep<K, V> {
    fn new(most: usize) -> Self {
        Self {
            most,
            entries: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<K, Entry<V>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value of a key. Two who ask for one that is not there do not both make it: the second waits. Must not be called from a
    /// thread of the pool, which may be what the maker waits for.
    fn get_or_make(&self, key: &K, make: impl FnOnce() -> Result<V>) -> Result<V> {
        let slot = {
            let mut entries = self.lock();
            while entries.len() >= self.most && !entries.contains_key(key) {
                let Some(oldest) = oldest(&entries, |_| true) else {
                    break;
                };
                entries.remove(&oldest);
            }
            let entry = entries.entry(key.clone()).or_insert_with(|| Entry {
                used: Instant::now(),
                value: Arc::default(),
            });
            entry.used = Instant::now();
            entry.value.clone()
        };
        let mut value = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = &*value {
            return Ok(value.clone());
        }
        let made = make()?;
        *value = Some(made.clone());
        Ok(made)
    }

    fn drop_oldest(&self, may_go: impl Fn(&K) -> bool) -> bool {
        let mut entries = self.lock();
        let oldest = oldest(&entries, may_go);
        oldest.is_some_and(|key| entries.remove(&key).is_some())
    }

    fn retain(&self, keep: impl Fn(&K, Duration) -> bool) {
        self.lock()
            .retain(|key, entry| keep(key, entry.used.elapsed()));
    }

    fn values(&self) -> Vec<V> {
        let slots: Vec<_> = self.lock().values().map(|e| e.value.clone()).collect();
        let ready = |slot: &Arc<Mutex<Option<V>>>| slot.try_lock().ok()?.clone();
        slots.iter().filter_map(ready).collect()
    }
}

fn oldest<K: Clone, V>(entries: &BTreeMap<K, Entry<V>>, may_go: impl Fn(&K) -> bool) -> Option<K> {
    let may_go = entries.iter().filter(|(key, _)| may_go(key));
    may_go
        .min_by_key(|(_, e)| e.used)
        .map(|(key, _)| key.clone())
}

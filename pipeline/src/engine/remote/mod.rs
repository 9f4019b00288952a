//! The engine whose rounds are computed by other processes.
//!
//! [`Remote`] is the driver's side: it writes rounds and datasets down, cuts the work into parts, and merges what comes back along the
//! canonical tree. [`Host`] is the other side: it reads a dataset from its recipe, keeps blocks, and computes. Between them is a
//! [`Carrier`], which knows of bytes alone: how they reach another process, and what happens when one dies, is its affair.
//!
//! Any host can do any part at any time: it reads what it does not have from the source again. So a carrier may repeat a part
//! elsewhere when a host is lost, and results stay equal to the bit.

mod host;
mod job;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use emberline_datasets::recipe::Recipe;
use emberline_datasets::write::Manifest;
use emberline_datasets::{
    Batch, Block, BlockSpec, DataError, Dataset, Format, Memory, Slot, files, spread,
};
use serde_bytes::ByteBuf;

use super::bytes::{from_bytes, to_bytes};
use super::exchange::ErasedExchange;
use super::pinned::{Elsewhere, unnamed_slots};
use super::round::{BlockSource, Boxed, ErasedRound, ErasedWork};
use super::tree::{Node, gather};
use super::{Engine, Local, Pinned};
use crate::Result;
use crate::event::{Event, PartComputed};
use crate::run::{Cancel, Run};

pub use host::{Blobs, Host, HostStatus};
pub use job::BlobId;
use job::{Answer, Blocks, Job, Named, Outcome, Part, Payload, Reply, Rows, Task, unexpected};

/// Bytes that still travel with each part of a job; longer ones are fetched by digest, once by each host.
const INLINE: usize = 64 << 10;

/// Pieces of work are asked for in so many turns: a checkpoint holds those of the turns that were taken.
const TURNS: usize = 8;

/// Brings work to other processes and their answers back.
pub trait Carrier: Send + Sync {
    /// Kind and size, for people: `cluster at http://127.0.0.1:50050, 2 executors, 4 cores`.
    fn describe(&self) -> String;

    /// The least that a host may keep in memory, in bytes; `None` without a limit.
    ///
    /// # Errors
    /// Nobody is there to compute.
    fn room(&self) -> Result<Option<u64>>;

    /// Parts that can be computed at the same time; at least 1.
    ///
    /// # Errors
    /// Nobody is there to compute.
    fn slots(&self) -> Result<usize>;

    /// Lays bytes ready for all hosts under their digest.
    ///
    /// # Errors
    /// They cannot be sent.
    fn put(&self, id: BlobId, bytes: Arc<[u8]>) -> Result<()>;

    /// Has every part of a request computed by a host ([`Host::compute`]) and returns the answers in the order of the parts. Where the
    /// request has groups, what [`Host::scatter`] gives for the parts is brought together by group, and the answers are those of
    /// [`Host::gather`], in the order of the groups.
    ///
    /// # Errors
    /// A part could not be computed anywhere, or `cancel` was thrown.
    fn carry(&self, request: &Request, cancel: &Cancel) -> Result<Vec<Carried>>;
}

/// An answer as it came back.
#[derive(Debug, Clone)]
pub struct Carried {
    /// Name of the process that computed it.
    pub by: String,
    /// What [`Host::compute`] or [`Host::gather`] gave.
    pub bytes: Vec<u8>,
}

/// Work to be done, as bytes.
#[derive(Debug, Clone)]
pub struct Request {
    /// Stage and round, for people.
    pub name: String,
    /// Counts the requests of an engine.
    pub number: u64,
    /// Parts of requests with equal keys are about the same rows, part by part: best computed where they were before.
    pub affinity: BlobId,
    /// What all parts share.
    pub job: Arc<[u8]>,
    /// The parts.
    pub parts: Vec<Vec<u8>>,
    /// Groups that the parts send to; 0 where each part is answered by itself.
    pub groups: usize,
}

/// The engine of several processes.
pub struct Remote {
    carrier: Arc<dyn Carrier>,
    /// For rows that lie in the driver's memory, and for what only the driver can do.
    local: Local,
    sent: Mutex<BTreeSet<BlobId>>,
    forget: Arc<Mutex<Vec<BlobId>>>,
    requests: AtomicU64,
    told: AtomicBool,
}

impl Remote {
    /// An engine over `carrier`; `threads` are the driver's own (0: one a core).
    #[must_use]
    pub fn new(carrier: Arc<dyn Carrier>, threads: usize) -> Self {
        Self {
            carrier,
            local: Local::new(threads),
            sent: Mutex::default(),
            forget: Arc::default(),
            requests: AtomicU64::new(0),
            told: AtomicBool::new(false),
        }
    }

    /// The recipe of a dataset; `None`, with a warning the first time, where only this process can read its rows.
    fn recipe(&self, data: &Dataset, run: &Run) -> Option<Recipe> {
        match data.recipe() {
            Ok(recipe) => Some(recipe),
            Err(why) => {
                if !self.told.swap(true, Ordering::Relaxed) {
                    run.warn(format!("computed by this process alone: {why}"));
                }
                None
            }
        }
    }

    fn put(&self, bytes: Vec<u8>) -> Result<BlobId> {
        let id = digest(&bytes);
        let lock = || self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if !lock().contains(&id) {
            self.carrier.put(id, bytes.into())?;
            lock().insert(id);
        }
        Ok(id)
    }

    fn payload(&self, bytes: Vec<u8>) -> Result<Payload> {
        Ok(if bytes.len() <= INLINE {
            Payload::Inline(bytes.into())
        } else {
            Payload::Blob(self.put(bytes)?)
        })
    }

    /// Has the parts of a task done; of several errors, that of the first part is returned.
    fn ask(
        &self,
        rows: BlobId,
        task: Task,
        name: &str,
        parts: &[Part],
        run: &Run,
    ) -> Result<Vec<Answer>> {
        self.ask_groups(rows, task, name, parts, 0, run)
    }

    /// As [`Remote::ask`], for the groups that the parts send to, where there are any.
    fn ask_groups(
        &self,
        rows: BlobId,
        task: Task,
        name: &str,
        parts: &[Part],
        groups: usize,
        run: &Run,
    ) -> Result<Vec<Answer>> {
        run.cancel.check()?;
        let forget =
            std::mem::take(&mut *self.forget.lock().unwrap_or_else(PoisonError::into_inner));
        let job = Job { forget, rows, task };
        let stage = run.stage();
        let request = Request {
            name: if stage.is_empty() {
                name.to_owned()
            } else {
                format!("{stage}: {name}")
            },
            number: self.requests.fetch_add(1, Ordering::Relaxed),
            affinity: rows,
            job: to_bytes(&job)?.into(),
            parts: parts.iter().map(to_bytes).collect::<Result<_>>()?,
            groups,
        };
        let n_answers = if groups == 0 { parts.len() } else { groups };
        let started = Instant::now();
        let carried = self.carrier.carry(&request, &run.cancel)?;
        if carried.len() != n_answers {
            return unexpected();
        }
        let mut computed = Vec::with_capacity(n_answers);
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(n_answers);
        for (part, Carried { by, bytes }) in carried.into_iter().enumerate() {
            let Reply { kept, outcome } = from_bytes("answer", &bytes)?;
            computed.push(PartComputed {
                part,
                executor: by,
                bytes: bytes.len() as u64,
                kept,
            });
            outcomes.push(outcome);
        }
        run.emit(&Event::JobComputed {
            stage: run.stage().to_owned(),
            job: name.to_owned(),
            seconds: started.elapsed().as_secs_f64(),
            bytes_sent: request.job.len() as u64,
            parts: computed,
        });
        outcomes.into_iter().map(|outcome| Ok(outcome?)).collect()
    }

    fn merge<U>(
        n: usize,
        answers: Vec<Answer>,
        round: &dyn ErasedRound<U>,
    ) -> Result<Option<Boxed>> {
        let mut nodes: Vec<(Node, Option<Boxed>)> = Vec::new();
        for answer in answers {
            let Answer::Nodes(found) = answer else {
                return unexpected();
            };
            for (node, bytes) in found {
                let partial = bytes.map(|bytes| round.load_erased(&bytes)).transpose()?;
                nodes.push((node, partial));
            }
        }
        gather(n, nodes, &|a, b| round.merge_erased(a, b))
    }

    fn chunk_parts(&self, n: usize) -> Result<Vec<Part>> {
        let slots = self.carrier.slots()?.clamp(1, n.max(1));
        let parts = spread(n, slots).into_iter();
        Ok(parts
            .map(|chunks| Part::Chunks {
                chunks,
                first_block: 0,
            })
            .collect())
    }
}

/// What a thread gave; a panic there is one here.
fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn digest(bytes: &[u8]) -> BlobId {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).into()
}

/// Blocks that hosts keep, as the driver knows them. The driver makes a block itself where it needs one.
struct Held {
    data: Dataset,
    spec: BlockSpec,
    rows: BlobId,
    parts: Vec<Part>,
    blocks: Blocks,
    forget: Arc<Mutex<Vec<BlobId>>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut forget = self.forget.lock().unwrap_or_else(PoisonError::into_inner);
        forget.push(self.rows);
    }
}

impl BlockSource for Held {
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
        block_of(&self.data, &self.spec, &self.blocks, i)
    }
}

impl Elsewhere for Held {
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// Block `i`, made from its chunk.
fn block_of(
    data: &Dataset,
    spec: &BlockSpec,
    blocks: &Blocks,
    i: usize,
) -> std::result::Result<Arc<Block>, DataError> {
    let chunk = blocks
        .chunks
        .get(i)
        .ok_or_else(|| DataError::format("blocks", format!("there is no block {i}")))?;
    let batch = data.read(*chunk as usize, Some(&spec.columns()))?;
    Ok(Arc::new(spec.block(&batch)?))
}

impl Engine for Remote {
    fn describe(&self) -> String {
        self.carrier.describe()
    }

    fn cache(
        &self,
        parts: &[Dataset],
        columns: &[String],
        memory: &Memory,
    ) -> Result<Vec<Dataset>> {
        let elsewhere = parts.iter().all(|p| p.recipe().is_ok());
        if elsewhere {
            return Ok(parts.iter().map(|p| p.clone().keeping(columns)).collect());
        }
        self.local.cache(parts, columns, memory)
    }

    fn pin(&self, data: &Dataset, spec: &BlockSpec, run: &Run) -> Result<Pinned> {
        let Some(recipe) = self.recipe(data, run) else {
            return self.local.pin(data, spec, run);
        };
        let rows = Rows {
            recipe,
            spec: Some(spec.clone()),
        };
        let rows = self.put(to_bytes(&rows)?)?;
        let n_chunks = data.chunks()?.len();
        let mut parts = self.chunk_parts(n_chunks)?;
        let answers = self.ask(rows, Task::Pin, "blocks", &parts, run)?;
        let mut blocks = Blocks {
            chunks: Vec::new(),
            rows: 0,
            width: 0,
        };
        let mut slots: Option<Vec<Slot>> = None;
        let mut width = None;
        for (part, answer) in parts.iter_mut().zip(answers) {
            let (
                Part::Chunks {
                    chunks,
                    first_block,
                },
                Answer::Pinned(pinned),
            ) = (part, answer)
            else {
                return unexpected();
            };
            *first_block = blocks.chunks.len();
            for (chunk, rows) in chunks.clone().zip(&pinned.rows) {
                if *rows > 0 {
                    blocks.chunks.push(chunk as u32);
                    blocks.rows += rows;
                }
            }
            width = width.or(pinned.width);
            if chunks.start < chunks.end {
                slots.get_or_insert(pinned.slots);
            }
        }
        let slots: Arc<[Slot]> = slots.unwrap_or_default().into();
        let slots = match width {
            Some(width) if width != slots.len() => unnamed_slots(&spec.features, width),
            _ => slots,
        };
        blocks.width = width.unwrap_or(slots.len());
        let held = Held {
            data: data.clone(),
            spec: spec.clone(),
            rows,
            parts,
            blocks,
            forget: self.forget.clone(),
        };
        Ok(Pinned::elsewhere(Arc::new(held), slots))
    }

    fn over_blocks(
        &self,
        data: &Pinned,
        round: &dyn ErasedRound<Block>,
        run: &Run,
    ) -> Result<Option<Boxed>> {
        let Some(held) = data.kept_by::<Held>() else {
            return self.local.over_blocks(data, round, run);
        };
        let n_blocks = held.n_blocks();
        let task = Task::Blocks {
            round: Named {
                name: round.name().to_owned(),
                state: self.payload(round.state_bytes()?)?,
            },
            n_blocks,
        };
        let answers = self.ask(held.rows, task, round.name(), &held.parts, run)?;
        Self::merge(n_blocks, answers, round)
    }

    fn over_batches(
        &self,
        data: &Dataset,
        columns: &[String],
        round: &dyn ErasedRound<Batch>,
        run: &Run,
    ) -> Result<Option<Boxed>> {
        let Some(recipe) = self.recipe(data, run) else {
            return self.local.over_batches(data, columns, round, run);
        };
        let rows = self.put(to_bytes(&Rows { recipe, spec: None })?)?;
        let n_chunks = data.chunks()?.len();
        let task = Task::Batches {
            columns: columns.to_vec(),
            round: Named {
                name: round.name().to_owned(),
                state: self.payload(round.state_bytes()?)?,
            },
            n_chunks,
        };
        let parts = self.chunk_parts(n_chunks)?;
        let answers = self.ask(rows, task, round.name(), &parts, run)?;
        Self::merge(n_chunks, answers, round)
    }

    fn each_batch(
        &self,
        data: &Dataset,
        run: &Run,
        each: &mut (dyn FnMut(Batch) -> Result<()> + Send),
    ) -> Result<()> {
        self.local.each_batch(data, run, each)
    }

    fn write_parts(
        &self,
        data: &Dataset,
        folder: &Path,
        format: Format,
        run: &Run,
    ) -> Result<Manifest> {
        let Some(recipe) = self.recipe(data, run) else {
            return self.local.write_parts(data, folder, format, run);
        };
        let folder = files::absolute(folder).map_err(|e| DataError::io(folder, e))?;
        Manifest::begin(&folder)?;
        let rows = self.put(to_bytes(&Rows { recipe, spec: None })?)?;
        let mut parts = self.chunk_parts(data.chunks()?.len())?;
        for (i, part) in parts.iter_mut().enumerate() {
            if let Part::Chunks { first_block, .. } = part {
                *first_block = i;
            }
        }
        let task = Task::Write {
            folder: folder.clone(),
            format,
        };
        let mut files = Vec::with_capacity(parts.len());
        for answer in self.ask(rows, task, "write", &parts, run)? {
            let Answer::Written(file) = answer else {
                return unexpected();
            };
            files.push(file);
        }
        Ok(Manifest::commit(&folder, format, files)?)
    }

    fn fan_out(
        &self,
        data: Arc<Pinned>,
        work: &dyn ErasedWork,
        pieces: Range<usize>,
        run: &Run,
        each: &mut (dyn FnMut(Boxed) -> Result<()> + Send),
    ) -> Result<()> {
        let Some(held) = data.kept_by::<Held>() else {
            return self.local.fan_out(data, work, pieces, run, each);
        };
        let task = Task::Pieces {
            work: Named {
                name: work.name().to_owned(),
                state: self.payload(work.state_bytes()?)?,
            },
            blocks: self.payload(to_bytes(&held.blocks)?)?,
        };
        let slots = self.carrier.slots()?.max(1);
        let within = |all: &Range<usize>, n: usize| -> Vec<Range<usize>> {
            let ranges = spread(all.len(), n.clamp(1, all.len().max(1)));
            let moved = |r: Range<usize>| all.start + r.start..all.start + r.end;
            ranges.into_iter().map(moved).collect()
        };
        let ask = |pieces: &Range<usize>| {
            let parts = within(pieces, slots).into_iter();
            let parts: Vec<Part> = parts
                .map(|r| Part::Pieces(r.start as u64..r.end as u64))
                .collect();
            self.ask(held.rows, task.clone(), work.name(), &parts, run)
        };
        let mut take = |answers: Vec<Answer>| {
            for answer in answers {
                let Answer::Outputs(outputs) = answer else {
                    return unexpected();
                };
                for bytes in outputs {
                    each(work.load_erased(&bytes)?)?;
                }
            }
            Ok(())
        };
        // Outputs can be large: those of one turn are fetched and taken while the next one is at work.
        let turns = within(&pieces, TURNS.min(pieces.len() / slots));
        std::thread::scope(|scope| {
            let mut at_work = VecDeque::new();
            for turn in &turns {
                at_work.push_back(scope.spawn(|| ask(turn)));
                if at_work.len() > 2 {
                    at_work
                        .pop_front()
                        .map_or(Ok(()), |first| take(joined(first)?))?;
                }
            }
            at_work.into_iter().try_for_each(|next| take(joined(next)?))
        })
    }

    fn room(&self) -> Result<Option<u64>> {
        self.carrier.room()
    }

    fn exchange(
        &self,
        data: &Pinned,
        exchange: &dyn ErasedExchange,
        run: &Run,
    ) -> Result<Vec<Vec<u8>>> {
        let Some(held) = data.kept_by::<Held>() else {
            return self.local.exchange(data, exchange, run);
        };
        let task = Task::Exchange {
            exchange: Named {
                name: exchange.name().to_owned(),
                state: self.payload(exchange.state_bytes()?)?,
            },
            n_parts: held.parts.len(),
        };
        let (name, groups) = (exchange.name(), exchange.n_groups());
        let mut outputs = Vec::with_capacity(groups);
        for answer in self.ask_groups(held.rows, task, name, &held.parts, groups, run)? {
            let Answer::Outputs(output) = answer else {
                return unexpected();
            };
            outputs.extend(output.into_iter().map(ByteBuf::into_vec));
        }
        Ok(outputs)
    }
}

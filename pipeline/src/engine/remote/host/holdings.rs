//! What a host has: datasets it opened, blocks it keeps, bytes it fetched.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use emberline_datasets::{Block, BlockSpec, DataError, Dataset, Held};

use super::super::job::{Blocks, Payload, Rows};
use super::super::{BlobId, block_of, digest};
use super::{Blobs, Host};
use crate::engine::bytes::from_bytes;
use crate::engine::pinned::{Pinned, PinnedBuilder};
use crate::engine::round::BlockSource;
use crate::run::Cancel;
use crate::{Error, Result};

/// What is kept for rows that nobody asked about for so long is let go.
const IDLE: Duration = Duration::from_secs(900);

/// A dataset as opened here.
pub(super) struct Opened {
    pub data: Dataset,
    spec: Option<BlockSpec>,
}

/// Blocks of some chunks of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    rows: BlobId,
    start: usize,
    end: usize,
}

impl Host {
    /// The blocks of these chunks; and the rows of each, where the blocks had to be made.
    pub(super) fn partition(
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
                        self.make_room(block.memory() as u64, Some(rows));
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

    /// Lets go of blocks of other datasets than this, those longest unused first, until so many bytes are free.
    fn make_room(&self, bytes: u64, but: Option<BlobId>) {
        while self.memory.free().is_some_and(|free| free < bytes) {
            if !self.partitions.drop_oldest(|place| Some(place.rows) != but) {
                return;
            }
        }
    }

    /// Counts bytes that are made from rows for a while. Blocks give way to them; where too few can, the bytes are made all the same:
    /// who asked for them knows how much room there is.
    pub(super) fn hold(&self, bytes: u64, beside: Option<(BlobId, &Pinned)>) -> Result<Held> {
        let mut held = self.memory.nothing();
        self.make_room(bytes, beside.map(|(rows, _)| rows));
        while !held.grow(bytes) {
            let Some((_, pinned)) = beside else { break };
            if !pinned.spill_one()? {
                break;
            }
        }
        Ok(held)
    }

    pub(super) fn open(&self, rows: BlobId, blobs: &dyn Blobs) -> Result<Arc<Opened>> {
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

    pub(super) fn load(&self, payload: &Payload, blobs: &dyn Blobs) -> Result<Arc<[u8]>> {
        match payload {
            Payload::Inline(bytes) => Ok(bytes[..].into()),
            Payload::Blob(id) => self.blob(id, blobs),
        }
    }

    fn blob(&self, id: &BlobId, blobs: &dyn Blobs) -> Result<Arc<[u8]>> {
        self.blobs.get_or_make(id, || {
            let bytes = blobs.get(id)?;
            if digest(&bytes) == *id {
                return Ok(bytes);
            }
            Err(Error::Engine(
                "bytes of the driver arrived damaged; try again".to_owned(),
            ))
        })
    }

    pub(super) fn forget(&self, done: &[BlobId]) {
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
    pub(super) fn spec(&self) -> Result<&BlockSpec> {
        self.spec
            .as_ref()
            .ok_or_else(|| Error::Engine("the job names no features".to_owned()))
    }
}

/// All blocks of a dataset, made as they are asked for: who gathers them keeps something else.
pub(super) struct Reread<'a> {
    pub rows: &'a Opened,
    pub spec: &'a BlockSpec,
    pub blocks: Blocks,
    pub cancel: &'a Cancel,
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

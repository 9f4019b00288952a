//! Collecting the rows of each bucket under a memory limit.

use std::sync::Arc;

use crate::arrow::array::{ArrayRef, UInt32Array};
use crate::arrow::compute;

use crate::batch::Batch;
use crate::memory::Memory;
use crate::schema::Schema;
use crate::source::BLOCK_ROWS;
use crate::spill::{Extent, SpillFile};
use crate::store::{StoreBuilder, StoredSource, from_bytes, to_bytes};
use crate::{DataError, Result};

/// The rows of each bucket that occurs in a batch, in row order.
pub(super) fn scatter(batch: &Batch, buckets: &[u32]) -> Result<Vec<(u32, Batch)>> {
    // Pieces of many batches are put together later, and codes mean something in their own batch alone.
    let batch = batch.with_plain_text()?;
    let mut order: Vec<u32> = (0..buckets.len() as u32).collect();
    // Stable, so rows of one bucket keep their order.
    order.sort_by_key(|&i| buckets[i as usize]);
    let sorted = take(&batch, &order)?;
    let mut pieces = Vec::new();
    let mut start = 0;
    while start < order.len() {
        let bucket = buckets[order[start] as usize];
        let same = order[start..].partition_point(|&i| buckets[i as usize] == bucket);
        pieces.push((bucket, sorted.slice(start, same)));
        start += same;
    }
    Ok(pieces)
}

/// The rows at these positions, copied.
fn take(batch: &Batch, rows: &[u32]) -> Result<Batch> {
    let indices = UInt32Array::from(rows.to_vec());
    let columns = batch
        .columns()
        .iter()
        .map(|c| compute::take(c, &indices, None))
        .collect::<std::result::Result<_, _>>()?;
    let ids = rows.iter().map(|&i| batch.row_ids()[i as usize]).collect();
    Batch::new(batch.schema().clone(), columns, ids)
}

/// The rows of several batches, one after the other, in memory of their own.
fn concat(schema: &Arc<Schema>, batches: &[Batch]) -> Result<Batch> {
    let columns = (0..schema.columns().len())
        .map(|c| {
            let parts: Vec<&dyn crate::arrow::array::Array> =
                batches.iter().map(|b| b.columns()[c].as_ref()).collect();
            compute::concat(&parts)
        })
        .collect::<std::result::Result<Vec<ArrayRef>, _>>()?;
    let ids = batches.iter().flat_map(|b| b.row_ids().iter().copied());
    Batch::new(schema.clone(), columns, ids.collect())
}

#[derive(Default)]
struct Bucket {
    /// Older pieces, on disk.
    spilled: Vec<Extent>,
    /// Later pieces, in memory.
    held: Vec<Batch>,
    last_id: Option<u64>,
    /// The source's own order is not that of the ids (it was partitioned before).
    unordered: bool,
}

/// Rows on their way into buckets.
pub(super) struct Buckets {
    schema: Arc<Schema>,
    limit: Option<u64>,
    held: u64,
    buckets: Vec<Bucket>,
    spill: Option<SpillFile>,
}

impl Buckets {
    pub(super) fn new(schema: Arc<Schema>, n: usize, limit: Option<u64>) -> Self {
        Self {
            schema,
            limit,
            held: 0,
            buckets: std::iter::repeat_with(Bucket::default).take(n).collect(),
            spill: None,
        }
    }

    /// Adds the pieces of one chunk; beyond the limit all buckets are written out and start afresh.
    pub(super) fn push(&mut self, pieces: Vec<(u32, Batch)>) -> Result<()> {
        for (b, piece) in pieces {
            let Some(bucket) = self.buckets.get_mut(b as usize) else {
                return Err(DataError::format("partitioner", format!("no bucket {b}")));
            };
            let ids = piece.row_ids();
            bucket.unordered |= ids.first().copied() <= bucket.last_id && bucket.last_id.is_some();
            bucket.unordered |= ids.windows(2).any(|w| w[0] > w[1]);
            bucket.last_id = bucket.last_id.max(ids.last().copied());
            self.held += piece.memory() as u64;
            bucket.held.push(piece);
        }
        if self.limit.is_some_and(|limit| self.held > limit) {
            self.write_out()?;
        }
        Ok(())
    }

    fn write_out(&mut self) -> Result<()> {
        let spill = match self.spill.take() {
            Some(spill) => spill,
            None => SpillFile::new()?,
        };
        for bucket in self.buckets.iter_mut().filter(|b| !b.held.is_empty()) {
            let piece = concat(&self.schema, &bucket.held)?;
            bucket.held.clear();
            bucket.spilled.push(spill.append(&to_bytes(&piece)?)?);
        }
        self.held = 0;
        self.spill = Some(spill);
        Ok(())
    }

    /// Cuts every bucket into chunks of [`BLOCK_ROWS`] rows.
    pub(super) fn finish(mut self, origin: &str) -> Result<StoredSource> {
        // Two copies of the rows must not be held at once.
        if self.limit.is_some_and(|limit| 2 * self.held > limit) {
            self.write_out()?;
        }
        let mut store = StoreBuilder::new(self.schema.clone(), &Memory::limited(self.limit));
        let mut cuts = Vec::new();
        for bucket in std::mem::take(&mut self.buckets) {
            if bucket.spilled.is_empty() && bucket.held.is_empty() {
                continue;
            }
            cuts.push(store.len());
            self.chunks(bucket, &mut store)?;
        }
        Ok(store.finish(origin, Some(cuts.into())))
    }

    fn chunks(&self, bucket: Bucket, store: &mut StoreBuilder) -> Result<()> {
        let all: Vec<usize> = (0..self.schema.columns().len()).collect();
        let spilled = bucket.spilled.iter().map(|extent| match &self.spill {
            Some(spill) => from_bytes(&spill.read(*extent)?, &self.schema, &all),
            None => Err(DataError::format("partitioner", "no spilled rows")),
        });
        let pieces = spilled.chain(bucket.held.into_iter().map(Ok));
        if bucket.unordered {
            // Only a source that was partitioned before comes here; its bucket is sorted in memory.
            let whole = concat(&self.schema, &pieces.collect::<Result<Vec<_>>>()?)?;
            let mut order: Vec<u32> = (0..whole.num_rows() as u32).collect();
            order.sort_by_key(|&i| whole.row_ids()[i as usize]);
            return self.emit(&mut vec![take(&whole, &order)?], store, 1);
        }
        let mut waiting = Vec::new();
        for piece in pieces {
            waiting.push(piece?);
            self.emit(&mut waiting, store, BLOCK_ROWS)?;
        }
        self.emit(&mut waiting, store, 1)
    }

    /// Stores chunks from the rows that wait, while there are at least `least`.
    fn emit(&self, waiting: &mut Vec<Batch>, store: &mut StoreBuilder, least: usize) -> Result<()> {
        let rows: usize = waiting.iter().map(Batch::num_rows).sum();
        if rows < least {
            return Ok(());
        }
        let whole = concat(&self.schema, waiting)?;
        waiting.clear();
        let mut start = 0;
        while rows - start >= least.min(BLOCK_ROWS) && start < rows {
            let n = BLOCK_ROWS.min(rows - start);
            // A copy, so that the part kept in memory does not hold on to the whole.
            let chunk = concat(&self.schema, &[whole.slice(start, n)])?;
            store.push(chunk, 0)?;
            start += n;
        }
        if start < rows {
            waiting.push(concat(&self.schema, &[whole.slice(start, rows - start)])?);
        }
        Ok(())
    }
}

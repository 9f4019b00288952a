//! Where rows come from: a list of chunks that can be read one by one, in any order.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

mod cells;
mod columnar;
mod content;
mod csv;
mod ipc;
mod jsonl;
mod libsvm;
mod locate;
mod locate_objects;
mod open;
pub mod parquet;
mod parse;
mod quarantine;
mod scan;
#[cfg(test)]
mod tests;
mod text;
mod texts;

pub(crate) use columnar::METADATA_KEY;
pub(crate) use locate::format_of;
pub use open::{open, open_like, open_within};
pub(crate) use parse::civil_from_days;
pub(crate) use texts::coded;

use crate::batch::Batch;
use crate::schema::Schema;
use crate::{DataError, Result};

/// Rows per block. Blocks restart at a file or a Parquet row-group boundary and never follow the partition count.
pub const BLOCK_ROWS: usize = 8192;

/// Bits of a row id that count rows inside a file; the bits above count files in reading order.
pub const ROW_BITS: u32 = 40;

/// The id of row `row` (from 0) of file `file` (from 0). In the first file ids are plain row numbers.
#[must_use]
pub fn row_id(file: usize, row: u64) -> u64 {
    ((file as u64) << ROW_BITS) | row
}

/// One unit of reading: at most [`BLOCK_ROWS`] consecutive rows of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Id of the first row.
    pub first_row: u64,
    /// Rows in it, at most (bad rows under `quarantine` are left out when it is read).
    pub rows: usize,
}

/// A readable table cut into chunks. The cut follows from the data alone.
pub trait Source: Send + Sync + Debug {
    /// What the user wrote: `bundled:iris`, `data/*.csv`.
    fn origin(&self) -> &str;

    /// Columns and their types; no more than an inference sample has been read for it.
    fn schema(&self) -> &Arc<Schema>;

    /// The chunks in row order. The first call may scan the files for row boundaries.
    ///
    /// # Errors
    /// A file is missing or damaged.
    fn chunks(&self) -> Result<Arc<[Chunk]>>;

    /// Rows, where they are known without reading any: lying in memory, stated by a footer. Bad rows count.
    fn known_rows(&self) -> Option<u64> {
        None
    }

    /// About how many rows there are, for planning: [`Source::known_rows`], else the bytes of the files over the bytes a
    /// row took in the inference sample. `None` where nothing tells.
    fn estimated_rows(&self) -> Option<u64> {
        self.known_rows()
    }

    /// The chunks at which buckets start, ascending from 0, where rows were brought together by a partitioner: partitions
    /// are then runs of whole buckets. `None` (the default): any run of chunks will do.
    fn cuts(&self) -> Option<Arc<[usize]>> {
        None
    }

    /// Reads the named columns (in schema order) of one chunk.
    ///
    /// # Errors
    /// A file changed, is damaged, or holds a bad row under `bad_rows = "fail"`.
    fn read(&self, chunk: usize, columns: &[usize]) -> Result<Batch>;

    /// Chunks that are best read together by [`Source::read_run`], for who reads all of them.
    fn run_length(&self) -> usize {
        1
    }

    /// As [`Source::read`], for chunks in a row.
    ///
    /// # Errors
    /// As [`Source::read`].
    fn read_run(&self, chunks: Range<usize>, columns: &[usize]) -> Result<Vec<Batch>> {
        chunks.map(|chunk| self.read(chunk, columns)).collect()
    }

    /// Records that were left out and written to the side file so far (`bad_rows = "quarantine"`). A chunk counts once,
    /// however often it is read; the count is complete when every chunk has been read.
    fn quarantined(&self) -> u64 {
        0
    }

    /// True where [`Chunk::rows`] is the number of rows that reading gives; false where bad rows may be left out.
    fn exact_rows(&self) -> bool {
        true
    }

    /// The batches, where all of them lie in memory as they are: small tables travel to other processes this way.
    fn in_memory(&self) -> Option<&[Batch]> {
        None
    }

    /// True where the ids of a chunk's rows run on from [`Chunk::first_row`] without gaps: who needs ids alone then need not
    /// read.
    fn consecutive_ids(&self) -> bool {
        false
    }
}

/// Rows that lie in memory; batches are used as chunks, as they are. Those without rows are left out: sums are made along a tree over
/// the chunks, and must not tell of them.
#[derive(Debug)]
pub struct MemorySource {
    origin: String,
    schema: Arc<Schema>,
    batches: Vec<Batch>,
    chunks: Arc<[Chunk]>,
}

impl MemorySource {
    /// A source of these batches, which all have `schema`.
    #[must_use]
    pub fn new(origin: impl Into<String>, schema: Arc<Schema>, mut batches: Vec<Batch>) -> Self {
        batches.retain(|b| b.num_rows() > 0);
        let chunks = batches
            .iter()
            .map(|b| Chunk {
                first_row: b.row_ids().first().copied().unwrap_or(0),
                rows: b.num_rows(),
            })
            .collect();
        Self {
            origin: origin.into(),
            schema,
            batches,
            chunks,
        }
    }
}

impl Source for MemorySource {
    fn origin(&self) -> &str {
        &self.origin
    }

    fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    fn chunks(&self) -> Result<Arc<[Chunk]>> {
        Ok(self.chunks.clone())
    }

    fn known_rows(&self) -> Option<u64> {
        Some(self.chunks.iter().map(|c| c.rows as u64).sum())
    }

    fn in_memory(&self) -> Option<&[Batch]> {
        Some(&self.batches)
    }

    fn read(&self, chunk: usize, columns: &[usize]) -> Result<Batch> {
        let batch = self
            .batches
            .get(chunk)
            .ok_or_else(|| no_chunk(&self.origin, chunk))?;
        project(batch, columns)
    }
}

pub(crate) fn no_chunk(origin: &str, chunk: usize) -> DataError {
    DataError::format(origin, format!("there is no chunk {chunk}"))
}

/// The columns at these positions.
pub(crate) fn project(batch: &Batch, columns: &[usize]) -> Result<Batch> {
    if columns.len() == batch.columns().len() {
        return Ok(batch.clone());
    }
    let names: Vec<String> = columns
        .iter()
        .map(|&i| batch.schema().columns()[i].name.clone())
        .collect();
    batch.select(&names)
}

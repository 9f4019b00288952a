//! Batches in memory up to a limit, the others in a temporary file.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::arrow::array::{ArrayRef, AsArray, RecordBatch, UInt64Array};
use crate::arrow::datatypes::{Field, UInt64Type};
use crate::arrow::ipc::reader::StreamReader;
use crate::arrow::ipc::writer::StreamWriter;

use crate::batch::Batch;
use crate::memory::{Held, Memory};
use crate::schema::Schema;
use crate::source::{Chunk, Source, no_chunk, project};
use crate::spill::{Extent, SpillFile};
use crate::{DataError, Result};

/// A batch as Arrow IPC bytes: its columns by number, then the row ids. Read back by this process alone.
pub(crate) fn to_bytes(batch: &Batch) -> Result<Vec<u8>> {
    let ids: ArrayRef = Arc::new(UInt64Array::from(batch.row_ids().to_vec()));
    let arrays: Vec<ArrayRef> = batch.columns().iter().cloned().chain([ids]).collect();
    let fields: Vec<Field> = arrays
        .iter()
        .enumerate()
        .map(|(i, a)| Field::new(i.to_string(), a.data_type().clone(), true))
        .collect();
    let schema = Arc::new(crate::arrow::datatypes::Schema::new(fields));
    let mut bytes = Vec::new();
    let mut writer = StreamWriter::try_new(&mut bytes, &schema)?;
    writer.write(&RecordBatch::try_new(schema.clone(), arrays)?)?;
    writer.finish()?;
    drop(writer);
    Ok(bytes)
}

/// The columns at these positions of a batch of `schema` that [`to_bytes`] wrote.
pub(crate) fn from_bytes(bytes: &[u8], schema: &Arc<Schema>, columns: &[usize]) -> Result<Batch> {
    let damaged = || DataError::format("spilled rows", "the temporary file is damaged");
    let wanted: Vec<usize> = columns
        .iter()
        .copied()
        .chain([schema.columns().len()])
        .collect();
    let mut reader = StreamReader::try_new(bytes, Some(wanted))?;
    let batch = reader.next().ok_or_else(damaged)??;
    let (ids, arrays) = batch.columns().split_last().ok_or_else(damaged)?;
    let ids = ids.as_primitive_opt::<UInt64Type>().ok_or_else(damaged)?;
    let names: Vec<String> = columns
        .iter()
        .map(|&i| schema.columns()[i].name.clone())
        .collect();
    let schema = if columns.len() == schema.columns().len() {
        schema.clone()
    } else {
        Arc::new(schema.select(&names)?)
    };
    Batch::new(
        schema,
        arrays.to_vec(),
        ids.values().iter().copied().collect(),
    )
}

#[derive(Debug)]
enum Kept {
    Memory(Batch),
    Disk(Extent),
}

/// Takes batches in row order and becomes a [`StoredSource`].
pub(crate) struct StoreBuilder {
    schema: Arc<Schema>,
    held: Held,
    chunks: Vec<Chunk>,
    kept: Vec<Kept>,
    spill: Option<SpillFile>,
}

impl StoreBuilder {
    /// Holds as many bytes in memory as `memory` allows.
    pub(crate) fn new(schema: Arc<Schema>, memory: &Memory) -> Self {
        Self {
            schema,
            held: memory.nothing(),
            chunks: Vec::new(),
            kept: Vec::new(),
            spill: None,
        }
    }

    /// Number of chunks so far.
    pub(crate) fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Keeps a batch as the next chunk; `first_row` names it where it has no rows.
    pub(crate) fn push(&mut self, batch: Batch, first_row: u64) -> Result<()> {
        self.chunks.push(Chunk {
            first_row: batch.row_ids().first().copied().unwrap_or(first_row),
            rows: batch.num_rows(),
        });
        let fits = self.held.grow(batch.memory() as u64);
        self.kept.push(if fits {
            Kept::Memory(batch)
        } else {
            let spill = match self.spill.take() {
                Some(spill) => spill,
                None => SpillFile::new()?,
            };
            let extent = spill.append(&to_bytes(&batch)?);
            self.spill = Some(spill);
            Kept::Disk(extent?)
        });
        Ok(())
    }

    /// The source of these chunks; buckets start at `cuts`.
    pub(crate) fn finish(self, origin: &str, cuts: Option<Arc<[usize]>>) -> StoredSource {
        StoredSource {
            origin: origin.to_owned(),
            schema: self.schema,
            chunks: self.chunks.into(),
            kept: self.kept,
            _held: self.held,
            spill: self.spill,
            cuts,
        }
    }
}

/// Rows that were read once: some in memory, the others in a temporary file that ends with this value.
#[derive(Debug)]
pub(crate) struct StoredSource {
    origin: String,
    schema: Arc<Schema>,
    chunks: Arc<[Chunk]>,
    kept: Vec<Kept>,
    _held: Held,
    spill: Option<SpillFile>,
    cuts: Option<Arc<[usize]>>,
}

impl StoredSource {
    /// How many chunks lie on disk.
    #[cfg(test)]
    pub(crate) fn n_spilled(&self) -> usize {
        let on_disk = |k: &&Kept| matches!(k, Kept::Disk(_));
        self.kept.iter().filter(on_disk).count()
    }
}

impl Source for StoredSource {
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

    fn cuts(&self) -> Option<Arc<[usize]>> {
        self.cuts.clone()
    }

    fn read(&self, chunk: usize, columns: &[usize]) -> Result<Batch> {
        match (self.kept.get(chunk), &self.spill) {
            (Some(Kept::Memory(batch)), _) => project(batch, columns),
            (Some(Kept::Disk(extent)), Some(spill)) => {
                from_bytes(&spill.read(*extent)?, &self.schema, columns)
            }
            _ => Err(no_chunk(&self.origin, chunk)),
        }
    }
}

/// A source of which some columns are kept in memory as its chunks are read, for as long as there is room.
#[derive(Debug)]
pub(crate) struct KeptSource {
    inner: Arc<dyn Source>,
    /// Positions of the columns that are kept, in schema order.
    columns: Vec<usize>,
    memory: Memory,
    chunks: OnceLock<Vec<Slot>>,
}

/// The kept columns of a chunk, once they were read and found room.
type Slot = Mutex<Option<(Batch, Held)>>;

impl KeptSource {
    pub(crate) fn new(inner: Arc<dyn Source>, columns: Vec<usize>, memory: Memory) -> Self {
        Self {
            inner,
            columns,
            memory,
            chunks: OnceLock::new(),
        }
    }

    /// The kept columns of a chunk; read where they are not there yet.
    fn whole(&self, chunk: usize) -> Result<Batch> {
        let n = self.inner.chunks()?.len();
        let chunks = self
            .chunks
            .get_or_init(|| (0..n).map(|_| Mutex::default()).collect());
        let slot = chunks
            .get(chunk)
            .ok_or_else(|| no_chunk(self.origin(), chunk))?;
        let lock = || slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((batch, _)) = &*lock() {
            return Ok(batch.clone());
        }
        // No lock is held while reading: a thread that waits for its share of the work may be given a task that comes here.
        let batch = self.inner.read(chunk, &self.columns)?.with_coded_text()?;
        let mut held = self.memory.nothing();
        if held.grow(batch.memory() as u64) {
            lock().get_or_insert((batch.clone(), held));
        }
        Ok(batch)
    }
}

impl Source for KeptSource {
    fn origin(&self) -> &str {
        self.inner.origin()
    }

    fn schema(&self) -> &Arc<Schema> {
        self.inner.schema()
    }

    fn chunks(&self) -> Result<Arc<[Chunk]>> {
        self.inner.chunks()
    }

    fn known_rows(&self) -> Option<u64> {
        self.inner.known_rows()
    }

    fn cuts(&self) -> Option<Arc<[usize]>> {
        self.inner.cuts()
    }

    fn read(&self, chunk: usize, columns: &[usize]) -> Result<Batch> {
        let places: Option<Vec<usize>> = columns
            .iter()
            .map(|c| self.columns.binary_search(c).ok())
            .collect();
        match places {
            Some(places) => project(&self.whole(chunk)?, &places),
            None => self.inner.read(chunk, columns),
        }
    }

    fn exact_rows(&self) -> bool {
        self.inner.exact_rows()
    }

    fn consecutive_ids(&self) -> bool {
        self.inner.consecutive_ids()
    }
}

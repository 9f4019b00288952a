//! A partitioned source that reads nothing before its chunks are asked for.

use std::sync::{Arc, OnceLock};

use super::bounds::Bounds;
use super::buckets::{Buckets, scatter};
use super::{BUCKETS, Rule};
use crate::batch::Batch;
use crate::dataset::Dataset;
use crate::options::PartitionBy;
use crate::parallel::map_in_order;
use crate::schema::Schema;
use crate::source::{Chunk, Source};
use crate::store::StoredSource;
use crate::{DataError, Result};

/// The rows of a dataset, brought together when they are first needed.
#[derive(Debug)]
pub(super) struct PartitionedSource {
    input: Dataset,
    by: PartitionBy,
    memory_limit: Option<u64>,
    ready: OnceLock<Arc<StoredSource>>,
}

impl PartitionedSource {
    pub(super) fn new(input: Dataset, by: PartitionBy, memory_limit: Option<u64>) -> Self {
        Self {
            input,
            by,
            memory_limit,
            ready: OnceLock::new(),
        }
    }

    /// The rows in their buckets; the first call reads them.
    ///
    /// No lock is held meanwhile: a thread that waits for its share of the work may be given another task that comes here.
    /// Two first calls at once then both do the work, with equal results, and one is kept.
    fn ready(&self) -> Result<Arc<StoredSource>> {
        if let Some(ready) = self.ready.get() {
            return Ok(ready.clone());
        }
        let built = Arc::new(self.build()?);
        Ok(self.ready.get_or_init(|| built).clone())
    }

    fn build(&self) -> Result<StoredSource> {
        let input = &self.input;
        let (rule, n) = match &self.by {
            PartitionBy::Hash(columns) => (Rule::Hash(columns.clone()), BUCKETS),
            PartitionBy::Range(column) => {
                let bounds = Bounds::sample(input, column)?;
                let n = bounds.buckets();
                (Rule::Range(column.clone(), bounds), n)
            }
        };
        let mut buckets = Buckets::new(input.schema().clone(), n, self.memory_limit);
        map_in_order::<_, DataError>(
            input.chunks()?.len(),
            |i| {
                let batch = input.read(i, None)?;
                scatter(&batch, &rule.of(&batch)?)
            },
            |pieces| buckets.push(pieces),
        )?;
        buckets.finish(self.origin())
    }
}

impl Source for PartitionedSource {
    fn origin(&self) -> &str {
        self.input.source().origin()
    }

    fn schema(&self) -> &Arc<Schema> {
        self.input.schema()
    }

    fn chunks(&self) -> Result<Arc<[Chunk]>> {
        self.ready()?.chunks()
    }

    fn known_rows(&self) -> Option<u64> {
        match self.ready.get() {
            Some(ready) => ready.known_rows(),
            None if self.input.drops_rows() => None,
            None => self.input.source().known_rows(),
        }
    }

    fn estimated_rows(&self) -> Option<u64> {
        self.known_rows()
            .or_else(|| self.input.source().estimated_rows())
    }

    /// Known once the chunks are: nobody cuts chunks that were not asked for.
    fn cuts(&self) -> Option<Arc<[usize]>> {
        self.ready.get()?.cuts()
    }

    fn quarantined(&self) -> u64 {
        self.input.source().quarantined()
    }

    fn read(&self, chunk: usize, columns: &[usize]) -> Result<Batch> {
        self.ready()?.read(chunk, columns)
    }
}

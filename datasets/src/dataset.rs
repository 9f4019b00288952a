//! The partitioned, lazily read table that every stage works on.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use crate::arrow::array::ArrayRef;

use crate::batch::Batch;
use crate::options::SourceOptions;
use crate::parallel::fold_in_order;
use crate::recipe::{Origin, Recipe, Step};
use crate::schema::{Column, Roles, Schema, SchemaErrors};
use crate::source::{BLOCK_ROWS, Chunk, MemorySource, Source, row_id};
use crate::{DataError, Result};

/// A step applied to each batch as it is read: a fitted stage, or the rule of a split.
///
/// Row-wise and pure: the result for a row depends on that row alone.
pub trait RowOp: Send + Sync {
    /// Name for messages.
    fn name(&self) -> &str;

    /// The schema after the step.
    ///
    /// # Errors
    /// Every way in which `input` does not fit.
    fn output_schema(&self, input: &Schema) -> std::result::Result<Schema, SchemaErrors>;

    /// Columns the step reads.
    fn inputs(&self, input: &Schema) -> Vec<String>;

    /// Columns the step writes.
    fn outputs(&self, input: &Schema) -> Vec<String>;

    /// True where the step may drop rows; such a step is never left out.
    fn drops_rows(&self) -> bool {
        false
    }

    /// Applies the step.
    ///
    /// # Errors
    /// A value the step cannot take.
    fn apply(&self, batch: Batch) -> Result<Batch>;

    /// The step written down for another process; `None` (the default) where it cannot leave this one.
    fn step(&self) -> Option<Result<Step>> {
        None
    }
}

/// One step of a dataset's chain, with the schema it receives.
#[derive(Clone)]
struct Link {
    op: Arc<dyn RowOp>,
    input: Arc<Schema>,
}

/// An immutable, lazily read, partitioned table: a source, the row-wise steps applied so far, and a cut into partitions.
///
/// Cloning is cheap. Nothing is read until a fit, an evaluation, a write or a `show` asks for it. A partition is a run of
/// whole chunks; the chunks follow from the source alone, so the number of partitions changes no result.
#[derive(Clone)]
pub struct Dataset {
    source: Arc<dyn Source>,
    base: Arc<Schema>,
    chain: Vec<Link>,
    schema: Arc<Schema>,
    partitions: usize,
    /// How the source was opened; `None` for rows that lie in memory.
    opened: Option<Arc<SourceOptions>>,
    /// Columns of the source that another process that reads a recipe of this should keep.
    kept: Arc<[String]>,
}

impl std::fmt::Debug for Dataset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let steps: Vec<&str> = self.chain.iter().map(|l| l.op.name()).collect();
        write!(
            f,
            "Dataset({}, {steps:?}, {} partitions)",
            self.source.origin(),
            self.partitions
        )
    }
}

impl Dataset {
    /// The rows of a source, in one partition per core.
    #[must_use]
    pub fn new(source: Arc<dyn Source>) -> Self {
        let schema = source.schema().clone();
        let partitions = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            source,
            base: schema.clone(),
            chain: Vec::new(),
            schema,
            partitions,
            opened: None,
            kept: Arc::new([]),
        }
    }

    /// The dataset with how it was opened.
    pub(crate) fn opened_by(mut self, options: &SourceOptions) -> Self {
        self.opened = Some(Arc::new(options.clone()));
        self
    }

    /// This dataset written down, so that another process that reaches the same files reads the same rows. A table that lies in memory
    /// travels with its recipe.
    ///
    /// # Errors
    /// [`DataError::Unusable`] where rows in memory are too many to travel, come from standard input, or bad ones go to a side file
    /// (`bad_rows = "quarantine"`), or a step cannot leave this process. Reading the files' boundaries fails.
    pub fn recipe(&self) -> Result<Recipe> {
        let origin = match &self.opened {
            Some(options) => Origin::opened(options)?,
            None => Origin::in_memory(&*self.source)?,
        };
        let step = |link: &Link| {
            link.op.step().unwrap_or_else(|| {
                Err(DataError::Unusable(format!(
                    "the step `{}` cannot be carried to another process",
                    link.op.name()
                )))
            })
        };
        let steps = self.chain.iter().map(step).collect::<Result<_>>()?;
        Ok(Recipe::of(
            origin,
            &self.base,
            steps,
            &self.schema,
            &self.chunks()?,
            self.kept.to_vec(),
        ))
    }

    /// The same rows, with the wish that processes that read them from a recipe keep what the named columns are made from,
    /// because they will be read again.
    #[must_use]
    pub fn keeping(mut self, columns: &[String]) -> Self {
        let (needed, _) = self.plan(0, columns);
        let sources = self.base.columns().iter().map(|c| &c.name);
        self.kept = sources.filter(|c| needed.contains(*c)).cloned().collect();
        self
    }

    /// The dataset with its source read through `wrap`.
    pub(crate) fn through(mut self, wrap: impl FnOnce(Arc<dyn Source>) -> Arc<dyn Source>) -> Self {
        self.source = wrap(self.source);
        self
    }

    /// Rows that lie in memory, cut into blocks of [`BLOCK_ROWS`], with ids 0, 1, 2, ...
    ///
    /// # Errors
    /// Columns of unequal length, of another type than stated, or two of one name.
    pub fn from_columns(columns: Vec<(Column, ArrayRef)>) -> Result<Self> {
        let (columns, arrays): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
        let schema = Arc::new(Schema::new(columns)?);
        let rows = arrays.first().map_or(0, |a| a.len());
        let ids: Arc<[u64]> = (0..rows as u64).map(|i| row_id(0, i)).collect();
        let whole = Batch::new(schema.clone(), arrays, ids)?;
        let batches = (0..rows)
            .step_by(BLOCK_ROWS)
            .map(|start| whole.slice(start, BLOCK_ROWS.min(rows - start)))
            .collect();
        Ok(Self::new(Arc::new(MemorySource::new(
            "memory", schema, batches,
        ))))
    }

    /// Batches that lie in memory, each a chunk; `origin` names them in messages.
    #[must_use]
    pub fn from_batches(origin: &str, schema: Arc<Schema>, batches: Vec<Batch>) -> Self {
        Self::new(Arc::new(MemorySource::new(origin, schema, batches)))
    }

    /// Where the rows come from.
    #[must_use]
    pub fn source(&self) -> &Arc<dyn Source> {
        &self.source
    }

    /// Columns after all steps.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The same rows with these roles. Set roles before adding steps: steps already added keep the old ones.
    ///
    /// # Errors
    /// A role names a column that is absent.
    pub fn with_roles(mut self, roles: Roles) -> Result<Self> {
        let with = |schema: &Schema| -> Result<Arc<Schema>> {
            Ok(Arc::new(schema.clone().with_roles(roles.clone())?))
        };
        if self.chain.is_empty() {
            self.base = with(&self.base)?;
        }
        self.schema = with(&self.schema)?;
        Ok(self)
    }

    /// The rows with one more step applied as they are read.
    ///
    /// # Errors
    /// The columns do not fit the step.
    pub fn with_op(&self, op: Arc<dyn RowOp>) -> Result<Self> {
        let output = op
            .output_schema(&self.schema)
            .map_err(|e| DataError::from(e).in_stage(op.name()))?;
        let mut next = self.clone();
        next.chain.push(Link {
            op,
            input: self.schema.clone(),
        });
        next.schema = Arc::new(output);
        Ok(next)
    }

    /// The same rows in `n` partitions (at least 1). Changes no result, only how work is spread.
    #[must_use]
    pub fn repartition(mut self, n: usize) -> Self {
        self.partitions = n.max(1);
        self
    }

    /// The same rows in at most `n` partitions.
    #[must_use]
    pub fn coalesce(self, n: usize) -> Self {
        let n = self.partitions.min(n);
        self.repartition(n)
    }

    /// Number of partitions; some may be empty.
    #[must_use]
    pub fn n_partitions(&self) -> usize {
        self.partitions
    }

    /// The chunks of the source, in row order.
    ///
    /// # Errors
    /// A file is missing or damaged.
    pub fn chunks(&self) -> Result<Arc<[Chunk]>> {
        self.source.chunks()
    }

    /// The run of chunks that each partition holds: contiguous, in order, as even as whole chunks allow. Rows that were
    /// brought together by a partitioner stay together: a partition is then a run of whole buckets, even in rows.
    ///
    /// # Errors
    /// A file is missing or damaged.
    pub fn partitions(&self) -> Result<Vec<Range<usize>>> {
        let chunks = self.chunks()?;
        Ok(match self.source.cuts() {
            None => spread(chunks.len(), self.partitions),
            Some(cuts) => spread_buckets(&chunks, &cuts, self.partitions),
        })
    }

    /// Rows of each partition after all steps; reads what [`Dataset::count`] reads.
    ///
    /// # Errors
    /// Reading fails.
    pub fn partition_rows(&self) -> Result<Vec<u64>> {
        let rows = self.chunk_rows()?;
        Ok(self
            .partitions()?
            .into_iter()
            .map(|chunks| rows[chunks].iter().sum())
            .collect())
    }

    /// Reads one chunk: the columns named, or all, after all steps. Steps that serve no wanted column are left out.
    ///
    /// # Errors
    /// Reading fails, or a step refuses a value; the step is named.
    pub fn read(&self, chunk: usize, columns: Option<&[String]>) -> Result<Batch> {
        let wanted: Vec<String> = match columns {
            Some(names) => names.to_vec(),
            None => self
                .schema
                .columns()
                .iter()
                .map(|c| c.name.clone())
                .collect(),
        };
        let (source_columns, links) = self.source_plan(&wanted);
        let batch = self.source.read(chunk, &source_columns)?;
        let base = Arc::new(self.base.select(&names_at(&self.base, &source_columns))?);
        self.finish(batch.with_schema(base)?, &links, &wanted)
    }

    /// As [`Dataset::read`], for chunks in a row.
    fn read_run(&self, chunks: Range<usize>, wanted: &[String]) -> Result<Vec<Batch>> {
        let (source_columns, links) = self.source_plan(wanted);
        let base = Arc::new(self.base.select(&names_at(&self.base, &source_columns))?);
        let batches = self.source.read_run(chunks, &source_columns)?;
        batches
            .into_iter()
            .map(|batch| self.finish(batch.with_schema(base.clone())?, &links, wanted))
            .collect()
    }

    /// The source columns and the steps that the wanted columns need.
    fn source_plan(&self, wanted: &[String]) -> (Vec<usize>, Vec<&Link>) {
        let (needed, links) = self.plan(0, wanted);
        let columns = self.base.columns();
        let source_columns = (0..columns.len())
            .filter(|&i| needed.contains(&columns[i].name))
            .collect();
        (source_columns, links)
    }

    /// The wanted columns after these steps.
    fn finish(&self, mut batch: Batch, links: &[&Link], wanted: &[String]) -> Result<Batch> {
        for link in links {
            batch = link
                .op
                .apply(batch)
                .map_err(|e| e.in_stage(link.op.name()))?;
        }
        let batch = batch.select(wanted)?;
        let declared = self.schema.select(wanted)?;
        if *batch.schema().as_ref() == declared {
            Ok(batch)
        } else {
            batch.with_schema(Arc::new(declared))
        }
    }

    /// Which steps from step `first` on are needed for the wanted columns, and which columns those steps start from; walks
    /// the chain backwards.
    fn plan(&self, first: usize, wanted: &[String]) -> (BTreeSet<String>, Vec<&Link>) {
        let mut needed: BTreeSet<String> = wanted.iter().cloned().collect();
        let mut links = Vec::new();
        for link in self.chain[first..].iter().rev() {
            let outputs = link.op.outputs(&link.input);
            if link.op.drops_rows() || outputs.iter().any(|o| needed.contains(o)) {
                for output in &outputs {
                    needed.remove(output);
                }
                needed.extend(link.op.inputs(&link.input));
                links.push(link);
            }
        }
        links.reverse();
        (needed, links)
    }

    /// How many steps all of these datasets begin with in common; `None` where they have not one source.
    pub(crate) fn common_steps(parts: &[Self]) -> Option<usize> {
        let (first, others) = parts.split_first()?;
        let same = |other: &Self| {
            let links = first.chain.iter().zip(&other.chain);
            links.take_while(|(a, b)| Arc::ptr_eq(&a.op, &b.op)).count()
        };
        others
            .iter()
            .all(|o| Arc::ptr_eq(&o.source, &first.source) && o.base == first.base)
            .then(|| others.iter().map(same).min().unwrap_or(first.chain.len()))
    }

    /// Reads chunks in a row of several datasets that begin with `common` equal steps, which are done once: of each chunk, the
    /// wanted columns of each dataset.
    pub(crate) fn read_together(
        parts: &[Self],
        common: usize,
        chunks: Range<usize>,
        wanted: &[Vec<String>],
    ) -> Result<Vec<Vec<Batch>>> {
        let plans: Vec<_> = parts
            .iter()
            .zip(wanted)
            .map(|(part, wanted)| part.plan(common, wanted))
            .collect();
        let Some(first) = parts.first() else {
            return Ok(Vec::new());
        };
        let mut shared = first.clone();
        if let Some(link) = first.chain.get(common) {
            shared.schema = link.input.clone();
            shared.chain.truncate(common);
        }
        let needed = |name: &&String| plans.iter().any(|(columns, _)| columns.contains(*name));
        let names: Vec<String> = shared
            .schema
            .columns()
            .iter()
            .map(|c| c.name.clone())
            .collect();
        let needed: Vec<String> = names.iter().filter(needed).cloned().collect();
        let of_parts = |batch: Batch| -> Result<Vec<Batch>> {
            let parts = parts.iter().zip(&plans).zip(wanted);
            parts
                .map(|((part, (_, links)), wanted)| part.finish(batch.clone(), links, wanted))
                .collect()
        };
        let batches = shared.read_run(chunks, &needed)?;
        batches.into_iter().map(of_parts).collect()
    }

    /// The ids of the rows of each chunk, where they follow from the chunk alone.
    pub(crate) fn known_ids(&self) -> Result<Option<Vec<Range<u64>>>> {
        if self.drops_rows() || !self.source.exact_rows() || !self.source.consecutive_ids() {
            return Ok(None);
        }
        let ids = |c: &Chunk| c.first_row..c.first_row + c.rows as u64;
        Ok(Some(self.chunks()?.iter().map(ids).collect()))
    }

    /// All batches in row order, one chunk at a time.
    ///
    /// # Errors
    /// A file is missing or damaged; each item may fail as [`Dataset::read`] does.
    pub fn batches<'a>(
        &'a self,
        columns: Option<&'a [String]>,
    ) -> Result<impl Iterator<Item = Result<Batch>> + 'a> {
        let n = self.chunks()?.len();
        Ok((0..n).map(move |i| self.read(i, columns)))
    }

    /// Number of rows after all steps; reads the columns that row-dropping steps need, and every record where bad ones are
    /// quarantined.
    ///
    /// # Errors
    /// Reading fails.
    pub fn count(&self) -> Result<u64> {
        Ok(self.chunk_rows()?.iter().sum())
    }

    /// Number of steps applied so far.
    pub(crate) fn n_steps(&self) -> usize {
        self.chain.len()
    }

    /// True where a step may drop rows.
    pub(crate) fn drops_rows(&self) -> bool {
        self.chain.iter().any(|l| l.op.drops_rows())
    }

    /// As [`Dataset::count`], where no row need be read for it.
    ///
    /// # Errors
    /// A file is missing or damaged.
    pub fn known_count(&self) -> Result<Option<u64>> {
        if !self.source.exact_rows() || self.drops_rows() {
            return Ok(None);
        }
        Ok(Some(self.chunks()?.iter().map(|c| c.rows as u64).sum()))
    }

    /// Rows of each chunk after all steps.
    fn chunk_rows(&self) -> Result<Vec<u64>> {
        let chunks = self.chunks()?;
        if self.source.exact_rows() && !self.drops_rows() {
            return Ok(chunks.iter().map(|c| c.rows as u64).collect());
        }
        let none: [String; 0] = [];
        let rows = |i: usize| Ok(self.read(i, Some(&none))?.num_rows() as u64);
        fold_in_order(chunks.len(), rows, Vec::new(), Vec::push)
    }

    /// The first `n` rows.
    ///
    /// # Errors
    /// Reading fails.
    pub fn head(&self, n: usize) -> Result<Vec<Batch>> {
        let mut left = n;
        let mut out = Vec::new();
        for batch in self.batches(None)? {
            if left == 0 {
                break;
            }
            let batch = batch?;
            let take = left.min(batch.num_rows());
            left -= take;
            out.push(batch.slice(0, take));
        }
        Ok(out)
    }
}

fn names_at(schema: &Schema, columns: &[usize]) -> Vec<String> {
    columns
        .iter()
        .map(|&i| schema.columns()[i].name.clone())
        .collect()
}

/// Deals whole buckets, which start at the chunks `cuts`, to `parts` runs: a bucket goes where the middle of its rows falls.
fn spread_buckets(chunks: &[Chunk], cuts: &[usize], parts: usize) -> Vec<Range<usize>> {
    let total: u128 = chunks.iter().map(|c| c.rows as u128).sum();
    let (mut ends, mut before) = (vec![0; parts], 0_u128);
    for (i, &start) in cuts.iter().enumerate() {
        let end = cuts.get(i + 1).copied().unwrap_or(chunks.len());
        let rows: u128 = chunks[start..end].iter().map(|c| c.rows as u128).sum();
        let part = (2 * before + rows) * parts as u128 / (2 * total).max(1);
        ends[(part as usize).min(parts - 1)] = end;
        before += rows;
    }
    let mut start = 0;
    ends.into_iter()
        .map(|end| {
            let run = start..end.max(start);
            start = run.end;
            run
        })
        .collect()
}

/// Cuts `0..n` into `parts` contiguous runs whose lengths differ by at most one.
#[must_use]
pub fn spread(n: usize, parts: usize) -> Vec<Range<usize>> {
    let parts = parts.max(1);
    (0..parts)
        .map(|p| p * n / parts..(p + 1) * n / parts)
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::arrow::array::{Float64Array, StringArray};

    use super::*;
    use crate::schema::ColumnType;

    fn table(rows: usize) -> Dataset {
        let x: Float64Array = (0..rows).map(|i| Some(i as f64)).collect();
        let name: StringArray = (0..rows).map(|i| Some(format!("r{i}"))).collect();
        Dataset::from_columns(vec![
            (Column::new("x", ColumnType::Float, false), Arc::new(x)),
            (Column::new("name", ColumnType::Text, false), Arc::new(name)),
        ])
        .unwrap()
    }

    #[test]
    fn chunks_follow_the_rows_and_partitions_are_runs_of_them() {
        let data = table(20_000).repartition(2);
        let rows: Vec<usize> = data.chunks().unwrap().iter().map(|c| c.rows).collect();
        assert_eq!(rows, [8192, 8192, 3616]);
        assert_eq!(data.partitions().unwrap(), [0..1, 1..3]);
        assert_eq!(data.repartition(64).partitions().unwrap().len(), 64);
    }

    #[test]
    fn only_the_columns_asked_for_are_read() {
        let batch = table(10).read(0, Some(&["name".to_owned()])).unwrap();
        assert_eq!(batch.columns().len(), 1);
        assert_eq!(batch.num_rows(), 10);
    }

    #[test]
    fn rows_can_be_counted_without_reading_any_column() {
        assert_eq!(table(9_000).count().unwrap(), 9_000);
    }
}

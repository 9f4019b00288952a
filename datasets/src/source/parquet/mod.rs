//! Parquet files: columns and row groups are read alone, and row groups that cannot match a predicate not at all.

mod prune;
mod remote;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use crate::arrow::array::{ArrayRef, RecordBatch, RecordBatchReader};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::PageIndexPolicy;

pub use self::prune::{Compare, Comparison, Constant};
use self::prune::{bounds, check_kind, may_match};
use self::remote::Remote;
use super::columnar::{
    METADATA_KEY, columns, common_columns, guarded, list_length, normalise_batch, with_given_types,
};
use super::content::{Input, Stamp, Stored, open_unchanged};
use super::text::source_error;
use super::{BLOCK_ROWS, Chunk, Source, no_chunk, row_id};
use crate::batch::Batch;
use crate::options::SourceOptions;
use crate::schema::{Column, Schema};
use crate::{DataError, Result};

#[derive(Debug)]
struct File {
    name: String,
    place: Place,
    metadata: ArrowReaderMetadata,
    /// Keeps a spooled file in place.
    _input: Input,
}

/// Where the bytes of row groups come from.
#[derive(Debug)]
enum Place {
    Local(PathBuf, Stamp),
    Remote(Remote),
}

/// A run of rows of one row group.
#[derive(Debug, Clone, Copy)]
struct Piece {
    file: usize,
    group: usize,
    /// First row in the group.
    offset: usize,
    /// First row in the file.
    first: u64,
    rows: usize,
}

/// A table read from Parquet files. Blocks restart at each row group.
#[derive(Debug)]
pub struct ParquetSource {
    origin: String,
    schema: Arc<Schema>,
    /// Columns as the files have them, before given types; statistics are in these types.
    own: Vec<Column>,
    files: Vec<File>,
    pieces: Vec<Piece>,
    chunks: Arc<[Chunk]>,
    groups: usize,
}

impl ParquetSource {
    /// Opens these files as one table; reads their footers, and for list columns a first batch.
    ///
    /// # Errors
    /// A file is missing, damaged, without rows in all of them, or of other columns than the first.
    pub fn open(paths: &[PathBuf], options: &SourceOptions) -> Result<Self> {
        let inputs = paths
            .iter()
            .map(|p| Input::path(p))
            .collect::<Result<_>>()?;
        open(inputs, options)
    }

    /// Leaves out the row groups in which, by their statistics, no row can match all of `filter`. Rows keep their ids.
    /// Rows that do not match may remain in the groups that are left: the filter saves reading, it does not select.
    ///
    /// # Errors
    /// A comparison names no column, or a constant of another kind than the column.
    pub fn with_filter(mut self, filter: &[Comparison]) -> Result<Self> {
        let mut keep = Vec::new();
        for file in &self.files {
            let groups = file.metadata.metadata().num_row_groups();
            let mut kept = vec![true; groups];
            for comparison in filter {
                self.prune(file, comparison, &mut kept)?;
            }
            keep.push(kept);
        }
        self.pieces.retain(|p| keep[p.file][p.group]);
        self.chunks = chunks_of(&self.pieces);
        self.groups = keep.iter().flatten().filter(|k| **k).count();
        Ok(self)
    }

    /// Number of row groups that are read.
    #[must_use]
    pub fn n_row_groups(&self) -> usize {
        self.groups
    }

    fn prune(&self, file: &File, comparison: &Comparison, kept: &mut [bool]) -> Result<()> {
        let position = self.schema.index_of(&comparison.column);
        let Some(position) = position else {
            self.schema.get(&comparison.column)?;
            return Ok(());
        };
        let column = &self.schema.columns()[position];
        check_kind(column, &comparison.value)?;
        if self.own[position].ty != column.ty {
            return Ok(()); // a given type orders values in another way than the statistics
        }
        let Some((least, greatest)) = bounds(file, column) else {
            return Ok(());
        };
        for (group, keep) in kept.iter_mut().enumerate() {
            if !may_match(&least, &greatest, group, comparison) {
                *keep = false;
            }
        }
        Ok(())
    }

    fn batch(&self, piece: &Piece, columns: &[usize]) -> Result<Batch> {
        let arrays = if columns.is_empty() {
            Vec::new()
        } else {
            self.read_piece(piece, columns)?
        };
        let all = self.schema.columns();
        let kept = columns.iter().map(|&i| all[i].clone()).collect();
        let ids = (0..piece.rows as u64).map(|i| row_id(piece.file, piece.first + i));
        Batch::new(Arc::new(Schema::new(kept)?), arrays, ids.collect())
    }

    fn read_piece(&self, piece: &Piece, columns: &[usize]) -> Result<Vec<ArrayRef>> {
        let file = &self.files[piece.file];
        let mut ordered = columns.to_vec();
        ordered.sort_unstable();
        ordered.dedup();
        let batch = read_rows(file, piece, &ordered)?;
        let arrays = normalise_batch(&batch, &self.schema, &ordered, &file.name, piece.first)?;
        let place = |c: &usize| ordered.binary_search(c).ok().map(|i| arrays[i].clone());
        Ok(columns.iter().filter_map(place).collect())
    }
}

fn read_rows(file: &File, piece: &Piece, columns: &[usize]) -> Result<RecordBatch> {
    let fail = |e: &dyn std::fmt::Display| DataError::format(&file.name, e);
    let mask = ProjectionMask::roots(file.metadata.parquet_schema(), columns.iter().copied());
    let handle = match &file.place {
        Place::Local(path, stamp) => open_unchanged(path, stamp)?,
        Place::Remote(remote) => guarded(&file.name, || {
            remote.columns(file.metadata.metadata(), piece.group, &mask)
        })?,
    };
    guarded(&file.name, || {
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(handle, file.metadata.clone());
        let reader = builder
            .with_projection(mask)
            .with_row_groups(vec![piece.group])
            .with_offset(piece.offset)
            .with_limit(piece.rows)
            .with_batch_size(piece.rows)
            .build()
            .map_err(|e| fail(&e))?;
        let schema = reader.schema();
        let batches = reader
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|e| fail(&e))?;
        let batch =
            crate::arrow::compute::concat_batches(&schema, &batches).map_err(|e| fail(&e))?;
        if batch.num_rows() == piece.rows {
            return Ok(batch);
        }
        Err(fail(&"a row group holds fewer rows than the footer says"))
    })
}

fn load(input: Input) -> Result<File> {
    let Some(stored) = input.stored() else {
        return Err(source_error(
            &input.name,
            "a Parquet file compresses by itself and is not read through gzip; unpack it first",
        ));
    };
    let name = input.name.clone();
    let options = ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional);
    let damaged = |e| source_error(&name, format!("no Parquet file, or a damaged one: {e}"));
    let (place, metadata) = match stored {
        Stored::File(path, stamp) => {
            let handle = open_unchanged(&path, &stamp)?;
            let load = || ArrowReaderMetadata::load(&handle, options).map_err(damaged);
            (Place::Local(path.clone(), stamp), guarded(&name, load)?)
        }
        Stored::Object(object) => {
            let remote = Remote::new(object);
            let load = || {
                let footer = remote.footer()?.map_err(damaged)?;
                ArrowReaderMetadata::try_new(Arc::new(footer), options).map_err(damaged)
            };
            let metadata = guarded(&name, load)?;
            (Place::Remote(remote), metadata)
        }
    };
    Ok(File {
        name,
        place,
        metadata,
        _input: input,
    })
}

fn file_columns(file: &File) -> Result<Vec<Column>> {
    let metadata = file.metadata.metadata();
    let pairs = metadata.file_metadata().key_value_metadata();
    let stated = pairs
        .and_then(|p| p.iter().find(|kv| kv.key == METADATA_KEY))
        .and_then(|kv| kv.value.as_deref());
    let width = |column: usize| -> Result<Option<usize>> {
        let groups = metadata.row_groups().iter().enumerate();
        let Some((group, rows)) = groups
            .map(|(i, g)| (i, g.num_rows()))
            .find(|(_, rows)| *rows > 0)
        else {
            return Ok(Some(0));
        };
        let rows = usize::try_from(rows).unwrap_or(BLOCK_ROWS).min(BLOCK_ROWS);
        let piece = Piece {
            file: 0,
            group,
            offset: 0,
            first: 0,
            rows,
        };
        let batch = read_rows(file, &piece, &[column])?;
        Ok(Some(list_length(batch.column(0)).unwrap_or(0)))
    };
    columns(&file.name, file.metadata.schema(), stated, width)
}

fn pieces_of(number: usize, file: &File) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut first = 0;
    for (group, meta) in file.metadata.metadata().row_groups().iter().enumerate() {
        let rows = usize::try_from(meta.num_rows())
            .map_err(|_| source_error(&file.name, "the footer states a negative number of rows"))?;
        for offset in (0..rows).step_by(BLOCK_ROWS) {
            pieces.push(Piece {
                file: number,
                group,
                offset,
                first: first + offset as u64,
                rows: BLOCK_ROWS.min(rows - offset),
            });
        }
        first += rows as u64;
    }
    Ok(pieces)
}

fn chunks_of(pieces: &[Piece]) -> Arc<[Chunk]> {
    pieces
        .iter()
        .map(|p| Chunk {
            first_row: row_id(p.file, p.first),
            rows: p.rows,
        })
        .collect()
}

pub(crate) fn open(inputs: Vec<Input>, options: &SourceOptions) -> Result<ParquetSource> {
    let origin = &options.source;
    let files = inputs.into_iter().map(load).collect::<Result<Vec<_>>>()?;
    let mut described = Vec::with_capacity(files.len());
    let mut pieces = Vec::new();
    for (i, file) in files.iter().enumerate() {
        described.push((file.name.clone(), file_columns(file)?));
        pieces.extend(pieces_of(i, file)?);
    }
    let own = common_columns(origin, &described)?;
    if pieces.is_empty() {
        return Err(source_error(origin, "there are no rows"));
    }
    let schema = Arc::new(with_given_types(own.clone(), options)?);
    let groups = files.iter().map(|f| f.metadata.metadata().num_row_groups());
    Ok(ParquetSource {
        origin: origin.clone(),
        schema,
        own,
        groups: groups.sum(),
        chunks: chunks_of(&pieces),
        files,
        pieces,
    })
}

impl Source for ParquetSource {
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

    /// A reader decodes a row group from its start, or at least its dictionaries: one does for several chunks.
    fn run_length(&self) -> usize {
        8
    }

    fn read_run(&self, chunks: Range<usize>, columns: &[usize]) -> Result<Vec<Batch>> {
        let pieces = self.pieces.get(chunks.clone());
        let pieces = pieces.ok_or_else(|| no_chunk(&self.origin, chunks.end))?;
        let follows = |a: &Piece, b: &Piece| {
            (a.file, a.group, a.offset + a.rows) == (b.file, b.group, b.offset)
        };
        let mut batches = Vec::with_capacity(pieces.len());
        for run in pieces.chunk_by(follows) {
            let whole = Piece {
                rows: run.iter().map(|p| p.rows).sum(),
                ..run[0]
            };
            let all = self.batch(&whole, columns)?;
            let mut start = 0;
            for piece in run {
                batches.push(all.slice(start, piece.rows));
                start += piece.rows;
            }
        }
        Ok(batches)
    }

    fn consecutive_ids(&self) -> bool {
        true
    }

    fn read(&self, chunk: usize, columns: &[usize]) -> Result<Batch> {
        let piece = self
            .pieces
            .get(chunk)
            .ok_or_else(|| no_chunk(&self.origin, chunk))?;
        self.batch(piece, columns)
    }
}

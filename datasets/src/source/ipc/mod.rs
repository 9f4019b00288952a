//! Arrow IPC files (Feather version 2). Every stated length is checked against the file before anything is decoded.
//!
//! The library's own file reader believes lengths in the file: a few bytes can make it allocate gigabytes or panic. So
//! the footer and messages are read and checked by [`guard`], and only then handed to the library's decoder.

mod guard;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::arrow::array::RecordBatch;
use crate::arrow::buffer::Buffer;
use crate::arrow::ipc::Block;
use crate::arrow::ipc::reader::FileDecoder;

use self::guard::{Footer, message_rows, read_footer};
use super::columnar::{
    METADATA_KEY, columns, common_columns, guarded, list_length, normalise_batch, with_given_types,
};
use super::content::{Content, Input};
use super::text::source_error;
use super::{BLOCK_ROWS, Chunk, Source, no_chunk, row_id};
use crate::batch::Batch;
use crate::options::SourceOptions;
use crate::schema::Schema;
use crate::{DataError, Result};

/// Decoded record batches kept for the next blocks of the same batch.
const CACHED: usize = 4;

#[derive(Debug)]
struct File {
    name: String,
    content: Content,
    footer: Footer,
    decoder: OnceLock<FileDecoder>,
    _input: Input,
}

impl File {
    fn bytes(&self, start: u64, length: u64) -> Result<Vec<u8>> {
        Ok(self.content.range(start..start + length)?.into_owned())
    }

    /// The bytes of a block whose place was checked when the footer was read.
    fn block(&self, block: &Block) -> Result<Buffer> {
        let length = block.metaDataLength() as u64 + block.bodyLength() as u64;
        Ok(Buffer::from_vec(self.bytes(block.offset() as u64, length)?))
    }

    /// Rows of a record batch, by its message alone.
    fn rows(&self, block: &Block) -> Result<usize> {
        let message = self.bytes(block.offset() as u64, block.metaDataLength() as u64)?;
        message_rows(&self.name, &message, block)
    }

    /// The decoder, with the dictionaries of the file.
    fn decoder(&self) -> Result<&FileDecoder> {
        if let Some(decoder) = self.decoder.get() {
            return Ok(decoder);
        }
        let mut decoder = FileDecoder::new(self.footer.schema.clone(), self.footer.version);
        for block in &self.footer.dictionaries {
            let bytes = self.block(block)?;
            guarded(&self.name, || {
                guard::check_dictionary(&self.name, &bytes, block, &self.footer.schema)?;
                decoder
                    .read_dictionary(block, &bytes)
                    .map_err(|e| DataError::format(&self.name, e))
            })?;
        }
        Ok(self.decoder.get_or_init(|| decoder))
    }

    fn decode(&self, block: &Block) -> Result<RecordBatch> {
        let decoder = self.decoder()?;
        let bytes = self.block(block)?;
        guarded(&self.name, || {
            guard::check_batch(&self.name, &bytes, block, &self.footer.schema)?;
            decoder
                .read_record_batch(block, &bytes)
                .map_err(|e| DataError::format(&self.name, e))?
                .ok_or_else(|| source_error(&self.name, "a record batch is empty of content"))
        })
    }
}

#[derive(Debug, Clone, Copy)]
struct Piece {
    file: usize,
    block: usize,
    offset: usize,
    first: u64,
    rows: usize,
}

#[derive(Debug)]
struct Index {
    pieces: Vec<Piece>,
    chunks: Arc<[Chunk]>,
}

/// A table read from Arrow IPC files. Blocks restart at each record batch.
#[derive(Debug)]
pub(crate) struct IpcSource {
    origin: String,
    schema: Arc<Schema>,
    files: Vec<File>,
    index: OnceLock<Index>,
    cache: Mutex<Vec<((usize, usize), RecordBatch)>>,
}

impl IpcSource {
    fn index(&self) -> Result<&Index> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let mut pieces = Vec::new();
        for (number, file) in self.files.iter().enumerate() {
            let mut first = 0;
            for (i, block) in file.footer.batches.iter().enumerate() {
                let rows = file.rows(block)?;
                for offset in (0..rows).step_by(BLOCK_ROWS) {
                    pieces.push(Piece {
                        file: number,
                        block: i,
                        offset,
                        first: first + offset as u64,
                        rows: BLOCK_ROWS.min(rows - offset),
                    });
                }
                first += rows as u64;
            }
        }
        let chunk = |p: &Piece| Chunk {
            first_row: row_id(p.file, p.first),
            rows: p.rows,
        };
        let chunks = pieces.iter().map(chunk).collect();
        Ok(self.index.get_or_init(|| Index { pieces, chunks }))
    }

    fn batch(&self, file: usize, block: usize) -> Result<RecordBatch> {
        let key = (file, block);
        let lock = || self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, batch)) = lock().iter().find(|(k, _)| *k == key) {
            return Ok(batch.clone());
        }
        let batch = self.files[file].decode(&self.files[file].footer.batches[block])?;
        let mut cache = lock();
        if cache.len() >= CACHED {
            cache.remove(0);
        }
        cache.push((key, batch.clone()));
        Ok(batch)
    }
}

fn load(input: Input) -> Result<File> {
    let (name, content) = (input.name.clone(), input.content()?);
    let length = content.len();
    let footer = guarded(&name, || read_footer(&name, &content, length))?;
    Ok(File {
        name,
        content,
        footer,
        decoder: OnceLock::new(),
        _input: input,
    })
}

fn file_columns(file: &File) -> Result<Vec<crate::schema::Column>> {
    let stated = file.footer.schema.metadata().get(METADATA_KEY);
    let width = |column: usize| -> Result<Option<usize>> {
        let Some(block) = file.footer.batches.first() else {
            return Ok(Some(0));
        };
        let batch = file.decode(block)?;
        Ok(Some(list_length(batch.column(column)).unwrap_or(0)))
    };
    columns(
        &file.name,
        &file.footer.schema,
        stated.map(String::as_str),
        width,
    )
}

/// Opens Arrow IPC files: reads their footers, and for list columns a first batch.
pub(crate) fn open(inputs: Vec<Input>, options: &SourceOptions) -> Result<IpcSource> {
    let origin = &options.source;
    let files = inputs.into_iter().map(load).collect::<Result<Vec<_>>>()?;
    let described = files
        .iter()
        .map(|f| Ok((f.name.clone(), file_columns(f)?)))
        .collect::<Result<Vec<_>>>()?;
    if files.iter().all(|f| f.footer.batches.is_empty()) {
        return Err(source_error(origin, "there are no rows"));
    }
    let schema = with_given_types(common_columns(origin, &described)?, options)?;
    Ok(IpcSource {
        origin: origin.clone(),
        schema: Arc::new(schema),
        files,
        index: OnceLock::new(),
        cache: Mutex::default(),
    })
}

impl Source for IpcSource {
    fn origin(&self) -> &str {
        &self.origin
    }

    fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    fn chunks(&self) -> Result<Arc<[Chunk]>> {
        Ok(self.index()?.chunks.clone())
    }

    fn known_rows(&self) -> Option<u64> {
        let index = self.index().ok()?;
        Some(index.chunks.iter().map(|c| c.rows as u64).sum())
    }

    fn consecutive_ids(&self) -> bool {
        true
    }

    fn read(&self, chunk: usize, columns: &[usize]) -> Result<Batch> {
        let piece = self
            .index()?
            .pieces
            .get(chunk)
            .ok_or_else(|| no_chunk(&self.origin, chunk))?;
        let file = &self.files[piece.file];
        let whole = self.batch(piece.file, piece.block)?;
        let rows = whole.project(columns)?.slice(piece.offset, piece.rows);
        let arrays = normalise_batch(&rows, &self.schema, columns, &file.name, piece.first)?;
        let all = self.schema.columns();
        let kept = columns.iter().map(|&i| all[i].clone()).collect();
        let ids = (0..piece.rows as u64).map(|i| row_id(piece.file, piece.first + i));
        Batch::new(Arc::new(Schema::new(kept)?), arrays, ids.collect())
    }
}

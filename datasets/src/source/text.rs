//! What all text formats share: files, the lazily made index of blocks, reading by block, bad records.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::arrow::array::{ArrayRef, BooleanArray};
use rayon::prelude::*;

use super::content::{Content, Input};
use super::quarantine::{Quarantine, Rejects};
use super::scan::{Piece, Scanner, Span, index, read_some, records};
use super::{Chunk, Source, no_chunk, row_id};
use crate::batch::Batch;
use crate::options::BadRows;
use crate::schema::Schema;
use crate::{DataError, Result};

/// Blocks of an object that are asked for by one request, so that the way to the store is gone seldom,
const TOGETHER: usize = 8;

/// unless they have more bytes than this.
const MOST_TOGETHER: u64 = 32 << 20;

/// How the records of one text format are told apart and decoded.
pub(crate) trait TextFormat: Send + Sync + Debug {
    /// The delimiter, where quotes protect line ends.
    fn quoting(&self) -> Option<u8> {
        None
    }

    /// True for a line that is no record (a comment).
    fn skips(&self, _line: &[u8]) -> bool {
        false
    }

    /// The pieces of a file, where opening had to find them already.
    fn known_pieces(&self) -> Option<Vec<Piece>> {
        None
    }

    /// Decodes records into these columns (in this order). A record pushed to `rejects` still gives one cell a column.
    fn decode(
        &self,
        records: &Records<'_>,
        columns: &[usize],
        rejects: &mut Rejects<'_>,
    ) -> Result<Vec<ArrayRef>>;
}

/// A file, and where its records start (after a byte order mark and a header).
#[derive(Debug, Clone)]
pub(crate) struct TextFile {
    pub input: Input,
    pub start: u64,
    pub line: u64,
}

/// The records of one block.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    bytes: &'a [u8],
    /// The block as text, where all of it is UTF-8 without NUL; else each record is checked by itself.
    text: Option<&'a str>,
    base: u64,
    pub spans: &'a [Span],
}

impl<'a> Records<'a> {
    pub fn new(bytes: &'a [u8], base: u64, spans: &'a [Span]) -> Self {
        let text = std::str::from_utf8(bytes)
            .ok()
            .filter(|_| memchr::memchr(0, bytes).is_none());
        Self {
            bytes,
            text,
            base,
            spans,
        }
    }

    /// Whether a byte occurs in the block at all.
    pub fn contains(&self, byte: u8) -> bool {
        memchr::memchr(byte, self.bytes).is_some()
    }

    /// The bytes of record `i`.
    pub fn raw(&self, i: usize) -> &'a [u8] {
        let span = &self.spans[i];
        let (start, end) = (span.start - self.base, span.end - self.base);
        &self.bytes[start as usize..end as usize]
    }

    /// Record `i` without its line end, or why it is no text.
    pub fn text(&self, i: usize) -> std::result::Result<&'a str, String> {
        let span = &self.spans[i];
        let (start, end) = (
            (span.start - self.base) as usize,
            (span.end - self.base) as usize,
        );
        let record = match self.text.and_then(|t| t.get(start..end)) {
            Some(record) => record,
            None => plain_text(&self.bytes[start..end])?,
        };
        let record = record.strip_suffix('\n').unwrap_or(record);
        Ok(record.strip_suffix('\r').unwrap_or(record))
    }

    /// Sets record `i` aside for `reason`.
    pub fn reject(&self, i: usize, reason: String, rejects: &mut Rejects<'_>) -> Result<()> {
        let span = self.spans[i];
        rejects.push(i, span.line, span.start, reason, self.raw(i))
    }
}

fn plain_text(bytes: &[u8]) -> std::result::Result<&str, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| {
        format!(
            "invalid UTF-8 {} bytes into the record; convert the file to UTF-8",
            e.valid_up_to()
        )
    })?;
    match memchr::memchr(0, bytes) {
        Some(at) => Err(format!(
            "a NUL byte {at} bytes into the record; is this a text file in UTF-8?"
        )),
        None => Ok(text),
    }
}

/// The first records of a file, read from its start.
#[derive(Debug, Default)]
pub(crate) struct Head {
    pub bytes: Vec<u8>,
    pub spans: Vec<Span>,
    /// Bytes of the byte order mark: 0 or 3.
    pub mark: u64,
    /// The whole file was read.
    pub complete: bool,
}

/// How many records there are, as far as the sample tells.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Estimate {
    /// Records seen.
    pub records: u64,
    /// Bytes they took.
    pub bytes: u64,
    /// These were all.
    pub complete: bool,
}

impl Estimate {
    pub fn sample(&mut self, spans: &[Span]) {
        self.records += spans.len() as u64;
        self.bytes += spans.iter().map(|s| s.end - s.start).sum::<u64>();
    }
}

/// Reads no more of a file than its first `limit` records (and what is left of a read buffer).
pub(crate) fn head(input: &Input, quoting: Option<u8>, limit: usize) -> Result<Head> {
    const STEP: usize = 64 << 10;
    const MARK: [u8; 3] = [0xef, 0xbb, 0xbf];
    let mut reader = input.stream()?;
    let mut head = Head::default();
    let mut buffer = vec![0; STEP];
    let mut scanner = Scanner::new(quoting, 0, 1);
    let mut started = false;
    loop {
        let n = read_some(&mut reader, &mut buffer, &input.name)?;
        let old = head.bytes.len();
        head.bytes.extend_from_slice(&buffer[..n]);
        if !started && (head.bytes.len() >= MARK.len() || n == 0) {
            started = true;
            head.mark = 3 * u64::from(head.bytes.starts_with(&MARK));
            scanner = Scanner::new(quoting, head.mark, 1);
            let from = head.mark as usize;
            scanner.feed(&head.bytes[from..], |s| head.spans.push(s));
        } else if started {
            scanner.feed(&head.bytes[old..], |s| head.spans.push(s));
        }
        scanner.check(&input.name)?;
        if n == 0 {
            head.spans.extend(scanner.finish());
            head.complete = head.spans.len() <= limit;
            break;
        }
        if head.spans.len() >= limit {
            break;
        }
    }
    head.spans.truncate(limit);
    Ok(head)
}

#[derive(Debug)]
struct Index {
    contents: Vec<Content>,
    pieces: Vec<Piece>,
    chunks: Arc<[Chunk]>,
}

/// A table read from text files.
#[derive(Debug)]
pub(crate) struct TextSource {
    origin: String,
    schema: Arc<Schema>,
    files: Vec<TextFile>,
    format: Box<dyn TextFormat>,
    quarantine: Quarantine,
    estimate: Estimate,
    index: OnceLock<Index>,
}

impl TextSource {
    pub fn new(
        origin: &str,
        schema: Schema,
        files: Vec<TextFile>,
        format: Box<dyn TextFormat>,
        quarantine: Quarantine,
        estimate: Estimate,
    ) -> Self {
        Self {
            origin: origin.to_owned(),
            schema: Arc::new(schema),
            files,
            format,
            quarantine,
            estimate,
            index: OnceLock::new(),
        }
    }

    fn index(&self) -> Result<&Index> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        // No lock is held: a thread that waits for its share of a parallel scan may be given a task that comes here. Two
        // first calls at once both scan, with equal results, and one is kept.
        let made = self.make_index()?;
        Ok(self.index.get_or_init(|| made))
    }

    fn make_index(&self) -> Result<Index> {
        let contents = self
            .files
            .par_iter()
            .map(|f| f.input.content())
            .collect::<Result<Vec<_>>>()?;
        let pieces = match self.format.known_pieces() {
            Some(pieces) => pieces,
            None => {
                let scan = |(i, file): (usize, &TextFile)| {
                    let scanner = Scanner::new(self.format.quoting(), file.start, file.line);
                    index(&file.input.name, i, &contents[i], scanner)
                };
                let found = self.files.par_iter().enumerate().map(scan);
                found.collect::<Result<Vec<_>>>()?.concat()
            }
        };
        let chunks = pieces
            .iter()
            .map(|p| Chunk {
                first_row: row_id(p.file, p.first),
                rows: p.rows,
            })
            .collect();
        Ok(Index {
            contents,
            pieces,
            chunks,
        })
    }

    /// All columns have to be looked at where a bad cell decides whether a row exists: else the rows would depend on the
    /// columns that happen to be asked for.
    fn decode(
        &self,
        piece: &Piece,
        content: &Content,
        chunk: usize,
        columns: &[usize],
    ) -> Result<Batch> {
        content.with_range(piece.start..piece.end, |bytes| {
            self.decode_bytes(piece, bytes, chunk, columns)
        })
    }

    fn decode_bytes(
        &self,
        piece: &Piece,
        bytes: &[u8],
        chunk: usize,
        columns: &[usize],
    ) -> Result<Batch> {
        let scanner = Scanner::new(self.format.quoting(), piece.start, piece.line);
        let mut spans = records(scanner, bytes);
        spans.retain(|s| {
            let (start, end) = (s.start - piece.start, s.end - piece.start);
            !self.format.skips(&bytes[start as usize..end as usize])
        });
        let records = Records::new(bytes, piece.start, &spans);
        let mut rejects = Rejects {
            file: &self.files[piece.file].input.name,
            policy: self.quarantine.policy,
            list: Vec::new(),
        };
        let mut arrays = self.format.decode(&records, columns, &mut rejects)?;
        let mut keep = vec![true; spans.len()];
        for reject in &rejects.list {
            keep[reject.record] = false;
        }
        let ids: Arc<[u64]> = (0..spans.len())
            .filter(|&i| keep[i])
            .map(|i| row_id(piece.file, piece.first + i as u64))
            .collect();
        if !rejects.list.is_empty() {
            let keep = BooleanArray::from(keep);
            for array in &mut arrays {
                *array = crate::arrow::compute::filter(array, &keep)?;
            }
        }
        self.quarantine.settle(chunk, rejects.file, &rejects.list)?;
        let all = self.schema.columns();
        let kept = columns.iter().map(|&i| all[i].clone()).collect();
        Batch::new(Arc::new(Schema::new(kept)?), arrays, ids)
    }
}

impl Source for TextSource {
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
        match self.index.get() {
            Some(index) => Some(index.chunks.iter().map(|c| c.rows as u64).sum()),
            None => self.estimate.complete.then_some(self.estimate.records),
        }
    }

    fn estimated_rows(&self) -> Option<u64> {
        if let Some(known) = self.known_rows() {
            return Some(known);
        }
        let sizes = self.files.iter().map(|f| f.input.size_hint());
        let bytes: u64 = sizes.sum::<Option<u64>>()?;
        let per_record = self
            .estimate
            .bytes
            .checked_div(self.estimate.records)?
            .max(1);
        Some((bytes / per_record).max(self.estimate.records))
    }

    fn read(&self, chunk: usize, columns: &[usize]) -> Result<Batch> {
        let index = self.index()?;
        let piece = index
            .pieces
            .get(chunk)
            .ok_or_else(|| no_chunk(&self.origin, chunk))?;
        self.decode(piece, &index.contents[piece.file], chunk, columns)
    }

    fn run_length(&self) -> usize {
        let remote = self.files.iter().any(|f| f.input.is_remote());
        if remote { TOGETHER } else { 1 }
    }

    fn read_run(&self, chunks: Range<usize>, columns: &[usize]) -> Result<Vec<Batch>> {
        let index = self.index()?;
        let pieces = index.pieces.get(chunks.clone());
        let pieces = pieces.ok_or_else(|| no_chunk(&self.origin, chunks.end))?;
        let mut batches = Vec::with_capacity(pieces.len());
        for run in pieces.chunk_by(|a, b| a.file == b.file) {
            let content = &index.contents[run[0].file];
            let (start, end) = (run[0].start, run[run.len() - 1].end);
            let first = chunks.start + batches.len();
            if !content.is_remote() || end - start > MOST_TOGETHER {
                for (i, piece) in run.iter().enumerate() {
                    batches.push(self.decode(piece, content, first + i, columns)?);
                }
                continue;
            }
            content.with_range(start..end, |bytes| {
                for (i, piece) in run.iter().enumerate() {
                    let own = (piece.start - start) as usize..(piece.end - start) as usize;
                    batches.push(self.decode_bytes(piece, &bytes[own], first + i, columns)?);
                }
                Ok(())
            })?;
        }
        Ok(batches)
    }

    fn quarantined(&self) -> u64 {
        self.quarantine.count()
    }

    fn exact_rows(&self) -> bool {
        self.quarantine.policy == BadRows::Fail
    }

    fn consecutive_ids(&self) -> bool {
        true
    }
}

/// An error about a source as a whole.
pub(crate) fn source_error(origin: &str, message: impl Into<String>) -> DataError {
    DataError::Source {
        origin: origin.to_owned(),
        message: message.into(),
    }
}

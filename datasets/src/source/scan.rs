//! Record boundaries in text: where each record starts and ends, quotes respected, blank lines left out.
//!
//! The index scan and the decoder both use [`Scanner`], so that they can never disagree about what a record is.

use std::io::Read;

use memchr::{memchr, memchr_iter};

use super::BLOCK_ROWS;
use super::content::{Content, READ_BUFFER};
use crate::{DataError, Result};

/// A record longer than this is refused whatever `bad_rows` says: a quote was left open.
const MAX_RECORD: u64 = 64 << 20;

/// Place of one record: bytes `start..end` of the file (line end included), and the line it starts on, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub start: u64,
    pub end: u64,
    pub line: u64,
}

/// Finds records in bytes that arrive in pieces.
#[derive(Debug, Clone)]
pub(crate) struct Scanner {
    /// The delimiter, where quotes protect line ends (CSV); `None` for plain lines.
    quoting: Option<u8>,
    at: u64,
    line: u64,
    record: u64,
    record_line: u64,
    quoted: bool,
    /// The last byte closed a quoted stretch; another quote right after it was an escaped one.
    just_closed: bool,
    previous: u8,
}

impl Scanner {
    /// A scanner that starts at byte `at`, on line `line`.
    pub fn new(quoting: Option<u8>, at: u64, line: u64) -> Self {
        Self {
            quoting,
            at,
            line,
            record: at,
            record_line: line,
            quoted: false,
            just_closed: false,
            previous: b'\n',
        }
    }

    /// Takes the next bytes and reports the records that end in them.
    pub fn feed(&mut self, bytes: &[u8], mut found: impl FnMut(Span)) {
        let mut i = 0;
        while i < bytes.len() {
            if self.quoted {
                i = self.inside_quotes(bytes, i);
            } else {
                i = self.outside_quotes(bytes, i, &mut found);
            }
        }
        self.at += bytes.len() as u64;
        if let Some(last) = bytes.last() {
            self.previous = *last;
        }
    }

    fn inside_quotes(&mut self, bytes: &[u8], i: usize) -> usize {
        let end = memchr(b'"', &bytes[i..]).map_or(bytes.len(), |k| i + k);
        self.line += memchr_iter(b'\n', &bytes[i..end]).count() as u64;
        if end == bytes.len() {
            return end;
        }
        self.quoted = false;
        self.just_closed = true;
        end + 1
    }

    fn outside_quotes(&mut self, bytes: &[u8], i: usize, found: &mut impl FnMut(Span)) -> usize {
        if self.just_closed {
            self.just_closed = false;
            if bytes[i] == b'"' {
                self.quoted = true;
                return i + 1;
            }
        }
        let quote = self.quoting.and_then(|_| memchr(b'"', &bytes[i..]));
        let end = quote.map_or(bytes.len(), |k| i + k);
        for k in memchr_iter(b'\n', &bytes[i..end]) {
            let before = match i + k {
                0 => self.previous,
                p => bytes[p - 1],
            };
            self.line_end(self.at + (i + k) as u64, before, found);
        }
        if quote.is_none() {
            return end;
        }
        let before = if end == 0 {
            self.previous
        } else {
            bytes[end - 1]
        };
        // A quote opens a quoted field only where the field starts; elsewhere it is a character like any other.
        let starts_field = Some(before) == self.quoting || self.record == self.at + end as u64;
        self.quoted = starts_field;
        end + 1
    }

    fn line_end(&mut self, at: u64, before: u8, found: &mut impl FnMut(Span)) {
        let length = at - self.record;
        if length > 1 || (length == 1 && before != b'\r') {
            found(Span {
                start: self.record,
                end: at + 1,
                line: self.record_line,
            });
        }
        self.line += 1;
        self.record = at + 1;
        self.record_line = self.line;
    }

    /// The last record, where the text does not end with a line end.
    pub fn finish(&self) -> Option<Span> {
        let length = self.at - self.record;
        (length > 1 || (length == 1 && self.previous != b'\r')).then_some(Span {
            start: self.record,
            end: self.at,
            line: self.record_line,
        })
    }

    /// An error where the record under way is longer than any sane one.
    pub fn check(&self, file: &str) -> Result<()> {
        if self.at - self.record <= MAX_RECORD {
            return Ok(());
        }
        Err(DataError::BadRecord {
            file: file.to_owned(),
            line: self.record_line,
            byte: self.record,
            message: format!(
                "the record is longer than {} MiB; {}",
                MAX_RECORD >> 20,
                if self.quoted {
                    "a quote that opens in it is never closed"
                } else {
                    "is this a text file?"
                }
            ),
        })
    }
}

/// All records of some bytes that start at `at` of the file.
pub(crate) fn records(mut scanner: Scanner, bytes: &[u8]) -> Vec<Span> {
    let mut spans = Vec::new();
    scanner.feed(bytes, |s| spans.push(s));
    spans.extend(scanner.finish());
    spans
}

/// At most [`BLOCK_ROWS`] consecutive records of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    pub file: usize,
    pub start: u64,
    pub end: u64,
    pub line: u64,
    /// Number of the first record in its file, from 0.
    pub first: u64,
    pub rows: usize,
}

/// Cuts the records of one file into pieces.
#[derive(Debug)]
pub(crate) struct Cutter {
    file: usize,
    seen: u64,
    pub pieces: Vec<Piece>,
}

impl Cutter {
    pub fn new(file: usize) -> Self {
        Self {
            file,
            seen: 0,
            pieces: Vec::new(),
        }
    }

    pub fn add(&mut self, span: Span) {
        match self.pieces.last_mut() {
            Some(piece) if piece.rows < BLOCK_ROWS => {
                piece.rows += 1;
                piece.end = span.end;
            }
            _ => self.pieces.push(Piece {
                file: self.file,
                start: span.start,
                end: span.end,
                line: span.line,
                first: self.seen,
                rows: 1,
            }),
        }
        self.seen += 1;
    }
}

/// One pass over a file's content that finds where every block of records starts.
pub(crate) fn index(
    name: &str,
    file: usize,
    content: &Content,
    mut scanner: Scanner,
) -> Result<Vec<Piece>> {
    let mut cutter = Cutter::new(file);
    let mut reader = content.reader(scanner.at)?;
    let mut buffer = vec![0; READ_BUFFER];
    loop {
        let n = read_some(&mut reader, &mut buffer, name)?;
        if n == 0 {
            break;
        }
        scanner.feed(&buffer[..n], |span| cutter.add(span));
        scanner.check(name)?;
    }
    if let Some(span) = scanner.finish() {
        cutter.add(span);
    }
    Ok(cutter.pieces)
}

pub(crate) fn read_some(reader: &mut impl Read, buffer: &mut [u8], name: &str) -> Result<usize> {
    loop {
        match reader.read(buffer) {
            Ok(n) => return Ok(n),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(DataError::io(name, e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(text: &str, step: usize) -> Vec<(u64, u64)> {
        let mut scanner = Scanner::new(Some(b','), 0, 1);
        let mut out = Vec::new();
        for piece in text.as_bytes().chunks(step) {
            scanner.feed(piece, |s| out.push((s.start, s.line)));
        }
        out.extend(scanner.finish().map(|s| (s.start, s.line)));
        out
    }

    #[test]
    fn line_ends_inside_quotes_do_not_end_a_record_wherever_the_buffer_is_cut() {
        let text = "a,\"x\ny\"\r\n\r\nb,\"he said \"\"no\n\"\"\"\nc,5\" disk\n\"d\n\",1";
        let whole = [(0, 1), (11, 4), (31, 6), (41, 7)];
        for step in 1..=text.len() {
            assert_eq!(starts(text, step), whole, "buffer of {step}");
        }
    }

    #[test]
    fn blank_lines_are_no_records() {
        assert_eq!(starts("\n\r\na\n\n\nb\r\n\r\n", 3), [(3, 3), (7, 6)]);
    }
}

//! Record boundaries in text: where each record starts and ends, quotes respected, blank lines left out.
//!
//! The index scan and the decoder both use [`Scanner`], so that they can never disagree about what a record is.

use std::io::Read;

use memchr::{memchr, memchr_iter};

use super::BLOCK_ROWS;
use super::content::{Content, READ_BUFFER};
use crate::parallel::map_in_order;
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

    /// As [`Scanner::feed`], for bytes without quotes whose line ends were found already.
    fn feed_plain(&mut self, lines: &Lines, mut found: impl FnMut(Span)) {
        if lines.len == 0 {
            return;
        }
        if self.quoted {
            self.line += lines.ends.len() as u64;
        } else {
            self.just_closed = false;
            for (k, (at, blank)) in lines.ends.iter().enumerate() {
                let at = self.at + u64::from(*at);
                let blank = if k == 0 {
                    let before = lines.before_first.unwrap_or(self.previous);
                    is_blank((at - self.record) as usize, before)
                } else {
                    *blank
                };
                self.end_line(at, blank, &mut found);
            }
        }
        self.at += lines.len as u64;
        self.previous = lines.last.unwrap_or(self.previous);
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
        let blank = is_blank((at - self.record) as usize, before);
        self.end_line(at, blank, found);
    }

    fn end_line(&mut self, at: u64, blank: bool, found: &mut impl FnMut(Span)) {
        if !blank {
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
        let length = (self.at - self.record) as usize;
        (!is_blank(length, self.previous)).then_some(Span {
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

/// Whether a line of `length` bytes before its line end, the last of them `last`, is no record.
fn is_blank(length: usize, last: u8) -> bool {
    length == 0 || (length == 1 && last == b'\r')
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

/// Bytes that one task of the index scan looks at.
const SEGMENT: u64 = 1 << 20;

/// What a task of the index scan has seen in its bytes.
enum Segment {
    /// No quotes, hence nothing that what came before could change but whether all of it is quoted.
    Plain(Lines),
    /// Bytes with quotes: where records end depends on what came before.
    Quoted(Vec<u8>),
}

/// The line ends of some bytes without quotes.
struct Lines {
    len: usize,
    /// Places of line ends, ascending, and whether a blank line ends there (unknown, and false, for the first).
    ends: Vec<(u32, bool)>,
    /// The byte before the first line end, if that is one of these bytes.
    before_first: Option<u8>,
    last: Option<u8>,
}

impl Lines {
    fn of(bytes: &[u8]) -> Self {
        let mut ends: Vec<(u32, bool)> = Vec::with_capacity(bytes.len() / 64);
        let (mut before_first, mut start) = (None, None);
        for at in memchr_iter(b'\n', bytes) {
            let blank = match start {
                None => {
                    before_first = at.checked_sub(1).map(|k| bytes[k]);
                    false
                }
                Some(start) => is_blank(at - start, bytes[at - 1]),
            };
            ends.push((at as u32, blank));
            start = Some(at + 1);
        }
        Self {
            len: bytes.len(),
            ends,
            before_first,
            last: bytes.last().copied(),
        }
    }
}

/// One pass over a file's content that finds where every block of records starts. Threads look at segments side by side; only
/// where a segment holds quotes does it wait for those before it.
pub(crate) fn index(
    name: &str,
    file: usize,
    content: &Content,
    mut scanner: Scanner,
) -> Result<Vec<Piece>> {
    let mut cutter = Cutter::new(file);
    if content.is_remote() {
        stream(name, content, scanner, &mut cutter)?;
        return Ok(cutter.pieces);
    }
    let (start, quoting) = (scanner.at, scanner.quoting.is_some());
    let n = content.len().saturating_sub(start).div_ceil(SEGMENT);
    let look = |i: usize| {
        let from = start + i as u64 * SEGMENT;
        content.with_range(from..(from + SEGMENT).min(content.len()), |bytes| {
            Ok(if quoting && memchr(b'"', bytes).is_some() {
                Segment::Quoted(bytes.to_vec())
            } else {
                Segment::Plain(Lines::of(bytes))
            })
        })
    };
    map_in_order(n as usize, look, |segment| {
        match segment {
            Segment::Plain(lines) => scanner.feed_plain(&lines, |span| cutter.add(span)),
            Segment::Quoted(bytes) => scanner.feed(&bytes, |span| cutter.add(span)),
        }
        scanner.check(name)
    })?;
    if let Some(span) = scanner.finish() {
        cutter.add(span);
    }
    Ok(cutter.pieces)
}

/// As [`index`], in order: bytes that come over a network are looked at faster than they arrive.
fn stream(name: &str, content: &Content, mut scanner: Scanner, cutter: &mut Cutter) -> Result<()> {
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
    Ok(())
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

    /// As [`starts`], where steps without quotes have their line ends found beforehand, as the index scan does it.
    fn starts_by_segments(text: &str, step: usize) -> Vec<(u64, u64)> {
        let mut scanner = Scanner::new(Some(b','), 0, 1);
        let mut out = Vec::new();
        for piece in text.as_bytes().chunks(step) {
            let found = |s: Span| out.push((s.start, s.line));
            if piece.contains(&b'"') {
                scanner.feed(piece, found);
            } else {
                scanner.feed_plain(&Lines::of(piece), found);
            }
        }
        out.extend(scanner.finish().map(|s| (s.start, s.line)));
        out
    }

    #[test]
    fn segments_without_quotes_may_be_looked_at_beforehand_wherever_they_are_cut() {
        for text in [
            "a,\"x\ny\"\r\n\r\nb,\"he said \"\"no\n\"\"\"\nc,5\" disk\n\"d\n\",1",
            "\n\r\na\n\n\nb\r\n\r\n",
            "one\ntwo\r\n\r\n\rthree\n\r\nfour",
            "\"all\nof\nit\nquoted\n\n\r\n\"\n\n\nx\r\n\"\"\"\"\n1\n",
            "",
            "\r",
        ] {
            let whole = starts(text, text.len().max(1));
            for step in 1..=text.len() {
                assert_eq!(starts_by_segments(text, step), whole, "{text:?} by {step}");
            }
        }
    }

    #[test]
    fn blank_lines_are_no_records() {
        assert_eq!(starts("\n\r\na\n\n\nb\r\n\r\n", 3), [(3, 3), (7, 6)]);
    }
}

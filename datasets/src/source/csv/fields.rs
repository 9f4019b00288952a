//! The fields of a CSV record.

use memchr::memchr;

/// The fields of one record, as ranges of the record or, where quotes had to be taken out, of `unescaped`.
#[derive(Debug, Default)]
pub(super) struct Fields {
    ranges: Vec<Range>,
    unescaped: String,
}

#[derive(Debug, Clone, Copy)]
struct Range {
    start: usize,
    end: usize,
    unescaped: bool,
}

impl Fields {
    pub(super) fn split(&mut self, record: &str, delimiter: u8) -> std::result::Result<(), String> {
        self.ranges.clear();
        self.unescaped.clear();
        let bytes = record.as_bytes();
        let mut at = 0;
        loop {
            if bytes.get(at) == Some(&b'"') {
                at = self.quoted(record, at, delimiter)?;
            } else {
                let end = memchr(delimiter, &bytes[at..]).map_or(bytes.len(), |k| at + k);
                let field = &bytes[at..end];
                let left = field.len() - field.trim_ascii_start().len();
                let length = field.trim_ascii().len();
                let start = if length == 0 { at } else { at + left };
                self.ranges.push(Range {
                    start,
                    end: start + length,
                    unescaped: false,
                });
                at = end;
            }
            if at == bytes.len() {
                return Ok(());
            }
            at += 1;
        }
    }

    /// Takes the quoted field that starts at `open`; gives the position of the delimiter or end after it.
    fn quoted(
        &mut self,
        record: &str,
        open: usize,
        delimiter: u8,
    ) -> std::result::Result<usize, String> {
        let bytes = record.as_bytes();
        let first = self.unescaped.len();
        let mut from = open + 1;
        let mut unescaped = false;
        let close = loop {
            let Some(k) = memchr(b'"', &bytes[from..]) else {
                return Err(format!(
                    "the quote that opens field {} is never closed",
                    self.ranges.len() + 1
                ));
            };
            let quote = from + k;
            if bytes.get(quote + 1) == Some(&b'"') {
                self.unescaped.push_str(&record[from..=quote]);
                unescaped = true;
                from = quote + 2;
            } else {
                break quote;
            }
        };
        self.ranges.push(if unescaped {
            self.unescaped.push_str(&record[from..close]);
            Range {
                start: first,
                end: self.unescaped.len(),
                unescaped,
            }
        } else {
            Range {
                start: open + 1,
                end: close,
                unescaped,
            }
        });
        let mut after = close + 1;
        while after < bytes.len() && bytes[after] != delimiter {
            if !matches!(bytes[after], b' ' | b'\t') {
                return Err(format!(
                    "field {} goes on after its closing quote; a quote inside a quoted field is written twice",
                    self.ranges.len()
                ));
            }
            after += 1;
        }
        Ok(after)
    }

    pub(super) fn get<'a>(&'a self, record: &'a str, i: usize) -> &'a str {
        let Range {
            start,
            end,
            unescaped,
        } = self.ranges[i];
        if unescaped {
            &self.unescaped[start..end]
        } else {
            &record[start..end]
        }
    }
}

impl Fields {
    /// Number of fields of the record split last.
    pub(super) fn len(&self) -> usize {
        self.ranges.len()
    }
}

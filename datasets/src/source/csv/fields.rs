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
    /// Splits a record that holds no quote.
    pub(super) fn split_plain(&mut self, record: &str, delimiter: u8) {
        self.ranges.clear();
        let bytes = record.as_bytes();
        let mut at = 0;
        each_place(bytes, delimiter, |end| {
            self.ranges.push(trimmed(bytes, at, end));
            at = end + 1;
        });
        self.ranges.push(trimmed(bytes, at, bytes.len()));
    }

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
                self.ranges.push(trimmed(bytes, at, end));
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

    #[inline]
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

/// The field at `start..end` without the blanks around it.
#[inline]
fn trimmed(bytes: &[u8], mut start: usize, mut end: usize) -> Range {
    let field = &bytes[start..end];
    let blank = |b: Option<&u8>| b.is_some_and(u8::is_ascii_whitespace);
    if blank(field.first()) || blank(field.last()) {
        let length = field.trim_ascii().len();
        if length > 0 {
            start += field.len() - field.trim_ascii_start().len();
        }
        end = start + length;
    }
    Range {
        start,
        end,
        unescaped: false,
    }
}

/// Calls `f` with every place of `byte`, ascending. Fields are short, so eight bytes are looked at in one word: a search of its own
/// for each field would cost more than what it finds.
#[inline]
fn each_place(bytes: &[u8], byte: u8, mut f: impl FnMut(usize)) {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let pattern = u64::from(byte) * 0x0101_0101_0101_0101;
    let (words, rest) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let other = u64::from_le_bytes(*word) ^ pattern;
        // The top bit of each byte that is zero in `other`, exactly: no carry crosses bytes.
        let mut found = !(((other & LOW) + LOW) | other | LOW);
        while found != 0 {
            f(8 * i + found.trailing_zeros() as usize / 8);
            found &= found - 1;
        }
    }
    let start = bytes.len() - rest.len();
    for (i, b) in rest.iter().enumerate() {
        if *b == byte {
            f(start + i);
        }
    }
}

impl Fields {
    /// Number of fields of the record split last.
    pub(super) fn len(&self) -> usize {
        self.ranges.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_without_quotes_are_split_alike_by_both_ways() {
        let records = [
            "",
            ",",
            "a",
            "a,b",
            "a,,b,",
            " a , b\t,  ",
            ",,,,,,,,,,,,",
            "12345678,1234567,123456789,x",
            "ä,ö ü,\u{2003}x",
            "\u{ac}a,\u{2c}b",
            "   ,   ",
            "abcdefg,h",
        ];
        for record in records {
            let (mut a, mut b) = (Fields::default(), Fields::default());
            a.split(record, b',').unwrap();
            b.split_plain(record, b',');
            let cells = |f: &Fields| -> Vec<String> {
                (0..f.len()).map(|i| f.get(record, i).to_owned()).collect()
            };
            assert_eq!(cells(&a), cells(&b), "{record:?}");
        }
    }

    #[test]
    fn every_place_of_a_byte_is_found_once() {
        for length in 0..40 {
            for bits in 0..200_u64 {
                let bytes: Vec<u8> = (0..length)
                    .map(|i| {
                        [b',', b'-', b'\x00', 0xac, b'+', 0x80]
                            [((bits >> (i % 6)) as usize + i) % 6]
                    })
                    .collect();
                let mut found = Vec::new();
                each_place(&bytes, b',', |i| found.push(i));
                let wanted: Vec<usize> = (0..length).filter(|i| bytes[*i] == b',').collect();
                assert_eq!(found, wanted, "{bytes:?}");
            }
        }
    }
}

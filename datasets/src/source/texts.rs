//! A text column under construction: texts that repeat are kept once, with a code a row.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::cells::Missing;
use crate::Result;
use crate::arrow::array::{ArrayRef, StringArray, UInt16Array};
use crate::arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use crate::text_column::{TextColumn, from_codes};

/// Fewer distinct texts than this are always kept as codes.
const FEW: usize = 64;

/// Texts one after the other.
#[derive(Debug)]
struct Texts {
    bytes: String,
    ends: Vec<i32>,
}

impl Texts {
    fn with_capacity(texts: usize, bytes: usize) -> Self {
        let mut ends = Vec::with_capacity(texts + 1);
        ends.push(0);
        Self {
            bytes: String::with_capacity(bytes),
            ends,
        }
    }

    fn len(&self) -> usize {
        self.ends.len() - 1
    }

    fn push(&mut self, text: &str) {
        self.bytes.push_str(text);
        self.ends.push(self.bytes.len() as i32);
    }

    #[inline]
    fn get(&self, i: usize) -> &str {
        &self.bytes[self.ends[i] as usize..self.ends[i + 1] as usize]
    }

    fn finish(self, nulls: Option<crate::arrow::buffer::NullBuffer>) -> Result<StringArray> {
        let ends = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        let bytes = Buffer::from(self.bytes.into_bytes());
        Ok(StringArray::try_new(ends, bytes, nulls)?)
    }
}

/// Takes the texts of one chunk. Becomes codes where at most a quarter of the rows can hold distinct texts, else plain text;
/// which of the two follows from the texts alone.
#[derive(Debug)]
pub(crate) struct TextBuilder {
    /// Distinct texts while there are few; then the text of every row.
    texts: Texts,
    codes: Option<Codes>,
    rows: usize,
    missing: Missing,
    /// More distinct texts than this are not told apart any more.
    most: usize,
}

#[derive(Debug)]
struct Codes {
    /// Codes by the hash of their texts. Only looked up, never walked.
    table: HashTable<u16>,
    hasher: RandomState,
    rows: Vec<u16>,
}

impl TextBuilder {
    /// For about `rows` rows.
    pub fn new(rows: usize) -> Self {
        Self {
            texts: Texts::with_capacity(FEW, 16 * FEW),
            codes: Some(Codes {
                table: HashTable::with_capacity(FEW),
                hasher: RandomState::default(),
                rows: Vec::with_capacity(rows),
            }),
            rows: 0,
            missing: Missing::default(),
            most: (rows / 4).clamp(FEW, usize::from(u16::MAX)),
        }
    }

    /// Appends a text.
    #[inline]
    pub fn push(&mut self, text: &str) {
        self.rows += 1;
        let Some(codes) = &mut self.codes else {
            self.texts.push(text);
            return;
        };
        let mut hasher = codes.hasher.build_hasher();
        hasher.write(text.as_bytes());
        let hash = hasher.finish();
        let texts = &self.texts;
        if let Some(code) = codes
            .table
            .find(hash, |c| texts.get(usize::from(*c)) == text)
        {
            codes.rows.push(*code);
            return;
        }
        if self.texts.len() == self.most {
            self.write_out();
            self.texts.push(text);
            return;
        }
        let code = self.texts.len() as u16;
        self.texts.push(text);
        codes.rows.push(code);
        let (texts, hasher) = (&self.texts, &codes.hasher);
        codes.table.insert_unique(hash, code, |c| {
            let mut again = hasher.build_hasher();
            again.write(texts.get(usize::from(*c)).as_bytes());
            again.finish()
        });
    }

    /// Appends a missing text.
    #[inline]
    pub fn push_null(&mut self) {
        self.missing.note(self.rows);
        self.rows += 1;
        match &mut self.codes {
            Some(codes) => codes.rows.push(0),
            None => self.texts.push(""),
        }
    }

    /// Replaces codes by the texts they stand for.
    fn write_out(&mut self) {
        let Some(codes) = self.codes.take() else {
            return;
        };
        let rows = codes.rows.capacity().max(codes.rows.len());
        let mut plain = Texts::with_capacity(rows, 16 * rows);
        for code in codes.rows {
            // A missing row has code 0, which need not exist; what is written for it is never read.
            let known = usize::from(code) < self.texts.len();
            plain.push(if known {
                self.texts.get(usize::from(code))
            } else {
                ""
            });
        }
        self.texts = plain;
    }

    /// The column.
    ///
    /// # Errors
    /// More than 2 GiB of text in one chunk.
    pub fn finish(self) -> Result<ArrayRef> {
        let nulls = self.missing.nulls(self.rows);
        match self.codes {
            None => Ok(Arc::new(self.texts.finish(nulls)?)),
            Some(codes) => from_codes(
                UInt16Array::try_new(codes.rows.into(), nulls)?,
                self.texts.finish(None)?,
            ),
        }
    }
}

/// The same column as codes where its texts repeat; a column that is no text, or comes as codes, as it is.
pub(crate) fn coded(array: &ArrayRef) -> Result<ArrayRef> {
    let plain = TextColumn::of(array).filter(|text| text.coded().is_none());
    let Some(text) = plain else {
        return Ok(array.clone());
    };
    let mut builder = TextBuilder::new(text.len());
    for row in text.iter() {
        if builder.codes.is_none() {
            return Ok(array.clone());
        }
        match row {
            Some(text) => builder.push(text),
            None => builder.push_null(),
        }
    }
    builder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(rows: &[Option<&str>]) -> ArrayRef {
        let mut builder = TextBuilder::new(rows.len());
        for row in rows {
            match row {
                Some(text) => builder.push(text),
                None => builder.push_null(),
            }
        }
        builder.finish().unwrap()
    }

    #[test]
    fn texts_come_back_whether_few_or_many_are_distinct() {
        for distinct in [1, 3, 64, 65, 200, 1000] {
            let texts: Vec<String> = (0..1000)
                .map(|i| format!("text {}", i % distinct))
                .collect();
            let rows: Vec<Option<&str>> = texts
                .iter()
                .enumerate()
                .map(|(i, t)| (i % 7 != 0).then_some(t.as_str()))
                .collect();
            let array = built(&rows);
            let column = TextColumn::of(&array).unwrap();
            assert!(
                column.iter().eq(rows.iter().copied()),
                "{distinct} distinct"
            );
            assert_eq!(
                column.coded().is_some(),
                distinct <= 250,
                "{distinct} distinct"
            );
        }
    }

    #[test]
    fn a_plain_column_becomes_codes_where_its_texts_repeat() {
        let plain = |distinct: usize| -> ArrayRef {
            let texts = (0..1000).map(|i| (i % 9 != 0).then(|| format!("{}", i % distinct)));
            Arc::new(texts.collect::<StringArray>())
        };
        let few = coded(&plain(10)).unwrap();
        assert!(TextColumn::of(&few).unwrap().coded().is_some());
        assert_eq!(&crate::text_column::written_out(&few).unwrap(), &plain(10));
        assert_eq!(&coded(&few).unwrap(), &few);
        assert_eq!(&coded(&plain(900)).unwrap(), &plain(900));
    }

    #[test]
    fn a_column_without_any_text_is_all_missing() {
        let array = built(&[None, None]);
        assert_eq!(TextColumn::of(&array).unwrap().get(1), None);
    }
}

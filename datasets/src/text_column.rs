//! Text columns: every text written out, or distinct texts once and a code of two bytes a row.

use std::sync::Arc;

use crate::Result;
use crate::arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, StringArray, UInt16Array};
use crate::arrow::buffer::NullBuffer;
use crate::arrow::compute;
use crate::arrow::datatypes::{DataType, UInt16Type};

/// A text column of a batch, row by row.
///
/// Text that repeats (categories) comes as codes into a list of the texts of its batch, so that work on texts can be done
/// once for each of them: see [`TextColumn::coded`]. Which form a column has is no part of its type and may change from batch to batch.
#[derive(Debug, Clone, Copy)]
pub struct TextColumn<'a> {
    texts: &'a StringArray,
    codes: Option<&'a UInt16Array>,
}

/// Texts by code: see [`TextColumn::coded`].
#[derive(Debug, Clone, Copy)]
pub struct CodedText<'a> {
    /// The code of each row; any number where the row is missing.
    pub codes: &'a [u16],
    /// Which rows are missing, if any are.
    pub nulls: Option<&'a NullBuffer>,
    /// The text behind each code: distinct, none missing, in no special order. Some may occur in no row.
    pub texts: &'a StringArray,
}

impl CodedText<'_> {
    /// The code of row `i`; `None` where it is missing.
    #[inline]
    #[must_use]
    pub fn code(&self, i: usize) -> Option<usize> {
        if self.nulls.is_some_and(|n| n.is_null(i)) {
            return None;
        }
        Some(usize::from(self.codes[i]))
    }
}

impl<'a> TextColumn<'a> {
    /// The text of an array, in either form; `None` where it holds something else.
    #[must_use]
    pub fn of(array: &'a ArrayRef) -> Option<Self> {
        if let Some(texts) = array.as_string_opt::<i32>() {
            return Some(Self { texts, codes: None });
        }
        let coded: &DictionaryArray<UInt16Type> = array.as_dictionary_opt()?;
        Some(Self {
            texts: coded.values().as_string_opt::<i32>()?,
            codes: Some(coded.keys()),
        })
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.codes.map_or(self.texts.len(), Array::len)
    }

    /// True without rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether row `i` is missing.
    #[must_use]
    pub fn is_null(&self, i: usize) -> bool {
        self.codes
            .map_or_else(|| self.texts.is_null(i), |c| c.is_null(i))
    }

    /// The text of row `i`; any text where it is missing.
    #[must_use]
    pub fn value(&self, i: usize) -> &'a str {
        match self.codes {
            None => self.texts.value(i),
            Some(codes) if codes.is_null(i) => "",
            Some(codes) => self.texts.value(usize::from(codes.value(i))),
        }
    }

    /// The text of row `i`; `None` where it is missing.
    #[must_use]
    pub fn get(&self, i: usize) -> Option<&'a str> {
        (!self.is_null(i)).then(|| self.value(i))
    }

    /// All rows.
    pub fn iter(self) -> impl Iterator<Item = Option<&'a str>> {
        (0..self.len()).map(move |i| self.get(i))
    }

    /// The codes, where the column comes as codes.
    #[must_use]
    pub fn coded(&self) -> Option<CodedText<'a>> {
        let codes = self.codes?;
        Some(CodedText {
            codes: codes.values(),
            nulls: codes.nulls().filter(|n| n.null_count() > 0),
            texts: self.texts,
        })
    }

    /// Rows of each text, missing ones left out: once for each code where the column comes as codes, else once for each row.
    #[must_use]
    pub fn counts(&self) -> Vec<(&'a str, u64)> {
        let Some(coded) = self.coded() else {
            return self.iter().flatten().map(|text| (text, 1)).collect();
        };
        let mut counts = vec![0; coded.texts.len()];
        for i in 0..self.len() {
            if let Some(code) = coded.code(i) {
                counts[code] += 1;
            }
        }
        let texts = coded.texts;
        let of = |(code, n): (usize, u64)| (n > 0).then(|| (texts.value(code), n));
        counts.into_iter().enumerate().filter_map(of).collect()
    }

    /// `f` of the text of each row, computed once for each code where the column comes as codes; `missing` for a missing one.
    pub fn map<T: Clone>(&self, missing: T, mut f: impl FnMut(&'a str) -> T) -> Vec<T> {
        match self.coded() {
            None => self
                .iter()
                .map(|text| text.map_or_else(|| missing.clone(), &mut f))
                .collect(),
            Some(coded) => {
                let texts = coded.texts;
                let of: Vec<T> = (0..texts.len()).map(|c| f(texts.value(c))).collect();
                let row = |i: usize| coded.code(i).map_or(&missing, |c| &of[c]).clone();
                (0..self.len()).map(row).collect()
            }
        }
    }
}

/// The Arrow type of text that comes as codes.
pub(crate) fn coded_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8))
}

/// The same column as others read it: text written out in full.
pub(crate) fn written_out(array: &ArrayRef) -> Result<ArrayRef> {
    let coded: Option<&DictionaryArray<UInt16Type>> = array.as_dictionary_opt();
    Ok(match coded {
        None => array.clone(),
        Some(coded) => compute::take(coded.values(), coded.keys(), None)?,
    })
}

/// The text column of these codes (`None`: missing) into `texts`, which are distinct.
pub(crate) fn from_codes(codes: UInt16Array, texts: StringArray) -> Result<ArrayRef> {
    Ok(Arc::new(DictionaryArray::<UInt16Type>::try_new(
        codes,
        Arc::new(texts),
    )?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both() -> [ArrayRef; 2] {
        let rows = [Some("b"), None, Some("a"), Some("b"), Some("")];
        let texts = StringArray::from(vec!["b", "unused", "a", ""]);
        let codes = UInt16Array::from(vec![Some(0), None, Some(2), Some(0), Some(3)]);
        [
            Arc::new(StringArray::from(rows.to_vec())),
            from_codes(codes, texts).unwrap(),
        ]
    }

    #[test]
    fn both_forms_show_the_same_texts() {
        for array in both() {
            let column = TextColumn::of(&array).unwrap();
            let rows: Vec<Option<&str>> = column.iter().collect();
            assert_eq!(rows, [Some("b"), None, Some("a"), Some("b"), Some("")]);
            assert_eq!(column.map(9, str::len), [1, 9, 1, 1, 0]);
            assert_eq!(column.len(), 5);
        }
    }

    #[test]
    fn codes_are_written_out_for_others() {
        let [plain, coded] = both();
        assert_eq!(&written_out(&coded).unwrap(), &plain);
        assert_eq!(&written_out(&plain).unwrap(), &plain);
    }

    #[test]
    fn a_slice_of_codes_starts_at_its_own_row() {
        let [_, coded] = both();
        let slice = coded.slice(2, 2);
        let rows: Vec<Option<&str>> = TextColumn::of(&slice).unwrap().iter().collect();
        assert_eq!(rows, [Some("a"), Some("b")]);
    }
}

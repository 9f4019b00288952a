//! Cell values as keys: hashed, compared and counted alike for every scalar type.

use serde::{Deserialize, Serialize};

use crate::arrow::array::AsArray;
use crate::arrow::datatypes::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};

use crate::batch::Batch;
use crate::random::Draw;
use crate::schema::{ColumnType, Schema, SchemaError};
use crate::text_column::TextColumn;
use crate::write::{date, timestamp};
use crate::{DataError, Result};

/// A value that is not missing. Sorts as the column's values do: numbers ascending, text by code point.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Key {
    /// A number under [`integer_code`] or [`float_code`].
    Code(u64),
    /// A text.
    Text(Box<str>),
}

/// A scalar column as keys; a null, and a NaN, is missing.
pub(crate) enum KeyColumn<'a> {
    Codes(Vec<Option<u64>>),
    Text(TextColumn<'a>),
}

/// An order-preserving code of an integer.
pub(crate) fn integer_code(v: i64) -> u64 {
    (v as u64) ^ (1 << 63)
}

/// An order-preserving code of a float; both zeros are one value.
pub(crate) fn float_code(v: f64) -> u64 {
    let bits = (v + 0.0).to_bits();
    if bits >> 63 == 1 {
        !bits
    } else {
        bits | (1 << 63)
    }
}

/// The integer behind a code.
pub(crate) fn integer_of(code: u64) -> i64 {
    (code ^ (1 << 63)) as i64
}

/// The float behind a code.
pub(crate) fn float_of(code: u64) -> f64 {
    f64::from_bits(if code >> 63 == 1 {
        code & !(1 << 63)
    } else {
        !code
    })
}

/// A value as people read it.
pub(crate) fn display(ty: &ColumnType, key: &Key) -> String {
    let Key::Code(code) = key else {
        return match key {
            Key::Text(text) => text.to_string(),
            Key::Code(_) => String::new(),
        };
    };
    let integer = integer_of(*code);
    match ty {
        ColumnType::Boolean => (integer != 0).to_string(),
        ColumnType::Integer => integer.to_string(),
        ColumnType::Date => written(|out| date(i32::try_from(integer).unwrap_or(i32::MAX), out)),
        ColumnType::Timestamp => written(|out| timestamp(integer, out)),
        _ => float_of(*code).to_string(),
    }
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// Whether `column` can serve as a key.
pub(crate) fn check_key(schema: &Schema, column: &str) -> std::result::Result<(), SchemaError> {
    let found = schema.get(column)?;
    if found.ty.is_vector() {
        return Err(SchemaError::Type {
            column: column.to_owned(),
            found: found.ty.to_string(),
            expected: "a scalar (text, a number, a date)".to_owned(),
        });
    }
    Ok(())
}

impl<'a> KeyColumn<'a> {
    /// The keys of a column of this batch.
    ///
    /// # Errors
    /// No such column, or a vector.
    pub(crate) fn of(batch: &'a Batch, column: &str) -> Result<Self> {
        let array = batch.column(column)?;
        if let Some(text) = TextColumn::of(array) {
            return Ok(Self::Text(text));
        }
        let codes = if let Some(v) = array.as_primitive_opt::<Int64Type>() {
            v.iter().map(|v| v.map(integer_code)).collect()
        } else if let Some(v) = array.as_primitive_opt::<Float64Type>() {
            v.iter()
                .map(|v| v.filter(|v| !v.is_nan()).map(float_code))
                .collect()
        } else if let Some(v) = array.as_boolean_opt() {
            v.iter()
                .map(|v| v.map(|b| integer_code(b.into())))
                .collect()
        } else if let Some(v) = array.as_primitive_opt::<Date32Type>() {
            v.iter()
                .map(|v| v.map(|d| integer_code(d.into())))
                .collect()
        } else if let Some(v) = array.as_primitive_opt::<TimestampMicrosecondType>() {
            v.iter().map(|v| v.map(integer_code)).collect()
        } else {
            check_key(batch.schema(), column)?;
            return Err(DataError::format(
                format!("column `{column}`"),
                format!("{} is no key", array.data_type()),
            ));
        };
        Ok(Self::Codes(codes))
    }

    /// The key of row `i`; `None` where it is missing.
    pub(crate) fn get(&self, i: usize) -> Option<Key> {
        match self {
            Self::Codes(codes) => codes[i].map(Key::Code),
            Self::Text(text) => text.get(i).map(|t| Key::Text(t.into())),
        }
    }

    /// Mixes the key of row `i` into `draw`; a missing value differs from every present one.
    pub(crate) fn mix(&self, i: usize, draw: Draw) -> Draw {
        match self {
            Self::Codes(codes) => match codes[i] {
                Some(code) => draw.at(1).at(code),
                None => draw.at(0),
            },
            Self::Text(text) if !text.is_null(i) => text.value(i).as_bytes().chunks(8).fold(
                // The length tells "a" from "a\0".
                draw.at(2).at(text.value(i).len() as u64),
                |draw, piece| {
                    let mut word = [0; 8];
                    word[..piece.len()].copy_from_slice(piece);
                    draw.at(u64::from_le_bytes(word))
                },
            ),
            Self::Text(_) => draw.at(0),
        }
    }

    /// Whether row `i` has a value.
    pub(crate) fn is_present(&self, i: usize) -> bool {
        match self {
            Self::Codes(codes) => codes[i].is_some(),
            Self::Text(text) => !text.is_null(i),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_sort_as_numbers_do_and_lead_back_to_them() {
        let floats = [
            f64::NEG_INFINITY,
            -2.5,
            -1e-300,
            0.0,
            1e-300,
            3.0,
            f64::INFINITY,
        ];
        assert!(
            floats
                .windows(2)
                .all(|w| float_code(w[0]) < float_code(w[1]))
        );
        assert!(floats.iter().all(|v| float_of(float_code(*v)) == *v));
        assert_eq!(float_code(-0.0), float_code(0.0));
        let integers = [i64::MIN, -1, 0, 1, i64::MAX];
        assert!(
            integers
                .windows(2)
                .all(|w| integer_code(w[0]) < integer_code(w[1]))
        );
        assert!(integers.iter().all(|v| integer_of(integer_code(*v)) == *v));
    }
}

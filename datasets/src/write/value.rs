//! Cells as text: shortest numbers, dates, timestamps.

use std::io::Write;

use crate::arrow::array::{Array, ArrayRef, AsArray};
use crate::arrow::datatypes::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};

use crate::source::civil_from_days;
use crate::text_column::TextColumn;

/// One cell, typed; dates and timestamps already in text.
#[derive(Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(&'a str),
    /// Text in the buffer that was given.
    Written,
}

/// The cell of row `i`; dates and timestamps are written to `buffer`.
pub(crate) fn value<'a>(array: &'a ArrayRef, i: usize, buffer: &mut Vec<u8>) -> Value<'a> {
    if array.is_null(i) {
        return Value::Null;
    }
    if let Some(a) = array.as_primitive_opt::<Float64Type>() {
        Value::Float(a.value(i))
    } else if let Some(a) = array.as_primitive_opt::<Int64Type>() {
        Value::Integer(a.value(i))
    } else if let Some(a) = TextColumn::of(array) {
        Value::Text(a.value(i))
    } else if let Some(a) = array.as_boolean_opt() {
        Value::Boolean(a.value(i))
    } else if let Some(a) = array.as_primitive_opt::<Date32Type>() {
        buffer.clear();
        date(a.value(i), buffer);
        Value::Written
    } else if let Some(a) = array.as_primitive_opt::<TimestampMicrosecondType>() {
        buffer.clear();
        timestamp(a.value(i), buffer);
        Value::Written
    } else {
        Value::Null
    }
}

/// The fewest digits that read back as the same number; exponents where plain digits would be long.
pub(super) fn number(v: f64, out: &mut Vec<u8>) {
    let size = v.abs();
    // Writing to a vector cannot fail.
    let _ = if size != 0.0 && !(1e-5..1e16).contains(&size) && v.is_finite() {
        write!(out, "{v:e}")
    } else {
        write!(out, "{v}")
    };
}

/// Days from 1970 as `2024-12-31`.
pub(crate) fn date(days: i32, out: &mut Vec<u8>) {
    let (year, month, day) = civil_from_days(days);
    let _ = write!(out, "{year:04}-{month:02}-{day:02}");
}

/// Microseconds from 1970 as `2024-12-31T23:59:59.5Z`.
pub(crate) fn timestamp(micros: i64, out: &mut Vec<u8>) {
    const DAY: i64 = 86_400_000_000;
    date(
        i32::try_from(micros.div_euclid(DAY)).unwrap_or(i32::MAX),
        out,
    );
    let in_day = micros.rem_euclid(DAY);
    let (seconds, fraction) = (in_day / 1_000_000, in_day % 1_000_000);
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let _ = write!(out, "T{h:02}:{m:02}:{s:02}");
    if fraction != 0 {
        let digits = format!("{fraction:06}");
        let _ = write!(out, ".{}", digits.trim_end_matches('0'));
    }
    out.push(b'Z');
}

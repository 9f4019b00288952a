//! Arrays of files as arrays of ours: number by number where only their width changes, else cell by cell, by the rules that
//! hold for JSON lines.
//!
//! Arrow has a crate for casts between any two of its forty types. Ours are six, and half a minute of a core in
//! every clean build is too much for the rest.

use std::sync::Arc;

use crate::arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, StringArray,
};
use crate::arrow::compute;
use crate::arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    DecimalType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use crate::schema::ColumnType;
use crate::source::cells::{Builder, Cell};
use crate::write::{Value, value};

/// Why an array has no counterpart of the wanted type.
#[derive(Debug)]
pub(super) enum Unfit {
    /// The value of this row, counted from the first of the array, is none of that type.
    Value { row: usize, value: String },
    /// No value of such an array could be.
    Kind(String),
}

impl From<crate::DataError> for Unfit {
    fn from(error: crate::DataError) -> Self {
        Self::Kind(error.to_string())
    }
}

/// A scalar array as one of the Arrow type that columns of type `ty` have.
///
/// # Errors
/// The first value without a counterpart: an integer beyond `i64`, a text that is no number where numbers are wanted.
pub(super) fn scalars(array: &ArrayRef, ty: &ColumnType) -> Result<ArrayRef, Unfit> {
    let plain = widened(array)?;
    if *plain.data_type() == ty.to_arrow() {
        return Ok(plain);
    }
    let mut column = Builder::new(ty, plain.len());
    let mut written = Vec::new();
    for row in 0..plain.len() {
        let cell = match value(&plain, row, &mut written) {
            Value::Null => Cell::Null,
            Value::Boolean(v) => Cell::Boolean(v),
            Value::Integer(v) => Cell::Integer(v),
            Value::Float(v) => Cell::Float(v),
            Value::Text(v) => Cell::Text(v),
            Value::Written => Cell::Text(std::str::from_utf8(&written).unwrap_or_default()),
        };
        if column.push(cell).is_err() {
            let value = match cell {
                Cell::Boolean(v) => v.to_string(),
                Cell::Integer(v) => v.to_string(),
                Cell::Float(v) => v.to_string(),
                Cell::Text(v) => v.to_owned(),
                Cell::Null | Cell::Numbers(_) => String::new(),
            };
            return Err(Unfit::Value { row, value });
        }
    }
    Ok(column.finish()?)
}

/// An array as the nearest of our types: `Boolean`, `Int64`, `Float64`, `Utf8`, `Date32` or microseconds without a zone.
///
/// Decimals, and unsigned integers of which some exceed `i64`, become their digits, which read as the nearest `f64`.
fn widened(array: &ArrayRef) -> Result<ArrayRef, Unfit> {
    Ok(match array.data_type() {
        DataType::Int8 => wide::<Int8Type, Int64Type>(array),
        DataType::Int16 => wide::<Int16Type, Int64Type>(array),
        DataType::Int32 => wide::<Int32Type, Int64Type>(array),
        DataType::UInt8 => wide::<UInt8Type, Int64Type>(array),
        DataType::UInt16 => wide::<UInt16Type, Int64Type>(array),
        DataType::UInt32 => wide::<UInt32Type, Int64Type>(array),
        DataType::UInt64 => checked::<UInt64Type, Int64Type>(array, |v| i64::try_from(v).ok())
            .or_else(|_| {
                let numbers = array.as_primitive::<UInt64Type>();
                Ok::<_, Unfit>(texts(numbers.iter().map(|v| v.map(|v| v.to_string()))))
            })?,
        DataType::Float16 => wide::<Float16Type, Float64Type>(array),
        DataType::Float32 => wide::<Float32Type, Float64Type>(array),
        DataType::Decimal32(..) => digits::<Decimal32Type>(array),
        DataType::Decimal64(..) => digits::<Decimal64Type>(array),
        DataType::Decimal128(..) => digits::<Decimal128Type>(array),
        DataType::Decimal256(..) => digits::<Decimal256Type>(array),
        DataType::LargeUtf8 => texts(array.as_string::<i64>().iter()),
        DataType::Utf8View => texts(array.as_string_view().iter()),
        DataType::Date64 => checked::<Date64Type, Date32Type>(array, |v| {
            i32::try_from(v.div_euclid(86_400_000)).ok()
        })?,
        // Timestamps count from 1970 in UTC whatever zone they are shown in: the zone is dropped, not applied.
        DataType::Timestamp(TimeUnit::Second, _) => checked::<
            TimestampSecondType,
            TimestampMicrosecondType,
        >(array, |v| v.checked_mul(1_000_000))?,
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            checked::<TimestampMillisecondType, TimestampMicrosecondType>(array, |v| {
                v.checked_mul(1_000)
            })?
        }
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
            wide::<TimestampMicrosecondType, TimestampMicrosecondType>(array)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            checked::<TimestampNanosecondType, TimestampMicrosecondType>(array, |v| {
                Some(v.div_euclid(1_000))
            })?
        }
        DataType::Dictionary(..) => {
            let coded = array.as_any_dictionary();
            let values = compute::take(coded.values(), coded.keys(), None)
                .map_err(|e| Unfit::Kind(e.to_string()))?;
            widened(&values)?
        }
        DataType::Boolean
        | DataType::Int64
        | DataType::Float64
        | DataType::Utf8
        | DataType::Date32
        | DataType::Timestamp(TimeUnit::Microsecond, None) => array.clone(),
        other => return Err(Unfit::Kind(format!("{other} is no scalar"))),
    })
}

fn wide<S, T>(array: &ArrayRef) -> ArrayRef
where
    S: ArrowPrimitiveType,
    T: ArrowPrimitiveType,
    T::Native: From<S::Native>,
{
    Arc::new(array.as_primitive::<S>().unary::<_, T>(T::Native::from))
}

fn checked<S, T>(
    array: &ArrayRef,
    convert: impl Fn(S::Native) -> Option<T::Native>,
) -> Result<ArrayRef, Unfit>
where
    S: ArrowPrimitiveType,
    T: ArrowPrimitiveType,
{
    let numbers = array.as_primitive::<S>();
    let mut converted = Vec::with_capacity(numbers.len());
    for row in 0..numbers.len() {
        let number = if numbers.is_null(row) {
            T::Native::default()
        } else {
            convert(numbers.value(row)).ok_or_else(|| Unfit::Value {
                row,
                value: format!("{:?}", numbers.value(row)),
            })?
        };
        converted.push(number);
    }
    let nulls = numbers.nulls().cloned();
    Ok(Arc::new(PrimitiveArray::<T>::new(converted.into(), nulls)))
}

fn digits<T: DecimalType>(array: &ArrayRef) -> ArrayRef {
    let numbers = array.as_primitive::<T>();
    texts((0..numbers.len()).map(|i| numbers.is_valid(i).then(|| numbers.value_as_string(i))))
}

fn texts<S: AsRef<str>>(values: impl Iterator<Item = Option<S>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

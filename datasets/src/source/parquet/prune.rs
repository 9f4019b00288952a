//! Which row groups can hold a row that matches a comparison, by their statistics.

use crate::arrow::array::{Array, ArrayRef, AsArray};
use crate::arrow::datatypes::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;

use super::File;
use crate::Result;
use crate::schema::{Column, ColumnType, SchemaError};
use crate::source::columnar::{column_type, normalise};

/// A comparison of a column with a constant, such as `age >= 18`.
///
/// A null matches no comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Column name.
    pub column: String,
    /// How the column's value is compared with `value`.
    pub op: Compare,
    /// The constant; it must be of the column's kind (a number for numbers, text for text).
    pub value: Constant,
}

/// A comparison operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// `=`
    Equal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// The constant of a [`Comparison`].
#[derive(Debug, Clone, PartialEq)]
pub enum Constant {
    /// Compared with integer columns, dates (days from 1970) and timestamps (microseconds from 1970, UTC).
    Integer(i64),
    /// Compared with float columns.
    Float(f64),
    /// Compared with text columns, by code point.
    Text(String),
}

pub(super) fn check_kind(column: &Column, value: &Constant) -> Result<()> {
    let (fits, expected) = match value {
        Constant::Integer(_) => (
            matches!(
                column.ty,
                ColumnType::Integer | ColumnType::Date | ColumnType::Timestamp
            ),
            "an integer, date or timestamp column for an integer constant",
        ),
        Constant::Float(_) => (
            column.ty == ColumnType::Float,
            "a float column for a float constant",
        ),
        Constant::Text(_) => (
            column.ty == ColumnType::Text,
            "a text column for a text constant",
        ),
    };
    if fits {
        return Ok(());
    }
    Err(SchemaError::Type {
        column: column.name.clone(),
        found: column.ty.to_string(),
        expected: expected.to_owned(),
    }
    .into())
}

/// The least and greatest value per row group, normalised; `None` where the statistics cannot be trusted or compared.
pub(super) fn bounds(file: &File, column: &Column) -> Option<(ArrayRef, ArrayRef)> {
    let metadata = file.metadata.metadata();
    let converter = StatisticsConverter::try_new(
        &column.name,
        file.metadata.schema(),
        file.metadata.parquet_schema(),
    )
    .ok()?;
    let leaf = converter.parquet_column_index()?;
    let old = metadata.row_groups().iter().any(|g| {
        g.column(leaf)
            .statistics()
            .is_some_and(|s| s.is_min_max_deprecated() && !s.is_min_max_backwards_compatible())
    });
    if old {
        return None; // written by the old rules, which ordered text wrongly
    }
    let plain = |array: ArrayRef| normalise(&array, column, &file.name, 0).ok();
    let least = converter.row_group_mins(metadata.row_groups()).ok()?;
    if column_type(least.data_type(), None).as_ref() != Some(&column.ty) {
        return None; // `data.schema` gives the column a type that sorts otherwise: as text, 9 comes after 10
    }
    let greatest = converter.row_group_maxes(metadata.row_groups()).ok()?;
    Some((plain(least)?, plain(greatest)?))
}

/// Whether some value between the bounds of a group can match; true where a bound is unknown.
pub(super) fn may_match(
    least: &ArrayRef,
    greatest: &ArrayRef,
    group: usize,
    comparison: &Comparison,
) -> bool {
    use std::cmp::Ordering;
    if least.is_null(group) || greatest.is_null(group) {
        return true;
    }
    let order = |bound: &ArrayRef| -> Option<Ordering> {
        match &comparison.value {
            Constant::Integer(v) => Some(integer(bound, group)?.cmp(v)),
            Constant::Float(v) => bound
                .as_primitive_opt::<Float64Type>()?
                .value(group)
                .partial_cmp(v),
            Constant::Text(v) => Some(bound.as_string_opt::<i32>()?.value(group).cmp(v.as_str())),
        }
    };
    let (Some(low), Some(high)) = (order(least), order(greatest)) else {
        return true; // NaN compares with nothing
    };
    match comparison.op {
        Compare::Equal => low != Ordering::Greater && high != Ordering::Less,
        Compare::Less => low == Ordering::Less,
        Compare::LessOrEqual => low != Ordering::Greater,
        Compare::Greater => high == Ordering::Greater,
        Compare::GreaterOrEqual => high != Ordering::Less,
    }
}

/// An integer, the days of a date or the microseconds of a timestamp.
fn integer(bound: &ArrayRef, group: usize) -> Option<i64> {
    if let Some(numbers) = bound.as_primitive_opt::<Int64Type>() {
        Some(numbers.value(group))
    } else if let Some(days) = bound.as_primitive_opt::<Date32Type>() {
        Some(days.value(group).into())
    } else {
        let micros = bound.as_primitive_opt::<TimestampMicrosecondType>()?;
        Some(micros.value(group))
    }
}

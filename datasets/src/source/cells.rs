//! Columns under construction: one cell at a time, typed, without a string per cell.

use std::sync::Arc;

use crate::arrow::array::{ArrayRef, BooleanBuilder, PrimitiveArray, new_null_array};

use super::parse;
use super::texts::TextBuilder;
use crate::Result;
use crate::arrow::buffer::{BooleanBuffer, NullBuffer};
use crate::arrow::datatypes::{
    ArrowPrimitiveType, Date32Type, Float64Type, Int64Type, TimestampMicrosecondType,
};
use crate::batch::dense_vectors;
use crate::schema::{Column, ColumnType, Element};

/// A value as a format delivers it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cell<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(&'a str),
    Numbers(&'a [f64]),
}

/// The cell cannot be read as the column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Misfit;

/// Which rows of a column under construction are missing: few, so their places are noted.
#[derive(Debug, Default)]
pub(super) struct Missing(Vec<u32>);

impl Missing {
    /// Notes that row `i` is missing; rows come in ascending order.
    #[inline]
    pub fn note(&mut self, i: usize) {
        self.0.push(i as u32);
    }

    /// Of `rows` rows; `None` where all are present.
    pub fn nulls(&self, rows: usize) -> Option<NullBuffer> {
        if self.0.is_empty() {
            return None;
        }
        let mut present = vec![u8::MAX; rows.div_ceil(8)];
        for i in &self.0 {
            present[*i as usize / 8] &= !(1 << (i % 8));
        }
        Some(NullBuffer::new(BooleanBuffer::new(present.into(), 0, rows)))
    }
}

/// A column of numbers being built.
#[derive(Debug)]
pub(crate) struct Numbers<T: ArrowPrimitiveType> {
    values: Vec<T::Native>,
    missing: Missing,
}

impl<T: ArrowPrimitiveType> Numbers<T> {
    fn with_capacity(rows: usize) -> Self {
        Self {
            values: Vec::with_capacity(rows),
            missing: Missing::default(),
        }
    }

    #[inline]
    fn append_value(&mut self, value: T::Native) {
        self.values.push(value);
    }

    #[inline]
    fn append_null(&mut self) {
        self.missing.note(self.values.len());
        self.values.push(T::Native::default());
    }

    fn finish(self) -> ArrayRef {
        let nulls = self.missing.nulls(self.values.len());
        Arc::new(PrimitiveArray::<T>::new(self.values.into(), nulls))
    }
}

/// A column being built, or one whose cells are only checked.
#[derive(Debug)]
pub(crate) enum Builder {
    Boolean(BooleanBuilder),
    Integer(Numbers<Int64Type>),
    Float(Numbers<Float64Type>),
    Text(TextBuilder),
    Date(Numbers<Date32Type>),
    Timestamp(Numbers<TimestampMicrosecondType>),
    Vector {
        values: Vec<f64>,
        width: usize,
        rows: usize,
    },
    /// Nothing is kept: the column is not wanted, but a bad cell must still be found.
    Check(ColumnType),
}

impl Builder {
    pub fn new(ty: &ColumnType, rows: usize) -> Self {
        match ty {
            ColumnType::Boolean => Self::Boolean(BooleanBuilder::with_capacity(rows)),
            ColumnType::Integer => Self::Integer(Numbers::with_capacity(rows)),
            ColumnType::Float => Self::Float(Numbers::with_capacity(rows)),
            ColumnType::Text => Self::Text(TextBuilder::new(rows)),
            ColumnType::Date => Self::Date(Numbers::with_capacity(rows)),
            ColumnType::Timestamp => Self::Timestamp(Numbers::with_capacity(rows)),
            ColumnType::Vector { width, .. } => {
                let width = width.unwrap_or(0);
                Self::Vector {
                    values: Vec::with_capacity(rows * width),
                    width,
                    rows: 0,
                }
            }
        }
    }

    /// Takes the text of a cell that is not null.
    #[inline]
    pub fn push_text(&mut self, cell: &str) -> std::result::Result<(), Misfit> {
        match self {
            Self::Boolean(b) => b.append_value(parse::boolean(cell.trim_ascii()).ok_or(Misfit)?),
            Self::Integer(b) => b.append_value(parse::integer(cell).ok_or(Misfit)?),
            Self::Float(b) => b.append_value(parse::float(cell).ok_or(Misfit)?),
            Self::Text(b) => b.push(cell),
            Self::Date(b) => b.append_value(parse::date(cell.trim_ascii()).ok_or(Misfit)?),
            Self::Timestamp(b) => {
                b.append_value(parse::timestamp(cell.trim_ascii()).ok_or(Misfit)?)
            }
            Self::Vector { .. } => return Err(Misfit),
            Self::Check(ty) => return check_text(ty, cell),
        }
        Ok(())
    }

    /// Takes a value of a format that has types of its own.
    pub fn push(&mut self, cell: Cell<'_>) -> std::result::Result<(), Misfit> {
        match (&mut *self, cell) {
            (_, Cell::Null) => self.push_null(),
            (_, Cell::Text(text)) => self.push_text(text)?,
            (Self::Boolean(b), Cell::Boolean(v)) => b.append_value(v),
            (Self::Integer(b), Cell::Integer(v)) => b.append_value(v),
            (Self::Integer(b), Cell::Float(v)) => b.append_value(whole(v).ok_or(Misfit)?),
            (Self::Float(b), Cell::Integer(v)) => b.append_value(v as f64),
            (Self::Float(b), Cell::Float(v)) => b.append_value(v),
            (Self::Text(b), Cell::Boolean(v)) => b.push(if v { "true" } else { "false" }),
            (Self::Text(b), Cell::Integer(v)) => b.push(&v.to_string()),
            (Self::Text(b), Cell::Float(v)) => b.push(&v.to_string()),
            (
                Self::Vector {
                    values,
                    width,
                    rows,
                },
                Cell::Numbers(v),
            ) if v.len() == *width => {
                values.extend_from_slice(v);
                *rows += 1;
            }
            (Self::Check(ty), cell) => return check(ty, cell),
            _ => return Err(Misfit),
        }
        Ok(())
    }

    pub fn push_null(&mut self) {
        match self {
            Self::Boolean(b) => b.append_null(),
            Self::Integer(b) => b.append_null(),
            Self::Float(b) => b.append_null(),
            Self::Text(b) => b.push_null(),
            Self::Date(b) => b.append_null(),
            Self::Timestamp(b) => b.append_null(),
            Self::Vector {
                values,
                width,
                rows,
            } => {
                values.resize(values.len() + *width, f64::NAN);
                *rows += 1;
            }
            Self::Check(_) => {}
        }
    }

    pub fn finish(self) -> Result<ArrayRef> {
        Ok(match self {
            Self::Boolean(mut b) => Arc::new(b.finish()),
            Self::Integer(b) => b.finish(),
            Self::Float(b) => b.finish(),
            Self::Text(b) => b.finish()?,
            Self::Date(b) => b.finish(),
            Self::Timestamp(b) => b.finish(),
            Self::Vector {
                values,
                width,
                rows,
            } => dense_vectors(values, width, Element::F64, true, rows)?,
            Self::Check(_) => new_null_array(&crate::arrow::datatypes::DataType::Null, 0),
        })
    }
}

fn whole(v: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (v.fract() == 0.0 && v.abs() <= EXACT).then_some(v as i64)
}

fn check_text(ty: &ColumnType, cell: &str) -> std::result::Result<(), Misfit> {
    let fits = match ty {
        ColumnType::Boolean => parse::boolean(cell.trim_ascii()).is_some(),
        ColumnType::Integer => parse::integer(cell).is_some(),
        ColumnType::Float => parse::float(cell).is_some(),
        ColumnType::Text => true,
        ColumnType::Date => parse::date(cell.trim_ascii()).is_some(),
        ColumnType::Timestamp => parse::timestamp(cell.trim_ascii()).is_some(),
        ColumnType::Vector { .. } => false,
    };
    fits.then_some(()).ok_or(Misfit)
}

fn check(ty: &ColumnType, cell: Cell<'_>) -> std::result::Result<(), Misfit> {
    let fits = match (ty, cell) {
        (_, Cell::Null)
        | (ColumnType::Boolean | ColumnType::Text, Cell::Boolean(_))
        | (ColumnType::Integer | ColumnType::Float | ColumnType::Text, Cell::Integer(_))
        | (ColumnType::Float | ColumnType::Text, Cell::Float(_)) => true,
        (_, Cell::Text(text)) => return check_text(ty, text),
        (ColumnType::Integer, Cell::Float(v)) => whole(v).is_some(),
        (ColumnType::Vector { width, .. }, Cell::Numbers(v)) => *width == Some(v.len()),
        _ => false,
    };
    fits.then_some(()).ok_or(Misfit)
}

/// Says what is wrong with a cell and what to do about it. `declared`: the type was given, not inferred.
pub(crate) fn misfit(column: &Column, declared: bool, cell: &str) -> String {
    let shown: String = cell.chars().take(60).collect();
    let dots = if shown.len() < cell.len() { "..." } else { "" };
    let name = &column.name;
    let start = format!(
        "column `{name}`: `{shown}{dots}` is not {}",
        with_article(&column.ty)
    );
    if declared {
        return format!("{start}, the type that `data.schema` gives it");
    }
    if column.ty.is_vector() {
        return format!("{start}, as in the records before it");
    }
    format!(
        "{start}; set `data.schema.{} = \"text\"` (or the type that fits), or raise `data.sample_rows`",
        toml_key(name)
    )
}

fn with_article(ty: &ColumnType) -> String {
    match ty {
        ColumnType::Integer => format!("an {ty}"),
        ColumnType::Text => ty.to_string(),
        _ => format!("a {ty}"),
    }
}

fn toml_key(name: &str) -> String {
    let bare = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare {
        name.to_owned()
    } else {
        format!("{name:?}")
    }
}

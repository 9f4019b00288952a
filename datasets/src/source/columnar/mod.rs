//! Columnar files (Parquet, Arrow IPC): their many types into our few, and the schema that several files share.

mod convert;
mod vectors;

use std::sync::Arc;

use crate::arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use crate::arrow::datatypes::{DataType, Field};

use self::convert::{Unfit, scalars};
pub(crate) use self::vectors::list_length;
use self::vectors::{dense_array, sparse_array, sparse_element};
use super::csv::{check_schema_names, difference};
use super::text::source_error;
use crate::options::SourceOptions;
use crate::schema::{Attribute, Column, ColumnType, Element, Layout, Schema, Slot};
use crate::{DataError, Result};

/// Key of the file metadata under which our writers keep columns with their slots and attributes, as JSON.
pub(crate) const METADATA_KEY: &str = "emberline.schema";

/// Our type for an Arrow type. `width` tells the length of a list column's lists, which the Arrow type leaves open.
pub(crate) fn column_type(ty: &DataType, width: Option<usize>) -> Option<ColumnType> {
    Some(match ty {
        DataType::Boolean => ColumnType::Boolean,
        t if t.is_integer() => ColumnType::Integer,
        DataType::Float16 | DataType::Float32 | DataType::Float64 | DataType::Null => {
            ColumnType::Float
        }
        DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => ColumnType::Float,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => ColumnType::Text,
        DataType::Dictionary(_, value) => column_type(value, None)?,
        DataType::Date32 | DataType::Date64 => ColumnType::Date,
        DataType::Timestamp(..) => ColumnType::Timestamp,
        DataType::FixedSizeList(item, n) => dense(item, Some(usize::try_from(*n).ok()?))?,
        DataType::List(item) | DataType::LargeList(item) => dense(item, width)?,
        _ => return None,
    })
}

fn dense(item: &Field, width: Option<usize>) -> Option<ColumnType> {
    let element = match item.data_type() {
        DataType::Float16 | DataType::Float32 => Element::F32,
        DataType::Float64 => Element::F64,
        t if t.is_integer() => Element::F64,
        _ => return None,
    };
    Some(ColumnType::Vector {
        width: Some(width?),
        element,
        layout: Layout::Dense,
    })
}

/// The columns of one file, normalised. `stated` is the JSON under [`METADATA_KEY`]; `width` gives the length of the lists
/// of the column at a position.
///
/// # Errors
/// A column of a type that has no place in a table of ours; all such columns are named.
pub(crate) fn columns(
    file: &str,
    schema: &crate::arrow::datatypes::Schema,
    stated: Option<&str>,
    width: impl Fn(usize) -> Result<Option<usize>>,
) -> Result<Vec<Column>> {
    let stated: Vec<Column> = stated
        .and_then(|json| serde_json::from_str(json).ok())
        .unwrap_or_default();
    let mut columns = Vec::with_capacity(schema.fields().len());
    let mut unknown = Vec::new();
    for (i, field) in schema.fields().iter().enumerate() {
        // What the metadata state counts only where it agrees with the data: another tool may have changed the file.
        let kept = stated.iter().find(|c| c.name == *field.name());
        let kept = kept.filter(|c| agrees(c, field.data_type()));
        if let Some(column) = kept {
            columns.push(column.clone());
            continue;
        }
        let is_list = matches!(
            field.data_type(),
            DataType::List(_) | DataType::LargeList(_)
        );
        let length = if is_list { width(i)? } else { None };
        match column_type(field.data_type(), length) {
            Some(ty) => columns.push(plain_column(field, ty)),
            None => unknown.push(format!("`{}` ({})", field.name(), field.data_type())),
        }
    }
    if unknown.is_empty() {
        return Ok(columns);
    }
    Err(source_error(
        file,
        format!(
            "columns of types that cannot be used: {}; leave them out when the file is written",
            unknown.join(", ")
        ),
    ))
}

fn agrees(column: &Column, found: &DataType) -> bool {
    match &column.ty {
        ColumnType::Vector {
            width: Some(width),
            element,
            layout: Layout::Sparse,
        } => {
            sparse_element(found) == Some(*element)
                && (column.slots.is_empty() || column.slots.len() == *width)
        }
        ty @ ColumnType::Vector {
            width: Some(width), ..
        } => {
            column_type(found, None).as_ref() == Some(ty)
                && (column.slots.is_empty() || column.slots.len() == *width)
        }
        ty => column_type(found, None).as_ref() == Some(ty),
    }
}

fn plain_column(field: &Field, ty: ColumnType) -> Column {
    let name = field.name();
    let slots: Arc<[Slot]> = match &ty {
        ColumnType::Vector { width, .. } => (0..width.unwrap_or(0))
            .map(|i| Slot {
                name: format!("{name}[{i}]"),
                column: name.clone(),
                attribute: Attribute::Numeric,
            })
            .collect(),
        _ => Arc::new([]),
    };
    Column {
        slots,
        ..Column::new(name, ty, field.is_nullable())
    }
}

/// One schema for several files: equal names and types; a column may hold nulls where it may in one of them.
pub(crate) fn common_columns(origin: &str, files: &[(String, Vec<Column>)]) -> Result<Vec<Column>> {
    let Some(((first_name, first), others)) = files.split_first() else {
        return Err(source_error(origin, "there are no files"));
    };
    let mut common = first.clone();
    for (name, columns) in others {
        let names = |c: &[Column]| -> Vec<String> { c.iter().map(|c| c.name.clone()).collect() };
        let fault = |what: String| {
            source_error(
                origin,
                format!("`{first_name}` and `{name}` have different columns: {what}"),
            )
        };
        if names(&common) != names(columns) {
            return Err(fault(difference(&names(&common), &names(columns))));
        }
        for (a, b) in common.iter_mut().zip(columns) {
            if a.ty != b.ty {
                return Err(fault(format!(
                    "`{}` is {} in the first and {} in the second",
                    a.name, a.ty, b.ty
                )));
            }
            if a.slots != b.slots {
                return Err(fault(format!("the slots of `{}` differ", a.name)));
            }
            a.nullable |= b.nullable;
        }
    }
    Ok(common)
}

/// Applies the types that the options give to scalar columns.
pub(crate) fn with_given_types(
    mut columns: Vec<Column>,
    options: &SourceOptions,
) -> Result<Schema> {
    let schema = Schema::new(columns.clone())?;
    check_schema_names(options, &schema)?;
    for column in &mut columns {
        let Some(given) = options.schema.get(&column.name) else {
            continue;
        };
        if column.ty.is_vector() {
            return Err(source_error(
                &options.source,
                format!("`schema.{}` gives a type to a vector column", column.name),
            ));
        }
        let ty = (*given).into();
        if column.ty != ty {
            column.ty = ty;
            column.attribute = Attribute::Numeric;
        }
    }
    Ok(Schema::new(columns)?)
}

/// An array of a file as an array of the column's Arrow type. `row` is the number of its first row in the file.
///
/// # Errors
/// A value without a counterpart: an integer beyond `i64`, a list of another length.
pub(crate) fn normalise(
    array: &ArrayRef,
    column: &Column,
    file: &str,
    row: u64,
) -> Result<ArrayRef> {
    let context = || format!("{file}, column `{}`", column.name);
    let wanted = column.ty.to_arrow();
    match &column.ty {
        ColumnType::Vector {
            width: Some(width),
            element,
            layout: Layout::Dense,
        } => dense_array(array, *width, *element, row).map_err(|e| DataError::format(context(), e)),
        ColumnType::Vector {
            width: Some(width),
            element,
            layout: Layout::Sparse,
        } => sparse_array(array, *width, *element).map_err(|e| DataError::format(context(), e)),
        _ if *array.data_type() == wanted => Ok(array.clone()),
        _ if *array.data_type() == DataType::Null => Ok(new_null_array(&wanted, array.len())),
        _ => scalars(array, &column.ty).map_err(|fault| {
            let fault = match fault {
                Unfit::Value { row: at, value } => format!(
                    "row {}: {value:?} is no {}; `data.schema` can give the column another type",
                    row + at as u64,
                    column.ty
                ),
                Unfit::Kind(fault) => fault,
            };
            DataError::format(context(), fault)
        }),
    }
}

/// The columns at `columns` (positions in `schema`) of a record batch whose fields are those, in that order.
pub(crate) fn normalise_batch(
    batch: &RecordBatch,
    schema: &Schema,
    columns: &[usize],
    file: &str,
    row: u64,
) -> Result<Vec<ArrayRef>> {
    columns
        .iter()
        .zip(batch.columns())
        .map(|(&i, array)| normalise(array, &schema.columns()[i], file, row))
        .collect()
}

/// No library panic on a damaged file may end the process: it becomes an error that names the file.
pub(crate) fn guarded<T>(file: &str, read: impl FnOnce() -> Result<T>) -> Result<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).unwrap_or_else(|_| {
        Err(source_error(
            file,
            "the file is damaged: its reader gave up on it",
        ))
    })
}

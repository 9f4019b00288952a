//! Columnar files (Parquet, Arrow IPC): their many types into our few, and the schema that several files share.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, Float64Array, ListArray, RecordBatch,
    StructArray, new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type, TimeUnit, UInt32Type};

use super::csv::{check_schema_names, difference};
use super::text::source_error;
use crate::options::SourceOptions;
use crate::schema::{Attribute, Column, ColumnType, Element, Layout, Schema, Slot};
use crate::{DataError, Result};

/// Key of the file metadata under which our writers keep columns with their slots and attributes, as JSON.
pub(crate) const METADATA_KEY: &str = "emberline.schema";

/// Refuses lossy casts instead of writing nulls.
const STRICT: CastOptions<'static> = CastOptions {
    safe: false,
    format_options: arrow::util::display::FormatOptions::new(),
};

/// Our type for an Arrow type. `width` tells the length of a list column's lists, which the Arrow type leaves open.
fn column_type(ty: &DataType, width: Option<usize>) -> Option<ColumnType> {
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

/// True for `Struct { indices: List<u32>, values: List<f32 or f64> }`.
fn sparse_element(ty: &DataType) -> Option<Element> {
    let DataType::Struct(fields) = ty else {
        return None;
    };
    let [indices, values] = fields.as_ref() else {
        return None;
    };
    let item = |f: &Field| match f.data_type() {
        DataType::List(item) => Some(item.data_type().clone()),
        _ => None,
    };
    let named = indices.name() == "indices" && values.name() == "values";
    match (item(indices)?, item(values)?) {
        (DataType::UInt32, DataType::Float64) if named => Some(Element::F64),
        (DataType::UInt32, DataType::Float32) if named => Some(Element::F32),
        _ => None,
    }
}

/// The columns of one file, normalised. `stated` is the JSON under [`METADATA_KEY`]; `width` gives the length of the lists
/// of the column at a position.
///
/// # Errors
/// A column of a type that has no place in a table of ours; all such columns are named.
pub(crate) fn columns(
    file: &str,
    schema: &arrow::datatypes::Schema,
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
        _ => {
            let plain = without_zone(array)?;
            cast_with_options(&plain, &wanted, &STRICT).map_err(|e| {
                DataError::format(
                    format!("{} (rows from {row})", context()),
                    format!("{e}; `data.schema` can give the column another type"),
                )
            })
        }
    }
}

/// Timestamps count from 1970 in UTC whatever zone they are shown in: the zone is dropped, not applied.
fn without_zone(array: &ArrayRef) -> Result<ArrayRef> {
    let DataType::Timestamp(unit, Some(_)) = array.data_type() else {
        return Ok(array.clone());
    };
    let bare: TimeUnit = *unit;
    let data = array
        .to_data()
        .into_builder()
        .data_type(DataType::Timestamp(bare, None))
        .build()?;
    Ok(arrow::array::make_array(data))
}

fn dense_array(
    array: &ArrayRef,
    width: usize,
    element: Element,
    row: u64,
) -> std::result::Result<ArrayRef, String> {
    let say = |e: &dyn std::fmt::Display| e.to_string();
    let number = match element {
        Element::F32 => DataType::Float32,
        Element::F64 => DataType::Float64,
    };
    let rows = array.len();
    let child = match array.data_type() {
        DataType::FixedSizeList(..) => fixed_child(array.as_fixed_size_list(), width)?,
        DataType::List(_) | DataType::LargeList(_) => {
            let item = Field::new("item", number.clone(), true);
            let lists = cast_with_options(array, &DataType::List(Arc::new(item)), &STRICT);
            list_child(lists.map_err(|e| say(&e))?.as_list::<i32>(), width, row)?
        }
        other => return Err(format!("{other} is no list of numbers")),
    };
    let child = cast_with_options(&child, &number, &STRICT).map_err(|e| say(&e))?;
    let field = Arc::new(Field::new("item", number, true));
    let size = i32::try_from(width).map_err(|e| say(&e))?;
    FixedSizeListArray::try_new_with_length(field, size, child, None, rows)
        .map(|list| Arc::new(list) as ArrayRef)
        .map_err(|e| say(&e))
}

/// The numbers of fixed-size lists; a list that is null has null slots.
fn fixed_child(list: &FixedSizeListArray, width: usize) -> std::result::Result<ArrayRef, String> {
    let start = list.value_offset(0) as usize;
    let child = list.values().slice(start, list.len() * width);
    if list.null_count() == 0 {
        return Ok(child);
    }
    let numbers =
        cast_with_options(&child, &DataType::Float64, &STRICT).map_err(|e| e.to_string())?;
    let numbers = numbers.as_primitive::<Float64Type>();
    let missing = |i: usize| list.is_null(i / width.max(1)) || numbers.is_null(i);
    Ok(Arc::new(
        (0..numbers.len())
            .map(|i| (!missing(i)).then(|| numbers.value(i)))
            .collect::<Float64Array>(),
    ))
}

/// The numbers of lists that must all have `width` of them; a list that is null has null slots.
fn list_child(lists: &ListArray, width: usize, row: u64) -> std::result::Result<ArrayRef, String> {
    let offsets = lists.value_offsets();
    let mut at: Vec<Option<u32>> = Vec::with_capacity(lists.len() * width);
    for i in 0..lists.len() {
        if lists.is_null(i) {
            at.resize(at.len() + width, None);
            continue;
        }
        let (start, end) = (offsets[i] as u32, offsets[i + 1] as u32);
        if (end - start) as usize != width {
            return Err(format!(
                "row {}: a list of {} numbers among lists of {width}; only lists of one length are vectors",
                row + i as u64,
                end - start
            ));
        }
        at.extend((start..end).map(Some));
    }
    let at: arrow::array::UInt32Array = at.into_iter().collect();
    arrow::compute::take(lists.values(), &at, None).map_err(|e| e.to_string())
}

/// Checks what stages rely on in a sparse vector: no null, indices ascending and inside the width.
fn sparse_array(
    array: &ArrayRef,
    width: usize,
    element: Element,
) -> std::result::Result<ArrayRef, String> {
    let fault = || format!("{} is no sparse vector", array.data_type());
    let pair: &StructArray = array.as_struct_opt().ok_or_else(fault)?;
    if sparse_element(array.data_type()) != Some(element) {
        return Err(fault());
    }
    let (slots, values) = (
        pair.column(0).as_list::<i32>(),
        pair.column(1).as_list::<i32>(),
    );
    let nulls = [pair.null_count(), slots.null_count(), values.null_count()];
    if nulls != [0; 3] || slots.values().null_count() > 0 || values.values().null_count() > 0 {
        return Err("a sparse vector must not hold nulls".to_owned());
    }
    let (mut offsets, mut indices, mut numbers) = (vec![0], Vec::new(), Vec::new());
    for i in 0..pair.len() {
        let (row, numbers_of_row) = (slots.value(i), values.value(i));
        let row = row.as_primitive::<UInt32Type>();
        if row.len() != numbers_of_row.len() {
            return Err("a sparse vector has another number of values than of indices".to_owned());
        }
        let ascending = row.values().windows(2).all(|w| w[0] < w[1]);
        if !ascending || row.values().last().is_some_and(|l| *l as usize >= width) {
            return Err(format!(
                "the indices of a sparse vector must ascend and stay below {width}"
            ));
        }
        indices.extend_from_slice(row.values());
        match element {
            Element::F64 => {
                numbers.extend_from_slice(numbers_of_row.as_primitive::<Float64Type>().values())
            }
            Element::F32 => {
                let narrow = numbers_of_row.as_primitive::<Float32Type>().values();
                numbers.extend(narrow.iter().map(|v| f64::from(*v)));
            }
        }
        offsets.push(i32::try_from(indices.len()).map_err(|e| e.to_string())?);
    }
    let made =
        crate::batch::sparse_vectors(offsets, indices, numbers).map_err(|e| e.to_string())?;
    let wanted = ColumnType::Vector {
        width: Some(width),
        element,
        layout: Layout::Sparse,
    };
    cast_with_options(&made, &wanted.to_arrow(), &STRICT).map_err(|e| e.to_string())
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

/// The length of the first list that is not null.
pub(crate) fn list_length(array: &ArrayRef) -> Option<usize> {
    let first = (0..array.len()).find(|&i| array.is_valid(i))?;
    match array.data_type() {
        DataType::List(_) => Some(array.as_list::<i32>().value(first).len()),
        DataType::LargeList(_) => Some(array.as_list::<i64>().value(first).len()),
        _ => None,
    }
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

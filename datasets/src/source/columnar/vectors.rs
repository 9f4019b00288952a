//! Lists of numbers as vector columns, checked for what stages rely on.

use std::sync::Arc;

use crate::arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, Float64Array, GenericListArray, OffsetSizeTrait,
    StructArray, UInt64Array,
};
use crate::arrow::datatypes::{DataType, Field, Float32Type, Float64Type, UInt32Type};

use super::convert::{Unfit, scalars};
use crate::schema::{ColumnType, Element};

/// True for `Struct { indices: List<u32>, values: List<f32 or f64> }`.
pub(super) fn sparse_element(ty: &DataType) -> Option<Element> {
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

pub(super) fn dense_array(
    array: &ArrayRef,
    width: usize,
    element: Element,
    row: u64,
) -> std::result::Result<ArrayRef, String> {
    let rows = array.len();
    let child = match array.data_type() {
        DataType::FixedSizeList(..) => fixed_child(array.as_fixed_size_list(), width)?,
        DataType::List(_) => list_child(array.as_list::<i32>(), width, row)?,
        DataType::LargeList(_) => list_child(array.as_list::<i64>(), width, row)?,
        other => return Err(format!("{other} is no list of numbers")),
    };
    let child = numbers(&child, element)?;
    let field = Arc::new(Field::new("item", child.data_type().clone(), true));
    let size = i32::try_from(width).map_err(|e| e.to_string())?;
    FixedSizeListArray::try_new_with_length(field, size, child, None, rows)
        .map(|list| Arc::new(list) as ArrayRef)
        .map_err(|e| e.to_string())
}

/// An array of numbers in the width wanted; narrower floats are exact in both.
fn numbers(array: &ArrayRef, element: Element) -> std::result::Result<ArrayRef, String> {
    match (array.data_type(), element) {
        (DataType::Float32, Element::F32) | (DataType::Float64, Element::F64) => {
            return Ok(array.clone());
        }
        _ => {}
    }
    let wide = scalars(array, &ColumnType::Float).map_err(|fault| match fault {
        Unfit::Value { value, .. } => format!("{value:?} is no number"),
        Unfit::Kind(fault) => fault,
    })?;
    Ok(match element {
        Element::F64 => wide,
        Element::F32 => {
            let wide = wide.as_primitive::<Float64Type>();
            Arc::new(wide.unary::<_, Float32Type>(|v| v as f32))
        }
    })
}

/// The numbers of fixed-size lists; a list that is null has null slots.
fn fixed_child(list: &FixedSizeListArray, width: usize) -> std::result::Result<ArrayRef, String> {
    let start = list.value_offset(0) as usize;
    let child = list.values().slice(start, list.len() * width);
    if list.null_count() == 0 {
        return Ok(child);
    }
    let numbers = numbers(&child, Element::F64)?;
    let numbers = numbers.as_primitive::<Float64Type>();
    let missing = |i: usize| list.is_null(i / width.max(1)) || numbers.is_null(i);
    Ok(Arc::new(
        (0..numbers.len())
            .map(|i| (!missing(i)).then(|| numbers.value(i)))
            .collect::<Float64Array>(),
    ))
}

/// The numbers of lists that must all have `width` of them; a list that is null has null slots.
fn list_child<O: OffsetSizeTrait>(
    lists: &GenericListArray<O>,
    width: usize,
    row: u64,
) -> std::result::Result<ArrayRef, String> {
    let offsets = lists.value_offsets();
    let mut at: Vec<Option<u64>> = Vec::with_capacity(lists.len() * width);
    for i in 0..lists.len() {
        if lists.is_null(i) {
            at.resize(at.len() + width, None);
            continue;
        }
        let (start, end) = (
            offsets[i].as_usize() as u64,
            offsets[i + 1].as_usize() as u64,
        );
        if (end - start) as usize != width {
            return Err(format!(
                "row {}: a list of {} numbers among lists of {width}; only lists of one length are vectors",
                row + i as u64,
                end - start
            ));
        }
        at.extend((start..end).map(Some));
    }
    let at: UInt64Array = at.into_iter().collect();
    crate::arrow::compute::take(lists.values(), &at, None).map_err(|e| e.to_string())
}

/// Checks what stages rely on in a sparse vector: no null, indices ascending and inside the width.
pub(super) fn sparse_array(
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
    crate::batch::sparse_vectors_of(offsets, indices, numbers, element).map_err(|e| e.to_string())
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

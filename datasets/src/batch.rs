//! A batch of rows: columns, their schema and the rows' ids.

use std::borrow::Cow;
use std::sync::Arc;

use crate::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, FixedSizeListArray, Float64Array, RecordBatch,
    StructArray, new_empty_array,
};
use crate::arrow::compute;
use crate::arrow::datatypes::{
    Date32Type, Float32Type, Float64Type, Int64Type, TimestampMicrosecondType, UInt32Type,
};

use crate::arrow::buffer::ScalarBuffer;
use crate::schema::{Column, ColumnType, Element, Layout, Schema, SchemaError};
use crate::source::coded;
use crate::text_column::{TextColumn, coded_type, written_out};
use crate::{DataError, Result};

/// Rows of one block of the source: equally long columns, and the stable id of each row.
#[derive(Debug, Clone)]
pub struct Batch {
    schema: Arc<Schema>,
    columns: Vec<ArrayRef>,
    row_ids: Arc<[u64]>,
}

impl Batch {
    /// A batch of these columns, in the order of the schema, and of the stated types.
    ///
    /// # Errors
    /// [`DataError::Format`] where a column has another type or length: a fault of the caller, not of the data.
    pub fn new(schema: Arc<Schema>, columns: Vec<ArrayRef>, row_ids: Arc<[u64]>) -> Result<Self> {
        let fault = |message: String| {
            Err(DataError::Format {
                context: "batch".to_owned(),
                message,
            })
        };
        if columns.len() != schema.columns().len() {
            return fault(format!(
                "{} columns for a schema of {}",
                columns.len(),
                schema.columns().len()
            ));
        }
        for (column, array) in schema.columns().iter().zip(&columns) {
            if array.len() != row_ids.len() {
                return fault(format!(
                    "column `{}` has {} rows, {} are needed",
                    column.name,
                    array.len(),
                    row_ids.len()
                ));
            }
            let unknown_width = matches!(column.ty, ColumnType::Vector { width: None, .. });
            let coded = column.ty == ColumnType::Text && *array.data_type() == coded_type();
            if !unknown_width && !coded && !array.data_type().equals_datatype(&column.ty.to_arrow())
            {
                return fault(format!(
                    "column `{}` is {}, the schema says {}",
                    column.name,
                    array.data_type(),
                    column.ty
                ));
            }
        }
        Ok(Self {
            schema,
            columns,
            row_ids,
        })
    }

    /// No rows of this schema.
    #[must_use]
    pub fn empty(schema: Arc<Schema>) -> Self {
        let columns = schema
            .columns()
            .iter()
            .map(|c| new_empty_array(&c.ty.to_arrow()))
            .collect();
        Self {
            schema,
            columns,
            row_ids: Arc::new([]),
        }
    }

    /// The schema of the columns.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// All columns in schema order.
    #[must_use]
    pub fn columns(&self) -> &[ArrayRef] {
        &self.columns
    }

    /// Number of rows.
    #[must_use]
    pub fn num_rows(&self) -> usize {
        self.row_ids.len()
    }

    /// Stable ids of the rows.
    #[must_use]
    pub fn row_ids(&self) -> &Arc<[u64]> {
        &self.row_ids
    }

    /// The array of a column.
    ///
    /// # Errors
    /// [`SchemaError::Missing`].
    pub fn column(&self, name: &str) -> Result<&ArrayRef> {
        match self.schema.index_of(name) {
            Some(i) => Ok(&self.columns[i]),
            None => Err(self
                .schema
                .get(name)
                .err()
                .map_or_else(|| no_such(name), DataError::from)),
        }
    }

    /// A numeric column (boolean, integer, float, date, timestamp) as `f64` with nulls.
    ///
    /// # Errors
    /// No such column, another type, or an integer beyond 2^53 that `f64` cannot hold.
    pub fn numbers(&self, name: &str) -> Result<Cow<'_, Float64Array>> {
        let array = self.column(name)?;
        if let Some(floats) = array.as_primitive_opt::<Float64Type>() {
            return Ok(Cow::Borrowed(floats));
        }
        if let Some(ints) = array.as_primitive_opt::<Int64Type>() {
            const EXACT: i64 = 1 << 53;
            if let Some(row) = (0..ints.len())
                .find(|&i| ints.is_valid(i) && ints.value(i).unsigned_abs() > EXACT as u64)
            {
                return Err(DataError::Value {
                    column: name.to_owned(),
                    row: self.row_ids[row],
                    message: format!(
                        "{} is beyond 2^53 and no exact f64; read the column as text",
                        ints.value(row)
                    ),
                });
            }
            return Ok(Cow::Owned(ints.unary(|v| v as f64)));
        }
        if let Some(bools) = array.as_boolean_opt() {
            return Ok(Cow::Owned(
                bools
                    .iter()
                    .map(|v| v.map(|b| f64::from(u8::from(b))))
                    .collect(),
            ));
        }
        if let Some(days) = array.as_primitive_opt::<Date32Type>() {
            return Ok(Cow::Owned(days.unary(f64::from)));
        }
        if let Some(micros) = array.as_primitive_opt::<TimestampMicrosecondType>() {
            return Ok(Cow::Owned(micros.unary(|v| v as f64)));
        }
        Err(self.wrong_type(name, "a number"))
    }

    /// A text column.
    ///
    /// # Errors
    /// No such column, or another type.
    pub fn text(&self, name: &str) -> Result<TextColumn<'_>> {
        TextColumn::of(self.column(name)?).ok_or_else(|| self.wrong_type(name, "text"))
    }

    /// A vector column, dense or sparse.
    ///
    /// # Errors
    /// No such column, or another type.
    pub fn vector(&self, name: &str) -> Result<VectorColumn<'_>> {
        let i = self.schema.index_of(name);
        let (Some(i), Ok(column)) = (i, self.schema.get(name)) else {
            return Err(self
                .schema
                .get(name)
                .err()
                .map_or_else(|| no_such(name), DataError::from));
        };
        VectorColumn::of(&self.columns[i], column).ok_or_else(|| self.wrong_type(name, "a vector"))
    }

    fn wrong_type(&self, name: &str, expected: &str) -> DataError {
        let found = self
            .schema
            .get(name)
            .map(|c| c.ty.to_string())
            .unwrap_or_default();
        SchemaError::Type {
            column: name.to_owned(),
            found,
            expected: expected.to_owned(),
        }
        .into()
    }

    /// Appends a column, or replaces the one of that name.
    ///
    /// # Errors
    /// [`DataError::Format`] where type or length differ from what `column` states.
    pub fn with_column(&self, column: Column, array: ArrayRef) -> Result<Self> {
        let mut schema = (*self.schema).clone();
        let mut columns = self.columns.clone();
        match schema.index_of(&column.name) {
            Some(i) => columns[i] = array,
            None => columns.push(array),
        }
        schema.push(column, true)?;
        Self::new(Arc::new(schema), columns, self.row_ids.clone())
    }

    /// These columns alone, in this order.
    ///
    /// # Errors
    /// [`SchemaError::Missing`] for each unknown name.
    pub fn select(&self, names: &[String]) -> Result<Self> {
        let schema = self.schema.select(names)?;
        let columns = names
            .iter()
            .map(|n| self.column(n).cloned())
            .collect::<Result<_>>()?;
        Ok(Self {
            schema: Arc::new(schema),
            columns,
            row_ids: self.row_ids.clone(),
        })
    }

    /// The rows for which `keep` is true (null counts as false).
    ///
    /// # Errors
    /// [`DataError::Format`] where `keep` has another length.
    pub fn filter(&self, keep: &BooleanArray) -> Result<Self> {
        if keep.len() == self.num_rows()
            && keep.null_count() == 0
            && keep.true_count() == keep.len()
        {
            return Ok(self.clone());
        }
        let columns = self
            .columns
            .iter()
            .map(|c| compute::filter(c, keep))
            .collect::<std::result::Result<_, _>>()?;
        let kept = self
            .row_ids
            .iter()
            .zip(keep.iter())
            .filter(|(_, k)| *k == Some(true))
            .map(|(id, _)| *id);
        Ok(Self {
            schema: self.schema.clone(),
            columns,
            row_ids: kept.collect(),
        })
    }

    /// Rows `offset..offset + length`, without copying.
    #[must_use]
    pub fn slice(&self, offset: usize, length: usize) -> Self {
        Self {
            schema: self.schema.clone(),
            columns: self
                .columns
                .iter()
                .map(|c| c.slice(offset, length))
                .collect(),
            row_ids: self.row_ids[offset..offset + length].into(),
        }
    }

    /// The same rows under a schema that differs in roles, attributes or slots only.
    ///
    /// # Errors
    /// [`DataError::Format`] where types differ.
    pub fn with_schema(&self, schema: Arc<Schema>) -> Result<Self> {
        Self::new(schema, self.columns.clone(), self.row_ids.clone())
    }

    /// The same rows with every text written out, as programs expect it that know nothing of [`TextColumn`].
    ///
    /// # Errors
    /// [`DataError::Format`] where Arrow refuses.
    pub fn with_plain_text(&self) -> Result<Self> {
        let columns = self.columns.iter().map(written_out);
        Ok(Self {
            schema: self.schema.clone(),
            columns: columns.collect::<Result<_>>()?,
            row_ids: self.row_ids.clone(),
        })
    }

    /// The same rows with text that repeats as codes, as it is best kept.
    pub(crate) fn with_coded_text(&self) -> Result<Self> {
        let columns = self.columns.iter().map(coded);
        Ok(Self {
            schema: self.schema.clone(),
            columns: columns.collect::<Result<_>>()?,
            row_ids: self.row_ids.clone(),
        })
    }

    /// The rows as an Arrow record batch (without row ids), text written out.
    ///
    /// # Errors
    /// [`DataError::Format`] where Arrow refuses, such as for a null in a column declared without.
    pub fn to_record_batch(&self) -> Result<RecordBatch> {
        let options =
            crate::arrow::array::RecordBatchOptions::new().with_row_count(Some(self.num_rows()));
        Ok(RecordBatch::try_new_with_options(
            self.schema.to_arrow(),
            self.with_plain_text()?.columns,
            &options,
        )?)
    }

    /// Bytes the columns hold in memory, about; a slice counts for its own rows.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.columns
            .iter()
            .map(|c| {
                let data = c.to_data();
                data.get_slice_memory_size()
                    .unwrap_or_else(|_| data.get_array_memory_size())
            })
            .sum::<usize>()
            + 8 * self.row_ids.len()
    }
}

fn no_such(name: &str) -> DataError {
    SchemaError::Missing {
        column: name.to_owned(),
        nearest: None,
    }
    .into()
}

/// A vector column, row by row.
#[derive(Debug, Clone, Copy)]
pub struct VectorColumn<'a> {
    width: usize,
    rows: usize,
    values: Values<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Values<'a> {
    F64(
        &'a ScalarBuffer<f64>,
        Option<&'a crate::arrow::buffer::NullBuffer>,
    ),
    F32(
        &'a ScalarBuffer<f32>,
        Option<&'a crate::arrow::buffer::NullBuffer>,
    ),
    Sparse {
        offsets: &'a [i32],
        indices: &'a [u32],
        values: &'a crate::arrow::array::ArrayRef,
    },
}

impl<'a> VectorColumn<'a> {
    fn of(array: &'a ArrayRef, column: &Column) -> Option<Self> {
        let ColumnType::Vector {
            width,
            element,
            layout,
        } = &column.ty
        else {
            return None;
        };
        match layout {
            Layout::Dense => {
                let list: &FixedSizeListArray = array.as_fixed_size_list_opt()?;
                let width = list.value_length() as usize;
                // Slicing a list slices its child, so row 0 starts at 0.
                let child = list.values();
                let nulls = child.nulls().filter(|n| n.null_count() > 0);
                let values = match element {
                    Element::F64 => {
                        Values::F64(child.as_primitive_opt::<Float64Type>()?.values(), nulls)
                    }
                    Element::F32 => {
                        Values::F32(child.as_primitive_opt::<Float32Type>()?.values(), nulls)
                    }
                };
                Some(Self {
                    width,
                    rows: list.len(),
                    values,
                })
            }
            Layout::Sparse => {
                let pair: &StructArray = array.as_struct_opt()?;
                let indices = pair.column(0).as_list_opt::<i32>()?;
                let values = pair.column(1).as_list_opt::<i32>()?;
                let offsets = indices.value_offsets();
                let flat = indices.values().as_primitive_opt::<UInt32Type>()?.values();
                Some(Self {
                    width: (*width)?,
                    rows: pair.len(),
                    values: Values::Sparse {
                        offsets,
                        indices: flat,
                        values: values.values(),
                    },
                })
            }
        }
    }

    /// Slots per row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Writes row `i` into `out` (`width` long); a missing slot becomes NaN, a slot that is not stored zero.
    pub fn read(&self, i: usize, out: &mut [f64]) {
        match &self.values {
            Values::F64(values, nulls) => {
                out.copy_from_slice(&values[i * self.width..(i + 1) * self.width]);
                blank(out, *nulls, i * self.width);
            }
            Values::F32(values, nulls) => {
                for (o, v) in out
                    .iter_mut()
                    .zip(&values[i * self.width..(i + 1) * self.width])
                {
                    *o = f64::from(*v);
                }
                blank(out, *nulls, i * self.width);
            }
            Values::Sparse { .. } => {
                out.fill(0.0);
                self.for_each_stored(i, |j, v| out[j] = v);
            }
        }
    }

    /// Calls `f(slot, value)` for each stored slot of row `i`, in slot order; dense rows store every slot.
    pub fn for_each_stored(&self, i: usize, mut f: impl FnMut(usize, f64)) {
        match &self.values {
            Values::Sparse {
                offsets,
                indices,
                values,
            } => {
                let range = offsets[i] as usize..offsets[i + 1] as usize;
                if let Some(v64) = values.as_primitive_opt::<Float64Type>() {
                    for k in range {
                        f(indices[k] as usize, v64.value(k));
                    }
                } else if let Some(v32) = values.as_primitive_opt::<Float32Type>() {
                    for k in range {
                        f(indices[k] as usize, f64::from(v32.value(k)));
                    }
                }
            }
            Values::F64(values, nulls) => {
                for j in 0..self.width {
                    let k = i * self.width + j;
                    f(
                        j,
                        if nulls.is_some_and(|n| n.is_null(k)) {
                            f64::NAN
                        } else {
                            values[k]
                        },
                    );
                }
            }
            Values::F32(values, nulls) => {
                for j in 0..self.width {
                    let k = i * self.width + j;
                    f(
                        j,
                        if nulls.is_some_and(|n| n.is_null(k)) {
                            f64::NAN
                        } else {
                            f64::from(values[k])
                        },
                    );
                }
            }
        }
    }

    /// True where every slot is stored.
    #[must_use]
    pub fn is_dense(&self) -> bool {
        !matches!(self.values, Values::Sparse { .. })
    }

    /// The rows of a sparse `f64` column: where each row starts among its slots and values (`rows + 1`), slots, values.
    #[must_use]
    pub fn as_sparse(&self) -> Option<(&'a [i32], &'a [u32], &'a [f64])> {
        let Values::Sparse {
            offsets,
            indices,
            values,
        } = self.values
        else {
            return None;
        };
        let values: &[f64] = values.as_primitive_opt::<Float64Type>()?.values();
        // A slice of rows has the offsets of its own and the values of all.
        let starts_here = offsets.first() == Some(&0);
        (starts_here && offsets.last().map(|o| *o as usize) == Some(values.len()))
            .then_some((offsets, indices, values))
    }

    /// All rows of a dense `f64` column without nulls, row-major, without a copy.
    #[must_use]
    pub fn as_f64_slice(&self) -> Option<&'a [f64]> {
        match &self.values {
            Values::F64(values, None) => Some(&values[..self.rows * self.width]),
            _ => None,
        }
    }

    /// The memory of a dense `f64` column without nulls, row-major; shared, not copied.
    #[must_use]
    pub fn as_f64_buffer(&self) -> Option<ScalarBuffer<f64>> {
        match &self.values {
            Values::F64(values, None) => Some(values.slice(0, self.rows * self.width)),
            _ => None,
        }
    }

    /// The memory of a dense `f32` column without nulls, row-major; shared, not copied.
    #[must_use]
    pub fn as_f32_buffer(&self) -> Option<ScalarBuffer<f32>> {
        match &self.values {
            Values::F32(values, None) => Some(values.slice(0, self.rows * self.width)),
            _ => None,
        }
    }
}

fn blank(out: &mut [f64], nulls: Option<&crate::arrow::buffer::NullBuffer>, start: usize) {
    if let Some(nulls) = nulls {
        for (j, o) in out.iter_mut().enumerate() {
            if nulls.is_null(start + j) {
                *o = f64::NAN;
            }
        }
    }
}

/// Builds a dense vector column from row-major numbers; NaN is stored as a null slot where `nan_is_missing`.
///
/// `values` is `(n, width)`; `f32` columns round here, once.
///
/// # Errors
/// [`DataError::Format`] where the length is no multiple of the width.
pub fn dense_vectors(
    values: Vec<f64>,
    width: usize,
    element: Element,
    nan_is_missing: bool,
    rows: usize,
) -> Result<ArrayRef> {
    use crate::arrow::array::PrimitiveArray;
    use crate::arrow::buffer::NullBuffer;
    use crate::arrow::datatypes::{DataType, Field};
    let nulls = (nan_is_missing && values.iter().any(|v| v.is_nan()))
        .then(|| NullBuffer::from(values.iter().map(|v| !v.is_nan()).collect::<Vec<bool>>()));
    let (ty, child): (DataType, ArrayRef) = match element {
        Element::F64 => (
            DataType::Float64,
            Arc::new(PrimitiveArray::<Float64Type>::new(values.into(), nulls)),
        ),
        Element::F32 => {
            let narrow: Vec<f32> = values.iter().map(|v| *v as f32).collect();
            (
                DataType::Float32,
                Arc::new(PrimitiveArray::<Float32Type>::new(narrow.into(), nulls)),
            )
        }
    };
    let size = i32::try_from(width).map_err(|e| DataError::format("vector width", e))?;
    let field = Arc::new(Field::new("item", ty, true));
    Ok(Arc::new(FixedSizeListArray::try_new_with_length(
        field, size, child, None, rows,
    )?))
}

/// Builds a sparse `f64` vector column from `offsets` (`rows + 1`), slot indices (ascending in each row) and values.
///
/// # Errors
/// [`DataError::Format`] where the lengths disagree.
pub fn sparse_vectors(offsets: Vec<i32>, indices: Vec<u32>, values: Vec<f64>) -> Result<ArrayRef> {
    sparse_vectors_of(offsets, indices, values, Element::F64)
}

/// As [`sparse_vectors`], with numbers of this width; `f32` columns round here, once.
///
/// # Errors
/// As [`sparse_vectors`].
pub fn sparse_vectors_of(
    offsets: Vec<i32>,
    indices: Vec<u32>,
    values: Vec<f64>,
    element: Element,
) -> Result<ArrayRef> {
    use crate::arrow::array::{ListArray, PrimitiveArray};
    use crate::arrow::buffer::{OffsetBuffer, ScalarBuffer};
    use crate::arrow::datatypes::{DataType, Field};
    if offsets.windows(2).any(|w| w[0] > w[1])
        || offsets.first() != Some(&0)
        || offsets.last().map(|o| *o as usize) != Some(indices.len())
    {
        return Err(DataError::format(
            "sparse vectors",
            "offsets do not match the indices",
        ));
    }
    let ends = OffsetBuffer::new(ScalarBuffer::from(offsets));
    let list = |ty: DataType, child: ArrayRef| -> Result<ArrayRef> {
        Ok(Arc::new(ListArray::try_new(
            Arc::new(Field::new("item", ty, false)),
            ends.clone(),
            child,
            None,
        )?))
    };
    let slots = list(
        DataType::UInt32,
        Arc::new(PrimitiveArray::<UInt32Type>::new(indices.into(), None)),
    )?;
    let numbers = match element {
        Element::F64 => {
            let values = PrimitiveArray::<Float64Type>::new(values.into(), None);
            list(DataType::Float64, Arc::new(values))?
        }
        Element::F32 => {
            let narrow: Vec<f32> = values.iter().map(|v| *v as f32).collect();
            let values = PrimitiveArray::<Float32Type>::new(narrow.into(), None);
            list(DataType::Float32, Arc::new(values))?
        }
    };
    let fields = vec![
        Field::new("indices", slots.data_type().clone(), false),
        Field::new("values", numbers.data_type().clone(), false),
    ];
    Ok(Arc::new(StructArray::try_new(
        fields.into(),
        vec![slots, numbers],
        None,
    )?))
}

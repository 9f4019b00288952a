//! A batch of rows: columns, their schema and the rows' ids.

mod aligned;
mod vectors;

use std::borrow::Cow;
use std::sync::Arc;

use crate::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, RecordBatch, new_empty_array,
};
use crate::arrow::compute;
use crate::arrow::datatypes::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};

use crate::schema::{Column, ColumnType, Schema, SchemaError};
use crate::source::coded;
use crate::text_column::{TextColumn, coded_type, written_out};
use crate::{DataError, Result};
pub use aligned::aligned;
pub use vectors::{VectorColumn, dense_vectors, sparse_vectors, sparse_vectors_of};

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

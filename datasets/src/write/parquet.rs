//! Parquet output.

use std::sync::Arc;

use crate::arrow::datatypes::{Field, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::{Sink, check_columns};
use crate::batch::Batch;
use crate::schema::{Column, Schema};
use crate::source::{BLOCK_ROWS, METADATA_KEY};
use crate::{DataError, Result};

/// Rows of a row group, which are held until it is written. Whole blocks, so that reading cuts the same blocks again.
const GROUP_ROWS: usize = 16 * BLOCK_ROWS;

pub(super) struct ParquetTable {
    out: ArrowWriter<Sink>,
    schema: Schema,
}

impl std::fmt::Debug for ParquetTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ParquetTable({} columns)", self.schema.columns().len())
    }
}

fn parquet_error(error: parquet::errors::ParquetError) -> DataError {
    DataError::format("Parquet writer", error)
}

/// Any column may turn out to hold nulls (predictions of rows kept in spite of a missing value): all are nullable.
fn file_schema(schema: &Schema) -> SchemaRef {
    let fields = schema.columns().iter().map(Column::to_arrow);
    let fields: Vec<Field> = fields.map(|f| f.with_nullable(true)).collect();
    Arc::new(crate::arrow::datatypes::Schema::new(fields))
}

impl ParquetTable {
    pub fn new(sink: Sink, schema: &Schema) -> Result<Self> {
        let arrow = file_schema(schema);
        let stated = serde_json::to_string(schema.columns())
            .map_err(|e| DataError::format("Parquet metadata", e))?;
        let level = ZstdLevel::try_new(3).map_err(parquet_error)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_created_by("emberline".to_owned())
            .set_key_value_metadata(Some(vec![KeyValue::new(METADATA_KEY.to_owned(), stated)]))
            .build();
        let out = ArrowWriter::try_new(sink, arrow, Some(properties)).map_err(parquet_error)?;
        Ok(Self {
            out,
            schema: schema.clone(),
        })
    }

    pub fn write(&mut self, batch: &Batch) -> Result<()> {
        check_columns(&self.schema, batch)?;
        let columns = batch.with_plain_text()?.columns().to_vec();
        let options =
            crate::arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let schema = file_schema(&self.schema);
        let rows =
            crate::arrow::array::RecordBatch::try_new_with_options(schema, columns, &options)?;
        self.out.write(&rows).map_err(parquet_error)
    }

    pub fn finish(self) -> Result<Sink> {
        self.out.into_inner().map_err(parquet_error)
    }
}

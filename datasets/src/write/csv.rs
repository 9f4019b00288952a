//! CSV output.

use crate::arrow::array::ArrayRef;
use csv::{Writer, WriterBuilder};

use super::value::{Value, number, value};
use super::{Sink, check_columns, io};
use crate::batch::{Batch, VectorColumn};
use crate::schema::{Column, Schema};
use crate::{DataError, Result};

pub(super) struct CsvWriter {
    out: Writer<Sink>,
    schema: Schema,
}

impl std::fmt::Debug for CsvWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CsvWriter({} columns)", self.schema.columns().len())
    }
}

fn csv_error(error: csv::Error) -> DataError {
    match error.into_kind() {
        csv::ErrorKind::Io(e) => io(e),
        other => DataError::format("CSV writer", format!("{other:?}")),
    }
}

/// The header names of one column: its own, or one per slot.
fn names(column: &Column) -> Vec<String> {
    let crate::ColumnType::Vector { width, .. } = &column.ty else {
        return vec![column.name.clone()];
    };
    let width = width.unwrap_or(column.slots.len());
    (0..width)
        .map(|i| match column.slots.get(i) {
            // Slots of a vector may already carry its name: `pixels[3]`.
            Some(slot) if slot.name.starts_with(&format!("{}[", column.name)) => slot.name.clone(),
            Some(slot) => format!("{}[{}]", column.name, slot.name),
            None => format!("{}[{i}]", column.name),
        })
        .collect()
}

impl CsvWriter {
    pub fn new(sink: Sink, schema: &Schema, delimiter: u8) -> Result<Self> {
        let header: Vec<String> = schema.columns().iter().flat_map(names).collect();
        for (i, name) in header.iter().enumerate() {
            if header[..i].contains(name) {
                return Err(DataError::format(
                    "CSV header",
                    format!("two columns would be named `{name}`"),
                ));
            }
        }
        let mut out = WriterBuilder::new().delimiter(delimiter).from_writer(sink);
        out.write_record(&header).map_err(csv_error)?;
        Ok(Self {
            out,
            schema: schema.clone(),
        })
    }

    pub fn write(&mut self, batch: &Batch) -> Result<()> {
        check_columns(&self.schema, batch)?;
        let mut vectors = Vec::with_capacity(batch.columns().len());
        for column in self.schema.columns() {
            let vector = column.ty.is_vector().then(|| batch.vector(&column.name));
            vectors.push(vector.transpose()?);
        }
        let (mut slots, mut buffer) = (Vec::new(), Vec::new());
        for i in 0..batch.num_rows() {
            for (array, vector) in batch.columns().iter().zip(&vectors) {
                match vector {
                    Some(vector) => self.vector(vector, i, &mut slots, &mut buffer)?,
                    None => self.scalar(array, i, &mut buffer)?,
                }
            }
            self.out.write_record(None::<&[u8]>).map_err(csv_error)?;
        }
        Ok(())
    }

    fn scalar(&mut self, array: &ArrayRef, i: usize, buffer: &mut Vec<u8>) -> Result<()> {
        let cell = value(array, i, buffer);
        let field: &[u8] = match cell {
            Value::Null => b"",
            Value::Boolean(true) => b"true",
            Value::Boolean(false) => b"false",
            Value::Text(text) => text.as_bytes(),
            Value::Written => buffer,
            Value::Integer(v) => {
                use std::io::Write;
                buffer.clear();
                write!(buffer, "{v}").map_err(io)?;
                buffer
            }
            Value::Float(v) => {
                buffer.clear();
                number(v, buffer);
                buffer
            }
        };
        self.out.write_field(field).map_err(csv_error)
    }

    fn vector(
        &mut self,
        vector: &VectorColumn<'_>,
        i: usize,
        slots: &mut Vec<f64>,
        buffer: &mut Vec<u8>,
    ) -> Result<()> {
        slots.resize(vector.width(), 0.0);
        vector.read(i, slots);
        for v in slots.iter() {
            buffer.clear();
            if !v.is_nan() {
                number(*v, buffer);
            }
            self.out.write_field(buffer.as_slice()).map_err(csv_error)?;
        }
        Ok(())
    }

    pub fn finish(self) -> Result<Sink> {
        self.out
            .into_inner()
            .map_err(|e| io(std::io::Error::other(e.to_string())))
    }
}

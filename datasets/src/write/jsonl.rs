//! JSON-lines output.

use std::io::Write;

use super::value::{Value, number, value};
use super::{Sink, check_columns, io};
use crate::batch::Batch;
use crate::schema::Schema;
use crate::{DataError, Result};

#[derive(Debug)]
pub(super) struct JsonlWriter {
    out: Sink,
    schema: Schema,
    /// `"name":` of each column.
    keys: Vec<Vec<u8>>,
}

fn text(value: &str, out: &mut Vec<u8>) -> Result<()> {
    serde_json::to_writer(out, value).map_err(|e| DataError::format("JSON writer", e))
}

fn float(v: f64, out: &mut Vec<u8>) {
    if v.is_finite() {
        number(v, out);
    } else {
        out.extend_from_slice(b"null"); // JSON has no other number for it
    }
}

impl JsonlWriter {
    pub fn new(out: Sink, schema: &Schema) -> Self {
        let keys = schema
            .columns()
            .iter()
            .map(|c| format!("{}:", serde_json::Value::from(c.name.as_str())).into_bytes())
            .collect();
        Self {
            out,
            schema: schema.clone(),
            keys,
        }
    }

    pub fn write(&mut self, batch: &Batch) -> Result<()> {
        check_columns(&self.schema, batch)?;
        let mut vectors = Vec::with_capacity(batch.columns().len());
        for column in self.schema.columns() {
            let vector = column.ty.is_vector().then(|| batch.vector(&column.name));
            vectors.push(vector.transpose()?);
        }
        let (mut line, mut slots, mut buffer) = (Vec::new(), Vec::new(), Vec::new());
        for i in 0..batch.num_rows() {
            line.clear();
            for (c, (array, vector)) in batch.columns().iter().zip(&vectors).enumerate() {
                line.push(if c == 0 { b'{' } else { b',' });
                line.extend_from_slice(&self.keys[c]);
                if let Some(vector) = vector {
                    slots.resize(vector.width(), 0.0);
                    vector.read(i, &mut slots);
                    list(&slots, &mut line);
                    continue;
                }
                match value(array, i, &mut buffer) {
                    Value::Null => line.extend_from_slice(b"null"),
                    Value::Boolean(v) => write!(line, "{v}").map_err(io)?,
                    Value::Integer(v) => write!(line, "{v}").map_err(io)?,
                    Value::Float(v) => float(v, &mut line),
                    Value::Text(v) => text(v, &mut line)?,
                    Value::Written => {
                        line.push(b'"');
                        line.extend_from_slice(&buffer);
                        line.push(b'"');
                    }
                }
            }
            if batch.columns().is_empty() {
                line.push(b'{');
            }
            line.extend_from_slice(b"}\n");
            self.out.write_all(&line).map_err(io)?;
        }
        Ok(())
    }

    pub fn finish(self) -> Sink {
        self.out
    }
}

fn list(values: &[f64], line: &mut Vec<u8>) {
    line.push(b'[');
    for (j, v) in values.iter().enumerate() {
        if j > 0 {
            line.push(b',');
        }
        float(*v, line);
    }
    line.push(b']');
}

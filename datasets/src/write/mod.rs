//! Writing tables: CSV, JSON lines and Parquet.
//!
//! A [`TableWriter`] writes a [`WholeFile`]: a target is whole or untouched.

mod csv;
mod folder;
mod jsonl;
mod parquet;
#[cfg(test)]
mod tests;
mod value;

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::csv::CsvWriter;
pub use self::folder::{MANIFEST, Manifest, PartFile, extension_of, write_part};
use self::jsonl::JsonlWriter;
use self::parquet::ParquetTable;
pub(crate) use self::value::{Value, date, timestamp, value};
use crate::batch::Batch;
use crate::files::{Disk, RealDisk, WholeFile};
use crate::options::Format;
use crate::schema::Schema;
use crate::{DataError, Result};

/// Writes batches of one schema to a file or to standard output.
///
/// - CSV: a header; fields are quoted where they must be; one column per vector slot, named `probability[setosa]`; nulls
///   are empty fields
/// - JSON lines: an object a line; vectors are arrays; nulls, and numbers JSON lacks (NaN, infinity), are `null`
/// - Parquet: zstd, vectors as `FixedSizeList` (sparse ones as `Struct`), and the columns with their slots in the metadata,
///   so that reading gives back what was written
///
/// Numbers are written with the fewest digits that read back as the same `f64`. Dates are `2024-12-31`, timestamps
/// `2024-12-31T23:59:59.5Z`.
#[derive(Debug)]
pub struct TableWriter {
    target: Target,
    rows: u64,
    encoder: Encoder,
}

#[derive(Debug)]
enum Target {
    StandardOutput,
    File { path: PathBuf },
}

/// Where bytes go until the table is finished.
#[derive(Debug)]
pub(crate) enum Sink {
    StandardOutput(BufWriter<std::io::Stdout>),
    File(BufWriter<WholeFile>),
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::StandardOutput(out) => out.write(bytes),
            Self::File(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::StandardOutput(out) => out.flush(),
            Self::File(out) => out.flush(),
        }
    }
}

#[derive(Debug)]
enum Encoder {
    Csv(Box<CsvWriter>),
    Jsonl(Box<JsonlWriter>),
    Parquet(Box<ParquetTable>),
}

impl TableWriter {
    /// Starts a table at `path`, or on standard output for `-`.
    ///
    /// `format` defaults to what the extension tells (`.csv`, `.tsv`, `.jsonl`, `.ndjson`, `.parquet`), and to CSV on
    /// standard output.
    ///
    /// # Errors
    /// A format that cannot be told or is not written, columns whose names would collide, a folder that cannot be written.
    pub fn create(path: impl AsRef<Path>, format: Option<Format>, schema: &Schema) -> Result<Self> {
        Self::create_on(Arc::new(RealDisk), path.as_ref(), format, schema)
    }

    /// As [`TableWriter::create`], through another disk.
    ///
    /// # Errors
    /// As [`TableWriter::create`].
    pub fn create_on(
        disk: Arc<dyn Disk>,
        path: &Path,
        format: Option<Format>,
        schema: &Schema,
    ) -> Result<Self> {
        let to_output = path == Path::new("-");
        let format = match format.or_else(|| crate::source::format_of(path)) {
            Some(format) => format,
            None if to_output => Format::Csv,
            None => return Err(unknown(path, "its name does not tell a format")),
        };
        if !to_output && path.extension().is_some_and(|e| e == "gz") {
            return Err(unknown(path, "compressed text is not written"));
        }
        if !to_output && std::fs::metadata(path).is_ok_and(|m| !m.is_file()) {
            // Renaming onto a device or a folder would replace it, or fail at the very end.
            return Err(DataError::Source {
                origin: path.display().to_string(),
                message: "this is no ordinary file; `-` writes to standard output".to_owned(),
            });
        }
        let (target, sink) = if to_output {
            let out = BufWriter::new(std::io::stdout());
            (Target::StandardOutput, Sink::StandardOutput(out))
        } else {
            let path = path.to_owned();
            let file = WholeFile::create(disk, &path).map_err(|e| DataError::io(&path, e))?;
            (Target::File { path }, Sink::File(BufWriter::new(file)))
        };
        let tabs = path.extension().is_some_and(|e| e == "tsv");
        let encoder = match format {
            Format::Csv => {
                let delimiter = if tabs { b'\t' } else { b',' };
                Encoder::Csv(Box::new(CsvWriter::new(sink, schema, delimiter)?))
            }
            Format::Jsonl => Encoder::Jsonl(Box::new(JsonlWriter::new(sink, schema))),
            Format::Parquet => Encoder::Parquet(Box::new(ParquetTable::new(sink, schema)?)),
            Format::Libsvm | Format::Arrow => {
                return Err(unknown(
                    path,
                    "LibSVM and Arrow files are read, not written",
                ));
            }
        };
        Ok(Self {
            target,
            rows: 0,
            encoder,
        })
    }

    /// Appends the rows of a batch, whose columns must be those of the schema.
    ///
    /// # Errors
    /// The columns differ, or writing fails.
    pub fn write(&mut self, batch: &Batch) -> Result<()> {
        let outcome = match &mut self.encoder {
            Encoder::Csv(w) => w.write(batch),
            Encoder::Jsonl(w) => w.write(batch),
            Encoder::Parquet(w) => w.write(batch),
        };
        outcome.map_err(|e| self.target.name_in(e))?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Rows written so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Completes the table and puts it in its place; gives the number of rows.
    ///
    /// # Errors
    /// Writing, syncing or renaming fails; the target is then as it was before.
    pub fn finish(self) -> Result<u64> {
        let sink = match self.encoder {
            Encoder::Csv(w) => w.finish(),
            Encoder::Jsonl(w) => Ok(w.finish()),
            Encoder::Parquet(w) => w.finish(),
        };
        let fail = |e| match &self.target {
            Target::File { path } => DataError::io(path, e),
            Target::StandardOutput => DataError::io("standard output", e),
        };
        match sink.map_err(|e| self.target.name_in(e))? {
            Sink::StandardOutput(mut out) => out.flush().map_err(fail)?,
            Sink::File(out) => {
                let file = out.into_inner().map_err(|e| fail(e.into_error()))?;
                file.finish(true).map_err(fail)?;
            }
        }
        Ok(self.rows)
    }
}

impl Target {
    /// Errors of the encoders get the path they happened on.
    fn name_in(&self, error: DataError) -> DataError {
        match (self, error) {
            (Self::File { path }, DataError::Io { source, .. }) => DataError::io(path, source),
            (_, other) => other,
        }
    }
}

fn unknown(path: &Path, why: &str) -> DataError {
    DataError::Source {
        origin: path.display().to_string(),
        message: format!("{why}; write to a name that ends in .csv, .tsv, .jsonl or .parquet"),
    }
}

/// The columns of a batch must be those the writer was made for.
fn check_columns(schema: &Schema, batch: &Batch) -> Result<()> {
    let same = schema.columns().len() == batch.schema().columns().len()
        && schema
            .columns()
            .iter()
            .zip(batch.schema().columns())
            .all(|(a, b)| a.name == b.name && a.ty == b.ty);
    if same {
        return Ok(());
    }
    Err(DataError::format(
        "table writer",
        "the columns of a batch are not those of the table",
    ))
}

/// An I/O error of an encoder; [`TableWriter`] puts the path in.
fn io(error: std::io::Error) -> DataError {
    DataError::io("standard output", error)
}

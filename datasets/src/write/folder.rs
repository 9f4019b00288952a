//! A table in parts: a folder with a file a partition, and a manifest that makes them one.

use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::TableWriter;
use crate::dataset::Dataset;
use crate::files::{self, Found};
use crate::options::Format;
use crate::parallel::map_in_order;
use crate::{DataError, Result};

/// Name of the manifest inside the folder. Who reads the folder as a source passes over it.
pub const MANIFEST: &str = "_manifest.json";

/// A file of a table in parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartFile {
    /// Name inside the folder: `part-00000.parquet`.
    pub name: String,
    /// Rows in it.
    pub rows: u64,
    /// Its length.
    pub bytes: u64,
}

/// What a folder holds. A folder without one was not written to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Format of the files.
    pub format: Format,
    /// Rows of all of them.
    pub rows: u64,
    /// The files, in row order.
    pub files: Vec<PartFile>,
}

impl Manifest {
    /// Makes the folder, and takes away what says that it is whole.
    ///
    /// # Errors
    /// It cannot be made or written.
    pub fn begin(folder: &Path) -> Result<()> {
        files::make_folder(folder).map_err(|e| DataError::io(folder, e))?;
        let path = folder.join(MANIFEST);
        files::remove(&path).map_err(|e| DataError::io(path, e))
    }

    /// The manifest of these files, written last and at once; part files that are not among them go.
    ///
    /// # Errors
    /// It cannot be written, or a file that is left over cannot be removed.
    pub fn commit(folder: &Path, format: Format, parts: Vec<PartFile>) -> Result<Self> {
        for name in files::names_in(folder).map_err(|e| DataError::io(folder, e))? {
            if name.starts_with("part-") && parts.iter().all(|f| f.name != name) {
                let path = folder.join(name);
                files::remove(&path).map_err(|e| DataError::io(path, e))?;
            }
        }
        let manifest = Self {
            format,
            rows: parts.iter().map(|f| f.rows).sum(),
            files: parts,
        };
        let path = folder.join(MANIFEST);
        let json = serde_json::to_vec_pretty(&manifest)
            .map_err(|e| DataError::format(MANIFEST, e.to_string()))?;
        files::replace(&path, &json).map_err(|e| DataError::io(path, e))?;
        Ok(manifest)
    }
}

/// The extension that tells a format.
///
/// # Errors
/// The format is read, not written.
pub fn extension_of(format: Format) -> Result<&'static str> {
    match format {
        Format::Csv => Ok("csv"),
        Format::Jsonl => Ok("jsonl"),
        Format::Parquet => Ok("parquet"),
        Format::Libsvm | Format::Arrow => Err(DataError::Unusable(
            "tables are written as csv, jsonl or parquet".to_owned(),
        )),
    }
}

/// Writes these chunks of a dataset as part `number` of a folder. The file appears whole or not at all; written again, it takes the place
/// of the one before, and is equal to it.
///
/// # Errors
/// Reading or writing fails, or `check` says that the run was stopped.
pub fn write_part(
    data: &Dataset,
    chunks: Range<usize>,
    folder: &Path,
    number: usize,
    format: Format,
    check: &(dyn Fn() -> Result<()> + Sync),
) -> Result<PartFile> {
    let name = format!("part-{number:05}.{}", extension_of(format)?);
    let path = folder.join(&name);
    let mut writer = TableWriter::create(&path, Some(format), data.schema())?;
    map_in_order(
        chunks.len(),
        |i| {
            check()?;
            data.read(chunks.start + i, None)
        },
        |batch| writer.write(&batch),
    )?;
    let rows = writer.finish()?;
    let bytes = match files::look(&path).map_err(|e| DataError::io(&path, e))? {
        Found::File(bytes) => bytes,
        _ => 0, // somebody else took it away
    };
    Ok(PartFile { name, rows, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SourceOptions, source};

    #[test]
    fn parts_are_read_back_as_one_table_and_files_left_over_go() {
        let data = source::open(&SourceOptions::new("bundled:pendigits")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let write = |parts: usize| {
            Manifest::begin(folder.path()).unwrap();
            assert!(!folder.path().join(MANIFEST).exists());
            let n = data.chunks().unwrap().len();
            let files = crate::spread(n, parts)
                .into_iter()
                .enumerate()
                .map(|(i, chunks)| {
                    write_part(&data, chunks, folder.path(), i, Format::Csv, &|| Ok(())).unwrap()
                });
            let files = files.collect();
            Manifest::commit(folder.path(), Format::Csv, files).unwrap()
        };
        assert_eq!(write(2).rows, 10_992);
        let manifest = write(1);
        assert_eq!(manifest.files.len(), 1);
        let options = SourceOptions::new(folder.path().to_string_lossy());
        assert_eq!(source::open(&options).unwrap().count().unwrap(), 10_992);
        let names = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 2);
    }
}

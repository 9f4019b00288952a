//! Tests of the sources through their public door.

mod bad_rows;
mod columnar;
mod csv;
mod formats;
mod ipc;
mod jsonl;
mod libsvm;
mod places;
mod retyped;

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::arrow::array::ArrayRef;
use tempfile::TempDir;

use super::open;
use crate::batch::Batch;
use crate::text_column::written_out;
use crate::{Dataset, Result, SourceOptions};

/// A folder with files, gone at the end of the test.
pub(super) struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> SourceOptions {
        std::fs::write(self.path(name), bytes).unwrap();
        self.options(name)
    }

    pub fn options(&self, name: &str) -> SourceOptions {
        SourceOptions::new(self.path(name).display().to_string())
    }
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

pub(super) fn all(data: &Dataset) -> Result<Vec<Batch>> {
    data.batches(None)?.collect()
}

/// Columns over all batches.
pub(super) fn whole(data: &Dataset) -> Vec<ArrayRef> {
    let batches = all(data).unwrap();
    (0..data.schema().columns().len())
        .map(|c| {
            let plain = batches
                .iter()
                .map(|b| written_out(&b.columns()[c]).unwrap());
            let plain: Vec<ArrayRef> = plain.collect();
            let parts: Vec<&dyn crate::arrow::array::Array> =
                plain.iter().map(|array| array.as_ref()).collect();
            crate::arrow::compute::concat(&parts).unwrap()
        })
        .collect()
}

pub(super) fn ids(data: &Dataset) -> Vec<u64> {
    all(data)
        .unwrap()
        .iter()
        .flat_map(|b| b.row_ids().to_vec())
        .collect()
}

pub(super) fn types(data: &Dataset) -> Vec<(String, String)> {
    let columns = data.schema().columns().iter();
    columns
        .map(|c| (c.name.clone(), c.ty.to_string()))
        .collect()
}

pub(super) fn open_error(options: &SourceOptions) -> String {
    open(options).unwrap_err().to_string()
}

pub(super) fn read_error(options: &SourceOptions) -> String {
    all(&open(options).unwrap()).unwrap_err().to_string()
}

/// Text of the `text` column in row `i`.
pub(super) fn text(column: &ArrayRef, i: usize) -> &str {
    use crate::arrow::array::AsArray;
    column.as_string::<i32>().value(i)
}

pub(super) fn lines(path: &Path) -> Vec<serde_json::Value> {
    std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect()
}

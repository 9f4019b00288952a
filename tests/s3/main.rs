//! Sources and results in an object store, against a real S3 server.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

#[cfg(feature = "cluster")]
mod cluster;
mod errors;
mod inside;
mod results;
mod sources;
mod store;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use emberline::prelude::*;

/// A table that is cut into several chunks and whose text columns need quotes: `a`, `b`, `kind`, `note`, `y`.
pub fn table(rows: usize, from: usize) -> String {
    let mut text = String::from("a,b,kind,note,y\n");
    for i in from..from + rows {
        let a = (i * 7919 % 1009) as f64 / 10.0;
        let b = (i * 104_729 % 499) as f64 / 7.0;
        let kind = ["red", "green", "dark, blue"][i % 3];
        let note = if i % 50 == 0 { "two\nlines" } else { "one" };
        let y = if a + b > 80.0 { "high" } else { "low" };
        writeln!(text, "{a},{b},\"{kind}\",\"{note}\",{y}").unwrap();
    }
    text
}

/// A config that trains on `source`.
pub fn config(source: &str, model: &str) -> String {
    format!(
        r#"
name = "objects"
seed = 3

[env]
allow = ["SOURCE"]

[data]
source = "{source}"
label = "y"

[data.split]
test = 0.25

[[pipeline]]
stage = "string_indexer"
inputs = ["kind"]

[[pipeline]]
stage = "vector_assembler"
inputs = ["a", "b", "kind_index"]

[[pipeline]]
stage = "logistic_regression"
max_iter = 20

[output]
model = "{model}"
"#
    )
}

/// Writes a file, and the folders on the way to it.
pub fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Writes a file's rows in another format.
pub fn convert(from: &Path, to: &Path) {
    let options = SourceOptions::new(from.to_string_lossy());
    let data = emberline::datasets::source::open(&options).unwrap();
    let mut writer = emberline::datasets::TableWriter::create(to, None, data.schema()).unwrap();
    for batch in data.batches(None).unwrap() {
        writer.write(&batch.unwrap()).unwrap();
    }
    writer.finish().unwrap();
}

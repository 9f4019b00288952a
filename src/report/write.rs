//! Puts a report into a folder.

use std::io;
use std::path::{Path, PathBuf};

use emberline_datasets::files;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::model::{ClassScores, Confusion, InvalidAmong, NamedValue, Report};

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The folder is not there and cannot be made.
    #[error("report folder `{}` cannot be made ({source}): choose a folder that you may write to", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the file system says.
        #[source]
        source: io::Error,
    },
    /// A file cannot be written; the one that stood there before, if any, is whole.
    #[error("report file `{}` cannot be written ({source}): check the free space and the rights of the folder", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the file system says.
        #[source]
        source: io::Error,
    },
    /// The metrics cannot be put as JSON.
    #[error("the metrics cannot be put as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// The shape of `metrics.json`.
#[derive(Serialize)]
struct Metrics<'a> {
    title: &'a str,
    task: &'a str,
    #[serde(serialize_with = "flat")]
    metrics: &'a [NamedValue],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    per_class: &'a [ClassScores],
    #[serde(skip_serializing_if = "Option::is_none")]
    confusion: Option<&'a Confusion>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    invalid: &'a [InvalidAmong],
}

/// Metrics as one flat object in their own order. Where two share a name, the first counts: a JSON object holds a key once.
fn flat<S: Serializer>(metrics: &[NamedValue], to: S) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(None)?;
    for (i, metric) in metrics.iter().enumerate() {
        if !metrics[..i]
            .iter()
            .any(|earlier| earlier.name == metric.name)
        {
            map.serialize_entry(&metric.name, &metric.value)?;
        }
    }
    map.end()
}

/// The text of `metrics.json`.
pub(super) fn metrics_json(report: &Report) -> Result<String, ReportError> {
    let Report {
        title,
        task,
        metrics,
        per_class,
        confusion,
        invalid,
        ..
    } = report;
    let mut text = serde_json::to_string_pretty(&Metrics {
        title,
        task,
        metrics,
        per_class,
        confusion: confusion.as_ref(),
        invalid,
    })?;
    text.push('\n');
    Ok(text)
}

/// Writes both files into `folder`, which is made if need be.
pub(super) fn write(report: &Report, folder: &Path) -> Result<(), ReportError> {
    let metrics = metrics_json(report)?;
    files::make_folder(folder).map_err(|source| ReportError::Folder {
        path: folder.to_owned(),
        source,
    })?;
    for (name, text) in [("report.html", report.to_html()), ("metrics.json", metrics)] {
        let path = folder.join(name);
        files::replace(&path, text.as_bytes())
            .map_err(|source| ReportError::File { path, source })?;
    }
    Ok(())
}

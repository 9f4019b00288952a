//! Errors of the data layer: the owner of the data, or of the place it lies in, acts on these.

use std::path::PathBuf;

use crate::schema::SchemaErrors;

/// What can go wrong while data are opened, read, transformed row by row, or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file or folder cannot be opened, read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The source as a whole is unusable: no such file, no rows, an unknown format or name.
    #[error("source `{origin}`: {message}")]
    Source {
        /// The source as the user wrote it.
        origin: String,
        /// What is wrong and what to do about it.
        message: String,
    },
    /// A record of a file cannot be read under the schema.
    #[error("{file}, line {line}, byte {byte}: {message}")]
    BadRecord {
        /// File name as given or found.
        file: String,
        /// Line on which the record starts, from 1.
        line: u64,
        /// Byte offset at which the record starts, from 0.
        byte: u64,
        /// Column, value and remedy.
        message: String,
    },
    /// A value that must be finite is NaN or infinite.
    #[error(
        "column `{column}`, row {row}: {value} is not finite; impute it, or drop the row (`handle_invalid = \"skip\"`)"
    )]
    NotFinite {
        /// Column, or `column[slot name]` inside a vector.
        column: String,
        /// Row id.
        row: u64,
        /// The offending value.
        value: f64,
    },
    /// A value that must be present is null.
    #[error(
        "column `{column}`, row {row}: the value is missing; add an `imputer` before this stage, or set its `handle_invalid`"
    )]
    Missing {
        /// Column, or `column[slot name]` inside a vector.
        column: String,
        /// Row id.
        row: u64,
    },
    /// A value is present and finite but not one this stage can take (an unseen category, a negative weight).
    #[error("column `{column}`, row {row}: {message}")]
    Value {
        /// Column name.
        column: String,
        /// Row id.
        row: u64,
        /// The value, what was expected, and the remedy.
        message: String,
    },
    /// The data as a whole cannot be used by a stage: no rows, one class only, all weights zero.
    #[error("{0}")]
    Unusable(String),
    /// Columns do not fit what a stage needs.
    #[error(transparent)]
    Schema(#[from] SchemaErrors),
    /// An Arrow kernel or a Parquet reader refused; a fault of the file or of this program.
    #[error("{context}: {message}")]
    Format {
        /// File or step.
        context: String,
        /// The library's message.
        message: String,
    },
    /// The run's memory limit is too small for something that cannot be done in pieces.
    #[error(
        "{what} needs {needed} bytes, and {free} of the memory limit are free; set `data.memory_limit` to {raise} bytes or more"
    )]
    MemoryLimit {
        /// What was to be held.
        what: String,
        /// Bytes it takes.
        needed: u64,
        /// Bytes of the limit that nothing else holds.
        free: u64,
        /// The limit that would do.
        raise: u64,
    },
    /// Another process of the run met an error; the text is its own.
    #[error("{message}")]
    Elsewhere {
        /// What [`DataError::kind`] gave there.
        kind: &'static str,
        /// What it said.
        message: String,
    },
    /// The run was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// A stage of the chain failed; its name is added once.
    #[error("stage `{stage}`: {source}")]
    InStage {
        /// The stage's name in the pipeline.
        stage: String,
        /// What it said.
        #[source]
        source: Box<DataError>,
    },
}

impl DataError {
    /// Names the stage that failed, unless one is named already.
    #[must_use]
    pub fn in_stage(self, stage: &str) -> Self {
        match self {
            named @ (Self::InStage { .. } | Self::Cancelled) => named,
            other => Self::InStage {
                stage: stage.to_owned(),
                source: Box::new(other),
            },
        }
    }

    /// What kind of error it is, in one word that does not change.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Io { .. } => "io",
            Self::Source { .. } => "source",
            Self::BadRecord { .. } => "bad_record",
            Self::NotFinite { .. } => "not_finite",
            Self::Missing { .. } => "missing",
            Self::Value { .. } => "value",
            Self::Unusable(_) => "unusable",
            Self::Schema(_) => "schema",
            Self::Format { .. } => "format",
            Self::MemoryLimit { .. } => "memory_limit",
            Self::Elsewhere { kind, .. } => kind,
            Self::Cancelled => "interrupted",
            Self::InStage { source, .. } => source.kind(),
        }
    }

    /// The error of another process, from its kind and text.
    #[must_use]
    pub fn elsewhere(kind: &str, message: String) -> Self {
        const KINDS: [&str; 10] = [
            "io",
            "source",
            "bad_record",
            "not_finite",
            "missing",
            "value",
            "unusable",
            "schema",
            "format",
            "memory_limit",
        ];
        let kind = KINDS.into_iter().find(|k| *k == kind).unwrap_or("unusable");
        Self::Elsewhere { kind, message }
    }

    /// Wraps an I/O error with the path it happened on.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source,
        }
    }

    /// Wraps a library's message with where it happened.
    pub fn format(context: impl Into<String>, error: impl std::fmt::Display) -> Self {
        Self::Format {
            context: context.into(),
            message: error.to_string(),
        }
    }
}

impl From<crate::arrow::error::ArrowError> for DataError {
    fn from(error: crate::arrow::error::ArrowError) -> Self {
        Self::Format {
            context: "columnar data".to_owned(),
            message: error.to_string(),
        }
    }
}

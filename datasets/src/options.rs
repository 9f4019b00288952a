//! How a source is named and read: the `[data]` table of a config.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// File formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Delimited text (`.csv`, `.tsv`, `.data`, also with `.gz`).
    Csv,
    /// One JSON object a line (`.jsonl`, `.ndjson`, also with `.gz`).
    Jsonl,
    /// Apache Parquet (`.parquet`).
    Parquet,
    /// `label index:value ...`, indices from 1 (`.libsvm`, `.svm`, also with `.gz`).
    Libsvm,
    /// Arrow IPC file (`.arrow`, `.feather`, `.ipc`).
    Arrow,
}

/// What to do with a record that cannot be read under the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BadRows {
    /// Refuse the file, naming line, byte, column and value.
    #[default]
    Fail,
    /// Leave the record out and write it, with the reason, to a side file.
    Quarantine,
}

/// Names a column's type in a config.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TypeName {
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// A number.
    Float,
    /// Text, also where it looks like a number.
    Text,
    /// `2024-12-31`.
    Date,
    /// `2024-12-31T23:59:59Z`, UTC.
    Timestamp,
}

/// How rows are brought together in partitions; without it they stay in source order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PartitionBy {
    /// Rows with equal values of these columns share a partition.
    Hash(Vec<String>),
    /// Partitions hold ascending ranges of this column, with bounds from a sample.
    Range(String),
}

/// Where data come from and how they are read. Only `source` is needed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SourceOptions {
    /// `bundled:NAME`, a file, a glob (`data/*.parquet`) or a folder; the last three also in an object store (`s3://bucket/data/*.parquet`,
    /// builds with the feature `s3`, credentials from the environment).
    pub source: String,
    /// File format. Default: by extension.
    pub format: Option<Format>,
    /// Whether the first record of a CSV file holds the column names. Default: true.
    pub header: Option<bool>,
    /// Column names of a CSV file without a header. Default: `c0`, `c1`, ...
    pub columns: Option<Vec<String>>,
    /// Field delimiter of a CSV file, one ASCII character. Default: `,` (a tab for `.tsv`).
    pub delimiter: Option<String>,
    /// Fields that mean "missing". Default: empty, `NA`, `N/A`, `NaN`, `nan`, `null`, `NULL` and `?`.
    pub null_tokens: Option<Vec<String>>,
    /// Types of columns by name; the others are inferred.
    pub schema: BTreeMap<String, TypeName>,
    /// Rows read for inferring types. Default: 10,000.
    pub sample_rows: usize,
    /// What to do with records that cannot be read: `fail` or `quarantine`. Default: `fail`.
    pub bad_rows: BadRows,
    /// Side file for quarantined records. Default: the source's name with `.quarantine.jsonl`.
    pub quarantine: Option<String>,
    /// Column to predict. Default for bundled data: their own.
    pub label: Option<String>,
    /// Column of row weights.
    pub weight: Option<String>,
    /// Column that identifies a row; never a feature.
    pub id: Option<String>,
    /// Column whose equal values stay on one side of a split.
    pub group: Option<String>,
    /// Number of partitions. Default: one a core. Changes no result.
    pub partitions: Option<usize>,
    /// Bring rows together by `hash` of columns or by `range` of one.
    pub partition_by: Option<PartitionBy>,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self {
            source: String::new(),
            format: None,
            header: None,
            columns: None,
            delimiter: None,
            null_tokens: None,
            schema: BTreeMap::new(),
            sample_rows: 10_000,
            bad_rows: BadRows::Fail,
            quarantine: None,
            label: None,
            weight: None,
            id: None,
            group: None,
            partitions: None,
            partition_by: None,
        }
    }
}

/// The types that make a source read its columns as `schema` has them: `00123` stays text where it was text. Vector columns
/// are left out, since their type cannot be named.
#[must_use]
pub fn types_of(schema: &crate::Schema) -> BTreeMap<String, TypeName> {
    use crate::ColumnType as Type;
    let name = |ty: &Type| match ty {
        Type::Boolean => Some(TypeName::Boolean),
        Type::Integer => Some(TypeName::Integer),
        Type::Float => Some(TypeName::Float),
        Type::Text => Some(TypeName::Text),
        Type::Date => Some(TypeName::Date),
        Type::Timestamp => Some(TypeName::Timestamp),
        Type::Vector { .. } => None,
    };
    schema
        .columns()
        .iter()
        .filter_map(|c| Some((c.name.clone(), name(&c.ty)?)))
        .collect()
}

impl SourceOptions {
    /// Options for a source, all else by default.
    pub fn new(source: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            ..Self::default()
        }
    }
}

impl From<TypeName> for crate::schema::ColumnType {
    fn from(name: TypeName) -> Self {
        match name {
            TypeName::Boolean => Self::Boolean,
            TypeName::Integer => Self::Integer,
            TypeName::Float => Self::Float,
            TypeName::Text => Self::Text,
            TypeName::Date => Self::Date,
            TypeName::Timestamp => Self::Timestamp,
        }
    }
}

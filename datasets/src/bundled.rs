//! The data sets that come with Emberline, read as `bundled:NAME`.
//!
//! Their files (under 3 MB together) are built into the program: no path, no network, no file to lose. `manifest.toml` in
//! `datasets/data` describes them; each has a page in the README beside it.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::options::Format;
use crate::schema::nearest;
use crate::{DataError, Result};

/// One bundled data set, as the manifest describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundledInfo {
    /// The name after `bundled:`.
    pub name: String,
    /// What it is, in a few words.
    pub title: String,
    /// File name, with the extension that tells its format and compression.
    pub file: String,
    /// File format.
    pub format: Format,
    /// What it is for: `classification`, `regression` or `graph`.
    pub task: String,
    /// The column to predict; none for graphs.
    #[serde(default)]
    pub label: Option<String>,
    /// Number of records.
    pub rows: u64,
    /// Number of columns, the label among them (for LibSVM: the label and the slots).
    pub columns: u64,
    /// Number of nodes of a graph; a node may have no edge.
    #[serde(default)]
    pub nodes: Option<u64>,
    /// Whether the edges of a graph have a direction.
    #[serde(default)]
    pub directed: Option<bool>,
    /// Fields that mean "missing"; where there are none, no value is missing.
    pub null_tokens: Vec<String>,
    /// Where it was published.
    pub source: String,
    /// The licence it is passed on under.
    pub licence: String,
    /// Whom to name when it is passed on.
    pub credit: String,
    /// SHA-256 of the file as bundled, in hexadecimal.
    pub sha256: String,
}

#[derive(Deserialize)]
struct Manifest {
    dataset: Vec<BundledInfo>,
}

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../data/", $name)).as_slice())),*]
    };
}

/// A test holds this list against the manifest.
const FILES: &[(&str, &[u8])] = files![
    "pendigits.csv.gz",
    "adult.csv.gz",
    "adult_test.csv.gz",
    "letter.csv.gz",
    "mushroom.csv.gz",
    "iris.csv",
    "wine.csv",
    "breast_cancer.csv.gz",
    "digits.csv.gz",
    "penguins.csv",
    "diabetes.csv",
    "winequality_white.csv.gz",
    "bikeshare.csv.gz",
    "diamonds.csv.gz",
    "karate.csv",
    "polblogs.csv.gz",
    "as_22july06.csv.gz",
    "agaricus_train.libsvm.gz",
    "agaricus_test.libsvm.gz",
];

/// All bundled data sets, in the order of the manifest.
pub fn list() -> &'static [BundledInfo] {
    static LIST: OnceLock<Vec<BundledInfo>> = OnceLock::new();
    LIST.get_or_init(|| {
        let manifest: std::result::Result<Manifest, _> =
            toml::from_str(include_str!("../data/manifest.toml"));
        // The manifest is part of the program; a test reads it.
        manifest.map(|m| m.dataset).unwrap_or_default()
    })
}

/// The description of a bundled data set.
///
/// # Errors
/// [`DataError::Source`] for an unknown name, with the nearest one and the list of all.
pub fn get(name: &str) -> Result<&'static BundledInfo> {
    list().iter().find(|i| i.name == name).ok_or_else(|| {
        let names: Vec<&str> = list().iter().map(|i| i.name.as_str()).collect();
        let near = nearest(name, names.iter().copied())
            .map(|n| format!("; did you mean `{n}`?"))
            .unwrap_or_default();
        DataError::Source {
            origin: format!("bundled:{name}"),
            message: format!(
                "no bundled data set has this name{near} There are: {}",
                names.join(", ")
            ),
        }
    })
}

/// The file of a bundled data set, as it is in `datasets/data` (compressed where its name ends in `.gz`).
///
/// # Errors
/// [`DataError::Source`] for a description that is none of [`list`].
pub fn bytes(info: &BundledInfo) -> Result<&'static [u8]> {
    static BY_NAME: OnceLock<BTreeMap<&'static str, &'static [u8]>> = OnceLock::new();
    let files = BY_NAME.get_or_init(|| FILES.iter().copied().collect());
    files
        .get(info.file.as_str())
        .copied()
        .ok_or_else(|| DataError::Source {
            origin: format!("bundled:{}", info.name),
            message: format!("the file `{}` is not in this program", info.file),
        })
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::{SourceOptions, source};

    #[test]
    fn the_manifest_and_the_files_in_the_program_agree() {
        let in_manifest: Vec<&str> = list().iter().map(|i| i.file.as_str()).collect();
        let in_program: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        assert_eq!(in_manifest, in_program);
        for info in list() {
            let digest = Sha256::digest(bytes(info).unwrap());
            let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(hex, info.sha256, "{}", info.name);
        }
    }

    #[test]
    fn the_files_together_stay_under_three_megabytes() {
        let total: usize = FILES.iter().map(|(_, b)| b.len()).sum();
        assert!(total < 3_000_000, "{total} bytes");
    }

    #[test]
    fn every_data_set_opens_with_the_rows_columns_and_label_of_the_manifest() {
        for info in list() {
            let data = source::open(&SourceOptions::new(format!("bundled:{}", info.name))).unwrap();
            assert_eq!(data.count().unwrap(), info.rows, "{}", info.name);
            assert_eq!(data.schema().roles().label, info.label, "{}", info.name);
            let columns = data.schema().columns();
            let slots: usize = columns.iter().map(|c| c.slots.len().max(1)).sum();
            assert_eq!(slots as u64, info.columns, "{}", info.name);
            let mut rows = 0;
            for batch in data.batches(None).unwrap() {
                let batch = batch.unwrap();
                rows += batch.num_rows() as u64;
                let nulls: usize = batch.columns().iter().map(|c| c.null_count()).sum();
                assert!(nulls == 0 || !info.null_tokens.is_empty(), "{}", info.name);
            }
            assert_eq!(rows, info.rows, "{}", info.name);
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest_one_and_the_list() {
        let error = get("pendigit").unwrap_err().to_string();
        assert!(error.contains("did you mean `pendigits`?"), "{error}");
        assert!(error.contains("karate"), "{error}");
    }

    #[test]
    fn an_own_label_takes_the_place_of_the_default_one() {
        let options = SourceOptions {
            label: Some("island".to_owned()),
            ..SourceOptions::new("bundled:penguins")
        };
        let data = source::open(&options).unwrap();
        assert_eq!(data.schema().roles().label.as_deref(), Some("island"));
    }
}

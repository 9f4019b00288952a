//! From what the user wrote to a list of files: paths, folders, globs, `file://`, and the schemes that are not built in.

use std::path::{Path, PathBuf};

use super::locate_objects;
use super::text::source_error;
use crate::objects::{Address, Object};
use crate::options::Format;
use crate::schema::nearest;
use crate::{DataError, Result};

/// What a source string names.
#[derive(Debug)]
pub(crate) enum Place {
    Bundled(String),
    StandardInput,
    Files(Vec<PathBuf>),
    Objects(Vec<Object>),
}

/// Schemes that `open` takes.
const SUPPORTED: &str = "a path, a folder, a glob (`data/*.parquet`), `file://`, `s3://`, `bundled:NAME` and `-` (standard input)";

pub(crate) fn locate(origin: &str) -> Result<Place> {
    if origin.is_empty() {
        return Err(source_error(
            origin,
            format!("no source is named; give {SUPPORTED}"),
        ));
    }
    if origin == "-" {
        return Ok(Place::StandardInput);
    }
    if let Some(name) = origin.strip_prefix("bundled:") {
        return Ok(Place::Bundled(name.to_owned()));
    }
    if let Some(address) = Address::parse(origin) {
        return locate_objects::locate(origin, address).map(Place::Objects);
    }
    let path = match origin.strip_prefix("file://") {
        Some(rest) => file_url(origin, rest)?,
        None => origin.to_owned(),
    };
    if Path::new(&path).is_dir() {
        return folder(origin, Path::new(&path)).map(Place::Files);
    }
    if Path::new(&path).exists() {
        return Ok(Place::Files(vec![PathBuf::from(path)]));
    }
    if let Some(scheme) = scheme(&path) {
        return Err(unknown_scheme(origin, scheme));
    }
    if path.contains(['*', '?', '[']) {
        return expand(origin, &path).map(Place::Files);
    }
    let missing = std::io::Error::new(
        std::io::ErrorKind::NotFound,
        format!("no such file or folder{}", neighbour(Path::new(&path))),
    );
    Err(DataError::io(path, missing))
}

/// The path of a `file://` address; `%20` and its like are decoded.
fn file_url(origin: &str, rest: &str) -> Result<String> {
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if !path.starts_with('/') {
        return Err(source_error(
            origin,
            "a `file://` address needs a full path: `file:///folder/name`",
        ));
    }
    let bytes = path.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let code = bytes
            .get(i + 1..i + 3)
            .and_then(|h| std::str::from_utf8(h).ok());
        let code = code.filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit()));
        match code.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) if bytes[i] == b'%' => {
                out.push(byte);
                i += 3;
            }
            _ => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    String::from_utf8(out).map_err(|_| source_error(origin, "the address is not UTF-8"))
}

/// `s3` of `s3://...`; two letters at least, so that `C:\data` is a path.
fn scheme(path: &str) -> Option<&str> {
    let (scheme, _) = path.split_once(':')?;
    let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_');
    (scheme.len() > 1 && scheme.chars().all(name)).then_some(scheme)
}

fn unknown_scheme(origin: &str, scheme: &str) -> DataError {
    let near = nearest(scheme, ["bundled", "file", "s3"].into_iter())
        .map(|n| format!("; did you mean `{n}:`?"))
        .unwrap_or_default();
    source_error(
        origin,
        format!("`{scheme}:` is no kind of source; supported are {SUPPORTED}{near}"),
    )
}

/// The most similar name in the same folder.
fn neighbour(path: &Path) -> String {
    let Some(name) = path.file_name().and_then(|n| n.to_str()) else {
        return String::new();
    };
    let folder = match path.parent() {
        Some(p) if p.as_os_str().is_empty() => Path::new("."),
        Some(p) => p,
        None => return String::new(),
    };
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok())
        .collect();
    names.sort();
    nearest(name, names.iter().map(String::as_str))
        .map(|n| format!("; did you mean `{n}`?"))
        .unwrap_or_default()
}

/// Hidden files, and the side files of earlier runs.
pub(super) fn is_hidden(path: &Path) -> bool {
    path.file_name().and_then(|n| n.to_str()).is_some_and(|n| {
        n.starts_with('.') || n.starts_with('_') || n.ends_with(".quarantine.jsonl")
    })
}

fn folder(origin: &str, folder: &Path) -> Result<Vec<PathBuf>> {
    let fail = |e| DataError::io(folder, e);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if is_hidden(&path) {
            continue;
        }
        if path.is_dir() {
            return Err(source_error(
                origin,
                format!(
                    "the folder holds another one, `{}`; name files in folders by a glob such as `{}/**/*.parquet`",
                    path.display(),
                    origin.trim_end_matches('/')
                ),
            ));
        }
        files.push(path);
    }
    sorted(origin, files, "the folder holds no data files")
}

fn expand(origin: &str, pattern: &str) -> Result<Vec<PathBuf>> {
    let paths = glob::glob(pattern)
        .map_err(|e| source_error(origin, format!("the glob is malformed: {e}")))?;
    let mut files = Vec::new();
    for path in paths {
        let path = path.map_err(|e| DataError::io(e.path().to_owned(), e.into()))?;
        if path.is_file() && !is_hidden(&path) {
            files.push(path);
        }
    }
    sorted(origin, files, "no file matches the glob")
}

fn sorted(origin: &str, mut files: Vec<PathBuf>, none: &str) -> Result<Vec<PathBuf>> {
    if files.is_empty() {
        return Err(source_error(origin, none));
    }
    files.sort();
    Ok(files)
}

/// The format that a file name tells, by its extension (before `.gz`).
pub(crate) fn format_of(path: &Path) -> Option<Format> {
    Some(match extension(path)?.as_str() {
        "csv" | "tsv" | "data" => Format::Csv,
        "jsonl" | "ndjson" => Format::Jsonl,
        "parquet" => Format::Parquet,
        "libsvm" | "svm" => Format::Libsvm,
        "arrow" | "feather" | "ipc" => Format::Arrow,
        _ => return None,
    })
}

/// The lower-case extension before `.gz`.
pub(crate) fn extension(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.rsplit_once('.').map(|(_, e)| e.to_owned())
}

/// The one format of these files.
pub(crate) fn common_format(origin: &str, files: &[PathBuf]) -> Result<Format> {
    let mut common: Option<(Format, &Path)> = None;
    for file in files {
        let Some(format) = format_of(file) else {
            return Err(source_error(
                origin,
                format!(
                    "the name of `{}` does not tell its format; set `format` to csv, jsonl, parquet, libsvm or arrow",
                    file.display()
                ),
            ));
        };
        match common {
            Some((first, of)) if first != format => {
                return Err(source_error(
                    origin,
                    format!(
                        "`{}` and `{}` have different formats; name one kind by a glob",
                        of.display(),
                        file.display()
                    ),
                ));
            }
            _ => common = Some((format, file)),
        }
    }
    common
        .map(|(format, _)| format)
        .ok_or_else(|| source_error(origin, "there are no files"))
}

//! The one door: from options to a dataset.

use std::path::PathBuf;
use std::sync::Arc;

use super::content::Input;
use super::locate::{Place, common_format, extension, locate};
use super::text::source_error;
use super::{Source, csv, ipc, jsonl, libsvm, parquet};
use crate::bundled;
use crate::options::{Format, SourceOptions, types_of};
use crate::schema::{Roles, Schema};
use crate::{Dataset, Result};

/// Opens a source: a file, a folder, a glob, `file://...`, the same in an object store (`s3://bucket/...`, in builds with the feature `s3`),
/// `bundled:NAME`, or `-` for standard input (with a format).
///
/// Columns and types come from a sample of `sample_rows` records (CSV, JSON lines), from the footers (Parquet, Arrow), or
/// from a scan of the files (LibSVM alone needs one, for its width). Nothing else is read until rows are asked for. Files
/// of a folder or glob are taken in order of their names, and must have the same columns. The label of bundled data is set
/// where the options name none.
///
/// # Errors
/// [`crate::DataError::Io`] for what cannot be opened, [`crate::DataError::Source`] for a source that is unusable as a whole (empty, of
/// unknown format, files that do not match), [`crate::DataError::BadRecord`] for a bad record in the sample under
/// `bad_rows = "fail"`, [`crate::DataError::Schema`] for roles or types of columns that do not exist.
///
/// # Example
/// ```
/// use emberline_datasets::{SourceOptions, source};
///
/// let iris = source::open(&SourceOptions::new("bundled:iris"))?;
/// assert_eq!(iris.count()?, 150);
/// assert_eq!(iris.schema().roles().label.as_deref(), Some("species"));
/// # Ok::<(), emberline_datasets::DataError>(())
/// ```
pub fn open(options: &SourceOptions) -> Result<Dataset> {
    open_within(options, None)
}

/// Opens a source as [`open`] does; rows that `partition_by` brings together (when they are first asked for) are kept in
/// memory up to `memory_limit` bytes (`None`: all), and in a temporary file beyond it.
///
/// # Errors
/// Those of [`open`].
pub fn open_within(options: &SourceOptions, memory_limit: Option<u64>) -> Result<Dataset> {
    let (source, label) = source(options)?;
    let mut data = Dataset::new(source).with_roles(Roles {
        label: options.label.clone().or(label),
        weight: options.weight.clone(),
        id: options.id.clone(),
        group: options.group.clone(),
    })?;
    if let Some(n) = options.partitions {
        data = data.repartition(n);
    }
    let data = match &options.partition_by {
        None => data,
        Some(by) => data.partition_by(by, memory_limit)?,
    };
    Ok(data.opened_by(options))
}

/// Opens a source so that its columns have the types of `like` wherever they occur in it: a model's data are read as its training
/// data were (`00123` stays text). Types the options name come first.
///
/// # Errors
/// Those of [`open`]; a value of the inference sample that is not of the type.
pub fn open_like(
    options: &SourceOptions,
    like: &Schema,
    memory_limit: Option<u64>,
) -> Result<Dataset> {
    let inferred = open_within(options, memory_limit)?;
    let differs = |name: &str| match (inferred.schema().get(name), like.get(name)) {
        (Ok(found), Ok(wanted)) => found.ty != wanted.ty,
        _ => false,
    };
    let mut types = types_of(like);
    types.retain(|name, _| differs(name));
    if types.is_empty() {
        return Ok(inferred);
    }
    types.extend(options.schema.clone());
    open_within(
        &SourceOptions {
            schema: types,
            ..options.clone()
        },
        memory_limit,
    )
}

/// The source, and the label it brings along.
fn source(options: &SourceOptions) -> Result<(Arc<dyn Source>, Option<String>)> {
    let origin = &options.source;
    match locate(origin)? {
        Place::Bundled(name) => {
            let info = bundled::get(&name)?;
            let mut own = options.clone();
            own.null_tokens = options
                .null_tokens
                .clone()
                .or(Some(info.null_tokens.clone()));
            let input = Input::bundled(origin, &info.file, bundled::bytes(info)?);
            let source = open_as(info.format, vec![input], &own, false)?;
            Ok((source, info.label.clone()))
        }
        Place::StandardInput => {
            let Some(format) = options.format else {
                return Err(source_error(
                    origin,
                    "standard input has no name that tells its format; set `format`",
                ));
            };
            let input = Input::spool("standard input", std::io::stdin().lock())?;
            Ok((open_as(format, vec![input], options, false)?, None))
        }
        Place::Files(paths) => {
            let inputs = paths
                .iter()
                .map(|p| Input::path(p))
                .collect::<Result<Vec<_>>>()?;
            Ok((open_files(&paths, inputs, options)?, None))
        }
        Place::Objects(objects) => {
            let names: Vec<PathBuf> = objects.iter().map(|o| o.url().into()).collect();
            let inputs = objects.into_iter().map(Input::object).collect();
            Ok((open_files(&names, inputs, options)?, None))
        }
    }
}

/// The source of these inputs, whose names tell the format where the options do not.
fn open_files(
    names: &[PathBuf],
    inputs: Vec<Input>,
    options: &SourceOptions,
) -> Result<Arc<dyn Source>> {
    let format = match options.format {
        Some(format) => format,
        None => common_format(&options.source, names)?,
    };
    let tabs = names.iter().all(|p| extension(p).as_deref() == Some("tsv"));
    open_as(format, inputs, options, tabs)
}

/// Options that a format has no use for are refused rather than ignored.
fn refuse_foreign_options(format: Format, options: &SourceOptions) -> Result<()> {
    let given = [
        ("header", options.header.is_some()),
        ("columns", options.columns.is_some()),
        ("delimiter", options.delimiter.is_some()),
        ("null_tokens", options.null_tokens.is_some()),
    ];
    match given.iter().find(|(_, is_given)| *is_given) {
        Some((name, _)) if format != Format::Csv => Err(source_error(
            &options.source,
            format!("`{name}` applies to CSV files alone"),
        )),
        _ => Ok(()),
    }
}

fn open_as(
    format: Format,
    inputs: Vec<Input>,
    options: &SourceOptions,
    tabs: bool,
) -> Result<Arc<dyn Source>> {
    if !options.source.starts_with("bundled:") {
        refuse_foreign_options(format, options)?;
    }
    const MOST: usize = 1 << (64 - super::ROW_BITS);
    if inputs.len() > MOST {
        return Err(source_error(
            &options.source,
            format!(
                "{} files are more than row ids can tell apart ({MOST})",
                inputs.len()
            ),
        ));
    }
    Ok(match format {
        Format::Csv => Arc::new(csv::open(inputs, options, tabs)?),
        Format::Jsonl => Arc::new(jsonl::open(inputs, options)?),
        Format::Parquet => Arc::new(parquet::open(inputs, options)?),
        Format::Libsvm => Arc::new(libsvm::open(inputs, options)?),
        Format::Arrow => Arc::new(ipc::open(inputs, options)?),
    })
}

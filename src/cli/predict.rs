//! `emberline predict MODEL --data SRC --output PATH`.

use std::path::Path;

use emberline::datasets::Format;
use emberline::datasets::write::TableWriter;
use emberline::pipeline::train::{invalid_in, predict};
use emberline::prelude::*;

use super::ModelOnData;
use super::output::count;

#[derive(Debug, clap::Args)]
pub struct PredictArgs {
    #[command(flatten)]
    on: ModelOnData,
    /// Where to: `.csv`, `.jsonl` or `.parquet`, or `-` for CSV on standard output. A name that ends with `/` is a folder, with a file a
    /// partition and a manifest (`_manifest.json`) that is written last; executors of a cluster write them side by side.
    #[arg(long)]
    output: String,
    /// Format of the files of a folder: csv, jsonl or parquet. Default: parquet.
    #[arg(long, value_name = "FORMAT", value_parser = ["csv", "jsonl", "parquet"])]
    output_format: Option<String>,
    /// Columns to write, separated by commas. Default: the input's columns and the predictions.
    #[arg(long, value_delimiter = ',')]
    columns: Vec<String>,
}

pub fn run(args: &PredictArgs, registry: &Registry) -> Result<()> {
    let (file, _, data) = args.on.open(registry)?;
    let folder = args.output.ends_with('/');
    if args.on.scheduler.is_some() && !folder {
        return Err(Error::Usage(format!(
            "executors write a folder of files: name one with a slash at its end (`--output {}/`)",
            args.output.trim_end_matches('-')
        )));
    }
    if args.output_format.is_some() && !folder {
        return Err(Error::Usage(
            "`--output-format` is for a folder of files; the name of one file tells its format"
                .to_owned(),
        ));
    }
    let run = args.on.run()?;
    let columns = (!args.columns.is_empty()).then_some(&args.columns[..]);
    let predictions = predict(&file.model, &data, columns)?;
    let invalid = invalid_in(&file.model, &data, &run)?;
    let rows = if folder {
        let format = match args.output_format.as_deref() {
            Some("csv") => Format::Csv,
            Some("jsonl") => Format::Jsonl,
            _ => Format::Parquet,
        };
        let folder = Path::new(&args.output);
        run.engine
            .write_parts(&predictions, folder, format, &run)?
            .rows
    } else {
        let mut writer = TableWriter::create(&args.output, None, predictions.schema())?;
        run.each_batch(&predictions, |batch| Ok(writer.write(&batch)?))?;
        writer.finish()?
    };
    if args.output != "-" {
        eprintln!("{} rows written to {}", count(rows), args.output);
    }
    for found in invalid.iter().filter(|i| i.rows > 0) {
        eprintln!("{found}");
    }
    Ok(())
}

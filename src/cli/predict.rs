//! `emberline predict MODEL --data SRC --output PATH`.

use emberline::datasets::write::TableWriter;
use emberline::pipeline::train::{invalid_in, predict};
use emberline::prelude::*;

use super::output::count;
use super::{ModelOnData, interruptible};

#[derive(Debug, clap::Args)]
pub struct PredictArgs {
    #[command(flatten)]
    on: ModelOnData,
    /// Where to: `.csv`, `.jsonl` or `.parquet`, or `-` for CSV on standard output.
    #[arg(long)]
    output: String,
    /// Columns to write, separated by commas. Default: the input's columns and the predictions.
    #[arg(long, value_delimiter = ',')]
    columns: Vec<String>,
}

pub fn run(args: &PredictArgs, registry: &Registry) -> Result<()> {
    let (file, _, data) = args.on.open(registry)?;
    let run = interruptible(Run::local(0, args.on.threads));
    let columns = (!args.columns.is_empty()).then_some(&args.columns[..]);
    let predictions = predict(&file.model, &data, columns)?;
    let invalid = invalid_in(&file.model, &data, &run)?;
    let mut writer = TableWriter::create(&args.output, None, predictions.schema())?;
    let mut rows = 0;
    run.each_batch(&predictions, |batch| {
        rows += batch.num_rows() as u64;
        Ok(writer.write(&batch)?)
    })?;
    writer.finish()?;
    if args.output != "-" {
        eprintln!("{} rows written to {}", count(rows), args.output);
    }
    for found in invalid.iter().filter(|i| i.rows > 0) {
        eprintln!("{found}");
    }
    Ok(())
}

//! `emberline data list|describe|export`.

use emberline::datasets::bundled;
use emberline::datasets::write::TableWriter;
use emberline::datasets::{ColumnDescription, Description, describe};
use emberline::prelude::*;
use serde_json::json;

use super::output::{Format, Out, count, number, table};

#[derive(Debug, clap::Subcommand)]
pub enum DataCommand {
    /// The data sets that come with the program.
    List {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Schema, nulls, ranges, categories, class balance and rows per partition of a source.
    Describe {
        /// `bundled:NAME`, a file, a glob or a folder.
        source: String,
        /// The column to predict, for its class balance.
        #[arg(long)]
        label: Option<String>,
        /// Number of partitions. Default: one a core.
        #[arg(long)]
        partitions: Option<usize>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Write a source as CSV, JSON lines or Parquet (by extension; `-` prints CSV).
    Export {
        /// `bundled:NAME`, a file, a glob or a folder.
        source: String,
        /// Where to.
        #[arg(long)]
        output: String,
    },
}

impl DataCommand {
    pub fn format(&self) -> Format {
        match self {
            Self::List { json } | Self::Describe { json, .. } => Format::of(*json),
            Self::Export { .. } => Format::Text,
        }
    }
}

pub fn run(command: &DataCommand) -> Result<()> {
    match command {
        DataCommand::List { json } => list(*json),
        DataCommand::Describe {
            source,
            label,
            partitions,
            json,
        } => {
            let options = SourceOptions {
                label: label.clone(),
                partitions: *partitions,
                ..SourceOptions::new(source)
            };
            let data = open(&options)?;
            let description = describe(&data)?;
            let mut out = Out::lock();
            if *json {
                out.json(&serde_json::to_value(&description).unwrap_or_default());
            } else {
                show(&mut out, source, &description);
            }
            Ok(())
        }
        DataCommand::Export { source, output } => {
            let data = open(&SourceOptions::new(source))?;
            let mut writer = TableWriter::create(output, None, data.schema())?;
            for batch in data.batches(None)? {
                writer.write(&batch?)?;
            }
            writer.finish()?;
            Ok(())
        }
    }
}

fn list(json: bool) -> Result<()> {
    let mut out = Out::lock();
    if json {
        out.json(&json!({ "datasets": bundled::list() }));
        return Ok(());
    }
    let rows = bundled::list().iter().map(|d| {
        let label = d.label.clone().unwrap_or_default();
        vec![
            d.name.clone(),
            count(d.rows),
            d.columns.to_string(),
            d.task.clone(),
            label,
            d.licence.clone(),
            d.title.clone(),
        ]
    });
    out.line(table(
        &[
            "name",
            "rows",
            "columns",
            "task",
            "label",
            "licence",
            "what it is",
        ],
        rows.collect(),
        &[1, 2],
    ));
    out.line("Use one as `source = \"bundled:NAME\"`.");
    Ok(())
}

fn show(out: &mut Out, source: &str, d: &Description) {
    out.line(format!(
        "{source}: {} rows, {} columns",
        count(d.rows),
        d.columns.len()
    ));
    let row = |c: &ColumnDescription| {
        let range = c.range.as_ref();
        vec![
            c.name.clone(),
            c.ty.clone(),
            c.role.clone().unwrap_or_default(),
            count(c.nulls),
            range.map_or_else(String::new, |r| r.min.to_string()),
            range.map_or_else(String::new, |r| r.max.to_string()),
            range.and_then(|r| r.mean).map_or_else(String::new, number),
            range.and_then(|r| r.sd).map_or_else(String::new, number),
            c.distinct_text(),
            c.top_text(4),
        ]
    };
    let header = [
        "column",
        "type",
        "role",
        "nulls",
        "min",
        "max",
        "mean",
        "sd",
        "distinct",
        "most frequent",
    ];
    out.line(table(
        &header,
        d.columns.iter().map(row).collect(),
        &[3, 4, 5, 6, 7, 8],
    ));
    if let Some(classes) = &d.classes {
        let rows = classes.iter().map(|c| {
            vec![
                c.value.clone(),
                count(c.count),
                format!("{:.1} %", 100.0 * c.share),
            ]
        });
        out.line(table(&["class", "rows", "share"], rows.collect(), &[1, 2]));
    }
    let partitions: Vec<String> = d.partitions.iter().map(|n| count(*n)).collect();
    out.line(format!("rows per partition: {}", partitions.join(", ")));
}

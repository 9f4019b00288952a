//! JSON lines: one object a line, nested objects as dotted columns.
//!
//! Columns are the keys of the sample in order of first appearance: `{"a": {"b": 1}}` gives column `a.b`. A key that is
//! absent or `null` is missing. A list of numbers is a dense vector; all lists of a column must be equally long, and a
//! `null` in one is a missing slot. Keys that first appear after the sample are ignored: raise `sample_rows`, or name them
//! in `schema`, to have them as columns. Text that always looks like a date or a timestamp becomes one; text never becomes a
//! number by inference.

mod decode;
mod learn;
mod sink;
mod tree;

use crate::arrow::array::ArrayRef;

use self::decode::DecodeSink;
use self::learn::LearnSink;
use self::sink::parse_line;
use self::tree::Tree;
use super::cells::{Builder, misfit};
use super::content::Input;
use super::csv::check_schema_names;
use super::quarantine::{Quarantine, Rejects};
use super::text::{Estimate, Records, TextFile, TextFormat, TextSource, head, source_error};
use crate::options::{BadRows, SourceOptions};
use crate::schema::{Column, Schema};
use crate::{DataError, Result};

/// Columns of a JSON-lines table.
#[derive(Debug)]
struct Jsonl {
    tree: Tree,
    columns: Vec<Column>,
    declared: Vec<bool>,
}

impl TextFormat for Jsonl {
    fn decode(
        &self,
        records: &Records<'_>,
        columns: &[usize],
        rejects: &mut Rejects<'_>,
    ) -> Result<Vec<ArrayRef>> {
        let rows = records.spans.len();
        let mut builders: Vec<(usize, Builder)> = columns
            .iter()
            .map(|&i| (i, Builder::new(&self.columns[i].ty, rows)))
            .collect();
        if rejects.policy == BadRows::Quarantine {
            let unwanted = (0..self.columns.len()).filter(|i| !columns.contains(i));
            builders.extend(unwanted.map(|i| (i, Builder::Check(self.columns[i].ty.clone()))));
        }
        let mut sink = DecodeSink::new(&self.tree, self.columns.len());
        for i in 0..rows {
            let mut filled = 0;
            let outcome = records.text(i).and_then(|line| {
                sink.clear();
                parse_line(line, &mut sink)?;
                self.push(&sink, &mut builders, &mut filled)
            });
            if let Err(reason) = outcome {
                records.reject(i, reason, rejects)?;
                for (_, builder) in &mut builders[filled..] {
                    builder.push_null();
                }
            }
        }
        builders.truncate(columns.len());
        builders.into_iter().map(|(_, b)| b.finish()).collect()
    }
}

impl Jsonl {
    fn push(
        &self,
        sink: &DecodeSink<'_>,
        builders: &mut [(usize, Builder)],
        filled: &mut usize,
    ) -> std::result::Result<(), String> {
        for (column, builder) in builders {
            if builder.push(sink.cell(*column)).is_err() {
                let shown = sink.show(*column);
                return Err(misfit(
                    &self.columns[*column],
                    self.declared[*column],
                    &shown,
                ));
            }
            *filled += 1;
        }
        Ok(())
    }
}

/// Opens JSON-lines files: reads the inference sample, nothing else.
pub(crate) fn open(inputs: Vec<Input>, options: &SourceOptions) -> Result<TextSource> {
    let origin = &options.source;
    let mut learn = LearnSink::default();
    for name in options.schema.keys() {
        learn.declare(name);
    }
    let mut left = options.sample_rows.max(1);
    let mut estimate = Estimate {
        complete: true,
        ..Estimate::default()
    };
    let mut files = Vec::with_capacity(inputs.len());
    for input in inputs {
        let mut start = 0;
        if left > 0 {
            let head = head(&input, None, left)?;
            start = head.mark;
            left -= head.spans.len();
            estimate.sample(&head.spans);
            estimate.complete &= head.complete;
            learn_from(&input, &head, options, &mut learn)?;
        } else {
            estimate.complete = false;
        }
        files.push(TextFile {
            input,
            start,
            line: 1,
        });
    }
    if estimate.records == 0 {
        return Err(source_error(origin, "there are no records"));
    }
    let (columns, leaves) = learn.columns(options);
    if columns.is_empty() {
        return Err(source_error(origin, "the objects have no keys"));
    }
    let schema = Schema::new(columns.clone())?;
    check_schema_names(options, &schema)?;
    let declared = columns
        .iter()
        .map(|c| options.schema.contains_key(&c.name))
        .collect();
    let format = Jsonl {
        tree: learn.into_tree(&leaves),
        columns,
        declared,
    };
    let quarantine = Quarantine::new(options);
    Ok(TextSource::new(
        origin,
        schema,
        files,
        Box::new(format),
        quarantine,
        estimate,
    ))
}

fn learn_from(
    input: &Input,
    head: &super::text::Head,
    options: &SourceOptions,
    learn: &mut LearnSink,
) -> Result<()> {
    let records = Records::new(&head.bytes, 0, &head.spans);
    for (i, span) in head.spans.iter().enumerate() {
        let outcome = records.text(i).and_then(|line| parse_line(line, learn));
        match outcome {
            Ok(()) => {}
            // Under `quarantine` the record is set aside when its block is read.
            Err(_) if options.bad_rows == BadRows::Quarantine => {}
            Err(message) => {
                return Err(DataError::BadRecord {
                    file: input.name.clone(),
                    line: span.line,
                    byte: span.start,
                    message,
                });
            }
        }
    }
    Ok(())
}

//! Delimited text: header, quoting, null tokens, inferred or given types.
//!
//! A field is quoted where a `"` is its first character; inside, `""` is one quote and line ends are text. Blanks around
//! fields that are not quoted are dropped. Blank lines are no records. Null tokens count in quotes too.

mod fields;

use crate::arrow::array::ArrayRef;

use self::fields::Fields;

use super::cells::{Builder, misfit};
use super::content::Input;
use super::parse::{Guess, NullTokens};
use super::quarantine::{Quarantine, Rejects};
use super::text::{Estimate, Head, Records, TextFile, TextFormat, TextSource, head, source_error};
use crate::options::{BadRows, SourceOptions};
use crate::schema::{Column, ColumnType, Schema};
use crate::{DataError, Result};

/// Columns and settings of a CSV table.
#[derive(Debug)]
struct Csv {
    delimiter: u8,
    nulls: NullTokens,
    columns: Vec<Column>,
    declared: Vec<bool>,
}

impl Csv {
    fn decode_record(
        &self,
        record: &str,
        quoted: bool,
        fields: &mut Fields,
        builders: &mut [(usize, Builder)],
        filled: &mut usize,
    ) -> std::result::Result<(), String> {
        if quoted {
            fields.split(record, self.delimiter)?;
        } else {
            fields.split_plain(record, self.delimiter);
        }
        if fields.len() != self.columns.len() {
            return Err(ragged(fields.len(), self.columns.len()));
        }
        for (column, builder) in builders {
            let cell = fields.get(record, *column);
            if self.nulls.contains(cell) {
                builder.push_null();
            } else if builder.push_text(cell).is_err() {
                return Err(misfit(&self.columns[*column], self.declared[*column], cell));
            }
            *filled += 1;
        }
        Ok(())
    }
}

fn ragged(found: usize, expected: usize) -> String {
    format!("the record has {found} fields, {expected} are expected")
}

impl TextFormat for Csv {
    fn quoting(&self) -> Option<u8> {
        Some(self.delimiter)
    }

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
        let mut fields = Fields::default();
        let quoted = records.contains(b'"');
        for i in 0..rows {
            let mut filled = 0;
            let outcome = records.text(i).and_then(|record| {
                self.decode_record(record, quoted, &mut fields, &mut builders, &mut filled)
            });
            if let Err(reason) = outcome {
                records.reject(i, reason, rejects)?;
                // Every column gets a cell for the row; the row is taken out of all of them afterwards.
                for (_, builder) in &mut builders[filled..] {
                    builder.push_null();
                }
            }
        }
        builders.truncate(columns.len());
        builders.into_iter().map(|(_, b)| b.finish()).collect()
    }
}

/// Opens CSV files: reads headers and the inference sample, nothing else.
pub(crate) fn open(inputs: Vec<Input>, options: &SourceOptions, tabs: bool) -> Result<TextSource> {
    let origin = &options.source;
    let delimiter = delimiter(options, tabs)?;
    let has_header = match (options.header, &options.columns) {
        (Some(true), Some(_)) => {
            return Err(source_error(
                origin,
                "`columns` names the columns of files without a header; leave it out, or set `header = false`",
            ));
        }
        (given, names) => given.unwrap_or(names.is_none()),
    };
    let mut sample = Sample {
        origin,
        delimiter,
        policy: options.bad_rows,
        nulls: NullTokens::new(options.null_tokens.as_deref()),
        names: options.columns.clone().filter(|_| !has_header),
        named_by: String::new(),
        guesses: Vec::new(),
        left: options.sample_rows.max(1),
        estimate: Estimate {
            complete: true,
            ..Estimate::default()
        },
        fields: Fields::default(),
    };
    let mut files = Vec::with_capacity(inputs.len());
    for input in inputs {
        files.push(sample.take(input, has_header)?);
    }
    if sample.estimate.records == 0 {
        return Err(source_error(
            origin,
            if has_header && sample.names.is_some() {
                "there is a header and no record after it"
            } else {
                "there are no records"
            },
        ));
    }
    let (columns, declared) = sample.columns(options)?;
    let schema = Schema::new(columns.clone())?;
    let format = Csv {
        delimiter,
        nulls: sample.nulls.clone(),
        columns,
        declared,
    };
    let quarantine = Quarantine::new(options);
    let estimate = sample.estimate;
    Ok(TextSource::new(
        origin,
        schema,
        files,
        Box::new(format),
        quarantine,
        estimate,
    ))
}

fn delimiter(options: &SourceOptions, tabs: bool) -> Result<u8> {
    let Some(given) = &options.delimiter else {
        return Ok(if tabs { b'\t' } else { b',' });
    };
    match given.as_bytes() {
        [b] if b.is_ascii() && !matches!(b, b'"' | b'\n' | b'\r' | 0) => Ok(*b),
        _ => Err(source_error(
            &options.source,
            format!(
                "`delimiter` must be one ASCII character other than a quote or a line end, got {given:?}"
            ),
        )),
    }
}

/// What opening learns from headers and the first records.
struct Sample<'a> {
    origin: &'a str,
    delimiter: u8,
    policy: BadRows,
    nulls: NullTokens,
    names: Option<Vec<String>>,
    /// The file whose header gave the names.
    named_by: String,
    guesses: Vec<Guess>,
    left: usize,
    estimate: Estimate,
    fields: Fields,
}

impl Sample<'_> {
    fn take(&mut self, input: Input, has_header: bool) -> Result<TextFile> {
        let limit = self.left + usize::from(has_header);
        let head = head(&input, Some(self.delimiter), limit)?;
        let Head {
            bytes, spans, mark, ..
        } = &head;
        let records = Records::new(bytes, 0, spans);
        let mut file = TextFile {
            input,
            start: *mark,
            line: 1,
        };
        let mut first = 0;
        if has_header && let Some(span) = spans.first() {
            self.header(&file.input.name, &records)?;
            file.start = span.end;
            file.line = span.line + records.raw(0).iter().filter(|b| **b == b'\n').count() as u64;
            first = 1;
        }
        self.estimate.sample(&spans[first..]);
        self.estimate.complete &= head.complete;
        for i in first..spans.len() {
            self.record(&file.input.name, &records, i)?;
        }
        Ok(file)
    }

    fn header(&mut self, file: &str, records: &Records<'_>) -> Result<()> {
        let span = records.spans[0];
        let bad = |message: String| DataError::BadRecord {
            file: file.to_owned(),
            line: span.line,
            byte: span.start,
            message,
        };
        let record = records.text(0).map_err(bad)?;
        self.fields.split(record, self.delimiter).map_err(bad)?;
        let names: Vec<String> = (0..self.fields.len())
            .map(|i| self.fields.get(record, i).trim().to_owned())
            .collect();
        for (i, name) in names.iter().enumerate() {
            if name.is_empty() {
                return Err(bad(format!(
                    "the header has no name for field {}; name it, or set `header = false` with `columns`",
                    i + 1
                )));
            }
            if names[..i].contains(name) {
                return Err(bad(format!("the header names column `{name}` twice")));
            }
        }
        match &self.names {
            None => {
                self.guesses.resize(names.len(), Guess::default());
                self.names = Some(names);
                self.named_by = file.to_owned();
                Ok(())
            }
            Some(known) if *known == names => Ok(()),
            Some(known) => Err(source_error(
                self.origin,
                format!(
                    "`{}` and `{file}` have different columns: {}",
                    self.named_by,
                    difference(known, &names)
                ),
            )),
        }
    }

    fn record(&mut self, file: &str, records: &Records<'_>, i: usize) -> Result<()> {
        if self.left == 0 {
            return Ok(());
        }
        self.left -= 1;
        let outcome = records.text(i).and_then(|record| {
            self.fields.split(record, self.delimiter)?;
            let found = self.fields.len();
            if self.guesses.is_empty() {
                let expected = self.names.as_ref().map_or(found, Vec::len);
                self.guesses.resize(expected, Guess::default());
            }
            if found != self.guesses.len() {
                return Err(ragged(found, self.guesses.len()));
            }
            for (k, guess) in self.guesses.iter_mut().enumerate() {
                let cell = self.fields.get(record, k);
                if !self.nulls.contains(cell) {
                    guess.see(cell);
                }
            }
            Ok(())
        });
        match outcome {
            // Under `quarantine` the record is set aside when its block is read.
            Err(_) if self.policy == BadRows::Quarantine => Ok(()),
            Err(message) => Err(DataError::BadRecord {
                file: file.to_owned(),
                line: records.spans[i].line,
                byte: records.spans[i].start,
                message,
            }),
            Ok(()) => Ok(()),
        }
    }

    /// The columns, and which of them have a given type.
    fn columns(&self, options: &SourceOptions) -> Result<(Vec<Column>, Vec<bool>)> {
        let names = match &self.names {
            Some(names) => names.clone(),
            None => (0..self.guesses.len()).map(|i| format!("c{i}")).collect(),
        };
        typed_columns(&names, &self.guesses, options, !self.nulls.is_empty())
    }
}

/// Columns of these names, with given types where the options have them and guessed ones elsewhere.
pub(crate) fn typed_columns(
    names: &[String],
    guesses: &[Guess],
    options: &SourceOptions,
    nullable: bool,
) -> Result<(Vec<Column>, Vec<bool>)> {
    let mut columns = Vec::with_capacity(names.len());
    let mut declared = Vec::with_capacity(names.len());
    for (i, name) in names.iter().enumerate() {
        let given = options.schema.get(name);
        let guess = guesses.get(i).map_or(ColumnType::Float, Guess::ty);
        let ty = given.map_or(guess, |t| (*t).into());
        columns.push(Column::new(name, ty, nullable));
        declared.push(given.is_some());
    }
    let schema = Schema::new(columns.clone())?;
    check_schema_names(options, &schema)?;
    Ok((columns, declared))
}

/// Every column that `schema` of the options names must exist.
pub(crate) fn check_schema_names(options: &SourceOptions, schema: &Schema) -> Result<()> {
    let unknown = options.schema.keys().filter_map(|n| schema.get(n).err());
    crate::schema::SchemaErrors::check(unknown.collect())?;
    Ok(())
}

/// In words, how two lists of column names differ.
pub(crate) fn difference(a: &[String], b: &[String]) -> String {
    let missing = |from: &[String], of: &[String]| -> Vec<String> {
        let names = from.iter().filter(|n| !of.contains(n));
        names.map(|n| format!("`{n}`")).collect()
    };
    let (only_a, only_b) = (missing(a, b), missing(b, a));
    match (only_a.is_empty(), only_b.is_empty()) {
        (true, true) => "the same names in another order".to_owned(),
        (false, true) => format!("the second lacks {}", only_a.join(", ")),
        (true, false) => format!("the first lacks {}", only_b.join(", ")),
        (false, false) => format!(
            "only the first has {}, only the second {}",
            only_a.join(", "),
            only_b.join(", ")
        ),
    }
}

//! LibSVM text: `label index:value index:value ...`, indices from 1, ascending; `#` starts a comment, `qid:` is ignored.
//!
//! The columns are `label` (float) and `features` (a sparse vector). The width of the vector is the largest index of all
//! files; nothing but a scan of every file can tell it, so that, unlike other formats, opening reads the files whole (and
//! keeps the index of blocks that the scan gives on the way).

use std::io::{BufRead, BufReader};
use std::sync::Arc;

use crate::arrow::array::{ArrayRef, Float64Array};
use rayon::prelude::*;

use super::content::{Input, READ_BUFFER};
use super::quarantine::{Quarantine, Rejects};
use super::scan::{Cutter, Piece, Span};
use super::text::{Estimate, Records, TextFile, TextFormat, TextSource, source_error};
use crate::batch::sparse_vectors;
use crate::options::SourceOptions;
use crate::schema::{Attribute, Column, ColumnType, Element, Layout, Schema, Slot};
use crate::{DataError, Result};

/// Slots carry names: a stray index must not make a small file take all memory.
const MAX_WIDTH: u32 = 1 << 22;

#[derive(Debug)]
struct Libsvm {
    pieces: Vec<Piece>,
    width: u32,
}

impl TextFormat for Libsvm {
    fn skips(&self, line: &[u8]) -> bool {
        is_blank(line)
    }

    fn known_pieces(&self) -> Option<Vec<Piece>> {
        Some(self.pieces.clone())
    }

    fn decode(
        &self,
        records: &Records<'_>,
        columns: &[usize],
        rejects: &mut Rejects<'_>,
    ) -> Result<Vec<ArrayRef>> {
        let mut rows = Rows::default();
        for i in 0..records.spans.len() {
            let before = rows.indices.len();
            let outcome = records
                .text(i)
                .and_then(|line| rows.parse(line, self.width));
            if let Err(reason) = outcome {
                records.reject(i, reason, rejects)?;
                rows.indices.truncate(before);
                rows.values.truncate(before);
                rows.labels.truncate(i);
                rows.labels.push(0.0);
            }
            let end = i32::try_from(rows.indices.len())
                .map_err(|e| DataError::format("sparse vectors of one block", e))?;
            rows.ends.push(end);
        }
        let mut offsets = vec![0];
        offsets.append(&mut rows.ends);
        let mut features = None;
        if columns.contains(&1) {
            features = Some(sparse_vectors(offsets, rows.indices, rows.values)?);
        }
        let labels: ArrayRef = Arc::new(Float64Array::from(rows.labels));
        let pick = |i: &usize| {
            features
                .clone()
                .filter(|_| *i == 1)
                .unwrap_or(labels.clone())
        };
        Ok(columns.iter().map(pick).collect())
    }
}

#[derive(Debug, Default)]
struct Rows {
    labels: Vec<f64>,
    ends: Vec<i32>,
    indices: Vec<u32>,
    values: Vec<f64>,
}

impl Rows {
    fn parse(&mut self, line: &str, width: u32) -> std::result::Result<(), String> {
        let line = line.split_once('#').map_or(line, |(before, _)| before);
        let mut parts = line.split_ascii_whitespace();
        let label = parts.next().unwrap_or_default();
        let number: f64 = label
            .parse()
            .map_err(|_| format!("the label `{label}` is not a number"))?;
        self.labels.push(number);
        let mut last = 0;
        for part in parts {
            let Some((index, value)) = part.split_once(':') else {
                return Err(format!("`{part}` is not `index:value`"));
            };
            if index == "qid" {
                continue;
            }
            let index: u32 = index
                .parse()
                .map_err(|_| format!("the index of `{part}` is not a whole number"))?;
            if index == 0 {
                return Err(format!("`{part}`: indices start at 1"));
            }
            if index <= last {
                return Err(format!(
                    "`{part}` comes after index {last}; indices must ascend"
                ));
            }
            if index > width {
                return Err(format!("`{part}`: no index above {width} was found before"));
            }
            last = index;
            let value = value
                .parse()
                .map_err(|_| format!("the value of `{part}` is not a number"))?;
            self.indices.push(index - 1);
            self.values.push(value);
        }
        Ok(())
    }
}

fn is_blank(line: &[u8]) -> bool {
    matches!(line.trim_ascii_start().first(), None | Some(b'#'))
}

/// The largest index on a line that is no comment; 0 where none can be read (the decoder will say why).
fn largest_index(line: &[u8]) -> u32 {
    let end = memchr::memchr(b'#', line).unwrap_or(line.len());
    let parts = line[..end].split(u8::is_ascii_whitespace).skip(1);
    let index = |part: &[u8]| {
        let colon = memchr::memchr(b':', part)?;
        std::str::from_utf8(&part[..colon]).ok()?.parse().ok()
    };
    parts.filter_map(index).max().unwrap_or(0)
}

struct Scan {
    pieces: Vec<Piece>,
    width: u32,
}

fn scan(number: usize, input: &Input) -> Result<Scan> {
    let content = input.content()?;
    let mut reader = BufReader::with_capacity(READ_BUFFER, content.reader(0)?);
    let mut cutter = Cutter::new(number);
    let (mut start, mut line_number, mut width) = (0, 1, 0);
    let mut line = Vec::new();
    loop {
        line.clear();
        let n = reader
            .read_until(b'\n', &mut line)
            .map_err(|e| DataError::io(&input.name, e))? as u64;
        if n == 0 {
            break;
        }
        let end = start + n;
        let mut text = line.as_slice();
        if start == 0 && text.starts_with(b"\xef\xbb\xbf") {
            start = 3;
            text = &text[3..];
        }
        if !is_blank(text) {
            cutter.add(Span {
                start,
                end,
                line: line_number,
            });
            width = width.max(largest_index(text));
        }
        start = end;
        line_number += 1;
    }
    Ok(Scan {
        pieces: cutter.pieces,
        width,
    })
}

/// Opens LibSVM files; scans them whole for the width.
pub(crate) fn open(inputs: Vec<Input>, options: &SourceOptions) -> Result<TextSource> {
    let origin = &options.source;
    if !options.schema.is_empty() {
        return Err(source_error(
            origin,
            "`schema` does not apply to LibSVM files: their columns are always `label` (float) and `features` (vector)",
        ));
    }
    let scans = inputs
        .par_iter()
        .enumerate()
        .map(|(i, input)| scan(i, input))
        .collect::<Result<Vec<_>>>()?;
    let width = scans.iter().map(|s| s.width).max().unwrap_or(0);
    if width > MAX_WIDTH {
        return Err(source_error(
            origin,
            format!(
                "the largest index is {width}; vectors of more than {MAX_WIDTH} slots are not read"
            ),
        ));
    }
    let pieces: Vec<Piece> = scans.into_iter().flat_map(|s| s.pieces).collect();
    if pieces.is_empty() {
        return Err(source_error(origin, "there are no records"));
    }
    let schema = Schema::new(vec![
        Column::new("label", ColumnType::Float, false),
        features(width),
    ])?;
    let files = inputs
        .into_iter()
        .map(|input| TextFile {
            input,
            start: 0,
            line: 1,
        })
        .collect();
    let estimate = Estimate {
        records: pieces.iter().map(|p| p.rows as u64).sum(),
        complete: true,
        ..Estimate::default()
    };
    let quarantine = Quarantine::new(options);
    let format = Box::new(Libsvm { pieces, width });
    Ok(TextSource::new(
        origin, schema, files, format, quarantine, estimate,
    ))
}

/// The sparse column `features`; slots are named by their index in the file: `features[1]` is the first.
fn features(width: u32) -> Column {
    let slots: Arc<[Slot]> = (1..=width)
        .map(|i| Slot {
            name: format!("features[{i}]"),
            column: "features".to_owned(),
            attribute: Attribute::Numeric,
        })
        .collect();
    let ty = ColumnType::Vector {
        width: Some(width as usize),
        element: Element::F64,
        layout: Layout::Sparse,
    };
    Column {
        slots,
        ..Column::new("features", ty, false)
    }
}

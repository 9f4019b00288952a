//! Rows that a model carries with the outputs it gave: what `verify` replays.

use std::collections::BTreeSet;

use emberline_datasets::batch::VectorColumn;
use emberline_datasets::{Batch, ColumnType, DataError, Dataset, Schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::json;
use crate::Result;
use crate::persist::ModelError;
use crate::pipeline::{PipelineModel, Scorer};
use crate::row::Cell;
use crate::stage::{Stage, Transformer};

/// Rows kept.
pub const PROBE_ROWS: usize = 8;

/// Most numbers kept over all rows: wide vectors get fewer rows.
const MAX_NUMBERS: usize = 200_000;

/// Widest vector that is kept when a stage before the last wrote it.
const MAX_INNER_WIDTH: usize = 1024;

/// Rows and what the model makes of them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probes {
    /// Columns the model reads.
    pub inputs: Vec<String>,
    /// Columns the model writes.
    pub outputs: Vec<String>,
    /// The rows.
    pub rows: Vec<Probe>,
}

/// One row and what the model makes of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Row id in the training data.
    pub id: u64,
    /// A cell for each column of [`Probes::inputs`].
    #[serde(rename = "in", with = "cells")]
    pub input: Vec<Cell>,
    /// A cell for each column of [`Probes::outputs`]; `None` where the model drops the row.
    #[serde(rename = "out", with = "maybe_cells")]
    pub output: Option<Vec<Cell>>,
}

/// What a replay of the probes found.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Verification {
    /// Rows replayed.
    pub rows: usize,
    /// Values compared.
    pub values: usize,
    /// Values that differ, in row order.
    pub differences: Vec<Difference>,
}

impl Verification {
    /// True where every value is as expected, bit for bit.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.differences.is_empty()
    }
}

impl std::fmt::Display for Verification {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} rows, {} values, {} differ",
            self.rows,
            self.values,
            self.differences.len()
        )
    }
}

/// A value that differs from what the model file expects.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Row id of the probe.
    pub row: u64,
    /// Output column.
    pub column: String,
    /// What the file expects.
    pub expected: String,
    /// What this program computes.
    pub found: String,
}

impl Probes {
    /// Takes rows spread evenly over `data` and records what `model` makes of them.
    ///
    /// # Errors
    /// Reading fails, or the model's batch path and its one-record path disagree: a fault of a stage, which is refused
    /// here rather than found in production.
    pub fn record(model: &PipelineModel, data: &Dataset) -> Result<Self> {
        let inputs = model.required_columns();
        let schema = model.input_schema().select(&inputs)?;
        let mut probes = Self {
            outputs: outputs(model, &schema)?,
            inputs,
            rows: Vec::new(),
        };
        if probes.inputs.is_empty() {
            return Ok(probes);
        }
        let mut scorer = model.scorer(&schema)?;
        let most = MAX_NUMBERS / width(&schema, &probes.inputs).max(1);
        let mut seen = BTreeSet::new();
        for batch in spread_rows(data, &probes.inputs, most.min(PROBE_ROWS))? {
            if seen.insert(batch.row_ids()[0])
                && let Some(probe) = probes.probe(model, &mut scorer, &batch)?
            {
                probes.rows.push(probe);
            }
        }
        Ok(probes)
    }

    /// One row through both paths; `None` where it cannot be a probe: a refused row, or a value no cell can hold.
    fn probe(
        &self,
        model: &PipelineModel,
        scorer: &mut Scorer,
        row: &Batch,
    ) -> Result<Option<Probe>> {
        let Ok(input) = cells_of(row, &self.inputs) else {
            return Ok(None);
        };
        let id = row.row_ids()[0];
        let Ok(batch) = model.transform(row.clone()) else {
            return Ok(None);
        };
        let expected = match batch.num_rows() {
            0 => None,
            _ => Some(cells_of(&batch, &self.outputs)?),
        };
        let output = self.score(scorer, &input)?;
        match differences(id, &self.outputs, expected.as_deref(), output.as_deref())
            .into_iter()
            .next()
        {
            None => Ok(Some(Probe { id, input, output })),
            Some(d) => Err(ModelError::Paths {
                row: d.row,
                column: d.column,
                batch: d.expected,
                record: d.found,
            }
            .into()),
        }
    }

    fn score(&self, scorer: &mut Scorer, input: &[Cell]) -> Result<Option<Vec<Cell>>> {
        for (cell, value) in scorer.input().iter_mut().zip(input) {
            cell.clone_from(value);
        }
        if !scorer.score()? {
            return Ok(None);
        }
        let cell = |name: &String| Ok(scorer.cell(scorer.position(name)?).clone());
        self.outputs
            .iter()
            .map(cell)
            .collect::<Result<_>>()
            .map(Some)
    }

    /// Scores every row again and compares all bits.
    ///
    /// # Errors
    /// The model refuses a row it once took.
    pub fn replay(&self, model: &PipelineModel) -> Result<Verification> {
        let mut found = Verification::default();
        if self.rows.is_empty() {
            return Ok(found);
        }
        let mut scorer = model.scorer(&model.input_schema().select(&self.inputs)?)?;
        for probe in &self.rows {
            let output = self.score(&mut scorer, &probe.input)?;
            found.rows += 1;
            found.values += self.outputs.len();
            found.differences.extend(differences(
                probe.id,
                &self.outputs,
                probe.output.as_deref(),
                output.as_deref(),
            ));
        }
        Ok(found)
    }

    /// Whether the rows fit the model: right columns, a cell each, of the right kind.
    pub(super) fn check(
        &self,
        model: &PipelineModel,
        output: &Schema,
    ) -> std::result::Result<(), String> {
        let input = model.input_schema();
        if self.rows.len() > PROBE_ROWS {
            return Err(format!(
                "{} probe rows, {PROBE_ROWS} are allowed",
                self.rows.len()
            ));
        }
        let unique: BTreeSet<&String> = self.inputs.iter().collect();
        if unique.len() != self.inputs.len() {
            return Err("the probes name a column twice".to_owned());
        }
        for probe in &self.rows {
            fits(input, &self.inputs, &probe.input)?;
            if let Some(cells) = &probe.output {
                fits(output, &self.outputs, cells)?;
            }
        }
        Ok(())
    }
}

fn fits(schema: &Schema, names: &[String], cells: &[Cell]) -> std::result::Result<(), String> {
    if names.len() != cells.len() {
        return Err(format!(
            "a probe has {} cells for {} columns",
            cells.len(),
            names.len()
        ));
    }
    for (name, cell) in names.iter().zip(cells) {
        let column = schema.get(name).map_err(|e| format!("probes: {e}"))?;
        let right = match (cell, &column.ty) {
            (Cell::Null, _) => true,
            (Cell::Vector(v), ColumnType::Vector { width, .. }) => {
                width.is_none_or(|w| w == v.len())
            }
            (Cell::Text(_), ty) => *ty == ColumnType::Text,
            (Cell::Number(_), ty) => !ty.is_vector() && *ty != ColumnType::Text,
            (Cell::Vector(_), _) => false,
        };
        if !right {
            return Err(format!(
                "a probe's cell of column `{name}` is not {}",
                column.ty
            ));
        }
    }
    Ok(())
}

/// Columns written by the model, without wide intermediate vectors.
fn outputs(model: &PipelineModel, schema: &Schema) -> Result<Vec<String>> {
    let after = model.output_schema(schema)?;
    let mut last = schema.clone();
    let mut kept = Vec::new();
    for stage in model.stages() {
        kept = stage.writes(&last);
        last = stage.output_schema(&last)?;
    }
    let narrow = |name: &String| match after.get(name).map(|c| &c.ty) {
        Ok(ColumnType::Vector { width, .. }) => width.is_some_and(|w| w <= MAX_INNER_WIDTH),
        Ok(_) => true,
        Err(_) => false,
    };
    let mut names = model.writes(schema);
    names.retain(|n| kept.contains(n) || narrow(n));
    Ok(names)
}

fn width(schema: &Schema, names: &[String]) -> usize {
    let of = |name: &String| match schema.get(name).map(|c| &c.ty) {
        Ok(ColumnType::Vector { width, .. }) => width.unwrap_or(1),
        _ => 1,
    };
    names.iter().map(of).sum()
}

/// `n` rows spread evenly over the chunks of `data`, one a batch; fewer where rows are few.
fn spread_rows(data: &Dataset, columns: &[String], n: usize) -> Result<Vec<Batch>> {
    let chunks = data.chunks()?.len();
    let mut rows = Vec::new();
    let mut held: Option<(usize, Batch)> = None;
    for i in 0..n {
        // The middle of the i-th of n equal parts, in chunks and parts of a chunk.
        let place = (2 * i + 1) * chunks;
        let (mut chunk, part) = (place / (2 * n), place % (2 * n));
        while chunk < chunks {
            let batch = match held.take() {
                Some((at, batch)) if at == chunk => batch,
                _ => data.read(chunk, Some(columns))?,
            };
            let count = batch.num_rows();
            if count > 0 {
                rows.push(batch.slice(count * part / (2 * n), 1));
            }
            held = Some((chunk, batch));
            if count > 0 {
                break;
            }
            chunk += 1;
        }
    }
    Ok(rows)
}

/// The cells of the first row of a batch.
fn cells_of(batch: &Batch, names: &[String]) -> std::result::Result<Vec<Cell>, DataError> {
    names.iter().map(|name| cell_of(batch, name)).collect()
}

fn cell_of(batch: &Batch, name: &str) -> std::result::Result<Cell, DataError> {
    use emberline_datasets::arrow::array::Array;
    let column = batch.schema().get(name)?;
    if column.ty.is_vector() {
        let vector: VectorColumn<'_> = batch.vector(name)?;
        let mut values = vec![0.0; vector.width()];
        vector.read(0, &mut values);
        return Ok(Cell::Vector(values));
    }
    if batch.column(name)?.is_null(0) {
        return Ok(Cell::Null);
    }
    Ok(match column.ty {
        ColumnType::Text => Cell::Text(batch.text(name)?.value(0).to_owned()),
        _ => Cell::Number(batch.numbers(name)?.value(0)),
    })
}

fn differences(
    row: u64,
    names: &[String],
    expected: Option<&[Cell]>,
    found: Option<&[Cell]>,
) -> Vec<Difference> {
    let difference = |column: &str, expected: String, found: String| Difference {
        row,
        column: column.to_owned(),
        expected,
        found,
    };
    match (expected, found) {
        (None, None) => Vec::new(),
        (Some(a), Some(b)) => names
            .iter()
            .zip(a.iter().zip(b))
            .filter(|(_, (a, b))| !same(a, b))
            .map(|(name, (a, b))| difference(name, show(a), show(b)))
            .collect(),
        (a, _) => {
            let say = |kept: bool| if kept { "a row" } else { "no row" }.to_owned();
            vec![difference("*", say(a.is_some()), say(a.is_none()))]
        }
    }
}

/// Equal to the bit; any NaN equals any other.
fn same(a: &Cell, b: &Cell) -> bool {
    let bits = |a: f64, b: f64| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    match (a, b) {
        (Cell::Number(a), Cell::Number(b)) => bits(*a, *b),
        (Cell::Vector(a), Cell::Vector(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| bits(*a, *b))
        }
        _ => a == b,
    }
}

fn show(cell: &Cell) -> String {
    match cell {
        Cell::Vector(v) if v.len() > 8 => format!("{:?}...", &v[..8]),
        other => to_value(other).to_string(),
    }
}

/// Null, a number, text, a list of numbers (null is a missing slot), or `{"number": "nan"}` for what JSON lacks.
fn to_value(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Text(text) => Value::String(text.clone()),
        Cell::Number(v) if v.is_finite() => json::number(*v),
        Cell::Number(v) => serde_json::json!({ "number": json::number(*v) }),
        Cell::Vector(v) => v
            .iter()
            .map(|x| {
                if x.is_nan() {
                    Value::Null
                } else {
                    json::number(*x)
                }
            })
            .collect(),
    }
}

fn from_value(value: &Value) -> std::result::Result<Cell, String> {
    let number = |v: &Value| json::read_number(v).ok_or_else(|| format!("{v} is no number"));
    Ok(match value {
        Value::Null => Cell::Null,
        Value::String(text) => Cell::Text(text.clone()),
        Value::Number(_) => Cell::Number(number(value)?),
        Value::Array(items) => {
            let slot = |v: &Value| if v.is_null() { Ok(f64::NAN) } else { number(v) };
            Cell::Vector(
                items
                    .iter()
                    .map(slot)
                    .collect::<std::result::Result<_, _>>()?,
            )
        }
        Value::Object(o) if o.len() == 1 => {
            Cell::Number(number(o.get("number").unwrap_or(&Value::Null))?)
        }
        other => return Err(format!("{other} is no cell")),
    })
}

mod cells {
    use super::*;

    pub fn serialize<S: Serializer>(cells: &[Cell], s: S) -> std::result::Result<S::Ok, S::Error> {
        s.collect_seq(cells.iter().map(to_value))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> std::result::Result<Vec<Cell>, D::Error> {
        let values = Vec::<Value>::deserialize(d)?;
        values
            .iter()
            .map(|v| from_value(v).map_err(D::Error::custom))
            .collect()
    }
}

mod maybe_cells {
    use super::*;

    pub fn serialize<S: Serializer>(
        cells: &Option<Vec<Cell>>,
        s: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        match cells {
            Some(c) => cells::serialize(c, s),
            None => s.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> std::result::Result<Option<Vec<Cell>>, D::Error> {
        let values = Option::<Vec<Value>>::deserialize(d)?;
        let Some(values) = values else {
            return Ok(None);
        };
        values
            .iter()
            .map(|v| from_value(v).map_err(D::Error::custom))
            .collect::<std::result::Result<_, _>>()
            .map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_cell_comes_back_bit_for_bit() {
        let cells = [
            Cell::Null,
            Cell::Number(0.1),
            Cell::Number(-0.0),
            Cell::Number(f64::NAN),
            Cell::Number(f64::NEG_INFINITY),
            Cell::Text("nan".to_owned()),
            Cell::Text(String::new()),
            Cell::Vector(vec![1.0 / 3.0, f64::NAN, f64::INFINITY, -0.0]),
            Cell::Vector(Vec::new()),
        ];
        for cell in cells {
            let text = to_value(&cell).to_string();
            let back = from_value(&serde_json::from_str(&text).unwrap()).unwrap();
            assert!(same(&cell, &back), "{cell:?} became {back:?}");
        }
    }

    #[test]
    fn what_is_no_cell_is_refused() {
        for text in [
            r#"{"number": true}"#,
            r#"{"a": 1, "b": 2}"#,
            "[[1]]",
            "true",
            r#"["x"]"#,
        ] {
            assert!(
                from_value(&serde_json::from_str(text).unwrap()).is_err(),
                "{text}"
            );
        }
    }
}

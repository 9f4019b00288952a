//! What a model gives for some rows, by batch and by record, and how two results are compared.

use std::collections::BTreeMap;

use super::table::Table;
use crate::arrow::array::{Array, AsArray};
use crate::arrow::datatypes::Int64Type;
use crate::datasets::{Batch, Column, ColumnType, Dataset, Schema};
use crate::pipeline::row::Cell;
use crate::prelude::*;

/// What a model gives for some rows: the columns it writes, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Ids of the rows that are left.
    pub ids: Vec<u64>,
    /// Values of the columns written, by name.
    pub columns: BTreeMap<String, Vec<Cell>>,
}

impl Scored {
    /// The columns `names` of a batch.
    ///
    /// # Errors
    /// There is no such column.
    pub fn of(batch: &Batch, names: &[String]) -> std::result::Result<Self, DataError> {
        let mut columns = BTreeMap::new();
        for name in names {
            let column = batch.schema().get(name)?.clone();
            let cells = (0..batch.num_rows()).map(|i| cell(batch, &column, i));
            columns.insert(name.clone(), cells.collect::<std::result::Result<_, _>>()?);
        }
        Ok(Self {
            ids: batch.row_ids().to_vec(),
            columns,
        })
    }

    fn extend(&mut self, later: Self) {
        self.ids.extend(later.ids);
        for (name, cells) in later.columns {
            self.columns.entry(name).or_default().extend(cells);
        }
    }

    /// The rows of these ids, in this order.
    #[must_use]
    pub fn rows(&self, ids: &[u64]) -> Self {
        let at: BTreeMap<u64, usize> = self.ids.iter().copied().zip(0..).collect();
        let rows: Vec<usize> = ids.iter().filter_map(|id| at.get(id).copied()).collect();
        let pick = |cells: &Vec<Cell>| rows.iter().map(|&i| cells[i].clone()).collect();
        Self {
            ids: rows.iter().map(|&i| self.ids[i]).collect(),
            columns: self
                .columns
                .iter()
                .map(|(n, c)| (n.clone(), pick(c)))
                .collect(),
        }
    }

    /// Fails at the first value that differs by more than `tolerance`, relative above 1 and absolute below; at 0 every bit counts.
    ///
    /// # Errors
    /// Column, row and both values.
    pub fn agrees(&self, other: &Self, tolerance: f64) -> std::result::Result<(), String> {
        if self.ids != other.ids {
            let n = (self.ids.len(), other.ids.len());
            return Err(format!("other rows are left: {} and {} of them", n.0, n.1));
        }
        let names = |s: &Self| s.columns.keys().cloned().collect::<Vec<_>>();
        if names(self) != names(other) {
            return Err(format!(
                "other columns: {:?} and {:?}",
                names(self),
                names(other)
            ));
        }
        for (name, cells) in &self.columns {
            for (i, (a, b)) in cells.iter().zip(&other.columns[name]).enumerate() {
                if !near(a, b, tolerance) {
                    return Err(format!(
                        "column `{name}`, row {}: {a:?} and {b:?}",
                        self.ids[i]
                    ));
                }
            }
        }
        Ok(())
    }

    /// The first value that is a number but not finite.
    #[must_use]
    pub fn not_finite(&self) -> Option<String> {
        let bad = |c: &Cell| match c {
            Cell::Number(v) => !v.is_finite(),
            Cell::Vector(v) => v.iter().any(|v| !v.is_finite()),
            Cell::Null | Cell::Text(_) => false,
        };
        self.columns.iter().find_map(|(name, cells)| {
            let i = cells.iter().position(bad)?;
            Some(format!(
                "column `{name}`, row {}: {:?}",
                self.ids[i], cells[i]
            ))
        })
    }
}

fn near(a: &Cell, b: &Cell, tolerance: f64) -> bool {
    let close = |x: f64, y: f64| {
        x.to_bits() == y.to_bits()
            || (x.is_nan() && y.is_nan())
            || (x - y).abs() <= tolerance * x.abs().max(y.abs()).max(1.0) && tolerance > 0.0
    };
    match (a, b) {
        (Cell::Number(x), Cell::Number(y)) => close(*x, *y),
        (Cell::Vector(x), Cell::Vector(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(x, y)| close(*x, *y))
        }
        _ => a == b,
    }
}

/// The value of a column in row `i`; a missing number is a null, a missing slot NaN.
fn cell(batch: &Batch, column: &Column, i: usize) -> std::result::Result<Cell, DataError> {
    if column.ty.is_vector() {
        let vectors = batch.vector(&column.name)?;
        let mut row = vec![0.0; vectors.width()];
        vectors.read(i, &mut row);
        return Ok(Cell::Vector(row));
    }
    let array = batch.column(&column.name)?;
    if array.is_null(i) {
        return Ok(Cell::Null);
    }
    if column.ty == ColumnType::Text {
        let text = batch.text(&column.name)?;
        return Ok(text.get(i).map_or(Cell::Null, |t| Cell::Text(t.to_owned())));
    }
    // Integers beyond 2^53 are no numbers of a batch; by their bits they can still be compared.
    if let Some(whole) = array.as_primitive_opt::<Int64Type>() {
        return Ok(Cell::Number(whole.value(i) as f64));
    }
    Ok(Cell::Number(batch.numbers(&column.name)?.value(i)))
}

/// The columns that a model writes, for the rows of a table.
///
/// # Errors
/// The model refuses columns or a value.
pub fn score(model: &PipelineModel, table: &Table) -> Result<Scored> {
    score_dataset(model, &table.dataset()?)
}

/// As [`score`], for a dataset.
///
/// # Errors
/// As [`score`].
pub fn score_dataset(model: &PipelineModel, data: &Dataset) -> Result<Scored> {
    let names = model.writes(data.schema());
    let output = model.transform_dataset(data)?;
    let mut all = Scored {
        ids: Vec::new(),
        columns: names.iter().map(|n| (n.clone(), Vec::new())).collect(),
    };
    for batch in output.batches(None)? {
        all.extend(Scored::of(&batch?, &names)?);
    }
    Ok(all)
}

/// As [`score`], record by record through the compiled path.
///
/// # Errors
/// As [`score`].
pub fn score_records(model: &PipelineModel, table: &Table) -> Result<Scored> {
    let batch = table.batch()?;
    let schema: &Schema = batch.schema();
    let names = model.writes(schema);
    let mut scorer = model.scorer(schema)?;
    let positions = names
        .iter()
        .map(|n| scorer.position(n))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let mut all = Scored {
        ids: Vec::new(),
        columns: names.iter().map(|n| (n.clone(), Vec::new())).collect(),
    };
    for i in 0..batch.num_rows() {
        for (j, column) in schema.columns().iter().enumerate() {
            scorer.input()[j] = cell(&batch, column, i)?;
        }
        if !scorer.score()? {
            continue;
        }
        all.ids.push(batch.row_ids()[i]);
        for (name, position) in names.iter().zip(&positions) {
            let cells = all.columns.entry(name.clone()).or_default();
            cells.push(scorer.cell(*position).clone());
        }
    }
    Ok(all)
}

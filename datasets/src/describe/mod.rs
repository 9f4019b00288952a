//! What is in a dataset: counts, ranges, categories and class balance, in one pass.

mod column;
#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::dataset::Dataset;
use crate::parallel::map_in_order;
use crate::{DataError, Result};
use column::{Saturated, Tally};

/// Distinct values are counted exactly up to this many.
pub const MAX_DISTINCT: usize = 10_000;
/// Most frequent values listed per column.
const TOP: usize = 10;
/// An integer column of at most this many values has its most frequent values listed too.
const FEW_INTEGERS: usize = 100;

/// A dataset at a glance; serialises to JSON for `data describe --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Description {
    /// Where the rows come from.
    pub origin: String,
    /// Number of rows after all steps.
    pub rows: u64,
    /// Rows in each partition.
    pub partitions: Vec<u64>,
    /// The columns in order.
    pub columns: Vec<ColumnDescription>,
    /// Rows of each label value, where a label column is set and has at most 100 values, or is text: numbers ascending,
    /// text by code point.
    pub classes: Option<Vec<CategoryCount>>,
}

/// One column at a glance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnDescription {
    /// Name.
    pub name: String,
    /// Type, in words.
    #[serde(rename = "type")]
    pub ty: String,
    /// `label`, `weight`, `id` or `group`.
    pub role: Option<String>,
    /// Rows without a value: nulls and NaN. For a vector: rows with a missing slot.
    pub nulls: u64,
    /// Range and spread of a numeric column; of dates and timestamps the range.
    pub range: Option<RangeDescription>,
    /// Distinct values; `None` for vectors.
    pub distinct: Option<Distinct>,
    /// Most frequent values, most frequent first, ties by value: of text, of booleans, and of integers with few values.
    pub top: Vec<CategoryCount>,
    /// Slots of a vector column.
    pub vector: Option<VectorDescription>,
}

impl ColumnDescription {
    /// The most frequent values in one line: `Private 22696, Self-emp 2541, ... 7 more`.
    #[must_use]
    pub fn top_text(&self, most: usize) -> String {
        let mut parts: Vec<String> = self
            .top
            .iter()
            .take(most)
            .map(|c| format!("{} {}", c.value, c.count))
            .collect();
        match self.distinct {
            Some(Distinct::Exactly(n)) if !parts.is_empty() && n > parts.len() as u64 => {
                parts.push(format!("... {} more", n - parts.len() as u64));
            }
            _ => {}
        }
        parts.join(", ")
    }

    /// The number of distinct values as text; empty for vectors.
    #[must_use]
    pub fn distinct_text(&self) -> String {
        self.distinct.map_or_else(String::new, |d| d.to_string())
    }
}

/// Range and spread of the finite values of a column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RangeDescription {
    /// Least value; a date or timestamp as text.
    pub min: RangeEnd,
    /// Greatest value.
    pub max: RangeEnd,
    /// Mean; `None` for dates and timestamps.
    pub mean: Option<f64>,
    /// Sample standard deviation (denominator n - 1; 0 for one value); `None` for dates and timestamps.
    pub sd: Option<f64>,
    /// Infinite values, which are left out of the other numbers.
    pub infinite: u64,
}

/// An end of a range.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum RangeEnd {
    /// Of an integer or boolean column.
    Integer(i64),
    /// Of a float column.
    Float(f64),
    /// A date or timestamp.
    Text(String),
}

impl std::fmt::Display for RangeEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Integer(v) => v.fmt(f),
            Self::Float(v) => v.fmt(f),
            Self::Text(v) => v.fmt(f),
        }
    }
}

/// How many distinct values a column has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Distinct {
    /// Counted.
    Exactly(u64),
    /// Not counted beyond this.
    MoreThan(u64),
}

impl std::fmt::Display for Distinct {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exactly(n) => n.fmt(f),
            Self::MoreThan(n) => write!(f, "more than {n}"),
        }
    }
}

/// A value and its rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CategoryCount {
    /// The value as text.
    pub value: String,
    /// Rows that have it.
    pub count: u64,
    /// Share of the rows that have a value.
    pub share: f64,
}

/// Slots of a vector column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct VectorDescription {
    /// Slots per row.
    pub width: u64,
    /// Slots without a value, over all rows.
    pub missing: u64,
    /// Slots that are stored, over all rows: all of a dense vector, the others being zero in a sparse one.
    pub stored: u64,
}

/// Describes all columns of a dataset in one parallel pass.
///
/// Summaries are made per chunk and merged in chunk order, so that the numbers do not depend on threads or partitions.
///
/// - cost: one pass; up to [`MAX_DISTINCT`] values of each column are held
///
/// # Errors
/// Reading fails, or a step refuses a value.
///
/// # Example
/// ```
/// use emberline_datasets::{Column, ColumnType, Dataset, describe};
/// use std::sync::Arc;
/// let x = emberline_datasets::arrow::array::Float64Array::from(vec![Some(1.0), None, Some(3.0)]);
/// let data = Dataset::from_columns(vec![(Column::new("x", ColumnType::Float, true), Arc::new(x))])?;
/// let description = describe(&data)?;
/// assert_eq!(description.columns[0].nulls, 1);
/// assert_eq!(description.columns[0].range.as_ref().and_then(|r| r.mean), Some(2.0));
/// # Ok::<(), emberline_datasets::DataError>(())
/// ```
pub fn describe(data: &Dataset) -> Result<Description> {
    let schema = data.schema().clone();
    let columns = schema.columns();
    let mut tallies: Vec<Tally> = columns.iter().map(Tally::new).collect();
    let saturated = Saturated::new(columns.len());
    let mut chunk_rows = Vec::new();
    map_in_order::<_, DataError>(
        data.chunks()?.len(),
        |i| {
            let batch = data.read(i, None)?;
            let tallies = columns
                .iter()
                .enumerate()
                .map(|(c, column)| Tally::of(&batch, column, saturated.is_set(c)))
                .collect::<Result<Vec<_>>>()?;
            Ok((batch.num_rows() as u64, tallies))
        },
        |(rows, later)| {
            chunk_rows.push(rows);
            for (c, (tally, later)) in tallies.iter_mut().zip(later).enumerate() {
                tally.merge(later);
                if tally.is_saturated() {
                    saturated.set(c);
                }
            }
            Ok(())
        },
    )?;
    let label = schema.roles().label.as_deref();
    Ok(Description {
        origin: data.source().origin().to_owned(),
        rows: chunk_rows.iter().sum(),
        partitions: data
            .partitions()?
            .into_iter()
            .map(|run| chunk_rows[run].iter().sum())
            .collect(),
        classes: columns
            .iter()
            .zip(&tallies)
            .find(|(column, _)| Some(column.name.as_str()) == label)
            .and_then(|(column, tally)| tally.classes(column)),
        columns: columns
            .iter()
            .zip(tallies)
            .map(|(column, tally)| tally.describe(column, schema.roles().of(&column.name)))
            .collect(),
    })
}

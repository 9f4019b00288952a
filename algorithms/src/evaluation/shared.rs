//! What the evaluators share: values as keys, weights, checks of names and columns.

use std::collections::BTreeMap;

use crate::Result;
use emberline_pipeline::datasets::arrow::array::Array;
use emberline_pipeline::datasets::schema::nearest;
use emberline_pipeline::datasets::{
    Batch, ColumnType, DataError, Schema, SchemaError, SchemaErrors,
};
use emberline_pipeline::{Error, EvaluatorColumns, Metrics};
use serde::{Deserialize, Serialize};

use crate::columns::{label_column, weight_column};

/// A label, prediction or cluster as a value that sorts: numbers ascending, then text by code point.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Key {
    /// A number, by bits that sort like it. `-0.0` and `0.0` are one key.
    Number(i64),
    /// Text.
    Text(String),
}

impl Key {
    /// The key of a finite number.
    pub fn number(v: f64) -> Self {
        Self::Number(ordered(v + 0.0))
    }

    /// The key that a class written as `name` has among labels of type `ty`.
    pub fn of_name(name: &str, ty: &ColumnType) -> Option<Self> {
        match (ty, name) {
            (ColumnType::Text, _) => Some(Self::Text(name.to_owned())),
            (_, "true") => Some(Self::number(1.0)),
            (_, "false") => Some(Self::number(0.0)),
            _ => name.parse().ok().map(Self::number),
        }
    }

    /// The value as text, `true` and `false` for booleans.
    pub fn name(&self, ty: &ColumnType) -> String {
        match self {
            Self::Text(v) => v.clone(),
            Self::Number(bits) if *ty == ColumnType::Boolean => {
                (unordered(*bits) != 0.0).to_string()
            }
            Self::Number(bits) => unordered(*bits).to_string(),
        }
    }
}

/// Bits that sort like the number.
pub fn ordered(v: f64) -> i64 {
    let bits = v.to_bits() as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

/// The number of [`ordered`] bits.
pub fn unordered(bits: i64) -> f64 {
    f64::from_bits((bits ^ (((bits >> 63) as u64) >> 1) as i64) as u64)
}

/// The column as keys.
///
/// # Errors
/// A missing or non-finite value, or a type that is neither a number nor text.
pub fn keys(batch: &Batch, column: &str) -> Result<Vec<Key>, DataError> {
    if batch.schema().get(column)?.ty == ColumnType::Text {
        let text = batch.text(column)?;
        let row = |i: usize| batch.row_ids()[i];
        return text
            .iter()
            .enumerate()
            .map(|(i, v)| {
                v.map(|v| Key::Text(v.to_owned()))
                    .ok_or_else(|| missing(column, row(i)))
            })
            .collect();
    }
    Ok(finite(batch, column)?
        .into_iter()
        .map(Key::number)
        .collect())
}

/// The column as finite numbers.
///
/// # Errors
/// A missing or non-finite value, or a type that is no number.
pub fn finite(batch: &Batch, column: &str) -> Result<Vec<f64>, DataError> {
    let numbers = batch.numbers(column)?;
    let mut out = Vec::with_capacity(numbers.len());
    for i in 0..numbers.len() {
        let row = batch.row_ids()[i];
        if numbers.is_null(i) {
            return Err(missing(column, row));
        }
        let value = numbers.value(i);
        if !value.is_finite() {
            return Err(DataError::NotFinite {
                column: column.to_owned(),
                row,
                value,
            });
        }
        out.push(value);
    }
    Ok(out)
}

fn missing(column: &str, row: u64) -> DataError {
    let message =
        "the value is missing; rows are measured only where it is known: drop such rows first"
            .to_owned();
    DataError::Value {
        column: column.to_owned(),
        row,
        message,
    }
}

/// Row weights, 1 each without a column.
///
/// # Errors
/// A missing, non-finite or negative weight.
pub fn weights(batch: &Batch, column: Option<&str>) -> Result<Vec<f64>, DataError> {
    let Some(column) = column else {
        return Ok(vec![1.0; batch.num_rows()]);
    };
    let out = finite(batch, column)?;
    match out.iter().position(|w| *w < 0.0) {
        None => Ok(out),
        Some(i) => Err(DataError::Value {
            column: column.to_owned(),
            row: batch.row_ids()[i],
            message: format!("the weight {} is negative; weights are 0 or more", out[i]),
        }),
    }
}

/// The label column of a table of predictions and its type.
///
/// # Errors
/// No such column.
pub fn label_of(
    schema: &Schema,
    columns: &EvaluatorColumns,
) -> Result<(String, ColumnType), SchemaErrors> {
    let name = label_column(columns.label.as_deref(), schema);
    let ty = schema.get(&name)?.ty.clone();
    Ok((name, ty))
}

/// The weight column of a table of predictions, checked.
///
/// # Errors
/// It is absent or no number.
pub fn weight_of(
    schema: &Schema,
    columns: &EvaluatorColumns,
) -> Result<Option<String>, SchemaErrors> {
    let Some(name) = weight_column(columns.weight.as_deref(), schema) else {
        return Ok(None);
    };
    number_column(schema, &name)?;
    Ok(Some(name))
}

/// Whether a column is there and holds numbers.
///
/// # Errors
/// It is absent or no number.
pub fn number_column(schema: &Schema, name: &str) -> Result<(), SchemaErrors> {
    let ty = &schema.get(name)?.ty;
    if ty.is_numeric() {
        return Ok(());
    }
    Err(wrong_type(name, ty, "a number"))
}

/// A column of another type than needed.
pub fn wrong_type(name: &str, found: &ColumnType, expected: &str) -> SchemaErrors {
    SchemaError::Type {
        column: name.to_owned(),
        found: found.to_string(),
        expected: expected.to_owned(),
    }
    .into()
}

/// The metrics to compute: those named, or all; an unknown name is an error.
///
/// # Errors
/// [`Error::Usage`] with the nearest name.
pub fn wanted(evaluator: &str, known: &[(&str, &str)], named: &[String]) -> Result<Vec<String>> {
    let names = || known.iter().map(|(n, _)| *n);
    for name in named {
        if !names().any(|n| n == name) {
            let hint = match nearest(name, names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it knows {}", names().collect::<Vec<_>>().join(", ")),
            };
            return Err(Error::Usage(format!(
                "the `{evaluator}` evaluator has no metric `{name}`; {hint}"
            )));
        }
    }
    Ok(if named.is_empty() {
        names().map(ToOwned::to_owned).collect()
    } else {
        named.to_vec()
    })
}

/// Keeps the wanted values that exist and warns of those that do not.
pub fn keep(
    metrics: &mut Metrics,
    mut values: BTreeMap<String, f64>,
    wanted: &[String],
    why: &str,
) {
    let mut absent = Vec::new();
    for name in wanted {
        match values.remove(name).filter(|v| v.is_finite()) {
            Some(v) => drop(metrics.values.insert(name.clone(), v)),
            None => absent.push(format!("`{name}`")),
        }
    }
    if !absent.is_empty() {
        metrics
            .warnings
            .push(format!("{} left out: {why}", absent.join(", ")));
    }
}

/// Refuses a table without rows, or without weight.
///
/// # Errors
/// [`DataError::Unusable`].
pub fn require_rows<P>(partial: Option<P>, weight: impl Fn(&P) -> f64) -> Result<P> {
    let partial = partial.ok_or_else(|| unusable("there are no rows to evaluate on"))?;
    if weight(&partial) > 0.0 {
        Ok(partial)
    } else {
        Err(unusable("all rows to evaluate on have weight 0"))
    }
}

/// Data that cannot be measured as a whole.
pub fn unusable(message: impl Into<String>) -> Error {
    DataError::Unusable(message.into()).into()
}

/// At most `max` of the points, evenly picked, the first and the last among them.
pub fn thin(points: &[(f64, f64)], max: usize) -> Vec<(f64, f64)> {
    if points.len() <= max || max < 2 {
        return points.to_vec();
    }
    (0..max)
        .map(|i| points[i * (points.len() - 1) / (max - 1)])
        .collect()
}

//! The values a label takes, and their order.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::schema::{ColumnType, SchemaError};
use crate::{DataError, Result};

/// The values a label takes, in the order of their class indices: numbers ascending, text by code point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Classes {
    /// Text labels.
    Text(Vec<String>),
    /// Integer labels.
    Integer(Vec<i64>),
    /// Boolean labels.
    Boolean(Vec<bool>),
    /// Float labels.
    Float(Vec<f64>),
}

impl Classes {
    /// Number of classes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(v) => v.len(),
            Self::Integer(v) => v.len(),
            Self::Boolean(v) => v.len(),
            Self::Float(v) => v.len(),
        }
    }

    /// True without classes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Class names as text, in index order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Text(v) => v.clone(),
            Self::Integer(v) => v.iter().map(ToString::to_string).collect(),
            Self::Boolean(v) => v.iter().map(ToString::to_string).collect(),
            Self::Float(v) => v.iter().map(ToString::to_string).collect(),
        }
    }

    /// The column type of labels and predictions.
    #[must_use]
    pub fn column_type(&self) -> ColumnType {
        match self {
            Self::Text(_) => ColumnType::Text,
            Self::Integer(_) => ColumnType::Integer,
            Self::Boolean(_) => ColumnType::Boolean,
            Self::Float(_) => ColumnType::Float,
        }
    }

    /// Class indices as a column of the original labels.
    #[must_use]
    pub fn decode(&self, indices: &[usize]) -> crate::arrow::array::ArrayRef {
        use crate::arrow::array::{BooleanArray, Float64Array, Int64Array, StringArray};
        match self {
            Self::Text(v) => Arc::new(StringArray::from_iter_values(
                indices.iter().map(|&i| v[i].as_str()),
            )),
            Self::Integer(v) => {
                Arc::new(Int64Array::from_iter_values(indices.iter().map(|&i| v[i])))
            }
            Self::Boolean(v) => Arc::new(
                indices
                    .iter()
                    .map(|&i| Some(v[i]))
                    .collect::<BooleanArray>(),
            ),
            Self::Float(v) => Arc::new(Float64Array::from_iter_values(
                indices.iter().map(|&i| v[i]),
            )),
        }
    }

    /// The class index of each row's label; `None` for a null and for a value that is no class.
    ///
    /// # Errors
    /// No such column, or a type other than the classes'.
    pub fn encode(&self, batch: &Batch, column: &str) -> Result<Vec<Option<usize>>> {
        let found = &batch.schema().get(column)?.ty;
        let is_number = |t: &ColumnType| {
            matches!(
                t,
                ColumnType::Integer | ColumnType::Float | ColumnType::Boolean
            )
        };
        if *found != self.column_type() && !(is_number(found) && is_number(&self.column_type())) {
            let expected = format!("{} as in training", self.column_type());
            return Err(SchemaError::Type {
                column: column.to_owned(),
                found: found.to_string(),
                expected,
            }
            .into());
        }
        if let Self::Text(names) = self {
            let index: BTreeMap<&str, usize> = names
                .iter()
                .enumerate()
                .map(|(i, n)| (n.as_str(), i))
                .collect();
            return Ok(batch.text(column)?.map(None, |v| index.get(v).copied()));
        }
        let values: Vec<f64> = match self {
            Self::Integer(v) => v.iter().map(|x| *x as f64).collect(),
            Self::Boolean(v) => v.iter().map(|x| f64::from(u8::from(*x))).collect(),
            Self::Float(v) => v.clone(),
            Self::Text(_) => Vec::new(),
        };
        let find = |x: f64| values.binary_search_by(|v| v.total_cmp(&x)).ok();
        // -0.0 and 0.0 are one label.
        Ok(batch
            .numbers(column)?
            .iter()
            .map(|v| v.and_then(|x| find(x + 0.0)))
            .collect())
    }
}

/// Distinct numbers that are counted in a list.
const FEW: usize = 32;

/// Distinct label values of some rows; merged over all rows they become [`Classes`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelValues {
    text: BTreeMap<String, u64>,
    numbers: BTreeMap<i128, (f64, u64)>,
}

impl LabelValues {
    /// The distinct values of `column` with their counts.
    ///
    /// # Errors
    /// A null or non-finite label, or a type that is no label.
    pub fn of(batch: &Batch, column: &str) -> Result<Self> {
        let mut values = Self {
            text: BTreeMap::new(),
            numbers: BTreeMap::new(),
        };
        let missing = |i: usize| DataError::Value {
            column: column.to_owned(),
            row: batch.row_ids()[i],
            message: "the label is missing; drop such rows before training".to_owned(),
        };
        match batch.schema().get(column)?.ty {
            ColumnType::Text => {
                let text = batch.text(column)?;
                if let Some(i) = (0..text.len()).find(|&i| text.is_null(i)) {
                    return Err(missing(i));
                }
                for (v, n) in text.counts() {
                    match values.text.get_mut(v) {
                        Some(all) => *all += n,
                        None => drop(values.text.insert(v.to_owned(), n)),
                    }
                }
            }
            _ => {
                // Counted in a short list first: a tree is slow to ask for each of millions of rows.
                let mut few: Vec<(f64, u64)> = Vec::new();
                for (i, v) in batch.numbers(column)?.iter().enumerate() {
                    let v = v.ok_or_else(|| missing(i))? + 0.0;
                    if let Some((_, n)) = few.iter_mut().find(|(own, _)| *own == v) {
                        *n += 1;
                        continue;
                    }
                    if !v.is_finite() {
                        return Err(DataError::NotFinite {
                            column: column.to_owned(),
                            row: batch.row_ids()[i],
                            value: v,
                        });
                    }
                    if few.len() < FEW {
                        few.push((v, 1));
                    } else {
                        values.add(v, 1);
                    }
                }
                few.into_iter().for_each(|(v, n)| values.add(v, n));
            }
        }
        Ok(values)
    }

    fn add(&mut self, v: f64, n: u64) {
        self.numbers.entry(ordered(v)).or_insert((v, 0)).1 += n;
    }

    /// Adds the values of other rows.
    pub fn merge(&mut self, other: Self) {
        for (k, n) in other.text {
            *self.text.entry(k).or_insert(0) += n;
        }
        for (k, (v, n)) in other.numbers {
            self.numbers.entry(k).or_insert((v, 0)).1 += n;
        }
    }

    /// Number of distinct values.
    #[must_use]
    pub fn n_distinct(&self) -> usize {
        self.text.len() + self.numbers.len()
    }

    /// The class list, under the label's column type.
    #[must_use]
    pub fn classes(&self, ty: &ColumnType) -> Classes {
        let numbers = || self.numbers.values().map(|(v, _)| *v);
        match ty {
            ColumnType::Text => Classes::Text(self.text.keys().cloned().collect()),
            ColumnType::Integer => Classes::Integer(numbers().map(|v| v as i64).collect()),
            ColumnType::Boolean => Classes::Boolean(numbers().map(|v| v != 0.0).collect()),
            _ => Classes::Float(numbers().collect()),
        }
    }

    /// Rows per class, in class order.
    #[must_use]
    pub fn counts(&self) -> Vec<u64> {
        self.text
            .values()
            .copied()
            .chain(self.numbers.values().map(|(_, n)| *n))
            .collect()
    }
}

/// A key that sorts like the number (total order of finite values).
fn ordered(v: f64) -> i128 {
    let bits = v.to_bits() as i64;
    i128::from(bits ^ (((bits >> 63) as u64) >> 1) as i64)
}

//! How often each value of a column occurs.

use std::collections::BTreeMap;

use emberline_pipeline::datasets::{Batch, ColumnType, DataError, Dataset};
use emberline_pipeline::{Partial, Result, Round, Run};
use serde::{Deserialize, Serialize};

use super::no_rows;

/// Occurrences of each value of one column, missing ones left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Counts {
    /// Of text.
    Text(BTreeMap<String, u64>),
    /// Of numbers, under keys that sort like them.
    Number(BTreeMap<i64, u64>),
}

impl Counts {
    /// Number of distinct values.
    #[must_use]
    pub fn n_distinct(&self) -> usize {
        match self {
            Self::Text(m) => m.len(),
            Self::Number(m) => m.len(),
        }
    }

    /// Distinct numbers in ascending order with their counts; empty for text.
    pub fn numbers(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let map = if let Self::Number(m) = self {
            Some(m)
        } else {
            None
        };
        map.into_iter().flatten().map(|(k, n)| (number(*k), *n))
    }

    /// Distinct texts in alphabetical order with their counts; empty for numbers.
    pub fn texts(&self) -> impl Iterator<Item = (&str, u64)> {
        let map = if let Self::Text(m) = self {
            Some(m)
        } else {
            None
        };
        map.into_iter().flatten().map(|(k, n)| (k.as_str(), *n))
    }
}

/// A key that sorts like the number; -0 and 0 share one.
fn key(v: f64) -> i64 {
    flip((v + 0.0).to_bits() as i64)
}

fn number(key: i64) -> f64 {
    f64::from_bits(flip(key) as u64)
}

/// Turns the order of sign and magnitude into the order of integers, and back.
fn flip(bits: i64) -> i64 {
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

/// The counts of several columns.
#[derive(Serialize, Deserialize)]
pub(super) struct AllCounts {
    rows: u64,
    columns: Vec<Counts>,
}

impl Partial for AllCounts {
    fn merge(&mut self, later: Self) {
        self.rows += later.rows;
        for (own, other) in self.columns.iter_mut().zip(later.columns) {
            match (own, other) {
                (Counts::Text(a), Counts::Text(b)) => b
                    .into_iter()
                    .for_each(|(k, n)| *a.entry(k).or_insert(0) += n),
                (Counts::Number(a), Counts::Number(b)) => {
                    b.into_iter()
                        .for_each(|(k, n)| *a.entry(k).or_insert(0) += n);
                }
                // A column has one type in every batch.
                _ => {}
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct CountRound {
    columns: Vec<String>,
    missing: Option<f64>,
}

impl Round for CountRound {
    const NAME: &'static str = "stats/counts";
    type Unit = Batch;
    type Partial = AllCounts;
    type Scratch = ();

    fn map(&self, batch: &Batch, (): &mut ()) -> std::result::Result<AllCounts, DataError> {
        let mut columns = Vec::with_capacity(self.columns.len());
        for name in &self.columns {
            columns.push(if batch.schema().get(name)?.ty == ColumnType::Text {
                let text = batch.text(name)?;
                let mut counts: BTreeMap<String, u64> = BTreeMap::new();
                for (value, n) in text.counts() {
                    match counts.get_mut(value) {
                        Some(all) => *all += n,
                        None => drop(counts.insert(value.to_owned(), n)),
                    }
                }
                Counts::Text(counts)
            } else {
                let mut counts = BTreeMap::new();
                for v in batch
                    .numbers(name)?
                    .iter()
                    .flatten()
                    .filter(|v| !v.is_nan() && Some(*v) != self.missing)
                {
                    *counts.entry(key(v)).or_insert(0) += 1;
                }
                Counts::Number(counts)
            });
        }
        Ok(AllCounts {
            rows: batch.num_rows() as u64,
            columns,
        })
    }
}

/// Number of rows, and the counts of each of `columns` (text or numbers); numbers equal to `missing` are left out as nulls are.
///
/// # Errors
/// No rows, or the data cannot be read.
pub fn count(
    data: &Dataset,
    columns: &[String],
    missing: Option<f64>,
    run: &Run,
) -> Result<(u64, Vec<Counts>)> {
    let round = CountRound {
        columns: columns.to_vec(),
        missing,
    };
    let counted = run.scan(data, columns, &round)?.ok_or_else(no_rows)?;
    Ok((counted.rows, counted.columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_like_numbers_and_give_them_back() {
        let values = [
            f64::NEG_INFINITY,
            -2.5,
            -1e-300,
            0.0,
            1e-300,
            7.0,
            f64::INFINITY,
        ];
        assert!(values.windows(2).all(|w| key(w[0]) < key(w[1])));
        assert!(
            values
                .iter()
                .all(|v| number(key(*v)).to_bits() == v.to_bits())
        );
        assert_eq!(key(-0.0), key(0.0));
    }
}

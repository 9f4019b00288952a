//! Hold-out splits, folds and samples by hash of the row id.
//!
//! Which side a row falls on follows from the seed and the row's id (or its group), and from how many rows there are:
//! never from partitions, threads or chunk sizes. One pass over the ids, and over the column of classes or groups where
//! one is named, finds thresholds that make the counts exact; afterwards a side is the same source with a step that
//! leaves the other rows out. The pass holds 8 bytes a row.

mod plan;
mod rule;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::dataset::Dataset;
use crate::dataset::RowOp;
use crate::keys::check_key;
use crate::random::Draw;
use crate::recipe::Step;
use crate::{DataError, Result};
use rule::{Keep, PartRows};

/// The step of a recipe, if it keeps a side of a split.
pub(crate) fn split_step(step: &Step) -> Option<Result<Arc<dyn RowOp>>> {
    (step.name == rule::STEP).then(|| Ok(Arc::new(step.read::<PartRows>()?) as Arc<dyn RowOp>))
}

/// How to hold rows out for testing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// Share of rows held out, above 0 and below 1. The count is rounded to the nearest row, halves up.
    pub test: f64,
    /// Column whose values keep their shares on both sides (usually the label).
    #[serde(default)]
    pub stratify: Option<String>,
    /// Column whose equal values stay on one side; rows without a value are each on their own.
    #[serde(default)]
    pub group: Option<String>,
    /// Seed.
    #[serde(default)]
    pub seed: u64,
}

impl Split {
    /// Holds out a share `test` of the rows, at random under `seed`.
    #[must_use]
    pub fn new(test: f64, seed: u64) -> Self {
        Self {
            test,
            stratify: None,
            group: None,
            seed,
        }
    }

    /// The same split, keeping the shares of the values of `column`.
    #[must_use]
    pub fn stratified(mut self, column: impl Into<String>) -> Self {
        self.stratify = Some(column.into());
        self
    }

    /// The same split, keeping rows with equal values of `column` together.
    #[must_use]
    pub fn grouped(mut self, column: impl Into<String>) -> Self {
        self.group = Some(column.into());
        self
    }
}

/// How to cut rows into `k` folds for cross-validation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Folds {
    /// Number of folds, at least 2 and at most the number of rows (or groups).
    pub k: usize,
    /// Column whose values keep their shares in every fold.
    #[serde(default)]
    pub stratify: Option<String>,
    /// Column whose equal values stay in one fold; rows without a value are each on their own.
    #[serde(default)]
    pub group: Option<String>,
    /// Seed.
    #[serde(default)]
    pub seed: u64,
}

impl Folds {
    /// `k` folds at random under `seed`.
    #[must_use]
    pub fn new(k: usize, seed: u64) -> Self {
        Self {
            k,
            stratify: None,
            group: None,
            seed,
        }
    }
}

/// The two sides of a split.
#[derive(Debug, Clone)]
pub struct HeldOut {
    /// Rows to fit on.
    pub train: Dataset,
    /// Rows held out.
    pub test: Dataset,
    /// What the user should know: classes too small to be on both sides.
    pub warnings: Vec<String>,
}

impl Dataset {
    /// Holds rows out: the test side has exactly `round(n * test)` rows.
    ///
    /// With `stratify`, each value has its share of the test rows by the method of the largest remainder, and keeps at
    /// least one training row; a value with one row stays in training, with a warning. Rows without a value are a stratum
    /// of their own. A numeric column with more than 100 values and fewer than 20 rows a value (a regression target) is
    /// cut at its deciles first. With `group`, whole groups are held out, in the order of their hashes, as many as
    /// come nearest to the count.
    ///
    /// - cost: one pass over the row ids and the named column; 8 bytes a row (16 a group) while it lasts
    ///
    /// # Errors
    /// `test` is not inside (0, 1), a side would be empty, a column is absent or a vector, `stratify` and `group` are
    /// both given (whole groups have no exact class counts), or reading fails.
    ///
    /// # Example
    /// ```
    /// use emberline_datasets::{Column, ColumnType, Dataset, Split};
    /// use std::sync::Arc;
    /// let x: emberline_datasets::arrow::array::Float64Array = (0..100).map(|i| Some(f64::from(i))).collect();
    /// let data = Dataset::from_columns(vec![(Column::new("x", ColumnType::Float, false), Arc::new(x))])?;
    /// let parts = data.split(&Split::new(0.25, 42))?;
    /// assert_eq!((parts.train.count()?, parts.test.count()?), (75, 25));
    /// # Ok::<(), emberline_datasets::DataError>(())
    /// ```
    pub fn split(&self, split: &Split) -> Result<HeldOut> {
        if !(split.test > 0.0 && split.test < 1.0) {
            return Err(DataError::Unusable(format!(
                "`test` must be above 0 and below 1 (a share of the rows), got {}",
                split.test
            )));
        }
        let draw = Draw::new(split.seed, "split");
        let column = self.split_column(split.stratify.as_deref(), split.group.as_deref())?;
        let (rule, warnings) = plan::hold_out(self, split.test, column, draw)?;
        Ok(HeldOut {
            train: self.part("split", &rule, Keep::Others(plan::TEST))?,
            test: self.part("split", &rule, Keep::Part(plan::TEST))?,
            warnings,
        })
    }

    /// All `k` folds: in entry `i`, fold `i` is the test side and the other folds are the training side.
    ///
    /// Fold sizes differ by at most one row (by at most the largest group, with `group`); with `stratify` those of each
    /// value do too. Regression targets are cut at their deciles as in [`Dataset::split`].
    ///
    /// # Errors
    /// `k` is under 2 or over the number of rows or groups, and as [`Dataset::split`].
    pub fn folds(&self, folds: &Folds) -> Result<Vec<HeldOut>> {
        if folds.k < 2 {
            return Err(DataError::Unusable(format!(
                "the number of folds must be at least 2, got {}",
                folds.k
            )));
        }
        let draw = Draw::new(folds.seed, "folds");
        let column = self.split_column(folds.stratify.as_deref(), folds.group.as_deref())?;
        let (rule, warnings) = plan::folds(self, folds.k, column, draw)?;
        (0..folds.k as u32)
            .map(|i| {
                Ok(HeldOut {
                    train: self.part("fold", &rule, Keep::Others(i))?,
                    test: self.part("fold", &rule, Keep::Part(i))?,
                    warnings: warnings.clone(),
                })
            })
            .collect()
    }

    /// Fold `i` (from 0) of [`Dataset::folds`].
    ///
    /// # Errors
    /// As [`Dataset::folds`], and where `i` is not below `k`.
    pub fn fold(&self, folds: &Folds, i: usize) -> Result<HeldOut> {
        self.folds(folds)?.into_iter().nth(i).ok_or_else(|| {
            DataError::Unusable(format!("fold {i} does not exist, there are {}", folds.k))
        })
    }

    /// About a share `fraction` of the rows, each kept by its own draw; reads nothing now.
    ///
    /// # Errors
    /// `fraction` is not above 0 and at most 1.
    pub fn sample(&self, fraction: f64, seed: u64) -> Result<Self> {
        if !(fraction > 0.0 && fraction <= 1.0) {
            return Err(DataError::Unusable(format!(
                "the fraction must be above 0 and at most 1, got {fraction}"
            )));
        }
        let rule = rule::share(fraction, Draw::new(seed, "sample"));
        self.part("sample", &Arc::new(rule), Keep::Part(0))
    }

    fn part(&self, name: &str, rule: &Arc<rule::Rule>, keep: Keep) -> Result<Self> {
        self.with_op(Arc::new(PartRows::new(name, rule.clone(), keep)))
    }

    fn split_column<'a>(
        &self,
        stratify: Option<&'a str>,
        group: Option<&'a str>,
    ) -> Result<plan::By<'a>> {
        let by = match (stratify, group) {
            (Some(stratify), Some(group)) => {
                return Err(DataError::Unusable(format!(
                    "`stratify` (`{stratify}`) and `group` (`{group}`) exclude each other: whole groups have no exact class counts; drop one of them"
                )));
            }
            (Some(column), None) => plan::By::Values(column),
            (None, Some(column)) => plan::By::Groups(column),
            (None, None) => plan::By::Rows,
        };
        if let Some(column) = by.column() {
            check_key(self.schema(), column)?;
        }
        Ok(by)
    }
}

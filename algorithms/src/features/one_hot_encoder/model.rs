//! From the number of a category to its slots.

use std::sync::Arc;

use emberline_pipeline::datasets::{Attribute, Column, ColumnType, SchemaError, Slot};
use emberline_pipeline::invalid::{Fate, Reason};
use emberline_pipeline::persist::{state, to_state};
use emberline_pipeline::{Arrays, ModelError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::params::OneHotInvalid;
use crate::adapters::{Refusal, VectorMap};
use crate::columns::Choice;

/// Name of the category that stands for values that are none, under `handle_invalid = "keep"` without `drop_last`.
const INVALID: &str = "__invalid__";

/// The categories of each column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneHot {
    drop_last: bool,
    handle_invalid: OneHotInvalid,
    categories: Vec<Arc<[String]>>,
}

impl OneHot {
    pub(super) fn new(
        drop_last: bool,
        handle_invalid: OneHotInvalid,
        categories: Vec<Vec<String>>,
    ) -> Self {
        let categories = categories.into_iter().map(Into::into).collect();
        Self {
            drop_last,
            handle_invalid,
            categories,
        }
    }

    /// The categories of input column `k` in the order of their numbers.
    #[must_use]
    pub fn categories(&self, k: usize) -> &[String] {
        &self.categories[k]
    }
}

pub(super) fn choice() -> Choice {
    Choice {
        expected: "an index of categories (see `string_indexer`), a boolean or a number",
        by_name: |c| c.ty.is_numeric(),
        by_glob: |c| c.ty.is_numeric() && matches!(c.attribute, Attribute::Nominal { .. }),
        output: |name| format!("{}_onehot", stem(name)),
    }
}

/// The name of a column without the ending the indexer gave it.
fn stem(name: &str) -> &str {
    name.strip_suffix("_index")
        .filter(|s| !s.is_empty())
        .unwrap_or(name)
}

/// The categories a column states, where it does.
pub(super) fn known(column: &Column) -> Option<Vec<String>> {
    let two = |a: &str, b: &str| Some(vec![a.to_owned(), b.to_owned()]);
    match (&column.attribute, &column.ty) {
        (Attribute::Nominal { categories }, _) if !categories.is_empty() => {
            Some(categories.to_vec())
        }
        (_, ColumnType::Boolean) => two("false", "true"),
        (Attribute::Binary, _) => two("0", "1"),
        _ => None,
    }
}

/// The vector column for these categories of `input`.
pub(super) fn spread(
    input: &Column,
    categories: &[String],
    drop_last: bool,
    invalid: OneHotInvalid,
) -> Column {
    let extra = (invalid == OneHotInvalid::Keep).then_some(INVALID);
    let all: Vec<&str> = categories.iter().map(String::as_str).chain(extra).collect();
    let kept = &all[..all.len().saturating_sub(usize::from(drop_last))];
    let slots = kept.iter().map(|category| Slot {
        name: format!("{}={category}", stem(&input.name)),
        column: input.origin().to_owned(),
        attribute: Attribute::Binary,
    });
    Column::vector("", slots.collect()).sparse()
}

impl OneHot {
    /// The number of the category that a value of column `k` stands for.
    #[inline]
    fn category(&self, k: usize, value: f64) -> Option<usize> {
        // Whole numbers alone survive the way to an integer and back.
        let slot = value as usize;
        (value >= 0.0 && slot < self.categories[k].len() && slot as f64 == value).then_some(slot)
    }

    /// The slot of a value of column `k`. The one that was left out has no place: it lies beyond the width.
    #[inline]
    fn slot(&self, k: usize, value: f64) -> Result<usize, Refusal> {
        if let Some(slot) = self.category(k, value) {
            return Ok(slot);
        }
        let n = self.categories[k].len();
        match (self.handle_invalid, value.is_nan()) {
            (OneHotInvalid::Keep, _) => Ok(n),
            (OneHotInvalid::Error, true) => Err(Refusal::Missing),
            (OneHotInvalid::Error, false) => Err(no_category(value, n)),
        }
    }
}

impl VectorMap for OneHot {
    const STAGE: &'static str = "one_hot_encoder";

    fn choice(&self) -> Choice {
        choice()
    }

    fn column(&self, k: usize, input: &Column) -> Result<Column, SchemaError> {
        Ok(spread(
            input,
            &self.categories[k],
            self.drop_last,
            self.handle_invalid,
        ))
    }

    fn map(&self, k: usize, x: &[f64], out: &mut [f64]) -> Result<(), Refusal> {
        out.fill(0.0);
        if let Some(slot) = out.get_mut(self.slot(k, x[0])?) {
            *slot = 1.0;
        }
        Ok(())
    }

    fn map_stored(
        &self,
        k: usize,
        x: &[f64],
        width: usize,
        mut push: impl FnMut(u32, f64),
    ) -> Result<(), Refusal> {
        let slot = self.slot(k, x[0])?;
        if slot < width {
            push(slot as u32, 1.0);
        }
        Ok(())
    }

    fn invalid_fate(&self) -> Option<Fate> {
        (self.handle_invalid == OneHotInvalid::Keep).then_some(Fate::Kept)
    }

    fn invalid(&self, k: usize, x: &[f64]) -> Option<Reason> {
        match self.category(k, x[0]) {
            Some(_) => None,
            None if x[0].is_nan() => Some(Reason::Missing),
            None => Some(Reason::Unseen),
        }
    }

    fn save(&self, _: &mut Arrays) -> Value {
        to_state(self)
    }

    fn load(value: &Value, _: &Arrays, columns: usize) -> Result<Self, ModelError> {
        let map: Self = state(Self::STAGE, value)?;
        if map.categories.len() == columns {
            return Ok(map);
        }
        let message = format!(
            "{} lists of categories for {columns} columns",
            map.categories.len()
        );
        Err(ModelError::stage(Self::STAGE, message))
    }
}

fn no_category(value: f64, n: usize) -> Refusal {
    Refusal::Value(format!(
        "{value} is no category: whole numbers from 0 to {} were seen in training; set `handle_invalid = \"keep\"` in this stage",
        n.saturating_sub(1)
    ))
}

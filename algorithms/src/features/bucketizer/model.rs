//! From a number to its bucket; the model of `bucketizer` and of `quantile_discretizer`.

use std::borrow::Cow;
use std::marker::PhantomData;

use emberline_pipeline::datasets::{Attribute, Column, ColumnType, SchemaError, SchemaErrors};
use emberline_pipeline::invalid::{Fate, Reason};
use emberline_pipeline::persist::{state, to_state};
use emberline_pipeline::{Arrays, ModelError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::params::BucketizerParams;
use crate::adapters::{
    At, ColumnParams, Datum, HandleInvalid, Refusal, ScalarMap, ScalarRule, extended_lists,
};
use crate::columns::Choice;

/// Name of the bucket of missing values under `handle_invalid = "keep"`.
const MISSING: &str = "__missing__";

/// The splits of each column, for a stage with parameters `P`.
#[derive(Debug, Clone)]
pub struct Buckets<P = BucketizerParams> {
    splits: Vec<Vec<f64>>,
    handle_invalid: HandleInvalid,
    stage: PhantomData<fn() -> P>,
}

impl<P> Buckets<P> {
    /// Buckets between splits, increasing and at least two in each list; a single list serves all columns.
    #[must_use]
    pub fn new(splits: Vec<Vec<f64>>, handle_invalid: HandleInvalid) -> Self {
        Self {
            splits,
            handle_invalid,
            stage: PhantomData,
        }
    }

    /// The splits of each column.
    #[must_use]
    pub fn splits(&self) -> &[Vec<f64>] {
        &self.splits
    }
}

impl ScalarRule for Buckets<BucketizerParams> {
    type Params = BucketizerParams;

    fn from_params(params: &BucketizerParams) -> Self {
        let one = || vec![params.splits.clone()];
        let splits = if params.splits_array.is_empty() {
            one()
        } else {
            params.splits_array.clone()
        };
        Self::new(splits, params.handle_invalid)
    }
}

/// Columns that can be put into buckets.
#[must_use]
pub fn bucketed_columns() -> Choice {
    Choice {
        expected: "a number",
        by_name: |c| c.ty.is_numeric(),
        by_glob: |c| {
            matches!(c.ty, ColumnType::Integer | ColumnType::Float)
                && c.attribute == Attribute::Numeric
        },
        output: |name| format!("{name}_bucket"),
    }
}

/// The column of bucket numbers, with as much of the buckets as is known.
pub(crate) fn bucketed(categories: Vec<String>) -> Column {
    let attribute = Attribute::Nominal {
        categories: categories.into(),
    };
    Column::new("", ColumnType::Integer, false).with_attribute(attribute)
}

impl<P: ColumnParams> ScalarMap for Buckets<P> {
    const STAGE: &'static str = P::NAME;

    fn choice(&self) -> Choice {
        bucketed_columns()
    }

    fn bound(&self, inputs: &[&Column]) -> Result<Cow<'_, Self>, SchemaErrors> {
        match self.splits.len() {
            n if n == inputs.len() => Ok(Cow::Borrowed(self)),
            1 => Ok(Cow::Owned(Self::new(
                vec![self.splits[0].clone(); inputs.len()],
                self.handle_invalid,
            ))),
            n => Err(SchemaError::Rule(format!(
                "`splits_array` has {n} lists for {} columns",
                inputs.len()
            ))
            .into()),
        }
    }

    fn column(&self, at: At, _: &Column) -> Result<Column, SchemaError> {
        let splits = &self.splits[at.column];
        let last = splits.len().saturating_sub(2);
        let close = |i: usize| {
            if i == last && splits[i + 1].is_finite() {
                ']'
            } else {
                ')'
            }
        };
        let open = |i: usize| if splits[i].is_finite() { '[' } else { '(' };
        let bucket = |i: usize| format!("{}{}, {}{}", open(i), splits[i], splits[i + 1], close(i));
        let missing = (self.handle_invalid == HandleInvalid::Keep).then(|| MISSING.to_owned());
        Ok(bucketed((0..=last).map(bucket).chain(missing).collect()))
    }

    fn map<'a>(&'a self, at: At, value: Datum<'a>) -> Result<Datum<'a>, Refusal> {
        let splits = &self.splits[at.column];
        let buckets = splits.len() - 1;
        let Datum::Number(v) = value else {
            return match self.handle_invalid {
                HandleInvalid::Error => Err(Refusal::Missing),
                HandleInvalid::Skip => Err(Refusal::Skip),
                HandleInvalid::Keep => Ok(Datum::Number(buckets as f64)),
            };
        };
        // How many splits are at or below the value; the greatest split itself belongs to the last bucket.
        let below = splits.partition_point(|s| *s <= v);
        if below == 0 || v > splits[buckets] {
            return Err(Refusal::Value(format!(
                "{v} lies outside of the buckets from {} to {}; begin the splits with -inf and end them with inf",
                splits[0], splits[buckets]
            )));
        }
        Ok(Datum::Number((below.min(buckets) - 1) as f64))
    }

    fn invalid_fate(&self) -> Option<Fate> {
        self.handle_invalid.fate()
    }

    fn invalid(&self, _: At, value: Datum<'_>) -> Option<Reason> {
        (!matches!(value, Datum::Number(_))).then_some(Reason::Missing)
    }

    fn save(&self, _: &mut Arrays) -> Value {
        to_state(&Saved {
            splits: self.splits.clone(),
            handle_invalid: self.handle_invalid,
        })
    }

    fn load(value: &Value, _: &Arrays, columns: usize) -> Result<Self, ModelError> {
        let saved: Saved = state(Self::STAGE, value)?;
        let fits = |l: &Vec<f64>| l.len() >= 2 && l.windows(2).all(|w| w[0] < w[1]);
        if (saved.splits.len() == 1 || saved.splits.len() == columns)
            && saved.splits.iter().all(fits)
        {
            return Ok(Self::new(saved.splits, saved.handle_invalid));
        }
        let message = format!(
            "{} lists of splits for {columns} columns, or not increasing",
            saved.splits.len()
        );
        Err(ModelError::stage(Self::STAGE, message))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    #[serde(with = "extended_lists")]
    splits: Vec<Vec<f64>>,
    handle_invalid: HandleInvalid,
}

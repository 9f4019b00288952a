//! Slots shifted and divided, each by numbers of its own: the model of every scaler.

use std::marker::PhantomData;

use emberline_pipeline::datasets::{Attribute, Column, ColumnType, Dataset, SchemaError};
use emberline_pipeline::persist::{state, to_state};
use emberline_pipeline::predictor::other_slots;
use emberline_pipeline::{Arrays, FitReport, Fitted, ModelError, Result, Run};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    At, ColumnMapper, ColumnParams, Datum, Learn, Refusal, ScalarMap, elementwise, value_name,
    width,
};
use crate::columns::{Choice, Pair};

/// What scalers take: vectors or numbers, in place unless an output is named. A glob takes measured numbers alone, neither
/// booleans nor indices of categories.
#[must_use]
pub fn scaled_columns() -> Choice {
    Choice {
        expected: "a number or a vector",
        by_name: |c| c.ty.is_numeric() || c.ty.is_vector(),
        by_glob: |c| {
            matches!(c.ty, ColumnType::Integer | ColumnType::Float)
                && c.attribute == Attribute::Numeric
        },
        output: ToOwned::to_owned,
    }
}

/// What is taken away from a slot, and what it is then divided by; without a divisor it becomes the middle of the range.
pub type SlotScale = (f64, Option<f64>);

/// Parameters of a scaler, and what it does with each slot.
pub trait ScalerParams: ColumnParams {
    /// The scale of each slot, in slot order, and the number of rows.
    ///
    /// # Errors
    /// The data cannot be read or used.
    fn slots(&self, data: &Dataset, columns: &[String], run: &Run)
    -> Result<(Vec<SlotScale>, u64)>;

    /// What the quotient is multiplied with, and what is then added.
    fn range(&self) -> (f64, f64) {
        (1.0, 0.0)
    }
}

/// `(x - shift) / divisor * factor + offset` per slot; a missing value stays missing.
///
/// A divisor of 0 stands for "constant in training, written as the middle": `0.5 * factor + offset`.
#[derive(Debug, Clone)]
pub struct Scaling<P> {
    shift: Vec<f64>,
    divisor: Vec<f64>,
    factor: f64,
    offset: f64,
    widths: Vec<usize>,
    slots: Vec<Vec<String>>,
    scaler: PhantomData<fn() -> P>,
}

impl<P> Scaling<P> {
    /// What is taken away from each slot.
    #[must_use]
    pub fn shift(&self) -> &[f64] {
        &self.shift
    }

    /// What each slot is divided by; 0 where it was constant and becomes the middle of the range.
    #[must_use]
    pub fn divisor(&self) -> &[f64] {
        &self.divisor
    }
}

impl<P: ScalerParams> ScalarMap for Scaling<P> {
    const STAGE: &'static str = <P as ColumnParams>::NAME;

    fn choice(&self) -> Choice {
        scaled_columns()
    }

    fn column(&self, at: At, input: &Column) -> std::result::Result<Column, SchemaError> {
        let named = self.slots.get(at.column).filter(|names| !names.is_empty());
        if let Some(names) = named {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            if let Some(error) = other_slots(input, &names) {
                return Err(error);
            }
        }
        let trained = self.widths.get(at.column).copied();
        if trained.is_none() || width(input) != trained {
            return Err(SchemaError::Type {
                column: input.name.clone(),
                found: input.ty.to_string(),
                expected: format!("{} slots as in training", trained.unwrap_or(0)),
            });
        }
        Ok(elementwise(input, &Attribute::Numeric))
    }

    fn map<'a>(&'a self, at: At, value: Datum<'a>) -> std::result::Result<Datum<'a>, Refusal> {
        let Datum::Number(x) = value else {
            return Ok(Datum::Missing);
        };
        let divisor = self.divisor[at.slot];
        let unit = if divisor == 0.0 {
            0.5
        } else {
            (x - self.shift[at.slot]) / divisor
        };
        Ok(Datum::Number(unit * self.factor + self.offset))
    }

    fn map_numbers(&self, at: At, values: &mut [f64]) -> bool {
        let (shift, divisor) = (self.shift[at.slot], self.divisor[at.slot]);
        for x in values {
            let unit = if divisor == 0.0 {
                if x.is_nan() { *x } else { 0.5 }
            } else {
                (*x - shift) / divisor
            };
            *x = unit * self.factor + self.offset;
        }
        true
    }

    fn save(&self, arrays: &mut Arrays) -> Value {
        arrays.put_f64("shift", &self.shift);
        arrays.put_f64("divisor", &self.divisor);
        to_state(&Saved {
            factor: self.factor,
            offset: self.offset,
            widths: self.widths.clone(),
            slots: self.slots.clone(),
        })
    }

    fn load(
        value: &Value,
        arrays: &Arrays,
        columns: usize,
    ) -> std::result::Result<Self, ModelError> {
        let Saved {
            factor,
            offset,
            widths,
            slots: names,
        } = state(Self::STAGE, value)?;
        let slots = widths.iter().try_fold(0usize, |a, w| a.checked_add(*w));
        let (Some(slots), true) = (slots, widths.len() == columns) else {
            return Err(ModelError::stage(
                Self::STAGE,
                format!("{} widths for {columns} columns", widths.len()),
            ));
        };
        let shift = arrays.vector(Self::STAGE, "shift", slots)?.to_vec();
        let divisor = arrays.vector(Self::STAGE, "divisor", slots)?.to_vec();
        let fits =
            |(names, width): (&Vec<String>, &usize)| names.is_empty() || names.len() == *width;
        if !names.is_empty() && (names.len() != columns || !names.iter().zip(&widths).all(fits)) {
            return Err(ModelError::stage(
                Self::STAGE,
                "its slots are not those of its columns",
            ));
        }
        Ok(Self {
            shift,
            divisor,
            factor,
            offset,
            widths,
            slots: names,
            scaler: PhantomData,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    factor: f64,
    offset: f64,
    widths: Vec<usize>,
    /// Names of the slots of each column; none for numbers, and for vectors without names. Absent where no column has any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    slots: Vec<Vec<String>>,
}

impl<P: ScalerParams> Learn for P {
    type Model = ColumnMapper<Scaling<P>>;

    fn choice(&self) -> Choice {
        scaled_columns()
    }

    fn column(&self, input: &Column) -> std::result::Result<Column, SchemaError> {
        Ok(elementwise(input, &Attribute::Numeric))
    }

    fn learn(&self, data: &Dataset, pairs: &[Pair], run: &Run) -> Result<Fitted<Self::Model>> {
        let columns: Vec<String> = pairs.iter().map(|p| p.input.clone()).collect();
        let (slots, rows) = self.slots(data, &columns, run)?;
        let (factor, offset) = self.range();
        let inputs = columns
            .iter()
            .map(|c| data.schema().get(c).cloned())
            .collect::<std::result::Result<Vec<_>, _>>();
        let inputs = inputs.map_err(emberline_pipeline::datasets::SchemaErrors::from)?;
        let mut names: Vec<Vec<String>> = inputs
            .iter()
            .map(|c| c.slots.iter().map(|s| s.name.clone()).collect())
            .collect();
        if names.iter().all(Vec::is_empty) {
            names.clear();
        }
        let widths = inputs
            .iter()
            .map(|c| width(c).unwrap_or(slots.len()))
            .collect();
        let map = Scaling {
            shift: slots.iter().map(|s| s.0).collect(),
            divisor: slots.iter().map(|s| s.1.unwrap_or(0.0)).collect(),
            factor,
            offset,
            widths,
            slots: names,
            scaler: PhantomData,
        };
        let report = FitReport {
            rows,
            rounds: 1,
            ..FitReport::default()
        };
        Ok(Fitted {
            model: ColumnMapper::fitted(pairs, self, map),
            report,
        })
    }
}

/// Names of slots, for messages: `column`, `column[slot]`.
pub(crate) fn slot_names(data: &Dataset, columns: &[String]) -> Vec<String> {
    let known = columns.iter().filter_map(|c| data.schema().get(c).ok());
    known
        .flat_map(|c| (0..width(c).unwrap_or(0)).map(|j| value_name(c, j)))
        .collect()
}

//! Finding what to fill in.

use emberline_pipeline::datasets::{
    Attribute, Column, ColumnType, DataError, Dataset, SchemaError, SchemaErrors,
};
use emberline_pipeline::{FitReport, Fitted, Result, Run};

use super::model::{Fill, Filled, Filling, filled};
use super::{FillValue, ImputerModel, ImputerParams, Strategy};
use crate::adapters::{ColumnMapper, Learn};
use crate::columns::{Choice, Pair};
use crate::stats::{Counts, count, moments, no_values, quantile_linear, sorted_values};

impl Learn for ImputerParams {
    type Model = ImputerModel;

    fn choice(&self) -> Choice {
        let output = ToOwned::to_owned;
        let numbers = Choice {
            expected: "a number (fill text by `mode` or a text `constant`)",
            by_name: |c| c.ty.is_numeric(),
            by_glob: |c| c.ty.is_numeric() && is_no_index(c),
            output,
        };
        match (&self.value, self.strategy) {
            (_, Strategy::Mean | Strategy::Median) | (Some(FillValue::Number(_)), _) => numbers,
            (Some(FillValue::Text(_)), _) => Choice {
                expected: "text (fill numbers by a number)",
                by_name: |c| c.ty == ColumnType::Text,
                by_glob: |c| c.ty == ColumnType::Text,
                output,
            },
            (None, _) => Choice {
                expected: "a number or text",
                by_name: |c| c.ty.is_numeric() || c.ty == ColumnType::Text,
                by_glob: |c| (c.ty.is_numeric() || c.ty == ColumnType::Text) && is_no_index(c),
                output,
            },
        }
    }

    fn column(&self, input: &Column) -> std::result::Result<Column, SchemaError> {
        Ok(filled(input, &self.output_type(&input.ty), self.keep_empty))
    }

    fn learn(&self, data: &Dataset, pairs: &[Pair], run: &Run) -> Result<Fitted<ImputerModel>> {
        let inputs: Vec<String> = pairs.iter().map(|p| p.input.clone()).collect();
        let (rows, fills) = self.fills(data, &inputs, run)?;
        let mut columns = Vec::with_capacity(fills.len());
        for (name, fill) in inputs.iter().zip(fills) {
            let from = data
                .schema()
                .get(name)
                .map_err(SchemaErrors::from)?
                .ty
                .clone();
            let fill = match fill {
                Some(fill) => fill,
                None if self.keep_empty => Fill::Nothing,
                None => return Err(empty(name).into()),
            };
            columns.push(Filled {
                to: self.output_type(&from),
                from,
                fill,
            });
        }
        let rounds = u64::from(self.strategy != Strategy::Constant);
        let map = Filling {
            missing: self.missing_value,
            columns,
        };
        let report = FitReport {
            rows,
            rounds,
            ..FitReport::default()
        };
        Ok(Fitted {
            model: ColumnMapper::fitted(pairs, self, map),
            report,
        })
    }
}

impl ImputerParams {
    /// Number of rows (0 where none are read), and what to fill into each column, where it has values.
    fn fills(
        &self,
        data: &Dataset,
        inputs: &[String],
        run: &Run,
    ) -> Result<(u64, Vec<Option<Fill>>)> {
        let missing = self.missing_value;
        match self.strategy {
            Strategy::Constant => {
                let fill = self.value.clone().map(|value| match value {
                    FillValue::Number(v) => Fill::Number(v),
                    FillValue::Text(t) => Fill::Text(t),
                });
                Ok((0, vec![fill; inputs.len()]))
            }
            Strategy::Mean => {
                let found = moments(data, inputs, missing, run)?;
                let mut means = Vec::with_capacity(inputs.len());
                for (name, m) in inputs.iter().zip(&found.slots) {
                    if m.count() > 0 && !m.mean().is_finite() {
                        return Err(DataError::Unusable(format!(
                            "column `{name}`: its mean overflows; scale it first, or use `strategy = \"median\"`"
                        ))
                        .into());
                    }
                    means.push((m.count() > 0).then(|| Fill::Number(m.mean())));
                }
                Ok((found.rows, means))
            }
            Strategy::Median => {
                let mut medians = vec![None; inputs.len()];
                let rows = sorted_values(data, inputs, missing, inputs.len(), run, |j, values| {
                    medians[j] = quantile_linear(values, 0.5).map(Fill::Number);
                    Ok(())
                })?;
                Ok((rows, medians))
            }
            Strategy::Mode => {
                let (rows, counts) = count(data, inputs, missing, run)?;
                Ok((rows, counts.iter().map(mode).collect()))
            }
        }
    }

    /// Integers and booleans stay so where what is filled in is one of them.
    fn output_type(&self, input: &ColumnType) -> ColumnType {
        // Whole numbers are exact in f64 up to 2^53.
        let is_whole = |v: f64| v.fract() == 0.0 && v.abs() <= 9_007_199_254_740_992.0;
        let stays = match (self.strategy, &self.value, input) {
            (Strategy::Mode, ..) | (_, _, ColumnType::Text | ColumnType::Float) => true,
            (Strategy::Constant, Some(FillValue::Number(v)), ColumnType::Integer) => is_whole(*v),
            (Strategy::Constant, Some(FillValue::Number(v)), ColumnType::Boolean) => {
                *v == 0.0 || *v == 1.0
            }
            _ => false,
        };
        if stays {
            input.clone()
        } else {
            ColumnType::Float
        }
    }
}

fn is_no_index(column: &Column) -> bool {
    !matches!(column.attribute, Attribute::Nominal { .. })
}

/// The most frequent value, the least of several.
fn mode(counts: &Counts) -> Option<Fill> {
    // Values come in ascending order and only a greater count replaces: the least of several wins.
    fn first<T>(values: impl Iterator<Item = (T, u64)>) -> Option<T> {
        let best = values.reduce(|best, next| if next.1 > best.1 { next } else { best });
        best.map(|(v, _)| v)
    }
    let text = first(counts.texts()).map(|t| Fill::Text(t.to_owned()));
    text.or_else(|| first(counts.numbers()).map(Fill::Number))
}

fn empty(name: &str) -> DataError {
    match no_values(name) {
        DataError::Unusable(message) => DataError::Unusable(format!(
            "{}; or use `strategy = \"constant\"`, or `keep_empty = true` to leave it as it is",
            message.trim_end_matches(", or impute it before")
        )),
        other => other,
    }
}

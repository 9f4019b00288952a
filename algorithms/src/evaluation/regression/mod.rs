//! `regression`: how far predicted numbers lie from the true ones.

mod moments;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::Result;
use emberline_pipeline::datasets::{Dataset, Schema, SchemaErrors};
use emberline_pipeline::{Evaluator, EvaluatorColumns, EvaluatorEntry, Kind, Metrics, Run};

use self::moments::Pass;
use super::shared::{keep, label_of, number_column, require_rows, wanted, weight_of};

/// The registry entry.
pub const ENTRY: EvaluatorEntry = EvaluatorEntry {
    name: "regression",
    summary: "how far predicted numbers lie from the true ones",
    kind: Kind::Regressor,
    metrics: &[
        (
            "rmse",
            "root of the mean squared error, in units of the label",
        ),
        ("mae", "mean absolute error, in units of the label"),
        (
            "r2",
            "share of the label's variance that the predictions explain; 1 is perfect, 0 no better than the mean",
        ),
        ("mse", "mean squared error"),
        (
            "explained_variance",
            "mean squared distance of the predictions from the mean label (Spark's `var`)",
        ),
    ],
    defaults: &["rmse", "mae", "r2"],
    fits,
    build: |columns| Box::new(RegressionEvaluator { columns }),
    jobs: |jobs| {
        jobs.round::<Pass>();
    },
};

fn fits(schema: &Schema, columns: &EvaluatorColumns) -> Result<(), SchemaErrors> {
    let (label, _) = label_of(schema, columns)?;
    number_column(schema, &label)?;
    number_column(schema, &columns.prediction)?;
    weight_of(schema, columns).map(drop)
}

/// Measures a regressor in one pass.
///
/// A figure is finite wherever the true one is, whatever its sums. `r2 = 1 - SS_err / SS_tot` with `SS_tot` about the mean label; it has no value where all labels are equal.
#[derive(Debug, Clone)]
pub struct RegressionEvaluator {
    columns: EvaluatorColumns,
}

impl Evaluator for RegressionEvaluator {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn evaluate(&self, data: &Dataset, metrics: &[String], run: &Run) -> Result<Metrics> {
        let wanted = wanted(ENTRY.name, ENTRY.metrics, metrics)?;
        let schema = data.schema();
        fits(schema, &self.columns)?;
        let pass = Pass {
            label: label_of(schema, &self.columns)?.0,
            prediction: self.columns.prediction.clone(),
            weight: weight_of(schema, &self.columns)?,
        };
        let sums = require_rows(run.scan(data, &pass.columns(), &pass)?, |s| s.plain.weight)?;
        let mut values = BTreeMap::new();
        let mut add = |name: &str, value: f64| {
            values.insert(name.to_owned(), value);
        };
        add("mse", sums.figure(2, |s| s.squared / s.weight));
        add("rmse", sums.figure(1, |s| (s.squared / s.weight).sqrt()));
        add("mae", sums.figure(1, |s| s.absolute / s.weight));
        let explained = |s: &moments::Sums| {
            let offset = s.mean_prediction - s.mean_label;
            s.m2_prediction / s.weight + offset * offset
        };
        add("explained_variance", sums.figure(2, explained));
        if let Some(unexplained) = sums.unexplained() {
            add("r2", 1.0 - unexplained);
        }
        let mut out = Metrics {
            rows: sums.rows,
            ..Metrics::default()
        };
        let why = if values.values().all(|v| v.is_finite()) {
            "all labels are equal, so there is no variance to explain"
        } else {
            "it is beyond any number, or all labels are equal"
        };
        keep(&mut out, values, &wanted, why);
        Ok(out)
    }

    fn larger_is_better(&self, metric: &str) -> bool {
        matches!(metric, "r2" | "explained_variance")
    }
}

//! `binary`: how well scores rank the rows of one class above those of the other.

mod curve;
mod pass;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::Result;
use emberline_pipeline::datasets::{ColumnType, Dataset, Schema, SchemaError, SchemaErrors};
use emberline_pipeline::{Evaluator, EvaluatorColumns, EvaluatorEntry, Kind, Metrics, Run};

pub use self::curve::{Curve, Step};
use self::pass::{BinnedPass, ExactPass, Reader, Steps};
use super::shared::{Key, keep, label_of, require_rows, thin, wanted, weight_of, wrong_type};

/// Points kept of each curve for reports.
const CURVE_POINTS: usize = 1_000;

/// The registry entry.
pub const ENTRY: EvaluatorEntry = EvaluatorEntry {
    name: "binary",
    summary: "how well scores rank the rows of one class above those of the other",
    kind: Kind::Classifier,
    metrics: &[
        (
            "area_under_roc",
            "chance that a row of the positive class scores above one of the other, ties counted half",
        ),
        (
            "area_under_pr",
            "area under precision over recall by trapezoids from (0, first precision), as Spark has it",
        ),
        (
            "average_precision",
            "sum of precision times gain in recall over thresholds, as scikit-learn has it",
        ),
    ],
    defaults: &["area_under_roc", "area_under_pr"],
    fits: |schema, columns| Scores::find(schema, columns).map(drop),
    build: |columns| Box::new(BinaryEvaluator { columns }),
    jobs: |jobs| {
        jobs.round::<ExactPass>().round::<BinnedPass>();
    },
};

/// Where the scores are, and which label is which.
struct Scores {
    column: String,
    probability: bool,
    classes: [Key; 2],
    names: [String; 2],
    label: String,
    weight: Option<String>,
}

impl Scores {
    /// Takes the probability column, and the raw scores where there is none.
    fn find(schema: &Schema, columns: &EvaluatorColumns) -> Result<Self, SchemaErrors> {
        let (label, ty) = label_of(schema, columns)?;
        let probability = schema.get(&columns.probability).is_ok();
        let name = if probability {
            &columns.probability
        } else {
            &columns.raw_prediction
        };
        let column = schema.get(name)?;
        let ColumnType::Vector { width, .. } = column.ty else {
            return Err(wrong_type(name, &column.ty, "a vector of two scores"));
        };
        if width != Some(2) {
            let found = width.map_or_else(|| "unknown".to_owned(), |w| w.to_string());
            return Err(rule(format!(
                "column `{name}` has scores for {found} classes, two are needed"
            )));
        }
        // Slots without names stand for the classes 0 and 1.
        let names = match &column.slots[..] {
            [a, b] => [a.name.clone(), b.name.clone()],
            _ => ["0".to_owned(), "1".to_owned()],
        };
        let key = |name: &str| {
            Key::of_name(name, &ty).ok_or_else(|| {
                rule(format!(
                    "class `{name}` cannot be a label of column `{label}`, which is {ty}"
                ))
            })
        };
        let classes = [key(&names[0])?, key(&names[1])?];
        Ok(Self {
            column: name.clone(),
            probability,
            classes,
            names,
            label,
            weight: weight_of(schema, columns)?,
        })
    }
}

fn rule(message: String) -> SchemaErrors {
    SchemaError::Rule(message).into()
}

/// Measures the scores of two classes in one pass. The class of the higher index is the positive one; rows whose scores are
/// equal share one threshold.
///
/// With `num_bins = 0` every distinct score is a threshold: exact, with 24 bytes a distinct score. Otherwise scores
/// are counted in narrow bins as they are read (256 for each halving of the distance to 0 and to 1), so memory is bounded
/// whatever the number of rows, and neighbouring bins are then joined until at most `num_bins` of about equal weight are left.
#[derive(Debug, Clone)]
pub struct BinaryEvaluator {
    columns: EvaluatorColumns,
}

impl BinaryEvaluator {
    fn steps(&self, data: &Dataset, reader: Reader, run: &Run) -> Result<(u64, f64, Vec<Step>)> {
        let columns = reader.columns();
        if self.columns.num_bins == 0 {
            let partial = run.scan(data, &columns, &ExactPass(reader))?;
            let Steps {
                rows,
                strangers,
                steps,
            } = require_rows(partial, |s| s.strangers + s.weight())?;
            return Ok((rows, strangers, steps));
        }
        let partial = run.scan(data, &columns, &BinnedPass(reader))?;
        let bins = require_rows(partial, |b| b.strangers + b.weight())?;
        Ok((bins.rows, bins.strangers, bins.steps(self.columns.num_bins)))
    }
}

impl Evaluator for BinaryEvaluator {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn evaluate(&self, data: &Dataset, metrics: &[String], run: &Run) -> Result<Metrics> {
        let wanted = wanted(ENTRY.name, ENTRY.metrics, metrics)?;
        let scores = Scores::find(data.schema(), &self.columns)?;
        let [_, positive] = &scores.names;
        let reader = Reader {
            label: scores.label,
            weight: scores.weight,
            scores: scores.column,
            probability: scores.probability,
            classes: scores.classes,
        };
        let (rows, strangers, steps) = self.steps(data, reader, run)?;
        let curve = Curve::new(&steps);
        let mut out = Metrics {
            rows,
            ..Metrics::default()
        };
        if strangers > 0.0 {
            out.warnings.push(format!(
                "rows with a label the model never saw left out: {strangers} by weight"
            ));
        }
        let mut values = BTreeMap::new();
        let mut insert = |name: &str, v: Option<f64>| v.map(|v| values.insert(name.to_owned(), v));
        insert("area_under_roc", curve.area_under_roc());
        insert("area_under_pr", curve.area_under_pr());
        insert("average_precision", curve.average_precision());
        let why = format!(
            "the rows are all of one class (positive class `{positive}`: {} of {} by weight)",
            curve.positives(),
            curve.positives() + curve.negatives()
        );
        keep(&mut out, values, &wanted, &why);
        for (name, points) in [("roc", curve.roc()), ("pr", curve.pr())] {
            if !points.is_empty() {
                out.curves
                    .insert(name.to_owned(), thin(&points, CURVE_POINTS));
            }
        }
        Ok(out)
    }

    fn larger_is_better(&self, _: &str) -> bool {
        true
    }
}

//! `multiclass`: how often predicted classes are the true ones, as a whole and by class.

mod counts;
mod pass;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::Result;
use emberline_pipeline::datasets::{ColumnType, Dataset, Schema, SchemaError, SchemaErrors};
use emberline_pipeline::{Error, Evaluator, EvaluatorColumns, EvaluatorEntry, Kind, Metrics, Run};

pub use self::counts::Counts;
use self::pass::{Pass, Tally};
use super::shared::{Key, keep, label_of, require_rows, unusable, wanted, weight_of, wrong_type};

/// More classes than this are taken for a label that is no class.
const MAX_CLASSES: usize = 10_000;
/// Beyond this many classes a confusion matrix is no longer handed out.
const MAX_MATRIX: usize = 1_000;

/// The registry entry.
pub const ENTRY: EvaluatorEntry = EvaluatorEntry {
    name: "multiclass",
    summary: "how often predicted classes are the true ones, as a whole and by class",
    kind: Kind::Classifier,
    metrics: &[
        ("accuracy", "share of the weight predicted right"),
        ("f1", "f1 of each class, averaged by the weight of its rows"),
        (
            "log_loss",
            "mean of -ln(probability of the true class), probabilities clipped to [1e-15, 1 - 1e-15]",
        ),
        ("f1_macro", "f1 of each class, averaged over classes"),
        (
            "f_beta",
            "F of each class at the evaluator's `beta`, averaged by the weight of its rows",
        ),
        (
            "weighted_precision",
            "precision of each class, averaged by the weight of its rows",
        ),
        (
            "weighted_recall",
            "recall of each class, averaged by the weight of its rows: the accuracy",
        ),
        (
            "precision_macro",
            "precision of each class, averaged over classes",
        ),
        (
            "recall_macro",
            "recall of each class, averaged over classes (balanced accuracy)",
        ),
        (
            "weighted_false_positive_rate",
            "false positive rate of each class, averaged by the weight of its rows",
        ),
        ("hamming_loss", "share of the weight predicted wrong"),
    ],
    defaults: &["accuracy", "f1", "log_loss"],
    fits,
    build: |columns| Box::new(MulticlassEvaluator { columns }),
    jobs: |jobs| {
        jobs.round::<Pass>();
    },
};

fn fits(schema: &Schema, columns: &EvaluatorColumns) -> Result<(), SchemaErrors> {
    let (label, ty) = label_of(schema, columns)?;
    let prediction = &schema.get(&columns.prediction)?.ty;
    let is_class = |t: &ColumnType| *t == ColumnType::Text || t.is_numeric();
    if !is_class(&ty) {
        return Err(wrong_type(&label, &ty, "a number or text"));
    }
    if !is_class(prediction) || (*prediction == ColumnType::Text) != (ty == ColumnType::Text) {
        return Err(wrong_type(
            &columns.prediction,
            prediction,
            &format!("comparable with `{label}`, which is {ty}"),
        ));
    }
    weight_of(schema, columns).map(drop)
}

/// Measures a classifier in one pass.
///
/// Labels and predictions are compared by value. A precision without predictions, or a recall without rows, counts as 0.
/// Averages over classes take those that have rows or predictions. A label that the model never saw counts as an error, with
/// probability 0 in the log loss, and is listed in a warning.
#[derive(Debug, Clone)]
pub struct MulticlassEvaluator {
    columns: EvaluatorColumns,
}

impl MulticlassEvaluator {
    /// The classes of the model: the slots of the probability column, where there is one.
    fn model_classes(&self, schema: &Schema, ty: &ColumnType) -> Option<Vec<Key>> {
        let column = schema
            .get(&self.columns.probability)
            .ok()
            .filter(|c| c.ty.is_vector())?;
        let classes: Option<Vec<Key>> = column
            .slots
            .iter()
            .map(|s| Key::of_name(&s.name, ty))
            .collect();
        classes.filter(|c| !c.is_empty())
    }

    fn measure(
        &self,
        tally: &Tally,
        known: Option<&[Key]>,
        ty: &ColumnType,
        wanted: &[String],
    ) -> Result<Metrics> {
        let mut classes: Vec<Key> = known.map(<[Key]>::to_vec).unwrap_or_default();
        let seen: BTreeSet<&Key> = tally
            .pairs
            .keys()
            .flat_map(|(label, prediction)| [label, prediction])
            .collect();
        let index: BTreeSet<Key> = classes.iter().cloned().collect();
        classes.extend(seen.into_iter().filter(|k| !index.contains(k)).cloned());
        if classes.len() > MAX_CLASSES {
            return Err(unusable(format!(
                "{} distinct labels are no classes; use the `regression` evaluator, or bucketize the label",
                classes.len()
            )));
        }
        let counts = Counts::new(&classes, &tally.pairs);
        let mut out = Metrics {
            rows: tally.rows,
            ..Metrics::default()
        };
        if let Some(known) = known {
            self.warn_of_unseen(tally, known, ty, &mut out);
        }
        let mut values = counts.values(self.columns.beta);
        if known.is_some() {
            values.insert("log_loss".to_owned(), tally.log_loss / tally.weight);
        }
        let why = format!(
            "there is no probability column `{}` with class names",
            self.columns.probability
        );
        keep(&mut out, values, wanted, &why);
        out.by_label = counts.by_label(&classes.iter().map(|k| k.name(ty)).collect::<Vec<_>>());
        if classes.len() > MAX_MATRIX {
            out.warnings
                .push(format!("no confusion matrix: {} classes", classes.len()));
        } else {
            out.confusion = counts.matrix();
        }
        Ok(out)
    }

    fn warn_of_unseen(&self, tally: &Tally, known: &[Key], ty: &ColumnType, out: &mut Metrics) {
        let known: BTreeSet<&Key> = known.iter().collect();
        let mut unseen: BTreeMap<&Key, f64> = BTreeMap::new();
        for ((label, _), w) in tally
            .pairs
            .iter()
            .filter(|((label, _), _)| !known.contains(label))
        {
            *unseen.entry(label).or_insert(0.0) += w;
        }
        if !unseen.is_empty() {
            let weight: f64 = unseen.values().sum();
            let names: Vec<String> = unseen
                .keys()
                .take(10)
                .map(|k| format!("`{}`", k.name(ty)))
                .collect();
            let more = if unseen.len() > 10 { ", ..." } else { "" };
            out.warnings.push(format!(
                "labels the model never saw, counted as errors ({weight} rows by weight): {}{more}",
                names.join(", ")
            ));
        }
    }
}

impl Evaluator for MulticlassEvaluator {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn evaluate(&self, data: &Dataset, metrics: &[String], run: &Run) -> Result<Metrics> {
        if !(self.columns.beta > 0.0 && self.columns.beta.is_finite()) {
            return Err(Error::Usage(format!(
                "`beta` must be more than 0, got {}",
                self.columns.beta
            )));
        }
        let wanted = wanted(ENTRY.name, ENTRY.metrics, metrics)?;
        let schema = data.schema();
        fits(schema, &self.columns)?;
        let (label, ty) = label_of(schema, &self.columns)?;
        let known = self.model_classes(schema, &ty);
        if let (Some(classes), Ok(column)) = (&known, schema.get(&self.columns.probability))
            && matches!(column.ty, ColumnType::Vector { width: Some(w), .. } if w != classes.len())
        {
            let message = format!("column `{}` has more slots than class names", column.name);
            return Err(SchemaErrors::from(SchemaError::Rule(message)).into());
        }
        let pass = Pass {
            label,
            prediction: self.columns.prediction.clone(),
            weight: weight_of(schema, &self.columns)?,
            probability: known.as_ref().map(|_| self.columns.probability.clone()),
            classes: known.clone().unwrap_or_default(),
        };
        let tally = require_rows(run.scan(data, &pass.columns(), &pass)?, |t| t.weight)?;
        self.measure(&tally, known.as_deref(), &ty, &wanted)
    }

    fn larger_is_better(&self, metric: &str) -> bool {
        !matches!(
            metric,
            "log_loss" | "hamming_loss" | "weighted_false_positive_rate"
        )
    }
}

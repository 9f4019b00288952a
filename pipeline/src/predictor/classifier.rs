//! Fitted classifiers.

use std::fmt::Debug;
use std::sync::Arc;

use emberline_datasets::arrow::array::ArrayRef;
use emberline_datasets::batch::dense_vectors;
use emberline_datasets::{
    Attribute, Batch, Classes, Column, ColumnType, DataError, Element, Schema, SchemaErrors, Slot,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::persist::{Arrays, ModelError, state, to_state};
use crate::registry::{Load, Registry};
use crate::row::{Cell, RowLayout, RowStep};
use crate::stage::{Stage, Transformer};

use super::{FeatureInput, SavedPredictor, extend};

/// How a fitted classifier scores one row.
pub trait ClassScorer: Debug + Send + Sync + Sized + 'static {
    /// Makes, once, what scoring goes faster with. Called when the path of a record is compiled, so that no record waits for it.
    fn prepare(&self) {}
    /// Writes one raw score a class (margins, votes) for the features `x` `(d,)`. Does not allocate.
    fn raw(&self, x: &[f64], raw: &mut [f64]);
    /// As [`ClassScorer::raw`] for `n` rows, at least one: features `(n, d)`, scores `(n, k)`. The same bits as row by row.
    fn raw_rows(&self, n: usize, x: &[f64], raw: &mut [f64]) {
        let (d, k) = (x.len() / n, raw.len() / n);
        for i in 0..n {
            self.raw(&x[i * d..(i + 1) * d], &mut raw[i * k..(i + 1) * k]);
        }
    }
    /// Turns raw scores into probabilities that sum to 1.
    fn probability(&self, raw: &[f64], probability: &mut [f64]);
    /// State and arrays.
    fn save(&self, arrays: &mut Arrays) -> Value;
    /// Reads it back for `n_features` features and `n_classes` classes, checking every index and number.
    ///
    /// # Errors
    /// The content makes no sense.
    fn load(
        state: &Value,
        arrays: &Arrays,
        n_features: usize,
        n_classes: usize,
        registry: &Registry,
    ) -> Result<Self, ModelError>;
}

/// Object-safe face of a fitted classifier: features in, scores out. Found through [`Transformer::as_classifier`].
pub trait ScoreClasses: Send + Sync {
    /// The features it reads.
    fn input(&self) -> &FeatureInput;
    /// Labels in class order.
    fn classes(&self) -> &Classes;
    /// Writes a raw score and a probability a class for the features `x` `(d,)`. Does not allocate.
    fn score(&self, x: &[f64], raw: &mut [f64], probability: &mut [f64]);
}

impl<K: ClassScorer> ScoreClasses for ClassifierModel<K> {
    fn input(&self) -> &FeatureInput {
        &self.input
    }

    fn classes(&self) -> &Classes {
        &self.classes
    }

    fn score(&self, x: &[f64], raw: &mut [f64], probability: &mut [f64]) {
        self.scorer.raw(x, raw);
        self.scorer.probability(raw, probability);
    }
}

/// Columns a classifier writes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassColumns {
    /// The predicted label, of the label's own type.
    pub prediction: String,
    /// Raw scores, one a class.
    pub raw_prediction: String,
    /// Probabilities, one a class.
    pub probability: String,
}

impl ClassColumns {
    /// The columns a classifier with this label type will write; class slots are unknown before fitting.
    #[must_use]
    pub fn columns(&self, label: &ColumnType, classes: Option<&Classes>) -> Vec<Column> {
        let vector = |name: &str| match classes {
            Some(classes) => Column::vector(
                name,
                classes
                    .names()
                    .into_iter()
                    .map(|c| Slot {
                        name: c,
                        column: name.to_owned(),
                        attribute: Attribute::Numeric,
                    })
                    .collect(),
            ),
            None => Column::vector_of_unknown_width(name),
        };
        let prediction = Column::new(&self.prediction, label.clone(), false);
        vec![
            prediction,
            vector(&self.raw_prediction),
            vector(&self.probability),
        ]
    }

    /// The names.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        vec![
            self.prediction.clone(),
            self.raw_prediction.clone(),
            self.probability.clone(),
        ]
    }
}

/// A fitted classifier.
#[derive(Debug, Clone)]
pub struct ClassifierModel<K> {
    /// Registry name.
    pub name: String,
    /// Effective parameters of the fit.
    pub params: Value,
    /// The features it reads.
    pub input: FeatureInput,
    /// The columns it writes.
    pub columns: ClassColumns,
    /// Labels in class order.
    pub classes: Classes,
    /// How one row is scored.
    pub scorer: Arc<K>,
}

/// The predicted class: the highest probability, ties to the lower index.
#[must_use]
pub fn argmax(values: &[f64]) -> usize {
    let mut best = 0;
    for (i, v) in values.iter().enumerate().skip(1) {
        if *v > values[best] {
            best = i;
        }
    }
    best
}

impl<K: ClassScorer> Stage for ClassifierModel<K> {
    fn name(&self) -> &str {
        &self.name
    }

    fn output_schema(&self, input: &Schema) -> Result<Schema, SchemaErrors> {
        self.input.check(input)?;
        extend(
            input,
            self.columns
                .columns(&self.classes.column_type(), Some(&self.classes)),
        )
    }

    fn reads(&self, _: &Schema) -> Vec<String> {
        vec![self.input.column.clone()]
    }

    fn writes(&self, _: &Schema) -> Vec<String> {
        self.columns.names()
    }

    fn params(&self) -> Value {
        self.params.clone()
    }
}

impl<K: ClassScorer> Transformer for ClassifierModel<K> {
    fn transform(&self, batch: Batch) -> Result<Batch, DataError> {
        let (n, k) = (batch.num_rows(), self.classes.len());
        let (mut raw, mut probability, mut best) = (vec![0.0; n * k], vec![0.0; n * k], vec![0; n]);
        self.input.for_each_run(&batch, |start, rows, x| {
            let run = start * k..(start + rows) * k;
            self.scorer.raw_rows(rows, x, &mut raw[run]);
            for (i, best) in best.iter_mut().enumerate().skip(start).take(rows) {
                let own = i * k..(i + 1) * k;
                self.scorer
                    .probability(&raw[own.clone()], &mut probability[own.clone()]);
                *best = argmax(&probability[own]);
            }
        })?;
        let arrays = [
            self.classes.decode(&best),
            dense_vectors(raw, k, Element::F64, false, n)?,
            dense_vectors(probability, k, Element::F64, false, n)?,
        ];
        add_columns(
            batch,
            self.columns
                .columns(&self.classes.column_type(), Some(&self.classes)),
            arrays,
        )
    }

    fn as_classifier(&self) -> Option<&dyn ScoreClasses> {
        Some(self)
    }

    fn save(&self, arrays: &mut Arrays) -> Value {
        to_state(&SavedPredictor {
            name: self.name.clone(),
            params: self.params.clone(),
            input: self.input.clone(),
            output: to_state(&(&self.columns, &self.classes)),
            kernel: self.scorer.save(arrays),
        })
    }

    fn row_step(&self, layout: &mut RowLayout) -> Result<Box<dyn RowStep>, SchemaErrors> {
        self.input.check(layout.schema())?;
        let from = layout.cell(&self.input.column)?;
        let columns = self
            .columns
            .columns(&self.classes.column_type(), Some(&self.classes));
        extend(layout.schema(), columns.clone())?;
        let cells: Vec<usize> = columns.into_iter().map(|c| layout.add(c)).collect();
        let (to_prediction, to_raw, to_probability) = (cells[0], cells[1], cells[2]);
        let (scorer, input, classes) = (
            self.scorer.clone(),
            self.input.clone(),
            self.classes.clone(),
        );
        let k = classes.len();
        scorer.prepare();
        Ok(Box::new(move |cells: &mut [Cell]| {
            let mut raw = std::mem::take(&mut cells[to_raw]);
            let mut probability = std::mem::take(&mut cells[to_probability]);
            let x = input.record(&cells[from])?;
            scorer.raw(x, raw.vector_mut(k));
            scorer.probability(raw.vector(), probability.vector_mut(k));
            set_label(
                &mut cells[to_prediction],
                &classes,
                argmax(probability.vector()),
            );
            cells[to_raw] = raw;
            cells[to_probability] = probability;
            Ok(true)
        }))
    }
}

fn set_label(cell: &mut Cell, classes: &Classes, class: usize) {
    match classes {
        Classes::Text(v) => cell.set_text(&v[class]),
        Classes::Integer(v) => *cell = Cell::Number(v[class] as f64),
        Classes::Boolean(v) => *cell = Cell::Number(f64::from(u8::from(v[class]))),
        Classes::Float(v) => *cell = Cell::Number(v[class]),
    }
}

impl<K: ClassScorer> Load for ClassifierModel<K> {
    fn load(value: &Value, arrays: &Arrays, registry: &Registry) -> Result<Self, ModelError> {
        let saved: SavedPredictor = state("classifier", value)?;
        let (columns, classes): (ClassColumns, Classes) = state(&saved.name, &saved.output)?;
        if classes.is_empty() {
            return Err(ModelError::stage(&saved.name, "it has no classes"));
        }
        let scorer = K::load(
            &saved.kernel,
            arrays,
            saved.input.slots.len(),
            classes.len(),
            registry,
        )?;
        Ok(Self {
            name: saved.name,
            params: saved.params,
            input: saved.input,
            columns,
            classes,
            scorer: Arc::new(scorer),
        })
    }
}

fn add_columns<const N: usize>(
    batch: Batch,
    columns: Vec<Column>,
    arrays: [ArrayRef; N],
) -> Result<Batch, DataError> {
    columns
        .into_iter()
        .zip(arrays)
        .try_fold(batch, |batch, (column, array)| {
            batch.with_column(column, array)
        })
}

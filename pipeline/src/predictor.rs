//! Fitted predictors: what a kernel that scores one row needs to become a stage.
//!
//! An algorithm writes how one row is scored; columns, original labels, checks, the batch path and the compiled path are
//! the same for all and live here. Batch and record are scored by the same kernel call, so they agree to the bit.

use std::fmt::Debug;
use std::sync::Arc;

use emberline_datasets::arrow::array::{ArrayRef, Float64Array, Int64Array};
use emberline_datasets::batch::dense_vectors;
use emberline_datasets::{
    Attribute, Batch, Classes, Column, ColumnType, DataError, Element, MissingRule, Schema,
    SchemaError, SchemaErrors, Slot,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::persist::{Arrays, ModelError, state, to_state};
use crate::registry::{Load, Registry};
use crate::row::{Cell, RowLayout, RowStep};
use crate::stage::{Stage, Transformer};

/// The vector column a predictor reads, as it was in training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureInput {
    /// Column name.
    pub column: String,
    /// The slots of training; prediction needs the same, in the same order.
    pub slots: Arc<[Slot]>,
    /// What a missing feature means.
    pub missing: MissingRule,
}

impl FeatureInput {
    /// Whether `schema` has the features of training.
    ///
    /// # Errors
    /// The column is absent, no vector, or has other slots; the first ten differences are listed.
    pub fn check(&self, schema: &Schema) -> Result<(), SchemaErrors> {
        let column = schema.get(&self.column)?;
        let ColumnType::Vector { width, .. } = column.ty else {
            let (found, expected) = (
                column.ty.to_string(),
                format!("a vector of {} slots", self.slots.len()),
            );
            return Err(SchemaError::Type {
                column: self.column.clone(),
                found,
                expected,
            }
            .into());
        };
        let (names, wanted) = (slot_names(&column.slots), slot_names(&self.slots));
        if width.is_some_and(|w| w != wanted.len()) || (!names.is_empty() && names != wanted) {
            let absent: Vec<&str> = wanted
                .iter()
                .filter(|n| !names.contains(n))
                .copied()
                .take(10)
                .collect();
            let surplus: Vec<&str> = names
                .iter()
                .filter(|n| !wanted.contains(n))
                .copied()
                .take(10)
                .collect();
            return Err(SchemaError::Rule(format!(
                "column `{}` has {} slots, the model was trained on {}; missing: [{}], unknown: [{}]",
                self.column,
                width.unwrap_or(names.len()),
                wanted.len(),
                absent.join(", "),
                surplus.join(", ")
            ))
            .into());
        }
        Ok(())
    }

    /// The features of one record.
    ///
    /// # Errors
    /// The cell holds no vector of the right width, or a feature that the rule for missing values refuses.
    pub fn record<'a>(&self, cell: &'a Cell) -> Result<&'a [f64], DataError> {
        let x = cell.vector();
        if x.len() != self.slots.len() {
            return Err(DataError::Value {
                column: self.column.clone(),
                row: 0,
                message: format!(
                    "{} slots, the model was trained on {}",
                    x.len(),
                    self.slots.len()
                ),
            });
        }
        self.refuse(x, 0).map_or(Ok(x), Err)
    }

    fn is_bad(&self, v: f64) -> bool {
        v.is_infinite() || (v.is_nan() && self.missing == MissingRule::Error)
    }

    fn refuse(&self, x: &[f64], row: u64) -> Option<DataError> {
        let j = x.iter().position(|v| self.is_bad(*v))?;
        let column = format!(
            "{}[{}]",
            self.column,
            self.slots.get(j).map_or("", |s| s.name.as_str())
        );
        Some(if x[j].is_nan() {
            DataError::Missing { column, row }
        } else {
            DataError::NotFinite {
                column,
                row,
                value: x[j],
            }
        })
    }

    /// Calls `f(row, features)` for each row of a batch.
    ///
    /// # Errors
    /// A feature that the rule for missing values refuses.
    pub fn for_each_row(
        &self,
        batch: &Batch,
        mut f: impl FnMut(usize, &[f64]),
    ) -> Result<(), DataError> {
        let width = self.slots.len();
        self.for_each_run(batch, |start, n, x| {
            (0..n).for_each(|i| f(start + i, &x[i * width..(i + 1) * width]));
        })
    }

    /// Calls `f(first row, rows, features)` for each run of at most [`RUN_ROWS`] rows of a batch, features `(rows, d)` row by
    /// row: a kernel that gains from several rows at once gets them.
    ///
    /// # Errors
    /// A feature that the rule for missing values refuses.
    pub fn for_each_run(
        &self,
        batch: &Batch,
        mut f: impl FnMut(usize, usize, &[f64]),
    ) -> Result<(), DataError> {
        let vectors = batch.vector(&self.column)?;
        let width = vectors.width();
        if width != self.slots.len() {
            return Err(SchemaErrors::from(SchemaError::Rule(format!(
                "column `{}` has {width} slots, the model was trained on {}",
                self.column,
                self.slots.len()
            )))
            .into());
        }
        if !vectors.is_dense() {
            // Of a row only what is stored is written, checked and taken back again.
            let at_once = (SPARSE_RUN / width.max(1)).clamp(1, RUN_ROWS);
            let mut x = vec![0.0; width * at_once.min(vectors.rows())];
            for start in (0..vectors.rows()).step_by(at_once) {
                let n = at_once.min(vectors.rows() - start);
                for i in 0..n {
                    let row = &mut x[i * width..(i + 1) * width];
                    let mut fine = true;
                    vectors.for_each_stored(start + i, |j, v| {
                        row[j] = v;
                        fine &= !self.is_bad(v);
                    });
                    if !fine && let Some(error) = self.refuse(row, batch.row_ids()[start + i]) {
                        return Err(error);
                    }
                }
                f(start, n, &x[..n * width]);
                for i in 0..n {
                    vectors.for_each_stored(start + i, |j, _| x[i * width + j] = 0.0);
                }
            }
            return Ok(());
        }
        let flat = vectors.as_f64_slice();
        let mut buffer = vec![0.0; width * RUN_ROWS.min(vectors.rows())];
        for start in (0..vectors.rows()).step_by(RUN_ROWS) {
            let n = RUN_ROWS.min(vectors.rows() - start);
            let x = match flat {
                Some(flat) => &flat[start * width..(start + n) * width],
                None => {
                    let rows = buffer.chunks_exact_mut(width.max(1)).take(n);
                    rows.enumerate()
                        .for_each(|(i, row)| vectors.read(start + i, row));
                    &buffer[..n * width]
                }
            };
            for (i, row) in x.chunks_exact(width.max(1)).enumerate() {
                if let Some(error) = self.refuse(row, batch.row_ids()[start + i]) {
                    return Err(error);
                }
            }
            f(start, n, x);
        }
        Ok(())
    }
}

/// Rows that a kernel is given at once: a whole chunk, so that a tree which is fetched into the cache serves many rows.
pub const RUN_ROWS: usize = 8192;
/// Numbers that rows of a sparse column are written out to at once.
const SPARSE_RUN: usize = 1 << 18;

fn slot_names(slots: &[Slot]) -> Vec<&str> {
    slots.iter().map(|s| s.name.as_str()).collect()
}

/// How a fitted classifier scores one row.
pub trait ClassScorer: Debug + Send + Sync + Sized + 'static {
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

/// Appends columns to a schema; every name that is taken is reported.
///
/// # Errors
/// [`SchemaError::Exists`] for each.
pub fn extend(schema: &Schema, columns: Vec<Column>) -> Result<Schema, SchemaErrors> {
    let mut out = schema.clone();
    let errors = columns
        .into_iter()
        .filter_map(|c| out.push(c, false).err())
        .collect();
    SchemaErrors::check(errors)?;
    Ok(out)
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

/// How a fitted regressor or clusterer maps one row to one number.
pub trait RowScorer: Debug + Send + Sync + Sized + 'static {
    /// The prediction for the features `x` `(d,)`: a number, or a cluster index. Does not allocate.
    fn predict(&self, x: &[f64]) -> f64;
    /// As [`RowScorer::predict`] for at least one row: features `(n, d)`, predictions `(n,)`. The same bits as row by row.
    fn predict_rows(&self, x: &[f64], out: &mut [f64]) {
        let d = x.len() / out.len();
        for (i, own) in out.iter_mut().enumerate() {
            *own = self.predict(&x[i * d..(i + 1) * d]);
        }
    }
    /// State and arrays.
    fn save(&self, arrays: &mut Arrays) -> Value;
    /// Reads it back for `n_features` features, checking every index and number.
    ///
    /// # Errors
    /// The content makes no sense.
    fn load(
        state: &Value,
        arrays: &Arrays,
        n_features: usize,
        registry: &Registry,
    ) -> Result<Self, ModelError>;
}

/// A fitted regressor (its prediction is a float) or clusterer (an integer).
#[derive(Debug, Clone)]
pub struct ScalarModel<K> {
    /// Registry name.
    pub name: String,
    /// Effective parameters of the fit.
    pub params: Value,
    /// The features it reads.
    pub input: FeatureInput,
    /// The column it writes.
    pub prediction: String,
    /// `Float` for regressors, `Integer` for clusterers.
    pub ty: ColumnType,
    /// How one row is mapped.
    pub scorer: Arc<K>,
}

impl<K: RowScorer> Stage for ScalarModel<K> {
    fn name(&self) -> &str {
        &self.name
    }

    fn output_schema(&self, input: &Schema) -> Result<Schema, SchemaErrors> {
        self.input.check(input)?;
        extend(
            input,
            vec![Column::new(&self.prediction, self.ty.clone(), false)],
        )
    }

    fn reads(&self, _: &Schema) -> Vec<String> {
        vec![self.input.column.clone()]
    }

    fn writes(&self, _: &Schema) -> Vec<String> {
        vec![self.prediction.clone()]
    }

    fn params(&self) -> Value {
        self.params.clone()
    }
}

impl<K: RowScorer> Transformer for ScalarModel<K> {
    fn transform(&self, batch: Batch) -> Result<Batch, DataError> {
        let mut out = vec![0.0; batch.num_rows()];
        self.input.for_each_run(&batch, |start, rows, x| {
            self.scorer.predict_rows(x, &mut out[start..start + rows]);
        })?;
        let array: ArrayRef = if self.ty == ColumnType::Integer {
            Arc::new(Int64Array::from_iter_values(
                out.into_iter().map(|v| v as i64),
            ))
        } else {
            Arc::new(Float64Array::from(out))
        };
        batch.with_column(Column::new(&self.prediction, self.ty.clone(), false), array)
    }

    fn save(&self, arrays: &mut Arrays) -> Value {
        to_state(&SavedPredictor {
            name: self.name.clone(),
            params: self.params.clone(),
            input: self.input.clone(),
            output: to_state(&(&self.prediction, &self.ty)),
            kernel: self.scorer.save(arrays),
        })
    }

    fn row_step(&self, layout: &mut RowLayout) -> Result<Box<dyn RowStep>, SchemaErrors> {
        self.input.check(layout.schema())?;
        let from = layout.cell(&self.input.column)?;
        let column = Column::new(&self.prediction, self.ty.clone(), false);
        extend(layout.schema(), vec![column.clone()])?;
        let to = layout.add(column);
        let (scorer, input) = (self.scorer.clone(), self.input.clone());
        Ok(Box::new(move |cells: &mut [Cell]| {
            cells[to] = Cell::Number(scorer.predict(input.record(&cells[from])?));
            Ok(true)
        }))
    }
}

impl<K: RowScorer> Load for ScalarModel<K> {
    fn load(value: &Value, arrays: &Arrays, registry: &Registry) -> Result<Self, ModelError> {
        let saved: SavedPredictor = state("predictor", value)?;
        let (prediction, ty): (String, ColumnType) = state(&saved.name, &saved.output)?;
        if !matches!(ty, ColumnType::Float | ColumnType::Integer) {
            return Err(ModelError::stage(
                &saved.name,
                format!("a prediction cannot be {ty}"),
            ));
        }
        let scorer = K::load(&saved.kernel, arrays, saved.input.slots.len(), registry)?;
        Ok(Self {
            name: saved.name,
            params: saved.params,
            input: saved.input,
            prediction,
            ty,
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

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedPredictor {
    name: String,
    params: Value,
    input: FeatureInput,
    output: Value,
    kernel: Value,
}

//! Fitted regressors and clusterers: a row becomes one number.

use std::fmt::Debug;
use std::sync::Arc;

use emberline_datasets::arrow::array::{ArrayRef, Float64Array, Int64Array};
use emberline_datasets::{Batch, Column, ColumnType, DataError, Schema, SchemaErrors};
use serde_json::Value;

use crate::persist::{Arrays, ModelError, state, to_state};
use crate::registry::{Load, Registry};
use crate::row::{Cell, RowLayout, RowStep};
use crate::stage::{Stage, Transformer};

use super::{FeatureInput, SavedPredictor, extend};

/// How a fitted regressor or clusterer maps one row to one number.
pub trait RowScorer: Debug + Send + Sync + Sized + 'static {
    /// Makes, once, what scoring goes faster with. Called when the path of a record is compiled, so that no record waits for it.
    fn prepare(&self) {}
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
        scorer.prepare();
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

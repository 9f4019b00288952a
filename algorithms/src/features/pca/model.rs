//! The fitted projection.

use std::sync::Arc;

use emberline_pipeline::datasets::batch::dense_vectors;
use emberline_pipeline::datasets::{
    Attribute, Batch, Column, DataError, Element, Schema, SchemaErrors, Slot,
};
use emberline_pipeline::persist::{state, to_state};
use emberline_pipeline::predictor::{FeatureInput, extend};
use emberline_pipeline::row::{Cell, RowLayout, RowStep};
use emberline_pipeline::{Arrays, Component, Load, ModelError, Registry, Stage, Transformer};
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Pca;
use super::params::PcaParams;

/// Loadings, and the columns they read and write.
#[derive(Debug, Clone)]
pub struct PcaModel {
    saved: Saved,
    projection: Arc<Projection>,
    variances: Vec<f64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    params: Value,
    input: FeatureInput,
    output: String,
    center: bool,
    total_variance: f64,
}

#[derive(Debug)]
struct Projection {
    loadings: Array2<f64>,
    mean: Vec<f64>,
    center: bool,
}

impl Projection {
    /// Scores `(k,)` of one row `(d,)`; slot by slot, so that a batch and a record get the same bits.
    fn project(&self, x: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        for ((x, mean), loadings) in x.iter().zip(&self.mean).zip(self.loadings.rows()) {
            let v = if self.center { x - mean } else { *x };
            out.iter_mut().zip(loadings).for_each(|(o, l)| *o += v * l);
        }
    }
}

/// The column of scores, one slot a component.
pub(super) fn output_column(name: &str, k: usize) -> Column {
    let slot = |c| Slot {
        name: format!("{name}[{c}]"),
        column: name.to_owned(),
        attribute: Attribute::Numeric,
    };
    Column::vector(name, (0..k).map(slot).collect())
}

impl PcaModel {
    pub(super) fn new(
        params: &PcaParams,
        input: FeatureInput,
        loadings: Array2<f64>,
        mean: Vec<f64>,
        variances: Vec<f64>,
        total: f64,
    ) -> Self {
        let saved = Saved {
            params: to_state(params),
            input,
            output: params.output.clone(),
            center: params.center,
            total_variance: total,
        };
        Self::of(saved, loadings, mean, variances)
    }

    fn of(saved: Saved, loadings: Array2<f64>, mean: Vec<f64>, variances: Vec<f64>) -> Self {
        Self {
            projection: Arc::new(Projection {
                loadings,
                mean,
                center: saved.center,
            }),
            saved,
            variances,
        }
    }

    /// Directions `(d, k)`, one a column, each of length 1.
    #[must_use]
    pub fn loadings(&self) -> &Array2<f64> {
        &self.projection.loadings
    }

    /// Mean of the features in training `(d,)`.
    #[must_use]
    pub fn mean(&self) -> &[f64] {
        &self.projection.mean
    }

    /// Variance of the scores of each component `(k,)`, in feature units squared.
    #[must_use]
    pub fn explained_variance(&self) -> &[f64] {
        &self.variances
    }

    /// Share of the whole variance that each component carries `(k,)`; 0 where nothing varies.
    #[must_use]
    pub fn explained_variance_ratio(&self) -> Vec<f64> {
        let total = self.saved.total_variance;
        self.variances
            .iter()
            .map(|v| if total > 0.0 { v / total } else { 0.0 })
            .collect()
    }

    fn k(&self) -> usize {
        self.projection.loadings.ncols()
    }
}

impl Stage for PcaModel {
    fn name(&self) -> &str {
        Pca::NAME
    }

    fn output_schema(&self, input: &Schema) -> Result<Schema, SchemaErrors> {
        self.saved.input.check(input)?;
        extend(input, vec![output_column(&self.saved.output, self.k())])
    }

    fn reads(&self, _: &Schema) -> Vec<String> {
        vec![self.saved.input.column.clone()]
    }

    fn writes(&self, _: &Schema) -> Vec<String> {
        vec![self.saved.output.clone()]
    }

    fn params(&self) -> Value {
        self.saved.params.clone()
    }
}

impl Transformer for PcaModel {
    fn transform(&self, batch: Batch) -> Result<Batch, DataError> {
        let (n, k) = (batch.num_rows(), self.k());
        let mut scores = vec![0.0; n * k];
        self.saved.input.for_each_row(&batch, |i, x| {
            self.projection.project(x, &mut scores[i * k..(i + 1) * k])
        })?;
        batch.with_column(
            output_column(&self.saved.output, k),
            dense_vectors(scores, k, Element::F64, false, n)?,
        )
    }

    fn save(&self, arrays: &mut Arrays) -> Value {
        arrays.put_matrix("loadings", &self.projection.loadings);
        arrays.put_f64("mean", &self.projection.mean);
        arrays.put_f64("explained_variance", &self.variances);
        to_state(&self.saved)
    }

    fn row_step(&self, layout: &mut RowLayout) -> Result<Box<dyn RowStep>, SchemaErrors> {
        self.saved.input.check(layout.schema())?;
        let from = layout.cell(&self.saved.input.column)?;
        let column = output_column(&self.saved.output, self.k());
        extend(layout.schema(), vec![column.clone()])?;
        let to = layout.add(column);
        let (projection, input, k) = (self.projection.clone(), self.saved.input.clone(), self.k());
        Ok(Box::new(move |cells: &mut [Cell]| {
            let mut out = std::mem::take(&mut cells[to]);
            projection.project(input.record(&cells[from])?, out.vector_mut(k));
            cells[to] = out;
            Ok(true)
        }))
    }
}

impl Load for PcaModel {
    fn load(value: &Value, arrays: &Arrays, _: &Registry) -> Result<Self, ModelError> {
        let saved: Saved = state(Pca::NAME, value)?;
        let d = saved.input.slots.len();
        let loadings = arrays.matrix(Pca::NAME, "loadings", None)?;
        let (rows, k) = loadings.dim();
        if rows != d || k == 0 || k > d {
            return Err(ModelError::stage(
                Pca::NAME,
                format!("loadings of shape ({rows}, {k}) for {d} slots"),
            ));
        }
        let mean = arrays.vector(Pca::NAME, "mean", d)?.to_vec();
        let variances = arrays.vector(Pca::NAME, "explained_variance", k)?.to_vec();
        Ok(Self::of(saved, loadings, mean, variances))
    }
}

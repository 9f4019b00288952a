//! The fitted clusterer.

use std::sync::Arc;

use emberline_pipeline::datasets::arrow::array::{ArrayRef, Float64Array, Int64Array};
use emberline_pipeline::datasets::{
    Batch, BlockSpec, Column, ColumnType, DataError, Features, LabelSpec, Schema, SchemaErrors,
};
use emberline_pipeline::persist::{state, to_state};
use emberline_pipeline::predictor::{FeatureInput, extend};
use emberline_pipeline::row::{Cell, RowLayout, RowStep};
use emberline_pipeline::{Arrays, Load, ModelError, Registry, Stage, Transformer};
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::KMeans;
use super::kernel::{self, Bounds, Centres, Geometry, Panels, Sink, Targets};
use super::params::KMeansParams;
use emberline_pipeline::Component;

/// Below so many rows it takes longer to make ready for many than to look at each.
const FEW: usize = 64;

/// Centres, and the columns they read and write.
#[derive(Debug, Clone)]
pub struct KMeansModel {
    saved: Saved,
    centres: Centres,
    panels: Arc<Panels>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    params: Value,
    input: FeatureInput,
    prediction: String,
    distance: String,
    cosine: bool,
}

/// The columns that k-means writes; no distance under an empty name.
pub(super) fn output_columns(prediction: &str, distance: &str) -> Vec<Column> {
    let mut columns = vec![Column::new(prediction, ColumnType::Integer, false)];
    if !distance.is_empty() {
        columns.push(Column::new(distance, ColumnType::Float, false));
    }
    columns
}

/// Centres as `(k, d)`.
pub(super) fn array_of(centres: &Centres) -> Array2<f64> {
    Array2::from_shape_fn((centres.k(), centres.d()), |(c, j)| centres.row(c)[j])
}

impl KMeansModel {
    pub(super) fn new(
        params: &KMeansParams,
        input: FeatureInput,
        centres: Centres,
        cosine: bool,
    ) -> Self {
        let saved = Saved {
            params: to_state(params),
            input,
            prediction: params.prediction_col.clone(),
            distance: params.distance_col.clone(),
            cosine,
        };
        Self::assemble(saved, centres)
    }

    fn assemble(saved: Saved, centres: Centres) -> Self {
        let panels = Arc::new(Panels::new(&centres));
        Self {
            saved,
            centres,
            panels,
        }
    }

    /// The centres `(k, d)`, of length 1 each under the cosine distance.
    #[must_use]
    pub fn centres(&self) -> Array2<f64> {
        array_of(&self.centres)
    }

    fn geometry(&self) -> Geometry {
        Geometry {
            cosine: self.saved.cosine,
            column: self.saved.input.column.clone(),
        }
    }

    fn columns(&self) -> Vec<Column> {
        output_columns(&self.saved.prediction, &self.saved.distance)
    }
}

/// Cluster and distance of one row.
fn assign(
    panels: &Panels,
    geometry: &Geometry,
    x: &[f64],
    row: u64,
) -> Result<(usize, f64), DataError> {
    let (c, d2) = if geometry.cosine {
        let mut unit = x.to_vec();
        geometry.prepare(&mut unit, row)?;
        panels.nearest(&unit)
    } else {
        panels.nearest(x)
    };
    Ok((c, d2 * geometry.scale()))
}

/// Clusters and distances.
type Assigned = (Vec<i64>, Vec<f64>);

impl KMeansModel {
    fn assign_rows(&self, batch: &Batch) -> Result<Assigned, DataError> {
        let n = batch.num_rows();
        let (mut clusters, mut distances) = (Vec::with_capacity(n), Vec::with_capacity(n));
        let (geometry, mut fault) = (self.geometry(), None);
        self.saved.input.for_each_row(batch, |i, x| {
            match assign(&self.panels, &geometry, x, batch.row_ids()[i]) {
                Ok((c, distance)) => {
                    clusters.push(c as i64);
                    distances.push(distance);
                }
                Err(e) => drop(fault.get_or_insert(e)),
            }
        })?;
        fault.map_or(Ok((clusters, distances)), Err)
    }

    /// As [`KMeansModel::assign_rows`], to the bit, by the kernel of training: most centres are ruled out by products in `f32`.
    fn assign_block(&self, batch: &Batch) -> Result<Assigned, DataError> {
        let spec = BlockSpec {
            features: self.saved.input.column.clone(),
            label: LabelSpec::None,
            weight: None,
            missing: self.saved.input.missing,
        };
        let block = spec.block(batch)?;
        if block.n_features() != self.centres.d() {
            return self.assign_rows(batch); // which says so
        }
        let sparse = !matches!(block.features, Features::F64(_) | Features::F32(_));
        let targets = Targets::new(&self.centres, None, sparse);
        let n = block.n_rows();
        let (mut clusters, mut distances) = (Vec::with_capacity(n), Vec::with_capacity(n));
        let geometry = self.geometry();
        let mut told = |_: usize, own: &[u32], squares: &[f64]| {
            clusters.extend(own.iter().map(|c| i64::from(*c)));
            distances.extend(squares.iter().map(|d2| d2 * geometry.scale()));
        };
        let bounds = Some(&mut Bounds::default());
        kernel::assign(&geometry, &block, &targets, bounds, Sink::Each(&mut told))?;
        Ok((clusters, distances))
    }
}

impl Stage for KMeansModel {
    fn name(&self) -> &str {
        KMeans::NAME
    }

    fn output_schema(&self, input: &Schema) -> Result<Schema, SchemaErrors> {
        self.saved.input.check(input)?;
        extend(input, self.columns())
    }

    fn reads(&self, _: &Schema) -> Vec<String> {
        vec![self.saved.input.column.clone()]
    }

    fn writes(&self, _: &Schema) -> Vec<String> {
        self.columns().into_iter().map(|c| c.name).collect()
    }

    fn params(&self) -> Value {
        self.saved.params.clone()
    }
}

impl Transformer for KMeansModel {
    fn transform(&self, batch: Batch) -> Result<Batch, DataError> {
        let (clusters, distances) = if batch.num_rows() < FEW {
            self.assign_rows(&batch)?
        } else {
            self.assign_block(&batch)?
        };
        let arrays: [ArrayRef; 2] = [
            Arc::new(Int64Array::from(clusters)),
            Arc::new(Float64Array::from(distances)),
        ];
        self.columns()
            .into_iter()
            .zip(arrays)
            .try_fold(batch, |batch, (column, array)| {
                batch.with_column(column, array)
            })
    }

    fn save(&self, arrays: &mut Arrays) -> Value {
        arrays.put_matrix("centres", &self.centres());
        to_state(&self.saved)
    }

    fn row_step(&self, layout: &mut RowLayout) -> Result<Box<dyn RowStep>, SchemaErrors> {
        self.saved.input.check(layout.schema())?;
        let from = layout.cell(&self.saved.input.column)?;
        extend(layout.schema(), self.columns())?;
        let to: Vec<usize> = self.columns().into_iter().map(|c| layout.add(c)).collect();
        let (panels, geometry, input) = (
            self.panels.clone(),
            self.geometry(),
            self.saved.input.clone(),
        );
        Ok(Box::new(move |cells: &mut [Cell]| {
            let (cluster, distance) = assign(&panels, &geometry, input.record(&cells[from])?, 0)?;
            for (cell, value) in to.iter().zip([cluster as f64, distance]) {
                cells[*cell] = Cell::Number(value);
            }
            Ok(true)
        }))
    }
}

impl Load for KMeansModel {
    fn load(value: &Value, arrays: &Arrays, _: &Registry) -> Result<Self, ModelError> {
        let saved: Saved = state(KMeans::NAME, value)?;
        let centres = arrays.matrix(KMeans::NAME, "centres", Some(saved.input.slots.len()))?;
        if centres.is_empty() {
            return Err(ModelError::stage(KMeans::NAME, "it has no centres"));
        }
        let centres = Centres::of(centres.ncols(), centres.iter().copied().collect());
        Ok(Self::assemble(saved, centres))
    }
}

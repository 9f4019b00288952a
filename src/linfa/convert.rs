//! Tables to and from linfa's own type.

use std::sync::Arc;

use emberline_datasets::arrow::array::Float64Array;
use emberline_datasets::batch::dense_vectors;
use emberline_datasets::{Block, Column, ColumnType, DataError, Dataset, Element, Features, Slot};
use emberline_pipeline::{Pinned, Result};
use ndarray016::{Array1, Array2, ArrayView1, ArrayView2, Ix1};

/// A dense `f64` block as a linfa dataset over borrowed rows: records `(n, d)`, targets `(n,)`. No number is copied.
///
/// `None` where the block is sparse, holds `f32`, or has no label: use [`to_linfa`] then.
#[must_use]
pub fn block_view(
    block: &Block,
) -> Option<linfa::DatasetBase<ArrayView2<'_, f64>, ArrayView1<'_, f64>>> {
    let Features::F64(x) = &block.features else {
        return None;
    };
    let records = ArrayView2::from_shape(x.dim(), x.as_slice()).ok()?;
    let targets = ArrayView1::from_shape(block.n_rows(), block.label.as_deref()?).ok()?;
    let view = linfa::DatasetBase::new(records, targets);
    Some(match &block.weight {
        Some(weight) => {
            view.with_weights(weight.iter().map(|w| *w as f32).collect::<Array1<f32>>())
        }
        None => view,
    })
}

/// All pinned rows in one linfa dataset (a copy, since linfa wants one matrix): records `(n, d)`, targets `(n,)`, weights.
///
/// # Errors
/// A block was spilled and cannot be read back.
pub fn to_linfa(data: &Pinned) -> Result<LinfaData> {
    let (n, d) = (data.n_rows() as usize, data.n_features());
    let mut records = Vec::with_capacity(n * d);
    let mut targets = Vec::with_capacity(n);
    let mut weights = Vec::new();
    for i in 0..data.n_blocks() {
        let block = data.block(i)?;
        match block_view(&block) {
            Some(view) => records.extend(view.records().iter()),
            None => records.extend(block.dense().iter()),
        }
        targets.extend((0..block.n_rows()).map(|r| block.label(r)));
        if block.weight.is_some() {
            weights.extend((0..block.n_rows()).map(|r| block.weight(r) as f32));
        }
    }
    let shape = |e: ndarray016::ShapeError| DataError::format("linfa dataset", e);
    let records = Array2::from_shape_vec((n, d), records).map_err(shape)?;
    Ok(LinfaData {
        records,
        targets: targets.into(),
        weights: weights.into(),
        names: data.slots().iter().map(|s| s.name.clone()).collect(),
    })
}

/// Rows for a linfa learner.
#[derive(Debug, Clone)]
pub struct LinfaData {
    /// Features `(n, d)`.
    pub records: Array2<f64>,
    /// Labels `(n,)`: numbers, or class indices; zeros where there is no label.
    pub targets: Array1<f64>,
    /// Row weights `(n,)`; empty where there are none. linfa keeps them as `f32`.
    pub weights: Array1<f32>,
    /// Feature names `(d,)`.
    pub names: Vec<String>,
}

impl LinfaData {
    /// The rows as linfa wants them for regression and clustering.
    #[must_use]
    pub fn regression(self) -> linfa::Dataset<f64, f64, Ix1> {
        let data = linfa::Dataset::new(self.records, self.targets).with_feature_names(self.names);
        if self.weights.is_empty() {
            data
        } else {
            data.with_weights(self.weights)
        }
    }

    /// The rows as linfa wants them for classification: targets are class indices.
    #[must_use]
    pub fn classification(self) -> linfa::Dataset<f64, usize, Ix1> {
        let targets = self.targets.mapv(|y| y as usize);
        let data = linfa::Dataset::new(self.records, targets).with_feature_names(self.names);
        if self.weights.is_empty() {
            data
        } else {
            data.with_weights(self.weights)
        }
    }
}

/// A linfa dataset as a table with a vector column `features` and a float column `label`. A row-major matrix is taken over as it
/// is, without a copy.
///
/// # Errors
/// Records and targets of unequal length.
pub fn from_linfa(data: linfa::Dataset<f64, f64, Ix1>) -> Result<Dataset> {
    let names = data.feature_names();
    let (n, d) = data.records().dim();
    let slots = (0..d)
        .map(|j| Slot::numeric(names.get(j).cloned().unwrap_or_else(|| format!("x{j}"))))
        .collect();
    let linfa::DatasetBase {
        records, targets, ..
    } = data;
    let flat = if records.is_standard_layout() {
        records.into_raw_vec_and_offset().0
    } else {
        records.iter().copied().collect()
    };
    let targets = if targets.is_standard_layout() {
        targets.into_raw_vec_and_offset().0
    } else {
        targets.to_vec()
    };
    let features = (
        Column::vector("features", slots),
        dense_vectors(flat, d, Element::F64, true, n)?,
    );
    let label = (
        Column::new("label", ColumnType::Float, false),
        Arc::new(Float64Array::from(targets)) as _,
    );
    Ok(Dataset::from_columns(vec![features, label])?)
}

//! From `.npy` files to datasets in memory; the numbers of dense features are shared, not copied.

use std::path::Path;
use std::sync::Arc;

use emberline::arrow::array::{
    ArrayRef, FixedSizeListArray, Float32Array, Float64Array, Int64Array, ListArray, StructArray,
    UInt32Array,
};
use emberline::arrow::buffer::{OffsetBuffer, ScalarBuffer};
use emberline::arrow::datatypes::{DataType, Field};
use emberline::datasets::{Element, Layout, Roles};
use emberline::prelude::*;

use crate::{Outcome, npy};

/// Features as the files hold them, for quality in `f64` and as a dataset.
#[derive(Clone)]
pub enum Features {
    /// Row-major `(rows, columns)`.
    Dense {
        values: ScalarBuffer<f32>,
        columns: usize,
    },
    /// Compressed sparse rows.
    Sparse {
        offsets: ScalarBuffer<i32>,
        indices: ScalarBuffer<u32>,
        values: ScalarBuffer<f32>,
        columns: usize,
    },
}

impl Features {
    /// `NAME.npy`.
    pub fn dense(folder: &Path, name: &str) -> Outcome<Self> {
        let array = npy::read::<f32>(folder, name)?;
        Ok(Self::Dense {
            values: array.values,
            columns: array.columns,
        })
    }

    /// `NAME_data.npy`, `NAME_indices.npy`, `NAME_indptr.npy`.
    pub fn sparse(folder: &Path, name: &str, columns: usize) -> Outcome<Self> {
        let part = |suffix: &str| format!("{name}_{suffix}");
        let indices = npy::read::<i32>(folder, &part("indices"))?.values;
        Ok(Self::Sparse {
            offsets: npy::read::<i32>(folder, &part("indptr"))?.values,
            indices: indices.iter().map(|i| *i as u32).collect(),
            values: npy::read::<f32>(folder, &part("data"))?.values,
            columns,
        })
    }

    pub fn rows(&self) -> usize {
        match self {
            Self::Dense { values, columns } => values.len() / columns,
            Self::Sparse { offsets, .. } => offsets.len() - 1,
        }
    }

    pub fn columns(&self) -> usize {
        match self {
            Self::Dense { columns, .. } | Self::Sparse { columns, .. } => *columns,
        }
    }

    /// Bytes of the numbers and of what places them.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Dense { values, .. } => 4 * values.len(),
            Self::Sparse {
                offsets, values, ..
            } => 4 * offsets.len() + 8 * values.len(),
        }
    }

    /// Row `i` of dense features; empty for sparse ones.
    pub fn row(&self, i: usize) -> &[f32] {
        match self {
            Self::Dense { values, columns } => &values[i * columns..(i + 1) * columns],
            Self::Sparse { .. } => &[],
        }
    }

    /// Calls `f(column, value)` for each stored value of row `i`.
    pub fn for_each(&self, i: usize, mut f: impl FnMut(usize, f64)) {
        match self {
            Self::Dense { .. } => {
                let row = self.row(i).iter().enumerate();
                row.for_each(|(j, v)| f(j, f64::from(*v)));
            }
            Self::Sparse {
                offsets,
                indices,
                values,
                ..
            } => (offsets[i] as usize..offsets[i + 1] as usize)
                .for_each(|k| f(indices[k] as usize, f64::from(values[k]))),
        }
    }

    fn column(&self) -> Outcome<(Column, ArrayRef)> {
        let ty = |layout| ColumnType::Vector {
            width: Some(self.columns()),
            element: Element::F32,
            layout,
        };
        Ok(match self {
            Self::Dense { values, columns } => {
                let item = Arc::new(Field::new("item", DataType::Float32, true));
                let numbers = Arc::new(Float32Array::new(values.clone(), None));
                let width = i32::try_from(*columns)?;
                let lists = FixedSizeListArray::try_new(item, width, numbers, None)?;
                let column = Column::new("features", ty(Layout::Dense), false);
                (column, Arc::new(lists))
            }
            Self::Sparse {
                offsets,
                indices,
                values,
                ..
            } => {
                let ends = OffsetBuffer::new(offsets.clone());
                let lists = |ty, child: ArrayRef| {
                    let item = Arc::new(Field::new("item", ty, false));
                    ListArray::try_new(item, ends.clone(), child, None)
                };
                let slots = Arc::new(UInt32Array::new(indices.clone(), None));
                let numbers = Arc::new(Float32Array::new(values.clone(), None));
                let parts: Vec<ArrayRef> = vec![
                    Arc::new(lists(DataType::UInt32, slots)?),
                    Arc::new(lists(DataType::Float32, numbers)?),
                ];
                let field =
                    |name, part: &ArrayRef| Field::new(name, part.data_type().clone(), false);
                let fields = vec![field("indices", &parts[0]), field("values", &parts[1])];
                let pairs = StructArray::try_new(fields.into(), parts, None)?;
                let column = Column::new("features", ty(Layout::Sparse), false);
                (column, Arc::new(pairs))
            }
        })
    }
}

/// What a learner is to predict.
pub enum Label {
    /// No label.
    None,
    /// A class each.
    Classes(ScalarBuffer<i32>),
    /// A number each.
    Numbers(ScalarBuffer<f32>),
}

impl Label {
    /// Classes of `NAME.npy`.
    pub fn classes(folder: &Path, name: &str) -> Outcome<ScalarBuffer<i32>> {
        Ok(npy::read::<i32>(folder, name)?.values)
    }

    /// Numbers of `NAME.npy`.
    pub fn numbers(folder: &Path, name: &str) -> Outcome<ScalarBuffer<f32>> {
        Ok(npy::read::<f32>(folder, name)?.values)
    }

    /// The column `label`, where there is one.
    pub fn column(&self) -> Option<(Column, ArrayRef)> {
        let column = |ty| Column::new("label", ty, false);
        match self {
            Self::None => None,
            Self::Classes(classes) => {
                let array: Int64Array = classes.iter().map(|c| Some(i64::from(*c))).collect();
                Some((column(ColumnType::Integer), Arc::new(array)))
            }
            Self::Numbers(numbers) => {
                let array: Float64Array = numbers.iter().map(|v| Some(f64::from(*v))).collect();
                Some((column(ColumnType::Float), Arc::new(array)))
            }
        }
    }
}

/// A table of `features` and, where there is one, `label`.
pub fn dataset(features: &Features, label: &Label) -> Outcome<Dataset> {
    let label = label.column();
    let roles = Roles {
        label: label.as_ref().map(|(column, _)| column.name.clone()),
        ..Roles::default()
    };
    let columns = std::iter::once(features.column()?).chain(label);
    Ok(Dataset::from_columns(columns.collect())?.with_roles(roles)?)
}

//! Row blocks: an estimator's columns as matrices.

mod classes;
mod matrix;
mod mixed;
mod spec;

use std::sync::Arc;

use ndarray::{Array2, CowArray, Ix2};

pub use classes::{Classes, LabelValues};
pub use matrix::Matrix;
pub use mixed::Mixed;
pub use spec::{BlockSpec, LabelSpec, MissingRule};

/// A block's features.
#[derive(Debug, Clone, PartialEq)]
pub enum Features {
    /// `(n, d)`, eight bytes a number.
    F64(Matrix<f64>),
    /// `(n, d)`, four bytes a number.
    F32(Matrix<f32>),
    /// Sparse rows.
    Csr(Csr),
    /// Sparse rows of a few numbers and many slots that are 1 or 0.
    Mixed(Mixed),
}

impl Features {
    /// Rows and slots.
    #[must_use]
    pub fn dim(&self) -> (usize, usize) {
        match self {
            Self::F64(x) => x.dim(),
            Self::F32(x) => x.dim(),
            Self::Csr(x) => (x.rows(), x.width),
            Self::Mixed(x) => (x.rows(), x.width()),
        }
    }

    /// Calls `f(slot, value)` for the stored values of row `i`; dense rows store every slot.
    pub fn for_each_stored(&self, i: usize, mut f: impl FnMut(usize, f64)) {
        match self {
            Self::F64(x) => x.row(i).iter().enumerate().for_each(|(j, v)| f(j, *v)),
            Self::F32(x) => {
                let row = x.row(i).iter().enumerate();
                row.for_each(|(j, v)| f(j, f64::from(*v)));
            }
            Self::Csr(x) => x.for_each_stored(i, f),
            Self::Mixed(x) => x.for_each_stored(i, f),
        }
    }

    /// A copy of these rows alone, in this order.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        match self {
            Self::F64(x) => Self::F64(x.select(rows)),
            Self::F32(x) => Self::F32(x.select(rows)),
            Self::Csr(x) => Self::Csr(x.select(rows)),
            Self::Mixed(x) => Self::Mixed(x.select(rows)),
        }
    }

    /// Bytes held, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        match self {
            Self::F64(x) => 8 * x.as_slice().len(),
            Self::F32(x) => 4 * x.as_slice().len(),
            Self::Csr(x) => 12 * x.values.len() + 8 * x.offsets.len(),
            Self::Mixed(x) => x.memory(),
        }
    }

    /// The features as a dense `f64` matrix; borrowed where they are one.
    #[must_use]
    pub fn to_f64(&self) -> CowArray<'_, f64, Ix2> {
        match self {
            Self::F64(x) => CowArray::from(x.view()),
            Self::F32(x) => CowArray::from(x.view().mapv(f64::from)),
            Self::Csr(x) => CowArray::from(x.to_dense()),
            Self::Mixed(x) => CowArray::from(x.to_dense()),
        }
    }
}

/// Rows of which only some slots are stored, the others being 0: what kernels over sparse features are written for.
pub trait StoredRows {
    /// Number of rows.
    fn rows(&self) -> usize;

    /// Calls `f(slot, value)` for the stored values of row `i`.
    fn for_each_stored(&self, i: usize, f: impl FnMut(usize, f64));
}

impl StoredRows for Csr {
    fn rows(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    #[inline(always)]
    fn for_each_stored(&self, i: usize, mut f: impl FnMut(usize, f64)) {
        let (indices, values) = self.row(i);
        let row = indices.iter().zip(values);
        row.for_each(|(j, v)| f(*j as usize, *v));
    }
}

/// Compressed sparse rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Csr {
    /// Start of each row in `indices` and `values`; `rows + 1` long.
    pub offsets: Vec<usize>,
    /// Slot of each stored value, ascending in each row.
    pub indices: Vec<u32>,
    /// Stored values.
    pub values: Vec<f64>,
    /// Number of slots.
    pub width: usize,
}

impl Csr {
    /// Slots and values of row `i`.
    #[must_use]
    pub fn row(&self, i: usize) -> (&[u32], &[f64]) {
        let range = self.offsets[i]..self.offsets[i + 1];
        (&self.indices[range.clone()], &self.values[range])
    }

    /// A copy of these rows alone, in this order.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        let mut selected = Self {
            offsets: vec![0],
            indices: Vec::new(),
            values: Vec::new(),
            width: self.width,
        };
        for &i in rows {
            let (indices, values) = self.row(i);
            selected.indices.extend_from_slice(indices);
            selected.values.extend_from_slice(values);
            selected.offsets.push(selected.values.len());
        }
        selected
    }

    /// Every slot written out.
    #[must_use]
    pub fn to_dense(&self) -> Array2<f64> {
        let mut dense = Array2::zeros((self.rows(), self.width));
        for i in 0..self.rows() {
            let (indices, values) = self.row(i);
            for (j, v) in indices.iter().zip(values) {
                dense[(i, *j as usize)] = *v;
            }
        }
        dense
    }
}

/// At most [`crate::BLOCK_ROWS`] rows, ready for a kernel.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Features `(n, d)`.
    pub features: Features,
    /// Label `(n,)`: a number, or a class index.
    pub label: Option<Vec<f64>>,
    /// Weight `(n,)`, finite and not negative; `None` means 1 each.
    pub weight: Option<Vec<f64>>,
    /// Row ids `(n,)`.
    pub row_ids: Arc<[u64]>,
}

impl Block {
    /// Number of rows.
    #[inline]
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.row_ids.len()
    }

    /// Number of feature slots.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.features.dim().1
    }

    /// The label of row `i`; 0 where the block has none.
    #[inline]
    #[must_use]
    pub fn label(&self, i: usize) -> f64 {
        self.label.as_ref().map_or(0.0, |y| y[i])
    }

    /// The weight of row `i`.
    #[inline]
    #[must_use]
    pub fn weight(&self, i: usize) -> f64 {
        self.weight.as_ref().map_or(1.0, |w| w[i])
    }

    /// A copy of these rows alone, in this order; each below [`Block::n_rows`].
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        let of = |column: &Vec<f64>| rows.iter().map(|&i| column[i]).collect();
        Self {
            features: self.features.select(rows),
            label: self.label.as_ref().map(of),
            weight: self.weight.as_ref().map(of),
            row_ids: rows.iter().map(|&i| self.row_ids[i]).collect(),
        }
    }

    /// The features as a dense `f64` matrix.
    #[must_use]
    pub fn dense(&self) -> CowArray<'_, f64, Ix2> {
        self.features.to_f64()
    }

    /// Bytes held, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.features.memory()
            + 8 * self.n_rows()
                * (1 + usize::from(self.label.is_some()) + usize::from(self.weight.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn selected_rows_are_the_same_whatever_way_they_are_stored() {
        let dense = array![[1.0, 0.0, 1.0], [2.0, 1.0, 0.0], [3.0, 0.0, 0.0]];
        let csr = Csr {
            offsets: vec![0, 2, 4, 5],
            indices: vec![0, 2, 0, 1, 0],
            values: vec![1.0, 1.0, 2.0, 1.0, 3.0],
            width: 3,
        };
        let numbers = array![[1.0], [2.0], [3.0]].into();
        let mixed = Mixed::new(numbers, Arc::new([0]), vec![2, 1, 3], 1, 3).unwrap();
        for features in [
            Features::F64(dense.clone().into()),
            Features::F32(dense.mapv(|v| v as f32).into()),
            Features::Csr(csr),
            Features::Mixed(mixed),
        ] {
            let block = Block {
                features,
                label: Some(vec![7.0, 8.0, 9.0]),
                weight: None,
                row_ids: Arc::new([4, 5, 6]),
            };
            let some = block.select(&[2, 0]);
            assert_eq!(some.dense(), array![[3.0, 0.0, 0.0], [1.0, 0.0, 1.0]]);
            assert_eq!((some.label, some.weight), (Some(vec![9.0, 7.0]), None));
            assert_eq!(*some.row_ids, [6, 4]);
            assert_eq!(block.select(&[]).n_rows(), 0);
        }
    }
}

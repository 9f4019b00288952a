//! Row-major matrices whose numbers may be shared with an Arrow column.

use bytemuck::Pod;
use ndarray::{Array2, ArrayView1, ArrayView2};

use crate::arrow::buffer::ScalarBuffer;
use crate::arrow::datatypes::ArrowNativeType;
use crate::batch::aligned;
use crate::{DataError, Result};

/// A matrix `(n, d)`, row-major and contiguous. Cloning is cheap; a block over a dense vector column shares the column's
/// memory, so that pinning blocks of a table in memory copies nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix<T: ArrowNativeType> {
    values: ScalarBuffer<T>,
    rows: usize,
    width: usize,
}

impl<T: ArrowNativeType + Pod> Matrix<T> {
    /// A matrix of these numbers, row by row.
    ///
    /// # Errors
    /// There are not `rows * width` of them: a fault of the caller.
    pub fn new(rows: usize, width: usize, values: impl Into<ScalarBuffer<T>>) -> Result<Self> {
        let values = values.into();
        if rows.checked_mul(width) != Some(values.len()) {
            let message = format!("{} numbers for {rows} rows of {width}", values.len());
            return Err(DataError::format("block", message));
        }
        Ok(Self {
            values,
            rows,
            width,
        })
    }

    /// Rows and slots.
    #[must_use]
    pub fn dim(&self) -> (usize, usize) {
        (self.rows, self.width)
    }

    /// All numbers, row by row.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.values
    }

    /// Row `i` `(d,)`.
    #[must_use]
    pub fn row(&self, i: usize) -> &[T] {
        &self.values[i * self.width..(i + 1) * self.width]
    }

    /// A copy of these rows alone, in this order.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        let values = aligned(rows.len() * self.width, |values: &mut [T]| {
            let copies = values.chunks_exact_mut(self.width.max(1));
            copies
                .zip(rows)
                .for_each(|(copy, &i)| copy.copy_from_slice(self.row(i)));
        });
        Self {
            values,
            rows: rows.len(),
            width: self.width,
        }
    }

    /// The matrix `(n, d)` as a view.
    #[must_use]
    pub fn view(&self) -> ArrayView2<'_, T> {
        let flat = ArrayView1::from(self.as_slice());
        flat.into_shape_with_order((self.rows, self.width))
            .expect("`new` has checked the length")
    }
}

impl<T: ArrowNativeType> From<Array2<T>> for Matrix<T> {
    fn from(array: Array2<T>) -> Self {
        let (rows, width) = array.dim();
        let values: Vec<T> = if array.is_standard_layout() {
            array.into_raw_vec_and_offset().0
        } else {
            array.iter().copied().collect()
        };
        Self {
            values: values.into(),
            rows,
            width,
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn rows_and_views_show_the_same_numbers() {
        let m = Matrix::new(2, 3, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        assert_eq!(m.row(1), [4.0, 5.0, 6.0]);
        assert_eq!(m.view(), array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
        assert_eq!(Matrix::from(m.view().to_owned()), m);
    }

    #[test]
    fn a_transposed_array_is_brought_to_row_order() {
        let m = Matrix::from(array![[1.0_f32, 2.0], [3.0, 4.0]].reversed_axes());
        assert_eq!(m.as_slice(), [1.0, 3.0, 2.0, 4.0]);
    }

    #[test]
    fn a_matrix_of_no_columns_keeps_its_rows() {
        let m: Matrix<f64> = Array2::zeros((3, 0)).into();
        assert_eq!(m.view().dim(), (3, 0));
        assert!(m.row(2).is_empty());
    }

    #[test]
    fn a_wrong_count_of_numbers_is_an_error() {
        assert!(Matrix::new(2, 2, vec![1.0; 3]).is_err());
        assert!(Matrix::<f64>::new(usize::MAX, 2, vec![]).is_err());
    }
}

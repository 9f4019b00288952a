//! Rows of a few numbers and of categories spread over many slots.

use std::sync::Arc;

use ndarray::Array2;

use super::{Matrix, StoredRows};
use crate::{DataError, Result};

/// Rows in which some slots hold a number in every row, and every other slot is 1 or 0, few of them 1: what scaled numbers beside
/// one-hot categories come to. A third of the memory of compressed sparse rows, because a 1 needs no value.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixed {
    numbers: Matrix<f64>,
    slots: Arc<[u32]>,
    ones: Vec<u32>,
    per_row: usize,
    width: usize,
}

impl Mixed {
    /// Rows of `width` slots. `numbers` `(n, p)` are those of the slots `slots` `(p,)`, ascending; `ones` `(n, per_row)` are the
    /// slots that are 1, ascending in each row, with `width` at the end of a row that has fewer.
    ///
    /// # Errors
    /// The shapes do not match, or a slot lies beyond the width: a fault of the caller.
    pub fn new(
        numbers: Matrix<f64>,
        slots: Arc<[u32]>,
        ones: Vec<u32>,
        per_row: usize,
        width: usize,
    ) -> Result<Self> {
        let (n, p) = numbers.dim();
        let ascending = slots.windows(2).all(|w| w[0] < w[1]);
        let inside = slots.last().is_none_or(|j| (*j as usize) < width);
        let known = ones.iter().all(|j| *j as usize <= width);
        if p != slots.len() || !ascending || !inside || !known || ones.len() != n * per_row {
            return Err(DataError::format(
                "block",
                "the parts of mixed rows do not match",
            ));
        }
        Ok(Self {
            numbers,
            slots,
            ones,
            per_row,
            width,
        })
    }

    /// Number of slots.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The numbers `(n, p)`.
    #[must_use]
    pub fn numbers(&self) -> &Matrix<f64> {
        &self.numbers
    }

    /// The slots of the numbers `(p,)`, ascending.
    #[must_use]
    pub fn slots(&self) -> &Arc<[u32]> {
        &self.slots
    }

    /// Slots that are 1, for all rows; `width` stands for none.
    #[must_use]
    pub fn all_ones(&self) -> &[u32] {
        &self.ones
    }

    /// Slots that are 1 in a row, at most.
    #[must_use]
    pub fn ones_per_row(&self) -> usize {
        self.per_row
    }

    /// The slots of row `i` that are 1, ascending; `width` at the end stands for none.
    #[must_use]
    pub fn ones(&self, i: usize) -> &[u32] {
        &self.ones[i * self.per_row..(i + 1) * self.per_row]
    }

    /// A copy of these rows alone, in this order.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        let ones = rows.iter().flat_map(|&i| self.ones(i).iter().copied());
        Self {
            numbers: self.numbers.select(rows),
            slots: self.slots.clone(),
            ones: ones.collect(),
            per_row: self.per_row,
            width: self.width,
        }
    }

    /// Every slot written out.
    #[must_use]
    pub fn to_dense(&self) -> Array2<f64> {
        let mut dense = Array2::zeros((self.rows(), self.width));
        for (i, mut row) in dense.outer_iter_mut().enumerate() {
            self.for_each_stored(i, |j, v| row[j] = v);
        }
        dense
    }

    /// Bytes held, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        8 * self.numbers.as_slice().len() + 4 * self.ones.len()
    }

    /// The rows of a sparse column, where this form takes less memory than compressed rows: every slot that `binary` names holds
    /// 1 wherever it is stored, and few others exist.
    ///
    /// `offsets` `(n + 1,)`, `indices` and `values` are those of compressed rows.
    pub(crate) fn of_sparse(
        (offsets, indices, values): (&[i32], &[u32], &[f64]),
        binary: &[bool],
    ) -> Option<Self> {
        let width = binary.len();
        let slots: Arc<[u32]> = (0..width as u32).filter(|j| !binary[*j as usize]).collect();
        let n = offsets.len() - 1;
        let mut per_row = 0;
        for ends in offsets.windows(2) {
            let row = ends[0] as usize..ends[1] as usize;
            let mut ones = 0;
            for (j, v) in indices[row.clone()].iter().zip(&values[row]) {
                if binary[*j as usize] {
                    if *v != 1.0 {
                        return None;
                    }
                    ones += 1;
                }
            }
            per_row = per_row.max(ones);
        }
        if n * (8 * slots.len() + 4 * per_row) >= 12 * values.len() + 8 * n {
            return None;
        }
        let mut place = vec![0; width];
        for (k, j) in slots.iter().enumerate() {
            place[*j as usize] = k;
        }
        let p = slots.len();
        let mut numbers = vec![0.0; n * p];
        let mut all = vec![width as u32; n * per_row];
        for i in 0..n {
            let row = offsets[i] as usize..offsets[i + 1] as usize;
            let (own, ones) = (&mut numbers[i * p..(i + 1) * p], &mut all[i * per_row..]);
            let mut found = 0;
            for (j, v) in indices[row.clone()].iter().zip(&values[row]) {
                if binary[*j as usize] {
                    ones[found] = *j;
                    found += 1;
                } else {
                    own[place[*j as usize]] = *v;
                }
            }
        }
        let numbers = Matrix::new(n, p, numbers).ok()?;
        Self::new(numbers, slots, all, per_row, width).ok()
    }
}

impl StoredRows for Mixed {
    fn rows(&self) -> usize {
        self.numbers.dim().0
    }

    /// The numbers, then the ones.
    #[inline(always)]
    fn for_each_stored(&self, i: usize, mut f: impl FnMut(usize, f64)) {
        for (j, v) in self.slots.iter().zip(self.numbers.row(i)) {
            f(*j as usize, *v);
        }
        let present = self.ones(i).iter().map(|j| *j as usize);
        present
            .take_while(|j| *j < self.width)
            .for_each(|j| f(j, 1.0));
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    const BINARY: [bool; 6] = [false, true, true, false, true, true];

    fn rows() -> (Vec<i32>, Vec<u32>, Vec<f64>) {
        (
            vec![0, 4, 6, 8],
            vec![0, 1, 3, 5, 0, 4, 2, 3],
            vec![0.5, 1.0, -2.0, 1.0, 7.0, 1.0, 1.0, 3.0],
        )
    }

    #[test]
    fn sparse_rows_of_numbers_and_ones_hold_the_same_in_less_memory() {
        let (offsets, indices, values) = rows();
        let mixed = Mixed::of_sparse((&offsets, &indices, &values), &BINARY).unwrap();
        let dense = array![
            [0.5, 1.0, 0.0, -2.0, 0.0, 1.0],
            [7.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            [0.0, 0.0, 1.0, 3.0, 0.0, 0.0]
        ];
        assert_eq!(mixed.to_dense(), dense);
        assert_eq!(mixed.ones(1), [4, 6]);
        assert!(mixed.memory() < 12 * values.len() + 8 * 3);
    }

    #[test]
    fn a_binary_slot_that_is_not_one_has_no_such_form() {
        let (offsets, indices, mut values) = rows();
        values[1] = 2.0;
        assert!(Mixed::of_sparse((&offsets, &indices, &values), &BINARY).is_none());
    }

    #[test]
    fn many_numbers_that_are_mostly_zero_stay_compressed() {
        let (offsets, indices, values) = rows();
        assert!(Mixed::of_sparse((&offsets, &indices, &values), &[false; 6]).is_none());
    }

    #[test]
    fn parts_that_do_not_match_are_refused() {
        let numbers = || Matrix::new(2, 1, vec![1.0, 2.0]).unwrap();
        let new = |slots: &[u32], ones: Vec<u32>| Mixed::new(numbers(), slots.into(), ones, 1, 4);
        assert!(new(&[0], vec![1, 4]).is_ok());
        assert!(new(&[0], vec![1]).is_err());
        assert!(new(&[0], vec![1, 5]).is_err());
        assert!(new(&[4], vec![1, 2]).is_err());
        assert!(new(&[0, 1], vec![1, 2]).is_err());
    }
}

//! What is known of the curvature before the first step.

use ndarray::Array2;

/// A symmetric positive matrix that stands for the inverse Hessian: a dense block and a diagonal behind it, the same for
/// every run of `len` coordinates.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    dense: Vec<f64>,
    n: usize,
    diagonal: Vec<f64>,
}

impl Metric {
    /// `block` `(n, n)`, symmetric, for the first `n` coordinates of a run, `diagonal` for those behind.
    #[must_use]
    pub fn dense(block: &Array2<f64>, diagonal: Vec<f64>) -> Self {
        Self {
            dense: block.iter().copied().collect(),
            n: block.nrows(),
            diagonal,
        }
    }

    /// A factor for each coordinate of a run.
    #[must_use]
    pub fn diagonal(diagonal: Vec<f64>) -> Self {
        Self {
            dense: Vec::new(),
            n: 0,
            diagonal,
        }
    }

    /// The matrix times `x`, whose length is a multiple of that of a run.
    #[must_use]
    pub fn apply(&self, x: &[f64]) -> Vec<f64> {
        let mut out = Vec::with_capacity(x.len());
        for run in x.chunks_exact((self.n + self.diagonal.len()).max(1)) {
            let (head, tail) = run.split_at(self.n);
            let rows = self.dense.chunks_exact(self.n.max(1));
            out.extend(rows.map(|row| crate::linear::dot(row, head)));
            out.extend(self.diagonal.iter().zip(tail).map(|(d, x)| d * x));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn every_run_meets_the_block_and_the_diagonal() {
        let metric = Metric::dense(&array![[2.0, 1.0], [1.0, 3.0]], vec![5.0]);
        assert_eq!(
            metric.apply(&[1.0, 2.0, 3.0, 0.0, 1.0, 1.0]),
            [4.0, 7.0, 15.0, 1.0, 3.0, 5.0]
        );
        assert_eq!(
            Metric::diagonal(vec![1.0, 2.0]).apply(&[3.0, 4.0]),
            [3.0, 8.0]
        );
    }
}

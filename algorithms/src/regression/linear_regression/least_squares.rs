//! Least squares and ridge from a triangle.

use ndarray::{Array2, Axis, Slice};

use crate::linear::algebra::{back_substitute, inverse_of_triangle, singular, stacked_triangle};

/// A solved least-squares problem in units of training.
#[derive(Debug, Clone)]
pub(super) struct Solved {
    /// Coefficients of the columns given.
    pub x: Vec<f64>,
    /// Ratio of the extreme singular values of the columns, each scaled to length 1; infinite where one vanishes.
    pub condition: f64,
    /// Number of columns that are linearly independent to working precision.
    pub rank: usize,
    /// `(R^T R)^-1` of the columns, where they have full rank.
    pub covariance: Option<Array2<f64>>,
}

/// Minimises `|A x - b|^2 + sum ridge_j x_j^2`, given the triangle of `[A | b]` `(<= q + 1, q + 1)`.
pub(super) fn solve(triangle: &Array2<f64>, ridge: &[f64]) -> Solved {
    let p = triangle.ncols();
    let q = p - 1;
    let mut rows = Array2::zeros((q, p));
    for (j, r) in ridge.iter().enumerate() {
        rows[(j, j)] = r.sqrt();
    }
    // Zero rows make short triangles whole, and are all there is without a ridge.
    let whole = Array2::zeros((p, p));
    let r = stacked_triangle(&[triangle, &rows, &whole], p);
    let part = |from: usize, to: usize| -> Array2<f64> {
        let mut view = r.view();
        view.slice_axis_inplace(Axis(0), Slice::from(..q));
        view.slice_axis_inplace(Axis(1), Slice::from(from..to));
        view.to_owned()
    };
    let (a, b) = (part(0, q), part(q, p).into_raw_vec_and_offset().0);
    let lengths: Vec<f64> = a.columns().into_iter().map(|c| c.dot(&c).sqrt()).collect();
    let usable: Vec<usize> = (0..q).filter(|&j| lengths[j] > 0.0).collect();
    let unit = Array2::from_shape_fn((q, usable.len()), |(i, k)| {
        a[(i, usable[k])] / lengths[usable[k]]
    });
    let Some((u, values, v)) = singular(&unit) else {
        return unsolved(q);
    };
    let largest = values.first().copied().unwrap_or(0.0);
    // What rounding in q columns can pretend to be independent.
    let least = 16.0 * q as f64 * f64::EPSILON * largest;
    let rank = values.iter().filter(|s| **s > least).count();
    let condition = match values.last() {
        Some(s) if *s > 0.0 && usable.len() == q => largest / s,
        _ if q == 0 => 1.0,
        _ => f64::INFINITY,
    };
    let (x, covariance) = if rank == q {
        let inverse = inverse_of_triangle(&a);
        (back_substitute(&a, &b), Some(inverse.dot(&inverse.t())))
    } else {
        let mut x = vec![0.0; q];
        for k in 0..rank {
            let share: f64 =
                u.column(k).iter().zip(&b).map(|(u, b)| u * b).sum::<f64>() / values[k];
            for (c, &j) in usable.iter().enumerate() {
                x[j] += share * v[(c, k)] / lengths[j];
            }
        }
        (x, None)
    };
    Solved {
        x,
        condition,
        rank,
        covariance,
    }
}

/// Should the singular values not converge (they always do for finite numbers): nothing is known.
fn unsolved(q: usize) -> Solved {
    Solved {
        x: vec![0.0; q],
        condition: f64::INFINITY,
        rank: 0,
        covariance: None,
    }
}

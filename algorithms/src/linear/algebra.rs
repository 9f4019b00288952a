//! Small dense factorisations, always on one thread: their bits must not depend on how many there are.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::linalg::qr::no_pivoting::factor as qr;
use faer::linalg::svd as faer_svd;
use faer::{Mat, Par};
use ndarray::Array2;

/// The triangular factor of the Householder QR of `a` `(n, p)`: `(min(n, p), p)`, signs as they come.
#[must_use]
pub fn triangle(mut a: Mat<f64>) -> Array2<f64> {
    let (n, p) = (a.nrows(), a.ncols());
    let k = n.min(p);
    if k > 0 {
        let block = qr::recommended_block_size::<f64>(n, p);
        let mut coefficients = Mat::zeros(block, k);
        let need = qr::qr_in_place_scratch::<f64>(n, p, block, Par::Seq, Default::default());
        let mut memory = MemBuffer::new(need);
        qr::qr_in_place(
            a.as_mut(),
            coefficients.as_mut(),
            Par::Seq,
            MemStack::new(&mut memory),
            Default::default(),
        );
    }
    Array2::from_shape_fn((k, p), |(i, j)| if j >= i { a[(i, j)] } else { 0.0 })
}

/// The triangular factor of several matrices of `p` columns, one below the other.
#[must_use]
pub fn stacked_triangle(parts: &[&Array2<f64>], p: usize) -> Array2<f64> {
    let n = parts.iter().map(|r| r.nrows()).sum();
    let mut whole = Mat::zeros(n, p);
    let mut top = 0;
    for part in parts {
        for ((i, j), v) in part.indexed_iter() {
            whole[(top + i, j)] = *v;
        }
        top += part.nrows();
    }
    triangle(whole)
}

/// Singular values (descending) and right singular vectors (columns) of `a` `(n, p)`; `None` should the iteration fail.
#[must_use]
pub fn singular(a: &Array2<f64>) -> Option<(Array2<f64>, Vec<f64>, Array2<f64>)> {
    let (n, p) = a.dim();
    let k = n.min(p);
    let source = Mat::from_fn(n, p, |i, j| a[(i, j)]);
    let (mut u, mut v, mut s) = (Mat::zeros(n, k), Mat::zeros(p, k), Diag::zeros(k));
    let thin = faer_svd::ComputeSvdVectors::Thin;
    let need = faer_svd::svd_scratch::<f64>(n, p, thin, thin, Par::Seq, Default::default());
    let mut memory = MemBuffer::new(need);
    faer_svd::svd(
        source.as_ref(),
        s.as_mut(),
        Some(u.as_mut()),
        Some(v.as_mut()),
        Par::Seq,
        MemStack::new(&mut memory),
        Default::default(),
    )
    .ok()?;
    let values = (0..k).map(|i| s[i]).collect();
    let u = Array2::from_shape_fn((n, k), |(i, j)| u[(i, j)]);
    let v = Array2::from_shape_fn((p, k), |(i, j)| v[(i, j)]);
    Some((u, values, v))
}

/// Solves `r x = b` for an upper triangle `r` `(p, p)` without a zero on its diagonal.
#[must_use]
pub fn back_substitute(r: &Array2<f64>, b: &[f64]) -> Vec<f64> {
    let mut x = b.to_vec();
    for i in (0..x.len()).rev() {
        for j in i + 1..x.len() {
            x[i] -= r[(i, j)] * x[j];
        }
        x[i] /= r[(i, i)];
    }
    x
}

/// The inverse of an upper triangle `(p, p)` without a zero on its diagonal.
#[must_use]
pub fn inverse_of_triangle(r: &Array2<f64>) -> Array2<f64> {
    let p = r.nrows();
    let mut inverse = Array2::zeros((p, p));
    for c in 0..p {
        let mut unit = vec![0.0; p];
        unit[c] = 1.0;
        for (i, v) in back_substitute(r, &unit).into_iter().enumerate() {
            inverse[(i, c)] = v;
        }
    }
    inverse
}

/// The inverse of a symmetric positive definite matrix by Cholesky; `None` where it is singular to rounding.
#[must_use]
pub fn inverse_of_positive(a: &Array2<f64>) -> Option<Array2<f64>> {
    let p = a.nrows();
    // r^T r = a, row by row.
    let mut r = Array2::<f64>::zeros((p, p));
    for i in 0..p {
        let own: f64 = (0..i).map(|k| r[(k, i)] * r[(k, i)]).sum();
        let pivot = a[(i, i)] - own;
        // A pivot that is lost in the rounding of what it is left over from.
        if pivot.is_nan() || pivot <= p as f64 * f64::EPSILON * a[(i, i)] || a[(i, i)] <= 0.0 {
            return None;
        }
        r[(i, i)] = pivot.sqrt();
        for j in i + 1..p {
            let sum: f64 = (0..i).map(|k| r[(k, i)] * r[(k, j)]).sum();
            r[(i, j)] = (a[(i, j)] - sum) / r[(i, i)];
        }
    }
    let inverse = inverse_of_triangle(&r);
    Some(inverse.dot(&inverse.t()))
}

/// The inverse of a symmetric positive definite matrix of some size, by Cholesky; `None` where it is not definite to rounding.
#[must_use]
pub fn inverse_of_hessian(a: &Array2<f64>) -> Option<Array2<f64>> {
    let n = a.nrows();
    let mut factor = Mat::from_fn(n, n, |i, j| a[(i, j)]);
    let need = llt::factor::cholesky_in_place_scratch::<f64>(n, Par::Seq, Default::default());
    let mut memory = MemBuffer::new(need);
    llt::factor::cholesky_in_place(
        factor.as_mut(),
        Default::default(),
        Par::Seq,
        MemStack::new(&mut memory),
        Default::default(),
    )
    .ok()?;
    let mut inverse = Mat::zeros(n, n);
    let mut memory = MemBuffer::new(llt::inverse::inverse_scratch::<f64>(n, Par::Seq));
    llt::inverse::inverse(
        inverse.as_mut(),
        factor.as_ref(),
        Par::Seq,
        MemStack::new(&mut memory),
    );
    // The lower triangle is computed.
    Some(Array2::from_shape_fn((n, n), |(i, j)| {
        inverse[(i.max(j), i.min(j))]
    }))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn the_triangle_of_stacked_parts_is_that_of_the_whole() {
        let a = Array2::from_shape_fn((9, 3), |(i, j)| {
            ((i * 7 + j * 5) % 11) as f64 + (i * j) as f64 * 0.3
        });
        let whole = stacked_triangle(&[&a], 3);
        let part = |from: usize, to: usize| {
            stacked_triangle(
                &[
                    &a.slice_axis(ndarray::Axis(0), ndarray::Slice::from(from..to))
                        .to_owned(),
                ],
                3,
            )
        };
        let merged = stacked_triangle(&[&part(0, 2), &part(2, 9)], 3);
        // Signs of rows are free, and each route rounds about 9 * 3 times: 1e-13 is generous.
        for ((i, j), v) in whole.indexed_iter() {
            assert!((v.abs() - merged[(i, j)].abs()).abs() < 1e-13, "({i}, {j})");
        }
    }

    #[test]
    fn the_inverse_of_a_positive_matrix_multiplies_to_one() {
        let a = array![[4.0, 2.0, 0.6], [2.0, 5.0, 1.0], [0.6, 1.0, 3.0]];
        for inverse in [inverse_of_positive(&a), inverse_of_hessian(&a)] {
            let one = a.dot(&inverse.unwrap());
            for ((i, j), v) in one.indexed_iter() {
                assert!((v - f64::from(u8::from(i == j))).abs() < 1e-14);
            }
        }
        assert!(inverse_of_positive(&array![[1.0, 1.0], [1.0, 1.0]]).is_none());
    }

    #[test]
    fn singular_values_descend_and_rebuild_the_matrix() {
        let a = array![[3.0, 0.0], [4.0, 5.0], [0.0, 1.0]];
        let (u, s, v) = singular(&a).unwrap();
        assert!(s[0] >= s[1]);
        let rebuilt = (&u * &ndarray::Array1::from(s)).dot(&v.t());
        assert!(rebuilt.iter().zip(&a).all(|(x, y)| (x - y).abs() < 1e-13));
    }
}

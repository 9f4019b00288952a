//! Products with sparse rows: each stored value meets the numbers of all models, which lie side by side.

use std::ops::Range;

use emberline_pipeline::datasets::StoredRows;
use emberline_pipeline::datasets::simd::{Simd, WithSimd, dispatch};

/// Rows whose margins are held at once.
pub const HEIGHT: usize = 256;

/// Vectors of models held in registers side by side.
const GROUP: usize = 4;

/// Distance of slots (and of rows of margins) for `m` models: 1, or a multiple of the widest vector's lanes.
#[must_use]
pub fn lanes(m: usize) -> usize {
    if m == 1 { 1 } else { m.next_multiple_of(8) }
}

/// `out[i * lanes + k] = x_i . w_k` for the rows given, the first at 0; `w` is `(d, lanes)`.
pub fn margins(x: &impl StoredRows, rows: Range<usize>, w: &[f64], m: usize, out: &mut [f64]) {
    if m == 1 {
        for (i, own) in rows.zip(out) {
            *own = dot(x, i, w);
        }
        return;
    }
    dispatch(Forward { x, rows, w, m, out });
}

/// Row `i` times one model, in four running sums.
fn dot(x: &impl StoredRows, i: usize, w: &[f64]) -> f64 {
    let (mut sums, mut next) = ([0.0; 4], 0);
    x.for_each_stored(i, |j, v| {
        sums[next] += v * w[j];
        next = (next + 1) % 4;
    });
    (sums[0] + sums[1]) + (sums[2] + sums[3])
}

/// `sums[j * lanes + k] += sum_i r[i * lanes + k] x_ij` over the rows given, the first at 0; `sums` is `(d, lanes)`.
pub fn add_products(
    x: &impl StoredRows,
    rows: Range<usize>,
    r: &[f64],
    m: usize,
    sums: &mut [f64],
) {
    if m == 1 {
        for (i, r) in rows.zip(r) {
            x.for_each_stored(i, |j, v| sums[j] += v * r);
        }
        return;
    }
    dispatch(Backward {
        x,
        rows,
        r,
        m,
        sums,
    });
}

struct Forward<'a, X> {
    x: &'a X,
    rows: Range<usize>,
    w: &'a [f64],
    m: usize,
    out: &'a mut [f64],
}

impl<X: StoredRows> WithSimd for Forward<'_, X> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let stride = lanes(self.m) / S::F64_LANES;
        let w = S::as_simd_f64s(self.w).0;
        let out = S::as_mut_simd_f64s(self.out).0;
        let used = self.m.div_ceil(S::F64_LANES);
        for from in (0..used).step_by(GROUP) {
            let on = (self.x, self.rows.clone(), w, (stride, from));
            match used - from {
                1 => forward::<S, X, 1>(simd, on, out),
                2 => forward::<S, X, 2>(simd, on, out),
                3 => forward::<S, X, 3>(simd, on, out),
                _ => forward::<S, X, GROUP>(simd, on, out),
            }
        }
    }
}

/// Sparse rows, what they meet, and `(stride, first vector)` of the models taken.
type On<'a, X, V> = (&'a X, Range<usize>, &'a [V], (usize, usize));

#[inline(always)]
fn forward<S: Simd, X: StoredRows, const V: usize>(
    simd: S,
    on: On<'_, X, S::f64s>,
    out: &mut [S::f64s],
) {
    let (x, rows, w, (stride, from)) = on;
    for (i, out) in rows.zip(out.chunks_exact_mut(stride)) {
        let mut sums = [simd.splat_f64s(0.0); V];
        x.for_each_stored(
            i,
            #[inline(always)]
            |j, v| {
                let v = simd.splat_f64s(v);
                let w = &w[j * stride + from..][..V];
                for (sum, w) in sums.iter_mut().zip(w) {
                    *sum = simd.mul_add_e_f64s(v, *w, *sum);
                }
            },
        );
        out[from..from + V].copy_from_slice(&sums);
    }
}

struct Backward<'a, X> {
    x: &'a X,
    rows: Range<usize>,
    r: &'a [f64],
    m: usize,
    sums: &'a mut [f64],
}

impl<X: StoredRows> WithSimd for Backward<'_, X> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let stride = lanes(self.m) / S::F64_LANES;
        let r = S::as_simd_f64s(self.r).0;
        let sums = S::as_mut_simd_f64s(self.sums).0;
        let used = self.m.div_ceil(S::F64_LANES);
        for from in (0..used).step_by(GROUP) {
            let on = (self.x, self.rows.clone(), r, (stride, from));
            match used - from {
                1 => backward::<S, X, 1>(simd, on, sums),
                2 => backward::<S, X, 2>(simd, on, sums),
                3 => backward::<S, X, 3>(simd, on, sums),
                _ => backward::<S, X, GROUP>(simd, on, sums),
            }
        }
    }
}

#[inline(always)]
fn backward<S: Simd, X: StoredRows, const V: usize>(
    simd: S,
    on: On<'_, X, S::f64s>,
    sums: &mut [S::f64s],
) {
    let (x, rows, r, (stride, from)) = on;
    for (i, r) in rows.zip(r.chunks_exact(stride)) {
        let r: [S::f64s; V] = std::array::from_fn(|v| r[from + v]);
        x.for_each_stored(
            i,
            #[inline(always)]
            |j, v| {
                let v = simd.splat_f64s(v);
                let own = &mut sums[j * stride + from..][..V];
                for (sum, r) in own.iter_mut().zip(r) {
                    *sum = simd.mul_add_e_f64s(v, r, *sum);
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use emberline_pipeline::datasets::Csr;

    use super::*;

    #[test]
    fn products_for_any_number_of_models_are_those_of_the_dense_rows() {
        let x = Csr {
            offsets: vec![0, 3, 3, 9, 10],
            indices: vec![0, 2, 6, 0, 1, 3, 4, 5, 6, 3],
            values: vec![1.5, -2.0, 0.25, 3.0, -1.0, 0.5, 2.0, 4.0, -0.5, 7.0],
            width: 7,
        };
        let dense = x.to_dense();
        for m in [1, 2, 8, 10, 33, 41] {
            let l = lanes(m);
            let w: Vec<f64> = (0..7 * l).map(|i| ((i * 13) % 17) as f64 - 8.0).collect();
            let mut out = vec![f64::NAN; 3 * l];
            margins(&x, 1..4, &w, m, &mut out);
            let mut sums = vec![1.0; 7 * l];
            add_products(&x, 1..4, &out, m, &mut sums);
            // Multiples of 1/16 below 2^20: every order of sums is exact.
            for k in 0..m {
                for i in 0..3 {
                    let want: f64 = (0..7).map(|j| dense[(i + 1, j)] * w[j * l + k]).sum();
                    assert_eq!(out[i * l + k], want, "{m} models, model {k}, row {i}");
                }
                for j in 0..7 {
                    let want: f64 = (0..3).map(|i| dense[(i + 1, j)] * out[i * l + k]).sum();
                    assert_eq!(sums[j * l + k], 1.0 + want, "{m} models, slot {j}");
                }
            }
        }
    }
}

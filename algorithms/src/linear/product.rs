//! The two products of a pass, blocked for registers: tile times coefficients, and residuals times tile.
//!
//! Library products pack their operands and are made for square shapes; at ten columns they reach a quarter of the
//! processor's rate. Here a few rows times a few models (forward), or a few models times a few vectors of features (backward),
//! stay in registers. The order of sums depends on the shape and the instruction set alone.

use emberline_pipeline::datasets::simd::{Simd, WithSimd, dispatch};

use super::tile::Tile;

/// Models whose sums are held in registers side by side.
const GROUP: usize = 5;

/// Margins of all models: `out[k * out_stride + i] = z_i . w_k + b_k`.
///
/// `w` is `(m, stride)` with the stride of the tile, zeros behind the features.
pub fn margins(tile: &Tile<'_>, w: &[f64], b: &[f64], out: &mut [f64], out_stride: usize) {
    dispatch(Forward {
        tile,
        w,
        b,
        out,
        out_stride,
    });
}

struct Forward<'a> {
    tile: &'a Tile<'a>,
    w: &'a [f64],
    b: &'a [f64],
    out: &'a mut [f64],
    out_stride: usize,
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let nv = self.tile.stride / S::F64_LANES;
        if nv == 0 {
            for (out, b) in self.out.chunks_exact_mut(self.out_stride).zip(self.b) {
                out.fill(*b);
            }
            return;
        }
        let z = &S::as_simd_f64s(self.tile.z).0[..self.tile.rows * nv];
        let w = S::as_simd_f64s(self.w).0;
        for (from, size) in groups(self.b.len()) {
            let w = &w[from * nv..][..size * nv];
            let b = &self.b[from..from + size];
            let out = &mut self.out[from * self.out_stride..];
            let stride = self.out_stride;
            match size {
                1 => rows::<S, 8, 1>(simd, z, nv, w, b, out, stride),
                2 => rows::<S, 4, 2>(simd, z, nv, w, b, out, stride),
                3 => rows::<S, 4, 3>(simd, z, nv, w, b, out, stride),
                4 => rows::<S, 4, 4>(simd, z, nv, w, b, out, stride),
                _ => rows::<S, 4, GROUP>(simd, z, nv, w, b, out, stride),
            }
        }
    }
}

/// Runs of at most [`GROUP`], as even as they get: `(first, length)`.
fn groups(m: usize) -> impl Iterator<Item = (usize, usize)> {
    let n = m.div_ceil(GROUP);
    (0..n).map(move |g| (g * m / n, (g + 1) * m / n - g * m / n))
}

#[inline(always)]
fn rows<S: Simd, const R: usize, const K: usize>(
    simd: S,
    z: &[S::f64s],
    nv: usize,
    w: &[S::f64s],
    b: &[f64],
    out: &mut [f64],
    stride: usize,
) {
    let w: [&[S::f64s]; K] = std::array::from_fn(|k| &w[k * nv..][..nv]);
    let n = z.len() / nv;
    let whole = n - n % R;
    for i in (0..whole).step_by(R) {
        some_rows::<S, R, K>(simd, &z[i * nv..][..R * nv], &w, b, &mut out[i..], stride);
    }
    for i in whole..n {
        some_rows::<S, 1, K>(simd, &z[i * nv..][..nv], &w, b, &mut out[i..], stride);
    }
}

#[inline(always)]
fn some_rows<S: Simd, const R: usize, const K: usize>(
    simd: S,
    z: &[S::f64s],
    w: &[&[S::f64s]; K],
    b: &[f64],
    out: &mut [f64],
    stride: usize,
) {
    let nv = z.len() / R;
    let z: [&[S::f64s]; R] = std::array::from_fn(|r| &z[r * nv..][..nv]);
    let w: [&[S::f64s]; K] = std::array::from_fn(|k| &w[k][..nv]);
    let mut sums = [[simd.splat_f64s(0.0); K]; R];
    for v in 0..nv {
        let x: [S::f64s; R] = std::array::from_fn(|r| z[r][v]);
        for k in 0..K {
            let w = w[k][v];
            for r in 0..R {
                sums[r][k] = simd.mul_add_e_f64s(x[r], w, sums[r][k]);
            }
        }
    }
    for k in 0..K {
        let own = &mut out[k * stride..][..R];
        for r in 0..R {
            own[r] = simd.reduce_sum_f64s(sums[r][k]) + b[k];
        }
    }
}

struct Backward<'a> {
    tile: &'a Tile<'a>,
    r: &'a [f64],
    r_stride: usize,
    m: usize,
    sums: &'a mut [f64],
}

/// `sums[k] += sum_i r[k * r_stride + i] z_i` for `m` models; `sums` is `(m, stride)` with the stride of the tile.
pub fn add_products(tile: &Tile<'_>, r: &[f64], r_stride: usize, m: usize, sums: &mut [f64]) {
    dispatch(Backward {
        tile,
        r,
        r_stride,
        m,
        sums,
    });
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let stride = self.tile.stride;
        let nv = stride / S::F64_LANES;
        if nv == 0 {
            return;
        }
        let z = &S::as_simd_f64s(self.tile.z).0[..self.tile.rows * nv];
        for (from, size) in groups(self.m) {
            let sums = S::as_mut_simd_f64s(&mut self.sums[from * stride..][..size * stride]).0;
            let left = (&self.r[from * self.r_stride..], (self.r_stride, 1));
            match size {
                1 => features::<S, 1>(simd, z, nv, left, sums),
                2 => features::<S, 2>(simd, z, nv, left, sums),
                3 => features::<S, 3>(simd, z, nv, left, sums),
                4 => features::<S, 4>(simd, z, nv, left, sums),
                _ => features::<S, GROUP>(simd, z, nv, left, sums),
            }
        }
    }
}

/// What the tile is multiplied by, `left[k, i]` at `k * steps.0 + i * steps.1`.
type Left<'a> = (&'a [f64], (usize, usize));

#[inline(always)]
fn features<S: Simd, const K: usize>(
    simd: S,
    z: &[S::f64s],
    nv: usize,
    left: Left<'_>,
    sums: &mut [S::f64s],
) {
    let whole = nv - nv % 4;
    for v in (0..whole).step_by(4) {
        some_features::<S, K, 4>(simd, z, (nv, v), left, sums);
    }
    match nv - whole {
        1 => some_features::<S, K, 1>(simd, z, (nv, whole), left, sums),
        2 => some_features::<S, K, 2>(simd, z, (nv, whole), left, sums),
        3 => some_features::<S, K, 3>(simd, z, (nv, whole), left, sums),
        _ => {}
    }
}

/// `sums += z^T z`, of which the upper triangle is summed, by whole vectors; `sums` is `(width, stride)`.
pub fn add_squares(tile: &Tile<'_>, sums: &mut [f64]) {
    dispatch(Squares { tile, sums });
}

struct Squares<'a> {
    tile: &'a Tile<'a>,
    sums: &'a mut [f64],
}

impl WithSimd for Squares<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (stride, lanes) = (self.tile.stride, S::F64_LANES);
        let nv = stride / lanes;
        if nv == 0 {
            return;
        }
        let z = &S::as_simd_f64s(self.tile.z).0[..self.tile.rows * nv];
        let sums = &mut self.sums[..self.tile.width * stride];
        // Thirty-two registers hold 24 sums beside what they are made of, sixteen hold 8.
        let most = if lanes == 8 { 6 } else { 2 };
        // The features of one vector begin at the same place of the triangle.
        for (first, sums) in sums.chunks_mut(lanes * stride).enumerate() {
            let sums = S::as_mut_simd_f64s(sums).0;
            let (mut v, mut chunks) = (first, (nv - first).div_ceil(most));
            while v < nv {
                let some = (nv - v).div_ceil(chunks);
                (chunks, v) = (chunks - 1, v + some);
                let at = (nv, first, v - some);
                match some {
                    1 => squares::<S, 1>(simd, z, at, self.tile.z, sums),
                    2 => squares::<S, 2>(simd, z, at, self.tile.z, sums),
                    3 => squares::<S, 3>(simd, z, at, self.tile.z, sums),
                    4 => squares::<S, 4>(simd, z, at, self.tile.z, sums),
                    5 => squares::<S, 5>(simd, z, at, self.tile.z, sums),
                    _ => squares::<S, 6>(simd, z, at, self.tile.z, sums),
                }
            }
        }
    }
}

/// Products of the features of vector `first` with `V` vectors from `v` on; as many features at a time as registers hold sums of.
#[inline(always)]
fn squares<S: Simd, const V: usize>(
    simd: S,
    z: &[S::f64s],
    (nv, first, v): (usize, usize, usize),
    numbers: &[f64],
    sums: &mut [S::f64s],
) {
    let steps = (1, nv * S::F64_LANES);
    let (m, from) = (sums.len() / nv, first * S::F64_LANES);
    let mut k = 0;
    while k < m {
        let (left, sums) = ((&numbers[from + k..], steps), &mut sums[k * nv..]);
        k += if V <= 3 && m - k >= 8 {
            some_features::<S, 8, V>(simd, z, (nv, v), left, sums);
            8
        } else if m - k >= 4 {
            some_features::<S, 4, V>(simd, z, (nv, v), left, sums);
            4
        } else {
            some_features::<S, 1, V>(simd, z, (nv, v), left, sums);
            1
        };
    }
}

#[inline(always)]
fn some_features<S: Simd, const K: usize, const V: usize>(
    simd: S,
    z: &[S::f64s],
    (nv, v): (usize, usize),
    (left, (by_model, by_row)): Left<'_>,
    sums: &mut [S::f64s],
) {
    let mut own = [[simd.splat_f64s(0.0); V]; K];
    for (i, row) in z.chunks_exact(nv).enumerate() {
        let row = &row[v..][..V];
        let left = &left[i * by_row..][..(K - 1) * by_model + 1];
        for k in 0..K {
            let l = simd.splat_f64s(left[k * by_model]);
            for (sum, x) in own[k].iter_mut().zip(row) {
                *sum = simd.mul_add_e_f64s(l, *x, *sum);
            }
        }
    }
    for k in 0..K {
        let sums = &mut sums[k * nv + v..][..V];
        for (sum, own) in sums.iter_mut().zip(own[k]) {
            *sum = simd.add_f64s(*sum, own);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(i: usize) -> f64 {
        ((i * 37 + 11) % 101) as f64 / 50.0 - 1.0
    }

    /// A tile of these rows and columns, zeros behind the columns.
    fn tile(rows: usize, width: usize) -> (Vec<f64>, usize) {
        let stride = Tile::stride(width);
        let z = (0..rows * stride).map(|i| {
            let column = i % stride;
            if column < width { number(i) } else { 0.0 }
        });
        (z.collect(), stride)
    }

    #[test]
    fn products_of_all_shapes_are_those_of_plain_loops() {
        for (rows, width, m) in [(1, 1, 1), (9, 5, 2), (13, 17, 5), (32, 33, 11), (7, 50, 1)] {
            let (mut z, stride) = tile(rows, width);
            let tile = Tile {
                z: &mut z,
                rows,
                width,
                stride,
            };
            let w: Vec<f64> = (0..m * stride)
                .map(|i| {
                    if i % stride < width {
                        number(i + 5)
                    } else {
                        0.0
                    }
                })
                .collect();
            let b: Vec<f64> = (0..m).map(number).collect();
            let mut out = vec![0.0; m * rows];
            margins(&tile, &w, &b, &mut out, rows);
            let mut sums = vec![1.0; m * stride];
            add_products(&tile, &out, rows, m, &mut sums);
            let mut squares = vec![0.0; width * stride];
            add_squares(&tile, &mut squares);
            // Numbers of size 1, at most 50 in a sum: rounding stays below 50 * 50 * EPSILON.
            let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
            for k in 0..m {
                for i in 0..rows {
                    let want: f64 = (0..width)
                        .map(|j| tile.z[i * stride + j] * w[k * stride + j])
                        .sum::<f64>()
                        + b[k];
                    assert!(close(out[k * rows + i], want), "{rows} {width} {m}");
                }
                for j in 0..width {
                    let want: f64 = 1.0
                        + (0..rows)
                            .map(|i| out[k * rows + i] * tile.z[i * stride + j])
                            .sum::<f64>();
                    assert!((sums[k * stride + j] - want).abs() < 1e-11);
                }
            }
            for a in 0..width {
                for j in a..width {
                    let want: f64 = (0..rows)
                        .map(|i| tile.z[i * stride + a] * tile.z[i * stride + j])
                        .sum();
                    assert!(close(squares[a * stride + j], want), "{a} {j}");
                }
            }
        }
    }

    #[test]
    fn margins_of_no_features_are_the_intercepts_and_squares_are_none() {
        let tile = Tile {
            z: &mut [],
            rows: 2,
            width: 0,
            stride: 0,
        };
        let mut out = [0.0; 4];
        margins(&tile, &[], &[1.0, 2.0], &mut out, 2);
        assert_eq!(out, [1.0, 1.0, 2.0, 2.0]);
        add_squares(&tile, &mut []);
    }

    #[test]
    fn groups_cover_all_models_once() {
        for m in 0..40 {
            let mut next = 0;
            for (from, size) in groups(m) {
                assert_eq!(from, next);
                assert!((1..=GROUP).contains(&size));
                next += size;
            }
            assert_eq!(next, m);
        }
    }
}

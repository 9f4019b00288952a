//! Rows of a block, brought to the units of training a few at a time.

use emberline_pipeline::datasets::{Block, Features};
use ndarray::{Array2, ArrayView2, Axis, Slice};

use super::Scale;

/// Numbers in a tile: 256 KiB, so that both products of a pass find it in the second-level cache.
const TILE: usize = 32 * 1024;

/// Cuts dense blocks into tiles of rows of `z`. The buffer is allocated once a block.
pub struct Tiles {
    buffer: Array2<f64>,
    rows: usize,
}

impl Tiles {
    /// Tiles for blocks of `n` rows and `d` features; `extra` columns more are left to the caller.
    #[must_use]
    pub fn new(n: usize, d: usize, extra: usize) -> Self {
        let rows = Self::height(n, d);
        Self {
            buffer: Array2::zeros((rows, d + extra)),
            rows,
        }
    }

    /// Rows of a tile for blocks of `n` rows and `d` features.
    #[must_use]
    pub fn height(n: usize, d: usize) -> usize {
        (TILE / d.max(1)).clamp(16, 1024).min(n.max(1))
    }

    /// Calls `f(first row, tile)` for all rows in order; the tile is `(t, d + extra)`, its last `extra` columns untouched.
    pub fn for_each(
        &mut self,
        block: &Block,
        scale: &Scale,
        mut f: impl FnMut(usize, &mut Array2<f64>, usize),
    ) {
        let n = block.n_rows();
        for start in (0..n).step_by(self.rows.max(1)) {
            let t = self.rows.min(n - start);
            self.load(block, scale, start, t);
            f(start, &mut self.buffer, t);
        }
    }

    fn load(&mut self, block: &Block, scale: &Scale, start: usize, t: usize) {
        let d = block.n_features();
        let mut tile = self.buffer.slice_axis_mut(Axis(0), Slice::from(..t));
        tile.slice_axis_inplace(Axis(1), Slice::from(..d));
        match &block.features {
            Features::F64(x) => {
                for (mut z, x) in tile.outer_iter_mut().zip(x.view().outer_iter().skip(start)) {
                    let parts = z.iter_mut().zip(x.iter());
                    for ((z, x), (m, s)) in parts.zip(scale.centre.iter().zip(&scale.inverse)) {
                        *z = (x - m) * s;
                    }
                }
            }
            Features::F32(x) => {
                for (mut z, x) in tile.outer_iter_mut().zip(x.view().outer_iter().skip(start)) {
                    let parts = z.iter_mut().zip(x.iter());
                    for ((z, x), (m, s)) in parts.zip(scale.centre.iter().zip(&scale.inverse)) {
                        *z = (f64::from(*x) - m) * s;
                    }
                }
            }
            sparse @ (Features::Csr(_) | Features::Mixed(_)) => {
                let zero = scale.centre.iter().zip(&scale.inverse);
                let zero: Vec<f64> = zero.map(|(m, s)| -m * s).collect();
                for (i, mut z) in tile.outer_iter_mut().enumerate() {
                    z.iter_mut().zip(&zero).for_each(|(z, v)| *z = *v);
                    sparse.for_each_stored(start + i, |j, v| {
                        z[j] = (v - scale.centre[j]) * scale.inverse[j];
                    });
                }
            }
        }
    }

    /// The first `t` rows of a tile.
    #[must_use]
    pub fn view(tile: &Array2<f64>, t: usize) -> ArrayView2<'_, f64> {
        tile.slice_axis(Axis(0), Slice::from(..t))
    }
}

/// `a . b` in one fixed order of sums: four running sums, so that the processor can add side by side.
#[must_use]
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len().min(b.len());
    let (a, b) = (&a[..n], &b[..n]);
    let mut sums = [0.0; 4];
    let (fours, rest) = (a.chunks_exact(4), n - n % 4);
    for (x, y) in fours.zip(b.chunks_exact(4)) {
        for l in 0..4 {
            sums[l] += x[l] * y[l];
        }
    }
    let tail: f64 = a[rest..].iter().zip(&b[rest..]).map(|(x, y)| x * y).sum();
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + tail
}

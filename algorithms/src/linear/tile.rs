//! Rows of a block, brought to the units of training a few at a time.

use emberline_pipeline::datasets::simd::dispatch;
use emberline_pipeline::datasets::{Block, Features};
use ndarray::{ArrayView2, ShapeBuilder};

use super::Scale;

/// Numbers in a tile: 64 KiB, so that both products of a pass find it near the processor.
const TILE: usize = 8 * 1024;
/// Columns are padded with zeros to a multiple of this, the lanes of the widest vector.
pub const LANES: usize = 8;

/// Cuts blocks into tiles of rows of `z`. The buffer is allocated once a block.
pub struct Tiles {
    buffer: Vec<f64>,
    height: usize,
    width: usize,
    step: usize,
}

/// Some rows in units of training, row-major: row `i` starts at `i * stride`, and zeros stand behind its `width` columns.
pub struct Tile<'a> {
    /// The numbers, `rows * stride` and perhaps more.
    pub z: &'a mut [f64],
    /// Rows.
    pub rows: usize,
    /// Columns: features, and what the caller asked for.
    pub width: usize,
    /// Distance of rows, a multiple of the vector width.
    pub stride: usize,
}

impl Tile<'_> {
    /// The stride of tiles of this width.
    #[must_use]
    pub fn stride(width: usize) -> usize {
        width.next_multiple_of(LANES)
    }

    /// Row `i` `(width,)`.
    pub fn row_mut(&mut self, i: usize) -> &mut [f64] {
        &mut self.z[i * self.stride..][..self.width]
    }

    /// The tile as a matrix `(rows, width)`.
    #[must_use]
    pub fn view(&self) -> ArrayView2<'_, f64> {
        let shape = (self.rows, self.width).strides((self.stride, 1));
        ArrayView2::from_shape(shape, self.z).expect("the buffer holds `rows` rows of `stride`")
    }
}

impl Tiles {
    /// Tiles for blocks of `n` rows and `d` features; `extra` columns more are left to the caller.
    #[must_use]
    pub fn new(n: usize, d: usize, extra: usize) -> Self {
        let width = d + extra;
        let stride = Tile::stride(width);
        let height = (TILE / stride.max(1)).clamp(16, 512) / LANES * LANES;
        let height = height.min(n.max(1));
        Self {
            buffer: vec![0.0; height * stride],
            height,
            width,
            step: 1,
        }
    }

    /// Takes every `step`th row alone, from the first on.
    #[must_use]
    pub fn every(mut self, step: usize) -> Self {
        self.step = step.max(1);
        self
    }

    /// Rows of a tile, but for the last.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Calls `f(first row, tile)` for all rows in order; the extra columns are left as they were.
    pub fn for_each(
        &mut self,
        block: &Block,
        scale: &Scale,
        mut f: impl FnMut(usize, &mut Tile<'_>),
    ) {
        let n = block.n_rows();
        let zero = match block.features {
            Features::Csr(_) | Features::Mixed(_) => scale.zero(),
            _ => Vec::new(),
        };
        let mut start = 0;
        while start < n {
            let rows = self.height.min((n - start).div_ceil(self.step));
            self.load(block, scale, &zero, start, rows);
            let mut tile = Tile {
                z: &mut self.buffer,
                rows,
                width: self.width,
                stride: Tile::stride(self.width),
            };
            f(start, &mut tile);
            start += rows * self.step;
        }
    }

    fn load(&mut self, block: &Block, scale: &Scale, zero: &[f64], start: usize, rows: usize) {
        let d = block.n_features();
        if self.width == 0 {
            return;
        }
        let step = self.step;
        let tile = self.buffer.chunks_exact_mut(Tile::stride(self.width));
        let tile = tile.take(rows).map(|z| &mut z[..d]);
        match &block.features {
            Features::F64(x) => scaled_rows(tile, x.as_slice(), (start, step), scale),
            Features::F32(x) => scaled_rows(tile, x.as_slice(), (start, step), scale),
            sparse @ (Features::Csr(_) | Features::Mixed(_)) => {
                for (i, z) in tile.enumerate() {
                    z.copy_from_slice(zero);
                    sparse.for_each_stored(start + i * step, |j, v| {
                        z[j] = (v - scale.centre[j]) * scale.inverse[j];
                    });
                }
            }
        }
    }
}

/// Every `step`th row of `x` from `start` on, in units of training.
fn scaled_rows<'a, T: Copy>(
    tile: impl Iterator<Item = &'a mut [f64]>,
    x: &[T],
    (start, step): (usize, usize),
    scale: &Scale,
) where
    f64: From<T>,
{
    dispatch(
        #[inline(always)]
        || {
            for (i, z) in tile.enumerate() {
                scaled(&x[(start + i * step) * z.len()..][..z.len()], scale, z);
            }
        },
    );
}

#[inline(always)]
fn scaled<T: Copy>(x: &[T], scale: &Scale, z: &mut [f64])
where
    f64: From<T>,
{
    let d = z.len();
    let (x, centre, inverse) = (&x[..d], &scale.centre[..d], &scale.inverse[..d]);
    for j in 0..d {
        z[j] = (f64::from(x[j]) - centre[j]) * inverse[j];
    }
}

/// `a . b` in one fixed order of sums: four running sums, so that the processor can add side by side. Finite where the true value is,
/// though partial sums may not be.
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
    let sum = (sums[0] + sums[1]) + (sums[2] + sums[3]) + tail;
    if sum.is_finite() {
        sum
    } else {
        large_dot(a, b).unwrap_or(sum)
    }
}

/// The same where a product or a partial sum is beyond any number: both sides are divided by powers of two, which is exact, so that
/// the largest product stays near 1, and the sum is multiplied by them. `None` for numbers that are not finite.
#[cold]
fn large_dot(a: &[f64], b: &[f64]) -> Option<f64> {
    if !a.iter().chain(b).all(|v| v.is_finite()) {
        return None;
    }
    let largest = |v: &[f64]| v.iter().fold(1.0_f64, |m, x| m.max(x.abs()));
    // Half of the exponent twice, since the inverse of the largest powers is no full number.
    let half = |v: f64| 2.0_f64.powi((v.log2() / 2.0).ceil() as i32);
    let (p, q) = (half(largest(a)), half(largest(b)));
    let sum: f64 = a
        .iter()
        .zip(b)
        .map(|(x, y)| (x / p / p) * (y / q / q))
        .sum();
    // Each factor is 1 or more: no product on the way is beyond the range where the last is not.
    Some(sum * p * q * p * q)
}

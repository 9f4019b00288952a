//! Sixteen rows side by side against centres one after another: few numbers of few centres leave no lane idle.

use emberline_datasets::simd::Vectors;

use super::Centres;
use super::screen::{LANES, Least};

/// How many centres are summed side by side: enough that no multiply-add waits for another, within the registers.
const WIDTHS: [usize; 4] = [12, 10, 8, 4];
const MOST: usize = WIDTHS[0];

/// Centres as seen from `shift`, times -2, one after another.
#[derive(Debug, Clone)]
pub struct Columns {
    d: usize,
    k: usize,
    /// `(k, d)` and room for [`MOST`] more.
    centres: Vec<f32>,
    /// Of each centre; infinite where there is none.
    offset: Vec<f32>,
}

impl Columns {
    pub fn new(centres: &Centres) -> Self {
        let (d, k) = (centres.d(), centres.k());
        Self {
            d,
            k,
            centres: vec![0.0; (k + MOST) * d],
            offset: vec![f32::INFINITY; k + MOST],
        }
    }

    /// The numbers of centre `c`, to be filled in.
    pub fn centre(&mut self, c: usize) -> (&mut [f32], &mut f32) {
        let numbers = &mut self.centres[c * self.d..(c + 1) * self.d];
        (numbers, &mut self.offset[c])
    }

    /// Takes in the values `offset - 2 x.c` of sixteen rows, of which `rows` are the slots.
    #[inline(always)]
    pub fn rank<S: Vectors>(&self, simd: S, rows: &[[f32; LANES]], least: &mut Least<S>) {
        let wide = S::F32_LANES == LANES;
        // The width that leaves the fewest sums idle; fewer registers hold fewer sums.
        let idle = |w: &usize| self.k.div_ceil(*w) * w - self.k;
        let width = WIDTHS.into_iter().min_by_key(idle).unwrap_or(4);
        let width = if wide { width } else { 4 };
        for c in (0..self.k).step_by(width) {
            match width {
                12 if wide => self.values::<S, 12>(simd, rows, c, least),
                10 if wide => self.values::<S, 10>(simd, rows, c, least),
                8 if wide => self.values::<S, 8>(simd, rows, c, least),
                _ => self.values::<S, 4>(simd, rows, c, least),
            }
        }
    }

    #[inline(always)]
    fn values<S: Vectors, const W: usize>(
        &self,
        simd: S,
        rows: &[[f32; LANES]],
        first: usize,
        least: &mut Least<S>,
    ) {
        let mut sums = [simd.splat(0.0); W];
        let mut centres: [&[f32]; W] = [&[]; W];
        for ((sum, centre), c) in sums.iter_mut().zip(&mut centres).zip(first..) {
            *sum = simd.splat(self.offset[c]);
            *centre = &self.centres[c * self.d..(c + 1) * self.d][..rows.len()];
        }
        for (j, x) in rows.iter().enumerate() {
            let x = simd.load(x);
            for (sum, centre) in sums.iter_mut().zip(&centres) {
                *sum = simd.mul_add(x, simd.splat(centre[j]), *sum);
            }
        }
        for (w, sum) in sums.iter().enumerate() {
            least.take(simd, *sum, (first + w) as u32);
        }
    }
}

//! Rows against a few centres, each measured.

use emberline_datasets::simd::Vectors;

use super::rows::{Rows, STRIP};
use super::{Centres, OnRows};

/// Measures all rows of a block.
pub struct Distances<'a> {
    pub n: usize,
    pub centres: &'a Centres,
    /// `(n, k)`.
    pub out: &'a mut [f64],
}

impl OnRows for Distances<'_> {
    #[inline(always)]
    fn run<S: Vectors>(self, simd: S, mut rows: impl Rows) {
        let k = self.centres.k();
        for start in (0..self.n).step_by(STRIP) {
            let end = self.n.min(start + STRIP);
            rows.enter(start..end);
            let out = self.out[start * k..end * k].chunks_exact_mut(k.max(1));
            for (i, out) in (start..).zip(out) {
                for (c, out) in out.iter_mut().enumerate() {
                    *out = rows.distance(simd, i, self.centres.row(c));
                }
            }
        }
    }
}

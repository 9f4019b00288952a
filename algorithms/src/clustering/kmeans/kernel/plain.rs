//! The assignment of rows to their nearest centres with nothing remembered between rounds.

use emberline_datasets::simd::Vectors;

use super::bounds::Targets;
use super::rows::Rows;
use super::screen::{LANES, Least};
use super::{OnRows, Sink};

/// Assigns all rows of a block, sixteen at a time from their products to their sums.
pub struct Plain<'a, 's> {
    pub n: usize,
    pub targets: &'a Targets,
    pub sink: Sink<'s>,
}

impl OnRows for Plain<'_, '_> {
    #[inline(always)]
    fn run<S: Vectors>(mut self, simd: S, mut rows: impl Rows) {
        let centres = &self.targets.centres;
        rows.reserve(LANES, &self.targets.screen);
        let (mut own, mut surplus) = ([0; LANES], [1.0; LANES]);
        for start in (0..self.n).step_by(LANES) {
            let end = self.n.min(start + LANES);
            rows.enter(start..end);
            if centres.k() > 1 {
                self.rank(simd, &mut rows, start, end, &mut own, &mut surplus);
            }
            for (l, i) in (start..end).enumerate() {
                // Written so that what is not a number is measured.
                let settled = surplus[l] > 0.0;
                if !settled {
                    own[l] = measured(simd, &mut rows, i, self.targets);
                }
            }
            self.sink
                .measure(simd, &mut rows, start, &own[..end - start], centres);
        }
    }
}

impl Plain<'_, '_> {
    /// Which centre is nearest to each row, and by how much more than it takes to be sure.
    #[inline(always)]
    fn rank<S: Vectors>(
        &self,
        simd: S,
        rows: &mut impl Rows,
        start: usize,
        end: usize,
        own: &mut [u32; LANES],
        surplus: &mut [f32; LANES],
    ) {
        let screen = &self.targets.screen;
        // What lies past the end is the last row again.
        let mut tile = [end - 1; LANES];
        for (l, i) in tile.iter_mut().enumerate() {
            *i = (*i).min(start + l);
        }
        let mut least = Least::none(simd);
        let square = rows.rank(simd, tile, screen, &mut least);
        let gap = simd.sub(least.second, least.first);
        simd.store_bits(least.centre, own);
        simd.store(simd.sub(gap, screen.doubt(simd, square)), surplus);
    }
}

/// The nearest centre, ties to the lower index.
#[inline(always)]
fn measured<S: Vectors>(simd: S, rows: &mut impl Rows, i: usize, targets: &Targets) -> u32 {
    let mut best = (0, f64::INFINITY);
    for c in 0..targets.centres.k() {
        let distance = rows.distance(simd, i, targets.centres.row(c));
        if distance < best.1 {
            best = (c as u32, distance);
        }
    }
    best.0
}

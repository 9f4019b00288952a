//! The assignment of rows to their nearest centres with nothing remembered between rounds.

use emberline_datasets::simd::Vectors;

use super::assignment::all_products;
use super::bounds::Targets;
use super::rows::Rows;
use super::screen::{LANES, Least, joined};
use super::{OnRows, Sink};

/// Assigns all rows of a block, sixteen at a time from their products to their sums.
pub struct Plain<'a, 's> {
    pub n: usize,
    pub targets: &'a Targets,
    pub sink: Sink<'s>,
}

/// Which centre is nearest to each of sixteen rows, were values exact.
struct Ranked {
    centre: [u32; LANES],
    /// How far the value of the centre next to it lies above.
    gap: [f32; LANES],
    /// Smaller gaps decide nothing.
    doubt: f32,
}

impl OnRows for Plain<'_, '_> {
    #[inline(always)]
    fn run<S: Vectors>(mut self, simd: S, mut rows: impl Rows) {
        let centres = &self.targets.centres;
        rows.reserve(LANES, &self.targets.screen);
        let mut ranked = Ranked {
            centre: [0; LANES],
            gap: [f32::INFINITY; LANES],
            doubt: 0.0,
        };
        let mut distances = [0.0; LANES];
        for start in (0..self.n).step_by(LANES) {
            let end = self.n.min(start + LANES);
            rows.enter(start..end);
            if centres.k() > 1 {
                self.rank(simd, &mut rows, start, end, &mut ranked);
            }
            for (l, i) in (start..end).enumerate() {
                // Written so that what is not a number is measured.
                let settled = ranked.gap[l] > ranked.doubt;
                if !settled {
                    ranked.centre[l] = measured(simd, &mut rows, i, self.targets);
                }
                let c = ranked.centre[l] as usize;
                distances[l] = rows.distance(simd, i, centres.row(c));
            }
            let n = end - start;
            let (own, distances) = (&ranked.centre[..n], &distances[..n]);
            self.sink.take(simd, &rows, start, own, distances);
        }
    }
}

impl Plain<'_, '_> {
    #[inline(always)]
    fn rank<S: Vectors>(
        &self,
        simd: S,
        rows: &mut impl Rows,
        start: usize,
        end: usize,
        ranked: &mut Ranked,
    ) {
        let screen = &self.targets.screen;
        // What lies past the end is the last row again.
        let (mut tile, mut slots) = ([end - 1; LANES], [0; LANES]);
        for l in 0..LANES {
            tile[l] = tile[l].min(start + l);
            slots[l] = l;
        }
        let mut squares = [0.0; LANES];
        let parts = rows.load(simd, 0, tile, screen);
        simd.store(joined(simd, parts), &mut squares);
        ranked.doubt = screen.doubt(squares.iter().sum());
        let mut least = Least::none(simd);
        for g in 0..screen.groups() {
            let offset = simd.load(screen.offset(g));
            let values = all_products(simd, rows, slots, screen.group(g), offset);
            screen.rank(simd, g, values, &mut least);
        }
        simd.store_bits(least.centre, &mut ranked.centre);
        simd.store(simd.sub(least.second, least.first), &mut ranked.gap);
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

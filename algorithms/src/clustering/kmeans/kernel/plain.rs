//! The assignment of rows to their nearest centres without bounds: all that is remembered are sums, and whose each row is.

use emberline_datasets::simd::Vectors;

use super::bounds::{Bounds, Targets};
use super::rows::{Rows, STRIP};
use super::screen::{LANES, Least};
use super::tally::Ledger;
use super::{OnRows, Sink};

/// Assigns all rows of a block, sixteen at a time from their products to their sums.
pub struct Plain<'a, 's> {
    pub n: usize,
    pub targets: &'a Targets,
    /// Where sums may be kept.
    pub bounds: Option<&'a mut Bounds>,
    /// Whether those are of the centres before.
    pub known: bool,
    pub sink: Sink<'s>,
}

impl OnRows for Plain<'_, '_> {
    #[inline(always)]
    fn run<S: Vectors>(mut self, simd: S, mut rows: impl Rows) {
        let centres = &self.targets.centres;
        rows.reserve(LANES, &self.targets.screen);
        let mut bounds = self.bounds.take();
        let kept = bounds.as_mut().and_then(|b| b.tally.take());
        let new = bounds.is_some() && !self.known;
        let mut ledger = Ledger::open(kept, new, self.n, centres);
        let (mut own, mut surplus) = ([0; LANES], [1.0; LANES]);
        for strip in (0..self.n).step_by(STRIP) {
            let strip = strip..self.n.min(strip + STRIP);
            rows.enter(strip.clone());
            ledger.survey(simd, &mut rows, strip.clone());
            for start in strip.clone().step_by(LANES) {
                let end = strip.end.min(start + LANES);
                if centres.k() > 1 {
                    self.rank(simd, &mut rows, start, end, &mut own, &mut surplus);
                }
                let held = bounds.as_mut().map(|b| &mut b.own[start..end]);
                if let (Some(_), Some(held)) = (ledger.kept(), &held)
                    && stay(held, &own, &surplus)
                {
                    continue;
                }
                for (l, i) in (start..end).enumerate() {
                    // Written so that what is not a number is measured.
                    let settled = surplus[l] > 0.0;
                    if !settled {
                        own[l] = measured(simd, &mut rows, i, self.targets);
                    }
                }
                let own = &own[..end - start];
                if let (Some(tally), Some(held)) = (ledger.kept(), &held) {
                    for (i, (from, to)) in (start..).zip(held.iter().zip(own)) {
                        if from != to {
                            tally.shift(simd, &rows, i, [*from, *to]);
                        }
                    }
                } else {
                    self.sink.measure(simd, &mut rows, start, own, centres);
                }
                if let Some(held) = held {
                    held.copy_from_slice(own);
                }
            }
        }
        if let Some(bounds) = bounds {
            let assigned = (bounds.own.as_slice(), centres);
            bounds.tally = ledger.close(simd, &mut rows, assigned, &mut self.sink);
        }
    }
}

/// Whether rows are surely still nearest to the centres they had.
#[inline(always)]
fn stay(held: &[u32], own: &[u32; LANES], surplus: &[f32; LANES]) -> bool {
    // All of them are looked at, in vectors, which takes less than stopping at the first.
    let all = |held: &[u32]| {
        let rows = held.iter().zip(own).zip(surplus);
        rows.fold(true, |stay, ((held, own), surplus)| {
            stay & (held == own) & (*surplus > 0.0)
        })
    };
    held.first_chunk::<LANES>()
        .map_or_else(|| all(held), |held| all(held))
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

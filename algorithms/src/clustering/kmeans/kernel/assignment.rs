//! The assignment of rows to their nearest centres with bounds remembered between rounds.

use super::bounds::{Bounds, DOWN, MOST_BUNDLES, Targets};
use super::rows::{Rows, all_products};
use super::screen::{LANES, Least, NO_CENTRE};
use super::{OnRows, Sink};
use emberline_datasets::simd::Vectors;
use std::ops::Range;

/// Numbers of a strip of rows that stay in the second-level cache from the distances to the sums.
const STRIP: usize = 65_536;
const MOST_ROWS: usize = 512;

/// Assigns all rows of a block.
pub struct Assignment<'a, 's> {
    pub n: usize,
    /// Bytes of a row.
    pub row_bytes: usize,
    pub targets: &'a Targets,
    pub bounds: &'a mut Bounds,
    pub sink: Sink<'s>,
}

/// Working memory of a strip.
struct Strip {
    /// Squared distance of each row to its centre.
    distances: Vec<f64>,
    /// Rows that have to be looked at, and the bundles of each. A row's place here is its slot.
    open: Vec<(usize, u32)>,
    /// Of each slot, as the screen sees it.
    squares: Vec<f32>,
    lengths: Vec<f32>,
    /// `(bundles, slots)`: the least two bounds in each open bundle.
    first: Vec<f32>,
    centre: Vec<u32>,
    second: Vec<f32>,
    /// Slots for which a bundle is open.
    slots: Vec<usize>,
}

/// The least two lower bounds of one row.
#[derive(Clone, Copy)]
struct Best {
    first: f32,
    centre: u32,
    second: f32,
}

impl Best {
    #[inline(always)]
    fn join(&mut self, other: Self) {
        if other.first < self.first {
            self.second = other.second.min(self.first);
            (self.first, self.centre) = (other.first, other.centre);
        } else if other.first < self.second {
            self.second = other.first;
        }
    }

    /// A lower bound for all but centre `c`.
    #[inline(always)]
    fn without(self, c: u32) -> f32 {
        if self.centre == c {
            self.second
        } else {
            self.first
        }
    }
}

impl Strip {
    fn new(rows: usize, bundles: usize) -> Self {
        Self {
            distances: vec![0.0; rows],
            open: Vec::with_capacity(rows),
            squares: vec![0.0; rows],
            lengths: vec![0.0; rows],
            first: vec![0.0; bundles * rows],
            centre: vec![0; bundles * rows],
            second: vec![0.0; bundles * rows],
            slots: Vec::with_capacity(rows),
        }
    }

    #[inline(always)]
    fn in_bundle(&self, slot: usize, b: usize) -> Best {
        let at = b * self.distances.len() + slot;
        Best {
            first: self.first[at],
            centre: self.centre[at],
            second: self.second[at],
        }
    }

    /// Over the open bundles of a slot, of which there is one.
    #[inline(always)]
    fn best(&self, slot: usize, open: u32) -> Best {
        let mut best = self.in_bundle(slot, open.trailing_zeros() as usize);
        let mut rest = open & (open - 1);
        while rest != 0 {
            best.join(self.in_bundle(slot, rest.trailing_zeros() as usize));
            rest &= rest - 1;
        }
        best
    }
}

impl OnRows for Assignment<'_, '_> {
    #[inline(always)]
    fn run<S: Vectors>(mut self, simd: S, mut rows: impl Rows) {
        let (d, n) = (self.targets.centres.d(), self.n);
        let size = (STRIP / d.max(1)).clamp(2 * LANES, MOST_ROWS);
        let size = size.min(n).next_multiple_of(LANES);
        let drift = self.bounds.turn(self.targets, n, self.row_bytes);
        let mut strip = Strip::new(size, self.bounds.bundles);
        for start in (0..n).step_by(size.max(1)) {
            let end = n.min(start + size);
            rows.enter(start..end);
            self.keep(simd, &mut rows, start..end, drift.as_deref(), &mut strip);
            if !strip.open.is_empty() {
                self.bound(simd, &mut rows, &mut strip);
                self.decide(simd, &mut rows, start, &mut strip);
            }
            // In row order, whatever was settled how: sums come out the same to the bit.
            let own = &self.bounds.own[start..end];
            let distances = &strip.distances[..own.len()];
            self.sink.take(simd, &rows, start, own, distances);
        }
    }
}

impl Assignment<'_, '_> {
    /// Lowers the bounds and lists the rows and bundles that they do not settle.
    #[inline(always)]
    fn keep<S: Vectors>(
        &mut self,
        simd: S,
        rows: &mut impl Rows,
        range: Range<usize>,
        drift: Option<&[f32]>,
        strip: &mut Strip,
    ) {
        strip.open.clear();
        let (centres, start) = (&self.targets.centres, range.start);
        if centres.k() == 1 {
            for i in range {
                self.bounds.own[i] = 0;
                strip.distances[i - start] = rows.distance(simd, i, centres.row(0));
            }
            return;
        }
        let Some(drift) = drift else {
            let all = u32::MAX >> (MOST_BUNDLES - self.bounds.bundles);
            strip.open.extend(range.map(|i| (i, all)));
            return;
        };
        // Which rows open is anyone's guess, also the branch predictor's: every row is listed, and only the open ones stay.
        strip.open.resize(range.len(), (0, 0));
        let mut n_open = 0;
        for i in range {
            let own = self.bounds.own[i] as usize;
            let distance = rows.distance(simd, i, centres.row(own));
            strip.distances[i - start] = distance;
            let open = self.bounds.lower(i, distance, drift);
            strip.open[n_open] = (i, open);
            n_open += usize::from(open != 0);
        }
        strip.open.truncate(n_open);
    }

    /// Bounds the distances of open rows to the centres of their open bundles.
    #[inline(always)]
    fn bound<S: Vectors>(&mut self, simd: S, rows: &mut impl Rows, strip: &mut Strip) {
        let (screen, n) = (&self.targets.screen, strip.open.len());
        rows.reserve(n.next_multiple_of(LANES), screen);
        let (squares, _) = strip.squares.as_chunks_mut::<LANES>();
        let (lengths, _) = strip.lengths.as_chunks_mut::<LANES>();
        for (t, (squares, lengths)) in squares.iter_mut().zip(lengths).enumerate() {
            if t * LANES >= n {
                break;
            }
            // What is left over is loaded several times.
            let mut tile = [strip.open[n - 1].0; LANES];
            for (i, open) in tile.iter_mut().zip(&strip.open[t * LANES..]) {
                *i = open.0;
            }
            let parts = rows.load(simd, t * LANES, tile, screen);
            let found = screen.lengths(simd, parts);
            simd.store(found.square, squares);
            simd.store(found.length, lengths);
        }
        for b in 0..self.bounds.bundles {
            let mut slots = std::mem::take(&mut strip.slots);
            slots.clear();
            slots.extend((0..n).filter(|&slot| strip.open[slot].1 >> b & 1 == 1));
            for tile in slots.chunks(LANES) {
                self.tile(simd, &*rows, b, tile, strip);
            }
            strip.slots = slots;
        }
    }

    /// Bounds the rows of up to sixteen slots against one bundle.
    #[inline(always)]
    fn tile<S: Vectors>(
        &self,
        simd: S,
        rows: &impl Rows,
        b: usize,
        tile: &[usize],
        strip: &mut Strip,
    ) {
        let screen = &self.targets.screen;
        let mut slots = [tile[tile.len() - 1]; LANES];
        slots[..tile.len()].copy_from_slice(tile);
        let (mut squares, mut lengths) = ([0.0; LANES], [0.0; LANES]);
        for ((slot, square), length) in slots.iter().zip(&mut squares).zip(&mut lengths) {
            (*square, *length) = (strip.squares[*slot], strip.lengths[*slot]);
        }
        let (square, length) = (simd.load(&squares), simd.load(&lengths));
        let mut least = Least::none(simd);
        for g in self.bounds.groups(self.targets, b) {
            let products = all_products(simd, rows, slots, screen.group(g));
            screen.track(simd, g, products, length, &mut least);
        }
        let least = least.finish(simd, square);
        let (mut first, mut centre, mut second) = ([0.0; LANES], [0; LANES], [0.0; LANES]);
        simd.store(least.first, &mut first);
        simd.store_bits(least.centre, &mut centre);
        simd.store(least.second, &mut second);
        let row = b * strip.distances.len();
        for (l, slot) in tile.iter().enumerate() {
            strip.first[row + slot] = first[l];
            strip.centre[row + slot] = centre[l];
            strip.second[row + slot] = second[l];
        }
    }

    /// Settles the open rows: measures what may be nearest, and keeps the new bounds.
    #[inline(always)]
    fn decide<S: Vectors>(
        &mut self,
        simd: S,
        rows: &mut impl Rows,
        start: usize,
        strip: &mut Strip,
    ) {
        for slot in 0..strip.open.len() {
            let (i, open) = strip.open[slot];
            let before = (self.bounds.own[i], strip.distances[i - start]);
            let (own, distance) =
                self.nearest(simd, rows, i, before, (open, strip.best(slot, open)));
            self.bounds.own[i] = own;
            strip.distances[i - start] = distance;
            let mut rest = open;
            while rest != 0 {
                let b = rest.trailing_zeros() as usize;
                rest &= rest - 1;
                *self.bounds.low(i, b) = strip.in_bundle(slot, b).without(own).sqrt() * DOWN;
            }
            if before.0 != own && before.0 != NO_CENTRE {
                // The centre it had is one of the others now.
                let b = self.bounds.bundle(self.targets, before.0);
                let low = self.bounds.low(i, b);
                *low = low.min(before.1.sqrt() as f32 * DOWN);
            }
        }
    }

    /// The nearest centre of row `i` and the squared distance to it, ties to the lower index, given that of before.
    #[inline(always)]
    fn nearest<S: Vectors>(
        &self,
        simd: S,
        rows: &mut impl Rows,
        i: usize,
        before: (u32, f64),
        (open, best): (u32, Best),
    ) -> (u32, f64) {
        let centres = &self.targets.centres;
        let margin = self.targets.margin();
        let mut found = before;
        if before.0 != NO_CENTRE && f64::from(best.without(before.0)) > before.1 * margin {
            return found;
        }
        if best.centre != NO_CENTRE && best.centre != before.0 {
            let distance = rows.distance(simd, i, centres.row(best.centre as usize));
            found = nearer(found, (best.centre, distance));
            if f64::from(best.second) > found.1 * margin {
                return found;
            }
        }
        // More than one is about as near: all that were not ruled out are measured.
        for c in 0..centres.k() as u32 {
            if open >> self.bounds.bundle(self.targets, c) & 1 == 1 {
                let distance = rows.distance(simd, i, centres.row(c as usize));
                found = nearer(found, (c, distance));
            }
        }
        found
    }
}

#[inline(always)]
fn nearer(a: (u32, f64), b: (u32, f64)) -> (u32, f64) {
    if a.0 == NO_CENTRE || b.1 < a.1 || (b.1 == a.1 && b.0 < a.0) {
        b
    } else {
        a
    }
}

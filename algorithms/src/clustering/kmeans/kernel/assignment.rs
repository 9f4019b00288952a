//! The assignment of rows to their nearest centres with bounds remembered between rounds.

use std::ops::Range;

use emberline_datasets::simd::Vectors;

use super::bounds::{Bounds, DOWN, Drift, MOST_BUNDLES, Targets, UP};
use super::rows::Rows;
use super::screen::{LANES, Least, Lengths, Line, NO_CENTRE};
use super::sums::Groups;
use super::tally::{Ledger, Tally};
use super::{OnRows, Sink};

/// Numbers of a strip of rows that stay in the second-level cache from products to sums.
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
    /// The bundle of each centre.
    homes: Vec<u32>,
    /// Rows that have to be looked at. A row's place here is its slot.
    open: Vec<usize>,
    /// Of each slot: its open bundles.
    bundles: Vec<u32>,
    /// Of each slot, as the screen sees it.
    squares: Vec<f32>,
    overs: Vec<f32>,
    lengths: Vec<f32>,
    /// Of each slot: the centre it had, and bounds of the squared distance to it where its bundle is not open; else infinite.
    own: Vec<u32>,
    own_low: Vec<f32>,
    own_high: Vec<f32>,
    /// `(bundles, slots)`: the least two bounds in each open bundle.
    first: Vec<f32>,
    centre: Vec<u32>,
    second: Vec<f32>,
    /// The least bound from above there.
    above: Vec<f32>,
    /// Slots for which a bundle is open.
    slots: Vec<usize>,
    /// Products slot by slot.
    dots: Vec<Line>,
    /// How many rows were measured to more than one centre.
    measured: usize,
}

impl Strip {
    fn new(rows: usize, bounds: &Bounds, targets: &Targets) -> Self {
        let bundles = bounds.bundles * rows;
        let centres = 0..targets.centres.k() as u32;
        Self {
            homes: centres.map(|c| bounds.bundle(targets, c) as u32).collect(),
            open: Vec::with_capacity(rows),
            bundles: vec![0; rows],
            squares: vec![0.0; rows],
            overs: vec![0.0; rows],
            lengths: vec![0.0; rows],
            own: vec![NO_CENTRE; rows],
            own_low: vec![f32::INFINITY; rows],
            own_high: vec![f32::INFINITY; rows],
            first: vec![0.0; bundles],
            centre: vec![0; bundles],
            second: vec![0.0; bundles],
            above: vec![0.0; bundles],
            slots: Vec::with_capacity(rows),
            dots: Vec::new(),
            measured: 0,
        }
    }

    fn rows(&self) -> usize {
        self.squares.len()
    }
}

impl OnRows for Assignment<'_, '_> {
    #[inline(always)]
    fn run<S: Vectors>(mut self, simd: S, mut rows: impl Rows) {
        let (d, n) = (self.targets.centres.d(), self.n);
        let size = (STRIP / d.max(1)).clamp(2 * LANES, MOST_ROWS);
        let size = size.min(n).next_multiple_of(LANES);
        let drift = self.bounds.turn(self.targets, n, self.row_bytes);
        let mut strip = Strip::new(size, self.bounds, self.targets);
        // Where bounds are kept, it is known whether sums are exact.
        let new = drift.is_none() && self.sink.unweighted();
        let mut ledger = Ledger::open(self.bounds.tally.take(), new, n, &self.targets.centres);
        let (mut groups, mut distances) = (Groups::default(), vec![0.0; size]);
        for start in (0..n).step_by(size.max(1)) {
            let end = n.min(start + size);
            rows.enter(start..end);
            if self.targets.centres.k() == 1 {
                self.bounds.own[start..end].fill(0);
            } else {
                self.list(simd, start..end, drift.as_ref(), &mut strip);
                if !strip.open.is_empty() {
                    self.load(simd, &mut rows, drift.is_some(), &mut strip);
                    self.bound(simd, &rows, &mut strip);
                    self.decide(simd, &mut rows, &mut strip, ledger.kept());
                }
            }
            if ledger.kept().is_some() {
                continue;
            }
            ledger.survey(simd, &mut rows, start..end);
            let own = &self.bounds.own[start..end];
            let distances = &mut distances[..own.len()];
            let assigned = (own, &self.targets.centres);
            self.sink
                .take(simd, &mut rows, start, assigned, (&mut groups, distances));
            self.bounds.reach(simd, start, distances);
        }
        self.bounds.judge(strip.measured);
        let assigned = (self.bounds.own.as_slice(), &self.targets.centres);
        self.bounds.tally = ledger.close(simd, &mut rows, assigned, &mut self.sink);
    }
}

impl Assignment<'_, '_> {
    /// Lists the rows that the bounds do not settle.
    #[inline(always)]
    fn list<S: Vectors>(
        &mut self,
        simd: S,
        range: Range<usize>,
        drift: Option<&Drift>,
        strip: &mut Strip,
    ) {
        strip.open.clear();
        let Some(drift) = drift else {
            strip.open.extend(range);
            return;
        };
        // Which rows open is anyone's guess, also the branch predictor's: every row is listed, and only the open ones stay.
        strip.open.resize(range.len(), 0);
        let mut n_open = 0;
        for start in range.clone().step_by(LANES) {
            let open = self.bounds.shift(simd, start, drift);
            for (i, open) in (start..range.end).zip(open) {
                strip.open[n_open] = i;
                n_open += open as usize;
            }
        }
        strip.open.truncate(n_open);
    }

    /// Fetches the open rows, looks how far their own centres are now, and which bundles that leaves open.
    #[inline(always)]
    fn load<S: Vectors>(
        &mut self,
        simd: S,
        rows: &mut impl Rows,
        bounded: bool,
        strip: &mut Strip,
    ) {
        let (screen, n) = (&self.targets.screen, strip.open.len());
        let coarse = self.bounds.coarse(self.targets);
        rows.reserve(n.next_multiple_of(LANES), screen);
        for start in (0..n).step_by(LANES) {
            // What is left over is loaded several times.
            let mut tile = [strip.open[n - 1]; LANES];
            let mut own = [0; LANES];
            for (i, open) in tile.iter_mut().zip(&strip.open[start..]) {
                *i = *open;
            }
            if bounded {
                for (own, i) in own.iter_mut().zip(tile) {
                    *own = self.bounds.own[i];
                }
            }
            let [square, product] = rows.load(simd, start, tile, &own, (screen, coarse));
            let found = screen.lengths(simd, square);
            put(simd, found.square, &mut strip.squares[start..]);
            put(simd, found.over, &mut strip.overs[start..]);
            put(simd, found.length, &mut strip.lengths[start..]);
            let slots = start..n.min(start + LANES);
            if !bounded {
                let all = u32::MAX >> (MOST_BUNDLES - self.bounds.bundles);
                strip.bundles[slots].fill(all);
                continue;
            }
            let (low, high) = screen.between(simd, &own, product, &found);
            let (mut lows, mut highs, mut near) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
            simd.store(low, &mut lows);
            simd.store(high, &mut highs);
            let root = simd.mul_add(simd.sqrt(high), simd.splat(UP), simd.splat(0.0));
            simd.store(root, &mut near);
            for (l, slot) in slots.enumerate() {
                let open = self.bounds.open(tile[l], near[l]);
                strip.bundles[slot] = open;
                strip.own[slot] = own[l];
                // Where its bundle is open, the centre is looked at among the others.
                let apart = open >> strip.homes[own[l] as usize] & 1 == 0;
                strip.own_low[slot] = if apart { lows[l] } else { f32::INFINITY };
                strip.own_high[slot] = if apart { highs[l] } else { f32::INFINITY };
            }
        }
    }

    /// Bounds the distances of open rows to the centres of their open bundles.
    #[inline(always)]
    fn bound<S: Vectors>(&mut self, simd: S, rows: &impl Rows, strip: &mut Strip) {
        let (n, size) = (strip.open.len(), strip.rows());
        for b in 0..self.bounds.bundles {
            let row = b * size..b * size + n.next_multiple_of(LANES);
            strip.first[row.clone()].fill(f32::INFINITY);
            strip.second[row.clone()].fill(f32::INFINITY);
            strip.above[row.clone()].fill(f32::INFINITY);
            strip.centre[row].fill(NO_CENTRE);
            let mut slots = std::mem::take(&mut strip.slots);
            slots.resize(n, 0);
            let mut n_open = 0;
            for (slot, bundles) in strip.bundles[..n].iter().enumerate() {
                slots[n_open] = slot;
                n_open += (bundles >> b & 1) as usize;
            }
            for tile in slots[..n_open].chunks(LANES) {
                self.tile(simd, rows, b, tile, strip);
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
        // Where all rows are open, they lie side by side.
        let whole = tile.len() == LANES && slots[LANES - 1] - slots[0] == LANES - 1;
        let found = if whole {
            Lengths {
                square: get(simd, &strip.squares[slots[0]..]),
                over: get(simd, &strip.overs[slots[0]..]),
                length: get(simd, &strip.lengths[slots[0]..]),
            }
        } else {
            let [mut squares, mut overs, mut lengths] = [[0.0; LANES]; 3];
            for (l, slot) in slots.iter().enumerate() {
                squares[l] = strip.squares[*slot];
                overs[l] = strip.overs[*slot];
                lengths[l] = strip.lengths[*slot];
            }
            Lengths::<S> {
                square: simd.load(&squares),
                over: simd.load(&overs),
                length: simd.load(&lengths),
            }
        };
        let mut least = Least::none(simd);
        let mut above = simd.splat(f32::INFINITY);
        let (width, _) = screen.dots::<S>();
        if width > 0 {
            let mut at = [0; LANES];
            for (at, slot) in at.iter_mut().zip(slots) {
                *at = strip.open[slot];
            }
            strip.dots.resize(width * LANES, Line::default());
            rows.dots(simd, at, screen, &mut strip.dots);
            let mut products = [simd.splat(0.0); LANES];
            let dots = strip.dots.as_chunks::<LANES>().0;
            for (product, dots) in products.iter_mut().zip(dots) {
                let mut parts = [simd.splat(0.0); LANES];
                for (part, line) in parts.iter_mut().zip(dots) {
                    *part = simd.load(&line.0);
                }
                *product = simd.sums(parts);
            }
            let products = (&products, screen.slope(0));
            screen.track(simd, 0, products, found.length, (&mut least, &mut above));
        } else {
            let coarse = self.bounds.coarse(self.targets);
            for g in self.bounds.groups(self.targets, b) {
                let products = rows.apart(simd, (slots, found.length), g, (screen, coarse));
                let slope = coarse.map_or(screen.slope(g), |coarse| coarse.slope(g));
                let products = (&products, slope);
                screen.track(simd, g, products, found.length, (&mut least, &mut above));
            }
        }
        let least = least.finish(simd, found.square);
        let above = simd.max(simd.splat(0.0), simd.add(found.over, above));
        if whole {
            let at = b * strip.rows() + slots[0];
            put(simd, least.first, &mut strip.first[at..]);
            put_bits(simd, least.centre, &mut strip.centre[at..]);
            put(simd, least.second, &mut strip.second[at..]);
            put(simd, above, &mut strip.above[at..]);
            return;
        }
        let [mut first, mut second, mut most] = [[0.0; LANES]; 3];
        let mut centre = [0; LANES];
        simd.store(least.first, &mut first);
        simd.store_bits(least.centre, &mut centre);
        simd.store(least.second, &mut second);
        simd.store(above, &mut most);
        let row = b * strip.rows();
        for (l, slot) in tile.iter().enumerate() {
            strip.first[row + slot] = first[l];
            strip.centre[row + slot] = centre[l];
            strip.second[row + slot] = second[l];
            strip.above[row + slot] = most[l];
        }
    }

    /// Settles the open rows: measures where more than one centre may be nearest, and keeps the new bounds.
    #[inline(always)]
    fn decide<S: Vectors>(
        &mut self,
        simd: S,
        rows: &mut impl Rows,
        strip: &mut Strip,
        mut tally: Option<&mut Tally>,
    ) {
        let n = strip.open.len();
        for start in (0..n).step_by(LANES) {
            let slots = start..n.min(start + LANES);
            let mut best = Least::none(simd);
            let mut above = get(simd, &strip.own_high[start..]);
            for b in 0..self.bounds.bundles {
                let at = b * strip.rows() + start;
                best.join(simd, least(simd, strip, at));
                above = simd.min(above, get(simd, &strip.above[at..]));
            }
            best.join(
                simd,
                Least {
                    first: get(simd, &strip.own_low[start..]),
                    centre: get_bits(simd, &strip.own[start..]),
                    second: simd.splat(f32::INFINITY),
                },
            );
            let (mut own, mut sure) = ([0; LANES], [0; LANES]);
            simd.store_bits(best.centre, &mut own);
            let above = simd.mul_add(above, simd.splat(UP), simd.splat(0.0));
            let (no, yes) = (simd.splat_bits(0), simd.splat_bits(1));
            simd.store_bits(simd.select_less(above, best.second, yes, no), &mut sure);
            for (l, slot) in slots.clone().enumerate() {
                if sure[l] == 0 {
                    own[l] = self.nearest(simd, rows, strip, slot);
                    strip.measured += 1;
                }
            }
            let owns = simd.load_bits(&own);
            let all = strip.bundles[slots.clone()]
                .iter()
                .fold(u32::MAX, |a, b| a & b);
            let side_by_side =
                slots.len() == LANES && strip.open[slots.end - 1] - strip.open[start] == LANES - 1;
            for b in 0..self.bounds.bundles {
                let found = least(simd, strip, b * strip.rows() + start);
                let low = simd.select_equal(found.centre, owns, found.second, found.first);
                let low = simd.mul_add(simd.sqrt(low), simd.splat(DOWN), simd.splat(0.0));
                let to = self.bounds.low(b);
                if side_by_side && all >> b & 1 == 1 {
                    put(simd, low, &mut to[strip.open[start]..]);
                    continue;
                }
                let mut lows = [0.0; LANES];
                simd.store(low, &mut lows);
                for (slot, low) in slots.clone().zip(lows) {
                    if strip.bundles[slot] >> b & 1 == 1 {
                        to[strip.open[slot]] = low;
                    }
                }
            }
            let mut highs = [0.0; LANES];
            let root = simd.mul_add(simd.sqrt(above), simd.splat(UP), simd.splat(0.0));
            simd.store(root, &mut highs);
            for ((slot, own), high) in slots.zip(own).zip(highs) {
                let (i, before) = (strip.open[slot], strip.own[slot]);
                self.bounds.own[i] = own;
                if let Some(tally) = &mut tally {
                    self.bounds.set_high(i, high);
                    if before != own {
                        tally.shift(simd, rows, i, [before, own]);
                    }
                }
                if before != own && strip.own_low[slot] < f32::INFINITY {
                    // The centre it had is one of the others of its bundle now.
                    let home = strip.homes[before as usize] as usize;
                    let low = &mut self.bounds.low(home)[i];
                    *low = low.min(strip.own_low[slot].sqrt() * DOWN);
                }
            }
        }
    }

    /// The nearest centre of a slot, ties to the lower index: the one it had and all of its open bundles are measured.
    #[inline(always)]
    fn nearest<S: Vectors>(
        &self,
        simd: S,
        rows: &mut impl Rows,
        strip: &Strip,
        slot: usize,
    ) -> u32 {
        let centres = &self.targets.centres;
        let (i, before) = (strip.open[slot], self.bounds.own[strip.open[slot]]);
        let mut best = (NO_CENTRE, f64::INFINITY);
        for c in 0..centres.k() as u32 {
            let open = strip.bundles[slot] >> strip.homes[c as usize] & 1 == 1;
            if open || c == before {
                let distance = rows.distance(simd, i, centres.row(c as usize));
                if best.0 == NO_CENTRE || distance < best.1 {
                    best = (c, distance);
                }
            }
        }
        best.0
    }
}

/// What was found in a bundle for sixteen slots.
#[inline(always)]
fn least<S: Vectors>(simd: S, strip: &Strip, at: usize) -> Least<S> {
    Least {
        first: get(simd, &strip.first[at..]),
        centre: get_bits(simd, &strip.centre[at..]),
        second: get(simd, &strip.second[at..]),
    }
}

/// The first sixteen of some numbers, of which there are as many.
#[inline(always)]
fn get<S: Vectors>(simd: S, from: &[f32]) -> S::F32 {
    from.first_chunk()
        .map_or(simd.splat(0.0), |from| simd.load(from))
}

#[inline(always)]
fn get_bits<S: Vectors>(simd: S, from: &[u32]) -> S::U32 {
    from.first_chunk()
        .map_or(simd.splat_bits(0), |from| simd.load_bits(from))
}

#[inline(always)]
fn put<S: Vectors>(simd: S, a: S::F32, to: &mut [f32]) {
    if let Some(to) = to.first_chunk_mut() {
        simd.store(a, to);
    }
}

#[inline(always)]
fn put_bits<S: Vectors>(simd: S, a: S::U32, to: &mut [u32]) {
    if let Some(to) = to.first_chunk_mut() {
        simd.store_bits(a, to);
    }
}

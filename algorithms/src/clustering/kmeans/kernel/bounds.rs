//! The assignment of a block's rows to their nearest centres, with bounds kept between rounds.
//!
//! A row keeps its centre and, for each bundle of centres, a lower bound of its distance to the others among them. When
//! centres move, a bound falls by no more than the farthest of its centres moved (Hamerly 2010, SDM; in bundles: Ding et
//! al. 2015, ICML, "Yinyang"). A bundle whose bound still exceeds the distance to the row's own centre cannot hold a nearer
//! one and is not looked at. Bounds are rounded so that they stay bounds; without them, the result is the same to the bit.

use super::screen::{LANES, Least, RowLength, Screen};
use super::{Centres, Rows};
use emberline_datasets::simd::{VectorKernel, Vectors};

const NO_CENTRE: u32 = u32::MAX;
/// Bundles of a row fit in the bits of a mask.
const MOST_BUNDLES: usize = 32;
/// Rows bounded together: as many sums as hide the latency of a multiply-add and leave a register for the centres.
const TILE: usize = 12;
const SMALL_TILE: usize = 4;
/// Takes the rounding of the two or three operations on a bound in `f32` off it.
const DOWN: f32 = 1.0 - 4.0 * f32::EPSILON;
const UP: f32 = 1.0 + 4.0 * f32::EPSILON;
/// Takes the rounding of a squared distance in `f64`, and of a square, off the comparison with a bound.
const REACH: f64 = 1.0 + 1e-7;
/// For what vanishes below the range of `f32`; in its normal range itself, where processors are fast.
const TINY: f32 = 1e-36;

/// What a block remembers of some centres.
#[derive(Debug, Clone, Default)]
pub struct Bounds {
    /// Of the centres that the bounds are for; 0 where there are none.
    print: u64,
    bundles: usize,
    own: Vec<u32>,
    /// `(n, bundles)` distances, not squared.
    low: Vec<f32>,
}

/// Centres of a round, as the kernel wants them.
#[derive(Debug, Clone)]
pub struct Targets {
    centres: Centres,
    screen: Screen,
    print: u64,
    /// The centres before these, and how far each moved since.
    moved: Option<(u64, Vec<f64>)>,
    /// How many sets of centres share the memory for bounds.
    sharing: usize,
}

/// Takes what the assignment finds.
pub trait Sink {
    /// Row `i`, its nearest centre and the squared distance to it. Must be `#[inline(always)]`.
    fn take<S: Vectors>(
        &mut self,
        simd: S,
        rows: &impl Rows,
        i: usize,
        centre: usize,
        distance: f64,
    );
}

impl Targets {
    /// `moved` are the print of the centres before and how far each centre moved since. `sparse` says how rows are stored.
    pub fn new(centres: &Centres, moved: Option<(u64, Vec<f64>)>, sparse: bool) -> Self {
        Self {
            centres: centres.clone(),
            screen: Screen::new(centres, sparse),
            print: centres.print(),
            moved,
            sharing: 1,
        }
    }

    /// Whether there are no centres.
    pub fn is_empty(&self) -> bool {
        self.centres.k() == 0
    }

    /// One of `n` sets whose bounds are kept side by side.
    pub fn sharing(self, n: usize) -> Self {
        Self { sharing: n, ..self }
    }

    /// Whether these bounds can be carried over from the centres before.
    pub fn follow(&self, bounds: &Bounds) -> bool {
        self.moved
            .as_ref()
            .is_some_and(|(print, _)| *print == bounds.print)
    }

    /// Bundles worth keeping for rows of `bytes`: bounds take no more than an eighth of the memory of the rows.
    fn bundles(&self, bytes: usize) -> usize {
        (bytes / 32 / self.sharing)
            .clamp(1, MOST_BUNDLES)
            .min(self.screen.groups())
    }
}

/// Assigns all rows of a block.
pub struct Assignment<'a, R, K> {
    pub rows: &'a mut R,
    pub n: usize,
    /// Bytes of a row.
    pub row_bytes: usize,
    pub targets: &'a Targets,
    pub bounds: &'a mut Bounds,
    pub sink: &'a mut K,
}

/// Working memory of a strip.
struct Strip {
    /// Squared distance of each row to its centre.
    distances: Vec<f64>,
    /// Rows that have to be looked at, and the bundles of each.
    open: Vec<(usize, u32)>,
    lengths: Vec<RowLength>,
    /// `(open, bundles)`.
    least: Vec<Least>,
    best: Vec<Least>,
    slots: Vec<usize>,
}

impl<R: Rows, K: Sink> VectorKernel for Assignment<'_, R, K> {
    type Output = ();

    #[inline(always)]
    fn run<S: Vectors>(mut self, simd: S) {
        let d = self.targets.centres.d();
        // A strip stays in the second-level cache from the distances to the sums.
        let rows = (98_304 / d.max(1)).clamp(32, 512);
        let drift = self.prepare();
        let mut strip = Strip {
            distances: vec![0.0; rows],
            open: Vec::with_capacity(rows),
            lengths: vec![RowLength::default(); rows],
            least: vec![Least::NONE; rows * self.bounds.bundles],
            best: vec![Least::NONE; rows],
            slots: Vec::with_capacity(rows),
        };
        for start in (0..self.n).step_by(rows) {
            let end = self.n.min(start + rows);
            self.rows.enter(start..end);
            self.keep(simd, start, end, drift.as_deref(), &mut strip);
            if !strip.open.is_empty() {
                self.bound(simd, &mut strip);
                self.decide(simd, start, &mut strip);
            }
            // In row order, whatever was settled how: sums come out the same to the bit.
            for i in start..end {
                let (centre, distance) = (self.bounds.own[i], strip.distances[i - start]);
                self.sink
                    .take(simd, &*self.rows, i, centre as usize, distance);
            }
        }
    }
}

impl<R: Rows, K: Sink> Assignment<'_, R, K> {
    /// How far the bounds fall, or none where they have to be built.
    fn prepare(&mut self) -> Option<Vec<f32>> {
        let bundles = self.targets.bundles(self.row_bytes);
        let held = std::mem::replace(&mut self.bounds.print, self.targets.print);
        if let Some((print, moved)) = &self.targets.moved
            && *print == held
            && self.bounds.bundles == bundles
            && self.bounds.own.len() == self.n
        {
            let mut drift = vec![0.0_f32; bundles];
            for (c, moved) in moved.iter().enumerate() {
                let bundle = &mut drift[self.bundle(c as u32)];
                *bundle = bundle.max(*moved as f32 * UP + TINY);
            }
            return Some(drift);
        }
        self.bounds.bundles = bundles;
        self.bounds.own.clear();
        self.bounds.own.resize(self.n, NO_CENTRE);
        self.bounds.low.clear();
        self.bounds.low.resize(self.n * bundles, 0.0);
        None
    }

    /// The bundle of a centre: bundles are runs of whole groups.
    #[inline(always)]
    fn bundle(&self, c: u32) -> usize {
        self.bundle_of_group(c as usize / LANES)
    }

    #[inline(always)]
    fn bundle_of_group(&self, g: usize) -> usize {
        g * self.bounds.bundles / self.targets.screen.groups()
    }

    /// Lowers the bounds and lists the rows and bundles that they do not settle.
    #[inline(always)]
    fn keep<S: Vectors>(
        &mut self,
        simd: S,
        start: usize,
        end: usize,
        drift: Option<&[f32]>,
        strip: &mut Strip,
    ) {
        strip.open.clear();
        let bundles = self.bounds.bundles;
        if self.targets.centres.k() == 1 {
            for i in start..end {
                self.bounds.own[i] = 0;
                strip.distances[i - start] =
                    self.rows.distance(simd, i, self.targets.centres.row(0));
            }
            return;
        }
        let Some(drift) = drift else {
            let all = u32::MAX >> (MOST_BUNDLES - bundles);
            strip.open.extend((start..end).map(|i| (i, all)));
            return;
        };
        // Which rows open is anyone's guess, also the branch predictor's: every row is listed, and only the open ones stay.
        strip.open.resize(end - start, (0, 0));
        let mut n_open = 0;
        for i in start..end {
            let own = self.bounds.own[i];
            let distance = self
                .rows
                .distance(simd, i, self.targets.centres.row(own as usize));
            strip.distances[i - start] = distance;
            let reach = distance * REACH;
            let low = &mut self.bounds.low[i * bundles..(i + 1) * bundles];
            let mut open = 0;
            for (b, (low, drift)) in low.iter_mut().zip(drift).enumerate() {
                *low = (*low - drift) * DOWN;
                // Written so that what is not a number opens the bundle.
                let wide = f64::from(low.max(0.0));
                let settled = wide * wide > reach;
                open |= u32::from(!settled) << b;
            }
            strip.open[n_open] = (i, open);
            n_open += usize::from(open != 0);
        }
        strip.open.truncate(n_open);
    }

    /// Bounds the distances of open rows to the centres of their open bundles.
    #[inline(always)]
    fn bound<S: Vectors>(&mut self, simd: S, strip: &mut Strip) {
        let (screen, bundles) = (&self.targets.screen, self.bounds.bundles);
        self.rows.reserve(strip.open.len(), screen);
        for (slot, (i, _)) in strip.open.iter().enumerate() {
            strip.lengths[slot] = screen.length(self.rows.load(simd, slot, *i, screen));
            strip.best[slot] = Least::NONE;
        }
        strip.least[..strip.open.len() * bundles].fill(Least::NONE);
        for g in 0..screen.groups() {
            let b = self.bundle_of_group(g);
            strip.slots.clear();
            let is_open = |slot: &usize| strip.open[*slot].1 >> b & 1 == 1;
            strip.slots.extend((0..strip.open.len()).filter(is_open));
            let slots = std::mem::take(&mut strip.slots);
            let mut rest = slots.as_slice();
            // Sixteen registers of AVX2 hold the sums of four rows, thirty-two of AVX-512 those of twelve and more.
            while S::F32_LANES == LANES && rest.len() > 2 * SMALL_TILE {
                rest = self.tile::<S, TILE>(simd, g, rest, strip);
            }
            while !rest.is_empty() {
                rest = self.tile::<S, SMALL_TILE>(simd, g, rest, strip);
            }
            strip.slots = slots;
        }
    }

    /// Bounds the first rows of `slots` against one group; gives back the other slots.
    #[inline(always)]
    fn tile<'s, S: Vectors, const N: usize>(
        &self,
        simd: S,
        g: usize,
        slots: &'s [usize],
        strip: &mut Strip,
    ) -> &'s [usize] {
        let (screen, bundles) = (&self.targets.screen, self.bounds.bundles);
        let b = self.bundle_of_group(g);
        let n = slots.len().min(N);
        // A tile that is not full bounds its last row several times.
        let mut tile = [slots[n - 1]; N];
        tile[..n].copy_from_slice(&slots[..n]);
        let products = self.rows.products(simd, tile, screen.group(g));
        for (slot, products) in slots[..n].iter().zip(products) {
            let own = self.bounds.own[strip.open[*slot].0];
            let least = screen.least(simd, g, products, strip.lengths[*slot], own);
            strip.least[slot * bundles + b].join(least);
            strip.best[*slot].join(least);
        }
        &slots[n..]
    }

    /// Settles the open rows: measures what may be nearest, and keeps the new bounds.
    #[inline(always)]
    fn decide<S: Vectors>(&mut self, simd: S, start: usize, strip: &mut Strip) {
        let bundles = self.bounds.bundles;
        for slot in 0..strip.open.len() {
            let (i, open) = strip.open[slot];
            let before = self.bounds.own[i];
            let old = strip.distances[i - start];
            let (own, distance) = self.nearest(simd, i, before, old, open, strip.best[slot]);
            self.bounds.own[i] = own;
            strip.distances[i - start] = distance;
            let low = &mut self.bounds.low[i * bundles..(i + 1) * bundles];
            let least = &strip.least[slot * bundles..(slot + 1) * bundles];
            for (b, (low, least)) in low.iter_mut().zip(least).enumerate() {
                if open >> b & 1 == 1 {
                    *low = least.without(own).sqrt() * DOWN;
                }
            }
            if before != own && before != NO_CENTRE {
                // The centre it had is one of the others now.
                let b = self.bundle(before);
                let low = &mut self.bounds.low[i * bundles + b];
                *low = low.min(old.sqrt() as f32 * DOWN);
            }
        }
    }

    /// The nearest centre of row `i` and the squared distance to it, ties to the lower index.
    #[inline(always)]
    fn nearest<S: Vectors>(
        &mut self,
        simd: S,
        i: usize,
        own: u32,
        distance: f64,
        open: u32,
        best: Least,
    ) -> (u32, f64) {
        let centres = &self.targets.centres;
        // The measured distance is rounded itself, by less than this.
        let margin = 1.0 + (centres.d() as f64 / 8.0 + 16.0) * f64::EPSILON * 4.0;
        let mut found = (own, distance);
        if own != NO_CENTRE && f64::from(best.first) > distance * margin {
            return found;
        }
        if (best.centre as usize) < centres.k() {
            let measured = self
                .rows
                .distance(simd, i, centres.row(best.centre as usize));
            found = nearer(found, (best.centre, measured));
            if f64::from(best.second) > found.1 * margin {
                return found;
            }
        }
        // More than one is about as near: all that were not ruled out are measured.
        for c in 0..centres.k() as u32 {
            if open >> self.bundle(c) & 1 == 1 {
                let measured = self.rows.distance(simd, i, centres.row(c as usize));
                found = nearer(found, (c, measured));
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

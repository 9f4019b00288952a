//! Centres of a round as the kernel wants them, and what a block remembers between rounds.
//!
//! A row keeps its centre, an upper bound of the distance to it and, for each bundle of centres, a lower bound of its distance to the
//! others among them. When centres move, the upper bound rises by as much as its centre moved, and a lower one falls by no more than the
//! farthest of its centres moved (Hamerly 2010, SDM; in bundles: Ding et al. 2015, ICML, "Yinyang"). A bundle whose bound still exceeds
//! the distance to the row's own centre cannot hold a nearer one and is not looked at. Bounds are rounded so that they stay bounds;
//! without them, the result is the same to the bit.

use std::ops::Range;

use emberline_datasets::simd::Vectors;

use super::Centres;
use super::coarse::Coarse;
use super::screen::{LANES, NO_CENTRE, Screen};
use super::tally::{Tally, tally_bytes};

/// Bundles of a row fit in the bits of a mask.
pub const MOST_BUNDLES: usize = 32;
/// Where a row has no more products in vectors than this, making all of them costs less than remembering what they told.
const FEW_PRODUCTS: usize = 64;
/// One row in so many may be measured in a round; where it is more, products in `f32` are worth their time.
const MOST_MEASURED: usize = 64;
/// Takes the rounding of the two or three operations on a bound in `f32` off it.
pub const DOWN: f32 = 1.0 - 4.0 * f32::EPSILON;
/// Puts it on an upper bound, and that of squared distances measured in `f64`, which is far less, with it: what lies above such a bound
/// is also measured to lie above.
pub const UP: f32 = 1.0 + 4.0 * f32::EPSILON;
/// For what vanishes below the range of `f32`; in its normal range itself, where processors are fast.
const TINY: f32 = 1e-36;

/// What a block remembers of some centres.
#[derive(Debug, Clone, Default)]
pub struct Bounds {
    /// Of the centres that the bounds are for; 0 where there are none.
    print: u64,
    pub bundles: usize,
    /// The centre of each row. Without bundles it is known only where there is a tally.
    pub own: Vec<u32>,
    /// Distances of rows to their centres from above, not squared; room for whole vectors, like the next.
    high: Vec<f32>,
    /// `(bundles, n)` distances from below.
    low: Vec<f32>,
    /// Whether products in whole numbers left too much open.
    fine: bool,
    /// The sums of the rows by `own`, where they are exact.
    pub tally: Option<Tally>,
}

/// How far centres moved, from above.
pub struct Drift {
    /// The farthest of each bundle.
    bundles: Vec<f32>,
    centres: Vec<f32>,
}

/// Centres of a round, as the kernel wants them.
#[derive(Debug, Clone)]
pub struct Targets {
    pub centres: Centres,
    pub screen: Screen,
    print: u64,
    /// The centres before these, and how far each moved since.
    moved: Option<(u64, Vec<f64>)>,
    /// How many sets of centres share the memory for bounds.
    sharing: usize,
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

    /// Whether it pays to remember bounds.
    pub fn remembered(&self) -> bool {
        pays(self.screen.groups(), self.screen.padded())
    }

    /// Bundles to keep bounds of for rows of `bytes`: no more than take an eighth of the memory of the rows, and none where bounds do not
    /// pay.
    fn bundles(&self, bytes: usize) -> usize {
        if self.remembered() {
            bundles(self.screen.groups(), bytes, self.sharing)
        } else {
            0
        }
    }
}

fn pays(groups: usize, padded: usize) -> bool {
    groups * padded > FEW_PRODUCTS
}

fn bundles(groups: usize, bytes: usize, sharing: usize) -> usize {
    (bytes / 32 / sharing).clamp(1, MOST_BUNDLES).min(groups)
}

/// Bytes that are kept for a row of `bytes` with `d` slots, in blocks of `n`, between rounds of `sets` sets of `k` centres.
pub fn kept_bytes(n: usize, k: usize, d: usize, bytes: usize, sets: usize) -> usize {
    let groups = k.div_ceil(LANES);
    let bounds = if pays(groups, d) {
        size_of::<f32>() * (1 + bundles(groups, bytes, sets.max(1)))
    } else {
        0
    };
    sets * (size_of::<u32>() + bounds + tally_bytes(n, k, d))
}

impl Bounds {
    /// Bytes that they hold.
    pub fn bytes(&self) -> usize {
        let bounds = size_of_val(self.high.as_slice()) + size_of_val(self.low.as_slice());
        let tally = self.tally.as_ref().map_or(0, Tally::bytes);
        size_of_val(self.own.as_slice()) + bounds + tally
    }

    /// Turns to these centres, for `n` rows of `bytes` each: says how far they moved, or nothing where there are no bounds yet.
    pub fn turn(&mut self, targets: &Targets, n: usize, bytes: usize) -> Option<Drift> {
        let bundles = targets.bundles(bytes);
        let held = std::mem::replace(&mut self.print, targets.print);
        if let Some((print, moved)) = &targets.moved
            && *print == held
            && self.bundles == bundles
            && self.own.len() == n
        {
            let up = |moved: &f64| *moved as f32 * UP + TINY;
            let mut drift = Drift {
                bundles: vec![0.0_f32; bundles],
                centres: moved.iter().map(up).collect(),
            };
            for (c, moved) in drift.centres.iter().enumerate() {
                let bundle = self.bundle(targets, c as u32);
                if let Some(bundle) = drift.bundles.get_mut(bundle) {
                    *bundle = bundle.max(*moved);
                }
            }
            if drift.centres.iter().all(|m| m.is_finite()) {
                return Some(drift);
            }
        }
        self.bundles = bundles;
        self.fine = false;
        self.tally = None;
        self.own.clear();
        self.own.resize(n, NO_CENTRE);
        let padded = if bundles > 0 {
            n.next_multiple_of(LANES)
        } else {
            0
        };
        for (bounds, len) in [(&mut self.high, padded), (&mut self.low, bundles * padded)] {
            bounds.clear();
            bounds.resize(len, 0.0);
        }
        None
    }

    /// Centres in whole numbers, where their products serve these rows.
    pub fn coarse<'a>(&self, targets: &'a Targets) -> Option<&'a Coarse> {
        targets.screen.coarse.as_ref().filter(|_| !self.fine)
    }

    /// Takes in how many rows of the block had to be measured.
    pub fn judge(&mut self, measured: usize) {
        self.fine |= measured > self.own.len() / MOST_MEASURED;
    }

    /// The bundle of a centre: bundles are runs of whole groups.
    #[inline(always)]
    pub fn bundle(&self, targets: &Targets, c: u32) -> usize {
        c as usize / LANES * self.bundles / targets.screen.groups()
    }

    /// The groups of a bundle.
    #[inline(always)]
    pub fn groups(&self, targets: &Targets, b: usize) -> Range<usize> {
        let from = |b: usize| (b * targets.screen.groups()).div_ceil(self.bundles);
        from(b)..from(b + 1)
    }

    /// Moves the bounds of sixteen rows from row `i` on as their centres moved; 1 for each row that they do not settle.
    #[inline(always)]
    pub fn shift<S: Vectors>(&mut self, simd: S, i: usize, drift: &Drift) -> [u32; LANES] {
        let mut high = [f32::INFINITY; LANES];
        let rows = self.high[i..].iter().zip(&self.own[i..]);
        for (to, (high, own)) in high.iter_mut().zip(rows) {
            *to = high + drift.centres[*own as usize];
        }
        let high = simd.mul_add(simd.load(&high), simd.splat(UP), simd.splat(0.0));
        let mut least = simd.splat(f32::INFINITY);
        let stride = self.high.len();
        for (b, drift) in drift.bundles.iter().enumerate() {
            if let Some(low) = self.low[b * stride + i..].first_chunk_mut() {
                let fallen = simd.sub(simd.load(low), simd.splat(*drift));
                let fallen = simd.mul_add(fallen, simd.splat(DOWN), simd.splat(0.0));
                simd.store(fallen, low);
                least = simd.min(least, fallen);
            }
        }
        if let Some(to) = self.high[i..].first_chunk_mut() {
            simd.store(high, to);
        }
        // What is not a number settles nothing.
        let settled = simd.select_less(high, least, simd.splat_bits(0), simd.splat_bits(1));
        let mut open = [0; LANES];
        simd.store_bits(settled, &mut open);
        open
    }

    /// Which bundles may hold a centre as near to row `i` as its own, whose distance is at most `near`.
    #[inline(always)]
    pub fn open(&self, i: usize, near: f32) -> u32 {
        let reach = near.min(self.high[i]);
        let mut open = 0;
        for (b, low) in self.low.chunks_exact(self.high.len()).enumerate() {
            // Written so that what is not a number opens the bundle.
            let settled = reach < low[i];
            open |= u32::from(!settled) << b;
        }
        open
    }

    /// The bounds of all rows for bundle `b`.
    #[inline(always)]
    pub fn low(&mut self, b: usize) -> &mut [f32] {
        let stride = self.high.len();
        &mut self.low[b * stride..(b + 1) * stride]
    }

    /// Sets a row's distance from above.
    #[inline(always)]
    pub fn set_high(&mut self, i: usize, high: f32) {
        self.high[i] = high;
    }

    /// Takes in the squared distances to their centres of the rows from `start` on.
    #[inline(always)]
    pub fn reach<S: Vectors>(&mut self, simd: S, start: usize, distances: &[f64]) {
        let high = self.high[start..].chunks_exact_mut(LANES);
        for (distances, high) in distances.chunks(LANES).zip(high) {
            let mut squares = [0.0; LANES];
            for (square, distance) in squares.iter_mut().zip(distances) {
                *square = *distance as f32;
            }
            let square = simd.mul_add(simd.load(&squares), simd.splat(UP), simd.splat(TINY));
            let root = simd.mul_add(simd.sqrt(square), simd.splat(UP), simd.splat(0.0));
            if let Some(to) = high.first_chunk_mut() {
                simd.store(root, to);
            }
        }
    }
}

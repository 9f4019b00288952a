//! Centres of a round as the kernel wants them, and what a block remembers between rounds.
//!
//! A row keeps its centre and, for each bundle of centres, a lower bound of its distance to the others among them. When
//! centres move, a bound falls by no more than the farthest of its centres moved (Hamerly 2010, SDM; in bundles: Ding et
//! al. 2015, ICML, "Yinyang"). A bundle whose bound still exceeds the distance to the row's own centre cannot hold a nearer
//! one and is not looked at. Bounds are rounded so that they stay bounds; without them, the result is the same to the bit.

use std::ops::Range;

use super::Centres;
use super::screen::{LANES, NO_CENTRE, Screen};

/// Bundles of a row fit in the bits of a mask.
pub const MOST_BUNDLES: usize = 32;
/// Groups in a bundle at least: looking after bounds takes time too.
const BUNDLE: usize = 4;
/// Where a row has no more products in vectors than this, making all of them costs less than remembering what they told.
const FEW_PRODUCTS: usize = 64;
/// Takes the rounding of the two or three operations on a bound in `f32` off it.
pub const DOWN: f32 = 1.0 - 4.0 * f32::EPSILON;
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
    pub bundles: usize,
    /// The centre of each row.
    pub own: Vec<u32>,
    /// `(n, bundles)` distances, not squared.
    low: Vec<f32>,
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

    /// By how much a measured distance has to be beaten so that its own rounding is beaten too.
    pub fn margin(&self) -> f64 {
        1.0 + (self.centres.d() as f64 / 8.0 + 16.0) * f64::EPSILON * 4.0
    }

    /// Bundles to keep bounds of for rows of `bytes`: no more than take an eighth of the memory of the rows.
    fn bundles(&self, bytes: usize) -> usize {
        bundles(self.screen.groups(), bytes, self.sharing)
    }
}

fn pays(groups: usize, padded: usize) -> bool {
    groups * padded > FEW_PRODUCTS
}

fn bundles(groups: usize, bytes: usize, sharing: usize) -> usize {
    (bytes / 32 / sharing)
        .clamp(1, MOST_BUNDLES)
        .min(groups.div_ceil(BUNDLE))
}

/// Bytes that are kept for a row of `bytes` with `d` slots between rounds of `sets` sets of `k` centres.
pub fn kept_bytes(k: usize, d: usize, bytes: usize, sets: usize) -> usize {
    let groups = k.div_ceil(LANES);
    if pays(groups, d) {
        sets * (size_of::<u32>() + size_of::<f32>() * bundles(groups, bytes, sets.max(1)))
    } else {
        0
    }
}

impl Bounds {
    /// Turns to these centres, for `n` rows of `bytes` each: says how far the bounds fall, or none where there are none yet.
    pub fn turn(&mut self, targets: &Targets, n: usize, bytes: usize) -> Option<Vec<f32>> {
        let bundles = targets.bundles(bytes);
        let held = std::mem::replace(&mut self.print, targets.print);
        if let Some((print, moved)) = &targets.moved
            && *print == held
            && self.bundles == bundles
            && self.own.len() == n
        {
            let mut drift = vec![0.0_f32; bundles];
            for (c, moved) in moved.iter().enumerate() {
                let bundle = &mut drift[self.bundle(targets, c as u32)];
                *bundle = bundle.max(*moved as f32 * UP + TINY);
            }
            return Some(drift);
        }
        self.bundles = bundles;
        self.own.clear();
        self.own.resize(n, NO_CENTRE);
        self.low.clear();
        self.low.resize(n * bundles, 0.0);
        None
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

    /// Lowers the bounds of row `i` and says which bundles they do not settle, given the squared distance to its own centre.
    #[inline(always)]
    pub fn lower(&mut self, i: usize, distance: f64, drift: &[f32]) -> u32 {
        let reach = distance * REACH;
        let low = &mut self.low[i * self.bundles..(i + 1) * self.bundles];
        let mut open = 0;
        for (b, (low, drift)) in low.iter_mut().zip(drift).enumerate() {
            *low = (*low - drift) * DOWN;
            // Written so that what is not a number opens the bundle.
            let wide = f64::from(low.max(0.0));
            let settled = wide * wide > reach;
            open |= u32::from(!settled) << b;
        }
        open
    }

    /// The bound of row `i` for bundle `b`.
    #[inline(always)]
    pub fn low(&mut self, i: usize, b: usize) -> &mut f32 {
        &mut self.low[i * self.bundles + b]
    }
}

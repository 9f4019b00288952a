//! Rows of a block as the assignment sees them: dense in either width, scaled to length 1, or sparse.

mod dense;
mod sparse;

use std::ops::Range;

use emberline_datasets::simd::Vectors;

use super::coarse::Coarse;
use super::screen::{LANES, Least, Line, Screen};

pub use dense::Dense;
pub use sparse::Sparse;

/// Rows that are made at a time, where they are not stored as they are seen.
pub const STRIP: usize = 512;
/// Rows whose sums sixteen registers of AVX2 hold; thirty-two of AVX-512 hold those of [`LANES`].
const SMALL_TILE: usize = 4;

/// Rows of a strip that share a centre.
#[derive(Clone, Copy)]
pub struct Group<'a> {
    /// The first row of the strip.
    pub start: usize,
    /// The places of the group's rows in the strip, ascending.
    pub members: &'a [u32],
    /// Of the rows of the strip; 1 each without.
    pub weights: Option<&'a [f64]>,
}

impl Group<'_> {
    /// Of the row in place `l` of the strip.
    #[inline(always)]
    pub fn weight(&self, l: u32) -> f64 {
        self.weights.map_or(1.0, |w| w[l as usize])
    }
}

/// Rows by their number in the block.
pub trait Rows {
    /// Called before the rows of a strip are asked for.
    fn enter(&mut self, strip: Range<usize>);

    /// [`squared_distance`](super::squared_distance) of row `i` to `centre`.
    fn distance<S: Vectors>(&mut self, simd: S, i: usize, centre: &[f64]) -> f64;

    /// Adds `w` times row `i`.
    fn add<S: Vectors>(&self, simd: S, i: usize, w: f64, sum: &mut [f64]);

    /// Adds `w` times row `i` and gives back its squared distance to `centre`.
    fn add_measured<S: Vectors>(
        &mut self,
        simd: S,
        i: usize,
        w: f64,
        centre: &[f64],
        sum: &mut [f64],
    ) -> f64 {
        self.add(simd, i, w, sum);
        self.distance(simd, i, centre)
    }

    /// Measures rows to the centre they share and adds each, times its weight, to `sum`, one after the other.
    fn gather<S: Vectors>(
        &mut self,
        simd: S,
        group: Group<'_>,
        centre: &[f64],
        sum: &mut [f64],
        distances: &mut [f64],
    ) {
        for &l in group.members {
            let (l, w) = (l as usize, group.weight(l));
            self.add(simd, group.start + l, w, sum);
            distances[l] = self.distance(simd, group.start + l, centre);
        }
    }

    /// Adds the magnitudes of these rows to `totals` and lowers `grains`, of each slot, to a number that is no larger than the power of two
    /// of which they are multiples.
    fn survey(&self, rows: Range<usize>, totals: &mut [f64], grains: &mut [f64]);

    /// Makes room for `slots` rows to be bounded.
    fn reserve(&mut self, slots: usize, screen: &Screen);

    /// Puts these rows in the slots from `slot` on. Gives back their squared lengths as `screen` sees them, and the product of each
    /// with its own of `centres`. Where `coarse` is given, [`Rows::apart`] needs it too.
    fn load<S: Vectors>(
        &mut self,
        simd: S,
        slot: usize,
        rows: [usize; LANES],
        centres: &[u32; LANES],
        seen: (&Screen, Option<&Coarse>),
    ) -> [S::F32; 2];

    /// Products of the rows in `slots`, one a lane, with each centre of group `g`; `length` bounds the rows' lengths.
    #[inline(always)]
    fn apart<S: Vectors>(
        &self,
        simd: S,
        (slots, _length): ([usize; LANES], S::F32),
        g: usize,
        (screen, _coarse): (&Screen, Option<&Coarse>),
    ) -> [S::F32; LANES]
    where
        Self: Sized,
    {
        simd.transpose(all_products(simd, self, slots, screen.group(g)))
    }

    /// Products of the rows in `slots` with the centres of a group.
    fn products<S: Vectors, const R: usize>(
        &self,
        simd: S,
        slots: [usize; R],
        group: &[Line],
    ) -> [S::F32; R];

    /// Products of sixteen rows with all centres slot by slot, lanes not added up yet: `(width, 16)` of them, see [`Screen::dots`].
    fn dots<S: Vectors>(&self, _: S, _rows: [usize; LANES], _: &Screen, _out: &mut [Line]) {}

    /// Takes the values `|c|^2 - 2 x.c`, nearly, of sixteen rows and all centres into `least`; gives back the squared lengths of the
    /// rows. Room for them has to be reserved.
    fn rank<S: Vectors>(
        &mut self,
        simd: S,
        rows: [usize; LANES],
        screen: &Screen,
        least: &mut Least<S>,
    ) -> S::F32;
}

/// The value of the lowest bit that is set in a number, or a little less; infinite for nothing.
#[inline(always)]
pub fn grain(magnitude: f64) -> f64 {
    let bits = magnitude.to_bits();
    // Where the number is a power of two, that takes a bit off its exponent: what is left over is less than the number, and does no harm.
    let rest = f64::from_bits(bits & bits.wrapping_sub(1));
    if magnitude > 0.0 {
        magnitude - rest
    } else {
        f64::INFINITY
    }
}

/// A feature as it is stored.
pub trait Number: Copy + Default + Into<f64> {
    /// Eight numbers in `f64`.
    fn wide<S: Vectors>(simd: S, from: &[Self; 8]) -> S::F64;
    /// Sixteen numbers seen from `shift`, in `f32`.
    fn narrow<S: Vectors>(simd: S, from: &[Self; LANES], shift: &[f32; LANES]) -> S::F32;
}

impl Number for f32 {
    #[inline(always)]
    fn wide<S: Vectors>(simd: S, from: &[Self; 8]) -> S::F64 {
        simd.widen(from)
    }
    #[inline(always)]
    fn narrow<S: Vectors>(simd: S, from: &[Self; LANES], shift: &[f32; LANES]) -> S::F32 {
        simd.sub(simd.load(from), simd.load(shift))
    }
}

impl Number for f64 {
    #[inline(always)]
    fn wide<S: Vectors>(simd: S, from: &[Self; 8]) -> S::F64 {
        simd.load_wide(from)
    }
    #[inline(always)]
    fn narrow<S: Vectors>(simd: S, from: &[Self; LANES], shift: &[f32; LANES]) -> S::F32 {
        let mut to = [0.0; LANES];
        for ((to, v), shift) in to.iter_mut().zip(from).zip(shift) {
            *to = (v - f64::from(*shift)) as f32;
        }
        simd.load(&to)
    }
}

/// Squared distance in `f64`, in the order of [`squared_distance`](super::squared_distance).
#[inline(always)]
pub fn distance<S: Vectors, T: Number>(simd: S, row: &[T], centre: &[f64]) -> f64 {
    let ((x, x_rest), (c, c_rest)) = (row.as_chunks::<8>(), centre.as_chunks::<8>());
    let mut sum = simd.splat_wide(0.0);
    for (x, c) in x.iter().zip(c) {
        let t = simd.sub_wide(T::wide(simd, x), simd.load_wide(c));
        sum = simd.add_wide(sum, simd.mul_wide(t, t));
    }
    if !x_rest.is_empty() {
        let (mut x, mut c) = ([T::default(); 8], [0.0; 8]);
        x[..x_rest.len()].copy_from_slice(x_rest);
        c[..c_rest.len()].copy_from_slice(c_rest);
        let t = simd.sub_wide(T::wide(simd, &x), simd.load_wide(&c));
        sum = simd.add_wide(sum, simd.mul_wide(t, t));
    }
    simd.sum_wide(sum)
}

/// Products of the rows in these slots with a group of centres.
#[inline(always)]
pub fn all_products<S: Vectors>(
    simd: S,
    rows: &impl Rows,
    slots: [usize; LANES],
    group: &[Line],
) -> [S::F32; LANES] {
    if S::F32_LANES == LANES {
        return rows.products(simd, slots, group);
    }
    let mut products = [simd.splat(0.0); LANES];
    let (slots, _) = slots.as_chunks::<SMALL_TILE>();
    let (few, _) = products.as_chunks_mut::<SMALL_TILE>();
    for (few, slots) in few.iter_mut().zip(slots) {
        *few = rows.products(simd, *slots, group);
    }
    products
}

//! Lower bounds of squared distances from products in `f32`: which centres can be left out without looking closer.
//!
//! The nearest centre is defined by [`squared_distance`](super::squared_distance) in `f64`. That takes three operations and
//! eight bytes a slot; a product in `f32` takes one and four. So every centre is first bounded from below by
//! `|x|^2 + |c|^2 - 2 x.c` in `f32`, less all that rounding can have done to it, and only centres whose bound does not
//! exceed the distance to the best one are measured. The result is that of measuring all of them, to the bit.
//!
//! Rows and centres are taken relative to the mean of the centres, so data far from the origin lose nothing. With
//! `u = 2^-24` and lengths `X`, `C` of a row and a centre seen from there, the bound allows for (Higham 2002, section 3.1)
//! - `2 u (d + 8) X C`: `d` products and sums, and the rounding of both factors
//! - `u 8 C^2` and `u (d / 16 + 20) X^2`: the squared lengths and the three sums that join them
//! - `2^-110`: up to `2^30` products that vanish below the range of `f32`, by `2^-149` each. The numbers that allow for it stay in
//!   the normal range themselves: processors are slow outside.
//!
//! Where a number leaves the range of `f32` the bound becomes 0, and the centre is measured.

use emberline_datasets::simd::Vectors;

use super::Centres;

/// Centres bounded together: one vector of AVX-512, two of AVX2.
pub const LANES: usize = 16;
/// Slots are padded to a multiple of this, so that inner loops have no rest.
pub const STEP: usize = 8;

const U: f64 = 1.0 / (1_u64 << 24) as f64;
/// `2^-110`, and the square root of as much.
const TINY: f32 = 1.0 / (1_u128 << 110) as f32;
const TINY_LENGTH: f32 = 1.0 / (1_u64 << 55) as f32;
const LANE_BITS: u32 = LANES as u32 - 1;
const LANE: [u32; LANES] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Centres laid out for products: groups of [`LANES`], slot by slot, times -2.
#[derive(Debug, Clone)]
pub struct Screen {
    d: usize,
    padded: usize,
    shift: Vec<f32>,
    /// `-2 (c - shift)`, `(groups, padded, LANES)`.
    centres: Vec<f32>,
    /// `|c - shift|^2` less its share of rounding; infinite where there is no centre.
    offset: Vec<[f32; LANES]>,
    /// What rounding of products takes per unit of the row's length.
    slope: Vec<[f32; LANES]>,
    /// Factors that round a row's squared length down and its length up.
    row: (f32, f32),
}

/// The least two lower bounds among some centres.
#[derive(Debug, Clone, Copy)]
pub struct Least {
    /// A lower bound of the least squared distance.
    pub first: f32,
    /// Whose it is; past the last centre where there is none.
    pub centre: u32,
    /// A lower bound for all others.
    pub second: f32,
}

impl Least {
    pub const NONE: Self = Self {
        first: f32::INFINITY,
        centre: u32::MAX,
        second: f32::INFINITY,
    };

    #[inline(always)]
    pub fn join(&mut self, other: Self) {
        if other.first < self.first {
            self.second = if other.second < self.first {
                other.second
            } else {
                self.first
            };
            (self.first, self.centre) = (other.first, other.centre);
        } else if other.first < self.second {
            self.second = other.first;
        }
    }

    /// A lower bound for all but centre `c`.
    #[inline(always)]
    pub fn without(&self, c: u32) -> f32 {
        if self.centre == c {
            self.second
        } else {
            self.first
        }
    }
}

impl Screen {
    /// For rows seen from the mean of the centres, or from the origin where rows are sparse.
    pub fn new(centres: &Centres, sparse: bool) -> Self {
        let (d, k) = (centres.d(), centres.k());
        let padded = d.next_multiple_of(STEP);
        let mut shift = vec![0.0; padded];
        if !sparse && k > 0 {
            for (j, s) in shift.iter_mut().enumerate().take(d) {
                let mean = (0..k).map(|c| centres.row(c)[j]).sum::<f64>() / k as f64;
                *s = mean as f32;
            }
        }
        let groups = k.div_ceil(LANES);
        let mut screen = Self {
            d,
            padded,
            shift,
            centres: vec![0.0; groups * padded * LANES],
            offset: vec![[f32::INFINITY; LANES]; groups],
            slope: vec![[0.0; LANES]; groups],
            row: (
                (1.0 - (d as f64 / 16.0 + 20.0) * U) as f32,
                (1.0 + (d as f64 / 16.0 + 20.0) * U) as f32,
            ),
        };
        (0..k).for_each(|c| screen.put(c, centres.row(c)));
        screen
    }

    fn put(&mut self, c: usize, centre: &[f64]) {
        let (group, lane) = (c / LANES, c % LANES);
        let start = group * self.padded * LANES + lane;
        let mut square = 0.0;
        for (j, v) in centre.iter().enumerate() {
            let t = v - f64::from(self.shift[j]);
            square += t * t;
            self.centres[start + j * LANES] = -2.0 * t as f32;
        }
        let terms = (self.d as f64 + 16.0) * U;
        // The usual bound of `n` roundings, n u / (1 - n u); nothing is known where that makes no sense.
        let per_length = if terms < 0.5 {
            2.0 * terms / (1.0 - terms) * 1.01
        } else {
            f64::INFINITY
        };
        self.offset[group][lane] = (square * (1.0 - 8.0 * U)) as f32;
        self.slope[group][lane] = (square.sqrt() * per_length) as f32;
    }

    pub fn groups(&self) -> usize {
        self.offset.len()
    }

    /// Numbers per row after padding.
    pub fn padded(&self) -> usize {
        self.padded
    }

    pub fn shift(&self) -> &[f32] {
        &self.shift
    }

    /// `(padded, LANES)` numbers of a group.
    pub fn group(&self, g: usize) -> &[f32] {
        let size = self.padded * LANES;
        &self.centres[g * size..(g + 1) * size]
    }

    /// From products to the least bounds; centre `skip` is passed over.
    #[inline(always)]
    pub fn least<S: Vectors>(
        &self,
        simd: S,
        g: usize,
        products: S::F32,
        length: RowLength,
        skip: u32,
    ) -> Least {
        let (offset, slope) = (simd.load(&self.offset[g]), simd.load(&self.slope[g]));
        let joined = simd.add(simd.splat(length.square), simd.add(offset, products));
        let low = simd.sub(joined, simd.mul(simd.splat(length.length), slope));
        // What is not a number becomes 0 too. Of numbers that are not negative, the bits sort as the numbers do, and leaving out
        // the last four only lowers the bound: they tell the lane.
        let low = simd.bits(simd.max(low, simd.splat(0.0)));
        let lane = simd.load_bits(&LANE);
        let key = simd.or(simd.and(low, simd.splat_bits(!LANE_BITS)), lane);
        let none = simd.splat_bits(u32::MAX);
        let skip = simd.splat_bits(skip.wrapping_sub((g * LANES) as u32));
        let key = simd.select_equal(lane, skip, none, key);
        let first = simd.least(key);
        let second = simd.least(simd.select_equal(key, simd.splat_bits(first), none, key));
        Least {
            first: unkey(first),
            centre: (g * LANES) as u32 + (first & LANE_BITS),
            second: unkey(second),
        }
    }

    /// What [`Screen::least`] needs to know of a row, from its squared length in `f32`, summed in at least 16 parts.
    #[inline(always)]
    pub fn length(&self, square: f32) -> RowLength {
        RowLength {
            square: square * self.row.0 - TINY,
            length: square.sqrt() * self.row.1 + TINY_LENGTH,
        }
    }
}

/// A row's squared length from below and its length from above.
#[derive(Debug, Clone, Copy, Default)]
pub struct RowLength {
    square: f32,
    length: f32,
}

#[inline(always)]
fn unkey(key: u32) -> f32 {
    let bits = key & !LANE_BITS;
    if bits >= f32::INFINITY.to_bits() {
        f32::INFINITY
    } else {
        f32::from_bits(bits)
    }
}

/// Products of rows, each `padded` long, with a group of centres.
#[inline(always)]
pub fn products<S: Vectors, const R: usize>(
    simd: S,
    rows: [&[f32]; R],
    group: &[f32],
) -> [S::F32; R] {
    let (centres, _) = group.as_chunks::<LANES>();
    let (centres, _) = centres.as_chunks::<STEP>();
    let mut steps: [&[[f32; STEP]]; R] = [&[]; R];
    for (steps, row) in steps.iter_mut().zip(rows) {
        *steps = &row.as_chunks::<STEP>().0[..centres.len()];
    }
    let mut sums = [simd.splat(0.0); R];
    for (t, centres) in centres.iter().enumerate() {
        for (j, c) in centres.iter().enumerate() {
            let c = simd.load(c);
            for (sum, steps) in sums.iter_mut().zip(&steps) {
                *sum = simd.mul_add(simd.splat(steps[t][j]), c, *sum);
            }
        }
    }
    sums
}

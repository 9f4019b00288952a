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
//! Where a number comes near the end of the range of `f32` the bound becomes 0, and the centre is measured.

use emberline_datasets::simd::Vectors;

use super::Centres;
use super::coarse::Coarse;
use super::columns::Columns;

/// Centres bounded together: one vector of AVX-512, two of AVX2.
pub const LANES: usize = 16;
/// Slots are padded to a multiple of this, so that inner loops have no rest.
pub const STEP: usize = 8;
/// Stands for a centre where there is none.
pub const NO_CENTRE: u32 = u32::MAX;

const U: f64 = 1.0 / (1_u64 << 24) as f64;
/// `2^-110`, and the square root of as much.
const TINY: f32 = 1.0 / (1_u128 << 110) as f32;
const TINY_LENGTH: f32 = 1.0 / (1_u64 << 55) as f32;
/// Rows and centres whose squared length reaches this are not bounded.
const LARGE: f64 = (1_u128 << 120) as f64;

/// Sixteen numbers that share a cache line.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
pub struct Line(pub [f32; LANES]);

/// How many centres [`Rows::dots`](super::rows::Rows::dots) sees to at once: the sums of two rows stay in thirty-two registers.
pub const WIDTHS: [usize; 6] = [2, 4, 6, 8, 10, 12];

/// Centres laid out for products: groups of [`LANES`], slot by slot, times -2.
#[derive(Debug, Clone)]
pub struct Screen {
    d: usize,
    k: usize,
    padded: usize,
    shift: Vec<f32>,
    /// `-2 (c - shift)`, `(groups, padded, LANES)`.
    centres: Vec<Line>,
    /// The same numbers, sixteen slots of a centre side by side, and how far apart centres and lines lie.
    lines: Vec<Line>,
    apart: (usize, usize),
    /// How many centres are multiplied slot by slot, where that takes less than a group does; else 0.
    width: usize,
    /// `|c - shift|^2` less its share of rounding.
    offset: Vec<[f32; LANES]>,
    /// `|c - shift|^2` and its share of rounding.
    over: Vec<[f32; LANES]>,
    /// What rounding of products takes per unit of the row's length.
    slope: Vec<[f32; LANES]>,
    /// The same centres in whole numbers, where that pays.
    pub coarse: Option<Coarse>,
    /// The same centres for rows side by side.
    pub columns: Columns,
    /// What [`Screen::doubt`] is made of: times nothing, a row's length, and its square.
    doubt: [f32; 3],
    /// Factors that round a row's squared length down and its length up.
    row: (f32, f32),
}

/// The least two values (or lower bounds) of sixteen rows, one a lane. Running values lack the squared length of the row.
#[derive(Clone, Copy)]
pub struct Least<S: Vectors> {
    /// A lower bound of the least squared distance.
    pub first: S::F32,
    /// Whose it is; [`NO_CENTRE`] where there is none.
    pub centre: S::U32,
    /// A lower bound for all others.
    pub second: S::F32,
}

/// Sixteen rows, one a lane.
#[derive(Clone, Copy)]
pub struct Lengths<S: Vectors> {
    /// Squared lengths from below.
    pub square: S::F32,
    /// Squared lengths from above.
    pub over: S::F32,
    /// Lengths from above.
    pub length: S::F32,
}

impl<S: Vectors> Least<S> {
    #[inline(always)]
    pub fn none(simd: S) -> Self {
        Self {
            first: simd.splat(f32::INFINITY),
            centre: simd.splat_bits(NO_CENTRE),
            second: simd.splat(f32::INFINITY),
        }
    }

    /// Takes the values of one more centre in. Where one is not a number, the two least come out equal.
    #[inline(always)]
    pub fn take(&mut self, simd: S, low: S::F32, centre: u32) {
        self.centre = simd.select_less(low, self.first, simd.splat_bits(centre), self.centre);
        self.second = simd.min(self.second, simd.max(low, self.first));
        self.first = simd.min(self.first, low);
    }

    /// Takes in what was found among others.
    #[inline(always)]
    pub fn join(&mut self, simd: S, other: Self) {
        self.centre = simd.select_less(other.first, self.first, other.centre, self.centre);
        let losing = simd.max(other.first, self.first);
        self.second = simd.min(simd.min(self.second, other.second), losing);
        self.first = simd.min(self.first, other.first);
    }

    /// Bounds of squared distances, from the running value.
    #[inline(always)]
    pub fn finish(self, simd: S, square: S::F32) -> Self {
        // What is not a number becomes 0 too.
        let whole = |low| simd.max(simd.add(square, low), simd.splat(0.0));
        Self {
            first: whole(self.first),
            second: whole(self.second),
            ..self
        }
    }
}

impl Screen {
    /// For rows seen from the mean of the centres, or from the origin where rows are sparse.
    pub fn new(centres: &Centres, sparse: bool) -> Self {
        let (d, k) = (centres.d(), centres.k());
        let padded = d.next_multiple_of(STEP);
        let mut shift = vec![0.0; d.next_multiple_of(LANES)];
        if !sparse && k > 0 {
            for (j, s) in shift.iter_mut().enumerate().take(d) {
                let mean = (0..k).map(|c| centres.row(c)[j]).sum::<f64>() / k as f64;
                *s = mean as f32;
            }
        }
        let (groups, steps) = (k.div_ceil(LANES), d.div_ceil(LANES));
        // A product slot by slot takes a multiply-add for each sixteen slots, and about five to add its lanes up.
        let pays = !sparse && 10 * k * (steps + 5) < 9 * LANES * steps;
        let width = WIDTHS.into_iter().find(|w| pays && k <= *w).unwrap_or(0);
        let mut screen = Self {
            d,
            k,
            padded,
            shift,
            centres: vec![Line::default(); groups * padded],
            lines: vec![Line::default(); k.max(width) * steps],
            apart: if width > 0 { (1, width) } else { (steps, 1) },
            width,
            offset: vec![[0.0; LANES]; groups],
            over: vec![[0.0; LANES]; groups],
            slope: vec![[0.0; LANES]; groups],
            coarse: None,
            columns: Columns::new(centres),
            doubt: [0.0; 3],
            row: (
                (1.0 - (d as f64 / 16.0 + 20.0) * U) as f32,
                (1.0 + (d as f64 / 16.0 + 20.0) * U) as f32,
            ),
        };
        let squares = (0..k).map(|c| screen.put(c, centres.row(c)));
        let longest = squares.fold(0.0, f64::max);
        screen.set_doubt(longest);
        if !sparse && width == 0 {
            screen.coarse = Coarse::new(&screen.centres, padded, &screen.slope);
        }
        screen
    }

    /// Given the largest squared length of a centre.
    fn set_doubt(&mut self, longest: f64) {
        let (d, measured) = (self.d as f64, f64::EPSILON * (self.d as f64 + 128.0));
        // What `n` roundings add up to; nothing is known where that makes no sense.
        let grown = 2.0 * d * U;
        let known = longest < LARGE && grown < 0.5;
        // Twice, for two values.
        let u = if known {
            2.1 * U / (1.0 - grown)
        } else {
            f64::INFINITY
        };
        let parts = [
            u * (d + 10.0) * longest + measured * longest + f64::from(TINY),
            u * 2.0 * (d + 5.0) * longest.sqrt(),
            measured,
        ];
        self.doubt = parts.map(|v| (v * (1.01 + grown)) as f32);
    }

    /// Lays a centre out; gives back its squared length.
    fn put(&mut self, c: usize, centre: &[f64]) -> f64 {
        let (group, lane) = (c / LANES, c % LANES);
        let start = group * self.padded;
        let mut square = 0.0;
        for (j, v) in centre.iter().enumerate() {
            let t = v - f64::from(self.shift[j]);
            square += t * t;
            self.centres[start + j].0[lane] = -2.0 * t as f32;
            let line = c * self.apart.0 + j / LANES * self.apart.1;
            self.lines[line].0[j % LANES] = -2.0 * t as f32;
            self.columns.centre(c).0[j] = -2.0 * t as f32;
        }
        let terms = (self.d as f64 + 16.0) * U;
        // The usual bound of `n` roundings, n u / (1 - n u); nothing is known where that makes no sense.
        let per_length = if terms < 0.5 {
            2.0 * terms / (1.0 - terms) * 1.01
        } else {
            f64::INFINITY
        };
        // Within these lengths no product and no sum overflows; nothing is known of other centres.
        (self.offset[group][lane], self.over[group][lane]) = if square < LARGE {
            let share = |of: f64| (square * (1.0 + of * U)) as f32;
            (share(-8.0), share(8.0))
        } else {
            (f32::NEG_INFINITY, f32::INFINITY)
        };
        self.slope[group][lane] = (square.sqrt() * per_length) as f32;
        *self.columns.centre(c).1 = self.offset[group][lane];
        square
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
    pub fn group(&self, g: usize) -> &[Line] {
        &self.centres[g * self.padded..(g + 1) * self.padded]
    }

    /// What rounding takes from products in `f32` with the centres of group `g`, per unit of the row's length.
    pub fn slope(&self, g: usize) -> &[f32; LANES] {
        &self.slope[g]
    }

    /// Numbers of centre `c` from slot `16 t` on.
    #[inline(always)]
    pub fn line(&self, c: usize, t: usize) -> &[f32; LANES] {
        &self.lines[c * self.apart.0 + t * self.apart.1].0
    }

    /// Numbers of centre `c` side by side; `None` where those of all centres alternate.
    #[inline(always)]
    pub fn lines(&self, c: usize) -> Option<&[Line]> {
        let steps = self.apart.0;
        (self.apart.1 == 1).then(|| &self.lines[c * steps..(c + 1) * steps])
    }

    /// How many centres are multiplied slot by slot, and their numbers `(d / 16, width, 16)`; 0 where groups are better.
    #[inline(always)]
    pub fn dots<S: Vectors>(&self) -> (usize, &[Line]) {
        // It takes the registers of AVX-512.
        let width = if S::F32_LANES == LANES { self.width } else { 0 };
        (width, &self.lines)
    }

    /// Takes in the values `offset - 2 x.c` that follow from the products of sixteen rows with group `g`.
    #[inline(always)]
    pub fn rank<S: Vectors>(
        &self,
        simd: S,
        g: usize,
        products: [S::F32; LANES],
        least: &mut Least<S>,
    ) {
        let count = self.k - g * LANES;
        for (c, product) in simd.transpose(products).iter().enumerate() {
            if c < count {
                let value = simd.add(simd.splat(self.offset[g][c]), *product);
                least.take(simd, value, (g * LANES + c) as u32);
            }
        }
    }

    /// Takes in the bounds that follow from the products of sixteen rows with the centres of group `g`, less what rounding took by
    /// `slope`, and the least bound from above.
    #[inline(always)]
    pub fn track<S: Vectors>(
        &self,
        simd: S,
        g: usize,
        (products, slope): (&[S::F32; LANES], &[f32; LANES]),
        length: S::F32,
        (least, above): (&mut Least<S>, &mut S::F32),
    ) {
        let count = self.k - g * LANES;
        let shorter = simd.sub(simd.splat(0.0), length);
        for (c, product) in products.iter().enumerate() {
            if c < count {
                let slope = simd.splat(slope[c]);
                let low = simd.add(simd.splat(self.offset[g][c]), *product);
                let low = simd.mul_add(shorter, slope, low);
                // What is not a number bounds nothing.
                let low = simd.max(low, simd.splat(f32::NEG_INFINITY));
                least.take(simd, low, (g * LANES + c) as u32);
                let high = simd.add(simd.splat(self.over[g][c]), *product);
                *above = simd.min(simd.mul_add(length, slope, high), *above);
            }
        }
    }

    /// Squared distances of sixteen rows to a centre each, from below and from above, from the products with it.
    #[inline(always)]
    pub fn between<S: Vectors>(
        &self,
        simd: S,
        centres: &[u32; LANES],
        product: S::F32,
        rows: &Lengths<S>,
    ) -> (S::F32, S::F32) {
        let [mut offset, mut over, mut slope] = [[0.0; LANES]; 3];
        for (l, c) in centres.iter().enumerate() {
            let (g, lane) = (*c as usize / LANES, *c as usize % LANES);
            offset[l] = self.offset[g][lane];
            over[l] = self.over[g][lane];
            slope[l] = self.slope[g][lane];
        }
        let slope = simd.load(&slope);
        let shorter = simd.sub(simd.splat(0.0), rows.length);
        let low = simd.mul_add(shorter, slope, simd.add(simd.load(&offset), product));
        let high = simd.mul_add(rows.length, slope, simd.add(simd.load(&over), product));
        let low = simd.max(simd.add(rows.square, low), simd.splat(0.0));
        (low, simd.max(simd.splat(0.0), simd.add(rows.over, high)))
    }

    /// By how much the value of the nearest centre has to lie below that of another to be nearest without doubt. Values are
    /// `offset - 2 x.c`, of rows with these squared lengths in `f32`; not a number where nothing can be said.
    ///
    /// A value is wrong by `u ((d + 10) C^2 + 2 (d + 5) X C)` at most: products, sums, and the rounding of what goes in. A measured
    /// distance is rounded too, in `f64`.
    #[inline(always)]
    pub fn doubt<S: Vectors>(&self, simd: S, square: S::F32) -> S::F32 {
        let [none, one, two] = self.doubt;
        let length = simd.sqrt(square);
        let doubt = simd.mul_add(length, simd.splat(one), simd.splat(none));
        let doubt = simd.mul_add(square, simd.splat(two), doubt);
        simd.add(doubt, self.unknown(simd, square))
    }

    /// Nothing, or not a number where rows are too long.
    #[inline(always)]
    fn unknown<S: Vectors>(&self, simd: S, square: S::F32) -> S::F32 {
        let spare = (f64::from(f32::MAX) / LARGE) as f32;
        let spare = simd.mul_add(square, simd.splat(spare), simd.splat(0.0));
        simd.sub(spare, spare)
    }

    /// What the bounds need to know of rows with these squared lengths in `f32`.
    #[inline(always)]
    pub fn lengths<S: Vectors>(&self, simd: S, square: S::F32) -> Lengths<S> {
        let scaled = |v, factor, plus| simd.mul_add(v, simd.splat(factor), simd.splat(plus));
        let length = scaled(simd.sqrt(square), self.row.1, TINY_LENGTH);
        Lengths {
            square: scaled(square, self.row.0, -TINY),
            over: scaled(square, self.row.1, TINY),
            length: simd.add(length, self.unknown(simd, square)),
        }
    }
}

/// Products of rows, each `padded` long, with a group of centres, added to `start`.
#[inline(always)]
pub fn products<S: Vectors, const R: usize>(
    simd: S,
    rows: [&[f32]; R],
    group: &[Line],
) -> [S::F32; R] {
    let (centres, _) = group.as_chunks::<STEP>();
    let mut steps: [&[[f32; STEP]]; R] = [&[]; R];
    for (steps, row) in steps.iter_mut().zip(rows) {
        *steps = &row.as_chunks::<STEP>().0[..centres.len()];
    }
    let mut sums = [simd.splat(0.0); R];
    for (t, centres) in centres.iter().enumerate() {
        for (j, c) in centres.iter().enumerate() {
            let c = simd.load(&c.0);
            for (sum, steps) in sums.iter_mut().zip(&steps) {
                *sum = simd.mul_add(simd.splat(steps[t][j]), c, *sum);
            }
        }
    }
    sums
}

//! Products of rows and centres in whole numbers of 16 bits, twice as many a second as in `f32` where the processor has them.
//!
//! A row of length `X` is seen times `T / X`, rounded to whole numbers, with `T` just below `2^15`; a centre (`w`, of length `W`) likewise. No
//! number leaves its 16 bits then, and no sum on the way its 32 (Cauchy-Schwarz): the sum of products is exact. Times `X W / T^2` it is the
//! product sought but for the rounding of each slot by half and what making the slot took before, 0.51 in all:
//! `q = 0.51 sqrt(d) / T` of either length, `(2 q + q^2) X W` of the product. Bounds allow for that as they do for the
//! rounding of `f32`, so that nothing is ruled out that could be nearest.
//!
//! By these formulas that is sixty times as much as `f32` needs at 32 slots, forty at 128 and some fifteen at 1,000. Where rows and centres lie far from the mean and near to each other it leaves many rows to be
//! measured in `f64`; a block in which that happens goes on in `f32` ([`Bounds::coarse`](super::bounds::Bounds::coarse)).

use emberline_datasets::simd::{Pair, Vectors, Words};

use super::screen::{LANES, Line};

/// The length of rows and centres.
const REACH: f64 = 32_760.0;
/// What rounding takes of a slot at most: a half, and the rounding of a product in `f32`.
const HALF: f64 = 0.51;
/// Added to a number of [`REACH`] at most, leaves it rounded in the lowest bits.
const ROUND: f32 = (3_u32 << 22) as f32;

/// Rows of fewer slots gain less from products than rounding them and bringing products back takes: at 16 slots and 600 centres a fit took
/// 1.02 times as long.
const FEW_SLOTS: usize = 32;

/// Centres in whole numbers.
#[derive(Debug, Clone)]
pub struct Coarse {
    words: Words,
    /// Pairs of slots of a row.
    pairs: usize,
    /// `(groups, pairs, LANES)`.
    centres: Vec<[Pair; LANES]>,
    /// What brings a product back, for rows of length 1.
    scale: Vec<[f32; LANES]>,
    /// What rounding takes per unit of the row's length.
    slope: Vec<[f32; LANES]>,
}

impl Coarse {
    /// `groups` of centres `(groups, padded, LANES)`, to which `slope` allows for products in `f32`. `None` where the processor lacks the
    /// instructions, or rounding rows costs what products save.
    pub fn new(centres: &[Line], padded: usize, slope: &[[f32; LANES]]) -> Option<Self> {
        let (words, pairs) = (Words::new()?, padded / 2);
        if slope.len() < 2 || padded < FEW_SLOTS {
            return None;
        }
        let q = HALF * (padded as f64).sqrt() / REACH;
        // Sixteen roundings more bring a product back.
        let share = 1.01 * (2.0 * q + q * q + 16.0 * f64::from(f32::EPSILON));
        let mut coarse = Self {
            words,
            pairs,
            centres: vec![[[0; 2]; LANES]; slope.len() * pairs],
            scale: vec![[0.0; LANES]; slope.len()],
            slope: slope.to_vec(),
        };
        for (g, group) in centres.chunks_exact(padded.max(1)).enumerate() {
            for lane in 0..LANES {
                let numbers = || group.iter().map(|line| f64::from(line.0[lane]));
                let length = numbers().map(|v| v * v).sum::<f64>().sqrt();
                coarse.scale[g][lane] = (length / (REACH * REACH)) as f32;
                coarse.slope[g][lane] += (length * share) as f32;
                if length > 0.0 {
                    for (j, v) in numbers().enumerate() {
                        // What is not a number becomes 0; such centres are bounded by nothing.
                        let whole = (v * (REACH / length)).round() as i16;
                        coarse.centres[g * pairs + j / 2][lane][j % 2] = whole;
                    }
                }
            }
        }
        Some(coarse)
    }

    /// Pairs of slots of a row.
    pub fn pairs(&self) -> usize {
        self.pairs
    }

    /// What rounding takes from products with the centres of group `g`, per unit of the row's length.
    pub fn slope(&self, g: usize) -> &[f32; LANES] {
        &self.slope[g]
    }

    /// Rounds a row that is no longer than `length`.
    #[inline(always)]
    pub fn round(&self, row: &[f32], length: f32, to: &mut [Pair]) {
        let scale = REACH as f32 / length;
        for (to, v) in to.as_flattened_mut().iter_mut().zip(row) {
            *to = (v * scale + ROUND).to_bits() as i16;
        }
    }

    /// Products of sixteen rows, one a lane, with each centre of group `g`.
    #[inline(always)]
    pub fn products<S: Vectors>(
        &self,
        simd: S,
        rows: [&[Pair]; LANES],
        g: usize,
        length: S::F32,
    ) -> [S::F32; LANES] {
        let centres = &self.centres[g * self.pairs..(g + 1) * self.pairs];
        let whole = self.words.products(rows, centres);
        let mut products = [length; LANES];
        for (product, whole) in products.iter_mut().zip(&whole) {
            *product = simd.load(whole);
        }
        let mut products = simd.transpose(products);
        for (product, scale) in products.iter_mut().zip(&self.scale[g]) {
            let scale = simd.mul_add(length, simd.splat(*scale), simd.splat(0.0));
            *product = simd.mul_add(*product, scale, simd.splat(0.0));
        }
        products
    }
}

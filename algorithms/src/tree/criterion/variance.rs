//! Variance, from sums of labels in whole units.

use std::cmp::Ordering;
use std::fmt::Debug;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Cells, Criterion, STEP};
use crate::tree::histogram::Histogram;
use crate::tree::leaves::ClassLeaves;
use crate::tree::node::Node;
use crate::tree::table::scaled;

/// How labels in units become numbers: `offset + units / 2^exponent`.
#[derive(Debug, Clone, Copy)]
pub struct Units {
    /// What stands for zero units.
    pub offset: f64,
    /// Base-2 logarithm of the units in 1, after the shift.
    pub exponent: i32,
    /// Labels are kept to `2^shift` units of the table.
    pub shift: u32,
}

/// Weight of some rows and their labels' weighted sum in units.
pub trait Moment:
    Copy + Default + Send + Sync + Debug + Serialize + DeserializeOwned + 'static
{
    /// True where weights differ from how often rows were drawn.
    const WEIGHTED: bool;
    /// Adds a row.
    fn row(&mut self, row: Labelled);
    /// Adds other rows.
    fn plus(&mut self, other: &Self);
    /// Without other rows.
    fn minus(&self, other: &Self) -> Self;
    /// Sum of weights.
    fn weight(&self) -> u64;
    /// Number of rows as often as drawn.
    fn rows(&self) -> u64;
    /// Mean label in units, rounded down.
    fn floor_mean(&self) -> i64;
    /// Sum of weight times label less `mean`.
    fn about(&self, mean: i64) -> f64;
    /// Sum of weight times label.
    fn sum(&self) -> f64;
}

/// A row: its label in units, and what it counts for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Labelled {
    label: i64,
    weight: u64,
    draws: u8,
}

/// For rows of weight 1: both sums are below 2^62.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Narrow {
    weight: i64,
    sum: i64,
}

impl Moment for Narrow {
    const WEIGHTED: bool = false;

    #[inline(always)]
    fn row(&mut self, row: Labelled) {
        self.weight += row.weight as i64;
        self.sum += row.label * row.weight as i64;
    }

    #[inline(always)]
    fn plus(&mut self, other: &Self) {
        self.weight += other.weight;
        self.sum += other.sum;
    }

    #[inline(always)]
    fn minus(&self, other: &Self) -> Self {
        Self {
            weight: self.weight - other.weight,
            sum: self.sum - other.sum,
        }
    }

    #[inline(always)]
    fn weight(&self) -> u64 {
        self.weight as u64
    }

    #[inline(always)]
    fn rows(&self) -> u64 {
        self.weight as u64
    }

    fn floor_mean(&self) -> i64 {
        self.sum.div_euclid(self.weight.max(1))
    }

    #[inline(always)]
    fn about(&self, mean: i64) -> f64 {
        (self.sum - mean * self.weight) as f64
    }

    fn sum(&self) -> f64 {
        self.sum as f64
    }
}

/// For rows of any weights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wide {
    rows: u64,
    weight: u64,
    sum: i128,
}

impl Moment for Wide {
    const WEIGHTED: bool = true;

    #[inline(always)]
    fn row(&mut self, row: Labelled) {
        self.rows += u64::from(row.draws);
        self.weight += row.weight;
        self.sum += i128::from(row.label) * i128::from(row.weight);
    }

    #[inline(always)]
    fn plus(&mut self, other: &Self) {
        self.rows += other.rows;
        self.weight += other.weight;
        self.sum += other.sum;
    }

    #[inline(always)]
    fn minus(&self, other: &Self) -> Self {
        Self {
            rows: self.rows - other.rows,
            weight: self.weight - other.weight,
            sum: self.sum - other.sum,
        }
    }

    #[inline(always)]
    fn weight(&self) -> u64 {
        self.weight
    }

    #[inline(always)]
    fn rows(&self) -> u64 {
        self.rows
    }

    fn floor_mean(&self) -> i64 {
        self.sum.div_euclid(i128::from(self.weight.max(1))) as i64
    }

    #[inline(always)]
    fn about(&self, mean: i64) -> f64 {
        // At most 2^114, so that squares stay finite whatever the labels' scale.
        (self.sum - i128::from(mean) * i128::from(self.weight)) as f64
    }

    fn sum(&self) -> f64 {
        self.sum as f64
    }
}

/// Variance. Sums are taken about the node's mean (a whole number of units), so that nothing cancels.
#[derive(Debug, Clone)]
pub struct Variance<'a, M> {
    label: &'a [i64],
    weight_of: Option<&'a [u64]>,
    units: Units,
    total: M,
    weight: f64,
    mean: i64,
    moment: PhantomData<M>,
}

impl<'a, M: Moment> Variance<'a, M> {
    /// For the labels in units and weights of all rows, `(n,)` each; no weights are 1 each.
    #[must_use]
    pub fn new(label: &'a [i64], weight_of: Option<&'a [u64]>, units: Units) -> Self {
        Self {
            label,
            weight_of,
            units,
            total: M::default(),
            weight: 0.0,
            mean: 0,
            moment: PhantomData,
        }
    }
}

impl<M: Moment> Criterion for Variance<'_, M> {
    type Row = Labelled;
    type Sums = M;
    type Tally = Histogram<M>;

    fn empty(&self) -> M {
        M::default()
    }

    #[inline(always)]
    fn row(&self, i: u32, draws: u8) -> Labelled {
        let (i, shift) = (i as usize, self.units.shift);
        // To the nearest, halves up.
        let half = (1_i64 << shift) >> 1;
        Labelled {
            label: (self.label[i] + half) >> shift,
            weight: u64::from(draws) * self.weight_of.map_or(1, |w| w[i]),
            draws,
        }
    }

    #[inline(always)]
    fn add_row(&self, sums: &mut M, row: Labelled) {
        sums.row(row);
    }

    #[inline(always)]
    fn add(&self, sums: &mut M, other: &M) {
        sums.plus(other);
    }

    #[inline(always)]
    fn rest(&self, whole: &M, part: &M) -> M {
        whole.minus(part)
    }

    #[inline(always)]
    fn weight(&self, sums: &M) -> u64 {
        sums.weight()
    }

    #[inline(always)]
    fn rows(&self, sums: &M) -> u64 {
        sums.rows()
    }

    fn is_pure(&self, _: &M) -> bool {
        false
    }

    fn label_of(row: Labelled) -> Option<i64> {
        Some(row.label)
    }

    fn enter(&mut self, total: &M) {
        self.total = *total;
        self.weight = total.weight() as f64;
        self.mean = total.floor_mean();
    }

    fn score(&self, left: &M) -> f64 {
        self.rate_one(left)
    }

    fn gain(&self, score: f64, _: &M) -> f64 {
        let (w, rest) = (self.weight, self.total.about(self.mean));
        let gain = ((score - rest * rest / w) / w).max(0.0);
        scaled(gain, -2 * self.units.exponent)
    }

    fn is_ordered(&self) -> bool {
        true
    }

    fn compare(&self, a: &M, b: &M) -> Ordering {
        // Cross products would need up to 2^176; the nearest quotients order all but means equal to 16 digits.
        let of = |m: &M| m.about(self.mean) / m.weight().max(1) as f64;
        of(a).total_cmp(&of(b))
    }

    fn class_weights(&self, _: &M, out: &mut Vec<u64>) {
        out.clear();
    }

    fn leaf(&self, sums: &M, _: &mut ClassLeaves) -> Node {
        let mean = sums.sum() / sums.weight().max(1) as f64;
        Node::value(self.units.offset + scaled(mean, -self.units.exponent))
    }
}

impl<M: Moment> Cells for Variance<'_, M> {
    const WEIGHTED: bool = M::WEIGHTED;
    const WORDS: usize = 3;

    #[inline(always)]
    fn is_vacant(sums: &M) -> bool {
        sums.weight() == 0
    }

    #[inline(always)]
    fn brief(&self, left: &M) -> ([u64; 3], u64) {
        let right = self.total.minus(left);
        let weight = left.weight();
        let sides = [left.about(self.mean), right.about(self.mean)].map(f64::to_bits);
        ([weight, sides[0], sides[1]], weight)
    }

    #[inline(always)]
    fn rate(&self, [weight, left, right]: [&[u64; STEP]; 3]) -> [f64; STEP] {
        std::array::from_fn(|i| {
            let w = weight[i] as i64 as f64;
            let rest = self.weight - w;
            let (l, r) = (f64::from_bits(left[i]), f64::from_bits(right[i]));
            (l * l * rest + r * r * w) / (w * rest)
        })
    }
}

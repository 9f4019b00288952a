//! Gini of two classes, for rows of weight 1: both counts of a bin in one word.

use std::cmp::Ordering;

use super::{Cells, Criterion, STEP, gini_fraction, gini_gain, times};
use crate::tree::histogram::Histogram;
use crate::tree::leaves::ClassLeaves;
use crate::tree::node::Node;

/// Up to this weight of a node the scores of unlike fractions are unlike `f64`s: numerators stay below `W^4 / 16` and
/// denominators below `W^2 / 4`, and their product below 2^52.
const ROUNDING_HARMLESS_TO: u64 = 512;

/// Gini impurity of two classes. All rows together are drawn less than 2^31 times.
///
/// With `W` rows in the node, `T` of them of the second class, `w` and `t` on the left, the decrease of impurity is
/// `2 (t W - w T)^2 / (w (W - w)) / W^2`; the score leaves the constants out.
#[derive(Debug, Clone)]
pub struct Pair<'a> {
    class: &'a [u16],
    total: u64,
    weight: u64,
    second: u64,
}

const fn weight(sums: u64) -> u64 {
    sums & 0xffff_ffff
}

const fn second(sums: u64) -> u64 {
    sums >> 32
}

impl<'a> Pair<'a> {
    /// For the classes of all rows, `(n,)`.
    #[must_use]
    pub fn new(class: &'a [u16]) -> Self {
        Self {
            class,
            total: 0,
            weight: 0,
            second: 0,
        }
    }
}

fn squares(sums: u64) -> u128 {
    let (first, second) = (weight(sums) - second(sums), second(sums));
    times(first, first) + times(second, second)
}

impl Criterion for Pair<'_> {
    type Row = u64;
    /// Rows in the lower half, those of the second class in the upper one.
    type Sums = u64;
    type Tally = Histogram<u64>;

    fn empty(&self) -> u64 {
        0
    }

    #[inline(always)]
    fn row(&self, i: u32, draws: u8) -> u64 {
        u64::from(draws) * (1 | u64::from(self.class[i as usize]) << 32)
    }

    #[inline(always)]
    fn add_row(&self, sums: &mut u64, row: u64) {
        *sums += row;
    }

    #[inline(always)]
    fn add(&self, sums: &mut u64, other: &u64) {
        *sums += other;
    }

    #[inline(always)]
    fn rest(&self, whole: &u64, part: &u64) -> u64 {
        whole - part
    }

    #[inline(always)]
    fn weight(&self, sums: &u64) -> u64 {
        weight(*sums)
    }

    #[inline(always)]
    fn rows(&self, sums: &u64) -> u64 {
        weight(*sums)
    }

    fn is_pure(&self, sums: &u64) -> bool {
        second(*sums) == 0 || second(*sums) == weight(*sums)
    }

    fn enter(&mut self, total: &u64) {
        (self.total, self.weight, self.second) = (*total, weight(*total), second(*total));
    }

    fn score(&self, left: &u64) -> f64 {
        self.rate_one(left)
    }

    fn needs_fractions(&self) -> bool {
        self.weight > ROUNDING_HARMLESS_TO
    }

    fn exact(&self, left: &u64) -> Option<(u128, u128)> {
        let side = |sums: u64| (weight(sums), squares(sums));
        gini_fraction(side(*left), side(self.total - left))
    }

    fn gain(&self, _: f64, left: &u64) -> f64 {
        let [node, left, right] =
            [self.total, *left, self.total - left].map(|sums| (weight(sums), squares(sums)));
        gini_gain(node, left, right)
    }

    fn is_ordered(&self) -> bool {
        true
    }

    fn compare(&self, a: &u64, b: &u64) -> Ordering {
        times(second(*a), weight(*b)).cmp(&times(second(*b), weight(*a)))
    }

    fn class_weights(&self, sums: &u64, out: &mut Vec<u64>) {
        out.clear();
        out.extend([weight(*sums) - second(*sums), second(*sums)]);
    }

    fn leaf(&self, sums: &u64, leaves: &mut ClassLeaves) -> Node {
        Node::shares(leaves.push(&[weight(*sums) - second(*sums), second(*sums)]))
    }
}

impl Cells for Pair<'_> {
    const WEIGHTED: bool = false;
    const WORDS: usize = 1;

    #[inline(always)]
    fn is_vacant(sums: &u64) -> bool {
        *sums == 0
    }

    #[inline(always)]
    fn brief(&self, left: &u64) -> ([u64; 3], u64) {
        ([*left, 0, 0], weight(*left))
    }

    #[inline(always)]
    fn rate(&self, [left, ..]: [&[u64; STEP]; 3]) -> [f64; STEP] {
        let (weight_of_all, second_of_all) = (self.weight as i64, self.second as i64);
        std::array::from_fn(|i| {
            let (w, t) = (weight(left[i]) as i64, second(left[i]) as i64);
            // Below 2^62 each.
            let surplus = (t * weight_of_all - w * second_of_all) as f64;
            surplus * surplus / (w as f64 * (weight_of_all - w) as f64)
        })
    }
}

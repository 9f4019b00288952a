//! Gini of a few classes, for rows of weight 1: the counts of a bin side by side, as wide as a vector register.

use std::cmp::Ordering;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Cells, Criterion, STEP, gini_fraction, gini_gain, times};
use crate::tree::histogram::Histogram;
use crate::tree::leaves::ClassLeaves;
use crate::tree::node::Node;

/// Up to this weight of a node the scores of unlike fractions are unlike `f64`s: numerators stay below `W^3 / 4` and
/// denominators below `W^2 / 4`, and their product below 2^52.
const ROUNDING_HARMLESS_TO: u64 = 2048;

/// Gini impurity of up to `K` classes, `K` a power of two. All rows together are drawn less than 2^31 times.
#[derive(Debug, Clone)]
pub struct Lanes<'a, const K: usize> {
    class: &'a [u16],
    n_classes: usize,
    total: [u32; K],
    weight: u64,
}

impl<'a, const K: usize> Lanes<'a, K> {
    const MASK: usize = {
        assert!(K.is_power_of_two());
        K - 1
    };

    /// For the classes of all rows, `(n,)`, below `n_classes`, which is at most `K`.
    #[must_use]
    pub fn new(class: &'a [u16], n_classes: usize) -> Self {
        Self {
            class,
            n_classes,
            total: [0; K],
            weight: 0,
        }
    }

    fn weights(&self, sums: &[u32; K]) -> Vec<u64> {
        sums[..self.n_classes]
            .iter()
            .map(|n| u64::from(*n))
            .collect()
    }
}

#[inline(always)]
fn sum<const K: usize>(counts: &[u32; K]) -> u64 {
    u64::from(counts.iter().sum::<u32>())
}

#[inline(always)]
fn squares<const K: usize>(counts: &[u32; K]) -> u64 {
    counts.iter().map(|n| u64::from(*n) * u64::from(*n)).sum()
}

impl<const K: usize> Criterion for Lanes<'_, K>
where
    [u32; K]: Default + Serialize + DeserializeOwned,
{
    /// Class and draws.
    type Row = (u8, u8);
    type Sums = [u32; K];
    type Tally = Histogram<[u32; K]>;

    fn empty(&self) -> [u32; K] {
        [0; K]
    }

    #[inline(always)]
    fn row(&self, i: u32, draws: u8) -> (u8, u8) {
        (self.class[i as usize] as u8, draws)
    }

    #[inline(always)]
    fn add_row(&self, sums: &mut [u32; K], (class, draws): (u8, u8)) {
        sums[usize::from(class) & Self::MASK] += u32::from(draws);
    }

    #[inline(always)]
    fn add(&self, sums: &mut [u32; K], other: &[u32; K]) {
        for (s, o) in sums.iter_mut().zip(other) {
            *s += o;
        }
    }

    #[inline(always)]
    fn rest(&self, whole: &[u32; K], part: &[u32; K]) -> [u32; K] {
        std::array::from_fn(|c| whole[c] - part[c])
    }

    #[inline(always)]
    fn weight(&self, sums: &[u32; K]) -> u64 {
        sum(sums)
    }

    #[inline(always)]
    fn rows(&self, sums: &[u32; K]) -> u64 {
        sum(sums)
    }

    fn is_pure(&self, sums: &[u32; K]) -> bool {
        sums.iter().filter(|n| **n > 0).count() <= 1
    }

    fn enter(&mut self, total: &[u32; K]) {
        (self.total, self.weight) = (*total, sum(total));
    }

    fn score(&self, left: &[u32; K]) -> f64 {
        self.rate_one(left)
    }

    fn needs_fractions(&self) -> bool {
        self.weight > ROUNDING_HARMLESS_TO
    }

    fn exact(&self, left: &[u32; K]) -> Option<(u128, u128)> {
        let side = |sums: &[u32; K]| (sum(sums), u128::from(squares(sums)));
        gini_fraction(side(left), side(&self.rest(&self.total, left)))
    }

    fn gain(&self, _: f64, left: &[u32; K]) -> f64 {
        let right = self.rest(&self.total, left);
        let [node, left, right] =
            [&self.total, left, &right].map(|sums| (sum(sums), u128::from(squares(sums))));
        gini_gain(node, left, right)
    }

    fn is_ordered(&self) -> bool {
        self.n_classes == 2
    }

    fn compare(&self, a: &[u32; K], b: &[u32; K]) -> Ordering {
        let cross =
            |x: &[u32; K], y: &[u32; K]| times(u64::from(x[1 & Self::MASK]), u64::from(y[0]));
        cross(a, b).cmp(&cross(b, a))
    }

    fn class_weights(&self, sums: &[u32; K], out: &mut Vec<u64>) {
        *out = self.weights(sums);
    }

    fn leaf(&self, sums: &[u32; K], leaves: &mut ClassLeaves) -> Node {
        Node::shares(leaves.push(&self.weights(sums)))
    }
}

impl<const K: usize> Cells for Lanes<'_, K>
where
    [u32; K]: Default + Serialize + DeserializeOwned,
{
    const WEIGHTED: bool = false;
    const WORDS: usize = 3;

    #[inline(always)]
    fn is_vacant(sums: &[u32; K]) -> bool {
        sums.iter().fold(0, |all, n| all | n) == 0
    }

    #[inline(always)]
    fn brief(&self, left: &[u32; K]) -> ([u64; 3], u64) {
        if self.weight <= MOST_IN_BYTES {
            // A count is a byte, and the sum of eight of them too.
            let (bytes, _) = left.as_chunks::<8>();
            let mut words = [0; 3];
            let mut weight = 0;
            for (word, counts) in words.iter_mut().zip(bytes) {
                *word = u64::from_le_bytes(counts.map(|n| n as u8));
                weight += word.wrapping_mul(0x0101_0101_0101_0101) >> 56;
            }
            return (words, weight);
        }
        let right = self.rest(&self.total, left);
        let weight = sum(left);
        ([weight, squares(left), squares(&right)], weight)
    }

    #[inline(always)]
    fn rate(&self, briefs: [&[u64; STEP]; 3]) -> [f64; STEP] {
        let [mut weight, mut left, mut right] = [[0_u64; STEP]; 3];
        if self.weight <= MOST_IN_BYTES {
            for (c, total) in self.total[..self.n_classes].iter().enumerate() {
                let words = briefs[(c / 8).min(2)];
                for i in 0..STEP {
                    let l = (words[i] >> (8 * (c % 8))) & 0xff;
                    let r = (u64::from(*total) - l) & 0xff;
                    weight[i] += l;
                    left[i] += l * l;
                    right[i] += r * r;
                }
            }
        } else {
            [weight, left, right] = briefs.map(|b| *b);
        }
        let total = self.weight as i64;
        std::array::from_fn(|i| {
            // Below 2^62 each.
            let (w, rest) = (weight[i] as i64 as f64, (total - weight[i] as i64) as f64);
            let (l, r) = (left[i] as i64 as f64, right[i] as i64 as f64);
            (l * rest + r * w) / (w * rest)
        })
    }
}

/// Up to this weight of a node the count of a class is a byte.
const MOST_IN_BYTES: u64 = 255;

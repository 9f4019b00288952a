//! What makes a split good: impurity decreases from exact integer sums.
//!
//! Weights are integers (units of [`super::table`]), so every sum is exact and its order is of no account. The score of a
//! split is an `f64` computed from the sums of its left side and of the node; larger is better, and equal sums give equal
//! bits. Forests of unweighted rows, which most are, have sums of a few bytes a bin: [`Pair`] and [`Lanes`] for classes,
//! [`Variance`] for numbers. [`Many`] takes every other classification.

mod lanes;
mod many;
mod pair;
mod variance;

use std::cmp::Ordering;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::histogram::Tally;
use super::leaves::ClassLeaves;
use super::node::Node;

pub use lanes::Lanes;
pub use many::{ClassSums, Classed, Many};
pub use pair::Pair;
pub use variance::{Narrow, Units, Variance, Wide};

/// An impurity, for the rows of one tree. It is told the node before it is asked for scores.
pub trait Criterion: Clone + Send + Sync {
    /// What a row adds to the sums of its bin: label and weight.
    type Row: Copy + Default + Send + Sync;
    /// Sums of some rows.
    type Sums: Clone + Send + Sync + Serialize + DeserializeOwned;
    /// How the rows of a node are brought together by bin.
    type Tally: Tally<Self>;

    /// Sums of no rows.
    fn empty(&self) -> Self::Sums;
    /// Row `i` of the table, drawn so often.
    fn row(&self, i: u32, draws: u8) -> Self::Row;
    /// Adds a row.
    fn add_row(&self, sums: &mut Self::Sums, row: Self::Row);
    /// Adds other rows.
    fn add(&self, sums: &mut Self::Sums, other: &Self::Sums);
    /// Sums of the rows of `whole` that are not in `part`.
    fn rest(&self, whole: &Self::Sums, part: &Self::Sums) -> Self::Sums;
    /// Sum of the weights.
    fn weight(&self, sums: &Self::Sums) -> u64;
    /// Rows, as often as they were drawn.
    fn rows(&self, sums: &Self::Sums) -> u64;
    /// True where the sums alone tell that no split can make these rows purer.
    fn is_pure(&self, sums: &Self::Sums) -> bool;
    /// What only the rows one by one tell: where all of a node have the same, no split can make them purer. `None` where the sums tell.
    fn label_of(_row: Self::Row) -> Option<i64> {
        None
    }
    /// Goes to a node with these sums.
    fn enter(&mut self, total: &Self::Sums);
    /// How good the split is that has these sums on the left, with weight on both sides.
    fn score(&self, left: &Self::Sums) -> f64;
    /// True where the order of scores may differ from that of the fractions they are rounded from.
    fn needs_fractions(&self) -> bool {
        false
    }
    /// The score as an exact fraction, where integers hold it.
    fn exact(&self, _left: &Self::Sums) -> Option<(u128, u128)> {
        None
    }
    /// The decrease of impurity by the split of this score and these sums on the left, not below 0.
    fn gain(&self, score: f64, left: &Self::Sums) -> f64;
    /// True where sorting by [`Criterion::compare`] puts the best set of categories first.
    fn is_ordered(&self) -> bool;
    /// Orders two bins by their mean target. Meant for ordered criteria.
    fn compare(&self, a: &Self::Sums, b: &Self::Sums) -> Ordering;
    /// Weight of each class; none for numbers.
    fn class_weights(&self, sums: &Self::Sums, out: &mut Vec<u64>);
    /// The leaf of these rows.
    fn leaf(&self, sums: &Self::Sums, leaves: &mut ClassLeaves) -> Node;
}

/// Splits that are scored at once.
pub const STEP: usize = 8;

/// A criterion whose sums have a fixed size, so that a bin is a cell, and which scores several splits at once.
pub trait Cells: Criterion<Sums: Copy + Default> {
    /// True where weights differ from how often rows were drawn.
    const WEIGHTED: bool;
    /// Words of a brief.
    const WORDS: usize;

    /// True for the cell of a bin without rows.
    fn is_vacant(sums: &Self::Sums) -> bool;
    /// What the score needs of the sums on the left, in [`Cells::WORDS`] words; and their weight.
    fn brief(&self, left: &Self::Sums) -> ([u64; 3], u64);
    /// The scores of splits, from the words of their briefs.
    fn rate(&self, briefs: [&[u64; STEP]; 3]) -> [f64; STEP];

    /// The score of one split.
    fn rate_one(&self, left: &Self::Sums) -> f64 {
        let (brief, _) = self.brief(left);
        let [a, b, c] = brief.map(|word| [word; STEP]);
        self.rate([&a, &b, &c])[0]
    }
}

fn times(a: u64, b: u64) -> u128 {
    u128::from(a) * u128::from(b)
}

/// An exact integer as the nearest `f64`; the common small case is one instruction.
fn float(x: u128) -> f64 {
    u64::try_from(x).map_or_else(|_| x as f64, |small| small as f64)
}

/// Up to this weight gini scores are compared as fractions: with `W` the weight of the node, numerators stay below `W^3 / 4`
/// and denominators below `W^2 / 4`, so that products of the two stay below 2^121.
const EXACT_TO: u64 = 1 << 25;

/// Gini as a fraction: the squares of both sides' class weights, each over its side's weight.
fn gini_fraction(left: (u64, u128), right: (u64, u128)) -> Option<(u128, u128)> {
    let (l, r) = (u128::from(left.0), u128::from(right.0));
    (left.0 + right.0 <= EXACT_TO).then(|| (left.1 * r + right.1 * l, l * r))
}

/// The decrease of gini by a split: weight and squares of the node and of its sides. One formula for all ways to keep sums, so
/// that importances do not depend on them.
fn gini_gain(node: (u64, u128), left: (u64, u128), right: (u64, u128)) -> f64 {
    let w = node.0 as f64;
    let sides = float(left.1) / left.0 as f64 + float(right.1) / right.0 as f64;
    (sides / w - float(node.1) / w / w).max(0.0)
}

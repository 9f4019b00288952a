//! Splits of a node, and which of two is the better one.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::criterion::Criterion;

/// A set of bins.
pub type BinSet = [u64; 4];

/// True where `set` has bin `b`.
#[must_use]
pub fn contains(set: &BinSet, b: usize) -> bool {
    set[b / 64] >> (b % 64) & 1 == 1
}

/// Adds bin `b` to `set`.
pub fn insert(set: &mut BinSet, b: usize) {
    set[b / 64] |= 1 << (b % 64);
}

/// Where the rows of a node go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rule {
    /// Bins up to `last_left` go left.
    Threshold {
        /// The highest bin on the left among the node's rows.
        last_left: u8,
        /// The lowest bin on the right among the node's rows; `None` where only missing values are.
        first_right: Option<u8>,
        /// Side of missing values; `None` where the node has none.
        missing_left: Option<bool>,
    },
    /// These bins go left, that of missing values among them.
    Nominal {
        /// Bins on the left.
        left: BinSet,
        /// Bins that the node's rows have.
        present: BinSet,
    },
}

/// A split that could be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Candidate<S> {
    /// Feature index.
    pub feature: u32,
    /// Where rows go.
    pub rule: Rule,
    /// Sums of the rows that go left.
    pub left: S,
    /// What the criterion makes of it.
    pub score: f64,
}

/// Scores closer than this part of their size are compared as fractions. They carry errors of a few 2^-53.
pub const NEAR: f64 = 1e-9;

/// Orders two splits of a node by goodness: by their scores, where these are near by the fractions behind them.
pub fn compare<C: Criterion>(criterion: &C, a: (f64, &C::Sums), b: (f64, &C::Sums)) -> Ordering {
    if criterion.needs_fractions()
        && (a.0 - b.0).abs() <= NEAR * b.0.abs()
        && let (Some((p, q)), Some((r, s))) = (criterion.exact(a.1), criterion.exact(b.1))
    {
        return (p * s).cmp(&(r * q));
    }
    a.0.total_cmp(&b.0)
}

/// The better of two; of equals the one of the lower feature, and of one feature the first.
pub fn better<C: Criterion>(
    criterion: &C,
    first: Option<Candidate<C::Sums>>,
    second: Option<Candidate<C::Sums>>,
) -> Option<Candidate<C::Sums>> {
    let (Some(a), Some(b)) = (&first, &second) else {
        return first.or(second);
    };
    match compare(criterion, (a.score, &a.left), (b.score, &b.left)) {
        Ordering::Greater => first,
        Ordering::Less => second,
        Ordering::Equal if b.feature < a.feature => second,
        Ordering::Equal => first,
    }
}

/// What a node has, and what its children must have.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Weight of the node.
    pub weight: u64,
    /// Its rows; a row drawn twice counts twice.
    pub rows: u64,
    /// Weight in a child, at least; not 0.
    pub min_weight: u64,
    /// Rows in a child, at least; not 0.
    pub min_rows: u64,
}

impl Bounds {
    /// True where a left child of this weight and so many rows leaves enough on both sides.
    #[inline(always)]
    #[must_use]
    pub fn allow(&self, weight: u64, rows: u64) -> bool {
        weight >= self.min_weight
            && self.weight - weight >= self.min_weight
            && rows >= self.min_rows
            && self.rows - rows >= self.min_rows
    }
}

/// One feature at one node.
#[derive(Debug, Clone, Copy)]
pub struct Feature {
    /// Its index.
    pub index: u32,
    /// Number of bins, that of missing values not counted.
    pub n_bins: usize,
    /// True for categories.
    pub nominal: bool,
}

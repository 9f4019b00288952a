//! What makes a split good: impurity decreases from exact integer sums.
//!
//! A criterion holds the rows of a node on two sides and moves them from right to left one by one, or a bin at a time.
//! Weights are integers (units of [`super::table`]), so every sum is exact and its order is of no account. The score of a
//! split is an `f64` computed from those sums; larger is better, and equal sums give equal bits.

use std::cmp::Ordering;
use std::sync::LazyLock;

use super::table::scaled;

/// A criterion with the rows of one node.
pub trait Criterion: Clone + Send + Sync {
    /// One sum of a bin.
    type Cell: Copy + Default + Send + Sync;

    /// Sums per bin.
    fn width(&self) -> usize;
    /// Takes the rows of a node.
    fn enter(&mut self, rows: &[u32]);
    /// True where no split can make the node purer.
    fn is_pure(&self) -> bool;
    /// Weight of the node.
    fn weight(&self) -> u64;
    /// Adds a row to the sums of its bin.
    fn add(&self, row: u32, bin: &mut [Self::Cell]);
    /// Puts all rows on the right.
    fn reset(&mut self);
    /// Moves a row to the left.
    fn shift_row(&mut self, row: u32);
    /// Moves the rows of a bin to the left.
    fn shift_bin(&mut self, bin: &[Self::Cell]);
    /// Weight on the left.
    fn left_weight(&self) -> u64;
    /// How good the split is, with weight on both sides.
    fn score(&mut self) -> f64;
    /// The score as an exact fraction, where integers hold it.
    fn exact(&self) -> Option<(u128, u128)> {
        None
    }
    /// The decrease of impurity that a score means, not below 0.
    fn gain(&self, score: f64) -> f64;
    /// True where sorting by [`Criterion::compare`] puts the best set of categories first.
    fn is_ordered(&self) -> bool;
    /// Orders two bins by their mean target. Meant for ordered criteria.
    fn compare(&self, a: &[Self::Cell], b: &[Self::Cell]) -> Ordering;
    /// The class sums of a bin; `None` for numbers.
    fn class_sums<'a>(&self, bin: &'a [Self::Cell]) -> Option<&'a [u64]>;
}

/// An exact integer as the nearest `f64`; the common small case is one instruction.
fn float(x: u128) -> f64 {
    u64::try_from(x).map_or_else(|_| x as f64, |small| small as f64)
}

fn times(a: u64, b: u64) -> u128 {
    u128::from(a) * u128::from(b)
}

/// Below this weight gini scores are compared as fractions: with `W` the weight of the node, numerators stay below
/// `W^3 / 4` and denominators below `W^2 / 4`, so that products of the two stay below 2^121.
const EXACT_BELOW: u64 = 1 << 25;

/// Units of `x log2 x` in 1. As integers the terms add exactly, so that splits which differ in the naming of classes or sides
/// alone tie; `x` is below 2^62, and 2^62 * 62 * 2^40 far inside 128 bits.
const LOG_UNITS: f64 = (1_u64 << 40) as f64;

/// Low bits of a sum of `x log2 x` that rounding may have touched. What is left resolves 10^-6 of a weight of 1.
const SPARE_BITS: u32 = 20;

/// `x log2 x` of small counts.
static X_LOG_X: LazyLock<Vec<i128>> = LazyLock::new(|| (0..4096).map(x_log_x_of).collect());

fn x_log_x_of(x: u64) -> i128 {
    let x = x as f64;
    if x > 0.0 {
        (x * x.log2() * LOG_UNITS).round() as i128
    } else {
        0
    }
}

fn x_log_x(x: u64) -> i128 {
    usize::try_from(x)
        .ok()
        .and_then(|i| X_LOG_X.get(i).copied())
        .unwrap_or_else(|| x_log_x_of(x))
}

/// Gini impurity, or with `ENTROPY` the Shannon entropy in bits.
#[derive(Debug, Clone)]
pub struct ClassCriterion<'a, const ENTROPY: bool> {
    class: &'a [u32],
    weight_of: &'a [u64],
    total: Vec<u64>,
    left: Vec<u64>,
    right: Vec<u64>,
    weight: u64,
    left_weight: u64,
    squares: u128,
    left_squares: u128,
    right_squares: u128,
    left_log: Vec<i128>,
    right_log: Vec<i128>,
    changed: Vec<u32>,
}

impl<'a, const ENTROPY: bool> ClassCriterion<'a, ENTROPY> {
    /// For the classes and in-bag weights of all rows, `(n,)` each.
    #[must_use]
    pub fn new(class: &'a [u32], weight_of: &'a [u64], n_classes: usize) -> Self {
        let logs = if ENTROPY { n_classes } else { 0 };
        Self {
            class,
            weight_of,
            total: vec![0; n_classes],
            left: vec![0; n_classes],
            right: vec![0; n_classes],
            weight: 0,
            left_weight: 0,
            squares: 0,
            left_squares: 0,
            right_squares: 0,
            left_log: vec![0; logs],
            right_log: vec![0; logs],
            changed: Vec::new(),
        }
    }

    /// Weight of each class in the node.
    #[must_use]
    pub fn totals(&self) -> &[u64] {
        &self.total
    }

    fn shift(&mut self, c: usize, w: u64) {
        let (l, r) = (self.left[c], self.right[c]);
        if ENTROPY {
            self.changed.push(c as u32);
        } else {
            // (l + w)^2 - l^2 = w (2l + w), and r^2 - (r - w)^2 = w (2r - w)
            self.left_squares += times(w, 2 * l + w);
            self.right_squares -= times(w, 2 * r - w);
        }
        self.left[c] = l + w;
        self.right[c] = r - w;
        self.left_weight += w;
    }
}

impl<const ENTROPY: bool> Criterion for ClassCriterion<'_, ENTROPY> {
    type Cell = u64;

    fn width(&self) -> usize {
        self.total.len()
    }

    fn enter(&mut self, rows: &[u32]) {
        self.total.fill(0);
        for &row in rows {
            self.total[self.class[row as usize] as usize] += self.weight_of[row as usize];
        }
        self.weight = self.total.iter().sum();
        self.squares = self.total.iter().map(|t| times(*t, *t)).sum();
    }

    fn is_pure(&self) -> bool {
        self.squares == times(self.weight, self.weight)
    }

    fn weight(&self) -> u64 {
        self.weight
    }

    fn add(&self, row: u32, bin: &mut [u64]) {
        bin[self.class[row as usize] as usize] += self.weight_of[row as usize];
    }

    fn reset(&mut self) {
        self.left.fill(0);
        self.right.copy_from_slice(&self.total);
        self.left_weight = 0;
        (self.left_squares, self.right_squares) = (0, self.squares);
        if ENTROPY {
            self.left_log.fill(0);
            for (log, t) in self.right_log.iter_mut().zip(&self.total) {
                *log = x_log_x(*t);
            }
            self.changed.clear();
        }
    }

    fn shift_row(&mut self, row: u32) {
        self.shift(
            self.class[row as usize] as usize,
            self.weight_of[row as usize],
        );
    }

    fn shift_bin(&mut self, bin: &[u64]) {
        for (c, w) in bin.iter().enumerate() {
            if *w > 0 {
                self.shift(c, *w);
            }
        }
    }

    fn left_weight(&self) -> u64 {
        self.left_weight
    }

    fn score(&mut self) -> f64 {
        let right_weight = self.weight - self.left_weight;
        if !ENTROPY {
            return float(self.left_squares) / self.left_weight as f64
                + float(self.right_squares) / right_weight as f64;
        }
        for c in self.changed.drain(..) {
            let c = c as usize;
            self.left_log[c] = x_log_x(self.left[c]);
            self.right_log[c] = x_log_x(self.right[c]);
        }
        let sides: i128 = self.left_log.iter().sum::<i128>() + self.right_log.iter().sum::<i128>();
        // Terms are rounded each, so sums that ought to tie (3 log 3 twice, 6 log 6 less 6) differ by some units: these go.
        let score = sides - x_log_x(self.left_weight) - x_log_x(right_weight);
        ((score + (1 << (SPARE_BITS - 1))) >> SPARE_BITS) as f64 * (1_u64 << SPARE_BITS) as f64
    }

    fn exact(&self) -> Option<(u128, u128)> {
        if ENTROPY || self.weight > EXACT_BELOW {
            return None;
        }
        let (l, r) = (
            u128::from(self.left_weight),
            u128::from(self.weight - self.left_weight),
        );
        Some((self.left_squares * r + self.right_squares * l, l * r))
    }

    fn gain(&self, score: f64) -> f64 {
        let w = self.weight as f64;
        let gain = if ENTROPY {
            let node: i128 = self.total.iter().map(|t| x_log_x(*t)).sum();
            (score - (node - x_log_x(self.weight)) as f64) / LOG_UNITS / w
        } else {
            score / w - float(self.squares) / w / w
        };
        gain.max(0.0)
    }

    fn is_ordered(&self) -> bool {
        self.total.len() == 2
    }

    fn compare(&self, a: &[u64], b: &[u64]) -> Ordering {
        // Share of the second class: a1 / (a0 + a1) against b1 / (b0 + b1), which orders like a1 b0 against b1 a0.
        let second = |bin: &[u64]| bin.get(1).copied().unwrap_or(0);
        times(second(a), b[0]).cmp(&times(second(b), a[0]))
    }

    fn class_sums<'b>(&self, bin: &'b [u64]) -> Option<&'b [u64]> {
        Some(bin)
    }
}

/// Weight of some rows and their labels' weighted sum in units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    /// Sum of weights.
    pub weight: u64,
    /// Sum of weight times label.
    pub sum: i128,
}

/// Variance. Sums are taken about the node's mean (a whole number of units), so that nothing cancels.
#[derive(Debug, Clone)]
pub struct Variance<'a> {
    label: &'a [i64],
    weight_of: &'a [u64],
    exponent: i32,
    total: Moment,
    left: Moment,
    mean: i128,
    pure: bool,
}

impl<'a> Variance<'a> {
    /// For the labels in units and in-bag weights of all rows, `(n,)` each; a unit is `2^-exponent`.
    #[must_use]
    pub fn new(label: &'a [i64], weight_of: &'a [u64], exponent: i32) -> Self {
        let (total, left) = (Moment::default(), Moment::default());
        Self {
            label,
            weight_of,
            exponent,
            total,
            left,
            mean: 0,
            pure: true,
        }
    }

    /// The mean label of the node, less the offset.
    #[must_use]
    pub fn node_mean(&self) -> f64 {
        scaled(
            self.total.sum as f64 / self.total.weight.max(1) as f64,
            -self.exponent,
        )
    }
}

impl Criterion for Variance<'_> {
    type Cell = Moment;

    fn width(&self) -> usize {
        1
    }

    fn enter(&mut self, rows: &[u32]) {
        self.total = Moment::default();
        self.pure = true;
        let first = rows.first().map_or(0, |r| self.label[*r as usize]);
        for &row in rows {
            let (y, w) = (self.label[row as usize], self.weight_of[row as usize]);
            self.total.weight += w;
            self.total.sum += i128::from(y) * i128::from(w);
            self.pure &= y == first;
        }
        self.mean = self
            .total
            .sum
            .div_euclid(i128::from(self.total.weight.max(1)));
    }

    fn is_pure(&self) -> bool {
        self.pure
    }

    fn weight(&self) -> u64 {
        self.total.weight
    }

    fn add(&self, row: u32, bin: &mut [Moment]) {
        let (y, w) = (self.label[row as usize], self.weight_of[row as usize]);
        bin[0].weight += w;
        bin[0].sum += i128::from(y) * i128::from(w);
    }

    fn reset(&mut self) {
        self.left = Moment::default();
    }

    fn shift_row(&mut self, row: u32) {
        let (y, w) = (self.label[row as usize], self.weight_of[row as usize]);
        self.left.weight += w;
        self.left.sum += i128::from(y) * i128::from(w);
    }

    fn shift_bin(&mut self, bin: &[Moment]) {
        self.left.weight += bin[0].weight;
        self.left.sum += bin[0].sum;
    }

    fn left_weight(&self) -> u64 {
        self.left.weight
    }

    fn score(&mut self) -> f64 {
        let right_weight = self.total.weight - self.left.weight;
        let left = self.left.sum - self.mean * i128::from(self.left.weight);
        let right = self.total.sum - self.left.sum - self.mean * i128::from(right_weight);
        // In units: at most 2^114 each, so that squares stay finite whatever the labels' scale.
        let (l, r) = (left as f64, right as f64);
        l * l / self.left.weight as f64 + r * r / right_weight as f64
    }

    fn gain(&self, score: f64) -> f64 {
        let w = self.total.weight as f64;
        let rest = (self.total.sum - self.mean * i128::from(self.total.weight)) as f64;
        scaled(((score - rest * rest / w) / w).max(0.0), -2 * self.exponent)
    }

    fn is_ordered(&self) -> bool {
        true
    }

    fn compare(&self, a: &[Moment], b: &[Moment]) -> Ordering {
        // Cross products would need up to 2^176; the nearest quotients order all but means equal to 16 digits.
        let of =
            |m: &Moment| (m.sum - self.mean * i128::from(m.weight)) as f64 / m.weight.max(1) as f64;
        of(&a[0]).total_cmp(&of(&b[0]))
    }

    fn class_sums<'b>(&self, _: &'b [Moment]) -> Option<&'b [u64]> {
        None
    }
}

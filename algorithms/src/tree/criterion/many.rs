//! Gini and entropy of any number of classes under any weights.

use std::cmp::Ordering;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::{Criterion, float, gini_fraction, gini_gain, times};
use crate::tree::leaves::ClassLeaves;
use crate::tree::node::Node;
use crate::tree::sorted::Sorted;

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
pub struct Many<'a, const ENTROPY: bool> {
    class: &'a [u16],
    weight_of: Option<&'a [u64]>,
    total: ClassSums,
}

/// A row: its class, its weight times its draws, and its draws.
#[derive(Debug, Clone, Copy, Default)]
pub struct Classed {
    class: u16,
    draws: u32,
    weight: u64,
}

impl Classed {
    /// Rows that come to these sums.
    pub(in crate::tree) fn of_sums(sums: &ClassSums) -> impl Iterator<Item = Self> {
        let classes = sums.classes.iter().enumerate();
        let weights = classes.filter(|(_, w)| **w > 0).map(|(class, w)| Self {
            class: class as u16,
            draws: 0,
            weight: *w,
        });
        // Where draws are told with no weight, they count for no class.
        let mut left = sums.rows;
        let draws = std::iter::from_fn(move || {
            let draws = u32::try_from(left).unwrap_or(u32::MAX);
            left -= u64::from(draws);
            (draws > 0).then_some(Self {
                class: 0,
                draws,
                weight: 0,
            })
        });
        weights.chain(draws)
    }
}

/// Sums of some rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassSums {
    rows: u64,
    weight: u64,
    classes: Vec<u64>,
    /// Sum of the squares of the classes' weights.
    squares: u128,
    /// Sum of `x log2 x` of the classes' weights; kept where entropy asks for it.
    logs: i128,
}

impl ClassSums {
    fn change<const ENTROPY: bool>(&mut self, class: u16, to: impl Fn(u64) -> u64) {
        let own = &mut self.classes[usize::from(class)];
        let (old, new) = (*own, to(*own));
        *own = new;
        if ENTROPY {
            self.logs += x_log_x(new) - x_log_x(old);
        } else {
            self.squares = self.squares + times(new, new) - times(old, old);
        }
    }

    fn plus<const ENTROPY: bool>(&mut self, row: Classed) {
        self.rows += u64::from(row.draws);
        self.weight += row.weight;
        self.change::<ENTROPY>(row.class, |w| w + row.weight);
    }

    fn minus<const ENTROPY: bool>(&mut self, row: Classed) {
        self.rows -= u64::from(row.draws);
        self.weight -= row.weight;
        self.change::<ENTROPY>(row.class, |w| w - row.weight);
    }

    fn summed<const ENTROPY: bool>(mut self) -> Self {
        if ENTROPY {
            self.logs = self.classes.iter().map(|w| x_log_x(*w)).sum();
        } else {
            self.squares = self.classes.iter().map(|w| times(*w, *w)).sum();
        }
        self
    }
}

impl<'a, const ENTROPY: bool> Many<'a, ENTROPY> {
    /// For the classes and weights of all rows, `(n,)` each; no weights are 1 each.
    #[must_use]
    pub fn new(class: &'a [u16], weight_of: Option<&'a [u64]>, n_classes: usize) -> Self {
        let total = ClassSums {
            classes: vec![0; n_classes],
            ..ClassSums::default()
        };
        Self {
            class,
            weight_of,
            total,
        }
    }

    /// Moves a row from one side to the other.
    pub(in crate::tree) fn shift(&self, left: &mut ClassSums, right: &mut ClassSums, row: Classed) {
        left.plus::<ENTROPY>(row);
        right.minus::<ENTROPY>(row);
    }

    /// How good a split into these two sides is.
    pub(in crate::tree) fn score_of(&self, left: &ClassSums, right: &ClassSums) -> f64 {
        if !ENTROPY {
            return float(left.squares) / left.weight as f64
                + float(right.squares) / right.weight as f64;
        }
        let sides = left.logs + right.logs;
        // Terms are rounded each, so sums that ought to tie (3 log 3 twice, 6 log 6 less 6) differ by some units: these go.
        let score = sides - x_log_x(left.weight) - x_log_x(right.weight);
        ((score + (1 << (SPARE_BITS - 1))) >> SPARE_BITS) as f64 * (1_u64 << SPARE_BITS) as f64
    }

    /// The score as an exact fraction.
    pub(in crate::tree) fn exact_of(
        &self,
        left: &ClassSums,
        right: &ClassSums,
    ) -> Option<(u128, u128)> {
        if ENTROPY {
            return None;
        }
        gini_fraction((left.weight, left.squares), (right.weight, right.squares))
    }
}

impl<const ENTROPY: bool> Criterion for Many<'_, ENTROPY> {
    type Row = Classed;
    type Sums = ClassSums;
    type Tally = Sorted<Classed>;

    fn empty(&self) -> ClassSums {
        ClassSums {
            classes: vec![0; self.total.classes.len()],
            ..ClassSums::default()
        }
    }

    fn row(&self, i: u32, draws: u8) -> Classed {
        let weight = self.weight_of.map_or(1, |w| w[i as usize]);
        Classed {
            class: self.class[i as usize],
            draws: u32::from(draws),
            weight: u64::from(draws) * weight,
        }
    }

    fn add_row(&self, sums: &mut ClassSums, row: Classed) {
        sums.plus::<ENTROPY>(row);
    }

    fn add(&self, sums: &mut ClassSums, other: &ClassSums) {
        let own = std::mem::take(sums);
        *sums = ClassSums {
            rows: own.rows + other.rows,
            weight: own.weight + other.weight,
            classes: (own.classes.iter().zip(&other.classes))
                .map(|(a, b)| a + b)
                .collect(),
            ..own
        }
        .summed::<ENTROPY>();
    }

    fn rest(&self, whole: &ClassSums, part: &ClassSums) -> ClassSums {
        ClassSums {
            rows: whole.rows - part.rows,
            weight: whole.weight - part.weight,
            classes: (whole.classes.iter().zip(&part.classes))
                .map(|(a, b)| a - b)
                .collect(),
            ..ClassSums::default()
        }
        .summed::<ENTROPY>()
    }

    fn weight(&self, sums: &ClassSums) -> u64 {
        sums.weight
    }

    fn rows(&self, sums: &ClassSums) -> u64 {
        sums.rows
    }

    fn is_pure(&self, sums: &ClassSums) -> bool {
        sums.classes.iter().filter(|w| **w > 0).count() <= 1
    }

    fn enter(&mut self, total: &ClassSums) {
        self.total.clone_from(total);
    }

    fn score(&self, left: &ClassSums) -> f64 {
        self.score_of(left, &self.rest(&self.total, left))
    }

    fn needs_fractions(&self) -> bool {
        !ENTROPY
    }

    fn exact(&self, left: &ClassSums) -> Option<(u128, u128)> {
        self.exact_of(left, &self.rest(&self.total, left))
    }

    fn gain(&self, score: f64, left: &ClassSums) -> f64 {
        if ENTROPY {
            let w = self.total.weight as f64;
            let node = self.total.logs - x_log_x(self.total.weight);
            return ((score - node as f64) / LOG_UNITS / w).max(0.0);
        }
        let right = self.rest(&self.total, left);
        let [node, left, right] =
            [&self.total, left, &right].map(|sums| (sums.weight, sums.squares));
        gini_gain(node, left, right)
    }

    fn is_ordered(&self) -> bool {
        self.total.classes.len() == 2
    }

    fn compare(&self, a: &ClassSums, b: &ClassSums) -> Ordering {
        // Share of the second class: a1 / (a0 + a1) against b1 / (b0 + b1), which orders like a1 b0 against b1 a0.
        let second = |s: &ClassSums| s.classes.get(1).copied().unwrap_or(0);
        times(second(a), b.classes[0]).cmp(&times(second(b), a.classes[0]))
    }

    fn class_weights(&self, sums: &ClassSums, out: &mut Vec<u64>) {
        out.clone_from(&sums.classes);
    }

    fn leaf(&self, sums: &ClassSums, leaves: &mut ClassLeaves) -> Node {
        Node::shares(leaves.push(&sums.classes))
    }
}

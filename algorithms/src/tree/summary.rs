//! One pass over the blocks: what values each feature takes, and the scales that make sums exact.

use emberline_pipeline::datasets::{Block, DataError, Features};
use emberline_pipeline::{Partial, Round};
use serde::{Deserialize, Serialize};

/// Distinct values kept of a column before it is condensed. At 4,096 points left after condensing, the rank of a bin edge
/// is off by at most `levels / 8192` of the rows, `levels` the base-2 logarithm of the number of blocks: below the width of
/// one of 255 bins up to 2^30 rows.
const MOST_POINTS: usize = 8192;

/// The distinct values of one feature with their weights, in ascending order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ColumnSummary {
    /// `(value, weight of the rows that have it)`. Where condensed, a point stands for all values above the one before.
    pub points: Vec<(f64, f64)>,
    /// True where points were condensed.
    pub condensed: bool,
    /// Weight of the rows where the value is missing.
    pub missing: f64,
}

impl ColumnSummary {
    /// Summarises values `(n,)` with weights `(n,)`, 1 each where there are none; rows of weight 0 count for nothing.
    #[must_use]
    pub fn of(values: &[f64], weights: Option<&[f64]>) -> Self {
        let mut own = Self::default();
        let Some(weights) = weights else {
            own.count(values);
            return own;
        };
        for (v, w) in values.iter().zip(weights).filter(|(_, w)| **w > 0.0) {
            if v.is_nan() {
                own.missing += w;
            } else {
                own.points.push((v + 0.0, *w)); // -0.0 and 0.0 are one value
            }
        }
        // Stable, so that weights of equal values are added in row order.
        own.points.sort_by(|a, b| a.0.total_cmp(&b.0));
        own.points.dedup_by(|later, first| {
            let same = later.0 == first.0;
            if same {
                first.1 += later.1;
            }
            same
        });
        own
    }

    /// Summarises values of weight 1: sorted as integers that order like them.
    fn count(&mut self, values: &[f64]) {
        let held = values.iter().filter(|v| !v.is_nan());
        let mut keys: Vec<u64> = held.map(|v| sort_key(v + 0.0)).collect();
        self.missing = (values.len() - keys.len()) as f64;
        keys.sort_unstable();
        for run in keys.chunk_by(|a, b| a == b) {
            self.points.push((of_sort_key(run[0]), run.len() as f64));
        }
    }

    fn merge(&mut self, later: Self) {
        let mine = std::mem::take(&mut self.points);
        let mut out = Vec::with_capacity(mine.len() + later.points.len());
        let (mut a, mut b) = (
            mine.into_iter().peekable(),
            later.points.into_iter().peekable(),
        );
        loop {
            out.push(match (a.peek(), b.peek()) {
                (Some(x), Some(y)) if x.0 == y.0 => (x.0, x.1 + y.1),
                (Some(x), Some(y)) if x.0 < y.0 => *x,
                (_, Some(y)) => *y,
                (Some(x), None) => *x,
                (None, None) => break,
            });
            let value = out.last().map_or(0.0, |p| p.0);
            a.next_if(|p| p.0 == value);
            b.next_if(|p| p.0 == value);
        }
        self.points = out;
        self.condensed |= later.condensed;
        self.missing += later.missing;
        self.condense();
        self.points.shrink_to_fit(); // summaries of many blocks wait for each other
    }

    /// Joins neighbours until half of the allowed points are left, each at most its share of the weight unless it is one
    /// heavy value.
    fn condense(&mut self) {
        if self.points.len() <= MOST_POINTS {
            return;
        }
        let total: f64 = self.points.iter().map(|p| p.1).sum();
        let share = total / (MOST_POINTS / 2) as f64;
        let mut out: Vec<(f64, f64)> = Vec::with_capacity(MOST_POINTS);
        let mut open = 0.0;
        for (v, w) in self.points.drain(..) {
            match out.last_mut() {
                Some(last) if open + w <= share => {
                    *last = (v, last.1 + w);
                    open += w;
                }
                _ => {
                    out.push((v, w));
                    open = w;
                }
            }
        }
        self.points = out;
        self.condensed = true;
    }
}

/// What is known of the pinned rows before a tree is grown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataSummary {
    /// One a feature.
    pub columns: Vec<ColumnSummary>,
    /// Rows of positive weight.
    pub rows: u64,
    /// Sum of the weights.
    pub weight: f64,
    /// Exponent of the lowest bit set in any weight: all weights are multiples of two to this power.
    pub weight_exponent: i32,
    /// Smallest label among rows of positive weight.
    pub label_min: f64,
    /// Largest label among rows of positive weight.
    pub label_max: f64,
}

impl Partial for DataSummary {
    fn merge(&mut self, later: Self) {
        for (own, other) in self.columns.iter_mut().zip(later.columns) {
            own.merge(other);
        }
        self.rows += later.rows;
        self.weight += later.weight;
        self.weight_exponent = self.weight_exponent.min(later.weight_exponent);
        self.label_min = self.label_min.min(later.label_min);
        self.label_max = self.label_max.max(later.label_max);
    }
}

/// The round that makes a [`DataSummary`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Summarise;

impl Round for Summarise {
    const NAME: &'static str = "tree/summarise";
    type Unit = Block;
    type Partial = DataSummary;
    type Scratch = ();

    fn map(&self, block: &Block, (): &mut ()) -> Result<DataSummary, DataError> {
        let mut summary = DataSummary {
            columns: Vec::with_capacity(block.n_features()),
            rows: 0,
            weight: 0.0,
            weight_exponent: 0,
            label_min: f64::INFINITY,
            label_max: f64::NEG_INFINITY,
        };
        for i in 0..block.n_rows() {
            let (w, y) = (block.weight(i), block.label(i));
            if w > 0.0 {
                summary.rows += 1;
                summary.weight += w;
                summary.weight_exponent = summary.weight_exponent.min(lowest_bit(w));
                summary.label_min = summary.label_min.min(y);
                summary.label_max = summary.label_max.max(y);
            }
        }
        each_column(block, |_, values| {
            let column = ColumnSummary::of(values, block.weight.as_deref());
            summary.columns.push(column);
        });
        Ok(summary)
    }
}

/// An integer that orders like the number.
fn sort_key(v: f64) -> u64 {
    let bits = v.to_bits();
    if bits >> 63 == 0 {
        bits | 1 << 63
    } else {
        !bits
    }
}

/// The number behind a key.
fn of_sort_key(key: u64) -> f64 {
    f64::from_bits(if key >> 63 == 1 {
        key & !(1 << 63)
    } else {
        !key
    })
}

/// Exponent of the lowest bit set in a positive number: the largest `e` for which `x` is a multiple of `2^e`.
fn lowest_bit(x: f64) -> i32 {
    let bits = x.to_bits();
    let (exponent, fraction) = ((bits >> 52) as i32 & 0x7ff, bits & ((1 << 52) - 1));
    if exponent == 0 {
        return fraction.trailing_zeros() as i32 - 1074;
    }
    (fraction | (1 << 52)).trailing_zeros() as i32 + exponent - 1075
}

/// Calls `f(j, values)` for each feature of a block in turn, values `(n,)`. Sparse blocks are never written out whole.
pub fn each_column(block: &Block, mut f: impl FnMut(usize, &[f64])) {
    let (n, d) = block.features.dim();
    let mut values = vec![0.0; n];
    match &block.features {
        Features::F64(x) => {
            for j in 0..d {
                for (v, x) in values.iter_mut().zip(x.view().column(j)) {
                    *v = *x;
                }
                f(j, &values);
            }
        }
        Features::F32(x) => {
            for j in 0..d {
                for (v, x) in values.iter_mut().zip(x.view().column(j)) {
                    *v = f64::from(*x);
                }
                f(j, &values);
            }
        }
        sparse @ (Features::Csr(_) | Features::Mixed(_)) => {
            let mut columns: Vec<Vec<(u32, f64)>> = vec![Vec::new(); d];
            for i in 0..n {
                sparse.for_each_stored(i, |j, v| columns[j].push((i as u32, v)));
            }
            for (j, column) in columns.iter().enumerate() {
                values.fill(0.0);
                for (i, v) in column {
                    values[*i as usize] = *v;
                }
                f(j, &values);
            }
        }
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn the_lowest_bit_of_a_weight_says_which_power_of_two_divides_it() {
        assert_eq!(
            [1.0, 2.0, 3.0, 0.5, 0.75, 12.0].map(lowest_bit),
            [0, 1, 0, -1, -2, 2]
        );
        assert_eq!(lowest_bit(f64::from_bits(1)), -1074);
    }

    #[test]
    fn counting_equal_values_is_weighing_each_by_one() {
        let values = [
            0.0,
            -0.0,
            f64::NAN,
            -1.5,
            f64::MIN,
            f64::MAX,
            -1.5,
            f64::from_bits(1),
        ];
        let counted = ColumnSummary::of(&values, None);
        assert_eq!(counted, ColumnSummary::of(&values, Some(&[1.0; 8])));
        assert_eq!(counted.missing, 1.0);
        assert_eq!(counted.points[1], (-1.5, 2.0));
        assert_eq!(counted.points[2], (0.0, 2.0));
    }

    #[test]
    fn a_condensed_column_keeps_its_weight_and_its_quantiles() {
        let mut all = ColumnSummary::default();
        // 64 blocks of 4,096 distinct values each, interleaved.
        for b in 0..64 {
            let values: Vec<f64> = (0..4096)
                .map(|i| f64::from(i * 64 + (b * 37) % 64))
                .collect();
            all.merge(ColumnSummary::of(&values, None));
        }
        assert!(all.condensed && all.points.len() <= MOST_POINTS);
        let total: f64 = all.points.iter().map(|p| p.1).sum();
        assert_eq!(total, 64.0 * 4096.0);
        let mut below = 0.0;
        let median = all.points.iter().find(|p| {
            below += p.1;
            below >= total / 2.0
        });
        // Merged one by one: 62 condensings of at most 1/8192 of the rows seen so far each.
        let off = (median.unwrap().0 - total / 2.0).abs() / total;
        assert!(off < 64.0 / 8192.0, "{off}");
    }
}

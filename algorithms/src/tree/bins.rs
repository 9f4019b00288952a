//! From values to bins of one byte, and back from bins to thresholds.

use emberline_pipeline::datasets::{Attribute, Slot};
use serde::{Deserialize, Serialize};

use super::summary::{ColumnSummary, DataSummary};

/// Most bins of a feature: with one more for missing values they fill a byte.
pub const MOST_BINS: usize = 255;

/// How the values of one feature become bins `0..n_bins()`; a missing value goes into the bin `n_bins()`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FeatureBins {
    /// Ordered values.
    Numeric {
        /// No value of bin `b` lies below `low[b]`.
        low: Vec<f64>,
        /// No value of bin `b` lies above `high[b]`, and none of bin `b + 1` at or below it.
        high: Vec<f64>,
    },
    /// Category indices.
    Nominal {
        /// Bin of each category, `n_bins` where it does not occur in training.
        bin_of: Vec<u16>,
        /// Number of bins.
        n_bins: usize,
    },
}

impl FeatureBins {
    /// Number of bins, that of missing values not counted.
    #[must_use]
    pub fn n_bins(&self) -> usize {
        match self {
            Self::Numeric { high, .. } => high.len(),
            Self::Nominal { n_bins, .. } => *n_bins,
        }
    }

    /// The bin of a value.
    #[must_use]
    pub fn bin(&self, x: f64) -> u8 {
        if x.is_nan() {
            return self.n_bins() as u8;
        }
        match self {
            Self::Numeric { high, .. } => {
                let inner = &high[..high.len().saturating_sub(1)];
                inner.partition_point(|h| *h < x) as u8
            }
            Self::Nominal { bin_of, n_bins } => {
                category(x, bin_of.len()).map_or(*n_bins, |c| usize::from(bin_of[c])) as u8
            }
        }
    }

    /// The threshold between two bins that are adjacent among the rows of a node: midway between their values, so that
    /// those of `left` are at most the threshold and those of `right` above it.
    #[must_use]
    pub fn threshold(&self, left: usize, right: usize) -> f64 {
        let Self::Numeric { low, high } = self else {
            return 0.0;
        };
        let (a, b) = (high[left], low[right]);
        let middle = a / 2.0 + b / 2.0; // halved first: the sum of two large numbers could overflow
        // Halving rounds subnormal numbers, and neighbours have no number between them.
        if middle >= a && middle < b { middle } else { a }
    }
}

/// The category that a nominal slot's number stands for; `None` for a number that is no index below `n`.
#[must_use]
pub fn category(x: f64, n: usize) -> Option<usize> {
    (x >= 0.0 && x.fract() == 0.0 && x < n as f64).then_some(x as usize)
}

/// Chooses the bins of every feature; also tells what the user should know.
#[must_use]
pub fn choose(
    summary: &DataSummary,
    slots: &[Slot],
    max_bins: usize,
) -> (Vec<FeatureBins>, Vec<String>) {
    let max_bins = max_bins.clamp(2, MOST_BINS);
    let mut warnings = Vec::new();
    let bins = summary
        .columns
        .iter()
        .enumerate()
        .map(
            |(j, column)| match slots.get(j).map(|s| (&s.attribute, &s.name)) {
                Some((Attribute::Nominal { categories }, name)) => {
                    nominal(column, categories.len(), max_bins, name, &mut warnings)
                }
                _ => numeric(column, max_bins),
            },
        )
        .collect();
    (bins, warnings)
}

/// A bin for each value while they are few, else bins of about equal weight; a heavy value has a bin to itself.
fn numeric(column: &ColumnSummary, max_bins: usize) -> FeatureBins {
    let points = &column.points;
    let mut ends: Vec<usize> = Vec::new(); // last point of each bin
    if points.len() <= max_bins {
        ends.extend(0..points.len());
    } else {
        let mut left: f64 = points.iter().map(|p| p.1).sum();
        let mut open = 0.0;
        for (i, (_, w)) in points.iter().enumerate() {
            open += w;
            let share = left / (max_bins - ends.len()) as f64;
            let next = points.get(i + 1).map_or(0.0, |p| p.1);
            // Close where the share is reached, or where stopping here misses it by less than going on would.
            if open >= share || (open + next > share && share - open < open + next - share) {
                ends.push(i);
                left -= open;
                open = 0.0;
                if ends.len() + 1 == max_bins {
                    break;
                }
            }
        }
        if ends.last() != Some(&(points.len() - 1)) {
            ends.push(points.len() - 1);
        }
    }
    let mut high: Vec<f64> = ends.iter().map(|e| points[*e].0).collect();
    let mut low: Vec<f64> = Vec::with_capacity(ends.len());
    for b in 0..ends.len() {
        let first = if b == 0 { 0 } else { ends[b - 1] + 1 };
        // Condensed points stand for values down to the point before.
        low.push(if column.condensed && b > 0 {
            points[first - 1].0
        } else {
            points[first].0
        });
    }
    if column.condensed
        && let (Some(first), Some(last)) = (low.first_mut(), high.last_mut())
    {
        (*first, *last) = (f64::MIN, f64::MAX);
    }
    FeatureBins::Numeric { low, high }
}

/// A bin for each category that occurs; where they are too many, the rarest share the last one.
fn nominal(
    column: &ColumnSummary,
    n_categories: usize,
    max_bins: usize,
    name: &str,
    warnings: &mut Vec<String>,
) -> FeatureBins {
    let mut seen: Vec<(usize, f64)> = column
        .points
        .iter()
        .filter_map(|(v, w)| Some((category(*v, n_categories)?, *w)))
        .collect();
    let shared = seen.len() > max_bins;
    let own = if shared { max_bins - 1 } else { seen.len() };
    if shared {
        warnings.push(format!(
            "slot `{name}` has {} categories, more than `max_bins` = {max_bins}; the {} rarest are treated as one",
            seen.len(),
            seen.len() - own
        ));
    }
    seen.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let n_bins = if shared { max_bins } else { own };
    let mut bin_of = vec![n_bins as u16; n_categories];
    let mut kept: Vec<usize> = seen[..own].iter().map(|s| s.0).collect();
    kept.sort_unstable();
    for (b, c) in kept.into_iter().enumerate() {
        bin_of[c] = b as u16;
    }
    for (c, _) in &seen[own..] {
        bin_of[*c] = own as u16;
    }
    FeatureBins::Nominal { bin_of, n_bins }
}

#[cfg(test)]
mod unit {
    use super::*;

    fn bins_of(values: &[f64], max_bins: usize) -> FeatureBins {
        numeric(&ColumnSummary::of(values, None), max_bins)
    }

    #[test]
    fn few_values_have_a_bin_each_and_thresholds_lie_midway() {
        let bins = bins_of(&[3.0, 1.0, 2.0, 2.0, f64::NAN], 255);
        assert_eq!(bins.n_bins(), 3);
        assert_eq!([1.0, 2.0, 3.0, f64::NAN].map(|x| bins.bin(x)), [0, 1, 2, 3]);
        assert_eq!((bins.threshold(0, 1), bins.threshold(0, 2)), (1.5, 2.0));
    }

    #[test]
    fn a_threshold_separates_even_neighbouring_and_huge_numbers() {
        for (a, b) in [
            (1.0, 1.0_f64.next_up()),
            (f64::MIN, f64::MAX),
            (0.0, f64::from_bits(1)),
            (-f64::from_bits(3), 0.0),
        ] {
            let t = bins_of(&[a, b], 255).threshold(0, 1);
            assert!(a <= t && t < b, "{a} {t} {b}");
        }
    }

    #[test]
    fn many_values_make_bins_of_about_equal_weight() {
        let values: Vec<f64> = (0..10_000).map(f64::from).collect();
        let bins = bins_of(&values, 100);
        assert_eq!(bins.n_bins(), 100);
        let mut counts = [0; 100];
        values
            .iter()
            .for_each(|v| counts[usize::from(bins.bin(*v))] += 1);
        assert!(counts.iter().all(|c| (99..=101).contains(c)), "{counts:?}");
    }

    #[test]
    fn a_heavy_value_leaves_bins_for_the_others() {
        let mut values = vec![0.0; 9_000];
        values.extend((1..=1_000).map(f64::from));
        let bins = bins_of(&values, 11);
        assert_eq!(
            (
                bins.n_bins(),
                bins.bin(0.0),
                bins.bin(1.0),
                bins.bin(1000.0)
            ),
            (11, 0, 1, 10)
        );
    }

    #[test]
    fn rare_categories_share_a_bin_when_there_are_too_many() {
        let values = [0.0, 1.0, 1.0, 2.0, 3.0, 3.0];
        let mut warnings = Vec::new();
        let bins = nominal(
            &ColumnSummary::of(&values, None),
            5,
            3,
            "colour",
            &mut warnings,
        );
        assert_eq!(
            [0.0, 1.0, 2.0, 3.0, 4.0, 7.0, 0.5].map(|x| bins.bin(x)),
            [2, 0, 2, 1, 3, 3, 3]
        );
        assert!(warnings[0].contains("the 2 rarest"), "{warnings:?}");
    }
}

//! Sums that keep their digits: mean and spread of a stream of numbers, mergeable in any tree.

use serde::{Deserialize, Serialize};

/// Count, weight, mean, spread, least and greatest of some numbers.
///
/// - in: finite numbers, each with a finite weight that is not negative; a number of weight 0 counts as absent
/// - out: mean, min and max in the unit of the numbers, variance in its square
/// - cost: O(1) per number, 64 bytes of state
///
/// Weights are frequencies: a row of weight 2 and two rows of weight 1 are the same. Spread is the sum of squared
/// deviations from the running mean, never a difference of large sums, and the mean carries a second word with its
/// rounding error: numbers that share their first digits (1e7 + 0.1) keep the others. The mean of finite numbers is finite, up to the
/// largest there are, and so are variance and deviation wherever the true ones are: a sum of squares out of range is kept in units of
/// `2^1200` or `2^-1200`, and a deviation is right where its square is no number any more. Merging depends on the order and
/// the shape of the merges in the last bits; merge along a fixed tree (as rounds do) for equal bits.
///
/// # Source
/// Welford 1962, Technometrics 4(3); Chan, Golub, LeVeque 1983, The American Statistician 37(3); West 1979 for weights;
/// Knuth, TAOCP 2, 4.2.2 for the error of a sum.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Moments {
    count: u64,
    weight: f64,
    mean: f64,
    /// What `mean` lost to rounding.
    low: f64,
    /// In the square of `2^(600 unit)`.
    m2: f64,
    /// 0; 1 where the sum of squares is beyond any number, -1 where it is below those that keep all digits.
    unit: i8,
    min: f64,
    max: f64,
}

/// Numbers summed before they are merged with those before.
const RUN: usize = 512;

/// Below this, squares of deviations may be subnormal and have lost digits.
const SMALL: f64 = f64::from_bits((1023 - 960) << 52);

/// `v * 2^(600 steps)`. Exact wherever the result is a normal number; infinite or 0 beyond the range.
#[inline(always)]
#[must_use]
pub fn raised(v: f64, steps: i8) -> f64 {
    const UP: f64 = f64::from_bits((1023 + 600) << 52);
    const DOWN: f64 = f64::from_bits((1023 - 600) << 52);
    let factor = if steps > 0 { UP } else { DOWN };
    (0..steps.unsigned_abs()).fold(v, |v, _| v * factor)
}

/// Sum of squared deviations of a run from its mean `mean + low`, in the square of `2^(600 UNIT)`.
fn spread<const UNIT: i8>(run: &[f64], mean: f64, low: f64) -> f64 {
    let (mean, low) = (raised(mean, -UNIT), raised(low, -UNIT));
    let away = |x: f64| (if UNIT == 0 { x } else { raised(x, -UNIT) } - mean) - low;
    let left = lanes(run, 0.0, |sum, x| sum + away(x), |a, b| a + b);
    let square = lanes(run, 0.0, |sum, x| sum + away(x) * away(x), |a, b| a + b);
    // What the mean lost to rounding is taken off the squares again; where those are infinite that is nothing.
    if square < f64::INFINITY {
        (square - left * left / run.len() as f64).max(0.0)
    } else {
        f64::INFINITY
    }
}

/// Folds numbers in eight lanes, which are then folded in order.
fn lanes(
    values: &[f64],
    start: f64,
    add: impl Fn(f64, f64) -> f64,
    join: impl Fn(f64, f64) -> f64,
) -> f64 {
    let mut sums = [start; 8];
    let (eights, rest) = values.as_chunks::<8>();
    for eight in eights {
        for (sum, x) in sums.iter_mut().zip(eight) {
            *sum = add(*sum, *x);
        }
    }
    for (sum, x) in sums.iter_mut().zip(rest) {
        *sum = add(*sum, *x);
    }
    let [a, b, c, d, e, f, g, h] = sums;
    join(join(join(a, b), join(c, d)), join(join(e, f), join(g, h)))
}

impl Moments {
    /// The moments of these numbers, each of weight 1.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut moments = Self::default();
        for value in values {
            moments.push(value, 1.0);
        }
        moments
    }

    /// Adds a finite number of the given weight (finite, not negative; 0 adds nothing).
    pub fn push(&mut self, value: f64, weight: f64) {
        if weight == 0.0 {
            return;
        }
        self.include(value, value, 1);
        self.weight += weight;
        let before = *self;
        let share = weight / self.weight;
        self.step(value, (value - self.mean) - self.low, share);
        let after = *self;
        let away = |m: &Self, unit: i8| {
            let small = |v: f64| raised(v, -unit);
            (small(value) - small(m.mean)) - small(m.low)
        };
        self.settle(|unit| {
            before.squares(unit) + weight * away(&before, unit) * away(&after, unit)
        });
    }

    /// Moves the mean by `share` of the way to a number that is `delta` off; by shares of the two where that is beyond any number.
    fn step(&mut self, to: f64, delta: f64, share: f64) {
        if delta.is_finite() {
            self.shift(delta * share);
        } else {
            self.mean = self.mean * (1.0 - share) + to * share;
            self.low = 0.0;
        }
    }

    /// The sum of squared deviations in the square of `2^(600 unit)`.
    fn squares(&self, unit: i8) -> f64 {
        raised(self.m2, 2 * (self.unit - unit))
    }

    /// Takes over the sum of squared deviations, which `squares` gives in a unit, in one that holds it: 1 wherever that does, so that
    /// ordinary numbers meet no scaling at all.
    fn settle(&mut self, squares: impl Fn(i8) -> f64) {
        let plain = squares(0);
        (self.m2, self.unit) = if !plain.is_finite() {
            (squares(1), 1)
        } else if plain < SMALL && self.min < self.max {
            // Numbers far from 0 lie further apart than this; should one be out of range all the same, nothing is lost.
            let large = squares(-1);
            if large.is_finite() {
                (large, -1)
            } else {
                (plain, 0)
            }
        } else {
            (plain, 0)
        };
        if self.m2 == 0.0 {
            self.unit = 0;
        }
    }

    /// Adds finite numbers of weight 1. As accurate as [`Moments::push`] for each, and several times as fast: short runs are
    /// summed around their first number, then around their mean, in lanes; only whole runs are merged one by one.
    pub fn push_all(&mut self, values: &[f64]) {
        for run in values.chunks(RUN) {
            self.merge(&Self::of_run(run));
        }
    }

    fn of_run(run: &[f64]) -> Self {
        let Some(&origin) = run.first() else {
            return Self::default();
        };
        let n = run.len() as f64;
        let step = lanes(run, 0.0, |sum, x| sum + (x - origin), |a, b| a + b) / n;
        let mut moments = Self {
            count: run.len() as u64,
            weight: n,
            mean: origin,
            low: 0.0,
            m2: 0.0,
            unit: 0,
            min: lanes(run, origin, f64::min, f64::min),
            max: lanes(run, origin, f64::max, f64::max),
        };
        if step.is_finite() {
            moments.shift(step);
        } else {
            moments.mean = Self::mean_of_large(run);
        }
        let (mean, low) = (moments.mean, moments.low);
        moments.settle(|unit| match unit {
            0 => spread::<0>(run, mean, low),
            1 => spread::<1>(run, mean, low),
            _ => spread::<-1>(run, mean, low),
        });
        moments
    }

    /// The mean of numbers whose sum is beyond any number, by that of their thousandth parts (2^-10, which is exact): a run has fewer
    /// numbers.
    fn mean_of_large(run: &[f64]) -> f64 {
        const PART: f64 = 1.0 / 1024.0;
        let parts: Vec<f64> = run.iter().map(|x| x * PART).collect();
        Self::of_run(&parts).mean() / PART
    }

    /// Adds the numbers summarised in `later`.
    pub fn merge(&mut self, later: &Self) {
        if later.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *later;
            return;
        }
        self.include(later.min, later.max, later.count);
        let before = *self;
        self.weight += later.weight;
        let share = later.weight / self.weight;
        let delta = (later.mean - self.mean) + (later.low - self.low);
        self.step(later.mean, delta, share);
        let between = |unit: i8| {
            let small = |v: f64| raised(v, -unit);
            let delta =
                (small(later.mean) - small(before.mean)) + (small(later.low) - small(before.low));
            let square = delta * delta * (before.weight * share);
            if square < f64::INFINITY {
                square
            } else {
                // Small weights may bring the product back.
                delta * (before.weight * share) * delta
            }
        };
        self.settle(|unit| before.squares(unit) + (later.squares(unit) + between(unit)));
    }

    fn include(&mut self, min: f64, max: f64, count: u64) {
        let empty = self.count == 0;
        self.min = if empty { min } else { self.min.min(min) };
        self.max = if empty { max } else { self.max.max(max) };
        self.count += count;
    }

    /// Moves the mean, keeping the rounding error of the sum.
    fn shift(&mut self, step: f64) {
        let sum = self.mean + step;
        let kept = sum - self.mean;
        let lost = (self.mean - (sum - kept)) + (step - kept);
        self.mean = sum;
        self.low += lost;
    }

    /// How many numbers of positive weight there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Sum of weights.
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// Weighted mean; 0 without numbers.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.mean + self.low
    }

    /// Weighted sum of squared deviations from the mean.
    #[must_use]
    pub fn m2(&self) -> f64 {
        self.squares(0)
    }

    /// Least number; `None` without numbers.
    #[must_use]
    pub fn min(&self) -> Option<f64> {
        (self.count > 0).then_some(self.min)
    }

    /// Greatest number; `None` without numbers.
    #[must_use]
    pub fn max(&self) -> Option<f64> {
        (self.count > 0).then_some(self.max)
    }

    /// Sample variance: `m2 / (weight - 1)`; 0 where the weight is 1 or less.
    #[must_use]
    pub fn variance(&self) -> f64 {
        if self.weight > 1.0 {
            raised(self.m2 / (self.weight - 1.0), 2 * self.unit)
        } else {
            0.0
        }
    }

    /// Variance of the numbers as a whole population: `m2 / weight`; 0 without numbers.
    #[must_use]
    pub fn population_variance(&self) -> f64 {
        if self.weight > 0.0 {
            raised(self.m2 / self.weight, 2 * self.unit)
        } else {
            0.0
        }
    }

    /// Sample standard deviation, the root of [`Moments::variance`], also where that is out of range.
    #[must_use]
    pub fn sd(&self) -> f64 {
        if self.weight > 1.0 {
            raised((self.m2 / (self.weight - 1.0)).sqrt(), self.unit)
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    /// 1001 numbers: `base + 0.2`, then `base + 0.1` and `base + 0.3` in turn (NIST StRD, NumAcc2 to 4).
    fn num_acc(first: f64, low: f64, high: f64) -> Vec<f64> {
        std::iter::once(first)
            .chain((0..500).flat_map(|_| [low, high]))
            .collect()
    }

    /// Merges the parts pairwise, as the tree of a round does.
    fn tree(parts: Vec<Moments>) -> Moments {
        let mut level = parts;
        while level.len() > 1 {
            level = level
                .chunks(2)
                .map(|pair| {
                    let mut a = pair[0];
                    pair.iter().skip(1).for_each(|b| a.merge(b));
                    a
                })
                .collect();
        }
        level.first().copied().unwrap_or_default()
    }

    #[test]
    fn certified_means_and_deviations_of_nist_are_kept_however_the_rows_are_cut() {
        // Certified values and tolerances: NIST StRD univariate summary; the deviation of NumAcc3 and 4 is limited by the
        // representation of the inputs (0.1 beside 1e6 and 1e7), which alone costs 1e-9 and 1e-8.
        let cases = [
            (
                vec![10_000_001.0, 10_000_003.0, 10_000_002.0],
                10_000_002.0,
                1.0,
                1e-15,
            ),
            (num_acc(1.2, 1.1, 1.3), 1.2, 0.1, 1e-12),
            (
                num_acc(1_000_000.2, 1_000_000.1, 1_000_000.3),
                1_000_000.2,
                0.1,
                1e-8,
            ),
            (
                num_acc(10_000_000.2, 10_000_000.1, 10_000_000.3),
                10_000_000.2,
                0.1,
                1e-7,
            ),
        ];
        for (values, mean, sd, tolerance) in cases {
            for parts in [1, 2, 7, 64] {
                let cut = crate::spread(values.len(), parts)
                    .into_iter()
                    .map(|r| Moments::of(values[r].iter().copied()))
                    .collect();
                let together = crate::spread(values.len(), parts).into_iter().map(|r| {
                    let mut moments = Moments::default();
                    moments.push_all(&values[r]);
                    moments
                });
                for got in [tree(cut), tree(together.collect())] {
                    assert_relative_eq!(got.mean(), mean, max_relative = 1e-14);
                    assert_relative_eq!(got.sd(), sd, max_relative = tolerance);
                }
            }
        }
    }

    #[test]
    fn a_weight_of_two_is_the_row_twice() {
        let mut heavy = Moments::of([1.0, 4.0]);
        heavy.push(10.0, 2.0);
        let twice = Moments::of([1.0, 4.0, 10.0, 10.0]);
        // A handful of roundings of numbers below 100.
        assert_relative_eq!(heavy.mean(), twice.mean(), max_relative = 1e-15);
        assert_relative_eq!(heavy.m2(), twice.m2(), max_relative = 1e-14);
        assert_eq!((heavy.weight(), heavy.count()), (4.0, 3));
    }

    #[test]
    fn a_row_of_weight_zero_is_absent() {
        let mut moments = Moments::of([2.0, 3.0]);
        moments.push(1e9, 0.0);
        assert_eq!(moments, Moments::of([2.0, 3.0]));
    }

    #[test]
    fn a_constant_has_no_spread_at_all() {
        let mut moments = Moments::of(std::iter::repeat_n(0.1, 1_000));
        moments.merge(&Moments::of(std::iter::repeat_n(0.1, 77)));
        assert_eq!((moments.mean(), moments.m2()), (0.1, 0.0));
        let mut together = Moments::default();
        together.push_all(&[0.1; 1_077]);
        assert_eq!(together, moments);
    }

    #[test]
    fn nothing_merged_changes_nothing() {
        let mut moments = Moments::of([-1.0, 1.0]);
        moments.merge(&Moments::default());
        assert_eq!((moments.min(), moments.max()), (Some(-1.0), Some(1.0)));
        let mut none = Moments::default();
        assert_eq!((none.min(), none.variance(), none.mean()), (None, 0.0, 0.0));
        none.merge(&moments);
        assert_eq!(none, moments);
    }

    #[test]
    fn the_mean_of_numbers_near_the_largest_is_finite_and_a_deviation_beyond_any_number_is_infinite()
     {
        let large = [1.7e308, -1.7e308, 1.6e308, 1.5e308, -1.7e308];
        // The sum of the tenths, times two: exact scaling aside, the mean of five.
        let mean = 2.0 * large.iter().map(|x| x / 10.0).sum::<f64>();
        let mut pushed = Moments::of(large);
        let mut at_once = Moments::default();
        at_once.push_all(&large);
        let halves = tree(vec![
            Moments::of(large[..2].to_vec()),
            Moments::of(large[2..].to_vec()),
        ]);
        for found in [pushed, at_once, halves] {
            assert_relative_eq!(found.mean(), mean, max_relative = 1e-14);
            assert_eq!((found.m2(), found.sd()), (f64::INFINITY, f64::INFINITY));
        }
        pushed.push(1.0, 1.0);
        assert!(pushed.mean().is_finite());
        // Squares beyond any number, around a mean that is exact: once 0, as the difference of two infinities.
        let mut far = Moments::default();
        far.push_all(&[1e200, -1e200, 3e200, -3e200, 7e199]);
        assert_eq!(far.variance(), f64::INFINITY);
    }

    #[test]
    fn deviations_are_those_of_the_scaled_numbers_wherever_squares_are_out_of_range() {
        let shape = [1.0, -1.0, 0.5, -0.0, 0.75, 1.0, -0.25];
        let wanted = Moments::of(shape);
        // Powers of two, so that only the range differs; at 2^-1070 the numbers are subnormal and still exact.
        for power in [
            1023, 1000, 600, 530, 512, -300, -500, -530, -600, -1000, -1070,
        ] {
            let by = |v: f64, power: i32| v * 2_f64.powi(power / 2) * 2_f64.powi(power - power / 2);
            let values = shape.map(|v| by(v, power));
            let mut at_once = Moments::default();
            at_once.push_all(&values);
            let parts = |at: usize| {
                vec![
                    Moments::of(values[..at].to_vec()),
                    Moments::of(values[at..].to_vec()),
                ]
            };
            let mut twice = Moments::of(values[..3].to_vec());
            twice.push(values[3], 2.0);
            for found in [Moments::of(values), at_once, tree(parts(3)), tree(parts(1))] {
                // A handful of roundings; subnormal results have 2^-1074 as their last digit.
                let near = |found: f64, wanted: f64| {
                    (found - wanted).abs() <= 1e-14 * wanted + 8.0 * 5e-324
                };
                assert!(
                    near(found.sd(), by(wanted.sd(), power)),
                    "2^{power}: {found:?}"
                );
                let variance = by(by(wanted.variance(), power), power);
                assert!(
                    found.variance() == variance || near(found.variance(), variance),
                    "2^{power}: {found:?}"
                );
                assert_eq!(
                    (found.min(), found.max()),
                    (Some(by(-1.0, power)), Some(by(1.0, power)))
                );
            }
            assert!(twice.sd() > 0.0 && twice.sd().is_finite());
        }
    }

    #[test]
    fn a_variance_is_finite_though_its_sum_of_squares_is_not() {
        // 100 numbers of either sign: the squares add up to 4e308, the variance is 4.04e306.
        let values: Vec<f64> = (0..100)
            .map(|i| if i % 2 == 0 { 2e153 } else { -2e153 })
            .collect();
        let mut found = Moments::default();
        found.push_all(&values);
        assert_relative_eq!(
            found.variance(),
            4e306 * (100.0 / 99.0),
            max_relative = 1e-14
        );
        assert_eq!(found.m2(), f64::INFINITY);
        // A tiny spread beside a large one is nothing; the other way round it is not lost.
        found.merge(&Moments::of([1e-200, 2e-200]));
        assert!(found.variance() > 3.9e306);
        let mut small = Moments::of([1e-200, 2e-200]);
        small.merge(&Moments::of([1e-200, 2e-200]));
        assert_relative_eq!(small.sd(), 1e-200 / 3_f64.sqrt(), max_relative = 1e-14);
        let mut apart = Moments::of([0.0; 2]);
        apart.merge(&Moments::of([1e-200; 2]));
        assert_relative_eq!(apart.sd(), 1e-200 / 3_f64.sqrt(), max_relative = 1e-14);
    }
}

//! From margins to losses and their derivatives, many rows at once.

use emberline_pipeline::datasets::Block;
use emberline_pipeline::datasets::simd::{Simd, WithSimd, dispatch};

use super::kernel::{Link, LossSums, Side};

/// Turns the margins of a block's rows into derivatives, and sums losses on the way.
pub struct Residuals<'a> {
    link: &'a Link,
    label: Vec<f64>,
    weight: Vec<f64>,
    loss: Vec<f64>,
    signed: Vec<f64>,
    row: Vec<f64>,
}

impl<'a> Residuals<'a> {
    /// For `m` models and at most `height` rows at once.
    #[must_use]
    pub fn new(link: &'a Link, m: usize, height: usize) -> Self {
        let rows = || vec![0.0; height];
        Self {
            link,
            label: rows(),
            weight: rows(),
            loss: rows(),
            signed: rows(),
            row: vec![0.0; m],
        }
    }

    /// Margins of `rows` rows from `start` in, `(m, rows)`; out come the derivatives of each row's loss by them. Losses,
    /// derivatives by intercepts and least margins are added to `sums`.
    pub fn replace(
        &mut self,
        block: &Block,
        start: usize,
        rows: usize,
        margins: &mut [f64],
        sums: &mut LossSums,
    ) {
        if rows == 0 {
            return;
        }
        let copy = |from: &Option<Vec<f64>>, none: f64, to: &mut [f64]| match from {
            Some(all) => to.copy_from_slice(&all[start..start + rows]),
            None => to.fill(none),
        };
        copy(&block.label, 0.0, &mut self.label[..rows]);
        copy(&block.weight, 1.0, &mut self.weight[..rows]);
        match self.link {
            Link::Binary(sides) => {
                for (k, (side, own)) in sides.iter().zip(margins.chunks_exact_mut(rows)).enumerate()
                {
                    self.binary(side, own);
                    sums.loss[k] += sum(&self.loss[..rows]);
                    sums.least_margin[k] = sums.least_margin[k].min(least(&self.signed[..rows]));
                }
            }
            Link::Softmax(factors) => self.softmax(factors, rows, margins, sums),
            Link::Squares(centre, inverse) => {
                let given = self.label.iter().zip(&self.weight);
                for ((own, loss), (label, weight)) in
                    margins.iter_mut().zip(&mut self.loss).zip(given)
                {
                    let error = *own - (label - centre) * inverse;
                    (*own, *loss) = if *weight > 0.0 {
                        (weight * error, 0.5 * weight * error * error)
                    } else {
                        (0.0, 0.0)
                    };
                }
                sums.loss[0] += sum(&self.loss[..rows]);
            }
        }
        for (own, r) in sums.intercepts.iter_mut().zip(margins.chunks_exact(rows)) {
            *own += sum(r);
        }
    }

    fn binary(&mut self, side: &Side, margins: &mut [f64]) {
        let n = margins.len();
        let (label, weight) = (&self.label[..n], &self.weight[..n]);
        let (loss, signed) = (&mut self.loss[..n], &mut self.signed[..n]);
        dispatch(BinaryRows {
            label,
            weight,
            side,
            loss,
            signed,
            margins,
        });
    }

    fn softmax(&mut self, factors: &[f64], rows: usize, margins: &mut [f64], sums: &mut LossSums) {
        for i in 0..rows {
            for (k, own) in self.row.iter_mut().enumerate() {
                *own = margins[k * rows + i];
            }
            if self.weight[i] > 0.0 {
                let class = self.label[i] as usize;
                let weight = self.weight[i] * factors[class];
                let (loss, lead) = softmax(&mut self.row, class);
                sums.loss[0] += weight * loss;
                sums.least_margin[0] = sums.least_margin[0].min(lead);
                self.row.iter_mut().for_each(|v| *v *= weight);
            } else {
                self.row.fill(0.0);
            }
            for (k, own) in self.row.iter().enumerate() {
                margins[k * rows + i] = *own;
            }
        }
    }
}

/// [`binary_rows`] as a kernel. A closure would do, but for the shim through which it is called once: that one need not be
/// inlined, and then the loop is compiled for the baseline.
struct BinaryRows<'a> {
    label: &'a [f64],
    weight: &'a [f64],
    side: &'a Side,
    loss: &'a mut [f64],
    signed: &'a mut [f64],
    margins: &'a mut [f64],
}

impl WithSimd for BinaryRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        binary_rows(
            self.label,
            self.weight,
            self.side,
            self.loss,
            self.signed,
            self.margins,
        );
    }
}

/// Log losses of one model. One loop of selects and arithmetic over slices that are known to be apart (hence a function of its
/// own), so that it becomes vector code.
#[inline(always)]
fn binary_rows(
    label: &[f64],
    weight: &[f64],
    side: &Side,
    loss: &mut [f64],
    signed: &mut [f64],
    margins: &mut [f64],
) {
    let n = margins.len();
    let (label, weight) = (&label[..n], &weight[..n]);
    let (loss, signed) = (&mut loss[..n], &mut signed[..n]);
    let (class, of_positive, of_negative) = (side.class as f64, side.positive, side.negative);
    for i in 0..n {
        let positive = label[i] == class;
        let sign = if positive { 1.0 } else { -1.0 };
        let factor = weight[i] * if positive { of_positive } else { of_negative };
        let used = weight[i] > 0.0;
        let u = sign * margins[i];
        let e = exp_minus(u.abs());
        let share = 1.0 / (1.0 + e);
        let own = ln_1p(e) + if u < 0.0 { -u } else { 0.0 };
        let slope = if u >= 0.0 { e * share } else { share };
        loss[i] = if used { factor * own } else { 0.0 };
        signed[i] = if used { u } else { f64::INFINITY };
        margins[i] = if used { -sign * factor * slope } else { 0.0 };
    }
}

/// Sum in eight running sums.
fn sum(x: &[f64]) -> f64 {
    let (eights, rest) = x.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for x in eights {
        for l in 0..8 {
            sums[l] += x[l];
        }
    }
    sums.iter().sum::<f64>() + rest.iter().sum::<f64>()
}

fn least(x: &[f64]) -> f64 {
    let (eights, rest) = x.as_chunks::<8>();
    let mut least = [f64::INFINITY; 8];
    for x in eights {
        for l in 0..8 {
            least[l] = if x[l] < least[l] { x[l] } else { least[l] };
        }
    }
    least
        .iter()
        .chain(rest)
        .fold(f64::INFINITY, |m, v| m.min(*v))
}

/// The polynomial with these coefficients, highest power first. A counted loop, which is unrolled before loops around it are
/// looked at; over an iterator it would not be.
#[inline(always)]
fn horner<const N: usize>(x: f64, coefficients: &[f64; N]) -> f64 {
    let mut sum = coefficients[0];
    let mut i = 1;
    while i < N {
        sum = sum * x + coefficients[i];
        i += 1;
    }
    sum
}

/// `exp(-a)` for `a >= 0`, within 2 `EPSILON`; from 708 on the value at 708, 3e-308. NaN stays NaN.
///
/// Cody & Waite's reduction, then Taylor's series to the thirteenth power on |r| <= ln(2)/2, where what is left out is below
/// 5e-18. Written without calls and branches so that loops over it become vector code.
#[inline(always)]
fn exp_minus(a: f64) -> f64 {
    // 1.5 * 2^52: adding it rounds to a whole number, whose bits are then the lowest of the sum.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    const SERIES: [f64; 14] = [
        1.0 / 6_227_020_800.0,
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ];
    let x = -(if a > 708.0 { 708.0 } else { a });
    let rounded = x * std::f64::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    horner(r, &SERIES) * f64::from_bits(rounded.to_bits().wrapping_add(1023) << 52)
}

/// `ln(1 + e)` for `e` from 0 to 1, within 3 `EPSILON`: `2 artanh(e / (2 + e))`, whose argument is at most 1/3, by its
/// series to the 33rd power (left out: below 1e-17).
#[inline(always)]
fn ln_1p(e: f64) -> f64 {
    const SERIES: [f64; 16] = [
        1.0 / 33.0,
        1.0 / 31.0,
        1.0 / 29.0,
        1.0 / 27.0,
        1.0 / 25.0,
        1.0 / 23.0,
        1.0 / 21.0,
        1.0 / 19.0,
        1.0 / 17.0,
        1.0 / 15.0,
        1.0 / 13.0,
        1.0 / 11.0,
        1.0 / 9.0,
        1.0 / 7.0,
        1.0 / 5.0,
        1.0 / 3.0,
    ];
    let s = e / (2.0 + e);
    let q = s * s;
    2.0 * (s + s * (q * horner(q, &SERIES)))
}

/// Replaces margins by the derivatives of the log loss for the true class; returns the loss, and how far the true class leads.
fn softmax(margins: &mut [f64], class: usize) -> (f64, f64) {
    let own = margins[class];
    let mut best_other = f64::NEG_INFINITY;
    for (k, v) in margins.iter().enumerate() {
        if k != class && *v > best_other {
            best_other = *v;
        }
    }
    let top = own.max(best_other);
    // The others' sum apart: 1 - p(own) would cancel where the true class is nearly sure.
    let (mut others, mut own_share) = (0.0, 0.0);
    for (k, v) in margins.iter_mut().enumerate() {
        *v = (*v - top).exp();
        if k == class {
            own_share = *v;
        } else {
            others += *v;
        }
    }
    let total = own_share + others;
    margins.iter_mut().for_each(|v| *v /= total);
    margins[class] = -others / total;
    let loss = if own >= best_other {
        others.ln_1p()
    } else {
        total.ln() + (top - own)
    };
    (loss, own - best_other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_and_the_logarithm_are_right_to_a_few_rounding_errors() {
        for i in 0..=200_000 {
            let a = f64::from(i) * 3.54e-3;
            let off = (exp_minus(a) / (-a).exp() - 1.0).abs();
            assert!(off <= 2.0 * f64::EPSILON, "exp(-{a}) is off by {off:e}");
            let e = f64::from(i + 1) / 200_001.0;
            let off = (ln_1p(e) / e.ln_1p() - 1.0).abs();
            assert!(off <= 3.0 * f64::EPSILON, "ln(1 + {e}) is off by {off:e}");
        }
        for e in [1e-300_f64, 1e-20, 1e-9] {
            assert!((ln_1p(e) / e.ln_1p() - 1.0).abs() <= f64::EPSILON);
        }
    }

    #[test]
    fn the_ends_are_finite_and_nan_stays_nan() {
        assert_eq!(exp_minus(0.0), 1.0);
        assert_eq!(exp_minus(f64::INFINITY), exp_minus(708.0));
        assert!(exp_minus(708.0) > 0.0 && exp_minus(f64::NAN).is_nan());
        assert_eq!(ln_1p(0.0), 0.0);
    }

    #[test]
    fn sums_and_least_values_take_every_number() {
        let x: Vec<f64> = (0..21).map(|i| f64::from((i * 8) % 21)).collect();
        assert_eq!(
            (sum(&x), least(&x), least(&[])),
            (210.0, 0.0, f64::INFINITY)
        );
    }
}

//! means, variances, dot products, softmax and log losses of numbers up to 1e308 and down to 1e-308.

use emberline::algorithms::linear::{ClassLink, LinearScorer, dot, log_sigmoid, sigmoid};
use emberline::datasets::Moments;
use emberline::pipeline::predictor::ClassScorer;

use crate::common::dice::{Dice, amount};

/// Largest relative error, of the sum of magnitudes where terms cancel: a sum of signed numbers can be no better than that.
const BOUND: f64 = 1e-12;

/// Numbers of one order of magnitude, or of many, of one sign or of both.
fn numbers(n: usize, dice: &mut Dice) -> Vec<f64> {
    let top = dice.unit() * 616.0 - 308.0;
    let (spread, signed) = (*dice.pick(&[0.0, 0.0, 3.0, 300.0]), dice.below(2) == 0);
    (0..n)
        .map(|_| {
            let power = (top - spread * dice.unit()).max(-308.0);
            let sign = if signed && dice.below(2) == 0 {
                -1.0
            } else {
                1.0
            };
            sign * (0.1 + 0.9 * dice.unit()) * 10_f64.powf(power)
        })
        .collect()
}

/// The numbers divided by a power of two, which is exact, so that the largest is near 1; and the exponent of that power. What falls
/// below the range was less than 1e-300 of the largest.
fn scaled(v: &[f64]) -> (Vec<f64>, i32) {
    let largest = v.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    let exponent = largest.log2().floor() as i32;
    let half = 2_f64.powi(-exponent / 2);
    let rest = 2_f64.powi(-(exponent - exponent / 2));
    (v.iter().map(|x| x * half * rest).collect(), exponent)
}

/// `v * 2^exponent`, by halves, so that no factor is out of range.
fn raised(v: f64, exponent: i32) -> f64 {
    let third = exponent / 3;
    v * 2_f64.powi(third) * 2_f64.powi(third) * 2_f64.powi(exponent - 2 * third)
}

/// Sum with the rounding errors carried along (Neumaier 1974), and the sum of magnitudes.
fn sum(terms: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut sum, mut lost, mut size) = (0.0_f64, 0.0, 0.0);
    for x in terms {
        let next = sum + x;
        lost += if sum.abs() >= x.abs() {
            (sum - next) + x
        } else {
            (x - next) + sum
        };
        sum = next;
        size += x.abs();
    }
    (sum + lost, size)
}

/// Whether `found` is `wanted`, given the size of what was added up: finite where that is, and close.
fn close(found: f64, wanted: f64, size: f64) -> bool {
    if !wanted.is_finite() {
        return found == wanted;
    }
    // Below the normal range a number has fewer digits: one unit of the smallest is all there is.
    found.is_finite() && (found - wanted).abs() <= (BOUND * size.min(f64::MAX)).max(8.0 * 5e-324)
}

/// Mean and variance of a case, number by number, in runs, and merged from parts; what is wrong with them.
fn moments(dice: &mut Dice) -> Result<(), String> {
    let n = 2 + dice.below(40);
    let v = numbers(n, dice);
    let (small, exponent) = scaled(&v);
    let (total, size) = sum(small.iter().copied());
    let mean = raised(total / n as f64, exponent);
    let centre = total / n as f64;
    let (squares, _) = sum(small.iter().map(|x| (x - centre) * (x - centre)));
    let variance = raised(squares / (n - 1) as f64, 2 * exponent);
    let sd = raised((squares / (n - 1) as f64).sqrt(), exponent);
    let mut runs = Moments::default();
    runs.push_all(&v);
    let at = dice.below(n);
    let mut merged = Moments::of(v[..at].to_vec());
    merged.merge(&Moments::of(v[at..].to_vec()));
    for (how, found) in [
        ("pushed", Moments::of(v.clone())),
        ("in runs", runs),
        ("merged", merged),
    ] {
        if !close(found.mean(), mean, raised(size / n as f64, exponent)) {
            return Err(format!(
                "mean {how}: {:e}, not {mean:e}, of {v:?}",
                found.mean()
            ));
        }
        // A hair below the largest number the two may end on either side of it.
        let edge = variance > 1e308 && found.variance() > 1e308;
        if !edge && !close(found.variance(), variance, variance) {
            return Err(format!(
                "variance {how}: {:e}, not {variance:e}, of {v:?}",
                found.variance()
            ));
        }
        // The root is a number where its square is none, at either end of the range.
        let edge = sd > 1e308 && found.sd() > 1e308;
        if !edge && !close(found.sd(), sd, sd) {
            return Err(format!(
                "deviation {how}: {:e}, not {sd:e}, of {v:?}",
                found.sd()
            ));
        }
    }
    Ok(())
}

fn products(dice: &mut Dice) -> Result<(), String> {
    let n = 1 + dice.below(30);
    let (a, b) = (numbers(n, dice), numbers(n, dice));
    let ((p, i), (q, j)) = (scaled(&a), scaled(&b));
    let (total, size) = sum(p.iter().zip(&q).map(|(x, y)| x * y));
    let wanted = raised(total, i + j);
    let found = dot(&a, &b);
    let edge = wanted.abs() > 1e308 && found.abs() > 1e308 && wanted.signum() == found.signum();
    // Terms that cancel to something finite from beyond the range are held to the size of the terms.
    if edge || close(found, wanted, raised(size, i + j)) {
        Ok(())
    } else {
        Err(format!(
            "dot: {found:e}, not {wanted:e}, of {a:?} and {b:?}"
        ))
    }
}

/// Probabilities of three classes from margins, each as `1 / sum_j exp(m_j - m_k)`.
fn softmax(dice: &mut Dice) -> Result<(), String> {
    let margins = if dice.below(2) == 0 {
        numbers(3, dice)
    } else {
        (0..3).map(|_| 1400.0 * dice.unit() - 700.0).collect()
    };
    let scorer = LinearScorer {
        link: ClassLink::Multinomial,
        coefficients: Default::default(),
        intercepts: Vec::new(),
    };
    let mut found = vec![0.0; 3];
    scorer.probability(&margins, &mut found);
    for (k, p) in found.iter().enumerate() {
        let above: Vec<f64> = margins.iter().map(|m| m - margins[k]).collect();
        // exp(top) taken out of the sum: it is beyond any number where its inverse is not yet nothing.
        let top = above.iter().fold(0.0_f64, |m, v| m.max(*v));
        let sum: f64 = above.iter().map(|v| (v - top).exp()).sum();
        let wanted = if top.is_finite() {
            (-top).exp() / sum
        } else {
            0.0
        };
        if !close(*p, wanted, wanted) {
            return Err(format!("softmax: {p:e}, not {wanted:e}, of {margins:?}"));
        }
    }
    Ok(())
}

fn losses(dice: &mut Dice) -> Result<(), String> {
    let m = if dice.below(2) == 0 {
        numbers(1, dice)[0]
    } else {
        1400.0 * dice.unit() - 700.0
    };
    // ln(1 + exp(-m)) term by term, where exp(-m) is in range; else the margin itself, from which it then differs by nothing.
    let wanted = if m > -700.0 { -(-m).exp().ln_1p() } else { m };
    let share = if m > -700.0 {
        1.0 / (1.0 + (-m).exp())
    } else {
        m.exp()
    };
    if close(log_sigmoid(m), wanted, wanted.abs()) && close(sigmoid(m), share, share) {
        Ok(())
    } else {
        Err(format!(
            "log loss of {m:e}: {:e}, not {wanted:e}; share {:e}, not {share:e}",
            log_sigmoid(m),
            sigmoid(m)
        ))
    }
}

#[test]
fn results_are_finite_and_right_wherever_the_true_ones_are() {
    let cases = amount("EMBERLINE_NUMBERS", 40_000);
    let kinds = [moments, products, softmax, losses];
    let wrong: Vec<String> = (0..cases)
        .filter_map(|seed| kinds[seed % 4](&mut Dice(seed as u64)).err())
        .collect();
    println!(
        "R-11: {}/{cases} means, variances, dot products, softmax and log losses within {BOUND:e}",
        cases - wrong.len()
    );
    let shown: Vec<&String> = wrong.iter().take(5).collect();
    assert!(wrong.is_empty(), "{} wrong: {shown:#?}", wrong.len());
}

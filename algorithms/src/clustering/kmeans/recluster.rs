//! Weighted k-means over a few candidate rows, on the driver.

use emberline_pipeline::datasets::random::Stream;

use super::kernel::{Centres, Geometry, Panels, normalise, squared_distance};

/// Rounds of moving the centres; candidates are few, and the rows themselves come after.
const ROUNDS: usize = 30;

/// Measured distances that are spent on further attempts.
const EFFORT: usize = 1 << 19;
const MOST_ATTEMPTS: usize = 8;

/// `k` centres of the weighted candidates; the candidates themselves where they are no more than `k`. The best of several attempts
/// where there are few candidates, as measured on them.
pub fn recluster(
    candidates: &Centres,
    weights: &[f64],
    k: usize,
    geometry: &Geometry,
    stream: &mut Stream,
) -> Centres {
    if candidates.k() <= k {
        return candidates.clone();
    }
    let attempts = EFFORT / (candidates.k() * k * ROUNDS);
    let mut attempt = || {
        let start = plus_plus(candidates, weights, k, stream);
        settle(candidates, weights, start, geometry)
    };
    let mut best = attempt();
    for _ in 1..attempts.min(MOST_ATTEMPTS) {
        let next = attempt();
        if next.0 < best.0 {
            best = next;
        }
    }
    best.1
}

/// Moves the centres until they rest; their distortion before the last move, and where they are.
fn settle(
    candidates: &Centres,
    weights: &[f64],
    mut centres: Centres,
    geometry: &Geometry,
) -> (f64, Centres) {
    let mut cost = f64::INFINITY;
    for _ in 0..ROUNDS {
        let (now, next) = step(candidates, weights, &centres, geometry);
        cost = now;
        if next == centres {
            break;
        }
        centres = next;
    }
    (cost, centres)
}

/// The index at which the running sum of `mass` passes a uniform share of the whole.
fn draw(mass: &[f64], stream: &mut Stream) -> usize {
    let target = stream.uniform() * mass.iter().sum::<f64>();
    let mut sum = 0.0;
    for (i, m) in mass.iter().enumerate() {
        sum += m;
        if sum > target {
            return i;
        }
    }
    // Rounding can leave the target at the whole sum: the last candidate that has any mass.
    mass.iter().rposition(|m| *m > 0.0).unwrap_or(0)
}

/// Greedy weighted k-means++ over the candidates.
fn plus_plus(candidates: &Centres, weights: &[f64], k: usize, stream: &mut Stream) -> Centres {
    let m = candidates.k();
    let trials = 2 + (k as f64).ln() as usize;
    let mut centres = Centres::none(candidates.d());
    let first = draw(weights, stream);
    centres.push(candidates.row(first));
    let to = |c: usize| -> Vec<f64> {
        (0..m)
            .map(|i| squared_distance(candidates.row(i), candidates.row(c)))
            .collect()
    };
    let mut nearest = to(first);
    while centres.k() < k {
        let mass: Vec<f64> = nearest.iter().zip(weights).map(|(d, w)| d * w).collect();
        if mass.iter().all(|v| *v <= 0.0) {
            break;
        }
        let mut best: Option<(f64, usize, Vec<f64>)> = None;
        for _ in 0..trials {
            let c = draw(&mass, stream);
            let next: Vec<f64> = to(c).iter().zip(&nearest).map(|(a, b)| a.min(*b)).collect();
            let left = next.iter().zip(weights).map(|(d, w)| d * w).sum();
            if best.as_ref().is_none_or(|(least, ..)| left < *least) {
                best = Some((left, c, next));
            }
        }
        let Some((_, c, next)) = best else { break };
        centres.push(candidates.row(c));
        nearest = next;
    }
    centres
}

/// The distortion of the centres, and their next move; a centre without candidates stays where it is.
fn step(
    candidates: &Centres,
    weights: &[f64],
    centres: &Centres,
    geometry: &Geometry,
) -> (f64, Centres) {
    let panels = Panels::new(centres);
    let mut sums = vec![0.0; centres.values().len()];
    let mut totals = vec![0.0; centres.k()];
    let (d, mut cost) = (centres.d(), 0.0);
    for (i, w) in weights.iter().enumerate() {
        let (c, distance) = panels.nearest(candidates.row(i));
        cost += w * distance;
        totals[c] += w;
        sums[c * d..(c + 1) * d]
            .iter_mut()
            .zip(candidates.row(i))
            .for_each(|(s, x)| *s += w * x);
    }
    let mut next = centres.clone();
    for (c, total) in totals.iter().enumerate().filter(|(_, t)| **t > 0.0) {
        mean(&sums[c * d..(c + 1) * d], *total, geometry, next.row_mut(c));
    }
    (cost, next)
}

/// Writes the mean of a weighted sum, scaled to length 1 under the cosine distance (where a sum of zero leaves `out` as it is).
pub fn mean(sum: &[f64], weight: f64, geometry: &Geometry, out: &mut [f64]) {
    let mut mean: Vec<f64> = sum.iter().map(|s| s / weight).collect();
    if !geometry.cosine || normalise(&mut mean) {
        out.copy_from_slice(&mean);
    }
}

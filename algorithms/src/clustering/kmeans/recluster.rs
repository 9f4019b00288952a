//! Weighted k-means over a few candidate rows, on the driver.

use emberline_pipeline::datasets::random::Stream;

use super::kernel::{Centres, Geometry, Panels, Sums, normalise, squared_distance};

/// Rounds of moving the centres; candidates are few, and the rows themselves come after.
const ROUNDS: usize = 30;

/// Weighted rows out of which centres are made.
pub struct Candidates<'a> {
    pub rows: &'a Centres,
    /// Weight of each.
    pub weights: &'a [f64],
    pub geometry: &'a Geometry,
}

impl Candidates<'_> {
    /// `k` centres; the candidates themselves where they are no more than that.
    pub fn recluster(&self, k: usize, stream: &mut Stream) -> Centres {
        if self.rows.k() <= k {
            return self.rows.clone();
        }
        let mut centres = plus_plus(self.rows, self.weights, k, stream);
        for _ in 0..ROUNDS {
            let next = moved(&self.sums(&centres), &centres, self.geometry);
            if next == centres {
                break;
            }
            centres = next;
        }
        centres
    }

    /// Distances that [`Candidates::recluster`] measures at most.
    pub fn effort(&self, k: usize) -> usize {
        self.rows.k().saturating_mul(k).saturating_mul(ROUNDS)
    }

    /// The candidates added up by their nearest centres.
    pub fn sums(&self, centres: &Centres) -> Sums {
        let (panels, d) = (Panels::new(centres), centres.d());
        let mut sums = Sums::none(centres.k(), d);
        for (i, w) in self.weights.iter().enumerate() {
            let (c, distance) = panels.nearest(self.rows.row(i));
            sums.cost += w * distance;
            sums.weights[c] += w;
            sums.sums[c * d..(c + 1) * d]
                .iter_mut()
                .zip(self.rows.row(i))
                .for_each(|(s, x)| *s += w * x);
        }
        sums
    }
}

/// Where centres go by these sums; one without weight stays where it is.
pub fn moved(sums: &Sums, centres: &Centres, geometry: &Geometry) -> Centres {
    let (mut next, d) = (centres.clone(), centres.d());
    for (c, weight) in sums.weights.iter().enumerate().filter(|(_, w)| **w > 0.0) {
        mean(
            &sums.sums[c * d..(c + 1) * d],
            *weight,
            geometry,
            next.row_mut(c),
        );
    }
    next
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

/// Writes the mean of a weighted sum, scaled to length 1 under the cosine distance (where a sum of zero leaves `out` as it is).
fn mean(sum: &[f64], weight: f64, geometry: &Geometry, out: &mut [f64]) {
    let mut mean: Vec<f64> = sum.iter().map(|s| s / weight).collect();
    if !geometry.cosine || normalise(&mut mean) {
        out.copy_from_slice(&mean);
    }
}

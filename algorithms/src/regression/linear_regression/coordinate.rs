//! The elastic net by coordinate descent on a Gram matrix, finished exactly on the active coordinates.

use ndarray::Array2;

use crate::linear::algebra::inverse_of_positive;

/// A quadratic with penalties: `1/2 x^T gram x - target^T x + sum (l1_j |x_j| + 1/2 l2_j x_j^2)`.
pub(super) struct ElasticNet {
    pub gram: Array2<f64>,
    pub target: Vec<f64>,
    pub l1: Vec<f64>,
    pub l2: Vec<f64>,
}

/// Where the descent ended.
pub(super) struct Descent {
    pub x: Vec<f64>,
    /// Whether the conditions for an optimum hold to rounding.
    pub converged: bool,
    pub sweeps: u64,
    /// The largest violation of those conditions.
    pub violation: f64,
}

/// Sweeps between attempts to solve for the active coordinates at once.
const BETWEEN: u64 = 10;

impl ElasticNet {
    /// Descends from zero for at most `max_sweeps` sweeps.
    pub fn minimise(&self, max_sweeps: u64) -> Descent {
        let scale = self.target.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        // Rounding in the sums of the gradient.
        let tolerance = 16.0 * self.target.len() as f64 * f64::EPSILON * scale;
        let mut x = vec![0.0; self.target.len()];
        let mut gradient: Vec<f64> = self.target.iter().map(|v| -v).collect();
        let mut sweeps = 0;
        while sweeps < max_sweeps {
            self.sweep(&mut x, &mut gradient);
            sweeps += 1;
            let exact = if sweeps % BETWEEN == 0 {
                self.polish(&x)
            } else {
                None
            };
            let candidate = exact.as_ref().unwrap_or(&x);
            let violation = self.violation(candidate);
            if violation <= tolerance {
                let x = candidate.clone();
                return Descent {
                    x,
                    converged: true,
                    sweeps,
                    violation,
                };
            }
        }
        let violation = self.violation(&x);
        Descent {
            x,
            converged: false,
            sweeps,
            violation,
        }
    }

    fn sweep(&self, x: &mut [f64], gradient: &mut [f64]) {
        for j in 0..x.len() {
            let curvature = self.gram[(j, j)] + self.l2[j];
            if curvature <= 0.0 {
                continue; // a feature that is left out
            }
            let pull = self.gram[(j, j)] * x[j] - gradient[j];
            let new = pull.signum() * (pull.abs() - self.l1[j]).max(0.0) / curvature;
            let change = new - x[j];
            if change != 0.0 {
                x[j] = new;
                let row = self.gram.row(j);
                gradient
                    .iter_mut()
                    .zip(row)
                    .for_each(|(g, a)| *g += change * a);
            }
        }
    }

    /// Solves for the coordinates that are not zero, their signs taken as they are; `None` where a sign would change.
    fn polish(&self, x: &[f64]) -> Option<Vec<f64>> {
        let active: Vec<usize> = (0..x.len()).filter(|&j| x[j] != 0.0).collect();
        let n = active.len();
        let part = Array2::from_shape_fn((n, n), |(a, b)| {
            let (i, j) = (active[a], active[b]);
            self.gram[(i, j)] + if i == j { self.l2[i] } else { 0.0 }
        });
        let inverse = inverse_of_positive(&part)?;
        let wanted = |v: &[f64]| -> Vec<f64> {
            (0..n)
                .map(|a| (0..n).map(|b| inverse[(a, b)] * v[b]).sum())
                .collect()
        };
        let right: Vec<f64> = active
            .iter()
            .map(|&j| self.target[j] - self.l1[j] * x[j].signum())
            .collect();
        let mut own = wanted(&right);
        // One step of refinement takes back what the explicit inverse rounds away.
        let lost: Vec<f64> = (0..n)
            .map(|a| right[a] - (0..n).map(|b| part[(a, b)] * own[b]).sum::<f64>())
            .collect();
        own.iter_mut().zip(wanted(&lost)).for_each(|(v, c)| *v += c);
        let mut exact = vec![0.0; x.len()];
        for (&j, v) in active.iter().zip(own) {
            if v * x[j] <= 0.0 {
                return None;
            }
            exact[j] = v;
        }
        Some(exact)
    }

    /// How far the optimality conditions are missed.
    fn violation(&self, x: &[f64]) -> f64 {
        let mut worst: f64 = 0.0;
        for j in 0..x.len() {
            let row = self.gram.row(j);
            let slope = row.iter().zip(x).map(|(a, x)| a * x).sum::<f64>() - self.target[j]
                + self.l2[j] * x[j];
            let missed = if x[j] == 0.0 {
                (slope.abs() - self.l1[j]).max(0.0)
            } else {
                (slope + self.l1[j] * x[j].signum()).abs()
            };
            worst = worst.max(missed);
        }
        worst
    }
}

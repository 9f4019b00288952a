//! One search as a state machine: it names the point it wants evaluated, and is told value and gradient.

use std::collections::VecDeque;

use emberline_pipeline::StopReason;

use super::search::{Backtrack, NOISE, Sample, Verdict, Wolfe};
use super::{Metric, Minimum, Options, Start};

/// Steps over which the fall of the objective is measured.
const WINDOW: usize = 5;
/// Steps within which a gradient must halve once the objective has sunk into its own noise.
const PATIENCE: usize = 30;

/// A step, the change of the gradient along it, and the inverse of their product.
#[derive(Debug, Clone)]
struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    inverse: f64,
    /// The change times the metric times the change.
    length: f64,
}

#[derive(Debug, Clone)]
enum Search {
    /// The start has not been evaluated.
    Start,
    Smooth(Wolfe),
    Bent(Backtrack),
}

/// A point with its smooth part's value and gradient.
#[derive(Debug, Clone, Default)]
struct At {
    x: Vec<f64>,
    objective: f64,
    gradient: Vec<f64>,
    /// The gradient, or under an L1 penalty the subgradient of least length.
    pseudo: Vec<f64>,
}

#[derive(Debug, Clone)]
pub(super) struct Minimizer<'a> {
    options: Options,
    metric: Option<&'a Metric>,
    l1: Vec<f64>,
    at: At,
    /// Best point of the running line search, should it fail.
    best: Option<At>,
    pairs: VecDeque<Pair>,
    direction: Vec<f64>,
    step: f64,
    trial: Vec<f64>,
    search: Search,
    history: Vec<f64>,
    /// Size of the (pseudo-)gradient at the start and after each step.
    norms: Vec<f64>,
    stop: Option<StopReason>,
}

impl<'a> Minimizer<'a> {
    pub fn new(start: Start, options: Options, metric: Option<&'a Metric>) -> Self {
        Self {
            options,
            metric,
            l1: start.l1,
            trial: start.x,
            at: At::default(),
            best: None,
            pairs: VecDeque::new(),
            direction: Vec::new(),
            step: 0.0,
            search: Search::Start,
            history: Vec::new(),
            norms: Vec::new(),
            stop: None,
        }
    }

    /// The point to evaluate next; `None` once the search ended.
    pub fn wanted(&self) -> Option<&[f64]> {
        self.stop.is_none().then_some(&self.trial)
    }

    pub fn finish(self) -> Minimum {
        Minimum {
            gradient_norm: largest(&self.at.pseudo),
            x: self.at.x,
            objective: self.at.objective,
            stop: self.stop.unwrap_or_default(),
            history: self.history,
        }
    }

    /// Takes value and gradient of the smooth part at the point that was wanted.
    pub fn tell(&mut self, value: f64, gradient: Vec<f64>) {
        let new = self.evaluated(value, gradient);
        let verdict = match &mut self.search {
            Search::Start => {
                self.arrive(new);
                return;
            }
            Search::Smooth(search) => search.judge(Sample {
                step: self.step,
                value: new.objective,
                slope: dot(&new.gradient, &self.direction),
            }),
            Search::Bent(search) => {
                let bent: f64 = (0..new.x.len())
                    .map(|i| self.at.pseudo[i] * (new.x[i] - self.at.x[i]))
                    .sum();
                let norms = (largest(&self.at.pseudo), largest(&new.pseudo));
                search.judge(self.step, self.at.objective, new.objective, bent, norms)
            }
        };
        match verdict {
            Verdict::Accept => self.take(new),
            Verdict::Try { step, keep } => {
                if keep {
                    self.best = Some(new);
                }
                self.step = step;
                self.place_trial();
            }
            Verdict::Fail => match self.best.take() {
                Some(best) => self.take(best),
                None if self.pairs.is_empty() => self.stop = Some(StopReason::NoProgress),
                None => {
                    // The remembered curvature misleads; once more along the gradient itself.
                    self.pairs.clear();
                    self.begin();
                }
            },
        }
    }

    fn evaluated(&self, value: f64, gradient: Vec<f64>) -> At {
        let x = self.trial.clone();
        let penalty: f64 = self.l1.iter().zip(&x).map(|(l, x)| l * x.abs()).sum();
        let pseudo = if self.l1.is_empty() {
            gradient.clone()
        } else {
            (0..x.len())
                .map(|i| pseudo_gradient(gradient[i], x[i], self.l1[i]))
                .collect()
        };
        At {
            x,
            objective: value + penalty,
            gradient,
            pseudo,
        }
    }

    fn take(&mut self, new: At) {
        let step: Vec<f64> = difference(&new.x, &self.at.x);
        let change = difference(&new.gradient, &self.at.gradient);
        let product = dot(&step, &change);
        // Along a direction without measurable curvature the pair would blow up the next direction.
        if product > f64::EPSILON * dot(&change, &change) && product > 0.0 {
            if self.pairs.len() >= self.options.memory.max(1) {
                self.pairs.pop_front();
            }
            let length = match self.metric {
                Some(metric) => dot(&change, &metric.apply(&change)),
                None => dot(&change, &change),
            };
            self.pairs.push_back(Pair {
                step,
                change,
                inverse: 1.0 / product,
                length,
            });
        }
        self.arrive(new);
    }

    /// At a new point: stop, or begin the next line search.
    fn arrive(&mut self, new: At) {
        self.at = new;
        self.best = None;
        self.history.push(self.at.objective);
        self.norms.push(largest(&self.at.pseudo));
        self.stop = self.should_stop();
        if self.stop.is_none() {
            self.begin();
        }
    }

    fn should_stop(&self) -> Option<StopReason> {
        let (now, tol) = (self.at.objective, self.options.tol);
        if !now.is_finite() {
            return Some(StopReason::NoProgress);
        }
        if largest(&self.at.pseudo) <= tol * now.abs().max(1.0) {
            return Some(StopReason::Converged);
        }
        let steps = self.history.len() - 1;
        // A fall that small is noise; only the gradient can tell then.
        if tol > NOISE && steps >= WINDOW && self.history[steps - WINDOW] - now <= tol * now.abs() {
            return Some(StopReason::Converged);
        }
        if steps >= PATIENCE {
            let then = steps - PATIENCE;
            let flat = self.history[then] - now <= NOISE * now.abs();
            if flat && self.norms[steps] > 0.5 * self.norms[then] {
                return Some(StopReason::NoProgress);
            }
        }
        (steps as u64 >= self.options.max_iter).then_some(StopReason::MaxIter)
    }

    fn begin(&mut self) {
        self.direction = self.quasi_newton_direction();
        let mut slope = dot(&self.at.pseudo, &self.direction);
        let steepest = !(slope < 0.0 && slope.is_finite());
        if steepest {
            self.pairs.clear();
            self.direction = self.at.pseudo.iter().map(|g| -g).collect();
            slope = dot(&self.at.pseudo, &self.direction);
        }
        // The gradient says nothing of how far to go; a metric or pairs do.
        self.step = if self.pairs.is_empty() && (self.metric.is_none() || steepest) {
            (1.0 / dot(&self.direction, &self.direction).sqrt()).min(1.0)
        } else {
            1.0
        };
        self.search = if self.l1.is_empty() {
            Search::Smooth(Wolfe::new(self.at.objective, slope))
        } else {
            Search::Bent(Backtrack::default())
        };
        self.place_trial();
    }

    /// Minus the inverse Hessian, as far as the pairs tell, times the (pseudo-)gradient: the two-loop recursion.
    fn quasi_newton_direction(&self) -> Vec<f64> {
        let mut q: Vec<f64> = self.at.pseudo.iter().map(|g| -g).collect();
        let mut shares = Vec::with_capacity(self.pairs.len());
        for pair in self.pairs.iter().rev() {
            let share = pair.inverse * dot(&pair.step, &q);
            axpy(-share, &pair.change, &mut q);
            shares.push(share);
        }
        if let Some(metric) = self.metric {
            q = metric.apply(&q);
        }
        if let Some(last) = self.pairs.back() {
            let scale = 1.0 / (last.inverse * last.length);
            q.iter_mut().for_each(|v| *v *= scale);
        }
        for (pair, share) in self.pairs.iter().zip(shares.into_iter().rev()) {
            let back = pair.inverse * dot(&pair.change, &q);
            axpy(share - back, &pair.step, &mut q);
        }
        // OWL-QN: a penalised coordinate never leaves against its own pseudo-gradient.
        for (i, l1) in self.l1.iter().enumerate() {
            if *l1 > 0.0 && q[i] * self.at.pseudo[i] >= 0.0 {
                q[i] = 0.0;
            }
        }
        q
    }

    fn place_trial(&mut self) {
        let (at, step) = (&self.at, self.step);
        self.trial = (0..at.x.len())
            .map(|i| at.x[i] + step * self.direction[i])
            .collect();
        for (i, l1) in self.l1.iter().enumerate() {
            let side = if at.x[i] == 0.0 {
                -at.pseudo[i]
            } else {
                at.x[i]
            };
            if *l1 > 0.0 && self.trial[i] * side <= 0.0 {
                self.trial[i] = 0.0;
            }
        }
    }
}

/// The subgradient of least size of `f + l1 |x|`.
fn pseudo_gradient(gradient: f64, x: f64, l1: f64) -> f64 {
    if x != 0.0 {
        return gradient + l1 * x.signum();
    }
    // At zero the penalty pulls either way with up to `l1`; what it cannot hold is left.
    gradient.signum() * (gradient.abs() - l1).max(0.0)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn axpy(by: f64, x: &[f64], y: &mut [f64]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += by * x);
}

fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn largest(g: &[f64]) -> f64 {
    g.iter()
        .fold(0.0, |m, v| if v.abs() > m { v.abs() } else { m })
}

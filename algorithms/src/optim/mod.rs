//! Minimising smooth convex functions on the driver: L-BFGS, and OWL-QN where some coordinates carry an L1 penalty.
//!
//! Each evaluation of such a function is a pass over the data, so the passes are what must be saved. [`minimize_all`]
//! searches several independent problems (the classes of one-vs-rest) side by side: in each pass every problem that has
//! not converged gets its next point evaluated, be it a step or a trial of its line search, and converged problems drop out.
//!
//! What is known of the curvature beforehand comes in as a [`Metric`], which stands for the inverse Hessian in the two-loop recursion.
//!
//! Own, and small, because the general optimisation crates are driven from inside (they call the function, one problem
//! at a time), so that problems searched jointly could not share a pass; their vector backends also stop at an older
//! `ndarray` than this project's, and OWL-QN is not offered for plain vectors.
//!
//! Sources: Nocedal & Wright, Numerical Optimization, 2nd ed., algorithms 7.4, 7.5 and 3.5; Andrew & Gao 2007 (OWL-QN);
//! Hager & Zhang 2005, SIAM J. Optim. 16(1), for the approximate Wolfe condition that allows progress below the rounding error of the
//! function value.

mod metric;
mod quasi_newton;
mod search;
#[cfg(test)]
mod tests;

use emberline_pipeline::{Result, StopReason};

pub use metric::Metric;
use quasi_newton::Minimizer;

/// When to stop, and how much to remember.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Steps taken at most.
    pub max_iter: u64,
    /// Stops when the largest component of the (pseudo-)gradient is at most `tol * max(1, |objective|)`, or when the
    /// objective fell by at most `tol * |objective|` over the last five steps together (a rule that rests where `tol` is below
    /// 4e-15, the noise of the objective itself).
    pub tol: f64,
    /// Pairs of steps and gradient changes remembered.
    pub memory: usize,
}

impl Default for Options {
    /// 100 steps, `tol` 1e-6, 10 pairs.
    fn default() -> Self {
        Self {
            max_iter: 100,
            tol: 1e-6,
            memory: 10,
        }
    }
}

/// Where a search begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// First point `(n,)`.
    pub x: Vec<f64>,
    /// Strength of the L1 penalty on each coordinate `(n,)`, 0 or more; empty where there is none.
    pub l1: Vec<f64>,
}

/// The next point to evaluate for one of several problems.
#[derive(Debug, Clone, Copy)]
pub struct Point<'a> {
    /// Index of the problem.
    pub problem: usize,
    /// The point `(n,)`.
    pub x: &'a [f64],
}

/// A smooth convex function.
pub trait Objective {
    /// Value and gradient `(n,)` at `x` `(n,)`.
    ///
    /// # Errors
    /// The data cannot be passed over.
    fn evaluate(&mut self, x: &[f64]) -> Result<(f64, Vec<f64>)>;
}

/// Independent smooth convex functions that are evaluated together.
pub trait Objectives {
    /// Value and gradient for each point, in the order given. Problems occur at most once, in ascending order.
    ///
    /// # Errors
    /// The data cannot be passed over.
    fn evaluate_all(&mut self, points: &[Point<'_>]) -> Result<Vec<(f64, Vec<f64>)>>;
}

/// Where a search ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Minimum {
    /// The point `(n,)`.
    pub x: Vec<f64>,
    /// The objective there, L1 penalty included.
    pub objective: f64,
    /// Largest component of the gradient there; of the pseudo-gradient under an L1 penalty.
    pub gradient_norm: f64,
    /// Why it ended.
    pub stop: StopReason,
    /// The objective at the start and after each step.
    pub history: Vec<f64>,
}

struct Single<'a, O: Objective>(&'a mut O);

impl<O: Objective> Objectives for Single<'_, O> {
    fn evaluate_all(&mut self, points: &[Point<'_>]) -> Result<Vec<(f64, Vec<f64>)>> {
        points.iter().map(|p| self.0.evaluate(p.x)).collect()
    }
}

/// Minimises one function.
///
/// # Errors
/// As [`Objective::evaluate`]. Running out of steps is no error: see [`Minimum::stop`].
pub fn minimize<O: Objective>(
    objective: &mut O,
    start: Start,
    options: &Options,
) -> Result<Minimum> {
    let mut all = minimize_all(&mut Single(objective), vec![start], options, None)?;
    Ok(all.remove(0))
}

/// Minimises independent functions side by side; the results come in the order of `starts`.
///
/// Each problem follows the path that it would follow alone. `metric` stands for the inverse Hessian until steps have told more;
/// under an L1 penalty it must be a diagonal one.
///
/// # Errors
/// As [`Objectives::evaluate_all`].
pub fn minimize_all(
    objectives: &mut impl Objectives,
    starts: Vec<Start>,
    options: &Options,
    metric: Option<&Metric>,
) -> Result<Vec<Minimum>> {
    let mut searches: Vec<Minimizer<'_>> = starts
        .into_iter()
        .map(|s| Minimizer::new(s, *options, metric))
        .collect();
    loop {
        let points: Vec<Point<'_>> = searches
            .iter()
            .enumerate()
            .filter_map(|(problem, s)| s.wanted().map(|x| Point { problem, x }))
            .collect();
        if points.is_empty() {
            return Ok(searches.into_iter().map(Minimizer::finish).collect());
        }
        let problems: Vec<usize> = points.iter().map(|p| p.problem).collect();
        let answers = objectives.evaluate_all(&points)?;
        for (problem, (value, gradient)) in problems.into_iter().zip(answers) {
            searches[problem].tell(value, gradient);
        }
    }
}

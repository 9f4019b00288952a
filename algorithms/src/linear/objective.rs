//! The linear models of one learner as functions to minimise, all evaluated in one pass.

use emberline_pipeline::datasets::DataError;
use emberline_pipeline::{Pinned, Result, Rounds, Run, StopReason};
use ndarray::Array2;

use super::gram::metric;
use super::{Link, LossPass, LossSums, Penalty, Scale, sigmoid};
use crate::optim::{Minimum, Objectives, Options, Point, Start, minimize_all};

/// Mean loss plus penalty of each independent model, over pinned blocks.
pub struct LinearProblems<'a> {
    run: &'a Run,
    data: &'a Pinned,
    rounds: Rounds<'a>,
    scale: &'a Scale,
    link: Link,
    penalty: Penalty,
    fit_intercept: bool,
    /// What each loss is divided by.
    weight: Vec<f64>,
    /// The best least margin that any point reached, for each loss.
    margin: Vec<f64>,
}

/// The minimum of every model.
#[derive(Debug, Clone)]
pub struct Solution {
    /// How each independent search went.
    pub minima: Vec<Minimum>,
    /// Coefficients in units of training `(m, d)`.
    pub trained: Array2<f64>,
    /// Intercepts in units of training `(m,)`.
    pub trained_intercepts: Vec<f64>,
    /// Coefficients in units of the features `(m, d)`.
    pub coefficients: Array2<f64>,
    /// Intercepts `(m,)`.
    pub intercepts: Vec<f64>,
    /// Mean loss of each independent model, without penalty.
    pub loss: Vec<f64>,
    /// Whether some point of the search had every row on its right side, for each independent model.
    pub separated: Vec<bool>,
}

impl<'a> LinearProblems<'a> {
    /// Models of `link` under `penalty`; `weight` is the sum of row weights behind each independent loss.
    #[must_use]
    pub fn new(
        (run, data): (&'a Run, &'a Pinned),
        scale: &'a Scale,
        link: Link,
        penalty: Penalty,
        fit_intercept: bool,
        weight: Vec<f64>,
    ) -> Self {
        Self {
            rounds: Rounds::start(run, data.n_rows(), None),
            margin: vec![f64::NEG_INFINITY; weight.len()],
            run,
            data,
            scale,
            link,
            penalty,
            fit_intercept,
            weight,
        }
    }

    /// Searches all models from zero coefficients and these intercepts `(m,)`.
    ///
    /// # Errors
    /// The data cannot be passed over, or the run was stopped.
    pub fn solve(mut self, intercepts: &[f64], options: &Options) -> Result<Solution> {
        self.rounds = Rounds::start(self.run, self.data.n_rows(), Some(options.max_iter));
        let d = self.data.n_features();
        let row = |b: &f64| {
            let mut row = vec![0.0; d];
            row.extend(self.fit_intercept.then_some(*b));
            row
        };
        let starts: Vec<Vec<f64>> = match &self.link {
            Link::Binary(_) => intercepts.iter().map(row).collect(),
            _ => vec![intercepts.iter().flat_map(row).collect()],
        };
        let with_l1 = self.penalty.l1.iter().any(|l| *l > 0.0);
        let l1 = |x: &[f64]| {
            let row = |_| {
                let free = self.fit_intercept.then_some(0.0);
                self.penalty.l1.iter().copied().chain(free)
            };
            (0..x.len() / self.row_len().max(1)).flat_map(row).collect()
        };
        let starts = starts
            .into_iter()
            .map(|x| Start {
                l1: if with_l1 { l1(&x) } else { Vec::new() },
                x,
            })
            .collect();
        let metric = metric(
            (self.run, self.data),
            self.scale,
            &self.penalty.l2,
            (self.curvature(intercepts), self.fit_intercept),
            with_l1,
        )?;
        let minima = minimize_all(&mut self, starts, options, Some(&metric))?;
        Ok(self.solution(minima, intercepts.len()))
    }

    /// The mean second derivative of a row's loss by its margin at the start, over all models.
    fn curvature(&self, intercepts: &[f64]) -> f64 {
        let variance = |p: f64| p * (1.0 - p);
        let mean: f64 = match &self.link {
            Link::Squares(..) => 1.0,
            Link::Binary(_) => intercepts.iter().map(|b| variance(sigmoid(*b))).sum(),
            Link::Softmax(_) => {
                let total: f64 = intercepts.iter().map(|b| b.exp()).sum();
                intercepts.iter().map(|b| variance(b.exp() / total)).sum()
            }
        };
        (mean / intercepts.len().max(1) as f64).max(1e-9)
    }

    fn row_len(&self) -> usize {
        self.data.n_features() + usize::from(self.fit_intercept)
    }

    /// Parameters of consecutive models as a matrix and intercepts.
    fn unpack(&self, points: &[&[f64]]) -> (Array2<f64>, Vec<f64>) {
        let (d, len) = (self.data.n_features(), self.row_len());
        let rows: Vec<&[f64]> = points
            .iter()
            .flat_map(|x| x.chunks_exact(len.max(1)))
            .collect();
        let mut coefficients = Array2::zeros((rows.len(), d));
        let mut intercepts = vec![0.0; rows.len()];
        for (k, row) in rows.into_iter().enumerate() {
            coefficients
                .row_mut(k)
                .iter_mut()
                .zip(row)
                .for_each(|(w, v)| *w = *v);
            intercepts[k] = if self.fit_intercept { row[d] } else { 0.0 };
        }
        (coefficients, intercepts)
    }

    /// The part of the penalty that has a gradient, at one problem's point; adds the gradient where one is given.
    fn smooth_penalty(&self, x: &[f64], mut gradient: Option<&mut [f64]>) -> f64 {
        let len = self.row_len().max(1);
        let mut value = 0.0;
        for (r, row) in x.chunks_exact(len).enumerate() {
            for (j, (v, l2)) in row.iter().zip(&self.penalty.l2).enumerate() {
                value += 0.5 * l2 * v * v;
                if let Some(g) = gradient.as_deref_mut() {
                    g[r * len + j] += l2 * v;
                }
            }
        }
        value
    }

    fn solution(&self, minima: Vec<Minimum>, m: usize) -> Solution {
        let points: Vec<&[f64]> = minima.iter().map(|m| m.x.as_slice()).collect();
        let (trained, trained_intercepts) = self.unpack(&points);
        let loss = minima.iter().map(|m| {
            let len = self.row_len().max(1);
            let l1 =
                m.x.chunks_exact(len)
                    .flat_map(|row| row.iter().zip(&self.penalty.l1));
            m.objective
                - self.smooth_penalty(&m.x, None)
                - l1.map(|(v, l)| l * v.abs()).sum::<f64>()
        });
        let loss = loss.collect();
        let mut coefficients = Array2::zeros(trained.dim());
        let mut intercepts = vec![0.0; m];
        for (k, row) in trained.outer_iter().enumerate() {
            let row: Vec<f64> = row.to_vec();
            let (own, intercept) = self.scale.restore(&row, trained_intercepts[k]);
            coefficients
                .row_mut(k)
                .assign(&ndarray::ArrayView1::from(&own));
            intercepts[k] = intercept;
        }
        Solution {
            separated: self.margin.iter().map(|m| *m > 0.0).collect(),
            minima,
            trained,
            trained_intercepts,
            coefficients,
            intercepts,
            loss,
        }
    }

    fn pass(&self, points: &[Point<'_>]) -> Result<LossSums> {
        let link = match &self.link {
            Link::Binary(sides) => Link::Binary(points.iter().map(|p| sides[p.problem]).collect()),
            whole => whole.clone(),
        };
        let rows: Vec<&[f64]> = points.iter().map(|p| p.x).collect();
        let (coefficients, intercepts) = self.unpack(&rows);
        let pass = LossPass {
            scale: self.scale.clone(),
            link,
            coefficients,
            intercepts,
        };
        let sums = self.run.round(self.data, &pass)?;
        sums.ok_or_else(|| DataError::Unusable("there are no rows to learn from".to_owned()).into())
    }
}

impl Objectives for LinearProblems<'_> {
    fn evaluate_all(&mut self, points: &[Point<'_>]) -> Result<Vec<(f64, Vec<f64>)>> {
        let sums = self.pass(points)?;
        let (d, len) = (self.data.n_features(), self.row_len());
        let mut answers = Vec::with_capacity(points.len());
        let mut row = 0;
        for (p, point) in points.iter().enumerate() {
            let weight = self.weight[point.problem];
            let mut gradient = vec![0.0; point.x.len()];
            for own in gradient.chunks_exact_mut(len.max(1)) {
                for (g, sum) in own.iter_mut().zip(sums.gradient.row(row)) {
                    *g = sum / weight;
                }
                if self.fit_intercept {
                    own[d] = sums.intercepts[row] / weight;
                }
                row += 1;
            }
            let penalty = self.smooth_penalty(point.x, Some(&mut gradient));
            answers.push((sums.loss[p] / weight + penalty, gradient));
            let best = &mut self.margin[point.problem];
            *best = best.max(sums.least_margin[p]);
        }
        let mean = answers.iter().map(|(f, _)| f).sum::<f64>() / answers.len().max(1) as f64;
        let bytes = 8 * (sums.gradient.len() + 3 * points.len()) as u64;
        self.rounds.finished(Some(mean), bytes);
        Ok(answers)
    }
}

impl Solution {
    /// The mean objective of all models after each step; a model that ended keeps its last value.
    #[must_use]
    pub fn history(&self) -> Vec<f64> {
        let steps = self.minima.iter().map(|m| m.history.len()).max();
        let at = |m: &Minimum, i: usize| {
            let last = m.history.len().saturating_sub(1);
            m.history.get(i.min(last)).copied().unwrap_or(m.objective)
        };
        let n = self.minima.len().max(1) as f64;
        (0..steps.unwrap_or(0))
            .map(|i| self.minima.iter().map(|m| at(m, i)).sum::<f64>() / n)
            .collect()
    }

    /// The worst end of all searches.
    #[must_use]
    pub fn stop(&self) -> StopReason {
        let rank = |s: StopReason| match s {
            StopReason::Done => 0,
            StopReason::Converged => 1,
            StopReason::NoProgress => 2,
            StopReason::MaxIter => 3,
        };
        let stops = self.minima.iter().map(|m| m.stop);
        stops.max_by_key(|s| rank(*s)).unwrap_or_default()
    }

    /// Mean objective of all models.
    #[must_use]
    pub fn objective(&self) -> f64 {
        self.minima.iter().map(|m| m.objective).sum::<f64>() / self.minima.len().max(1) as f64
    }

    /// The largest component of any model's gradient.
    #[must_use]
    pub fn gradient_norm(&self) -> f64 {
        self.minima.iter().fold(0.0, |m, s| s.gradient_norm.max(m))
    }

    /// |standardised coefficient| of each feature, summed over models `(d,)`.
    #[must_use]
    pub fn sizes(&self, scale: &Scale) -> Vec<f64> {
        (0..self.coefficients.ncols())
            .map(|j| {
                let column = self.coefficients.column(j);
                column.iter().map(|w| w.abs()).sum::<f64>() * scale.sd[j]
            })
            .collect()
    }
}

//! ROC and PR curves of steps down the scores.

use serde::{Deserialize, Serialize};

/// The rows that share one score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The score; rows at or above it are called positive at this threshold.
    pub score: f64,
    /// Weight of the rows of the positive class.
    pub positive: f64,
    /// Weight of the other rows.
    pub negative: f64,
}

/// Cumulative counts at each threshold, from the highest score down.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    thresholds: Vec<f64>,
    hits: Vec<f64>,
    alarms: Vec<f64>,
}

fn area(points: &[(f64, f64)]) -> f64 {
    points
        .windows(2)
        .map(|p| (p[1].0 - p[0].0) * (p[1].1 + p[0].1) / 2.0)
        .sum()
}

impl Curve {
    /// The curve of steps in descending order of scores.
    #[must_use]
    pub fn new(steps: &[Step]) -> Self {
        let running = |f: fn(&Step) -> f64| {
            let add = |sum: &mut f64, step: &Step| {
                *sum += f(step);
                Some(*sum)
            };
            steps.iter().scan(0.0, add).collect()
        };
        Self {
            thresholds: steps.iter().map(|s| s.score).collect(),
            hits: running(|s| s.positive),
            alarms: running(|s| s.negative),
        }
    }

    /// Scores at which the calls change, highest first.
    #[must_use]
    pub fn thresholds(&self) -> &[f64] {
        &self.thresholds
    }

    /// Weight of the true positives at each threshold.
    #[must_use]
    pub fn true_positives(&self) -> &[f64] {
        &self.hits
    }

    /// Weight of the false positives at each threshold.
    #[must_use]
    pub fn false_positives(&self) -> &[f64] {
        &self.alarms
    }

    /// Weight of the rows of the positive class.
    #[must_use]
    pub fn positives(&self) -> f64 {
        self.hits.last().copied().unwrap_or(0.0)
    }

    /// Weight of the other rows.
    #[must_use]
    pub fn negatives(&self) -> f64 {
        self.alarms.last().copied().unwrap_or(0.0)
    }

    /// Precision at each threshold. A threshold that no weight reaches has precision 1, as nothing was called wrongly.
    #[must_use]
    pub fn precision(&self) -> Vec<f64> {
        let share = |(h, a): (&f64, &f64)| if h + a > 0.0 { h / (h + a) } else { 1.0 };
        self.hits.iter().zip(&self.alarms).map(share).collect()
    }

    /// Recall at each threshold; empty without positives.
    #[must_use]
    pub fn recall(&self) -> Vec<f64> {
        let p = self.positives();
        if p > 0.0 {
            self.hits.iter().map(|h| h / p).collect()
        } else {
            Vec::new()
        }
    }

    /// F at each threshold; recall counts `beta` times as much as precision.
    #[must_use]
    pub fn f_measure(&self, beta: f64) -> Vec<f64> {
        let b2 = beta * beta;
        let f = |(p, r): (f64, f64)| {
            if p + r > 0.0 {
                (1.0 + b2) * p * r / (b2 * p + r)
            } else {
                0.0
            }
        };
        self.precision()
            .into_iter()
            .zip(self.recall())
            .map(f)
            .collect()
    }

    /// False positive rate and recall, from (0, 0) to (1, 1); empty where one class has no weight.
    #[must_use]
    pub fn roc(&self) -> Vec<(f64, f64)> {
        let (p, n) = (self.positives(), self.negatives());
        if p <= 0.0 || n <= 0.0 {
            return Vec::new();
        }
        let inner = self
            .hits
            .iter()
            .zip(&self.alarms)
            .map(|(h, a)| (a / n, h / p));
        std::iter::once((0.0, 0.0))
            .chain(inner)
            .chain([(1.0, 1.0)])
            .collect()
    }

    /// Recall and precision, from (0, first precision); empty without positives.
    #[must_use]
    pub fn pr(&self) -> Vec<(f64, f64)> {
        let precision = self.precision();
        let recall = self.recall();
        let (Some(first), false) = (precision.first(), recall.is_empty()) else {
            return Vec::new();
        };
        std::iter::once((0.0, *first))
            .chain(recall.into_iter().zip(precision.iter().copied()))
            .collect()
    }

    /// Area under [`Curve::roc`]; `None` where one class has no weight.
    #[must_use]
    pub fn area_under_roc(&self) -> Option<f64> {
        let (p, n) = (self.positives(), self.negatives());
        if p <= 0.0 || n <= 0.0 {
            return None;
        }
        // Summed in weights and divided once: whole weights then give the exact count of pairs, up to one rounding.
        let (mut pairs, mut last) = (0.0, (0.0, 0.0));
        for (h, a) in self.hits.iter().zip(&self.alarms) {
            pairs += (a - last.0) * (h + last.1) / 2.0;
            last = (*a, *h);
        }
        Some(pairs / (p * n))
    }

    /// Area under [`Curve::pr`]; `None` where one class has no weight.
    #[must_use]
    pub fn area_under_pr(&self) -> Option<f64> {
        (self.positives() > 0.0 && self.negatives() > 0.0).then(|| area(&self.pr()))
    }

    /// Precision summed over the gains in recall; `None` where one class has no weight.
    #[must_use]
    pub fn average_precision(&self) -> Option<f64> {
        if self.positives() <= 0.0 || self.negatives() <= 0.0 {
            return None;
        }
        let recall = self.recall();
        let before = std::iter::once(0.0).chain(recall.iter().copied());
        Some(
            recall
                .iter()
                .zip(before)
                .zip(self.precision())
                .map(|((r, b), p)| (r - b) * p)
                .sum(),
        )
    }
}

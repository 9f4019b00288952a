//! Figures of a confusion matrix.

use std::collections::BTreeMap;

use emberline_pipeline::LabelMetrics;

use crate::evaluation::shared::Key;

/// A confusion matrix by its non-zero cells and its margins. All counts are sums of weights.
#[derive(Debug, Clone)]
pub struct Counts {
    cells: Vec<(usize, usize, f64)>,
    hits: Vec<f64>,
    actual: Vec<f64>,
    predicted: Vec<f64>,
    total: f64,
}

/// `a / b`, and 0 where there is nothing to divide by.
fn ratio(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}

impl Counts {
    /// Counts of these pairs of (label, prediction), over `classes` in index order.
    #[must_use]
    pub(crate) fn new(classes: &[Key], pairs: &BTreeMap<(Key, Key), f64>) -> Self {
        let index: BTreeMap<&Key, usize> =
            classes.iter().enumerate().map(|(i, k)| (k, i)).collect();
        let at = |key: &Key| index.get(key).copied();
        let cells = pairs
            .iter()
            .filter_map(|((l, p), w)| Some((at(l)?, at(p)?, *w)))
            .collect();
        Self::of_cells(classes.len(), cells)
    }

    /// Counts of `n` classes by cells `(label, prediction, weight)`; indices lie below `n`.
    #[must_use]
    pub fn of_cells(n: usize, mut cells: Vec<(usize, usize, f64)>) -> Self {
        cells.sort_unstable_by_key(|c| (c.0, c.1));
        let mut counts = Self {
            cells,
            hits: vec![0.0; n],
            actual: vec![0.0; n],
            predicted: vec![0.0; n],
            total: 0.0,
        };
        for &(label, prediction, w) in &counts.cells {
            counts.actual[label] += w;
            counts.predicted[prediction] += w;
            counts.total += w;
            if label == prediction {
                counts.hits[label] += w;
            }
        }
        counts
    }

    /// Number of classes.
    #[must_use]
    pub fn n_classes(&self) -> usize {
        self.hits.len()
    }

    /// Share of the weight predicted right.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        ratio(self.hits.iter().sum(), self.total)
    }

    /// Share of the weight predicted wrong: its own sum, because `1 - accuracy` cancels for good models.
    #[must_use]
    pub fn hamming_loss(&self) -> f64 {
        ratio(
            self.cells.iter().filter(|c| c.0 != c.1).map(|c| c.2).sum(),
            self.total,
        )
    }

    /// Of the rows predicted as `class`, the share that is.
    #[must_use]
    pub fn precision(&self, class: usize) -> f64 {
        ratio(self.hits[class], self.predicted[class])
    }

    /// Of the rows of `class`, the share predicted as it.
    #[must_use]
    pub fn recall(&self, class: usize) -> f64 {
        ratio(self.hits[class], self.actual[class])
    }

    /// Of the rows of other classes, the share predicted as `class`.
    #[must_use]
    pub fn false_positive_rate(&self, class: usize) -> f64 {
        ratio(
            self.predicted[class] - self.hits[class],
            self.total - self.actual[class],
        )
    }

    /// F of `class`: recall counts `beta` times as much as precision (van Rijsbergen 1979).
    #[must_use]
    pub fn f_measure(&self, class: usize, beta: f64) -> f64 {
        let (p, r, b2) = (self.precision(class), self.recall(class), beta * beta);
        ratio((1.0 + b2) * p * r, b2 * p + r)
    }

    /// F at `beta`, averaged by the weight of each class's rows.
    #[must_use]
    pub fn weighted_f_measure(&self, beta: f64) -> f64 {
        self.weighted(|c| self.f_measure(c, beta))
    }

    fn weighted(&self, figure: impl Fn(usize) -> f64) -> f64 {
        ratio(
            (0..self.n_classes())
                .map(|c| figure(c) * self.actual[c])
                .sum(),
            self.total,
        )
    }

    /// Mean over the classes that have rows or predictions.
    fn macro_mean(&self, figure: impl Fn(usize) -> f64) -> f64 {
        let present: Vec<usize> = (0..self.n_classes())
            .filter(|&c| self.actual[c] > 0.0 || self.predicted[c] > 0.0)
            .collect();
        ratio(
            present.iter().map(|&c| figure(c)).sum(),
            present.len() as f64,
        )
    }

    /// Every metric that the counts alone decide.
    pub(crate) fn values(&self, beta: f64) -> BTreeMap<String, f64> {
        let values = [
            ("accuracy", self.accuracy()),
            ("f1", self.weighted_f_measure(1.0)),
            ("f1_macro", self.macro_mean(|c| self.f_measure(c, 1.0))),
            ("f_beta", self.weighted_f_measure(beta)),
            ("weighted_precision", self.weighted(|c| self.precision(c))),
            ("weighted_recall", self.weighted(|c| self.recall(c))),
            ("precision_macro", self.macro_mean(|c| self.precision(c))),
            ("recall_macro", self.macro_mean(|c| self.recall(c))),
            (
                "weighted_false_positive_rate",
                self.weighted(|c| self.false_positive_rate(c)),
            ),
            ("hamming_loss", self.hamming_loss()),
        ];
        values
            .into_iter()
            .map(|(name, v)| (name.to_owned(), v))
            .collect()
    }

    /// Figures of each class under these names.
    #[must_use]
    pub fn by_label(&self, names: &[String]) -> Vec<LabelMetrics> {
        let figures = |(c, name): (usize, &String)| LabelMetrics {
            label: name.clone(),
            precision: self.precision(c),
            recall: self.recall(c),
            f1: self.f_measure(c, 1.0),
            false_positive_rate: self.false_positive_rate(c),
            support: self.actual[c],
        };
        names
            .iter()
            .take(self.n_classes())
            .enumerate()
            .map(figures)
            .collect()
    }

    /// The matrix, `[label][prediction]`.
    #[must_use]
    pub fn matrix(&self) -> Vec<Vec<f64>> {
        let mut matrix = vec![vec![0.0; self.n_classes()]; self.n_classes()];
        for &(label, prediction, w) in &self.cells {
            matrix[label][prediction] = w;
        }
        matrix
    }
}

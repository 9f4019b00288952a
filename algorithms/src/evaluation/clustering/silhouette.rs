//! The second pass: each row against all clusters.

use std::collections::BTreeMap;

use emberline_pipeline::datasets::{Batch, DataError};
use emberline_pipeline::{EvaluatorColumns, Partial, Round};
use serde::{Deserialize, Serialize};

use super::moments::{Cluster, Clusters, rows, squared_distance};
use crate::evaluation::shared::{Key, keys, weights};

/// Names the columns and carries the clusters of the first pass.
#[derive(Serialize, Deserialize)]
pub struct SilhouettePass {
    features: String,
    prediction: String,
    weight: Option<String>,
    cosine: bool,
    keys: Vec<Key>,
    clusters: Vec<Cluster>,
}

/// Sums over rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sums {
    pub weight: f64,
    pub silhouette: f64,
    /// Sum of the (not squared) distances to the cluster's mean, by cluster.
    distances: Vec<f64>,
}

impl SilhouettePass {
    pub fn new(
        columns: &EvaluatorColumns,
        weight: Option<String>,
        clusters: &Clusters,
        cosine: bool,
    ) -> Self {
        Self {
            features: columns.features.clone(),
            prediction: columns.prediction.clone(),
            weight,
            cosine,
            keys: clusters.by_key.keys().cloned().collect(),
            clusters: clusters.by_key.values().cloned().collect(),
        }
    }

    pub fn columns(&self) -> Vec<String> {
        [&self.features, &self.prediction]
            .into_iter()
            .chain(&self.weight)
            .cloned()
            .collect()
    }

    /// The silhouette of a row from its squared distances to all means.
    ///
    /// Between rows of length 1 the cosine distance is half the squared Euclidean one, and the factor cancels.
    fn silhouette(&self, own: usize, weight: f64, to_means: &[f64]) -> f64 {
        let total = self.clusters[own].weight;
        let others = total - weight.min(1.0);
        // What is left of a row alone is 0, up to the rounding of the total.
        if others <= total * 1e-12 {
            return 0.0;
        }
        let mean_to = |c: usize| to_means[c] + self.clusters[c].spread / self.clusters[c].weight;
        let a = mean_to(own) * total / others;
        let b = (0..self.clusters.len())
            .filter(|&c| c != own)
            .map(mean_to)
            .fold(f64::INFINITY, f64::min);
        if a < b {
            1.0 - a / b
        } else if a > b {
            b / a - 1.0
        } else {
            0.0
        }
    }

    /// Mean over clusters of the worst ratio of spreads to distance. Clusters with one centre have no ratio, as in scikit-learn.
    pub fn davies_bouldin(&self, sums: &Sums) -> Option<f64> {
        let k = self.clusters.len();
        let spread: Vec<f64> = (0..k)
            .map(|c| sums.distances[c] / self.clusters[c].weight)
            .collect();
        let ratio = |i: usize, j: usize| {
            let apart = squared_distance(&self.clusters[i].mean, &self.clusters[j].mean).sqrt();
            if apart > 0.0 {
                (spread[i] + spread[j]) / apart
            } else {
                0.0
            }
        };
        let worst = |i| {
            (0..k)
                .filter(|&j| j != i)
                .map(|j| ratio(i, j))
                .fold(0.0, f64::max)
        };
        (k > 1).then(|| (0..k).map(worst).sum::<f64>() / k as f64)
    }
}

impl Round for SilhouettePass {
    const NAME: &'static str = "clustering/silhouette";
    type Unit = Batch;
    type Partial = Sums;
    type Scratch = ();

    fn map(&self, batch: &Batch, (): &mut ()) -> Result<Sums, DataError> {
        let (flat, d) = rows(batch, &self.features, self.cosine)?;
        let keys = keys(batch, &self.prediction)?;
        let w = weights(batch, self.weight.as_deref())?;
        let index: BTreeMap<&Key, usize> =
            self.keys.iter().enumerate().map(|(i, k)| (k, i)).collect();
        let mut sums = Sums {
            weight: 0.0,
            silhouette: 0.0,
            distances: vec![0.0; self.clusters.len()],
        };
        let mut to_means = vec![0.0; self.clusters.len()];
        for (i, key) in keys.iter().enumerate().filter(|(i, _)| w[*i] > 0.0) {
            let Some(&own) = index.get(key) else { continue };
            let row = &flat[i * d..(i + 1) * d];
            to_means
                .iter_mut()
                .zip(&self.clusters)
                .for_each(|(t, c)| *t = squared_distance(row, &c.mean));
            sums.weight += w[i];
            sums.silhouette += w[i] * self.silhouette(own, w[i], &to_means);
            sums.distances[own] += w[i] * to_means[own].sqrt();
        }
        Ok(sums)
    }
}

impl Partial for Sums {
    fn merge(&mut self, later: Self) {
        self.weight += later.weight;
        self.silhouette += later.silhouette;
        self.distances
            .iter_mut()
            .zip(later.distances)
            .for_each(|(a, b)| *a += b);
    }
}

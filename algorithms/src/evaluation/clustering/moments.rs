//! The first pass: weight, mean and spread of each cluster.

use std::collections::BTreeMap;

use emberline_pipeline::datasets::{Batch, DataError};
use emberline_pipeline::{Partial, Round};
use serde::{Deserialize, Serialize};

use crate::evaluation::shared::{Key, finite, keys, weights};

/// Names the columns; `cosine` scales each row to length 1 first.
#[derive(Serialize, Deserialize)]
pub struct MomentPass {
    pub features: String,
    pub prediction: String,
    pub weight: Option<String>,
    pub distance: Option<String>,
    pub cosine: bool,
}

/// The rows of one cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    pub weight: f64,
    /// Weighted mean `(d,)`.
    pub mean: Vec<f64>,
    /// Weighted sum of squared distances to the mean.
    pub spread: f64,
}

/// All clusters by their key, and the sum of the distance column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Clusters {
    pub rows: u64,
    pub distance: Option<f64>,
    pub by_key: BTreeMap<Key, Cluster>,
}

/// Squared Euclidean distance.
pub fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum()
}

/// All rows `(n, d)`, row-major, finite, of length 1 each where `cosine`.
pub fn rows(batch: &Batch, column: &str, cosine: bool) -> Result<(Vec<f64>, usize), DataError> {
    let vectors = batch.vector(column)?;
    let d = vectors.width();
    let mut flat = vec![0.0; vectors.rows() * d];
    for (i, row) in flat.chunks_exact_mut(d.max(1)).enumerate() {
        vectors.read(i, row);
        let id = batch.row_ids()[i];
        if let Some(j) = row.iter().position(|v| !v.is_finite()) {
            return Err(DataError::NotFinite {
                column: format!("{column}[{j}]"),
                row: id,
                value: row[j],
            });
        }
        if cosine {
            let length = row.iter().map(|v| v * v).sum::<f64>().sqrt();
            if length == 0.0 {
                let message =
                    "a vector of zeros has no direction; leave such rows out of a cosine distance"
                        .to_owned();
                return Err(DataError::Value {
                    column: column.to_owned(),
                    row: id,
                    message,
                });
            }
            row.iter_mut().for_each(|v| *v /= length);
        }
    }
    Ok((flat, d))
}

impl MomentPass {
    pub fn columns(&self) -> Vec<String> {
        [&self.features, &self.prediction]
            .into_iter()
            .chain(&self.weight)
            .chain(&self.distance)
            .cloned()
            .collect()
    }
}

impl Round for MomentPass {
    const NAME: &'static str = "clustering/moments";
    type Unit = Batch;
    type Partial = Clusters;
    type Scratch = ();

    fn map(&self, batch: &Batch, (): &mut ()) -> Result<Clusters, DataError> {
        let (flat, d) = rows(batch, &self.features, self.cosine)?;
        let keys = keys(batch, &self.prediction)?;
        let w = weights(batch, self.weight.as_deref())?;
        let distance = match &self.distance {
            Some(name) => Some(
                finite(batch, name)?
                    .iter()
                    .zip(&w)
                    .map(|(v, w)| v * w)
                    .sum(),
            ),
            None => None,
        };
        let row = |i: usize| &flat[i * d..(i + 1) * d];
        let mut by_key: BTreeMap<Key, Cluster> = BTreeMap::new();
        for (i, key) in keys.iter().enumerate().filter(|(i, _)| w[*i] > 0.0) {
            let own = by_key.entry(key.clone()).or_insert_with(|| Cluster {
                weight: 0.0,
                mean: vec![0.0; d],
                spread: 0.0,
            });
            own.weight += w[i];
            own.mean
                .iter_mut()
                .zip(row(i))
                .for_each(|(m, x)| *m += w[i] * x);
        }
        for own in by_key.values_mut() {
            own.mean.iter_mut().for_each(|m| *m /= own.weight);
        }
        // About the block's own means: sums of squares would cancel for clusters far from the origin.
        for (i, key) in keys.iter().enumerate().filter(|(i, _)| w[*i] > 0.0) {
            if let Some(own) = by_key.get_mut(key) {
                own.spread += w[i] * squared_distance(row(i), &own.mean);
            }
        }
        Ok(Clusters {
            rows: batch.num_rows() as u64,
            distance,
            by_key,
        })
    }
}

impl Cluster {
    /// Adds rows of the same cluster (Chan, Golub, LeVeque 1983).
    fn add(&mut self, other: &Self) {
        let total = self.weight + other.weight;
        self.spread += other.spread
            + squared_distance(&self.mean, &other.mean) * (self.weight * other.weight / total);
        let share = other.weight / total;
        self.mean
            .iter_mut()
            .zip(&other.mean)
            .for_each(|(a, b)| *a += (b - *a) * share);
        self.weight = total;
    }
}

impl Partial for Clusters {
    fn merge(&mut self, later: Self) {
        self.rows += later.rows;
        self.distance = self.distance.zip(later.distance).map(|(a, b)| a + b);
        for (key, cluster) in later.by_key {
            match self.by_key.get_mut(&key) {
                Some(own) => own.add(&cluster),
                None => drop(self.by_key.insert(key, cluster)),
            }
        }
    }
}

impl Clusters {
    pub fn weight(&self) -> f64 {
        self.by_key.values().map(|c| c.weight).sum()
    }

    /// The sum of the distance column; without one, to the mean of each cluster.
    pub fn distortion(&self) -> f64 {
        self.distance
            .unwrap_or_else(|| self.by_key.values().map(|c| c.spread).sum())
    }
}

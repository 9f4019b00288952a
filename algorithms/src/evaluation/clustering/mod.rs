//! `clustering`: how tight clusters are and how far apart.

mod moments;
mod silhouette;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::Result;
use emberline_pipeline::datasets::{Dataset, Schema, SchemaErrors};
use emberline_pipeline::{Evaluator, EvaluatorColumns, EvaluatorEntry, Kind, Metrics, Run};

use self::moments::{Clusters, MomentPass, squared_distance};
use self::silhouette::SilhouettePass;
use super::shared::{keep, number_column, require_rows, wanted, weight_of, wrong_type};

/// The registry entry.
pub const ENTRY: EvaluatorEntry = EvaluatorEntry {
    name: "clustering",
    summary: "how tight clusters are and how far apart",
    kind: Kind::Clusterer,
    metrics: &[
        (
            "distortion",
            "sum of squared distances to the nearest centre",
        ),
        (
            "silhouette",
            "mean silhouette under squared Euclidean distance: 1 is well apart, 0 touching, below 0 mixed up",
        ),
        ("silhouette_cosine", "mean silhouette under cosine distance"),
        (
            "calinski_harabasz",
            "variance between clusters over variance within, each by its degrees of freedom",
        ),
        (
            "davies_bouldin",
            "mean over clusters of the worst (spread + spread) / distance of centres; small is good",
        ),
        ("n_clusters", "clusters that hold rows"),
    ],
    defaults: &["distortion", "silhouette"],
    fits,
    build: |columns| Box::new(ClusteringEvaluator { columns }),
    jobs: |jobs| {
        jobs.round::<MomentPass>().round::<SilhouettePass>();
    },
};

fn fits(schema: &Schema, columns: &EvaluatorColumns) -> Result<(), SchemaErrors> {
    let features = &schema.get(&columns.features)?.ty;
    if !features.is_vector() {
        return Err(wrong_type(&columns.features, features, "a vector"));
    }
    schema.get(&columns.prediction)?;
    if schema.get(&columns.distance).is_ok() {
        number_column(schema, &columns.distance)?;
    }
    weight_of(schema, columns).map(drop)
}

/// Measures a clustering: one pass for the moments of each cluster, a second one where a metric needs each row against all
/// clusters (both silhouettes and Davies-Bouldin).
///
/// - `distortion` is the sum of the `distance` column that `kmeans` writes: on training data it equals the cost of the model. Where
///   there is no such column it is taken to the mean of each cluster's rows.
/// - `silhouette`: the mean squared distance of a row to a cluster is its squared distance to the cluster's mean plus the
///   cluster's own mean square, which makes it one pass over rows times clusters and not over pairs. A row is no neighbour
///   of itself: one unit of its weight (all of it, where it weighs less than one) is left out of its own cluster. A row alone
///   in its cluster has silhouette 0, as Rousseeuw defines it (Spark gives it 1).
/// - cost: O(n k d); O(k d) memory.
/// # Source
/// Rousseeuw 1987 (J. Comput. Appl. Math. 20); Caliński and Harabasz 1974 (Commun. Stat. 3); Davies and Bouldin 1979 (IEEE PAMI 1).
#[derive(Debug, Clone)]
pub struct ClusteringEvaluator {
    columns: EvaluatorColumns,
}

impl ClusteringEvaluator {
    fn moments(&self, data: &Dataset, cosine: bool, run: &Run) -> Result<Clusters> {
        let schema = data.schema();
        let pass = MomentPass {
            features: self.columns.features.clone(),
            prediction: self.columns.prediction.clone(),
            weight: weight_of(schema, &self.columns)?,
            distance: schema
                .get(&self.columns.distance)
                .is_ok()
                .then(|| self.columns.distance.clone()),
            cosine,
        };
        require_rows(run.scan(data, &pass.columns(), &pass)?, Clusters::weight)
    }

    fn second_pass(
        &self,
        data: &Dataset,
        clusters: &Clusters,
        cosine: bool,
        run: &Run,
    ) -> Result<BTreeMap<String, f64>> {
        let pass = SilhouettePass::new(
            &self.columns,
            weight_of(data.schema(), &self.columns)?,
            clusters,
            cosine,
        );
        let sums = require_rows(run.scan(data, &pass.columns(), &pass)?, |s| s.weight)?;
        let mut values = BTreeMap::new();
        if cosine {
            values.insert(
                "silhouette_cosine".to_owned(),
                sums.silhouette / sums.weight,
            );
        } else {
            values.insert("silhouette".to_owned(), sums.silhouette / sums.weight);
            if let Some(v) = pass.davies_bouldin(&sums) {
                values.insert("davies_bouldin".to_owned(), v);
            }
        }
        Ok(values)
    }
}

/// Between-cluster over within-cluster variance; `None` for one cluster, or where nothing varies within.
fn calinski_harabasz(clusters: &Clusters) -> Option<f64> {
    let (k, n) = (clusters.by_key.len() as f64, clusters.weight());
    let width = clusters.by_key.values().next()?.mean.len();
    let mut centre = vec![0.0; width];
    for c in clusters.by_key.values() {
        centre
            .iter_mut()
            .zip(&c.mean)
            .for_each(|(g, m)| *g += m * (c.weight / n));
    }
    let between: f64 = clusters
        .by_key
        .values()
        .map(|c| c.weight * squared_distance(&c.mean, &centre))
        .sum();
    let within: f64 = clusters.by_key.values().map(|c| c.spread).sum();
    (k > 1.0 && n > k && within > 0.0).then(|| between / (k - 1.0) / (within / (n - k)))
}

impl Evaluator for ClusteringEvaluator {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn evaluate(&self, data: &Dataset, metrics: &[String], run: &Run) -> Result<Metrics> {
        let wanted = wanted(ENTRY.name, ENTRY.metrics, metrics)?;
        fits(data.schema(), &self.columns)?;
        let needs = |name: &str| wanted.iter().any(|w| w == name);
        let clusters = self.moments(data, false, run)?;
        let mut values = BTreeMap::from([
            ("distortion".to_owned(), clusters.distortion()),
            ("n_clusters".to_owned(), clusters.by_key.len() as f64),
        ]);
        if let Some(v) = calinski_harabasz(&clusters) {
            values.insert("calinski_harabasz".to_owned(), v);
        }
        let several = clusters.by_key.len() > 1;
        if several && (needs("silhouette") || needs("davies_bouldin")) {
            values.extend(self.second_pass(data, &clusters, false, run)?);
        }
        if several && needs("silhouette_cosine") {
            let unit = self.moments(data, true, run)?;
            values.extend(self.second_pass(data, &unit, true, run)?);
        }
        let mut out = Metrics {
            rows: clusters.rows,
            ..Metrics::default()
        };
        let why = "all rows are in one cluster, or nothing varies within the clusters";
        keep(&mut out, values, &wanted, why);
        let sizes = clusters
            .by_key
            .values()
            .enumerate()
            .map(|(i, c)| (i as f64, c.weight));
        out.curves
            .insert("cluster_sizes".to_owned(), sizes.collect());
        Ok(out)
    }

    fn larger_is_better(&self, metric: &str) -> bool {
        matches!(
            metric,
            "silhouette" | "silhouette_cosine" | "calinski_harabasz"
        )
    }
}

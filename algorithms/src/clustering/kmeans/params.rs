//! Parameters of k-means.

use emberline_pipeline::{ParamCheck, ParamErrors, ParamSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::KMeans;

/// How the first centres are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum InitMode {
    /// A few passes that each draw `2 k` rows by their squared distance, then a weighted k-means over the drawn rows: the best of several
    /// where centres are few, as a sample of rows tells.
    #[default]
    #[serde(rename = "k-means||")]
    Parallel,
    /// One centre after another, each the best of a few rows drawn by their squared distance, on a sample of `init_size` rows.
    #[serde(rename = "k-means++")]
    PlusPlus,
    /// `k` distinct rows.
    #[serde(rename = "random")]
    Random,
    /// The rows of `centers`.
    #[serde(rename = "given")]
    Given,
}

/// What "near" means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DistanceMeasure {
    /// Squared Euclidean distance.
    #[default]
    Euclidean,
    /// One minus the cosine of the angle; rows of zeros are refused.
    Cosine,
}

/// All starts go through the data together, each with centres of its own: more than this fill the memory, and no better is found.
const MOST_STARTS: usize = 1_000;

/// Parameters of [`KMeans`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KMeansParams {
    /// Number of clusters, at least 1. With `init_mode = "given"` the number of `centers` counts. Default: 2.
    #[schemars(range(min = 1))]
    pub k: usize,
    /// How the first centres are found: `k-means||`, `k-means++`, `random` or `given`. Default: `k-means||`.
    pub init_mode: InitMode,
    /// The first centres for `init_mode = "given"`, a list of numbers each. Default: none.
    pub centers: Vec<Vec<f64>>,
    /// Starts, of which the one with the least distortion is kept, 1 to 1,000; `given` makes one. Default: 1.
    #[schemars(range(min = 1, max = 1000))]
    pub n_init: usize,
    /// Passes that draw rows in `k-means||`, 1 to 1,000. Default: 2.
    #[schemars(range(min = 1, max = 1000))]
    pub init_steps: usize,
    /// Rows, about, on which `k-means++` draws and compares centres, at least 1; all where there are fewer. They are drawn by weight. A
    /// cluster of so few rows that the sample may miss them gets no centre of its own; `k-means||` looks at every row. Default: 128 a
    /// cluster, at least 16,384.
    #[schemars(range(min = 1))]
    pub init_size: Option<usize>,
    /// The most times that centres are moved. Default: 100 (Spark stops at 20, often before it has converged).
    pub max_iter: usize,
    /// Stop when no centre moves farther than this, in the units of the features; 0 or more. Default: 1e-4.
    #[schemars(range(min = 0.0))]
    pub tol: f64,
    /// `euclidean` or `cosine`. Default: `euclidean`.
    pub distance_measure: DistanceMeasure,
    /// Seed of the first centres. Default: the run's.
    pub seed: Option<u64>,
    /// The vector column to cluster. Default: `features`.
    pub features_col: String,
    /// Column of row weights. Default: the column with the role `weight`, if any.
    pub weight_col: Option<String>,
    /// Column for the index of the cluster, an integer from 0. Default: `prediction`.
    pub prediction_col: String,
    /// Column for the squared distance (one minus the cosine) to the centre, which the `clustering` evaluator sums; empty for
    /// none. Default: `distance`.
    pub distance_col: String,
}

impl Default for KMeansParams {
    fn default() -> Self {
        Self {
            k: 2,
            init_mode: InitMode::Parallel,
            centers: Vec::new(),
            n_init: 1,
            init_steps: 2,
            init_size: None,
            max_iter: 100,
            tol: 1e-4,
            distance_measure: DistanceMeasure::Euclidean,
            seed: None,
            features_col: "features".to_owned(),
            weight_col: None,
            prediction_col: "prediction".to_owned(),
            distance_col: "distance".to_owned(),
        }
    }
}

impl ParamSet for KMeansParams {
    type Stage = KMeans;
}

impl KMeansParams {
    pub(super) fn check(&self) -> Result<(), ParamErrors> {
        let mut check = ParamCheck::new();
        check.require("k", self.k, "at least 1", self.k >= 1);
        let rule = format!("between 1 and {MOST_STARTS}");
        for (name, n) in [("n_init", self.n_init), ("init_steps", self.init_steps)] {
            check.require(name, n, &rule, (1..=MOST_STARTS).contains(&n));
        }
        check.require(
            "init_size",
            self.init_size.unwrap_or(1),
            "at least 1",
            self.init_size != Some(0),
        );
        check.require(
            "tol",
            self.tol,
            "finite and not negative",
            self.tol.is_finite() && self.tol >= 0.0,
        );
        check.require(
            "features_col",
            "an empty name",
            "a column name",
            !self.features_col.is_empty(),
        );
        check.require(
            "prediction_col",
            "an empty name",
            "a column name",
            !self.prediction_col.is_empty(),
        );
        if self.distance_col == self.prediction_col {
            check.reject(
                "distance_col",
                format!(
                    "must differ from `prediction_col`, both are `{}`",
                    self.distance_col
                ),
            );
        }
        self.check_centers(&mut check);
        check.finish()
    }

    fn check_centers(&self, check: &mut ParamCheck) {
        let given = self.init_mode == InitMode::Given;
        match self.centers.first() {
            None if given => check.reject(
                "centers",
                "must list the first centres for `init_mode = \"given\"`",
            ),
            Some(_) if !given => check.reject(
                "centers",
                "is read with `init_mode = \"given\"` only; set it, or leave it out",
            ),
            Some(first) => {
                if first.is_empty() || self.centers.iter().any(|c| c.len() != first.len()) {
                    check.reject("centers", "must hold lists of one length, at least 1");
                }
                if self.centers.iter().flatten().any(|v| !v.is_finite()) {
                    check.reject("centers", "must hold finite numbers");
                }
                let default = Self::default().k;
                if self.k != default && self.k != self.centers.len() {
                    check.reject(
                        "k",
                        format!(
                            "is {}, but `centers` lists {}; leave `k` out",
                            self.k,
                            self.centers.len()
                        ),
                    );
                }
            }
            None => {}
        }
    }
}

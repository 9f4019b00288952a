//! The plain data that a report is drawn from.

use emberline_pipeline::InvalidRows;
use serde::Serialize;

/// Everything that a run report shows, as plain values.
///
/// The report knows nothing of datasets or models: whoever trained and evaluated fills in what there is and leaves the rest
/// at its default. An empty list, `None` or an empty text means "not there", and the card for it is left out.
/// Texts may hold anything (class and column names come from users' files): they are escaped when the page is made.
/// Numbers may be NaN or infinite: tables say so, plots leave those points out, JSON writes `null`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// Name of the run, shown as the heading and in the browser's tab.
    pub title: String,
    /// What wrote the report, with its version, for example `emberline 0.1.0`.
    pub generated_by: String,
    /// What was learnt, for example `multiclass classification of digit`.
    pub task: String,
    /// Groups of facts on the data, the split, the seed and the engine.
    pub facts: Vec<FactGroup>,
    /// Measures on the held-out rows, most important first: the first eight become tiles.
    pub metrics: Vec<NamedValue>,
    /// Scores of each class, in class order.
    pub per_class: Vec<ClassScores>,
    /// The stages of the pipeline in order, with the time each took.
    pub stages: Vec<StageTiming>,
    /// The whole configuration of the run, as TOML.
    pub config: String,
    /// Warnings for whoever reads the numbers, for example on classes without a held-out row.
    pub warnings: Vec<String>,
    /// What stages skipped or kept of the rows by their policies, of the training rows and of those held out.
    pub invalid: Vec<InvalidAmong>,
    /// Counts of true against predicted classes.
    pub confusion: Option<Confusion>,
    /// Receiver operating characteristic: false positive rate (x) against true positive rate (y), a curve per class.
    pub roc: Vec<Curve>,
    /// Precision (y) against recall (x), a curve per class.
    pub pr: Vec<Curve>,
    /// Importance of each feature by its original column name; the plot sorts them, largest first.
    pub importances: Vec<NamedValue>,
    /// Loss after each round, a series per stage, tree or class.
    pub training_curve: Vec<LossHistory>,
    /// Residuals (actual minus predicted) of a regression.
    pub residuals: Option<Residuals>,
    /// A sample of (actual, predicted) pairs of a regression, in the units of the label.
    pub predicted_vs_actual: Vec<(f64, f64)>,
    /// Rows in each cluster.
    pub cluster_sizes: Vec<ClusterSize>,
    /// Share of the variance that each principal component explains, from 0 to 1, in component order.
    pub explained_variance: Vec<f64>,
}

/// What a stage skipped or kept, and of which rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InvalidAmong {
    /// `training rows` or `held-out rows`.
    pub among: &'static str,
    /// The rows.
    #[serde(flatten)]
    pub found: InvalidRows,
}

/// A heading with key-value rows below it, for example `Data` with `source`, `train rows` and `test rows`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FactGroup {
    /// Heading of the group.
    pub heading: String,
    /// Key and value of each row, both ready to be shown.
    pub rows: Vec<(String, String)>,
}

/// A number with a name: a metric or the importance of a feature.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct NamedValue {
    /// What is measured, for example `accuracy` or a column name.
    pub name: String,
    /// The number, in whatever unit the name implies.
    pub value: f64,
}

impl NamedValue {
    /// Pairs a name with its number.
    pub fn new(name: impl Into<String>, value: f64) -> Self {
        Self {
            name: name.into(),
            value,
        }
    }
}

/// Scores of one class, each from 0 to 1, where undefined is NaN.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ClassScores {
    /// Name of the class as the label column spells it.
    pub class: String,
    /// Share of the rows predicted as this class that are of this class.
    pub precision: f64,
    /// Share of the rows of this class that were predicted as this class.
    pub recall: f64,
    /// Harmonic mean of precision and recall.
    pub f1: f64,
    /// Rows of this class, or their weight.
    pub support: f64,
}

/// What one stage of the pipeline did.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct StageTiming {
    /// Name of the stage.
    pub name: String,
    /// Wall-clock time it took to fit, in seconds.
    pub seconds: f64,
    /// Rounds it ran, where it learns in rounds.
    pub rounds: Option<u64>,
    /// One line on the outcome, for example `100 trees, depth 5 to 18`.
    pub summary: String,
}

/// Counts (or summed weights) of true against predicted classes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Confusion {
    /// Class names, in the order of the matrix. A missing name is replaced by the index of the class.
    pub labels: Vec<String>,
    /// `matrix[t][p]` counts the rows of class `t` predicted as class `p`. A missing entry counts as 0.
    pub matrix: Vec<Vec<f64>>,
}

/// A named curve over the unit square.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Curve {
    /// Name of the class, or of the average.
    pub name: String,
    /// (x, y) points in drawing order.
    pub points: Vec<(f64, f64)>,
    /// Area below the curve, where it is known.
    pub auc: Option<f64>,
}

/// Loss of one learner by round.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct LossHistory {
    /// Name of the stage, tree or class.
    pub name: String,
    /// Round and the loss after it, in round order.
    pub losses: Vec<(u64, f64)>,
}

/// Residuals of a regression, in the units of the label.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Residuals {
    /// A sample of (predicted, residual) pairs.
    pub points: Vec<(f64, f64)>,
    /// Distribution of all residuals.
    pub histogram: Histogram,
}

/// Counts of values between edges.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Histogram {
    /// Edges of the bins, rising, one more than there are bins.
    pub edges: Vec<f64>,
    /// Values (or summed weights) in each bin.
    pub counts: Vec<f64>,
}

/// Rows in one cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ClusterSize {
    /// Number of the cluster.
    pub id: u64,
    /// Rows assigned to it.
    pub count: u64,
}

//! Decision trees and forests: what the four tree stages share.
//!
//! Features are binned once ([`bins`]), rows become a table of bytes ([`table`]), and every tree is grown by itself from exact
//! integer sums (`criterion`, `histogram`, [`grow`]). What makes it fast:
//!
//! - One pass over the rows of a node sums all features drawn there; the bins of a row share a cache line.
//! - Trees grow depth first. A subtree that fits a cache is grown from a copy of its rows that lie there side by side.
//! - Sums of a bin are as small as the data allow: both counts of two classes in a word, the counts of up to 16 classes in a
//!   vector register, weight and label sum of a number in 16 bytes.
//! - Nodes with fewer rows than bins note which bins they have and look at no others; eight splits are scored at a time.
//! - A child that is pure, too small or at the depth limit becomes a leaf at once: its rows are never moved.
//!
//! The rules, where tools differ:
//!
//! - **Bins.** A column with at most `max_bins` distinct values gives a bin to each, so that every split a sorted scan would
//!   find is found; else bins are weighted quantiles. The threshold lies midway between the two adjacent values that the
//!   node itself holds, as in scikit-learn, not at a global bin edge as in Spark.
//! - **Ties.** Of equal splits the lowest feature index wins, then a missing value going right, then the lowest threshold.
//!   Gini gains are compared as exact fractions while a node weighs at most 2^25 units; entropy, variance and heavier
//!   nodes compare the `f64` computed from exact integer sums.
//! - **Labels of regression** are whole units. A tree on rows of weight 1 keeps as many bits of them as let their sum stay
//!   below 2^62: 52 up to 1,023 rows, 44 at 200,000, 32 at most are left.
//! - **Features drawn afresh at each node**, keyed by `(seed, tree, path from the root)`. A feature that is constant among
//!   the rows of the node does not count as drawn: drawing goes on until enough others are seen or none is left.
//! - **Missing values** try both sides of every threshold, and a branch of their own. Where a node had none in training,
//!   they follow its heavier child (ties to the left), as do values of a nominal slot that the node had not seen.
//! - **Nominal slots** split by sets of categories. Two classes or a number: categories ordered by their mean target, which
//!   holds the optimum (Fisher 1958; Breiman et al. 1984, section 4.2). More classes: all subsets up to 8 categories, else
//!   the order along the first principal direction of the class shares (Coppersmith, Hong, Hosking 1999).
//! - **A split must gain at least `min_info_gain`**, so at the default of 0 one that gains nothing is taken: a chessboard
//!   pattern, whose first split gains nothing, is learnt.
//! - **Bootstrap** draws each row a Poisson count of mean `subsampling_rate`, as Spark does, keyed by `(seed, tree, row id)`.

mod apart;
pub mod bins;
mod criterion;
mod find;
pub mod fit;
pub mod forest;
pub mod grow;
mod histogram;
pub mod leaves;
mod memory;
pub mod node;
pub mod nodes;
mod nominal;
mod oob;
mod packed;
mod report;
pub mod sample;
pub mod settings;
mod sorted;
mod split;
mod store;
pub mod summary;
pub mod table;
#[cfg(test)]
mod tests;
mod work;

pub use forest::{ForestClassifier, ForestRegressor};
pub use settings::{FeatureSubset, Impurity, RegressionImpurity};

/// Adds the rounds and the work of this module.
pub fn jobs(jobs: &mut emberline_pipeline::Jobs) {
    jobs.round::<summary::Summarise>()
        .round::<oob::OobClasses>()
        .round::<oob::OobNumbers>()
        .round::<apart::CountDraws>()
        .exchange::<apart::sums::SumNodes>()
        .exchange::<apart::finish::FinishNodes>()
        .work::<work::GrowTrees>();
}

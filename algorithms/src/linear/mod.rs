//! What the linear learners share: the moments of the features, the scale they are trained on, and the pass that gives
//! loss and gradient of many linear models at once.
//!
//! Every learner works on `z = (x - centre) / spread`, so that features far from zero or of odd units do not spoil the
//! arithmetic; coefficients go back to the units of `x` at the end ([`Scale`]).

pub mod algebra;
mod gram;
mod kernel;
mod moments;
mod objective;
mod product;
mod residual;
mod scale;
mod scorer;
mod sparse;
mod tile;
mod variance;

pub use gram::Gram;
pub use kernel::{Link, LossPass, LossSums, Side};
pub use moments::{Moments, MomentsPass};
pub use objective::{LinearProblems, Solution};
pub use scale::{Penalty, Scale};
pub use scorer::{ClassLink, LinearScorer, RegressionScorer, log_sigmoid, sigmoid};
pub use tile::{Tile, Tiles, dot};
pub(crate) use variance::errors;
pub use variance::information;

use std::collections::BTreeMap;

use emberline_pipeline::Jobs;
use emberline_pipeline::datasets::Slot;

/// Adds the rounds of this module.
pub fn jobs(jobs: &mut Jobs) {
    jobs.round::<gram::SamplePass>()
        .round::<LossPass>()
        .round::<MomentsPass>()
        .round::<variance::InformationPass>();
}

/// Sizes of standardised coefficients, summed by original column, largest first; equal ones in column order.
///
/// `sizes` is `(d,)`: |coefficient| times the feature's standard deviation, over all models of the learner.
#[must_use]
pub fn importances(sizes: &[f64], slots: &[Slot]) -> Vec<(String, f64)> {
    let mut place = BTreeMap::new();
    let mut sums: Vec<(String, f64)> = Vec::new();
    for (slot, size) in slots.iter().zip(sizes) {
        let at = *place.entry(slot.column.as_str()).or_insert_with(|| {
            sums.push((slot.column.clone(), 0.0));
            sums.len() - 1
        });
        sums[at].1 += size;
    }
    // A stable sort keeps column order among equals.
    sums.sort_by(|a, b| b.1.total_cmp(&a.1));
    sums
}

//! `kmeans`: `k` centres with a small summed squared distance to their rows.
//!
//! `fit` is the loop on the driver, `seeding`, `recluster` and `refine` find its first centres, `rounds` says what is computed over all
//! rows, and `kernel` holds the row loops.

mod fit;
mod kernel;
mod model;
mod params;
mod recluster;
mod refine;
mod rounds;
mod seeding;
#[cfg(test)]
mod tests;

use emberline_pipeline::{Entry, Invariance, Traits};

pub use fit::KMeans;
pub use model::KMeansModel;
pub use params::{DistanceMeasure, InitMode, KMeansParams};

/// The registry entry.
pub const ENTRY: Entry = Entry::estimator::<KMeans>().with(Traits {
    uses_seed: true,
    weighted: true,
    accepts_sparse: true,
    falling_objective: true,
    invariant_to: &[Invariance::Similar],
    ..Traits::new("k = 3")
});

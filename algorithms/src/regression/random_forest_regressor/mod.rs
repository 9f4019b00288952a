//! `random_forest_regressor`: many randomised trees whose mean predicts a number.

mod fit;
mod params;

use emberline_pipeline::{Entry, Invariance, Traits};

pub use fit::RandomForestRegressor;
pub use params::RandomForestRegressorParams;

/// The registry entry.
pub const ENTRY: Entry = Entry::estimator::<RandomForestRegressor>().with(Traits {
    uses_seed: true,
    row_order_free: true,
    weighted: true,
    needs_label: true,
    accepts_nan: true,
    accepts_sparse: true,
    invariant_to: &[Invariance::Affine, Invariance::Similar],
    ..Traits::new("num_trees = 8\nmax_depth = 5")
});

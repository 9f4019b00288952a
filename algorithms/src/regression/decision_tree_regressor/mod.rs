//! `decision_tree_regressor`: one tree of yes-no questions that predicts a number.

mod fit;
mod params;

use emberline_pipeline::{Entry, Invariance, Traits};

pub use fit::DecisionTreeRegressor;
pub use params::DecisionTreeRegressorParams;

/// The registry entry.
pub const ENTRY: Entry = Entry::estimator::<DecisionTreeRegressor>().with(Traits {
    row_order_free: true,
    weighted: true,
    needs_label: true,
    accepts_nan: true,
    accepts_sparse: true,
    invariant_to: &[
        Invariance::Monotone,
        Invariance::Affine,
        Invariance::Similar,
    ],
    ..Traits::new("max_depth = 4")
});

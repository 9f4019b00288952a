//! `decision_tree_regressor`: one tree of yes-no questions that predicts a number.

mod fit;
mod params;

use emberline_pipeline::Entry;

pub use fit::DecisionTreeRegressor;
pub use params::DecisionTreeRegressorParams;

/// The registry entry.
pub const ENTRY: Entry = Entry::estimator::<DecisionTreeRegressor>();

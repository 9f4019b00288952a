//! `random_forest_regressor`: many randomised trees whose mean predicts a number.

mod fit;
mod params;

use emberline_pipeline::Entry;

pub use fit::RandomForestRegressor;
pub use params::RandomForestRegressorParams;

/// The registry entry.
pub const ENTRY: Entry = Entry::estimator::<RandomForestRegressor>();

//! `random_forest_classifier`: many randomised trees that vote for a class.

mod fit;
mod params;

use emberline_pipeline::Entry;

pub use fit::RandomForestClassifier;
pub use params::RandomForestClassifierParams;

/// The registry entry.
pub const ENTRY: Entry = Entry::estimator::<RandomForestClassifier>();

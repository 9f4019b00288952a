//! `decision_tree_classifier`: one tree of yes-no questions that predicts a class.

mod fit;
mod params;

use emberline_pipeline::Entry;

pub use fit::DecisionTreeClassifier;
pub use params::DecisionTreeClassifierParams;

/// The registry entry.
pub const ENTRY: Entry = Entry::estimator::<DecisionTreeClassifier>();

//! What a fit of trees holds beside its blocks.

use std::num::NonZero;

use emberline_pipeline::datasets::{ColumnType, Schema};

use super::fit::Learner;
use crate::columns::weight_column;

/// The index of a row in the order of a tree, and how often it was drawn.
const ROW_OF_A_TREE: u64 = 5;

impl Learner<'_> {
    /// Bytes of the table (bins, label, weight and id of each row) and of the rows of the trees that grow at a time, one a core.
    /// `None` where the width is open.
    #[must_use]
    pub fn memory_of(&self, classifier: bool, input: &Schema, rows: u64) -> Option<u64> {
        let width = match input.get(self.columns.features).ok().map(|c| &c.ty) {
            Some(ColumnType::Vector { width, .. }) => (*width)? as u64,
            _ => 0,
        };
        let label = if classifier { 2 } else { 8 };
        let weight = 8 * u64::from(weight_column(self.columns.weight, input).is_some());
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let trees = self.forest.num_trees.min(cores) as u64;
        let row = width + label + weight + 8 + ROW_OF_A_TREE * trees;
        Some(rows.saturating_mul(row))
    }
}

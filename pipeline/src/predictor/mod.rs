//! Fitted predictors: what a kernel that scores one row needs to become a stage.
//!
//! An algorithm writes how one row is scored; columns, original labels, checks, the batch path and the compiled path are
//! the same for all and live here. Batch and record are scored by the same kernel call, so they agree to the bit.

mod classifier;
mod features;
mod scalar;

use emberline_datasets::{Column, Schema, SchemaErrors};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use classifier::{ClassColumns, ClassScorer, ClassifierModel, ScoreClasses, argmax};
pub use features::{FeatureInput, RUN_ROWS, other_slots};
pub use scalar::{RowScorer, ScalarModel};

/// Appends columns to a schema; every name that is taken is reported.
///
/// # Errors
/// [`SchemaError::Exists`](emberline_datasets::SchemaError::Exists) for each.
pub fn extend(schema: &Schema, columns: Vec<Column>) -> Result<Schema, SchemaErrors> {
    let mut out = schema.clone();
    let errors = columns
        .into_iter()
        .filter_map(|c| out.push(c, false).err())
        .collect();
    SchemaErrors::check(errors)?;
    Ok(out)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedPredictor {
    name: String,
    params: Value,
    input: FeatureInput,
    output: Value,
    kernel: Value,
}

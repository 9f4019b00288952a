//! How much memory the training blocks of each learner take.

use emberline_datasets::{ColumnType, Element, Schema};
use serde::Serialize;

use super::leaks::{features_of, is_learner};
use crate::config::Config;
use crate::registry::Kind;

/// The training blocks of one learner.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MemoryPlan {
    /// The learner.
    pub stage: String,
    /// Rows it is trained on, about.
    pub rows: Option<u64>,
    /// Numbers in a row; `None` where only fitting can tell (one-hot before its categories are known).
    pub width: Option<usize>,
    /// Bytes of one number.
    pub element_bytes: u64,
    /// Bytes of all blocks: features, label, weight and row id; `None` where rows or width are unknown.
    pub bytes: Option<u64>,
    /// Whether they spill to disk under the memory limit.
    pub spills: bool,
}

/// One plan a learner. `rows` are those of the source, before the split.
pub(super) fn plans(config: &Config, schemas: &[Schema], rows: Option<u64>) -> Vec<MemoryPlan> {
    let share = config
        .split
        .as_ref()
        .and_then(|s| s.test)
        .map_or(1.0, |t| 1.0 - t);
    let rows = rows.map(|n| (n as f64 * share).round() as u64);
    let learners = config
        .stages
        .iter()
        .enumerate()
        .filter(|(_, s)| is_learner(s));
    learners
        .filter_map(|(i, _)| Some(plan(config, i, schemas.get(i)?, rows)))
        .collect()
}

fn plan(config: &Config, index: usize, schema: &Schema, rows: Option<u64>) -> MemoryPlan {
    let stage = &config.stages[index];
    let features = schema.get(features_of(stage)).ok().map(|c| &c.ty);
    let (width, element_bytes) = match features {
        Some(ColumnType::Vector {
            width,
            element: Element::F32,
            ..
        }) => (*width, 4),
        Some(ColumnType::Vector { width, .. }) => (*width, 8),
        _ => (None, 8),
    };
    let has_label = stage.kind != Kind::Clusterer;
    let own_weight = stage.params.contains_key("weight_col");
    let has_weight = own_weight || schema.roles().weight.is_some();
    // The row id always; label and weight where there are any: eight bytes each.
    let fixed = 8 * (1 + u64::from(has_label) + u64::from(has_weight));
    let bytes = rows.zip(width).map(|(rows, width)| {
        rows.saturating_mul(
            (width as u64)
                .saturating_mul(element_bytes)
                .saturating_add(fixed),
        )
    });
    let limit = config.memory_limit.map(|l| l.0);
    MemoryPlan {
        stage: stage.stage.clone(),
        rows,
        width,
        element_bytes,
        bytes,
        spills: limit.zip(bytes).is_some_and(|(limit, bytes)| bytes > limit),
    }
}

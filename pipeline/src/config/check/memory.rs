//! How much memory a run takes: rows that are kept, training blocks, and what fits hold beside them.

use emberline_datasets::{ColumnType, Element, Schema};
use serde::Serialize;

use super::leaks::{features_of, is_learner};
use crate::config::Config;
use crate::pipeline::Pipeline;
use crate::registry::Kind;
use crate::stage::AnyStage;

/// The process itself: code, threads, the model file while it is written.
const PROCESS: u64 = 16 << 20;
/// Batches on their way from the source to where they are kept, at most; small data have fewer.
const ON_THE_WAY: u64 = 64 << 20;
/// A text that repeats is a code of two bytes, and the texts themselves stand once in thousands of rows.
const TEXT: u64 = 3;
/// A one-hot column of a width that only fitting can tell: the slot that holds the one, and the row's place in the list.
const ONE_OF_MANY: u64 = 8;

/// What one learner takes.
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
    /// Bytes of all blocks: features, label, weight and row id; an estimate where the width is unknown, `None` where rows are.
    pub bytes: Option<u64>,
    /// Bytes that the fit holds beside its blocks; `None` where they depend on a width that only fitting can tell.
    pub working: Option<u64>,
    /// Whether blocks spill to disk under the memory limit.
    pub spills: bool,
}

/// What a run takes.
pub(super) struct Plan {
    pub learners: Vec<MemoryPlan>,
    /// All rows, as they are kept.
    pub cached: Option<u64>,
    /// The most the process will take.
    pub peak: Option<u64>,
}

/// `rows` are those of the source, before the split.
pub(super) fn plan(
    config: &Config,
    pipeline: &Pipeline,
    schemas: &[Schema],
    rows: Option<u64>,
) -> Plan {
    let share = config.split.as_ref().and_then(|s| s.test);
    let share = share.map_or(1.0, |t| 1.0 - t);
    let trained = rows.map(|n| (n as f64 * share).round() as u64);
    let limit = config.run().memory.limit();
    let cached = rows.zip(schemas.first()).map(|(rows, schema)| {
        let kept = crate::train::data_columns(pipeline, schema);
        let columns = kept.iter().map(|c| row_bytes(c, 0, pipeline, schemas));
        rows.saturating_mul(8 + columns.sum::<u64>())
    });
    let kept = limit.map_or(cached, |l| cached.map(|c| c.min(l / 2)));
    let learners: Vec<MemoryPlan> = (0..config.stages.len())
        .filter(|i| is_learner(&config.stages[*i]) && *i < schemas.len())
        .map(|i| learner(config, pipeline, i, schemas, trained))
        .map(|l| {
            let free = limit.map(|l| l.saturating_sub(kept.unwrap_or(0)));
            let bytes = l.bytes.map(|b| b.saturating_add(l.working.unwrap_or(0)));
            MemoryPlan {
                spills: free.zip(bytes).is_some_and(|(free, bytes)| bytes > free),
                ..l
            }
        })
        .collect();
    let most = learners.iter().try_fold(0, |most: u64, l| {
        Some(most.max(l.bytes?.saturating_add(l.working?)))
    });
    let held = kept.zip(most).map(|(kept, most)| kept.saturating_add(most));
    let held = limit.map_or(held, |l| held.map(|h| h.min(l)));
    let peak = held.zip(cached).map(|(held, cached)| {
        held.saturating_add(PROCESS)
            .saturating_add(cached.min(ON_THE_WAY))
    });
    Plan {
        learners,
        cached,
        peak,
    }
}

fn learner(
    config: &Config,
    pipeline: &Pipeline,
    index: usize,
    schemas: &[Schema],
    rows: Option<u64>,
) -> MemoryPlan {
    let (stage, schema) = (&config.stages[index], &schemas[index]);
    let name = features_of(stage);
    let (width, element_bytes) = match schema.get(name).ok().map(|c| &c.ty) {
        Some(ColumnType::Vector { width, element, .. }) => (*width, bytes_of(*element)),
        _ => (None, 8),
    };
    let has_label = stage.kind != Kind::Clusterer;
    let own_weight = stage.params.contains_key("weight_col");
    let has_weight = own_weight || schema.roles().weight.is_some();
    // The row id always; label and weight where there are any: eight bytes each.
    let fixed = 8 * (1 + u64::from(has_label) + u64::from(has_weight));
    let features = row_bytes(name, index, pipeline, schemas);
    let working = match pipeline.stages().get(index) {
        Some(AnyStage::Estimator(e)) => rows.and_then(|rows| e.memory_of_fit(schema, rows)),
        _ => None,
    };
    MemoryPlan {
        stage: stage.stage.clone(),
        rows,
        width,
        element_bytes,
        bytes: rows.map(|rows| rows.saturating_mul(features.saturating_add(fixed))),
        working,
        spills: false,
    }
}

/// Bytes of a column in one row, before stage `before`. A vector whose width is open takes what the columns take that it is made of.
fn row_bytes(column: &str, before: usize, pipeline: &Pipeline, schemas: &[Schema]) -> u64 {
    let Some(found) = schemas.get(before).and_then(|s| s.get(column).ok()) else {
        return 0;
    };
    match &found.ty {
        ColumnType::Boolean => 1,
        ColumnType::Integer | ColumnType::Float | ColumnType::Timestamp => 8,
        ColumnType::Date => 4,
        ColumnType::Text => TEXT,
        ColumnType::Vector {
            width: Some(width),
            element,
            ..
        } => (*width as u64).saturating_mul(bytes_of(*element)),
        ColumnType::Vector { width: None, .. } => {
            let writer = (0..before).rev().find(|i| {
                let stage = pipeline.stages()[*i].stage();
                stage.writes(&schemas[*i]).iter().any(|c| c == column)
            });
            let Some(writer) = writer else {
                return ONE_OF_MANY;
            };
            let read = pipeline.stages()[writer].stage().reads(&schemas[writer]);
            let open = |c: &String| {
                let ty = schemas[writer].get(c).ok().map(|c| c.ty.is_vector());
                ty == Some(true)
            };
            if read.iter().any(open) {
                let parts = read.iter().map(|c| row_bytes(c, writer, pipeline, schemas));
                parts.sum()
            } else {
                ONE_OF_MANY
            }
        }
    }
}

fn bytes_of(element: Element) -> u64 {
    match element {
        Element::F32 => 4,
        Element::F64 => 8,
    }
}

//! Count, mean, spread and range of each slot.

use emberline_pipeline::datasets::numeric::Moments;
use emberline_pipeline::datasets::{Batch, DataError, Dataset};
use emberline_pipeline::{Partial, Result, Round, Run};
use serde::{Deserialize, Serialize};

use super::{for_each_present, no_rows, no_values};
use crate::adapters::slot_names;

/// The moments of each slot of some columns, missing values left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlotMoments {
    /// Number of rows, with or without values.
    pub rows: u64,
    /// One a slot, columns side by side.
    pub slots: Vec<Moments>,
}

impl Partial for SlotMoments {
    fn merge(&mut self, later: Self) {
        self.rows += later.rows;
        for (own, other) in self.slots.iter_mut().zip(&later.slots) {
            own.merge(other);
        }
    }
}

/// Numbers of a slot that are summed together.
const TOGETHER: usize = 512;

#[derive(Serialize, Deserialize)]
pub(super) struct MomentsRound {
    columns: Vec<String>,
    missing: Option<f64>,
}

impl Round for MomentsRound {
    const NAME: &'static str = "stats/moments";
    type Unit = Batch;
    type Partial = SlotMoments;
    type Scratch = ();

    fn map(&self, batch: &Batch, (): &mut ()) -> std::result::Result<SlotMoments, DataError> {
        let mut slots: Vec<Moments> = Vec::new();
        let mut waiting: Vec<Vec<f64>> = Vec::new();
        let width = for_each_present(batch, &self.columns, self.missing, |slot, v| {
            if slots.len() <= slot {
                slots.resize(slot + 1, Moments::default());
                waiting.resize(slot + 1, Vec::new());
            }
            // Rows of vectors come slot by slot; a slot's numbers are summed when there are some.
            let own = &mut waiting[slot];
            own.push(v);
            if own.len() == TOGETHER {
                slots[slot].push_all(own);
                own.clear();
            }
        })?;
        for (slot, rest) in slots.iter_mut().zip(&waiting) {
            slot.push_all(rest);
        }
        slots.resize(width, Moments::default());
        Ok(SlotMoments {
            rows: batch.num_rows() as u64,
            slots,
        })
    }
}

/// The moments of each slot of `columns` (numbers or vectors); values equal to `missing` are left out as nulls are.
///
/// # Errors
/// No rows, an infinite value, or the data cannot be read.
pub fn moments(
    data: &Dataset,
    columns: &[String],
    missing: Option<f64>,
    run: &Run,
) -> Result<SlotMoments> {
    let round = MomentsRound {
        columns: columns.to_vec(),
        missing,
    };
    Ok(run.scan(data, columns, &round)?.ok_or_else(no_rows)?)
}

/// As [`moments`], for slots that must each hold a value.
///
/// # Errors
/// Also a slot without any value.
pub fn present_moments(data: &Dataset, columns: &[String], run: &Run) -> Result<SlotMoments> {
    let found = moments(data, columns, None, run)?;
    if let Some(j) = found.slots.iter().position(|m| m.count() == 0) {
        let name = slot_names(data, columns).swap_remove(j);
        return Err(no_values(&name).into());
    }
    Ok(found)
}

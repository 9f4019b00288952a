//! Range bounds from a keyed sample.

use std::collections::BinaryHeap;

use super::BUCKETS;
use crate::Result;
use crate::dataset::Dataset;
use crate::keys::{Key, KeyColumn};
use crate::parallel::fold_in_order;
use crate::random::Draw;

/// Sampled rows: 256 per range, so that a range's share is off by about a sixteenth (one standard deviation).
const SAMPLE: usize = 256 * BUCKETS;

/// Greatest key of every range but the last, ascending.
pub(super) struct Bounds(Vec<Key>);

impl Bounds {
    /// The quantiles of the rows with the smallest draws: a sample that depends on the row ids alone.
    pub(super) fn sample(data: &Dataset, column: &str) -> Result<Self> {
        let columns = [column.to_owned()];
        let draw = Draw::new(0, "range bounds");
        let keyed = |i: usize| -> Result<Vec<(u64, Key)>> {
            let batch = data.read(i, Some(&columns))?;
            let keys = KeyColumn::of(&batch, column)?;
            let drawn = |(i, id): (usize, &u64)| Some((draw.bits(*id), keys.get(i)?));
            Ok(batch
                .row_ids()
                .iter()
                .enumerate()
                .filter_map(drawn)
                .collect())
        };
        let sample = fold_in_order(
            data.chunks()?.len(),
            keyed,
            BinaryHeap::new(),
            |sample, some| {
                for row in some {
                    // The heap's top is the largest draw kept.
                    if sample.len() < SAMPLE {
                        sample.push(row);
                    } else if sample.peek().is_some_and(|top| row < *top) {
                        sample.pop();
                        sample.push(row);
                    }
                }
            },
        )?;
        let mut keys: Vec<Key> = sample.into_iter().map(|(_, key)| key).collect();
        keys.sort_unstable();
        Ok(Self::quantiles(&keys))
    }

    fn quantiles(sorted: &[Key]) -> Self {
        let mut bounds: Vec<Key> = (1..BUCKETS)
            .filter_map(|q| sorted.get((q * sorted.len() / BUCKETS).checked_sub(1)?))
            .cloned()
            .collect();
        bounds.dedup();
        // Nothing lies beyond the greatest value, if the sample is all there is.
        if bounds.last() == sorted.last() {
            bounds.pop();
        }
        Self(bounds)
    }

    pub(super) fn buckets(&self) -> usize {
        self.0.len() + 1
    }

    /// The range of a key; a missing one belongs to the first.
    pub(super) fn bucket(&self, key: Option<&Key>) -> u32 {
        key.map_or(0, |key| self.0.partition_point(|b| b < key) as u32)
    }
}

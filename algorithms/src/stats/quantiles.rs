//! Exact quantiles: the values of a slot are gathered and sorted.

use emberline_pipeline::datasets::{Batch, DataError, Dataset};
use emberline_pipeline::{Partial, Result, Round, Run};
use serde::{Deserialize, Serialize};

use super::{for_each_present, no_rows};

/// Bytes of values gathered in one pass where the run sets no limit of its own.
const BUDGET: u64 = 512 << 20;

#[derive(Serialize, Deserialize)]
pub(super) struct SlotValues {
    rows: u64,
    slots: Vec<Vec<f64>>,
}

impl Partial for SlotValues {
    fn merge(&mut self, later: Self) {
        self.rows += later.rows;
        for (own, other) in self.slots.iter_mut().zip(later.slots) {
            own.extend(other);
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct ValuesRound {
    columns: Vec<String>,
    missing: Option<f64>,
    first: usize,
    end: usize,
}

impl Round for ValuesRound {
    const NAME: &'static str = "stats/values";
    type Unit = Batch;
    type Partial = SlotValues;
    type Scratch = ();

    fn map(&self, batch: &Batch, (): &mut ()) -> std::result::Result<SlotValues, DataError> {
        let mut slots = vec![Vec::new(); self.end - self.first];
        for_each_present(batch, &self.columns, self.missing, |slot, v| {
            if (self.first..self.end).contains(&slot) {
                slots[slot - self.first].push(v);
            }
        })?;
        Ok(SlotValues {
            rows: batch.num_rows() as u64,
            slots,
        })
    }
}

/// Calls `f(slot, values)` with the present values of each of the `width` slots in ascending order; gives the number of rows.
///
/// Memory: 16 bytes a value, half of them while pieces are brought together. As many slots are gathered in one pass as the run's memory limit leaves free (512 MiB where it has
/// none), so that wide data are read several times and never held whole.
///
/// # Errors
/// No rows, an infinite value, a single slot beyond the memory limit, or what `f` returns.
pub fn sorted_values(
    data: &Dataset,
    columns: &[String],
    missing: Option<f64>,
    width: usize,
    run: &Run,
    mut f: impl FnMut(usize, &[f64]) -> Result<()>,
) -> Result<u64> {
    let rows: u64 = data.chunks()?.iter().map(|c| c.rows as u64).sum();
    let one = (16 * rows).max(1);
    let mut held = run
        .memory
        .hold("one column, sorted for its quantiles,", one)?;
    let others = run.memory.free().unwrap_or(BUDGET) / one;
    let others = others.min(width.saturating_sub(1) as u64);
    let group = if held.grow(others * one) {
        1 + others as usize
    } else {
        1
    };
    let mut seen = 0;
    for first in (0..width).step_by(group) {
        let end = width.min(first + group);
        let round = ValuesRound {
            columns: columns.to_vec(),
            missing,
            first,
            end,
        };
        let gathered = run.scan(data, columns, &round)?.ok_or_else(no_rows)?;
        seen = gathered.rows;
        for (j, mut values) in gathered.slots.into_iter().enumerate() {
            values.sort_unstable_by(f64::total_cmp);
            f(first + j, &values)?;
        }
    }
    Ok(seen)
}

/// The quantile at `p` in `[0, 1]` of ascending values, interpolated between the two nearest (type 7 of Hyndman and Fan 1996,
/// The American Statistician 50(4), the usual default). `None` without values.
#[must_use]
pub fn quantile_linear(sorted: &[f64], p: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = p * last as f64;
    let below = (place.floor() as usize).min(last);
    let above = (below + 1).min(last);
    let share = place - below as f64;
    // Exact at the ends and between equal values.
    Some(sorted[below] + share * (sorted[above] - sorted[below]))
}

/// The least of the ascending values that at least the share `p` of all does not exceed (type 1 of Hyndman and Fan): always one
/// of the values. `None` without values.
#[must_use]
pub fn quantile_lower(sorted: &[f64], p: f64) -> Option<f64> {
    let rank = (p * sorted.len() as f64).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1).min(sorted.len().checked_sub(1)?))
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::floats;

    #[test]
    fn quantiles_of_a_few_numbers_are_those_of_the_definition() {
        let v = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(quantile_linear(&v, 0.5), Some(2.5));
        assert_eq!(quantile_linear(&v, 0.25), Some(1.75));
        assert_eq!(
            (quantile_linear(&v, 0.0), quantile_linear(&v, 1.0)),
            (Some(1.0), Some(4.0))
        );
        assert_eq!(
            (quantile_lower(&v, 0.5), quantile_lower(&v, 0.51)),
            (Some(2.0), Some(3.0))
        );
        assert_eq!(
            (quantile_lower(&v, 0.0), quantile_lower(&v, 1.0)),
            (Some(1.0), Some(4.0))
        );
        assert_eq!(
            (quantile_linear(&[], 0.5), quantile_lower(&[], 0.5)),
            (None, None)
        );
    }

    #[test]
    fn a_small_memory_limit_costs_passes_and_changes_no_value() {
        let (a, b) = (
            floats("a", &[Some(3.0), None, Some(1.0)]),
            floats("b", &[Some(9.0), Some(8.0), Some(7.0)]),
        );
        let data = Dataset::from_columns(vec![a, b]).unwrap();
        let columns = ["a".to_owned(), "b".to_owned()];
        let gather = |limit| {
            let run = Run::local(0, 1).with_memory_limit(limit);
            let mut all = Vec::new();
            sorted_values(&data, &columns, None, 2, &run, |j, v| {
                all.push((j, v.to_vec()));
                Ok(())
            })
            .map(|rows| (rows, all))
        };
        let whole = gather(None).unwrap();
        assert_eq!(
            whole,
            (3, vec![(0, vec![1.0, 3.0]), (1, vec![7.0, 8.0, 9.0])])
        );
        assert_eq!(gather(Some(48)).unwrap(), whole);
        assert!(
            gather(Some(47))
                .unwrap_err()
                .to_string()
                .contains("needs 48 bytes")
        );
    }
}

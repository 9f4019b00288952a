//! What fits of column-wise stages ask of the data: moments, exact quantiles, counts. One pass each, any partition count.

mod counts;
mod moments;
mod quantiles;

use emberline_pipeline::Jobs;
use emberline_pipeline::datasets::{Batch, DataError};

pub use counts::{Counts, count};
pub use moments::{SlotMoments, moments, present_moments};
pub use quantiles::{quantile_linear, quantile_lower, sorted_values};

use crate::adapters::value_name;

/// Adds the rounds of this module.
pub fn jobs(jobs: &mut Jobs) {
    jobs.round::<counts::CountRound>()
        .round::<moments::MomentsRound>()
        .round::<quantiles::ValuesRound>();
}

/// Calls `f(slot, value)` for every number of these columns that is present, column by column; `missing` counts as absent.
/// Gives the number of slots.
///
/// # Errors
/// A column is no number or vector, or holds an infinite value.
fn for_each_present(
    batch: &Batch,
    columns: &[String],
    missing: Option<f64>,
    mut f: impl FnMut(usize, f64),
) -> Result<usize, DataError> {
    let mut start = 0;
    for name in columns {
        let column = batch.schema().get(name)?;
        let refuse = |i: usize, j: usize, value: f64| DataError::NotFinite {
            column: value_name(column, j),
            row: batch.row_ids()[i],
            value,
        };
        if column.ty.is_vector() {
            let vectors = batch.vector(name)?;
            let mut row = vec![0.0; vectors.width()];
            for i in 0..vectors.rows() {
                vectors.read(i, &mut row);
                for (j, v) in row.iter().copied().enumerate() {
                    if v.is_infinite() {
                        return Err(refuse(i, j, v));
                    } else if !v.is_nan() && Some(v) != missing {
                        f(start + j, v);
                    }
                }
            }
            start += vectors.width();
        } else {
            for (i, v) in batch.numbers(name)?.iter().enumerate() {
                match v {
                    Some(v) if v.is_infinite() => return Err(refuse(i, 0, v)),
                    Some(v) if !v.is_nan() && Some(v) != missing => f(start, v),
                    _ => {}
                }
            }
            start += 1;
        }
    }
    Ok(start)
}

/// There is nothing to learn from.
fn no_rows() -> DataError {
    DataError::Unusable("there are no rows to learn from".to_owned())
}

/// A slot without a single value.
pub(crate) fn no_values(name: &str) -> DataError {
    DataError::Unusable(format!(
        "column `{name}` holds no value at all; leave it out of the inputs, or impute it before"
    ))
}

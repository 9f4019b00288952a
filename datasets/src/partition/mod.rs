//! Partitioners: rows with equal keys side by side.
//!
//! Rows are brought into buckets whose number and bounds follow from the data alone: 256 by hash, or up to 256 ranges.
//! Blocks restart at each bucket, and a partition is a run of whole buckets. So equal keys always share a partition, and
//! the number of partitions still changes no bit of any result. (Bringing the rows together changes their order, and with
//! it the last bits of floating sums, once.)

mod bounds;
mod buckets;
mod lazy;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::batch::Batch;
use crate::dataset::Dataset;
use crate::keys::{KeyColumn, check_key};
use crate::options::PartitionBy;
use crate::random::Draw;
use crate::schema::SchemaErrors;
use crate::{DataError, Result};
use bounds::Bounds;
use lazy::PartitionedSource;

/// Buckets by hash, and ranges at most.
pub(crate) const BUCKETS: usize = 256;

/// Which bucket a row belongs to.
enum Rule {
    Hash(Vec<String>),
    Range(String, Bounds),
}

impl Rule {
    fn of(&self, batch: &Batch) -> Result<Vec<u32>> {
        match self {
            Self::Hash(columns) => {
                let draw = Draw::new(0, "partition");
                let mut hashes = vec![draw; batch.num_rows()];
                for column in columns {
                    let keys = KeyColumn::of(batch, column)?;
                    for (i, hash) in hashes.iter_mut().enumerate() {
                        *hash = keys.mix(i, *hash);
                    }
                }
                Ok(hashes.iter().map(|h| (h.bits(0) >> 56) as u32).collect())
            }
            Self::Range(column, bounds) => {
                let keys = KeyColumn::of(batch, column)?;
                Ok((0..batch.num_rows())
                    .map(|i| bounds.bucket(keys.get(i).as_ref()))
                    .collect())
            }
        }
    }
}

impl Dataset {
    /// The rows brought together by `hash` of columns or by `range` of one, kept in memory up to `memory_limit` bytes
    /// (`None`: all) and in a temporary file beyond it.
    ///
    /// Row ids travel with the rows, and inside a bucket rows lie in the order of their ids. Rows whose key is missing
    /// (null or NaN) count as equal; by range they come first. Range bounds come from a sample of up to 65,536 rows that
    /// the row ids choose, as the quantiles of its values.
    ///
    /// - cost: nothing now; at the first use one pass over all columns (two over the key for ranges), and the rows once
    ///   more in memory or on disk
    ///
    /// # Errors
    /// No column is named, one is absent or a vector. At the first use: reading fails, or the temporary file cannot be
    /// written.
    pub fn partition_by(&self, by: &PartitionBy, memory_limit: Option<u64>) -> Result<Self> {
        self.check_partition_by(by)?;
        let source = PartitionedSource::new(self.clone(), by.clone(), memory_limit);
        Ok(Self::new(Arc::new(source)).repartition(self.n_partitions()))
    }

    /// Whether the columns of a partitioner fit, without reading a row.
    ///
    /// # Errors
    /// No column is named, one is absent or a vector.
    pub fn check_partition_by(&self, by: &PartitionBy) -> Result<()> {
        let columns = match by {
            PartitionBy::Hash(columns) => columns.as_slice(),
            PartitionBy::Range(column) => std::slice::from_ref(column),
        };
        if columns.is_empty() {
            return Err(DataError::Unusable(
                "`partition_by = { hash = [...] }` names no column".to_owned(),
            ));
        }
        let faults = columns
            .iter()
            .filter_map(|c| check_key(self.schema(), c).err())
            .collect();
        Ok(SchemaErrors::check(faults)?)
    }
}

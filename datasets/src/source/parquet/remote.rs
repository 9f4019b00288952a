//! Parquet files in an object store: the footer, and of a row group the columns that are wanted, by range.
//!
//! A row group is read in several runs of chunks, by several threads. Its wanted columns are fetched once, into a temporary file with
//! holes, at the places they have in the object: what reads files reads it. A few row groups lie there at a time, on disk and not in
//! memory, since they may have any size.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use parquet::arrow::ProjectionMask;
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use tempfile::NamedTempFile;

use crate::objects::Object;
use crate::{DataError, Result};

/// Bytes from the end that are asked for at first: most footers fit.
const TAIL: u64 = 256 << 10;

/// Bytes between two columns that are rather fetched than asked around.
const GAP: u64 = 512 << 10;

/// The wanted columns of one row group.
#[derive(Debug)]
struct Group {
    ranges: Vec<Range<u64>>,
    /// Held while it is fetched: who wants the same waits.
    file: Mutex<Option<NamedTempFile>>,
}

/// A Parquet file in an object store.
#[derive(Debug)]
pub(super) struct Remote {
    object: Object,
    groups: Mutex<Vec<Arc<Group>>>,
}

impl Remote {
    pub fn new(object: Object) -> Self {
        Self {
            object,
            groups: Mutex::default(),
        }
    }

    /// What the footer says, with the index of pages where there is one.
    pub fn footer(&self) -> Result<std::result::Result<ParquetMetaData, ParquetError>> {
        let len = self.object.len();
        let mut wanted = TAIL;
        loop {
            let start = len.saturating_sub(wanted);
            let tail = self.fetch(std::slice::from_ref(&(start..len)), start)?;
            let mut reader =
                ParquetMetaDataReader::new().with_offset_index_policy(PageIndexPolicy::Optional);
            match reader.try_parse_sized(tail.as_file(), len) {
                Ok(()) => return Ok(reader.finish()),
                Err(ParquetError::NeedMoreData(more)) if start > 0 && more as u64 > wanted => {
                    wanted = more as u64;
                }
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    /// A file that holds the columns of `mask` of a row group, at their places.
    pub fn columns(
        &self,
        metadata: &ParquetMetaData,
        group: usize,
        mask: &ProjectionMask,
    ) -> Result<File> {
        let columns = metadata.row_group(group).columns().iter().enumerate();
        let wanted = columns.filter(|(i, _)| mask.leaf_included(*i));
        let mut ranges = Vec::new();
        for (_, column) in wanted {
            let (start, length) = column.byte_range();
            let end = start.checked_add(length);
            let end = end.filter(|end| *end <= self.object.len());
            let end = end.ok_or_else(|| {
                DataError::format(
                    self.object.url(),
                    "a column lies beyond the end of the file",
                )
            })?;
            ranges.push(start..end);
        }
        let group = self.group(joined(ranges));
        let mut file = group.file.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match &mut *file {
            Some(file) => file,
            none => none.insert(self.fetch(&group.ranges, 0)?),
        };
        file.reopen()
            .map_err(|e| DataError::io("temporary file", e))
    }

    /// The group with these columns; the oldest of many is given up.
    fn group(&self, ranges: Vec<Range<u64>>) -> Arc<Group> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = groups.iter().find(|g| g.ranges == ranges) {
            return found.clone();
        }
        // Threads work on neighbouring runs: on one row group, or on one each.
        if groups.len() > rayon::current_num_threads() {
            groups.remove(0);
        }
        let group = Arc::new(Group {
            ranges,
            file: Mutex::default(),
        });
        groups.push(group.clone());
        group
    }

    /// A file that holds these ranges, `origin` at its start.
    fn fetch(&self, ranges: &[Range<u64>], origin: u64) -> Result<NamedTempFile> {
        let fail = |e| DataError::io("temporary file", e);
        let mut file = NamedTempFile::new().map_err(fail)?;
        for range in ranges {
            let place = SeekFrom::Start(range.start - origin);
            file.seek(place).map_err(fail)?;
            let mut reader = self.object.reader(range.clone());
            // Two places may fail: the store, which says its name, and the disk, which says that it is full.
            std::io::copy(&mut reader, &mut file)
                .map_err(|e| DataError::io(self.object.url(), e))?;
        }
        file.flush().map_err(fail)?;
        Ok(file)
    }
}

/// Ranges in order, those close to each other as one.
fn joined(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_unstable_by_key(|r| r.start);
    let mut out: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match out.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(GAP) => {
                last.end = last.end.max(range.end);
            }
            _ => out.push(range),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_fetched_together_and_what_is_far_apart_is_not() {
        let far = 2 * GAP;
        let ranges = vec![far..far + 1, 10..20, 20..30, 35..40];
        assert_eq!(joined(ranges), [10..40, far..far + 1]);
    }
}

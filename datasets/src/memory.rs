//! Memory under a limit: who holds bytes says so, and gives them back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{DataError, Result};

/// Bytes that may be held in memory by all who share them: cached rows, training blocks, a learner's own tables.
///
/// Clones share one limit. What is counted are the large holdings, not every allocation of a program: batches on their way
/// and results of a few megabytes come on top.
///
/// ```
/// use emberline_datasets::Memory;
/// let memory = Memory::limited(Some(1000));
/// let mut rows = memory.nothing();
/// assert!(rows.grow(800) && !rows.grow(300));
/// drop(rows);
/// assert_eq!(memory.free(), Some(1000));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Memory(Option<Arc<Pool>>);

#[derive(Debug)]
struct Pool {
    limit: u64,
    free: AtomicU64,
    outer: Memory,
}

impl Memory {
    /// At most so many bytes; `None`: no limit.
    #[must_use]
    pub fn limited(bytes: Option<u64>) -> Self {
        Self::default().within(bytes)
    }

    /// A part of this memory, of `1 / parts` of its limit. What it holds counts for the whole as well.
    #[must_use]
    pub fn part(&self, parts: u64) -> Self {
        self.within(self.limit().map(|limit| limit / parts.max(1)))
    }

    fn within(&self, limit: Option<u64>) -> Self {
        Self(limit.map(|limit| {
            Arc::new(Pool {
                limit,
                free: AtomicU64::new(limit),
                outer: self.clone(),
            })
        }))
    }

    /// The limit in bytes, if there is one.
    #[must_use]
    pub fn limit(&self) -> Option<u64> {
        self.0.as_ref().map(|pool| pool.limit)
    }

    /// Bytes that are not held, if there is a limit.
    #[must_use]
    pub fn free(&self) -> Option<u64> {
        let pool = self.0.as_ref()?;
        let own = pool.free.load(Ordering::Relaxed);
        Some(pool.outer.free().map_or(own, |outer| own.min(outer)))
    }

    /// A holding of no bytes, to [`Held::grow`].
    #[must_use]
    pub fn nothing(&self) -> Held {
        Held {
            memory: self.clone(),
            bytes: 0,
        }
    }

    /// A holding of so many bytes for something that cannot do with less.
    ///
    /// # Errors
    /// [`DataError::MemoryLimit`] where fewer are free; `what` names the holding in the message.
    pub fn hold(&self, what: &str, bytes: u64) -> Result<Held> {
        let mut held = self.nothing();
        if held.grow(bytes) {
            return Ok(held);
        }
        let (limit, free) = (self.limit().unwrap_or(0), self.free().unwrap_or(0));
        Err(DataError::MemoryLimit {
            what: what.to_owned(),
            needed: bytes,
            free,
            // Cached rows take half of whatever the limit is.
            raise: limit
                .saturating_add(bytes.saturating_sub(free))
                .max(bytes.saturating_mul(2)),
        })
    }

    fn take(&self, bytes: u64) -> bool {
        let Some(pool) = &self.0 else { return true };
        let less = |free: u64| free.checked_sub(bytes);
        let taken = pool
            .free
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok();
        if taken && !pool.outer.take(bytes) {
            pool.free.fetch_add(bytes, Ordering::Relaxed);
            return false;
        }
        taken
    }

    fn give_back(&self, bytes: u64) {
        if let Some(pool) = &self.0 {
            pool.free.fetch_add(bytes, Ordering::Relaxed);
            pool.outer.give_back(bytes);
        }
    }
}

/// Bytes that are held; given back when this is dropped.
#[derive(Debug)]
pub struct Held {
    memory: Memory,
    bytes: u64,
}

impl Held {
    /// Holds so many bytes more, if they are free.
    #[must_use]
    pub fn grow(&mut self, bytes: u64) -> bool {
        let taken = self.memory.take(bytes);
        if taken {
            self.bytes += bytes;
        }
        taken
    }

    /// Holds so many bytes from now on, if what they are more is free.
    #[must_use]
    pub fn set(&mut self, bytes: u64) -> bool {
        if bytes > self.bytes {
            return self.grow(bytes - self.bytes);
        }
        self.memory.give_back(self.bytes - bytes);
        self.bytes = bytes;
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_counts_for_the_whole_and_what_is_dropped_is_given_back() {
        let whole = Memory::limited(Some(100));
        let part = whole.part(2);
        let mut rows = part.nothing();
        assert!(!rows.grow(60) && rows.grow(50) && !rows.grow(1));
        let mut blocks = whole.nothing();
        assert!(!blocks.grow(51) && blocks.grow(40));
        assert_eq!((part.free(), whole.free()), (Some(0), Some(10)));
        drop(blocks);
        drop(rows);
        assert_eq!((part.free(), whole.free()), (Some(50), Some(100)));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_limit_that_would_do() {
        let memory = Memory::limited(Some(100));
        let _rows = memory.hold("rows", 30).unwrap();
        let error = memory.hold("the table", 90).unwrap_err().to_string();
        assert!(
            error.contains("the table needs 90 bytes") && error.contains("180 bytes"),
            "{error}"
        );
        assert_eq!(memory.free(), Some(70));
        assert!(Memory::default().hold("anything", u64::MAX).is_ok());
    }
}

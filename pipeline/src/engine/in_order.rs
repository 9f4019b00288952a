//! Pieces of work done in any order, with their outputs passed on in index order.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::round::Boxed;
use crate::{Error, Result};

/// Hands out indices and takes outputs back, passing them on in index order.
pub(super) struct InOrder<'a> {
    next: AtomicUsize,
    end: usize,
    failed: AtomicBool,
    arrived: Mutex<Arrived<'a>>,
}

struct Arrived<'a> {
    each: &'a mut (dyn FnMut(Boxed) -> Result<()> + Send),
    passed: usize,
    waiting: BTreeMap<usize, Result<Boxed>>,
    error: Option<Error>,
}

impl<'a> InOrder<'a> {
    /// Hands out these indices and passes outputs on to `each`.
    pub(super) fn new(
        pieces: Range<usize>,
        each: &'a mut (dyn FnMut(Boxed) -> Result<()> + Send),
    ) -> Self {
        let arrived = Arrived {
            each,
            passed: pieces.start,
            waiting: BTreeMap::new(),
            error: None,
        };
        Self {
            next: AtomicUsize::new(pieces.start),
            end: pieces.end,
            failed: AtomicBool::new(false),
            arrived: Mutex::new(arrived),
        }
    }

    /// The next index; `None` when there is none or a piece failed.
    pub(super) fn take(&self) -> Option<usize> {
        if self.failed.load(Ordering::Relaxed) {
            return None;
        }
        Some(self.next.fetch_add(1, Ordering::Relaxed)).filter(|i| *i < self.end)
    }

    /// Takes the output of piece `i` back.
    pub(super) fn give(&self, i: usize, output: Result<Boxed>) {
        if output.is_err() {
            self.failed.store(true, Ordering::Relaxed); // all before `i` are taken already and will arrive
        }
        let mut guard = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let arrived = &mut *guard;
        arrived.waiting.insert(i, output);
        while arrived.error.is_none()
            && let Some(output) = arrived.waiting.remove(&arrived.passed)
        {
            arrived.passed += 1;
            if let Err(error) = output.and_then(&mut *arrived.each) {
                self.failed.store(true, Ordering::Relaxed);
                arrived.error = Some(error);
            }
        }
    }

    /// The error of the lowest index, if any piece failed.
    pub(super) fn finish(self) -> Result<()> {
        let arrived = self
            .arrived
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        arrived.error.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_passed_on_in_index_order_whatever_order_they_come_in() {
        let mut seen = Vec::new();
        let mut each = |boxed: Boxed| {
            seen.push(*boxed.downcast::<usize>().unwrap());
            Ok(())
        };
        let queue = InOrder::new(0..4, &mut each);
        for i in [2, 0, 3, 1] {
            queue.give(i, Ok(Box::new(i)));
        }
        queue.finish().unwrap();
        assert_eq!(seen, [0, 1, 2, 3]);
    }

    #[test]
    fn the_error_of_the_lowest_index_wins_and_no_more_work_is_handed_out() {
        let mut each = |_: Boxed| Ok(());
        let queue = InOrder::new(0..9, &mut each);
        assert_eq!((queue.take(), queue.take()), (Some(0), Some(1)));
        let failure = |i: usize| Err(Error::Engine(format!("piece {i}")));
        queue.give(1, failure(1));
        assert_eq!(queue.take(), None);
        queue.give(0, failure(0));
        assert_eq!(queue.finish().unwrap_err().to_string(), "engine: piece 0");
    }
}

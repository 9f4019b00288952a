//! The training loop: rounds over blocks, and the engines that run them.
//!
//! A round broadcasts a small state, maps every block to a partial, merges the partials, and the driver takes a step. An
//! algorithm states its [`Round`] once and knows nothing of threads, processes or networks.
//!
//! **Equal to the bit.** Partials are merged along one canonical binary tree over block numbers: the node `(level, i)` covers
//! blocks `i * 2^level .. (i + 1) * 2^level` and merges its left child with its right one. The tree depends on the number
//! of blocks alone, so plain floating addition gives the same bits for any number of threads and partitions, and
//! rounding errors grow with the logarithm of the row count. A remote engine gets the same bits by sending, per
//! partition, the partials of the maximal whole subtrees inside it.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use emberline_datasets::{Batch, Block, BlockSpec, DataError, Dataset, Slot};
use rayon::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::run::Run;
use crate::{Error, Result};

/// Sums, counts or other summaries of some blocks.
pub trait Partial: Serialize + DeserializeOwned + Send + 'static {
    /// Adds the summary of later blocks. Must be a pure function of the two; it need not be associative.
    fn merge(&mut self, later: Self);
}

impl<T: Serialize + DeserializeOwned + Send + 'static> Partial for Vec<T> {
    /// Appends: collects per-block results in block order.
    fn merge(&mut self, later: Self) {
        self.extend(later);
    }
}

/// One step of a training loop, the same for every block. Travels by name and bytes, never as a closure.
pub trait Round: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Unique name, `algorithm/step`.
    const NAME: &'static str;
    /// What is mapped: [`Block`] (matrices) or [`Batch`] (columns).
    type Unit;
    /// What a block yields.
    type Partial: Partial;
    /// State kept with a block between rounds (bounds, margins). Must be rebuilt when it is fresh: an engine may drop it.
    type Scratch: Default + Send + 'static;

    /// Summarises one block.
    ///
    /// # Errors
    /// A value that cannot be used.
    fn map(
        &self,
        unit: &Self::Unit,
        scratch: &mut Self::Scratch,
    ) -> std::result::Result<Self::Partial, DataError>;
}

/// Independent pieces of work, each over all blocks (a tree of a forest, a restart).
pub trait Work: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Unique name, `algorithm/work`.
    const NAME: &'static str;
    /// What the pieces share, made once from all blocks (binned columns).
    type Shared: Send + Sync;
    /// What a piece yields.
    type Output: Serialize + DeserializeOwned + Send + 'static;

    /// Prepares the shared data.
    ///
    /// # Errors
    /// A value that cannot be used.
    fn gather(&self, blocks: &[Arc<Block>]) -> std::result::Result<Self::Shared, DataError>;

    /// Does piece `index`.
    ///
    /// # Errors
    /// The piece cannot be done.
    fn run(
        &self,
        index: u64,
        shared: &Self::Shared,
    ) -> std::result::Result<Self::Output, DataError>;
}

/// A value whose type only the round knows.
pub type Boxed = Box<dyn Any + Send>;

/// Object-safe face of [`Round`]; nobody implements it by hand.
pub trait ErasedRound<U>: Send + Sync {
    /// [`Round::NAME`].
    fn name(&self) -> &'static str;
    /// [`Round::map`], with the scratch of this block.
    ///
    /// # Errors
    /// As [`Round::map`].
    fn map_erased(&self, unit: &U, scratch: &mut Option<Boxed>) -> Result<Boxed>;
    /// [`Partial::merge`].
    fn merge_erased(&self, first: Boxed, later: Boxed) -> Boxed;
}

impl<R: Round> ErasedRound<R::Unit> for R {
    fn name(&self) -> &'static str {
        R::NAME
    }

    fn map_erased(&self, unit: &R::Unit, scratch: &mut Option<Boxed>) -> Result<Boxed> {
        let mut own = scratch
            .take()
            .and_then(|b| b.downcast::<R::Scratch>().ok())
            .unwrap_or_default();
        let partial = self.map(unit, &mut own)?;
        *scratch = Some(own);
        Ok(Box::new(partial))
    }

    fn merge_erased(&self, first: Boxed, later: Boxed) -> Boxed {
        match (
            first.downcast::<R::Partial>(),
            later.downcast::<R::Partial>(),
        ) {
            (Ok(mut a), Ok(b)) => {
                a.merge(*b);
                a
            }
            // Both come from `map_erased` of this very type; an engine that mixes rounds up is caught by `downcast`.
            (Err(a), _) => a,
            (Ok(_), Err(b)) => b,
        }
    }
}

/// Object-safe face of [`Work`]; nobody implements it by hand.
pub trait ErasedWork: Send + Sync {
    /// [`Work::NAME`].
    fn name(&self) -> &'static str;
    /// [`Work::gather`].
    ///
    /// # Errors
    /// As [`Work::gather`].
    fn gather_erased(&self, blocks: &[Arc<Block>]) -> Result<Box<dyn Any + Send + Sync>>;
    /// [`Work::run`].
    ///
    /// # Errors
    /// As [`Work::run`].
    fn run_erased(&self, index: u64, shared: &(dyn Any + Send + Sync)) -> Result<Boxed>;
}

impl<W: Work> ErasedWork for W
where
    W::Shared: 'static,
{
    fn name(&self) -> &'static str {
        W::NAME
    }

    fn gather_erased(&self, blocks: &[Arc<Block>]) -> Result<Box<dyn Any + Send + Sync>> {
        Ok(Box::new(self.gather(blocks)?))
    }

    fn run_erased(&self, index: u64, shared: &(dyn Any + Send + Sync)) -> Result<Boxed> {
        let shared = shared
            .downcast_ref::<W::Shared>()
            .ok_or_else(|| mixed_up(W::NAME))?;
        Ok(Box::new(self.run(index, shared)?))
    }
}

fn mixed_up(name: &str) -> Error {
    Error::Engine(format!(
        "the engine handed `{name}` the data of another job"
    ))
}

pub(crate) fn downcast<R: Round>(merged: Option<Boxed>) -> Result<Option<R::Partial>> {
    match merged {
        None => Ok(None),
        Some(boxed) => boxed
            .downcast::<R::Partial>()
            .map(|p| Some(*p))
            .map_err(|_| mixed_up(R::NAME)),
    }
}

pub(crate) fn downcast_output<W: Work>(output: Boxed) -> Result<W::Output> {
    output
        .downcast::<W::Output>()
        .map(|o| *o)
        .map_err(|_| mixed_up(W::NAME))
}

/// An estimator's columns as blocks, kept where the rounds run.
pub struct Pinned {
    blocks: Vec<Arc<Block>>,
    scratch: Vec<Mutex<BTreeMap<&'static str, Option<Boxed>>>>,
    rows: u64,
    width: usize,
    slots: Arc<[Slot]>,
}

impl Pinned {
    /// Pins these blocks, whose features are described by `slots`.
    #[must_use]
    pub fn new(blocks: Vec<Arc<Block>>, slots: Arc<[Slot]>) -> Self {
        let rows = blocks.iter().map(|b| b.n_rows() as u64).sum();
        let width = blocks.first().map_or(slots.len(), |b| b.n_features());
        let scratch = blocks.iter().map(|_| Mutex::default()).collect();
        Self {
            blocks,
            scratch,
            rows,
            width,
            slots,
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn n_rows(&self) -> u64 {
        self.rows
    }

    /// Number of feature slots.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.width
    }

    /// The feature slots, named even where the column came without names.
    #[must_use]
    pub fn slots(&self) -> &Arc<[Slot]> {
        &self.slots
    }

    /// Number of blocks; every one has rows.
    #[must_use]
    pub fn n_blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Block `i`.
    ///
    /// # Errors
    /// It was spilled and cannot be read back.
    pub fn block(&self, i: usize) -> Result<Arc<Block>> {
        self.blocks
            .get(i)
            .cloned()
            .ok_or_else(|| Error::Engine(format!("there is no block {i}")))
    }

    fn map_block(&self, i: usize, round: &dyn ErasedRound<Block>) -> Result<Boxed> {
        let block = self.block(i)?;
        let mut kept = self.scratch[i]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        round.map_erased(&block, kept.entry(round.name()).or_default())
    }
}

/// Where rounds are computed.
pub trait Engine: Send + Sync {
    /// Kind and size, for people: `local, 2 threads`.
    fn describe(&self) -> String;

    /// Materialises blocks; rows are dropped by the dataset's own steps only. Blocks without rows are left out.
    ///
    /// # Errors
    /// The data cannot be read or do not fit `spec`.
    fn pin(&self, data: &Dataset, spec: &BlockSpec, run: &Run) -> Result<Pinned>;

    /// One round over pinned blocks.
    ///
    /// # Errors
    /// A block refuses, or the run was stopped.
    fn over_blocks(
        &self,
        data: &Pinned,
        round: &dyn ErasedRound<Block>,
        run: &Run,
    ) -> Result<Option<Boxed>>;

    /// One pass over the batches of a dataset.
    ///
    /// # Errors
    /// Reading fails, a batch refuses, or the run was stopped.
    fn over_batches(
        &self,
        data: &Dataset,
        columns: &[String],
        round: &dyn ErasedRound<Batch>,
        run: &Run,
    ) -> Result<Option<Boxed>>;

    /// `n` independent pieces of work over all blocks, results in index order.
    ///
    /// # Errors
    /// A piece fails, or the run was stopped.
    fn fan_out(
        &self,
        data: &Pinned,
        work: &dyn ErasedWork,
        n: usize,
        run: &Run,
    ) -> Result<Vec<Boxed>>;
}

/// The engine of one machine: a thread pool.
pub struct Local {
    pool: std::result::Result<rayon::ThreadPool, String>,
    threads: usize,
}

impl Local {
    /// `threads` threads; 0 means one a core.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("emberline-{i}"))
            .build()
            .map_err(|e| format!("cannot start {threads} threads: {e}"));
        let threads = pool
            .as_ref()
            .map_or(threads, rayon::ThreadPool::current_num_threads);
        Self { pool, threads }
    }

    fn install<T: Send>(&self, f: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        match &self.pool {
            Ok(pool) => pool.install(f),
            Err(message) => Err(Error::Engine(message.clone())),
        }
    }
}

impl Engine for Local {
    fn describe(&self) -> String {
        format!(
            "local, {} thread{}",
            self.threads,
            if self.threads == 1 { "" } else { "s" }
        )
    }

    fn pin(&self, data: &Dataset, spec: &BlockSpec, run: &Run) -> Result<Pinned> {
        let columns = spec.columns();
        let n = data.chunks()?.len();
        let read = |i: usize| -> Result<(Option<Block>, Arc<[Slot]>)> {
            run.cancel.check()?;
            let batch = data.read(i, Some(&columns))?;
            let slots = batch
                .schema()
                .get(&spec.features)
                .map(|c| c.slots.clone())
                .unwrap_or_else(|_| Arc::new([]));
            if batch.num_rows() == 0 {
                Ok((None, slots))
            } else {
                Ok((Some(spec.block(&batch)?), slots))
            }
        };
        let parts = self.install(|| {
            (0..n)
                .into_par_iter()
                .map(read)
                .collect::<Vec<_>>()
                .into_iter()
                .collect::<Result<Vec<_>>>()
        })?;
        let slots = parts
            .first()
            .map_or_else(|| Arc::new([]) as Arc<[Slot]>, |(_, s)| s.clone());
        let blocks: Vec<Arc<Block>> = parts
            .into_iter()
            .filter_map(|(b, _)| b.map(Arc::new))
            .collect();
        let width = blocks.first().map_or(slots.len(), |b| b.n_features());
        let slots = if slots.len() == width {
            slots
        } else {
            unnamed_slots(&spec.features, width)
        };
        Ok(Pinned::new(blocks, slots))
    }

    fn over_blocks(
        &self,
        data: &Pinned,
        round: &dyn ErasedRound<Block>,
        run: &Run,
    ) -> Result<Option<Boxed>> {
        self.install(|| {
            reduce(
                data.n_blocks(),
                &|i| {
                    run.cancel.check()?;
                    data.map_block(i, round).map(Some)
                },
                &|a, b| round.merge_erased(a, b),
            )
        })
    }

    fn over_batches(
        &self,
        data: &Dataset,
        columns: &[String],
        round: &dyn ErasedRound<Batch>,
        run: &Run,
    ) -> Result<Option<Boxed>> {
        let n = data.chunks()?.len();
        self.install(|| {
            reduce(
                n,
                &|i| {
                    run.cancel.check()?;
                    let batch = data.read(i, Some(columns))?;
                    if batch.num_rows() == 0 {
                        return Ok(None);
                    }
                    round.map_erased(&batch, &mut None).map(Some)
                },
                &|a, b| round.merge_erased(a, b),
            )
        })
    }

    fn fan_out(
        &self,
        data: &Pinned,
        work: &dyn ErasedWork,
        n: usize,
        run: &Run,
    ) -> Result<Vec<Boxed>> {
        let blocks = (0..data.n_blocks())
            .map(|i| data.block(i))
            .collect::<Result<Vec<_>>>()?;
        self.install(|| {
            let shared = work.gather_erased(&blocks)?;
            let outputs: Vec<Result<Boxed>> = (0..n)
                .into_par_iter()
                .map(|i| {
                    run.cancel.check()?;
                    work.run_erased(i as u64, &*shared)
                })
                .collect();
            outputs.into_iter().collect()
        })
    }
}

/// Slots of a vector column that came without a description.
fn unnamed_slots(column: &str, width: usize) -> Arc<[Slot]> {
    (0..width)
        .map(|j| Slot {
            name: format!("{column}[{j}]"),
            column: column.to_owned(),
            attribute: emberline_datasets::Attribute::Numeric,
        })
        .collect()
}

/// Maps `0..n` and merges along the canonical tree. Of several errors, that of the lowest index is returned.
fn reduce<T: Send>(
    n: usize,
    map: &(impl Fn(usize) -> Result<Option<T>> + Sync),
    merge: &(impl Fn(T, T) -> T + Sync),
) -> Result<Option<T>> {
    fn node<T: Send>(
        start: usize,
        size: usize,
        n: usize,
        map: &(impl Fn(usize) -> Result<Option<T>> + Sync),
        merge: &(impl Fn(T, T) -> T + Sync),
    ) -> Result<Option<T>> {
        if start >= n {
            return Ok(None);
        }
        if size <= 1 {
            return map(start);
        }
        let half = size / 2;
        let (left, right) = rayon::join(
            || node(start, half, n, map, merge),
            || node(start + half, half, n, map, merge),
        );
        Ok(match (left?, right?) {
            (Some(a), Some(b)) => Some(merge(a, b)),
            (one, None) | (None, one) => one,
        })
    }
    node(0, n.next_power_of_two(), n, map, merge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_of_sums_does_not_depend_on_threads() {
        let values: Vec<f64> = (0..1_000).map(|i| 1.0 / (1.0 + f64::from(i))).collect();
        let sum = |threads| {
            Local::new(threads)
                .install(|| reduce(values.len(), &|i| Ok(Some(values[i])), &|a, b| a + b))
                .unwrap()
                .unwrap()
        };
        assert_eq!(sum(1).to_bits(), sum(2).to_bits());
        assert_eq!(sum(1).to_bits(), sum(4).to_bits());
    }

    #[test]
    fn merging_keeps_block_order() {
        let order = Local::new(4).install(|| {
            reduce(37, &|i| Ok((i % 3 != 0).then(|| vec![i])), &|mut a, b| {
                a.extend(b);
                a
            })
        });
        assert_eq!(
            order.unwrap().unwrap(),
            (0..37).filter(|i| i % 3 != 0).collect::<Vec<_>>()
        );
    }

    #[test]
    fn the_error_of_the_first_block_wins() {
        let failed = Local::new(2).install(|| {
            reduce::<()>(
                8,
                &|i| {
                    if i >= 2 {
                        Err(Error::Usage(format!("block {i}")))
                    } else {
                        Ok(None)
                    }
                },
                &|(), ()| (),
            )
        });
        assert_eq!(failed.unwrap_err().to_string(), "block 2");
    }
}

//! What an algorithm states: rounds, fanned-out work, and their object-safe faces.

use std::any::Any;
use std::sync::Arc;

use emberline_datasets::{Block, DataError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bytes::{from_bytes, to_bytes};
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
    /// What is mapped: [`Block`] (matrices) or [`Batch`](emberline_datasets::Batch) (columns).
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

    /// Bytes that a scratch holds: they count as memory of who keeps it.
    fn scratch_bytes(_: &Self::Scratch) -> usize {
        0
    }
}

/// Blocks that are handed out one by one: some may lie on disk, so a caller that keeps them all holds them all.
pub trait BlockSource: Sync {
    /// Number of blocks; every one has rows.
    fn n_blocks(&self) -> usize;

    /// Rows of all blocks.
    fn n_rows(&self) -> u64;

    /// Slots per row; 0 without blocks.
    fn n_features(&self) -> usize;

    /// Block `i`, in row order. Read from disk each time where it was spilled: drop it before asking for the next.
    ///
    /// # Errors
    /// There is no such block, or it was spilled and cannot be read back.
    fn block(&self, i: usize) -> std::result::Result<Arc<Block>, DataError>;
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
    fn gather(&self, blocks: &dyn BlockSource) -> std::result::Result<Self::Shared, DataError>;

    /// Does piece `index`.
    ///
    /// # Errors
    /// The piece cannot be done.
    fn run(
        &self,
        index: u64,
        shared: &Self::Shared,
    ) -> std::result::Result<Self::Output, DataError>;

    /// Bytes of what [`Work::gather`] makes of so many rows, about: they count as memory of who keeps it.
    fn shared_bytes(&self, _rows: u64) -> u64 {
        0
    }
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
    /// [`Round::scratch_bytes`] of a scratch that [`ErasedRound::map_erased`] left.
    fn scratch_bytes_erased(&self, scratch: &Boxed) -> usize;
    /// [`Partial::merge`].
    fn merge_erased(&self, first: Boxed, later: Boxed) -> Boxed;
    /// The round itself as bytes: what is broadcast.
    ///
    /// # Errors
    /// Its state cannot be serialised.
    fn state_bytes(&self) -> Result<Vec<u8>>;
    /// A partial as bytes.
    ///
    /// # Errors
    /// It is of another round, or cannot be serialised.
    fn save_erased(&self, partial: &Boxed) -> Result<Vec<u8>>;
    /// The partial that [`ErasedRound::save_erased`] wrote.
    ///
    /// # Errors
    /// The bytes are no such partial.
    fn load_erased(&self, bytes: &[u8]) -> Result<Boxed>;
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

    fn scratch_bytes_erased(&self, scratch: &Boxed) -> usize {
        scratch.downcast_ref().map_or(0, R::scratch_bytes)
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

    fn state_bytes(&self) -> Result<Vec<u8>> {
        to_bytes(self)
    }

    fn save_erased(&self, partial: &Boxed) -> Result<Vec<u8>> {
        to_bytes(known::<R::Partial>(partial, R::NAME)?)
    }

    fn load_erased(&self, bytes: &[u8]) -> Result<Boxed> {
        Ok(Box::new(from_bytes::<R::Partial>(R::NAME, bytes)?))
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
    fn gather_erased(&self, blocks: &dyn BlockSource) -> Result<Box<dyn Any + Send + Sync>>;
    /// [`Work::shared_bytes`].
    fn shared_bytes(&self, rows: u64) -> u64;
    /// [`Work::run`].
    ///
    /// # Errors
    /// As [`Work::run`].
    fn run_erased(&self, index: u64, shared: &(dyn Any + Send + Sync)) -> Result<Boxed>;
    /// The work itself as bytes.
    ///
    /// # Errors
    /// Its state cannot be serialised.
    fn state_bytes(&self) -> Result<Vec<u8>>;
    /// An output as bytes.
    ///
    /// # Errors
    /// It is of other work, or cannot be serialised.
    fn save_erased(&self, output: &Boxed) -> Result<Vec<u8>>;
    /// The output that [`ErasedWork::save_erased`] wrote.
    ///
    /// # Errors
    /// The bytes are no such output.
    fn load_erased(&self, bytes: &[u8]) -> Result<Boxed>;
}

impl<W: Work> ErasedWork for W
where
    W::Shared: 'static,
{
    fn name(&self) -> &'static str {
        W::NAME
    }

    fn gather_erased(&self, blocks: &dyn BlockSource) -> Result<Box<dyn Any + Send + Sync>> {
        Ok(Box::new(self.gather(blocks)?))
    }

    fn shared_bytes(&self, rows: u64) -> u64 {
        Work::shared_bytes(self, rows)
    }

    fn run_erased(&self, index: u64, shared: &(dyn Any + Send + Sync)) -> Result<Boxed> {
        let shared = shared
            .downcast_ref::<W::Shared>()
            .ok_or_else(|| mixed_up(W::NAME))?;
        Ok(Box::new(self.run(index, shared)?))
    }

    fn state_bytes(&self) -> Result<Vec<u8>> {
        to_bytes(self)
    }

    fn save_erased(&self, output: &Boxed) -> Result<Vec<u8>> {
        to_bytes(known::<W::Output>(output, W::NAME)?)
    }

    fn load_erased(&self, bytes: &[u8]) -> Result<Boxed> {
        Ok(Box::new(from_bytes::<W::Output>(W::NAME, bytes)?))
    }
}

fn known<'a, T: 'static>(boxed: &'a Boxed, name: &str) -> Result<&'a T> {
    boxed.downcast_ref().ok_or_else(|| mixed_up(name))
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

//! Blocks kept where the rounds run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use emberline_datasets::{Block, DataError, Slot};

use super::round::{BlockSource, Boxed, ErasedRound};
use crate::Result;

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
        Ok(BlockSource::block(self, i)?)
    }

    pub(super) fn map_block(&self, i: usize, round: &dyn ErasedRound<Block>) -> Result<Boxed> {
        let block = self.block(i)?;
        let mut kept = self.scratch[i]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        round.map_erased(&block, kept.entry(round.name()).or_default())
    }
}

impl BlockSource for Pinned {
    fn n_blocks(&self) -> usize {
        self.blocks.len()
    }

    fn n_rows(&self) -> u64 {
        self.rows
    }

    fn n_features(&self) -> usize {
        self.width
    }

    fn block(&self, i: usize) -> std::result::Result<Arc<Block>, DataError> {
        self.blocks
            .get(i)
            .cloned()
            .ok_or_else(|| DataError::format("blocks", format!("there is no block {i}")))
    }
}

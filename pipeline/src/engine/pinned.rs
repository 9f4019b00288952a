//! Blocks kept where the rounds run: in memory up to a limit, the others in a temporary file.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use emberline_datasets::spill::{Extent, SpillFile};
use emberline_datasets::{Block, DataError, Held, Memory, Slot};

use super::round::{BlockSource, Boxed, ErasedRound};
use super::spilled::{from_bytes, to_bytes};
use crate::Result;

enum Kept {
    Memory(Arc<Block>),
    Disk(Extent),
}

/// Takes blocks in row order and becomes [`Pinned`].
///
/// A block stays in memory where it fits under the limit beside those before it; the others are written to a temporary
/// file and read back at each use. Every round passes over all blocks in the same order, so keeping the first ones saves
/// as many reads as any rule could: the least recently used block is always the next one needed.
pub struct PinnedBuilder {
    held: Held,
    kept: Vec<Kept>,
    spill: Option<SpillFile>,
    rows: u64,
    width: Option<usize>,
}

impl PinnedBuilder {
    /// Holds as many blocks in memory as are free of it now.
    #[must_use]
    pub fn new(memory: &Memory) -> Self {
        Self {
            held: memory.nothing(),
            kept: Vec::new(),
            spill: None,
            rows: 0,
            width: None,
        }
    }

    /// Adds the next block, which has rows.
    ///
    /// # Errors
    /// The temporary file cannot be written.
    pub fn push(&mut self, block: Block) -> Result<()> {
        self.rows += block.n_rows() as u64;
        self.width.get_or_insert(block.n_features());
        if self.held.grow(block.memory() as u64) {
            self.kept.push(Kept::Memory(Arc::new(block)));
            return Ok(());
        }
        let spill = match self.spill.take() {
            Some(spill) => spill,
            None => SpillFile::new()?,
        };
        let extent = spill.append(&to_bytes(&block));
        self.spill = Some(spill);
        self.kept.push(Kept::Disk(extent?));
        Ok(())
    }

    /// Slots per row, once a block has told.
    #[must_use]
    pub fn n_features(&self) -> Option<usize> {
        self.width
    }

    /// The pinned blocks, whose features are described by `slots`.
    #[must_use]
    pub fn finish(self, slots: Arc<[Slot]>) -> Pinned {
        Pinned {
            rows: self.rows,
            width: self.width.unwrap_or(slots.len()),
            slots,
            home: Home::Here(Here {
                scratch: self.kept.iter().map(|_| Mutex::default()).collect(),
                blocks: self.kept,
                _held: self.held,
                spill: self.spill,
            }),
        }
    }
}

/// An estimator's columns as blocks, kept where the rounds run.
pub struct Pinned {
    rows: u64,
    width: usize,
    slots: Arc<[Slot]>,
    home: Home,
}

enum Home {
    Here(Here),
    Elsewhere(Arc<dyn Elsewhere>),
}

/// Blocks of this process.
struct Here {
    blocks: Vec<Kept>,
    _held: Held,
    spill: Option<SpillFile>,
    scratch: Vec<Mutex<BTreeMap<&'static str, Option<Boxed>>>>,
}

/// Blocks that other processes keep; the engine that pinned them knows how to reach them.
pub(super) trait Elsewhere: BlockSource + Send {
    fn as_any(&self) -> &dyn Any;
}

impl Pinned {
    /// Pins these blocks in memory; their features are described by `slots`.
    #[must_use]
    pub fn new(blocks: Vec<Arc<Block>>, slots: Arc<[Slot]>) -> Self {
        Self {
            rows: blocks.iter().map(|b| b.n_rows() as u64).sum(),
            width: blocks.first().map_or(slots.len(), |b| b.n_features()),
            slots,
            home: Home::Here(Here {
                scratch: blocks.iter().map(|_| Mutex::default()).collect(),
                blocks: blocks.into_iter().map(Kept::Memory).collect(),
                _held: Memory::default().nothing(),
                spill: None,
            }),
        }
    }

    pub(super) fn elsewhere(blocks: Arc<dyn Elsewhere>, slots: Arc<[Slot]>) -> Self {
        Self {
            rows: blocks.n_rows(),
            width: blocks.n_features(),
            slots,
            home: Home::Elsewhere(blocks),
        }
    }

    /// The blocks as the engine that pinned them elsewhere knows them.
    pub(super) fn kept_by<T: Elsewhere + 'static>(&self) -> Option<&T> {
        match &self.home {
            Home::Here(_) => None,
            Home::Elsewhere(blocks) => blocks.as_any().downcast_ref(),
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
        match &self.home {
            Home::Here(here) => here.blocks.len(),
            Home::Elsewhere(blocks) => blocks.n_blocks(),
        }
    }

    /// Number of blocks of this process that lie on disk.
    #[must_use]
    pub fn n_spilled(&self) -> usize {
        match &self.home {
            Home::Here(here) => {
                let on_disk = |k: &&Kept| matches!(k, Kept::Disk(_));
                here.blocks.iter().filter(on_disk).count()
            }
            Home::Elsewhere(_) => 0,
        }
    }

    /// Block `i`; read from disk each time where it was spilled, and made anew where other processes keep it.
    ///
    /// # Errors
    /// It was spilled and cannot be read back.
    pub fn block(&self, i: usize) -> Result<Arc<Block>> {
        Ok(BlockSource::block(self, i)?)
    }

    pub(super) fn map_block(&self, i: usize, round: &dyn ErasedRound<Block>) -> Result<Boxed> {
        let block = self.block(i)?;
        let Home::Here(here) = &self.home else {
            return round.map_erased(&block, &mut None);
        };
        let mut kept = here.scratch[i]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        round.map_erased(&block, kept.entry(round.name()).or_default())
    }
}

impl BlockSource for Pinned {
    fn n_blocks(&self) -> usize {
        Self::n_blocks(self)
    }

    fn n_rows(&self) -> u64 {
        self.rows
    }

    fn n_features(&self) -> usize {
        self.width
    }

    fn block(&self, i: usize) -> std::result::Result<Arc<Block>, DataError> {
        let here = match &self.home {
            Home::Here(here) => here,
            Home::Elsewhere(blocks) => return blocks.block(i),
        };
        match (here.blocks.get(i), &here.spill) {
            (Some(Kept::Memory(block)), _) => Ok(block.clone()),
            (Some(Kept::Disk(extent)), Some(spill)) => {
                Ok(Arc::new(from_bytes(&spill.read(*extent)?)?))
            }
            _ => Err(DataError::format(
                "blocks",
                format!("there is no block {i}"),
            )),
        }
    }
}

/// Slots of a vector column that came without a description.
pub(super) fn unnamed_slots(column: &str, width: usize) -> Arc<[Slot]> {
    (0..width)
        .map(|j| Slot {
            name: format!("{column}[{j}]"),
            column: column.to_owned(),
            attribute: emberline_datasets::Attribute::Numeric,
        })
        .collect()
}

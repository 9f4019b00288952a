//! Blocks kept where the rounds run: in memory up to a limit, the others in a temporary file.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use emberline_datasets::spill::{Extent, SpillFile};
use emberline_datasets::{Block, DataError, Held, Memory, Slot};

use super::round::{BlockSource, Boxed, ErasedRound};
use super::spilled::{from_bytes, to_bytes};
use crate::Result;

enum Kept {
    Memory { block: Arc<Block>, _held: Held },
    Disk(Extent),
}

/// What the rounds of a name remember of a block, and its bytes.
type Scratch = (Option<Boxed>, Held);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes blocks in row order and becomes [`Pinned`].
///
/// A block stays in memory where it fits under the limit beside those before it; the others are written to a temporary
/// file and read back at each use. Every round passes over all blocks in the same order, so keeping the first ones saves
/// as many reads as any rule could: the least recently used block is always the next one needed.
pub struct PinnedBuilder {
    here: Here,
    rows: u64,
    width: Option<usize>,
}

impl PinnedBuilder {
    /// Holds as many blocks in memory as are free of it now.
    #[must_use]
    pub fn new(memory: &Memory) -> Self {
        Self {
            here: Here::new(memory.clone()),
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
        let mut held = self.here.memory.nothing();
        let kept = if held.grow(block.memory() as u64) {
            Kept::Memory {
                block: Arc::new(block),
                _held: held,
            }
        } else {
            Kept::Disk(self.here.write(&block)?)
        };
        self.here.push(kept);
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
            home: Home::Here(self.here),
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
    memory: Memory,
    blocks: Vec<Mutex<Kept>>,
    scratch: Vec<Mutex<BTreeMap<&'static str, Scratch>>>,
    spill: OnceLock<SpillFile>,
}

impl Here {
    fn new(memory: Memory) -> Self {
        Self {
            memory,
            blocks: Vec::new(),
            scratch: Vec::new(),
            spill: OnceLock::new(),
        }
    }

    fn push(&mut self, kept: Kept) {
        self.blocks.push(Mutex::new(kept));
        self.scratch.push(Mutex::default());
    }

    fn write(&self, block: &Block) -> std::result::Result<Extent, DataError> {
        let spill = match self.spill.get() {
            Some(spill) => spill,
            None => {
                let fresh = SpillFile::new()?;
                self.spill.get_or_init(|| fresh)
            }
        };
        spill.append(&to_bytes(block))
    }

    /// Writes the last block that lies in memory to disk; false where there is none.
    fn spill_one(&self) -> std::result::Result<bool, DataError> {
        for kept in self.blocks.iter().rev() {
            let mut kept = lock(kept);
            if let Kept::Memory { block, .. } = &*kept {
                *kept = Kept::Disk(self.write(block)?);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn block(&self, i: usize) -> std::result::Result<Arc<Block>, DataError> {
        let extent = match self.blocks.get(i).map(lock).as_deref() {
            Some(Kept::Memory { block, .. }) => return Ok(block.clone()),
            Some(Kept::Disk(extent)) => Some(*extent),
            None => None,
        };
        match (extent, self.spill.get()) {
            (Some(extent), Some(spill)) => Ok(Arc::new(from_bytes(&spill.read(extent)?)?)),
            _ => Err(DataError::format(
                "blocks",
                format!("there is no block {i}"),
            )),
        }
    }

    /// Maps block `i`. What the round remembers of it counts as memory too. It takes less than the block and saves more than
    /// reading one, so blocks give way to it; where nothing is left to give way, it is forgotten.
    fn map(&self, i: usize, round: &dyn ErasedRound<Block>) -> Result<Boxed> {
        let block = self.block(i)?;
        let mut scratch = lock(&self.scratch[i]);
        let (kept, held) = scratch
            .entry(round.name())
            .or_insert_with(|| (None, self.memory.nothing()));
        let partial = round.map_erased(&block, kept)?;
        drop(block);
        let bytes = kept
            .as_ref()
            .map_or(0, |kept| round.scratch_bytes_erased(kept));
        while !held.set(bytes as u64) {
            if !self.spill_one()? {
                *kept = None;
                let _ = held.set(0);
                break;
            }
        }
        Ok(partial)
    }
}

/// Blocks that other processes keep; the engine that pinned them knows how to reach them.
pub(super) trait Elsewhere: BlockSource + Send {
    fn as_any(&self) -> &dyn Any;
}

impl Pinned {
    /// Pins these blocks in memory; their features are described by `slots`.
    #[must_use]
    pub fn new(blocks: Vec<Arc<Block>>, slots: Arc<[Slot]>) -> Self {
        let mut here = Here::new(Memory::default());
        for block in &blocks {
            here.push(Kept::Memory {
                block: block.clone(),
                _held: here.memory.nothing(),
            });
        }
        Self {
            rows: blocks.iter().map(|b| b.n_rows() as u64).sum(),
            width: blocks.first().map_or(slots.len(), |b| b.n_features()),
            slots,
            home: Home::Here(here),
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
                let on_disk = |k: &&Mutex<Kept>| matches!(*lock(k), Kept::Disk(_));
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

    /// Writes a block of this process that lies in memory to disk; false where there is none.
    pub(super) fn spill_one(&self) -> Result<bool> {
        match &self.home {
            Home::Here(here) => Ok(here.spill_one()?),
            Home::Elsewhere(_) => Ok(false),
        }
    }

    pub(super) fn map_block(&self, i: usize, round: &dyn ErasedRound<Block>) -> Result<Boxed> {
        match &self.home {
            Home::Here(here) => here.map(i, round),
            Home::Elsewhere(blocks) => round.map_erased(&*blocks.block(i)?, &mut None),
        }
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
        match &self.home {
            Home::Here(here) => here.block(i),
            Home::Elsewhere(blocks) => blocks.block(i),
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

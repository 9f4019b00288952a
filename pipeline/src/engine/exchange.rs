//! Rounds whose results are too large to be merged in one place: what blocks send is brought together by group, each group somewhere.

use std::ops::Range;
use std::sync::Arc;

use emberline_datasets::{Block, DataError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bytes::{from_bytes, to_bytes};
use super::round::BlockSource;
use crate::Result;

/// A run of blocks, as a source of its own.
pub(super) struct Stretch<'a> {
    pub source: &'a dyn BlockSource,
    pub blocks: Range<usize>,
    pub rows: u64,
}

impl BlockSource for Stretch<'_> {
    fn n_blocks(&self) -> usize {
        self.blocks.len()
    }

    fn n_rows(&self) -> u64 {
        self.rows
    }

    fn n_features(&self) -> usize {
        self.source.n_features()
    }

    fn block(&self, i: usize) -> std::result::Result<Arc<Block>, DataError> {
        self.source.block(self.blocks.start + i)
    }
}

/// A round that exchanges: each part of the blocks sends something to every group, and a group makes its output from what all parts
/// sent. Travels by name and bytes, never as a closure.
///
/// How blocks are dealt to parts is the engine's affair. So an output must not depend on it: sums must be exact (integers), and
/// what is joined must be joined in the order of the parts, which is that of their rows.
pub trait Exchange: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Unique name, `algorithm/exchange`.
    const NAME: &'static str;
    /// What a part sends to a group.
    type Piece: Serialize + DeserializeOwned + Send;
    /// What becomes of a group.
    type Output: Serialize + DeserializeOwned;

    /// Number of groups.
    fn n_groups(&self) -> usize;

    /// What these blocks send, a piece a group.
    ///
    /// # Errors
    /// A value that cannot be used, or blocks that cannot be read back.
    fn scatter(&self, blocks: &dyn BlockSource) -> Result<Vec<Self::Piece>>;

    /// The output of a group, from the pieces of all parts in row order.
    ///
    /// # Errors
    /// The output cannot be made.
    fn gather(&self, group: usize, pieces: Vec<Self::Piece>) -> Result<Self::Output>;

    /// Bytes that [`Exchange::scatter`] makes of so many rows before it sends anything, about: they count as memory meanwhile.
    fn scatter_bytes(&self, _rows: u64) -> u64 {
        0
    }
}

/// Object-safe face of [`Exchange`], in bytes; nobody implements it by hand.
pub trait ErasedExchange: Send + Sync {
    /// [`Exchange::NAME`].
    fn name(&self) -> &'static str;
    /// [`Exchange::n_groups`].
    fn n_groups(&self) -> usize;
    /// The exchange itself: what is broadcast.
    ///
    /// # Errors
    /// Its state cannot be serialised.
    fn state_bytes(&self) -> Result<Vec<u8>>;
    /// [`Exchange::scatter_bytes`].
    fn scatter_bytes(&self, rows: u64) -> u64;
    /// [`Exchange::scatter`].
    ///
    /// # Errors
    /// As [`Exchange::scatter`].
    fn scatter_erased(&self, blocks: &dyn BlockSource) -> Result<Vec<Vec<u8>>>;
    /// [`Exchange::gather`].
    ///
    /// # Errors
    /// As [`Exchange::gather`], or the bytes are no pieces of this exchange.
    fn gather_erased(&self, group: usize, pieces: &[&[u8]]) -> Result<Vec<u8>>;
}

impl<X: Exchange> ErasedExchange for X {
    fn name(&self) -> &'static str {
        X::NAME
    }

    fn n_groups(&self) -> usize {
        Exchange::n_groups(self)
    }

    fn state_bytes(&self) -> Result<Vec<u8>> {
        to_bytes(self)
    }

    fn scatter_bytes(&self, rows: u64) -> u64 {
        Exchange::scatter_bytes(self, rows)
    }

    fn scatter_erased(&self, blocks: &dyn BlockSource) -> Result<Vec<Vec<u8>>> {
        self.scatter(blocks)?.iter().map(to_bytes).collect()
    }

    fn gather_erased(&self, group: usize, pieces: &[&[u8]]) -> Result<Vec<u8>> {
        let pieces = pieces
            .iter()
            .map(|bytes| from_bytes(X::NAME, bytes))
            .collect::<Result<_>>()?;
        to_bytes(&self.gather(group, pieces)?)
    }
}

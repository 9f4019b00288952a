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
mod bytes;
mod exchange;
mod in_order;
mod jobs;
pub mod journal;
mod local;
mod pinned;
pub mod remote;
mod round;
mod spilled;
mod tree;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use emberline_datasets::write::Manifest;
use emberline_datasets::{Batch, Block, BlockSpec, Dataset, Format, Memory};

use crate::Result;
use crate::run::Run;

pub use bytes::{from_bytes, to_bytes};
pub use exchange::{ErasedExchange, Exchange};
pub use jobs::{Jobs, UNKNOWN_JOB, Unit};
pub use local::Local;
pub use pinned::{Pinned, PinnedBuilder};
pub use remote::Remote;
pub use round::{BlockSource, Boxed, ErasedRound, ErasedWork, Partial, Round, Work};
pub(crate) use round::{downcast, downcast_output};

/// Where rounds are computed.
pub trait Engine: Send + Sync {
    /// Kind and size, for people: `local, 2 threads`.
    fn describe(&self) -> String;

    /// Keeps the rows of datasets that will be read several times, the named columns of each, within `memory` and beyond it on disk:
    /// as [`Dataset::cache_parts`], or where an engine's own processes read them.
    ///
    /// # Errors
    /// Reading fails, or a step refuses a value.
    fn cache(&self, parts: &[Dataset], columns: &[String], memory: &Memory)
    -> Result<Vec<Dataset>>;

    /// Materialises blocks, within `run.memory` and beyond it on disk; rows are dropped by the dataset's own steps only. Blocks without rows are left out.
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

    /// Hands all batches of a dataset to `each` in order, read and transformed several at a time; what `each` refuses ends it.
    ///
    /// # Errors
    /// Reading fails, `each` refuses, or the run was stopped.
    fn each_batch(
        &self,
        data: &Dataset,
        run: &Run,
        each: &mut (dyn FnMut(Batch) -> Result<()> + Send),
    ) -> Result<()>;

    /// Writes all rows of a dataset into a folder, a file a partition, committed by one manifest. Row order is that of the files.
    ///
    /// # Errors
    /// Reading or writing fails, or the run was stopped.
    fn write_parts(
        &self,
        data: &Dataset,
        folder: &Path,
        format: Format,
        run: &Run,
    ) -> Result<Manifest>;

    /// Independent pieces of work over all blocks, those of these indices. The blocks are let go as soon as what the pieces share
    /// is gathered: a caller that has no further use for them hands over the only reference. Each output is handed to `each` in
    /// index order, as soon as it and all before it are there; what `each` refuses ends the work.
    ///
    /// # Errors
    /// A piece fails (of several, the lowest index is told), or the run was stopped.
    fn fan_out(
        &self,
        data: Arc<Pinned>,
        work: &dyn ErasedWork,
        pieces: Range<usize>,
        run: &Run,
        each: &mut (dyn FnMut(Boxed) -> Result<()> + Send),
    ) -> Result<()>;

    /// Bytes that each of several processes may keep, where it is asked to gather all blocks for work; `None` where there is one
    /// process, or no limit.
    ///
    /// # Errors
    /// The processes cannot be asked.
    fn room(&self) -> Result<Option<u64>>;

    /// An exchange between the pinned blocks and its groups; the outputs of all groups, in order, as bytes.
    ///
    /// # Errors
    /// A block refuses, an output cannot be made, or the run was stopped.
    fn exchange(
        &self,
        data: &Pinned,
        exchange: &dyn ErasedExchange,
        run: &Run,
    ) -> Result<Vec<Vec<u8>>>;
}

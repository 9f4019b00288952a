//! Checkpoints: a journal of what the rounds of a run gave, from which a run that was killed goes on.
//!
//! A learner's driver is a pure function of the results of its rounds. So nothing of the driver is saved: [`Journal`] stands before
//! the real engine, writes down each merged partial and each finished piece of work, and hands them out again in a run
//! that resumes. The driver then walks the same path to where the journal ends, without reading the data, and the rounds go on
//! from there. Every learner has checkpoints this way, those of other crates too, and the resumed model is equal to the byte.
//!
//! Size: what the rounds merge (k-means `k (d + 1)` numbers a round, a linear model `d + 1` a class and pass, a forest each tree
//! once). Results beyond [`LARGEST`] are computed again instead.

mod file;
mod same_run;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use emberline_datasets::files::{self, Disk, RealDisk};
use emberline_datasets::write::Manifest;
use emberline_datasets::{Batch, Block, BlockSpec, Dataset, Format, Memory};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::bytes::{from_bytes, to_bytes};
use super::{Boxed, Engine, ErasedExchange, ErasedRound, ErasedWork, Pinned};
use crate::run::Run;
use crate::{Error, Result};
use file::{Entry, Log};

/// Bytes of the largest result that is written down: what is larger (all values of a column, say) is read again instead.
pub const LARGEST: usize = 64 << 20;

/// Where a run writes its checkpoint, and how often.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoints {
    /// The file; removed by the caller, through [`Journal::discard`], once the model is saved.
    pub path: PathBuf,
    /// Work that is done again after a kill, at most; zero writes after every round.
    pub interval: Duration,
    /// Go on from the file where there is one; else it is replaced.
    pub resume: bool,
    /// Whether the run may replace an existing model: kept, so that the resumed run may do so too.
    pub overwrite: bool,
}

impl Checkpoints {
    /// The file that belongs to a model file: beside it, `NAME.ember.checkpoint`; for a model in an object store in the working folder
    /// ([`files::beside`]).
    #[must_use]
    pub fn path_of(model: &Path) -> PathBuf {
        files::beside(model, ".checkpoint")
    }
}

/// What must be the same for a run to go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The config in canonical form, without what changes no result; empty for a script.
    pub config: String,
    /// Digest of the training rows.
    pub data: String,
    /// Version of the program.
    pub version: String,
    /// Instruction set: sums may differ between two of them.
    pub simd: String,
    /// Whether the interrupted run may replace a model file.
    pub overwrite: bool,
}

/// An engine that writes down what another engine gives, and hands out what was written down before.
pub struct Journal {
    inner: Arc<dyn Engine>,
    log: Mutex<Log>,
}

impl Journal {
    /// Opens the journal of a run before `inner`.
    ///
    /// # Errors
    /// The file cannot be written, another process holds it, or it belongs to another config, other data or another
    /// program: the message says which.
    pub fn open(
        inner: Arc<dyn Engine>,
        checkpoints: &Checkpoints,
        identity: &Identity,
    ) -> Result<Self> {
        Self::open_on(Arc::new(RealDisk), inner, checkpoints, identity)
    }

    /// As [`Journal::open`], through another disk.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        inner: Arc<dyn Engine>,
        checkpoints: &Checkpoints,
        identity: &Identity,
    ) -> Result<Self> {
        let log = Log::open(disk, checkpoints, identity)?;
        Ok(Self {
            inner,
            log: Mutex::new(log),
        })
    }

    /// Whose journal lies at `path`; `None` where there is none, or a kill came before its header was whole.
    ///
    /// # Errors
    /// The file cannot be read, or is none of this version's.
    pub fn left_by(path: &Path) -> Result<Option<Identity>> {
        file::identity(path)
    }

    /// Writes what was not written yet. To be called when a run stops early.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn flush(&self) -> Result<()> {
        self.log().flush()
    }

    /// Removes the file: the run has ended, well or for good. Until then no other process can take it up.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn discard(&self) -> Result<()> {
        self.log().discard()
    }

    /// Whether there was a run to go on from.
    #[must_use]
    pub fn resumed(&self) -> bool {
        self.log().resumed()
    }

    /// Rounds and pieces of work that were taken from the file.
    #[must_use]
    pub fn n_replayed(&self) -> u64 {
        self.log().n_replayed()
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The result of a round: from the journal, else from `compute`.
    fn round<U>(
        &self,
        round: &dyn ErasedRound<U>,
        compute: impl FnOnce() -> Result<Option<Boxed>>,
    ) -> Result<Option<Boxed>> {
        let key = key(round.name(), &round.state_bytes()?);
        match self.log().replay(&key)? {
            Some(Entry::Nothing) => return Ok(None),
            Some(Entry::Result(bytes)) => {
                return round.load_erased(&bytes).map(Some).map_err(start_anew);
            }
            Some(Entry::TooLarge) => return compute(),
            None => {}
        }
        let result = compute()?;
        let entry = match &result {
            None => Entry::Nothing,
            Some(partial) => Entry::of(round.save_erased(partial)?),
        };
        self.log().append(&key, &entry)?;
        Ok(result)
    }
}

impl Journal {
    /// As [`Journal::round`], for what is bytes already or nearly so.
    fn bytes<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        state: &[u8],
        compute: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let key = key(name, state);
        match self.log().replay(&key)? {
            Some(Entry::Result(bytes)) => return from_bytes(name, &bytes).map_err(start_anew),
            Some(Entry::Nothing | Entry::TooLarge) => return compute(),
            None => {}
        }
        let result = compute()?;
        self.log().append(&key, &Entry::of(to_bytes(&result)?))?;
        Ok(result)
    }
}

/// What a record is for: the name of a round and a digest of its state, so that a journal never answers another question.
fn key(name: &str, state: &[u8]) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update((name.len() as u64).to_le_bytes());
    hash.update(name);
    hash.update(state);
    let mut key = [0; 16];
    key.copy_from_slice(&hash.finalize()[..16]);
    key
}

impl Engine for Journal {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn cache(
        &self,
        parts: &[Dataset],
        columns: &[String],
        memory: &Memory,
    ) -> Result<Vec<Dataset>> {
        self.inner.cache(parts, columns, memory)
    }

    fn pin(&self, data: &Dataset, spec: &BlockSpec, run: &Run) -> Result<Pinned> {
        self.inner.pin(data, spec, run)
    }

    fn over_blocks(
        &self,
        data: &Pinned,
        round: &dyn ErasedRound<Block>,
        run: &Run,
    ) -> Result<Option<Boxed>> {
        self.round(round, || self.inner.over_blocks(data, round, run))
    }

    fn over_batches(
        &self,
        data: &Dataset,
        columns: &[String],
        round: &dyn ErasedRound<Batch>,
        run: &Run,
    ) -> Result<Option<Boxed>> {
        self.round(round, || self.inner.over_batches(data, columns, round, run))
    }

    fn each_batch(
        &self,
        data: &Dataset,
        run: &Run,
        each: &mut (dyn FnMut(Batch) -> Result<()> + Send),
    ) -> Result<()> {
        self.inner.each_batch(data, run, each)
    }

    fn write_parts(
        &self,
        data: &Dataset,
        folder: &Path,
        format: Format,
        run: &Run,
    ) -> Result<Manifest> {
        self.inner.write_parts(data, folder, format, run)
    }

    fn fan_out(
        &self,
        data: Arc<Pinned>,
        work: &dyn ErasedWork,
        pieces: Range<usize>,
        run: &Run,
        each: &mut (dyn FnMut(Boxed) -> Result<()> + Send),
    ) -> Result<()> {
        let state = work.state_bytes()?;
        let key = |i: usize| {
            key(
                work.name(),
                &[&state[..], &(i as u64).to_le_bytes()].concat(),
            )
        };
        let mut next = pieces.start;
        while next < pieces.end {
            let Some(entry) = self.log().replay(&key(next))? else {
                break;
            };
            match entry {
                Entry::Result(bytes) => each(work.load_erased(&bytes).map_err(start_anew)?)?,
                Entry::Nothing | Entry::TooLarge => {
                    let blocks = data.clone();
                    self.inner
                        .fan_out(blocks, work, next..next + 1, run, each)?;
                }
            }
            next += 1;
        }
        if next == pieces.end {
            return Ok(());
        }
        let log = &self.log;
        self.inner
            .fan_out(data, work, next..pieces.end, run, &mut |output| {
                let entry = Entry::of(work.save_erased(&output)?);
                each(output)?;
                let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                log.append(&key(next), &entry)?;
                next += 1;
                Ok(())
            })
    }

    /// Written down too: what is done where depends on it, and so does what is asked next.
    fn room(&self) -> Result<Option<u64>> {
        self.bytes("engine/room", &[], || self.inner.room())
    }

    fn exchange(
        &self,
        data: &Pinned,
        exchange: &dyn ErasedExchange,
        run: &Run,
    ) -> Result<Vec<Vec<u8>>> {
        self.bytes(exchange.name(), &exchange.state_bytes()?, || {
            self.inner.exchange(data, exchange, run)
        })
    }
}

fn start_anew(error: Error) -> Error {
    match error {
        Error::Engine(message) => Error::Engine(format!(
            "the checkpoint: {message}; start anew with --overwrite"
        )),
        other => other,
    }
}

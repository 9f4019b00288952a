//! The engine of one machine.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use emberline_datasets::write::{Manifest, write_part};
use emberline_datasets::{
    Batch, Block, BlockSpec, DataError, Dataset, Format, Memory, Slot, map_in_order, spread,
};
use rayon::prelude::*;

use super::exchange::{ErasedExchange, Stretch};
use super::in_order::InOrder;
use super::pinned::{PinnedBuilder, unnamed_slots};
use super::round::{Boxed, ErasedRound, ErasedWork};
use super::tree::reduce_all;
use super::{Engine, Pinned};
use crate::run::Run;
use crate::{Error, Result};

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

    fn cache(
        &self,
        parts: &[Dataset],
        columns: &[String],
        memory: &Memory,
    ) -> Result<Vec<Dataset>> {
        self.install(|| Ok(Dataset::cache_parts(parts, columns, memory)?))
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
        let mut builder = PinnedBuilder::new(&run.memory);
        let mut slots: Option<Arc<[Slot]>> = None;
        self.install(|| {
            map_in_order(n, read, |(block, described)| {
                slots.get_or_insert(described);
                block.map_or(Ok(()), |block| builder.push(block))
            })
        })?;
        let slots = slots.unwrap_or_else(|| Arc::new([]));
        let slots = match builder.n_features() {
            Some(width) if width != slots.len() => unnamed_slots(&spec.features, width),
            _ => slots,
        };
        Ok(builder.finish(slots))
    }

    fn over_blocks(
        &self,
        data: &Pinned,
        round: &dyn ErasedRound<Block>,
        run: &Run,
    ) -> Result<Option<Boxed>> {
        self.install(|| {
            reduce_all(
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
            reduce_all(
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

    fn each_batch(
        &self,
        data: &Dataset,
        run: &Run,
        each: &mut (dyn FnMut(Batch) -> Result<()> + Send),
    ) -> Result<()> {
        let n = data.chunks()?.len();
        let read = |i| {
            run.cancel.check()?;
            Ok(data.read(i, None)?)
        };
        self.install(|| map_in_order(n, read, each))
    }

    fn write_parts(
        &self,
        data: &Dataset,
        folder: &Path,
        format: Format,
        run: &Run,
    ) -> Result<Manifest> {
        Manifest::begin(folder)?;
        let parts = data.partitions()?.into_iter().filter(|p| !p.is_empty());
        let check = || run.cancel.check().map_err(|_| DataError::Cancelled);
        let write = |(i, chunks)| write_part(data, chunks, folder, i, format, &check);
        let files = self.install(|| {
            let files: std::result::Result<Vec<_>, DataError> =
                parts.enumerate().map(write).collect();
            Ok(files?)
        })?;
        Ok(Manifest::commit(folder, format, files)?)
    }

    fn fan_out(
        &self,
        data: Arc<Pinned>,
        work: &dyn ErasedWork,
        pieces: Range<usize>,
        run: &Run,
        each: &mut (dyn FnMut(Boxed) -> Result<()> + Send),
    ) -> Result<()> {
        self.install(|| {
            let shared = work.gather_erased(&*data)?;
            drop(data);
            let queue = InOrder::new(pieces.clone(), each);
            // Indices are taken one by one, not split in halves: outputs come nearly in order, and few wait for others.
            (0..rayon::current_num_threads().min(pieces.len()))
                .into_par_iter()
                .for_each(|_| {
                    while let Some(i) = queue.take() {
                        let output = run
                            .cancel
                            .check()
                            .and_then(|()| work.run_erased(i as u64, &*shared));
                        queue.give(i, output);
                    }
                });
            queue.finish()
        })
    }

    fn room(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    fn exchange(
        &self,
        data: &Pinned,
        exchange: &dyn ErasedExchange,
        run: &Run,
    ) -> Result<Vec<Vec<u8>>> {
        let stretches = spread(data.n_blocks(), self.threads);
        self.install(|| {
            let sent: Vec<Result<Vec<Vec<u8>>>> = stretches
                .into_par_iter()
                .filter(|blocks| !blocks.is_empty())
                .map(|blocks| {
                    run.cancel.check()?;
                    let rows = blocks.clone().map(|i| Ok(data.block(i)?.n_rows() as u64));
                    exchange.scatter_erased(&Stretch {
                        rows: rows.sum::<Result<u64>>()?,
                        source: data,
                        blocks,
                    })
                })
                .collect();
            let sent: Vec<Vec<Vec<u8>>> = sent.into_iter().collect::<Result<_>>()?;
            let outputs: Vec<Result<Vec<u8>>> = (0..exchange.n_groups())
                .into_par_iter()
                .map(|group| {
                    run.cancel.check()?;
                    let pieces: Vec<&[u8]> = sent.iter().map(|all| &*all[group]).collect();
                    exchange.gather_erased(group, &pieces)
                })
                .collect();
            outputs.into_iter().collect()
        })
    }
}

#[cfg(test)]
mod tests;

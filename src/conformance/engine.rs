//! An engine that works as a remote one would: partition by partition, with partial results as bytes.

use std::ops::Range;
use std::sync::Arc;

use crate::datasets::random::Draw;
use crate::datasets::{Batch, Block, BlockSpec, Dataset};
use crate::pipeline::engine::{Boxed, ErasedRound, ErasedWork};
use crate::pipeline::{Engine, Local, Pinned};
use crate::prelude::*;

/// Deals units (chunks, blocks) to uneven partitions, some of them empty. Each partition sends the partials of the largest whole
/// subtrees of the canonical tree inside it, as bytes; the last partition is heard first. Pieces of work are done last to first.
pub struct Scattered {
    local: Local,
    partitions: usize,
    seed: u64,
}

impl Scattered {
    /// Cuts whatever it is given into `partitions` runs at places that `seed` tells.
    #[must_use]
    pub fn new(partitions: usize, seed: u64) -> Self {
        Self {
            local: Local::new(1),
            partitions,
            seed,
        }
    }

    /// The partition of each of `n` units.
    fn owners(&self, n: usize) -> Vec<usize> {
        let draw = Draw::new(self.seed, "conformance cuts").at(n as u64);
        let mut cuts: Vec<usize> = (1..self.partitions as u64)
            .map(|i| (draw.bits(i) % (n as u64 + 1)) as usize)
            .collect();
        cuts.sort_unstable();
        (0..n).map(|i| cuts.partition_point(|c| *c <= i)).collect()
    }
}

/// One round over units that partitions own.
struct Tree<'a> {
    owners: Vec<usize>,
    map: &'a dyn Fn(usize) -> Result<Option<Boxed>>,
    wire: &'a dyn Fn(Boxed) -> Result<Boxed>,
    merge: &'a dyn Fn(Boxed, Boxed) -> Boxed,
}

impl Tree<'_> {
    fn reduce(&self) -> Result<Option<Boxed>> {
        self.node(0, self.owners.len().next_power_of_two(), false)
    }

    /// The partial of units `start..start + size`; `sent` where a partition is at work inside of it.
    fn node(&self, start: usize, size: usize, sent: bool) -> Result<Option<Boxed>> {
        let n = self.owners.len();
        if start >= n {
            return Ok(None);
        }
        let own = &self.owners[start..n.min(start + size)];
        if !sent && own.iter().all(|o| *o == own[0]) {
            return self.node(start, size, true)?.map(self.wire).transpose();
        }
        if size <= 1 {
            return (self.map)(start);
        }
        let half = size / 2;
        let right = self.node(start + half, half, sent)?;
        let left = self.node(start, half, sent)?;
        Ok(match (left, right) {
            (Some(a), Some(b)) => Some((self.merge)(a, b)),
            (one, None) | (None, one) => one,
        })
    }
}

impl Engine for Scattered {
    fn describe(&self) -> String {
        format!("scattered over {} partitions", self.partitions)
    }

    fn pin(&self, data: &Dataset, spec: &BlockSpec, run: &Run) -> Result<Pinned> {
        self.local.pin(data, spec, run)
    }

    fn over_blocks(
        &self,
        data: &Pinned,
        round: &dyn ErasedRound<Block>,
        _: &Run,
    ) -> Result<Option<Boxed>> {
        Tree {
            owners: self.owners(data.n_blocks()),
            map: &|i| round.map_erased(&*data.block(i)?, &mut None).map(Some),
            wire: &|partial| round.load_erased(&round.save_erased(&partial)?),
            merge: &|a, b| round.merge_erased(a, b),
        }
        .reduce()
    }

    fn over_batches(
        &self,
        data: &Dataset,
        columns: &[String],
        round: &dyn ErasedRound<Batch>,
        _: &Run,
    ) -> Result<Option<Boxed>> {
        Tree {
            owners: self.owners(data.chunks()?.len()),
            map: &|i| {
                let batch = data.read(i, Some(columns))?;
                if batch.num_rows() == 0 {
                    return Ok(None);
                }
                round.map_erased(&batch, &mut None).map(Some)
            },
            wire: &|partial| round.load_erased(&round.save_erased(&partial)?),
            merge: &|a, b| round.merge_erased(a, b),
        }
        .reduce()
    }

    fn each_batch(
        &self,
        data: &Dataset,
        run: &Run,
        each: &mut (dyn FnMut(Batch) -> Result<()> + Send),
    ) -> Result<()> {
        self.local.each_batch(data, run, each)
    }

    fn fan_out(
        &self,
        data: Arc<Pinned>,
        work: &dyn ErasedWork,
        pieces: Range<usize>,
        _: &Run,
        each: &mut (dyn FnMut(Boxed) -> Result<()> + Send),
    ) -> Result<()> {
        let shared = work.gather_erased(&*data)?;
        drop(data);
        let mut outputs = Vec::with_capacity(pieces.len());
        for i in pieces.rev() {
            let output = work.run_erased(i as u64, &*shared)?;
            outputs.push(work.load_erased(&work.save_erased(&output)?)?);
        }
        outputs.into_iter().rev().try_for_each(each)
    }
}

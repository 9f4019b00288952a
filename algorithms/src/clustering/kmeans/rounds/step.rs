//! One centre more: what each candidate is worth, and who would follow it.

use emberline_pipeline::Round;
use emberline_pipeline::datasets::{Block, DataError};
use serde::{Deserialize, Serialize};

use super::Each;
use super::near::Near;
use super::pick::{Picks, draw};
use super::sample::{Sample, Sampled};
use crate::clustering::kmeans::kernel::{Centres, Geometry};

/// A step of greedy k-means++ on a sample of rows. For each candidate: the distortion that is left where it becomes a centre, which is
/// the mass of the rows, and the rows drawn for the step after.
#[derive(Serialize, Deserialize)]
pub struct Step {
    pub geometry: Geometry,
    /// Number of each start, its centres so far and its candidates.
    pub sets: Vec<(u64, Centres, Centres)>,
    /// Rows to draw for each candidate.
    pub count: usize,
    pub seed: u64,
    /// Which step the drawn rows are for.
    pub step: u64,
    pub sample: Sample,
}

impl Round for Step {
    const NAME: &'static str = "kmeans/step";
    type Unit = Block;
    type Partial = Each<Each<Picks>>;
    type Scratch = (Sampled, Vec<Near>);

    fn map(
        &self,
        block: &Block,
        (sampled, nears): &mut (Sampled, Vec<Near>),
    ) -> Result<Self::Partial, DataError> {
        let rows = sampled.rows(block, Some(self.sample));
        let mut held = std::mem::take(nears);
        let mut out = Vec::with_capacity(self.sets.len());
        for (start, centres, candidates) in &self.sets {
            let mut near = Near::before(&mut held, centres);
            let beside = near.extend_beside(&self.geometry, rows, centres, candidates)?;
            let draw = draw(self.seed, *start, self.step);
            let k = candidates.k();
            let of_candidate = |c: usize| {
                let mut picks = Picks::none(self.count);
                let distance = |i: usize| near.distances[i].min(beside[i * k + c]);
                picks.take(&self.geometry, rows, Some(draw), distance)?;
                Ok(picks)
            };
            let picks = (0..k).map(of_candidate).collect::<Result<_, DataError>>();
            out.push(Each(picks?));
            nears.push(near);
        }
        Ok(Each(out))
    }

    fn scratch_bytes((sampled, nears): &Self::Scratch) -> usize {
        sampled.bytes() + nears.iter().map(Near::bytes).sum::<usize>()
    }
}

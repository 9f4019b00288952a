//! What is computed over all rows: sums for the next centres, rows drawn or farthest, and what candidates are worth.
//!
//! All starts (`n_init`) are served by the same pass. State sent and merged per round: `starts * k * (d + 1)` numbers.

mod near;
mod pick;
mod sample;
mod step;

use std::sync::OnceLock;

use emberline_pipeline::datasets::{Block, DataError, Features};
use emberline_pipeline::{Partial, Round};
use serde::{Deserialize, Serialize};

use super::kernel::{Bounds, Centres, Geometry, Sink, Sums, Targets, assign};

pub use pick::{Choice, Pick, Picks};
pub use sample::Sample;
use sample::Sampled;
pub use step::Step;

/// Assigns each row to its nearest centre, once for each start.
#[derive(Serialize, Deserialize)]
pub struct Assign {
    geometry: Geometry,
    sets: Vec<(Centres, Option<Moved>)>,
    sample: Option<Sample>,
    /// The centres as the kernel wants them, for dense and for sparse rows; made by the first block that asks.
    #[serde(skip)]
    targets: [OnceLock<Vec<Targets>>; 2],
}

/// Where centres came from: the print of those before, and how far each moved since.
pub type Moved = (u64, Vec<f64>);

impl Assign {
    /// Sets of centres; one that says how it moved can use what blocks remember.
    pub fn new(geometry: &Geometry, sets: Vec<(Centres, Option<Moved>)>) -> Self {
        Self {
            geometry: geometry.clone(),
            sets,
            sample: None,
            targets: Default::default(),
        }
    }

    /// The same, over a sample of the rows.
    pub fn on(self, sample: Sample) -> Self {
        Self {
            sample: Some(sample),
            ..self
        }
    }

    fn targets(&self, block: &Block) -> &[Targets] {
        let sparse = is_sparse(block);
        self.targets[usize::from(sparse)].get_or_init(|| {
            let target = |(c, moved): &(Centres, Option<Moved>)| {
                Targets::new(c, moved.clone(), sparse).sharing(self.sets.len())
            };
            self.sets.iter().map(target).collect()
        })
    }
}

fn is_sparse(block: &Block) -> bool {
    matches!(block.features, Features::Csr(_) | Features::Mixed(_))
}

/// One entry each (a start, a candidate), merged one by one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Each<T>(pub Vec<T>);

impl Round for Assign {
    const NAME: &'static str = "kmeans/assign";
    type Unit = Block;
    type Partial = Each<Sums>;
    type Scratch = (Sampled, Vec<Bounds>);

    fn map(
        &self,
        block: &Block,
        (sampled, kept): &mut (Sampled, Vec<Bounds>),
    ) -> Result<Self::Partial, DataError> {
        let block = sampled.rows(block, self.sample);
        let mut held = std::mem::take(kept);
        let mut out = Vec::with_capacity(self.sets.len());
        for (targets, (centres, _)) in self.targets(block).iter().zip(&self.sets) {
            let own = held.iter().position(|b| targets.follow(b));
            let mut bounds = own.map(|i| held.swap_remove(i)).unwrap_or_default();
            let mut sums = Sums::none(centres.k(), centres.d());
            let sink = Sink::Sums {
                weights: block.weight.as_deref(),
                sums: &mut sums,
            };
            // Samples are small, and what is remembered of them is soon of no use.
            let remember = self.sample.is_none().then_some(&mut bounds);
            assign(&self.geometry, block, targets, remember, sink)?;
            out.push(sums);
            kept.push(bounds);
        }
        Ok(Each(out))
    }

    fn scratch_bytes((sampled, kept): &Self::Scratch) -> usize {
        sampled.bytes() + kept.iter().map(Bounds::bytes).sum::<usize>()
    }
}

impl Partial for Sums {
    fn merge(&mut self, later: Self) {
        self.sums
            .iter_mut()
            .zip(later.sums)
            .for_each(|(a, b)| *a += b);
        self.weights
            .iter_mut()
            .zip(later.weights)
            .for_each(|(a, b)| *a += b);
        self.cost += later.cost;
    }
}

impl<T: Partial> Partial for Each<T> {
    fn merge(&mut self, later: Self) {
        self.0.iter_mut().zip(later.0).for_each(|(a, b)| a.merge(b));
    }
}

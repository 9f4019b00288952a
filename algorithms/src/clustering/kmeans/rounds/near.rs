//! How far rows are from the centres so far.

use emberline_pipeline::datasets::{Block, DataError};

use super::is_sparse;
use crate::clustering::kmeans::kernel::{Centres, Geometry, Sink, Targets, assign, distances};

/// Squared distances of a block's rows to the nearest of some centres; more centres are added as they come.
#[derive(Debug, Clone, Default)]
pub struct Near {
    /// How many centres are seen to, and their print.
    of: (usize, u64),
    /// `(n,)`, infinite without centres.
    pub distances: Vec<f64>,
}

impl Near {
    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        size_of_val(self.distances.as_slice())
    }

    /// Of those held, one that has seen to the first of these centres and to no others.
    pub fn before(held: &mut Vec<Self>, centres: &Centres) -> Self {
        let fits = |n: &Self| {
            n.of.0 <= centres.k() && n.of.0 > 0 && centres.first(n.of.0).print() == n.of.1
        };
        let own = held.iter().position(fits);
        own.map(|i| held.swap_remove(i)).unwrap_or_default()
    }

    /// Sees to the centres that are new.
    pub fn extend(
        &mut self,
        geometry: &Geometry,
        block: &Block,
        centres: &Centres,
    ) -> Result<(), DataError> {
        self.distances.resize(block.n_rows(), f64::INFINITY);
        if self.of.0 < centres.k() {
            let new = Targets::new(&centres.after(self.of.0), None, is_sparse(block));
            let mut nearer = |start: usize, _: &[u32], found: &[f64]| {
                let held = self.distances[start..].iter_mut().zip(found);
                held.for_each(|(held, found)| *held = held.min(*found));
            };
            let sink = Sink::Each(&mut nearer);
            assign(geometry, block, &new, None, sink)?;
            self.of = (centres.k(), centres.print());
        }
        Ok(())
    }

    /// Sees to the centres that are new, and measures candidates beside: their squared distances `(n, candidates)`.
    pub fn extend_beside(
        &mut self,
        geometry: &Geometry,
        block: &Block,
        centres: &Centres,
        candidates: &Centres,
    ) -> Result<Vec<f64>, DataError> {
        let mut both = centres.after(self.of.0);
        let new = both.k();
        both.extend(candidates);
        let mut beside = Vec::with_capacity(block.n_rows() * candidates.k());
        self.distances.resize(block.n_rows(), f64::INFINITY);
        let found = distances(geometry, block, &both)?;
        for (held, found) in self.distances.iter_mut().zip(found.chunks_exact(both.k())) {
            let (new, candidates) = found.split_at(new);
            *held = new.iter().copied().fold(*held, f64::min);
            beside.extend_from_slice(candidates);
        }
        self.of = (centres.k(), centres.print());
        Ok(beside)
    }
}

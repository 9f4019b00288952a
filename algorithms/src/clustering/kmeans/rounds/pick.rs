//! Rows drawn by weight and squared distance, and those farthest off.

use emberline_pipeline::datasets::random::Draw;
use emberline_pipeline::datasets::{Block, DataError};
use emberline_pipeline::{Partial, Round};
use serde::{Deserialize, Serialize};

use super::Each;
use super::near::Near;
use crate::clustering::kmeans::kernel::{Centres, Geometry};

/// How a pass picks rows.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub enum Choice {
    /// At random, by weight times squared distance to the nearest centre (1 without centres), without replacement.
    Draw {
        /// Seed of the fit.
        seed: u64,
        /// Which pass this is; each draws anew.
        step: u64,
    },
    /// Those with the largest weight times squared distance.
    Farthest,
}

/// Picks `count` distinct rows for each start. Rows that lie on a centre are never picked.
///
/// A draw without replacement in one pass over rows wherever they lie: each row gets the key `-ln(u) / mass`, `u` keyed by its
/// id, and the smallest keys win (Efraimidis and Spirakis 2006, Inf. Process. Lett. 97(5)).
#[derive(Serialize, Deserialize)]
pub struct Pick {
    pub geometry: Geometry,
    /// Number of each start, and its centres so far.
    pub sets: Vec<(u64, Centres)>,
    pub count: usize,
    pub choice: Choice,
}

/// A picked row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Picked {
    key: f64,
    row: u64,
    /// Its features `(d,)`.
    pub x: Vec<f64>,
}

/// The picks with the smallest keys, ties by row id, no two rows equal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Picks {
    count: usize,
    /// Smallest key first.
    pub rows: Vec<Picked>,
    /// Mass of all rows that were offered.
    pub mass: f64,
}

impl Picks {
    /// None yet of `count`.
    pub fn none(count: usize) -> Self {
        Self {
            count,
            rows: Vec::new(),
            mass: 0.0,
        }
    }

    /// The picked rows as centres of width `d`.
    pub fn centres(&self, d: usize) -> Centres {
        Centres::of(
            d,
            self.rows.iter().flat_map(|p| p.x.iter().copied()).collect(),
        )
    }

    /// Offers the rows of a block, each with the mass of its weight times `distance` of its number; the heaviest without a draw.
    pub fn take(
        &mut self,
        geometry: &Geometry,
        block: &Block,
        draw: Option<Draw>,
        distance: impl Fn(usize) -> f64,
    ) -> Result<(), DataError> {
        let weights = block.weight.as_deref();
        let mass = |i: usize| weights.map_or(1.0, |w| w[i]) * distance(i);
        let total: f64 = (0..block.n_rows()).map(mass).filter(|m| *m > 0.0).sum();
        self.mass += total;
        let Some(draw) = draw else {
            let offers = (0..block.n_rows()).map(|i| (-mass(i), i));
            return self.offer_all(geometry, block, offers.filter(|(key, _)| *key < 0.0));
        };
        // So many keys are expected below the first limit; where they do not suffice, the second lets all pass.
        let few = self.count as f64 + 4.0 * (self.count as f64).sqrt() + 8.0;
        let mut offers = Vec::with_capacity(block.n_rows().min(2 * few as usize));
        for limit in [few / total, f64::INFINITY] {
            offers.clear();
            for (i, row) in block.row_ids.iter().enumerate() {
                let (u, mass) = (draw.uniform(*row), mass(i));
                // -ln(1 - u) is no less than u: most rows need no logarithm. 1 - u lies in (0, 1], so it is finite.
                if mass > 0.0 && u <= limit * mass {
                    offers.push((-(1.0 - u).ln() / mass, i));
                }
            }
            offers.retain(|(key, _)| *key <= limit);
            offers.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            self.offer_all(geometry, block, offers.iter().copied())?;
            if self.rows.len() >= self.count {
                break;
            }
        }
        Ok(())
    }

    /// Offers rows of a block by key and number.
    fn offer_all(
        &mut self,
        geometry: &Geometry,
        block: &Block,
        offers: impl Iterator<Item = (f64, usize)>,
    ) -> Result<(), DataError> {
        let mut x = vec![0.0; block.n_features()];
        for (key, i) in offers {
            if key <= self.limit() {
                geometry.row(block, i, &mut x)?;
                self.offer(key, block.row_ids[i], &x);
            }
        }
        Ok(())
    }

    /// The largest key that still counts.
    fn limit(&self) -> f64 {
        match self.rows.last() {
            Some(last) if self.rows.len() >= self.count => last.key,
            _ => f64::INFINITY,
        }
    }

    fn offer(&mut self, key: f64, row: u64, x: &[f64]) {
        let before = |p: &Picked| p.key.total_cmp(&key).then(p.row.cmp(&row)).is_lt();
        let at = self.rows.partition_point(before);
        // An equal row that stands before makes this one needless; one that stands behind gives way.
        if at >= self.count || self.rows[..at].iter().any(|p| p.x == x) {
            return;
        }
        if let Some(twin) = self.rows[at..].iter().position(|p| p.x == x) {
            self.rows.remove(at + twin);
        }
        self.rows.insert(
            at,
            Picked {
                key,
                row,
                x: x.to_vec(),
            },
        );
        self.rows.truncate(self.count);
    }
}

impl Round for Pick {
    const NAME: &'static str = "kmeans/pick";
    type Unit = Block;
    type Partial = Each<Picks>;
    type Scratch = Vec<Near>;

    fn map(&self, block: &Block, scratch: &mut Vec<Near>) -> Result<Self::Partial, DataError> {
        let mut held = std::mem::take(scratch);
        let mut out = Vec::with_capacity(self.sets.len());
        for (start, centres) in &self.sets {
            let (draw, mut picks) = (self.choice.draw(*start), Picks::none(self.count));
            if centres.k() == 0 {
                picks.take(&self.geometry, block, draw, |_| 1.0)?;
            } else {
                let mut near = Near::before(&mut held, centres);
                near.extend(&self.geometry, block, centres)?;
                let distance = |i: usize| near.distances[i];
                picks.take(&self.geometry, block, draw, distance)?;
                // The farthest rows are asked for once.
                if draw.is_some() {
                    scratch.push(near);
                }
            }
            out.push(picks);
        }
        Ok(Each(out))
    }

    fn scratch_bytes(nears: &Self::Scratch) -> usize {
        nears.iter().map(Near::bytes).sum()
    }
}

impl Choice {
    fn draw(self, start: u64) -> Option<Draw> {
        match self {
            Self::Draw { seed, step } => Some(draw(seed, start, step)),
            Self::Farthest => None,
        }
    }
}

/// The draws of a start at a step.
pub fn draw(seed: u64, start: u64, step: u64) -> Draw {
    Draw::new(seed, "kmeans centres").at(start).at(step)
}

impl Partial for Picks {
    fn merge(&mut self, later: Self) {
        self.mass += later.mass;
        later
            .rows
            .into_iter()
            .for_each(|p| self.offer(p.key, p.row, &p.x));
    }
}

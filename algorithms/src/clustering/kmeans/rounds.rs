//! What is computed over all rows: sums for the next centres, rows drawn or farthest, and the worth of candidates.
//!
//! All starts (`n_init`) are served by the same pass. State sent and merged per round: `starts * k * (d + 1)` numbers.

use std::sync::OnceLock;

use emberline_datasets::simd::Vectors;
use emberline_pipeline::datasets::random::Draw;
use emberline_pipeline::datasets::{Block, DataError, Features};
use emberline_pipeline::{Partial, Round};
use serde::{Deserialize, Serialize};

use super::kernel::{Bounds, Centres, Geometry, Rows, Sink, Targets, assign, squared_distance};

/// Assigns each row to its nearest centre, once for each start.
#[derive(Serialize, Deserialize)]
pub struct Assign {
    geometry: Geometry,
    sets: Vec<(Centres, Option<Moved>)>,
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
            targets: Default::default(),
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

/// Sums of one start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// Weighted sum of the rows of each centre `(k, d)`.
    pub sums: Vec<f64>,
    /// Weight of the rows of each centre `(k,)`.
    pub weights: Vec<f64>,
    /// Weighted sum of squared distances.
    pub cost: f64,
}

/// One entry a start; starts are merged one by one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PerStart<T>(pub Vec<T>);

impl Round for Assign {
    const NAME: &'static str = "kmeans/assign";
    type Unit = Block;
    type Partial = PerStart<Sums>;
    type Scratch = Vec<Bounds>;

    fn map(&self, block: &Block, scratch: &mut Vec<Bounds>) -> Result<Self::Partial, DataError> {
        let mut held = std::mem::take(scratch);
        let mut out = Vec::with_capacity(self.sets.len());
        for (targets, (centres, _)) in self.targets(block).iter().zip(&self.sets) {
            let own = held.iter().position(|b| targets.follow(b));
            let mut bounds = own.map(|i| held.swap_remove(i)).unwrap_or_default();
            let mut sums = Sums {
                sums: vec![0.0; centres.values().len()],
                weights: vec![0.0; centres.k()],
                cost: 0.0,
            };
            let mut sink = AddUp {
                d: centres.d(),
                weights: block.weight.as_deref(),
                sums: &mut sums,
            };
            assign(&self.geometry, block, targets, &mut bounds, &mut sink)?;
            out.push(sums);
            scratch.push(bounds);
        }
        Ok(PerStart(out))
    }
}

struct AddUp<'a> {
    d: usize,
    weights: Option<&'a [f64]>,
    sums: &'a mut Sums,
}

impl Sink for AddUp<'_> {
    #[inline(always)]
    fn take<S: Vectors>(&mut self, simd: S, rows: &impl Rows, i: usize, c: usize, distance: f64) {
        let own = &mut self.sums.sums[c * self.d..(c + 1) * self.d];
        let w = self.weights.map_or(1.0, |w| w[i]);
        if self.weights.is_none() {
            rows.add_once(simd, i, own);
        } else if w > 0.0 {
            rows.add(simd, i, w, own);
        } else {
            return;
        }
        self.sums.weights[c] += w;
        self.sums.cost += w * distance;
    }
}

/// Squared distances of a block's rows to the nearest of some centres; more centres are added as they come.
#[derive(Debug, Clone, Default)]
pub struct Near {
    /// How many centres are seen to, and their print.
    of: (usize, u64),
    distances: Vec<f64>,
}

impl Near {
    /// Of those held, one that has seen to the first of these centres and to no others.
    fn before(held: &mut Vec<Self>, centres: &Centres) -> Self {
        let fits = |n: &Self| {
            n.of.0 <= centres.k() && n.of.0 > 0 && centres.first(n.of.0).print() == n.of.1
        };
        let own = held.iter().position(fits);
        own.map(|i| held.swap_remove(i)).unwrap_or_default()
    }

    /// Sees to the centres that are new.
    fn extend(
        &mut self,
        geometry: &Geometry,
        block: &Block,
        centres: &Centres,
    ) -> Result<(), DataError> {
        self.distances.resize(block.n_rows(), f64::INFINITY);
        if self.of.0 < centres.k() {
            let new = Targets::new(&centres.after(self.of.0), None, is_sparse(block));
            assign(geometry, block, &new, &mut Bounds::default(), self)?;
            self.of = (centres.k(), centres.print());
        }
        Ok(())
    }
}

impl Sink for Near {
    #[inline(always)]
    fn take<S: Vectors>(&mut self, _: S, _: &impl Rows, i: usize, _: usize, distance: f64) {
        self.distances[i] = self.distances[i].min(distance);
    }
}

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
}

impl Picks {
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
    type Partial = PerStart<Picks>;
    type Scratch = Vec<Near>;

    fn map(&self, block: &Block, scratch: &mut Vec<Near>) -> Result<Self::Partial, DataError> {
        let mut held = std::mem::take(scratch);
        let mut out = Vec::with_capacity(self.sets.len());
        for (start, centres) in &self.sets {
            let mut near = Near::before(&mut held, centres);
            near.extend(&self.geometry, block, centres)?;
            out.push(self.picks(block, *start, centres.k() > 0, &near.distances)?);
            // The farthest rows are asked for once.
            if self.draw(*start).is_some() {
                scratch.push(near);
            }
        }
        Ok(PerStart(out))
    }
}

impl Pick {
    fn picks(
        &self,
        block: &Block,
        start: u64,
        by_distance: bool,
        distances: &[f64],
    ) -> Result<Picks, DataError> {
        let draw = self.draw(start);
        let mut picks = Picks {
            count: self.count,
            rows: Vec::new(),
        };
        let mut x = vec![0.0; block.n_features()];
        for (i, distance) in distances.iter().enumerate() {
            let (w, row) = (block.weight(i), block.row_ids[i]);
            let mass = if by_distance { w * distance } else { w };
            if mass.is_nan() || mass <= 0.0 {
                continue;
            }
            let key = match draw.map(|d| d.uniform(row)) {
                // -ln(1 - u) is no less than u: most rows need no logarithm.
                Some(u) if u > picks.limit() * mass => continue,
                // 1 - u lies in (0, 1], so the logarithm is finite.
                Some(u) => -(1.0 - u).ln() / mass,
                None => -mass,
            };
            if key <= picks.limit() {
                self.geometry.row(block, i, &mut x)?;
                picks.offer(key, row, &x);
            }
        }
        Ok(picks)
    }

    fn draw(&self, start: u64) -> Option<Draw> {
        match self.choice {
            Choice::Draw { seed, step } => {
                Some(Draw::new(seed, "kmeans centres").at(start).at(step))
            }
            Choice::Farthest => None,
        }
    }
}

/// The distortion that each candidate would leave on a sample of the rows if it became a centre.
#[derive(Serialize, Deserialize)]
pub struct Potential {
    pub geometry: Geometry,
    /// Centres so far and candidates of each start.
    pub sets: Vec<(Centres, Centres)>,
    /// Seed of the sample, and the share of rows in it.
    pub sample: (u64, f64),
}

/// One sum a candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Worth(pub Vec<f64>);

impl Round for Potential {
    const NAME: &'static str = "kmeans/potential";
    type Unit = Block;
    type Partial = PerStart<Worth>;
    type Scratch = Vec<Near>;

    fn map(&self, block: &Block, scratch: &mut Vec<Near>) -> Result<Self::Partial, DataError> {
        let mut held = std::mem::take(scratch);
        let (seed, share) = self.sample;
        let draw = Draw::new(seed, "kmeans potential");
        let rows: Vec<usize> = (0..block.n_rows())
            .filter(|&i| draw.uniform(block.row_ids[i]) < share)
            .collect();
        let mut out = Vec::with_capacity(self.sets.len());
        let mut x = vec![0.0; block.n_features()];
        for (centres, candidates) in &self.sets {
            let mut near = Near::before(&mut held, centres);
            near.distances.resize(rows.len(), f64::INFINITY);
            let mut worth = vec![0.0; candidates.k()];
            for (&i, now) in rows.iter().zip(&mut near.distances) {
                self.geometry.row(block, i, &mut x)?;
                for c in near.of.0..centres.k() {
                    *now = now.min(squared_distance(&x, centres.row(c)));
                }
                for (c, sum) in worth.iter_mut().enumerate() {
                    *sum += block.weight(i) * now.min(squared_distance(&x, candidates.row(c)));
                }
            }
            near.of = (centres.k(), centres.print());
            out.push(Worth(worth));
            scratch.push(near);
        }
        Ok(PerStart(out))
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

impl Partial for Picks {
    fn merge(&mut self, later: Self) {
        later
            .rows
            .into_iter()
            .for_each(|p| self.offer(p.key, p.row, &p.x));
    }
}

impl Partial for Worth {
    fn merge(&mut self, later: Self) {
        self.0.iter_mut().zip(later.0).for_each(|(a, b)| *a += b);
    }
}

impl<T: Partial> Partial for PerStart<T> {
    fn merge(&mut self, later: Self) {
        self.0.iter_mut().zip(later.0).for_each(|(a, b)| a.merge(b));
    }
}

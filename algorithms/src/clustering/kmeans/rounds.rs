//! What is computed over all rows: sums for the next centres, rows drawn or farthest, and the worth of candidates.
//!
//! All starts (`n_init`) are served by the same pass. State sent and merged per round: `starts * k * (d + 1)` numbers.

use emberline_pipeline::datasets::random::Draw;
use emberline_pipeline::datasets::{Block, DataError};
use emberline_pipeline::{Partial, Round};
use serde::{Deserialize, Serialize};

use super::kernel::{Centres, Geometry, Panels, squared_distance};

/// Assigns each row to its nearest centre, once for each start.
#[derive(Serialize, Deserialize)]
pub struct Assign {
    pub geometry: Geometry,
    pub sets: Vec<Centres>,
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
    type Scratch = ();

    fn map(&self, block: &Block, (): &mut ()) -> Result<Self::Partial, DataError> {
        let panels: Vec<Panels> = self.sets.iter().map(Panels::new).collect();
        let fresh = |c: &Centres| Sums {
            sums: vec![0.0; c.values().len()],
            weights: vec![0.0; c.k()],
            cost: 0.0,
        };
        let mut out: Vec<Sums> = self.sets.iter().map(fresh).collect();
        self.geometry.for_each_row(block, |i, x| {
            let w = block.weight(i);
            if w > 0.0 {
                out.iter_mut()
                    .zip(&panels)
                    .for_each(|(sums, panels)| sums.add(x, w, panels.nearest(x)));
            }
        })?;
        Ok(PerStart(out))
    }
}

impl Sums {
    fn add(&mut self, x: &[f64], w: f64, (c, d2): (usize, f64)) {
        let own = &mut self.sums[c * x.len()..(c + 1) * x.len()];
        own.iter_mut().zip(x).for_each(|(s, v)| *s += w * v);
        self.weights[c] += w;
        self.cost += w * d2;
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
    type Scratch = ();

    fn map(&self, block: &Block, (): &mut ()) -> Result<Self::Partial, DataError> {
        let panels: Vec<Panels> = self.sets.iter().map(|(_, c)| Panels::new(c)).collect();
        let draws: Vec<Option<Draw>> = self
            .sets
            .iter()
            .map(|(start, _)| self.draw(*start))
            .collect();
        let mut out: Vec<Picks> = self
            .sets
            .iter()
            .map(|_| Picks {
                count: self.count,
                rows: Vec::new(),
            })
            .collect();
        self.geometry.for_each_row(block, |i, x| {
            let (w, row) = (block.weight(i), block.row_ids[i]);
            for ((picks, panels), (draw, (_, set))) in out
                .iter_mut()
                .zip(&panels)
                .zip(draws.iter().zip(&self.sets))
            {
                let mass = if set.k() == 0 {
                    w
                } else {
                    w * panels.nearest(x).1
                };
                if mass > 0.0 {
                    // 1 - u lies in (0, 1], so the logarithm is finite.
                    let key = draw.map_or(-mass, |d| -(1.0 - d.uniform(row)).ln() / mass);
                    picks.offer(key, row, x);
                }
            }
        })?;
        Ok(PerStart(out))
    }
}

impl Pick {
    fn draw(&self, start: u64) -> Option<Draw> {
        match self.choice {
            Choice::Draw { seed, step } => {
                Some(Draw::new(seed, "kmeans centres").at(start).at(step))
            }
            Choice::Farthest => None,
        }
    }
}

/// The distortion that each candidate would leave if it became a centre.
#[derive(Serialize, Deserialize)]
pub struct Potential {
    pub geometry: Geometry,
    /// Centres so far and candidates of each start.
    pub sets: Vec<(Centres, Centres)>,
}

/// One sum a candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Worth(pub Vec<f64>);

impl Round for Potential {
    const NAME: &'static str = "kmeans/potential";
    type Unit = Block;
    type Partial = PerStart<Worth>;
    type Scratch = ();

    fn map(&self, block: &Block, (): &mut ()) -> Result<Self::Partial, DataError> {
        let panels: Vec<Panels> = self.sets.iter().map(|(c, _)| Panels::new(c)).collect();
        let mut out: Vec<Worth> = self
            .sets
            .iter()
            .map(|(_, c)| Worth(vec![0.0; c.k()]))
            .collect();
        self.geometry.for_each_row(block, |i, x| {
            let w = block.weight(i);
            for ((worth, panels), (_, candidates)) in out.iter_mut().zip(&panels).zip(&self.sets) {
                let now = panels.nearest(x).1;
                for (c, sum) in worth.0.iter_mut().enumerate() {
                    *sum += w * now.min(squared_distance(x, candidates.row(c)));
                }
            }
        })?;
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

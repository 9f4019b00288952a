//! Rows against centres: what is nearest, and how near.
//!
//! One definition for training, batches and records: [`squared_distance`] in `f64`, ties to the lower index. Training reaches the
//! same answers, to the bit, with fewer operations: `screen` rules centres out with products in `f32`, `coarse` with products
//! in whole numbers, `bounds` with what it remembers of the round before, and `tally` keeps sums that rounding does not touch.

mod assignment;
mod bounds;
mod coarse;
mod columns;
mod distances;
mod geometry;
mod panels;
mod plain;
mod rows;
mod screen;
mod sums;
mod tally;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use emberline_datasets::simd::{VectorKernel, Vectors, vectors};
use emberline_pipeline::datasets::{Block, Csr, DataError, Features};
use serde::{Deserialize, Serialize};

pub use bounds::{Bounds, Targets, kept_bytes};
pub use geometry::{Geometry, normalise};
pub use panels::Panels;
pub use sums::{Sink, Sums};

use assignment::Assignment;
use distances::Distances;
use plain::Plain;
use rows::{Dense, Rows, Sparse};

/// Centres `(k, d)`, row-major.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Centres {
    d: usize,
    values: Vec<f64>,
}

impl Centres {
    /// No centres of width `d`.
    pub fn none(d: usize) -> Self {
        Self {
            d,
            values: Vec::new(),
        }
    }

    /// Centres from their numbers, row-major; `d` at least 1.
    pub fn of(d: usize, values: Vec<f64>) -> Self {
        Self { d, values }
    }

    pub fn k(&self) -> usize {
        self.values.len().checked_div(self.d).unwrap_or(0)
    }

    pub fn d(&self) -> usize {
        self.d
    }

    pub fn values(&self) -> &[f64] {
        &self.values
    }

    pub fn row(&self, c: usize) -> &[f64] {
        &self.values[c * self.d..(c + 1) * self.d]
    }

    pub fn row_mut(&mut self, c: usize) -> &mut [f64] {
        &mut self.values[c * self.d..(c + 1) * self.d]
    }

    /// The first `n`.
    pub fn first(&self, n: usize) -> Self {
        Self::of(self.d, self.values[..n * self.d].to_vec())
    }

    /// All but the first `n`.
    pub fn after(&self, n: usize) -> Self {
        Self::of(self.d, self.values[n * self.d..].to_vec())
    }

    /// Tells these centres from others, to the bit; never 0.
    pub fn print(&self) -> u64 {
        let mix = |h: u64, v: u64| (h ^ v).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let values = self.values.iter().map(|v| v.to_bits());
        values.fold(mix(1, self.d as u64), mix) | 1
    }

    pub fn push(&mut self, centre: &[f64]) {
        self.values.extend_from_slice(centre);
    }

    pub fn extend(&mut self, others: &Self) {
        self.values.extend_from_slice(&others.values);
    }

    /// Leaves out the centres for which `keep` is false.
    pub fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        let kept = (0..self.k())
            .filter(|&c| keep(c))
            .flat_map(|c| self.row(c).iter().copied())
            .collect();
        self.values = kept;
    }
}

/// Squared Euclidean distance: eight running sums over the slots, each taking every eighth; then those four apart, two apart and
/// one apart are added. The order is part of the definition, so that every kernel gives the same bits.
pub fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    for (a, b) in a.chunks(8).zip(b.chunks(8)) {
        for ((sum, x), y) in sums.iter_mut().zip(a).zip(b) {
            let t = x - y;
            *sum += t * t;
        }
    }
    joined(sums)
}

fn joined(s: [f64; 8]) -> f64 {
    ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))
}

/// Hands the rows of a block, in order, with their nearest centres and the squared distances to them, to `sink`; none
/// without centres. `bounds` are used and kept where they are given and pay.
pub fn assign(
    geometry: &Geometry,
    block: &Block,
    targets: &Targets,
    bounds: Option<&mut Bounds>,
    sink: Sink<'_>,
) -> Result<(), DataError> {
    let n = block.n_rows();
    if targets.is_empty() {
        return Ok(());
    }
    let row_bytes = block.features.memory() / n.max(1);
    match bounds {
        Some(bounds) if targets.remembered() => {
            let work = Assignment {
                n,
                row_bytes,
                targets,
                bounds,
                sink,
            };
            on_rows(geometry, block, work)
        }
        bounds => {
            // Sums are all that is kept without bounds.
            let mut bounds = bounds.filter(|_| sink.unweighted());
            let known = bounds
                .as_mut()
                .is_some_and(|b| b.turn(targets, n, row_bytes).is_some());
            let work = Plain {
                n,
                targets,
                bounds,
                known,
                sink,
            };
            on_rows(geometry, block, work)
        }
    }
}

/// Squared distances `(n, k)` of the rows of a block to each of a few centres.
pub fn distances(
    geometry: &Geometry,
    block: &Block,
    centres: &Centres,
) -> Result<Vec<f64>, DataError> {
    let n = block.n_rows();
    let mut out = vec![0.0; n * centres.k()];
    let work = Distances {
        n,
        centres,
        out: &mut out,
    };
    on_rows(geometry, block, work)?;
    Ok(out)
}

/// Work on the rows of a block, however they are stored.
trait OnRows {
    fn run<S: Vectors>(self, simd: S, rows: impl Rows);
}

fn on_rows(geometry: &Geometry, block: &Block, work: impl OnRows) -> Result<(), DataError> {
    let d = block.n_features();
    match (&block.features, geometry.cosine) {
        (Features::F64(x), false) => vectors(On(work, Dense::stored(x.as_slice(), d))),
        (Features::F32(x), false) => vectors(On(work, Dense::stored(x.as_slice(), d))),
        (Features::Csr(_) | Features::Mixed(_), cosine) => {
            let x = stored(block);
            let values = if cosine {
                directions(geometry, block, &x)?.into()
            } else {
                (&x.values).into()
            };
            vectors(On(work, Sparse::new(&x, values)));
        }
        (_, true) => {
            let mut fault = None;
            let mut fill = |i: usize, row: &mut [f64]| {
                if let Err(error) = geometry.row(block, i, row) {
                    fault.get_or_insert(error);
                }
            };
            vectors(On(work, Dense::made(d, &mut fill)));
            return fault.map_or(Ok(()), Err);
        }
    }
    Ok(())
}

struct On<W, R>(W, R);

impl<W: OnRows, R: Rows> VectorKernel for On<W, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Vectors>(self, simd: S) {
        self.0.run(simd, self.1);
    }
}

/// The stored values of sparse rows, each row scaled to length 1.
fn directions(geometry: &Geometry, block: &Block, x: &Csr) -> Result<Vec<f64>, DataError> {
    let mut values = x.values.clone();
    for i in 0..block.n_rows() {
        let row = &mut values[x.offsets[i]..x.offsets[i + 1]];
        geometry.prepare(row, block.row_ids[i])?;
    }
    Ok(values)
}

/// The rows of a block compressed.
fn stored(block: &Block) -> Cow<'_, Csr> {
    if let Features::Csr(csr) = &block.features {
        return Cow::Borrowed(csr);
    }
    let mut csr = Csr {
        offsets: vec![0],
        indices: Vec::new(),
        values: Vec::new(),
        width: block.n_features(),
    };
    for i in 0..block.n_rows() {
        block.features.for_each_stored(i, |j, v| {
            csr.indices.push(j as u32);
            csr.values.push(v);
        });
        csr.offsets.push(csr.values.len());
    }
    Cow::Owned(csr)
}

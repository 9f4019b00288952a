//! Rows against centres: what is nearest, and how near.
//!
//! One definition for training, batches and records: [`squared_distance`] in `f64`, ties to the lower index. Training reaches the
//! same answers, to the bit, with fewer operations: `screen` rules centres out with products in `f32`, `bounds` with what it
//! remembers of the round before.

mod bounds;
mod geometry;
mod panels;
mod rows;
mod screen;
#[cfg(test)]
mod tests;

use emberline_datasets::simd::vectors;
use emberline_pipeline::datasets::{Block, Csr, DataError, Features};
use serde::{Deserialize, Serialize};

pub use bounds::{Bounds, Sink, Targets};
pub use geometry::{Geometry, normalise};
pub use panels::Panels;
pub use rows::Rows;

use bounds::Assignment;
use rows::{Dense, Sparse};

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

/// Hands each row of a block, in order, with its nearest centre and the squared distance to it, to `sink`; none
/// without centres.
pub fn assign(
    geometry: &Geometry,
    block: &Block,
    targets: &Targets,
    bounds: &mut Bounds,
    sink: &mut impl Sink,
) -> Result<(), DataError> {
    if targets.is_empty() {
        return Ok(());
    }
    let (n, d) = (block.n_rows(), block.n_features());
    let job = Job {
        n,
        row_bytes: block.features.memory() / n.max(1),
        targets,
        bounds,
    };
    match (&block.features, geometry.cosine) {
        (Features::F64(x), false) => job.run(Dense::stored(x.as_slice(), d), sink),
        (Features::F32(x), false) => job.run(Dense::stored(x.as_slice(), d), sink),
        (Features::Csr(x), false) => job.run(Sparse::new(x, (&x.values).into()), sink),
        (Features::Csr(x), true) => {
            let values = directions(geometry, block, x)?;
            job.run(Sparse::new(x, values.into()), sink);
        }
        (Features::Mixed(_), cosine) => {
            let x = stored(block);
            let values = if cosine {
                directions(geometry, block, &x)?.into()
            } else {
                (&x.values).into()
            };
            job.run(Sparse::new(&x, values), sink);
        }
        (_, true) => {
            let mut fault = None;
            let mut fill = |i: usize, row: &mut [f64]| {
                if let Err(error) = geometry.row(block, i, row) {
                    fault.get_or_insert(error);
                }
            };
            job.run(Dense::made(d, &mut fill), sink);
            return fault.map_or(Ok(()), Err);
        }
    }
    Ok(())
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
fn stored(block: &Block) -> Csr {
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
    csr
}

struct Job<'a> {
    n: usize,
    row_bytes: usize,
    targets: &'a Targets,
    bounds: &'a mut Bounds,
}

impl Job<'_> {
    fn run(self, mut rows: impl Rows, sink: &mut impl Sink) {
        vectors(Assignment {
            rows: &mut rows,
            n: self.n,
            row_bytes: self.row_bytes,
            targets: self.targets,
            bounds: self.bounds,
            sink,
        });
    }
}

//! What becomes of rows once their nearest centres are known.

use emberline_datasets::simd::Vectors;
use serde::{Deserialize, Serialize};

use super::Centres;
use super::rows::{Group, Rows};
use super::screen::LANES;

/// Sums for the next centres.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// Weighted sum of the rows of each centre `(k, d)`.
    pub sums: Vec<f64>,
    /// Weight of the rows of each centre `(k,)`.
    pub weights: Vec<f64>,
    /// Weighted sum of squared distances.
    pub cost: f64,
}

/// Takes what the assignment finds, strip by strip in row order.
pub enum Sink<'a> {
    /// Adds rows up, each times its weight.
    Sums {
        /// Weights of the block's rows; 1 each without.
        weights: Option<&'a [f64]>,
        sums: &'a mut Sums,
    },
    /// Is told the first row of a strip, the nearest centre of each of its rows, and the squared distance to it.
    Each(Told<'a>),
}

/// Called with the first row of a strip, the nearest centre of each of its rows, and the squared distance to it.
pub type Told<'a> = &'a mut dyn FnMut(usize, &[u32], &[f64]);

/// Working memory: the rows of a strip by centre.
#[derive(Default)]
pub struct Groups {
    /// Where the rows of each centre end.
    ends: Vec<u32>,
    members: Vec<u32>,
}

impl Groups {
    /// Puts rows with these centres in order of their centres, those of one centre in order of rows.
    fn arrange(&mut self, own: &[u32], k: usize) {
        self.ends.clear();
        self.ends.resize(k, 0);
        for c in own {
            self.ends[*c as usize] += 1;
        }
        let mut start = 0;
        for end in &mut self.ends {
            start += std::mem::replace(end, start);
        }
        self.members.resize(own.len(), 0);
        for (l, c) in own.iter().enumerate() {
            let end = &mut self.ends[*c as usize];
            self.members[*end as usize] = l as u32;
            *end += 1;
        }
    }
}

impl Sink<'_> {
    /// Whether rows are added up, each once.
    pub fn unweighted(&self) -> bool {
        matches!(self, Self::Sums { weights: None, .. })
    }

    /// The rows from `start` on, whose distances to their centres are measured now.
    #[inline(always)]
    pub fn take<S: Vectors>(
        &mut self,
        simd: S,
        rows: &mut impl Rows,
        start: usize,
        (own, centres): (&[u32], &Centres),
        (groups, distances): (&mut Groups, &mut [f64]),
    ) {
        match self {
            Self::Sums { weights, sums } => {
                let weights = weights.map(|w| &w[start..start + own.len()]);
                groups.arrange(own, centres.k());
                sums.gather(simd, rows, (start, weights), centres, (groups, distances));
                sums.weigh(own, distances, weights);
            }
            Self::Each(each) => {
                for (l, (distance, c)) in distances.iter_mut().zip(own).enumerate() {
                    *distance = rows.distance(simd, start + l, centres.row(*c as usize));
                }
                each(start, own, distances);
            }
        }
    }

    /// The rows from `start` on, sixteen at most, whose distances to their centres are still to be measured.
    #[inline(always)]
    pub fn measure<S: Vectors>(
        &mut self,
        simd: S,
        rows: &mut impl Rows,
        start: usize,
        own: &[u32],
        centres: &Centres,
    ) {
        match self {
            Self::Sums { weights, sums } => {
                let weights = weights.map(|w| &w[start..start + own.len()]);
                sums.measure(simd, rows, start, (own, centres, weights));
            }
            Self::Each(each) => {
                let mut distances = [0.0; LANES];
                for (l, (distance, c)) in distances.iter_mut().zip(own).enumerate() {
                    *distance = rows.distance(simd, start + l, centres.row(*c as usize));
                }
                each(start, own, &distances[..own.len()]);
            }
        }
    }
}

impl Sums {
    /// Nothing yet, for `k` centres of width `d`.
    pub fn none(k: usize, d: usize) -> Self {
        Self {
            sums: vec![0.0; k * d],
            weights: vec![0.0; k],
            cost: 0.0,
        }
    }

    /// Centre by centre, so that its sums are fetched once for all its rows of a strip. Sums have the bits of adding row after row.
    #[inline(always)]
    fn gather<S: Vectors>(
        &mut self,
        simd: S,
        rows: &mut impl Rows,
        (start, weights): (usize, Option<&[f64]>),
        centres: &Centres,
        (groups, distances): (&Groups, &mut [f64]),
    ) {
        let mut from = 0;
        let sums = self.sums.chunks_exact_mut(centres.d());
        for (c, (sum, end)) in sums.zip(&groups.ends).enumerate() {
            let end = *end as usize;
            if from < end {
                let members = &groups.members[from..end];
                let group = Group {
                    start,
                    members,
                    weights,
                };
                rows.gather(simd, group, centres.row(c), sum, distances);
                from = end;
            }
        }
    }

    fn weigh(&mut self, own: &[u32], distances: &[f64], weights: Option<&[f64]>) {
        for (l, (c, distance)) in own.iter().zip(distances).enumerate() {
            let w = weights.map_or(1.0, |w| w[l]);
            // The distance may overflow, and nothing times infinity is not nothing.
            if w > 0.0 {
                self.weights[*c as usize] += w;
                self.cost += w * distance;
            }
        }
    }

    #[inline(always)]
    fn measure<S: Vectors>(
        &mut self,
        simd: S,
        rows: &mut impl Rows,
        start: usize,
        (own, centres, weights): (&[u32], &Centres, Option<&[f64]>),
    ) {
        let d = centres.d();
        for (l, c) in own.iter().enumerate() {
            let (c, w) = (*c as usize, weights.map_or(1.0, |w| w[l]));
            if w > 0.0 {
                let sum = &mut self.sums[c * d..(c + 1) * d];
                let distance = rows.add_measured(simd, start + l, w, centres.row(c), sum);
                self.weights[c] += w;
                self.cost += w * distance;
            }
        }
    }
}

//! Sums that rounding does not touch: kept between rounds, and moved row by row.
//!
//! The numbers of a column are multiples of some power of two. Where the magnitudes of a block's rows add up to less than `2^53` times that,
//! every sum of some of them is exact in `f64`, in whatever order. So the sums of a centre are those of the round before, plus the rows that
//! came and minus those that left, to the bit, and rows that stay need not be read. Numbers that were measured or stored in `f32` are mostly
//! so; the sums of others are made anew each round.
//!
//! The squared distances of all rows to their centres follow from the sums: with the rows seen from an origin `o` of the block, and `S`, `n`
//! the sum and the number of a centre's rows, `sum |x - c|^2 = sum |x - o|^2 - sum 2 (c - o).(S - n o) + sum n |c - o|^2`. That is done where
//! it costs no more than some bits of precision. Whether it is depends on rows and centres alone, not on what a block happens to remember.

use std::ops::Range;

use emberline_datasets::simd::Vectors;

use super::rows::{Rows, STRIP};
use super::sums::{Sink, Sums};
use super::{Centres, squared_distance};

/// Sums up to this many times the grain of their column are exact. Half of what `f64` holds: the magnitudes are themselves added in `f64`.
const EXACT: f64 = (1_u64 << 52) as f64;
/// How many times the result the terms of a sum of squared distances may be: it has about two digits less than what is measured then.
const CANCELLED: f64 = 256.0;
/// Centres for which sums are kept, for each row of a block: their sums take at most a quarter of what the rows take in `f32`.
const FEWEST_ROWS: usize = 8;

/// How a block comes to its sums in a round: by moving those it kept, or anew, and then it may find them worth keeping.
pub struct Ledger {
    kept: Option<Tally>,
    census: Option<Census>,
}

impl Ledger {
    /// For rows of which `kept` are the sums by the centres before. Where nothing is known of them yet they are `new`: it is
    /// found out whether their sums can be kept.
    pub fn open(kept: Option<Tally>, new: bool, n: usize, centres: &Centres) -> Self {
        let census = if new {
            Census::new(n, centres.k(), centres.d())
        } else {
            None
        };
        Self { kept, census }
    }

    /// The sums that are moved row by row; without them all rows have to be added up.
    pub fn kept(&mut self) -> Option<&mut Tally> {
        self.kept.as_mut()
    }

    /// Looks at the next rows of the block.
    #[inline(always)]
    pub fn survey<S: Vectors>(&mut self, simd: S, rows: &mut impl Rows, strip: Range<usize>) {
        if let Some(census) = &mut self.census {
            census.take(simd, rows, strip);
        }
    }

    /// Hands the sums and squared distances of the block out once all rows have their centres `own`; gives back what to keep.
    #[inline(always)]
    pub fn close<S: Vectors>(
        self,
        simd: S,
        rows: &mut impl Rows,
        (own, centres): (&[u32], &Centres),
        sink: &mut Sink<'_>,
    ) -> Option<Tally> {
        let Sink::Sums { sums, .. } = sink else {
            return None;
        };
        if let Some(tally) = self.kept {
            tally.tell(sums);
            sums.cost = match tally.cost(centres) {
                Some(told) => told,
                None => measured(simd, rows, (own, centres)),
            };
            return Some(tally);
        }
        let tally = self.census?.close(sums)?;
        sums.cost = tally.cost(centres).unwrap_or(sums.cost);
        Some(tally)
    }
}

/// Squared distances of all rows to their centres, measured and added row by row.
#[inline(always)]
fn measured<S: Vectors>(simd: S, rows: &mut impl Rows, (own, centres): (&[u32], &Centres)) -> f64 {
    let mut cost = 0.0;
    for start in (0..own.len()).step_by(STRIP) {
        let strip = start..own.len().min(start + STRIP);
        rows.enter(strip.clone());
        for i in strip {
            cost += rows.distance(simd, i, centres.row(own[i] as usize));
        }
    }
    cost
}

/// The sums of a block.
#[derive(Debug, Clone)]
pub struct Tally {
    d: usize,
    /// Of the rows of each centre `(k, d)`.
    sums: Vec<f64>,
    /// How many rows each centre has.
    counts: Vec<f64>,
    origin: Vec<f64>,
    /// Squared distances of all rows to the origin.
    spread: f64,
}

/// Finds out whether the sums of a block are exact.
struct Census {
    /// Of each column: what magnitudes add up to, and a number of which all its numbers are multiples or more.
    totals: Vec<f64>,
    grains: Vec<f64>,
    exact: bool,
    /// The mean of the rows seen first.
    origin: Vec<f64>,
    spread: f64,
}

impl Census {
    /// For a block of `n` rows and `k` centres of width `d`; nothing where its sums are not worth keeping.
    fn new(n: usize, k: usize, d: usize) -> Option<Self> {
        (FEWEST_ROWS * (k + 1) <= n).then(|| Self {
            totals: vec![0.0; d],
            grains: vec![f64::INFINITY; d],
            exact: true,
            origin: Vec::new(),
            spread: 0.0,
        })
    }

    /// Takes these rows in; rows of a block come in order.
    #[inline(always)]
    fn take<S: Vectors>(&mut self, simd: S, rows: &mut impl Rows, strip: Range<usize>) {
        if !self.exact {
            return;
        }
        rows.survey(strip.clone(), &mut self.totals, &mut self.grains);
        let mut columns = self.totals.iter().zip(&self.grains);
        // Written so that what is not a number is not exact.
        self.exact = columns.all(|(total, grain)| *total < EXACT * grain);
        if !self.exact {
            return;
        }
        if self.origin.is_empty() {
            self.origin = vec![0.0; self.totals.len()];
            let share = 1.0 / strip.len() as f64;
            for i in strip.clone() {
                rows.add(simd, i, share, &mut self.origin);
            }
        }
        for i in strip {
            self.spread += rows.distance(simd, i, &self.origin);
        }
    }

    /// Once all rows are in, of which these are the sums; nothing where those are not exact.
    fn close(self, sums: &Sums) -> Option<Tally> {
        self.exact.then(|| Tally {
            d: self.totals.len(),
            sums: sums.sums.clone(),
            counts: sums.weights.clone(),
            origin: self.origin,
            spread: self.spread,
        })
    }
}

impl Tally {
    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        let numbers = self.sums.len() + self.counts.len() + self.origin.len();
        size_of::<f64>() * numbers
    }

    /// Row `i` goes from one centre to another.
    #[inline(always)]
    pub fn shift<S: Vectors>(&mut self, simd: S, rows: &impl Rows, i: usize, [from, to]: [u32; 2]) {
        for (c, w) in [(from as usize, -1.0), (to as usize, 1.0)] {
            rows.add(simd, i, w, &mut self.sums[c * self.d..(c + 1) * self.d]);
            self.counts[c] += w;
        }
    }

    /// Hands the sums out.
    fn tell(&self, to: &mut Sums) {
        to.sums.copy_from_slice(&self.sums);
        to.weights.copy_from_slice(&self.counts);
    }

    /// Squared distances of all rows to their centres, where the sums tell them.
    fn cost(&self, centres: &Centres) -> Option<f64> {
        let (mut apart, mut along) = (0.0, 0.0);
        for ((c, sum), n) in self.sums.chunks_exact(self.d).enumerate().zip(&self.counts) {
            let centre = centres.row(c);
            apart += n * squared_distance(centre, &self.origin);
            let slots = centre.iter().zip(sum).zip(&self.origin);
            along += slots.map(|((c, s), o)| (c - o) * (s - n * o)).sum::<f64>();
        }
        let cost = self.spread - 2.0 * along + apart;
        (self.spread + apart <= CANCELLED * cost).then_some(cost)
    }
}

/// Bytes that a tally of `k` centres of width `d` takes for each of the `n` rows of a block.
pub fn tally_bytes(n: usize, k: usize, d: usize) -> usize {
    if FEWEST_ROWS * (k + 1) <= n {
        (size_of::<f64>() * (k + 1) * (d + 1)).div_ceil(n)
    } else {
        0
    }
}

//! Several attempts at first centres, of which a sample of the rows tells the best.

use crate::Result;
use emberline_pipeline::Partial;

use super::kernel::{Centres, Sums};
use super::recluster::{Candidates, moved};
use super::rounds::{Assign, Sample};
use super::seeding::Seeding;

/// Rows of the sample, about.
const ROWS: f64 = 4_096.0;
/// How often the centres of each attempt are moved.
const ROUNDS: usize = 20;
/// Attempts of all starts together, where centres are few.
const MOST_ATTEMPTS: usize = 8;
/// Distances that further attempts may measure on the driver.
const EFFORT: usize = 1 << 20;

/// An attempt at the centres of a start.
struct Attempt {
    start: usize,
    centres: Centres,
    cost: f64,
}

impl Seeding<'_> {
    /// Makes `k` centres out of the candidates of each start. What Lloyd's algorithm comes to differs by more than a percent from one
    /// start to the next; so where it is cheap, several are tried on a sample (Bradley and Fayyad 1998, ICML) beside the candidates,
    /// which stand for clusters that the sample misses.
    pub(super) fn best_of(&self, candidates: &[Candidates<'_>]) -> Result<Vec<Centres>> {
        let k = self.params.k;
        let tries = |c: &Candidates<'_>| {
            let most = MOST_ATTEMPTS / candidates.len();
            (EFFORT / c.effort(k).max(1)).clamp(1, most.max(1))
        };
        let mut attempts = Vec::new();
        for (start, candidates) in candidates.iter().enumerate() {
            let draw = self.run.draw(Some(self.seed), "kmeans recluster");
            let mut stream = draw.at(start as u64).stream();
            for _ in 0..tries(candidates) {
                attempts.push(Attempt {
                    start,
                    centres: candidates.recluster(k, &mut stream),
                    cost: f64::INFINITY,
                });
            }
        }
        if attempts.len() > candidates.len() {
            self.refine(candidates, &mut attempts)?;
        }
        let best = |start: usize| {
            let own = attempts.iter().filter(|a| a.start == start);
            own.reduce(|best, a| if a.cost < best.cost { a } else { best })
        };
        let best = (0..candidates.len()).filter_map(best);
        Ok(best.map(|a| a.centres.clone()).collect())
    }

    fn refine(&self, candidates: &[Candidates<'_>], attempts: &mut [Attempt]) -> Result<()> {
        let total: f64 = candidates[0].weights.iter().sum();
        let sample = Sample::new(self.seed, ROWS, total);
        for _ in 0..ROUNDS {
            let sets = attempts.iter().map(|a| (a.centres.clone(), None));
            let round = Assign::new(self.geometry, sets.collect()).on(sample);
            let Some(sums) = self.run.round(self.data, &round)? else {
                break;
            };
            for (attempt, sums) in attempts.iter_mut().zip(sums.0) {
                let mut all = candidates[attempt.start].sums(&attempt.centres);
                all.merge(scaled(sums, total));
                attempt.cost = all.cost;
                attempt.centres = moved(&all, &attempt.centres, self.geometry);
            }
        }
        Ok(())
    }
}

/// Sums over a sample made to weigh as much as all rows.
fn scaled(mut sums: Sums, total: f64) -> Sums {
    let weight: f64 = sums.weights.iter().sum();
    let factor = if weight > 0.0 { total / weight } else { 0.0 };
    let numbers = sums.sums.iter_mut().chain(&mut sums.weights);
    numbers.for_each(|v| *v *= factor);
    sums.cost *= factor;
    sums
}

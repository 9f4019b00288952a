//! Which rows a tree sees, and how often.

use emberline_pipeline::datasets::random::Draw;
use serde::{Deserialize, Serialize};

/// Most times one row is drawn for one tree. A Poisson count of mean 1 exceeds it less than once in 10^34 draws; the bound
/// keeps sums inside their integers.
pub const MOST_DRAWS: u8 = 31;

/// How the rows of each tree are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Seed of the draws.
    pub seed: u64,
    /// With replacement (Poisson counts) or without.
    pub bootstrap: bool,
    /// Mean count, or the share of rows kept.
    pub rate: f64,
}

impl Sampling {
    /// Every row once.
    #[must_use]
    pub fn none() -> Self {
        Self {
            seed: 0,
            bootstrap: false,
            rate: 1.0,
        }
    }

    /// True where every tree sees every row once.
    #[must_use]
    pub fn takes_all(&self) -> bool {
        !self.bootstrap && self.rate >= 1.0
    }

    /// The draws of one tree.
    #[must_use]
    pub fn bag(&self, tree: u64) -> Bag {
        let draw = Draw::new(self.seed, "tree rows").at(tree);
        let to_bits = |share: f64| (share * 2.0_f64.powi(64)) as u64; // saturates at 1
        let mut below = Vec::new();
        if self.bootstrap {
            let mut mass = (-self.rate).exp();
            let mut cumulative = 0.0;
            for k in 0..MOST_DRAWS {
                cumulative += mass;
                below.push(to_bits(cumulative));
                mass *= self.rate / f64::from(k + 1);
            }
        } else if !self.takes_all() {
            below = vec![to_bits(1.0 - self.rate)];
        }
        Bag {
            draw,
            below,
            all: self.takes_all(),
        }
    }
}

/// The draws of one tree: a count for each row id.
#[derive(Debug, Clone)]
pub struct Bag {
    draw: Draw,
    /// `below[k]`: the count is at most `k` where the drawn bits lie below.
    below: Vec<u64>,
    all: bool,
}

impl Bag {
    /// How often the tree sees the row.
    #[must_use]
    pub fn count(&self, row_id: u64) -> u8 {
        if self.all {
            return 1;
        }
        let bits = self.draw.bits(row_id);
        let (few, more) = self.below.split_at(self.below.len().min(4));
        // Counts up to 3 without a branch: which of them it is cannot be foretold.
        let n: u8 = few.iter().map(|limit| u8::from(bits >= *limit)).sum();
        if usize::from(n) < few.len() {
            return n;
        }
        n + more.iter().take_while(|limit| bits >= **limit).count() as u8
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    fn shares(sampling: Sampling, n: u64) -> Vec<f64> {
        let bag = sampling.bag(3);
        let mut counts = vec![0.0; 1 + usize::from(MOST_DRAWS)];
        (0..n).for_each(|id| counts[usize::from(bag.count(id))] += 1.0 / n as f64);
        counts
    }

    #[test]
    fn bootstrap_counts_follow_the_poisson_law() {
        let shares = shares(
            Sampling {
                seed: 1,
                bootstrap: true,
                rate: 1.0,
            },
            200_000,
        );
        let e = (-1.0_f64).exp();
        // Largest standard error is sqrt(e(1-e)/n) = 1.1e-3; five of them.
        for (k, expected) in [e, e, e / 2.0, e / 6.0, e / 24.0].into_iter().enumerate() {
            assert!(
                (shares[k] - expected).abs() < 5.5e-3,
                "{k}: {} against {expected}",
                shares[k]
            );
        }
    }

    #[test]
    fn without_replacement_a_row_is_seen_once_or_never() {
        let shares = shares(
            Sampling {
                seed: 1,
                bootstrap: false,
                rate: 0.25,
            },
            100_000,
        );
        // Standard error 1.4e-3; five of them.
        assert!(
            (shares[1] - 0.25).abs() < 7e-3 && shares[2] == 0.0,
            "{shares:?}"
        );
    }

    #[test]
    fn trees_draw_unlike_rows() {
        let sampling = Sampling {
            seed: 1,
            bootstrap: true,
            rate: 1.0,
        };
        let (a, b) = (sampling.bag(0), sampling.bag(1));
        assert!((0..100).any(|id| a.count(id) != b.count(id)));
    }
}

//! Random numbers that depend on what they are for, not on who draws them first.
//!
//! Every draw is a pure function of `(seed, purpose, row id or index, ...)`: a split, a bootstrap weight or a k-means
//! seed is the same whatever partition, thread or machine asks. The mixing function is the 64-bit finaliser of
//! SplitMix64 (Steele, Lea, Flood 2014, OOPSLA; variant 13 of Stafford), applied once per key part.

use serde::{Deserialize, Serialize};

/// Draws for one purpose under one seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draw(u64);

impl Draw {
    /// Draws under `seed` for `purpose` (a short constant such as `"split"`; another purpose is independent).
    #[must_use]
    pub fn new(seed: u64, purpose: &str) -> Self {
        // FNV-1a of the purpose, then mixed with the seed, so that near seeds share nothing.
        let name = purpose.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(mix(mix(seed) ^ name))
    }

    /// Draws of this purpose for one index (a tree, a restart), independent of those of every other index.
    #[inline]
    #[must_use]
    pub fn at(self, index: u64) -> Self {
        Self(mix(self.0 ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// 64 uniform bits for `index`.
    #[inline]
    #[must_use]
    pub fn bits(self, index: u64) -> u64 {
        self.at(index).0
    }

    /// Uniform in `[0, 1)` for `index`, with 53 bits.
    #[inline]
    #[must_use]
    pub fn uniform(self, index: u64) -> f64 {
        unit(self.bits(index))
    }

    /// A sequence of draws, for loops that need many in a fixed order.
    #[must_use]
    pub fn stream(self) -> Stream {
        Stream { state: self.0 }
    }
}

/// A sequential generator (SplitMix64) started from a [`Draw`].
#[derive(Debug, Clone)]
pub struct Stream {
    state: u64,
}

impl Stream {
    /// The next 64 uniform bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        finalise(self.state)
    }

    /// Uniform in `[0, 1)`.
    pub fn uniform(&mut self) -> f64 {
        unit(self.bits())
    }

    /// Uniform in `0..n` without bias (Lemire 2019, ACM TOMACS 29(1)); 0 for `n` 0.
    pub fn below(&mut self, n: u64) -> u64 {
        loop {
            let product = u128::from(self.bits()) * u128::from(n);
            // What is rejected lies below `2^64 mod n`, itself below `n`: the division is seldom needed.
            let low = product as u64;
            if low >= n || low >= n.wrapping_neg().checked_rem(n).unwrap_or(0) {
                return (product >> 64) as u64;
            }
        }
    }

    /// Standard normal (polar method, Marsaglia and Bray 1964).
    pub fn normal(&mut self) -> f64 {
        loop {
            let (u, v) = (2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0);
            let s = u * u + v * v;
            if s > 0.0 && s < 1.0 {
                return u * (-2.0 * s.ln() / s).sqrt();
            }
        }
    }

    /// Puts `count` of the items, drawn without replacement, at the front (partial Fisher-Yates).
    pub fn shuffle_front<T>(&mut self, items: &mut [T], count: usize) {
        let n = items.len();
        for i in 0..count.min(n.saturating_sub(1)) {
            let j = i + self.below((n - i) as u64) as usize;
            items.swap(i, j);
        }
    }
}

#[inline]
fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
}

#[inline]
fn mix(x: u64) -> u64 {
    finalise(x.wrapping_add(0x9e37_79b9_7f4a_7c15))
}

#[inline]
fn finalise(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_do_not_depend_on_their_order() {
        let draw = Draw::new(42, "split");
        let forward: Vec<u64> = (0..10).map(|i| draw.bits(i)).collect();
        let mut backward: Vec<u64> = (0..10).rev().map(|i| draw.bits(i)).collect();
        backward.reverse();
        assert_eq!(forward, backward);
    }

    #[test]
    fn seeds_and_purposes_give_unlike_draws() {
        assert_ne!(Draw::new(1, "split").bits(0), Draw::new(2, "split").bits(0));
        assert_ne!(
            Draw::new(1, "split").bits(0),
            Draw::new(1, "bootstrap").bits(0)
        );
    }

    #[test]
    fn uniform_draws_have_the_mean_and_variance_of_the_unit_interval() {
        let draw = Draw::new(7, "moments");
        let n = 100_000;
        let values: Vec<f64> = (0..n).map(|i| draw.uniform(i)).collect();
        let mean = values.iter().sum::<f64>() / n as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64;
        // Standard error of the mean is 0.2887/sqrt(n) = 9.1e-4; five of them.
        assert!((mean - 0.5).abs() < 4.6e-3, "mean {mean}");
        assert!((variance - 1.0 / 12.0).abs() < 2e-3, "variance {variance}");
    }

    #[test]
    fn below_stays_in_range_and_reaches_every_value() {
        let mut stream = Draw::new(3, "below").stream();
        let mut seen = [0_u32; 7];
        for _ in 0..7_000 {
            seen[stream.below(7) as usize] += 1;
        }
        // Expected 1,000 each, standard deviation 29; six of them.
        assert!(seen.iter().all(|c| (824..1_176).contains(c)), "{seen:?}");
    }
}

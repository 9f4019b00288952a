//! Some rows for all: what a pass looks at where a share tells enough.

use emberline_pipeline::datasets::Block;
use emberline_pipeline::datasets::random::Draw;
use serde::{Deserialize, Serialize};

/// A sample of rows, drawn by weight and keyed by row id, so that it is the same wherever rows lie.
///
/// A row of weight `w` is in it with probability `w share`, for the weight `1 / share`; a row heavier than that is always in it, for
/// its own weight. So sums over the sample are those over all rows, in expectation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    seed: u64,
    /// Rows for a unit of weight; 1 and more mean all.
    share: f64,
}

impl Sample {
    /// About `rows` rows of those that weigh `weight` together.
    pub fn new(seed: u64, rows: f64, weight: f64) -> Self {
        Self {
            seed,
            share: rows / weight,
        }
    }

    /// The rows of a block that are in the sample; none where that is all of them as they are.
    fn of(self, block: &Block) -> Option<Block> {
        let whole = |w: f64| w * self.share >= 1.0;
        if (0..block.n_rows()).all(|i| whole(block.weight(i))) {
            return None;
        }
        let draw = Draw::new(self.seed, "kmeans sample");
        let is_in = |i: &usize| draw.uniform(block.row_ids[*i]) < block.weight(*i) * self.share;
        let rows: Vec<usize> = (0..block.n_rows()).filter(is_in).collect();
        let mut sample = block.select(&rows);
        // Without weights, all rows stand for as much.
        for w in sample.weight.iter_mut().flatten() {
            *w = w.max(1.0 / self.share);
        }
        Some(sample)
    }
}

/// What a block remembers of its sample.
#[derive(Default)]
pub struct Sampled {
    of: Option<Sample>,
    rows: Option<Block>,
}

impl Sampled {
    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        self.rows.as_ref().map_or(0, Block::memory)
    }

    /// The rows of `block` that are in `sample`; all without one.
    pub fn rows<'a>(&'a mut self, block: &'a Block, sample: Option<Sample>) -> &'a Block {
        if self.of != sample {
            self.of = sample;
            self.rows = sample.and_then(|s| s.of(block));
        }
        self.rows.as_ref().unwrap_or(block)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use emberline_pipeline::datasets::{Features, Matrix};

    use super::*;

    fn block(weight: Option<Vec<f64>>, n: usize) -> Block {
        let x = (0..n).map(|i| i as f64).collect::<Vec<_>>();
        Block {
            features: Features::F64(Matrix::new(n, 1, x).unwrap()),
            label: None,
            weight,
            row_ids: (0..n as u64).collect::<Arc<[u64]>>(),
        }
    }

    #[test]
    fn weights_of_a_sample_add_up_to_those_of_all_rows_nearly() {
        let weights: Vec<f64> = (0..8_000).map(|i| f64::from(i % 5)).collect();
        let total: f64 = weights.iter().sum();
        let all = block(Some(weights), 8_000);
        let sample = Sample::new(1, 1_000.0, total).of(&all).unwrap();
        // Binomial draws of 1,000 rows on average, for 16 each: five standard deviations of at most 16 sqrt(1000).
        let sum: f64 = sample.weight.as_ref().unwrap().iter().sum();
        assert!(
            (sum - total).abs() < 5.0 * 16.0 * 1_000.0_f64.sqrt(),
            "{sum}"
        );
        assert!(
            (0..sample.n_rows()).all(|i| !sample.row_ids[i].is_multiple_of(5)),
            "a row of weight 0 is in no sample"
        );
    }

    #[test]
    fn a_heavy_row_is_always_in_and_a_sample_of_all_rows_is_all_rows() {
        let mut weights = vec![1.0; 2_000];
        weights[700] = 500.0;
        let all = block(Some(weights), 2_000);
        for seed in 0..20 {
            let sample = Sample::new(seed, 100.0, 2_499.0).of(&all).unwrap();
            let at = sample.row_ids.iter().position(|id| *id == 700).unwrap();
            assert_eq!(sample.weight(at), 500.0);
        }
        assert!(Sample::new(1, 3_000.0, 2_499.0).of(&all).is_none());
    }
}

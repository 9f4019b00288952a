//! Scoring a forest on the rows that its trees did not see (out of bag).

use std::sync::Arc;

use emberline_pipeline::datasets::{Block, DataError};
use emberline_pipeline::predictor::argmax;
use emberline_pipeline::{Partial, Round};
use serde::{Deserialize, Serialize};

use super::forest::{ForestClassifier, ForestRegressor};
use super::sample::{Bag, Sampling};

/// Which rows each tree did not see: drawn anew by row id, so that nothing is kept from growing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Unseen {
    /// How rows were drawn.
    pub sampling: Sampling,
    /// Trees whose draw was empty; they saw every row.
    pub whole: Vec<u64>,
    /// Number of trees.
    pub n_trees: usize,
}

impl Unseen {
    fn bags(&self) -> Vec<Option<Bag>> {
        (0..self.n_trees as u64)
            .map(|t| (!self.whole.contains(&t)).then(|| self.sampling.bag(t)))
            .collect()
    }
}

/// Loss after each tree, and sums for the coefficient of determination.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OobSums {
    /// Weighted loss of the rows with a prediction after each tree.
    pub loss: Vec<f64>,
    /// Their weight.
    pub weight: Vec<f64>,
    /// Rows with a prediction in the end.
    pub rows: u64,
    /// Weighted sum of their labels less the offset.
    pub sum: f64,
    /// Weighted sum of the squares of that.
    pub squares: f64,
}

impl OobSums {
    fn new(n_trees: usize) -> Self {
        Self {
            loss: vec![0.0; n_trees],
            weight: vec![0.0; n_trees],
            rows: 0,
            sum: 0.0,
            squares: 0.0,
        }
    }

    /// Mean loss after each tree; trees before the first prediction are left out.
    #[must_use]
    pub fn history(&self) -> Vec<f64> {
        self.loss
            .iter()
            .zip(&self.weight)
            .filter(|(_, w)| **w > 0.0)
            .map(|(l, w)| l / w)
            .collect()
    }
}

impl Partial for OobSums {
    fn merge(&mut self, later: Self) {
        for (own, other) in self.loss.iter_mut().zip(later.loss) {
            *own += other;
        }
        for (own, other) in self.weight.iter_mut().zip(later.weight) {
            *own += other;
        }
        self.rows += later.rows;
        self.sum += later.sum;
        self.squares += later.squares;
    }
}

/// Share of rows that trees which did not see them get wrong.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OobClasses {
    /// The forest.
    pub forest: Arc<ForestClassifier>,
    /// Who saw what.
    pub unseen: Unseen,
    /// Number of classes.
    pub n_classes: usize,
}

impl Round for OobClasses {
    const NAME: &'static str = "tree/oob_classes";
    type Unit = Block;
    type Partial = OobSums;
    type Scratch = ();

    fn map(&self, block: &Block, (): &mut ()) -> Result<OobSums, DataError> {
        let (x, bags) = (block.dense(), self.unseen.bags());
        let mut sums = OobSums::new(self.unseen.n_trees);
        let mut features = vec![0.0; x.ncols()];
        for (i, row) in x
            .rows()
            .into_iter()
            .enumerate()
            .filter(|(i, _)| block.weight(*i) > 0.0)
        {
            features.iter_mut().zip(row).for_each(|(f, v)| *f = *v);
            let (w, y) = (block.weight(i), block.label(i) as usize);
            let mut votes = vec![0.0; self.n_classes];
            let mut wrong = None;
            for (t, bag) in bags.iter().enumerate() {
                if bag.as_ref().is_some_and(|b| b.count(block.row_ids[i]) == 0) {
                    self.forest.vote(t, &features, &mut votes);
                    wrong = Some(argmax(&votes) != y);
                }
                if let Some(wrong) = wrong {
                    sums.weight[t] += w;
                    sums.loss[t] += if wrong { w } else { 0.0 };
                }
            }
            sums.rows += u64::from(wrong.is_some());
        }
        Ok(sums)
    }
}

/// Squared error of the mean of the trees that did not see a row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OobNumbers {
    /// The forest.
    pub forest: Arc<ForestRegressor>,
    /// Who saw what.
    pub unseen: Unseen,
    /// Taken from labels before they are squared.
    pub offset: f64,
}

impl Round for OobNumbers {
    const NAME: &'static str = "tree/oob_numbers";
    type Unit = Block;
    type Partial = OobSums;
    type Scratch = ();

    fn map(&self, block: &Block, (): &mut ()) -> Result<OobSums, DataError> {
        let (x, bags) = (block.dense(), self.unseen.bags());
        let mut sums = OobSums::new(self.unseen.n_trees);
        let mut features = vec![0.0; x.ncols()];
        for (i, row) in x
            .rows()
            .into_iter()
            .enumerate()
            .filter(|(i, _)| block.weight(*i) > 0.0)
        {
            features.iter_mut().zip(row).for_each(|(f, v)| *f = *v);
            let (w, y) = (block.weight(i), block.label(i));
            let (mut total, mut trees) = (0.0, 0.0);
            for (t, bag) in bags.iter().enumerate() {
                if bag.as_ref().is_some_and(|b| b.count(block.row_ids[i]) == 0) {
                    total += self.forest.tree(t, &features);
                    trees += 1.0;
                }
                if trees > 0.0 {
                    let error = y - total / trees;
                    sums.weight[t] += w;
                    sums.loss[t] += w * error * error;
                }
            }
            if trees > 0.0 {
                let centred = y - self.offset;
                sums.rows += 1;
                sums.sum += w * centred;
                sums.squares += w * centred * centred;
            }
        }
        Ok(sums)
    }
}

//! Fitted forests: trees that vote for classes, and trees whose mean predicts a number.

use emberline_pipeline::persist::{Arrays, ModelError, state, to_state};
use emberline_pipeline::predictor::{ClassScorer, RowScorer};
use emberline_pipeline::{Error, Registry, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::grow::GrownTree;
use super::leaves::ClassLeaves;
use super::node::Node;
use super::nodes::{AT_ONCE, Nodes, STAGE, invalid};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedForest {
    num_trees: usize,
}

fn check_count(saved: &Value, nodes: &Nodes) -> std::result::Result<(), ModelError> {
    let saved: SavedForest = state(STAGE, saved)?;
    if saved.num_trees == nodes.n_trees() {
        return Ok(());
    }
    Err(invalid(&format!(
        "it has {} trees, {} were saved",
        nodes.n_trees(),
        saved.num_trees
    )))
}

/// Trees that vote for classes: each adds the class shares of its leaf (soft voting).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ForestClassifier {
    /// The nodes of all trees.
    pub nodes: Nodes,
    leaves: ClassLeaves,
}

impl ForestClassifier {
    /// Appends a tree.
    ///
    /// # Errors
    /// The forest outgrows 32-bit indices.
    pub fn push(&mut self, tree: &GrownTree) -> Result<()> {
        let first = self.leaves.len() as u32;
        let entries = self.leaves.classes.len() + tree.leaves.classes.len();
        if u32::try_from(entries).is_err() {
            return Err(Error::Usage("the forest's leaves have more than 2^32 class shares; lower `num_trees` or `max_depth`".to_owned()));
        }
        let base = self.leaves.classes.len() as u32;
        self.leaves
            .offsets
            .extend(tree.leaves.offsets[1..].iter().map(|o| o + base));
        self.leaves.classes.extend_from_slice(&tree.leaves.classes);
        self.leaves.shares.extend_from_slice(&tree.leaves.shares);
        self.nodes.push(tree, first)
    }

    /// Adds the vote of tree `t` for the features `x` `(d,)` to `votes` `(k,)`.
    pub fn vote(&self, t: usize, x: &[f64], votes: &mut [f64]) {
        self.add(self.nodes.leaf(t, x), votes);
    }

    fn add(&self, leaf: &Node, votes: &mut [f64]) {
        let (classes, shares) = self.leaves.leaf(leaf.child() as usize);
        for (c, share) in classes.iter().zip(shares) {
            votes[*c as usize] += share;
        }
    }
}

impl ClassScorer for ForestClassifier {
    fn raw(&self, x: &[f64], raw: &mut [f64]) {
        raw.fill(0.0);
        self.nodes.each_tree(x, |leaf| self.add(leaf, raw));
    }

    /// Tree by tree, so that its nodes stay in the cache; each row still gets its votes in the order of the trees.
    fn raw_rows(&self, n: usize, x: &[f64], raw: &mut [f64]) {
        let (d, k) = (x.len() / n, raw.len() / n);
        if n < AT_ONCE {
            for i in 0..n {
                self.raw(&x[i * d..(i + 1) * d], &mut raw[i * k..(i + 1) * k]);
            }
            return;
        }
        raw.fill(0.0);
        for t in 0..self.nodes.n_trees() {
            self.nodes.each_row(t, d, x, |i, leaf| {
                self.add(leaf, &mut raw[i * k..(i + 1) * k]);
            });
        }
    }

    fn probability(&self, raw: &[f64], probability: &mut [f64]) {
        let total: f64 = raw.iter().sum();
        for (p, r) in probability.iter_mut().zip(raw) {
            *p = r / total;
        }
    }

    fn save(&self, arrays: &mut Arrays) -> Value {
        self.nodes.save(arrays);
        arrays.put_u32("leaf_offset", &self.leaves.offsets);
        arrays.put_u32("leaf_class", &self.leaves.classes);
        arrays.put_f64("leaf_share", &self.leaves.shares);
        to_state(&SavedForest {
            num_trees: self.nodes.n_trees(),
        })
    }

    fn load(
        saved: &Value,
        arrays: &Arrays,
        n_features: usize,
        n_classes: usize,
        _: &Registry,
    ) -> std::result::Result<Self, ModelError> {
        let leaves = ClassLeaves {
            offsets: arrays.u32(STAGE, "leaf_offset")?,
            classes: arrays.u32(STAGE, "leaf_class")?,
            shares: arrays.f64(STAGE, "leaf_share")?,
        };
        let (offsets, classes, shares) = (&leaves.offsets, &leaves.classes, &leaves.shares);
        // Every leaf has at least one class, so that probabilities never divide by zero.
        let sound = offsets.first() == Some(&0)
            && offsets.windows(2).all(|w| w[0] < w[1])
            && offsets.last().is_some_and(|o| *o as usize == classes.len())
            && classes.len() == shares.len()
            && classes.iter().all(|c| (*c as usize) < n_classes)
            && shares.iter().all(|s| *s > 0.0 && *s <= 1.0);
        if !sound {
            return Err(invalid("its leaves hold no class shares"));
        }
        let nodes = Nodes::load(arrays, n_features, Some(leaves.len()))?;
        check_count(saved, &nodes)?;
        Ok(Self { nodes, leaves })
    }
}

/// Trees that predict a number: the mean of their leaves.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ForestRegressor {
    /// The nodes of all trees.
    pub nodes: Nodes,
}

impl ForestRegressor {
    /// Appends a tree.
    ///
    /// # Errors
    /// The forest outgrows 32-bit indices.
    pub fn push(&mut self, tree: &GrownTree) -> Result<()> {
        self.nodes.push(tree, 0)
    }

    /// What tree `t` predicts for the features `x` `(d,)`.
    #[must_use]
    pub fn tree(&self, t: usize, x: &[f64]) -> f64 {
        self.nodes.leaf(t, x).threshold()
    }

    /// The mean of the leaves whose sum is this; leaf by leaf where the sum is beyond the largest number, though no leaf is.
    fn mean(&self, sum: f64, x: &[f64]) -> f64 {
        let n = self.nodes.n_trees() as f64;
        if sum.is_finite() {
            return sum / n;
        }
        let mut mean = 0.0;
        self.nodes.each_tree(x, |leaf| mean += leaf.threshold() / n);
        mean
    }
}

impl RowScorer for ForestRegressor {
    fn predict(&self, x: &[f64]) -> f64 {
        let mut sum = 0.0;
        self.nodes.each_tree(x, |leaf| sum += leaf.threshold());
        self.mean(sum, x)
    }

    fn predict_rows(&self, x: &[f64], out: &mut [f64]) {
        let (n, d) = (self.nodes.n_trees(), x.len() / out.len());
        if out.len() < AT_ONCE {
            for (i, own) in out.iter_mut().enumerate() {
                *own = self.predict(&x[i * d..(i + 1) * d]);
            }
            return;
        }
        out.fill(0.0);
        for t in 0..n {
            (self.nodes).each_row(t, d, x, |i, leaf| out[i] += leaf.threshold());
        }
        for (i, sum) in out.iter_mut().enumerate() {
            *sum = self.mean(*sum, &x[i * d..(i + 1) * d]);
        }
    }

    fn save(&self, arrays: &mut Arrays) -> Value {
        self.nodes.save(arrays);
        to_state(&SavedForest {
            num_trees: self.nodes.n_trees(),
        })
    }

    fn load(
        saved: &Value,
        arrays: &Arrays,
        n_features: usize,
        _: &Registry,
    ) -> std::result::Result<Self, ModelError> {
        let nodes = Nodes::load(arrays, n_features, None)?;
        check_count(saved, &nodes)?;
        Ok(Self { nodes })
    }
}

//! Fitted forests: trees that vote for classes, and trees whose mean predicts a number.

use emberline_pipeline::persist::{Arrays, ModelError, state, to_state};
use emberline_pipeline::predictor::{ClassScorer, RowScorer};
use emberline_pipeline::{Error, Registry, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::grow::GrownTree;
use super::leaves::{ClassLeaves, Numbering, ShareTable};
use super::nodes::{Nodes, STAGE, invalid};
use super::packed::{self, Packed, Prepared};

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
    #[serde(skip)]
    packed: Prepared<(Packed, ShareTable)>,
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
        self.leaves.append(&tree.leaves);
        self.packed = Prepared::default();
        self.nodes.push(tree, first)
    }

    /// Adds the vote of tree `t` for the features `x` `(d,)` to `votes` `(k,)`.
    pub fn vote(&self, t: usize, x: &[f64], votes: &mut [f64]) {
        let leaf = self.nodes.leaf(t, x);
        let (classes, shares) = self.leaves.leaf(leaf.child() as usize);
        for (c, share) in classes.iter().zip(shares) {
            votes[*c as usize] += share;
        }
    }

    fn packed(&self) -> Option<&(Packed, ShareTable)> {
        self.packed.get(|| {
            let mut numbering = Numbering::new(&self.leaves)?;
            let packed = Packed::of(&self.nodes, |_, leaf| numbering.number(leaf.child()))?;
            Some((packed, numbering.finish()))
        })
    }
}

/// Adds the shares of a leaf. Classes that it does not have add 0, which changes no bit.
#[inline(always)]
fn add(votes: &mut [f64], shares: &[f64]) {
    for (vote, share) in votes.iter_mut().zip(shares) {
        *vote += share;
    }
}

impl ClassScorer for ForestClassifier {
    fn prepare(&self) {
        self.packed();
    }

    fn raw(&self, x: &[f64], raw: &mut [f64]) {
        raw.fill(0.0);
        match self.packed() {
            Some((packed, table)) => {
                packed.each_tree(&self.nodes, x, |_, leaf| add(raw, table.row(leaf)));
            }
            None => (0..self.nodes.n_trees()).for_each(|t| self.vote(t, x, raw)),
        }
    }

    /// Tree by tree, so that its nodes stay in the cache; each row still gets its votes in the order of the trees.
    fn raw_rows(&self, n: usize, x: &[f64], raw: &mut [f64]) {
        let (d, k) = (x.len() / n, raw.len() / n);
        match self.packed() {
            Some((packed, table)) if n >= packed::ROWS && d > 0 => {
                raw.fill(0.0);
                packed.each_row(&self.nodes, d, x, |_, i, leaf| {
                    add(&mut raw[i * k..(i + 1) * k], table.row(leaf));
                });
            }
            _ => {
                (0..n).for_each(|i| self.raw(&x[i * d..(i + 1) * d], &mut raw[i * k..(i + 1) * k]))
            }
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
        Ok(Self {
            nodes,
            leaves,
            packed: Prepared::default(),
        })
    }
}

/// Trees that predict a number: the mean of their leaves.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ForestRegressor {
    /// The nodes of all trees.
    pub nodes: Nodes,
    #[serde(skip)]
    packed: Prepared<(Packed, Values)>,
}

/// What leaves predict, by their numbers.
#[derive(Debug, Clone, Default)]
struct Values {
    values: Vec<f64>,
    /// Where the leaves of each tree start.
    starts: Vec<usize>,
}

impl Values {
    /// The number in its tree `t` of the leaf that comes next.
    fn number(&mut self, t: usize, value: f64) -> u32 {
        self.starts.resize(t + 1, self.values.len());
        self.values.push(value);
        u32::try_from(self.values.len() - 1 - self.starts[t]).unwrap_or(u32::MAX)
    }

    #[inline(always)]
    fn of(&self, t: usize, leaf: u32) -> f64 {
        self.values[self.starts[t] + leaf as usize]
    }
}

impl ForestRegressor {
    /// Appends a tree.
    ///
    /// # Errors
    /// The forest outgrows 32-bit indices.
    pub fn push(&mut self, tree: &GrownTree) -> Result<()> {
        self.packed = Prepared::default();
        self.nodes.push(tree, 0)
    }

    /// What tree `t` predicts for the features `x` `(d,)`.
    #[must_use]
    pub fn tree(&self, t: usize, x: &[f64]) -> f64 {
        self.nodes.leaf(t, x).threshold()
    }

    /// The mean of the leaves whose sum is this; leaf by leaf where the sum is beyond the largest number, though no leaf is.
    fn mean(&self, sum: f64, x: &[f64]) -> f64 {
        let n = self.nodes.n_trees();
        if sum.is_finite() {
            return sum / n as f64;
        }
        (0..n).map(|t| self.tree(t, x) / n as f64).sum()
    }

    fn packed(&self) -> Option<&(Packed, Values)> {
        self.packed.get(|| {
            let mut values = Values::default();
            let packed = Packed::of(&self.nodes, |t, leaf| values.number(t, leaf.threshold()))?;
            Some((packed, values))
        })
    }
}

impl RowScorer for ForestRegressor {
    fn prepare(&self) {
        self.packed();
    }

    fn predict(&self, x: &[f64]) -> f64 {
        let mut sum = 0.0;
        match self.packed() {
            Some((packed, values)) => {
                packed.each_tree(&self.nodes, x, |t, leaf| sum += values.of(t, leaf));
            }
            None => (0..self.nodes.n_trees()).for_each(|t| sum += self.tree(t, x)),
        }
        self.mean(sum, x)
    }

    fn predict_rows(&self, x: &[f64], out: &mut [f64]) {
        let (n, d) = (out.len(), x.len() / out.len());
        match self.packed() {
            Some((packed, values)) if n >= packed::ROWS && d > 0 => {
                out.fill(0.0);
                packed.each_row(&self.nodes, d, x, |t, i, leaf| out[i] += values.of(t, leaf));
                for (own, x) in out.iter_mut().zip(x.chunks_exact(d)) {
                    *own = self.mean(*own, x);
                }
            }
            _ => (out.iter_mut().enumerate())
                .for_each(|(i, own)| *own = self.predict(&x[i * d..(i + 1) * d])),
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
        Ok(Self {
            nodes,
            packed: Prepared::default(),
        })
    }
}

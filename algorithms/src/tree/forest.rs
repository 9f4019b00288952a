//! Fitted trees: flat arrays, walked from the root.

use emberline_pipeline::persist::{Arrays, ModelError, state, to_state};
use emberline_pipeline::predictor::{ClassScorer, RowScorer};
use emberline_pipeline::{Error, Registry, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bins::category;
use super::grow::GrownTree;

const LEAF: u8 = 1;
const NOMINAL: u8 = 2;
const MISSING_LEFT: u8 = 4;

/// A node of 24 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Rows with a value up to this go left; for a nominal node the first word of its category set, for a leaf of a
    /// regression tree its value.
    threshold: f64,
    /// The left child, the right one next to it; for a leaf of a classification tree its index.
    child: u32,
    feature: u32,
    kind: u8,
}

impl Node {
    /// A leaf that predicts a number.
    #[must_use]
    pub fn value(value: f64) -> Self {
        Self {
            threshold: value,
            child: 0,
            feature: 0,
            kind: LEAF,
        }
    }

    /// A leaf that predicts class shares.
    #[must_use]
    pub fn shares(leaf: u32) -> Self {
        Self {
            threshold: 0.0,
            child: leaf,
            feature: 0,
            kind: LEAF,
        }
    }

    /// A split of numbers.
    #[must_use]
    pub fn numeric(feature: u32, threshold: f64, child: u32, missing_left: bool) -> Self {
        Self {
            threshold,
            child,
            feature,
            kind: if missing_left { MISSING_LEFT } else { 0 },
        }
    }

    /// A split of categories by the set that starts at word `set`.
    #[must_use]
    pub fn nominal(feature: u32, set: u32, child: u32, missing_left: bool) -> Self {
        let kind = NOMINAL | if missing_left { MISSING_LEFT } else { 0 };
        Self {
            threshold: f64::from(set),
            child,
            feature,
            kind,
        }
    }

    /// True for leaves.
    #[must_use]
    pub fn is_leaf(&self) -> bool {
        self.kind & LEAF != 0
    }

    /// The feature a split looks at.
    #[must_use]
    pub fn feature(&self) -> u32 {
        self.feature
    }

    /// The threshold of a numeric split, or the value of a leaf.
    #[must_use]
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// The left child.
    #[must_use]
    pub fn child(&self) -> u32 {
        self.child
    }
}

/// Class shares of leaves; classes that a leaf does not have are not stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassLeaves {
    /// Start of each leaf's entries, and the end of the last.
    offsets: Vec<u32>,
    classes: Vec<u32>,
    shares: Vec<f64>,
}

impl Default for ClassLeaves {
    fn default() -> Self {
        Self {
            offsets: vec![0],
            classes: Vec::new(),
            shares: Vec::new(),
        }
    }
}

impl ClassLeaves {
    /// Number of leaves.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// True without leaves.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a leaf with these class weights; returns its index.
    pub fn push(&mut self, weights: &[u64]) -> u32 {
        let total: u64 = weights.iter().sum();
        for (c, w) in weights.iter().enumerate().filter(|(_, w)| **w > 0) {
            self.classes.push(c as u32);
            self.shares.push(*w as f64 / total as f64);
        }
        self.offsets.push(self.classes.len() as u32);
        self.len() as u32 - 1
    }

    /// Classes and shares of a leaf.
    #[must_use]
    pub fn leaf(&self, i: usize) -> (&[u32], &[f64]) {
        let own = self.offsets[i] as usize..self.offsets[i + 1] as usize;
        (&self.classes[own.clone()], &self.shares[own])
    }
}

/// The nodes of all trees.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Nodes {
    nodes: Vec<Node>,
    starts: Vec<u32>,
    sets: Vec<u32>,
}

impl Nodes {
    /// Number of trees.
    #[must_use]
    pub fn n_trees(&self) -> usize {
        self.starts.len()
    }

    /// Number of nodes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// True without nodes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Number of leaves.
    #[must_use]
    pub fn n_leaves(&self) -> usize {
        self.nodes.iter().filter(|n| n.is_leaf()).count()
    }

    /// Appends a tree; its leaves were appended at `first_leaf`.
    fn push(&mut self, tree: &GrownTree, first_leaf: u32) -> Result<()> {
        let too_large = || {
            Error::Usage(
                "the forest has more than 2^32 nodes; lower `num_trees` or `max_depth`".to_owned(),
            )
        };
        let base = u32::try_from(self.nodes.len() + tree.nodes.len()).map_err(|_| too_large())?
            - tree.nodes.len() as u32;
        let first_set = u32::try_from(self.sets.len() + tree.sets.len())
            .map_err(|_| too_large())?
            - tree.sets.len() as u32;
        self.starts.push(base);
        self.sets.extend_from_slice(&tree.sets);
        self.nodes.extend(tree.nodes.iter().map(|node| {
            let mut node = *node;
            node.child += if node.is_leaf() { first_leaf } else { base };
            if node.kind & NOMINAL != 0 {
                node.threshold += f64::from(first_set);
            }
            node
        }));
        Ok(())
    }

    /// The leaf of tree `t` that the features `x` `(d,)` lead to.
    #[must_use]
    pub fn leaf(&self, t: usize, x: &[f64]) -> &Node {
        let mut node = &self.nodes[self.starts[t] as usize];
        while !node.is_leaf() {
            let v = x[node.feature as usize];
            let left = if node.kind & NOMINAL != 0 {
                self.in_set(node, v)
            } else if v.is_nan() {
                node.kind & MISSING_LEFT != 0
            } else {
                v <= node.threshold
            };
            node = &self.nodes[node.child as usize + usize::from(!left)];
        }
        node
    }

    fn in_set(&self, node: &Node, v: f64) -> bool {
        let start = node.threshold as usize;
        match category(v, self.sets[start] as usize) {
            Some(c) => self.sets[start + 1 + c / 32] >> (c % 32) & 1 == 1,
            None => node.kind & MISSING_LEFT != 0,
        }
    }

    fn save(&self, arrays: &mut Arrays) {
        let of = |f: fn(&Node) -> u32| self.nodes.iter().map(f).collect::<Vec<u32>>();
        arrays.put_u32("child", &of(|n| n.child));
        arrays.put_u32("feature", &of(|n| n.feature));
        arrays.put_u8(
            "kind",
            &self.nodes.iter().map(|n| n.kind).collect::<Vec<u8>>(),
        );
        arrays.put_f64(
            "threshold",
            &self.nodes.iter().map(|n| n.threshold).collect::<Vec<f64>>(),
        );
        arrays.put_u32("tree_start", &self.starts);
        arrays.put_u32("category_set", &self.sets);
    }

    /// Reads the nodes back. Children stand behind their parents and inside their tree, so every walk ends.
    fn load(
        arrays: &Arrays,
        n_features: usize,
        n_leaves: Option<usize>,
    ) -> std::result::Result<Self, ModelError> {
        let (child, feature, kind) = (
            arrays.u32(STAGE, "child")?,
            arrays.u32(STAGE, "feature")?,
            arrays.u8(STAGE, "kind")?,
        );
        let threshold = arrays.f64(STAGE, "threshold")?;
        let (starts, sets) = (
            arrays.u32(STAGE, "tree_start")?,
            arrays.u32(STAGE, "category_set")?,
        );
        let n = kind.len();
        if child.len() != n || feature.len() != n || threshold.len() != n {
            return Err(invalid("its node arrays differ in length"));
        }
        let rising = starts.first() == Some(&0) && starts.windows(2).all(|w| w[0] < w[1]);
        if !rising || starts.last().is_none_or(|s| *s as usize >= n) {
            return Err(invalid("its trees do not lie one behind the other"));
        }
        let mut nodes = Vec::with_capacity(n);
        let ends = starts.iter().skip(1).map(|s| *s as usize).chain([n]);
        for (start, end) in starts.iter().map(|s| *s as usize).zip(ends) {
            for i in start..end {
                let node = Node {
                    threshold: threshold[i],
                    child: child[i],
                    feature: feature[i],
                    kind: kind[i],
                };
                let next = node.child as usize;
                let sound = if node.is_leaf() {
                    node.kind == LEAF && n_leaves.is_none_or(|leaves| next < leaves)
                } else {
                    node.kind & !(NOMINAL | MISSING_LEFT) == 0
                        && (node.feature as usize) < n_features
                        && next > i
                        && next + 1 < end
                        && (node.kind & NOMINAL == 0 || has_set(&sets, node.threshold))
                };
                if !sound {
                    return Err(invalid(&format!("node {i} points nowhere")));
                }
                nodes.push(node);
            }
        }
        Ok(Self {
            nodes,
            starts,
            sets,
        })
    }
}

const STAGE: &str = "forest";

fn invalid(message: &str) -> ModelError {
    ModelError::stage(STAGE, message)
}

fn has_set(sets: &[u32], start: f64) -> bool {
    category(start, sets.len())
        .is_some_and(|s| (sets[s] as usize).div_ceil(32) <= sets.len() - s - 1)
}

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
        let (classes, shares) = self.leaves.leaf(self.nodes.leaf(t, x).child as usize);
        for (c, share) in classes.iter().zip(shares) {
            votes[*c as usize] += share;
        }
    }
}

impl ClassScorer for ForestClassifier {
    fn raw(&self, x: &[f64], raw: &mut [f64]) {
        raw.fill(0.0);
        for t in 0..self.nodes.n_trees() {
            self.vote(t, x, raw);
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
        self.nodes.leaf(t, x).threshold
    }
}

impl RowScorer for ForestRegressor {
    fn predict(&self, x: &[f64]) -> f64 {
        let n = self.nodes.n_trees();
        let sum: f64 = (0..n).map(|t| self.tree(t, x)).sum();
        sum / n as f64
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

//! The nodes of fitted trees: flat arrays, walked from the root.

use emberline_pipeline::persist::{Arrays, ModelError};
use emberline_pipeline::{Error, Result};
use serde::{Deserialize, Serialize};

use super::bins::category;
use super::grow::GrownTree;

const LEAF: u8 = 1;
const NOMINAL: u8 = 2;
const MISSING_LEFT: u8 = 4;
/// Bits of a node's tag that hold the feature; the kind stands above them.
const FEATURE_BITS: u32 = 29;
/// Features that a node can name.
pub const MOST_FEATURES: usize = 1 << FEATURE_BITS;

/// A node of 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Rows with a value up to this go left; for a nominal node the first word of its category set, for a leaf of a
    /// regression tree its value.
    threshold: f64,
    /// The left child, the right one next to it; for a leaf of a classification tree its index.
    child: u32,
    /// The feature, and in the upper bits the kind.
    tag: u32,
}

impl Node {
    fn new(threshold: f64, child: u32, feature: u32, kind: u8) -> Self {
        Self {
            threshold,
            child,
            tag: feature | u32::from(kind) << FEATURE_BITS,
        }
    }

    /// A leaf that predicts a number.
    #[must_use]
    pub fn value(value: f64) -> Self {
        Self::new(value, 0, 0, LEAF)
    }

    /// A leaf that predicts class shares.
    #[must_use]
    pub fn shares(leaf: u32) -> Self {
        Self::new(0.0, leaf, 0, LEAF)
    }

    /// A split of numbers.
    #[must_use]
    pub fn numeric(feature: u32, threshold: f64, child: u32, missing_left: bool) -> Self {
        Self::new(
            threshold,
            child,
            feature,
            if missing_left { MISSING_LEFT } else { 0 },
        )
    }

    /// A split of categories by the set that starts at word `set`.
    #[must_use]
    pub fn nominal(feature: u32, set: u32, child: u32, missing_left: bool) -> Self {
        let kind = NOMINAL | if missing_left { MISSING_LEFT } else { 0 };
        Self::new(f64::from(set), child, feature, kind)
    }

    fn is(&self, kind: u8) -> bool {
        self.tag & u32::from(kind) << FEATURE_BITS != 0
    }

    fn kind(&self) -> u8 {
        (self.tag >> FEATURE_BITS) as u8
    }

    /// True for leaves.
    #[must_use]
    pub fn is_leaf(&self) -> bool {
        self.is(LEAF)
    }

    /// The feature a split looks at.
    #[must_use]
    pub fn feature(&self) -> u32 {
        self.tag & (MOST_FEATURES as u32 - 1)
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
    pub(super) fn push(&mut self, tree: &GrownTree, first_leaf: u32) -> Result<()> {
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
            if node.is(NOMINAL) {
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
            let v = x[node.feature() as usize];
            let left = if node.is(NOMINAL) {
                self.in_set(node, v)
            } else if v.is_nan() {
                node.is(MISSING_LEFT)
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
            None => node.is(MISSING_LEFT),
        }
    }

    pub(super) fn save(&self, arrays: &mut Arrays) {
        let of = |f: fn(&Node) -> u32| self.nodes.iter().map(f).collect::<Vec<u32>>();
        arrays.put_u32("child", &of(|n| n.child));
        arrays.put_u32("feature", &of(Node::feature));
        arrays.put_u8(
            "kind",
            &self.nodes.iter().map(Node::kind).collect::<Vec<u8>>(),
        );
        arrays.put_f64(
            "threshold",
            &self.nodes.iter().map(|n| n.threshold).collect::<Vec<f64>>(),
        );
        arrays.put_u32("tree_start", &self.starts);
        arrays.put_u32("category_set", &self.sets);
    }

    /// Reads the nodes back. Children stand behind their parents and inside their tree, so every walk ends.
    pub(super) fn load(
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
                let (next, own, kind) = (child[i] as usize, feature[i], kind[i]);
                let sound = if kind & LEAF != 0 {
                    kind == LEAF && own == 0 && n_leaves.is_none_or(|leaves| next < leaves)
                } else {
                    kind & !(NOMINAL | MISSING_LEFT) == 0
                        && (own as usize) < n_features.min(MOST_FEATURES)
                        && next > i
                        && next + 1 < end
                        && (kind & NOMINAL == 0 || has_set(&sets, threshold[i]))
                };
                if !sound {
                    return Err(invalid(&format!("node {i} points nowhere")));
                }
                nodes.push(Node::new(threshold[i], child[i], own, kind));
            }
        }
        Ok(Self {
            nodes,
            starts,
            sets,
        })
    }
}

pub(super) const STAGE: &str = "forest";

pub(super) fn invalid(message: &str) -> ModelError {
    ModelError::stage(STAGE, message)
}

fn has_set(sets: &[u32], start: f64) -> bool {
    category(start, sets.len()).is_some_and(|s| (sets[s] as usize).div_ceil(32) < sets.len() - s)
}

//! The nodes of fitted trees: flat arrays, walked from the root.

use emberline_pipeline::persist::{Arrays, ModelError};
use emberline_pipeline::{Error, Result};
use serde::{Deserialize, Serialize};

use super::bins::category;
use super::grow::GrownTree;
use super::node::{LEAF, MISSING_LEFT, MOST_FEATURES, NOMINAL, Node};

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
        let moved = tree
            .nodes
            .iter()
            .map(|n| n.moved(base, first_leaf, first_set));
        self.nodes.extend(moved);
        Ok(())
    }

    /// The nodes of tree `t`, and the index of the first.
    pub(super) fn tree(&self, t: usize) -> (u32, &[Node]) {
        let start = self.starts[t];
        let end = (self.starts.get(t + 1)).map_or(self.nodes.len(), |next| *next as usize);
        (start, &self.nodes[start as usize..end])
    }

    /// The leaf of tree `t` that the features `x` `(d,)` lead to.
    #[must_use]
    pub fn leaf(&self, t: usize, x: &[f64]) -> &Node {
        let mut node = &self.nodes[self.starts[t] as usize];
        while !node.is_leaf() {
            node = &self.nodes[node.child as usize + usize::from(self.turns_right(node, x))];
        }
        node
    }

    /// True where the features `x` go right at the split of node `i`.
    #[cold]
    pub(super) fn turn(&self, i: u32, x: &[f64]) -> bool {
        self.turns_right(&self.nodes[i as usize], x)
    }

    #[inline(always)]
    fn turns_right(&self, node: &Node, x: &[f64]) -> bool {
        let v = x[node.feature() as usize];
        let left = if node.is(NOMINAL) {
            self.in_set(node, v)
        } else if v.is_nan() {
            node.is(MISSING_LEFT)
        } else {
            v <= node.threshold
        };
        !left
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

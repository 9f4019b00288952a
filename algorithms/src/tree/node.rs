//! One node of a tree.

use serde::{Deserialize, Serialize};

pub(super) const LEAF: u8 = 1;
pub(super) const NOMINAL: u8 = 2;
pub(super) const MISSING_LEFT: u8 = 4;
/// Bits of a node's tag that hold the feature; the kind stands above them.
const FEATURE_BITS: u32 = 29;
/// Features that a node can name.
pub const MOST_FEATURES: usize = 1 << FEATURE_BITS;

/// A node of 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Rows with a value up to this go left; for a nominal node the first word of its category set, for a leaf of a
    /// regression tree its value.
    pub(super) threshold: f64,
    /// The left child, the right one next to it; for a leaf of a classification tree its index.
    pub(super) child: u32,
    /// The feature, and in the upper bits the kind.
    tag: u32,
}

impl Node {
    pub(super) fn new(threshold: f64, child: u32, feature: u32, kind: u8) -> Self {
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

    /// The node of a tree that stands behind others: so many nodes, leaves and words of sets further on.
    pub(super) fn moved(mut self, nodes: u32, leaves: u32, sets: u32) -> Self {
        self.child += if self.is_leaf() { leaves } else { nodes };
        if self.is(NOMINAL) {
            self.threshold += f64::from(sets);
        }
        self
    }

    pub(super) fn is(&self, kind: u8) -> bool {
        self.tag & u32::from(kind) << FEATURE_BITS != 0
    }

    pub(super) fn kind(&self) -> u8 {
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

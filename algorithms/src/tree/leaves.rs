//! The leaves of classification trees.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// Class shares of leaves; classes that a leaf does not have are not stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassLeaves {
    /// Start of each leaf's entries, and the end of the last.
    pub(super) offsets: Vec<u32>,
    pub(super) classes: Vec<u32>,
    pub(super) shares: Vec<f64>,
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

    /// Adds other leaves behind those that are there.
    pub fn append(&mut self, other: &Self) {
        let first = self.classes.len() as u32;
        self.offsets
            .extend(other.offsets[1..].iter().map(|o| o + first));
        self.classes.extend_from_slice(&other.classes);
        self.shares.extend_from_slice(&other.shares);
    }

    /// Classes and shares of a leaf.
    #[must_use]
    pub fn leaf(&self, i: usize) -> (&[u32], &[f64]) {
        let own = self.offsets[i] as usize..self.offsets[i + 1] as usize;
        (&self.classes[own.clone()], &self.shares[own])
    }
}

/// Up to so many classes the shares of a leaf are written out for all of them.
const MOST_CLASSES: usize = 16;

/// The unlike class shares of leaves, each written out for all classes: leaves are many, unlike ones few, so that these stay
/// in a cache.
#[derive(Debug, Clone)]
pub struct ShareTable {
    n_classes: usize,
    shares: Vec<f64>,
}

impl ShareTable {
    /// Shares number `i`, one a class.
    #[inline(always)]
    #[must_use]
    pub fn row(&self, i: u32) -> &[f64] {
        let start = i as usize * self.n_classes;
        &self.shares[start..start + self.n_classes]
    }
}

/// Numbers leaves so that like ones have one number.
pub struct Numbering<'a> {
    leaves: &'a ClassLeaves,
    table: ShareTable,
    /// The number by a hash of the shares.
    known: HashMap<u64, u32>,
}

impl<'a> Numbering<'a> {
    /// For leaves of few classes; `None` where there are more.
    #[must_use]
    pub fn new(leaves: &'a ClassLeaves) -> Option<Self> {
        let n_classes = 1 + leaves.classes.iter().copied().max()? as usize;
        let shares = Vec::new();
        (n_classes <= MOST_CLASSES).then(|| Self {
            leaves,
            table: ShareTable { n_classes, shares },
            known: HashMap::new(),
        })
    }

    /// The number of a leaf.
    pub fn number(&mut self, leaf: u32) -> u32 {
        let mut row = [0.0; MOST_CLASSES];
        let (classes, shares) = self.leaves.leaf(leaf as usize);
        for (c, share) in classes.iter().zip(shares) {
            row[*c as usize] += share;
        }
        let row = &row[..self.table.n_classes];
        let hash = row.iter().fold(0_u64, |h, share| {
            (h.rotate_left(23) ^ share.to_bits()).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        if let Some(known) = self.known.get(&hash)
            && self.table.row(*known) == row
        {
            return *known;
        }
        let next = (self.table.shares.len() / self.table.n_classes) as u32;
        self.table.shares.extend_from_slice(row);
        self.known.insert(hash, next);
        next
    }

    /// What the numbers stand for.
    #[must_use]
    pub fn finish(self) -> ShareTable {
        self.table
    }
}

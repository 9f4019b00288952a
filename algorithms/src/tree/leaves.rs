//! The leaves of classification trees.

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

    /// Classes and shares of a leaf.
    #[must_use]
    pub fn leaf(&self, i: usize) -> (&[u32], &[f64]) {
        let own = self.offsets[i] as usize..self.offsets[i + 1] as usize;
        (&self.classes[own.clone()], &self.shares[own])
    }
}

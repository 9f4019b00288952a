//! A tree as those see it who have its rows: which of them are in which node that is asked about.

use emberline_pipeline::datasets::random::Draw;
use serde::{Deserialize, Serialize};

use crate::tree::bins::FeatureBins;
use crate::tree::grow::sides;
use crate::tree::split::Rule;
use crate::tree::table::Table;
use crate::tree::work::{Drawn, GrowTrees};

/// A tree that has grown so far, and the nodes that are asked about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// Number of the tree.
    pub tree: u64,
    /// What its rows come to.
    pub drawn: Drawn,
    /// True where its draw was empty, so that it sees every row.
    pub whole: bool,
    /// Where every row begins.
    pub root: Way,
    /// The splits on the way to the nodes.
    pub branches: Vec<Branch>,
    /// The nodes.
    pub asked: Vec<Asked>,
}

/// Where a row goes next.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Way {
    /// To this split.
    Branch(u32),
    /// Into this node.
    Asked(u32),
    /// Into one that nobody asks about.
    Done,
}

/// A split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Branch {
    /// The feature it looks at.
    pub feature: u32,
    /// Which of its bins go left.
    pub rule: Rule,
    /// Where rows go on the left and on the right.
    pub ways: [Way; 2],
}

/// A node that is asked about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Features that its rows are summed by.
    pub features: Vec<u32>,
    /// Splits above it.
    pub depth: u32,
    /// Draws of its features.
    pub draw: Draw,
}

impl View {
    /// Calls `f(node, row, draws)` with each row of the table that the tree sees and that is in a node asked about.
    pub fn each_row(&self, work: &GrowTrees, table: &Table, mut f: impl FnMut(usize, u32, u8)) {
        let n_bins = |j: u32| work.bins.get(j as usize).map_or(0, FeatureBins::n_bins);
        let left: Vec<[bool; 256]> = (self.branches.iter())
            .map(|b| sides(&b.rule, n_bins(b.feature)))
            .collect();
        let (rows, draws) = work.draw(self.tree, table, self.whole);
        for (row, draws) in rows.into_iter().zip(draws) {
            let mut way = self.root;
            let offset = table.offset(row);
            while let Way::Branch(b) = way {
                let branch = &self.branches[b as usize];
                let bin = table.bytes()[table.base(branch.feature as usize) + offset];
                way = branch.ways[usize::from(!left[b as usize][usize::from(bin)])];
            }
            if let Way::Asked(node) = way {
                f(node as usize, row, draws);
            }
        }
    }
}

/// The nodes of some views in one row: view, and number of the node in it.
pub fn all_asked(views: &[View]) -> Vec<(usize, usize)> {
    let of = |(v, view): (usize, &View)| (0..view.asked.len()).map(move |a| (v, a));
    views.iter().enumerate().flat_map(of).collect()
}

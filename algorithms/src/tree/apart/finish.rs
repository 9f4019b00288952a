//! The subtrees of small nodes: a node's rows meet in one place, where all that is below it is grown.

use emberline_pipeline::engine::BlockSource;
use emberline_pipeline::{Error, Exchange, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::row_bytes;
use super::view::{View, all_asked};
use crate::tree::grow::{GrownTree, Start};
use crate::tree::table::{Rows, Table};
use crate::tree::work::{GrowTrees, Growth};

/// Brings the rows of nodes together and grows what is below them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FinishNodes {
    /// How trees are grown.
    pub work: GrowTrees,
    /// The trees, and the nodes asked about.
    pub views: Vec<View>,
    /// Where each group's nodes end, among those of all views in one row.
    pub ends: Vec<usize>,
}

impl FinishNodes {
    fn starts(&self) -> impl Iterator<Item = usize> {
        std::iter::once(0).chain(self.ends.iter().copied())
    }
}

impl Exchange for FinishNodes {
    const NAME: &'static str = "tree/finish-nodes";
    /// The rows of each node of the group.
    type Piece = Vec<Rows>;
    /// The subtree below each node of the group.
    type Output = Vec<GrownTree>;

    fn n_groups(&self) -> usize {
        self.ends.len()
    }

    fn scatter_bytes(&self, rows: u64) -> u64 {
        rows.saturating_mul(row_bytes(&self.work))
    }

    fn scatter(&self, blocks: &dyn BlockSource) -> Result<Vec<Vec<Rows>>> {
        let table = Table::gather(blocks, self.work.recipe())?;
        let rows = |view: &View| -> Vec<Rows> {
            let mut chosen = vec![Vec::new(); view.asked.len()];
            view.each_row(&self.work, &table, |node, row, draws| {
                chosen[node].push((row, draws));
            });
            chosen.iter().map(|rows| table.rows(rows)).collect()
        };
        let rows: Vec<Vec<Rows>> = self.views.par_iter().map(rows).collect();
        let mut rows = rows.into_iter().flatten();
        let groups = self.starts().zip(&self.ends);
        Ok(groups
            .map(|(start, end)| rows.by_ref().take(end - start).collect())
            .collect())
    }

    fn gather(&self, group: usize, pieces: Vec<Vec<Rows>>) -> Result<Vec<GrownTree>> {
        let start = self.starts().nth(group).unwrap_or_default();
        let mut nodes: Vec<Option<Rows>> = vec![None; self.ends[group] - start];
        for piece in pieces {
            for (all, own) in nodes.iter_mut().zip(piece) {
                match all {
                    Some(all) => all.append(own),
                    None => *all = Some(own),
                }
            }
        }
        let asked = all_asked(&self.views);
        let places = nodes.into_par_iter().zip(&asked[start..]);
        places
            .map(|(rows, (view, node))| {
                let view = &self.views[*view];
                let asked = &view.asked[*node];
                let rows = rows.ok_or_else(|| Error::Engine("a node lost its rows".to_owned()))?;
                let (table, draws) = Table::of_rows(self.work.recipe(), rows)?;
                let growth = Growth {
                    soil: self.work.soil(&table, asked.draw),
                    rows: (0..table.n_rows() as u32).collect(),
                    draws,
                    start: Start {
                        depth: asked.depth,
                        weight: Some(view.drawn.weight),
                    },
                };
                let (labels, weights) = (&table.labels, table.weights.as_deref());
                Ok(self
                    .work
                    .with_criterion(labels, weights, view.drawn, growth)?)
            })
            .collect()
    }
}

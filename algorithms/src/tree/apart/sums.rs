//! The search for the splits of large nodes: every part sums its rows by bin, and each node's sums meet in one place.

use emberline_pipeline::engine::{BlockSource, from_bytes, to_bytes};
use emberline_pipeline::{Exchange, Result};
use rayon::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::row_bytes;
use super::view::{Asked, View, all_asked};
use crate::tree::bins::FeatureBins;
use crate::tree::criterion::Criterion;
use crate::tree::grow::min_weight;
use crate::tree::histogram::Tally;
use crate::tree::split::{self, Bounds, Candidate, Feature};
use crate::tree::table::{Labels, Table, Task};
use crate::tree::work::{GrowTrees, WithCriterion};

/// Bins that a byte can name.
const BINS: usize = 256;

/// Sums of the rows of nodes by bin; each node's best split.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SumNodes {
    /// How trees are grown.
    pub work: GrowTrees,
    /// The trees, and the nodes asked about.
    pub views: Vec<View>,
    /// Number of groups; node `i` of all belongs to group `i % groups`.
    pub groups: usize,
}

/// The rows of a node in one part.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Sketch<S> {
    total: S,
    /// The least and the largest label, where the sums do not tell whether all are one.
    labels: Option<(i64, i64)>,
    /// By feature, the bins that have rows, ascending, with their sums.
    bins: Vec<Vec<(u8, S)>>,
}

/// What a node's rows come to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound(serialize = "S: Serialize", deserialize = "S: DeserializeOwned"))]
pub struct Found<S> {
    /// Sums of all rows.
    pub total: S,
    /// True where all labels are one.
    pub uniform: bool,
    /// The best split by a feature asked for.
    pub best: Option<Candidate<S>>,
    /// How many of these features are not constant here.
    pub seen: usize,
}

impl SumNodes {
    /// Bytes that a part holds for a node with so many features, about.
    #[must_use]
    pub fn bytes_of(work: &GrowTrees, asked: &Asked) -> usize {
        let sums = match work.task {
            Task::Classes(k) => k,
            Task::Number { .. } => 4,
        };
        asked.features.len() * BINS * 8 * (2 + sums)
    }
}

impl Exchange for SumNodes {
    const NAME: &'static str = "tree/sum-nodes";
    /// A sketch of each node of the group, as bytes: its type is that of the tree's criterion.
    type Piece = Vec<Vec<u8>>;
    /// What was found at each node of the group, as bytes.
    type Output = Vec<Vec<u8>>;

    fn n_groups(&self) -> usize {
        self.groups
    }

    fn scatter_bytes(&self, rows: u64) -> u64 {
        rows.saturating_mul(row_bytes(&self.work))
    }

    fn scatter(&self, blocks: &dyn BlockSource) -> Result<Vec<Vec<Vec<u8>>>> {
        let table = Table::gather(blocks, self.work.recipe())?;
        let weights = table.weights.as_deref();
        let sketch = |view: &View| -> Result<Vec<Vec<u8>>> {
            let (work, table) = (&self.work, &table);
            let sketch = Sketching { work, view, table };
            work.with_criterion(&table.labels, weights, view.drawn, sketch)?
        };
        let sketches: Vec<Result<Vec<Vec<u8>>>> = self.views.par_iter().map(sketch).collect();
        let mut pieces = vec![Vec::new(); self.groups];
        let mut node = 0;
        for sketches in sketches {
            for sketch in sketches? {
                pieces[node % self.groups].push(sketch);
                node += 1;
            }
        }
        Ok(pieces)
    }

    fn gather(&self, group: usize, pieces: Vec<Vec<Vec<u8>>>) -> Result<Vec<Vec<u8>>> {
        let asked = all_asked(&self.views);
        let own: Vec<(usize, usize)> = asked.into_iter().skip(group).step_by(self.groups).collect();
        let labels = match self.work.task {
            Task::Classes(_) => Labels::Classes(Vec::new()),
            Task::Number { .. } => Labels::Numbers(Vec::new()),
        };
        let search = |(i, (view, node)): (usize, &(usize, usize))| -> Result<Vec<u8>> {
            let (work, view) = (&self.work, &self.views[*view]);
            let search = Searching {
                work,
                view,
                node: *node,
                sketches: pieces.iter().filter_map(|p| p.get(i)).collect(),
            };
            work.with_criterion(&labels, None, view.drawn, search)?
        };
        own.par_iter().enumerate().map(search).collect()
    }
}

/// Sums the rows of a table for a tree.
struct Sketching<'s> {
    work: &'s GrowTrees,
    view: &'s View,
    table: &'s Table,
}

impl<'a> WithCriterion<'a> for Sketching<'_> {
    type Output = Result<Vec<Vec<u8>>>;

    fn with<C: Criterion + 'a>(self, criterion: C) -> Self::Output {
        struct Node<S> {
            total: S,
            labels: Option<(i64, i64)>,
            bases: Vec<usize>,
            cells: Vec<Option<S>>,
        }
        let mut nodes: Vec<Node<C::Sums>> = (self.view.asked.iter())
            .map(|asked| Node {
                total: criterion.empty(),
                labels: None,
                bases: (asked.features.iter())
                    .map(|j| self.table.base(*j as usize))
                    .collect(),
                cells: vec![None; BINS * asked.features.len()],
            })
            .collect();
        self.view.each_row(self.work, self.table, |node, i, draws| {
            let node = &mut nodes[node];
            let row = criterion.row(i, draws);
            criterion.add_row(&mut node.total, row);
            if let Some(label) = C::label_of(row) {
                let (least, most) = node.labels.unwrap_or((label, label));
                node.labels = Some((least.min(label), most.max(label)));
            }
            let offset = self.table.offset(i);
            for (cells, base) in node.cells.chunks_exact_mut(BINS).zip(&node.bases) {
                let cell = &mut cells[usize::from(self.table.bytes()[base + offset])];
                criterion.add_row(cell.get_or_insert_with(|| criterion.empty()), row);
            }
        });
        let sketch = |node: Node<C::Sums>| {
            let held = |cells: &[Option<C::Sums>]| {
                let cells = (0..=u8::MAX).zip(cells);
                cells.filter_map(|(b, c)| Some((b, c.clone()?))).collect()
            };
            to_bytes(&Sketch {
                total: node.total,
                labels: node.labels,
                bins: node.cells.chunks_exact(BINS).map(held).collect(),
            })
        };
        nodes.into_iter().map(sketch).collect()
    }
}

/// Looks for the best split of a node.
struct Searching<'s> {
    work: &'s GrowTrees,
    view: &'s View,
    node: usize,
    sketches: Vec<&'s Vec<u8>>,
}

impl<'a> WithCriterion<'a> for Searching<'_> {
    type Output = Result<Vec<u8>>;

    fn with<C: Criterion + 'a>(self, mut criterion: C) -> Self::Output {
        let features = &self.view.asked[self.node].features;
        let mut total = criterion.empty();
        let mut labels: Option<(i64, i64)> = None;
        let mut bins: Vec<Vec<Option<C::Sums>>> = vec![vec![None; BINS]; features.len()];
        for bytes in self.sketches {
            let sketch: Sketch<C::Sums> = from_bytes(SumNodes::NAME, bytes)?;
            criterion.add(&mut total, &sketch.total);
            labels = match (labels, sketch.labels) {
                (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
                (one, other) => one.or(other),
            };
            for (all, own) in bins.iter_mut().zip(sketch.bins) {
                for (b, sums) in own {
                    match &mut all[usize::from(b)] {
                        Some(cell) => criterion.add(cell, &sums),
                        cell => *cell = Some(sums),
                    }
                }
            }
        }
        criterion.enter(&total);
        let bounds = Bounds {
            weight: criterion.weight(&total),
            rows: criterion.rows(&total),
            min_weight: min_weight(&self.work.limits, self.view.drawn.weight),
            min_rows: self.work.limits.min_instances_per_node,
        };
        let mut tally = C::Tally::new(&criterion);
        let mut scratch = <C::Tally as Tally<C>>::Scratch::default();
        let (mut best, mut seen) = (None, 0);
        for (j, cells) in features.iter().zip(bins) {
            let cells = (0..=u8::MAX).zip(cells);
            let sums: Vec<(u8, C::Sums)> = cells.filter_map(|(b, c)| Some((b, c?))).collect();
            let Some((first, _)) = sums.first() else {
                continue;
            };
            let own = &self.work.bins[*j as usize];
            let feature = Feature {
                index: *j,
                n_bins: own.n_bins(),
                nominal: matches!(own, FeatureBins::Nominal { .. }),
            };
            tally.load(&sums);
            let found = tally.best(&criterion, &total, &bounds, &feature, *first, &mut scratch);
            if let Some(found) = found {
                best = split::better(&criterion, best, found);
                seen += 1;
            }
        }
        to_bytes(&Found {
            total,
            uniform: labels.is_some_and(|(least, most)| least == most),
            best,
            seen,
        })
    }
}

//! Growing one tree, breadth first.

use std::collections::VecDeque;

use emberline_pipeline::datasets::random::Draw;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::bins::FeatureBins;
use super::criterion::Criterion;
use super::forest::ClassLeaves;
use super::nodes::Node;
use super::settings::Limits;
use super::split::{self, Candidate, ChildLimits, Feature, Rule, Scratch};
use super::table::Table;

/// Nodes with at least so many rows times features look at their features on all threads, where all are looked at.
const PARALLEL_FROM: usize = 1 << 17;

/// A tree by itself; indices count from its own first node, set word and leaf.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct GrownTree {
    /// Nodes, breadth first; the children of a node stand side by side.
    pub nodes: Vec<Node>,
    /// Category sets of nominal nodes.
    pub sets: Vec<u32>,
    /// Class shares of the leaves; none for regression.
    pub leaves: ClassLeaves,
    /// Decrease of impurity of each node's split; 0 for leaves.
    pub gains: Vec<f64>,
    /// Share of the tree's weight in each node.
    pub shares: Vec<f64>,
    /// Most splits from the root to a leaf.
    pub depth: u32,
}

/// What a tree is grown from.
pub struct Soil<'a> {
    /// All rows.
    pub table: &'a Table,
    /// How their features were binned.
    pub bins: &'a [FeatureBins],
    /// When growth stops.
    pub limits: Limits,
    /// Features drawn at each node.
    pub n_drawn: usize,
    /// Draws of this tree's features.
    pub draw: Draw,
    /// How often each row was drawn, `(n,)`.
    pub counts: &'a [u8],
}

struct Open {
    node: usize,
    start: usize,
    end: usize,
    depth: u32,
    draw: Draw,
}

/// Grows a tree on `rows`, whose leaves are made by `leaf` from the criterion with their rows. O(depth n m + nodes m bins),
/// `m` the features drawn at a node.
pub fn grow<C: Criterion>(
    soil: &Soil<'_>,
    mut criterion: C,
    mut rows: Vec<u32>,
    leaf: impl Fn(&C, &mut ClassLeaves) -> Node,
) -> GrownTree {
    let mut tree = GrownTree::default();
    let mut finder = Finder::new(soil);
    let mut right_rows = Vec::new();
    criterion.enter(&rows);
    let total = criterion.weight() as f64;
    finder.child.weight = (soil.limits.min_weight_fraction_per_node * total).ceil() as u64;
    let add = |tree: &mut GrownTree| {
        tree.nodes.push(Node::value(0.0));
        tree.gains.push(0.0);
        tree.shares.push(0.0);
    };
    add(&mut tree);
    let mut queue = VecDeque::from([Open {
        node: 0,
        start: 0,
        end: rows.len(),
        depth: 0,
        draw: soil.draw,
    }]);
    while let Some(open) = queue.pop_front() {
        let own = &mut rows[open.start..open.end];
        criterion.enter(own);
        tree.shares[open.node] = criterion.weight() as f64 / total;
        tree.depth = tree.depth.max(open.depth);
        let may_split = (open.depth as usize) < soil.limits.max_depth && !criterion.is_pure();
        let best = if may_split {
            finder.find(&mut criterion, own, open.draw)
        } else {
            None
        };
        let best = best.map(|b| (b, criterion.gain(b.score)));
        let Some((best, gain)) = best.filter(|(_, gain)| *gain >= soil.limits.min_info_gain) else {
            tree.nodes[open.node] = leaf(&criterion, &mut tree.leaves);
            continue;
        };
        let child = tree.nodes.len();
        let bins = &soil.bins[best.feature as usize];
        tree.gains[open.node] = gain;
        tree.nodes[open.node] = inner_node(&best, bins, child, criterion.weight(), &mut tree.sets);
        let middle = partition(
            own,
            soil.table.column(best.feature as usize),
            &best.rule,
            bins,
            &mut right_rows,
        );
        for (side, (start, end)) in [(0, middle), (middle, own.len())].into_iter().enumerate() {
            add(&mut tree);
            queue.push_back(Open {
                node: child + side,
                start: open.start + start,
                end: open.start + end,
                depth: open.depth + 1,
                // The path from the root is the key: what other branches do changes nothing.
                draw: open.draw.at(1 + side as u64),
            });
        }
    }
    tree
}

/// True for the bins that go left.
fn goes_left(rule: &Rule, bin: usize, missing_bin: usize) -> bool {
    match rule {
        Rule::Threshold { missing_left, .. } if bin == missing_bin => missing_left.unwrap_or(false),
        Rule::Threshold { last_left, .. } => bin <= usize::from(*last_left),
        Rule::Nominal { left, .. } => split::contains(left, bin),
    }
}

/// Puts the rows that go left first, both sides in their old order; returns where the right side starts.
fn partition(
    rows: &mut [u32],
    column: &[u8],
    rule: &Rule,
    bins: &FeatureBins,
    right: &mut Vec<u32>,
) -> usize {
    let mut left = [false; 256];
    for (bin, side) in left.iter_mut().enumerate() {
        *side = goes_left(rule, bin, bins.n_bins());
    }
    right.clear();
    let mut middle = 0;
    for i in 0..rows.len() {
        let row = rows[i];
        if left[usize::from(column[row as usize])] {
            rows[middle] = row;
            middle += 1;
        } else {
            right.push(row);
        }
    }
    rows[middle..].copy_from_slice(right);
    middle
}

/// The node of a split. What the node's rows do not show (a missing value, a category) follows the heavier child.
fn inner_node(
    best: &Candidate,
    bins: &FeatureBins,
    child: usize,
    weight: u64,
    sets: &mut Vec<u32>,
) -> Node {
    let heavier_left = best.left_weight >= weight - best.left_weight;
    match (&best.rule, bins) {
        (Rule::Nominal { left, present }, FeatureBins::Nominal { bin_of, n_bins }) => {
            let side = |bin: usize| {
                if split::contains(present, bin) {
                    split::contains(left, bin)
                } else {
                    heavier_left
                }
            };
            let offset = sets.len();
            sets.push(bin_of.len() as u32);
            sets.resize(offset + 1 + bin_of.len().div_ceil(32), 0);
            for (c, bin) in bin_of.iter().enumerate() {
                let known = usize::from(*bin) < *n_bins;
                if (known && side(usize::from(*bin))) || (!known && heavier_left) {
                    sets[offset + 1 + c / 32] |= 1 << (c % 32);
                }
            }
            Node::nominal(best.feature, offset as u32, child as u32, side(*n_bins))
        }
        (
            Rule::Threshold {
                last_left,
                first_right,
                missing_left,
            },
            _,
        ) => {
            let threshold = first_right.map_or(f64::MAX, |r| {
                bins.threshold(usize::from(*last_left), usize::from(r))
            });
            Node::numeric(
                best.feature,
                threshold,
                child as u32,
                missing_left.unwrap_or(heavier_left),
            )
        }
        // Rules are made by the kind of the feature.
        (Rule::Nominal { .. }, FeatureBins::Numeric { .. }) => {
            Node::numeric(best.feature, f64::MAX, child as u32, heavier_left)
        }
    }
}

/// Looks for the best split of a node.
struct Finder<'a, T> {
    soil: &'a Soil<'a>,
    child: ChildLimits,
    scratch: Scratch<T>,
    order: Vec<u32>,
    swaps: Vec<(usize, usize)>,
}

impl<'a, T: Copy + Default + Send + Sync> Finder<'a, T> {
    fn new(soil: &'a Soil<'a>) -> Self {
        Self {
            soil,
            child: ChildLimits {
                rows: soil.limits.min_instances_per_node,
                weight: 0,
            },
            scratch: Scratch::default(),
            order: (0..soil.bins.len() as u32).collect(),
            swaps: Vec::new(),
        }
    }

    fn find<C: Criterion<Cell = T>>(
        &mut self,
        criterion: &mut C,
        rows: &[u32],
        draw: Draw,
    ) -> Option<Candidate> {
        let d = self.soil.bins.len();
        let counts = self.soil.counts;
        let drawn: u64 = rows.iter().map(|r| u64::from(counts[*r as usize])).sum();
        if drawn < 2 * self.child.rows {
            return None;
        }
        if self.soil.n_drawn < d {
            return self.among_drawn(criterion, rows, drawn, draw);
        }
        let (soil, child) = (self.soil, self.child);
        if rows.len() * d >= PARALLEL_FROM && rayon::current_num_threads() > 1 {
            let criterion = &*criterion;
            return (0..d as u32)
                .into_par_iter()
                .map_init(
                    || (criterion.clone(), Scratch::default()),
                    |(own, scratch), j| look(soil, child, own, rows, drawn, j, scratch).flatten(),
                )
                .reduce(|| None, Candidate::better);
        }
        (0..d as u32).fold(None, |best, j| {
            let found = look(soil, child, criterion, rows, drawn, j, &mut self.scratch).flatten();
            Candidate::better(best, found)
        })
    }

    /// Draws features without replacement until enough were seen that are not constant here.
    fn among_drawn<C: Criterion<Cell = T>>(
        &mut self,
        criterion: &mut C,
        rows: &[u32],
        drawn: u64,
        draw: Draw,
    ) -> Option<Candidate> {
        let d = self.order.len();
        let mut stream = draw.at(0).stream();
        let (mut best, mut seen) = (None, 0);
        for i in 0..d {
            let j = i + stream.below((d - i) as u64) as usize;
            self.order.swap(i, j);
            self.swaps.push((i, j));
            let found = look(
                self.soil,
                self.child,
                criterion,
                rows,
                drawn,
                self.order[i],
                &mut self.scratch,
            );
            if let Some(found) = found {
                best = Candidate::better(best, found);
                seen += 1;
                if seen == self.soil.n_drawn {
                    break;
                }
            }
        }
        // Back to 0, 1, 2, ...: a node's draw must not depend on the nodes before it.
        while let Some((i, j)) = self.swaps.pop() {
            self.order.swap(i, j);
        }
        best
    }
}

/// The best split on feature `j`; the outer `None` where it is constant among the rows.
fn look<C: Criterion>(
    soil: &Soil<'_>,
    child: ChildLimits,
    criterion: &mut C,
    rows: &[u32],
    drawn: u64,
    j: u32,
    scratch: &mut Scratch<C::Cell>,
) -> Option<Option<Candidate>> {
    let bins = &soil.bins[j as usize];
    let feature = Feature {
        index: j,
        column: soil.table.column(j as usize),
        n_bins: bins.n_bins(),
        nominal: matches!(bins, FeatureBins::Nominal { .. }),
    };
    split::gather(criterion, &feature, rows, soil.counts, scratch)
        .then(|| split::best(criterion, &feature, drawn, child, scratch))
}

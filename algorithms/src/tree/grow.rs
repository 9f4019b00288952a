//! Growing one tree, depth first: a subtree is finished while its rows are in the caches.

use std::ops::Range;

use emberline_pipeline::datasets::random::Draw;
use serde::{Deserialize, Serialize};

use super::bins::FeatureBins;
use super::criterion::Criterion;
use super::find::{Finder, Place};
use super::leaves::ClassLeaves;
use super::node::Node;
use super::settings::Limits;
use super::split::{self, Bounds, Candidate, Rule};
use super::store::{Indexed, LOCAL_ROWS, Local, Store};
use super::table::Table;

/// Nodes with at least so many rows times features look at their features on all threads, where all are looked at.
const PARALLEL_FROM: usize = 1 << 17;

/// A tree by itself; indices count from its own first node, set word and leaf.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct GrownTree {
    /// Nodes; the children of a node stand side by side, and those of its left child follow next.
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
}

/// Where growth begins.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Start {
    /// Splits above.
    pub depth: u32,
    /// Weight of all rows of the tree, where those at hand are not all.
    pub weight: Option<u64>,
}

/// Grows a tree, or what of it is below a node, on `rows`, each drawn so often as `draws` says. O(depth n m + nodes m bins), `m` the features drawn at a node;
/// the second term is bounded by the rows of the nodes where these are fewer than bins.
pub fn grow<C: Criterion>(
    soil: &Soil<'_>,
    criterion: C,
    rows: Vec<u32>,
    draws: Vec<u8>,
    start: Start,
) -> GrownTree {
    let mut store = Indexed::new(soil.table, rows, draws);
    let mut local: Vec<Local<C::Row>> = LOCAL_ROWS
        .iter()
        .filter(|_| soil.table.is_by_row())
        .map(|_| Local::new(soil.table))
        .collect();
    let mut grower = Grower::new(soil, criterion);
    let mut total = grower.criterion.empty();
    for i in 0..store.len() {
        let (_, row) = store.at(&grower.criterion, i);
        grower.criterion.add_row(&mut total, row);
    }
    let weight = start.weight;
    grower.begin(weight.unwrap_or_else(|| grower.criterion.weight(&total)));
    let root = grower.admit(Open {
        node: 0,
        span: 0..store.len(),
        depth: start.depth,
        draw: soil.draw,
        total,
    });
    if let Some(open) = root {
        grower.subtree(&mut store, &mut local, open);
    }
    grower.tree
}

/// A node that may be split.
pub struct Open<S> {
    /// Its index.
    pub node: usize,
    /// Its rows in the order of the store.
    pub span: Range<usize>,
    /// Splits above it.
    pub depth: u32,
    /// Draws of its features.
    pub draw: Draw,
    /// Sums of its rows.
    pub total: S,
}

/// A tree that grows.
pub struct Grower<'a, C: Criterion> {
    soil: &'a Soil<'a>,
    criterion: C,
    finder: Finder<C>,
    /// Weight of all rows.
    weight: f64,
    min_weight: u64,
    /// As far as it has grown.
    pub tree: GrownTree,
}

/// Least weight of a node in a tree of this weight.
#[must_use]
pub fn min_weight(limits: &Limits, weight: u64) -> u64 {
    let share = limits.min_weight_fraction_per_node * weight as f64;
    (share.ceil() as u64).max(1)
}

impl<'a, C: Criterion> Grower<'a, C> {
    /// A tree without nodes.
    pub fn new(soil: &'a Soil<'a>, criterion: C) -> Self {
        Self {
            soil,
            finder: Finder::new(soil, &criterion),
            criterion,
            weight: 0.0,
            min_weight: 1,
            tree: GrownTree::default(),
        }
    }

    /// Makes the first node, of a tree of this weight.
    pub fn begin(&mut self, weight: u64) {
        self.weight = weight as f64;
        self.min_weight = min_weight(&self.soil.limits, weight);
        self.add_nodes(1);
    }

    fn add_nodes(&mut self, n: usize) -> usize {
        let first = self.tree.nodes.len();
        self.tree.nodes.resize(first + n, Node::value(0.0));
        self.tree.gains.resize(first + n, 0.0);
        self.tree.shares.resize(first + n, 0.0);
        first
    }

    /// Grows all that is below a node; the rows of smaller subtrees are copied to `local`.
    fn subtree<S: Store<C>>(
        &mut self,
        store: &mut S,
        local: &mut [Local<C::Row>],
        open: Open<C::Sums>,
    ) {
        let limit = LOCAL_ROWS[LOCAL_ROWS.len() - local.len().max(1)];
        let mut stack = vec![open];
        while let Some(open) = stack.pop() {
            if open.span.len() > limit || local.is_empty() {
                self.step(store, open, &mut stack);
                continue;
            }
            // The largest copy that has room for the rows and no more than they need.
            let fitting = LOCAL_ROWS.iter().filter(|n| open.span.len() <= **n).count();
            let skipped = (fitting - 1).min(local.len() - 1);
            let [own, smaller @ ..] = &mut local[skipped..] else {
                continue;
            };
            own.copy(store, open.span.clone(), &self.criterion);
            let span = 0..open.span.len();
            self.subtree(own, smaller, Open { span, ..open });
        }
    }

    /// Notes a new node's place in the tree; a node that cannot be split becomes a leaf at once.
    #[inline(always)]
    pub fn admit(&mut self, open: Open<C::Sums>) -> Option<Open<C::Sums>> {
        let limits = &self.soil.limits;
        self.tree.depth = self.tree.depth.max(open.depth);
        self.tree.shares[open.node] = self.criterion.weight(&open.total) as f64 / self.weight;
        let too_few = self.criterion.rows(&open.total) < 2 * limits.min_instances_per_node;
        if open.depth as usize >= limits.max_depth || too_few || self.criterion.is_pure(&open.total)
        {
            self.close(open.node, &open.total);
            return None;
        }
        Some(open)
    }

    /// Makes a node a leaf.
    pub fn close(&mut self, node: usize, total: &C::Sums) {
        self.tree.nodes[node] = self.criterion.leaf(total, &mut self.tree.leaves);
    }

    /// Splits a node or makes it a leaf.
    fn step<S: Store<C>>(
        &mut self,
        store: &mut S,
        open: Open<C::Sums>,
        stack: &mut Vec<Open<C::Sums>>,
    ) {
        self.criterion.enter(&open.total);
        let mut labels = (open.span.clone()).map(|i| C::label_of(store.at(&self.criterion, i).1));
        let uniform = match labels.next() {
            Some(Some(first)) => labels.all(|label| label == Some(first)),
            _ => false,
        };
        let best = if uniform {
            None
        } else {
            self.find(store, &open)
        };
        let best = best.map(|b| (self.criterion.gain(b.score, &b.left), b));
        let Some((gain, best)) = best.filter(|b| b.0 >= self.soil.limits.min_info_gain) else {
            return self.close(open.node, &open.total);
        };
        let (rule, feature) = (best.rule, best.feature as usize);
        let children = self.split(&open, gain, best);
        if children.iter().all(Option::is_none) {
            return;
        }
        let base = self.soil.table.base(feature);
        let left = sides(&rule, self.soil.bins[feature].n_bins());
        let middle = store.part(open.span.clone(), base, &left);
        let [left, right] = children;
        let spans = [open.span.start..middle, middle..open.span.end];
        let [first, second] = spans;
        stack.extend(right.map(|o| Open { span: second, ..o }));
        stack.extend(left.map(|o| Open { span: first, ..o }));
    }

    /// Splits a node; its children where they may be split in turn, without their rows.
    pub fn split(
        &mut self,
        open: &Open<C::Sums>,
        gain: f64,
        best: Candidate<C::Sums>,
    ) -> [Option<Open<C::Sums>>; 2] {
        let child = self.add_nodes(2);
        let weights = [&best.left, &open.total].map(|s| self.criterion.weight(s));
        let bins = &self.soil.bins[best.feature as usize];
        self.tree.gains[open.node] = gain;
        self.tree.nodes[open.node] = inner_node(
            &best,
            2 * weights[0] >= weights[1],
            bins,
            child,
            &mut self.tree.sets,
        );
        let right = self.criterion.rest(&open.total, &best.left);
        [(0, best.left), (1, right)].map(|(side, total)| {
            self.admit(Open {
                node: child + side,
                span: 0..0,
                depth: open.depth + 1,
                // The path from the root is the key: what other branches do changes nothing.
                draw: open.draw.at(1 + side as u64),
                total,
            })
        })
    }

    /// Puts a tree that was grown from a node's rows into its place.
    pub fn graft(&mut self, node: usize, grown: &GrownTree) {
        let (first_set, first_leaf) = (self.tree.sets.len() as u32, self.tree.leaves.len() as u32);
        let first = self.add_nodes(grown.nodes.len() - 1) as u32;
        let place = |i: usize| if i == 0 { node } else { first as usize + i - 1 };
        for (i, own) in grown.nodes.iter().enumerate() {
            // Children are never the first node.
            let moved = own.moved(first - 1, first_leaf, first_set);
            self.tree.nodes[place(i)] = moved;
            self.tree.gains[place(i)] = grown.gains[i];
            self.tree.shares[place(i)] = grown.shares[i];
        }
        self.tree.sets.extend(&grown.sets);
        self.tree.leaves.append(&grown.leaves);
        self.tree.depth = self.tree.depth.max(grown.depth);
    }

    fn find<S: Store<C>>(&mut self, store: &S, open: &Open<C::Sums>) -> Option<Candidate<C::Sums>> {
        let node = Place {
            criterion: &self.criterion,
            store,
            span: open.span.clone(),
            total: &open.total,
            bounds: Bounds {
                weight: self.criterion.weight(&open.total),
                rows: self.criterion.rows(&open.total),
                min_weight: self.min_weight,
                min_rows: self.soil.limits.min_instances_per_node,
            },
        };
        if self.soil.n_drawn < self.soil.bins.len() {
            return self.finder.among_drawn(&node, self.soil.n_drawn, open.draw);
        }
        let work = open.span.len() * self.soil.bins.len();
        if work >= PARALLEL_FROM && rayon::current_num_threads() > 1 {
            return self.finder.in_parallel(&node);
        }
        self.finder.among_all(&node)
    }
}

/// Which bins go left.
pub fn sides(rule: &Rule, missing_bin: usize) -> [bool; 256] {
    let mut left = [false; 256];
    match rule {
        Rule::Threshold {
            last_left,
            missing_left,
            ..
        } => {
            left[..=usize::from(*last_left)].fill(true);
            left[missing_bin] = missing_left.unwrap_or(false);
        }
        Rule::Nominal { left: set, .. } => {
            for (bin, side) in left.iter_mut().enumerate() {
                *side = split::contains(set, bin);
            }
        }
    }
    left
}

/// The node of a split. What the node's rows do not show (a missing value, a category) follows the heavier child.
fn inner_node<S>(
    best: &Candidate<S>,
    heavier_left: bool,
    bins: &FeatureBins,
    child: usize,
    sets: &mut Vec<u32>,
) -> Node {
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

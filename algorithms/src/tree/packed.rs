//! Trees packed for prediction: eight bytes a node, those of a walk close together, no branch on the way down.
//!
//! A row is turned once into integers, its keys, which order like its values; a step compares one of them with the key of the
//! node's threshold. Keys keep 24 bits of a value: where the two are equal, the values themselves are compared. So the leaf
//! always is that of [`Nodes::leaf`].

use std::cell::Cell;
use std::sync::OnceLock;

use super::node::{MISSING_LEFT, NOMINAL, Node};
use super::nodes::Nodes;

/// Trees that a record walks down at a time.
const TREES: usize = 16;
/// Rows that walk down a tree at a time: as many as registers hold, for the upper levels of one tree are near.
pub(super) const ROWS: usize = 8;
/// Keys of the rows that a tree serves before the next one does, at most: 2 MiB. The more rows, the fewer times a tree is
/// fetched; keys are read one behind the other, so that they need not stay in a cache.
const MOST_KEYS: usize = 1 << 19;
/// The key of a leaf is this and its number; keys of values lie below.
const LEAVES_FROM: i32 = f32::INFINITY.to_bits() as i32 + 1;
/// The largest number of a leaf.
const LAST_LEAF: u32 = (i32::MAX - LEAVES_FROM) as u32;

/// A node of 8 bytes.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// Rows with a larger key go right.
    key: i32,
    /// How far ahead the left child stands, the right one next to it; 0 for a leaf. Its low bits say which key of a row to
    /// compare.
    link: u32,
}

/// All trees of a forest without nominal splits.
#[derive(Debug, Clone)]
pub struct Packed {
    steps: Vec<Step>,
    /// The node behind each step, for values too close to its threshold.
    origins: Vec<u32>,
    starts: Vec<u32>,
    /// Bits of a link that say which key.
    key_bits: u32,
    /// Taken from the values of each feature before they are rounded: most of what matters then lies near 0.
    centres: Vec<f64>,
}

thread_local! {
    /// The keys of the record being scored, kept so that no call allocates.
    static KEYS: Cell<Vec<i32>> = const { Cell::new(Vec::new()) };
}

impl Packed {
    /// Packs all trees; `number` tells the number of a leaf of a tree. `None` where there are nominal splits, or trees that
    /// outgrow the bits of a step. O(nodes).
    pub fn of(nodes: &Nodes, mut number: impl FnMut(usize, &Node) -> u32) -> Option<Self> {
        let centres = centres(nodes)?;
        let mut packed = Self {
            steps: Vec::with_capacity(nodes.len() + nodes.n_trees()),
            origins: Vec::with_capacity(nodes.len() + nodes.n_trees()),
            starts: Vec::with_capacity(nodes.n_trees()),
            key_bits: (2 * centres.len()).next_power_of_two().trailing_zeros(),
            centres,
        };
        for t in 0..nodes.n_trees() {
            packed.push(nodes.tree(t), |leaf| number(t, leaf))?;
        }
        Some(packed)
    }

    fn push(
        &mut self,
        (first, tree): (u32, &[Node]),
        mut number: impl FnMut(&Node) -> u32,
    ) -> Option<()> {
        let order = order(first, tree)?;
        let mut places = vec![0; tree.len()];
        for (place, node) in order.iter().enumerate() {
            places[*node as usize] = place as u32;
        }
        self.starts.push(u32::try_from(self.steps.len()).ok()?);
        for (place, i) in order.iter().enumerate() {
            let node = &tree[*i as usize];
            self.origins.push(first + i);
            self.steps.push(if node.is_leaf() {
                let number = Some(number(node)).filter(|n| *n <= LAST_LEAF)?;
                let key = LEAVES_FROM + number as i32;
                Step { key, link: 0 }
            } else {
                let ahead = places[(node.child() - first) as usize] - place as u32;
                let fits = ahead.leading_zeros() >= self.key_bits;
                let slot = 2 * node.feature() + u32::from(node.is(MISSING_LEFT));
                let centre = self.centres[node.feature() as usize];
                fits.then_some(Step {
                    key: key(node.threshold(), centre),
                    link: ahead << self.key_bits | slot,
                })?
            });
        }
        Some(())
    }

    /// Calls `f(tree, leaf number)` for each tree in order, for the features `x` `(d,)`. Does not allocate after the first call
    /// of a thread.
    pub fn each_tree(&self, nodes: &Nodes, x: &[f64], mut f: impl FnMut(usize, u32)) {
        let mut keys = KEYS.take();
        keys.clear();
        keys.resize(2 * self.centres.len(), 0);
        let pairs = keys.as_chunks_mut().0;
        for (pair, (v, centre)) in pairs.iter_mut().zip(x.iter().zip(&self.centres)) {
            *pair = key_pair(*v, *centre);
        }
        for (group, starts) in self.starts.chunks(TREES).enumerate() {
            // What is left of a group goes the first tree's way.
            let mut at = [starts[0]; TREES];
            at[..starts.len()].copy_from_slice(starts);
            self.descend(&mut at, |_, slot| keys[slot], |_, node| nodes.turn(node, x));
            for (lane, at) in at[..starts.len()].iter().enumerate() {
                f(group * TREES + lane, self.number(*at));
            }
        }
        KEYS.set(keys);
    }

    /// Calls `f(tree, row, leaf number)` for each row of features `x` `(n, d)`, tree after tree for each row.
    pub fn each_row(
        &self,
        nodes: &Nodes,
        d: usize,
        x: &[f64],
        mut f: impl FnMut(usize, usize, u32),
    ) {
        let width = 2 * self.centres.len();
        let at_once = (MOST_KEYS / width).max(1).next_multiple_of(ROWS);
        let mut keys = Vec::new();
        for (part, x) in x.chunks(at_once * d).enumerate() {
            let n = x.len() / d;
            self.keys_of(d, x, &mut keys);
            for (t, start) in self.starts.iter().enumerate() {
                for (group, keys) in keys.chunks_exact(width).enumerate() {
                    let mut at = [*start; ROWS];
                    let rows = &x[group * ROWS * d..];
                    let turn = |lane, node| nodes.turn(node, &rows[lane * d..]);
                    self.descend(&mut at, |lane, slot| keys[slot][lane], turn);
                    let first = group * ROWS;
                    for (lane, at) in at.iter().enumerate().take(n - first) {
                        f(t, part * at_once + first + lane, self.number(*at));
                    }
                }
            }
        }
    }

    /// The keys of rows `x` `(n, d)`, those of the rows that are walked at once side by side.
    fn keys_of(&self, d: usize, x: &[f64], keys: &mut Vec<[i32; ROWS]>) {
        keys.clear();
        for rows in x.chunks(ROWS * d) {
            let start = keys.len();
            // Lanes without a row turn left at every step: no threshold has this key.
            keys.resize(start + 2 * self.centres.len(), [LEAST; ROWS]);
            let pairs = keys[start..].as_chunks_mut().0;
            for (lane, row) in rows.chunks_exact(d).enumerate() {
                let values = row.iter().zip(&self.centres);
                for ([right, left], (v, centre)) in pairs.iter_mut().zip(values) {
                    [right[lane], left[lane]] = key_pair(*v, *centre);
                }
            }
        }
    }

    /// Walks several times at once, each from its own step to a leaf: the wait for one step's memory is hidden by the others.
    /// `key(walk, which)` is a key, `turn(walk, node)` what its value says where the keys do not.
    #[inline(always)]
    fn descend<const N: usize>(
        &self,
        at: &mut [u32; N],
        key: impl Fn(usize, usize) -> i32,
        turn: impl Fn(usize, u32) -> bool,
    ) {
        let mask = (1 << self.key_bits) - 1;
        loop {
            let mut moved = 0;
            for (walk, own) in at.iter_mut().enumerate() {
                let step = self.steps[*own as usize];
                let key = key(walk, (step.link & mask) as usize);
                let ahead = step.link >> self.key_bits;
                let mut right = key > step.key;
                if key == step.key {
                    right = turn(walk, self.origins[*own as usize]);
                }
                moved |= ahead;
                *own += ahead + u32::from(right);
            }
            if moved == 0 {
                return;
            }
        }
    }

    fn number(&self, at: u32) -> u32 {
        (self.steps[at as usize].key - LEAVES_FROM) as u32
    }
}

/// Below the keys of all values.
const LEAST: i32 = i32::MIN;

/// An integer that orders like the value: of two values the larger has no smaller key.
#[inline(always)]
fn key(v: f64, centre: f64) -> i32 {
    let bits = ((v - centre) as f32 + 0.0).to_bits() as i32; // -0.0 and 0.0 are one value
    bits ^ ((bits >> 31) as u32 >> 1) as i32
}

/// What nodes compare that send missing values right, and what those that send them left.
#[inline(always)]
fn key_pair(v: f64, centre: f64) -> [i32; 2] {
    if v.is_nan() {
        [LEAVES_FROM - 1, LEAST]
    } else {
        [key(v, centre); 2]
    }
}

/// For each feature the first threshold that is not huge; `None` where there are nominal splits.
fn centres(nodes: &Nodes) -> Option<Vec<f64>> {
    let mut centres = vec![None];
    for t in 0..nodes.n_trees() {
        for node in nodes.tree(t).1.iter().filter(|n| !n.is_leaf()) {
            let (j, threshold) = (node.feature() as usize, node.threshold());
            if node.is(NOMINAL) || !threshold.is_finite() {
                return None;
            }
            centres.resize(centres.len().max(j + 1), None);
            if centres[j].is_none() && threshold.abs() < f64::from(f32::MAX) {
                centres[j] = Some(threshold);
            }
        }
    }
    Some(centres.into_iter().map(Option::unwrap_or_default).collect())
}

/// The nodes of a tree in an order that keeps those of a walk together at every scale: the upper half of the levels, then
/// each subtree below it, each laid out in the same way (van Emde Boas). Siblings stand side by side, and since the root stands
/// there twice, no pair of them on two cache lines. `None` where a node has two parents, as no grown tree's has.
fn order(first: u32, tree: &[Node]) -> Option<Vec<u32>> {
    let mut depths = vec![0_u32; tree.len()];
    for (i, node) in tree.iter().enumerate().filter(|(_, n)| !n.is_leaf()) {
        let child = (node.child() - first) as usize;
        for child in [child, child + 1] {
            if depths[child] > 0 {
                return None;
            }
            depths[child] = depths[i] + 1;
        }
    }
    let mut lay = Lay {
        first,
        tree,
        order: vec![0; 2],
        below: Vec::new(),
    };
    if !tree[0].is_leaf() {
        lay.levels(0, depths.into_iter().max().unwrap_or_default());
    }
    Some(lay.order)
}

struct Lay<'a> {
    first: u32,
    tree: &'a [Node],
    order: Vec<u32>,
    /// Nodes whose children come later.
    below: Vec<u32>,
}

impl Lay<'_> {
    /// Lays out so many levels below a node, and notes the inner nodes of the last one.
    fn levels(&mut self, node: u32, n: u32) {
        if n <= 1 {
            let left = self.tree[node as usize].child() - self.first;
            for child in [left, left + 1] {
                self.order.push(child);
                if !self.tree[child as usize].is_leaf() {
                    self.below.push(child);
                }
            }
            return;
        }
        let start = self.below.len();
        self.levels(node, n / 2);
        let end = self.below.len();
        for i in start..end {
            self.levels(self.below[i], n - n / 2);
        }
        self.below.drain(start..end);
    }
}

/// What a forest makes of itself when it first predicts. It is no part of the forest's value.
#[derive(Debug, Clone)]
pub struct Prepared<T>(OnceLock<Option<T>>);

impl<T> Prepared<T> {
    /// What `make` made in the first call.
    pub fn get(&self, make: impl FnOnce() -> Option<T>) -> Option<&T> {
        self.0.get_or_init(make).as_ref()
    }
}

impl<T> Default for Prepared<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T> PartialEq for Prepared<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

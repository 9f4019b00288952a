//! Trees grown from rows that no process holds all of.
//!
//! Where the binned rows fit into every process, trees are dealt out and each is grown in one place ([`work`](super::work)). Where they
//! do not, all processes grow the same trees: at a node of many rows each process sums its own rows by bin, the sums of a node
//! meet in one place, which finds the split ([`sums`]); a node of few rows is sent there with all its rows, and finished ([`finish`]).
//! Sums are integers, features are drawn by the path from the root, and the driver puts the pieces together in the order in which a
//! tree that is grown in one place gets its nodes ([`seedling`]): so the tree is the same to the byte.

pub mod finish;
mod seedling;
pub mod sums;
pub mod view;

use std::ops::Range;

use emberline_pipeline::datasets::{Block, DataError};
use emberline_pipeline::{Error, Partial, Pinned, Result, Round, Run};
use serde::{Deserialize, Serialize};

use super::table::{Labels, Table, Task, weight_units};
use super::work::{Drawn, GrowTrees, Output};
use finish::FinishNodes;
use seedling::{Seedling, Sow, Wanted};
use sums::SumNodes;
use view::View;

/// Trees that grow at a time.
const TREES: usize = 32;
/// Sums that a part holds in one exchange, in bytes, at least and at most: half the room of a process where that lies between.
const SUMS: [u64; 2] = [4 << 20, 64 << 20];
/// Rows that are sent in one exchange, in bytes, at least and at most: the room of a process where that lies between.
const SENT: [u64; 2] = [4 << 20, 256 << 20];
/// Groups of an exchange, at most: nodes are dealt to them, and they to processes.
const GROUPS: usize = 64;

/// How often each tree draws rows, and their weight.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CountDraws {
    /// How trees are grown.
    pub work: GrowTrees,
    /// Number of trees.
    pub n_trees: u64,
}

/// What the rows of each tree come to; last, all rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Draws(Vec<Drawn>);

impl Partial for Draws {
    fn merge(&mut self, later: Self) {
        for (all, own) in self.0.iter_mut().zip(later.0) {
            all.rows += own.rows;
            all.weight += own.weight;
        }
    }
}

impl Round for CountDraws {
    const NAME: &'static str = "tree/count-draws";
    type Unit = Block;
    type Partial = Draws;
    type Scratch = ();

    fn map(&self, block: &Block, (): &mut ()) -> std::result::Result<Draws, DataError> {
        let weight_of = |i: usize| match self.work.weight_exponent {
            Some(exponent) => weight_units(block.weight(i), exponent),
            None => 1,
        };
        let weights: Vec<u64> = (0..block.n_rows()).map(weight_of).collect();
        let rows = || block.row_ids.iter().zip(&weights).filter(|(_, w)| **w > 0);
        let mut draws = Vec::with_capacity(self.n_trees as usize + 1);
        for tree in 0..self.n_trees {
            let bag = self.work.sampling.bag(tree);
            let mut drawn = Drawn::default();
            rows().for_each(|(id, w)| drawn.add(bag.count(*id), *w));
            draws.push(drawn);
        }
        let mut all = Drawn::default();
        rows().for_each(|(_, w)| all.add(1, *w));
        draws.push(all);
        Ok(Draws(draws))
    }
}

static NO_CLASSES: Labels = Labels::Classes(Vec::new());
static NO_NUMBERS: Labels = Labels::Numbers(Vec::new());

/// Grows trees `0..n_trees` and hands each to `push` in order. A process of `room` bytes can finish a node alone whose rows take a
/// sixteenth of it.
///
/// # Errors
/// A block refuses, `push` does, or the engine fails.
pub fn grow(
    work: &GrowTrees,
    pinned: &Pinned,
    n_trees: usize,
    room: u64,
    run: &Run,
    mut push: impl FnMut(Output) -> Result<()>,
) -> Result<()> {
    let row = row_bytes(work);
    let few = (room / 16 / row).max(64);
    let count = CountDraws {
        work: work.clone(),
        n_trees: n_trees as u64,
    };
    let Some(Draws(draws)) = run.round(pinned, &count)? else {
        return Err(Error::Engine("the rows are gone".to_owned()));
    };
    let table = Table::empty(work.recipe())?;
    let labels = match work.task {
        Task::Classes(_) => &NO_CLASSES,
        Task::Number { .. } => &NO_NUMBERS,
    };
    let all = draws.last().copied().unwrap_or_default();
    for batch in batches(0..n_trees, TREES) {
        let sow = |tree: usize| {
            let whole = draws[tree].rows == 0;
            let drawn = if whole { all } else { draws[tree] };
            let seed = Sow {
                work,
                table: &table,
                tree: tree as u64,
                drawn,
                whole,
            };
            Ok((work.with_criterion(labels, None, drawn, seed)?, whole))
        };
        let mut trees: Vec<(Box<dyn Seedling + '_>, bool)> =
            batch.map(sow).collect::<Result<_>>()?;
        loop {
            let large = open(&trees, |wanted| wanted.rows > few);
            if large.is_empty() {
                break;
            }
            let bytes = |wanted: &Wanted| SumNodes::bytes_of(work, &wanted.asked) as u64;
            for part in within(&large, (room / 2).clamp(SUMS[0], SUMS[1]), bytes) {
                sum(work, pinned, &mut trees, part, run)?;
            }
        }
        let small = open(&trees, |_| true);
        let sent = room.clamp(SENT[0], SENT[1]);
        for part in within(&small, sent, |wanted| wanted.rows * row) {
            finish(work, pinned, &mut trees, part, few, run)?;
        }
        for (tree, whole) in &trees {
            let tree = tree.finish();
            push(Output {
                tree,
                whole: *whole,
            })?;
        }
    }
    Ok(())
}

/// Bytes of a row that is sent or kept: its bins, label, weight, draws and place in the order of a tree.
#[must_use]
pub fn row_bytes(work: &GrowTrees) -> u64 {
    let label = match work.task {
        Task::Classes(_) => 2,
        Task::Number { .. } => 8,
    };
    let weight = if work.weight_exponent.is_some() { 8 } else { 0 };
    work.bins.len() as u64 + label + weight + 16
}

/// A tree of a batch, and a node of it.
type Place = (usize, Wanted);

fn open(trees: &[(Box<dyn Seedling + '_>, bool)], which: impl Fn(&Wanted) -> bool) -> Vec<Place> {
    let of = |(t, (tree, _)): (usize, &(Box<dyn Seedling + '_>, bool))| {
        let open = tree.open().into_iter().filter(&which);
        open.map(|wanted| (t, wanted)).collect::<Vec<_>>()
    };
    trees.iter().enumerate().flat_map(of).collect()
}

fn batches(all: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    let end = all.end;
    all.step_by(size)
        .map(move |start| start..end.min(start + size))
}

/// Parts a list so that each part comes to at most `most`, or is one.
fn within(places: &[Place], most: u64, bytes: impl Fn(&Wanted) -> u64) -> Vec<&[Place]> {
    let mut parts = Vec::new();
    let (mut start, mut held) = (0, 0);
    for (i, (_, wanted)) in places.iter().enumerate() {
        let own = bytes(wanted);
        if i > start && held + own > most {
            parts.push(&places[start..i]);
            (start, held) = (i, 0);
        }
        held += own;
    }
    parts.extend((start < places.len()).then(|| &places[start..]));
    parts
}

/// The views of the trees that these nodes belong to; nodes of a tree stand side by side.
fn views(trees: &[(Box<dyn Seedling + '_>, bool)], places: &[Place]) -> Vec<View> {
    let of_tree = |own: &[Place]| {
        let wanted: Vec<Wanted> = own.iter().map(|(_, wanted)| wanted.clone()).collect();
        trees[own[0].0].0.view(&wanted)
    };
    places.chunk_by(|a, b| a.0 == b.0).map(of_tree).collect()
}

fn sum(
    work: &GrowTrees,
    pinned: &Pinned,
    trees: &mut [(Box<dyn Seedling + '_>, bool)],
    places: &[Place],
    run: &Run,
) -> Result<()> {
    let groups = places.len().min(GROUPS);
    let exchange = SumNodes {
        work: work.clone(),
        views: views(trees, places),
        groups,
    };
    let found = run.exchange(pinned, &exchange)?;
    for (i, (tree, wanted)) in places.iter().enumerate() {
        let found = found.get(i % groups).and_then(|own| own.get(i / groups));
        let found = found.ok_or_else(|| lost("the sums"))?;
        trees[*tree].0.hear(wanted, found)?;
    }
    Ok(())
}

fn finish(
    work: &GrowTrees,
    pinned: &Pinned,
    trees: &mut [(Box<dyn Seedling + '_>, bool)],
    places: &[Place],
    few: u64,
    run: &Run,
) -> Result<()> {
    let mut ends = Vec::new();
    for part in within(places, few, |wanted| wanted.rows) {
        ends.push(ends.last().copied().unwrap_or_default() + part.len());
    }
    let exchange = FinishNodes {
        work: work.clone(),
        views: views(trees, places),
        ends,
    };
    let mut grown = run.exchange(pinned, &exchange)?.into_iter().flatten();
    for (tree, wanted) in places {
        let subtree = grown.next().ok_or_else(|| lost("the subtree"))?;
        trees[*tree].0.graft(wanted.path, subtree);
    }
    Ok(())
}

fn lost(what: &str) -> Error {
    Error::Engine(format!("{what} of a node did not arrive"))
}

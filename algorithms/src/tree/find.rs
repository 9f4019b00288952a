//! The search for the best split of a node among the features it looks at.

use std::ops::Range;

use emberline_pipeline::datasets::random::{Draw, Stream};
use rayon::prelude::*;

use super::bins::FeatureBins;
use super::criterion::Criterion;
use super::grow::Soil;
use super::histogram::Tally;
use super::split::{self, Bounds, Candidate, Feature};
use super::store::Store;

/// A node whose split is looked for.
pub struct Place<'a, C: Criterion, S> {
    /// What makes a split good.
    pub criterion: &'a C,
    /// All rows.
    pub store: &'a S,
    /// Those of the node.
    pub span: Range<usize>,
    /// Their sums.
    pub total: &'a C::Sums,
    /// What the children must have.
    pub bounds: Bounds,
}

/// Looks for the best split of a node.
pub struct Finder<C: Criterion> {
    features: Vec<Feature>,
    bases: Vec<usize>,
    order: Vec<u32>,
    swaps: Vec<usize>,
    bench: Bench<C>,
}

/// What one thread looks at features with.
struct Bench<C: Criterion> {
    tallies: Vec<C::Tally>,
    bases: Vec<usize>,
    scratch: <C::Tally as Tally<C>>::Scratch,
}

impl<C: Criterion> Bench<C> {
    fn new(criterion: &C) -> Self {
        let tallies = 0..<C::Tally as Tally<C>>::AT_ONCE;
        Self {
            tallies: tallies.map(|_| C::Tally::new(criterion)).collect(),
            bases: Vec::new(),
            scratch: <C::Tally as Tally<C>>::Scratch::default(),
        }
    }

    /// Looks at some features in one pass over the rows, and puts their best split into `best` where it is better; returns
    /// how many of them are not constant here. Compiled once: its passes are many.
    #[inline(never)]
    fn look<S: Store<C>>(
        &mut self,
        node: &Place<'_, C, S>,
        all: (&[Feature], &[usize]),
        chosen: &[u32],
        best: &mut Option<Candidate<C::Sums>>,
    ) -> usize {
        self.bases.clear();
        self.bases.extend(chosen.iter().map(|j| all.1[*j as usize]));
        let tallies = &mut self.tallies[..chosen.len()];
        let span = node.span.clone();
        let (first, _) = node.store.at(node.criterion, span.start);
        C::Tally::fill(tallies, &self.bases, node.criterion, node.store, span);
        let mut seen = 0;
        for ((tally, j), base) in tallies.iter_mut().zip(chosen).zip(&self.bases) {
            let found = tally.best(
                node.criterion,
                node.total,
                &node.bounds,
                &all.0[*j as usize],
                node.store.bytes()[base + first],
                &mut self.scratch,
            );
            if let Some(found) = found {
                *best = split::better(node.criterion, best.take(), found);
                seen += 1;
            }
        }
        seen
    }
}

/// The draws of a node's features.
fn stream(draw: Draw) -> Stream {
    draw.at(0).stream()
}

/// Draws the feature number `i` from those that are left, behind those drawn before; returns where it stood.
#[inline(always)]
fn draw_one(order: &mut [u32], i: usize, stream: &mut Stream) -> usize {
    let j = i + stream.below((order.len() - i) as u64) as usize;
    order.swap(i, j);
    j
}

/// The first `n` features of `d` that a node draws, in order.
#[must_use]
pub fn draw_order(d: usize, n: usize, draw: Draw) -> Vec<u32> {
    let mut order: Vec<u32> = (0..d as u32).collect();
    let mut stream = stream(draw);
    for i in 0..n {
        draw_one(&mut order, i, &mut stream);
    }
    order.truncate(n);
    order
}

/// Parts a number of features into passes of about equal size.
fn pass_size(n: usize, at_once: usize) -> usize {
    n.div_ceil(n.div_ceil(at_once).max(1)).max(1)
}

impl<C: Criterion> Finder<C> {
    /// For the features of `soil`.
    pub fn new(soil: &Soil<'_>, criterion: &C) -> Self {
        let feature = |(j, bins): (usize, &FeatureBins)| Feature {
            index: j as u32,
            n_bins: bins.n_bins(),
            nominal: matches!(bins, FeatureBins::Nominal { .. }),
        };
        let d = soil.bins.len();
        Self {
            features: soil.bins.iter().enumerate().map(feature).collect(),
            bases: (0..d).map(|j| soil.table.base(j)).collect(),
            order: (0..d as u32).collect(),
            swaps: Vec::new(),
            bench: Bench::new(criterion),
        }
    }

    /// Looks at all features.
    pub fn among_all<S: Store<C>>(&mut self, node: &Place<'_, C, S>) -> Option<Candidate<C::Sums>> {
        let mut best = None;
        let all = (&self.features[..], &self.bases[..]);
        for chosen in self.order.chunks(<C::Tally as Tally<C>>::AT_ONCE) {
            self.bench.look(node, all, chosen, &mut best);
        }
        best
    }

    /// As [`Finder::among_all`], on all threads.
    pub fn in_parallel<S: Store<C>>(&self, node: &Place<'_, C, S>) -> Option<Candidate<C::Sums>> {
        let size = pass_size(self.order.len(), <C::Tally as Tally<C>>::AT_ONCE);
        let chunks: Vec<&[u32]> = self.order.chunks(size).collect();
        let all = (&self.features[..], &self.bases[..]);
        let found: Vec<Option<Candidate<C::Sums>>> = chunks
            .into_par_iter()
            .map_init(
                || Bench::new(node.criterion),
                |bench, chosen| {
                    let mut best = None;
                    bench.look(node, all, chosen, &mut best);
                    best
                },
            )
            .collect();
        // In the order of the features: what is better than what must not depend on the threads.
        (found.into_iter()).fold(None, |best, found| {
            split::better(node.criterion, best, found)
        })
    }

    /// Draws features without replacement until enough were seen that are not constant here.
    pub fn among_drawn<S: Store<C>>(
        &mut self,
        node: &Place<'_, C, S>,
        wanted: usize,
        draw: Draw,
    ) -> Option<Candidate<C::Sums>> {
        let d = self.order.len();
        let mut stream = stream(draw);
        let (mut best, mut seen, mut drawn) = (None, 0, 0);
        while seen < wanted && drawn < d {
            let until = d.min(drawn + wanted - seen);
            for i in drawn..until {
                self.swaps.push(draw_one(&mut self.order, i, &mut stream));
            }
            let size = pass_size(until - drawn, <C::Tally as Tally<C>>::AT_ONCE);
            let all = (&self.features[..], &self.bases[..]);
            for chosen in self.order[drawn..until].chunks(size) {
                seen += self.bench.look(node, all, chosen, &mut best);
            }
            drawn = until;
        }
        // Back to 0, 1, 2, ...: a node's draw must not depend on the nodes before it.
        while let Some(j) = self.swaps.pop() {
            self.order.swap(self.swaps.len(), j);
        }
        best
    }
}

//! The rows of a node brought together by bin, one cell of sums a bin, and the best split found from them.

use std::cmp::Ordering;
use std::ops::Range;

use emberline_pipeline::datasets::simd::{self, Simd, WithSimd};

use super::criterion::{Cells, Criterion, STEP};
use super::nominal;
use super::split::{BinSet, Bounds, Candidate, Feature, NEAR, Rule, compare, insert};
use super::store::Store;

/// How a criterion brings the rows of a node together by bin, one feature each.
pub trait Tally<C: Criterion>: Sized + Send {
    /// What a search needs besides.
    type Scratch: Default + Send;

    /// For the rows of no node yet.
    fn new(criterion: &C) -> Self;
    /// So many features are best brought together in one pass over the rows.
    const AT_ONCE: usize;
    /// Brings the rows of a node together, for the features at these offsets, one a tally.
    fn fill<S: Store<C>>(
        tallies: &mut [Self],
        bases: &[usize],
        criterion: &C,
        store: &S,
        span: Range<usize>,
    );
    /// Takes the sums of the bins that a node's rows have, ascending, in place of its rows.
    fn load(&mut self, sums: &[(u8, C::Sums)]);
    /// The best split by the feature, whose bin in the node's first row is `first`; the outer `None` where it is constant among
    /// the rows, the inner where no split leaves enough on both sides. The tally is void afterwards.
    fn best(
        &mut self,
        criterion: &C,
        total: &C::Sums,
        bounds: &Bounds,
        feature: &Feature,
        first: u8,
        scratch: &mut Self::Scratch,
    ) -> Option<Option<Candidate<C::Sums>>>;
}

/// A cell for each bin that a byte can name.
const BINS: usize = 256;
/// Nodes of at most so many rows note which bins they have: looking through all bins would take longer than their rows do.
const SPARSE_TO: usize = 192;
/// Bytes of cells that a pass works on, at most: most of a first-level cache.
const PASS_BYTES: usize = 24 << 10;
/// Room for the splits of a feature: each bin with missing values on the right, and on the left.
const ROOM: usize = 2 * BINS;

/// Sums by bin. All are zero between two nodes.
pub struct Histogram<S> {
    cells: Box<[S; BINS]>,
    /// Bins that the rows have; kept for nodes of few rows.
    present: BinSet,
    sparse: bool,
}

/// The splits of a feature at a node.
pub struct Splits<S> {
    n: usize,
    left: Box<[S; ROOM]>,
    bin: [u8; ROOM],
    briefs: [[u64; ROOM]; 3],
    score: [f64; ROOM],
}

impl<S: Copy + Default> Default for Splits<S> {
    fn default() -> Self {
        Self {
            n: 0,
            left: Box::new([S::default(); ROOM]),
            bin: [0; ROOM],
            briefs: [[0; ROOM]; 3],
            score: [0.0; ROOM],
        }
    }
}

impl<S, C> Tally<C> for Histogram<S>
where
    S: Copy + Default + Send + Sync,
    C: Cells<Sums = S>,
{
    type Scratch = Splits<S>;

    const AT_ONCE: usize = {
        let most = PASS_BYTES / (BINS * size_of::<S>());
        if most < 1 {
            1
        } else if most > 6 {
            6
        } else {
            most
        }
    };

    fn new(_: &C) -> Self {
        Self {
            cells: Box::new([S::default(); BINS]),
            present: BinSet::default(),
            sparse: false,
        }
    }

    #[inline(always)]
    fn fill<R: Store<C>>(
        tallies: &mut [Self],
        bases: &[usize],
        criterion: &C,
        store: &R,
        span: Range<usize>,
    ) {
        // Passes that this criterion never makes are not compiled.
        let most = const { <Self as Tally<C>>::AT_ONCE };
        match tallies.len() {
            1 => pass::<1, C, R>(tallies, bases, criterion, store, span),
            2 if most >= 2 => pass::<2, C, R>(tallies, bases, criterion, store, span),
            3 if most >= 3 => pass::<3, C, R>(tallies, bases, criterion, store, span),
            4 if most >= 4 => pass::<4, C, R>(tallies, bases, criterion, store, span),
            5 if most >= 5 => pass::<5, C, R>(tallies, bases, criterion, store, span),
            6 if most >= 6 => pass::<6, C, R>(tallies, bases, criterion, store, span),
            _ => {}
        }
    }

    fn load(&mut self, sums: &[(u8, S)]) {
        self.sparse = true;
        self.present = BinSet::default();
        for (b, sums) in sums {
            self.cells[usize::from(*b)] = *sums;
            insert(&mut self.present, usize::from(*b));
        }
    }

    #[inline(always)]
    fn best(
        &mut self,
        criterion: &C,
        total: &S,
        bounds: &Bounds,
        feature: &Feature,
        first: u8,
        splits: &mut Splits<S>,
    ) -> Option<Option<Candidate<S>>> {
        let alone = criterion.weight(&self.cells[usize::from(first)]) == criterion.weight(total);
        let found = if alone {
            None
        } else if feature.nominal {
            let groups = self.groups::<C>();
            Some(nominal::search(criterion, &groups, bounds, feature.index))
        } else {
            Some(simd::dispatch(Search {
                tally: self,
                criterion,
                bounds,
                feature,
                splits,
            }))
        };
        self.clear();
        found
    }
}

/// A search for the best threshold, compiled for this machine's vectors. Nothing else of growth gains from them.
struct Search<'s, C: Cells> {
    tally: &'s Histogram<C::Sums>,
    criterion: &'s C,
    bounds: &'s Bounds,
    feature: &'s Feature,
    splits: &'s mut Splits<C::Sums>,
}

impl<C: Cells> WithSimd for Search<'_, C> {
    type Output = Option<Candidate<C::Sums>>;

    #[inline(always)]
    fn with_simd<V: Simd>(self, _: V) -> Self::Output {
        (self.tally).numeric(self.criterion, self.bounds, self.feature, self.splits)
    }
}

#[inline(always)]
fn pass<const G: usize, C: Cells, S: Store<C>>(
    tallies: &mut [Histogram<C::Sums>],
    bases: &[usize],
    criterion: &C,
    store: &S,
    span: Range<usize>,
) {
    let (Ok(tallies), Ok(bases)) = (
        <&mut [Histogram<C::Sums>; G]>::try_from(tallies),
        <&[usize; G]>::try_from(bases),
    ) else {
        return;
    };
    let bytes = store.bytes();
    let sparse = span.len() <= SPARSE_TO;
    let mut present = [BinSet::default(); G];
    let cells = tallies.each_mut().map(|t| {
        t.sparse = sparse;
        &mut *t.cells
    });
    if sparse {
        for i in span {
            let (offset, row) = store.at(criterion, i);
            for g in 0..G {
                let bin = bytes[bases[g] + offset];
                criterion.add_row(&mut cells[g][usize::from(bin)], row);
                present[g][usize::from(bin >> 6)] |= 1 << (bin & 63);
            }
        }
        for (tally, own) in tallies.iter_mut().zip(present) {
            tally.present = own;
        }
        return;
    }
    for i in span {
        let (offset, row) = store.at(criterion, i);
        for g in 0..G {
            let bin = bytes[bases[g] + offset];
            criterion.add_row(&mut cells[g][usize::from(bin)], row);
        }
    }
}

/// Calls `f` with each bin of the set, ascending.
#[inline(always)]
pub fn each_bin(set: &BinSet, mut f: impl FnMut(usize)) {
    for (word, bits) in set.iter().enumerate() {
        let mut bits = *bits;
        while bits != 0 {
            f(word * 64 + bits.trailing_zeros() as usize);
            bits &= bits - 1;
        }
    }
}

impl<S: Copy + Default> Histogram<S> {
    #[inline(always)]
    fn clear(&mut self) {
        if self.sparse {
            let cells = &mut self.cells;
            each_bin(&self.present, |b| cells[b & (BINS - 1)] = S::default());
        } else {
            self.cells.fill(S::default());
        }
    }

    /// The bins that have rows, ascending, with their sums.
    fn groups<C: Cells<Sums = S>>(&self) -> Vec<(u8, S)> {
        let held = self.cells.iter().enumerate();
        held.filter(|(_, s)| !C::is_vacant(s))
            .map(|(b, s)| (b as u8, *s))
            .collect()
    }

    #[inline(always)]
    fn numeric<C: Cells<Sums = S>>(
        &self,
        criterion: &C,
        bounds: &Bounds,
        feature: &Feature,
        splits: &mut Splits<S>,
    ) -> Option<Candidate<S>> {
        let missing = self.cells[feature.n_bins];
        let any_missing = !C::is_vacant(&missing);
        splits.n = 0;
        self.walk(criterion, bounds, feature.n_bins, S::default(), splits);
        let missing_right = splits.n;
        if any_missing {
            self.walk(criterion, bounds, feature.n_bins, missing, splits);
        }
        let i = splits.pick(criterion)?;
        let last_left = splits.bin[i];
        let first_right = (usize::from(last_left) + 1..feature.n_bins)
            .find(|b| !C::is_vacant(&self.cells[*b & (BINS - 1)]));
        Some(Candidate {
            feature: feature.index,
            rule: Rule::Threshold {
                last_left,
                first_right: first_right.map(|b| b as u8),
                missing_left: any_missing.then_some(i >= missing_right),
            },
            left: splits.left[i],
            score: splits.score[i],
        })
    }

    /// Adds the splits after each bin that has rows, with `left` on the left beforehand.
    #[inline(always)]
    fn walk<C: Cells<Sums = S>>(
        &self,
        criterion: &C,
        bounds: &Bounds,
        n_bins: usize,
        mut left: S,
        splits: &mut Splits<S>,
    ) {
        if !self.sparse {
            for (b, cell) in self.cells[..n_bins].iter().enumerate() {
                criterion.add(&mut left, cell);
                splits.push(criterion, bounds, b, &left, !C::is_vacant(cell));
            }
            return;
        }
        let mut present = self.present;
        present[n_bins / 64] &= !(1 << (n_bins % 64));
        // Not a closure: it must be compiled here, for this machine's vectors, with `left` in a register.
        for (word, bits) in present.into_iter().enumerate() {
            let mut bits = bits;
            while bits != 0 {
                let b = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                criterion.add(&mut left, &self.cells[b & (BINS - 1)]);
                splits.push(criterion, bounds, b, &left, true);
            }
        }
    }
}

impl<S: Copy + Default> Splits<S> {
    /// Adds a split, unless it leaves too little on a side.
    #[inline(always)]
    fn push<C: Cells<Sums = S>>(
        &mut self,
        criterion: &C,
        bounds: &Bounds,
        bin: usize,
        left: &S,
        counts: bool,
    ) {
        let i = self.n & (ROOM - 1);
        self.left[i] = *left;
        self.bin[i] = bin as u8;
        let (brief, weight) = criterion.brief(left);
        for (all, own) in self.briefs.iter_mut().zip(brief).take(C::WORDS) {
            all[i] = own;
        }
        let allowed = if C::WEIGHTED {
            bounds.allow(weight, criterion.rows(left))
        } else {
            let least = bounds.min_rows.max(bounds.min_weight);
            weight >= least && bounds.weight - weight >= least
        };
        self.n += usize::from(counts & allowed);
    }

    /// The best split; of equals the first.
    #[inline(always)]
    fn pick<C: Cells<Sums = S>>(&mut self, criterion: &C) -> Option<usize> {
        let n = self.n;
        if n == 0 {
            return None;
        }
        let all = n.next_multiple_of(STEP).min(ROOM);
        let [a, b, c] = self.briefs.each_ref().map(|b| b.as_chunks::<STEP>().0);
        let scores = self.score[..all].as_chunks_mut::<STEP>().0;
        for (((s, a), b), c) in scores.iter_mut().zip(a).zip(b).zip(c) {
            *s = criterion.rate([a, b, c]);
        }
        self.score[n..all].fill(f64::NEG_INFINITY);
        let mut most = [f64::NEG_INFINITY; STEP];
        for s in self.score[..all].as_chunks::<STEP>().0 {
            for k in 0..STEP {
                most[k] = if s[k] > most[k] { s[k] } else { most[k] };
            }
        }
        let top = most.into_iter().fold(f64::NEG_INFINITY, f64::max);
        let scores = &self.score[..n];
        if !criterion.needs_fractions() {
            return scores.iter().position(|s| *s >= top);
        }
        let near = |s: f64| s >= top - NEAR * top.abs();
        let mut best = scores.iter().position(|s| near(*s))?;
        for i in best + 1..n {
            if near(scores[i])
                && compare(
                    criterion,
                    (scores[i], &self.left[i]),
                    (scores[best], &self.left[best]),
                ) == Ordering::Greater
            {
                best = i;
            }
        }
        Some(best)
    }
}

//! The rows of a node brought together by bin, one behind the other: for criteria whose sums are too large for cells.
//!
//! A row moves from right to left in constant time, so the cost does not grow with the number of classes.

use std::ops::Range;

use super::criterion::{ClassSums, Classed, Criterion, Many};
use super::histogram::{Tally, each_bin};
use super::nominal;
use super::split::{BinSet, Bounds, Candidate, Feature, NEAR, Rule, insert};
use super::store::Store;

/// Rows in the order of their bins.
pub struct Sorted<R> {
    bins: Vec<u8>,
    rows: Vec<R>,
    present: BinSet,
    /// Where each bin's rows end; kept for bins that have rows.
    ends: [u32; 256],
}

impl<R: Copy + Default> Sorted<R> {
    fn sort<C: Criterion<Row = R>, S: Store<C>>(
        &mut self,
        base: usize,
        criterion: &C,
        store: &S,
        span: Range<usize>,
    ) {
        let bytes = store.bytes();
        self.bins.clear();
        self.present = BinSet::default();
        let mut next = [0_u32; 256];
        for i in span.clone() {
            let bin = bytes[base + store.at(criterion, i).0];
            self.bins.push(bin);
            next[usize::from(bin)] += 1;
        }
        let mut start = 0;
        for (b, n) in next.iter_mut().enumerate() {
            if *n > 0 {
                insert(&mut self.present, b);
                start += *n;
                self.ends[b] = start;
            }
            *n = start - *n;
        }
        self.rows.resize(span.len(), R::default());
        for (bin, i) in self.bins.iter().zip(span) {
            let place = &mut next[usize::from(*bin)];
            self.rows[*place as usize] = store.at(criterion, i).1;
            *place += 1;
        }
    }

    /// The bins that have rows, ascending, each with its rows.
    fn groups(&self) -> Vec<(u8, &[R])> {
        let mut groups = Vec::new();
        let mut start = 0;
        each_bin(&self.present, |b| {
            let end = self.ends[b & 255] as usize;
            groups.push((b as u8, &self.rows[start..end]));
            start = end;
        });
        groups
    }
}

impl<'a, const ENTROPY: bool> Tally<Many<'a, ENTROPY>> for Sorted<Classed> {
    type Scratch = ();
    const AT_ONCE: usize = 1;

    fn new(_: &Many<'a, ENTROPY>) -> Self {
        Self {
            bins: Vec::new(),
            rows: Vec::new(),
            present: BinSet::default(),
            ends: [0; 256],
        }
    }

    fn fill<S: Store<Many<'a, ENTROPY>>>(
        tallies: &mut [Self],
        bases: &[usize],
        criterion: &Many<'a, ENTROPY>,
        store: &S,
        span: Range<usize>,
    ) {
        for (tally, base) in tallies.iter_mut().zip(bases) {
            tally.sort(*base, criterion, store, span.clone());
        }
    }

    fn load(&mut self, sums: &[(u8, ClassSums)]) {
        self.present = BinSet::default();
        self.rows.clear();
        for (b, sums) in sums {
            insert(&mut self.present, usize::from(*b));
            self.rows.extend(Classed::of_sums(sums));
            self.ends[usize::from(*b)] = self.rows.len() as u32;
        }
    }

    fn best(
        &mut self,
        criterion: &Many<'a, ENTROPY>,
        total: &ClassSums,
        bounds: &Bounds,
        feature: &Feature,
        _: u8,
        (): &mut (),
    ) -> Option<Option<Candidate<ClassSums>>> {
        let groups = self.groups();
        if groups.len() < 2 {
            return None;
        }
        if feature.nominal {
            let sums = groups.iter().map(|(b, rows)| (*b, sum(criterion, rows)));
            let sums: Vec<(u8, ClassSums)> = sums.collect();
            return Some(nominal::search(criterion, &sums, bounds, feature.index));
        }
        let search = Search {
            criterion,
            total,
            bounds,
            feature,
            groups,
        };
        Some(search.best())
    }
}

fn sum<const ENTROPY: bool>(criterion: &Many<'_, ENTROPY>, rows: &[Classed]) -> ClassSums {
    let mut sums = criterion.empty();
    rows.iter().for_each(|r| criterion.add_row(&mut sums, *r));
    sums
}

/// A search for the best threshold.
struct Search<'s, 'a, const ENTROPY: bool> {
    criterion: &'s Many<'a, ENTROPY>,
    total: &'s ClassSums,
    bounds: &'s Bounds,
    feature: &'s Feature,
    groups: Vec<(u8, &'s [Classed])>,
}

/// The best split so far: after which group, the side of missing values, and how good.
#[derive(Clone, Copy)]
struct Found {
    last: usize,
    missing_left: bool,
    score: f64,
    exact: Option<(u128, u128)>,
}

impl Found {
    fn is_better_than(&self, other: &Self) -> bool {
        if (self.score - other.score).abs() <= NEAR * other.score.abs()
            && let (Some((p, q)), Some((r, s))) = (self.exact, other.exact)
        {
            return p * s > r * q;
        }
        self.score > other.score
    }
}

impl<const ENTROPY: bool> Search<'_, '_, ENTROPY> {
    fn best(&self) -> Option<Candidate<ClassSums>> {
        let (values, missing) = match self.groups.split_last() {
            Some((last, values)) if usize::from(last.0) == self.feature.n_bins => {
                (values, Some(last.1))
            }
            _ => (&self.groups[..], None),
        };
        let mut best = self.scan(values, &[], false, None);
        if let Some(missing) = missing {
            best = self.scan(values, missing, true, best);
        }
        let best = best?;
        let mut left = self.criterion.empty();
        let sides = values[..=best.last].iter().map(|g| g.1);
        let missing_left = best.missing_left.then_some(missing).flatten();
        for row in sides.chain(missing_left).flatten() {
            self.criterion.add_row(&mut left, *row);
        }
        Some(Candidate {
            feature: self.feature.index,
            rule: Rule::Threshold {
                last_left: values[best.last].0,
                first_right: values.get(best.last + 1).map(|g| g.0),
                missing_left: missing.map(|_| best.missing_left),
            },
            left,
            score: best.score,
        })
    }

    /// Tries every threshold, with the rows `first` on the left beforehand.
    fn scan(
        &self,
        values: &[(u8, &[Classed])],
        first: &[Classed],
        missing_left: bool,
        mut best: Option<Found>,
    ) -> Option<Found> {
        let (mut left, mut right) = (self.criterion.empty(), self.total.clone());
        for row in first {
            self.criterion.shift(&mut left, &mut right, *row);
        }
        for (last, (_, rows)) in values.iter().enumerate() {
            for row in *rows {
                self.criterion.shift(&mut left, &mut right, *row);
            }
            let (weight, drawn) = (self.criterion.weight(&left), self.criterion.rows(&left));
            if !self.bounds.allow(weight, drawn) {
                continue;
            }
            let score = self.criterion.score_of(&left, &right);
            // Most splits are clearly worse: no fraction is needed to see it.
            if best.is_some_and(|b| score < b.score - NEAR * b.score.abs()) {
                continue;
            }
            let found = Found {
                last,
                missing_left,
                score,
                exact: self.criterion.exact_of(&left, &right),
            };
            if best.is_none_or(|b| found.is_better_than(&b)) {
                best = Some(found);
            }
        }
        best
    }
}

//! The best split of a node on one feature.

use std::cmp::Ordering;

use super::criterion::Criterion;
use super::nominal;

/// A set of bins.
pub type BinSet = [u64; 4];

/// True where `set` has bin `b`.
#[must_use]
pub fn contains(set: &BinSet, b: usize) -> bool {
    set[b / 64] >> (b % 64) & 1 == 1
}

/// Adds bin `b` to `set`.
pub fn insert(set: &mut BinSet, b: usize) {
    set[b / 64] |= 1 << (b % 64);
}

/// Where the rows of a node go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Bins up to `last_left` go left.
    Threshold {
        /// The highest bin on the left among the node's rows.
        last_left: u8,
        /// The lowest bin on the right among the node's rows; `None` where only missing values are.
        first_right: Option<u8>,
        /// Side of missing values; `None` where the node has none.
        missing_left: Option<bool>,
    },
    /// These bins go left, that of missing values among them.
    Nominal {
        /// Bins on the left.
        left: BinSet,
        /// Bins that the node's rows have.
        present: BinSet,
    },
}

/// A split that could be made.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    /// Feature index.
    pub feature: u32,
    /// Where rows go.
    pub rule: Rule,
    /// Weight that goes left.
    pub left_weight: u64,
    /// What the criterion makes of it.
    pub score: f64,
    exact: Option<(u128, u128)>,
}

/// Scores closer than this part of their size are compared as fractions. They carry errors of a few 2^-53.
const NEAR: f64 = 1e-9;

impl Candidate {
    /// Orders by goodness: exactly where fractions are known, else by the floating score.
    fn compare(&self, other: &Self) -> Ordering {
        if let (Some((a, b)), Some((c, d))) = (self.exact, other.exact)
            && (self.score - other.score).abs() <= NEAR * other.score.abs()
        {
            return (a * d).cmp(&(c * b));
        }
        self.score.total_cmp(&other.score)
    }

    /// The better of two; of equals the one of the lower feature, and of one feature the first.
    #[must_use]
    pub fn better(first: Option<Self>, second: Option<Self>) -> Option<Self> {
        match (first, second) {
            (Some(a), Some(b)) => Some(match a.compare(&b) {
                Ordering::Greater => a,
                Ordering::Less => b,
                Ordering::Equal if b.feature < a.feature => b,
                Ordering::Equal => a,
            }),
            (one, None) | (None, one) => one,
        }
    }
}

/// What a child must have.
#[derive(Debug, Clone, Copy)]
pub struct ChildLimits {
    /// Rows, at least; a row drawn twice counts twice.
    pub rows: u64,
    /// Weight, at least.
    pub weight: u64,
}

/// The rows of a node that share a bin.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// The bin.
    pub bin: u8,
    /// Rows, as often as they were drawn.
    pub rows: u64,
    from: u32,
    to: u32,
}

/// Buffers for one thread.
#[derive(Debug, Clone, Default)]
pub struct Scratch<T> {
    cells: Vec<T>,
    counts: Vec<u64>,
    order: Vec<u32>,
    groups: Vec<Group>,
    by_rows: bool,
}

/// One feature at one node.
pub struct Feature<'a> {
    /// Its index.
    pub index: u32,
    /// Bins of all rows.
    pub column: &'a [u8],
    /// Number of bins, that of missing values not counted.
    pub n_bins: usize,
    /// True for categories.
    pub nominal: bool,
}

/// Brings a node's rows together by bin. False where all are in one: the feature is constant here.
///
/// A node with many rows for the bins sums each bin once; a node with few orders its rows by bin and moves them singly, so
/// that its cost does not grow with the number of classes.
pub fn gather<C: Criterion>(
    criterion: &C,
    feature: &Feature<'_>,
    rows: &[u32],
    counts: &[u8],
    scratch: &mut Scratch<C::Cell>,
) -> bool {
    let (bins, width) = (feature.n_bins + 1, criterion.width());
    let column = feature.column;
    let first = rows.first().map_or(0, |r| column[*r as usize]);
    if rows.iter().all(|r| column[*r as usize] == first) {
        return false;
    }
    scratch.groups.clear();
    scratch.counts.clear();
    scratch.counts.resize(bins + 1, 0);
    scratch.by_rows = !feature.nominal && rows.len() < bins * width;
    if !scratch.by_rows {
        scratch.cells.clear();
        scratch.cells.resize(bins * width, C::Cell::default());
        for &row in rows {
            let b = usize::from(column[row as usize]);
            scratch.counts[b] += u64::from(counts[row as usize]);
            criterion.add(row, &mut scratch.cells[b * width..(b + 1) * width]);
        }
        for (b, n) in scratch.counts[..bins].iter().enumerate() {
            if *n > 0 {
                scratch.groups.push(Group {
                    bin: b as u8,
                    rows: *n,
                    from: b as u32,
                    to: b as u32,
                });
            }
        }
        return true;
    }
    for &row in rows {
        scratch.counts[usize::from(column[row as usize]) + 1] += 1;
    }
    for b in 0..bins {
        let n = scratch.counts[b + 1];
        let from = scratch.counts[b];
        if n > 0 {
            let (from, to) = (from as u32, (from + n) as u32);
            scratch.groups.push(Group {
                bin: b as u8,
                rows: 0,
                from,
                to,
            });
        }
        scratch.counts[b + 1] = from + n;
    }
    scratch.order.resize(rows.len(), 0);
    for &row in rows {
        let next = &mut scratch.counts[usize::from(column[row as usize])];
        scratch.order[*next as usize] = row;
        *next += 1;
    }
    for group in &mut scratch.groups {
        let own = &scratch.order[group.from as usize..group.to as usize];
        group.rows = own.iter().map(|r| u64::from(counts[*r as usize])).sum();
    }
    true
}

impl<T: Copy> Scratch<T> {
    /// The bins that the node's rows have, ascending.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Sums of a bin; nominal features always have them.
    #[must_use]
    pub fn sums(&self, bin: u8, width: usize) -> &[T] {
        &self.cells[usize::from(bin) * width..(usize::from(bin) + 1) * width]
    }

    /// Moves the rows of a group to the left.
    pub fn shift<C: Criterion<Cell = T>>(&self, criterion: &mut C, group: &Group) {
        if self.by_rows {
            for row in &self.order[group.from as usize..group.to as usize] {
                criterion.shift_row(*row);
            }
        } else {
            criterion.shift_bin(self.sums(group.bin, criterion.width()));
        }
    }
}

/// Collects candidates of one feature.
pub struct Search<'a, C> {
    /// The criterion, with the node's rows.
    pub criterion: &'a mut C,
    /// The feature.
    pub feature: u32,
    /// Rows of the node, as often as drawn.
    pub rows: u64,
    /// What children must have.
    pub limits: ChildLimits,
    /// The best so far.
    pub best: Option<Candidate>,
}

impl<C: Criterion> Search<'_, C> {
    /// Offers the split as the criterion has it now, with `left_rows` rows on the left.
    pub fn offer(&mut self, left_rows: u64, rule: impl FnOnce() -> Rule) {
        let left_weight = self.criterion.left_weight();
        let right_weight = self.criterion.weight() - left_weight;
        if left_rows.min(self.rows - left_rows) < self.limits.rows
            || left_weight.min(right_weight) < self.limits.weight
        {
            return;
        }
        let score = self.criterion.score();
        // Most candidates are clearly worse: no fraction is needed to see it.
        if self
            .best
            .is_some_and(|b| score < b.score - NEAR * b.score.abs())
        {
            return;
        }
        let exact = self.criterion.exact();
        let new = Candidate {
            feature: self.feature,
            rule: rule(),
            left_weight,
            score,
            exact,
        };
        self.best = Candidate::better(self.best, Some(new));
    }
}

/// The best split of a node on one feature; `None` where none leaves enough on both sides. The feature was gathered.
pub fn best<C: Criterion>(
    criterion: &mut C,
    feature: &Feature<'_>,
    rows: u64,
    limits: ChildLimits,
    scratch: &Scratch<C::Cell>,
) -> Option<Candidate> {
    let mut search = Search {
        criterion,
        feature: feature.index,
        rows,
        limits,
        best: None,
    };
    if feature.nominal {
        nominal::search(&mut search, scratch);
        return search.best;
    }
    let groups = scratch.groups();
    let (values, missing) = match groups.split_last() {
        Some((last, values)) if usize::from(last.bin) == feature.n_bins => (values, Some(last)),
        _ => (groups, None),
    };
    for missing_left in [false, true] {
        if missing_left && missing.is_none() {
            break;
        }
        search.criterion.reset();
        let mut left_rows = 0;
        if missing_left && let Some(group) = missing {
            scratch.shift(search.criterion, group);
            left_rows = group.rows;
        }
        for (i, group) in values.iter().enumerate() {
            let next = values.get(i + 1).map(|g| g.bin);
            if next.is_none() && (missing_left || missing.is_none()) {
                break; // nothing would be left on the right
            }
            scratch.shift(search.criterion, group);
            left_rows += group.rows;
            search.offer(left_rows, || Rule::Threshold {
                last_left: group.bin,
                first_right: next,
                missing_left: missing.map(|_| missing_left),
            });
        }
    }
    search.best
}

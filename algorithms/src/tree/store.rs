//! The rows that a tree is grown from, in an order that keeps those of a node together.

use std::ops::Range;

use super::criterion::Criterion;
use super::table::Table;

/// A subtree of at most so many rows is grown from a copy of its rows, for each number once: the rows of a node then lie
/// close together, and in the end in the second-level and first-level cache of one core.
pub const LOCAL_ROWS: [usize; 3] = [1 << 17, 1 << 13, 1 << 10];

/// Rows in the order of the nodes.
pub trait Store<C: Criterion>: Sync {
    /// All bins; that of a feature for a row stands at the sum of the two's offsets.
    fn bytes(&self) -> &[u8];
    /// Offset of the `i`-th row, and what it adds.
    fn at(&self, criterion: &C, i: usize) -> (usize, C::Row);
    /// Puts the rows of `span` whose bin of the feature at `base` goes left first, both sides in their old order; returns
    /// where the right side starts.
    fn part(&mut self, span: Range<usize>, base: usize, goes_left: &[bool; 256]) -> usize;
}

/// Rows of the whole table, by index.
pub struct Indexed<'a> {
    table: &'a Table,
    rows: Vec<u32>,
    draws: Vec<u8>,
    spare: (Vec<u32>, Vec<u8>),
}

impl<'a> Indexed<'a> {
    /// Rows of `table`, each with how often it was drawn.
    #[must_use]
    pub fn new(table: &'a Table, rows: Vec<u32>, draws: Vec<u8>) -> Self {
        Self {
            table,
            rows,
            draws,
            spare: (Vec::new(), Vec::new()),
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }
}

impl<C: Criterion> Store<C> for Indexed<'_> {
    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        self.table.bytes()
    }

    #[inline(always)]
    fn at(&self, criterion: &C, i: usize) -> (usize, C::Row) {
        let row = self.rows[i];
        (self.table.offset(row), criterion.row(row, self.draws[i]))
    }

    #[inline(always)]
    fn part(&mut self, span: Range<usize>, base: usize, goes_left: &[bool; 256]) -> usize {
        let (rows, draws) = (&mut self.rows[span.clone()], &mut self.draws[span.clone()]);
        let (spare_rows, spare_draws) = &mut self.spare;
        spare_rows.resize(rows.len().max(spare_rows.len()), 0);
        spare_draws.resize(draws.len().max(spare_draws.len()), 0);
        let bytes = self.table.bytes();
        let (mut left, mut right) = (0, 0);
        for i in 0..rows.len() {
            let (row, n) = (rows[i], draws[i]);
            let is_left = goes_left[usize::from(bytes[base + self.table.offset(row)])];
            (rows[left], draws[left]) = (row, n);
            (spare_rows[right], spare_draws[right]) = (row, n);
            left += usize::from(is_left);
            right += usize::from(!is_left);
        }
        rows[left..].copy_from_slice(&spare_rows[..right]);
        draws[left..].copy_from_slice(&spare_draws[..right]);
        span.start + left
    }
}

/// A copy of the rows of a subtree.
pub struct Local<R> {
    stride: usize,
    bytes: Vec<u8>,
    rows: Vec<R>,
    order: Vec<u32>,
    spare: Vec<u32>,
}

impl<R: Copy> Local<R> {
    /// Room for a subtree of a table.
    #[must_use]
    pub fn new(table: &Table) -> Self {
        Self {
            stride: table.n_features(),
            bytes: Vec::new(),
            rows: Vec::new(),
            order: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Copies the rows of a node.
    #[inline(always)]
    pub fn copy<C: Criterion<Row = R>, S: Store<C>>(
        &mut self,
        from: &S,
        span: Range<usize>,
        criterion: &C,
    ) {
        let n = span.len();
        self.bytes.clear();
        self.rows.clear();
        self.order.clear();
        self.order.extend(0..n as u32);
        self.spare.resize(n.max(self.spare.len()), 0);
        let bytes = from.bytes();
        for i in span {
            let (offset, row) = from.at(criterion, i);
            self.bytes
                .extend_from_slice(&bytes[offset..offset + self.stride]);
            self.rows.push(row);
        }
    }
}

impl<C: Criterion> Store<C> for Local<C::Row> {
    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    #[inline(always)]
    fn at(&self, _: &C, i: usize) -> (usize, C::Row) {
        let row = self.order[i] as usize;
        (row * self.stride, self.rows[row])
    }

    #[inline(always)]
    fn part(&mut self, span: Range<usize>, base: usize, goes_left: &[bool; 256]) -> usize {
        let order = &mut self.order[span.clone()];
        let spare = &mut self.spare[..span.len()];
        let (mut left, mut right) = (0, 0);
        for i in 0..order.len() {
            let row = order[i];
            let bin = self.bytes[base + row as usize * self.stride];
            let is_left = goes_left[usize::from(bin)];
            order[left] = row;
            spare[right] = row;
            left += usize::from(is_left);
            right += usize::from(!is_left);
        }
        order[left..].copy_from_slice(&spare[..right]);
        span.start + left
    }
}

//! The training rows as the growers see them: bytes by column, integer labels and integer weights.

use std::ops::Range;
use std::sync::Arc;

use emberline_pipeline::datasets::{Block, DataError, map_in_order};
use emberline_pipeline::engine::BlockSource;
use serde::{Deserialize, Serialize};

use super::bins::FeatureBins;
use super::sample::MOST_DRAWS;
use super::summary::{DataSummary, each_column};

/// Sum of all weights in units, at most: with [`MOST_DRAWS`] per row it stays below 2^62.
const WEIGHT_BITS: i32 = 56;
/// Size of a label in units, at most 2 to this power: as many bits as an `f64` holds.
pub const LABEL_BITS: i32 = 52;

/// What is predicted, and the scale that makes sums of it exact integers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Task {
    /// One of so many classes.
    Classes(usize),
    /// A number: `offset + units / 2^exponent`.
    Number {
        /// The middle of the labels' range.
        offset: f64,
        /// Base-2 logarithm of the units in 1.
        exponent: i32,
    },
}

impl Task {
    /// Regression on labels between two bounds.
    #[must_use]
    pub fn number(min: f64, max: f64) -> Self {
        let offset = min / 2.0 + max / 2.0;
        let size = (max - offset).max(offset - min);
        // 2^e <= size < 2^(e + 1)
        let e = ((size.to_bits() >> 52) as i32 & 0x7ff) - 1023;
        let exponent = if size > 0.0 { LABEL_BITS - 1 - e } else { 0 };
        Self::Number { offset, exponent }
    }

    fn units(offset: f64, exponent: i32, y: f64) -> i64 {
        scaled(y - offset, exponent).round() as i64
    }
}

/// `x * 2^exponent`, also where that power of two is itself beyond the range of an `f64`.
#[must_use]
pub fn scaled(x: f64, exponent: i32) -> f64 {
    let half = exponent / 2;
    x * 2.0_f64.powi(half) * 2.0_f64.powi(exponent - half)
}

/// Base-2 logarithm of the units in a weight of 1: as many as keep every weight whole, as far as sums stay in their integers.
#[must_use]
pub fn weight_exponent(summary: &DataSummary) -> i32 {
    let most = WEIGHT_BITS - summary.weight.log2().ceil() as i32;
    (-summary.weight_exponent).min(most)
}

/// A weight in units; none that counts is 0.
#[must_use]
pub fn weight_units(weight: f64, exponent: i32) -> u64 {
    if weight > 0.0 {
        ((weight * 2.0_f64.powi(exponent)).round() as u64).max(1)
    } else {
        0
    }
}

/// The labels of all rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Labels {
    /// Class indices.
    Classes(Vec<u16>),
    /// Numbers in units of [`Task::Number`].
    Numbers(Vec<i64>),
}

/// Up to so many features the bins of a row stand side by side: one cache line serves all features that a node draws.
/// Where there are more, a node looks at few of a row's bins, and those of one feature stand together.
const MOST_BY_ROW: usize = 64;

/// All training rows.
#[derive(Debug)]
pub struct Table {
    n_rows: usize,
    n_features: usize,
    bytes: Vec<u8>,
    /// From the bin of a row to that of the next one, and from that of a feature to that of the next one.
    strides: [usize; 2],
    /// Labels `(n,)`.
    pub labels: Labels,
    /// Weights in units `(n,)`; `None` means 1 each.
    pub weights: Option<Vec<u64>>,
    row_ids: Vec<RowIds>,
}

/// The row ids of a block.
#[derive(Debug)]
enum RowIds {
    /// One after the other, as they are unless rows were left out: the block can be let go.
    Run(Range<u64>),
    /// Shared with the block.
    Each(Arc<[u64]>),
}

impl RowIds {
    fn of(ids: &Arc<[u64]>) -> Self {
        match ids.first() {
            Some(first) if (*first..).zip(ids.iter()).all(|(next, id)| next == *id) => {
                Self::Run(*first..*first + ids.len() as u64)
            }
            _ => Self::Each(ids.clone()),
        }
    }
}

/// How rows become those of a table.
#[derive(Debug, Clone, Copy)]
pub struct Recipe<'a> {
    /// How features are binned.
    pub bins: &'a [FeatureBins],
    /// What is predicted.
    pub task: Task,
    /// Scale of the weights; `None` where each is 1.
    pub weight_exponent: Option<i32>,
}

/// Rows on their way from one table to another.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rows {
    /// Bins, those of a row side by side.
    pub bytes: Vec<u8>,
    /// Labels.
    pub labels: Labels,
    /// Weights in units; none where each is 1.
    pub weights: Vec<u64>,
    /// How often each was drawn.
    pub draws: Vec<u8>,
}

impl Rows {
    /// Adds rows of the same task.
    pub fn append(&mut self, later: Self) {
        self.bytes.extend(later.bytes);
        match (&mut self.labels, later.labels) {
            (Labels::Classes(all), Labels::Classes(own)) => all.extend(own),
            (Labels::Numbers(all), Labels::Numbers(own)) => all.extend(own),
            _ => {} // one recipe makes both
        }
        self.weights.extend(later.weights);
        self.draws.extend(later.draws);
    }
}

/// The rows of one block, binned.
struct Part {
    n_rows: usize,
    bytes: Vec<u8>,
    labels: Labels,
    weights: Vec<u64>,
    row_ids: RowIds,
}

impl Table {
    /// Bins all blocks, several at a time.
    ///
    /// # Errors
    /// More rows than 32-bit indices reach, or a spilled block cannot be read back.
    pub fn gather(blocks: &dyn BlockSource, recipe: Recipe<'_>) -> Result<Self, DataError> {
        let mut table = Self::new(blocks.n_rows(), recipe)?;
        map_in_order(
            blocks.n_blocks(),
            |i| Ok::<_, DataError>(Part::of(&*blocks.block(i)?, recipe)),
            |part| {
                table.push(part);
                Ok(())
            },
        )?;
        Ok(table)
    }

    /// A table without rows.
    ///
    /// # Errors
    /// None.
    pub fn empty(recipe: Recipe<'_>) -> Result<Self, DataError> {
        Self::new(0, recipe)
    }

    /// Room for `n_rows` rows.
    fn new(n_rows: u64, recipe: Recipe<'_>) -> Result<Self, DataError> {
        let n_features = recipe.bins.len();
        let n = u32::try_from(n_rows)
            .ok()
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| n.checked_mul(n_features.max(1)).is_some())
            .ok_or_else(|| {
                DataError::Unusable(format!(
                    "{n_rows} rows are more than a tree can index; train on a sample"
                ))
            })?;
        Ok(Self {
            n_rows: n,
            n_features,
            bytes: vec![0; n * n_features],
            strides: if by_row(n_features) {
                [n_features, 1]
            } else {
                [1, n]
            },
            labels: match recipe.task {
                Task::Classes(_) => Labels::Classes(Vec::with_capacity(n)),
                Task::Number { .. } => Labels::Numbers(Vec::with_capacity(n)),
            },
            weights: recipe.weight_exponent.map(|_| Vec::with_capacity(n)),
            row_ids: Vec::new(),
        })
    }

    /// A table of rows that were taken out of others, and how often each was drawn.
    ///
    /// # Errors
    /// More rows than 32-bit indices reach.
    pub fn of_rows(recipe: Recipe<'_>, rows: Rows) -> Result<(Self, Vec<u8>), DataError> {
        let d = recipe.bins.len();
        let n = rows.draws.len();
        let bytes = if by_row(d) {
            rows.bytes
        } else {
            let column = |j: usize| rows.bytes[j..].iter().step_by(d).copied();
            (0..d).flat_map(column).collect()
        };
        let mut table = Self::new(n as u64, recipe)?;
        table.push(Part {
            n_rows: n,
            bytes,
            labels: rows.labels,
            weights: rows.weights,
            row_ids: RowIds::Run(0..n as u64),
        });
        Ok((table, rows.draws))
    }

    /// Takes rows out, each with how often it was drawn.
    #[must_use]
    pub fn rows(&self, chosen: &[(u32, u8)]) -> Rows {
        let d = self.n_features;
        let mut bytes = Vec::with_capacity(chosen.len() * d);
        for (row, _) in chosen {
            let offset = self.offset(*row);
            bytes.extend((0..d).map(|j| self.bytes[self.base(j) + offset]));
        }
        let rows = || chosen.iter().map(|(row, _)| *row as usize);
        Rows {
            bytes,
            labels: match &self.labels {
                Labels::Classes(all) => Labels::Classes(rows().map(|i| all[i]).collect()),
                Labels::Numbers(all) => Labels::Numbers(rows().map(|i| all[i]).collect()),
            },
            weights: match &self.weights {
                Some(all) => rows().map(|i| all[i]).collect(),
                None => Vec::new(),
            },
            draws: chosen.iter().map(|(_, draws)| *draws).collect(),
        }
    }

    /// Adds the rows of the next block.
    fn push(&mut self, part: Part) {
        let (n, m) = (self.n_rows, part.n_rows);
        let start = match (&mut self.labels, part.labels) {
            (Labels::Classes(all), Labels::Classes(own)) => {
                all.extend(own);
                all.len() - m
            }
            (Labels::Numbers(all), Labels::Numbers(own)) => {
                all.extend(own);
                all.len() - m
            }
            _ => return, // one recipe makes both
        };
        if self.is_by_row() {
            let d = self.n_features;
            self.bytes[start * d..(start + m) * d].copy_from_slice(&part.bytes);
        } else if m > 0 {
            let columns = self.bytes.chunks_exact_mut(n);
            for (all, own) in columns.zip(part.bytes.chunks_exact(m)) {
                all[start..start + m].copy_from_slice(own);
            }
        }
        if let Some(weights) = &mut self.weights {
            weights.extend(part.weights);
        }
        self.row_ids.push(part.row_ids);
    }

    /// Number of rows.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Number of features.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// True where the bins of a row stand side by side.
    #[must_use]
    pub fn is_by_row(&self) -> bool {
        by_row(self.n_features)
    }

    /// All bins: that of feature `j` and row `i` stands at `base(j) + offset(i)`.
    #[inline(always)]
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where the bins of a feature start.
    #[must_use]
    pub fn base(&self, feature: usize) -> usize {
        feature * self.strides[1]
    }

    /// How far into them a row is.
    #[inline(always)]
    #[must_use]
    pub fn offset(&self, row: u32) -> usize {
        row as usize * self.strides[0]
    }

    /// The weight of row `i` in units.
    #[must_use]
    pub fn weight(&self, i: usize) -> u64 {
        self.weights.as_ref().map_or(1, |w| w[i])
    }

    /// Calls `f(row, row id)` for each row in order.
    pub fn each_row_id(&self, mut f: impl FnMut(u32, u64)) {
        let mut row = 0..;
        for ids in &self.row_ids {
            match ids {
                RowIds::Run(ids) => ids.clone().zip(&mut row).for_each(|(id, i)| f(i, id)),
                RowIds::Each(ids) => ids.iter().zip(&mut row).for_each(|(id, i)| f(i, *id)),
            }
        }
    }
}

fn by_row(n_features: usize) -> bool {
    n_features <= MOST_BY_ROW
}

impl Part {
    fn of(block: &Block, recipe: Recipe<'_>) -> Self {
        let (n, d) = (block.n_rows(), recipe.bins.len());
        let mut bytes = vec![0; n * d];
        each_column(block, |j, values| {
            let bins = &recipe.bins[j];
            if by_row(d) {
                let own = bytes[j..].iter_mut().step_by(d);
                own.zip(values).for_each(|(b, x)| *b = bins.bin(*x));
            } else {
                let own = bytes[j * n..(j + 1) * n].iter_mut();
                own.zip(values).for_each(|(b, x)| *b = bins.bin(*x));
            }
        });
        let labels = (0..n).map(|i| block.label(i));
        let labels = match recipe.task {
            Task::Classes(_) => Labels::Classes(labels.map(|y| y as u16).collect()),
            Task::Number { offset, exponent } => {
                Labels::Numbers(labels.map(|y| Task::units(offset, exponent, y)).collect())
            }
        };
        let weights = (recipe.weight_exponent).map(|exponent| {
            (0..n)
                .map(|i| weight_units(block.weight(i), exponent))
                .collect()
        });
        Self {
            n_rows: n,
            bytes,
            labels,
            weights: weights.unwrap_or_default(),
            row_ids: RowIds::of(&block.row_ids),
        }
    }
}

// The bound on sums that the two constants promise.
const _: () = assert!((MOST_DRAWS as u64) < 1 << (62 - WEIGHT_BITS));

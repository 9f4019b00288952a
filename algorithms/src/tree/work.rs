//! Growing trees as independent pieces of work.

use emberline_pipeline::Work;
use emberline_pipeline::datasets::DataError;
use emberline_pipeline::datasets::random::Draw;
use emberline_pipeline::engine::BlockSource;
use serde::{Deserialize, Serialize};

use super::apart::row_bytes;
use super::bins::FeatureBins;
use super::criterion::{Criterion, Lanes, Many, Narrow, Pair, Units, Variance, Wide};
use super::grow::{GrownTree, Soil, Start, grow};
use super::sample::Sampling;
use super::settings::Limits;
use super::table::{LABEL_BITS, Labels, Recipe, Table, Task};

/// The work of growing trees, one a piece.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GrowTrees {
    /// What is predicted.
    pub task: Task,
    /// Entropy instead of gini.
    pub entropy: bool,
    /// How features are binned.
    pub bins: Vec<FeatureBins>,
    /// Scale of the weights; `None` where each is 1.
    pub weight_exponent: Option<i32>,
    /// When growth stops.
    pub limits: Limits,
    /// Features drawn at each node.
    pub n_drawn: usize,
    /// How rows are drawn.
    pub sampling: Sampling,
}

/// A tree, and whether it saw every row because its draw was empty.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Output {
    /// The tree.
    pub tree: GrownTree,
    /// True where the draw was empty.
    pub whole: bool,
}

impl Work for GrowTrees {
    const NAME: &'static str = "tree/grow";
    type Shared = Table;
    type Output = Output;

    fn gather(&self, blocks: &dyn BlockSource) -> std::result::Result<Table, DataError> {
        Table::gather(blocks, self.recipe())
    }

    fn shared_bytes(&self, rows: u64) -> u64 {
        rows.saturating_mul(row_bytes(self))
    }

    fn run(&self, index: u64, table: &Table) -> std::result::Result<Output, DataError> {
        let (mut rows, mut draws) = self.draw(index, table, false);
        let whole = rows.is_empty();
        if whole {
            (rows, draws) = self.draw(index, table, true);
        }
        let mut drawn = Drawn::default();
        for (i, n) in rows.iter().zip(&draws) {
            drawn.add(*n, table.weight(*i as usize));
        }
        let growth = Growth {
            soil: self.soil(table, self.features(index)),
            rows,
            draws,
            start: Start::default(),
        };
        let (labels, weights) = (&table.labels, table.weights.as_deref());
        let tree = self.with_criterion(labels, weights, drawn, growth)?;
        Ok(Output { tree, whole })
    }
}

/// What the rows of a tree come to.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Drawn {
    /// Rows, as often as they were drawn.
    pub rows: u64,
    /// Their weight in units.
    pub weight: u64,
}

impl Drawn {
    /// Adds a row.
    pub fn add(&mut self, draws: u8, weight: u64) {
        self.rows += u64::from(draws);
        self.weight += u64::from(draws) * weight;
    }
}

/// What is done with the criterion of a tree, whichever it is.
pub trait WithCriterion<'a> {
    /// What comes of it.
    type Output;
    /// Does it.
    fn with<C: Criterion + 'a>(self, criterion: C) -> Self::Output;
}

/// The growth of a tree or of a subtree.
pub struct Growth<'s> {
    /// What it grows from.
    pub soil: Soil<'s>,
    /// Rows of the table.
    pub rows: Vec<u32>,
    /// How often each was drawn.
    pub draws: Vec<u8>,
    /// Where growth begins.
    pub start: Start,
}

impl<'a> WithCriterion<'a> for Growth<'_> {
    type Output = GrownTree;

    fn with<C: Criterion + 'a>(self, criterion: C) -> GrownTree {
        grow(&self.soil, criterion, self.rows, self.draws, self.start)
    }
}

/// Trees that draw rows of weight 1 less often than this in all keep sums of 31 bits.
const MOST_IN_CELLS: u64 = 1 << 30;

/// Bits that labels give up so that a weighted sum of them stays below 2^62. Beyond 2^30 units of weight sums are wider
/// instead. It follows from the weight alone: a row of weight 2 is the row twice, to the bit.
fn label_shift(weight: u64) -> u32 {
    let bits = u64::BITS - weight.leading_zeros();
    if weight < MOST_IN_CELLS {
        (bits + LABEL_BITS as u32).saturating_sub(62)
    } else {
        0
    }
}

impl GrowTrees {
    /// Does something with the criterion for these labels and weights, `(n,)` each, of a tree whose rows come to `drawn`.
    ///
    /// # Errors
    /// The labels are of another task.
    pub fn with_criterion<'a, V: WithCriterion<'a>>(
        &self,
        labels: &'a Labels,
        weights: Option<&'a [u64]>,
        drawn: Drawn,
        visit: V,
    ) -> std::result::Result<V::Output, DataError> {
        let small = self.weight_exponent.is_none() && drawn.rows < MOST_IN_CELLS;
        Ok(match (labels, self.task) {
            (Labels::Classes(class), Task::Classes(k)) => match (self.entropy, small, k) {
                (true, ..) => visit.with(Many::<true>::new(class, weights, k)),
                (_, true, 2) => visit.with(Pair::new(class)),
                (_, true, ..=8) => visit.with(Lanes::<8>::new(class, k)),
                (_, true, ..=16) => visit.with(Lanes::<16>::new(class, k)),
                _ => visit.with(Many::<false>::new(class, weights, k)),
            },
            (Labels::Numbers(label), Task::Number { offset, exponent }) => {
                let shift = label_shift(drawn.weight);
                let units = Units {
                    offset,
                    exponent: exponent - shift as i32,
                    shift,
                };
                if small {
                    visit.with(Variance::<Narrow>::new(label, None, units))
                } else {
                    visit.with(Variance::<Wide>::new(label, weights, units))
                }
            }
            _ => {
                return Err(DataError::Unusable(
                    "the table was made for another task".to_owned(),
                ));
            }
        })
    }

    /// How rows become those of a table.
    #[must_use]
    pub fn recipe(&self) -> Recipe<'_> {
        Recipe {
            bins: &self.bins,
            task: self.task,
            weight_exponent: self.weight_exponent,
        }
    }

    /// Draws of the features of a tree.
    #[must_use]
    pub fn features(&self, index: u64) -> Draw {
        Draw::new(self.sampling.seed, "tree features").at(index)
    }

    /// What is grown from the rows of `table`.
    #[must_use]
    pub fn soil<'s>(&'s self, table: &'s Table, draw: Draw) -> Soil<'s> {
        Soil {
            table,
            bins: &self.bins,
            limits: self.limits,
            n_drawn: self.n_drawn,
            draw,
        }
    }

    /// The rows of a tree, and how often each was drawn; of a tree whose draw was empty (`whole`), all rows.
    #[must_use]
    pub fn draw(&self, index: u64, table: &Table, whole: bool) -> (Vec<u32>, Vec<u8>) {
        let weighty = |i: u32| table.weight(i as usize) > 0;
        if whole {
            let rows: Vec<u32> = (0..table.n_rows() as u32).filter(|i| weighty(*i)).collect();
            let draws = vec![1; rows.len()];
            return (rows, draws);
        }
        let bag = self.sampling.bag(index);
        let share = (1.0 - (-self.sampling.rate).exp()).min(1.0);
        let room = (table.n_rows() as f64 * share * 1.01) as usize + 64;
        let (mut rows, mut draws) = (Vec::with_capacity(room), Vec::with_capacity(room));
        table.each_row_id(|i, id| {
            let n = bag.count(id);
            if n > 0 && weighty(i) {
                rows.push(i);
                draws.push(n);
            }
        });
        (rows, draws)
    }
}

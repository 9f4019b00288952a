//! Growing trees as independent pieces of work.

use emberline_pipeline::Work;
use emberline_pipeline::datasets::DataError;
use emberline_pipeline::datasets::random::Draw;
use emberline_pipeline::engine::BlockSource;
use serde::{Deserialize, Serialize};

use super::bins::FeatureBins;
use super::criterion::{Lanes, Many, Narrow, Pair, Units, Variance, Wide};
use super::grow::{GrownTree, Soil, grow};
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
        let recipe = Recipe {
            bins: &self.bins,
            task: self.task,
            weight_exponent: self.weight_exponent,
        };
        Table::gather(blocks, recipe)
    }

    fn run(&self, index: u64, table: &Table) -> std::result::Result<Output, DataError> {
        let (rows, draws, whole) = self.draw(index, table);
        let soil = Soil {
            table,
            bins: &self.bins,
            limits: self.limits,
            n_drawn: self.n_drawn,
            draw: Draw::new(self.sampling.seed, "tree features").at(index),
        };
        let drawn: u64 = draws.iter().map(|n| u64::from(*n)).sum();
        let weights = table.weights.as_deref();
        let small = weights.is_none() && drawn < MOST_IN_CELLS;
        let tree = match (&table.labels, self.task) {
            (Labels::Classes(class), Task::Classes(k)) => match (self.entropy, small, k) {
                (true, ..) => grow(&soil, Many::<true>::new(class, weights, k), rows, draws),
                (_, true, 2) => grow(&soil, Pair::new(class), rows, draws),
                (_, true, ..=8) => grow(&soil, Lanes::<8>::new(class, k), rows, draws),
                (_, true, ..=16) => grow(&soil, Lanes::<16>::new(class, k), rows, draws),
                _ => grow(&soil, Many::<false>::new(class, weights, k), rows, draws),
            },
            (Labels::Numbers(label), Task::Number { offset, exponent }) => {
                let shift = label_shift(self.total_weight(table, &rows, &draws));
                let units = Units {
                    offset,
                    exponent: exponent - shift as i32,
                    shift,
                };
                if small {
                    let criterion = Variance::<Narrow>::new(label, None, units);
                    grow(&soil, criterion, rows, draws)
                } else {
                    let criterion = Variance::<Wide>::new(label, weights, units);
                    grow(&soil, criterion, rows, draws)
                }
            }
            _ => {
                return Err(DataError::Unusable(
                    "the table was made for another task".to_owned(),
                ));
            }
        };
        Ok(Output { tree, whole })
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
    /// The rows of a tree, how often each was drawn, and whether the draw was empty: a tree then sees every row.
    fn draw(&self, index: u64, table: &Table) -> (Vec<u32>, Vec<u8>, bool) {
        let bag = self.sampling.bag(index);
        let share = (1.0 - (-self.sampling.rate).exp()).min(1.0);
        let room = (table.n_rows() as f64 * share * 1.01) as usize + 64;
        let (mut rows, mut draws) = (Vec::with_capacity(room), Vec::with_capacity(room));
        let weighty = |i: usize| table.weight(i) > 0;
        table.each_row_id(|i, id| {
            let n = bag.count(id);
            if n > 0 && weighty(i as usize) {
                rows.push(i);
                draws.push(n);
            }
        });
        if rows.is_empty() {
            rows.extend((0..table.n_rows() as u32).filter(|i| weighty(*i as usize)));
            draws.resize(rows.len(), 1);
            return (rows, draws, true);
        }
        (rows, draws, false)
    }

    fn total_weight(&self, table: &Table, rows: &[u32], draws: &[u8]) -> u64 {
        let weighted = rows.iter().zip(draws);
        weighted
            .map(|(i, n)| u64::from(*n) * table.weight(*i as usize))
            .sum()
    }
}

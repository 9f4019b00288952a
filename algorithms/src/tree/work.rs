//! Growing trees as independent pieces of work.

use emberline_pipeline::Work;
use emberline_pipeline::datasets::DataError;
use emberline_pipeline::datasets::random::Draw;
use emberline_pipeline::engine::BlockSource;
use serde::{Deserialize, Serialize};

use super::bins::FeatureBins;
use super::criterion::{ClassCriterion, Variance};
use super::grow::{GrownTree, Soil, grow};
use super::nodes::Node;
use super::sample::Sampling;
use super::settings::Limits;
use super::table::{Labels, Table, Task};

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
        let mut table = Table::new(
            blocks.n_rows(),
            self.bins.len(),
            self.task,
            self.weight_exponent.is_some(),
        )?;
        for i in 0..blocks.n_blocks() {
            table.push(
                &blocks.block(i)?,
                &self.bins,
                self.task,
                self.weight_exponent.unwrap_or(0),
            );
        }
        Ok(table)
    }

    fn run(&self, index: u64, table: &Table) -> std::result::Result<Output, DataError> {
        let n = table.n_rows();
        let bag = self.sampling.bag(index);
        let weighty = |i: usize| table.weight(i) > 0;
        let mut counts: Vec<u8> = (0..n)
            .map(|i| {
                if weighty(i) {
                    bag.count(table.row_ids[i])
                } else {
                    0
                }
            })
            .collect();
        let whole = counts.iter().all(|c| *c == 0);
        if whole {
            counts = (0..n).map(|i| u8::from(weighty(i))).collect();
        }
        let weights: Vec<u64> = counts
            .iter()
            .enumerate()
            .map(|(i, c)| u64::from(*c) * table.weight(i))
            .collect();
        let rows: Vec<u32> = (0..n as u32).filter(|i| counts[*i as usize] > 0).collect();
        let soil = Soil {
            table,
            bins: &self.bins,
            limits: self.limits,
            n_drawn: self.n_drawn,
            draw: Draw::new(self.sampling.seed, "tree features").at(index),
            counts: &counts,
        };
        let tree = match (&table.labels, self.task) {
            (Labels::Classes(class), Task::Classes(k)) if self.entropy => {
                let criterion = ClassCriterion::<true>::new(class, &weights, k);
                grow(&soil, criterion, rows, |c, leaves| {
                    Node::shares(leaves.push(c.totals()))
                })
            }
            (Labels::Classes(class), Task::Classes(k)) => {
                let criterion = ClassCriterion::<false>::new(class, &weights, k);
                grow(&soil, criterion, rows, |c, leaves| {
                    Node::shares(leaves.push(c.totals()))
                })
            }
            (Labels::Numbers(y), Task::Number { offset, exponent }) => {
                let criterion = Variance::new(y, &weights, exponent);
                grow(&soil, criterion, rows, |c, _| {
                    Node::value(offset + c.node_mean())
                })
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

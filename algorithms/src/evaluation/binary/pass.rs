//! The one pass of the binary evaluator: exact, or in bins.

use std::collections::BTreeMap;

use emberline_pipeline::datasets::{Batch, DataError};
use emberline_pipeline::{Partial, Round};
use serde::{Deserialize, Serialize};

use super::curve::Step;
use crate::evaluation::shared::{Key, keys, ordered, weights};

/// Names the columns and the two classes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reader {
    pub label: String,
    pub weight: Option<String>,
    pub scores: String,
    pub probability: bool,
    pub classes: [Key; 2],
}

/// One row: the scores of both classes, whether it is of the positive one, its weight.
struct Scored {
    scores: [f64; 2],
    positive: bool,
    weight: f64,
}

impl Reader {
    pub fn columns(&self) -> Vec<String> {
        [&self.label, &self.scores]
            .into_iter()
            .chain(&self.weight)
            .cloned()
            .collect()
    }

    /// The rows with a known label, and the weight of the others. Rows of weight 0 are left out.
    fn rows(&self, batch: &Batch) -> Result<(Vec<Scored>, f64), DataError> {
        let labels = keys(batch, &self.label)?;
        let w = weights(batch, self.weight.as_deref())?;
        let vectors = batch.vector(&self.scores)?;
        let mut rows = Vec::with_capacity(labels.len());
        let mut strangers = 0.0;
        for (i, label) in labels.iter().enumerate() {
            let mut scores = [0.0; 2];
            vectors.read(i, &mut scores);
            if let Some(bad) = scores.iter().find(|s| s.is_nan()) {
                return Err(DataError::NotFinite {
                    column: self.scores.clone(),
                    row: batch.row_ids()[i],
                    value: *bad,
                });
            }
            let positive = *label == self.classes[1];
            if !positive && *label != self.classes[0] {
                strangers += w[i];
            } else if w[i] > 0.0 {
                rows.push(Scored {
                    scores,
                    positive,
                    weight: w[i],
                });
            }
        }
        Ok((rows, strangers))
    }
}

impl Scored {
    fn step(&self) -> Step {
        let (positive, negative) = if self.positive {
            (self.weight, 0.0)
        } else {
            (0.0, self.weight)
        };
        // -0.0 and 0.0 are one threshold.
        Step {
            score: self.scores[1] + 0.0,
            positive,
            negative,
        }
    }
}

/// Every distinct score with its weights, highest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Steps {
    pub rows: u64,
    pub strangers: f64,
    pub steps: Vec<Step>,
}

impl Steps {
    pub fn weight(&self) -> f64 {
        self.steps.iter().map(|s| s.positive + s.negative).sum()
    }
}

/// The exact pass.
#[derive(Serialize, Deserialize)]
pub struct ExactPass(pub Reader);

fn push(steps: &mut Vec<Step>, step: Step) {
    match steps.last_mut() {
        Some(last) if last.score == step.score => {
            last.positive += step.positive;
            last.negative += step.negative;
        }
        _ => steps.push(step),
    }
}

impl Round for ExactPass {
    const NAME: &'static str = "binary/steps";
    type Unit = Batch;
    type Partial = Steps;
    type Scratch = ();

    fn map(&self, batch: &Batch, (): &mut ()) -> Result<Steps, DataError> {
        let (rows, strangers) = self.0.rows(batch)?;
        let mut single: Vec<Step> = rows.iter().map(Scored::step).collect();
        // Stable: equal scores stay in row order, so that their weights are added in one order.
        single.sort_by(|a, b| b.score.total_cmp(&a.score));
        let mut steps = Vec::with_capacity(single.len());
        single.into_iter().for_each(|s| push(&mut steps, s));
        Ok(Steps {
            rows: batch.num_rows() as u64,
            strangers,
            steps,
        })
    }
}

impl Partial for Steps {
    fn merge(&mut self, later: Self) {
        self.rows += later.rows;
        self.strangers += later.strangers;
        let own = std::mem::take(&mut self.steps);
        self.steps.reserve(own.len() + later.steps.len());
        let (mut a, mut b) = (
            own.into_iter().peekable(),
            later.steps.into_iter().peekable(),
        );
        while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
            let next = if y.score > x.score {
                b.next()
            } else {
                a.next()
            };
            next.into_iter().for_each(|s| push(&mut self.steps, s));
        }
        a.chain(b).for_each(|s| push(&mut self.steps, s));
    }
}

/// Mantissa bits of a bin's key: 256 bins for each power of two.
const BIN_BITS: u32 = 52 - 8;
/// Probabilities nearer than this to 0 or to 1 share the outermost bin.
const FLOOR: f64 = 5.421_010_862_427_522e-20; // 2^-64

/// Weight of each narrow bin of scores.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bins {
    pub rows: u64,
    pub strangers: f64,
    bins: BTreeMap<i64, Step>,
}

/// The pass in bins.
#[derive(Serialize, Deserialize)]
pub struct BinnedPass(pub Reader);

/// The bin of a row: ascending with the score. Probabilities near 1 are told apart by their distance to 1, which the other
/// class's probability holds in full.
fn bin(scores: [f64; 2], probability: bool) -> i64 {
    if !probability {
        return ordered(scores[1] + 0.0) >> BIN_BITS;
    }
    if scores[1] <= 0.5 {
        ordered(scores[1].max(FLOOR)) >> BIN_BITS
    } else {
        i64::MAX - (ordered(scores[0].max(FLOOR)) >> BIN_BITS)
    }
}

impl Round for BinnedPass {
    const NAME: &'static str = "binary/bins";
    type Unit = Batch;
    type Partial = Bins;
    type Scratch = ();

    fn map(&self, batch: &Batch, (): &mut ()) -> Result<Bins, DataError> {
        let (rows, strangers) = self.0.rows(batch)?;
        let mut out = Bins {
            rows: batch.num_rows() as u64,
            strangers,
            bins: BTreeMap::new(),
        };
        for row in &rows {
            out.add(bin(row.scores, self.0.probability), row.step());
        }
        Ok(out)
    }
}

impl Bins {
    fn add(&mut self, bin: i64, step: Step) {
        let own = self.bins.entry(bin).or_insert(Step {
            score: step.score,
            positive: 0.0,
            negative: 0.0,
        });
        // A threshold takes in all rows at or above it, so a bin's is its lowest score.
        own.score = own.score.min(step.score);
        own.positive += step.positive;
        own.negative += step.negative;
    }

    pub fn weight(&self) -> f64 {
        self.bins.values().map(|s| s.positive + s.negative).sum()
    }

    /// Joins neighbours until each of at most `n` steps holds about the `n`th part of the weight.
    pub fn steps(&self, n: usize) -> Vec<Step> {
        let share = self.weight() / n as f64;
        let (mut out, mut before): (Vec<Step>, f64) = (Vec::new(), 0.0);
        let mut slot = None;
        for step in self.bins.values().rev() {
            // The part of the weight at which the bin starts decides its step: n steps at most, none of them empty.
            let own = ((before / share) as usize).min(n - 1);
            before += step.positive + step.negative;
            match out.last_mut().filter(|_| slot == Some(own)) {
                Some(last) => {
                    last.score = step.score;
                    last.positive += step.positive;
                    last.negative += step.negative;
                }
                None => out.push(*step),
            }
            slot = Some(own);
        }
        out
    }
}

impl Partial for Bins {
    fn merge(&mut self, later: Self) {
        self.rows += later.rows;
        self.strangers += later.strangers;
        for (bin, step) in later.bins {
            self.add(bin, step);
        }
    }
}

//! The one pass of the multiclass evaluator.

use std::collections::BTreeMap;

use emberline_pipeline::datasets::{Batch, DataError};
use emberline_pipeline::{Partial, Round};
use serde::{Deserialize, Serialize};

use crate::evaluation::shared::{Key, keys, weights};

/// Smallest probability that the log loss tells from 0; the value scikit-learn and Spark document.
const CLIP: f64 = 1e-15;

/// Names the columns of the pass; `classes` are the slots of the probability column.
#[derive(Serialize, Deserialize)]
pub struct Pass {
    pub label: String,
    pub prediction: String,
    pub weight: Option<String>,
    pub probability: Option<String>,
    pub classes: Vec<Key>,
}

/// Weight of each (label, prediction), and the weighted sum of the log loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    pub rows: u64,
    pub weight: f64,
    pub log_loss: f64,
    pub pairs: BTreeMap<(Key, Key), f64>,
}

impl Pass {
    pub fn columns(&self) -> Vec<String> {
        [&self.label, &self.prediction]
            .into_iter()
            .chain(&self.weight)
            .chain(&self.probability)
            .cloned()
            .collect()
    }

    fn log_loss(&self, batch: &Batch, labels: &[Key], w: &[f64]) -> Result<f64, DataError> {
        let Some(name) = &self.probability else {
            return Ok(0.0);
        };
        let probabilities = batch.vector(name)?;
        let index: BTreeMap<&Key, usize> = self
            .classes
            .iter()
            .enumerate()
            .map(|(i, k)| (k, i))
            .collect();
        let mut row = vec![0.0; probabilities.width()];
        let mut sum = 0.0;
        for (i, label) in labels.iter().enumerate() {
            probabilities.read(i, &mut row);
            let p = index
                .get(label)
                .and_then(|&j| row.get(j))
                .copied()
                .unwrap_or(0.0);
            if p.is_nan() {
                return Err(DataError::NotFinite {
                    column: name.clone(),
                    row: batch.row_ids()[i],
                    value: p,
                });
            }
            sum -= w[i] * p.clamp(CLIP, 1.0 - CLIP).ln();
        }
        Ok(sum)
    }
}

impl Round for Pass {
    const NAME: &'static str = "multiclass/tally";
    type Unit = Batch;
    type Partial = Tally;
    type Scratch = ();

    fn map(&self, batch: &Batch, (): &mut ()) -> Result<Tally, DataError> {
        let labels = keys(batch, &self.label)?;
        let predictions = keys(batch, &self.prediction)?;
        let w = weights(batch, self.weight.as_deref())?;
        let log_loss = self.log_loss(batch, &labels, &w)?;
        let mut pairs = BTreeMap::new();
        for ((label, prediction), w) in labels.into_iter().zip(predictions).zip(&w) {
            if *w > 0.0 {
                *pairs.entry((label, prediction)).or_insert(0.0) += w;
            }
        }
        Ok(Tally {
            rows: batch.num_rows() as u64,
            weight: w.iter().sum(),
            log_loss,
            pairs,
        })
    }
}

impl Partial for Tally {
    fn merge(&mut self, later: Self) {
        self.rows += later.rows;
        self.weight += later.weight;
        self.log_loss += later.log_loss;
        for (pair, w) in later.pairs {
            *self.pairs.entry(pair).or_insert(0.0) += w;
        }
    }
}

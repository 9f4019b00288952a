//! Which part a row belongs to, and the step that leaves the other parts out.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::arrow::array::BooleanArray;
use crate::batch::Batch;
use crate::dataset::RowOp;
use crate::keys::{Key, KeyColumn};
use crate::random::Draw;
use crate::recipe::Step;
use crate::schema::{Schema, SchemaErrors};
use crate::{DataError, Result};

/// Ranges of the hash, each with its part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Cuts {
    /// Greatest hash of every range but the last, ascending.
    upper: Vec<u64>,
    parts: Vec<u32>,
}

impl Cuts {
    /// All rows in one part.
    pub(super) fn all(part: u32) -> Self {
        Self {
            upper: Vec::new(),
            parts: vec![part],
        }
    }

    /// Cuts the hashes so that the first `counts[0].0` in ascending order go to part `counts[0].1`, and so on. Hashes of
    /// distinct row ids are distinct (every step of the mixing is a bijection), so the counts come out exactly.
    pub(super) fn of(mut hashes: Vec<u64>, counts: &[(usize, u32)]) -> Self {
        let mut cuts = Self {
            upper: Vec::new(),
            parts: Vec::new(),
        };
        let mut rest = hashes.as_mut_slice();
        for &(count, part) in counts.iter().filter(|(count, _)| *count > 0) {
            cuts.parts.push(part);
            if count < rest.len() {
                let (_, upper, right) = rest.select_nth_unstable(count - 1);
                cuts.upper.push(*upper);
                rest = right;
            } else {
                break;
            }
        }
        cuts
    }

    fn part(&self, hash: u64) -> u32 {
        let range = self.upper.partition_point(|u| *u < hash);
        self.parts.get(range).copied().unwrap_or(0)
    }
}

/// The part of a row.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Rule {
    pub(super) draw: Draw,
    pub(super) by: Parts,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Parts {
    /// By the hash of the row id.
    Rows(Cuts),
    /// By the hash of the row id, with cuts for each value.
    Values {
        column: String,
        cuts: BTreeMap<Option<Key>, Cuts>,
    },
    /// By the hash of the row id, with cuts for each range of values: `cuts[0]` for missing ones, `cuts[1 + r]` for range `r`.
    Ranges {
        column: String,
        /// Greatest code of every range but the last.
        upper: Vec<u64>,
        cuts: Vec<Cuts>,
    },
    /// By the hash of the group; ascending hashes with their parts.
    Groups {
        column: String,
        parts: Vec<(u64, u32)>,
    },
}

/// Part 0 has each row with probability `fraction`, part 1 the others.
pub(super) fn share(fraction: f64, draw: Draw) -> Rule {
    // 2^64 is no u64; the cast saturates, which keeps every row at a fraction of 1.
    let upper = (fraction * (1_u128 << 64) as f64) as u64;
    Rule {
        draw,
        by: Parts::Rows(Cuts {
            upper: vec![upper],
            parts: vec![0, 1],
        }),
    }
}

/// The hash of each row's group; a row without one is hashed by its id.
pub(super) fn group_hashes(batch: &Batch, column: &str, draw: Draw) -> Result<Vec<u64>> {
    let keys = KeyColumn::of(batch, column)?;
    let ids = batch.row_ids();
    Ok((0..ids.len())
        .map(|i| {
            if keys.is_present(i) {
                keys.mix(i, draw).bits(0)
            } else {
                draw.bits(ids[i])
            }
        })
        .collect())
}

/// The range of a code.
pub(super) fn range_of(upper: &[u64], code: u64) -> usize {
    upper.partition_point(|u| *u < code)
}

impl Rule {
    fn column(&self) -> Option<&String> {
        match &self.by {
            Parts::Rows(_) => None,
            Parts::Values { column, .. }
            | Parts::Ranges { column, .. }
            | Parts::Groups { column, .. } => Some(column),
        }
    }

    /// The part of each row.
    fn parts(&self, batch: &Batch) -> Result<Vec<u32>> {
        let ids = batch.row_ids();
        let hash = |i: usize| self.draw.bits(ids[i]);
        match &self.by {
            Parts::Rows(cuts) => Ok((0..ids.len()).map(|i| cuts.part(hash(i))).collect()),
            Parts::Values { column, cuts } => {
                let keys = KeyColumn::of(batch, column)?;
                (0..ids.len())
                    .map(|i| {
                        let cuts = cuts
                            .get(&keys.get(i))
                            .ok_or_else(|| changed(column, ids[i]))?;
                        Ok(cuts.part(hash(i)))
                    })
                    .collect()
            }
            Parts::Ranges {
                column,
                upper,
                cuts,
            } => {
                let keys = KeyColumn::of(batch, column)?;
                Ok((0..ids.len())
                    .map(|i| {
                        let range = match keys.get(i) {
                            Some(Key::Code(code)) => 1 + range_of(upper, code),
                            _ => 0,
                        };
                        cuts.get(range).map_or(0, |c| c.part(hash(i)))
                    })
                    .collect())
            }
            Parts::Groups { column, parts } => group_hashes(batch, column, self.draw)?
                .into_iter()
                .zip(ids.iter())
                .map(|(hash, id)| {
                    let at = parts.binary_search_by_key(&hash, |(h, _)| *h);
                    at.map(|at| parts[at].1).map_err(|_| changed(column, *id))
                })
                .collect(),
        }
    }
}

fn changed(column: &str, row: u64) -> DataError {
    DataError::Value {
        column: column.to_owned(),
        row,
        message:
            "the value was not there when the split was planned; the file changed since, run again"
                .to_owned(),
    }
}

/// Which rows stay.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Keep {
    Part(u32),
    Others(u32),
}

/// Name of the step in a recipe.
pub(super) const STEP: &str = "datasets/rows";

/// The step that keeps one side.
#[derive(Serialize, Deserialize)]
pub(super) struct PartRows {
    name: String,
    rule: Arc<Rule>,
    keep: Keep,
}

impl PartRows {
    pub(super) fn new(name: &str, rule: Arc<Rule>, keep: Keep) -> Self {
        Self {
            name: name.to_owned(),
            rule,
            keep,
        }
    }
}

impl RowOp for PartRows {
    fn name(&self) -> &str {
        &self.name
    }

    fn step(&self) -> Option<Result<Step>> {
        Some(Step::of(STEP, self))
    }

    fn output_schema(&self, input: &Schema) -> std::result::Result<Schema, SchemaErrors> {
        if let Some(column) = self.rule.column() {
            input.get(column)?;
        }
        Ok(input.clone())
    }

    fn inputs(&self, _: &Schema) -> Vec<String> {
        self.rule.column().into_iter().cloned().collect()
    }

    fn outputs(&self, _: &Schema) -> Vec<String> {
        Vec::new()
    }

    fn drops_rows(&self) -> bool {
        true
    }

    fn apply(&self, batch: Batch) -> Result<Batch> {
        let kept: Vec<bool> = self
            .rule
            .parts(&batch)?
            .into_iter()
            .map(|part| match self.keep {
                Keep::Part(wanted) => part == wanted,
                Keep::Others(unwanted) => part != unwanted,
            })
            .collect();
        batch.filter(&BooleanArray::from(kept))
    }
}

//! What policies let pass: how many rows a stage skipped or kept under `handle_invalid`, by column and reason.
//!
//! Counts are a question to the data and the fitted stages, asked in a pass of its own, and no by-product of reading: a chunk may be
//! read by several estimators, or by none that is resumed from its journal, and is counted once all the same. A pipeline without such a
//! policy asks nothing.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use emberline_datasets::batch::sparse_vectors;
use emberline_datasets::recipe::Step as Written;
use emberline_datasets::{
    Attribute, Batch, Column, DataError, Dataset, RowOp, Schema, SchemaErrors, Slot,
};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::engine::{Jobs, Partial, Round};
use crate::model_file;
use crate::run::Run;
use crate::stage::Transformer;

/// Why a value is none that the stage can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// There is none (a null, or NaN).
    Missing,
    /// It is infinite.
    Infinite,
    /// It is a category that training did not have.
    Unseen,
}

impl Reason {
    const ALL: [Self; 3] = [Self::Missing, Self::Infinite, Self::Unseen];
}

/// What becomes of a row with such a value, where it is not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is dropped.
    Skipped,
    /// It stays; the stage says what becomes of the value.
    Kept,
}

/// Rows that a stage skipped or kept though a value was none that it takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InvalidRows {
    /// Name of the stage.
    pub stage: String,
    /// What became of them.
    pub fate: Fate,
    /// Rows, each once in however many columns it has such a value. Rows that an earlier stage skipped are not among them.
    pub rows: u64,
    /// The same by column and reason, in the order of the stage's columns; a row counts under each that it meets. Without zeros.
    pub columns: Vec<InvalidValues>,
}

/// Rows with a value in this column that the stage cannot take for this reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InvalidValues {
    /// The column as the stage reads it.
    pub column: String,
    /// Why the value is none.
    pub reason: Reason,
    /// Rows, each once in however many slots of a vector.
    pub rows: u64,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "missing",
            Self::Infinite => "infinite",
            Self::Unseen => "unseen in training",
        })
    }
}

impl fmt::Display for InvalidRows {
    /// `string_indexer skipped 3 rows: town unseen in training 2, size missing 1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fate = match self.fate {
            Fate::Skipped => "skipped",
            Fate::Kept => "kept",
        };
        let noun = if self.rows == 1 { "row" } else { "rows" };
        write!(f, "{} {fate} {} {noun}", self.stage, self.rows)?;
        for (i, c) in self.columns.iter().enumerate() {
            let before = if i == 0 { ": " } else { ", " };
            write!(f, "{before}{} {} {}", c.column, c.reason, c.rows)?;
        }
        Ok(())
    }
}

/// What each of these fitted stages, in order, skips or keeps of the rows of `data`: for each stage a list, one entry for a stage with
/// a policy, several for a nested pipeline. One pass over the columns that these stages need; none without such a stage. Equal for any
/// number of partitions and threads.
///
/// # Errors
/// The columns do not fit, a stage refuses a value, reading fails, or the run was stopped.
pub fn invalid_rows(
    stages: &[Arc<dyn Transformer>],
    data: &Dataset,
    run: &Run,
) -> Result<Vec<Vec<InvalidRows>>> {
    let mut found = vec![Vec::new(); stages.len()];
    let (steps, policies) = Steps::of(stages, data.schema())?;
    if policies.is_empty() {
        return Ok(found);
    }
    let round = InvalidRound {
        slots: policies.iter().map(Policy::slots).sum(),
    };
    let noted = data.with_op(Arc::new(steps))?;
    let sums = run.scan(&noted, &[NOTES.to_owned()], &round)?;
    let counts = sums.map_or_else(|| vec![0; round.slots], |sums| sums.0);
    for policy in policies {
        let columns = policy.columns.iter().flat_map(|column| {
            Reason::ALL.map(|reason| InvalidValues {
                column: column.clone(),
                reason,
                rows: 0,
            })
        });
        let own = &counts[policy.first..policy.first + policy.slots()];
        let columns = columns.zip(&own[1..]).filter(|(_, rows)| **rows > 0);
        found[policy.top].push(InvalidRows {
            stage: policy.stage,
            fate: policy.fate,
            rows: own[0],
            columns: columns
                .map(|(c, rows)| InvalidValues { rows: *rows, ..c })
                .collect(),
        });
    }
    Ok(found)
}

/// The column in which rows are noted: a slot for each stage with a policy, and for each of its columns and reasons.
const NOTES: &str = "__invalid__";

/// A stage with a policy.
struct Policy {
    /// Which of the stages asked about it is, or is part of.
    top: usize,
    stage: String,
    fate: Fate,
    columns: Vec<String>,
    /// Its first slot, for rows; then one for each column and reason.
    first: usize,
}

impl Policy {
    fn slots(&self) -> usize {
        1 + Reason::ALL.len() * self.columns.len()
    }
}

/// One stage of the chain, and its first slot where it has a policy.
struct Step {
    stage: Arc<dyn Transformer>,
    first: Option<usize>,
}

/// Notes of each row which policies it meets; row-wise, and no row is lost.
struct Steps {
    steps: Vec<Step>,
    inputs: Vec<String>,
    slots: usize,
    output: Arc<Schema>,
}

/// Name of [`Steps`] among the steps of a dataset.
const STEPS: &str = "pipeline/invalid_rows";

/// Adds the pass and its step.
pub(crate) fn jobs(jobs: &mut Jobs) {
    jobs.round::<InvalidRound>();
    jobs.step_by(STEPS, |step, registry| {
        type Stages = Vec<(Vec<u8>, Option<usize>)>;
        let (stages, inputs, slots): (Stages, Vec<String>, usize) = step.read()?;
        let read = |(bytes, first): (Vec<u8>, Option<usize>)| {
            let stage = model_file::stage_from_bytes(&bytes, registry)
                .map_err(|e| DataError::format(STEPS, e))?;
            Ok(Step { stage, first })
        };
        let steps: std::result::Result<Vec<Step>, DataError> =
            stages.into_iter().map(read).collect();
        Ok(Arc::new(Steps {
            steps: steps?,
            inputs,
            slots,
            output: noted(slots)?,
        }))
    });
}

/// The schema of the notes.
fn noted(slots: usize) -> std::result::Result<Arc<Schema>, SchemaErrors> {
    let slots = (0..slots).map(|j| Slot {
        name: j.to_string(),
        column: NOTES.to_owned(),
        attribute: Attribute::Binary,
    });
    let column = Column::vector(NOTES, slots.collect()).sparse();
    Ok(Arc::new(Schema::new(vec![column])?))
}

/// The stages, those of nested pipelines in their place, each with the number of the outermost one it belongs to.
fn flat(stages: &[Arc<dyn Transformer>]) -> Vec<(usize, Arc<dyn Transformer>)> {
    let of = |(top, stage): (usize, &Arc<dyn Transformer>)| match stage.parts() {
        Some(parts) => flat(parts).into_iter().map(|(_, s)| (top, s)).collect(),
        None => vec![(top, stage.clone())],
    };
    stages.iter().enumerate().flat_map(of).collect()
}

impl Steps {
    fn of(
        stages: &[Arc<dyn Transformer>],
        input: &Schema,
    ) -> std::result::Result<(Self, Vec<Policy>), SchemaErrors> {
        let stages = flat(stages);
        let last = stages.iter().rposition(|(_, s)| s.invalid_fate().is_some());
        let stages = &stages[..last.map_or(0, |last| last + 1)];
        let (mut policies, mut slots) = (Vec::new(), 0);
        let mut schemas = vec![input.clone()];
        let mut firsts = Vec::with_capacity(stages.len());
        for (top, stage) in stages {
            let schema = &schemas[schemas.len() - 1];
            let policy = stage.invalid_fate().map(|fate| Policy {
                top: *top,
                stage: stage.name().to_owned(),
                fate,
                columns: stage.reads(schema),
                first: slots,
            });
            firsts.push(policy.as_ref().map(|p| p.first));
            slots += policy.as_ref().map_or(0, Policy::slots);
            policies.extend(policy);
            let next = stage.output_schema(schema)?;
            schemas.push(next);
        }
        // Backwards, as a dataset does: what serves no stage with a policy, and drops no row, is left out.
        let mut needed = BTreeSet::new();
        let mut steps = Vec::new();
        for (((_, stage), schema), first) in stages.iter().zip(&schemas).zip(firsts).rev() {
            let writes = stage.writes(schema);
            let serves = writes.iter().any(|w| needed.contains(w));
            if first.is_some() || serves || stage.drops_rows() {
                for name in &writes {
                    needed.remove(name);
                }
                needed.extend(stage.reads(schema));
                steps.push(Step {
                    stage: stage.clone(),
                    first,
                });
            }
        }
        steps.reverse();
        let steps = Self {
            steps,
            inputs: needed.into_iter().collect(),
            slots,
            output: noted(slots)?,
        };
        Ok((steps, policies))
    }
}

impl RowOp for Steps {
    fn name(&self) -> &str {
        "invalid rows"
    }

    fn output_schema(&self, _: &Schema) -> std::result::Result<Schema, SchemaErrors> {
        Ok((*self.output).clone())
    }

    fn inputs(&self, _: &Schema) -> Vec<String> {
        self.inputs.clone()
    }

    fn outputs(&self, _: &Schema) -> Vec<String> {
        vec![NOTES.to_owned()]
    }

    fn step(&self) -> Option<std::result::Result<Written, DataError>> {
        let stage = |step: &Step| {
            let bytes = model_file::stage_to_bytes(&*step.stage);
            let bytes = bytes.map_err(|e| DataError::format(step.stage.name(), e))?;
            Ok((bytes, step.first))
        };
        let stages: std::result::Result<Vec<_>, DataError> = self.steps.iter().map(stage).collect();
        Some(stages.and_then(|s| Written::of(STEPS, &(s, &self.inputs, self.slots))))
    }

    fn apply(&self, batch: Batch) -> std::result::Result<Batch, DataError> {
        let ids = batch.row_ids().clone();
        let mut notes: Vec<(usize, usize)> = Vec::new();
        let mut current = batch;
        // Which rows of the batch are left.
        let mut rows: Vec<usize> = (0..ids.len()).collect();
        for (i, step) in self.steps.iter().enumerate() {
            let within = |e: DataError| e.in_stage(step.stage.name());
            if let Some(first) = step.first {
                let mut note = |column: usize, reason: Reason, row: usize| {
                    let slot = 1 + Reason::ALL.len() * column + reason as usize;
                    notes.extend([(rows[row], first), (rows[row], first + slot)]);
                };
                step.stage
                    .find_invalid(&current, &mut note)
                    .map_err(within)?;
            }
            if i + 1 < self.steps.len() {
                current = step.stage.transform(current).map_err(within)?;
                let mut left = current.row_ids().iter().peekable();
                rows.retain(|&row| left.next_if_eq(&&ids[row]).is_some());
            }
        }
        notes.sort_unstable();
        notes.dedup();
        let mut offsets = vec![0; ids.len() + 1];
        notes.iter().for_each(|(row, _)| offsets[row + 1] += 1);
        (0..ids.len()).for_each(|row| offsets[row + 1] += offsets[row]);
        let slots: Vec<u32> = notes.iter().map(|(_, slot)| *slot as u32).collect();
        let ones = vec![1.0; slots.len()];
        Batch::new(
            self.output.clone(),
            vec![sparse_vectors(offsets, slots, ones)?],
            ids,
        )
    }
}

/// The pass that adds the notes up.
#[derive(Serialize, Deserialize)]
struct InvalidRound {
    slots: usize,
}

/// Rows noted in each slot.
#[derive(Serialize, Deserialize)]
struct Noted(Vec<u64>);

impl Partial for Noted {
    fn merge(&mut self, later: Self) {
        self.0.iter_mut().zip(later.0).for_each(|(a, b)| *a += b);
    }
}

impl Round for InvalidRound {
    const NAME: &'static str = "pipeline/invalid_rows";
    type Unit = Batch;
    type Partial = Noted;
    type Scratch = ();

    fn map(&self, batch: &Batch, (): &mut ()) -> std::result::Result<Noted, DataError> {
        let mut counts = vec![0; self.slots];
        let notes = batch.vector(NOTES)?;
        (0..notes.rows()).for_each(|i| notes.for_each_stored(i, |slot, _| counts[slot] += 1));
        Ok(Noted(counts))
    }
}

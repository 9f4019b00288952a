//! What a check found, as data and as a table.

use std::fmt::Display;

use emberline_datasets::{Attribute, Column, Dataset, Schema};
use serde::Serialize;

use super::memory::{MemoryPlan, plan};
use super::{Config, EvaluateOn};
use crate::config::ByteSize;
use crate::pipeline::Pipeline;

/// A config that fits its data: the schema after every stage, and what the run will take.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckReport {
    /// Name of the run.
    pub name: String,
    /// Where the rows come from.
    pub source: String,
    /// Rows of the source: exact, or estimated from file sizes; `None` where neither is known without reading.
    pub rows: Option<u64>,
    /// Whether `rows` is exact.
    pub rows_exact: bool,
    /// Where held-out rows come from, where they have a source of their own.
    pub test_source: Option<String>,
    /// Columns of the source, then after each stage.
    pub steps: Vec<StepReport>,
    /// What each learner takes.
    pub memory: Vec<MemoryPlan>,
    /// Bytes of all rows as they are kept for the stages, about; `None` where the number of rows is unknown.
    pub cached: Option<u64>,
    /// Bytes the process will take at most, about; `None` where only fitting or reading can tell.
    pub peak: Option<u64>,
    /// Bytes held before rows and blocks spill; `None`: no limit.
    pub memory_limit: Option<u64>,
    /// Which rows the model will be measured on.
    pub evaluate_on: EvaluateOn,
    /// Metrics the config names; empty: the usual ones.
    pub metrics: Vec<String>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// The columns after one step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepReport {
    /// `source`, or the stage's name.
    pub stage: String,
    /// All columns after it.
    pub columns: Vec<ColumnReport>,
    /// Names of those it added or changed.
    pub changed: Vec<String>,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnReport {
    /// Name.
    pub name: String,
    /// Type, in words.
    #[serde(rename = "type")]
    pub ty: String,
    /// `label`, `weight`, `id` or `group`.
    pub role: Option<&'static str>,
    /// Whether values may be missing.
    pub nullable: bool,
    /// Slots of a vector, where they are known.
    pub slots: Option<usize>,
    /// Columns of the source that a derived column was made from.
    pub from: Vec<String>,
    /// Number of categories, where they are known.
    pub categories: Option<usize>,
}

pub(super) fn of(
    config: &Config,
    pipeline: &Pipeline,
    data: &Dataset,
    test: Option<&Dataset>,
    schemas: &[Schema],
) -> CheckReport {
    let source = data.source();
    let exact = source.known_rows();
    let rows = exact.or_else(|| source.estimated_rows());
    let names = std::iter::once("source").chain(config.stages.iter().map(|s| s.stage.as_str()));
    let before = std::iter::once(None).chain(schemas.iter().map(Some));
    let steps = names
        .zip(schemas)
        .zip(before)
        .map(|((name, schema), before)| step(name, schema, before))
        .collect();
    let plan = plan(config, pipeline, schemas, rows);
    let mut warnings: Vec<String> = config
        .evaluation_note()
        .map(str::to_owned)
        .into_iter()
        .collect();
    warnings.extend(plan.learners.iter().filter(|m| m.spills).map(|m| {
        format!("the training blocks of `{}` are larger than `data.memory_limit`: they spill to disk and are read again each round", m.stage)
    }));
    CheckReport {
        name: config.name.clone(),
        source: source.origin().to_owned(),
        rows,
        rows_exact: exact.is_some(),
        test_source: test.map(|t| t.source().origin().to_owned()),
        steps,
        memory: plan.learners,
        cached: plan.cached,
        peak: plan.peak,
        memory_limit: config.memory_limit.map(|l| l.0),
        evaluate_on: config.evaluate_on(),
        metrics: config.evaluate.metrics.clone(),
        warnings,
    }
}

fn step(name: &str, schema: &Schema, before: Option<&Schema>) -> StepReport {
    let old = |c: &Column| before.and_then(|b| b.get(&c.name).ok());
    let changed = schema.columns().iter().filter(|c| old(c) != Some(*c));
    StepReport {
        stage: name.to_owned(),
        changed: changed.map(|c| c.name.clone()).collect(),
        columns: schema.columns().iter().map(|c| column(c, schema)).collect(),
    }
}

fn column(column: &Column, schema: &Schema) -> ColumnReport {
    let mut from: Vec<String> = column.origin.clone().into_iter().collect();
    for slot in column.slots.iter() {
        if !from.contains(&slot.column) {
            from.push(slot.column.clone());
        }
    }
    let categories = match &column.attribute {
        Attribute::Nominal { categories } => Some(categories.len()).filter(|n| *n > 0),
        _ => None,
    };
    ColumnReport {
        name: column.name.clone(),
        ty: column.ty.to_string(),
        role: schema.roles().of(&column.name),
        nullable: column.nullable,
        slots: (!column.slots.is_empty()).then_some(column.slots.len()),
        from,
        categories,
    }
}

/// Names shown in one cell at most.
const SHOWN: usize = 6;
/// Columns shown of one step at most; those with a role are shown beyond it.
const SHOWN_COLUMNS: usize = 40;

impl Display for CheckReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rows = match self.rows {
            Some(n) if self.rows_exact => format!("{n} rows"),
            Some(n) => format!("about {n} rows"),
            None => "an unknown number of rows".to_owned(),
        };
        writeln!(f, "{}: {}, {rows}", self.name, self.source)?;
        for (i, step) in self.steps.iter().enumerate() {
            writeln!(f)?;
            if i == 0 {
                writeln!(f, "source: {} columns", step.columns.len())?;
            } else {
                writeln!(f, "{i}. {}", step.stage)?;
            }
            write_columns(f, step)?;
        }
        self.write_memory(f)?;
        writeln!(f)?;
        let metrics = if self.metrics.is_empty() {
            "the usual metrics".to_owned()
        } else {
            self.metrics.join(", ")
        };
        match self.evaluate_on {
            EvaluateOn::HeldOut => writeln!(f, "evaluation: {metrics} on held-out rows")?,
            EvaluateOn::TestSource => {
                let source = self.test_source.as_deref().unwrap_or("the test source");
                writeln!(f, "evaluation: {metrics} on {source}")?;
            }
            EvaluateOn::TrainingRows => writeln!(f, "evaluation: {metrics} on the training rows")?,
            EvaluateOn::Nothing => writeln!(f, "evaluation: none")?,
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        Ok(())
    }
}

impl CheckReport {
    fn write_memory(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.memory.is_empty() {
            return Ok(());
        }
        let limit = match self.memory_limit {
            Some(limit) => format!("limit {}", ByteSize(limit)),
            None => "no limit".to_owned(),
        };
        writeln!(f, "\nmemory ({limit})")?;
        let known = |n: Option<u64>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
        let table = self.memory.iter().map(|m| {
            let size = |bytes: Option<u64>| {
                bytes.map_or_else(
                    || "known once fitted".to_owned(),
                    |b| ByteSize(b).to_string(),
                )
            };
            let shape = format!(
                "{} rows x {} numbers of {} bytes",
                known(m.rows),
                known(m.width.map(|w| w as u64)),
                m.element_bytes
            );
            let spills = if m.spills { "spills" } else { "" };
            let working = match m.working {
                Some(0) => String::new(),
                working => format!("+ {} for the fit", size(working)),
            };
            let blocks = size(m.bytes);
            [m.stage.clone(), shape, blocks, working, spills.to_owned()]
        });
        write_table(f, &table.collect::<Vec<_>>())?;
        if let Some(cached) = self.cached {
            writeln!(f, "   rows kept for the stages: {}", ByteSize(cached))?;
        }
        match self.peak {
            Some(peak) => writeln!(f, "   peak: about {}", ByteSize(peak)),
            None => writeln!(f, "   peak: known once fitted"),
        }
    }
}

/// All columns of the source; of a stage, those it changed.
fn write_columns(f: &mut std::fmt::Formatter<'_>, step: &StepReport) -> std::fmt::Result {
    let changed: Vec<&ColumnReport> = step
        .columns
        .iter()
        .filter(|c| step.changed.contains(&c.name))
        .collect();
    let shown = |i: usize, c: &ColumnReport| i < SHOWN_COLUMNS || c.role.is_some();
    let left_out = changed
        .iter()
        .enumerate()
        .filter(|(i, c)| !shown(*i, c))
        .count();
    let shown = changed
        .iter()
        .enumerate()
        .filter(|(i, c)| shown(*i, c))
        .map(|(_, c)| *c);
    let rows = shown.map(|c| {
        let mut notes: Vec<String> = c.role.map(str::to_owned).into_iter().collect();
        notes.extend(c.categories.map(|n| format!("{n} categories")));
        if c.nullable {
            notes.push("may be missing".to_owned());
        }
        let mut from = c
            .from
            .iter()
            .take(SHOWN)
            .cloned()
            .collect::<Vec<_>>()
            .join(", ");
        if c.from.len() > SHOWN {
            from += &format!(" and {} more", c.from.len() - SHOWN);
        }
        if !from.is_empty() {
            from = format!("from {from}");
        }
        [c.name.clone(), c.ty.clone(), notes.join(", "), from]
    });
    write_table(f, &rows.collect::<Vec<_>>())?;
    if left_out > 0 {
        writeln!(f, "   and {left_out} more columns")?;
    }
    Ok(())
}

/// Cells in columns as wide as their widest one.
fn write_table<const N: usize>(
    f: &mut std::fmt::Formatter<'_>,
    rows: &[[String; N]],
) -> std::fmt::Result {
    let width = |j: usize| rows.iter().map(|r| r[j].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        writeln!(f, "   {}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

//! Properties 31 and 32: texts stay what they are, and strangers are told.

use super::values::{distinct, trained_and_scored};
use super::{Held, Tried, Verdict, ensure, missing, refused};
use crate::conformance::scored::score;
use crate::conformance::subject::Subject;
use crate::conformance::table::Cells;
use crate::datasets::ColumnType;
use crate::pipeline::invalid::Reason;
use crate::pipeline::row::Cell;
use crate::prelude::*;

/// Texts that differ in ways that are easily lost.
fn hostile_texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        " ",
        "a",
        " a",
        "a ",
        "A",
        "e\u{301}",
        "é",
        "🦀",
        "a\0b",
        "a\nb",
        "\"",
        "null",
        "NaN",
        "0",
        "__unknown__x",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push("m".repeat(1 << 20));
    texts.push(format!("{}n", "m".repeat((1 << 20) - 1)));
    texts
}

/// Texts that differ in a blank, in case, in composition or in their last byte stay apart, survive the model file, and are scored the
/// same by what was loaded.
pub fn text_hygiene(s: &Subject<'_>) -> Verdict {
    let texts = s.reads_of(|c| c.ty == ColumnType::Text)?;
    let label = s.label().filter(|l| {
        s.table()
            .columns
            .iter()
            .any(|(c, _)| c.name == *l && c.ty == ColumnType::Text)
    });
    let Some(name) = texts.first().map(String::as_str).or(label) else {
        return Ok(Held::NotAsked("it reads no text"));
    };
    let hostile = hostile_texts();
    let n = hostile.len();
    let table = s
        .table()
        .pick(&(0..6 * n).collect::<Vec<_>>())
        .with(name, |_, cells| {
            *cells = Cells::Texts((0..6 * n).map(|i| Some(hostile[i % n].clone())).collect());
        })?;
    let (fit, scored) = trained_and_scored(s, &table).tried("hostile texts")?;
    let bytes = fit.file().to_bytes().tried("save")?;
    let loaded = ModelFile::from_bytes(&bytes, "m.ember", s.registry).tried("load")?;
    let again = score(&loaded.model, &table).tried("score")?;
    scored.agrees(&again, 0.0).tried("reloaded")?;
    ensure!(
        loaded.to_bytes().tried("save")? == bytes,
        "saved again it is other bytes"
    );
    if texts.is_empty() {
        let out = fit
            .model
            .output_schema(&table.schema().tried("schema")?)
            .tried("schema")?;
        let slots = out.columns().iter().rev().find(|c| c.slots.len() == n);
        let slots = slots.ok_or(format!("no column has a slot for each of the {n} labels"))?;
        for text in &hostile {
            ensure!(
                slots.slots.iter().any(|s| s.name == *text),
                "the label {:?} is lost",
                brief(text)
            );
        }
    } else {
        let apart = distinct(&scored);
        ensure!(apart == n, "{n} texts become {apart} values");
    }
    Ok(Held::Yes)
}

fn brief(text: &str) -> String {
    text.chars().take(20).collect()
}

/// A value that training did not have is refused with its column and row, drops the row, or gets the one place kept for strangers, as
/// `handle_invalid` says; and such rows are counted.
pub fn unseen(s: &Subject<'_>) -> Verdict {
    if !s.traits.learns_categories {
        return Ok(Held::NotAsked("it learns no categories"));
    }
    let reads = s.reads()?;
    let table = s.table();
    let name = reads.last().ok_or("it reads nothing")?.clone();
    let i = table.position(&name)?;
    let strange = |at: &[usize]| {
        table.clone().with(&name, |_, cells| match cells {
            Cells::Texts(v) => at
                .iter()
                .for_each(|&k| v[k] = Some(format!("stranger {k}"))),
            Cells::Numbers(v) => at.iter().for_each(|&k| v[k] = Some(1_000.0 + k as f64)),
            _ => {}
        })
    };
    ensure!(
        matches!(table.columns[i].1, Cells::Texts(_) | Cells::Numbers(_)),
        "column `{name}` has no categories"
    );
    let policies = missing::policies(s);
    ensure!(
        policies.iter().any(|p| p == "error"),
        "it learns categories and has no `handle_invalid`"
    );
    for policy in policies {
        let params = s.example_with([("handle_invalid", toml::Value::String(policy.clone()))]);
        let data = table.dataset().tried("table")?;
        let fit = s
            .fit_with(&params, &data, &Run::local(1, 1))
            .tried(&policy)?;
        let plain = score(&fit.model, &table).tried(&policy)?;
        let found = score(&fit.model, &strange(&[5, 9])?);
        missing::counted(
            &fit,
            &policy,
            &strange(&[5, 9])?,
            &name,
            (Reason::Unseen, 2),
        )
        .tried(&policy)?;
        match policy.as_str() {
            "error" => drop(refused(found, 3, &[&name, "row 5"], "an unseen value")?),
            "skip" => {
                let left: Vec<u64> = plain
                    .ids
                    .iter()
                    .copied()
                    .filter(|i| *i != 5 && *i != 9)
                    .collect();
                plain
                    .rows(&left)
                    .agrees(&found.tried(&policy)?, 0.0)
                    .tried("skip")?;
            }
            _ => {
                let found = found.tried(&policy)?;
                ensure!(found.ids == plain.ids, "{policy}: rows are lost");
                // Both strangers share a place in some column, one that no known value has (in one-hot form: no slot at all).
                let shared = found.columns.iter().filter(|(name, c)| {
                    let known = plain.columns[*name].contains(&c[5]) && !is_zero(&c[5]);
                    c[5] == c[9] && !known
                });
                ensure!(
                    shared.count() > 0,
                    "{policy}: strangers have no place of their own"
                );
                let again = score(&fit.model, &strange(&[5, 9, 11])?).tried(&policy)?;
                for (column, cells) in &again.columns {
                    ensure!(
                        cells[5] == found.columns[column][5],
                        "{policy}: the place of strangers moves with their number"
                    );
                }
            }
        }
    }
    Ok(Held::Yes)
}

fn is_zero(cell: &Cell) -> bool {
    matches!(cell, Cell::Vector(v) if v.iter().all(|v| *v == 0.0))
}

//! Property 28: what a missing, an undefined and an infinite number do, and that the rows a policy lets pass are counted.

use super::values::sound;
use super::{Held, Tried, Verdict, ensure, refused};
use crate::conformance::properties::ranges::choices;
use crate::conformance::scored::score;
use crate::conformance::subject::{Fit, Subject};
use crate::conformance::table::{Cells, Table};
use crate::datasets::{Column, ColumnType};
use crate::pipeline::invalid::{Fate, InvalidRows, InvalidValues, Reason, invalid_rows};
use crate::prelude::*;

/// The row that is spoiled, and the slot of vectors.
const ROW: usize = 30;
const SLOT: usize = 1;

/// The values of `handle_invalid`; none where the stage has no such parameter.
pub fn policies(s: &Subject<'_>) -> Vec<String> {
    let about = s.parameters().remove("handle_invalid");
    about.map_or_else(Vec::new, |about| choices(&about, &(s.entry.schema)()))
}

/// The table with one value missing (`None`), or another one, in a column.
fn spoil(table: &Table, name: &str, value: Option<f64>) -> std::result::Result<Table, String> {
    table.clone().with(name, |column, cells| {
        column.nullable = true;
        match cells {
            Cells::Numbers(v) => v[ROW] = value,
            Cells::Texts(v) => v[ROW] = None,
            Cells::Vectors(v) => v[ROW][SLOT] = value.unwrap_or(f64::NAN),
            Cells::Integers(v) => v[ROW] = None,
        }
    })
}

/// A missing value is refused with column and row, drops its row as if it had never been, or is kept, as `handle_invalid` says; without
/// that parameter as `accepts_nan` says. NaN is a missing value. An infinite one is refused in the same way unless `accepts_inf`, and falls
/// under the policy or is refused all the same. What a policy skips or keeps is counted, by column and reason: no row more, none fewer.
pub fn policy(s: &Subject<'_>) -> Verdict {
    let reads = s.reads()?;
    ensure!(!reads.is_empty(), "it reads nothing");
    let policies = policies(s);
    for name in &reads {
        let table = s.table();
        let ty = &table.columns[table.position(name)?].0.ty;
        let mut missing = vec![("null", None)];
        if *ty == ColumnType::Float {
            missing.push(("NaN", Some(f64::NAN)));
        }
        for (word, value) in missing {
            let spoilt = spoil(&table, name, value)?;
            let what = format!("{word} in `{name}`");
            if policies.is_empty() {
                taken_or_refused(s, &spoilt, name, s.traits.accepts_nan, "accepts_nan", &what)?;
            }
            for policy in &policies {
                under(s, policy, &table, &spoilt, name).tried(format!("{what}, {policy}"))?;
            }
        }
        if *ty == ColumnType::Float || ty.is_vector() {
            for v in [f64::INFINITY, f64::NEG_INFINITY] {
                let spoilt = spoil(&table, name, Some(v))?;
                let what = format!("{v} in `{name}`");
                taken_or_refused(s, &spoilt, name, s.traits.accepts_inf, "accepts_inf", &what)?;
                for policy in &policies {
                    infinite(s, policy, &table, &spoilt, name)
                        .tried(format!("{what}, {policy}"))?;
                }
            }
        }
    }
    Ok(Held::Yes)
}

/// Asks a fitted stage how many rows of a table its policy lets pass: they must be `rows` rows, all for `reason` in the column `name`,
/// however the table is cut; and nothing may be said where there is no policy.
pub fn counted(
    fit: &Fit,
    policy: &str,
    table: &Table,
    name: &str,
    (reason, rows): (Reason, u64),
) -> std::result::Result<(), String> {
    let wanted = expected(fit, policy, name, (reason, rows));
    for (partitions, threads) in [(1, 1), (7, 2)] {
        let data = table.dataset().tried("table")?.repartition(partitions);
        let found = invalid_rows(fit.model.stages(), &data, &Run::local(1, threads));
        told(&found.tried("counts")?.concat(), &wanted)?;
    }
    Ok(())
}

fn told(found: &[InvalidRows], wanted: &[InvalidRows]) -> std::result::Result<(), String> {
    let text = |list: &[InvalidRows]| {
        let lines: Vec<String> = list.iter().map(ToString::to_string).collect();
        lines.join("; ")
    };
    ensure!(
        found == wanted,
        "it tells of \"{}\", not of \"{}\"",
        text(found),
        text(wanted)
    );
    Ok(())
}

fn expected(
    fit: &Fit,
    policy: &str,
    name: &str,
    (reason, rows): (Reason, u64),
) -> Vec<InvalidRows> {
    let fate = match policy {
        "error" => return Vec::new(),
        "skip" => Fate::Skipped,
        _ => Fate::Kept,
    };
    let column = name.to_owned();
    let column = InvalidValues {
        column,
        reason,
        rows,
    };
    let met = InvalidRows {
        stage: fit.stage().name().to_owned(),
        fate,
        rows,
        columns: Some(column).filter(|_| rows > 0).into_iter().collect(),
    };
    vec![met]
}

/// An infinite value under a policy: taken as a number (`accepts_inf`), refused, or let pass and counted.
fn infinite(
    s: &Subject<'_>,
    policy: &str,
    table: &Table,
    spoilt: &Table,
    name: &str,
) -> std::result::Result<(), String> {
    let params = s.example_with([("handle_invalid", toml::Value::String(policy.to_owned()))]);
    let fit = s
        .fit_with(&params, &table.dataset().tried("table")?, &Run::local(1, 1))
        .tried("fit")?;
    let scored = match score(&fit.model, spoilt) {
        Err(error) => {
            ensure!(!s.traits.accepts_inf, "{error}");
            return refused(
                Err::<(), _>(error),
                3,
                &both(&words(spoilt, name)),
                "at scoring",
            )
            .map(drop);
        }
        Ok(scored) => scored,
    };
    let rows = u64::from(!s.traits.accepts_inf);
    let lost = (spoilt.rows() - scored.ids.len()) as u64;
    let skipped = if policy == "skip" { rows } else { 0 };
    ensure!(lost == skipped, "{lost} rows are lost");
    counted(&fit, policy, spoilt, name, (Reason::Infinite, rows))
}

/// Fits and applies the stage with rows it must take, or must refuse by column and row.
fn taken_or_refused(
    s: &Subject<'_>,
    spoilt: &Table,
    name: &str,
    accepted: bool,
    declaration: &str,
    what: &str,
) -> std::result::Result<(), String> {
    let at_scoring = score(&s.fitted()?.model, spoilt);
    if accepted {
        let declared = format!("{what}, though `{declaration}` is declared");
        let scored = at_scoring.tried(&declared)?;
        match s.fit_on(spoilt) {
            Ok(_) => {}
            Err(error) if declaration == "accepts_inf" => {
                refused(Err::<(), _>(error), 3, &both(&words(spoilt, name)), what)?;
            }
            Err(error) => return Err(format!("{declared}: {error}")),
        }
        let others: Vec<u64> = scored
            .ids
            .iter()
            .copied()
            .filter(|i| *i != ROW as u64)
            .collect();
        if let Some(bad) = scored.rows(&others).not_finite() {
            return Err(format!("{what}: other rows suffer: {bad}"));
        }
        return Ok(());
    }
    let refuses = format!("{what}, though `{declaration}` is not declared");
    refused(
        at_scoring,
        3,
        &both(&words(spoilt, name)),
        &format!("{refuses}, at scoring"),
    )?;
    // Training may pass over it, as long as the model is sound.
    match s.fit_on(spoilt) {
        Err(error) => drop(refused(
            Err::<(), _>(error),
            3,
            &both(&words(spoilt, name)),
            &refuses,
        )?),
        Ok(_) => drop(sound(s, spoilt, what)?),
    }
    Ok(())
}

/// What a refusal must name: the column, or the slot of a vector, which may be a column of its own by another name; and the row.
fn words(table: &Table, name: &str) -> [String; 2] {
    let is_vector = |(c, _): &&(Column, Cells)| c.name == name && c.ty.is_vector();
    let vector = table.columns.iter().find(is_vector);
    let place = vector.map_or(name.to_owned(), |_| format!("{name}|x{SLOT}"));
    [place, format!("row {ROW}")]
}

fn both(words: &[String; 2]) -> [&str; 2] {
    words.each_ref().map(String::as_str)
}

/// One policy of `handle_invalid`.
fn under(
    s: &Subject<'_>,
    policy: &str,
    table: &Table,
    spoilt: &Table,
    name: &str,
) -> std::result::Result<(), String> {
    let params = s.example_with([("handle_invalid", toml::Value::String(policy.to_owned()))]);
    let run = Run::local(1, 1);
    let fit = s
        .fit_with(&params, &table.dataset().tried("table")?, &run)
        .tried("fit")?;
    let found = score(&fit.model, spoilt);
    let trained = s.fit_with(&params, &spoilt.dataset().tried("table")?, &run);
    let others: Vec<usize> = (0..table.rows()).filter(|i| *i != ROW).collect();
    let (none, one) = ((Reason::Missing, 0), (Reason::Missing, 1));
    told(&fit.invalid, &expected(&fit, policy, name, none)).tried("in training without it")?;
    counted(&fit, policy, table, name, none).tried("without it")?;
    counted(&fit, policy, spoilt, name, one).tried("at scoring")?;
    if let Ok(trained) = &trained {
        told(&trained.invalid, &expected(trained, policy, name, one)).tried("in training")?;
    }
    match policy {
        "error" => {
            refused(found, 3, &both(&words(table, name)), "at scoring")?;
            if let Err(error) = trained {
                refused(
                    Err::<(), _>(error),
                    3,
                    &both(&words(table, name))[..1],
                    "in training",
                )?;
            }
        }
        "skip" => {
            let beforehand = score(&fit.model, &table.pick(&others)).tried("without the row")?;
            beforehand
                .agrees(&found.tried("at scoring")?, 0.0)
                .tried("dropped beforehand")?;
            let scored = score(&trained.tried("in training")?.model, spoilt)
                .tried("trained with the row")?;
            ensure!(
                scored.ids == beforehand.ids,
                "trained with the row, it keeps it"
            );
        }
        _ => {
            let found = found.tried("at scoring")?;
            ensure!(found.ids == table.ids, "rows are lost");
            let ids: Vec<u64> = others.iter().map(|i| *i as u64).collect();
            let plain = score(&fit.model, table).tried("score")?;
            plain
                .rows(&ids)
                .agrees(&found.rows(&ids), 0.0)
                .tried("other rows")?;
            trained.tried("in training")?;
        }
    }
    Ok(())
}

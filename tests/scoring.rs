//! Scoring finds columns by name, and fitting sees training rows alone.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod common;
#[path = "scoring/sentinel.rs"]
mod sentinel;

use common::dice::{Dice, amount};
use emberline::conformance::{Cells, Table};
use emberline::datasets::{Column, ColumnType, Slot};
use emberline::pipeline::predict;
use emberline::prelude::*;

fn labelled(rows: usize, seed: u64, kind: Kind) -> Table {
    let mut table = Table::standard(rows, seed);
    table.roles.label = match kind {
        Kind::Classifier => Some("class".to_owned()),
        Kind::Regressor => Some("y".to_owned()),
        _ => None,
    };
    table
}

/// The columns that the model writes for a table, as text; or the error.
fn scored(model: &PipelineModel, table: &Table) -> Result<Vec<String>> {
    let data = table.dataset()?;
    let names = model.writes(model.input_schema());
    let output = predict(model, &data, Some(&names))?;
    let mut rows = Vec::new();
    for batch in output.batches(None)? {
        // Printed so that equal text is equal bits: the shortest digits that read back as the same number.
        rows.extend(
            batch?
                .with_plain_text()?
                .columns()
                .iter()
                .map(|c| format!("{c:?}")),
        );
    }
    Ok(rows)
}

/// One change of the columns that a table has at scoring time.
fn change(table: &mut Table, dice: &mut Dice) {
    let n = table.columns.len();
    if n < 2 {
        return;
    }
    let (i, j) = (dice.below(n), dice.below(n));
    match dice.below(9) {
        0 => {
            // Another order of all columns.
            for k in (1..n).rev() {
                table.columns.swap(k, dice.below(k + 1));
            }
        }
        1 => table.columns[i].0.name = format!("renamed {}", dice.bits()),
        2 if i != j => {
            // Two columns under each other's name: what a reader by position would not notice.
            let name = table.columns[i].0.name.clone();
            table.columns[i].0.name = std::mem::replace(&mut table.columns[j].0.name, name);
        }
        3 => drop(table.columns.remove(i)),
        4 => {
            let name = format!("surplus {}", dice.bits());
            let rows = table.rows();
            let cells = Cells::Numbers((0..rows).map(|r| Some(r as f64)).collect());
            table
                .columns
                .insert(i, (Column::new(name, ColumnType::Float, true), cells));
        }
        5 => retype(&mut table.columns[i], dice),
        6 => {
            // A surplus column under a name that some stages write.
            let name = ["prediction", "x0_binary", "pca_features", "probability"][dice.below(4)];
            if table.position(name).is_err() {
                let cells = Cells::Texts(vec![Some("mine".to_owned()); table.rows()]);
                table
                    .columns
                    .push((Column::new(name, ColumnType::Text, true), cells));
            }
        }
        7 => {
            let (column, cells) = &mut table.columns[i];
            if let Cells::Vectors(rows) = cells {
                let width = column.slots.len();
                let (a, b) = (dice.below(width), dice.below(width));
                let mut slots: Vec<Slot> = column.slots.to_vec();
                slots.swap(a, b);
                rows.iter_mut().for_each(|r| r.swap(a, b));
                *column = Column::vector(column.name.clone(), slots);
            }
        }
        _ => {
            let (column, cells) = &mut table.columns[i];
            if let Cells::Vectors(rows) = cells {
                let slots = column
                    .slots
                    .iter()
                    .cloned()
                    .chain([Slot::numeric("surplus")]);
                rows.iter_mut().for_each(|r| r.push(1.0));
                *column = Column::vector(column.name.clone(), slots.collect());
            }
        }
    }
}

/// The same values under another type, as far as it can hold them.
fn retype((column, cells): &mut (Column, Cells), dice: &mut Dice) {
    let Cells::Numbers(numbers) = &*cells else {
        return;
    };
    let whole = numbers.iter().flatten().all(|v| v.fract() == 0.0);
    match dice.below(3) {
        0 => {
            let text = |v: &Option<f64>| v.map(|v| v.to_string());
            *cells = Cells::Texts(numbers.iter().map(text).collect());
            column.ty = ColumnType::Text;
        }
        1 if whole => column.ty = ColumnType::Integer,
        _ => column.ty = ColumnType::Float,
    }
    column.attribute = emberline::datasets::Attribute::Numeric;
}

/// The table as it means to a reader that goes by names: the columns of training with the values under their names. `None` where a column
/// that the model reads is not there, is of a type that cannot serve, or is a vector of other slots.
fn by_name(trained: &Table, given: &Table, reads: &[String]) -> Option<Table> {
    let mut meant = trained.clone();
    for (column, cells) in &mut meant.columns {
        let found = given.columns.iter().find(|(c, _)| c.name == column.name);
        if !reads.contains(&column.name) {
            continue;
        }
        let (have, values) = found?;
        let serves = match (&have.ty, &column.ty) {
            (a, b) if a == b => have.slots == column.slots,
            (a, b) => a.is_numeric() && b.is_numeric() && holds(b, values),
        };
        if !serves {
            return None;
        }
        *cells = values.clone();
    }
    Some(meant)
}

/// Whether a numeric type holds every one of these numbers.
fn holds(ty: &ColumnType, cells: &Cells) -> bool {
    let Cells::Numbers(numbers) = cells else {
        return false;
    };
    numbers.iter().flatten().all(|v| match ty {
        ColumnType::Integer => v.fract() == 0.0,
        ColumnType::Boolean => *v == 0.0 || *v == 1.0,
        _ => true,
    })
}

#[test]
fn columns_that_come_otherwise_than_in_training_are_found_by_name_or_refused() {
    let cases = amount("EMBERLINE_SHUFFLES", 10_000);
    let registry = emberline::registry();
    let models: Vec<(&str, PipelineModel, Table)> = registry
        .entries()
        .map(|entry| {
            let params: toml::Table = entry.traits.example.parse().unwrap();
            let stage = entry.build(&params, &registry).unwrap();
            let train = labelled(160, 1, entry.kind).dataset().unwrap();
            let model = Pipeline::new(vec![stage])
                .fit(&train, &Run::local(1, 1))
                .unwrap()
                .model;
            (entry.name, model, labelled(20, 2, entry.kind))
        })
        .collect();
    let (mut equal, mut refused) = (0, 0);
    for seed in 0..cases {
        let mut dice = Dice(seed as u64);
        let (name, model, table) = &models[seed % models.len()];
        let reads = model.required_columns();
        let mut given = table.clone();
        given.roles = Default::default(); // rows to be scored have no label
        for _ in 0..=dice.below(3) {
            change(&mut given, &mut dice);
        }
        let found = scored(model, &given);
        let meant = by_name(table, &given, &reads);
        match (found, meant) {
            (Ok(found), Some(meant)) => {
                let expected = scored(model, &meant);
                let expected = expected
                    .unwrap_or_else(|e| panic!("seed {seed}, {name}: accepted, but by name: {e}"));
                assert!(found == expected, "seed {seed}, {name}: a silent shift");
                equal += 1;
            }
            (Err(error), meant) => {
                assert!(
                    matches!(error.exit_code(), 2 | 3),
                    "seed {seed}, {name}: {error}"
                );
                // What goes by names alone is never refused: order, surplus columns, columns the model does not read.
                if let Some(meant) = meant {
                    let by_name = scored(model, &meant).map(drop);
                    let told = by_name.err().map(|e| e.to_string());
                    assert!(
                        told.is_some(),
                        "seed {seed}, {name}: refused without need: {error}"
                    );
                }
                refused += 1;
            }
            (Ok(_), None) => {
                // Slots come by position where nothing was learnt of them, and keep their names for who comes next.
                assert!(
                    !learns(&registry, name),
                    "seed {seed}, {name}: accepted without a column that it reads"
                );
                equal += 1;
            }
        }
    }
    println!(
        "R-14: {cases}/{cases} changes of columns at scoring time without a silent shift: {equal} equal, {refused} refused"
    );
    // Both ways must be walked often for the test to tell something.
    assert!(
        equal > cases / 5 && refused > cases / 10,
        "{equal} equal, {refused} refused"
    );
}

fn learns(registry: &Registry, name: &str) -> bool {
    let entry = registry.get(name).unwrap();
    let params: toml::Table = entry.traits.example.parse().unwrap();
    matches!(
        entry.build(&params, registry).unwrap(),
        AnyStage::Estimator(_)
    )
}

//! Data contract, what the values tell: 27 and 29 to 33; 28 is in `missing`.

use super::{Held, Property, Tried, Verdict, categories, ensure, missing, refused};
use crate::conformance::scored::{Scored, score};
use crate::conformance::subject::{Fit, Subject};
use crate::conformance::table::{Cells, Table};
use crate::datasets::{Column, ColumnType, Element, Layout};
use crate::pipeline::predict;
use crate::pipeline::row::Cell;
use crate::prelude::*;

pub const PROPERTIES: &[Property] = &[
    Property::new(27, "one row, one column, one distinct row", smallest),
    Property::new(28, "NaN, infinity, null", missing::policy),
    Property::new(29, "types of numbers", types),
    Property::new(30, "sparse equals dense", sparse),
    Property::new(31, "hygiene of text", categories::text_hygiene),
    Property::new(32, "unseen category", categories::unseen),
    Property::new(33, "extremes", extremes),
];

/// A fit that gives a sound model with finite results, or refuses the data; nothing in between.
pub fn sound(
    s: &Subject<'_>,
    table: &Table,
    what: &str,
) -> std::result::Result<Option<Fit>, String> {
    let fit = match s.fit_on(table) {
        Ok(fit) => fit,
        Err(error) => {
            ensure!(
                matches!(error.exit_code(), 2 | 3),
                "{what}: exit code {}: {error}",
                error.exit_code()
            );
            return Ok(None);
        }
    };
    let bytes = fit.bytes()?;
    // Loading refuses every number that is not finite.
    ModelFile::from_bytes(&bytes, "m.ember", s.registry)
        .tried(format!("{what}: the model does not load"))?;
    match score(&fit.model, table) {
        Ok(scored) => {
            if let Some(bad) = scored.not_finite() {
                return Err(format!("{what}: {bad} is not finite"));
            }
        }
        Err(error) => ensure!(
            error.exit_code() == 3,
            "{what}: exit code {}: {error}",
            error.exit_code()
        ),
    }
    Ok(Some(fit))
}

/// One row, one slot, one distinct row: a documented result or a refusal, never a panic, never a NaN.
fn smallest(s: &Subject<'_>) -> Verdict {
    let table = s.table();
    sound(s, &table.pick(&[0]), "one row")?;
    sound(s, &table.pick(&[0, 1]), "two rows")?;
    sound(s, &table.pick(&vec![3; 40]), "one distinct row")?;
    let narrow = table.with("features", |column, cells| {
        *column = Column::vector("features", column.slots[..1].to_vec());
        if let Cells::Vectors(rows) = cells {
            rows.iter_mut().for_each(|r| r.truncate(1));
        }
    })?;
    sound(s, &narrow, "one slot")?;
    Ok(Held::Yes)
}

/// Integers, booleans and `f32` give what the same numbers as `f64` give; integers that `f64` does not hold are refused, or exact.
fn types(s: &Subject<'_>) -> Verdict {
    let floats = s.reads_of(|c| c.ty == ColumnType::Float)?;
    let numbers = s.reads_of(|c| c.ty.is_numeric())?;
    let vectors = s.reads_of(|c| c.ty.is_vector())?;
    if numbers.is_empty() && vectors.is_empty() {
        return Ok(Held::NotAsked("it reads no numbers"));
    }
    let whole = s.table().map_numbers(&floats, |_, v| v.round() + 0.0); // integers know no -0
    let expected = trained_and_scored(s, &whole).tried("whole numbers as floats")?;
    for name in &floats {
        let table = whole
            .clone()
            .with(name, |c, _| c.ty = ColumnType::Integer)?;
        let what = format!("`{name}` as integers");
        let got = trained_and_scored(s, &table).tried(&what)?;
        expected.1.agrees(&got.1, 0.0).tried(&what)?;
        // Trained on floats, scored on integers.
        let data = table.dataset().tried("table")?;
        let names = expected.0.model.writes(data.schema());
        let out = predict(&expected.0.model, &data, Some(&names)).tried(&what)?;
        let mut rows = Vec::new();
        for batch in out.batches(None).tried(&what)? {
            rows.push(Scored::of(&batch.tried(&what)?, &names).tried(&what)?);
        }
        let again: Vec<Cell> = rows
            .iter()
            .flat_map(|r| r.columns[&names[0]].clone())
            .collect();
        ensure!(
            again == expected.1.columns[&names[0]],
            "{what} at scoring time gives other values"
        );
    }
    for name in &floats {
        let bits = s
            .table()
            .map_numbers(std::slice::from_ref(name), |_, v| f64::from(v > 1.0));
        let expected = trained_and_scored(s, &bits).tried("0 and 1 as floats")?;
        let table = bits.clone().with(name, |c, _| c.ty = ColumnType::Boolean)?;
        let what = format!("`{name}` as booleans");
        expected
            .1
            .agrees(&trained_and_scored(s, &table).tried(&what)?.1, 0.0)
            .tried(&what)?;
    }
    for name in &vectors {
        let table = s.table().with(name, |c, _| {
            if let ColumnType::Vector { element, .. } = &mut c.ty {
                *element = Element::F32;
            }
        })?;
        let scored = trained_and_scored(s, &table).tried("f32 slots")?.1;
        // The numbers are the same; outputs that are stored as f32 themselves have seven digits.
        s.scored()?.agrees(&scored, 1e-6).tried("f32 slots")?;
    }
    for name in &numbers {
        let large = s.table().with(name, |c, v| {
            c.ty = ColumnType::Integer;
            *v = Cells::Integers(
                (0..256)
                    .map(|i| Some(9_007_199_254_740_993 + 2 * i))
                    .collect(),
            );
        })?;
        let what = format!("`{name}` beyond 2^53");
        match s.fit_on(&large) {
            Err(error) => drop(refused(Err::<(), _>(error), 3, &[name], &what)?),
            Ok(fit) => match score(&fit.model, &large) {
                Err(error) => drop(refused(Err::<(), _>(error), 3, &[name], &what)?),
                Ok(scored) => ensure!(distinct(&scored) >= 128, "{what}: neighbours become equal"),
            },
        }
    }
    Ok(Held::Yes)
}

/// Distinct rows of values.
pub fn distinct(scored: &Scored) -> usize {
    let rows = (0..scored.ids.len()).map(|i| {
        let cells: Vec<String> = scored
            .columns
            .values()
            .map(|c| format!("{:?}", c[i]))
            .collect();
        cells.join(",")
    });
    rows.collect::<std::collections::BTreeSet<_>>().len()
}

pub fn trained_and_scored(s: &Subject<'_>, table: &Table) -> Result<(Fit, Scored)> {
    let fit = s.fit_on(table)?;
    let scored = score(&fit.model, table)?;
    Ok((fit, scored))
}

/// The same matrix in sparse storage gives equal results; a stage that does not declare to take it refuses it by schema.
fn sparse(s: &Subject<'_>) -> Verdict {
    let vectors = s.reads_of(|c| c.ty.is_vector())?;
    let [name] = &vectors[..] else {
        return Ok(Held::NotAsked("it reads no vector"));
    };
    let table = s.table().with(name, |c, _| {
        if let ColumnType::Vector { layout, .. } = &mut c.ty {
            *layout = Layout::Sparse;
        }
    })?;
    if !s.traits.accepts_sparse {
        refused(
            s.fit_on(&table),
            2,
            &[name, "sparse"],
            "a sparse vector, which is not declared",
        )?;
        return Ok(Held::Yes);
    }
    let (fit, scored) = trained_and_scored(s, &table).tried("sparse")?;
    // Sums over sparse rows are made in another order than over dense ones.
    s.scored()?
        .agrees(&scored, 1e-9)
        .tried("trained on sparse rows")?;
    if fit
        .model
        .output_schema(&s.table().schema().tried("schema")?)
        .is_ok()
    {
        let dense = score(&fit.model, &s.table()).tried("trained sparse, scored dense")?;
        scored
            .agrees(&dense, 1e-12)
            .tried("trained sparse, scored dense")?;
    }
    Ok(Held::Yes)
}

/// Numbers of the order of 1e150 and 1e-150: finite results, or a refusal.
fn extremes(s: &Subject<'_>) -> Verdict {
    let names = s.reads_numbers()?;
    if names.is_empty() {
        return Ok(Held::NotAsked("it reads no numbers"));
    }
    for (what, factor) in [
        ("times 2^500", 2.0_f64.powi(500)),
        ("times 2^-500", 2.0_f64.powi(-500)),
    ] {
        let table = s.table().map_numbers(&names, |_, v| v * factor);
        sound(s, &table, what)?;
        // Both at once: sums of squares overflow in one slot and vanish in another.
        let mixed = s.table().map_numbers(&names, |j, v| {
            if j.is_multiple_of(2) {
                v * factor
            } else {
                v / factor
            }
        });
        sound(s, &mixed, what)?;
    }
    Ok(Held::Yes)
}

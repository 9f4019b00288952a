//! Data contract, columns and rows that are not as expected: 24 to 26.

use std::sync::Arc;

use super::{Held, Property, Tried, Verdict, ensure, refused};
use crate::conformance::scored::score_dataset;
use crate::conformance::subject::Subject;
use crate::conformance::table::Cells;
use crate::datasets::{Batch, Column, ColumnType, Dataset, Slot};
use crate::prelude::*;

pub const PROPERTIES: &[Property] = &[
    Property::new(24, "other features than in training", other_features),
    Property::new(25, "output collision", output_collision),
    Property::new(26, "no rows", no_rows),
];

/// A vector with another number of slots than in training, or with other slots, is refused; the message tells which.
fn other_features(s: &Subject<'_>) -> Verdict {
    let vectors = s.reads_of(|c| c.ty.is_vector())?;
    let [name] = &vectors[..] else {
        return Ok(Held::NotAsked("it reads no vector"));
    };
    if !s.learns()? {
        return Ok(Held::NotAsked("it learns nothing of the slots of a vector"));
    }
    let fit = s.fitted()?;
    let table = s.table();
    let resized = |slots: &[&str], width: usize| {
        table.clone().with(name, |column, cells| {
            *column = Column::vector(name, slots.iter().map(|s| Slot::numeric(*s)).collect());
            if let Cells::Vectors(rows) = cells {
                rows.iter_mut().for_each(|r| r.resize(width, 0.5));
            }
        })
    };
    let cases = [
        (
            "one slot more",
            resized(&["x0", "x1", "x2", "z0", "z1", "surplus"], 6)?,
            ["6", "5", "surplus"],
        ),
        (
            "one slot less",
            resized(&["x0", "x1", "x2", "z0"], 4)?,
            ["4", "5", "z1"],
        ),
        (
            "another slot",
            resized(&["x0", "x1", "x2", "z0", "stranger"], 5)?,
            ["z1", "stranger", "5"],
        ),
        (
            "slots in another order",
            resized(&["x1", "x0", "x2", "z0", "z1"], 5)?,
            ["x0", "x1", "5"],
        ),
    ];
    for (what, table, words) in cases {
        let schema = table.schema().tried("schema")?;
        let mut words = words.to_vec();
        words.push(name);
        refused(fit.stage().output_schema(&schema), 2, &words, what)?;
        refused(
            score_dataset(&fit.model, &table.dataset().tried("table")?),
            2,
            &words,
            what,
        )?;
        refused(fit.model.scorer(&schema).map(drop), 2, &words, what)?;
    }
    Ok(Held::Yes)
}

/// A column that stands where the stage would write is never overwritten unasked.
fn output_collision(s: &Subject<'_>) -> Verdict {
    let stage = s.stage(&s.example()).tried("build")?;
    let schema = s.table().schema().tried("schema")?;
    let fresh: Vec<String> = s
        .writes()?
        .into_iter()
        .filter(|w| schema.get(w).is_err())
        .collect();
    if fresh.is_empty() {
        return Ok(Held::NotAsked("it writes in place"));
    }
    for name in fresh {
        let cells = Cells::Numbers(vec![Some(0.0); s.table().rows()]);
        let table = s
            .table()
            .plus(Column::new(&name, ColumnType::Float, true), cells);
        let taken = table.schema().tried("schema")?;
        let what = format!("`{name}` exists");
        refused(
            stage.stage().output_schema(&taken),
            2,
            &[&name, "exists"],
            &what,
        )?;
        let fit = s.fitted()?;
        refused(
            fit.stage().output_schema(&taken),
            2,
            &[&name, "exists"],
            &format!("{what}, fitted"),
        )?;
        refused(
            fit.model.scorer(&taken).map(drop),
            2,
            &[&name, "exists"],
            &format!("{what}, one record"),
        )?;
    }
    Ok(Held::Yes)
}

/// Nothing can be learnt from no rows; applied to no rows a stage gives none, under the schema it promises.
fn no_rows(s: &Subject<'_>) -> Verdict {
    let schema = Arc::new(s.table().schema().tried("schema")?);
    let none = Dataset::from_batches("none", schema.clone(), Vec::new());
    let filtered = s.table().pick(&[]).dataset().tried("table")?;
    for (what, data) in [("no chunks", none), ("no rows", filtered)] {
        let fit = s.fit(&data, &Run::local(1, 1));
        if s.learns()? {
            refused(fit, 3, &[s.entry.name], what)?;
        } else {
            fit.tried(what)?;
        }
        let model = &s.fitted()?.model;
        let scored = score_dataset(model, &data).tried(what)?;
        ensure!(
            scored.ids.is_empty(),
            "{what}: {} rows come out",
            scored.ids.len()
        );
    }
    let out = s
        .fitted()?
        .stage()
        .transform(Batch::empty(schema.clone()))
        .tried("an empty batch")?;
    let promised = s.fitted()?.stage().output_schema(&schema).tried("schema")?;
    ensure!(
        out.num_rows() == 0 && *out.schema().as_ref() == promised,
        "an empty batch comes out under another schema"
    );
    Ok(Held::Yes)
}

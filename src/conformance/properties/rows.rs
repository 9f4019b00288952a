//! Row semantics of transform and predict: 34 to 38.

use super::{Held, Property, Tried, Verdict, ensure};
use crate::conformance::scored::{score, score_records};
use crate::conformance::subject::Subject;
use crate::prelude::*;

pub const PROPERTIES: &[Property] = &[
    Property::new(34, "row-wise", row_wise),
    Property::new(35, "order kept", order_kept),
    Property::new(36, "concurrent", concurrent),
    Property::new(37, "batch, record, reloaded", batch_and_record),
    Property::new(38, "purity", purity),
];

/// What a row gives depends on that row alone: any part of the table, in any order, and each row by itself give the same bits.
fn row_wise(s: &Subject<'_>) -> Verdict {
    let model = &s.fitted()?.model;
    let whole = s.scored()?;
    let n = s.table().rows();
    let parts: [Vec<usize>; 4] = [
        (0..n).step_by(3).collect(),
        (0..n).rev().collect(),
        (n / 2..n).collect(),
        vec![n - 1],
    ];
    for rows in &parts {
        let part = s.table().pick(rows);
        let scored = score(model, &part).tried("a part of the rows")?;
        whole
            .rows(&part.ids)
            .agrees(&scored, 0.0)
            .tried("a part of the rows")?;
    }
    for i in 0..n {
        let row = s.table().pick(&[i]);
        let scored = score(model, &row).tried("a row by itself")?;
        whole
            .rows(&row.ids)
            .agrees(&scored, 0.0)
            .tried("a row by itself")?;
    }
    Ok(Held::Yes)
}

/// Rows come out in the order they went in, under their ids, and none is lost unless the stage says that it drops rows.
fn order_kept(s: &Subject<'_>) -> Verdict {
    let fit = s.fitted()?;
    for seed in 0..3 {
        let mut table = s.table().shuffled(seed);
        table
            .ids
            .iter_mut()
            .for_each(|id| *id = *id * 7 + (3 << 40));
        let scored = score(&fit.model, &table).tried("transform")?;
        let mut left = table.ids.clone();
        if fit.stage().drops_rows() {
            left.retain(|id| scored.ids.contains(id));
        }
        ensure!(
            scored.ids == left,
            "rows come out in another order or under other ids"
        );
    }
    Ok(Held::Yes)
}

/// Eight threads that share one model get the bits that one gets.
fn concurrent(s: &Subject<'_>) -> Verdict {
    let model = &s.fitted()?.model;
    let expected = s.scored()?;
    let work = |i: usize| -> std::result::Result<(), String> {
        for round in 0..3 {
            let table = s.table().in_chunks(1 + (i + round) * 11);
            expected.agrees(&score(model, &table).tried("transform")?, 0.0)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|i| scope.spawn(move || work(i))).collect();
        threads.into_iter().try_for_each(|t| {
            t.join()
                .unwrap_or_else(|_| Err("a thread panicked".to_owned()))
                .tried("one of eight threads")
        })
    })?;
    Ok(Held::Yes)
}

/// Batches, single records and the model read back from its file give the same bits for every row.
fn batch_and_record(s: &Subject<'_>) -> Verdict {
    let fit = s.fitted()?;
    let records = score_records(&fit.model, &s.table()).tried("one record at a time")?;
    s.scored()?
        .agrees(&records, 0.0)
        .tried("one record at a time")?;
    let bytes = fit.bytes()?;
    let loaded = ModelFile::from_bytes(&bytes, "m.ember", s.registry).tried("load")?;
    let again = score(&loaded.model, &s.table()).tried("reloaded")?;
    s.scored()?.agrees(&again, 0.0).tried("reloaded")?;
    let records =
        score_records(&loaded.model, &s.table()).tried("reloaded, one record at a time")?;
    s.scored()?
        .agrees(&records, 0.0)
        .tried("reloaded, one record at a time")?;
    Ok(Held::Yes)
}

/// Applying a model changes neither the model nor what it gives the next time, whatever it was given in between.
fn purity(s: &Subject<'_>) -> Verdict {
    let fit = s.fitted()?;
    let before = fit.bytes()?;
    let other = s.table_of(77, 5);
    score(&fit.model, &other).tried("transform")?;
    // A batch that is refused half-way leaves nothing behind either.
    let names = s.reads_numbers()?;
    let _ = score(&fit.model, &other.map_numbers(&names, |_, _| f64::INFINITY));
    let again = score(&fit.model, &s.table()).tried("transform")?;
    s.scored()?.agrees(&again, 0.0).tried("the second time")?;
    ensure!(fit.bytes()? == before, "applying the model changed it");
    Ok(Held::Yes)
}

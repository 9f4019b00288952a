//! Determinism: 8 to 13, 15, 16 and 19.

use std::sync::Arc;

use super::{Held, Property, Tried, Verdict, ensure};
use crate::conformance::engine::Scattered;
use crate::conformance::scored::score;
use crate::conformance::subject::{Subject, fit_stage};
use crate::conformance::table::Table;
use crate::datasets::{Batch, Dataset};
use crate::pipeline::engine::UNKNOWN_JOB;
use crate::prelude::*;

pub const PROPERTIES: &[Property] = &[
    Property::new(8, "fit twice", fit_twice),
    Property::new(9, "refit", refit),
    Property::new(10, "seed", seed),
    Property::new(11, "partition count", partition_count),
    Property::new(12, "partition boundaries", partition_boundaries),
    Property::new(13, "threads, batch size, spill", threads_and_batches),
    Property::new(15, "row order", row_order),
    Property::new(16, "column order", column_order),
    Property::new(19, "another process", another_process),
];

const ALONE: Held = Held::NotAsked(
    "it fits on one machine alone: `Component::jobs` does not name the rounds it sends",
);
const RANDOM: Held = Held::NotAsked("it is declared not to be deterministic");

impl Subject<'_> {
    fn bytes_on(&self, data: &Dataset, run: &Run) -> std::result::Result<Vec<u8>, String> {
        self.fit(data, run).tried("fit")?.bytes()
    }

    /// As [`Subject::bytes_on`], by hosts that know the stage by its registry line alone; `None` where that line names no job for a round.
    fn bytes_by_hosts(
        &self,
        data: &Dataset,
        slots: usize,
        seed: u64,
    ) -> std::result::Result<Option<Vec<u8>>, String> {
        // Every second time so little that no learner may gather all rows in one place.
        let room = (slots % 2 == 1).then_some(2 << 10);
        let engine = Scattered::engine(self.registry, slots, room, seed).tried("hosts")?;
        let run = Run::local(1, 1).with_engine(Arc::new(engine));
        match self.bytes_on(data, &run) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.contains(UNKNOWN_JOB) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Digest of the model on the standard table: that in the comment which ends a model file.
    ///
    /// # Errors
    /// The stage cannot be fitted.
    pub fn digest(&self) -> std::result::Result<String, String> {
        let bytes = self.fitted()?.bytes()?;
        let digest = bytes.len().checked_sub(64).map(|at| &bytes[at..]);
        let digest = digest.ok_or("the model file is too short")?;
        Ok(String::from_utf8_lossy(digest).into_owned())
    }
}

/// Fitting twice gives the same bytes; a stage that is declared not to be deterministic gives others at least once in five times.
fn fit_twice(s: &Subject<'_>) -> Verdict {
    let first = s.fitted()?.bytes()?;
    let data = s.table().dataset().tried("table")?;
    let mut equal = 0;
    for _ in 0..5 {
        equal += usize::from(s.bytes_on(&data, &Run::local(1, 1))? == first);
    }
    if s.traits.deterministic {
        ensure!(equal == 5, "of five fits {} gave other bytes", 5 - equal);
    } else {
        ensure!(equal < 5, "it is declared not to be deterministic, and is");
    }
    Ok(Held::Yes)
}

/// A stage that was fitted before learns what a fresh one learns.
fn refit(s: &Subject<'_>) -> Verdict {
    if !s.traits.deterministic {
        return Ok(RANDOM);
    }
    let stage = s.stage(&s.example()).tried("build")?;
    let run = Run::local(1, 1);
    let other = s.table_of(120, 9).dataset().tried("table")?;
    fit_stage(stage.clone(), &other, &run).tried("fit")?;
    let again = fit_stage(stage, &s.table().dataset().tried("table")?, &run).tried("fit")?;
    ensure!(
        again.bytes()? == s.fitted()?.bytes()?,
        "what it learnt before changes what it learns"
    );
    Ok(Held::Yes)
}

/// The run's seed has an effect where it is declared, and none at all elsewhere; a seed of the stage's own outweighs it.
fn seed(s: &Subject<'_>) -> Verdict {
    if !s.traits.deterministic {
        return Ok(RANDOM);
    }
    let data = s.table().dataset().tried("table")?;
    let of = |seed: u64| s.bytes_on(&data, &Run::local(seed, 1));
    let (one, others) = (of(1)?, [of(2)?, of(3)?, of(4)?]);
    ensure!(of(1)? == one, "the same seed gives other bytes");
    if s.traits.uses_seed {
        ensure!(
            others.iter().any(|o| *o != one),
            "four seeds give the same bytes, though `uses_seed` is declared"
        );
    } else {
        ensure!(
            others.iter().all(|o| *o == one),
            "the seed changes the model, though `uses_seed` is not declared"
        );
    }
    if s.has("seed") {
        let own = s.example_with([("seed", toml::Value::Integer(5))]);
        let of = |seed: u64| {
            s.fit_with(&own, &data, &Run::local(seed, 1))
                .tried("fit")?
                .bytes()
        };
        ensure!(of(1)? == of(2)?, "its own seed does not outweigh the run's");
    }
    Ok(Held::Yes)
}

/// The same bytes for any number of partitions: on the local engine and on one that works partition by partition. Chunks without
/// rows, at the start, in the middle and at the end, change nothing either.
fn partition_count(s: &Subject<'_>) -> Verdict {
    if !s.traits.deterministic {
        return Ok(RANDOM);
    }
    let expected = s.fitted()?.bytes()?;
    let data = s.table().dataset().tried("table")?;
    for n in [2, 3, 5, 7, 16, 33, 64] {
        let cut = data.clone().repartition(n);
        ensure!(cut.n_partitions() == n, "{n} partitions were asked for");
        ensure!(
            s.bytes_on(&cut, &Run::local(1, 1))? == expected,
            "{n} partitions give other bytes"
        );
        if let Some(found) = s.bytes_by_hosts(&cut, n, 1)? {
            ensure!(
                found == expected,
                "{n} partitions, each for itself, give other bytes"
            );
        }
    }
    let batches = s.table().batches().tried("table")?;
    let none = Batch::empty(data.schema().clone());
    for at in [
        vec![0],
        vec![3, 3, 5],
        vec![batches.len()],
        vec![0, 1, 2, 7, 12],
    ] {
        let mut with_empty = batches.clone();
        for (k, i) in at.iter().enumerate() {
            with_empty.insert((i + k).min(with_empty.len()), none.clone());
        }
        let data = Dataset::from_batches("with empty chunks", data.schema().clone(), with_empty);
        ensure!(
            s.bytes_on(&data, &Run::local(1, 1))? == expected,
            "chunks without rows at {at:?} give other bytes"
        );
    }
    Ok(Held::Yes)
}

/// The same bytes for twenty ways of dealing the parts of each round to hosts, which know the stage by its registry line alone: rounds,
/// datasets and partials travel as bytes, and what a round left with its blocks is as often lost as there.
fn partition_boundaries(s: &Subject<'_>) -> Verdict {
    if !s.traits.deterministic {
        return Ok(RANDOM);
    }
    let expected = s.fitted()?.bytes()?;
    let data = s.table().dataset().tried("table")?;
    data.recipe().tried("recipe")?;
    for seed in 0..20 {
        let slots = 2 + seed as usize % 7;
        let Some(found) = s.bytes_by_hosts(&data, slots, 100 + seed)? else {
            return Ok(ALONE);
        };
        ensure!(found == expected, "hosts {seed} give other bytes");
    }
    Ok(Held::Yes)
}

/// The same bytes for 1, 2 and 4 threads, and where blocks spill to disk; the same bits of output for batches of 1, 7 and 8192 rows.
fn threads_and_batches(s: &Subject<'_>) -> Verdict {
    if !s.traits.deterministic {
        return Ok(RANDOM);
    }
    let expected = s.fitted()?.bytes()?;
    let data = s.table().dataset().tried("table")?;
    for threads in [2, 4] {
        for _ in 0..2 {
            ensure!(
                s.bytes_on(&data, &Run::local(1, threads))? == expected,
                "{threads} threads give other bytes"
            );
        }
    }
    let spilling = Run::local(1, 2).with_memory_limit(Some(2_000));
    match s.fit(&data, &spilling) {
        Ok(fit) => ensure!(fit.bytes()? == expected, "blocks on disk give other bytes"),
        Err(error) => ensure!(
            error.to_string().contains("memory_limit"),
            "under a memory limit: {error}"
        ),
    }
    let model = &s.fitted()?.model;
    for rows in [1, 7, 8192] {
        let cut = s.table().in_chunks(rows);
        let scored = score(model, &cut).tried(format!("batches of {rows} rows"))?;
        s.scored()?
            .agrees(&scored, 0.0)
            .tried(format!("batches of {rows} rows"))?;
    }
    Ok(Held::Yes)
}

/// Ten orders of the rows give the same bytes where that is declared; where it is not, one of them gives others.
fn row_order(s: &Subject<'_>) -> Verdict {
    if !s.traits.deterministic {
        return Ok(RANDOM);
    }
    // Sums of the standard table's numbers are exact in any order; thirds are not.
    let names = s.reads_numbers()?;
    let mut table = s.table().map_numbers(&names, |_, v| v / 3.0);
    if let Some(label) = s.label() {
        table = table.map_numbers(&[label.to_owned()], |_, v| v / 3.0);
    }
    let expected = s.fit_on(&table).tried("fit")?.bytes()?;
    let mut equal = 0;
    for seed in 0..10 {
        let shuffled = table.shuffled(seed);
        ensure!(
            shuffled.ids != s.table().ids,
            "order {seed} is no other order"
        );
        equal += usize::from(s.fit_on(&shuffled).tried("fit")?.bytes()? == expected);
    }
    if s.traits.row_order_free || !s.learns()? {
        ensure!(
            equal == 10,
            "{} of ten orders of the rows give other bytes",
            10 - equal
        );
    } else {
        ensure!(
            equal < 10,
            "ten orders of the rows give the same bytes: declare `row_order_free`"
        );
    }
    Ok(Held::Yes)
}

/// Columns are found by name: in another order they give the same model and the same results.
fn column_order(s: &Subject<'_>) -> Verdict {
    let expected = s.fitted()?.saved();
    let orders: [fn(&mut Table); 2] = [
        |t| t.columns.reverse(),
        |t| {
            t.columns.rotate_left(3);
        },
    ];
    for order in orders {
        let mut table = s.table();
        order(&mut table);
        let fit = s.fit_on(&table).tried("fit")?;
        if s.traits.deterministic {
            ensure!(
                fit.saved() == expected,
                "another order of the columns gives another model"
            );
        }
        let scored = score(&s.fitted()?.model, &table).tried("transform")?;
        s.scored()?
            .agrees(&scored, 0.0)
            .tried("columns in another order")?;
    }
    Ok(Held::Yes)
}

/// Another process, under another locale, time zone, folder and environment, learns the same bytes.
fn another_process(s: &Subject<'_>) -> Verdict {
    if !s.traits.deterministic {
        return Ok(RANDOM);
    }
    let Some(elsewhere) = s.elsewhere() else {
        return Ok(Held::NotAsked(
            "no other process is at hand: see `Suite::elsewhere`",
        ));
    };
    let found = elsewhere.as_ref().map_err(Clone::clone)?;
    let own = s.digest()?;
    let other = found
        .get(s.entry.name)
        .ok_or("the other process did not fit it")?;
    ensure!(own == *other, "here {own}, in another process {other}");
    Ok(Held::Yes)
}

//! The bad-data matrix: 32 bad datasets by every stage of the registry, with the outcome of each on record in
//! `bad_data/outcomes.toml`. `EMBERLINE_WRITE_OUTCOMES=1` writes that file; what it says is to be read before it is kept.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

#[path = "bad_data/sets.rs"]
mod sets;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use emberline::conformance::Table;
use emberline::pipeline::model_file::{Evidence, Probes};
use emberline::prelude::*;

use sets::{Bad, SETS};

/// Dataset, then stage, then what comes of it.
type Outcomes = BTreeMap<String, BTreeMap<String, String>>;

/// The values of `handle_invalid` that a stage is asked about beside its default; it may refuse one.
const POLICIES: [&str; 2] = ["skip", "keep"];

/// What becomes of a fit, of its model file, and of the same rows under the model: `ok`, what is worth knowing, or the step that refuses
/// with the kind of error and the exit code. Under a policy, with what it let pass of the rows.
fn outcome(
    entry: &Entry,
    registry: &Registry,
    table: &Table,
    partitions: usize,
    policy: Option<&str>,
) -> String {
    let steps = || -> std::result::Result<String, (&'static str, Error)> {
        let fails = |step: &'static str| move |e: Error| (step, e);
        let mut params: toml::Table = entry.traits.example.parse().unwrap();
        params.extend(policy.map(|p| ("handle_invalid".to_owned(), p.into())));
        let stage = entry
            .build(&params, registry)
            .map_err(|e| ("build", e.into()))?;
        let data = table.dataset().unwrap().repartition(partitions);
        let run = Run::local(1, 1);
        let mut fitted = Pipeline::new(vec![stage])
            .fit(&data, &run)
            .map_err(fails("fit"))?;
        let file = ModelFile::new("bad", fitted.model, Evidence::default(), Probes::default());
        let bytes = file.to_bytes().map_err(fails("save"))?;
        // Loading refuses every number of a model that is not finite.
        let loaded = ModelFile::from_bytes(&bytes, "m.ember", registry);
        let model = loaded.map_err(|e| ("load", e.into()))?.model;
        let names = model.writes(model.input_schema());
        let output = model.transform_dataset(&data).map_err(fails("apply"))?;
        let (mut rows, mut unbounded) = (0, Vec::new());
        for batch in output.batches(None).map_err(|e| ("apply", e.into()))? {
            let batch = batch.map_err(|e| ("apply", Error::from(e)))?;
            rows += batch.num_rows();
            unbounded.extend(names.iter().filter(|n| is_unbounded(&batch, n)).cloned());
        }
        let mut notes = Vec::new();
        if rows < table.rows() {
            notes.push(format!("{} of {} rows", rows, table.rows()));
        }
        unbounded.sort();
        unbounded.dedup();
        notes.extend(unbounded.iter().map(|n| format!("`{n}` not finite")));
        let own = fitted.stages.remove(0);
        if own.report.is_some_and(|r| !r.warnings.is_empty()) {
            notes.push("a warning".to_owned());
        }
        assert_eq!(own.invalid.len(), usize::from(policy.is_some()));
        let counted = own.invalid.iter().filter(|i| i.rows > 0);
        notes.extend(counted.map(|i| i.to_string().replacen(&format!("{} ", i.stage), "", 1)));
        Ok(if notes.is_empty() {
            "ok".to_owned()
        } else {
            format!("ok, {}", notes.join(", "))
        })
    };
    match catch_unwind(AssertUnwindSafe(steps)) {
        Ok(Ok(fine)) => fine,
        Ok(Err((step, error))) => {
            if step == "load" {
                println!("{}: {error}", entry.name);
            }
            format!("{step}: {}, exit {}", error.kind(), error.exit_code())
        }
        Err(_) => "panic".to_owned(),
    }
}

/// Whether a column that the model writes holds an infinity, or a NaN that is no missing value.
fn is_unbounded(batch: &Batch, name: &str) -> bool {
    let mut found = false;
    if let Ok(vectors) = batch.vector(name) {
        (0..vectors.rows())
            .for_each(|i| vectors.for_each_stored(i, |_, v| found |= v.is_infinite()));
    } else if let Ok(numbers) = batch.numbers(name) {
        found = numbers.iter().flatten().any(|v| !v.is_finite());
    }
    found
}

/// Whether a stage has this policy for values that it cannot take.
fn has(entry: &Entry, policy: &str) -> bool {
    let schema = serde_json::to_string(&(entry.schema)()).unwrap();
    schema.contains(&format!("\"{policy}\""))
}

fn found(registry: &Registry) -> Outcomes {
    let of_set = |bad: &Bad| {
        let of_entry = |entry: &Entry| {
            let table = bad.table(entry);
            let found = |policy| outcome(entry, registry, &table, bad.partitions, policy);
            let asked = (entry.defaults)().get("handle_invalid").is_some();
            let policies = POLICIES.into_iter().filter(|p| asked && has(entry, p));
            let named = policies.map(|p| (format!("{}, {p}", entry.name), found(Some(p))));
            let named: Vec<_> = named.collect();
            std::iter::once((entry.name.to_owned(), found(None))).chain(named)
        };
        (
            bad.name.to_owned(),
            registry.entries().flat_map(of_entry).collect(),
        )
    };
    let (first, second) = SETS.split_at(SETS.len() / 2);
    std::thread::scope(|scope| {
        let half = scope.spawn(|| first.iter().map(of_set).collect::<Vec<_>>());
        let mut all: Outcomes = second.iter().map(of_set).collect();
        all.extend(half.join().unwrap());
        all
    })
}

fn path() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad_data/outcomes.toml")
}

fn written(outcomes: &Outcomes) -> String {
    let mut text = String::from(
        "# What becomes of bad data: a table per dataset (tests/bad_data/sets.rs), a line per stage. Written with\n\
         # `EMBERLINE_WRITE_OUTCOMES=1 cargo test --release --test bad_data`, and read before it is kept.\n",
    );
    for bad in SETS {
        text.push_str(&format!("\n# {}.\n[{}]\n", bad.what, bad.name));
        for (stage, outcome) in &outcomes[bad.name] {
            let key = match stage.contains(',') {
                true => format!("\"{stage}\""),
                false => stage.clone(),
            };
            let outcome = toml::Value::from(outcome.as_str());
            text.push_str(&format!("{key} = {outcome}\n"));
        }
    }
    text
}

#[test]
fn every_stage_meets_bad_data_as_the_table_says() {
    let registry = emberline::registry();
    let found = found(&registry);
    if std::env::var_os("EMBERLINE_WRITE_OUTCOMES").is_some() {
        std::fs::write(path(), written(&found)).unwrap();
    }
    let expected: Outcomes = toml::from_str(&std::fs::read_to_string(path()).unwrap()).unwrap();
    let (mut cells, mut as_documented, mut fine) = (0, 0, 0);
    let mut differences = Vec::new();
    for (set, stages) in &found {
        for (stage, outcome) in stages {
            cells += 1;
            fine += usize::from(outcome.starts_with("ok"));
            // A panic, an error of the program's own, or a model that does not load is never a documented outcome.
            let forbidden = ["panic", "format", "build:", "save:", "load:"];
            let documented = expected.get(set).and_then(|s| s.get(stage)) == Some(outcome);
            if documented && !forbidden.iter().any(|f| outcome.contains(f)) {
                as_documented += 1;
            } else {
                differences.push(format!("{set}, {stage}: {outcome}"));
            }
        }
    }
    let surplus = expected
        .iter()
        .flat_map(|(set, s)| s.keys().map(move |k| (set, k)));
    let surplus =
        surplus.filter(|(set, stage)| found.get(*set).and_then(|s| s.get(*stage)).is_none());
    differences.extend(
        surplus.map(|(set, stage)| format!("{set}, {stage}: not in the registry or no such set")),
    );
    println!(
        "R-10: {as_documented}/{cells} cells of {} bad datasets x {} stages, and the policies of those that have one, as documented; {fine} ok, {} refused; 0 panics and 0 NaN in a saved model among them",
        SETS.len(),
        registry.entries().count(),
        cells - fine
    );
    assert_eq!(SETS.len(), 32);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

//! Every stage of the registry holds the properties of the conformance suite; the suite covers stages from outside the workspace, and
//! finds out faulty ones.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod common;
#[path = "conformance/toys.rs"]
mod toys;

use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use emberline::conformance::{Digests, Outcome, Suite, Table, digests, properties};
use emberline::prelude::*;

/// The suite measures times: its tests run one after the other.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

const TELLS: &str = "this_process_tells_its_digests";
const MARK: &str = "digests ";

/// What [`in_another_process`] runs.
#[test]
fn this_process_tells_its_digests() {
    let found = digests(&emberline::registry()).unwrap();
    assert_eq!(found.len(), emberline::registry().entries().count());
    println!("{MARK}{}", serde_json::to_string(&found).unwrap());
}

/// The digests of a process in another folder, under another locale, time zone and environment.
fn in_another_process() -> std::result::Result<Digests, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let output = Command::new(std::env::current_exe().map_err(|e| e.to_string())?)
        .args(["--exact", TELLS, "--nocapture"])
        .current_dir(folder.path())
        .env_clear()
        .env("TZ", "Pacific/Kiritimati")
        .env("LANG", "tr_TR.UTF-8")
        .env("LC_ALL", "tr_TR.UTF-8")
        .env("RAYON_NUM_THREADS", "3")
        .env("HOME", folder.path())
        .output()
        .map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    // The test harness may have written on the same line before.
    let told = text
        .split_once(MARK)
        .and_then(|(_, rest)| rest.lines().next());
    let told = told.ok_or_else(|| format!("no digests in {text}"))?;
    serde_json::from_str(told).map_err(|e| e.to_string())
}

#[test]
fn every_stage_of_the_registry_holds_every_property() {
    let _alone = alone();
    assert_eq!(properties().count(), 46);
    let registry = emberline::registry();
    let report = Suite::new(&registry).elsewhere(&in_another_process).run();
    println!("{}\n{report}", report.by_property());
    assert!(report.passed(), "{report}");
    assert_eq!(report.cells.len(), 46 * registry.entries().count());
    let alone = report.cells.iter().filter(
        |c| matches!(&c.outcome, Outcome::NotAsked(why) if why.contains("on one machine alone")),
    );
    let alone: Vec<&str> = alone.map(|c| &*c.stage).collect();
    assert!(alone.is_empty(), "no cluster can fit {alone:?}");
}

#[test]
fn a_stage_from_outside_is_covered_by_its_registry_line() {
    let _alone = alone();
    let mut registry = emberline::registry();
    registry.register(toys::SOUND);
    let report = Suite::new(&registry).only(toys::SOUND.name).run();
    assert!(report.passed(), "{report}");
    assert_eq!(report.cells.len(), 46);
    assert!(
        report.n_asked() >= 30,
        "only {} properties were asked",
        report.n_asked()
    );
}

#[test]
fn a_faulty_stage_is_found_out_by_the_property_that_it_breaks() {
    let _alone = alone();
    for (entry, property) in toys::FAULTY {
        let mut registry = emberline::registry();
        registry.register(*entry);
        let report = Suite::new(&registry).only(entry.name).run();
        let failed: Vec<u8> = report.failures().map(|c| c.property).collect();
        println!("{} breaks {failed:?}", entry.name);
        assert!(
            failed.contains(property),
            "{}: property {property} is not among {failed:?}",
            entry.name
        );
        assert!(!report.passed());
    }
}

#[test]
fn an_exception_that_is_not_needed_is_a_failure() {
    let _alone = alone();
    let exceptions = [emberline::conformance::Exception {
        stage: "binarizer",
        property: 8,
        reason: "none",
    }];
    let registry = emberline::registry();
    let suite = Suite::new(&registry).only("binarizer").property(8);
    let report = suite.exceptions(&exceptions).run();
    assert!(!report.passed(), "{report}");
    assert!(!Suite::new(&registry).only("binarzier").run().passed());
}

/// Property 7 as a user sees it: `inspect` shows every parameter of the stage, the seed, the rows, and what wrote the model.
#[test]
fn inspect_tells_of_every_stage_what_its_model_carries() {
    let folder = tempfile::tempdir().unwrap();
    let registry = emberline::registry();
    for entry in registry.entries() {
        let params: toml::Table = entry.traits.example.parse().unwrap();
        let pipeline = Pipeline::new(vec![entry.build(&params, &registry).unwrap()]);
        let mut table = Table::standard(120, 1);
        table.roles.label = match entry.kind {
            Kind::Classifier => Some("class".to_owned()),
            Kind::Regressor => Some("y".to_owned()),
            _ => None,
        };
        let plan = TrainPlan::new("told", table.dataset().unwrap(), pipeline);
        let outcome = train(&plan, &registry, &Run::local(77, 1)).unwrap();
        let name = format!("{}.ember", entry.name);
        outcome
            .model_file
            .save(folder.path().join(&name), false)
            .unwrap();

        let text = common::ok(folder.path(), &["inspect", &name]);
        for word in ["seed 77", "120 trained", "emberline 0.", entry.name] {
            assert!(text.contains(word), "{}: no `{word}` in {text}", entry.name);
        }
        let told = common::json(&common::ok(folder.path(), &["inspect", &name, "--json"]));
        let shown = &told["evidence"]["stages"][0]["params"];
        let defaults = (entry.defaults)();
        for (key, default) in defaults.as_object().unwrap() {
            assert!(
                shown.get(key).is_some(),
                "{}: `{key}` is not shown",
                entry.name
            );
            if !params.contains_key(key) {
                assert_eq!(shown[key], *default, "{}: `{key}`", entry.name);
            }
            if !shown[key].is_null() {
                assert!(
                    text.contains(&format!("{key} = ")),
                    "{}: no `{key}` in {text}",
                    entry.name
                );
            }
        }
        assert_eq!(told["evidence"]["data"]["rows"], 120, "{}", entry.name);
    }
}

//! no config makes the program panic or hang, and none that `check` lets pass fails later for a reason that was in it.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use emberline::datasets::TableWriter;
use emberline::prelude::*;

use crate::bad_configs;
use crate::common::dice::{Dice, amount, mutated};
use crate::common::{example, root, write};
use crate::learners::{LEARNERS, config, csv};
use crate::mutants::{edges, mutant};
use crate::watch::Watch;

/// Longest that reading and checking a config may take.
const HANG: Duration = Duration::from_millis(100);
/// Rows of an example's data.
const ROWS: usize = 150;

/// The example configs, over the first rows of their data and with few trees, and those of the table of bad configs.
fn bases(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(root().join("examples"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".toml"))
        .collect();
    names.sort();
    let mut bases: Vec<String> = names.iter().map(|n| small(&example(n), folder)).collect();
    bases.extend(bad_configs::bases());
    bases
}

fn small(text: &str, folder: &Path) -> String {
    let mut text = text
        .replace("num_trees = 100", "num_trees = 4")
        .replace("n_init = 10", "n_init = 1");
    let names: Vec<String> = text
        .split("\"bundled:")
        .skip(1)
        .map(|t| t.split('"').next().unwrap().to_owned())
        .collect();
    for name in names {
        let data = open(&SourceOptions::new(format!("bundled:{name}"))).unwrap();
        let path = folder.join(format!("{name}.csv"));
        let mut out = TableWriter::create(&path, None, data.schema()).unwrap();
        data.head(ROWS)
            .unwrap()
            .iter()
            .for_each(|b| out.write(b).unwrap());
        out.finish().unwrap();
        let label = data.schema().roles().label.clone().unwrap();
        let mut source = format!("\"{}\"", path.display());
        if !text.contains("label = ") {
            source.push_str(&format!("\nlabel = \"{label}\""));
        }
        text = text.replace(&format!("\"bundled:{name}\""), &source);
    }
    text
}

/// How a config fared.
#[derive(Debug, PartialEq)]
enum Fate {
    Refused,
    Trained,
    /// The data do not suit it, or it was stopped.
    Data,
    /// It was taken, and failed for a reason that stood in it.
    Late(String),
}

fn fate(text: &str, registry: &Registry, watch: Option<&Watch>) -> Result<Fate> {
    let Ok(config) = Config::parse("c.toml", text, &[], registry) else {
        return Ok(Fate::Refused);
    };
    let Ok((data, test)) = config.dataset() else {
        return Ok(Fate::Refused);
    };
    if config.check_data(registry, &data, test.as_ref()).is_err() {
        return Ok(Fate::Refused);
    }
    let Some(watch) = watch else {
        return Ok(Fate::Data);
    };
    let plan = TrainPlan::with_data(&config, data, test, registry)?;
    match watch.train(text, &plan, registry, &config.run()) {
        Ok(outcome) => {
            let bytes = outcome.model_file.to_bytes()?;
            ModelFile::from_bytes(&bytes, "m.ember", registry)?;
            Ok(Fate::Trained)
        }
        Err(error) if matches!(error.exit_code(), 3 | 130) => Ok(Fate::Data),
        Err(error) => Ok(Fate::Late(error.to_string())),
    }
}

/// Time to read and check a config; the least of three where the first is long, for the machine may have been busy.
fn time(text: &str, registry: &Registry) -> Duration {
    let once = || {
        let begun = Instant::now();
        let _ = catch_unwind(AssertUnwindSafe(|| fate(text, registry, None)));
        begun.elapsed()
    };
    let first = once();
    if first <= HANG {
        first
    } else {
        first.min(once()).min(once())
    }
}

/// What many configs came to.
#[derive(Default)]
struct Found {
    total: usize,
    refused: usize,
    trained: usize,
    slowest: Duration,
    faults: Vec<String>,
}

impl Found {
    /// Reads, checks and, under a watch, trains a config; what goes wrong is kept under `name`.
    fn take(&mut self, name: &str, text: &str, registry: &Registry, watch: Option<&Watch>) {
        self.total += 1;
        let spent = time(text, registry);
        self.slowest = self.slowest.max(spent);
        let fault = match catch_unwind(AssertUnwindSafe(|| fate(text, registry, watch))) {
            _ if spent > HANG => format!("checked in {spent:?}"),
            Ok(Ok(Fate::Refused)) => {
                self.refused += 1;
                return;
            }
            Ok(Ok(Fate::Trained)) => {
                self.trained += 1;
                return;
            }
            Ok(Ok(Fate::Data)) => return,
            Ok(Ok(Fate::Late(error))) => format!("fails late: {error}"),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "a panic".to_owned(),
        };
        self.faults.push(format!("{name}: {fault}\n{text}"));
    }

    fn report(&self, what: &str) {
        println!(
            "R-20: {}/{} {what}, {} refused, {} trained; slowest to check {:?}",
            self.total - self.faults.len(),
            self.total,
            self.refused,
            self.trained,
            self.slowest
        );
        let shown: Vec<&str> = self.faults.iter().take(12).map(String::as_str).collect();
        let n = self.faults.len();
        assert!(n == 0, "{n} faults\n{}", shown.join("\n---\n"));
    }
}

#[test]
fn mutants_of_configs_neither_panic_nor_hang_nor_fail_late() {
    let folder = tempfile::tempdir().unwrap();
    let registry = emberline::registry();
    let bases = bases(folder.path());
    let structured = amount("EMBERLINE_CONFIGS", 3_000);
    let bytes = 10 * structured;
    let words = [
        "[[pipeline]]\n",
        "stage = ",
        "[data]\n",
        "\"\"\"",
        "inputs = ",
    ];
    let mut found = Found::default();
    Watch::during(|watch| {
        for (i, base) in bases.iter().enumerate() {
            let fate = fate(base, &registry, Some(watch));
            assert!(matches!(fate, Ok(Fate::Trained)), "base {i}: {fate:?}");
        }
        for seed in 0..structured + bytes {
            let mut dice = Dice(seed as u64);
            let base = &bases[seed % bases.len()];
            let text = if seed < structured {
                mutant(base, &mut dice, &registry)
            } else {
                let bytes = mutated(base.as_bytes(), &words, &mut dice);
                String::from_utf8_lossy(&bytes).into_owned()
            };
            // Byte mutants that pass are nearly all the base with another comment or name: few are trained.
            let watch = (seed < structured || seed % 50 == 0).then_some(watch);
            found.take(&format!("seed {seed}"), &text, &registry, watch);
        }
    });
    found.report(&format!(
        "mutants of {} configs ({structured} of structure, {bytes} of bytes)",
        bases.len()
    ));
    let as_meant = found.refused > found.total / 4 && found.trained > structured / 10;
    assert!(as_meant, "the mutants are not what they should be");
}

/// The parameters of a stage that take a number.
fn numbers_of(entry: &Entry) -> Vec<String> {
    let schema = (entry.schema)();
    let Some(properties) = schema["properties"].as_object() else {
        return Vec::new();
    };
    let takes = |key: &&String| {
        let ty = properties[*key]["type"].to_string();
        ty.contains("integer") || ty.contains("number")
    };
    properties.keys().filter(takes).cloned().collect()
}

#[test]
fn every_number_of_every_stage_at_every_edge_is_refused_or_works() {
    let folder = tempfile::tempdir().unwrap();
    let registry = emberline::registry();
    let source = write(folder.path(), "rows.csv", &csv(120));
    let mut texts: Vec<String> = LEARNERS
        .iter()
        .map(|(_, label, stages)| config(label, stages, &source))
        .collect();
    texts.extend(bases(folder.path()));
    let (mut found, mut seen) = (Found::default(), BTreeSet::new());
    Watch::during(|watch| {
        for text in &texts {
            let table: toml::Table = text.parse().unwrap();
            let n_stages = table["pipeline"].as_array().unwrap().len();
            for i in 0..n_stages {
                let name = table["pipeline"][i]["stage"].as_str().unwrap();
                for key in numbers_of(registry.get(name).unwrap()) {
                    for value in edges() {
                        let case = format!("{name}.{key} = {value}");
                        if !seen.insert(case.clone()) {
                            continue;
                        }
                        let mut changed = table.clone();
                        let stage = changed["pipeline"][i].as_table_mut().unwrap();
                        stage.insert(key.clone(), value);
                        let text = toml::to_string(&changed).unwrap();
                        found.take(&case, &text, &registry, Some(watch));
                    }
                }
            }
        }
    });
    found.report("numbers at the edges of every parameter of every stage");
    assert!(
        found.refused > 100 && found.trained > 100,
        "the edges are not what they should be"
    );
}

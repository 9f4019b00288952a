//! no config makes the program panic or hang, and none that `check` lets pass fails later for a reason that was in it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use emberline::datasets::TableWriter;
use emberline::pipeline::Cancel;
use emberline::prelude::*;

use crate::bad_configs;
use crate::common::dice::{Dice, amount, mutated};
use crate::common::{example, root};
use crate::mutants::mutant;

/// Longest that reading and checking a config may take.
const HANG: Duration = Duration::from_millis(100);
/// Longest that a mutant may train: most are done by then, and what is wrong with a config shows at once.
const PATIENCE: Duration = Duration::from_millis(500);
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

/// Stops runs that take long.
struct Watch {
    run: Mutex<Option<(Instant, Cancel)>>,
    over: AtomicBool,
}

impl Watch {
    fn look(&self) {
        while !self.over.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
            if let Some((since, cancel)) = &*self.run.lock().unwrap()
                && since.elapsed() > PATIENCE
            {
                cancel.cancel();
            }
        }
    }

    fn train(&self, plan: &TrainPlan, registry: &Registry, run: &Run) -> Result<TrainOutcome> {
        *self.run.lock().unwrap() = Some((Instant::now(), run.cancel.clone()));
        let outcome = train(plan, registry, run);
        *self.run.lock().unwrap() = None;
        outcome
    }
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
    match watch.train(&plan, registry, &config.run()) {
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

#[test]
fn mutants_of_configs_neither_panic_nor_hang_nor_fail_late() {
    let folder = tempfile::tempdir().unwrap();
    let registry = emberline::registry();
    let bases = bases(folder.path());
    let watch = Watch {
        run: Mutex::new(None),
        over: AtomicBool::new(false),
    };
    let structured = amount("EMBERLINE_CONFIGS", 3_000);
    let bytes = 10 * structured;
    let (mut faults, mut trained, mut refused, mut slowest) = (Vec::new(), 0, 0, Duration::ZERO);
    std::thread::scope(|scope| {
        scope.spawn(|| watch.look());
        for (i, base) in bases.iter().enumerate() {
            let fate = fate(base, &registry, Some(&watch));
            assert!(matches!(fate, Ok(Fate::Trained)), "base {i}: {fate:?}");
        }
        for seed in 0..structured + bytes {
            let mut dice = Dice(seed as u64);
            let base = &bases[seed % bases.len()];
            let text = if seed < structured {
                mutant(base, &mut dice, &registry)
            } else {
                String::from_utf8_lossy(&mutated(
                    base.as_bytes(),
                    &[
                        "[[pipeline]]\n",
                        "stage = ",
                        "[data]\n",
                        "\"\"\"",
                        "inputs = ",
                    ],
                    &mut dice,
                ))
                .into_owned()
            };
            let spent = time(&text, &registry);
            slowest = slowest.max(spent);
            if spent > HANG {
                faults.push(format!("seed {seed}: {spent:?}\n{text}"));
            }
            // Byte mutants that pass are nearly all the base with another comment or name: few are trained.
            let watch = (seed < structured || seed % 50 == 0).then_some(&watch);
            match catch_unwind(AssertUnwindSafe(|| fate(&text, &registry, watch))) {
                Ok(Ok(Fate::Refused)) => refused += 1,
                Ok(Ok(Fate::Trained)) => trained += 1,
                Ok(Ok(Fate::Data)) => {}
                Ok(Ok(Fate::Late(error))) => {
                    faults.push(format!("seed {seed}: fails late: {error}\n{text}"))
                }
                Ok(Err(error)) => faults.push(format!("seed {seed}: {error}\n{text}")),
                Err(_) => faults.push(format!("seed {seed}: a panic\n{text}")),
            }
        }
        watch.over.store(true, Ordering::Relaxed);
    });
    let total = structured + bytes;
    println!(
        "R-20: {}/{total} mutants of {} configs ({structured} of structure, {bytes} of bytes), {refused} refused, {trained} trained; slowest to check {slowest:?}",
        total - faults.len(),
        bases.len()
    );
    let shown: Vec<String> = faults.iter().take(12).cloned().collect();
    assert!(
        faults.is_empty(),
        "{} faults\n{}",
        faults.len(),
        shown.join("\n---\n")
    );
    assert!(
        refused > total / 4 && trained > structured / 10,
        "the mutants are not what they should be"
    );
}

//! The fuzz targets of `fuzz/`, driven for a short while by mutations of their seeds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::bad_configs;
use crate::common::dice::{Dice, amount, mutated};
use crate::common::{example, root};
use crate::targets;

/// Longest that one input may take.
const LIMIT: Duration = Duration::from_secs(1);

/// Feeds mutations of the seeds to a target for the time of `EMBERLINE_FUZZ_SECONDS`, from the seeds themselves on.
fn drive(name: &str, seeds: &[Vec<u8>], words: &[&str], target: impl Fn(&[u8]) -> bool) {
    let time = Duration::from_secs(amount("EMBERLINE_FUZZ_SECONDS", 2) as u64);
    let (begun, mut runs, mut taken, mut slowest) = (Instant::now(), 0, 0, Duration::ZERO);
    while runs < seeds.len() || begun.elapsed() < time {
        let mut dice = Dice(runs as u64);
        let seed = &seeds[runs % seeds.len()];
        let input = if runs < seeds.len() {
            seed.clone()
        } else {
            mutated(seed, words, &mut dice)
        };
        let started = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| target(&input)));
        let spent = started.elapsed();
        match outcome {
            Ok(deep) if spent <= LIMIT => taken += usize::from(deep),
            _ => {
                let kept = std::env::temp_dir().join(format!("{name}-{runs}"));
                std::fs::write(&kept, &input).unwrap();
                let kept = kept.display();
                panic!("{name}, input {runs}, kept in {kept}: {outcome:?} after {spent:?}");
            }
        }
        slowest = slowest.max(spent);
        runs += 1;
    }
    println!(
        "fuzz: {runs}/{runs} inputs of `{name}` without a panic, {taken} of them taken, slowest {slowest:?}"
    );
    assert!(runs > seeds.len(), "no time was left for mutations");
    assert!(taken > 0, "every input was refused at the door");
}

/// The golden models, and files in the corpus of a target.
fn files(folder: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = std::fs::read_dir(root().join(folder))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|p| std::fs::read(p).unwrap()).collect()
}

/// Bytes at random: inputs of targets that draw choices from them.
fn choices() -> Vec<Vec<u8>> {
    (0..64)
        .map(|seed| {
            let mut dice = Dice(seed);
            (0..64).map(|_| dice.bits() as u8).collect()
        })
        .collect()
}

#[test]
fn config_toml() {
    let mut seeds: Vec<Vec<u8>> = bad_configs::bases()
        .into_iter()
        .map(String::into_bytes)
        .collect();
    seeds.push(example("adult_logistic.toml").into_bytes());
    drive(
        "config_toml",
        &seeds,
        &["[[pipeline]]\n", "stage = ", "\"\"\"", "{ a = ", "${HOME}"],
        targets::config_toml,
    );
}

#[test]
fn model_load_raw() {
    drive(
        "model_load_raw",
        &files("tests/golden_models"),
        &["PK\x03\x04"],
        targets::model_load_raw,
    );
}

#[test]
fn model_load_fixed_checksum() {
    let words = [
        "null",
        "1e999",
        "[]",
        "-1",
        "18446744073709551615",
        "\"F32\"",
    ];
    drive(
        "model_load_fixed_checksum",
        &files("tests/golden_models"),
        &words,
        targets::model_load_fixed_checksum,
    );
}

#[test]
fn csv_reader() {
    let words = ["\"\"", "\r\n", "\u{feff}", "NA,", "1e999"];
    let seeds = files("fuzz/corpus/csv_reader");
    drive("csv_reader", &seeds, &words, |bytes| {
        targets::csv_reader(bytes).is_some()
    });
}

#[test]
fn checkpoint_load() {
    let whole = targets::whole_checkpoint().to_vec();
    let cut = whole[..whole.len() / 2].to_vec();
    drive(
        "checkpoint_load",
        &[whole, cut],
        &[],
        targets::checkpoint_load,
    );
}

#[test]
fn schema_propagation() {
    drive(
        "schema_propagation",
        &choices(),
        &[],
        targets::schema_propagation,
    );
}

#[test]
fn sparse_vector_ops() {
    drive(
        "sparse_vector_ops",
        &choices(),
        &[],
        targets::sparse_vector_ops,
    );
}

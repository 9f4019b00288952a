//! Model files of every kind of stage: damage, hostile content under right checksums, and files of earlier days.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod common;

use std::io::{Cursor, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::dice::{Dice, amount};
use common::{root, train_toml};
use emberline::conformance::mutate::change;
use emberline::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A small run for every kind of model: `name, source, stages`.
const KINDS: &[(&str, &str, &str)] = &[
    (
        "logistic",
        "iris",
        "[[pipeline]]\nstage = \"logistic_regression\"\nreg_param = 0.01\nmax_iter = 5",
    ),
    (
        "one_vs_rest",
        "iris",
        "[[pipeline]]\nstage = \"one_vs_rest\"\nclassifier = { stage = \"logistic_regression\", max_iter = 5 }",
    ),
    (
        "one_vs_rest_trees",
        "iris",
        "[[pipeline]]\nstage = \"one_vs_rest\"\nclassifier = { stage = \"decision_tree_classifier\", max_depth = 2 }",
    ),
    (
        "tree",
        "iris",
        "[[pipeline]]\nstage = \"decision_tree_classifier\"\nmax_depth = 3",
    ),
    (
        "forest",
        "iris",
        "[[pipeline]]\nstage = \"random_forest_classifier\"\nnum_trees = 3\nmax_depth = 3",
    ),
    (
        "regression_tree",
        "diabetes",
        "[[pipeline]]\nstage = \"decision_tree_regressor\"\nmax_depth = 3",
    ),
    (
        "regression_forest",
        "diabetes",
        "[[pipeline]]\nstage = \"random_forest_regressor\"\nnum_trees = 2\nmax_depth = 3",
    ),
    (
        "linear",
        "diabetes",
        "[[pipeline]]\nstage = \"linear_regression\"",
    ),
    (
        "kmeans",
        "iris",
        "[[pipeline]]\nstage = \"kmeans\"\nk = 3\nmax_iter = 3",
    ),
    (
        "features",
        "penguins",
        "[[pipeline]]\nstage = \"pca\"\nk = 2\n[[pipeline]]\nstage = \"standard_scaler\"\ninputs = [\"features\"]\noutputs = [\"scaled\"]\n\
         [[pipeline]]\nstage = \"decision_tree_classifier\"\nfeatures_col = \"scaled\"\nmax_depth = 2",
    ),
];

/// The preparation of each kind: one vector of the numbers; penguins have text and missing values as well.
fn model(kind: &str) -> ModelFile {
    let (_, source, stages) = KINDS.iter().find(|(name, ..)| *name == kind).unwrap();
    let preparation = if *source == "penguins" {
        "[[pipeline]]\nstage = \"imputer\"\ninputs = [\"bill_*\", \"flipper_*\"]\n\
         [[pipeline]]\nstage = \"string_indexer\"\ninputs = [\"island\"]\noutputs = [\"island_index\"]\nhandle_invalid = \"keep\"\n\
         [[pipeline]]\nstage = \"one_hot_encoder\"\ninputs = [\"island_index\"]\noutputs = [\"island_vector\"]\n\
         [[pipeline]]\nstage = \"vector_assembler\"\ninputs = [\"bill_*\", \"flipper_*\", \"island_vector\"]"
    } else {
        "[[pipeline]]\nstage = \"vector_assembler\""
    };
    train_toml(&format!(
        "seed = 7\n[data]\nsource = \"bundled:{source}\"\n{preparation}\n{stages}\n"
    ))
    .model_file
}

fn load(bytes: &[u8]) -> std::result::Result<ModelFile, ModelError> {
    ModelFile::from_bytes(bytes, "m.ember", &emberline::registry())
}

#[test]
fn every_flipped_bit_and_every_cut_of_every_kind_of_model_is_refused() {
    let (mut cases, mut refused) = (0_u64, 0_u64);
    // Every bit of every file takes minutes; on each change every `stride`-th bit of all kinds, from another one each kind.
    let stride = amount("EMBERLINE_BIT_STRIDE", 23);
    for (offset, (kind, ..)) in KINDS.iter().enumerate() {
        let bytes = model(kind).to_bytes().unwrap();
        let mut damaged = bytes.clone();
        for bit in (offset % stride..8 * bytes.len()).step_by(stride) {
            damaged[bit / 8] ^= 1 << (bit % 8);
            refused += u64::from(matches!(load(&damaged), Err(ModelError::Damaged { .. })));
            damaged[bit / 8] ^= 1 << (bit % 8);
            cases += 1;
        }
        for cut in (offset % stride..bytes.len()).step_by(stride) {
            refused += u64::from(load(&bytes[..cut]).is_err());
            cases += 1;
        }
    }
    println!(
        "R-30: {refused}/{cases} flipped bits and cuts of {} kinds of model refused",
        KINDS.len()
    );
    assert_eq!(refused, cases);
}

#[test]
fn damage_anywhere_in_a_model_of_ten_megabytes_is_refused() {
    // A tenth as many cuts and swaps as flips.
    let flips = amount("EMBERLINE_DAMAGES", 100);
    let bytes = train_toml(
        "seed = 7\n[data]\nsource = \"bundled:letter\"\n[[pipeline]]\nstage = \"vector_assembler\"\n\
         [[pipeline]]\nstage = \"random_forest_classifier\"\nnum_trees = 100\n",
    )
    .model_file
    .to_bytes()
    .unwrap();
    assert!(bytes.len() > 10 << 20, "{} bytes", bytes.len());
    let mut dice = Dice(10);
    let (mut cases, mut refused) = (0_u64, 0_u64);
    let mut damaged = bytes.clone();
    for _ in 0..flips {
        let (at, bit) = (dice.below(bytes.len()), dice.below(8));
        damaged[at] ^= 1 << bit;
        refused += u64::from(load(&damaged).is_err());
        damaged[at] = bytes[at];
        cases += 1;
    }
    for _ in 0..flips / 10 {
        refused += u64::from(load(&bytes[..dice.below(bytes.len())]).is_err());
        cases += 1;
    }
    const BLOCK: usize = 4_096;
    while cases < (flips + 2 * (flips / 10)) as u64 {
        let [a, b] = [(); 2].map(|()| dice.below(bytes.len() / BLOCK) * BLOCK);
        if bytes[a..a + BLOCK] == bytes[b..b + BLOCK] {
            continue; // no damage
        }
        damaged[a..a + BLOCK].copy_from_slice(&bytes[b..b + BLOCK]);
        damaged[b..b + BLOCK].copy_from_slice(&bytes[a..a + BLOCK]);
        refused += u64::from(load(&damaged).is_err());
        damaged[a..a + BLOCK].copy_from_slice(&bytes[a..a + BLOCK]);
        damaged[b..b + BLOCK].copy_from_slice(&bytes[b..b + BLOCK]);
        cases += 1;
    }
    println!(
        "R-30: {refused}/{cases} flips, cuts and swapped blocks of a model of {} MiB refused",
        bytes.len() >> 20
    );
    assert_eq!(refused, cases);
}

/// The three entries of a model file.
fn entries(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    (0..archive.len())
        .map(|i| {
            let mut entry = archive.by_index(i).unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (entry.name().unwrap().into_owned(), content)
        })
        .collect()
}

/// The archive of these entries as `emberline` writes it, with a right checksum.
fn sealed(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::default())
        .unix_permissions(0o644)
        .large_file(false);
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        archive.start_file(name.as_str(), options).unwrap();
        archive.write_all(content).unwrap();
    }
    archive
        .set_raw_comment(vec![b'0'; 64].into_boxed_slice())
        .unwrap();
    let mut bytes = archive.finish().unwrap().into_inner();
    let end = bytes.len() - 64;
    let digest: String = Sha256::digest(&bytes[..end])
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    bytes[end..].copy_from_slice(digest.as_bytes());
    bytes
}

#[test]
fn a_nested_model_that_calls_itself_something_else_is_refused() {
    let bytes = model("one_vs_rest_trees").to_bytes().unwrap();
    let mut parts = entries(&bytes);
    let document = String::from_utf8(parts[0].1.clone()).unwrap();
    let renamed = document.replacen(
        "\"name\":\"decision_tree_classifier\"",
        "\"name\":\"decision tree\"",
        1,
    );
    assert_ne!(renamed, document);
    parts[0].1 = renamed.into_bytes();
    // Found by fuzzing: it was read, and saved as a file that could not be read again.
    let error = load(&sealed(&parts)).err().unwrap().to_string();
    assert!(error.contains("it calls itself `decision tree`"), "{error}");
}

/// Changes bytes of the arrays, or numbers in their header.
fn change_arrays(bytes: &mut [u8], dice: &mut Dice) {
    if bytes.len() < 16 {
        return;
    }
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    for _ in 0..=dice.below(4) {
        let at = match dice.below(3) {
            0 => dice.below(8),
            1 => 8 + dice.below(header),
            _ => dice.below(bytes.len()),
        };
        let at = at.min(bytes.len() - 1);
        bytes[at] = match dice.below(4) {
            0 => b'9',
            1 => 0xff,
            2 => bytes[at].wrapping_add(1),
            _ => dice.bits() as u8,
        };
    }
}

/// Peak resident memory of this process in bytes, where the system tells.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM:"));
    line.and_then(|l| l.split_whitespace().nth(1)?.parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

#[test]
fn hostile_content_under_a_right_checksum_is_refused_or_harmless() {
    let mutants = amount("EMBERLINE_MUTANTS", 12_000);
    let files: Vec<(&str, Vec<u8>)> = KINDS
        .iter()
        .map(|(kind, ..)| (*kind, model(kind).to_bytes().unwrap()))
        .collect();
    let largest = files.iter().map(|(_, b)| b.len()).max().unwrap() as u64;
    let before = peak();
    let (mut refused, mut slowest) = (0, Duration::ZERO);
    for seed in 0..mutants {
        let mut dice = Dice(seed as u64);
        let (kind, bytes) = &files[seed % files.len()];
        let mut parts = entries(bytes);
        match dice.below(4) {
            0 => change_arrays(&mut parts[1].1, &mut dice),
            1 => {
                let mut probes: Value = serde_json::from_slice(&parts[2].1).unwrap();
                change(&mut probes, &mut |n| dice.below(n));
                parts[2].1 = serde_json::to_vec(&probes).unwrap();
            }
            _ => {
                let mut document: Value = serde_json::from_slice(&parts[0].1).unwrap();
                for _ in 0..=dice.below(2) {
                    change(&mut document, &mut |n| dice.below(n));
                }
                parts[0].1 = serde_json::to_vec(&document).unwrap();
            }
        }
        let mutant = sealed(&parts);
        let started = Instant::now();
        // What loads must also replay: wrong numbers are told by the probes, never by a panic.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            load(&mutant).map(|file| file.verify().map(|v| v.is_ok()))
        }));
        slowest = slowest.max(started.elapsed());
        let outcome = outcome
            .unwrap_or_else(|_| panic!("seed {seed}, {kind}: loading or replaying panicked"));
        refused += usize::from(!matches!(outcome, Ok(Ok(true))));
    }
    let grown = peak().saturating_sub(before);
    println!(
        "R-34: {mutants}/{mutants} mutants without a panic, {refused} refused; slowest {slowest:?}, peak memory +{} MiB",
        grown >> 20
    );
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert!(grown <= (64 << 20) + 4 * largest, "{} MiB", grown >> 20);
    // Most changes hit something that matters; if nearly all pass, the mutants are not what they should be.
    assert!(refused > mutants / 2, "{refused} of {mutants}");
}

fn golden(kind: &str) -> PathBuf {
    root()
        .join("tests/golden_models")
        .join(format!("{kind}.ember"))
}

/// Files of this format version stay readable: their probe rows are inputs, with the outputs of the day they were written.
/// `EMBERLINE_BLESS=1` writes those that are missing.
#[test]
fn files_that_were_written_before_load_and_predict_the_same_bits() {
    let mut passed = 0;
    for (kind, ..) in KINDS {
        let path = golden(kind);
        if std::env::var_os("EMBERLINE_BLESS").is_some() && !path.exists() {
            model(kind).save(&path, false).unwrap();
        }
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(bytes.len() <= 64 << 10, "{kind}: {} bytes", bytes.len());
        let file = load(&bytes).unwrap_or_else(|e| panic!("{kind}: {e}"));
        assert!(file.probes.rows.len() >= 2, "{kind}");
        let found = file.verify().unwrap();
        assert!(found.is_ok(), "{kind}: {found}");
        assert!(
            file.to_bytes().unwrap() == bytes,
            "{kind}: saving it again gives other bytes"
        );
        passed += 1;
    }
    println!(
        "R-36: {passed}/{} golden models load, predict and save the same bits",
        KINDS.len()
    );
}

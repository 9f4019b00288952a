//! Shared by the integration tests.
#![allow(dead_code)] // each test binary uses what it needs

pub mod dice;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use emberline::prelude::*;
use serde_json::Value;

/// Trains a config given as text.
pub fn train_toml(text: &str) -> TrainOutcome {
    train_with(text, &[])
}

/// Trains a config given as text, with overrides.
pub fn train_with(text: &str, overrides: &[&str]) -> TrainOutcome {
    let registry = emberline::registry();
    let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
    let config =
        Config::parse("test.toml", text, &overrides, &registry).unwrap_or_else(|e| panic!("{e}"));
    let (data, test) = config.dataset().unwrap_or_else(|e| panic!("{e}"));
    let plan =
        TrainPlan::with_data(&config, data, test, &registry).unwrap_or_else(|e| panic!("{e}"));
    train(&plan, &registry, &config.run()).unwrap_or_else(|e| panic!("{e}"))
}

/// A held-out metric.
pub fn metric(outcome: &TrainOutcome, name: &str) -> f64 {
    outcome
        .metrics
        .as_ref()
        .or(outcome.train_metrics.as_ref())
        .unwrap()
        .values[name]
}

/// SHA-256 of the model file's bytes.
pub fn digest(outcome: &TrainOutcome) -> String {
    use sha2::Digest;
    let bytes = outcome.model_file.to_bytes().unwrap();
    sha2::Sha256::digest(&bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of an example config.
pub fn example(name: &str) -> String {
    std::fs::read_to_string(root().join("examples").join(name)).unwrap()
}

/// Runs the binary as a user would, in `folder`.
pub fn emberline(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_emberline"))
        .current_dir(folder)
        .args(args)
        .output()
        .unwrap()
}

/// Runs the binary and expects success; returns standard output.
pub fn ok(folder: &Path, args: &[&str]) -> String {
    let output = emberline(folder, args);
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Runs the binary, expects this exit code, and returns standard error.
pub fn fails(folder: &Path, args: &[&str], code: i32) -> String {
    let output = emberline(folder, args);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {error}");
    assert!(!error.contains("panicked"), "{error}");
    error
}

/// One JSON object from standard output.
pub fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// Writes a file into a folder.
pub fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

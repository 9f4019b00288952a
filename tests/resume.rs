//! Runs that are killed and go on: the model is the one of an undisturbed run, to the byte.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod common;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{emberline, fails, ok, write};

/// A config over a generated table; `stages` are its learners.
fn config(stages: &str) -> String {
    format!(
        r#"
name = "killed"
seed = 7

[data]
source = "table.csv"
label = "y"

[data.split]
test = 0.2

[[pipeline]]
stage = "standard_scaler"
inputs = ["a*"]

[[pipeline]]
stage = "vector_assembler"
inputs = ["a*"]

{stages}

[engine]
checkpoint_interval = 0

[output]
model = "m.ember"
"#
    )
}

const LEARNERS: [(&str, &str); 4] = [
    (
        "forest",
        "[[pipeline]]\nstage = \"random_forest_classifier\"\nnum_trees = 40\nmax_depth = 9\n",
    ),
    (
        "kmeans",
        "[[pipeline]]\nstage = \"kmeans\"\nk = 12\nn_init = 4\nmax_iter = 60\ntol = 0.0\n",
    ),
    (
        "logistic",
        "[[pipeline]]\nstage = \"logistic_regression\"\nreg_param = 1e-5\ntol = 1e-12\nmax_iter = 500\n",
    ),
    (
        "one_vs_rest",
        "[[pipeline]]\nstage = \"one_vs_rest\"\nclassifier = { stage = \"logistic_regression\", reg_param = 1e-5, tol = 1e-12, max_iter = 500 }\n",
    ),
];

/// 20,000 rows of eight numbers around three centres, from a fixed congruential generator.
fn table(folder: &Path) {
    let mut state = 12_345_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 24)
    };
    let mut text = String::from("a0,a1,a2,a3,a4,a5,a6,a7,y\n");
    for _ in 0..20_000 {
        let class = (3.0 * next()) as usize;
        for j in 0..8 {
            let centre = if j % 3 == class { 1.0 } else { 0.0 };
            text.push_str(&format!("{:.5},", centre + 2.0 * next()));
        }
        text.push_str(["red\n", "green\n", "blue\n"][class]);
    }
    write(folder, "table.csv", &text);
}

fn start(folder: &Path, args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_emberline"))
        .current_dir(folder)
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills runs at `kills` moments spread over the undisturbed time, resumes each, and compares bytes. Each life after the first
/// kill is killed once more before the last one is let run to its end.
fn kill_and_resume(kills: u32) {
    let (mut passed, mut hit, mut kept) = (0, 0, 0);
    for (name, stages) in LEARNERS {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        table(folder);
        write(folder, "c.toml", &config(stages));
        let begun = Instant::now();
        ok(folder, &["train", "c.toml", "--quiet"]);
        let whole = begun.elapsed();
        let expected = std::fs::read(folder.join("m.ember")).unwrap();
        assert!(
            !folder.join("m.ember.checkpoint").exists(),
            "{name}: the checkpoint is left behind"
        );
        for k in 0..kills {
            std::fs::remove_file(folder.join("m.ember")).unwrap();
            for resume in [false, true] {
                let args: &[&str] = if resume {
                    &["train", "c.toml", "--resume"]
                } else {
                    &["train", "c.toml"]
                };
                let mut run = start(folder, args);
                std::thread::sleep(whole * (2 * k + 1) / (2 * kills) * 9 / 10);
                run.kill().unwrap(); // SIGKILL
                hit += u32::from(!run.wait().unwrap().success());
                kept += u32::from(folder.join("m.ember.checkpoint").exists());
                if folder.join("m.ember").exists() {
                    break;
                }
            }
            if !folder.join("m.ember").exists() {
                ok(folder, &["train", "c.toml", "--resume", "--quiet"]);
            } else if folder.join("m.ember.checkpoint").exists() {
                ok(folder, &["train", "c.toml", "--resume"]);
            }
            assert_eq!(
                std::fs::read(folder.join("m.ember")).unwrap(),
                expected,
                "{name}, kill {k}"
            );
            assert!(
                !folder.join("m.ember.checkpoint").exists(),
                "{name}, kill {k}"
            );
            passed += 1;
        }
    }
    println!(
        "R-43: {passed}/{} runs resumed to the same bytes, {hit} kills hit a live run, {kept} left a checkpoint",
        4 * kills
    );
    assert!(
        hit >= 2 * kills && kept >= kills,
        "the kills must hit: {hit} did, {kept} left a checkpoint"
    );
}

#[test]
fn a_run_killed_at_any_moment_resumes_to_the_same_file() {
    kill_and_resume(
        std::env::var("EMBERLINE_KILLS")
            .ok()
            .and_then(|n| n.parse().ok())
            .unwrap_or(5),
    );
}

/// Starts a run and waits until its checkpoint holds more than the header.
fn interrupted(folder: &Path) {
    let mut run = start(folder, &["train", "c.toml"]);
    let checkpoint = folder.join("m.ember.checkpoint");
    let begun = Instant::now();
    while std::fs::metadata(&checkpoint).map_or(0, |m| m.len()) < 2_000 {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "no checkpoint was written"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    run.kill().unwrap();
    run.wait().unwrap();
}

fn long_run(folder: &Path) {
    table(folder);
    write(
        folder,
        "c.toml",
        &config(
            "[[pipeline]]\nstage = \"random_forest_classifier\"\nnum_trees = 400\nmax_depth = 14\n",
        ),
    );
}

#[test]
fn a_changed_config_and_changed_data_are_refused_and_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    long_run(folder);
    interrupted(folder);
    let error = fails(
        folder,
        &[
            "train",
            "c.toml",
            "--resume",
            "--set",
            "random_forest_classifier.num_trees=401",
        ],
        2,
    );
    assert!(
        error.contains("config has changed") && error.contains("num_trees = 400"),
        "{error}"
    );
    let text = std::fs::read_to_string(folder.join("table.csv")).unwrap();
    std::fs::write(folder.join("table.csv"), text.replacen("0.", "3.", 1)).unwrap();
    let error = fails(folder, &["train", "c.toml", "--resume"], 2);
    assert!(error.contains("training data have changed"), "{error}");
}

#[test]
fn an_interrupted_run_is_neither_forgotten_nor_overwritten_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    long_run(folder);
    interrupted(folder);
    let error = fails(folder, &["train", "c.toml"], 2);
    assert!(
        error.contains("--resume") && error.contains("--overwrite"),
        "{error}"
    );
    // Settings that change no result may change: threads, partitions.
    ok(
        folder,
        &[
            "train",
            "c.toml",
            "--resume",
            "--quiet",
            "--set",
            "engine.threads=1",
            "--set",
            "data.partitions=7",
        ],
    );
}

#[cfg(unix)]
#[test]
fn an_interrupt_writes_a_checkpoint_and_exits_with_130() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    long_run(folder);
    // Only the interrupt can have written the rounds: the interval is longer than the run.
    let config = std::fs::read_to_string(folder.join("c.toml")).unwrap();
    // Many trees: the interrupt must come while some are done and others are not, on a fast machine as on a busy one.
    let config = config.replace("num_trees = 400", "num_trees = 4000");
    write(
        folder,
        "c.toml",
        &config.replace("checkpoint_interval = 0", "checkpoint_interval = 3600"),
    );
    let mut run = start(folder, &["train", "c.toml"]);
    let checkpoint = folder.join("m.ember.checkpoint");
    let begun = Instant::now();
    while !checkpoint.exists() && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(2));
    }
    std::thread::sleep(Duration::from_millis(700));
    let sent = Command::new("kill")
        .args(["-INT", &run.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
    let asked = Instant::now();
    assert_eq!(run.wait().unwrap().code(), Some(130));
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "it took {:?} to stop",
        asked.elapsed()
    );
    assert!(std::fs::metadata(&checkpoint).unwrap().len() > 2_000);
    let output = emberline(folder, &["train", "c.toml", "--resume", "--quiet"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

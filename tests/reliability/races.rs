//! two processes at one output, readers during overwrites, two resumes of one run.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use emberline::prelude::*;

use crate::common::dice::amount;
use crate::common::{ok, train_toml, write};
use crate::learners::csv;

fn start(folder: &Path, args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_emberline"))
        .current_dir(folder)
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Runs the same command twice at once; true where one process won and the other ended with a typed error.
fn one_wins(folder: &Path, args: &[&str], expected: &[u8], reasons: &[&str]) -> bool {
    let runs = [start(folder, args), start(folder, args)];
    let ends: Vec<Output> = runs
        .into_iter()
        .map(|r| r.wait_with_output().unwrap())
        .collect();
    let (won, lost): (Vec<&Output>, Vec<&Output>) = ends.iter().partition(|o| o.status.success());
    let [loser] = lost[..] else {
        eprintln!("{} of 2 processes won", won.len());
        return false;
    };
    let said = String::from_utf8_lossy(&loser.stderr);
    let typed =
        matches!(loser.status.code(), Some(2 | 4)) && reasons.iter().any(|r| said.contains(r));
    if !typed {
        eprintln!("{:?}: {said}", loser.status);
    }
    typed && std::fs::read(folder.join("m.ember")).unwrap() == expected
}

#[test]
fn of_two_runs_with_one_output_one_wins_and_the_other_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let config = "seed = 1\n[data]\nsource = \"bundled:iris\"\n[[pipeline]]\nstage = \"vector_assembler\"\n\
                  [[pipeline]]\nstage = \"kmeans\"\nk = 3\nn_init = 2\n[output]\nmodel = \"m.ember\"\n";
    write(folder, "c.toml", config);
    ok(folder, &["train", "c.toml", "--quiet"]);
    let expected = std::fs::read(folder.join("m.ember")).unwrap();
    let races = amount("EMBERLINE_RACES", 40);
    let mut passed = 0;
    for _ in 0..races {
        for name in ["m.ember", "m.ember.checkpoint"] {
            let _ = std::fs::remove_file(folder.join(name));
        }
        // Where the winner is before the other: its lock, its checkpoint, or its model.
        let reasons = [
            "is at work on",
            "has just ended",
            "a run that did not end left",
            "exists already",
        ];
        passed += usize::from(one_wins(
            folder,
            &["train", "c.toml", "--quiet"],
            &expected,
            &reasons,
        ));
    }
    println!("R-33: {passed}/{races} races of two processes had one winner and one typed error");
    assert_eq!(passed, races);
}

#[test]
fn of_two_resumes_of_one_run_one_wins_and_the_other_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "table.csv", &csv(4_000));
    let config = "seed = 1\n[data]\nsource = \"table.csv\"\nlabel = \"y\"\n[[pipeline]]\nstage = \"vector_assembler\"\ninputs = [\"a*\"]\n\
                  [[pipeline]]\nstage = \"random_forest_classifier\"\nnum_trees = 120\nmax_depth = 12\n\
                  [engine]\ncheckpoint_interval = 0\n[output]\nmodel = \"m.ember\"\n";
    write(folder, "c.toml", config);
    ok(folder, &["train", "c.toml", "--quiet"]);
    let expected = std::fs::read(folder.join("m.ember")).unwrap();
    std::fs::remove_file(folder.join("m.ember")).unwrap();
    let checkpoint = folder.join("m.ember.checkpoint");
    let mut run = start(folder, &["train", "c.toml", "--quiet"]);
    let begun = Instant::now();
    while std::fs::metadata(&checkpoint).map_or(0, |m| m.len()) < 2_000 {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "no checkpoint was written"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    let left = std::fs::read(&checkpoint).unwrap();
    let races = amount("EMBERLINE_RACES", 40) / 4;
    let mut passed = 0;
    for _ in 0..races {
        let _ = std::fs::remove_file(folder.join("m.ember"));
        std::fs::write(&checkpoint, &left).unwrap();
        let reasons = ["is at work on", "has just ended", "exists already"];
        let won = one_wins(
            folder,
            &["train", "c.toml", "--resume", "--quiet"],
            &expected,
            &reasons,
        );
        passed += usize::from(won && !checkpoint.exists());
    }
    println!(
        "R-33: {passed}/{races} pairs of resumes of one run had one winner and one typed error"
    );
    assert_eq!(passed, races);
}

#[test]
fn readers_see_the_old_model_or_the_new_one_while_it_is_overwritten() {
    let config = |k: usize| {
        format!(
            "[data]\nsource = \"bundled:iris\"\n[[pipeline]]\nstage = \"vector_assembler\"\n[[pipeline]]\nstage = \"kmeans\"\nk = {k}\n"
        )
    };
    let models = [2, 3].map(|k| train_toml(&config(k)).model_file);
    let names = [0, 1].map(|i| models[i].to_bytes().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.ember");
    models[0].save(&path, false).unwrap();
    let loads = amount("EMBERLINE_LOADS", 2_000);
    let (done, whole, writes) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let registry = emberline::registry();
            while done.load(Ordering::Relaxed) < loads {
                let loaded = ModelFile::load(&path, &registry);
                let bytes = loaded.ok().and_then(|m| m.to_bytes().ok());
                whole.fetch_add(
                    usize::from(bytes.is_some_and(|b| names.contains(&b))),
                    Ordering::Relaxed,
                );
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
        while done.load(Ordering::Relaxed) < loads || writes.load(Ordering::Relaxed) < loads / 50 {
            let n = writes.fetch_add(1, Ordering::Relaxed) + 1;
            models[n % 2].save(&path, true).unwrap();
        }
    });
    let (whole, writes) = (whole.into_inner(), writes.into_inner());
    println!("R-33: {whole}/{loads} loads during {writes} overwrites gave a whole model");
    assert_eq!(whole, loads);
    assert!(writes >= loads / 50);
}

//! R-60: a run keeps to its memory limit, or says before it starts what it needs; `check` foretells the peak.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test
#![cfg(target_os = "linux")] // the peak is read from /proc

mod common;

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{fails, ok};
use serde_json::Value;

const MIB: u64 = 1 << 20;

/// Bytes of generated text and the limit of the runs: a quarter of it. `EMBERLINE_MEMORY_MIB` makes both larger.
fn sizes() -> (u64, u64) {
    let mib = std::env::var("EMBERLINE_MEMORY_MIB").map_or(128, |v| v.parse().unwrap());
    (mib * MIB, mib * MIB / 4)
}

/// A table of sixteen numbers of seven digits, two texts of few values and a label, from a fixed congruential generator.
fn table(path: &Path, bytes: u64) {
    let mut state = 99_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let mut out = BufWriter::new(std::fs::File::create(path).unwrap());
    let names: Vec<String> = (0..16).map(|j| format!("a{j}")).collect();
    let header = format!("{},city,kind,y\n", names.join(","));
    out.write_all(header.as_bytes()).unwrap();
    let mut written = header.len() as u64;
    let mut row = Vec::new();
    while written < bytes {
        row.clear();
        let class = next() % 2;
        for _ in 0..16 {
            let number = next() % 9_000_000 + 1_000_000 + class * 400_000;
            write!(row, "{number},").unwrap();
        }
        let (city, kind) = (next() % 40, next() % 3);
        writeln!(row, "city{city},kind{kind},{class}").unwrap();
        out.write_all(&row).unwrap();
        written += row.len() as u64;
    }
    out.into_inner().unwrap().sync_all().unwrap();
}

fn config(limit: Option<u64>, learner: &str) -> String {
    let limit = limit.map_or_else(String::new, |l| format!("memory_limit = {l}"));
    let label = if learner.contains("kmeans") {
        ""
    } else {
        "label = \"y\""
    };
    format!(
        r#"
name = "memory"
seed = 7

[data]
source = "table.csv"
{label}
{limit}

[data.split]
test = 0.2

[[pipeline]]
stage = "standard_scaler"
inputs = ["a*"]

[[pipeline]]
stage = "string_indexer"
inputs = ["city", "kind"]

[[pipeline]]
stage = "vector_assembler"
inputs = ["a*", "*_index"]

[[pipeline]]
{learner}

[engine]
threads = 2

[output]
model = "m.ember"
"#
    )
}

const LEARNERS: [&str; 3] = [
    "stage = \"kmeans\"\nk = 8\nmax_iter = 5",
    "stage = \"logistic_regression\"\nreg_param = 1e-4\nmax_iter = 10",
    "stage = \"random_forest_classifier\"\nnum_trees = 4\nmax_depth = 8",
];

/// Runs the binary and gives the most memory it held, in bytes; `None` where it failed.
fn peak(folder: &Path, args: &[&str]) -> Option<u64> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_emberline"))
        .current_dir(folder)
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    loop {
        // The kernel keeps the high-water mark; looking often loses at most what the last milliseconds add.
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let mark = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let kib = mark.and_then(|m| m.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        most = most.max(1024 * kib.unwrap_or(0));
        match child.try_wait().unwrap() {
            Some(status) if status.success() => return Some(most),
            Some(_) => return None,
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// The memory limit that a refusal asks for.
fn raised(error: &str) -> u64 {
    let named = error.split("`data.memory_limit` to ").nth(1);
    let number = named.and_then(|rest| rest.split(' ').next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no size in {error}"))
}

#[test]
fn a_run_keeps_to_its_limit_and_check_foretells_its_peak() {
    let (bytes, limit) = sizes();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(&folder.join("table.csv"), bytes);
    let allowed = limit + limit / 4 + 100 * MIB;
    let (mut passed, mut total) = (0, 0);
    let mut figures = Vec::new();
    for learner in LEARNERS {
        for limit in [Some(limit), None] {
            std::fs::write(folder.join("c.toml"), config(limit, learner)).unwrap();
            let report: Value =
                serde_json::from_str(&ok(folder, &["check", "c.toml", "--json"])).unwrap();
            let foretold = report["peak"].as_u64().unwrap();
            let train = ["train", "c.toml", "--overwrite", "--quiet"];
            let name = learner.split('"').nth(1).unwrap();
            let Some(took) = peak(folder, &train) else {
                // Refused before it starts, with the size it needs: as good as finishing within the limit.
                assert!(name.contains("forest"), "{name} spills and needs no more");
                let error = fails(folder, &train, 3);
                figures.push(format!(
                    "{name} limit {} MiB: needs {} MiB",
                    bytes / 4 / MIB,
                    raised(&error) / MIB
                ));
                (passed, total) = (passed + 2, total + 2);
                continue;
            };
            let ratio = foretold as f64 / took as f64;
            figures.push(format!(
                "{name} {}: {} MiB, foretold {} MiB",
                limit.map_or_else(
                    || "without".to_owned(),
                    |l| format!("limit {} MiB", l / MIB)
                ),
                took / MIB,
                foretold / MIB
            ));
            total += 1 + u64::from(limit.is_some());
            passed += u64::from((1.0 / 1.5..=1.5).contains(&ratio));
            if limit.is_some() {
                passed += u64::from(took <= allowed);
            }
        }
    }
    // Batch prediction reads, scores and writes a piece at a time, whatever the size of the data.
    let predict = [
        "predict",
        "m.ember",
        "--data",
        "table.csv",
        "--output",
        "p.parquet",
    ];
    let took = peak(folder, &predict).unwrap();
    figures.push(format!("predict: {} MiB", took / MIB));
    total += 1;
    passed += u64::from(took <= allowed);
    println!("R-60: {passed}/{total} {}", figures.join("; "));
    assert_eq!(passed, total, "{figures:#?}");
}

#[test]
fn a_forest_that_the_limit_has_no_room_for_is_refused_with_the_limit_that_would_do() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(&folder.join("table.csv"), 8 * MIB);
    std::fs::write(folder.join("c.toml"), config(Some(MIB), LEARNERS[2])).unwrap();
    let error = fails(folder, &["train", "c.toml", "--quiet"], 3);
    assert!(error.contains("random_forest_classifier"), "{error}");
    let limit = Some(raised(&error));
    std::fs::write(folder.join("c.toml"), config(limit, LEARNERS[2])).unwrap();
    ok(folder, &["train", "c.toml", "--quiet"]);
}

//! The formulas of `docs/scale.md` against what runs on clusters of 1, 2 and 4 executors sent and received.

use std::io::Write;

use emberline::datasets::random::Draw;
use emberline::datasets::spread;
use serde_json::Value;

use crate::support::{Cluster, Job};

/// 13 blocks of 8,192 rows, the last one short: parts are not aligned with the tree of blocks.
const ROWS: usize = 100_000;
const D: usize = 16;
const CLASSES: usize = 5;
const K: usize = 40;

/// Largest whole nodes of the canonical tree over `n` blocks that lie inside these blocks.
fn nodes(n: usize, blocks: std::ops::Range<usize>) -> usize {
    let (mut at, mut count) = (blocks.start, 0);
    while at < blocks.end {
        let whole = |level: u32| {
            let span = 1 << level;
            at.is_multiple_of(span) && (at + span).min(n) <= blocks.end
        };
        let level = (0..usize::BITS - 1).take_while(|l| whole(*l)).last();
        at += 1 << level.unwrap();
        count += 1;
    }
    count
}

fn job(name: &str, data: &str, stages: &str) -> Job {
    Job::new(&format!(
        "name = {name:?}\nseed = 3\n[data]\nsource = {data:?}\nlabel = \"label\"\n\
         [[pipeline]]\nstage = \"vector_assembler\"\ninputs = [\"*\"]\n{stages}"
    ))
}

/// Blobs, as CSV.
fn write(path: &std::path::Path) {
    let draw = Draw::new(5, "blobs");
    let mut out = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    let header: Vec<String> = (0..D).map(|j| format!("x{j}")).collect();
    writeln!(out, "{},label", header.join(",")).unwrap();
    for i in 0..ROWS {
        let class = i % CLASSES;
        for j in 0..D {
            let noise = draw.uniform((i * D + j) as u64);
            let value = ((class * (j + 1)) % 7) as f64 + 3.0 * noise;
            write!(out, "{value:.4},").unwrap();
        }
        writeln!(out, "c{class}").unwrap();
    }
}

/// The `job_computed` events of a run, by the job's name.
fn jobs(job: &Job, name: &str, of: &str) -> Vec<Value> {
    let events = std::fs::read_to_string(job.path("cluster").join("events.jsonl")).unwrap();
    let all = events
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap());
    let found =
        all.filter(|e| e["event"] == "job_computed" && e["stage"] == name && e["job"] == of);
    found.collect()
}

fn answers(event: &Value) -> Vec<f64> {
    let parts = event["parts"].as_array().unwrap();
    parts.iter().map(|p| p["bytes"].as_f64().unwrap()).collect()
}

/// A round's bytes against its formula: at least that, and at most a hundredth and half a kilobyte more for what names things.
fn within(what: &str, formula: f64, measured: f64) {
    assert!(
        (formula..=formula * 1.01 + 512.0).contains(&measured),
        "{what}: {measured} bytes, by the formula {formula}"
    );
}

/// Checks the last rounds of this name, and prints a row of the table in `docs/scale.md`.
fn check(executors: usize, events: &[Value], what: &str, down: f64, partial: f64) {
    let last = events.last().unwrap();
    let sent = last["bytes_sent"].as_f64().unwrap();
    let measured = answers(last);
    assert_eq!(measured.len(), executors, "a part a slot");
    let blocks = ROWS.div_ceil(8192);
    let mut formula = Vec::new();
    for (blocks_of, bytes) in spread(blocks, executors).into_iter().zip(&measured) {
        let up = partial * nodes(blocks, blocks_of) as f64;
        within(&format!("{what}, up"), up, *bytes);
        formula.push(up);
    }
    within(&format!("{what}, down"), down, sent);
    println!(
        "scale: {what}, {executors} executors, {} rounds: down {sent:.0} ({down:.0}) a part, up {:.0} ({:.0}) in all",
        events.len(),
        measured.iter().sum::<f64>(),
        formula.iter().sum::<f64>()
    );
}

#[test]
fn bytes_of_rounds_are_those_of_the_formulas() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("blobs.csv");
    write(&data);
    let data = data.to_str().unwrap();
    let kmeans = job(
        "kmeans",
        data,
        &format!(
            "[[pipeline]]\nstage = \"kmeans\"\nk = {K}\nn_init = 1\nmax_iter = 5\ntol = 0.0\n"
        ),
    );
    let linear = job(
        "linear",
        data,
        "[[pipeline]]\nstage = \"one_vs_rest\"\n\n[pipeline.classifier]\nstage = \"logistic_regression\"\nmax_iter = 5\n",
    );
    let forest = job(
        "forest",
        data,
        "[[pipeline]]\nstage = \"random_forest_classifier\"\nnum_trees = 8\nmax_depth = 8\n",
    );
    let (k, d, c) = (K as f64, D as f64, CLASSES as f64);
    let mut trees = Vec::new();
    for executors in [1, 2, 4] {
        let cluster = Cluster::up(executors, &["--slots", "1"]);
        kmeans.on(&cluster);
        linear.on(&cluster);
        forest.on(&cluster);
        // Centres, and how far each moved; sums, counts and the cost.
        let found = jobs(&kmeans, "kmeans", "kmeans/assign");
        check(
            executors,
            &found,
            "kmeans/assign",
            8.0 * k * (d + 1.0),
            8.0 * (k * (d + 1.0) + 1.0),
        );
        // Coefficients, intercepts, and the units of training; their gradients, loss and margin of each model.
        let found = jobs(&linear, "one_vs_rest", "linear/loss");
        check(
            executors,
            &found,
            "linear/loss",
            8.0 * c * (d + 1.0) + 16.0 * d,
            8.0 * c * (d + 3.0),
        );
        // Every tree once, whoever grew it.
        let found = jobs(&forest, "random_forest_classifier", "tree/grow");
        let sent = found.iter().map(|e| e["bytes_sent"].as_f64().unwrap());
        let sent = sent.sum::<f64>() / found.len() as f64;
        let all: f64 = found.iter().flat_map(answers).sum();
        println!(
            "scale: tree/grow, {executors} executors, {} jobs: down {sent:.0} a part, up {all:.0} in all",
            found.len()
        );
        trees.push(all);
    }
    for all in &trees {
        assert!((all / trees[0] - 1.0).abs() < 0.01, "{trees:?}");
    }
}

//! Forests whose binned rows fit on no executor: histograms and rows of nodes are exchanged between executors.

use std::collections::BTreeSet;
use std::time::Duration;

use emberline::datasets::random::Draw;
use serde_json::Value;

use crate::support::{Cluster, Job, signal};

fn config(name: &str, source: &str, inputs: &[&str], stage: &str) -> Job {
    Job::new(&format!(
        "name = {name:?}\nseed = 42\n[data]\nsource = {source:?}\n[data.split]\ntest = 0.25\n\
         [[pipeline]]\nstage = \"vector_assembler\"\ninputs = {inputs:?}\n[[pipeline]]\n{stage}"
    ))
}

pub fn letters() -> Job {
    config(
        "letters",
        "bundled:letter",
        &["*"],
        "stage = \"random_forest_classifier\"\nnum_trees = 40\n",
    )
}

/// So little that not even the 6,483 rows of bikeshare, some 30 bytes each in a table, take less than half of it.
pub const MEMORY: [&str; 2] = ["--memory", "256KiB"];

/// The jobs of a run, by its events.
pub fn jobs(job: &Job, name: &str) -> BTreeSet<String> {
    let events = std::fs::read_to_string(job.path(name).join("events.jsonl")).unwrap();
    let events = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    events
        .filter_map(|event| Some(event["job"].as_str()?.to_owned()))
        .collect()
}

#[test]
fn forests_that_are_exchanged_between_executors_are_equal_to_the_byte() {
    let jobs_of = [
        letters(),
        config(
            "bikes",
            "bundled:bikeshare",
            &["*", "!mnth", "!weathersit"],
            "stage = \"random_forest_regressor\"\nnum_trees = 10\n",
        ),
        config(
            "one-tree",
            "bundled:pendigits",
            &["*"],
            "stage = \"decision_tree_classifier\"\nimpurity = \"entropy\"\n",
        ),
    ];
    let local: Vec<Vec<u8>> = jobs_of.iter().map(Job::locally).collect();
    let mut passed = 0;
    for executors in [1, 2, 3] {
        let cluster = Cluster::up(executors, &MEMORY);
        for (job, local) in jobs_of.iter().zip(&local) {
            assert!(job.on(&cluster) == *local, "{executors} executors");
            let jobs = jobs(job, "cluster");
            assert!(jobs.contains("tree/sum-nodes"), "{jobs:?}");
            assert!(!jobs.contains("tree/grow"), "{jobs:?}");
            passed += 1;
        }
    }
    println!("exchange: {passed}/9 forests equal on 1, 2 and 3 executors");
}

#[test]
fn an_executor_that_is_killed_during_an_exchange_changes_nothing_but_time() {
    let job = letters();
    let cluster = Cluster::up(2, &MEMORY);
    let once = || job.begin(&cluster, "clean", &["--overwrite"]).finish();
    // The shorter of two: after a run that something held up, kills would come when the next ones are over.
    let ((expected, first), (_, second)) = (once(), once());
    let clean = first.min(second);
    assert!(job.locally() == expected);
    let draw = Draw::new(43, "moments of kills");
    let mut live = 0;
    for i in 0..2 {
        cluster.wait_for(2);
        let training = job.begin(&cluster, "killed", &["--overwrite"]);
        std::thread::sleep(clean.mul_f64(0.3 + 0.5 * draw.uniform(i)));
        live += usize::from(cluster.at_work() > 0);
        signal("KILL", cluster.pids("executor")[i as usize % 2]);
        let (bytes, took) = training.finish();
        assert!(bytes == expected, "kill {i} changed the model");
        let limit = 2 * clean + Duration::from_secs(15);
        assert!(took <= limit, "kill {i}: {took:?}, at most {limit:?}");
    }
    assert!(live > 0, "no kill hit an executor at work");
    println!("exchange: 2/2 kills of executors, {live} at work");
}

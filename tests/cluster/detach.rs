//! Runs whose driver is in the cluster: submitted, followed, stopped, and carried over the end of a scheduler.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Cluster, Job, emberline, said, signal};

/// A run of two seconds and more on two cores, many rounds.
fn kmeans() -> Job {
    Job::new(
        "name = \"letter kmeans\"\nseed = 7\n[data]\nsource = \"bundled:letter\"\n[data.split]\ntest = 0.25\n\
         [[pipeline]]\nstage = \"vector_assembler\"\ninputs = [\"*\"]\n\
         [[pipeline]]\nstage = \"kmeans\"\nk = 60\nn_init = 3\nmax_iter = 120\ntol = 0.0\n",
    )
}

/// A cluster of two executors that keeps its runs in this folder.
fn cluster_with(runs: &tempfile::TempDir) -> Cluster {
    Cluster::up(2, &["--runs-dir", runs.path().to_str().unwrap()])
}

/// What the status says of a detached run.
fn status(cluster: &Cluster, run: &str) -> Option<Value> {
    let status = cluster.status()?;
    let mut all = status["detached"].as_array().unwrap().iter();
    all.find(|r| r["run"] == run).cloned()
}

/// Waits for the end of a detached run.
fn ended(cluster: &Cluster, run: &str) -> Value {
    let started = Instant::now();
    loop {
        match status(cluster, run) {
            Some(found) if found["state"] != "running" => return found,
            found => assert!(started.elapsed() < Duration::from_secs(90), "{found:?}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn logs(cluster: &Cluster, run: &str, arguments: &[&str]) -> String {
    let url = cluster.url();
    let all = [&["cluster", "logs", run, "--scheduler", &url], arguments].concat();
    let output = emberline(&all);
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

/// Waits until so many rounds are in the checkpoint that a kill costs some of them.
fn under_way(job: &Job, name: &str) {
    let started = Instant::now();
    let path = job.path(&format!("{name}.ember.checkpoint"));
    while std::fs::metadata(&path).map_or(0, |m| m.len()) < 100_000 {
        assert!(started.elapsed() < Duration::from_secs(60), "no checkpoint");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_detached_run_is_followed_to_the_model_of_one_machine() {
    let (job, runs) = (kmeans(), tempfile::tempdir().unwrap());
    let cluster = cluster_with(&runs);
    let run = job.detach(&cluster, "detached", &[]);
    assert!(run.starts_with("letter-kmeans-"), "{run}");
    assert_eq!(status(&cluster, &run).unwrap()["state"], "running");
    let followed = logs(&cluster, &run, &["--follow"]);
    let found = ended(&cluster, &run);
    assert_eq!(
        (&found["state"], &found["exit_code"]),
        (&"finished".into(), &0.into())
    );
    assert!(job.model("detached") == job.locally());
    for word in [
        &*run,
        "cluster, 2 executors",
        "kmeans: ",
        "distortion",
        "rows ",
    ] {
        assert!(followed.contains(word), "no `{word}` in {followed}");
    }
    assert_eq!(logs(&cluster, &run, &[]), followed);
    let table = said(&emberline(&[
        "cluster",
        "status",
        "--scheduler",
        &cluster.url(),
    ]));
    assert!(
        table.contains(&run) && table.contains("finished"),
        "{table}"
    );
}

#[test]
fn a_detached_run_that_fails_says_why_and_an_unknown_one_is_named() {
    let runs = tempfile::tempdir().unwrap();
    let cluster = cluster_with(&runs);
    let job =
        Job::new("[data]\nsource = \"gone.csv\"\n[[pipeline]]\nstage = \"standard_scaler\"\n");
    let run = job.detach(&cluster, "failing", &[]);
    let found = ended(&cluster, &run);
    assert_eq!(
        (&found["state"], &found["exit_code"]),
        (&"failed".into(), &3.into())
    );
    assert!(
        found["error"].as_str().unwrap().contains("gone.csv"),
        "{found}"
    );
    assert!(logs(&cluster, &run, &[]).contains("gone.csv"));

    for action in ["logs", "cancel"] {
        let url = cluster.url();
        let output = emberline(&["cluster", action, "nobody-1", "--scheduler", &url]);
        assert_eq!(output.status.code(), Some(2));
        assert!(said(&output).contains("`nobody-1`"), "{}", said(&output));
    }
    let local = said(&job.train("local", "kind = \"local\"", &["--detach"]));
    assert!(local.contains("engine.scheduler"), "{local}");
}

#[test]
fn a_detached_run_is_cancelled_and_its_checkpoint_stays() {
    let (job, runs) = (kmeans(), tempfile::tempdir().unwrap());
    let cluster = cluster_with(&runs);
    let run = job.detach(&cluster, "stopped", &[]);
    under_way(&job, "stopped");
    let url = cluster.url();
    let output = emberline(&["cluster", "cancel", &run, "--scheduler", &url]);
    assert!(output.status.success(), "{}", said(&output));
    let found = ended(&cluster, &run);
    assert_eq!(
        (&found["state"], &found["exit_code"]),
        (&"cancelled".into(), &130.into())
    );
    let again = emberline(&["cluster", "cancel", &run, "--scheduler", &url]);
    assert!(
        said(&again).contains("is cancelled already"),
        "{}",
        said(&again)
    );
    let resumed = job.detach(&cluster, "stopped", &["--resume"]);
    assert_eq!(ended(&cluster, &resumed)["state"], "finished");
    assert!(job.model("stopped") == job.locally());
}

#[test]
fn a_driver_outlives_a_scheduler_that_is_killed() {
    let (job, runs) = (kmeans(), tempfile::tempdir().unwrap());
    let cluster = cluster_with(&runs);
    let run = job.detach(&cluster, "outlived", &[]);
    under_way(&job, "outlived");
    let before = cluster.pids("scheduler");
    signal("KILL", before[0]);
    let found = ended(&cluster, &run);
    assert_ne!(cluster.pids("scheduler"), before, "the kill hit nobody");
    assert_eq!(
        (&found["state"], &found["starts"]),
        (&"finished".into(), &1.into())
    );
    assert!(job.model("outlived") == job.locally());
}

#[test]
fn a_run_whose_driver_dies_with_the_scheduler_goes_on_from_its_checkpoint() {
    let (job, runs) = (kmeans(), tempfile::tempdir().unwrap());
    let cluster = cluster_with(&runs);
    let run = job.detach(&cluster, "both", &["--overwrite"]);
    under_way(&job, "both");
    let driver = status(&cluster, &run).unwrap()["pid"].as_u64().unwrap() as u32;
    signal("KILL", cluster.pids("scheduler")[0]);
    signal("KILL", driver);
    let found = ended(&cluster, &run);
    assert_eq!(
        (&found["state"], &found["starts"]),
        (&"finished".into(), &2.into()),
        "{found}"
    );
    assert!(logs(&cluster, &run, &[]).contains(", resumed"));
    assert!(job.model("both") == job.locally());
}

#[test]
fn a_run_that_was_stopped_with_its_cluster_goes_on_with_the_next_one() {
    let (job, runs) = (kmeans(), tempfile::tempdir().unwrap());
    let cluster = cluster_with(&runs);
    let run = job.detach(&cluster, "next", &[]);
    under_way(&job, "next");
    drop(cluster);
    assert!(job.path("next.ember.checkpoint").exists());
    let cluster = cluster_with(&runs);
    let found = ended(&cluster, &run);
    assert_eq!(
        (&found["state"], &found["starts"]),
        (&"finished".into(), &2.into()),
        "{found}"
    );
    assert!(job.model("next") == job.locally());
}

//! What happens when processes are killed, stopped, or were never there. Each test proves that its fault fired.

use std::time::{Duration, Instant};

use emberline::datasets::random::Draw;

use crate::jobs::{config, forest, kmeans, logistic};
use crate::support::{Cluster, signal, size};

#[test]
fn r_41_an_executor_that_is_killed_changes_nothing_but_time() {
    let kills = size("EMBERLINE_EXECUTOR_KILLS", 3);
    let jobs = [kmeans(), forest(600), logistic()];
    let cluster = Cluster::up(2, &[]);
    let clean: Vec<(Vec<u8>, Duration)> = jobs
        .iter()
        .map(|job| job.begin(&cluster, "clean", &["--overwrite"]).finish())
        .collect();
    for (job, (bytes, _)) in jobs.iter().zip(&clean) {
        assert!(job.locally() == *bytes);
    }
    let draw = Draw::new(41, "moments of kills");
    let (mut live, mut slowest) = (0, 0.0_f64);
    for i in 0..kills {
        let (job, (expected, time)) = (&jobs[i % 3], &clean[i % 3]);
        cluster.wait_for(2);
        let training = job.begin(&cluster, "killed", &["--overwrite"]);
        std::thread::sleep(time.mul_f64(draw.uniform(i as u64)));
        let victims = cluster.pids("executor");
        live += usize::from(cluster.at_work() > 0);
        signal(
            "KILL",
            victims[draw.bits(i as u64) as usize % victims.len()],
        );
        let (bytes, took) = training.finish();
        assert!(bytes == *expected, "kill {i} changed the model");
        let limit = 2 * *time + Duration::from_secs(15);
        assert!(took <= limit, "kill {i}: {took:?}, at most {limit:?}");
        slowest = slowest.max(took.as_secs_f64());
    }
    assert!(live > 0, "no kill hit an executor at work");
    println!(
        "R-41: {kills}/{kills} kills of executors, {live} at work, slowest run {slowest:.1} s"
    );
}

#[test]
fn r_42_a_scheduler_that_is_killed_is_started_again_and_the_run_goes_on() {
    let kills = size("EMBERLINE_SCHEDULER_KILLS", 2);
    let job = kmeans();
    let cluster = Cluster::up(2, &[]);
    let (expected, clean) = job.begin(&cluster, "clean", &["--overwrite"]).finish();
    let draw = Draw::new(42, "moments of kills");
    for i in 0..kills {
        cluster.wait_for(2);
        let before = cluster.pids("scheduler");
        let training = job.begin(&cluster, "killed", &["--overwrite"]);
        std::thread::sleep(clean.mul_f64(0.9 * draw.uniform(i as u64)));
        signal("KILL", before[0]);
        let (bytes, _) = training.finish();
        assert!(bytes == expected, "kill {i} changed the model");
        assert_ne!(cluster.pids("scheduler"), before, "kill {i} hit nobody");
    }
    println!("R-42: {kills}/{kills} kills of the scheduler");
}

#[test]
fn r_43_a_driver_that_is_killed_resumes_to_the_same_model() {
    let job = kmeans();
    let cluster = Cluster::up(2, &[]);
    let (expected, clean) = job.begin(&cluster, "clean", &["--overwrite"]).finish();
    let training = job.begin(&cluster, "resumed", &[]);
    std::thread::sleep(clean / 2);
    signal("KILL", training.child.id());
    let (code, _, _) = training.fail();
    assert_eq!(code, -1, "the driver was not killed");
    assert!(job.path("resumed.ember.checkpoint").exists());
    let (bytes, _) = job.begin(&cluster, "resumed", &["--resume"]).finish();
    assert!(bytes == expected);
    println!("R-43: 1/1 driver of a cluster resumed");
}

#[test]
fn r_44_without_any_executor_a_run_ends_with_an_error_and_not_in_silence() {
    let cluster = Cluster::up(1, &["--grace", "2", "--no-restart"]);
    // Minutes of work, so that none of it is done when the executor goes.
    let job = config(
        "long",
        "[[pipeline]]\nstage = \"kmeans\"\nk = 500\nn_init = 50\nmax_iter = 1000\ntol = 0.0\n",
    );
    let training = job.begin(&cluster, "lost", &["--overwrite"]);
    let begun = Instant::now();
    while cluster.at_work() == 0 {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "the run did not begin"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    cluster
        .pids("executor")
        .iter()
        .for_each(|pid| signal("KILL", *pid));
    let started = Instant::now();
    let (code, said, _) = training.fail();
    let took = started.elapsed();
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("has no executor"), "{said}");
    // Lost after 5 s without a heartbeat, and 2 s of grace.
    assert!(took < Duration::from_secs(20), "it took {took:?}");
    println!(
        "R-44: 1/1 runs without executors ended after {:.1} s",
        took.as_secs_f64()
    );
}

#[test]
fn r_49_runs_that_are_stopped_leave_no_slot_taken() {
    let cycles = size("EMBERLINE_CANCELS", 10);
    let job = kmeans();
    let cluster = Cluster::up(2, &[]);
    let (expected, clean) = job.begin(&cluster, "clean", &["--overwrite"]).finish();
    let draw = Draw::new(49, "moments of stops");
    let mut stopped = 0;
    for i in 0..cycles {
        let training = job.begin(&cluster, "stopped", &["--overwrite"]);
        std::thread::sleep(clean.mul_f64(0.2 + 0.5 * draw.uniform(i as u64)));
        signal("INT", training.child.id());
        let (code, said, _) = training.fail();
        assert!(code == 130 || code == 0, "{said}");
        stopped += usize::from(code == 130);
    }
    assert!(stopped > 0, "no run was stopped");
    let settled = Instant::now();
    while cluster.at_work() > 0 {
        assert!(
            settled.elapsed() < Duration::from_secs(10),
            "slots are taken"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    let (bytes, took) = job.begin(&cluster, "after", &["--overwrite"]).finish();
    assert!(bytes == expected);
    // Twice the clean time and a second: other work of this machine counts, a slot that is gone would double it.
    assert!(
        took < clean.mul_f64(2.0) + Duration::from_secs(1),
        "{took:?}, clean {clean:?}"
    );
    println!(
        "R-49: {stopped}/{cycles} runs stopped, the next took {:.1} s, clean {:.1} s",
        took.as_secs_f64(),
        clean.as_secs_f64()
    );
}

#[test]
fn a_cluster_that_is_not_there_is_named() {
    let job = kmeans();
    let cluster = Cluster::up(1, &[]);
    let url = cluster.url();
    drop(cluster);
    let output = crate::support::emberline(&["cluster", "status", "--scheduler", &url]);
    assert_eq!(output.status.code(), Some(5));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains(&url) && said.contains("cannot be reached"),
        "{said}"
    );
    drop(job);
}

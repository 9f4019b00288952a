//! The load of many executors on the scheduler and the driver: the scheduler is a process of its own, the executors are real ones with nothing
//! to compute, all in this process, and every message is real.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use emberline_cluster::{Client, ClientOptions, ExecutorOptions, Job, Task, Worker, run_executors};

use crate::support::{PROGRAM, alone, free_port};

/// Answers with as many bytes as the part asks for, and panics where it asks for none.
struct Idle;

impl Worker for Idle {
    fn compute(&self, task: &Task<'_>) -> Vec<u8> {
        let bytes = u32::from_le_bytes(task.part.try_into().unwrap());
        assert!(bytes > 0, "a part of no bytes");
        vec![0; bytes as usize]
    }

    fn scatter(&self, _: &Task<'_>, _: usize) -> Vec<Vec<u8>> {
        unreachable!("no job of these tests has groups")
    }

    fn gather(&self, _: &Task<'_>, _: usize, _: &[Vec<u8>]) -> Vec<u8> {
        unreachable!("no job of these tests has groups")
    }

    fn status(&self) -> serde_json::Value {
        serde_json::json!({ "partitions": 0, "rows": 0, "held": 0, "memory_limit": 0 })
    }
}

struct Scheduler(Child);

impl Drop for Scheduler {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// CPU seconds of a process or thread, from its `stat`.
fn cpu(stat: &Path) -> f64 {
    let text = std::fs::read_to_string(stat).unwrap_or_default();
    let fields: Vec<&str> = text
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks = |i: usize| fields.get(i).map_or(0.0, |t| t.parse::<f64>().unwrap());
    // utime and stime are fields 14 and 15 of `man 5 proc`; the second is `)`. A tick is a hundredth of a second.
    (ticks(11) + ticks(12)) / 100.0
}

/// CPU seconds of the driver's threads, and of all others of this process.
fn own_cpu() -> (f64, f64) {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let of_driver = threads.filter(|thread| {
        let name = std::fs::read_to_string(thread.path().join("comm"));
        name.is_ok_and(|name| name.starts_with("emberline-clien"))
    });
    let driver: f64 = of_driver
        .map(|thread| cpu(&thread.path().join("stat")))
        .sum();
    (driver, cpu(Path::new("/proc/self/stat")) - driver)
}

/// MiB that a process holds.
fn resident(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().unwrap();
    kib / 1024.0
}

fn job(parts: usize, state: usize, answer: u32, number: usize) -> Job {
    Job {
        name: format!("round {number}"),
        run: "simulation".to_owned(),
        pool: "default".to_owned(),
        affinity: [7; 32],
        payload: vec![1; state].into(),
        parts: vec![answer.to_le_bytes().to_vec(); parts],
        groups: 0,
    }
}

/// The next free port: below those that systems deal out by themselves.
static PORT: AtomicU16 = AtomicU16::new(14_000);

/// A scheduler in a process of its own.
fn scheduler() -> (Scheduler, String) {
    let url = format!("http://127.0.0.1:{}", free_port());
    let child = Command::new(PROGRAM)
        .args([
            "cluster",
            "scheduler",
            "--no-detach",
            "--executor-timeout",
            "60",
        ])
        .args(["--listen", url.strip_prefix("http://").unwrap()])
        .stdout(Stdio::null())
        .spawn();
    (Scheduler(child.unwrap()), url)
}

/// A client of so many executors in this process, once all are there. They end when their scheduler is gone.
fn executors(n: usize, url: &str, folder: &Path) -> Client {
    let options = |i: usize| ExecutorOptions {
        scheduler: url.to_owned(),
        listen: SocketAddr::from(([127, 0, 0, 1], PORT.fetch_add(2, Ordering::Relaxed))),
        advertise: None,
        token: None,
        tls: None,
        slots: 1,
        work_dir: Some(folder.join(i.to_string())),
        wait: Duration::from_secs(60),
    };
    let options: Vec<ExecutorOptions> = (0..n).map(options).collect();
    std::thread::spawn(move || run_executors(options, Arc::new(Idle)));
    let client = Client::new(ClientOptions::new(url)).unwrap();
    let began = Instant::now();
    loop {
        let there = client.status().map_or(0, |s| s.executors.len());
        if there == n {
            return client;
        }
        assert!(
            began.elapsed() < Duration::from_secs(120),
            "{there} of {n} came"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn many_executors_are_served_by_one_scheduler_and_one_driver() {
    let n: usize =
        std::env::var("EMBERLINE_SIMULATED_EXECUTORS").map_or(20, |v| v.parse().unwrap());
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let (scheduler, url) = scheduler();
    let pid = scheduler.0.id();
    let scheduler_cpu = || cpu(Path::new(&format!("/proc/{pid}/stat")));

    let began = Instant::now();
    let client = executors(n, &url, folder.path());
    let came = began.elapsed().as_secs_f64();

    // Nothing to do: heartbeats and reports.
    let before = scheduler_cpu();
    std::thread::sleep(Duration::from_secs(5));
    let idle = (scheduler_cpu() - before) / 5.0;
    println!(
        "simulation: {n} executors in {came:.1} s; with nothing to do the scheduler takes {:.1} % of a core",
        idle * 100.0
    );

    for (state, answer) in [(0, 8), (32 << 10, 32 << 10)] {
        let mut number = 0;
        let mut round = || {
            number += 1;
            let started = Instant::now();
            let answers = client
                .submit(&job(n, state, answer, number), &|| false)
                .unwrap();
            assert_eq!(answers.len(), n);
            assert!(answers.iter().all(|a| a.bytes.len() == answer as usize));
            started.elapsed().as_secs_f64() * 1e3
        };
        let first = round();
        round();
        let rounds = 10;
        let before = (scheduler_cpu(), own_cpu());
        let mut ms: Vec<f64> = (0..rounds).map(|_| round()).collect();
        let after = (scheduler_cpu(), own_cpu());
        ms.sort_by(f64::total_cmp);
        let per_part = |seconds: f64| seconds * 1e3 / (rounds * n) as f64;
        println!(
            "simulation: rounds of {n} parts, {state} bytes down and {answer} up: {:.0} / {:.0} / {:.0} ms (least, median, most; the first {first:.0}); \
             CPU a part: scheduler {:.2} ms, driver {:.2} ms, executors {:.2} ms; scheduler {:.0} MiB, driver and executors {:.0} MiB",
            ms[0],
            ms[rounds / 2],
            ms[rounds - 1],
            per_part(after.0 - before.0),
            per_part(after.1.0 - before.1.0),
            per_part(after.1.1 - before.1.1),
            resident(pid),
            resident(std::process::id()),
        );
        // An empty round of 20 parts takes a twentieth of that; more would be parts that wait for each other.
        assert!(ms[rounds / 2] < 50.0 * n as f64 + 1e3, "{ms:?}");
    }

    // Parts that panic fail their job, and leave their executors alive. Here rather than in a test of its own: executors that lose their
    // scheduler take those of the same process with them.
    let failed = client.submit(&job(n, 0, 0, 0), &|| false).unwrap_err();
    assert!(
        failed.to_string().contains("a part of no bytes"),
        "{failed}"
    );
    assert_eq!(client.submit(&job(n, 0, 8, 1), &|| false).unwrap().len(), n);
}

//! Executors that are stopped for a while, or that compute at a tenth of their rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use emberline::datasets::random::Draw;

use crate::jobs::{forest, kmeans};
use crate::support::{Cluster, signal, size};

/// Runs for a tenth of the time until it is dropped.
struct Slowed {
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Slowed {
    fn to_a_tenth(pid: u32) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let until = over.clone();
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                signal("STOP", pid);
                std::thread::sleep(Duration::from_millis(90));
                signal("CONT", pid);
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        Self {
            over,
            thread: Some(thread),
        }
    }

    fn stopped(pid: u32, time: Duration) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn(move || {
            signal("STOP", pid);
            std::thread::sleep(time);
            signal("CONT", pid);
        });
        Self {
            over,
            thread: Some(thread),
        }
    }
}

impl Drop for Slowed {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

#[test]
fn r_46_a_straggler_is_overtaken_and_its_late_answers_are_ignored() {
    let times = size("EMBERLINE_STRAGGLERS", 4);
    // Many short rounds; a few long parts.
    let jobs = [kmeans(), forest(150)];
    let draw = Draw::new(46, "moments of stops");
    let (mut overtaken, mut aside, mut worst) = (0, 0, 0.0_f64);
    for i in 0..times {
        let job = &jobs[i % 2];
        let cluster = Cluster::up(2, &[]);
        let (expected, clean) = job.begin(&cluster, "clean", &["--overwrite"]).finish();
        let pid = cluster.pids("executor")[0];
        let training = job.begin(&cluster, "slow", &["--overwrite"]);
        let slowed = if i % 4 < 2 {
            Slowed::to_a_tenth(pid)
        } else {
            std::thread::sleep(clean.mul_f64(draw.uniform(i as u64)));
            // Half of the stops end while the run goes on, so that late answers come.
            let seconds = if i % 8 < 4 { 10 } else { 2 };
            Slowed::stopped(pid, Duration::from_secs(seconds))
        };
        let (bytes, took) = training.finish();
        let status = cluster.status().unwrap_or_default();
        drop(slowed);
        assert!(bytes == expected, "straggler {i} changed the model");
        // Half a second until a part is late, or a second until an answer is; then the other executor reads what it does not have.
        let limit = clean.mul_f64(2.5) + Duration::from_secs(3);
        println!(
            "straggler {i}: {:.1} s, clean {:.1} s, {} run twice, {} overtaken",
            took.as_secs_f64(),
            clean.as_secs_f64(),
            status["repeated"],
            status["overtaken"]
        );
        assert!(took <= limit, "straggler {i}: {took:?}, at most {limit:?}");
        worst = worst.max(took.as_secs_f64() / clean.as_secs_f64());
        overtaken += usize::from(status["overtaken"].as_u64() > Some(0));
        let executors = status["executors"].as_array().cloned().unwrap_or_default();
        aside += usize::from(executors.iter().any(|e| e["set_aside"] == true));
        // It is back, and what it may have to say late is ignored.
        let (bytes, _) = job.begin(&cluster, "after", &["--overwrite"]).finish();
        assert!(bytes == expected);
    }
    assert!(overtaken + aside > 0, "nobody was overtaken");
    println!(
        "R-46: {times}/{times} stragglers, {overtaken} overtaken, {aside} set aside, at most {worst:.1} times the clean run"
    );
}

//! Runs over a network that breaks, loses and delays: between driver, scheduler and executors, in all directions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use emberline::datasets::random::Draw;

use crate::jobs::{config, kmeans};
use crate::proxy::{HOST, Network, Weather};
use crate::support::{Process, alone, free_port, size, start, wait_for};

/// What a service manager does: who ends is started again. Executors end when their scheduler is away.
struct Kept {
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Kept {
    fn up(roles: Vec<Vec<String>>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let until = over.clone();
        let thread = std::thread::spawn(move || {
            let begin =
                |role: &Vec<String>| start(&role.iter().map(String::as_str).collect::<Vec<_>>());
            let mut up: Vec<Process> = roles.iter().map(begin).collect();
            while !until.load(Ordering::Relaxed) {
                for (process, role) in up.iter_mut().zip(&roles) {
                    if process.has_ended() {
                        *process = begin(role);
                    }
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        Self {
            over,
            thread: Some(thread),
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

#[test]
fn r_45_a_network_that_breaks_changes_nothing_but_time() {
    let _alone = alone();
    let faults = size("EMBERLINE_CUTS", 4);
    let network = Network::new();
    let scheduler = free_port();
    network.carry(scheduler);
    let url = format!("http://{HOST}:{scheduler}");
    let words = |text: String| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
    let mut roles = vec![words(format!(
        "cluster scheduler --listen 127.0.0.1:{scheduler} --advertise {HOST}"
    ))];
    for _ in 0..2 {
        let port = free_port();
        network.carry(port);
        network.carry(port + 1);
        roles.push(words(format!(
            "cluster executor --scheduler {url} --port {port} --advertise {HOST} --slots 1"
        )));
    }
    let _roles = Kept::up(roles);
    wait_for(&url, 2);
    let engine = format!("kind = \"cluster\"\nscheduler = {url:?}\ncheckpoint_interval = 0.0");
    let job = kmeans();
    job.begin_on(&engine, "warm", &["--overwrite"]).finish();
    let (expected, clean) = job.begin_on(&engine, "clean", &["--overwrite"]).finish();
    assert!(job.locally() == expected);

    let seconds = Duration::from_secs;
    let kinds = [
        (Weather::Cut, seconds(1)),
        (Weather::Held, seconds(5)),
        (Weather::LostThere, seconds(1)),
        (Weather::LostBack, seconds(1)),
        (Weather::Cut, seconds(5)),
        (Weather::Held, seconds(1)),
        (Weather::LostThere, seconds(5)),
        (Weather::Cut, seconds(20)),
        (Weather::Held, seconds(20)),
        (Weather::LostBack, seconds(5)),
    ];
    let draw = Draw::new(45, "moments of faults");
    let mut slowest = 0.0_f64;
    for i in 0..faults {
        wait_for(&url, 2);
        let (weather, time) = kinds[i % kinds.len()];
        let before = network.touched.load(Ordering::Relaxed);
        let training = job.begin_on(&engine, "cut", &["--overwrite"]);
        std::thread::sleep(clean.mul_f64(0.2 + 0.6 * draw.uniform(i as u64)));
        network.set(weather);
        std::thread::sleep(time);
        network.set(Weather::Fair);
        let (bytes, took) = training.finish();
        println!(
            "fault {i}: {weather:?} for {time:?}, run {:.1} s, clean {:.1} s",
            took.as_secs_f64(),
            clean.as_secs_f64()
        );
        assert!(bytes == expected, "fault {i} changed the model");
        let touched = network.touched.load(Ordering::Relaxed);
        assert!(touched > before, "fault {i} touched no connection");
        // A dead connection is found after 20 s (a message every 10 s, an answer within 10 s), executors are lost after 5 s and
        // back after some more.
        let limit = clean.mul_f64(2.5) + time + seconds(30);
        assert!(took <= limit, "fault {i}: {took:?}, at most {limit:?}");
        slowest = slowest.max((took.saturating_sub(time)).as_secs_f64());
    }

    // A few rounds over a slow line: 200 ms from a message to its answer.
    wait_for(&url, 2);
    let few = config(
        "few",
        "[[pipeline]]\nstage = \"kmeans\"\nk = 10\nn_init = 1\nmax_iter = 2\ntol = 0.0\n",
    );
    network.set(Weather::Late(Duration::from_millis(100)));
    let (bytes, late) = few.begin_on(&engine, "late", &["--overwrite"]).finish();
    network.set(Weather::Fair);
    assert!(bytes == few.locally());
    assert!(late < seconds(60), "over a slow line it took {late:?}");
    println!(
        "R-45: {faults}/{faults} faults of the network, at most {slowest:.1} s beyond the fault (clean {:.1} s); 1/1 run with 200 ms to an answer, {:.1} s",
        clean.as_secs_f64(),
        late.as_secs_f64()
    );
}

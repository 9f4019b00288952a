//! Jobs of bytes without an engine: workers that panic, and jobs that are large. Scheduler and executors are threads of this process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use emberline::cluster::{ExecutorOptions, SchedulerOptions, run_executor, run_scheduler};
use emberline_cluster::{Client, ClientOptions, ClusterError, Job, Task, Worker};

/// What a part says: how to panic (0: not at all), and a number to double.
struct Doubles;

/// Ways to panic, and what is said of them.
const WAYS: [&str; 10] = [
    "a plain text",
    "a text with 7",
    "called `Option::unwrap()` on a `None` value",
    "index out of bounds",
    "attempt to divide by zero",
    "out of range",
    "RefCell",
    "assertion `left == right` failed",
    "what was expected: ",
    "the task panicked",
];

fn panic_as(way: u8, number: u8) {
    let number = usize::from(number);
    let one = std::hint::black_box(vec![1]);
    match way {
        0 => {}
        1 => panic!("a plain text"),
        2 => panic!("a text with {}", 6 + one[0]),
        3 => drop(one.get(5).copied().unwrap()),
        4 => drop(std::hint::black_box(one[number + 5])),
        5 => drop(number / std::hint::black_box(one.len() - 1)),
        6 => drop(one[number + 2..].to_vec()),
        7 => {
            let cell = std::cell::RefCell::new(1);
            let _held = cell.borrow_mut();
            drop(std::hint::black_box(cell.borrow()));
        }
        8 => assert_eq!(one.len(), 2),
        9 => drop("x".parse::<u32>().expect("what was expected")),
        _ => std::panic::panic_any(7),
    }
}

impl Worker for Doubles {
    fn compute(&self, task: &Task<'_>) -> Vec<u8> {
        panic_as(task.part[0], task.part[1]);
        vec![task.part[1] * 2, task.payload.len().to_le_bytes()[0]]
    }

    fn scatter(&self, _: &Task<'_>, _: usize) -> Vec<Vec<u8>> {
        unreachable!("no job of these tests has groups")
    }

    fn gather(&self, _: &Task<'_>, _: usize, _: &[Vec<u8>]) -> Vec<u8> {
        unreachable!("no job of these tests has groups")
    }

    fn status(&self) -> serde_json::Value {
        panic!("a worker that cannot tell how it is");
    }
}

/// Panics of workers are what is tested, so they are not shown; those of tests are.
fn hide_panics_of_workers() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let shown = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let thread = std::thread::current();
            let name = thread.name().unwrap_or_default();
            if !name.starts_with("tokio") && name != "task_runner" {
                shown(info);
            }
        }));
    });
}

/// A cluster inside this process, which ends with it; its client.
fn cluster(executors: usize, slots: usize) -> Client {
    hide_panics_of_workers();
    let (tell, addresses) = channel();
    std::thread::spawn(move || {
        let options = SchedulerOptions {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            ..SchedulerOptions::default()
        };
        run_scheduler(options, |address| tell.send(address).unwrap()).unwrap();
    });
    let scheduler = format!("http://{}", addresses.recv().unwrap());
    for _ in 0..executors {
        let options = ExecutorOptions {
            scheduler: scheduler.clone(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            advertise: None,
            token: None,
            tls: None,
            slots,
            work_dir: None,
            wait: Duration::from_secs(10),
        };
        std::thread::spawn(move || run_executor(options, Arc::new(Doubles), |_| {}).unwrap());
    }
    let client = Client::new(ClientOptions::new(scheduler)).unwrap();
    let started = Instant::now();
    while client.status().map_or(0, |s| s.executors.len()) < executors {
        assert!(started.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(20));
    }
    client
}

fn job(payload: usize, parts: Vec<Vec<u8>>) -> Job {
    Job {
        name: "double".to_owned(),
        run: "bytes".to_owned(),
        pool: "default".to_owned(),
        affinity: [7; 32],
        payload: vec![0; payload].into(),
        parts,
        groups: 0,
    }
}

fn ids(client: &Client) -> Vec<String> {
    let status = client.status().unwrap();
    status.executors.into_iter().map(|e| e.id).collect()
}

#[test]
fn r_48_a_panic_anywhere_is_an_error_with_its_message_and_the_next_job_is_right() {
    let client = cluster(2, 2);
    let before = ids(&client);
    let mut passed = 0;
    for (way, text) in WAYS.iter().enumerate() {
        for place in 0..5 {
            let parts = |way: u8| -> Vec<Vec<u8>> {
                let way = |i: u8| if i == place { way } else { 0 };
                (0..5).map(|i| vec![way(i), i]).collect()
            };
            let error = client.submit(&job(0, parts(way as u8 + 1)), &|| false);
            let Err(ClusterError::Failed { message, .. }) = error else {
                panic!("way {way}, part {place}: {error:?}");
            };
            assert!(message.contains(text), "{message}");
            let answers = client.submit(&job(3, parts(0)), &|| false).unwrap();
            let answers: Vec<Vec<u8>> = answers.into_iter().map(|a| a.bytes).collect();
            assert_eq!(answers, (0..5).map(|i| vec![i * 2, 3]).collect::<Vec<_>>());
            assert_eq!(ids(&client), before);
            passed += 1;
        }
    }
    println!("R-48: {passed}/50 panics told, no executor lost, the next job right");
}

#[test]
fn jobs_whose_tasks_together_are_larger_than_a_message_are_dealt_in_turns_and_larger_ones_are_refused()
 {
    let client = cluster(1, 4);
    let before = ids(&client);
    let parts = |n: u8| (0..n).map(|i| vec![0, i]).collect();
    // Four at a time are 24 MiB, a message holds 16. Ballista would drop the executor and send them again, without end.
    let started = Instant::now();
    let answers = client.submit(&job(6 << 20, parts(12)), &|| false).unwrap();
    assert_eq!(answers.len(), 12);
    for (i, answer) in answers.iter().enumerate() {
        assert_eq!(answer.bytes[0], 2 * i as u8);
    }
    let took = started.elapsed();
    assert!(took < Duration::from_secs(20), "it took {took:?}");
    let error = client.submit(&job(16 << 20, parts(1)), &|| false);
    let Err(ClusterError::Failed { message, .. }) = error else {
        panic!("{error:?}");
    };
    assert!(message.contains("a message holds 16777216"), "{message}");
    assert_eq!(ids(&client), before);
    println!(
        "large jobs: 1/1 dealt in turns, {:.1} s; 1/1 refused",
        took.as_secs_f64()
    );
}

//! Clocks on the wall that are wrong, or set while a run is at work. Clocks are those of libfaketime, a package of the distribution.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::jobs::kmeans;
use crate::support::{alone, executors, free_port, start_with, status, wait_for};

/// The library that shows a process another time: the one that EMBERLINE_FAKETIME names, that of the package, or the package is installed.
fn faketime() -> PathBuf {
    if let Some(named) = std::env::var_os("EMBERLINE_FAKETIME") {
        return named.into();
    }
    let installed = || {
        let folders = std::fs::read_dir("/usr/lib")
            .into_iter()
            .flatten()
            .flatten();
        let file = |f: std::fs::DirEntry| f.path().join("faketime/libfaketime.so.1");
        folders.map(file).find(|p| p.exists())
    };
    installed().unwrap_or_else(|| {
        for arguments in [
            &["update", "-qq"][..],
            &["install", "-y", "-qq", "libfaketime"],
        ] {
            let _ = Command::new("apt-get").args(arguments).output();
        }
        installed().expect(
            "these tests need libfaketime: install the package of that name, or name the library in EMBERLINE_FAKETIME",
        )
    })
}

#[test]
fn r_47_wrong_clocks_and_jumps_of_a_day_lose_no_executor() {
    let _alone = alone();
    let library = faketime();
    let folder = tempfile::tempdir().unwrap();
    // Written anew as a whole: who reads it never finds half of it.
    let set = |path: &Path, time: &str| {
        let new = path.with_extension("new");
        std::fs::write(&new, time).unwrap();
        std::fs::rename(new, path).unwrap();
    };
    let names = ["scheduler", "first", "second"];
    let clocks = names.map(|name| folder.path().join(name));
    for (clock, time) in clocks.iter().zip(["+0", "+3600", "-3600"]) {
        set(clock, time);
    }
    let begin = |arguments: &str, clock: &Path| {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let variables = [
            ("LD_PRELOAD", library.to_str().unwrap()),
            ("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap()),
            ("FAKETIME_CACHE_DURATION", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        start_with(&arguments, &variables)
    };
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let _scheduler = begin(
        &format!("cluster scheduler --listen 127.0.0.1:{port}"),
        &clocks[0],
    );
    let executor = format!("cluster executor --scheduler {url} --slots 1");
    let _executors = [begin(&executor, &clocks[1]), begin(&executor, &clocks[2])];
    wait_for(&url, 2);
    let before = executors(&url);

    let job = kmeans();
    let expected = job.locally();
    let engine = format!("kind = \"cluster\"\nscheduler = {url:?}");
    let mut passed = 0;
    // An hour before and behind the scheduler; then all clocks are set while a run is at work.
    let jumps: [Option<[&str; 3]>; 5] = [
        None,
        Some(["+86400", "+3600", "-3600"]),
        Some(["+0", "+3600", "-3600"]),
        Some(["+0", "+86400", "-86400"]),
        Some(["-86400", "-86400", "+86400"]),
    ];
    for jump in jumps {
        let training = job.begin_on(&engine, "clocks", &["--overwrite"]);
        if let Some(times) = jump {
            std::thread::sleep(Duration::from_millis(500));
            clocks
                .iter()
                .zip(times)
                .for_each(|(clock, time)| set(clock, time));
            // Long enough for every clock to be read, and for who is not heard of to be lost.
            for _ in 0..8 {
                std::thread::sleep(Duration::from_secs(1));
                let status = status(&url).expect("the scheduler answers");
                assert_eq!(status["executors"].as_array().unwrap().len(), 2, "{jump:?}");
            }
        }
        let (bytes, _) = training.finish();
        assert!(bytes == expected, "{jump:?} changed the model");
        assert_eq!(executors(&url), before, "{jump:?} lost an executor");
        passed += 1;
    }
    println!("R-47: {passed}/5 runs under wrong clocks, 0 executors lost");
}

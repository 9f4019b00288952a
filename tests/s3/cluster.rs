//! Executors of a cluster that read objects and write folders of objects, each with the environment it was started in.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::store::{CLEARED, Store, run_with};
use crate::{config, table, write};

type Variables = Vec<(&'static str, String)>;

/// A scheduler and two executors with these variables; they end with this.
struct Cluster {
    child: Child,
    url: String,
}

impl Cluster {
    fn up(folder: &Path, variables: &Variables) -> Self {
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut command = Command::new(env!("CARGO_BIN_EXE_emberline"));
        for name in CLEARED {
            command.env_remove(name);
        }
        let child = command
            .current_dir(folder)
            .args(["cluster", "up", "--no-detach", "--executors", "2"])
            .args(["--port", &port.to_string()])
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(variables.iter().map(|(k, v)| (k, v)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let cluster = Self {
            child,
            url: format!("http://127.0.0.1:{port}"),
        };
        let started = Instant::now();
        while cluster.executors() < 2 {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "the cluster did not come up"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        cluster
    }

    fn executors(&self) -> usize {
        let args = ["cluster", "status", "--json", "--scheduler", &self.url];
        let output = run_with(Path::new("."), &args, &[]);
        let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        status["executors"].as_array().map_or(0, Vec::len)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Scheduler and executors end when their parent does.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Trains on `source`; the exit code and what went wrong.
fn train(folder: &Path, source: &str, variables: &Variables, more: &[&str]) -> (i32, String) {
    let mut variables = variables.clone();
    variables.push(("SOURCE", source.to_owned()));
    let args = [&["train", "c.toml", "--overwrite", "--quiet"], more].concat();
    let output = run_with(folder, &args, &variables);
    let error = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), error)
}

fn set(url: &str) -> String {
    format!("engine.scheduler={url}")
}

#[test]
fn executors_read_objects_and_write_folders_of_objects_themselves() {
    let (store, folder) = (Store::shared(), tempfile::tempdir().unwrap());
    let folder = folder.path();
    store.bucket("lake");
    let rows = 30_000;
    let csv = write(folder, "t.csv", table(rows, 0));
    store.put("lake", "in/t.csv", &csv);
    write(folder, "c.toml", config("${SOURCE}", "m.ember"));
    let environment = store.environment();
    let model = || std::fs::read(folder.join("m.ember")).unwrap();
    assert_eq!(
        train(folder, "t.csv", &environment, &[]),
        (0, String::new())
    );
    let local = model();

    let cluster = Cluster::up(folder, &environment);
    let url = cluster.url.clone();
    let on = ["--set", "engine.kind=cluster", "--set", &set(&url)];
    let source = "s3://lake/in/t.csv";
    assert_eq!(train(folder, source, &environment, &on), (0, String::new()));
    assert!(model() == local, "the models differ");

    let predict = |source: &str, output: &str, more: &[&str]| {
        let args = ["predict", "m.ember", "--data", source, "--output", output];
        let format = ["--output-format", "csv"];
        store.ok(folder, &[&args[..], &format, more].concat());
    };
    predict("t.csv", "out/", &[]);
    predict(source, "s3://lake/out/", &["--scheduler", &url]);
    let manifest: Value = serde_json::from_slice(&store.get("lake", "out/_manifest.json")).unwrap();
    assert_eq!(manifest["rows"], rows);
    let mut keys = store.list("lake");
    keys.retain(|key| key.ends_with(".csv") && key.starts_with("out/"));
    assert_eq!(keys.len(), manifest["files"].as_array().unwrap().len());
    assert_eq!(keys.len(), 2, "a file an executor: {keys:?}");
    let lines = |text: Vec<u8>| -> Vec<String> {
        let text = String::from_utf8(text).unwrap();
        text.lines().skip(1).map(str::to_owned).collect()
    };
    let there = keys.iter().flat_map(|key| lines(store.get("lake", key)));
    let mut files: Vec<_> = std::fs::read_dir(folder.join("out"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "csv"))
        .collect();
    files.sort();
    let here = files
        .iter()
        .flat_map(|file| lines(std::fs::read(file).unwrap()));
    assert!(there.eq(here), "the predictions differ");
}

#[test]
fn executors_ask_a_store_with_the_rights_of_their_own_environment() {
    let (store, folder) = (Store::start(), tempfile::tempdir().unwrap());
    let folder = folder.path();
    store.bucket("rights");
    let csv = write(folder, "t.csv", table(30_000, 0));
    store.put("rights", "t.csv", &csv);
    write(folder, "c.toml", config("${SOURCE}", "m.ember"));
    let keys = store.call(&serde_json::json!({ "do": "strict" }));
    let with = |user: usize| store.environment_of(&keys[user]);
    let (reader, nobody) = (with(1), with(2));
    let source = "s3://rights/t.csv";
    for (executors, may) in [(&reader, true), (&nobody, false)] {
        let cluster = Cluster::up(folder, executors);
        let on = ["--set", "engine.kind=cluster", "--set", &set(&cluster.url)];
        let (code, error) = train(folder, source, &reader, &on);
        assert_eq!(code == 0, may, "{error}");
        assert!(may || error.contains("s3:GetObject"), "{error}");
    }
}

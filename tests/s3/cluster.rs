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

#[test]
fn executors_read_objects_and_write_folders_of_objects_by_their_own_rights() {
    let (store, folder) = (Store::start(), tempfile::tempdir().unwrap());
    let folder = folder.path();
    store.bucket("lake");
    let rows = 30_000;
    let csv = write(folder, "t.csv", table(rows, 0));
    store.put("lake", "in/t.csv", &csv);
    write(folder, "c.toml", config("${SOURCE}", "m.ember"));
    let keys = store.call(&serde_json::json!({ "do": "strict" }));
    let with = |user: usize| {
        let mut variables = store.environment();
        variables.retain(|(name, _)| *name != "AWS_SESSION_TOKEN");
        variables[0].1 = keys[user][0].as_str().unwrap().to_owned();
        variables[1].1 = keys[user][1].as_str().unwrap().to_owned();
        variables
    };
    let (owner, nobody) = (with(0), with(2));
    let model = || std::fs::read(folder.join("m.ember")).unwrap();
    assert_eq!(train(folder, "t.csv", &owner, &[]), (0, String::new()));
    let local = model();

    let cluster = Cluster::up(folder, &owner);
    let url = cluster.url.clone();
    let address = format!("engine.scheduler={url}");
    let on = ["--set", "engine.kind=cluster", "--set", &address];
    let source = "s3://lake/in/t.csv";
    assert_eq!(train(folder, source, &owner, &on), (0, String::new()));
    assert!(model() == local, "the models differ");

    let predict = |source: &str, output: &str, more: &[&str]| {
        let args = ["predict", "m.ember", "--data", source, "--output", output];
        let format = ["--output-format", "csv"];
        let output = run_with(folder, &[&args[..], &format, more].concat(), &owner);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
    };
    predict("t.csv", "out/", &[]);
    predict(source, "s3://lake/out/", &["--scheduler", &url]);
    let manifest: Value = serde_json::from_slice(&store.get("lake", "out/_manifest.json")).unwrap();
    assert_eq!(manifest["rows"], rows);
    let mut keys = store.list("lake");
    keys.retain(|key| key.ends_with(".csv") && key.starts_with("out/"));
    assert_eq!(keys.len(), manifest["files"].as_array().unwrap().len());
    assert!(keys.len() > 1, "one executor wrote all: {keys:?}");
    let lines = |text: Vec<u8>| -> Vec<String> {
        let text = String::from_utf8(text).unwrap();
        text.lines().skip(1).map(str::to_owned).collect()
    };
    let there: Vec<String> = keys
        .iter()
        .flat_map(|key| lines(store.get("lake", key)))
        .collect();
    let mut files: Vec<_> = std::fs::read_dir(folder.join("out"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "csv"))
        .collect();
    files.sort();
    let here = files
        .iter()
        .flat_map(|file| lines(std::fs::read(file).unwrap()));
    assert!(there.iter().cloned().eq(here), "the predictions differ");
    drop(cluster);

    // The driver may read, its executors may not.
    let cluster = Cluster::up(folder, &nobody);
    let address = format!("engine.scheduler={}", cluster.url);
    let on = ["--set", "engine.kind=cluster", "--set", &address];
    let (code, error) = train(folder, source, &owner, &on);
    assert_eq!(code, 4, "{error}");
    assert!(
        error.contains("AccessDenied") || error.contains("s3:GetObject"),
        "{error}"
    );
}

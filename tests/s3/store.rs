//! The store that the tests talk to: moto, a server that speaks S3, in a process of its own.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::{Mutex, OnceLock};

use serde_json::{Value, json};

/// What no output may hold.
pub const SECRETS: [&str; 2] = [
    "the-secret-key-of-the-test",
    "the-session-token-of-the-test",
];

/// Environment that a command starts without: what the machine at hand has set must not help or harm.
pub const CLEARED: [&str; 14] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ALLOW_HTTP",
    "AWS_SKIP_SIGNATURE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "HTTP_PROXY",
    "http_proxy",
];

pub struct Store {
    pub endpoint: String,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    process: Child,
}

impl Store {
    /// A server of its own.
    pub fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/s3/store.py");
        let mut process = Command::new(python())
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the Python that has moto starts");
        let stdin = process.stdin.take().unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut port = String::new();
        stdout.read_line(&mut port).unwrap();
        assert!(!port.is_empty(), "the store of the tests did not start");
        Self {
            endpoint: format!("http://127.0.0.1:{}", port.trim()),
            pipes: Mutex::new((stdin, stdout)),
            process,
        }
    }

    /// The server that most tests share; it ends when its input does, with this process.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Store> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    pub fn call(&self, command: &Value) -> Value {
        let mut pipes = self.pipes.lock().unwrap();
        writeln!(pipes.0, "{command}").unwrap();
        pipes.0.flush().unwrap();
        let mut line = String::new();
        pipes.1.read_line(&mut line).unwrap();
        let mut answer: Value = serde_json::from_str(&line).unwrap();
        assert!(answer.get("error").is_none(), "{command}: {answer}");
        answer["ok"].take()
    }

    /// A new bucket.
    pub fn bucket(&self, name: &str) {
        self.call(&json!({ "do": "bucket", "bucket": name }));
    }

    pub fn put(&self, bucket: &str, key: &str, file: &Path) {
        self.call(&json!({ "do": "put", "bucket": bucket, "key": key, "file": file }));
    }

    /// The content of an object.
    pub fn get(&self, bucket: &str, key: &str) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("object");
        self.call(&json!({ "do": "get", "bucket": bucket, "key": key, "file": file }));
        std::fs::read(file).unwrap()
    }

    /// The keys of a bucket.
    pub fn list(&self, bucket: &str) -> Vec<String> {
        let keys = self.call(&json!({ "do": "list", "bucket": bucket }));
        serde_json::from_value(keys).unwrap()
    }

    /// What was asked about a bucket so far: `(method, range, bytes answered)`.
    pub fn seen(&self, bucket: &str) -> Vec<(String, Option<String>, u64)> {
        let entries = self.call(&json!({ "do": "seen", "clear": false }));
        let start = format!("/{bucket}/");
        let entries = entries.as_array().unwrap().iter();
        let own = entries.filter(|e| e["path"].as_str().unwrap().starts_with(&start));
        own.map(|e| {
            let range = e["range"].as_str().map(str::to_owned);
            let method = e["method"].as_str().unwrap().to_owned();
            (method, range, e["bytes"].as_u64().unwrap())
        })
        .collect()
    }

    /// How a program finds this store.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ACCESS_KEY_ID", "the-key-of-the-test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRETS[0].to_owned()),
            ("AWS_SESSION_TOKEN", SECRETS[1].to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
        ]
    }

    /// How a program finds this store as another user, with the two parts of that user's key.
    pub fn environment_of(&self, key: &serde_json::Value) -> Vec<(&'static str, String)> {
        let mut variables = self.environment();
        variables.retain(|(name, _)| *name != "AWS_SESSION_TOKEN");
        for (part, (_, value)) in variables.iter_mut().take(2).enumerate() {
            *value = key[part].as_str().unwrap().to_owned();
        }
        variables
    }

    /// Runs the binary in `folder` with this store in its environment.
    pub fn run(&self, folder: &Path, args: &[&str]) -> Output {
        run_with(folder, args, &self.environment())
    }

    /// As [`Store::run`], expecting success; gives standard output.
    pub fn ok(&self, folder: &Path, args: &[&str]) -> String {
        let output = self.run(folder, args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// As [`Store::run`], expecting this exit code; gives standard error.
    pub fn fails(&self, folder: &Path, args: &[&str], code: i32) -> String {
        fails_with(folder, args, &self.environment(), code)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs the binary with nothing but these variables to tell of a store. Whatever comes of it, no secret is printed.
pub fn run_with(folder: &Path, args: &[&str], variables: &[(&str, String)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_emberline"));
    for name in CLEARED {
        command.env_remove(name);
    }
    let output = command
        .current_dir(folder)
        .args(args)
        // Machines in a cloud have credentials of their own.
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(variables.iter().map(|(k, v)| (k, v)))
        .output()
        .unwrap();
    for text in [&output.stdout, &output.stderr] {
        assert_no_secret(text);
    }
    output
}

pub fn fails_with(folder: &Path, args: &[&str], variables: &[(&str, String)], code: i32) -> String {
    let output = run_with(folder, args, variables);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {error}");
    assert!(!error.contains("panicked"), "{error}");
    // Messages are wrapped to the width of the terminal.
    error
        .split_whitespace()
        .filter(|w| *w != "│")
        .collect::<Vec<_>>()
        .join(" ")
}

pub fn assert_no_secret(bytes: &[u8]) {
    for secret in SECRETS {
        let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
        assert!(
            !found,
            "a secret got out: {}",
            String::from_utf8_lossy(bytes)
        );
    }
}

/// A Python that has moto: the one that EMBERLINE_MOTO names, the one of the path, or that of an environment made here.
fn python() -> PathBuf {
    let has_moto = |python: &Path| {
        let check = Command::new(python)
            .args(["-c", "import moto.moto_server, flask, boto3"])
            .output();
        check.is_ok_and(|o| o.status.success())
    };
    if let Some(named) = std::env::var_os("EMBERLINE_MOTO") {
        let named = PathBuf::from(named);
        assert!(
            has_moto(&named),
            "EMBERLINE_MOTO names `{}`, a Python without moto; install `moto[server]` there",
            named.display()
        );
        return named;
    }
    let own = Path::new(env!("CARGO_TARGET_TMPDIR")).join("moto");
    let own_python = own.join("bin/python");
    for python in [own_python.as_path(), Path::new("python3")] {
        if has_moto(python) {
            return python.to_owned();
        }
    }
    let must = |command: &mut Command| {
        let output = command.output();
        let done = output.as_ref().is_ok_and(|o| o.status.success());
        assert!(
            done,
            "these tests need an S3 server: moto could not be installed ({output:?}); `pip install 'moto[server]==5.2.5'` somewhere, and name its Python in EMBERLINE_MOTO"
        );
    };
    must(Command::new("python3").args(["-m", "venv"]).arg(&own));
    let install = ["-m", "pip", "install", "--quiet", "moto[server]==5.2.5"];
    must(Command::new(&own_python).args(install));
    own_python
}

//! Encryption: what crosses machines is read by nobody else, and each wrong set-up says at once what is wrong.
//!
//! The certificates are made by the commands that `docs/cluster.md` gives.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::exchange::{MEMORY, jobs, letters};
use crate::proxy::{HOST, Network};
use crate::support::{Job, PROGRAM, Process, alone, emberline, free_port, said, signal, start};

const TOKEN: &str = "3b1f0c7a9d5e4682a1b2c3d4e5f60718";

/// A run that nobody knows.
const NAME: &str = "a-run-that-nobody-knows";

/// A host that nothing here is called.
const ELSEWHERE: &str = "192.0.2.7";

/// A folder with an authority and certificates for the hosts of these tests, and a token.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let docs = std::fs::read_to_string("docs/cluster.md").unwrap();
        let section = docs.split("### Encryption").nth(1).unwrap();
        let commands = section.split("```").nth(1).unwrap();
        let commands = commands.strip_prefix("sh\n").unwrap();
        let hosts = format!("127.0.0.1 {HOST} {ELSEWHERE}");
        assert!(commands.contains("10.0.0.1 10.0.0.2"), "{commands}");
        shell(
            folder.path(),
            &commands.replace("10.0.0.1 10.0.0.2", &hosts),
        );
        std::fs::write(folder.path().join("token"), TOKEN).unwrap();
        std::fs::write(folder.path().join("empty.pem"), "").unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// Flags of a role on this host.
    fn of(&self, host: &str) -> Vec<String> {
        let file = |kind: &str| self.path(&format!("{host}.{kind}"));
        self.flags(&file("pem"), &file("key"), &self.path("ca.pem"))
    }

    fn flags(&self, cert: &str, key: &str, ca: &str) -> Vec<String> {
        words(&format!(
            "--tls-cert {cert} --tls-key {key} --tls-ca {ca} --token-file {}",
            self.path("token")
        ))
    }

    /// An authority that signed nothing here: `other.pem`.
    fn other_authority(&self) -> String {
        shell(
            self.0.path(),
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=other -keyout other.key -out other.pem",
        );
        self.path("other.pem")
    }

    /// A certificate for 127.0.0.1 that was valid until yesterday: `old.pem`, with the key of the valid one.
    fn expired(&self) -> String {
        shell(
            self.0.path(),
            "openssl req -new -key 127.0.0.1.key -subj /CN=old -addext subjectAltName=IP:127.0.0.1 -out old.csr
             openssl x509 -req -in old.csr -CA ca.pem -CAkey ca.key -CAcreateserial -copy_extensions copy -days -1 -out old.pem",
        );
        self.path("old.pem")
    }
}

fn shell(folder: &Path, commands: &str) {
    let output = Command::new("sh")
        .args(["-e", "-c", commands])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{commands}\n{}", said(&output));
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn run(arguments: &[String]) -> Output {
    emberline(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

fn begin(arguments: &str, flags: &[String]) -> Process {
    let all = [words(arguments), flags.to_vec()].concat();
    start(&all.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Waits until a command succeeds and says so.
fn until(command: &[String], says: impl Fn(&str) -> bool) {
    let started = Instant::now();
    loop {
        let output = run(command);
        if output.status.success() && says(&said(&output)) {
            return;
        }
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "{}",
            said(&output)
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|w| w == text.as_bytes())
}

#[test]
fn a_cluster_under_tls_gives_the_same_bytes_and_shows_nobody_its_token() {
    let _alone = alone();
    let files = Files::new();
    let job = letters();
    let local = job.locally();
    // The scheduler is reached through a listener; the forest is exchanged between two executors.
    let port = free_port();
    let network = Network::new();
    network.carry(port);
    let listen = format!("cluster scheduler --listen 127.0.0.1:{port} --no-detach");

    let token = words(&format!("--token-file {}", files.path("token")));
    let ca = files.path("ca.pem");
    // A token in a header and a name in a body. (HTTP/2 packs headers, so a client of ours would not show the token as it is written.)
    let talk = |url: &str, more: &str| {
        let curl = format!("-s --cacert {ca} --oauth2-bearer {TOKEN} {url}/api/status");
        let page = Command::new("curl").args(words(&curl)).output().unwrap();
        assert!(said(&page).contains("uptime"), "{}", said(&page));
        let cancel = format!("cluster cancel {NAME} --scheduler {url} {more}");
        let refused = run(&[words(&cancel), token.clone()].concat());
        assert!(!refused.status.success(), "{}", said(&refused));
    };

    // That a listener hears both without TLS.
    let plain = begin(&listen, &token);
    let url = format!("http://{HOST}:{port}");
    let ask = words(&format!("cluster status --json --scheduler {url}"));
    until(&[ask, token.clone()].concat(), |_| true);
    talk(&url, "");
    assert!(has(&network.heard(), TOKEN) && has(&network.heard(), NAME));
    drop(plain);

    let scheduler = format!("{listen} --advertise {HOST}");
    let _scheduler = begin(&scheduler, &files.of(HOST));
    let heard = network.heard().len();
    let url = format!("https://{HOST}:{port}");
    let executor = format!(
        "cluster executor --scheduler {url} --slots 1 {}",
        MEMORY.join(" ")
    );
    let _executors = [0, 1].map(|_| begin(&executor, &files.of("127.0.0.1")));
    let more = format!("--tls-ca {ca}");
    let ask = words(&format!("cluster status --json --scheduler {url} {more}"));
    until(&[ask, token.clone()].concat(), |said| {
        said.matches("\"memory_limit\"").count() == 2
    });
    talk(&url, &more);
    let engine = format!(
        "kind = \"cluster\"\nscheduler = {url:?}\ntoken_file = {:?}\ntls_ca = {ca:?}",
        files.path("token")
    );
    let (bytes, _) = job.begin_on(&engine, "tls", &["--overwrite"]).finish();
    assert!(bytes == local);
    let exchanged = jobs(&job, "tls");
    assert!(exchanged.contains("tree/sum-nodes"), "{exchanged:?}");
    let heard = network.heard().split_off(heard);
    for word in [TOKEN, NAME, "vector_assembler"] {
        assert!(!has(&heard, word), "`{word}` was heard");
    }
    println!(
        "tls: an exchanged forest equal to the byte, {} bytes heard through the listener, no token among them",
        heard.len()
    );
}

#[test]
fn a_cluster_of_one_machine_and_its_detached_runs_speak_tls_too() {
    let _alone = alone();
    let files = Files::new();
    let (port, ca) = (free_port(), files.path("ca.pem"));
    let runs = files.path("runs");
    let mut flags = files.of("127.0.0.1");
    flags.truncate(6);
    let up = format!("cluster up --executors 1 --slots 2 --port {port} --runs-dir {runs}");
    let child = Command::new(PROGRAM)
        .args(words(&up))
        .args(&flags)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut up = child.unwrap();
    let url = format!("https://127.0.0.1:{port}");
    let at = words(&format!("--scheduler {url} --tls-ca {ca}"));
    let status = [words("cluster status --json"), at.clone()].concat();
    until(&status, |said| said.contains("\"memory_limit\""));

    let job = Job::new(
        "name = \"iris\"\nseed = 1\n[data]\nsource = \"bundled:iris\"\n[[pipeline]]\nstage = \"vector_assembler\"\n\
         inputs = [\"*\"]\n[[pipeline]]\nstage = \"logistic_regression\"\n",
    );
    let engine = format!("kind = \"cluster\"\nscheduler = {url:?}\ntls_ca = {ca:?}");
    let submitted = job.train("detached", &engine, &["--detach"]);
    assert!(submitted.status.success(), "{}", said(&submitted));
    let id = said(&submitted).trim().to_owned();
    let logs = [words(&format!("cluster logs {id} --follow")), at].concat();
    let log = run(&logs);
    assert!(log.status.success(), "{}", said(&log));
    assert!(job.model("detached") == job.locally(), "{}", said(&log));

    let curl = |arguments: &str| {
        let output = Command::new("curl").args(words(arguments)).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    assert_eq!(curl(&format!("-s --cacert {ca} {url}/healthz")), "ok");
    assert_eq!(curl(&format!("-s --cacert {ca} {url}/readyz")), "ready");
    let plain = curl(&format!("-s http://127.0.0.1:{port}/api/status"));
    assert!(plain.starts_with("this port speaks TLS"), "{plain}");
    signal("TERM", up.id());
    up.wait().unwrap();
}

/// What a command says that ends by itself, with this code, within seconds.
fn refusal(arguments: &[String], code: i32) -> String {
    let started = Instant::now();
    let output = run(arguments);
    let text = said(&output);
    let took = started.elapsed();
    assert!(
        took < Duration::from_secs(8),
        "{arguments:?} took {took:?}: {text}"
    );
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    text
}

#[test]
fn callers_that_do_not_fit_a_cluster_are_told_at_once() {
    let _alone = alone();
    let files = Files::new();
    let (port, plain, old) = (free_port(), free_port(), free_port());
    let listen = |port: u16| format!("cluster scheduler --no-detach --listen 127.0.0.1:{port}");
    let token = words(&format!("--token-file {}", files.path("token")));
    let _with = begin(&listen(port), &files.of("127.0.0.1"));
    let _without = begin(&listen(plain), &token);
    let _expired = Command::new("openssl")
        .args(words(&format!(
            "s_server -www -accept 127.0.0.1:{old} -alpn h2 -cert {} -key {}",
            files.expired(),
            files.path("127.0.0.1.key")
        )))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(Process::of)
        .unwrap();
    let ca = files.path("ca.pem");
    let right = format!("https://127.0.0.1:{port} --tls-ca {ca}");
    let status = |at: &str| {
        [
            words("cluster status --scheduler"),
            words(at),
            token.clone(),
        ]
        .concat()
    };
    until(&status(&right), |_| true);
    until(&status(&format!("http://127.0.0.1:{plain}")), |_| true);

    let other = files.other_authority();
    let (empty, nowhere) = (files.path("empty.pem"), files.path("nowhere.pem"));
    // What is asked for, the exit code, and what is said.
    let cases = [
        (
            format!("http://127.0.0.1:{port}"),
            2,
            "this port speaks TLS: write https://",
        ),
        (
            format!("https://127.0.0.1:{plain} --tls-ca {ca}"),
            5,
            "it does not speak TLS; write http://",
        ),
        (
            format!("https://127.0.0.1:{port} --tls-ca {other}"),
            5,
            "no authority in the CA file signed its certificate",
        ),
        (
            format!("https://localhost:{port} --tls-ca {ca}"),
            5,
            "for [127.0.0.1], not for `localhost`; one is needed whose subjectAltName has that",
        ),
        (
            format!("https://127.0.0.1:{old} --tls-ca {ca}"),
            5,
            "its certificate has expired",
        ),
        (
            format!("https://127.0.0.1:{port}"),
            2,
            "name the file with the certificate of its authority",
        ),
        (
            format!("http://127.0.0.1:{plain} --tls-ca {ca}"),
            2,
            "write https://",
        ),
        (
            format!("https://127.0.0.1:{port} --tls-ca {empty}"),
            2,
            "empty.pem` cannot be used for TLS: it holds no certificate in PEM",
        ),
        (
            format!("https://127.0.0.1:{port} --tls-ca {nowhere}"),
            2,
            "nowhere.pem` cannot be used for TLS",
        ),
    ];
    for (at, code, says) in &cases {
        let text = refusal(&status(at), *code);
        assert!(text.contains(says), "{at}: {text}");
    }
    // A driver and an executor, as a command.
    let job = Job::new(
        "name = \"iris\"\n[data]\nsource = \"bundled:iris\"\n[[pipeline]]\nstage = \"vector_assembler\"\n\
         inputs = [\"*\"]\n[[pipeline]]\nstage = \"logistic_regression\"\n",
    );
    let engine = format!(
        "kind = \"cluster\"\nscheduler = \"https://127.0.0.1:{port}\"\ntls_ca = {other:?}\ntoken_file = {:?}",
        files.path("token")
    );
    let (code, text, took) = job.begin_on(&engine, "wrong", &[]).fail();
    assert!(code == 5 && text.contains("no authority"), "{code}: {text}");
    assert!(took < Duration::from_secs(8), "{took:?}");
    let executor = format!("cluster executor --scheduler http://127.0.0.1:{port}");
    let text = refusal(&[words(&executor), token.clone()].concat(), 2);
    assert!(text.contains("this port speaks TLS"), "{text}");
    println!("tls: {} callers told what is wrong", cases.len() + 2);
}

#[test]
fn roles_whose_certificates_would_not_be_believed_do_not_start() {
    let files = Files::new();
    let other = files.other_authority();
    let old = files.expired();
    let (pem, key, ca) = (
        files.path("127.0.0.1.pem"),
        files.path("127.0.0.1.key"),
        files.path("ca.pem"),
    );
    let (elsewhere, empty) = (
        files.path(&format!("{ELSEWHERE}.key")),
        files.path("empty.pem"),
    );
    let cases = [
        (
            files.of(ELSEWHERE),
            "is `127.0.0.1`: its certificate is for [192.0.2.7]",
        ),
        (files.flags(&old, &key, &ca), "its certificate has expired"),
        (
            files.flags(&pem, &key, &other),
            "no authority in the CA file signed its certificate",
        ),
        (
            files.flags(&pem, &elsewhere, &ca),
            "it is not the key of the certificate in `",
        ),
        (
            files.flags(&pem, &empty, &ca),
            "it holds no private key in PEM",
        ),
        (
            files.flags(&empty, &key, &ca),
            "empty.pem` cannot be used for TLS: it holds no certificate in PEM",
        ),
        (
            files.flags(&pem, &key, &files.path("nowhere.pem")),
            "nowhere.pem` cannot be used for TLS",
        ),
        (words(&format!("--tls-cert {pem}")), "--tls-key"),
    ];
    let roles = [
        format!(
            "cluster scheduler --no-detach --listen 127.0.0.1:{}",
            free_port()
        ),
        "cluster executor --scheduler https://127.0.0.1:9".to_owned(),
    ];
    for role in &roles {
        for (flags, says) in &cases {
            let text = refusal(&[words(role), flags.clone()].concat(), 2);
            assert!(text.contains(says), "{role} {flags:?}: {text}");
        }
    }
    let text = refusal(&words(&roles[1]), 2);
    assert!(text.contains("--tls-ca"), "{text}");
    println!(
        "tls: {} roles did not start, and said why",
        2 * cases.len() + 1
    );
}

//! Who may talk to a cluster that other machines can reach.

use std::net::{IpAddr, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Job, alone, emberline, free_port, start};

/// An address of this machine that is not loopback. Nothing is sent to find it.
fn outer() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

#[test]
fn another_address_than_loopback_needs_a_token_and_every_entry_asks_for_it() {
    let _alone = alone();
    let Some(ip) = outer() else {
        println!("this machine has no address but loopback");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let token = file("token", "3b1f0c7a9d5e4682a1b2c3d4e5f60718\n");
    let other = file("other", "00000000000000000000000000000000\n");
    let listen = format!("{ip}:{}", free_port());
    let url = format!("http://{listen}");

    let refused = emberline(&["cluster", "scheduler", "--listen", &listen]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("--token-file"),
        "{said}"
    );

    let _scheduler = start(&[
        "cluster",
        "scheduler",
        "--listen",
        &listen,
        "--token-file",
        &token,
    ]);
    let port = free_port().to_string();
    let host = ip.to_string();
    let _executor = start(&[
        "cluster",
        "executor",
        "--scheduler",
        &url,
        "--host",
        &host,
        "--port",
        &port,
        "--slots",
        "1",
        "--token-file",
        &token,
    ]);
    let status = |token: &str| {
        let output = emberline(&[
            "cluster",
            "status",
            "--json",
            "--scheduler",
            &url,
            "--token-file",
            token,
        ]);
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let started = Instant::now();
    while !status(&token).1.contains(&format!("{host}:{port}")) {
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "{:?}",
            status(&token)
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    let (code, _, said) = status(&other);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("refuses the token"), "{said}");

    // The doors of the executor and the pages of the scheduler, asked by hand.
    let ask = |address: &str, path: &str, header: &str| -> String {
        let output = Command::new("curl")
            .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", header])
            .arg(format!("http://{address}{path}"))
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let data = format!("{host}:{port}");
    let control = format!("{host}:{}", port.parse::<u16>().unwrap() + 1);
    for (address, path) in [
        (&listen, "/api/status"),
        (&listen, "/readyz"),
        (&data, "/"),
        (&control, "/"),
    ] {
        assert_eq!(ask(address, path, "X: y"), "401", "{address}{path}");
        assert_eq!(
            ask(address, path, "Authorization: Bearer wrong"),
            "401",
            "{address}{path}"
        );
    }
    let right = "Authorization: Bearer 3b1f0c7a9d5e4682a1b2c3d4e5f60718";
    assert_eq!(ask(&listen, "/api/status", right), "200");
    assert_eq!(ask(&listen, "/readyz", right), "200");
    assert_eq!(ask(&listen, "/healthz", "X: y"), "200");

    let job = Job::new(
        "name = \"iris\"\nseed = 1\n[data]\nsource = \"bundled:iris\"\n[[pipeline]]\nstage = \"vector_assembler\"\n\
         inputs = [\"*\"]\n[[pipeline]]\nstage = \"logistic_regression\"\n",
    );
    let engine = format!("kind = \"cluster\"\nscheduler = {url:?}\ntoken_file = {token:?}");
    let (bytes, _) = job.begin_on(&engine, "token", &["--overwrite"]).finish();
    assert!(bytes == job.locally());
    println!("R-70: 8/8 entries of a cluster asked for the token");
}

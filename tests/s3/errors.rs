//! What a user is told where something is missing, wrong or forbidden.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

use crate::store::{Store, fails_with};
use crate::{config, table, write};

/// `data describe` of a source, which must fail.
fn refused(store: &Store, source: &str) -> String {
    store.fails(Path::new("."), &["data", "describe", source], 3)
}

fn refused_with(source: &str, variables: &[(&str, String)]) -> String {
    fails_with(Path::new("."), &["data", "describe", source], variables, 3)
}

#[test]
fn what_is_not_there_is_named() {
    let (store, folder) = (Store::shared(), tempfile::tempdir().unwrap());
    store.bucket("absent");
    store.put(
        "absent",
        "d/digits.csv",
        &write(folder.path(), "t.csv", table(10, 0)),
    );
    let error = refused(store, "s3://no-such-bucket/t.csv");
    assert!(
        error.contains("there is no bucket `no-such-bucket`") && error.contains("AWS_ENDPOINT_URL"),
        "{error}"
    );
    let error = refused(store, "s3://no-such-bucket/d/");
    assert!(
        error.contains("there is no bucket `no-such-bucket`"),
        "{error}"
    );
    let error = refused(store, "s3://absent/d/digit.csv");
    assert!(
        error.contains("no such object or folder; did you mean `digits.csv`?"),
        "{error}"
    );
    let error = refused(store, "s3://absent/d/*.parquet");
    assert!(error.contains("no object matches the glob"), "{error}");
    let error = refused(store, "s3://absent");
    assert!(
        error.contains("the folder holds another one")
            && error.contains("s3://absent/**/*.parquet"),
        "{error}"
    );
    let error = refused(
        store,
        "s3://user:the-secret-key-of-the-test@absent/d/digits.csv",
    );
    assert!(error.contains("no room for credentials"), "{error}");

    // A result is refused before the work, not after it.
    let folder = folder.path();
    write(
        folder,
        "c.toml",
        config("t.csv", "s3://no-such-bucket/m.ember"),
    );
    let error = store.fails(folder, &["train", "c.toml"], 4);
    assert!(
        error.contains("there is no bucket `no-such-bucket`"),
        "{error}"
    );
    write(folder, "c.toml", config("t.csv", "s3://absent/"));
    let error = store.fails(folder, &["train", "c.toml"], 4);
    assert!(
        error.contains("this names a folder; name an object"),
        "{error}"
    );
    let error = store.fails(folder, &["inspect", "s3://absent/m.ember"], 4);
    assert!(
        error.contains("s3://absent/m.ember: there is no such object"),
        "{error}"
    );
}

#[test]
fn missing_credentials_and_a_plain_endpoint_are_named_by_their_variables() {
    let store = Store::shared();
    let without = |names: &[&str]| {
        let mut variables = store.environment();
        variables.retain(|(name, _)| !names.contains(name));
        refused_with("s3://any/t.csv", &variables)
    };
    let error = without(&[
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    ]);
    assert!(
        error.contains("there are no credentials") && error.contains("AWS_ACCESS_KEY_ID"),
        "{error}"
    );
    let error = without(&["AWS_SECRET_ACCESS_KEY"]);
    assert!(error.contains("AWS_SECRET_ACCESS_KEY is not"), "{error}");
    let error = without(&["AWS_ACCESS_KEY_ID"]);
    assert!(error.contains("AWS_ACCESS_KEY_ID is not"), "{error}");
    let error = without(&["AWS_ALLOW_HTTP"]);
    assert!(error.contains("AWS_ALLOW_HTTP=true"), "{error}");
}

#[test]
fn wrong_keys_are_told_from_missing_rights() {
    let (store, folder) = (Store::start(), tempfile::tempdir().unwrap());
    store.bucket("locked");
    store.put(
        "locked",
        "t.csv",
        &write(folder.path(), "t.csv", table(10, 0)),
    );
    let keys = store.call(&serde_json::json!({ "do": "strict" }));
    let with = |id: &str, secret: &str| {
        let mut variables = store.environment();
        variables.retain(|(name, _)| *name != "AWS_SESSION_TOKEN");
        variables[0].1 = id.to_owned();
        variables[1].1 = secret.to_owned();
        variables
    };
    let key = |user: usize, part: usize| keys[user][part].as_str().unwrap();
    let error = refused_with("s3://locked/t.csv", &with("AKIAWRONG", key(0, 1)));
    assert!(
        error.contains("does not know the access key; check AWS_ACCESS_KEY_ID"),
        "{error}"
    );
    assert!(!error.contains("AKIAWRONG"), "{error}");
    let error = refused_with(
        "s3://locked/t.csv",
        &with(key(0, 0), "the-secret-key-of-the-test"),
    );
    assert!(error.contains("check AWS_SECRET_ACCESS_KEY"), "{error}");
    let error = refused_with("s3://locked/t.csv", &with(key(2, 0), key(2, 1)));
    assert!(
        error.contains("denies access") && error.contains("s3:GetObject"),
        "{error}"
    );
}

/// moto takes every region for its own; Amazon's answer is this one.
#[test]
fn another_region_is_told_by_a_redirect_that_leads_nowhere() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let answer = "HTTP/1.1 301 Moved Permanently\r\nx-amz-bucket-region: eu-central-1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let mut variables = Store::shared().environment();
    for (name, value) in &mut variables {
        if *name == "AWS_ENDPOINT_URL" {
            value.clone_from(&endpoint);
        }
    }
    let error = refused_with("s3://elsewhere/t.csv", &variables);
    assert!(
        error.contains("lies in another region; set AWS_REGION"),
        "{error}"
    );
}

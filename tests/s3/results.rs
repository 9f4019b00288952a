//! Models, reports and tables as objects.

use crate::store::{Store, assert_no_secret};
use crate::{config, convert, table, write};

#[test]
fn a_model_and_a_report_are_put_into_the_store_and_read_from_there() {
    let (store, folder) = (Store::shared(), tempfile::tempdir().unwrap());
    let folder = folder.path();
    store.bucket("results");
    write(folder, "t.csv", table(12_000, 0));
    store.put("results", "in/t.csv", &folder.join("t.csv"));
    // The same config, which the model carries along; only where the model goes is no part of it.
    let toml = config("s3://results/in/t.csv", "local.ember");
    write(folder, "local.toml", toml);
    store.ok(folder, &["train", "local.toml", "--quiet"]);
    let toml = config("s3://results/in/t.csv", "s3://results/out/m.ember");
    write(
        folder,
        "c.toml",
        toml + "report = \"s3://results/out/report\"\n",
    );
    let told = store.ok(folder, &["train", "c.toml", "--json"]);
    assert!(told.contains("\"s3://results/out/m.ember\""), "{told}");

    let local = std::fs::read(folder.join("local.ember")).unwrap();
    assert!(
        store.get("results", "out/m.ember") == local,
        "the models differ"
    );
    let keys = [
        "in/t.csv",
        "out/m.ember",
        "out/report/events.jsonl",
        "out/report/metrics.json",
        "out/report/report.html",
    ];
    assert_eq!(store.list("results"), keys);
    for key in keys {
        assert_no_secret(&store.get("results", key));
    }
    let events = String::from_utf8(store.get("results", "out/report/events.jsonl")).unwrap();
    let last = events.lines().last().unwrap();
    assert!(
        last.contains("run_finished") && last.contains("true"),
        "{events}"
    );
    // Nothing is left in the working folder, the checkpoint has served.
    let mut left: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["c.toml", "local.ember", "local.toml", "t.csv"]);

    let model = "s3://results/out/m.ember";
    assert!(
        store
            .ok(folder, &["inspect", model])
            .contains("logistic_regression")
    );
    assert!(store.ok(folder, &["verify", model]).contains("same bits"));
    let measured = |model: &str, data: &str| store.ok(folder, &["evaluate", model, "--data", data]);
    assert_eq!(
        measured(model, "s3://results/in/t.csv"),
        measured("local.ember", "t.csv")
    );
    for name in ["p.csv", "p.jsonl", "p.parquet"] {
        let address = format!("s3://results/tables/{name}");
        store.ok(
            folder,
            &[
                "predict",
                model,
                "--data",
                "s3://results/in/t.csv",
                "--output",
                &address,
            ],
        );
        store.ok(
            folder,
            &[
                "predict",
                "local.ember",
                "--data",
                "t.csv",
                "--output",
                name,
            ],
        );
        let local = std::fs::read(folder.join(name)).unwrap();
        assert!(
            store.get("results", &format!("tables/{name}")) == local,
            "{name} differs"
        );
    }

    // A second training refuses before it trains, and replaces the model where it may.
    let error = store.fails(folder, &["train", "c.toml", "--quiet"], 4);
    assert!(
        error.contains("exists already; pass `--overwrite`"),
        "{error}"
    );
    store.ok(folder, &["train", "c.toml", "--quiet", "--overwrite"]);
}

#[test]
fn a_large_table_goes_out_in_parts_and_is_whole_at_the_end() {
    let (store, folder) = (Store::shared(), tempfile::tempdir().unwrap());
    let folder = folder.path();
    store.bucket("parts");
    write(folder, "t.csv", table(3_000, 0));
    write(folder, "c.toml", config("t.csv", "m.ember"));
    store.ok(folder, &["train", "c.toml", "--quiet"]);
    let csv = write(folder, "large.csv", table(250_000, 0));
    convert(&csv, &folder.join("large.parquet"));
    store.put("parts", "large.parquet", &folder.join("large.parquet"));
    let predict = |output: &str| {
        let source = "s3://parts/large.parquet";
        store.ok(
            folder,
            &["predict", "m.ember", "--data", source, "--output", output],
        )
    };
    predict("s3://parts/p.csv");
    predict("p.csv");
    let local = std::fs::read(folder.join("p.csv")).unwrap();
    assert!(
        local.len() > 17 << 20,
        "{} bytes are no test of parts",
        local.len()
    );
    assert!(store.get("parts", "p.csv") == local, "the tables differ");
    let seen = store.seen("parts");
    assert!(
        seen.iter().filter(|s| s.0 == "PUT").count() >= 3,
        "one put of the test, two parts at least"
    );
}

#[test]
fn a_folder_of_parts_is_whole_by_its_manifest_and_read_back_as_a_source() {
    let (store, folder) = (Store::shared(), tempfile::tempdir().unwrap());
    let folder = folder.path();
    store.bucket("folder");
    write(folder, "t.csv", table(30_000, 0));
    write(folder, "c.toml", config("t.csv", "m.ember"));
    store.ok(folder, &["train", "c.toml", "--quiet"]);
    // Of an earlier, larger table.
    store.put("folder", "out/part-00099.parquet", &folder.join("t.csv"));
    let predict = |output: &str| {
        let args = [
            "predict",
            "m.ember",
            "--data",
            "t.csv",
            "--output",
            output,
            "--threads",
            "2",
        ];
        store.ok(folder, &args);
    };
    predict("s3://folder/out/");
    predict("out/");
    let mut local: Vec<String> = std::fs::read_dir(folder.join("out"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    local.sort();
    assert!(local.len() > 2, "{local:?}");
    let there: Vec<String> = local.iter().map(|name| format!("out/{name}")).collect();
    assert_eq!(store.list("folder"), there);
    for name in &local {
        let here = std::fs::read(folder.join("out").join(name)).unwrap();
        assert!(
            store.get("folder", &format!("out/{name}")) == here,
            "{name} differs"
        );
    }
    let described = |source: &str| {
        let told = store.ok(folder, &["data", "describe", source, "--json"]);
        told.replace(source, "SOURCE")
    };
    assert_eq!(described("s3://folder/out/"), described("out/"));
}

#[test]
fn a_run_that_fails_puts_nothing() {
    let (store, folder) = (Store::shared(), tempfile::tempdir().unwrap());
    let folder = folder.path();
    store.bucket("nothing");
    write(folder, "t.csv", table(3_000, 0));
    write(folder, "c.toml", config("t.csv", "m.ember"));
    store.ok(folder, &["train", "c.toml", "--quiet"]);
    write(folder, "bad.csv", table(20_000, 0) + "1,2,3\n");
    let args = [
        "predict",
        "m.ember",
        "--data",
        "bad.csv",
        "--output",
        "s3://nothing/p.csv",
    ];
    let error = store.fails(folder, &args, 3);
    assert!(error.contains("bad.csv, line"), "{error}");
    assert_eq!(store.list("nothing"), Vec::<String>::new());
}

#[test]
fn a_model_that_could_not_be_put_is_there_after_resume() {
    let (store, folder) = (Store::start(), tempfile::tempdir().unwrap());
    let folder = folder.path();
    store.bucket("rights");
    store.put("rights", "t.csv", &write(folder, "t.csv", table(9_000, 0)));
    write(
        folder,
        "c.toml",
        config("s3://rights/t.csv", "s3://rights/m.ember"),
    );
    let keys = store.call(&serde_json::json!({ "do": "strict" }));
    let with = |user: usize| store.environment_of(&keys[user]);
    // The second user may read alone.
    let error = crate::store::fails_with(folder, &["train", "c.toml", "--quiet"], &with(1), 4);
    assert!(
        error.contains("s3://rights/m.ember") && error.contains("s3:PutObject"),
        "{error}"
    );
    assert!(folder.join("rights_m.ember.checkpoint").exists());
    let resumed = crate::store::run_with(
        folder,
        &["train", "c.toml", "--resume", "--quiet"],
        &with(0),
    );
    assert!(
        resumed.status.success(),
        "{}",
        String::from_utf8_lossy(&resumed.stderr)
    );
    assert!(!folder.join("rights_m.ember.checkpoint").exists());
    let shown = crate::store::run_with(folder, &["verify", "s3://rights/m.ember"], &with(1));
    assert!(shown.status.success());
}

//! Objects as sources.

use std::io::Write;
use std::path::Path;

use crate::store::{Store, assert_no_secret, run_with};
use crate::{config, convert, table, write};

/// The model of a config on `source`. A model carries its config along: the source comes from the environment, whose values it does not.
fn model(store: &Store, folder: &Path, source: &str) -> Vec<u8> {
    write(folder, "c.toml", config("${SOURCE}", "m.ember"));
    let mut variables = store.environment();
    variables.push(("SOURCE", source.to_owned()));
    let args = ["train", "c.toml", "--overwrite", "--quiet"];
    let output = run_with(folder, &args, &variables);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{source}: {error}");
    std::fs::read(folder.join("m.ember")).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut command = std::process::Command::new("gzip");
    command
        .arg("-c")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let feed = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
    let out = child.wait_with_output().unwrap().stdout;
    feed.join().unwrap();
    out
}

#[test]
fn a_model_trained_from_objects_is_that_of_the_local_files_to_the_byte() {
    let (store, folder) = (Store::shared(), tempfile::tempdir().unwrap());
    let folder = folder.path();
    store.bucket("same-bytes");
    let text = table(30_000, 0);
    let csv = write(folder, "t.csv", &text);
    convert(&csv, &folder.join("t.jsonl"));
    convert(&csv, &folder.join("t.parquet"));
    write(folder, "z.csv.gz", gzip(text.as_bytes()));
    let lines = std::fs::read(folder.join("t.jsonl")).unwrap();
    write(folder, "z.jsonl.gz", gzip(&lines));
    for name in ["t.csv", "t.jsonl", "t.parquet", "z.csv.gz", "z.jsonl.gz"] {
        store.put("same-bytes", name, &folder.join(name));
        let here = model(store, folder, name);
        let there = model(store, folder, &format!("s3://same-bytes/{name}"));
        assert!(here == there, "{name}: the models differ");
        assert_no_secret(&there);
    }
}

#[test]
fn libsvm_and_arrow_objects_are_read_as_the_local_files_are() {
    let (store, folder) = (Store::shared(), tempfile::tempdir().unwrap());
    let folder = folder.path();
    store.bucket("libsvm-arrow");
    let mut text = String::new();
    for i in 0..20_000_usize {
        text += &format!("{} 1:{} {}:0.5\n", i % 2, i % 97, 2 + i % 11);
    }
    write(folder, "t.libsvm", text);
    write(folder, "t.arrow", arrow_file());
    for name in ["t.libsvm", "t.arrow"] {
        store.put("libsvm-arrow", name, &folder.join(name));
        let describe = |source: &str| {
            let told = store.ok(folder, &["data", "describe", source, "--json"]);
            told.replace(source, "SOURCE")
        };
        assert_eq!(
            describe(name),
            describe(&format!("s3://libsvm-arrow/{name}"))
        );
    }
}

fn arrow_file() -> Vec<u8> {
    use emberline::datasets::arrow::array::{ArrayRef, Float64Array, RecordBatch};
    use emberline::datasets::arrow::ipc::writer::FileWriter;
    let values = |from: usize| (from..from + 9_000).map(|i| (i % 131) as f64);
    let batch = |from: usize| {
        let column: ArrayRef = std::sync::Arc::new(Float64Array::from_iter_values(values(from)));
        RecordBatch::try_from_iter([("x", column)]).unwrap()
    };
    let mut writer = FileWriter::try_new(Vec::new(), &batch(0).schema()).unwrap();
    for from in [0, 9_000] {
        writer.write(&batch(from)).unwrap();
    }
    writer.into_inner().unwrap()
}

#[test]
fn folders_and_globs_take_the_same_objects_in_the_same_order_as_files() {
    let (store, folder) = (Store::shared(), tempfile::tempdir().unwrap());
    let folder = folder.path();
    store.bucket("order");
    // Byte by byte `a-b/...` comes before `a/...`, folder by folder after it; `10` comes before `9`.
    let names = [
        "d/a/9.csv",
        "d/a/10.csv",
        "d/a-b/1.csv",
        "d/a/_SUCCESS",
        "d/a/.hidden.csv",
        "e/x.csv",
    ];
    for (i, name) in names.iter().enumerate() {
        let rows = if name.ends_with("csv") {
            table(900, 900 * i)
        } else {
            String::new()
        };
        store.put("order", name, &write(folder, name, rows));
    }
    for source in [
        "d/a",
        "d/a/",
        "d/*/*.csv",
        "d/**/*.csv",
        "d/a/?.csv",
        "*/[ax]*/1*.csv",
        "d/a/9.csv",
    ] {
        let here = model(store, folder, source);
        let there = model(store, folder, &format!("s3://order/{source}"));
        assert!(here == there, "{source}: the models differ");
    }
    // The bucket as a folder.
    store.bucket("order-all");
    store.put("order-all", "x.csv", &folder.join("e/x.csv"));
    let here = model(store, folder, "e");
    assert!(here == model(store, folder, "s3://order-all"));
    assert!(here == model(store, folder, "s3://order-all/"));
}

#[test]
fn of_a_parquet_object_the_wanted_columns_alone_are_fetched() {
    let (store, folder) = (Store::shared(), tempfile::tempdir().unwrap());
    let folder = folder.path();
    store.bucket("columns");
    let mut text = String::from("a,b,kind,y,w0,w1,w2,w3,w4,w5,w6,w7\n");
    let mut state = 1_u64;
    for i in 0..40_000_usize {
        text += &format!("{}.5,{},k{},c{}", i % 101, i % 7, i % 3, i % 2);
        for _ in 0..8 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            text += &format!(",0.{}", state >> 20);
        }
        text += "\n";
    }
    let csv = write(folder, "t.csv", text);
    let parquet = folder.join("t.parquet");
    convert(&csv, &parquet);
    store.put("columns", "t.parquet", &parquet);
    let here = model(store, folder, "t.parquet");
    assert!(here == model(store, folder, "s3://columns/t.parquet"));
    let size = std::fs::metadata(&parquet).unwrap().len();
    let seen = store.seen("columns");
    let fetched: u64 = seen.iter().filter(|s| s.0 == "GET").map(|s| s.2).sum();
    // Eight of twelve columns are noise of eight bytes a row, which does not shrink; the tail with the footer comes to 256 KiB.
    assert!(size > 2_000_000, "{size} bytes");
    assert!(fetched < size / 3, "{fetched} of {size} bytes: {seen:?}");
    let whole = |s: &&(String, Option<String>, u64)| s.0 == "GET" && s.1.is_none();
    assert_eq!(seen.iter().find(whole), None);
}

#[test]
fn records_that_are_set_aside_lie_in_the_working_folder() {
    let (store, folder) = (Store::shared(), tempfile::tempdir().unwrap());
    let folder = folder.path();
    store.bucket("aside");
    let mut text = table(9_000, 0);
    text += "1,2,3\n";
    text += &table(100, 0)["a,b,kind,note,y\n".len()..];
    store.put("aside", "x/t.csv", &write(folder, "t.csv", text));
    let toml = config("s3://aside/x/t.csv", "m.ember");
    write(
        folder,
        "c.toml",
        toml.replace("label =", "bad_rows = \"quarantine\"\nlabel ="),
    );
    store.ok(folder, &["train", "c.toml", "--quiet"]);
    let side = std::fs::read_to_string(folder.join("aside_x_t.csv.quarantine.jsonl")).unwrap();
    assert_eq!(side.lines().count(), 1);
    assert!(side.contains("\"file\":\"s3://aside/x/t.csv\""), "{side}");
}

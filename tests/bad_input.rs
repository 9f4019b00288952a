//! Bad input gives a clear error and the right exit code: 2 config, 3 data, 4 model file. Nothing panics.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod common;

use std::path::Path;

use common::{fails, json, ok, write};

fn config(data: &str, stages: &str) -> String {
    format!(
        "seed = 1\n[data]\n{data}\n[[pipeline]]\nstage = \"vector_assembler\"\n{stages}\n[output]\nmodel = \"m.ember\"\n"
    )
}

fn train(folder: &Path, csv: &str, stages: &str, code: i32) -> String {
    write(folder, "d.csv", csv);
    write(
        folder,
        "c.toml",
        &config("source = \"d.csv\"\nlabel = \"y\"", stages),
    );
    let error = fails(folder, &["train", "c.toml", "--quiet"], code);
    assert!(!folder.join("m.ember").exists());
    error
}

const LOGISTIC: &str = "[[pipeline]]\nstage = \"logistic_regression\"";

#[test]
fn ten_mistakes_are_ten_reports_with_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let text = "nmae = \"x\"\n\
                seed = \"seven\"\n\
                [data]\n\
                source = 5\n\
                lable = \"y\"\n\
                bad_rows = \"drop\"\n\
                [data.split]\n\
                test = 1.5\n\
                [[pipeline]]\n\
                stage = \"vector_asembler\"\n\
                [[pipeline]]\n\
                stage = \"random_forest_classifier\"\n\
                num_trees = 0\n\
                max_dept = 3\n\
                [evaluate]\n\
                metrics = [\"acuracy\"]\n\
                [engine]\n\
                threads = -1\n";
    write(folder.path(), "c.toml", text);
    let error = fails(folder.path(), &["train", "c.toml"], 2);
    for place in [
        "1:1", "2:8", "4:10", "5:1", "6:12", "8:8", "10:9", "13:13", "14:1", "16:12", "18:11",
    ] {
        assert!(
            error.contains(&format!("c.toml:{place}")),
            "{place} is not in {error}"
        );
    }
    for near in ["name", "label", "vector_assembler", "max_depth", "accuracy"] {
        assert!(
            error.contains(&format!("`{near}`")),
            "{near} is not suggested in {error}"
        );
    }
}

#[test]
fn a_value_that_is_no_number_names_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let mut csv = String::from("a,y\n");
    (0..10_100).for_each(|i| csv.push_str(&format!("{i},{}\n", i % 2)));
    csv.push_str("oops,1\n");
    let error = train(folder.path(), &csv, LOGISTIC, 3);
    assert!(
        error.contains("line 10102") && error.contains("oops") && error.contains("`a`"),
        "{error}"
    );
}

#[test]
fn an_infinite_or_missing_feature_names_column_and_row() {
    let folder = tempfile::tempdir().unwrap();
    let error = train(folder.path(), "a,y\n1,0\n,1\n3,0\n", LOGISTIC, 3);
    assert!(
        error.contains("`a`, row 1") && error.contains("imputer"),
        "{error}"
    );
    let error = train(folder.path(), "a,y\n1,0\n2,1\ninf,0\n", LOGISTIC, 3);
    assert!(error.contains("`a`, row 2"), "{error}");
}

#[test]
fn one_class_only_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for learner in [
        "logistic_regression",
        "random_forest_classifier",
        "one_vs_rest",
        "decision_tree_classifier",
    ] {
        let stages = format!("[[pipeline]]\nstage = \"{learner}\"");
        let error = train(folder.path(), "a,y\n1,0\n2,0\n3,0\n", &stages, 3);
        assert!(
            error.contains(learner) && error.contains("at least two classes"),
            "{error}"
        );
    }
}

#[test]
fn an_all_null_column_is_named_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let stages = format!("[[pipeline]]\nstage = \"imputer\"\ninputs = [\"b\"]\n{LOGISTIC}");
    write(folder.path(), "d.csv", "a,b,y\n1,,0\n2,,1\n3,,0\n");
    let text = config("source = \"d.csv\"\nlabel = \"y\"", LOGISTIC).replacen(
        "[[pipeline]]",
        "[[pipeline]]\nstage = \"imputer\"\ninputs = [\"b\"]\n[[pipeline]]",
        1,
    );
    write(folder.path(), "c.toml", &text);
    let error = fails(folder.path(), &["train", "c.toml", "--quiet"], 3);
    assert!(
        error.contains("`b`") && error.contains("imputer"),
        "{error}"
    );
    let _ = stages;
}

#[test]
fn an_unseen_category_is_named_and_can_be_kept() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "d.csv",
        "c,y\nred,0\nblue,1\nred,0\nblue,1\n",
    );
    let text = |rule: &str| {
        format!(
            "[data]\nsource = \"d.csv\"\nlabel = \"y\"\n[[pipeline]]\nstage = \"string_indexer\"\ninputs = [\"*\"]\nhandle_invalid = \"{rule}\"\n\
             [[pipeline]]\nstage = \"vector_assembler\"\n[[pipeline]]\nstage = \"decision_tree_classifier\"\n[output]\nmodel = \"{rule}.ember\"\n"
        )
    };
    write(folder.path(), "new.csv", "c\nred\ngreen\n");
    for (rule, rows) in [("error", 0), ("keep", 2), ("skip", 1)] {
        write(folder.path(), "c.toml", &text(rule));
        ok(folder.path(), &["train", "c.toml", "--quiet"]);
        let model = format!("{rule}.ember");
        let predict = [
            "predict",
            &model,
            "--data",
            "new.csv",
            "--output",
            "-",
            "--columns",
            "c,prediction",
        ];
        if rule == "error" {
            let error = fails(folder.path(), &predict, 3);
            assert!(
                error.contains("green")
                    && error.contains("`c`, row 1")
                    && error.contains("handle_invalid"),
                "{error}"
            );
        } else {
            assert_eq!(ok(folder.path(), &predict).lines().count(), rows + 1);
        }
    }
}

#[test]
fn more_clusters_than_distinct_points_are_reduced_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "d.csv", "a,b\n1,1\n1,1\n2,2\n2,2\n3,3\n");
    let text = "[data]\nsource = \"d.csv\"\n[[pipeline]]\nstage = \"vector_assembler\"\n[[pipeline]]\nstage = \"kmeans\"\nk = 10\n";
    write(folder.path(), "c.toml", text);
    let result = json(&ok(folder.path(), &["train", "c.toml", "--json"]));
    let fit = &result["stages"][1]["report"];
    assert_eq!(
        fit["figures"]["effective_k"].as_f64(),
        Some(3.0),
        "{result}"
    );
    assert!(fit["warnings"].to_string().contains("distinct"), "{result}");
}

#[test]
fn a_ragged_record_names_its_line_or_is_quarantined() {
    let folder = tempfile::tempdir().unwrap();
    let csv = "a,y\n1,0\n2,1,7\n3,0\n4,1\n";
    let error = train(folder.path(), csv, LOGISTIC, 3);
    assert!(error.contains("line 3"), "{error}");
    let text = config(
        "source = \"d.csv\"\nlabel = \"y\"\nbad_rows = \"quarantine\"\nquarantine = \"bad.jsonl\"",
        LOGISTIC,
    );
    write(folder.path(), "c.toml", &text);
    let result = json(&ok(folder.path(), &["train", "c.toml", "--json"]));
    assert_eq!(result["rows"]["train"], 3, "{result}");
    let bad = std::fs::read_to_string(folder.path().join("bad.jsonl")).unwrap();
    assert_eq!(bad.lines().count(), 1);
    assert_eq!(json(&bad)["line"], 3);
}

#[test]
fn empty_and_missing_files_are_data_errors() {
    let folder = tempfile::tempdir().unwrap();
    for csv in ["", "a,y\n"] {
        let error = train(folder.path(), csv, LOGISTIC, 3);
        assert!(
            error.contains("d.csv") || error.contains("no rows"),
            "{error}"
        );
    }
    write(
        folder.path(),
        "c.toml",
        &config("source = \"absent.csv\"\nlabel = \"y\"", LOGISTIC),
    );
    let error = fails(folder.path(), &["train", "c.toml"], 3);
    assert!(error.contains("absent.csv"), "{error}");
    assert!(fails(folder.path(), &["train", "absent.toml"], 2).contains("absent.toml"));
}

#[test]
fn an_unknown_bundled_set_is_answered_with_the_nearest_name() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "c.toml",
        &config("source = \"bundled:pendigit\"", LOGISTIC),
    );
    assert!(fails(folder.path(), &["train", "c.toml"], 3).contains("pendigits"));
}

#[test]
fn a_truncated_or_foreign_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "c.toml",
        &config("source = \"bundled:iris\"", LOGISTIC),
    );
    ok(folder.path(), &["train", "c.toml", "--quiet"]);
    let bytes = std::fs::read(folder.path().join("m.ember")).unwrap();
    for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(folder.path().join("cut.ember"), &bytes[..cut]).unwrap();
        let error = fails(folder.path(), &["inspect", "cut.ember"], 4);
        assert!(error.contains("cut.ember"), "{error}");
    }
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 3] ^= 1;
    std::fs::write(folder.path().join("flipped.ember"), &flipped).unwrap();
    fails(
        folder.path(),
        &[
            "predict",
            "flipped.ember",
            "--data",
            "bundled:iris",
            "--output",
            "-",
        ],
        4,
    );
    write(folder.path(), "foreign.ember", "PK\u{3}\u{4} not a model");
    fails(
        folder.path(),
        &["evaluate", "foreign.ember", "--data", "bundled:iris"],
        4,
    );
    fails(folder.path(), &["inspect", "absent.ember"], 4);
}

#[test]
fn the_label_is_no_feature() {
    let folder = tempfile::tempdir().unwrap();
    let text = config("source = \"bundled:iris\"", LOGISTIC).replace(
        "\"vector_assembler\"",
        "\"vector_assembler\"\ninputs = [\"petal_width\", \"species\"]",
    );
    write(folder.path(), "c.toml", &text);
    let error = fails(folder.path(), &["check", "c.toml"], 2);
    assert!(error.contains("species"), "{error}");
}

#[test]
fn hostile_configs_are_refused_without_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let deep = format!("a = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = format!("name = \"{}\"", "x".repeat(2 << 20));
    for (name, text) in [
        ("deep.toml", deep.as_str()),
        ("long.toml", long.as_str()),
        ("nul.toml", "a = \"\u{0}\""),
        ("cut.toml", "[data"),
    ] {
        write(folder.path(), name, text);
        fails(folder.path(), &["check", name], 2);
    }
    std::fs::write(folder.path().join("latin.toml"), b"name = \"\xe4\"").unwrap();
    fails(folder.path(), &["check", "latin.toml"], 2);
}

/// What a run says of the rows that policies let pass, without the figures that are zero.
fn told(found: &serde_json::Value) -> Vec<String> {
    let of = |i: &serde_json::Value| {
        let columns = i["columns"].as_array().unwrap().iter();
        let columns: Vec<String> = columns
            .map(|c| format!("{} {} {}", c["column"], c["reason"], c["rows"]).replace('"', ""))
            .collect();
        let (stage, fate) = (i["stage"].as_str().unwrap(), i["fate"].as_str().unwrap());
        format!("{stage} {fate} {}: {}", i["rows"], columns.join(", "))
    };
    found.as_array().unwrap().iter().map(of).collect()
}

#[test]
fn rows_that_a_policy_lets_pass_are_counted_once_in_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let table = |rows: usize, t: &dyn Fn(usize) -> &'static str, a: &dyn Fn(usize) -> bool| {
        let mut csv = String::from("t,a,y\n");
        for i in 0..rows {
            let a = if a(i) { String::new() } else { i.to_string() };
            csv.push_str(&format!(
                "{},{a},{}\n",
                t(i),
                if i % 3 == 0 { "no" } else { "yes" }
            ));
        }
        csv
    };
    let known = ["ash", "elm", "oak"];
    // Rows 5, 50, 500, ... have no text, 5 and 6, 60, 600, ... no number: row 5 is skipped before the assembler sees it.
    let power = |i: usize, first: usize| (0..5).any(|p| i == first * 10_usize.pow(p));
    let train = table(
        20_000,
        &|i| if power(i, 5) { "" } else { known[i % 3] },
        &|i| power(i, 6) || i == 5,
    );
    write(at, "train.csv", &train);
    let test = table(
        12,
        &|i| match i {
            2 => "",
            7 | 8 => "fir",
            _ => known[i % 3],
        },
        &|i| i == 7 || i == 9,
    );
    write(at, "test.csv", &test);
    let stages = "[[pipeline]]\nstage = \"string_indexer\"\ninputs = [\"t\"]\nhandle_invalid = \"skip\"\n\
         [[pipeline]]\nstage = \"one_hot_encoder\"\ninputs = [\"t_index\"]\nhandle_invalid = \"keep\"\n\
         [[pipeline]]\nstage = \"vector_assembler\"\ninputs = [\"a\", \"t_onehot\"]\nhandle_invalid = \"keep\"\n\
         [[pipeline]]\nstage = \"decision_tree_classifier\"\n[output]\nmodel = \"m.ember\"\nreport = \"r\"\n";
    let config = format!(
        "[data]\nsource = \"train.csv\"\nlabel = \"y\"\n[data.split]\nsource = \"test.csv\"\n{stages}"
    );
    write(at, "c.toml", &config);
    let held_out = [
        "string_indexer skipped 3: t missing 1, t unseen 2",
        "one_hot_encoder kept 0: ",
        "vector_assembler kept 1: a missing 1",
    ];
    let mut digests = Vec::new();
    for (partitions, threads) in [(1, 1), (7, 2), (64, 4)] {
        let sets = [
            format!("data.partitions={partitions}"),
            format!("engine.threads={threads}"),
        ];
        let args = [
            "train",
            "c.toml",
            "--json",
            "--overwrite",
            "--set",
            &sets[0],
            "--set",
            &sets[1],
        ];
        let run = json(&ok(at, &args));
        let stages = run["stages"].as_array().unwrap();
        let own: Vec<String> = stages.iter().flat_map(|s| told(&s["invalid"])).collect();
        assert_eq!(
            own,
            [
                "string_indexer skipped 4: t missing 4",
                "one_hot_encoder kept 0: ",
                "vector_assembler kept 4: a missing 4",
            ]
        );
        assert_eq!(told(&run["invalid"]), held_out);
        let warnings = run["warnings"].to_string();
        assert!(
            warnings
                .contains("among the training rows, string_indexer skipped 4 rows: t missing 4"),
            "{warnings}"
        );
        assert_eq!(stages[3]["report"]["rows"], 19_996);
        digests.push(run["model"]["sha256"].to_string());
    }
    digests.dedup();
    assert_eq!(digests.len(), 1, "the counts change the model");
    let metrics = json(&std::fs::read_to_string(at.join("r/metrics.json")).unwrap());
    assert_eq!(metrics["invalid"].as_array().unwrap().len(), 6);
    let events = std::fs::read_to_string(at.join("r/events.jsonl")).unwrap();
    assert_eq!(events.matches("\"event\":\"invalid_rows\"").count(), 6);

    let measured = json(&ok(
        at,
        &["evaluate", "m.ember", "--data", "test.csv", "--json"],
    ));
    assert_eq!(told(&measured["invalid"]), held_out);
    assert_eq!(measured["rows"], 9);
    let args = [
        "predict",
        "m.ember",
        "--data",
        "test.csv",
        "--output",
        "p.csv",
        "--columns",
        "a",
    ];
    let said = String::from_utf8(common::emberline(at, &args).stderr).unwrap();
    assert!(
        said.contains("string_indexer skipped 3 rows: t missing 1, t unseen in training 2")
            && said.contains("vector_assembler kept 1 row: a missing 1")
            && !said.contains("one_hot"),
        "{said}"
    );
}

//! Accuracy under lock, as a user meets it.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod common;

use common::{emberline, fails, json, ok, write};

const CONFIG: &str = r#"
name = "locked"
seed = 42

[data]
source = "iris.csv"
label = "species"

[data.split]
test = 0.25
stratify = true

[[pipeline]]
stage = "vector_assembler"

[[pipeline]]
stage = "standard_scaler"
inputs = ["features"]
outputs = ["features"]

[[pipeline]]
stage = "random_forest_classifier"
num_trees = 20

[evaluate]
metrics = ["accuracy", "log_loss"]
"#;

/// A folder with the irises, a config and its lock.
fn locked() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    ok(
        folder.path(),
        &["data", "export", "bundled:iris", "--output", "iris.csv"],
    );
    write(folder.path(), "iris.toml", CONFIG);
    ok(folder.path(), &["lock", "iris.toml"]);
    folder
}

#[test]
fn an_unchanged_config_passes_with_the_same_bytes() {
    let folder = locked();
    let text = std::fs::read_to_string(folder.path().join("iris.accuracy.lock")).unwrap();
    assert!(
        text.contains("[metrics.accuracy]") && text.contains("stage = \"standard_scaler\""),
        "{text}"
    );
    let result = json(&ok(folder.path(), &["test", ".", "--json"]));
    assert_eq!(result["passed"], true, "{result}");
    assert_eq!(
        result["configs"][0]["comparison"]["same_model"], true,
        "{result}"
    );
    assert!(ok(folder.path(), &["test", "iris.toml"]).contains("ok, the same bytes"));
}

#[test]
fn a_metric_below_its_band_fails_with_exit_code_1_and_names_the_first_stage_that_moved() {
    let folder = locked();
    // Labels of every third row are changed: the scaler still gives what it gave, the forest does not.
    let text = std::fs::read_to_string(folder.path().join("iris.csv")).unwrap();
    let spoilt: Vec<String> = text
        .lines()
        .enumerate()
        .map(|(i, line)| {
            if i > 0 && i % 3 == 0 {
                line.replace("virginica", "setosa")
            } else {
                line.to_owned()
            }
        })
        .collect();
    std::fs::write(folder.path().join("iris.csv"), spoilt.join("\n")).unwrap();
    let output = emberline(folder.path(), &["test", "iris.toml"]);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(
        shown.contains("FAILED") && shown.contains("accuracy"),
        "{shown}"
    );
    assert!(
        shown.contains("the training rows are not those that were locked"),
        "{shown}"
    );
    assert!(
        shown.contains("the first stage whose output moved is `"),
        "{shown}"
    );
}

#[test]
fn another_config_than_the_locked_one_fails_and_says_so() {
    let folder = locked();
    write(
        folder.path(),
        "iris.toml",
        &CONFIG.replace("num_trees = 20", "num_trees = 21"),
    );
    let output = emberline(folder.path(), &["test", "iris.toml"]);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(
        shown.contains("the config is not the one that was locked"),
        "{shown}"
    );
    assert!(
        shown.contains("the first stage whose output moved is `random_forest_classifier`"),
        "{shown}"
    );
}

#[test]
fn a_difference_inside_the_band_is_reported_and_passes() {
    let folder = locked();
    // As if another program version had written the lock: other model bytes, the same metrics.
    let path = folder.path().join("iris.accuracy.lock");
    let text = std::fs::read_to_string(&path).unwrap();
    let at = text.find("model = \"").unwrap() + 9;
    std::fs::write(&path, format!("{}0000{}", &text[..at], &text[at + 4..])).unwrap();
    let shown = ok(folder.path(), &["test", "iris.toml"]);
    assert!(shown.contains("ok, other bytes"), "{shown}");
}

#[test]
fn a_config_without_a_lock_is_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "iris.toml", CONFIG);
    assert!(fails(folder.path(), &["test", "iris.toml"], 2).contains("emberline lock"));
    assert!(fails(folder.path(), &["test", "."], 2).contains("no config"));
}

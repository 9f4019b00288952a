//! The command line as a user types it.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod common;

use common::{emberline, fails, json, ok, write};

const IRIS: &str = r#"
name = "iris"
seed = 42

[data]
source = "bundled:iris"

[data.split]
test = 0.25
stratify = true

[[pipeline]]
stage = "vector_assembler"

[[pipeline]]
stage = "random_forest_classifier"
num_trees = 10

[output]
model = "iris.ember"
report = "report"
"#;

#[test]
fn train_prints_one_json_object_and_writes_model_and_report() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "iris.toml", IRIS);
    let result = json(&ok(folder.path(), &["train", "iris.toml", "--json"]));
    assert!(
        result["metrics"]["accuracy"].as_f64().unwrap() > 0.85,
        "{result}"
    );
    assert_eq!(result["model"]["path"], "iris.ember");
    assert_eq!(result["model"]["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(
        result["rows"]["train"].as_u64().unwrap() + result["rows"]["test"].as_u64().unwrap(),
        150
    );
    assert!(result["timings"]["fit"].as_f64().is_some());
    assert_eq!(result["stages"].as_array().unwrap().len(), 2);
    let html = std::fs::read_to_string(folder.path().join("report/report.html")).unwrap();
    assert!(html.contains("Confusion matrix") && html.contains("<svg"));
    assert!(folder.path().join("report/metrics.json").exists());
    let events = std::fs::read_to_string(folder.path().join("report/events.jsonl")).unwrap();
    assert!(
        events.lines().count() >= 4 && events.lines().all(|l| l.starts_with("{\"event\":")),
        "{events}"
    );
}

#[test]
fn a_model_is_not_overwritten_unless_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "iris.toml", IRIS);
    ok(folder.path(), &["train", "iris.toml", "--quiet"]);
    let error = fails(folder.path(), &["train", "iris.toml", "--quiet"], 4);
    assert!(
        error.contains("iris.ember") && error.contains("--overwrite"),
        "{error}"
    );
    ok(
        folder.path(),
        &["train", "iris.toml", "--quiet", "--overwrite"],
    );
}

#[test]
fn training_twice_gives_equal_files() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "iris.toml", IRIS);
    ok(
        folder.path(),
        &[
            "train",
            "iris.toml",
            "--quiet",
            "--set",
            "output.model=a.ember",
        ],
    );
    ok(
        folder.path(),
        &[
            "train",
            "iris.toml",
            "--quiet",
            "--set",
            "output.model=b.ember",
            "--set",
            "data.partitions=7",
        ],
    );
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    assert_eq!(read("a.ember"), read("b.ember"));
}

#[test]
fn a_model_evaluates_predicts_verifies_and_tells_about_itself() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "iris.toml", IRIS);
    ok(folder.path(), &["train", "iris.toml", "--quiet"]);
    ok(
        folder.path(),
        &["data", "export", "bundled:iris", "--output", "iris.csv"],
    );

    let metrics = json(&ok(
        folder.path(),
        &[
            "evaluate",
            "iris.ember",
            "--data",
            "iris.csv",
            "--on-train",
            "--json",
        ],
    ));
    assert!(metrics["metrics"]["accuracy"].as_f64().unwrap() > 0.9);

    ok(
        folder.path(),
        &[
            "predict",
            "iris.ember",
            "--data",
            "iris.csv",
            "--output",
            "out.csv",
        ],
    );
    let out = std::fs::read_to_string(folder.path().join("out.csv")).unwrap();
    assert_eq!(out.lines().count(), 151);
    assert!(out.lines().next().unwrap().contains("prediction"));
    assert!(out.contains("virginica"));
    let shown = ok(
        folder.path(),
        &[
            "predict",
            "iris.ember",
            "--data",
            "iris.csv",
            "--output",
            "-",
            "--columns",
            "species,prediction",
        ],
    );
    assert_eq!(shown.lines().next().unwrap(), "species,prediction");
    for extension in ["jsonl", "parquet"] {
        let output = format!("out.{extension}");
        ok(
            folder.path(),
            &[
                "predict",
                "iris.ember",
                "--data",
                "iris.csv",
                "--output",
                &output,
            ],
        );
        assert!(folder.path().join(&output).metadata().unwrap().len() > 1_000);
    }

    assert!(ok(folder.path(), &["verify", "iris.ember"]).contains("same bits"));
    let about = ok(folder.path(), &["inspect", "iris.ember"]);
    assert!(
        about.contains("random_forest_classifier") && about.contains("petal_length"),
        "{about}"
    );
    assert!(json(&ok(folder.path(), &["inspect", "iris.ember", "--json"]))["stages"].is_array());
}

#[test]
fn prediction_matches_columns_by_name_and_needs_no_label() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "iris.toml", IRIS);
    ok(folder.path(), &["train", "iris.toml", "--quiet"]);
    let text = "extra,petal_width,petal_length,sepal_width,sepal_length\nx,0.2,1.4,3.5,5.1\nx,2.5,6.0,3.3,6.3\n";
    write(folder.path(), "new.csv", text);
    let shown = ok(
        folder.path(),
        &[
            "predict",
            "iris.ember",
            "--data",
            "new.csv",
            "--output",
            "-",
            "--columns",
            "extra,prediction",
        ],
    );
    assert_eq!(shown, "extra,prediction\nx,setosa\nx,virginica\n");
    write(
        folder.path(),
        "short.csv",
        "petal_width,petal_length,sepal_width\n0.2,1.4,3.5\n",
    );
    let error = fails(
        folder.path(),
        &[
            "predict",
            "iris.ember",
            "--data",
            "short.csv",
            "--output",
            "-",
        ],
        2,
    );
    assert!(error.contains("sepal_length"), "{error}");
}

#[test]
fn every_example_config_passes_check() {
    let examples = std::fs::read_dir(common::root().join("examples"))
        .unwrap()
        .map(|e| e.unwrap().path());
    let configs: Vec<_> = examples
        .filter(|p| p.extension().is_some_and(|e| e == "toml"))
        .collect();
    assert!(configs.len() >= 4);
    for config in configs {
        let shown = ok(common::root(), &["check", config.to_str().unwrap()]);
        assert!(shown.contains("features"), "{}: {shown}", config.display());
        json(&ok(
            common::root(),
            &["check", config.to_str().unwrap(), "--json"],
        ));
        assert!(
            ok(common::root(), &["explain", config.to_str().unwrap()])
                .contains("passes over the source")
        );
    }
}

#[test]
fn check_reads_no_more_than_the_sample() {
    let folder = tempfile::tempdir().unwrap();
    // Row 20,001 is bad: `check` samples 10,000 rows and must not see it; `train` must.
    let mut text = String::from("x,y\n");
    for i in 0..20_000 {
        text.push_str(&format!("{i},{}\n", i % 2));
    }
    text.push_str("not a number,1\n");
    write(folder.path(), "big.csv", &text);
    let config = "[data]\nsource = \"big.csv\"\nlabel = \"y\"\n[[pipeline]]\nstage = \"vector_assembler\"\n\
                  [[pipeline]]\nstage = \"logistic_regression\"\n";
    write(folder.path(), "c.toml", config);
    ok(folder.path(), &["check", "c.toml"]);
    let error = fails(folder.path(), &["train", "c.toml", "--quiet"], 3);
    assert!(
        error.contains("line 20002") && error.contains("not a number"),
        "{error}"
    );
}

#[test]
fn data_commands_list_and_describe() {
    let folder = tempfile::tempdir().unwrap();
    let list = ok(folder.path(), &["data", "list"]);
    for name in [
        "pendigits",
        "adult",
        "letter",
        "mushroom",
        "iris",
        "wine",
        "breast_cancer",
        "digits",
        "penguins",
        "diabetes",
        "winequality_white",
        "bikeshare",
        "diamonds",
        "karate",
        "polblogs",
        "as_22july06",
    ] {
        assert!(list.contains(name), "{name} is missing from {list}");
        let described = json(&ok(
            folder.path(),
            &["data", "describe", &format!("bundled:{name}"), "--json"],
        ));
        assert!(described["rows"].as_u64().unwrap() > 0);
    }
    let penguins = ok(
        folder.path(),
        &["data", "describe", "bundled:penguins", "--partitions", "3"],
    );
    for part in ["species", "nulls", "Adelie", "rows per partition"] {
        assert!(penguins.contains(part), "{part} is missing from {penguins}");
    }
}

#[test]
fn stages_and_schema_come_from_the_registry() {
    let folder = tempfile::tempdir().unwrap();
    let stages = ok(folder.path(), &["stages"]);
    let schema = json(&ok(folder.path(), &["schema"])).to_string();
    for entry in emberline::registry().entries() {
        assert!(stages.contains(entry.name), "{}", entry.name);
        assert!(schema.contains(entry.name), "{}", entry.name);
        let one = ok(folder.path(), &["stages", entry.name]);
        assert!(one.contains("meaning"), "{one}");
        // Every parameter is documented: the reference is made from these texts.
        let described = json(&ok(folder.path(), &["stages", entry.name, "--json"]));
        for (name, property) in described["schema"]["properties"].as_object().unwrap() {
            assert!(
                property["description"].is_string(),
                "{}.{name} has no doc",
                entry.name
            );
        }
    }
    assert!(fails(folder.path(), &["stages", "kmean"], 2).contains("did you mean `kmeans`?"));
}

#[test]
fn a_strangers_table_trains_through_ten_lines() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from("colour,size,price,note,kind\n");
    for i in 0..400 {
        let (colour, kind) = if i % 3 == 0 {
            ("red", "apple")
        } else {
            ("yellow", "banana")
        };
        let size = if i % 7 == 0 {
            String::new()
        } else {
            format!("{}", 5 + i % 3 * 2)
        };
        let price = if i % 11 == 0 {
            "NA".to_owned()
        } else {
            format!("{:.2}", 0.5 + f64::from(i % 5))
        };
        text.push_str(&format!("{colour},{size},{price},\"a, b\",{kind}\n"));
    }
    write(folder.path(), "fruit.csv", &text);
    let config = "[data]\nsource = \"fruit.csv\"\nlabel = \"kind\"\nsplit = { test = 0.25, stratify = true }\n\
                  [[pipeline]]\nstage = \"imputer\"\ninputs = [\"*\"]\n[[pipeline]]\nstage = \"string_indexer\"\ninputs = [\"*\"]\n\
                  [[pipeline]]\nstage = \"vector_assembler\"\n[[pipeline]]\nstage = \"random_forest_classifier\"\n";
    assert!(config.lines().count() <= 14);
    write(folder.path(), "c.toml", config);
    let result = json(&ok(folder.path(), &["train", "c.toml", "--json"]));
    assert_eq!(
        result["metrics"]["accuracy"].as_f64().unwrap(),
        1.0,
        "{result}"
    );
}

#[test]
fn without_arguments_or_with_wrong_ones_usage_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(emberline(folder.path(), &[]).status.code(), Some(2));
    assert_eq!(emberline(folder.path(), &["trian"]).status.code(), Some(2));
    assert!(ok(folder.path(), &["--version"]).contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_model_whose_probe_rows_fail_is_not_used() {
    use emberline::pipeline::row::Cell;
    let folder = tempfile::tempdir().unwrap();
    let mut file = common::train_toml(IRIS).model_file;
    // A file of right checksum whose expectations are not what this program computes.
    let last = file.probes.outputs.len() - 1;
    let outputs = file.probes.rows[0].output.as_mut().unwrap();
    outputs[last] = match &outputs[last] {
        Cell::Vector(v) => Cell::Vector(v.iter().map(|x| x + 0.5).collect()),
        _ => Cell::Null,
    };
    file.save(folder.path().join("odd.ember"), false).unwrap();
    ok(
        folder.path(),
        &["data", "export", "bundled:iris", "--output", "iris.csv"],
    );
    for args in [
        &[
            "predict",
            "odd.ember",
            "--data",
            "iris.csv",
            "--output",
            "-",
        ][..],
        &["evaluate", "odd.ember", "--data", "iris.csv"][..],
        &["verify", "odd.ember"][..],
    ] {
        let error = fails(folder.path(), args, 4);
        assert!(error.contains("probe rows give other outputs"), "{error}");
    }
}

//! Checks against data in memory.

use std::sync::Arc;

use emberline_datasets::arrow::array::{Float64Array, StringArray};
use emberline_datasets::{Column, ColumnType, Dataset, Roles};

use super::*;
use crate::Error;
use crate::config::tests::{listed, parse, registry};

fn data(label: Option<&str>) -> Dataset {
    let x: Float64Array = (0..1000).map(|i| Some(f64::from(i))).collect();
    let y: StringArray = (0..1000)
        .map(|i| Some(if i % 2 == 0 { "a" } else { "b" }))
        .collect();
    Dataset::from_columns(vec![
        (
            Column::new("x", ColumnType::Float, false),
            Arc::new(x.clone()),
        ),
        (Column::new("z", ColumnType::Float, true), Arc::new(x)),
        (Column::new("y", ColumnType::Text, false), Arc::new(y)),
    ])
    .unwrap()
    .with_roles(Roles {
        label: label.map(str::to_owned),
        ..Roles::default()
    })
    .unwrap()
}

fn text(scale: &str, learner: &str, rest: &str) -> String {
    format!(
        "[data]\nsource = \"a\"\n\n[[pipeline]]\nstage = \"scale\"\n{scale}\n\n[[pipeline]]\nstage = \"guess\"\n{learner}\n{rest}"
    )
}

fn check(text: &str, label: Option<&str>) -> Result<CheckReport> {
    parse(text)
        .unwrap()
        .check_data(&registry(), &data(label), None)
}

fn mistakes(text: &str, label: Option<&str>) -> Vec<String> {
    match check(text, label) {
        Err(Error::Config(errors)) => listed(&errors),
        other => panic!("no config error: {other:?}"),
    }
}

#[test]
fn a_fitting_config_reports_schemas_rows_and_memory() {
    let text = text("", "", "[data.split]\ntest = 0.25\n");
    let report = check(&text, Some("y")).unwrap();
    assert_eq!((report.rows, report.rows_exact), (Some(1000), true));
    let stages: Vec<&str> = report.steps.iter().map(|s| s.stage.as_str()).collect();
    assert_eq!(stages, ["source", "scale", "guess"]);
    assert_eq!(report.steps[1].changed, ["features"]);
    assert_eq!(report.steps[1].columns[3].from, ["x", "z"]);
    // 750 rows of two numbers, a label and a row id, eight bytes each.
    assert_eq!(report.memory[0].bytes, Some(750 * 8 * 4));
    assert!(!report.memory[0].spills && report.warnings.is_empty());
    let shown = report.to_string();
    for part in [
        "1000 rows",
        "source: 3 columns",
        "1. scale",
        "features",
        "vector[2] of f64",
        "from x, z",
        "label",
        "memory (no limit)",
        "750 rows x 2 numbers",
        "held-out rows",
    ] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
    assert!(
        serde_json::to_string(&report)
            .unwrap()
            .contains("\"role\":\"label\"")
    );
}

#[test]
fn blocks_beyond_the_limit_spill_with_a_warning() {
    let wide: Vec<String> = (0..200).map(|_| "\"x\"".to_owned()).collect();
    let text = text(&format!("inputs = [{}]", wide.join(", ")), "", "")
        .replace("source = \"a\"", "source = \"a\"\nmemory_limit = \"1MiB\"");
    let report = check(&text, Some("y")).unwrap();
    assert!(report.memory[0].spills);
    assert!(report.warnings.iter().any(|w| w.contains("spill")));
    assert!(report.warnings.iter().any(|w| w.contains("not evaluated")));
}

#[test]
fn a_stage_that_does_not_fit_is_reported_at_the_key_that_names_the_column() {
    let found = mistakes(&text("inputs = [\"x\", \"zz\", \"q\"]", "", ""), Some("y"));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].starts_with("6:16: stage `scale`: no column `zz`"),
        "{found:?}"
    );
    assert!(
        found[1].starts_with("6:22: stage `scale`: no column `q`"),
        "{found:?}"
    );
}

#[test]
fn a_message_about_a_key_stands_at_the_key_and_any_other_at_the_stage() {
    let found = mistakes(&text("", "features_col = \"x\"", ""), Some("y"));
    assert_eq!(
        found,
        ["10:16: stage `guess`: `features_col` must be a vector"]
    );
    let found = mistakes(&text("", "", "[[pipeline]]\nstage = \"guess\""), Some("y"));
    assert!(
        found[0].starts_with("11:1: stage `guess`: output column `prediction` exists already"),
        "{found:?}"
    );
}

#[test]
fn a_learner_without_a_label_says_how_to_name_one() {
    let found = mistakes(&text("", "", ""), None);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("8:1: stage `guess`: there is no label: no column `label`"),
        "{found:?}"
    );
    let found = mistakes(&text("", "label_col = \"yy\"", ""), None);
    assert!(
        found[0].starts_with("10:13:") && found[0].contains("did you mean `y`?"),
        "{found:?}"
    );
    assert!(check(&text("inputs = [\"x\"]", "label_col = \"y\"", ""), None).is_ok());
}

#[test]
fn the_label_among_the_features_is_an_error() {
    let found = mistakes(&text("inputs = [\"x\", \"y\"]", "", ""), Some("y"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("6:16: the label `y` is among the features of `guess`"),
        "{found:?}"
    );
    let found = mistakes(&text("", "label_col = \"z\"", ""), Some("y"));
    assert!(
        found[0].starts_with("8:1: the label `z` is among the features"),
        "{found:?}"
    );
}

#[test]
fn outputs_that_cannot_be_written_are_reported_before_training() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let (file, dir) = (file.display(), folder.path().display());
    let rest = format!(
        "[output]\nmodel = '{file}/m.ember'\nreport = '{file}'\npredictions = '{dir}/new/p.xls'\n"
    );
    let found = mistakes(&text("", "", &rest), Some("y"));
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        found[0].starts_with("12:9: `output.model`")
            && found[0].contains("is a file, not a folder")
    );
    assert!(found[1].starts_with("13:10: `output.report`") && found[1].contains("is a file"));
    assert!(found[2].starts_with("14:15: `output.predictions` must end in"));
    let fine = format!("[output]\nmodel = '{dir}/a/b/m.ember'\nreport = '{dir}'\n");
    assert!(check(&text("", "", &fine), Some("y")).is_ok());
}

#[test]
fn mistakes_of_stage_and_output_are_reported_together() {
    let rest = "[output]\npredictions = 'p.xls'\n";
    assert_eq!(
        mistakes(&text("inputs = [\"q\"]", "", rest), Some("y")).len(),
        2
    );
}

#[test]
fn what_split_and_metrics_need_is_checked() {
    let rest = "[data.split]\ntest = 0.5\nstratify = true\n";
    let found = mistakes(&text("inputs = [\"x\"]", "label_col = \"y\"", rest), None);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("13:12: `data.split.stratify` needs a label"));
    let only =
        "[data]\nsource = \"a\"\n[[pipeline]]\nstage = \"scale\"\n[evaluate]\nmetrics = [\"f1\"]\n";
    assert!(mistakes(only, None)[0].starts_with("6:11: nothing to measure"));
}

fn on_disk(train: &str, test: &str, rest: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a.csv"), folder.path().join("b.csv"));
    std::fs::write(&a, train).unwrap();
    std::fs::write(&b, test).unwrap();
    let text = format!(
        "[data]\nsource = '{}'\n{rest}\n[data.split]\nsource = '{}'\n[[pipeline]]\nstage = \"scale\"\ninputs = [\"x\"]\n[[pipeline]]\nstage = \"guess\"\n",
        a.display(),
        b.display()
    );
    (folder, text)
}

#[test]
fn held_out_files_take_the_types_of_the_training_file() {
    let (_folder, text) = on_disk("x,y\n1.5,a\n2.5,b\n", "x,y\n1,a\n2,b\n", "label = 'y'");
    let config = parse(&text).unwrap();
    let (data, test) = config.dataset().unwrap();
    assert_eq!(data.schema(), test.unwrap().schema());
    let report = config.check(&registry()).unwrap();
    assert_eq!(report.evaluate_on, EvaluateOn::TestSource);
    assert!(report.test_source.unwrap().ends_with("b.csv"));
}

#[test]
fn held_out_files_that_lack_a_column_and_roles_without_a_column_have_their_place() {
    let (_folder, text) = on_disk("x,y,z\n1,a,1\n", "x,y\n1,a\n", "label = 'y'");
    let Err(Error::Config(errors)) = parse(&text).unwrap().check(&registry()) else {
        panic!()
    };
    assert!(
        listed(&errors)[0].starts_with("5:10: `data.split.source`: no column `z`"),
        "{errors}"
    );
    let (_folder, text) = on_disk("x,y\n1,a\n", "x,y\n1,a\n", "label = 'yy'");
    let Err(Error::Config(errors)) = parse(&text).unwrap().check(&registry()) else {
        panic!()
    };
    assert!(
        listed(&errors)[0].starts_with("3:9: data: no column `yy`; did you mean `y`?"),
        "{errors}"
    );
}

#[test]
fn a_source_that_is_not_there_is_an_error_of_the_data() {
    let text = "[data]\nsource = \"no/such.csv\"\n[[pipeline]]\nstage = \"guess\"\n";
    let error = parse(text).unwrap().check(&registry()).unwrap_err();
    assert_eq!(error.exit_code(), 3, "{error}");
}

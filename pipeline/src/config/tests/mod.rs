//! Tests of the config, over a small registry of toy stages.

mod canonical;
mod cases;
mod hostile;
mod overrides;
mod toys;

use super::*;
pub(super) use toys::registry;

/// A config without mistakes that uses every table.
pub(super) const GOOD: &str = r#"# a comment
name = "toy"
seed = 7

[data]
source = "bundled:iris"
label = "species"
sample_rows = 100
null_tokens = ["?", "NA"]
memory_limit = "64MiB"
partition_by = { hash = ["species"] }

[data.schema]
"sepal length" = "float"

[data.split]
test = 0.25
stratify = true

[[pipeline]]
stage = "scale"
inputs = ["*", "!x"]
factor = 2

[[pipeline]]
stage = "vote"
n_voters = 3
classifier = { stage = "guess", reg_param = 0.5 }

[evaluate]
metrics = ["accuracy", "f1"]

[engine]
kind = "local"
threads = 2

[output]
model = "models/toy.ember"
report = "reports/toy"
"#;

pub(super) fn parse(text: &str) -> std::result::Result<Config, ConfigErrors> {
    parse_set(text, &[])
}

pub(super) fn parse_set(
    text: &str,
    overrides: &[&str],
) -> std::result::Result<Config, ConfigErrors> {
    let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
    let lookup = |name: &str| match name {
        "DATA_DIR" => Some("/srv/s3cret".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    Config::parse_with_env("toy.toml", text, &overrides, &registry(), &lookup)
}

/// Each mistake as `line:column: message (help)`, or `-: ...` without a place.
pub(super) fn mistakes(text: &str, overrides: &[&str]) -> Vec<String> {
    match parse_set(text, overrides) {
        Ok(_) => Vec::new(),
        Err(errors) => listed(&errors),
    }
}

pub(super) fn listed(errors: &ConfigErrors) -> Vec<String> {
    let line = |e: &ConfigError| {
        let place = match &e.span {
            Some(span) => {
                let (line, column) = errors.position(span.start);
                format!("{line}:{column}")
            }
            None => "-".to_owned(),
        };
        let help = e.help.as_ref().map(|h| format!(" ({h})"));
        format!("{place}: {}{}", e.message, help.unwrap_or_default())
    };
    errors.errors.iter().map(line).collect()
}

#[test]
fn a_config_without_mistakes_reads_into_its_parts() {
    let config = parse(GOOD).unwrap();
    assert_eq!((config.name.as_str(), config.seed), ("toy", 7));
    assert_eq!(config.data.source, "bundled:iris");
    assert_eq!(config.memory_limit, Some(ByteSize(64 << 20)));
    assert_eq!(config.split.as_ref().unwrap().test, Some(0.25));
    assert_eq!(config.evaluate_on(), EvaluateOn::HeldOut);
    assert_eq!(config.output.report.as_deref(), Some("reports/toy"));
    assert_eq!(config.run().seed, 7);
    // A quarter is for the rows that `partition_by` brings together.
    assert_eq!(config.run().memory.limit(), Some(48 << 20));
    let pipeline = config.pipeline(&registry()).unwrap();
    let names: Vec<&str> = pipeline.stages().iter().map(|s| s.stage().name()).collect();
    assert_eq!(names, ["scale", "vote"]);
}

#[test]
fn the_shortest_config_has_documented_defaults() {
    let config = parse("[data]\nsource = \"a.csv\"\n[[pipeline]]\nstage = \"guess\"").unwrap();
    assert_eq!((config.name.as_str(), config.seed), ("toy", DEFAULT_SEED));
    assert_eq!(config.memory_limit, None);
    assert_eq!(config.evaluate_on(), EvaluateOn::Nothing);
    assert!(
        config
            .evaluation_note()
            .unwrap()
            .contains("evaluate.on_train = true")
    );
}

#[test]
fn training_rows_are_measured_on_only_when_asked_for() {
    let text =
        "[data]\nsource = \"a.csv\"\n[[pipeline]]\nstage = \"guess\"\n[evaluate]\non_train = true";
    let config = parse(text).unwrap();
    assert_eq!(config.evaluate_on(), EvaluateOn::TrainingRows);
    assert!(config.evaluation_note().unwrap().contains("training rows"));
}

#[test]
fn a_test_source_is_read_as_the_data_are() {
    let text = GOOD.replace(
        "test = 0.25\nstratify = true",
        "source = \"bundled:adult_test\"",
    );
    let config = parse(&text).unwrap();
    assert_eq!(config.evaluate_on(), EvaluateOn::TestSource);
    let options = config.test_options().unwrap();
    assert_eq!(options.source, "bundled:adult_test");
    assert_eq!(options.label.as_deref(), Some("species"));
}

#[test]
fn a_file_that_cannot_be_read_is_a_config_error() {
    let error = Config::read("no/such/file.toml", &[], &registry()).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(
        error
            .to_string()
            .contains("no/such/file.toml: the config cannot be read")
    );
}

#[test]
fn the_schema_names_every_stage_table_and_metric() {
    let registry = registry();
    let schema = schema(&registry);
    let stages = schema["properties"]["pipeline"]["items"]["oneOf"]
        .as_array()
        .unwrap();
    let names: Vec<&str> = stages
        .iter()
        .map(|s| s["properties"]["stage"]["const"].as_str().unwrap())
        .collect();
    let entries: Vec<&str> = registry.entries().map(|e| e.name).collect();
    assert_eq!(names, entries);
    for table in rules::top_level() {
        assert!(
            schema["properties"][&table]["description"].is_string(),
            "{table}"
        );
    }
    let text = schema.to_string();
    assert!(text.contains("\"accuracy\""));
    // Every reference leads somewhere.
    for reference in text.split("\"#/$defs/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schema["$defs"][name].is_object(), "{name}");
    }
}

/// [`GOOD`] with environment variables in it.
pub(super) fn cases_with_env() -> String {
    GOOD.replace("bundled:iris", "${DATA_DIR}/$${x}.csv")
        .replace("\"!x\"", "\"!${DATA_DIR}\"")
        + "[env]\nallow = [\"DATA_DIR\"]\n"
}

//! Configs over the whole registry: the JSON Schema fits real configs, and parameters survive TOML.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use std::path::Path;

use emberline_algorithms::registry;
use emberline_pipeline::config::{Config, schema};
use proptest::prelude::*;
use serde_json::{Value, json};

const CLUSTERS: &str = r#"
name = "clusters"
seed = 1

[data]
source = "bundled:digits"
memory_limit = "1GiB"
partition_by = { hash = ["digit"] }

[data.schema]
pixel_0_0 = "float"

[data.split]
test = 0.25
stratify = true

[[pipeline]]
stage = "vector_assembler"
inputs = ["pixel_*"]
element = "f32"

[[pipeline]]
stage = "kmeans"
k = 10

[evaluate]
metrics = ["distortion"]
on_train = false

[engine]
kind = "local"
threads = 2

[output]
model = "models/digits.ember"

[env]
allow = ["HOME"]
"#;

/// The shared example configs: `(file name, text)`.
fn examples() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut found = vec![("clusters".to_owned(), CLUSTERS.to_owned())];
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "toml") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path.display().to_string(), text));
        }
    }
    found
}

fn as_json(text: &str) -> Value {
    serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap()
}

#[test]
fn the_schema_takes_every_example_and_names_every_stage() {
    let root = schema(&registry());
    for (name, text) in examples() {
        let wrong = mismatches(&as_json(&text), &root, &root, "");
        assert!(wrong.is_empty(), "{name}: {wrong:#?}");
    }
    let stages = root["properties"]["pipeline"]["items"]["oneOf"]
        .as_array()
        .unwrap();
    let named = |name: &str| {
        stages
            .iter()
            .any(|s| s["properties"]["stage"]["const"] == name)
    };
    for entry in registry().entries() {
        assert!(named(entry.name), "{}", entry.name);
    }
}

#[test]
fn one_mistake_is_one_report_at_the_key_that_asks_for_a_change() {
    let found = |text: String| {
        let errors = Config::parse("c.toml", &text, &[], &registry()).unwrap_err();
        let at = errors.errors[0].span.clone().unwrap();
        (errors.errors.len(), errors.text[at].to_owned())
    };
    // `centers` is missing because of `init_mode`, not because of the whole stage.
    let given = CLUSTERS.replace("k = 10", "init_mode = \"given\"");
    assert_eq!(found(given), (1, "\"given\"".to_owned()));
    // That the outputs are too many for inputs that could not be read is no second mistake.
    let scaler = "[[pipeline]]\nstage = \"max_abs_scaler\"\ninputs = \"a\"\noutputs = [\"b\"]";
    let unread = CLUSTERS.replace("[evaluate]", &format!("{scaler}\n[evaluate]"));
    assert_eq!(found(unread), (1, "\"a\"".to_owned()));
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    let root = schema(&registry());
    let cases = [
        ("seed = 1", "seed = \"one\""),
        ("seed = 1", "sede = 1"),
        ("source = \"bundled:digits\"", ""),
        ("test = 0.25", "tests = 0.25"),
        ("stage = \"kmeans\"", "stage = \"kmean\""),
        ("k = 10", "kk = 10"),
        ("k = 10", "k = \"ten\""),
        ("\"distortion\"", "\"distort\""),
        ("kind = \"local\"", "kind = \"spark\""),
        ("pixel_0_0 = \"float\"", "pixel_0_0 = \"flot\""),
        ("hash = [\"digit\"]", "hsh = [\"digit\"]"),
        ("memory_limit = \"1GiB\"", "memory_limit = \"much\""),
    ];
    for (good, bad) in cases {
        let text = CLUSTERS.replace(good, bad);
        assert_ne!(text, CLUSTERS, "{good}");
        assert!(
            !mismatches(&as_json(&text), &root, &root, "").is_empty(),
            "{bad}"
        );
        assert!(
            Config::parse("c.toml", &text, &[], &registry()).is_err(),
            "{bad}"
        );
    }
}

#[test]
fn every_example_reads_and_its_effective_text_reads_back() {
    for (name, text) in examples() {
        let read = |text: &str| {
            Config::parse(&name, text, &[], &registry()).unwrap_or_else(|e| panic!("{e}"))
        };
        let config = read(&text);
        assert_eq!(
            read(&config.effective_toml()).effective_toml(),
            config.effective_toml()
        );
        assert_eq!(read(&config.to_toml()).digest(), config.digest());
    }
}

#[test]
fn every_example_checks_without_reading_its_rows() {
    for (name, text) in examples() {
        let config =
            Config::parse(&name, &text, &[], &registry()).unwrap_or_else(|e| panic!("{e}"));
        let report = config.check(&registry()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(report.steps.len(), config.stages.len() + 1, "{name}");
        assert!(!report.memory.is_empty(), "{name}");
        assert!(report.to_string().contains("memory ("), "{name}");
    }
}

#[test]
fn every_parameter_is_described_and_its_default_survives_toml() {
    for entry in registry().entries() {
        let properties = (entry.schema)()["properties"].clone();
        for (name, property) in properties.as_object().unwrap() {
            assert!(
                property["description"].is_string(),
                "{}.{name} has no description",
                entry.name
            );
        }
        let defaults = entry.resolve(&toml::Table::new()).unwrap();
        let text = toml::to_string(&defaults).unwrap();
        let again = entry.resolve(&text.parse().unwrap()).unwrap();
        assert_eq!(again, defaults, "{}", entry.name);
    }
}

/// Another value of the same type.
fn changed(value: &toml::Value, by: i64) -> toml::Value {
    match value {
        toml::Value::Integer(i) => toml::Value::Integer(i.saturating_add(by.abs())),
        toml::Value::Float(x) => toml::Value::Float(x + by as f64 / 7.0),
        toml::Value::Boolean(b) => toml::Value::Boolean(*b ^ (by % 2 == 0)),
        toml::Value::Array(a) => a.iter().map(|v| changed(v, by)).collect::<Vec<_>>().into(),
        other => other.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parameters_survive_the_way_through_toml(stage in any::<prop::sample::Index>(), by in -1000_i64..1000, keep in any::<u64>()) {
        let registry = registry();
        let entries: Vec<_> = registry.entries().collect();
        let entry = entries[stage.index(entries.len())];
        let defaults = entry.resolve(&toml::Table::new()).unwrap();
        // Some parameters given, some left at their defaults.
        let given: toml::Table = defaults
            .iter()
            .enumerate()
            .filter(|(i, _)| keep >> (i % 64) & 1 == 1)
            .map(|(_, (k, v))| (k.clone(), changed(v, by)))
            .collect();
        if let Ok(resolved) = entry.resolve(&given) {
            let text = toml::to_string(&resolved).unwrap();
            prop_assert_eq!(&entry.resolve(&text.parse().unwrap()).unwrap(), &resolved);
            for (key, value) in &given {
                prop_assert_eq!(&resolved[key], value);
            }
        }
    }
}

/// Where `value` does not fit `schema`: the part of JSON Schema that schemas of configs use.
fn mismatches(value: &Value, schema: &Value, root: &Value, at: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let fits = |schema: &Value| mismatches(value, schema, root, at).is_empty();
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.strip_prefix("#/$defs/").unwrap();
        wrong.extend(mismatches(value, &root["$defs"][name], root, at));
    }
    for (key, holds) in [
        ("const", schema.get("const").is_none_or(|c| c == value)),
        (
            "enum",
            schema["enum"]
                .as_array()
                .is_none_or(|all| all.contains(value)),
        ),
        ("type", type_fits(value, &schema["type"])),
        (
            "anyOf",
            schema["anyOf"]
                .as_array()
                .is_none_or(|all| all.iter().any(fits)),
        ),
        (
            "oneOf",
            schema["oneOf"]
                .as_array()
                .is_none_or(|all| all.iter().filter(|s| fits(s)).count() == 1),
        ),
        ("minimum", bound_holds(value, &schema["minimum"])),
        ("pattern", pattern_holds(value, &schema["pattern"])),
    ] {
        if !holds {
            wrong.push(format!("{at}: {value} breaks `{key}`"));
        }
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        wrong.extend(mismatches(value, part, root, at));
    }
    if let (Some(items), Some(elements)) = (schema.get("items"), value.as_array()) {
        for (i, element) in elements.iter().enumerate() {
            wrong.extend(mismatches(element, items, root, &format!("{at}[{i}]")));
        }
    }
    if let Some(object) = value.as_object() {
        for key in schema["required"].as_array().into_iter().flatten() {
            if !object.contains_key(key.as_str().unwrap()) {
                wrong.push(format!("{at}: {key} is missing"));
            }
        }
        for (key, below) in object {
            let at = format!("{at}.{key}");
            match (
                schema["properties"].get(key),
                schema.get("additionalProperties"),
            ) {
                (Some(property), _) => wrong.extend(mismatches(below, property, root, &at)),
                (None, Some(Value::Bool(false))) => wrong.push(format!("{at} is unknown")),
                (None, Some(rest @ Value::Object(_))) => {
                    wrong.extend(mismatches(below, rest, root, &at))
                }
                (None, _) => {}
            }
        }
    }
    wrong
}

fn type_fits(value: &Value, types: &Value) -> bool {
    let one = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the checker knows no type {other}"),
    };
    match types {
        Value::String(name) => one(name),
        Value::Array(names) => names.iter().any(|n| one(n.as_str().unwrap())),
        _ => true,
    }
}

/// No regular expressions here: a size must have a digit, and every other pattern is taken on trust.
fn pattern_holds(value: &Value, pattern: &Value) -> bool {
    let size = pattern.as_str().is_some_and(|p| p.starts_with("^ *[0-9]"));
    !size
        || value
            .as_str()
            .is_none_or(|s| s.contains(|c: char| c.is_ascii_digit()))
}

fn bound_holds(value: &Value, minimum: &Value) -> bool {
    value
        .as_f64()
        .zip(minimum.as_f64())
        .is_none_or(|(v, m)| v >= m)
}

#[test]
fn the_checker_itself_finds_mismatches() {
    let schema = json!({ "type": "object", "properties": { "a": { "type": "integer", "minimum": 1 } }, "required": ["b"] });
    assert_eq!(
        mismatches(&json!({ "a": 0 }), &schema, &schema, "").len(),
        2
    );
    assert_eq!(
        mismatches(&json!({ "a": 1, "b": 0 }), &schema, &schema, "").len(),
        0
    );
}

//! The JSON Schema of the whole config, so that editors complete and check it.

use emberline_datasets::SourceOptions;
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::tables::{DataExtras, EngineOptions, EnvOptions, EvaluateOptions, Head, OutputOptions};
use crate::registry::{Entry, Registry};

/// JSON Schema (draft 2020-12) of a config over the stages and metrics of `registry`.
#[must_use]
pub fn schema(registry: &Registry) -> Value {
    let mut defs = Map::new();
    let mut root = object::<Head>("", &mut defs);
    let mut data = object::<SourceOptions>("data.", &mut defs);
    let extras = object::<DataExtras>("data.", &mut defs);
    merge_properties(&mut data, &extras);
    data["required"] = json!(["source"]);
    data["description"] = json!("Where the rows come from and how they are read.");
    let mut evaluate = object::<EvaluateOptions>("evaluate.", &mut defs);
    evaluate["properties"]["metrics"]["items"] = metric_names(registry);
    let stages: Vec<Value> = registry.entries().map(|e| stage(e, &mut defs)).collect();
    let tables = [
        ("data", data),
        (
            "pipeline",
            json!({
                "description": "The stages in order; the last one is usually the learner.",
                "type": "array",
                "minItems": 1,
                "items": { "oneOf": stages },
            }),
        ),
        ("evaluate", evaluate),
        ("engine", object::<EngineOptions>("engine.", &mut defs)),
        ("output", object::<OutputOptions>("output.", &mut defs)),
        ("env", object::<EnvOptions>("env.", &mut defs)),
    ];
    for (name, table) in tables {
        root["properties"][name] = table;
    }
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!("Emberline config");
    root["description"] = json!("A training run: data, pipeline, evaluation, outputs.");
    root["required"] = json!(["data", "pipeline"]);
    root["$defs"] = Value::Object(defs);
    root
}

/// The schema of a table, its definitions moved to `defs` under names that start with `prefix`.
fn object<T: JsonSchema>(prefix: &str, defs: &mut Map<String, Value>) -> Value {
    hoisted(schemars::schema_for!(T).to_value(), prefix, defs)
}

fn stage(entry: &Entry, defs: &mut Map<String, Value>) -> Value {
    let mut schema = hoisted((entry.schema)(), &format!("{}.", entry.name), defs);
    schema["title"] = json!(entry.name);
    schema["description"] = json!(format!("{} ({})", entry.summary, entry.kind));
    schema["properties"]["stage"] = json!({ "const": entry.name });
    let mut required = vec![json!("stage")];
    if let Some(Value::Array(own)) = schema.get("required") {
        required.extend(own.iter().cloned());
    }
    schema["required"] = Value::Array(required);
    schema["additionalProperties"] = json!(false);
    schema
}

fn hoisted(mut schema: Value, prefix: &str, defs: &mut Map<String, Value>) -> Value {
    rename_references(&mut schema, prefix);
    if let Some(object) = schema.as_object_mut() {
        object.remove("$schema");
        object.remove("title");
        if let Some(Value::Object(own)) = object.remove("$defs") {
            defs.extend(own.into_iter().map(|(k, v)| (format!("{prefix}{k}"), v)));
        }
    }
    schema
}

fn rename_references(value: &mut Value, prefix: &str) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get_mut("$ref")
                && let Some(name) = reference.strip_prefix("#/$defs/")
            {
                *reference = format!("#/$defs/{prefix}{name}");
            }
            for below in object.values_mut() {
                rename_references(below, prefix);
            }
        }
        Value::Array(values) => {
            for below in values {
                rename_references(below, prefix);
            }
        }
        _ => {}
    }
}

fn merge_properties(into: &mut Value, from: &Value) {
    if let Some(properties) = from.get("properties").and_then(Value::as_object) {
        for (name, property) in properties {
            into["properties"][name] = property.clone();
        }
    }
}

fn metric_names(registry: &Registry) -> Value {
    let mut names: Vec<&str> = registry
        .evaluators()
        .iter()
        .flat_map(|e| e.metrics.iter().map(|(name, _)| *name))
        .collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        json!({ "type": "string" })
    } else {
        json!({ "enum": names })
    }
}

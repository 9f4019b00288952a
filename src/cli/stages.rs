//! `emberline stages [NAME]`.

use emberline::prelude::*;
use serde_json::Value;

use super::output::{Out, table};

#[derive(Debug, clap::Args)]
pub struct StagesArgs {
    /// Show this stage with its parameters.
    name: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: &StagesArgs, registry: &Registry) -> Result<()> {
    let mut out = Out::lock();
    match &args.name {
        None if args.json => {
            let list: Vec<Value> = registry.entries().map(describe).collect();
            out.json(&serde_json::json!({ "stages": list, "evaluators": evaluators(registry) }));
        }
        None => {
            let rows = registry
                .entries()
                .map(|e| vec![e.name.to_owned(), e.kind.to_string(), e.summary.to_owned()])
                .collect();
            out.line(table(&["stage", "kind", "what it does"], rows, &[]));
            let metrics = registry.evaluators().iter().flat_map(|e| {
                e.metrics.iter().map(|(name, doc)| {
                    vec![(*name).to_owned(), e.name.to_owned(), (*doc).to_owned()]
                })
            });
            out.line(table(
                &["metric", "evaluator", "what it measures"],
                metrics.collect(),
                &[],
            ));
        }
        Some(name) => {
            let entry = registry.get(name).ok_or_else(|| {
                let near = registry
                    .nearest(name)
                    .map_or(String::new(), |n| format!("; did you mean `{n}`?"));
                Error::Usage(format!("no stage `{name}`{near}"))
            })?;
            if args.json {
                out.json(&describe(entry));
            } else {
                out.line(format!(
                    "{} ({}): {}",
                    entry.name, entry.kind, entry.summary
                ));
                out.line(table(
                    &["parameter", "default", "meaning"],
                    parameters(entry),
                    &[],
                ));
            }
        }
    }
    Ok(())
}

fn describe(entry: &Entry) -> Value {
    serde_json::json!({
        "name": entry.name, "kind": entry.kind, "summary": entry.summary,
        "defaults": (entry.defaults)(), "schema": (entry.schema)(),
    })
}

fn evaluators(registry: &Registry) -> Vec<Value> {
    registry
        .evaluators()
        .iter()
        .map(|e| {
            let metrics: serde_json::Map<String, Value> =
                e.metrics.iter().map(|(name, doc)| ((*name).to_owned(), Value::from(*doc))).collect();
            serde_json::json!({ "name": e.name, "kind": e.kind, "summary": e.summary, "metrics": metrics })
        })
        .collect()
}

/// Name, default and doc of each parameter, in the order of the struct.
fn parameters(entry: &Entry) -> Vec<Vec<String>> {
    let (schema, defaults) = ((entry.schema)(), (entry.defaults)());
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Vec::new();
    };
    properties
        .iter()
        .map(|(name, property)| {
            let default = defaults
                .get(name)
                .map_or(String::new(), ToString::to_string);
            let doc = property
                .get("description")
                .and_then(Value::as_str)
                .unwrap_or("")
                .replace('\n', " ");
            vec![name.clone(), default, wrap(&doc, 80)]
        })
        .collect()
}

/// Breaks text into lines of at most `width` characters, between words.
fn wrap(text: &str, width: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut();
        match last {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

//! The effective config as text: every default written out, one spelling for equal settings.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Config;

/// A config as it is written; the order of fields is the order in the text.
#[derive(Serialize)]
struct Written {
    name: String,
    seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<toml::Table>,
    data: toml::Table,
    pipeline: Vec<toml::Table>,
    evaluate: toml::Table,
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<toml::Table>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<toml::Table>,
}

/// Options of `[data]` that change how the work is done and no result.
const WITHOUT_EFFECT: [&str; 3] = ["partitions", "memory_limit", "quarantine"];

impl Config {
    /// What decides the result, every default written out: the evidence that a model keeps.
    ///
    /// Equal settings give equal text, whatever the spelling, order and comments of the file. Engine, outputs, partitions and
    /// memory limit are left out, because they change no result: the same model comes from any of them. Strings with
    /// `${NAME}` stay as they were written, so that no secret gets into a model. The text is a config itself.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut written = self.written();
        (written.engine, written.output) = (None, None);
        for key in WITHOUT_EFFECT {
            written.data.remove(key);
        }
        print(&written)
    }

    /// The whole effective config: [`Config::to_toml`] with engine, outputs, partitions and memory limit.
    #[must_use]
    pub fn effective_toml(&self) -> String {
        print(&self.written())
    }

    /// SHA-256 of [`Config::to_toml`], in hex.
    #[must_use]
    pub fn digest(&self) -> String {
        let hash = Sha256::digest(self.to_toml().as_bytes());
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn written(&self) -> Written {
        let mut data = table(&self.data);
        data.extend(
            self.memory_limit
                .map(|l| ("memory_limit".to_owned(), number(l.0))),
        );
        if let Some(split) = &self.split {
            let mut split_table = table(split);
            if split.source.is_none() {
                split_table.insert("seed".to_owned(), number(self.split_seed()));
            } else {
                // Where the held-out rows have their own source nothing is drawn.
                split_table.remove("stratify");
            }
            data.insert("split".to_owned(), toml::Value::Table(split_table));
        }
        let stage = |s: &super::StageConfig| {
            let mut table = s.params.clone();
            table.insert("stage".to_owned(), toml::Value::String(s.stage.clone()));
            table
        };
        let mut allow = self.allow.clone();
        allow.sort();
        allow.dedup();
        let env = table(&super::EnvOptions { allow });
        let mut written = Written {
            name: self.name.clone(),
            seed: self.seed,
            env: (!self.allow.is_empty()).then_some(env),
            data,
            pipeline: self.stages.iter().map(stage).collect(),
            evaluate: table(&self.evaluate),
            engine: Some(table(&self.engine)),
            output: Some(table(&self.output)),
        };
        self.put_placeholders_back(&mut written);
        written
    }

    fn put_placeholders_back(&self, written: &mut Written) {
        for placeholder in &self.placeholders {
            let Some((first, rest)) = placeholder.path.split_first() else {
                continue;
            };
            let text = toml::Value::String(placeholder.written.clone());
            let below = match first.as_str() {
                "name" => {
                    written.name.clone_from(&placeholder.written);
                    continue;
                }
                "data" => Some(&mut written.data),
                "evaluate" => Some(&mut written.evaluate),
                "engine" => written.engine.as_mut(),
                "output" => written.output.as_mut(),
                "pipeline" => {
                    let index = rest.first().and_then(|i| i.parse::<usize>().ok());
                    let stage = index.and_then(|i| written.pipeline.get_mut(i));
                    if let (Some(stage), Some(rest)) = (stage, rest.get(1..)) {
                        put(stage, rest, text);
                    }
                    continue;
                }
                _ => None,
            };
            if let Some(below) = below {
                put(below, rest, text);
            }
        }
    }
}

fn put(table: &mut toml::Table, path: &[String], text: toml::Value) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    let Some(mut value) = table.get_mut(first) else {
        return;
    };
    for key in rest {
        let below = match value {
            toml::Value::Table(t) => t.get_mut(key),
            toml::Value::Array(a) => key.parse::<usize>().ok().and_then(|i| a.get_mut(i)),
            _ => None,
        };
        let Some(below) = below else { return };
        value = below;
    }
    *value = text;
}

fn table(value: &impl Serialize) -> toml::Table {
    toml::Table::try_from(value).unwrap_or_default()
}

fn number(value: u64) -> toml::Value {
    toml::Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

fn print(written: &Written) -> String {
    toml::to_string(written).unwrap_or_default()
}

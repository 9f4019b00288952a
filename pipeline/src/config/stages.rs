//! `[[pipeline]]`: each entry is a stage of the registry with its parameters.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::document::{Node, Notes, Place};
use super::section::{a_type, plain, property_names, suggest};
use crate::param::ParamError;
use crate::registry::{Entry, Kind, Registry};

/// One stage of a config, known to build.
#[derive(Debug, Clone, PartialEq)]
pub struct StageConfig {
    /// Its name in the registry.
    pub stage: String,
    /// What it is for.
    pub kind: Kind,
    /// Its parameters, every default written out.
    pub params: toml::Table,
}

/// Reads all stages; what is wrong with any of them goes to `notes`.
pub(super) fn read(
    root: &DeTable<'_>,
    registry: &Registry,
    notes: &mut Notes,
) -> Vec<(usize, StageConfig)> {
    let help = "write [[pipeline]] and stage = \"...\" for each stage";
    let Some(node) = root.get("pipeline") else {
        notes.missing(None, "the pipeline has no stage", help);
        return Vec::new();
    };
    let DeValue::Array(array) = node.get_ref() else {
        let what = format!("`pipeline` is {}, not a list", a_type(node.get_ref()));
        notes.help(node.span(), what, Some(help));
        return Vec::new();
    };
    if array.is_empty() {
        notes.missing(Some(node.span()), "the pipeline has no stage", help);
    }
    array
        .iter()
        .enumerate()
        .filter_map(|(i, node)| Some((i, read_one(node, registry, notes)?)))
        .collect()
}

fn read_one(node: &Node<'_>, registry: &Registry, notes: &mut Notes) -> Option<StageConfig> {
    let DeValue::Table(table) = node.get_ref() else {
        let what = format!("a stage is a table, not {}", a_type(node.get_ref()));
        notes.at(node.span(), what);
        return None;
    };
    let entry = entry_of(table, node.span(), registry, notes)?;
    let mut params = table.clone();
    params.remove("stage");
    let place = Place::of_table(&params, node.span());
    let (params, readable) = values(params, entry.name, notes);
    if let Err(errors) = entry.build(&params, registry) {
        for error in &errors.0 {
            note_param(entry, error, &place, registry, notes);
        }
        return None;
    }
    readable.then(|| StageConfig {
        stage: entry.name.to_owned(),
        kind: entry.kind,
        params: effective(entry, &params, registry),
    })
}

fn entry_of<'r>(
    table: &DeTable<'_>,
    span: Range<usize>,
    registry: &'r Registry,
    notes: &mut Notes,
) -> Option<&'r Entry> {
    let Some(node) = table.get("stage") else {
        let near = table.keys().find(|k| {
            suggest(k.get_ref(), &["stage".to_owned()]).is_some_and(|s| s.ends_with('?'))
        });
        let span = near.map_or(span, Spanned::span);
        notes.missing(Some(span), "the stage has no name", "write stage = \"...\"");
        return None;
    };
    let Some(name) = node.get_ref().as_str() else {
        let what = format!("`stage` is {}, not text", a_type(node.get_ref()));
        notes.at(node.span(), what);
        return None;
    };
    let found = registry.get(name);
    if found.is_none() {
        let help = match registry.nearest(name) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`emberline stages` lists them".to_owned(),
        };
        notes.help(node.span(), format!("unknown stage `{name}`"), Some(help));
    }
    found
}

/// The parameters as plain values, and whether all could be read (a number may be out of TOML's range).
fn values(table: DeTable<'_>, stage: &str, notes: &mut Notes) -> (toml::Table, bool) {
    let mut values = toml::Table::new();
    let mut readable = true;
    for (key, node) in table {
        let span = node.span();
        match toml::Value::deserialize(ValueDeserializer::from(node)) {
            Ok(value) => {
                values.insert(key.into_inner().into_owned(), value);
            }
            Err(e) => {
                readable = false;
                let key = key.get_ref();
                let message = plain(e.message());
                notes.at(
                    e.span().filter(|s| !s.is_empty()).unwrap_or(span),
                    format!("stage `{stage}`: parameter `{key}`: {message}"),
                );
            }
        }
    }
    (values, readable)
}

fn note_param(
    entry: &Entry,
    error: &ParamError,
    place: &Place,
    registry: &Registry,
    notes: &mut Notes,
) {
    let (found, complete) = match place.find(&error.name) {
        // What is not given is missing because of something that is: a word of the message.
        (_, false) if !given(&error.name, place) => mentioned(place, &error.message),
        found => found,
    };
    let message = plain(&error.message);
    let what = format!(
        "stage `{}`: parameter `{}` {message}",
        entry.name, error.name
    );
    let span = if complete && !is_known(entry, &error.name, place, registry) {
        found.key.clone()
    } else {
        found.value.clone()
    };
    notes.at(span, what);
}

fn given(path: &str, place: &Place) -> bool {
    let key = path.split(['.', '[']).next().unwrap_or(path);
    place.children.contains_key(key)
}

/// The parameter given that a message names, else the whole stage.
fn mentioned<'p>(place: &'p Place, message: &str) -> (&'p Place, bool) {
    let words = message.split('`').skip(1).step_by(2);
    let keys = words.filter_map(|word| word.split([' ', '=']).next());
    let found = keys.filter_map(|key| place.children.get(key)).next();
    found.map_or((place, false), |p| (p, false))
}

/// Whether the last key of a parameter's path is one that its stage, or the nested stage it belongs to, takes.
fn is_known(entry: &Entry, path: &str, place: &Place, registry: &Registry) -> bool {
    let (owner, key) = match path.rsplit_once('.') {
        None => (Some(entry), path),
        Some((above, key)) => {
            let name = place.find(above).0.children.get("stage");
            let name = name.and_then(|n| n.text.as_deref());
            (name.and_then(|n| registry.get(n)), key)
        }
    };
    let key = key.split('[').next().unwrap_or(key);
    owner.is_none_or(|e| key == "stage" || property_names(&(e.schema)()).iter().any(|k| k == key))
}

/// Parameters with all defaults, also those of nested stages, that build the same stage.
///
/// A stage that holds another may refuse parameters of it, even at their defaults (one-vs-rest sets the columns of its
/// classifiers itself): those are left out again.
fn effective(entry: &Entry, params: &toml::Table, registry: &Registry) -> toml::Table {
    let mut resolved = resolve(entry, params, registry);
    if let Err(errors) = entry.build(&resolved, registry) {
        for error in &errors.0 {
            remove(&mut resolved, &error.name);
        }
    }
    if entry.build(&resolved, registry).is_ok() {
        return resolved;
    }
    entry.resolve(params).unwrap_or_else(|_| params.clone())
}

/// Takes out what is at a dotted path inside a nested table.
fn remove(table: &mut toml::Table, path: &str) {
    let Some((first, rest)) = path.split_once('.') else {
        return;
    };
    let Some(toml::Value::Table(below)) = table.get_mut(first) else {
        return;
    };
    if rest.contains('.') {
        remove(below, rest);
    } else {
        below.remove(rest);
    }
}

/// Parameters with all defaults, also those of nested stages.
fn resolve(entry: &Entry, params: &toml::Table, registry: &Registry) -> toml::Table {
    let mut resolved = entry.resolve(params).unwrap_or_else(|_| params.clone());
    for value in resolved.iter_mut().map(|(_, v)| v) {
        resolve_nested(value, registry);
    }
    resolved
}

fn resolve_nested(value: &mut toml::Value, registry: &Registry) {
    match value {
        toml::Value::Array(values) => {
            for value in values {
                resolve_nested(value, registry);
            }
        }
        toml::Value::Table(table) => {
            let name = table.get("stage").and_then(toml::Value::as_str);
            let Some(entry) = name.and_then(|n| registry.get(n)) else {
                return;
            };
            let mut params = table.clone();
            let stage = params.remove("stage");
            let mut resolved = resolve(entry, &params, registry);
            resolved.extend(stage.map(|s| ("stage".to_owned(), s)));
            *table = resolved;
        }
        _ => {}
    }
}

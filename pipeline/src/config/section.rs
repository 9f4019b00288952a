//! Reads one table of the tree into a type, key by key: every bad key is reported, the others are read.

use std::ops::Range;

use emberline_datasets::schema::nearest;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::document::{Node, Notes};

/// Names of the keys a type takes, in the order of its fields.
pub(super) fn keys_of<T: JsonSchema>() -> Vec<String> {
    property_names(&schemars::schema_for!(T).to_value())
}

/// Names of the properties of a JSON Schema.
pub(super) fn property_names(schema: &serde_json::Value) -> Vec<String> {
    schema
        .get("properties")
        .and_then(serde_json::Value::as_object)
        .map(|o| o.keys().cloned().collect())
        .unwrap_or_default()
}

/// What to do about an unknown name: the nearest one, or all of them where there are few.
pub(super) fn suggest(name: &str, known: &[String]) -> Option<String> {
    if let Some(near) = nearest(name, known.iter().map(String::as_str)) {
        return Some(format!("did you mean `{near}`?"));
    }
    (!known.is_empty()).then(|| format!("known: {}", known.join(", ")))
}

/// Notes that `key` is known nowhere.
pub(super) fn unknown_key(
    notes: &mut Notes,
    path: &str,
    key: &Spanned<toml::de::DeString<'_>>,
    known: &[String],
) {
    let what = format!("unknown key `{}`", joined(path, key.get_ref()));
    notes.help(key.span(), what, suggest(key.get_ref(), known));
}

/// Reads the keys of `table` that `T` takes; `others` are keys somebody else reads.
pub(super) fn read<T>(path: &str, table: &DeTable<'_>, others: &[String], notes: &mut Notes) -> T
where
    T: DeserializeOwned + JsonSchema + Default,
{
    let known = keys_of::<T>();
    let mut good = DeTable::new();
    for (key, value) in table {
        let name = key.get_ref();
        if others.iter().any(|o| o == name) {
            continue;
        }
        if !known.iter().any(|k| k == name) {
            let all: Vec<String> = known.iter().chain(others).cloned().collect();
            unknown_key(notes, path, key, &all);
            continue;
        }
        let single = DeTable::from_iter([(key.clone(), value.clone())]);
        match deserialize::<T>(single, value.span()) {
            Ok(_) => {
                good.insert(key.clone(), value.clone());
            }
            Err((span, message)) => {
                notes.at(span, format!("`{}`: {message}", joined(path, name)));
            }
        }
    }
    deserialize(good, 0..0).unwrap_or_default()
}

fn deserialize<T: DeserializeOwned>(
    table: DeTable<'_>,
    whole: Range<usize>,
) -> Result<T, (Range<usize>, String)> {
    let node: Node<'_> = Spanned::new(whole.clone(), DeValue::Table(table));
    T::deserialize(ValueDeserializer::from(node)).map_err(|e| {
        let span = e.span().filter(|s| !s.is_empty()).unwrap_or(whole);
        (span, plain(e.message()))
    })
}

/// The words of the deserialiser in the words of a config's author.
pub(super) fn plain(message: &str) -> String {
    let mut message = message.trim().to_owned();
    for (rust, words) in [
        ("expected usize", "expected a whole number, 0 or more"),
        ("expected u64", "expected a whole number, 0 or more"),
        ("expected f64", "expected a number"),
        ("expected a sequence", "expected a list"),
        ("expected a map", "expected a table"),
        ("invalid type: sequence", "invalid type: list"),
        ("invalid type: map", "invalid type: table"),
        ("unknown variant", "unknown choice"),
        (
            "wanted string or table",
            "expected one of its choices as text",
        ),
    ] {
        message = message.replace(rust, words);
    }
    message
}

/// A value's type with its article: `an integer`, `a list`.
pub(super) fn a_type(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// `path.key`, or `key` at the top.
pub(super) fn joined(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// The table under `key`, where there is one and it is a table.
pub(super) fn table<'r, 't>(
    root: &'r DeTable<'t>,
    path: &str,
    key: &str,
    notes: &mut Notes,
) -> Option<(&'r DeTable<'t>, Range<usize>)> {
    let node = root.get(key)?;
    if let DeValue::Table(table) = node.get_ref() {
        return Some((table, node.span()));
    }
    let name = joined(path, key);
    notes.help(
        node.span(),
        format!("`{name}` is {}, not a table", a_type(node.get_ref())),
        Some(format!("write [{name}] on a line of its own")),
    );
    None
}

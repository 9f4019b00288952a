//! Configs with a change in their structure: what a tired author, or a generator of configs, might write.

use emberline::prelude::*;
use toml::{Table, Value};

use crate::common::dice::Dice;

/// A place in the tree.
#[derive(Clone)]
enum Step {
    Key(String),
    At(usize),
}

/// Names that stand in some config: columns, stages, choices. One in another's place makes cycles and wrong types.
const NAMES: &[&str] = &[
    "features",
    "scaled",
    "prediction",
    "probability",
    "raw_prediction",
    "species",
    "island",
    "income",
    "age",
    "progression",
    "*",
    "*_index",
    "!age",
    "",
    "a b",
    "l",
    "axes",
    "mean",
    "keep",
    "skip",
    "error",
    "auto",
    "all",
    "sqrt",
    "accuracy",
    "rmse",
    "f1",
    "kmeans",
    "pca",
    "logistic_regression",
    "one_vs_rest",
    "vector_assembler",
    "local",
    "cluster",
    "csv",
    "quarantine",
    "fail",
    "0.5",
    "float",
    "text",
    "integer",
    "64MiB",
    "1KiB",
    "random",
    "given",
    "k-means++",
    "${HOME}",
    "${",
    "\u{e9}\u{1f600}",
];

/// Numbers at the edges of some range.
pub fn edges() -> Vec<Value> {
    let whole = [
        0,
        1,
        -1,
        2,
        3,
        7,
        64,
        4096,
        1 << 20,
        1 << 31,
        i64::MAX,
        i64::MIN,
    ];
    let real = [
        0.0,
        -0.0,
        0.5,
        1.0,
        1.5,
        -1.0,
        1e308,
        -1e308,
        5e-324,
        1e-300,
        f64::NAN,
        f64::INFINITY,
    ];
    let whole = whole.into_iter().map(Value::Integer);
    whole.chain(real.into_iter().map(Value::Float)).collect()
}

fn edge(dice: &mut Dice) -> Value {
    dice.pick(&edges()).clone()
}

/// A value of some other type, as like as not.
fn other(dice: &mut Dice) -> Value {
    match dice.below(7) {
        0 => Value::Boolean(dice.below(2) == 0),
        1 => Value::Array(Vec::new()),
        2 => Value::Array(vec![edge(dice), (*dice.pick(NAMES)).into()]),
        3 => Value::Table(Table::new()),
        4 => "1979-05-27T07:32:00Z"
            .parse()
            .map_or(Value::Boolean(true), Value::Datetime),
        5 => (*dice.pick(NAMES)).into(),
        _ => edge(dice),
    }
}

/// A word with one slip of the finger.
fn slip(word: &str, dice: &mut Dice) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    let at = dice.below(letters.len());
    match dice.below(4) {
        0 if letters.len() > 1 => drop(letters.remove(at)),
        1 if at + 1 < letters.len() => letters.swap(at, at + 1),
        2 if !letters.is_empty() => letters[at] = *dice.pick(&['x', '_', 'A', '\u{e9}']),
        _ => letters.insert(at, *dice.pick(&['s', '_', ' ', '.'])),
    }
    letters.into_iter().collect()
}

/// Every value of the tree that is a table or a list.
fn containers(value: &Value, path: &mut Vec<Step>, out: &mut Vec<Vec<Step>>) {
    match value {
        Value::Table(table) => {
            out.push(path.clone());
            for (key, value) in table {
                path.push(Step::Key(key.clone()));
                containers(value, path, out);
                path.pop();
            }
        }
        Value::Array(items) => {
            out.push(path.clone());
            for (i, value) in items.iter().enumerate() {
                path.push(Step::At(i));
                containers(value, path, out);
                path.pop();
            }
        }
        _ => {}
    }
}

fn at<'a>(root: &'a mut Value, path: &[Step]) -> &'a mut Value {
    path.iter().fold(root, |value, step| match step {
        Step::Key(key) => &mut value[key.as_str()],
        Step::At(i) => &mut value[*i],
    })
}

fn change_table(table: &mut Table, dice: &mut Dice, registry: &Registry) {
    let stage = table
        .get("stage")
        .and_then(Value::as_str)
        .and_then(|n| registry.get(n));
    if let Some(entry) = stage
        && dice.below(3) == 0
    {
        // A parameter that the stage takes, at a value it may not take.
        let schema = (entry.schema)();
        let keys: Vec<String> = schema["properties"]
            .as_object()
            .map(|o| o.keys().cloned().collect())
            .unwrap_or_default();
        let default = |key: &str| entry.resolve(&Table::new()).ok()?.get(key).cloned();
        let key = dice.pick(&keys).clone();
        let value = match default(&key) {
            Some(Value::Integer(_) | Value::Float(_)) => edge(dice),
            Some(Value::Boolean(b)) => (!b).into(),
            Some(Value::Array(_)) => Value::Array(
                (0..dice.below(3))
                    .map(|_| (*dice.pick(NAMES)).into())
                    .collect(),
            ),
            Some(Value::String(_)) | None if dice.below(4) > 0 => (*dice.pick(NAMES)).into(),
            _ => other(dice),
        };
        table.insert(key, value);
        return;
    }
    let keys: Vec<String> = table.keys().cloned().collect();
    if keys.is_empty() {
        table.insert((*dice.pick(NAMES)).to_owned(), other(dice));
        return;
    }
    let key = dice.pick(&keys).clone();
    match dice.below(6) {
        0 => {
            let value = table.remove(&key);
            table.insert(slip(&key, dice), value.unwrap_or_else(|| other(dice)));
        }
        1 => drop(table.remove(&key)),
        2 => drop(table.insert(key, other(dice))),
        3 => {
            let value = match &table[&key] {
                Value::Integer(_) | Value::Float(_) => edge(dice),
                Value::String(text) => slip(text, dice).into(),
                _ => other(dice),
            };
            table.insert(key, value);
        }
        4 => drop(table.insert(key, (*dice.pick(NAMES)).into())),
        _ => {
            // The same value under another key.
            let value = table[&key].clone();
            table.insert(dice.pick(&keys).clone(), value);
        }
    }
}

fn change_list(items: &mut Vec<Value>, dice: &mut Dice) {
    let i = dice.below(items.len());
    match dice.below(6) {
        0 if !items.is_empty() => drop(items.remove(i)),
        1 if !items.is_empty() => items.insert(i, items[i].clone()),
        2 if !items.is_empty() => {
            let j = dice.below(items.len());
            items.swap(i, j);
        }
        3 if !items.is_empty() && !items[i].is_table() => items[i] = other(dice),
        4 => items.clear(),
        _ => items.push((*dice.pick(NAMES)).into()),
    }
}

/// One or two changes of a config: slips in keys, other types, edges of ranges, things left out, given twice, or tied in a circle.
pub fn mutant(text: &str, dice: &mut Dice, registry: &Registry) -> String {
    let Ok(table) = text.parse::<Table>() else {
        return text.to_owned();
    };
    let mut root = Value::Table(table);
    for _ in 0..=dice.below(2) {
        let mut places = Vec::new();
        containers(&root, &mut Vec::new(), &mut places);
        match at(&mut root, &places[dice.below(places.len())]) {
            Value::Table(table) => change_table(table, dice, registry),
            Value::Array(items) => change_list(items, dice),
            _ => {}
        }
    }
    if dice.below(40) == 0 {
        // A stage inside itself, some levels deep.
        let depth = 1 + dice.below(80);
        let nest = (0..depth).fold("\"x\"".to_owned(), |inner, _| {
            format!("{{ stage = \"one_vs_rest\", classifier = {inner} }}")
        });
        return format!("{text}\n[[pipeline]]\nstage = \"one_vs_rest\"\nclassifier = {nest}\n");
    }
    let text = toml::to_string(&root).unwrap_or_default();
    if dice.below(6) > 0 {
        return text;
    }
    // What no tree can say: a line twice, or a table twice.
    let mut lines: Vec<&str> = text.lines().collect();
    let from = dice.below(lines.len());
    let line = lines.get(from).copied().unwrap_or_default();
    lines.insert(dice.below(lines.len() + 1), line);
    lines.join("\n")
}

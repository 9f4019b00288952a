//! `--set KEY=VALUE`: one value of the config, given on the command line.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::{Node, Notes, Origin, shifted};
use super::limits::too_deep;
use super::section::suggest;

/// One key of a dotted path, with its place.
type Segment<'t> = Spanned<Cow<'t, str>>;

/// Puts every override into the tree; a later one wins over an earlier one.
///
/// Keys: `seed`, `data.source`, `random_forest_classifier.num_trees` (a stage by name), `scaler#2.with_mean` (the second of
/// that name), `pipeline.3.num_trees` (the third stage). Values are TOML; what is none is taken as text.
pub(super) fn apply<'t>(
    root: &mut DeTable<'t>,
    overrides: &'t [String],
    origin: &Origin,
    tables: &[String],
    notes: &mut Notes,
) {
    for (text, base) in overrides.iter().zip(origin.bases()) {
        apply_one(root, text, base, tables, notes);
    }
}

fn apply_one<'t>(
    root: &mut DeTable<'t>,
    text: &'t str,
    base: usize,
    tables: &[String],
    notes: &mut Notes,
) {
    let whole = base..base + text.len().max(1);
    let Some(equals) = equals(text) else {
        notes.at(whole, "an override is written KEY=VALUE");
        return;
    };
    if too_deep(text).is_some() {
        notes.at(whole, "nests too deep");
        return;
    }
    let Some(path) = segments(&text[..equals], base) else {
        notes.help(
            whole,
            "the key cannot be read",
            Some("names joined by dots, such as data.source or random_forest_classifier.num_trees"),
        );
        return;
    };
    let value = &text[equals + 1..];
    match parse_value(value, base + equals + 1) {
        Ok(node) => place(root, &path, node, tables, notes),
        Err(message) => notes.at(whole, format!("the value cannot be read: {message}")),
    }
}

/// The first `=` outside quotes.
fn equals(text: &str) -> Option<usize> {
    let mut quoted = false;
    text.char_indices().find_map(|(i, c)| {
        quoted ^= c == '"';
        (c == '=' && !quoted).then_some(i)
    })
}

/// `a."b.c".d` as its keys; `None` where one is empty or a quote stays open.
fn segments(key: &str, base: usize) -> Option<Vec<Segment<'_>>> {
    let mut out = Vec::new();
    let mut start = 0;
    let mut quoted = false;
    for (i, c) in key.char_indices().chain([(key.len(), '.')]) {
        quoted ^= c == '"';
        if c != '.' || quoted {
            continue;
        }
        let raw = &key[start..i];
        let name = raw.trim();
        let name = name
            .strip_prefix('"')
            .and_then(|n| n.strip_suffix('"'))
            .unwrap_or(name);
        if name.is_empty() || name.contains('"') {
            return None;
        }
        out.push(Spanned::new(base + start..base + i, Cow::Borrowed(name)));
        start = i + 1;
    }
    (!quoted && start == key.len() + 1).then_some(out)
}

/// A TOML value, or else a bare word as text. What opens like a list, a table or a quoted text must be one.
fn parse_value(text: &str, base: usize) -> Result<Node<'_>, String> {
    let trimmed = text.trim();
    match DeValue::parse(trimmed) {
        Ok(node) => Ok(shifted(node, base)),
        Err(e) if trimmed.starts_with(['[', '{', '"', '\'']) => Err(e.message().trim().to_owned()),
        Err(_) => Ok(Spanned::new(
            base..base + text.len().max(1),
            DeValue::String(Cow::Borrowed(trimmed)),
        )),
    }
}

fn place<'t>(
    root: &mut DeTable<'t>,
    path: &[Segment<'t>],
    node: Node<'t>,
    tables: &[String],
    notes: &mut Notes,
) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    let name = first.get_ref().as_ref();
    if name == "pipeline" && !rest.is_empty() {
        if let Some(stage) = stage_by_number(root, &rest[0], notes) {
            set_in(stage, &rest[1..], first, node, notes);
        }
    } else if tables.iter().any(|t| t == name) {
        set(root, path, node, notes);
    } else if let Some(stage) = stage_by_name(root, first, tables, notes) {
        set_in(stage, rest, first, node, notes);
    }
}

fn set_in<'t>(
    stage: &mut DeTable<'t>,
    rest: &[Segment<'t>],
    named: &Segment<'t>,
    node: Node<'t>,
    notes: &mut Notes,
) {
    if rest.is_empty() {
        notes.help(
            named.span(),
            "a whole stage cannot be set",
            Some("name one of its parameters"),
        );
        return;
    }
    set(stage, rest, node, notes);
}

fn set<'t>(table: &mut DeTable<'t>, path: &[Segment<'t>], node: Node<'t>, notes: &mut Notes) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    if rest.is_empty() {
        // Taken out first: the key must carry the override's place, not the file's.
        table.remove(first.get_ref().as_ref());
        table.insert(first.clone(), node);
        return;
    }
    let below = table
        .entry(first.clone())
        .or_insert_with(|| Spanned::new(first.span(), DeValue::Table(DeTable::new())));
    if let DeValue::Table(below) = below.get_mut() {
        set(below, rest, node, notes);
    } else {
        notes.at(
            first.span(),
            format!("`{}` is not a table", first.get_ref()),
        );
    }
}

/// The stages of the tree that are tables, with their names and numbers from 1.
fn stages<'r, 't>(
    root: &'r mut DeTable<'t>,
) -> impl Iterator<Item = (usize, String, &'r mut DeTable<'t>)> {
    let array = match root.get_mut("pipeline").map(Spanned::get_mut) {
        Some(DeValue::Array(array)) => Some(array),
        _ => None,
    };
    let nodes = array.into_iter().flat_map(|a| a.iter_mut()).enumerate();
    nodes.filter_map(|(i, node)| match node.get_mut() {
        DeValue::Table(table) => {
            let name = table.get("stage").and_then(|n| n.get_ref().as_str());
            Some((i + 1, name.unwrap_or_default().to_owned(), table))
        }
        _ => None,
    })
}

fn stage_by_number<'r, 't>(
    root: &'r mut DeTable<'t>,
    number: &Segment<'t>,
    notes: &mut Notes,
) -> Option<&'r mut DeTable<'t>> {
    let names: Vec<String> = stages(root)
        .map(|(i, name, _)| format!("pipeline.{i} ({name})"))
        .collect();
    let wanted = number.get_ref().parse::<usize>().ok();
    let found = stages(root).find(|(i, _, _)| Some(*i) == wanted);
    if found.is_none() {
        notes.help(
            number.span(),
            format!("there is no stage `pipeline.{}`", number.get_ref()),
            Some(format!("stages count from 1: {}", names.join(", "))),
        );
    }
    found.map(|(_, _, table)| table)
}

fn stage_by_name<'r, 't>(
    root: &'r mut DeTable<'t>,
    named: &Segment<'t>,
    tables: &[String],
    notes: &mut Notes,
) -> Option<&'r mut DeTable<'t>> {
    let written = named.get_ref().as_ref();
    let (name, which) = match written.split_once('#') {
        Some((name, which)) => (name, which.parse::<usize>().ok().or(Some(0))),
        None => (written, None),
    };
    let all: Vec<(usize, String)> = stages(root).map(|(i, n, _)| (i, n)).collect();
    let same: Vec<usize> = all
        .iter()
        .filter(|(_, n)| n == name)
        .map(|(i, _)| *i)
        .collect();
    let number = match which {
        Some(k) => k.checked_sub(1).and_then(|k| same.get(k)).copied(),
        None if same.len() == 1 => Some(same[0]),
        None => None,
    };
    match number {
        Some(number) => stages(root)
            .find(|(i, _, _)| *i == number)
            .map(|(_, _, t)| t),
        None => {
            let (message, help) = not_one_stage(name, which, &same, &all, tables);
            let span: Range<usize> = named.span();
            notes.help(span, message, help);
            None
        }
    }
}

fn not_one_stage(
    name: &str,
    which: Option<usize>,
    same: &[usize],
    all: &[(usize, String)],
    tables: &[String],
) -> (String, Option<String>) {
    if same.is_empty() {
        let mut known: Vec<String> = tables.to_vec();
        known.extend(all.iter().map(|(_, n)| n.clone()));
        known.dedup();
        let message = format!("`{name}` is neither a table nor a stage of this pipeline");
        return (message, suggest(name, &known));
    }
    let choices: Vec<String> = same
        .iter()
        .enumerate()
        .map(|(k, i)| format!("{name}#{} (pipeline.{i})", k + 1))
        .collect();
    let message = match which {
        Some(_) => format!("there is no such `{name}`"),
        None => format!(
            "`{name}` is ambiguous: the pipeline has {} of them",
            same.len()
        ),
    };
    (message, Some(format!("choose {}", choices.join(" or "))))
}

//! What must hold beyond the types: ranges, what belongs together, what is missing.

use std::ops::Range;

use emberline_datasets::{PartitionBy, SourceOptions};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use toml::de::DeTable;

use super::document::Notes;
use super::section::{self, keys_of, suggest};
use super::stages::StageConfig;
use super::tables::{
    DataExtras, EngineKind, EngineOptions, EvaluateOptions, Head, OutputOptions, SplitOptions,
};
use crate::registry::{Kind, Registry};

/// The tables at the top of a config.
pub(super) const TABLES: [&str; 6] = ["data", "pipeline", "evaluate", "engine", "output", "env"];
/// A memory limit below this holds not even one block.
const LEAST_MEMORY: u64 = 1 << 20;
/// More than any machine gives a process that is to gain from it; a larger number is a slip, and threads are not free.
const MOST_THREADS: usize = 1024;
/// Seconds between checkpoints, at most: a day.
const LONGEST_INTERVAL: f64 = 86_400.0;
const MOST_PARTITIONS: usize = 1 << 20;

/// Every key at the top of a config.
pub(super) fn top_level() -> Vec<String> {
    let mut all = keys_of::<Head>();
    all.extend(TABLES.map(str::to_owned));
    all
}

/// A table that may be left out.
pub(super) fn optional<T>(root: &DeTable<'_>, key: &str, notes: &mut Notes) -> T
where
    T: DeserializeOwned + JsonSchema + Default,
{
    match section::table(root, "", key, notes) {
        Some((table, _)) => section::read(key, table, &[], notes),
        None => T::default(),
    }
}

/// The place of the value at a path of keys.
fn place(root: &DeTable<'_>, path: &[&str]) -> Range<usize> {
    let mut table = root;
    let mut span = 0..0;
    for key in path {
        let Some(node) = table.get(*key) else { break };
        span = node.span();
        match node.get_ref().as_table() {
            Some(below) => table = below,
            None => break,
        }
    }
    span
}

pub(super) fn head(head: &Head, root: &DeTable<'_>, notes: &mut Notes) {
    let Some(name) = &head.name else { return };
    if name.trim().is_empty() || name.len() > 200 || name.chars().any(char::is_control) {
        notes.at(
            place(root, &["name"]),
            "`name` must be one line of 1 to 200 bytes",
        );
    }
    if i64::try_from(head.seed).is_err() {
        notes.at(place(root, &["seed"]), "`seed` must be below 2^63");
    }
}

pub(super) fn data(root: &DeTable<'_>, notes: &mut Notes) -> (SourceOptions, DataExtras) {
    let help = "write [data] and source = \"...\": a file, a glob, a folder, or bundled:NAME";
    let Some((table, span)) = section::table(root, "", "data", notes) else {
        if root.get("data").is_none() {
            notes.missing(None, "`data.source` is missing", help);
        }
        return Default::default();
    };
    let extra_keys = keys_of::<DataExtras>();
    let options: SourceOptions = section::read("data", table, &extra_keys, notes);
    let mut own = DeTable::new();
    for key in extra_keys.iter().filter(|k| *k != "split") {
        if let Some((key, node)) = table.get_key_value(key.as_str()) {
            own.insert(key.clone(), node.clone());
        }
    }
    let mut extras: DataExtras = section::read("data", &own, &[], notes);
    extras.split = section::table(table, "data", "split", notes).map(|(split, span)| {
        let options: SplitOptions = section::read("data.split", split, &[], notes);
        check_split(&options, split, span, notes);
        options
    });
    if table.get("source").is_none() {
        notes.missing(Some(span), "`data.source` is missing", help);
    }
    check_source(&options, root, notes);
    if extras.memory_limit.is_some_and(|l| l.0 < LEAST_MEMORY) {
        let span = place(root, &["data", "memory_limit"]);
        notes.at(span, "`data.memory_limit` must be at least 1MiB");
    }
    (options, extras)
}

fn check_split(options: &SplitOptions, table: &DeTable<'_>, span: Range<usize>, notes: &mut Notes) {
    let given = |key: &str| table.get(key).map(toml::Spanned::span);
    if let (Some(test), Some(span)) = (options.test, given("test"))
        && !(test > 0.0 && test < 1.0)
    {
        notes.help(
            span,
            format!("`data.split.test` must be above 0 and below 1, got {test}"),
            Some("0.25 holds out a quarter of the rows"),
        );
    }
    if let (Some(source), Some(span)) = (&options.source, given("source"))
        && source.trim().is_empty()
    {
        notes.at(span, "`data.split.source` must not be empty");
    }
    match (given("test"), given("source")) {
        (Some(_), Some(source)) => {
            notes.at(source, "`data.split` takes `test` or `source`, not both")
        }
        (None, None) => notes.missing(
            Some(span),
            "`data.split` needs `test` or `source`",
            "test = 0.25 holds out a quarter of the rows",
        ),
        (None, Some(_)) => {
            for key in ["stratify", "seed"] {
                if let Some(span) = given(key) {
                    let what = format!("`data.split.{key}` means nothing beside `source`");
                    notes.at(span, what);
                }
            }
        }
        (Some(_), None) => {}
    }
}

fn check_source(options: &SourceOptions, root: &DeTable<'_>, notes: &mut Notes) {
    let data = root.get("data").and_then(|d| d.get_ref().as_table());
    let given = |key: &str| data.and_then(|d| d.get(key)).map(toml::Spanned::span);
    let mut require = |key: &str, holds: bool, rule: &str| {
        if let Some(span) = given(key).filter(|_| !holds) {
            notes.at(span, format!("`data.{key}` must be {rule}"));
        }
    };
    let source_given = !options.source.trim().is_empty();
    // A source that could not be read as text stands at its default, and is reported already.
    let is_text = data.is_some_and(|d| d.get("source").is_some_and(|n| n.get_ref().is_str()));
    require(
        "source",
        source_given || !is_text,
        "a file, a glob, a folder, or bundled:NAME",
    );
    require("sample_rows", options.sample_rows >= 1, "at least 1");
    require(
        "partitions",
        options
            .partitions
            .is_none_or(|n| (1..=MOST_PARTITIONS).contains(&n)),
        "between 1 and 1048576",
    );
    require(
        "delimiter",
        options
            .delimiter
            .as_deref()
            .is_none_or(|d| d.len() == 1 && !["\"", "\n", "\r", "\0"].contains(&d)),
        "one ASCII character other than a quote or a line end",
    );
    require(
        "partition_by",
        !matches!(&options.partition_by, Some(PartitionBy::Hash(columns)) if columns.is_empty()),
        "given at least one column",
    );
    let roles = [
        ("label", &options.label),
        ("weight", &options.weight),
        ("id", &options.id),
        ("group", &options.group),
    ];
    for (i, (key, column)) in roles.iter().enumerate() {
        let Some(column) = column else { continue };
        require(key, !column.is_empty(), "the name of a column");
        let twice = roles[..i].iter().find(|(_, c)| c.as_ref() == Some(column));
        if let Some((other, _)) = twice {
            require(key, false, &format!("another column than `data.{other}`"));
        }
    }
}

pub(super) fn engine(options: &EngineOptions, root: &DeTable<'_>, notes: &mut Notes) {
    let cluster = options.kind == EngineKind::Cluster;
    match &options.scheduler {
        None if cluster => notes.help(
            place(root, &["engine", "kind"]),
            "`engine.scheduler` is missing: a cluster is found by the address of its scheduler",
            Some("add scheduler = \"http://127.0.0.1:50050\" (`emberline cluster up` starts one), or use kind = \"local\""),
        ),
        Some(url) if !is_address(url) => notes.help(
            place(root, &["engine", "scheduler"]),
            format!("`{url}` is no address of a scheduler"),
            Some("it looks like \"http://127.0.0.1:50050\""),
        ),
        Some(url) if url.starts_with("https://") && options.tls_ca.is_none() => notes.help(
            place(root, &["engine", "scheduler"]),
            "`engine.tls_ca` is missing: the certificate of a scheduler that speaks TLS is checked",
            Some("add tls_ca = \"ca.pem\", the file of the authority that signed it, or write http://"),
        ),
        Some(url) if url.starts_with("http://") && options.tls_ca.is_some() => notes.help(
            place(root, &["engine", "tls_ca"]),
            format!("`engine.tls_ca` is for TLS, and `{url}` is without"),
            Some("write https://, or leave it out"),
        ),
        _ => {}
    }
    let alone = [
        ("scheduler", options.scheduler.is_some()),
        ("pool", options.pool.is_some()),
        ("token_file", options.token_file.is_some()),
        ("tls_ca", options.tls_ca.is_some()),
    ];
    for (key, _) in alone.into_iter().filter(|(_, given)| *given && !cluster) {
        notes.help(
            place(root, &["engine", key]),
            format!("`engine.{key}` applies to a cluster alone"),
            Some("set kind = \"cluster\", or leave it out"),
        );
    }
    if options.threads > MOST_THREADS {
        let what = format!("`engine.threads` must be at most {MOST_THREADS}; 0 takes one a core");
        notes.at(place(root, &["engine", "threads"]), what);
    }
    if !(0.0..=LONGEST_INTERVAL).contains(&options.checkpoint_interval) {
        let what = format!(
            "`engine.checkpoint_interval` must be 0 to {LONGEST_INTERVAL} seconds, got {}",
            options.checkpoint_interval
        );
        notes.at(place(root, &["engine", "checkpoint_interval"]), what);
    }
}

pub(super) fn output(options: &OutputOptions, root: &DeTable<'_>, notes: &mut Notes) {
    let paths = [
        ("model", &options.model),
        ("report", &options.report),
        ("predictions", &options.predictions),
    ];
    for (i, (key, path)) in paths.iter().enumerate() {
        let Some(path) = path else { continue };
        let span = place(root, &["output", key]);
        if path.trim().is_empty() {
            notes.at(span, format!("`output.{key}` must not be empty"));
        } else if let Some((other, _)) = paths[..i].iter().find(|(_, p)| p.as_ref() == Some(path)) {
            let what = format!("`output.{key}` must be another path than `output.{other}`");
            notes.at(span, what);
        }
    }
}

/// Kind of the last learner.
pub(super) fn last_learner(stages: &[StageConfig]) -> Option<(usize, Kind)> {
    let learners = [Kind::Classifier, Kind::Regressor, Kind::Clusterer];
    let last = stages.iter().rposition(|s| learners.contains(&s.kind))?;
    Some((last, stages[last].kind))
}

/// Metrics must be known, and fit what the last learner predicts.
pub(super) fn metrics(
    options: &EvaluateOptions,
    stages: &[StageConfig],
    root: &DeTable<'_>,
    registry: &Registry,
    notes: &mut Notes,
) {
    let table = root.get("evaluate").and_then(|n| n.get_ref().as_table());
    let list = table.and_then(|t| t.get("metrics"));
    let spans: Vec<Range<usize>> = list
        .and_then(|n| n.get_ref().as_array())
        .map(|a| a.iter().map(toml::Spanned::span).collect())
        .unwrap_or_default();
    let names_for = |kind: Option<Kind>| -> Vec<String> {
        let fitting = |e: &&crate::EvaluatorEntry| kind.is_none_or(|k| e.kind == k);
        let entries = registry.evaluators().iter().filter(fitting);
        let mut names: Vec<String> = entries
            .flat_map(|e| e.metrics.iter().map(|(name, _)| (*name).to_owned()))
            .collect();
        names.sort();
        names.dedup();
        names
    };
    let all = names_for(None);
    let kind = last_learner(stages).map(|(_, kind)| kind);
    for (i, (metric, span)) in options.metrics.iter().zip(spans).enumerate() {
        if !all.contains(metric) {
            let what = format!("unknown metric `{metric}`");
            notes.help(span, what, suggest(metric, &all));
        } else if options.metrics[..i].contains(metric) {
            notes.at(span, format!("metric `{metric}` is given twice"));
        } else if let Some(kind) = kind
            && !names_for(Some(kind)).contains(metric)
        {
            notes.help(
                span,
                format!("metric `{metric}` does not fit a {kind}"),
                Some(format!("known: {}", names_for(Some(kind)).join(", "))),
            );
        }
    }
}

/// `http://HOST:PORT`.
fn is_address(url: &str) -> bool {
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"))
        .unwrap_or_default();
    let parts = rest.trim_end_matches('/').rsplit_once(':');
    parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

//! bad configs made by hand, each with the place, the key and the remedy that must be named (`bad_configs.txt`).

use std::collections::BTreeMap;

use emberline::prelude::*;

const TABLE: &str = include_str!("bad_configs.txt");

struct Case<'a> {
    base: &'a str,
    line: &'a str,
    edit: String,
    place: &'a str,
    key: &'a str,
    remedy: &'a str,
}

/// The bases by name, and the cases.
fn table() -> (BTreeMap<&'static str, String>, Vec<Case<'static>>) {
    let (bases, cases) = TABLE.split_once("== cases\n").unwrap();
    let bases = bases
        .split("== base ")
        .skip(1)
        .map(|b| b.split_once('\n').unwrap())
        .map(|(name, text)| (name, text.trim_end().to_owned() + "\n"))
        .collect();
    let cases = cases
        .lines()
        .filter(|l| !l.starts_with('#') && !l.is_empty());
    let case = |line: &'static str| match line.split(" | ").collect::<Vec<_>>()[..] {
        [base, line, edit, place, key, remedy] => Case {
            base,
            line,
            edit: edit.replace("\\n", "\n"),
            place,
            key,
            remedy: remedy.trim(),
        },
        _ => panic!("not six parts: {line}"),
    };
    (bases, cases.map(case).collect())
}

/// The base with the edit in it, and the line (from 1) and column of the mistake; no place for a source that is not there: the
/// mistake may be the config's or the data's.
fn edited(base: &str, case: &Case<'_>) -> (String, Option<(usize, usize)>) {
    let lines: Vec<&str> = base.lines().collect();
    let at = case.line.split('/').fold(0, |from, start| {
        let found = lines[from..].iter().position(|l| l.starts_with(start));
        from + found.unwrap_or_else(|| panic!("no line starts with {start}"))
    });
    let mut text = lines.clone();
    text[at] = &case.edit;
    let place = (case.place != "-").then(|| {
        let (below, column) = case.place.split_once(':').unwrap_or(("0", case.place));
        let line = at as i64 + 1 + below.parse::<i64>().unwrap();
        (line as usize, column.parse().unwrap())
    });
    (text.join("\n") + "\n", place)
}

/// Everything that is said about a config: each mistake as its place and its words.
fn said(text: &str, registry: &Registry) -> Vec<(Option<(usize, usize)>, String)> {
    let checked = Config::parse("c.toml", text, &[], registry)
        .map_err(Error::from)
        .and_then(|c| c.check(registry));
    let errors = match checked {
        Ok(_) => return Vec::new(),
        Err(Error::Config(errors)) => errors,
        Err(other) => return vec![(None, other.to_string())],
    };
    let place = |e: &ConfigError| Some(errors.position(e.span.as_ref()?.start));
    let words = |e: &ConfigError| format!("{} ({})", e.message, e.help.as_deref().unwrap_or("-"));
    errors.errors.iter().map(|e| (place(e), words(e))).collect()
}

#[test]
fn every_bad_config_names_its_place_its_key_and_the_remedy() {
    let registry = emberline::registry();
    let (bases, cases) = table();
    for (name, text) in &bases {
        assert_eq!(said(text, &registry), [], "{name} is to be a good config");
    }
    let mut wrong = Vec::new();
    for case in &cases {
        let (text, place) = edited(&bases[case.base], case);
        let found = said(&text, &registry);
        let right = matches!(&found[..], [(found, words)]
            if *found == place && words.contains(case.key) && words.contains(case.remedy));
        if !right {
            wrong.push(format!(
                "{}\n  wanted {place:?} {} ... {}\n  got {found:?}",
                case.edit, case.key, case.remedy
            ));
        }
    }
    println!(
        "R-21: {}/{} bad configs with line, column, key and remedy",
        cases.len() - wrong.len(),
        cases.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases.len() >= 200);
}

#[test]
fn ten_mistakes_in_one_config_are_ten_reports() {
    let registry = emberline::registry();
    let (bases, cases) = table();
    // The first ten cases of one base that touch different lines, all in one config.
    let base = &bases["classes"];
    let mut lines: Vec<String> = base.lines().map(str::to_owned).collect();
    let mut wanted = Vec::new();
    for start in [
        "sample_rows",
        "memory_limit",
        "[data.split]/test",
        "stratify",
        "strategy",
        "handle_invalid",
        "with_mean",
        "num_trees",
        "max_depth",
        "metrics",
        "threads",
        "model",
    ] {
        let case = cases
            .iter()
            .find(|c| c.base == "classes" && c.line == start && !c.place.contains(':'))
            .unwrap();
        let (line, column) = edited(base, case).1.unwrap();
        lines[line - 1] = case.edit.clone();
        wanted.push((line, column, case.key));
    }
    let found = said(&lines.join("\n"), &registry);
    for (line, column, key) in &wanted {
        let told = found
            .iter()
            .any(|(place, words)| *place == Some((*line, *column)) && words.contains(key));
        assert!(told, "{line}:{column} {key} is not in {found:#?}");
    }
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
    println!(
        "R-21: {}/{} mistakes of one config reported at once",
        found.len(),
        wanted.len()
    );
}

/// The good configs that the cases start from.
pub fn bases() -> Vec<String> {
    table().0.into_values().collect()
}

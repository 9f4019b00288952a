//! The page: header, tiles, facts, and a grid of cards.

use super::cards::{self, Card};
use super::model::{FactGroup, NamedValue, Report};
use super::tables;
use super::text::{duration, escape, number};

/// Metrics that become tiles; the rest stand in a table.
const MAX_TILES: usize = 8;

const STYLE: &str = include_str!("style.css");

/// The whole page. All void elements close themselves, so that it is well-formed XML too.
pub(super) fn page(report: &Report) -> String {
    let title = if report.title.is_empty() {
        "Run report"
    } else {
        &report.title
    };
    let rest = report.metrics.get(MAX_TILES..).unwrap_or_default();
    let body = [
        header(report, title),
        warnings(&report.warnings),
        tiles(&report.metrics),
        facts(&report.facts),
        format!("<div class=\"grid\">{}</div>", grid(report, rest).concat()),
        config(&report.config),
        footer(&report.generated_by),
    ];
    // The policy lets nothing be loaded or run, whatever a class name might smuggle in.
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
         <meta name=\"color-scheme\" content=\"light dark\"/>\
         <title>{}</title><style>\n{STYLE}</style></head>\n<body><main>\n{}\n</main></body></html>\n",
        escape(title),
        body.concat()
    )
}

fn header(report: &Report, title: &str) -> String {
    let task = if report.task.is_empty() {
        String::new()
    } else {
        format!("<p class=\"task\">{}</p>", escape(&report.task))
    };
    let total: f64 = report.stages.iter().map(|s| s.seconds).sum();
    let time = if report.stages.is_empty() {
        String::new()
    } else {
        format!("<p class=\"time\">fitted in {}</p>", duration(total))
    };
    format!(
        "<header><div><h1>{}</h1>{task}</div>{time}</header>\n",
        escape(title)
    )
}

fn warnings(warnings: &[String]) -> String {
    if warnings.is_empty() {
        return String::new();
    }
    let items: String = warnings
        .iter()
        .map(|w| format!("<li>{}</li>", escape(w)))
        .collect();
    let heading = if warnings.len() == 1 {
        "1 warning".to_owned()
    } else {
        format!("{} warnings", warnings.len())
    };
    format!("<section class=\"warnings\"><h2>{heading}</h2><ul>{items}</ul></section>\n")
}

fn tiles(metrics: &[NamedValue]) -> String {
    if metrics.is_empty() {
        return String::new();
    }
    let tile = |m: &NamedValue| {
        let (full, name) = (escape(&m.name), escape(&m.name.replace('_', " ")));
        let value = number(m.value);
        let class = if value.chars().count() > 7 {
            "tile long"
        } else {
            "tile"
        };
        format!("<div class=\"{class}\" title=\"{full}\"><dt>{name}</dt><dd>{value}</dd></div>")
    };
    let tiles: String = metrics.iter().take(MAX_TILES).map(tile).collect();
    format!("<dl class=\"tiles\" aria-label=\"Metrics\">{tiles}</dl>\n")
}

fn facts(groups: &[FactGroup]) -> String {
    let filled: Vec<&FactGroup> = groups.iter().filter(|g| !g.rows.is_empty()).collect();
    if filled.is_empty() {
        return String::new();
    }
    let row = |(key, value): &(String, String)| {
        format!(
            "<div><dt>{}</dt><dd>{}</dd></div>",
            escape(key),
            escape(value)
        )
    };
    let group = |g: &&FactGroup| {
        let rows: String = g.rows.iter().map(row).collect();
        format!(
            "<section><h2>{}</h2><dl>{rows}</dl></section>",
            escape(&g.heading)
        )
    };
    let groups: String = filled.iter().map(group).collect();
    format!("<div class=\"card facts\">{groups}</div>\n")
}

/// All cards. Of those that take one column each, the last spreads over both where it would leave a hole.
fn grid(report: &Report, rest: &[NamedValue]) -> Vec<String> {
    let mut cards: Vec<(bool, String, String)> = cards::plots(report)
        .into_iter()
        .map(|c| (c.wide, c.title.to_owned(), plot_body(&c)))
        .collect();
    if !report.per_class.is_empty() {
        let place = usize::from(report.confusion.is_some());
        cards.insert(
            place,
            (
                false,
                "Scores by class".to_owned(),
                tables::per_class(&report.per_class).render(),
            ),
        );
    }
    if !rest.is_empty() {
        cards.push((
            false,
            "More metrics".to_owned(),
            tables::metrics(rest).render(),
        ));
    }
    if !report.stages.is_empty() {
        let hole = cards.iter().filter(|c| !c.0).count() % 2 == 1;
        cards.push((
            !hole,
            "Stages".to_owned(),
            tables::stages(&report.stages).render(),
        ));
    }
    if cards.iter().filter(|c| !c.0).count() % 2 == 1
        && let Some(last) = cards.iter_mut().rev().find(|c| !c.0)
    {
        last.0 = true;
    }
    let card = |(wide, title, body): &(bool, String, String)| {
        let class = if *wide { "card wide" } else { "card" };
        format!(
            "<section class=\"{class}\"><h2>{}</h2>{body}</section>\n",
            escape(title)
        )
    };
    cards.iter().map(card).collect()
}

fn plot_body(card: &Card) -> String {
    let note = if card.note.is_empty() {
        String::new()
    } else {
        format!("<p class=\"note\">{}</p>", escape(&card.note))
    };
    let plot = match &card.plot {
        Some(svg) => format!("<div class=\"plot\">{svg}</div>"),
        None => "<p class=\"empty\">There is no finite value to draw.</p>".to_owned(),
    };
    format!(
        "{note}<figure>{plot}<details><summary>Numbers</summary>{}</details></figure>",
        card.table.render()
    )
}

fn config(config: &str) -> String {
    if config.trim().is_empty() {
        return String::new();
    }
    let text = escape(config.trim_end());
    format!(
        "<section class=\"card\"><details><summary><h2>Configuration</h2></summary><pre tabindex=\"0\">{text}</pre></details></section>\n"
    )
}

fn footer(generated_by: &str) -> String {
    if generated_by.is_empty() {
        return String::new();
    }
    format!("<footer>Written by {}</footer>", escape(generated_by))
}

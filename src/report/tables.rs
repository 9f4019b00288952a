//! Tables: the numbers behind each plot, and those that stand for themselves.

use super::model::{
    ClassScores, ClusterSize, Confusion, Curve, Histogram, LossHistory, NamedValue, StageTiming,
};
use super::plots;
use super::text::{duration, escape, number, percent, score};

/// Rows of a table that samples a long series.
const MAX_SAMPLED: usize = 200;
/// Up to this many classes the confusion table is the matrix itself, beyond them it lists the errors.
const MAX_MATRIX: usize = 30;

/// A table as text, escaped when it is rendered.
pub(super) struct Table {
    /// Headings; true where the column holds numbers.
    pub head: Vec<(String, bool)>,
    /// Cells, row by row.
    pub rows: Vec<Vec<String>>,
    /// A sentence on what the table leaves out, or nothing.
    pub note: String,
}

impl Table {
    fn new(head: &[(&str, bool)], rows: impl Iterator<Item = Vec<String>>) -> Self {
        let head = head
            .iter()
            .map(|(name, numeric)| ((*name).to_owned(), *numeric))
            .collect();
        Self {
            head,
            rows: rows.collect(),
            note: String::new(),
        }
    }

    /// The `<table>` element, in a box that scrolls when it is too wide. The first cell of a row is its heading.
    pub fn render(&self) -> String {
        let class = |i: usize| {
            if self.head.get(i).is_some_and(|h| h.1) {
                " class=\"n\""
            } else {
                ""
            }
        };
        let cells = |row: &Vec<String>| -> String {
            let cell = |(i, text): (usize, &String)| match i {
                0 => format!("<th scope=\"row\"{}>{}</th>", class(0), escape(text)),
                _ => format!("<td{}>{}</td>", class(i), escape(text)),
            };
            row.iter().enumerate().map(cell).collect()
        };
        let head: String = self
            .head
            .iter()
            .enumerate()
            .map(|(i, h)| format!("<th scope=\"col\"{}>{}</th>", class(i), escape(&h.0)))
            .collect();
        let body: String = self
            .rows
            .iter()
            .map(|row| format!("<tr>{}</tr>", cells(row)))
            .collect();
        let note = if self.note.is_empty() {
            String::new()
        } else {
            format!("<p class=\"note\">{}</p>", escape(&self.note))
        };
        // The box takes the focus so that a keyboard can scroll it.
        let table = format!("<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>");
        format!("{note}<div class=\"scroll\" tabindex=\"0\">{table}</div>")
    }
}

/// A number to sort by: NaN below everything.
pub(super) fn rank(v: f64) -> f64 {
    if v.is_nan() { f64::NEG_INFINITY } else { v }
}

/// Name of a class, or its index where it has none.
pub(super) fn class_name(data: &Confusion, class: usize) -> String {
    data.labels
        .get(class)
        .cloned()
        .unwrap_or_else(|| format!("#{class}"))
}

/// Rows of class `truth` predicted as `predicted`; 0 where the matrix has no such entry.
pub(super) fn count(data: &Confusion, truth: usize, predicted: usize) -> f64 {
    data.matrix
        .get(truth)
        .and_then(|row| row.get(predicted))
        .copied()
        .unwrap_or(0.0)
}

/// Rows of class `truth`.
pub(super) fn row_total(data: &Confusion, truth: usize) -> f64 {
    data.matrix
        .get(truth)
        .map_or(0.0, |row| row.iter().filter(|v| v.is_finite()).sum())
}

/// The matrix of `n` classes, or its largest errors where it is too wide to be read.
pub(super) fn confusion(data: &Confusion, n: usize) -> Table {
    if n <= MAX_MATRIX {
        let mut head = vec![("true \\ predicted".to_owned(), false)];
        head.extend((0..n).map(|class| (class_name(data, class), true)));
        let row = |t: usize| {
            let counts = (0..n).map(|p| number(count(data, t, p)));
            std::iter::once(class_name(data, t)).chain(counts).collect()
        };
        return Table {
            head,
            rows: (0..n).map(row).collect(),
            note: String::new(),
        };
    }
    let pairs = (0..n).flat_map(|t| (0..n).map(move |p| (t, p)));
    let mut errors: Vec<(usize, usize, f64)> = pairs
        .filter(|(t, p)| t != p)
        .map(|(t, p)| (t, p, count(data, t, p)))
        .filter(|e| e.2 != 0.0)
        .collect();
    errors.sort_by(|a, b| rank(b.2).total_cmp(&rank(a.2)));
    let shown = errors.iter().take(MAX_SAMPLED).map(|(t, p, c)| {
        vec![
            class_name(data, *t),
            class_name(data, *p),
            number(*c),
            percent(plots::share(*c, row_total(data, *t))),
        ]
    });
    let mut table = Table::new(
        &[
            ("true", false),
            ("predicted", false),
            ("rows", true),
            ("of true class", true),
        ],
        shown,
    );
    table.note = format!(
        "The {} largest of {} kinds of error.",
        table.rows.len(),
        number(errors.len() as f64)
    );
    table
}

/// At most 200 items, evenly spaced and with both ends, and a note where some are left out.
fn sampled<T>(items: &[T]) -> (Vec<&T>, String) {
    let n = items.len();
    if n <= MAX_SAMPLED {
        return (items.iter().collect(), String::new());
    }
    let chosen = (0..MAX_SAMPLED)
        .map(|i| &items[i * (n - 1) / (MAX_SAMPLED - 1)])
        .collect();
    (
        chosen,
        format!(
            "{MAX_SAMPLED} of {} points, evenly spaced.",
            number(n as f64)
        ),
    )
}

/// The points of all curves.
pub(super) fn curves(curves: &[Curve], x: &str, y: &str) -> Table {
    let all: Vec<(&Curve, &(f64, f64))> = curves
        .iter()
        .flat_map(|c| c.points.iter().map(move |p| (c, p)))
        .collect();
    let (chosen, note) = sampled(&all);
    let area = |c: &Curve| c.auc.map_or_else(String::new, score);
    let rows = chosen
        .into_iter()
        .map(|(c, p)| vec![c.name.clone(), area(c), score(p.0), score(p.1)]);
    Table {
        note,
        ..Table::new(
            &[("curve", false), ("area", true), (x, true), (y, true)],
            rows,
        )
    }
}

/// Pairs of numbers.
pub(super) fn pairs(points: &[(f64, f64)], x: &str, y: &str) -> Table {
    let (chosen, note) = sampled(points);
    let rows = chosen.into_iter().map(|p| vec![number(p.0), number(p.1)]);
    Table {
        note,
        ..Table::new(&[(x, true), (y, true)], rows)
    }
}

/// The bins of a histogram.
pub(super) fn histogram(data: &Histogram) -> Table {
    let bins = data.edges.windows(2).zip(&data.counts);
    let rows = bins.map(|(edge, count)| {
        edge.iter()
            .chain(std::iter::once(count))
            .map(|v| number(*v))
            .collect()
    });
    Table::new(&[("from", true), ("to", true), ("rows", true)], rows)
}

/// All importances in the given order.
pub(super) fn importances(sorted: &[&NamedValue]) -> Table {
    let rows = sorted.iter().map(|v| vec![v.name.clone(), number(v.value)]);
    Table::new(&[("feature", false), ("importance", true)], rows)
}

/// The losses of all series.
pub(super) fn training(series: &[LossHistory]) -> Table {
    let all: Vec<(&LossHistory, &(u64, f64))> = series
        .iter()
        .flat_map(|s| s.losses.iter().map(move |l| (s, l)))
        .collect();
    let (chosen, note) = sampled(&all);
    let rows = chosen
        .into_iter()
        .map(|(s, (round, loss))| vec![s.name.clone(), number(*round as f64), number(*loss)]);
    Table {
        note,
        ..Table::new(&[("learner", false), ("round", true), ("loss", true)], rows)
    }
}

/// All clusters with their share of the rows.
pub(super) fn clusters(sizes: &[ClusterSize]) -> Table {
    let total: f64 = sizes.iter().map(|s| s.count as f64).sum();
    let rows = sizes.iter().map(|s| {
        vec![
            s.id.to_string(),
            number(s.count as f64),
            percent(plots::share(s.count as f64, total)),
        ]
    });
    Table::new(&[("cluster", true), ("rows", true), ("share", true)], rows)
}

/// Each component's share and the running total.
pub(super) fn variance(shares: &[f64]) -> Table {
    let mut total = 0.0;
    let rows = shares.iter().enumerate().map(|(i, share)| {
        total += share;
        vec![(i + 1).to_string(), score(*share), score(total)]
    });
    Table::new(
        &[
            ("component", true),
            ("share", true),
            ("running total", true),
        ],
        rows,
    )
}

/// The scores of all classes.
pub(super) fn per_class(classes: &[ClassScores]) -> Table {
    let rows = classes.iter().map(|c| {
        vec![
            c.class.clone(),
            score(c.precision),
            score(c.recall),
            score(c.f1),
            number(c.support),
        ]
    });
    Table::new(
        &[
            ("class", false),
            ("precision", true),
            ("recall", true),
            ("f1", true),
            ("support", true),
        ],
        rows,
    )
}

/// The stages of the pipeline.
pub(super) fn stages(stages: &[StageTiming]) -> Table {
    let rounds = |s: &StageTiming| {
        s.rounds
            .map_or_else(|| "–".to_owned(), |n| number(n as f64))
    };
    let rows = stages.iter().map(|s| {
        vec![
            s.name.clone(),
            duration(s.seconds),
            rounds(s),
            s.summary.clone(),
        ]
    });
    Table::new(
        &[
            ("stage", false),
            ("time", true),
            ("rounds", true),
            ("outcome", false),
        ],
        rows,
    )
}

/// Metrics beyond those that have tiles.
pub(super) fn metrics(metrics: &[NamedValue]) -> Table {
    Table::new(
        &[("metric", false), ("value", true)],
        metrics
            .iter()
            .map(|m| vec![m.name.clone(), number(m.value)]),
    )
}

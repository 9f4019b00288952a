//! Turns a report into cards: a plot each, with its numbers as a table below.

use super::axes::Fit;
use super::model::{Curve, Report};
use super::plots::{
    Bar, COLOURS, Guide, Line, LinePlot, MAX_CLASSES, heat_map, histogram, horizontal, scatter,
    scree,
};
use super::tables::{self, Table};
use super::text::number;

/// Bars in a plot at most; the table below holds them all.
pub(super) const MAX_BARS: usize = 25;

/// One plot with all that stands around it.
pub(super) struct Card {
    /// Heading.
    pub title: &'static str,
    /// A sentence on how to read the plot, or what it leaves out.
    pub note: String,
    /// The drawing; `None` where there was no finite number to draw.
    pub plot: Option<String>,
    /// The numbers behind the plot.
    pub table: Table,
    /// True where the card takes both columns of the page.
    pub wide: bool,
}

/// The cards of all plots for which the report has data, in reading order.
pub(super) fn plots(report: &Report) -> Vec<Card> {
    let cards = [
        confusion(report),
        curves(&report.roc, true),
        curves(&report.pr, false),
        predicted_vs_actual(report),
        residuals(report),
        residual_histogram(report),
        importances(report),
        training_curve(report),
        cluster_sizes(report),
        explained_variance(report),
    ];
    cards.into_iter().flatten().collect()
}

fn confusion(report: &Report) -> Option<Card> {
    let full = report.confusion.as_ref()?;
    let n = full.labels.len().max(full.matrix.len());
    let shown = largest(n, MAX_CLASSES, |class| tables::row_total(full, class));
    let labels: Vec<String> = shown
        .iter()
        .map(|class| tables::class_name(full, *class))
        .collect();
    let matrix: Vec<Vec<f64>> = shown
        .iter()
        .map(|t| shown.iter().map(|p| tables::count(full, *t, *p)).collect())
        .collect();
    let totals: Vec<f64> = shown
        .iter()
        .map(|class| tables::row_total(full, *class))
        .collect();
    let mut note = "Rows are true classes, columns are predictions. Blue is right, orange is wrong; the darker, the larger the share of \
                    the true class (square root for errors, so that rare ones show)."
        .to_owned();
    if n > shown.len() {
        note.push_str(&format!(
            " The {MAX_CLASSES} largest of {} classes are shown.",
            number(n as f64)
        ));
    }
    let plot = heat_map("Confusion matrix as a heat map", &labels, &matrix, &totals);
    Some(Card {
        title: "Confusion matrix",
        note,
        plot,
        table: tables::confusion(full, n),
        wide: n > 12,
    })
}

/// The `max` items of greatest size, in their own order.
fn largest(n: usize, max: usize, size: impl Fn(usize) -> f64) -> Vec<usize> {
    let mut items: Vec<usize> = (0..n).collect();
    items.sort_by(|a, b| tables::rank(size(*b)).total_cmp(&tables::rank(size(*a))));
    items.truncate(max);
    items.sort_unstable();
    items
}

fn curves(curves: &[Curve], roc: bool) -> Option<Card> {
    if curves.is_empty() {
        return None;
    }
    let mut order: Vec<&Curve> = curves.iter().collect();
    let mut note = String::new();
    if curves.len() > COLOURS {
        order.sort_by(|a, b| {
            a.auc
                .unwrap_or(f64::INFINITY)
                .total_cmp(&b.auc.unwrap_or(f64::INFINITY))
        });
        note = format!("The {COLOURS} curves with the smallest area are coloured.");
    }
    let name = |c: &Curve| {
        c.auc.map_or_else(
            || c.name.clone(),
            |auc| format!("{} ({})", c.name, number(auc)),
        )
    };
    let lines = order
        .iter()
        .map(|c| Line {
            name: name(c),
            points: c.points.clone(),
        })
        .collect();
    let (title, x, y) = if roc {
        ("ROC curve", "false positive rate", "true positive rate")
    } else {
        ("Precision and recall", "recall", "precision")
    };
    let plot = LinePlot {
        label: format!("{title}: {y} against {x}"),
        x: (x, Fit::Unit),
        y: (y, Fit::Unit),
        lines,
        reference: roc.then_some([(0.0, 0.0), (1.0, 1.0)]),
    };
    if roc {
        note = join(
            "The area under the curve stands in brackets; the dashed line is a guess at random.",
            &note,
        );
    } else if curves.iter().any(|c| c.auc.is_some()) {
        note = join("The area under the curve stands in brackets.", &note);
    }
    Some(Card {
        title,
        note,
        plot: plot.render(),
        table: tables::curves(curves, x, y),
        wide: false,
    })
}

fn join(first: &str, second: &str) -> String {
    format!("{first} {second}").trim().to_owned()
}

fn predicted_vs_actual(report: &Report) -> Option<Card> {
    let points = &report.predicted_vs_actual;
    if points.is_empty() {
        return None;
    }
    Some(Card {
        title: "Predicted and actual",
        note: "On the dashed line, both are equal.".to_owned(),
        plot: scatter(
            "Predicted against actual values",
            "actual",
            "predicted",
            points,
            Guide::Diagonal,
        ),
        table: tables::pairs(points, "actual", "predicted"),
        wide: false,
    })
}

fn residuals(report: &Report) -> Option<Card> {
    let points = &report.residuals.as_ref()?.points;
    if points.is_empty() {
        return None;
    }
    Some(Card {
        title: "Residuals",
        note: "Actual minus predicted. A pattern around the dashed line is something that the model has not learnt.".to_owned(),
        plot: scatter("Residuals against predicted values", "predicted", "residual", points, Guide::Zero),
        table: tables::pairs(points, "predicted", "residual"),
        wide: false,
    })
}

fn residual_histogram(report: &Report) -> Option<Card> {
    let data = &report.residuals.as_ref()?.histogram;
    if data.counts.is_empty() {
        return None;
    }
    Some(Card {
        title: "Distribution of residuals",
        note: String::new(),
        plot: histogram("Histogram of residuals", "residual", data),
        table: tables::histogram(data),
        wide: false,
    })
}

fn importances(report: &Report) -> Option<Card> {
    if report.importances.is_empty() {
        return None;
    }
    let mut sorted: Vec<_> = report.importances.iter().collect();
    // The sort is stable: features of equal importance keep the order in which they came.
    sorted.sort_by(|a, b| tables::rank(b.value).total_cmp(&tables::rank(a.value)));
    let bars: Vec<Bar> = sorted
        .iter()
        .take(MAX_BARS)
        .map(|v| Bar {
            name: v.name.clone(),
            value: v.value,
        })
        .collect();
    let n = sorted.len();
    let note = if n > MAX_BARS {
        format!(
            "The {MAX_BARS} most important of {} features.",
            number(n as f64)
        )
    } else {
        String::new()
    };
    Some(Card {
        title: "Feature importances",
        note,
        plot: horizontal("Feature importances as bars", &bars),
        table: tables::importances(&sorted),
        wide: false,
    })
}

fn training_curve(report: &Report) -> Option<Card> {
    let series = &report.training_curve;
    if series.is_empty() {
        return None;
    }
    let points = |losses: &[(u64, f64)]| {
        losses
            .iter()
            .map(|(round, loss)| (*round as f64, *loss))
            .collect()
    };
    let plot = LinePlot {
        label: "Training loss by round".to_owned(),
        x: ("round", Fit::Rounds),
        y: ("loss", Fit::MaybeLog),
        lines: series
            .iter()
            .map(|s| Line {
                name: s.name.clone(),
                points: points(&s.losses),
            })
            .collect(),
        reference: None,
    };
    let note = if series.len() > COLOURS {
        format!("The first {COLOURS} of {} are coloured.", series.len())
    } else {
        String::new()
    };
    Some(Card {
        title: "Training curve",
        note,
        plot: plot.render(),
        table: tables::training(series),
        wide: false,
    })
}

fn cluster_sizes(report: &Report) -> Option<Card> {
    let sizes = &report.cluster_sizes;
    if sizes.is_empty() {
        return None;
    }
    let shown = largest(sizes.len(), MAX_BARS, |i| sizes[i].count as f64);
    let bars: Vec<Bar> = shown
        .iter()
        .map(|i| Bar {
            name: format!("cluster {}", sizes[*i].id),
            value: sizes[*i].count as f64,
        })
        .collect();
    let hidden = sizes.len() > shown.len();
    let note = if hidden {
        format!(
            "The {MAX_BARS} largest of {} clusters.",
            number(sizes.len() as f64)
        )
    } else {
        String::new()
    };
    Some(Card {
        title: "Cluster sizes",
        note,
        plot: horizontal("Rows per cluster as bars", &bars),
        table: tables::clusters(sizes),
        wide: false,
    })
}

fn explained_variance(report: &Report) -> Option<Card> {
    if report.explained_variance.is_empty() {
        return None;
    }
    Some(Card {
        title: "Explained variance",
        note: "Bars: each component. Line: running total.".to_owned(),
        plot: scree(
            "Share of variance by principal component",
            &report.explained_variance,
        ),
        table: tables::variance(&report.explained_variance),
        wide: false,
    })
}

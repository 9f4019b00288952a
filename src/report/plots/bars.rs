//! Bar charts: horizontal with names, histograms, and the scree plot.

use crate::report::axes::{Fit, Frame, Scale};
use crate::report::model::Histogram;
use crate::report::svg::{Element, Svg, coordinate, rectangle};
use crate::report::text::{number, percent, shorten};

/// A named bar.
pub(in crate::report) struct Bar {
    /// Name at its foot.
    pub name: String,
    /// Its length.
    pub value: f64,
}

/// Horizontal bars from top to bottom in the given order; a value that is not finite gets a name and no bar.
pub(in crate::report) fn horizontal(label: &str, bars: &[Bar]) -> Option<String> {
    const ROW: f64 = 22.0;
    if !bars.iter().any(|b| b.value.is_finite()) {
        return None;
    }
    let names: Vec<String> = bars.iter().map(|b| shorten(&b.name, 26)).collect();
    let longest = names.iter().map(|n| n.chars().count()).max().unwrap_or(0);
    let left = (longest as f64 * 6.8 + 14.0).clamp(40.0, 190.0);
    let right = Frame::WIDTH - 70.0;
    let scale = Scale::new(bars.iter().map(|b| b.value), Fit::Bars, left, right);
    let zero = scale.at(0.0)?;
    let height = bars.len() as f64 * ROW + 12.0;
    let mut svg = Svg::new(Frame::WIDTH, height, label);
    svg.line("axis", (zero, 4.0), (zero, height - 4.0));
    for (i, (bar, name)) in bars.iter().zip(&names).enumerate() {
        let top = 6.0 + i as f64 * ROW;
        let text = format!("{}: {}", bar.name, number(bar.value));
        svg.add(
            crate::report::svg::label("tick strong", (left - 8.0, top + 15.0), "end", name)
                .title(&text),
        );
        let tip = scale.at(bar.value).unwrap_or(zero);
        let size = (
            (tip - zero)
                .abs()
                .max(if bar.value == 0.0 { 0.0 } else { 1.0 }),
            ROW - 6.0,
        );
        svg.add(rectangle("bar s0", (tip.min(zero), top + 3.0), size).title(&text));
        svg.text(
            "tick",
            (tip.max(zero) + 6.0, top + 15.0),
            "start",
            &number(bar.value),
        );
    }
    Some(svg.finish())
}

/// Bars between edges; bins whose edges or count are not finite are left out.
pub(in crate::report) fn histogram(label: &str, x_title: &str, data: &Histogram) -> Option<String> {
    let bins = data
        .edges
        .windows(2)
        .zip(&data.counts)
        .filter_map(|(edge, count)| match edge {
            [a, b] if a.is_finite() && b.is_finite() && count.is_finite() => Some((*a, *b, *count)),
            _ => None,
        });
    let bins: Vec<(f64, f64, f64)> = bins.collect();
    if bins.is_empty() {
        return None;
    }
    let corners = bins
        .iter()
        .flat_map(|(a, b, count)| [(*a, *count), (*b, 0.0)]);
    let frame = Frame::new(corners, Fit::Tight, Fit::Zero);
    let mut svg = Svg::new(Frame::WIDTH, Frame::HEIGHT, label);
    frame.draw(&mut svg, x_title, "rows");
    for (a, b, count) in bins {
        if let (Some((x0, y)), Some((x1, foot))) = (frame.at((a, count)), frame.at((b, 0.0))) {
            let title = format!("{} to {}: {}", number(a), number(b), number(count));
            let (x, width) = (x0.min(x1), (x1 - x0).abs());
            // A thin gap between wide bars; narrow ones touch.
            let gap = if width > 4.0 { 1.0 } else { 0.0 };
            svg.add(
                rectangle("bar s0", (x, y.min(foot)), (width - gap, (foot - y).abs()))
                    .title(&title),
            );
        }
    }
    Some(svg.finish())
}

/// A bar per principal component with the running total as a line, both as shares of the variance.
pub(in crate::report) fn scree(label: &str, shares: &[f64]) -> Option<String> {
    if !shares.iter().any(|s| s.is_finite()) {
        return None;
    }
    let corners = [(0.5, 0.0), (shares.len() as f64 + 0.5, 1.0)];
    let frame = Frame::new(corners.into_iter(), Fit::Rounds, Fit::Unit);
    let mut svg = Svg::new(Frame::WIDTH, Frame::HEIGHT, label);
    frame.draw(&mut svg, "component", "share of variance");
    let width = (frame.right - frame.left) / shares.len() as f64;
    let (mut total, mut path, mut dots) = (0.0, String::new(), Vec::new());
    for (i, share) in shares.iter().enumerate() {
        let place = (i + 1) as f64;
        let Some((x, y)) = frame.at((place, *share)) else {
            continue;
        };
        total += share;
        let title = format!(
            "component {place}: {} of the variance, {} with those before it",
            percent(*share),
            percent(total)
        );
        svg.add(
            rectangle(
                "bar s0",
                (x - width * 0.4, y),
                (width * 0.8, frame.bottom - y),
            )
            .title(&title),
        );
        if let Some((_, y)) = frame.at((place, total)) {
            path.push_str(&format!(
                "{}{} {}",
                if path.is_empty() { 'M' } else { 'L' },
                coordinate(x),
                coordinate(y)
            ));
            dots.push(
                Element::new("circle")
                    .at("cx", x)
                    .at("cy", y)
                    .set("r", "2.6")
                    .set("class", "dot s1")
                    .title(&title),
            );
        }
    }
    svg.add(
        Element::new("path")
            .set("class", "line s1 solid")
            .set("d", &path)
            .title("running total"),
    );
    if dots.len() <= 60 {
        dots.into_iter().for_each(|dot| svg.add(dot));
    }
    Some(svg.finish())
}

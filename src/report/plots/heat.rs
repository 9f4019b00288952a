//! The confusion matrix as a heat map.

use crate::report::svg::{Svg, label, rectangle};
use crate::report::text::{number, percent, shorten};

/// Classes that a heat map shows at most: beyond these, cells are too small to be told apart.
pub(in crate::report) const MAX_CLASSES: usize = 60;
/// Beyond this many classes, cells are too small for a number.
const MAX_WITH_COUNTS: usize = 32;
/// Up to this many classes, cells without rows are drawn too.
const MAX_WITH_ZEROS: usize = 14;

/// True classes as rows, predicted ones as columns, counts in the cells, shaded by share of the row.
///
/// `labels` and the square `matrix` hold at most [`MAX_CLASSES`]; `totals` are the row sums over all classes.
pub(in crate::report) fn heat_map(
    title: &str,
    labels: &[String],
    matrix: &[Vec<f64>],
    totals: &[f64],
) -> Option<String> {
    let n = labels.len();
    if n == 0 {
        return None;
    }
    let short: Vec<String> = labels.iter().map(|l| shorten(l, 14)).collect();
    let longest = short.iter().map(|l| l.chars().count()).max().unwrap_or(1) as f64;
    let cell = (440.0 / n as f64).clamp(if n > MAX_WITH_COUNTS { 15.0 } else { 30.0 }, 76.0);
    let slanted = longest * 7.0 > cell - 4.0;
    let left = longest * 7.0 + 36.0;
    let top = if slanted { longest * 5.2 + 34.0 } else { 42.0 };
    // A slanted label of the last column leans out over the right border.
    let lean = if slanted { longest * 4.6 } else { 0.0 };
    let side = cell * n as f64;
    let mut svg = Svg::new(left + side + lean + 6.0, top + side + 6.0, title);
    svg.text("name", (left + side / 2.0, 14.0), "middle", "predicted");
    svg.add(label("name", (0.0, 0.0), "middle", "true").set(
        "transform",
        &format!("translate(14 {}) rotate(-90)", top + side / 2.0),
    ));
    for (i, name) in short.iter().enumerate() {
        let middle = (i as f64 + 0.5) * cell;
        svg.add(
            label("tick strong", (left - 8.0, top + middle + 4.0), "end", name).title(&labels[i]),
        );
        let (x, y) = (left + middle, top - 8.0);
        let above = if slanted {
            label("tick strong", (0.0, 0.0), "start", name).set(
                "transform",
                &format!("translate({x:.1} {y:.1}) rotate(-45)"),
            )
        } else {
            label("tick strong", (x, y), "middle", name)
        };
        svg.add(above.title(&labels[i]));
    }
    svg.add(rectangle("heat-back", (left, top), (side, side)));
    for (t, row) in matrix.iter().enumerate() {
        for (p, count) in row.iter().enumerate() {
            if *count == 0.0 && t != p && n > MAX_WITH_ZEROS {
                continue;
            }
            draw_cell(
                &mut svg,
                Cell {
                    corner: (left + p as f64 * cell, top + t as f64 * cell),
                    side: cell,
                    count: *count,
                    share: share(*count, totals[t]),
                    right: t == p,
                    with_count: n <= MAX_WITH_COUNTS,
                },
                &labels[t],
                &labels[p],
            );
        }
    }
    Some(svg.finish())
}

/// Share of a row, 0 where the row is empty or the numbers are not finite.
pub(in crate::report) fn share(count: f64, total: f64) -> f64 {
    if count.is_finite() && total.is_finite() && total > 0.0 {
        (count / total).clamp(0.0, 1.0)
    } else {
        0.0
    }
}

struct Cell {
    corner: (f64, f64),
    side: f64,
    count: f64,
    share: f64,
    right: bool,
    with_count: bool,
}

fn draw_cell(svg: &mut Svg, cell: Cell, truth: &str, predicted: &str) {
    let title = format!(
        "true {truth}, predicted {predicted}: {} ({} of {truth})",
        number(cell.count),
        percent(cell.share)
    );
    // Errors are shaded by the square root of their share: one in a hundred would be invisible otherwise.
    let depth = if cell.right {
        cell.share
    } else {
        cell.share.sqrt()
    };
    let shade = if cell.share > 0.0 {
        0.06 + 0.94 * depth
    } else {
        0.0
    };
    let class = if cell.right {
        "cell right"
    } else {
        "cell wrong"
    };
    let (x, y) = cell.corner;
    let square = rectangle(
        class,
        (x + 0.5, y + 0.5),
        (cell.side - 1.0, cell.side - 1.0),
    );
    svg.add(
        square
            .set("fill-opacity", &format!("{shade:.3}"))
            .title(&title),
    );
    if cell.with_count {
        let text = brief(cell.count);
        // About 0.6 of the font size per character; the text stays within the cell.
        let size = ((cell.side - 4.0) / (0.6 * text.len() as f64)).clamp(6.5, 12.0);
        let class = match (cell.count == 0.0, cell.right && cell.share > 0.8) {
            (true, _) => "count none",
            (_, true) => "count on",
            _ => "count",
        };
        let middle = (x + cell.side / 2.0, y + cell.side / 2.0 + size * 0.36);
        svg.add(
            label(class, middle, "middle", &text).set("style", &format!("font-size:{size:.1}px")),
        );
    }
}

/// A count in few characters.
fn brief(count: f64) -> String {
    match count.abs() {
        c if c >= 1e4 => crate::report::text::tick(count, 10f64.powf(c.log10().floor() - 2.0), c),
        c if c >= 100.0 => number(count.round()),
        _ => number((count * 10.0).round() / 10.0),
    }
}

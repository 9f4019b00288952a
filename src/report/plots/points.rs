//! Scatter plots.

use crate::report::axes::{Fit, Frame, extent};
use crate::report::svg::{Element, Svg};
use crate::report::text::number;

/// Points drawn at most; more would only slow the browser down.
const MAX_POINTS: usize = 2000;

/// A dashed line to compare the points with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Guide {
    /// Where both numbers are equal.
    Diagonal,
    /// Where the vertical number is 0.
    Zero,
}

/// A dot per point. Of more than 2,000 points, every k-th is drawn.
pub(in crate::report) fn scatter(
    label: &str,
    x_title: &str,
    y_title: &str,
    points: &[(f64, f64)],
    guide: Guide,
) -> Option<String> {
    let finite: Vec<(f64, f64)> = points
        .iter()
        .copied()
        .filter(|p| p.0.is_finite() && p.1.is_finite())
        .collect();
    let (low, high) = extent(finite.iter().flat_map(|p| [p.0, p.1]))?;
    let frame = match guide {
        Guide::Zero => Frame::new(finite.iter().copied(), Fit::Data, Fit::Zero),
        // Both axes cover the same range, so that the diagonal runs from corner to corner.
        Guide::Diagonal => Frame::new([(low, low), (high, high)].into_iter(), Fit::Data, Fit::Data),
    };
    let mut svg = Svg::new(Frame::WIDTH, Frame::HEIGHT, label);
    frame.draw(&mut svg, x_title, y_title);
    let every = finite.len().div_ceil(MAX_POINTS).max(1);
    for point in finite.iter().step_by(every) {
        if let Some((x, y)) = frame.at(*point) {
            let title = format!(
                "{x_title} {}, {y_title} {}",
                number(point.0),
                number(point.1)
            );
            svg.add(
                Element::new("circle")
                    .at("cx", x)
                    .at("cy", y)
                    .set("r", "2.6")
                    .set("class", "spot s0")
                    .title(&title),
            );
        }
    }
    let ends = match guide {
        Guide::Zero => frame.y.at(0.0).map(|y| ((frame.left, y), (frame.right, y))),
        Guide::Diagonal => frame.at((low, low)).zip(frame.at((high, high))),
    };
    if let Some((from, to)) = ends {
        svg.line("guide", from, to);
    }
    Some(svg.finish())
}

//! Line charts of several named series.

use crate::report::axes::{Fit, Frame};
use crate::report::svg::{Element, Svg, coordinate};
use crate::report::text::{escape, number, shorten};

/// Series that get a colour of their own; the style sheet holds as many.
pub(in crate::report) const COLOURS: usize = 10;
/// Series of at most this many points show each of them as a dot.
const MAX_DOTS: usize = 40;
/// Points closer than this to the last one drawn add nothing that a screen could show, in user units.
const NEAR: f64 = 0.6;

/// One named series.
pub(in crate::report) struct Line {
    /// Name in the legend and the tooltip.
    pub name: String,
    /// Points in drawing order.
    pub points: Vec<(f64, f64)>,
}

/// A line chart.
pub(in crate::report) struct LinePlot {
    /// What a screen reader says in place of the drawing.
    pub label: String,
    /// Title and range of the horizontal axis.
    pub x: (&'static str, Fit),
    /// Title and range of the vertical axis.
    pub y: (&'static str, Fit),
    /// The series, the ones to be coloured first.
    pub lines: Vec<Line>,
    /// A dashed line to compare with, from point to point.
    pub reference: Option<[(f64, f64); 2]>,
}

impl LinePlot {
    /// The drawing with its legend, or `None` where no series has a finite point.
    pub fn render(&self) -> Option<String> {
        let points = self
            .lines
            .iter()
            .flat_map(|l| l.points.iter().copied())
            .filter(|p| p.0.is_finite() && p.1.is_finite());
        points.clone().next()?;
        let frame = Frame::new(points, self.x.1, self.y.1);
        let mut svg = Svg::new(Frame::WIDTH, Frame::HEIGHT, &self.label);
        frame.draw(&mut svg, self.x.0, self.y.0);
        if let Some([from, to]) = self.reference
            && let (Some(from), Some(to)) = (frame.at(from), frame.at(to))
        {
            svg.line("guide", from, to);
        }
        // Last to first: the coloured series come first in the list and must lie on top.
        for (i, line) in self.lines.iter().enumerate().rev() {
            draw(&mut svg, &frame, line, &colour(i));
        }
        Some(svg.finish() + &self.legend())
    }

    fn legend(&self) -> String {
        let item = |class: &str, text: &str, full: &str| {
            let mark = format!(
                "<svg class=\"mark\" viewBox=\"0 0 24 8\" aria-hidden=\"true\"><path class=\"line {class}\" d=\"M1 4H23\"/></svg>"
            );
            format!("<li title=\"{}\">{mark}{}</li>", escape(full), escape(text))
        };
        let named = self.lines.iter().take(COLOURS).enumerate();
        let mut items: String = named
            .map(|(i, l)| item(&colour(i), &shorten(&l.name, 40), &l.name))
            .collect();
        if self.lines.len() > COLOURS {
            let more = format!("{} more", number((self.lines.len() - COLOURS) as f64));
            items.push_str(&item("rest", &more, &more));
        }
        format!("<ul class=\"legend\">{items}</ul>")
    }
}

fn colour(index: usize) -> String {
    if index < COLOURS {
        format!("s{index}")
    } else {
        "rest".to_owned()
    }
}

fn draw(svg: &mut Svg, frame: &Frame, line: &Line, class: &str) {
    let path = path(frame, &line.points);
    if !path.is_empty() {
        svg.add(
            Element::new("path")
                .set("class", &format!("line {class}"))
                .set("d", &path)
                .title(&line.name),
        );
    }
    let drawable = line.points.iter().filter_map(|p| Some((*p, frame.at(*p)?)));
    if drawable.clone().count() <= MAX_DOTS && class != "rest" || path.is_empty() {
        for (value, (x, y)) in drawable {
            let title = format!("{}: {}, {}", line.name, number(value.0), number(value.1));
            svg.add(
                Element::new("circle")
                    .at("cx", x)
                    .at("cy", y)
                    .set("r", "2.6")
                    .set("class", &format!("dot {class}"))
                    .title(&title),
            );
        }
    }
}

/// The path through the points. A point that cannot be drawn leaves a gap; a series of one point has no path.
fn path(frame: &Frame, points: &[(f64, f64)]) -> String {
    let (mut out, mut last, mut drawn) = (String::new(), None::<(f64, f64)>, 0);
    for (i, point) in points.iter().enumerate() {
        let Some((x, y)) = frame.at(*point) else {
            last = None;
            continue;
        };
        let near = last.is_some_and(|(a, b)| (x - a).abs() < NEAR && (y - b).abs() < NEAR);
        if near && i + 1 < points.len() {
            continue;
        }
        out.push(if last.is_some() { 'L' } else { 'M' });
        drawn += usize::from(last.is_some());
        out.push_str(&format!("{} {}", coordinate(x), coordinate(y)));
        last = Some((x, y));
    }
    if drawn > 0 { out } else { String::new() }
}

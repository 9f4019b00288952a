//! A small writer of SVG: elements with escaped attributes, nothing more.

use super::text::escape;

/// One element, built attribute by attribute.
pub(super) struct Element {
    name: &'static str,
    attributes: String,
    title: String,
    text: String,
}

impl Element {
    /// An element without attributes.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            attributes: String::new(),
            title: String::new(),
            text: String::new(),
        }
    }

    /// Sets an attribute to a text.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.attributes
            .push_str(&format!(" {name}=\"{}\"", escape(value)));
        self
    }

    /// Sets an attribute to a number, in user units with one decimal.
    pub fn at(self, name: &str, value: f64) -> Self {
        let text = coordinate(value);
        self.set(name, &text)
    }

    /// Sets the text that browsers show while the pointer rests on the element.
    pub fn title(mut self, title: &str) -> Self {
        self.title = format!("<title>{}</title>", escape(title));
        self
    }

    /// Sets the text inside the element.
    pub fn text(mut self, text: &str) -> Self {
        self.text = escape(text);
        self
    }

    fn render(&self) -> String {
        let Self {
            name,
            attributes,
            title,
            text,
        } = self;
        if title.is_empty() && text.is_empty() {
            format!("<{name}{attributes}/>")
        } else {
            format!("<{name}{attributes}>{title}{text}</{name}>")
        }
    }
}

/// A drawing of a given size in user units, which scales to the width of its card.
pub(super) struct Svg {
    width: f64,
    height: f64,
    label: String,
    body: String,
}

impl Svg {
    /// An empty drawing; `label` is what a screen reader says in its place.
    pub fn new(width: f64, height: f64, label: &str) -> Self {
        Self {
            width,
            height,
            label: escape(label),
            body: String::new(),
        }
    }

    /// Draws an element over what is there.
    pub fn add(&mut self, element: Element) {
        self.body.push_str(&element.render());
    }

    /// Draws a straight line.
    pub fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ends = Element::new("line")
            .at("x1", from.0)
            .at("y1", from.1)
            .at("x2", to.0)
            .at("y2", to.1);
        self.add(ends.set("class", class));
    }

    /// Writes text; `anchor` is the end of it that stands at the point: `start`, `middle` or `end`.
    pub fn text(&mut self, class: &str, at: (f64, f64), anchor: &str, text: &str) {
        self.add(label(class, at, anchor, text));
    }

    /// The finished element. It grows no wider than its user units, so that text keeps its size on wide screens.
    pub fn finish(self) -> String {
        let (w, h) = (coordinate(self.width), coordinate(self.height));
        format!(
            "<svg viewBox=\"0 0 {w} {h}\" style=\"max-width:{w}px\" role=\"img\" aria-label=\"{}\">{}</svg>",
            self.label, self.body
        )
    }
}

/// A text element at a point.
pub(super) fn label(class: &str, at: (f64, f64), anchor: &str, text: &str) -> Element {
    Element::new("text")
        .at("x", at.0)
        .at("y", at.1)
        .set("class", class)
        .set("text-anchor", anchor)
        .text(text)
}

/// A rectangle by its corner of lowest coordinates and its size.
pub(super) fn rectangle(class: &str, corner: (f64, f64), size: (f64, f64)) -> Element {
    let place = Element::new("rect").at("x", corner.0).at("y", corner.1);
    place
        .at("width", size.0.max(0.0))
        .at("height", size.1.max(0.0))
        .set("class", class)
}

/// A coordinate with at most one decimal. Scales never give a number that is not finite; should one come, 0 keeps the file valid.
pub(super) fn coordinate(value: f64) -> String {
    let tenths = if value.is_finite() {
        (value * 10.0).round() / 10.0
    } else {
        0.0
    };
    format!("{tenths}")
}

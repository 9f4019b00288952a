//! Scales from data to the page, ticks at round numbers, and the frame around a plot.

use super::svg::{Svg, label};
use super::text::tick;

/// Data beyond this size is drawn at the border: differences of two such numbers stay finite.
const LIMIT: f64 = 1e300;

/// How an axis picks its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// From 0 to 1.
    Unit,
    /// From the smallest to the largest value, widened to ticks.
    Data,
    /// As `Data`, and 0 is within the range.
    Zero,
    /// As `Data`, without widening.
    Tight,
    /// As `Tight`, with ticks at whole numbers only.
    Rounds,
    /// As `Tight`, and 0 is within the range.
    Bars,
    /// Powers of ten where all values are positive and span more than two of them, else as `Data`.
    MaybeLog,
}

/// Maps values to positions.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    log: bool,
    ticks: Vec<(f64, String)>,
}

impl Scale {
    /// A scale that covers the finite ones among `values` and runs from `from` to `to` on the page.
    pub fn new(values: impl Iterator<Item = f64>, fit: Fit, from: f64, to: f64) -> Self {
        let (low, high) = extent(values).unwrap_or((0.0, 1.0));
        match fit {
            Fit::Unit => Self::linear(0.0, 1.0, 0.2, from, to),
            Fit::MaybeLog if low > 0.0 && high / low > 100.0 => Self::powers(low, high, from, to),
            Fit::Data | Fit::MaybeLog => Self::widened(low, high, from, to),
            Fit::Zero => Self::widened(low.min(0.0), high.max(0.0), from, to),
            Fit::Tight => Self::tight(low, high, 0.0, from, to),
            Fit::Rounds => Self::tight(low, high, 1.0, from, to),
            Fit::Bars => Self::tight(low.min(0.0), high.max(0.0), 0.0, from, to),
        }
    }

    fn widened(low: f64, high: f64, from: f64, to: f64) -> Self {
        let (low, high) = apart(low, high);
        let step = nice_step(low, high, 5);
        Self::linear(
            (low / step).floor() * step,
            (high / step).ceil() * step,
            step,
            from,
            to,
        )
    }

    fn tight(low: f64, high: f64, min_step: f64, from: f64, to: f64) -> Self {
        let (low, high) = apart(low, high);
        Self::linear(low, high, nice_step(low, high, 6).max(min_step), from, to)
    }

    fn linear(low: f64, high: f64, step: f64, from: f64, to: f64) -> Self {
        let ticks = ticks(low, high, step)
            .into_iter()
            .map(|v| (v, tick(v, step, low.abs().max(high.abs()))))
            .collect();
        Self {
            low,
            high,
            from,
            to,
            log: false,
            ticks,
        }
    }

    fn powers(low: f64, high: f64, from: f64, to: f64) -> Self {
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let every = ((last - first) as usize).div_ceil(7).max(1);
        let decades = (first..=last).step_by(every).map(|e| {
            (
                f64::from(e),
                tick(10f64.powi(e), 10f64.powi(e), 10f64.powi(e)),
            )
        });
        let ticks = decades.collect();
        Self {
            low: f64::from(first),
            high: f64::from(last),
            from,
            to,
            log: true,
            ticks,
        }
    }

    /// Position of a value; `None` where it is not finite (or not positive on a logarithmic scale).
    pub fn at(&self, value: f64) -> Option<f64> {
        let v = if self.log { value.log10() } else { value };
        v.is_finite().then(|| self.place(v))
    }

    /// True where equal distances are equal ratios.
    pub fn is_log(&self) -> bool {
        self.log
    }

    fn place(&self, v: f64) -> f64 {
        let share = (v.clamp(self.low, self.high) - self.low) / (self.high - self.low);
        self.from + share * (self.to - self.from)
    }

    fn marks(&self) -> impl Iterator<Item = (f64, &str)> {
        self.ticks
            .iter()
            .map(|(v, text)| (self.place(*v), text.as_str()))
    }
}

/// Smallest and largest finite value, held within what can be drawn.
pub(super) fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values
        .filter(|v| v.is_finite())
        .map(|v| v.clamp(-LIMIT, LIMIT))
        .fold(None, |range, v| match range {
            None => Some((v, v)),
            Some((low, high)) => Some((low.min(v), high.max(v))),
        })
}

/// Moves the ends of a range apart where they are equal, or so close that no number lies between them.
fn apart(low: f64, high: f64) -> (f64, f64) {
    let size = low.abs().max(high.abs());
    if high - low > size * 1e-12 && high - low > f64::MIN_POSITIVE * 1e6 {
        return (low, high);
    }
    let pad = if size > 1e-290 { size * 0.5 } else { 0.5 };
    (low - pad, high + pad)
}

/// The smallest of 1, 2 and 5 times a power of ten that cuts the range into at most `pieces`.
pub(super) fn nice_step(low: f64, high: f64, pieces: u32) -> f64 {
    let raw = (high - low) / f64::from(pieces);
    let power = 10f64.powf(raw.log10().floor());
    // The margin keeps an exact fit, such as 1.0 in 5 pieces, from rounding up to the next step.
    let fits = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|m| m * power >= raw * (1.0 - 1e-9));
    fits.unwrap_or(10.0) * power
}

/// The multiples of `step` from `low` to `high`, both included up to rounding.
pub(super) fn ticks(low: f64, high: f64, step: f64) -> Vec<f64> {
    let (first, last) = ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor());
    // A dozen is never passed by a step from `nice_step`; the bound guards against any other.
    (0..50)
        .map(|i| first + f64::from(i))
        .take_while(|k| *k <= last)
        .map(|k| k * step)
        .collect()
}

/// A plot's inner rectangle with a scale on either side.
pub(super) struct Frame {
    pub x: Scale,
    pub y: Scale,
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
}

impl Frame {
    /// Width of every framed plot, in user units.
    pub const WIDTH: f64 = 560.0;
    /// Height of every framed plot, in user units.
    pub const HEIGHT: f64 = 360.0;

    /// A frame whose scales cover the given points.
    pub fn new(points: impl Iterator<Item = (f64, f64)> + Clone, x: Fit, y: Fit) -> Self {
        let (right, top, bottom) = (Self::WIDTH - 16.0, 14.0, Self::HEIGHT - 46.0);
        let y = Scale::new(points.clone().map(|p| p.1), y, bottom, top);
        let longest = y
            .ticks
            .iter()
            .map(|(_, text)| text.chars().count())
            .max()
            .unwrap_or(0);
        let left = (longest as f64 * 6.8 + 34.0).clamp(56.0, 160.0);
        let x = Scale::new(points.map(|p| p.0), x, left, right);
        Self {
            x,
            y,
            left,
            right,
            top,
            bottom,
        }
    }

    /// Position of a point, where both of its numbers can be drawn.
    pub fn at(&self, (x, y): (f64, f64)) -> Option<(f64, f64)> {
        Some((self.x.at(x)?, self.y.at(y)?))
    }

    /// Draws grid, tick labels and axis titles.
    pub fn draw(&self, svg: &mut Svg, x_title: &str, y_title: &str) {
        for (y, text) in self.y.marks() {
            svg.line("grid", (self.left, y), (self.right, y));
            svg.text("tick", (self.left - 8.0, y + 4.0), "end", text);
        }
        for (x, text) in self.x.marks() {
            svg.line("axis", (x, self.bottom), (x, self.bottom + 4.0));
            svg.text("tick", (x, self.bottom + 18.0), "middle", text);
        }
        svg.line("axis", (self.left, self.bottom), (self.right, self.bottom));
        svg.text(
            "name",
            ((self.left + self.right) / 2.0, Self::HEIGHT - 6.0),
            "middle",
            x_title,
        );
        let note = if self.y.is_log() {
            format!("{y_title} (logarithmic)")
        } else {
            y_title.to_owned()
        };
        let middle = (self.top + self.bottom) / 2.0;
        svg.add(
            label("name", (0.0, 0.0), "middle", &note)
                .set("transform", &format!("translate(14 {middle}) rotate(-90)")),
        );
    }
}

//! The plots themselves: data in, one `<svg>` element out, or `None` where there is nothing to draw.

mod bars;
mod heat;
mod lines;
mod points;

pub(super) use bars::{Bar, histogram, horizontal, scree};
pub(super) use heat::{MAX_CLASSES, heat_map, share};
pub(super) use lines::{COLOURS, Line, LinePlot};
pub(super) use points::{Guide, scatter};

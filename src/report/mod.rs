//! The report of a run: one HTML page with plots, and the metrics as JSON.
//!
//! [`Report`] is plain data, filled in by whoever trained and evaluated; this module knows nothing else of the toolkit.
//! The page holds all it needs: styles and drawings are inline, there is no script, and nothing is loaded from elsewhere,
//! so it can be mailed, archived or opened years later. It follows the reader's light or dark colour scheme, its palette
//! can be told apart with any kind of colour vision, and every plot has its numbers as a table below.
//!
//! The same report gives the same bytes: the page holds no time of its own and no random identifiers.
//!
//! ```
//! use emberline::report::{NamedValue, Report};
//!
//! let report = Report {
//!     title: "pendigits".to_owned(),
//!     task: "multiclass classification of digit".to_owned(),
//!     metrics: vec![NamedValue::new("accuracy", 0.9891)],
//!     ..Report::default()
//! };
//! assert!(report.to_html().contains("0.9891"));
//! ```

mod axes;
mod cards;
#[cfg(test)]
mod fixture;
mod html;
mod model;
#[cfg(test)]
mod number_tests;
mod of_run;
mod plot;
mod plots;
mod svg;
mod tables;
#[cfg(test)]
mod tests;
mod text;
mod write;

use std::path::Path;

pub use model::{
    ClassScores, ClusterSize, Confusion, Curve, FactGroup, Histogram, InvalidAmong, LossHistory,
    NamedValue, Report, Residuals, StageTiming,
};
pub use plot::Plot;
pub use write::ReportError;

impl Report {
    /// The report as one HTML page that needs nothing else: no script, no file, no network.
    ///
    /// Cost: linear in the size of the report. Long series are thinned for drawing, and their tables sampled.
    pub fn to_html(&self) -> String {
        html::page(self)
    }

    /// The text of `metrics.json`: `title`, `task`, a flat `metrics` object, `per_class`, `confusion` and `invalid` where
    /// there are any.
    ///
    /// NaN and infinite numbers become `null`. Of two metrics with one name, the first counts.
    /// # Errors
    /// [`ReportError::Json`] should the numbers not fit into JSON.
    pub fn to_metrics_json(&self) -> Result<String, ReportError> {
        write::metrics_json(self)
    }

    /// Writes `report.html` and `metrics.json` into `folder`, which is made if need be.
    ///
    /// Each file is written beside its place and renamed, so that a reader never meets half a file.
    /// # Errors
    /// [`ReportError::Folder`] and [`ReportError::File`] name what could not be written and why.
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<(), ReportError> {
        write::write(self, folder.as_ref())
    }
}

//! Single plots, for notebooks and for pages of one's own.

use super::cards;
use super::model::Report;

/// One plot as an SVG image that needs no style sheet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plot {
    /// Heading.
    pub title: String,
    /// The image.
    pub svg: String,
}

impl Plot {
    /// Shows the plot below a notebook cell (the evcxr kernel calls this for a cell's last value).
    pub fn evcxr_display(&self) {
        println!(
            "EVCXR_BEGIN_CONTENT image/svg+xml\n{}\nEVCXR_END_CONTENT",
            self.svg
        );
    }
}

impl Report {
    /// The plots of the report, in reading order, each an image of its own.
    #[must_use]
    pub fn plots(&self) -> Vec<Plot> {
        let style = format!("<style>{}</style>", include_str!("style.css"));
        let with_style = |svg: &str| {
            // Name space and style go into the image itself, so that it can stand alone. Labels are escaped: the first `>` ends
            // the opening tag.
            let svg = svg.replacen("<svg ", "<svg xmlns=\"http://www.w3.org/2000/svg\" ", 1);
            match svg.find('>') {
                Some(end) => format!("{}{style}{}", &svg[..=end], &svg[end + 1..]),
                None => svg,
            }
        };
        let plot = |card: cards::Card| {
            Some(Plot {
                title: card.title.to_owned(),
                svg: with_style(&card.plot?),
            })
        };
        cards::plots(self).into_iter().filter_map(plot).collect()
    }

    /// Shows every plot below a notebook cell.
    pub fn evcxr_display(&self) {
        self.plots().iter().for_each(Plot::evcxr_display);
    }
}

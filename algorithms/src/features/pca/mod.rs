//! `pca`: the directions along which rows vary most.

mod fit;
mod model;
mod moments;
mod params;
#[cfg(test)]
mod tests;

use emberline_pipeline::{Entry, Traits};

pub use fit::Pca;
pub use model::PcaModel;
pub use params::PcaParams;

/// The registry entry.
pub const ENTRY: Entry = Entry::estimator::<Pca>().with(Traits {
    accepts_sparse: true,
    ..Traits::new("")
});

//! `vector_assembler`: columns side by side become one vector column.

mod model;
mod params;
#[cfg(test)]
mod tests;

use emberline_pipeline::{Entry, Traits};

pub use model::VectorAssembler;
pub use params::VectorAssemblerParams;

pub use crate::adapters::HandleInvalid;

/// The registry entry.
pub const ENTRY: Entry = Entry::transformer::<VectorAssembler>().with(Traits {
    accepts_sparse: true,
    ..Traits::new("inputs = [\"x0\", \"whole\", \"flag\", \"features\"]\noutput = \"assembled\"")
});

//! `vector_assembler`: columns side by side become one vector column.

mod model;
mod params;
#[cfg(test)]
mod tests;

use emberline_pipeline::Entry;

pub use model::VectorAssembler;
pub use params::VectorAssemblerParams;

pub use crate::adapters::HandleInvalid;

/// The registry entry.
pub const ENTRY: Entry = Entry::transformer::<VectorAssembler>();

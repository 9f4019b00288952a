//! What each fuzz target does with its bytes: a panic is a finding, whatever the bytes. Each tells whether it got past the first
//! checks, so that a drive whose inputs are all refused at the door is seen.
//!
//! `fuzz_targets/` hands these to libFuzzer, `tests/reliability/fuzz.rs` to mutations on the stable toolchain: one body for both.

mod checkpoint;
mod config;
mod csv;
mod models;
mod schemas;
mod sparse;

pub use checkpoint::{checkpoint_load, whole_checkpoint};
pub use config::config_toml;
pub use csv::csv_reader;
pub use models::{model_load_fixed_checksum, model_load_raw};
pub use schemas::schema_propagation;
pub use sparse::sparse_vector_ops;

/// Choices drawn from the bytes of an input; zeros once they are spent.
struct Choices<'a>(std::slice::Iter<'a, u8>);

impl<'a> Choices<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self(bytes.iter())
    }

    fn byte(&mut self) -> u8 {
        self.0.next().copied().unwrap_or_default()
    }

    /// A number below `n`.
    fn below(&mut self, n: usize) -> usize {
        usize::from(self.byte()) % n
    }

    fn pick<'t, T>(&mut self, items: &'t [T]) -> &'t T {
        &items[self.below(items.len())]
    }
}

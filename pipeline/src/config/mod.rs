//! The TOML config: read, checked as a whole, and turned into a dataset, a pipeline and a run.

mod error;

pub use error::{ConfigError, ConfigErrors};

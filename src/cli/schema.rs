//! `emberline schema`.

use emberline::prelude::*;

use super::output::Out;

pub fn run(registry: &Registry) -> Result<()> {
    Out::lock().json(&emberline::config::schema(registry));
    Ok(())
}

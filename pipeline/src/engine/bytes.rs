//! Values as bytes, exact for every float: what a checkpoint keeps and what travels between processes.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// The value as bytes.
///
/// # Errors
/// It has a shape that cannot be written.
pub fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    postcard::to_allocvec(value)
        .map_err(|e| Error::Engine(format!("a value cannot be written as bytes: {e}")))
}

/// The value that [`to_bytes`] wrote; `name` tells of what.
///
/// # Errors
/// The bytes are no such value.
pub fn from_bytes<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T> {
    postcard::from_bytes(bytes)
        .map_err(|e| Error::Engine(format!("the bytes of `{name}` cannot be read ({e})")))
}

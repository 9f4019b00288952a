//! `model_load_raw` and `model_load_fixed_checksum`: a model file is read or refused, and what is read replays its probe rows.

use std::sync::LazyLock;

use emberline::prelude::*;
use sha2::{Digest, Sha256};

static REGISTRY: LazyLock<Registry> = LazyLock::new(emberline::registry);

/// Reads a model file as it is.
pub fn model_load_raw(bytes: &[u8]) -> bool {
    let Ok(file) = ModelFile::from_bytes(bytes, "m.ember", &REGISTRY) else {
        return false;
    };
    let _ = file.verify();
    let again = file
        .to_bytes()
        .unwrap_or_else(|e| panic!("it was read and cannot be written: {e}"));
    assert!(ModelFile::from_bytes(&again, "m.ember", &REGISTRY).is_ok());
    true
}

/// Reads a model file under a right checksum: the last 64 bytes are made the digest of the others, as an attacker would.
pub fn model_load_fixed_checksum(bytes: &[u8]) -> bool {
    let mut bytes = bytes.to_vec();
    if let Some(end) = bytes.len().checked_sub(64) {
        let digest = Sha256::digest(&bytes[..end]);
        for (i, byte) in digest.iter().enumerate() {
            bytes[end + 2 * i..end + 2 * i + 2].copy_from_slice(format!("{byte:02x}").as_bytes());
        }
    }
    model_load_raw(&bytes)
}

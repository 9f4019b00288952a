//! A folder for the files of one check.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A fresh folder that only this process uses, removed with all in it when dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes it, among the system's temporary files.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> std::io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("emberline-conformance-{}-{n}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

//! A temporary file for data beyond the memory limit.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::sync::{Mutex, PoisonError};

use crate::{DataError, Result};

/// Where a piece lies in a [`SpillFile`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    offset: u64,
    len: usize,
}

impl Extent {
    /// Bytes of the piece.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.len as u64
    }
}

/// An append-only file of this process alone: it has no name, so nothing is left behind however the process ends.
///
/// It lies in the system's folder for temporary files (`TMPDIR`); point that at a disk where it is kept in memory.
#[derive(Debug)]
pub struct SpillFile {
    file: File,
    end: Mutex<u64>,
}

impl SpillFile {
    /// An empty file.
    ///
    /// # Errors
    /// The folder for temporary files cannot be written.
    pub fn new() -> Result<Self> {
        let file = tempfile::tempfile().map_err(at_temp)?;
        Ok(Self {
            file,
            end: Mutex::new(0),
        })
    }

    /// Appends a piece.
    ///
    /// # Errors
    /// The disk is full or fails.
    pub fn append(&self, piece: &[u8]) -> Result<Extent> {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = &self.file;
        file.seek(SeekFrom::Start(*end)).map_err(at_temp)?;
        file.write_all(piece).map_err(at_temp)?;
        let extent = Extent {
            offset: *end,
            len: piece.len(),
        };
        *end += extent.bytes();
        Ok(extent)
    }

    /// Reads a piece back; many threads may read at once.
    ///
    /// # Errors
    /// The disk fails.
    pub fn read(&self, extent: Extent) -> Result<Vec<u8>> {
        let mut piece = vec![0; extent.len];
        self.read_at(&mut piece, extent.offset).map_err(at_temp)?;
        Ok(piece)
    }

    #[cfg(unix)]
    fn read_at(&self, piece: &mut [u8], offset: u64) -> std::io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, piece, offset)
    }

    #[cfg(not(unix))]
    fn read_at(&self, piece: &mut [u8], offset: u64) -> std::io::Result<()> {
        // The position of the file is shared, so readers and writers take turns.
        let _turn = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = &self.file;
        file.seek(SeekFrom::Start(offset))?;
        std::io::Read::read_exact(&mut file, piece)
    }
}

fn at_temp(error: std::io::Error) -> DataError {
    DataError::io(std::env::temp_dir(), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_back_in_any_order() {
        let file = SpillFile::new().unwrap();
        let pieces = [b"one".as_slice(), b"", b"three"];
        let extents: Vec<Extent> = pieces.iter().map(|p| file.append(p).unwrap()).collect();
        for (extent, piece) in extents.iter().zip(pieces).rev() {
            assert_eq!(file.read(*extent).unwrap(), piece);
        }
    }
}

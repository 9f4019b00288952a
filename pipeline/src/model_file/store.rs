//! Model files on disk: written whole or not at all, read once.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;

use emberline_datasets::files::{self, Disk, Found, RealDisk, Step, WholeFile, folder_of};
use serde::Serialize;

use super::{ModelFile, container};
use crate::Result;
use crate::persist::ModelError;
use crate::registry::Registry;

/// What was written or read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Saved {
    /// SHA-256 of the whole file, hexadecimal, as `sha256sum` prints it.
    pub sha256: String,
    /// Length of the file.
    pub bytes: u64,
}

impl Saved {
    fn of(bytes: &[u8]) -> Self {
        Self {
            sha256: container::sha256(bytes),
            bytes: bytes.len() as u64,
        }
    }
}

impl ModelFile {
    /// Writes the file: to a temporary one in the same folder, synced, then moved to `path`. A crash leaves the old file or
    /// the new one, never a part. Folders on the way are made.
    ///
    /// # Errors
    /// `path` exists and `overwrite` is not set (also when another process was faster), or writing fails.
    pub fn save(&self, path: impl AsRef<Path>, overwrite: bool) -> Result<Saved> {
        self.save_on(Arc::new(RealDisk), path.as_ref(), overwrite)
    }

    /// As [`ModelFile::save`], through another disk.
    ///
    /// # Errors
    /// As [`ModelFile::save`].
    pub fn save_on(&self, disk: Arc<dyn Disk>, path: &Path, overwrite: bool) -> Result<Saved> {
        Self::check_target(path, overwrite)?;
        let bytes = self.to_bytes()?;
        write(disk, path, &bytes, overwrite)?;
        Ok(Saved::of(&bytes))
    }

    /// Whether [`ModelFile::save`] may write to `path`; to be asked before training.
    ///
    /// # Errors
    /// `path` is a folder, or exists while `overwrite` is not set; it lies in an object store that cannot be asked.
    pub fn check_target(path: impl AsRef<Path>, overwrite: bool) -> Result<()> {
        let path = path.as_ref();
        let file = path.display().to_string();
        match files::look(path) {
            Ok(Found::Folder) => {
                let source =
                    std::io::Error::new(ErrorKind::IsADirectory, "it is a folder; name a file");
                Err(io(path)(source).into())
            }
            Ok(Found::File(_) | Found::Other) if !overwrite => {
                Err(ModelError::Exists { file }.into())
            }
            Ok(_) => Ok(()),
            // A folder on the way may be missing or a file; saving says so.
            Err(_) if !files::is_object(path) => Ok(()),
            Err(source) => Err(io(path)(source).into()),
        }
    }

    /// Reads a file. `registry` knows how its stages are read.
    ///
    /// # Errors
    /// It cannot be read, is no model, is damaged or hostile, or was written by a newer program; each says what to do.
    pub fn load(path: impl AsRef<Path>, registry: &Registry) -> Result<Self> {
        Ok(Self::load_with_digest(path, registry)?.0)
    }

    /// Reads a file, and says its length and digest.
    ///
    /// # Errors
    /// As [`ModelFile::load`].
    pub fn load_with_digest(path: impl AsRef<Path>, registry: &Registry) -> Result<(Self, Saved)> {
        let path = path.as_ref();
        let bytes = read(path)?;
        let model = Self::from_bytes(&bytes, &path.display().to_string(), registry)?;
        Ok((model, Saved::of(&bytes)))
    }
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> ModelError + '_ {
    move |source| ModelError::Io {
        path: path.to_owned(),
        source,
    }
}

fn write(
    disk: Arc<dyn Disk>,
    path: &Path,
    bytes: &[u8],
    overwrite: bool,
) -> std::result::Result<(), ModelError> {
    let folder = folder_of(path);
    disk.before(Step::Folder, folder)
        .and_then(|()| files::make_folder(folder))
        .map_err(io(folder))?;
    let written = WholeFile::create(disk, path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.finish(overwrite)
    });
    written.map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => ModelError::Exists {
            file: path.display().to_string(),
        },
        _ => io(path)(e),
    })
}

fn read(path: &Path) -> std::result::Result<Vec<u8>, ModelError> {
    let damaged = |message: String| ModelError::Damaged {
        file: path.display().to_string(),
        message,
    };
    // Asked before opening: opening a pipe would wait for a writer.
    let no_file = |what: &str| {
        damaged(format!(
            "it is {what}; name a file that `emberline train` wrote"
        ))
    };
    let length = match files::look(path).map_err(io(path))? {
        Found::File(length) => length,
        Found::Folder => return Err(no_file("a folder")),
        Found::Other => return Err(no_file("no regular file")),
        Found::Nothing => 0, // reading says why
    };
    let too_long = || {
        damaged(format!(
            "it is longer than {} bytes, the most a model file has",
            container::MAX_FILE
        ))
    };
    if length > container::MAX_FILE {
        return Err(too_long());
    }
    let bytes = files::read(path, container::MAX_FILE + 1).map_err(io(path))?;
    if bytes.len() as u64 > container::MAX_FILE {
        return Err(too_long());
    }
    Ok(bytes)
}

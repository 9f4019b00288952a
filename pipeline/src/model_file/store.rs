//! Model files on disk: written whole or not at all, read once.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

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
        let path = path.as_ref();
        Self::check_target(path, overwrite)?;
        let bytes = self.to_bytes()?;
        write(path, &bytes, overwrite)?;
        Ok(Saved::of(&bytes))
    }

    /// Whether [`ModelFile::save`] may write to `path`; to be asked before training.
    ///
    /// # Errors
    /// `path` is a folder, or exists while `overwrite` is not set.
    pub fn check_target(path: impl AsRef<Path>, overwrite: bool) -> Result<()> {
        let path = path.as_ref();
        let file = path.display().to_string();
        if path.is_dir() {
            let source =
                std::io::Error::new(ErrorKind::IsADirectory, "it is a folder; name a file");
            return Err(ModelError::Io {
                path: path.to_owned(),
                source,
            }
            .into());
        }
        if !overwrite && path.symlink_metadata().is_ok() {
            return Err(ModelError::Exists { file }.into());
        }
        Ok(())
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

fn write(path: &Path, bytes: &[u8], overwrite: bool) -> std::result::Result<(), ModelError> {
    let folder = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).map_err(io(folder))?;
    let mut temporary = temporary(folder).map_err(io(folder))?;
    temporary.write_all(bytes).map_err(io(temporary.path()))?;
    temporary
        .as_file()
        .sync_all()
        .map_err(io(temporary.path()))?;
    // Without `overwrite` the move itself refuses an existing target: of two writers one wins.
    let moved = if overwrite {
        temporary.persist(path)
    } else {
        temporary.persist_noclobber(path)
    };
    moved.map_err(|e| match e.error.kind() {
        ErrorKind::AlreadyExists => ModelError::Exists {
            file: path.display().to_string(),
        },
        _ => io(path)(e.error),
    })?;
    sync_folder(folder).map_err(io(folder))
}

#[cfg(unix)]
fn temporary(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    use std::os::unix::fs::PermissionsExt;
    // A temporary file is private by default; a model gets what the process gives any new file.
    let usual = std::fs::Permissions::from_mode(0o666);
    tempfile::Builder::new()
        .prefix(".ember-")
        .permissions(usual)
        .tempfile_in(folder)
}

#[cfg(not(unix))]
fn temporary(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    tempfile::Builder::new()
        .prefix(".ember-")
        .tempfile_in(folder)
}

/// Makes the new name durable. Only Unix can open a folder for that.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()
    } else {
        Ok(())
    }
}

fn read(path: &Path) -> std::result::Result<Vec<u8>, ModelError> {
    let damaged = |message: String| ModelError::Damaged {
        file: path.display().to_string(),
        message,
    };
    // Asked before opening: opening a pipe would wait for a writer.
    let about = std::fs::metadata(path).map_err(io(path))?;
    if !about.is_file() {
        let what = if about.is_dir() {
            "a folder"
        } else {
            "no regular file"
        };
        return Err(damaged(format!(
            "it is {what}; name a file that `emberline train` wrote"
        )));
    }
    let too_long = || {
        damaged(format!(
            "it is longer than {} bytes, the most a model file has",
            container::MAX_FILE
        ))
    };
    if about.len() > container::MAX_FILE {
        return Err(too_long());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(about.len()).unwrap_or_default());
    let file = File::open(path).map_err(io(path))?;
    // The file may grow while it is read.
    file.take(container::MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(io(path))?;
    if bytes.len() as u64 > container::MAX_FILE {
        return Err(too_long());
    }
    Ok(bytes)
}

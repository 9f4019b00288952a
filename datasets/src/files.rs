//! Files that appear whole or not at all, and the one place where results meet the disk.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::NamedTempFile;

/// An operation on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Folders on the way to a file are made.
    Folder,
    /// A file is opened or made.
    Open,
    /// Bytes are written.
    Write,
    /// The end of a file is moved.
    Cut,
    /// Content is made durable.
    Sync,
    /// A finished file takes its place.
    Rename,
    /// A new name is made durable.
    SyncFolder,
    /// A file is removed.
    Remove,
}

/// What models, tables and checkpoints are written through. The defaults let everything pass; a test's own disk makes the first,
/// the second, ... operation fail and looks at what is left.
pub trait Disk: std::fmt::Debug + Send + Sync {
    /// Asked before each operation; an error takes its place.
    ///
    /// # Errors
    /// What the operation is to fail with.
    fn before(&self, step: Step, path: &Path) -> io::Result<()> {
        let _ = (step, path);
        Ok(())
    }

    /// How many of `bytes` bytes go out in one write.
    fn at_once(&self, bytes: usize) -> usize {
        bytes
    }
}

/// The disk of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {}

/// Writes a piece of `bytes` to a file at `path`.
///
/// # Errors
/// Writing fails.
pub fn write_some(
    disk: &dyn Disk,
    file: &mut File,
    path: &Path,
    bytes: &[u8],
) -> io::Result<usize> {
    disk.before(Step::Write, path)?;
    file.write(&bytes[..bytes.len().min(disk.at_once(bytes.len()))])
}

/// A file that is written beside its place and takes it at the end: a crash leaves the old file or the new one, never a part.
#[derive(Debug)]
pub struct WholeFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: NamedTempFile,
}

impl WholeFile {
    /// Starts the file that is to lie at `path`, in a folder that exists.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn create(disk: Arc<dyn Disk>, path: &Path) -> io::Result<Self> {
        disk.before(Step::Open, path)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".emberline-").suffix(".part");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // Temporary files are private by default; a result is as readable as any new file (the umask still applies).
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        Ok(Self {
            file: builder.tempfile_in(folder_of(path))?,
            path: path.to_owned(),
            disk,
        })
    }

    /// Makes the content durable and puts the file in its place. Without `replace` the move itself refuses a file that is there:
    /// of two writers one wins.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] for such a file; syncing or moving fails: the place is then as it was before, unless only
    /// the new name could not be made durable.
    pub fn finish(self, replace: bool) -> io::Result<()> {
        self.disk.before(Step::Sync, &self.path)?;
        self.file.as_file().sync_all()?;
        self.disk.before(Step::Rename, &self.path)?;
        let moved = if replace {
            self.file.persist(&self.path)
        } else {
            self.file.persist_noclobber(&self.path)
        };
        moved.map_err(|e| e.error)?;
        self.disk.before(Step::SyncFolder, &self.path)?;
        sync_folder(folder_of(&self.path))
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write_some(&*self.disk, self.file.as_file_mut(), &self.path, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Puts `bytes` at `path`, whole, in place of what was there.
///
/// # Errors
/// The folder cannot be written to; what was there is whole.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = WholeFile::create(Arc::new(RealDisk), path)?;
    file.write_all(bytes)?;
    file.finish(true)
}

/// The folder a file lies in.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    }
}

/// Makes a new name durable. Only Unix can open a folder for that.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()
    } else {
        Ok(())
    }
}

//! Files that appear whole or not at all, and the one place where results meet the disk, or an object store.
//!
//! A path may be the address of an object, `s3://bucket/key`. A result that goes there is written to a temporary file of this machine
//! and put in its place at the end, by a request that the store carries out whole or not at all. What is written while a run goes on
//! and must outlive a kill cannot lie there: [`beside`] says where such files go.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::NamedTempFile;

use crate::objects::{self, Address};

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
    /// Where the file is put, where that is no disk.
    address: Option<Address>,
}

impl WholeFile {
    /// Starts the file that is to lie at `path`, in a folder that exists. An object store is asked whether it is there: a wrong name
    /// shows now, and not when all is done.
    ///
    /// # Errors
    /// The folder cannot be written to; the bucket is not there or cannot be asked.
    pub fn create(disk: Arc<dyn Disk>, path: &Path) -> io::Result<Self> {
        disk.before(Step::Open, path)?;
        if is_object(path) {
            let address = Address::of_object(path)?;
            objects::find(&address)?;
            return Ok(Self {
                file: NamedTempFile::new()?,
                path: path.to_owned(),
                address: Some(address),
                disk,
            });
        }
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
            address: None,
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
        if let Some(address) = &self.address {
            return objects::put(address, self.file.reopen()?, replace);
        }
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

/// Whether `path` is the address of an object or of a folder of objects, `s3://...`.
#[must_use]
pub fn is_object(path: &Path) -> bool {
    objects::is_address(path)
}

/// What lies at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A file, or an object, of so many bytes.
    File(u64),
    /// A folder.
    Folder,
    /// A pipe, a device, a link that leads nowhere.
    Other,
}

/// What lies at a path. Folders of an object store are not seen: they are no more than parts of names.
///
/// # Errors
/// It cannot be asked.
pub fn look(path: &Path) -> io::Result<Found> {
    if is_object(path) {
        let found = objects::find(&Address::of_object(path)?)?;
        return Ok(found.map_or(Found::Nothing, |object| Found::File(object.len())));
    }
    match std::fs::metadata(path) {
        Ok(about) if about.is_file() => Ok(Found::File(about.len())),
        Ok(about) if about.is_dir() => Ok(Found::Folder),
        Ok(_) => Ok(Found::Other),
        Err(_) if path.symlink_metadata().is_ok() => Ok(Found::Other),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(e) => Err(e),
    }
}

/// Reads what lies at a path, `most` bytes of it at most.
///
/// # Errors
/// It is not there or cannot be read.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if is_object(path) {
        let Some(object) = objects::find(&Address::of_object(path)?)? else {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "there is no such object",
            ));
        };
        let mut reader = object.reader(0..object.len()).take(most);
        reader.read_to_end(&mut bytes)?;
    } else {
        // It may grow while it is read.
        File::open(path)?.take(most).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// Whether this is an address that results can have, by its spelling and by what this build can do; no store is asked.
///
/// # Errors
/// The bucket or the key is none, or this build has no object stores.
pub fn addressable(path: &Path, folder: bool) -> io::Result<()> {
    if folder {
        Address::of(path)?;
    } else {
        Address::of_object(path)?;
    }
    objects::available()
}

/// Makes a folder and those on the way to it; in an object store there is nothing to make.
///
/// # Errors
/// A folder cannot be made; no such bucket can be named, or this build knows no object stores.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    if is_object(folder) {
        return addressable(folder, true);
    }
    std::fs::create_dir_all(folder)
}

/// Removes a file; one that is not there is no error.
///
/// # Errors
/// It cannot be removed.
pub fn remove(path: &Path) -> io::Result<()> {
    if is_object(path) {
        return objects::remove(&Address::of_object(path)?);
    }
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// The names of what lies in a folder.
///
/// # Errors
/// It cannot be read.
pub fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    if is_object(folder) {
        let listing = objects::folder(&Address::of(folder)?)?;
        let keys = listing.objects.iter().map(|o| o.key().to_owned());
        let last = |key: String| key.rsplit('/').next().unwrap_or_default().to_owned();
        return Ok(keys.chain(listing.folders).map(last).collect());
    }
    std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

/// The name of a path for every process: paths from the root on; addresses are that already.
///
/// # Errors
/// The working folder is gone.
pub fn absolute(path: &Path) -> io::Result<PathBuf> {
    if is_object(path) {
        return Ok(path.to_owned());
    }
    std::path::absolute(path)
}

/// The name of a side file: beside `path`, its name with `suffix`. One of an object lies in the working folder, since it is written
/// piece by piece, and read again after a kill: `s3://b/x/m.ember` gives `b_x_m.ember` and the suffix.
#[must_use]
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    if let Some(Ok(address)) = path.to_str().and_then(Address::parse) {
        name = format!("{}/{}", address.bucket, address.key)
            .replace(['/', '*', '?', '[', ']'], "_")
            .into();
    }
    name.push(suffix);
    name.into()
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

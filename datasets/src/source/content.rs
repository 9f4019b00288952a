//! Bytes of a source file: checked against change, decompressed where needed, read by range.
// Without object stores no object can exist, and the compiler sees that what follows from one cannot happen.
#![cfg_attr(not(feature = "s3"), allow(unreachable_code))]

use std::borrow::Cow;
use std::cell::Cell;
use std::fs::File;
use std::io::{BufReader, Cursor, ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use flate2::read::MultiGzDecoder;
use tempfile::NamedTempFile;

use crate::objects::Object;
use crate::{DataError, Result};

/// Decompressed data up to this size stay in memory; larger ones go to a temporary file.
const IN_MEMORY: usize = 64 << 20;

/// Buffer of sequential reads.
pub(crate) const READ_BUFFER: usize = 1 << 20;

/// A buffer longer than this is not kept for the next piece.
const KEPT_BUFFER: usize = 16 << 20;

/// What tells that a file is still the one that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub len: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    pub fn of(path: &Path) -> Result<Self> {
        let meta = std::fs::metadata(path).map_err(|e| DataError::io(path, e))?;
        Ok(Self::from_meta(&meta))
    }

    fn from_meta(meta: &std::fs::Metadata) -> Self {
        Self {
            len: meta.len(),
            modified: meta.modified().ok(),
        }
    }
}

/// Opens a file and refuses it where it is not the one of `stamp`.
pub(crate) fn open_unchanged(path: &Path, stamp: &Stamp) -> Result<File> {
    let file = File::open(path).map_err(|e| DataError::io(path, e))?;
    let meta = file.metadata().map_err(|e| DataError::io(path, e))?;
    let now = Stamp::from_meta(&meta);
    if now == *stamp {
        return Ok(file);
    }
    Err(DataError::Source {
        origin: path.display().to_string(),
        message: format!(
            "the file changed while it was in use ({} bytes when it was opened, {} now); run again when nothing writes to it",
            stamp.len, now.len
        ),
    })
}

/// Where a file's bytes lie.
#[derive(Debug, Clone)]
enum Place {
    Path(PathBuf, Stamp),
    Static(&'static [u8]),
    Spooled(Arc<NamedTempFile>, Stamp),
    Object(Object),
}

/// Bytes that can be read at any place, as they are stored.
#[derive(Debug, Clone)]
pub(crate) enum Stored {
    File(PathBuf, Stamp),
    Object(Object),
}

/// One input file as it lies on disk, in an object store, in the binary, or spooled from standard input.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    /// Name for messages.
    pub name: String,
    place: Place,
    gzip: bool,
}

impl Input {
    pub fn path(path: &Path) -> Result<Self> {
        Ok(Self {
            name: path.display().to_string(),
            place: Place::Path(path.to_owned(), Stamp::of(path)?),
            gzip: is_gzip_name(path),
        })
    }

    pub fn object(object: Object) -> Self {
        Self {
            name: object.url().to_owned(),
            gzip: is_gzip_name(Path::new(object.key())),
            place: Place::Object(object),
        }
    }

    pub fn bundled(name: &str, file: &str, bytes: &'static [u8]) -> Self {
        Self {
            name: name.to_owned(),
            place: Place::Static(bytes),
            gzip: is_gzip_name(Path::new(file)),
        }
    }

    /// Copies a stream (standard input) to a temporary file; gzip is told by its first two bytes.
    pub fn spool(name: &str, mut from: impl Read) -> Result<Self> {
        let fail = |e| DataError::io(name, e);
        let mut file = NamedTempFile::new().map_err(fail)?;
        std::io::copy(&mut from, &mut file).map_err(fail)?;
        file.flush().map_err(fail)?;
        let mut magic = [0; 2];
        let mut back = file.reopen().map_err(fail)?;
        let gzip = back.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
        let stamp = Stamp::of(file.path())?;
        Ok(Self {
            name: name.to_owned(),
            place: Place::Spooled(Arc::new(file), stamp),
            gzip,
        })
    }

    /// What is not compressed, for formats that read it at many places.
    pub fn stored(&self) -> Option<Stored> {
        match &self.place {
            _ if self.gzip => None,
            Place::Path(path, stamp) => Some(Stored::File(path.clone(), stamp.clone())),
            Place::Spooled(file, stamp) => {
                Some(Stored::File(file.path().to_owned(), stamp.clone()))
            }
            Place::Object(object) => Some(Stored::Object(object.clone())),
            Place::Static(_) => None,
        }
    }

    /// Whether every read asks an object store.
    pub fn is_remote(&self) -> bool {
        matches!(self.place, Place::Object(_)) && !self.gzip
    }

    /// Bytes after decompression, about. A gzip file says it in its last four bytes (modulo 2^32, of its last member).
    pub fn size_hint(&self) -> Option<u64> {
        let stored = match &self.place {
            Place::Path(_, stamp) | Place::Spooled(_, stamp) => stamp.len,
            Place::Static(bytes) => bytes.len() as u64,
            Place::Object(object) => object.len(),
        };
        if !self.gzip {
            return Some(stored);
        }
        let mut tail = [0; 4];
        match &self.place {
            Place::Static(bytes) => tail = *bytes.last_chunk::<4>()?,
            Place::Path(path, _) => last_bytes(path, &mut tail)?,
            Place::Spooled(file, _) => last_bytes(file.path(), &mut tail)?,
            Place::Object(object) => {
                let start = object.len().checked_sub(4)?;
                tail = *object.range(start..object.len()).ok()?.first_chunk()?;
            }
        }
        Some(u64::from(u32::from_le_bytes(tail)).max(stored))
    }

    fn raw(&self) -> Result<Box<dyn Read + Send>> {
        Ok(match &self.place {
            Place::Path(path, stamp) => Box::new(open_unchanged(path, stamp)?),
            Place::Static(bytes) => Box::new(Cursor::new(*bytes)),
            Place::Spooled(file, stamp) => Box::new(open_unchanged(file.path(), stamp)?),
            Place::Object(object) => Box::new(object.reader(0..object.len())),
        })
    }

    /// The decompressed bytes from the start; nothing is read before it is asked for.
    pub fn stream(&self) -> Result<Box<dyn Read + Send>> {
        let raw = self.raw()?;
        Ok(if self.gzip {
            Box::new(MultiGzDecoder::new(BufReader::new(raw)))
        } else {
            raw
        })
    }

    /// The decompressed bytes for reading by range. A compressed file is decompressed here, once.
    pub fn content(&self) -> Result<Content> {
        Ok(match (&self.place, self.gzip) {
            (Place::Static(bytes), false) => Content::Memory(Cow::Borrowed(bytes)),
            (Place::Path(path, stamp), false) => Content::File(path.clone(), stamp.clone()),
            (Place::Spooled(file, stamp), false) => Content::Temp(file.clone(), stamp.clone()),
            (Place::Object(object), false) => Content::Object(object.clone()),
            (_, true) => self.decompress()?,
        })
    }

    fn decompress(&self) -> Result<Content> {
        let damaged = |e: std::io::Error| match e.kind() {
            // What the decoder says; all else is said by who holds the bytes.
            ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
                DataError::Source {
                    origin: self.name.clone(),
                    message: format!("the gzip data are damaged or cut short: {e}"),
                }
            }
            _ => DataError::io(&self.name, e),
        };
        let mut stream = self.stream()?;
        let mut head = Vec::new();
        (&mut stream)
            .take(IN_MEMORY as u64)
            .read_to_end(&mut head)
            .map_err(damaged)?;
        if head.len() < IN_MEMORY {
            return Ok(Content::Memory(Cow::Owned(head)));
        }
        let fail = |e| DataError::io("temporary file", e);
        let mut file = NamedTempFile::new().map_err(fail)?;
        file.write_all(&head).map_err(fail)?;
        std::io::copy(&mut stream, &mut file).map_err(damaged)?;
        file.flush().map_err(fail)?;
        let stamp = Stamp::of(file.path())?;
        Ok(Content::Temp(Arc::new(file), stamp))
    }
}

fn last_bytes(path: &Path, tail: &mut [u8; 4]) -> Option<()> {
    let mut file = File::open(path).ok()?;
    file.seek(SeekFrom::End(-4)).ok()?;
    file.read_exact(tail).ok()
}

fn is_gzip_name(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("gz"))
}

/// Decompressed bytes of a file, readable by range from many threads.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    File(PathBuf, Stamp),
    Memory(Cow<'static, [u8]>),
    Temp(Arc<NamedTempFile>, Stamp),
    Object(Object),
}

impl Content {
    fn file(&self) -> Option<(&Path, &Stamp)> {
        match self {
            Self::File(path, stamp) => Some((path, stamp)),
            Self::Temp(file, stamp) => Some((file.path(), stamp)),
            Self::Memory(_) | Self::Object(_) => None,
        }
    }

    /// Number of bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(_, stamp) | Self::Temp(_, stamp) => stamp.len,
            Self::Object(object) => object.len(),
        }
    }

    /// Whether every read asks an object store.
    pub fn is_remote(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// The bytes of a range that lies inside the file.
    pub fn range(&self, range: Range<u64>) -> Result<Cow<'_, [u8]>> {
        if let Self::Memory(bytes) = self {
            let ends = usize::try_from(range.start)
                .ok()
                .zip(usize::try_from(range.end).ok());
            let inside = ends.and_then(|(start, end)| bytes.get(start..end));
            return inside.map(Cow::Borrowed).ok_or_else(beyond);
        }
        self.with_range(range, |bytes| Ok(Cow::Owned(bytes.to_vec())))
    }

    /// What `f` makes of the bytes of a range that lies inside the file. A buffer of each thread is filled again and again: fresh
    /// memory for every piece of a large file would cost about as much as reading it.
    pub fn with_range<T>(
        &self,
        range: Range<u64>,
        f: impl FnOnce(&[u8]) -> Result<T>,
    ) -> Result<T> {
        thread_local! {
            static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
        }
        let start = usize::try_from(range.start).map_err(|_| beyond())?;
        let end = usize::try_from(range.end).map_err(|_| beyond())?;
        match self {
            Self::Memory(bytes) => f(bytes.get(start..end).ok_or_else(beyond)?),
            Self::Object(object) => {
                if range.end > object.len() || start > end {
                    return Err(beyond());
                }
                let bytes = object.range(range);
                f(&bytes.map_err(|e| DataError::io(object.url(), e))?)
            }
            Self::File(..) | Self::Temp(..) => {
                let (path, stamp) = self.file().ok_or_else(beyond)?;
                if range.end > stamp.len || start > end {
                    return Err(beyond());
                }
                let mut file = open_unchanged(path, stamp)?;
                let fail = |e| DataError::io(path, e);
                file.seek(SeekFrom::Start(range.start)).map_err(fail)?;
                // Taken out while it is in use: `f` may come here again.
                let mut bytes = BUFFER.take();
                if bytes.len() < end - start {
                    bytes.resize(end - start, 0);
                }
                let read = &mut bytes[..end - start];
                let outcome = file.read_exact(read).map_err(fail).and_then(|()| f(read));
                if bytes.len() <= KEPT_BUFFER {
                    BUFFER.set(bytes);
                }
                outcome
            }
        }
    }

    /// The bytes from `start` on, in order.
    pub fn reader(&self, start: u64) -> Result<Box<dyn Read + Send + '_>> {
        match self {
            Self::Memory(bytes) => {
                let start = usize::try_from(start)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                Ok(Box::new(&bytes[start..]))
            }
            Self::File(path, stamp) => seek_to(path, stamp, start),
            Self::Temp(file, stamp) => seek_to(file.path(), stamp, start),
            Self::Object(object) => Ok(Box::new(object.reader(start..object.len()))),
        }
    }
}

fn beyond() -> DataError {
    DataError::format("file content", "a byte range lies beyond the end")
}

fn seek_to(path: &Path, stamp: &Stamp, start: u64) -> Result<Box<dyn Read + Send + 'static>> {
    let mut file = open_unchanged(path, stamp)?;
    file.seek(SeekFrom::Start(start))
        .map_err(|e| DataError::io(path, e))?;
    Ok(Box::new(file))
}

//! The journal on disk: a header that says whose it is, then records, each with its length and checksum.
//!
//! Records are only ever appended, so a kill at any moment leaves a whole prefix and at most one torn record, which is cut off.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use emberline_datasets::DataError;
use emberline_datasets::files::{Disk, Step, folder_of, write_some};
use sha2::{Digest, Sha256};

use super::same_run::same_run;
use super::{Checkpoints, Identity, LARGEST};
use crate::{Error, Result};

const MAGIC: &[u8; 24] = b"emberline checkpoint 1\r\n";
/// Length, checksum, key and kind of a record.
const HEAD: usize = 8 + 8 + 16 + 1;
/// Bytes held back at most, whatever the interval.
const HELD: usize = 16 << 20;

/// What a record says.
pub(super) enum Entry {
    /// There were no rows.
    Nothing,
    /// The result.
    Result(Vec<u8>),
    /// A result too large to be kept.
    TooLarge,
}

impl Entry {
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        if bytes.len() > LARGEST {
            Self::TooLarge
        } else {
            Self::Result(bytes)
        }
    }

    fn parts(&self) -> (u8, &[u8]) {
        match self {
            Self::Nothing => (0, &[]),
            Self::Result(bytes) => (1, bytes),
            Self::TooLarge => (2, &[]),
        }
    }
}

/// An open journal.
pub(super) struct Log {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: File,
    /// Records still to be handed out: where each begins and how long it is.
    replay: VecDeque<(u64, u64)>,
    resumed: bool,
    replayed: u64,
    pending: Vec<u8>,
    interval: Duration,
    written: Instant,
}

impl Log {
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        checkpoints: &Checkpoints,
        identity: &Identity,
    ) -> Result<Self> {
        let path = checkpoints.path.clone();
        let io = |e| Error::from(DataError::io(&path, e));
        let folder = folder_of(&path);
        disk.before(Step::Folder, folder)
            .and_then(|()| std::fs::create_dir_all(folder))
            .map_err(|e| DataError::io(folder, e))?;
        disk.before(Step::Open, &path).map_err(io)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io)?;
        lock(&file, &path)?;
        let found = if checkpoints.resume {
            scan(&mut file, &path)?
        } else {
            None
        };
        let resumed = found.is_some();
        let header = header(identity)?;
        let (end, replay) = match found {
            Some(found) => {
                same_run(&found.identity, identity, &path)?;
                (found.end, found.records)
            }
            None => (0, VecDeque::new()),
        };
        // What a kill tore off goes; what comes next is appended there.
        let cut = |file: &mut File| {
            disk.before(Step::Cut, &path)?;
            file.set_len(end)?;
            file.seek(SeekFrom::Start(end)).map(drop)
        };
        cut(&mut file).map_err(io)?;
        let mut log = Self {
            disk,
            path,
            file,
            replay,
            resumed,
            replayed: 0,
            pending: Vec::new(),
            interval: checkpoints.interval,
            written: Instant::now(),
        };
        if !resumed {
            log.pending = header;
            log.write()?;
        }
        Ok(log)
    }

    /// Whether there was a run to go on from.
    pub(super) fn resumed(&self) -> bool {
        self.resumed
    }

    pub(super) fn n_replayed(&self) -> u64 {
        self.replayed
    }

    /// The next record, where there is one left; it must be the answer to `key`.
    pub(super) fn replay(&mut self, key: &[u8; 16]) -> Result<Option<Entry>> {
        let Some((at, length)) = self.replay.pop_front() else {
            return Ok(None);
        };
        let io = |e| Error::from(DataError::io(&self.path, e));
        self.file.seek(SeekFrom::Start(at)).map_err(io)?;
        let mut record = vec![0; length as usize];
        self.file.read_exact(&mut record).map_err(io)?;
        if record[..16] != key[..] {
            return Err(Error::Engine(format!(
                "`{}` was written by another course of this run: round {} asks for something else; start anew with --overwrite",
                self.path.display(),
                self.replayed + 1
            )));
        }
        if self.replay.is_empty() {
            self.file.seek(SeekFrom::End(0)).map_err(io)?;
        }
        self.replayed += 1;
        self.written = Instant::now();
        let body = record.split_off(17);
        Ok(Some(match record[16] {
            0 => Entry::Nothing,
            1 => Entry::Result(body),
            _ => Entry::TooLarge,
        }))
    }

    pub(super) fn append(&mut self, key: &[u8; 16], entry: &Entry) -> Result<()> {
        let (kind, body) = entry.parts();
        let start = self.pending.len();
        self.pending
            .extend(((17 + body.len()) as u64).to_le_bytes());
        self.pending.extend([0; 8]);
        self.pending.extend(key);
        self.pending.push(kind);
        self.pending.extend(body);
        let sum = checksum(&self.pending[start + 16..]);
        self.pending[start + 8..start + 16].copy_from_slice(&sum);
        if self.written.elapsed() >= self.interval {
            self.flush()
        } else if self.pending.len() > HELD {
            self.write()
        } else {
            Ok(())
        }
    }

    fn write(&mut self) -> Result<()> {
        let mut left = &self.pending[..];
        let written = loop {
            if left.is_empty() {
                break Ok(());
            }
            match write_some(&*self.disk, &mut self.file, &self.path, left) {
                Ok(0) => break Err(ErrorKind::WriteZero.into()),
                Ok(n) => left = &left[n..],
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => break Err(e),
            }
        };
        self.pending.clear();
        written.map_err(|e| DataError::io(&self.path, e).into())
    }

    /// Removes the file.
    pub(super) fn discard(&mut self) -> Result<()> {
        self.pending.clear();
        self.disk
            .before(Step::Remove, &self.path)
            .and_then(|()| std::fs::remove_file(&self.path))
            .map_err(|e| DataError::io(&self.path, e).into())
    }

    /// Writes and syncs what is pending.
    pub(super) fn flush(&mut self) -> Result<()> {
        if !self.pending.is_empty() {
            self.write()?;
            self.disk
                .before(Step::Sync, &self.path)
                .and_then(|()| self.file.sync_data())
                .map_err(|e| DataError::io(&self.path, e))?;
        }
        self.written = Instant::now();
        Ok(())
    }
}

/// Takes the file for this process alone, for as long as it is open.
fn lock(file: &File, path: &Path) -> Result<()> {
    let path_shown = path.display();
    match file.try_lock() {
        Ok(()) if still_there(file, path) => Ok(()),
        Ok(()) => Err(Error::Usage(format!(
            "another process has just ended the run of `{path_shown}`; look for its model"
        ))),
        Err(TryLockError::WouldBlock) => Err(Error::Usage(format!(
            "another process is at work on `{path_shown}`; wait for it or stop it"
        ))),
        Err(TryLockError::Error(e)) => Err(DataError::io(path, e).into()),
    }
}

/// Whether the open file is the one at `path`: a process that was faster may have removed it between opening and locking.
#[cfg(unix)]
pub(super) fn still_there(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let place = |m: std::fs::Metadata| (m.dev(), m.ino());
    let own = file.metadata().map(place).ok();
    own.is_some() && own == std::fs::metadata(path).map(place).ok()
}

/// An open file cannot be removed elsewhere.
#[cfg(not(unix))]
pub(super) fn still_there(_: &File, _: &Path) -> bool {
    true
}

fn checksum(bytes: &[u8]) -> [u8; 8] {
    let mut sum = [0; 8];
    sum.copy_from_slice(&Sha256::digest(bytes)[..8]);
    sum
}

fn header(identity: &Identity) -> Result<Vec<u8>> {
    let text = serde_json::to_vec(identity)
        .map_err(|e| Error::Engine(format!("the checkpoint's header: {e}")))?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(checksum(&text));
    bytes.extend(text);
    Ok(bytes)
}

/// Whose journal it is.
pub(super) fn identity(path: &Path) -> Result<Option<Identity>> {
    match File::open(path) {
        Ok(mut file) => Ok(scan(&mut file, path)?.map(|found| found.identity)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(DataError::io(path, e).into()),
    }
}

struct Found {
    identity: Identity,
    records: VecDeque<(u64, u64)>,
    end: u64,
}

/// Reads the header and finds the whole records; `None` where the kill came before the header was whole.
fn scan(file: &mut File, path: &Path) -> Result<Option<Found>> {
    let io = |e| Error::from(DataError::io(path, e));
    let length = file.metadata().map_err(io)?.len();
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut head = [0; 40];
    if !fill(&mut reader, &mut head).map_err(io)? {
        return Ok(None);
    }
    if head[..24] != MAGIC[..] {
        return Err(Error::Usage(format!(
            "`{}` is no checkpoint of this version of emberline; remove it, or start anew with --overwrite",
            path.display()
        )));
    }
    let size = number(&head[24..32]);
    if size > length.saturating_sub(40) {
        return Ok(None);
    }
    let mut text = vec![0; size as usize];
    reader.read_exact(&mut text).map_err(io)?;
    if checksum(&text) != head[32..40] {
        return Ok(None);
    }
    let identity = serde_json::from_slice(&text).map_err(|e| {
        Error::Usage(format!(
            "the header of `{}` makes no sense ({e}); start anew with --overwrite",
            path.display()
        ))
    })?;
    let mut end = 40 + size;
    let mut records = VecDeque::new();
    let mut head = [0; 16];
    let mut body = Vec::new();
    while fill(&mut reader, &mut head).map_err(io)? {
        let size = number(&head[..8]);
        if size < (HEAD - 16) as u64 || size > length - end - 16 {
            break;
        }
        body.resize(size as usize, 0);
        if !fill(&mut reader, &mut body).map_err(io)? || checksum(&body) != head[8..16] {
            break;
        }
        records.push_back((end + 16, size));
        end += 16 + size;
    }
    Ok(Some(Found {
        identity,
        records,
        end,
    }))
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))
}

/// Fills the buffer; false where the file ends first.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

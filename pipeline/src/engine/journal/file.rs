//! The journal on disk: a header that says whose it is, then records, each with its length and checksum.
//!
//! Records are only ever appended, so a kill at any moment leaves a whole prefix and at most one torn record, which is cut off.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use emberline_datasets::DataError;
use sha2::{Digest, Sha256};

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
    path: PathBuf,
    file: File,
    /// Records still to be handed out: where each begins and how long it is.
    replay: VecDeque<(u64, u64)>,
    replayed: u64,
    pending: Vec<u8>,
    interval: Duration,
    written: Instant,
}

impl Log {
    pub(super) fn open(checkpoints: &Checkpoints, identity: &Identity) -> Result<Self> {
        let path = checkpoints.path.clone();
        if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|e| DataError::io(folder, e))?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| DataError::io(&path, e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Usage(format!(
                    "another process is at work on `{}`; wait for it or stop it",
                    path.display()
                )));
            }
            Err(TryLockError::Error(e)) => return Err(DataError::io(&path, e).into()),
        }
        let found = if checkpoints.resume {
            scan(&mut file, &path)?
        } else {
            None
        };
        let header = header(identity)?;
        let (end, replay) = match found {
            Some(found) => {
                same_run(&found.identity, identity, &path)?;
                (found.end, found.records)
            }
            None => {
                let start = |file: &mut File| {
                    file.set_len(0)?;
                    file.seek(SeekFrom::Start(0))?;
                    file.write_all(&header)
                };
                start(&mut file).map_err(|e| DataError::io(&path, e))?;
                (header.len() as u64, VecDeque::new())
            }
        };
        // What a kill tore off goes; what comes next is appended there.
        let cut = |file: &mut File| {
            file.set_len(end)?;
            file.seek(SeekFrom::Start(end))
        };
        cut(&mut file).map_err(|e| DataError::io(&path, e))?;
        Ok(Self {
            path,
            file,
            replay,
            replayed: 0,
            pending: Vec::new(),
            interval: checkpoints.interval,
            written: Instant::now(),
        })
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
        let written = self.file.write_all(&self.pending);
        self.pending.clear();
        written.map_err(|e| DataError::io(&self.path, e).into())
    }

    /// Removes the file.
    pub(super) fn discard(&mut self) -> Result<()> {
        self.pending.clear();
        std::fs::remove_file(&self.path).map_err(|e| DataError::io(&self.path, e).into())
    }

    /// Writes and syncs what is pending.
    pub(super) fn flush(&mut self) -> Result<()> {
        if !self.pending.is_empty() {
            self.write()?;
            self.file
                .sync_data()
                .map_err(|e| DataError::io(&self.path, e))?;
        }
        self.written = Instant::now();
        Ok(())
    }
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

/// Whether a run may go on from what another one wrote.
fn same_run(found: &Identity, own: &Identity, path: &Path) -> Result<()> {
    let why = if found.config != own.config {
        format!(
            "the config has changed: {}",
            first_difference(&found.config, &own.config)
        )
    } else if found.data != own.data {
        format!(
            "the training data have changed (digest {} then, {} now)",
            short(&found.data),
            short(&own.data)
        )
    } else if found.version != own.version {
        format!(
            "it was written by emberline {}, this is {}",
            found.version, own.version
        )
    } else if found.simd != own.simd {
        format!(
            "it was written on a machine with {}, this one has {}: sums differ in their last bits",
            found.simd, own.simd
        )
    } else {
        return Ok(());
    };
    Err(Error::Usage(format!(
        "the run in `{}` cannot go on: {why}. Undo the change, or start anew with --overwrite",
        path.display()
    )))
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// The first line in which two configs differ, for people.
fn first_difference(then: &str, now: &str) -> String {
    let mut table = "";
    let (mut a, mut b) = (then.lines(), now.lines());
    loop {
        let (x, y) = (a.next(), b.next());
        if x == y && x.is_some() {
            table = x.filter(|l| l.starts_with('[')).unwrap_or(table);
            continue;
        }
        let line = |l: Option<&str>| l.map_or("nothing".to_owned(), |l| format!("`{}`", l.trim()));
        let place = if table.is_empty() {
            String::new()
        } else {
            format!("under {table}, ")
        };
        return format!("{place}{} then, {} now", line(x), line(y));
    }
}

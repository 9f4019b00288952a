//! `csv_reader`: a CSV file is read or refused, and no record is lost where its quotes are in order.

use std::path::Path;

use emberline::datasets::BadRows;
use emberline::prelude::*;

/// What became of the records of a file.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Rows read.
    pub read: u64,
    /// Records set aside.
    pub quarantined: u64,
    /// Records by an independent reader; `None` where the two may rightly differ.
    pub independent: Option<u64>,
}

/// Reads a file of these bytes, with bad records refused and then set aside; `None` where it cannot be opened.
///
/// # Panics
/// Records read and set aside are not as many as an independent reader finds.
pub fn csv_reader(bytes: &[u8]) -> Option<Counts> {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let path = folder.path().join("a.csv");
    std::fs::write(&path, bytes).unwrap_or_else(|e| panic!("{e}"));
    let strict = read(&path, BadRows::Fail);
    let counts = read(&path, BadRows::Quarantine);
    if let (Some(strict), Some(counts)) = (strict, counts) {
        assert_eq!(
            (strict.read, 0),
            (counts.read, counts.quarantined),
            "no record was bad"
        );
    }
    let mut counts = counts?;
    counts.independent = well_quoted(bytes).then(|| independent(bytes));
    if let Some(found) = counts.independent {
        assert_eq!(counts.read + counts.quarantined, found, "records are lost");
    }
    Some(counts)
}

/// Rows read and records set aside under a policy; `None` where the file is refused.
fn read(path: &Path, policy: BadRows) -> Option<Counts> {
    let mut options = SourceOptions::new(path.display().to_string());
    options.bad_rows = policy;
    let data = open(&options).ok()?;
    let mut read = 0;
    for chunk in 0..data.chunks().ok()?.len() {
        read += data.read(chunk, None).ok()?.num_rows() as u64;
    }
    Some(Counts {
        read,
        quarantined: data.source().quarantined(),
        independent: None,
    })
}

/// Records after the header, by the crate `csv`, which shares no code with the reader.
fn independent(bytes: &[u8]) -> u64 {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let mut record = csv::ByteRecord::new();
    let mut records = 0;
    while reader.read_byte_record(&mut record).unwrap_or(false) {
        records += 1;
    }
    records
}

/// True where all readers must agree on the ends of records (RFC 4180): a quote opens a field at its very start, closes it at its
/// very end, and is written twice inside; a carriage return stands before a line feed only; no line is blank but for spaces.
fn well_quoted(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let (mut quoted, mut start) = (false, true);
    let mut i = 0;
    while i < bytes.len() {
        let next = bytes.get(i + 1).copied();
        match (bytes[i], quoted) {
            (b'"', true) if next == Some(b'"') => i += 1,
            (b'"', true) => {
                quoted = false;
                let ends = matches!(next, None | Some(b',' | b'\n'))
                    || (next == Some(b'\r') && bytes.get(i + 2) == Some(&b'\n'));
                if !ends {
                    return false;
                }
            }
            (b'"', false) if !start => return false,
            (b'"', false) => quoted = true,
            (b'\r', false) if next != Some(b'\n') => return false,
            _ => {}
        }
        start = !quoted && matches!(bytes[i], b',' | b'\n');
        i += 1;
    }
    let blank = |line: &[u8]| !line.is_empty() && line != b"\r" && line.trim_ascii().is_empty();
    !quoted && !bytes.split(|b| *b == b'\n').any(blank)
}

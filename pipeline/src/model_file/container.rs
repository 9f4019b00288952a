//! The outer form of a model file: a ZIP archive of three stored entries whose comment is the SHA-256 of what precedes it.
//!
//! Any ZIP tool opens it. This program reads only what it writes itself: the three entries in order, without compression,
//! extra fields or gaps, so that nothing can hide between them and every length is checked against the bytes present.
//! The checksums of ZIP (CRC-32) are left to other tools: the SHA-256 covers the same bytes.

use std::io::{Cursor, Write};

use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// The entries, in file order.
pub(super) const ENTRIES: [&str; 3] = ["model.json", "arrays.safetensors", "probes.json"];

/// Most bytes of a model file.
pub(super) const MAX_FILE: u64 = 1 << 30;

/// Characters of the digest in the archive comment.
const DIGEST: usize = 64;
const END_RECORD: usize = 22;

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// SHA-256 in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The archive of these contents, in the order of [`ENTRIES`]. Equal contents give equal bytes.
pub(super) fn pack(contents: [&[u8]; 3]) -> Result<Vec<u8>, String> {
    let total: u64 = contents.iter().map(|c| c.len() as u64).sum();
    // The headers take less than a kilobyte.
    if total + 1024 > MAX_FILE {
        return Err(format!(
            "it would be {total} bytes long, {MAX_FILE} are allowed"
        ));
    }
    let mut bytes = write_archive(contents).map_err(|e| e.to_string())?;
    let end = bytes.len() - DIGEST;
    let digest = sha256(&bytes[..end]);
    bytes[end..].copy_from_slice(digest.as_bytes());
    Ok(bytes)
}

fn write_archive(contents: [&[u8]; 3]) -> zip::result::ZipResult<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644)
        .large_file(false);
    for (name, content) in ENTRIES.into_iter().zip(contents) {
        archive.start_file(name, options)?;
        archive.write_all(content)?;
    }
    archive.set_raw_comment(vec![b'0'; DIGEST].into_boxed_slice())?;
    Ok(archive.finish()?.into_inner())
}

/// Checks the digest and hands out the content of the first entry alone; the rest is checked by [`unpack`].
pub(super) fn verified(bytes: &[u8]) -> Result<Verified<'_>, String> {
    let end = bytes
        .len()
        .checked_sub(DIGEST)
        .filter(|end| *end >= END_RECORD);
    let Some(end) = end else {
        return Err(foreign(bytes));
    };
    let (body, digest) = bytes.split_at(end);
    let closes =
        body[end - END_RECORD..].starts_with(b"PK\x05\x06") && body.ends_with(&[DIGEST as u8, 0]);
    if !closes {
        return Err(foreign(bytes));
    }
    if sha256(body).as_bytes() != digest {
        return Err(
            "its checksum does not match its content; the file was damaged or changed: fetch it again, or train again"
                .to_owned(),
        );
    }
    Ok(Verified { body })
}

/// What a file that does not even end like a model file might be, and what to do.
fn foreign(bytes: &[u8]) -> String {
    let what = if bytes.is_empty() {
        "it is empty (0 bytes)"
    } else if bytes.starts_with(b"PK\x03\x04") && bytes.get(30..40) == Some(b"model.json") {
        "it was cut short or changed"
    } else if bytes.starts_with(b"PK") {
        "it is a ZIP archive, but no Emberline model"
    } else if is_config(bytes) {
        "it is a config, and no model yet: train it"
    } else if matches!(
        bytes.iter().find(|b| !b.is_ascii_whitespace()),
        Some(b'{' | b'[')
    ) {
        "it looks like JSON, not like an Emberline model"
    } else {
        "it is no Emberline model"
    };
    format!("{what}; name a file that `emberline train` wrote, fetch it again, or train again")
}

/// Whether these are the bytes of a config: a TOML document with stages.
fn is_config(bytes: &[u8]) -> bool {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    text.lines().any(|line| line.trim() == "[[pipeline]]")
}

/// An archive whose digest holds.
pub(super) struct Verified<'a> {
    body: &'a [u8],
}

/// What the headers of an entry say.
struct Entry<'a> {
    fixed: &'a [u8],
    content: &'a [u8],
    offset: usize,
    end: usize,
}

impl<'a> Verified<'a> {
    /// The content of the first entry, so that a newer format version is recognised whatever follows.
    pub(super) fn first(&self) -> Result<&'a [u8], String> {
        Ok(self.local(0, ENTRIES[0])?.content)
    }

    /// The contents in the order of [`ENTRIES`]; every other byte of the archive is as this program writes it.
    pub(super) fn unpack(&self) -> Result<[&'a [u8]; 3], String> {
        let mut at = 0;
        let mut entries = Vec::with_capacity(ENTRIES.len());
        for name in ENTRIES {
            let entry = self.local(at, name)?;
            at = entry.end;
            entries.push(entry);
        }
        let directory = at;
        for (entry, name) in entries.iter().zip(ENTRIES) {
            at = self.central(at, entry, name)?;
        }
        self.end_record(directory, at)?;
        match entries[..] {
            [ref a, ref b, ref c] => Ok([a.content, b.content, c.content]),
            _ => Err("the archive lacks an entry".to_owned()),
        }
    }

    fn take(&self, at: usize, len: usize) -> Result<&'a [u8], String> {
        at.checked_add(len)
            .and_then(|end| self.body.get(at..end))
            .ok_or_else(|| "a length in the archive reaches beyond its end".to_owned())
    }

    /// Local file header (APPNOTE 4.3.7): signature, version, flags, method, time, date, CRC, sizes, name length, extra length.
    fn local(&self, offset: usize, name: &str) -> Result<Entry<'a>, String> {
        let header = self.take(offset, 30)?;
        let size = u32_at(header, 18) as usize;
        let plain = header.starts_with(b"PK\x03\x04")
            && u16_at(header, 6) == 0
            && u16_at(header, 8) == 0
            && u32_at(header, 22) as usize == size
            && usize::from(u16_at(header, 26)) == name.len()
            && u16_at(header, 28) == 0;
        if !plain || self.take(offset + 30, name.len())? != name.as_bytes() {
            return Err(format!(
                "the archive does not hold `{name}`, stored, where it must be"
            ));
        }
        let start = offset + 30 + name.len();
        let content = self.take(start, size)?;
        Ok(Entry {
            fixed: &header[4..28],
            content,
            offset,
            end: start + size,
        })
    }

    /// Central header (APPNOTE 4.3.12); its fields 6..30 repeat the local header's 4..28.
    fn central(&self, at: usize, entry: &Entry<'_>, name: &str) -> Result<usize, String> {
        let header = self.take(at, 46)?;
        let same = header.starts_with(b"PK\x01\x02")
            && header[6..30] == *entry.fixed
            && header[30..38].iter().all(|b| *b == 0)
            && u32_at(header, 42) as usize == entry.offset
            && self.take(at + 46, name.len())? == name.as_bytes();
        if same {
            Ok(at + 46 + name.len())
        } else {
            Err(format!(
                "the archive's directory disagrees with its entry `{name}`"
            ))
        }
    }

    /// End of central directory (APPNOTE 4.3.16): one disk, three entries, directory exactly before it.
    fn end_record(&self, directory: usize, at: usize) -> Result<(), String> {
        let record = self.take(at, END_RECORD)?;
        let n = ENTRIES.len() as u16;
        let whole = record.starts_with(b"PK\x05\x06")
            && u32_at(record, 4) == 0
            && u16_at(record, 8) == n
            && u16_at(record, 10) == n
            && u32_at(record, 12) as usize == at - directory
            && u32_at(record, 16) as usize == directory
            && at + END_RECORD == self.body.len();
        if whole {
            Ok(())
        } else {
            Err("the archive holds more or less than its three entries".to_owned())
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_contents_come_back_and_equal_contents_are_equal_bytes() {
        let contents: [&[u8]; 3] = [b"{}", b"12345678", b""];
        let bytes = pack(contents).unwrap();
        assert_eq!(verified(&bytes).unwrap().unpack().unwrap(), contents);
        assert_eq!(bytes, pack(contents).unwrap());
    }

    #[test]
    fn another_zip_reader_sees_the_same_entries_from_1980() {
        let bytes = pack([b"{}", b"abc", b"[]"]).unwrap();
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        let names: Vec<String> = archive
            .file_names()
            .map(|n| n.unwrap().into_owned())
            .collect();
        assert_eq!(names, ENTRIES);
        let entry = archive.by_index(1).unwrap();
        assert_eq!(
            (entry.size(), entry.compression()),
            (3, CompressionMethod::Stored)
        );
        assert_eq!(entry.last_modified(), Some(DateTime::default()));
        assert!(entry.extra_data().is_none_or(|e| e.is_empty()));
    }

    /// The archive with a right digest after `change` was made to it.
    fn resealed(change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
        let mut bytes = pack([b"{}", b"abc", b"[]"]).unwrap();
        bytes.truncate(bytes.len() - DIGEST);
        change(&mut bytes);
        let digest = sha256(&bytes);
        bytes.extend_from_slice(digest.as_bytes());
        bytes
    }

    #[test]
    fn headers_that_differ_from_what_is_written_are_refused_under_a_right_digest() {
        let body = pack([b"{}", b"abc", b"[]"]).unwrap().len() - DIGEST;
        let mut accepted = Vec::new();
        for at in 0..body {
            let bytes = resealed(|b| b[at] ^= 1);
            if verified(&bytes).and_then(|v| v.unpack()).is_ok() {
                accepted.push(at);
            }
        }
        // Free to change: the contents (2 + 3 + 2 bytes), and per directory entry the version that made it and the
        // attributes (2 + 4 bytes), which say nothing about the content. CRC and times stand twice and must agree.
        assert_eq!(accepted.len(), 7 + 3 * 6, "{accepted:?}");
    }

    #[test]
    fn a_second_entry_of_one_name_or_bytes_between_entries_are_refused() {
        let gap = resealed(|b| b.insert(30 + 10 + 2, 0));
        assert!(verified(&gap).unwrap().unpack().is_err());
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        for name in ["model.json", "../evil", "probes.json"] {
            writer.start_file(name, stored).unwrap();
        }
        writer
            .set_raw_comment(vec![b'0'; DIGEST].into_boxed_slice())
            .unwrap();
        let mut bytes = writer.finish().unwrap().into_inner();
        let end = bytes.len() - DIGEST;
        let digest = sha256(&bytes[..end]);
        bytes[end..].copy_from_slice(digest.as_bytes());
        assert!(
            verified(&bytes)
                .unwrap()
                .unpack()
                .unwrap_err()
                .contains("arrays.safetensors")
        );
    }
}

//! Records that cannot be read: refused at once, or written to a side file with the reason.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::Serialize;

use crate::files::{beside, is_object};
use crate::options::{BadRows, SourceOptions};
use crate::{DataError, Result};

/// More of a bad record than this is not copied to the side file.
const TEXT_LIMIT: usize = 64 << 10;

/// One line of the side file.
#[derive(Debug, Serialize)]
struct Entry<'a> {
    file: &'a str,
    line: u64,
    byte: u64,
    reason: &'a str,
    text: &'a str,
}

/// A record left out.
#[derive(Debug)]
pub(crate) struct Reject {
    /// Its place among the records of its chunk.
    pub record: usize,
    pub line: u64,
    pub byte: u64,
    pub reason: String,
    pub text: String,
}

/// The rejects of one chunk; under `fail` the first one ends the reading.
#[derive(Debug)]
pub(crate) struct Rejects<'a> {
    pub file: &'a str,
    pub policy: BadRows,
    pub list: Vec<Reject>,
}

impl Rejects<'_> {
    pub fn push(
        &mut self,
        record: usize,
        line: u64,
        byte: u64,
        reason: String,
        bytes: &[u8],
    ) -> Result<()> {
        if self.policy == BadRows::Fail {
            return Err(DataError::BadRecord {
                file: self.file.to_owned(),
                line,
                byte,
                message: reason,
            });
        }
        let shown = &bytes[..bytes.len().min(TEXT_LIMIT)];
        let text = String::from_utf8_lossy(shown)
            .trim_end_matches(['\r', '\n'])
            .to_owned();
        self.list.push(Reject {
            record,
            line,
            byte,
            reason,
            text,
        });
        Ok(())
    }
}

/// The policy for bad records, and the side file.
#[derive(Debug)]
pub(crate) struct Quarantine {
    pub policy: BadRows,
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Rejects per chunk read so far: a chunk that is read again is not written again.
    seen: BTreeMap<usize, u64>,
    file: Option<File>,
}

impl Quarantine {
    pub fn new(options: &SourceOptions) -> Self {
        Self {
            policy: options.bad_rows,
            path: options
                .quarantine
                .as_ref()
                .map_or_else(|| default_path(&options.source), PathBuf::from),
            state: Mutex::default(),
        }
    }

    /// Writes the rejects of a chunk to the side file, unless an earlier reading did.
    pub fn settle(&self, chunk: usize, file: &str, rejects: &[Reject]) -> Result<()> {
        if self.policy == BadRows::Fail {
            return Ok(());
        }
        let mut state = self
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if state.seen.contains_key(&chunk) {
            return Ok(());
        }
        if !rejects.is_empty() {
            self.write(&mut state, file, rejects)?;
        }
        state.seen.insert(chunk, rejects.len() as u64);
        Ok(())
    }

    fn write(&self, state: &mut State, file: &str, rejects: &[Reject]) -> Result<()> {
        let fail = |e| DataError::io(&self.path, e);
        let mut lines = Vec::new();
        for reject in rejects {
            let entry = Entry {
                file,
                line: reject.line,
                byte: reject.byte,
                reason: &reject.reason,
                text: &reject.text,
            };
            serde_json::to_writer(&mut lines, &entry)
                .map_err(|e| DataError::format("quarantine", e))?;
            lines.push(b'\n');
        }
        let side = match &mut state.file {
            Some(side) => side,
            none => none.insert(File::create(&self.path).map_err(fail)?),
        };
        side.write_all(&lines).map_err(fail)
    }

    /// Records left out so far.
    pub fn count(&self) -> u64 {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .seen
            .values()
            .sum()
    }
}

/// `data/a.csv` gives `data/a.csv.quarantine.jsonl`; the pattern part of a glob becomes one name without pattern signs.
fn default_path(source: &str) -> PathBuf {
    const SUFFIX: &str = ".quarantine.jsonl";
    if source == "-" {
        return PathBuf::from(format!("stdin{SUFFIX}"));
    }
    if is_object(Path::new(source)) {
        return beside(Path::new(source), SUFFIX);
    }
    let source = source.strip_prefix("file://").unwrap_or(source);
    let source = source.strip_prefix("bundled:").unwrap_or(source);
    let source = source.trim_end_matches('/');
    let Some(pattern) = source.find(['*', '?', '[']) else {
        return PathBuf::from(format!("{source}{SUFFIX}"));
    };
    let folder = source[..pattern].rfind('/').map_or(0, |i| i + 1);
    let name = source[folder..].replace(['/', '*', '?', '[', ']'], "_");
    PathBuf::from(format!("{}{name}{SUFFIX}", &source[..folder]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_side_file_lies_beside_the_source() {
        let path = |s: &str| default_path(s).display().to_string();
        assert_eq!(path("data/a.csv"), "data/a.csv.quarantine.jsonl");
        assert_eq!(path("data/"), "data.quarantine.jsonl");
        assert_eq!(path("data/*/a?.csv"), "data/__a_.csv.quarantine.jsonl");
        assert_eq!(path("file:///x/a.csv"), "/x/a.csv.quarantine.jsonl");
        assert_eq!(path("s3://b/x/a?.csv"), "b_x_a_.csv.quarantine.jsonl");
        assert_eq!(path("s3://b/x/"), "b_x.quarantine.jsonl");
    }
}

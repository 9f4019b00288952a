//! Whether a run may go on from a checkpoint, and if not, what has changed.

use std::path::Path;

use super::Identity;
use crate::{Error, Result};

/// Whether a run may go on from what another one wrote.
pub(super) fn same_run(found: &Identity, own: &Identity, path: &Path) -> Result<()> {
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

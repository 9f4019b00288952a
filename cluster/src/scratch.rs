//! Temporary folders that are cleaned up even after a process that was killed: by the next one.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::error::{ClusterError, Result};

/// Locked as long as the owner of the folder lives; the system lets go of it with the process, however that ends.
const LOCK: &str = "lock";
/// A folder is left alone for so long after its making: its owner may be about to lock it.
const YOUNG: Duration = Duration::from_secs(60);

/// A temporary folder of this process, removed with this value.
pub struct Scratch {
    folder: TempDir,
    _lock: File,
}

impl Scratch {
    /// A new folder `PREFIX…` in `root`. Those of processes that ended without removing theirs go first.
    ///
    /// # Errors
    /// [`ClusterError::Options`]: no folder can be made there.
    pub fn new(root: &Path, prefix: &str) -> Result<Self> {
        sweep(root, prefix, YOUNG);
        let make = || {
            let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(root)?;
            let lock = File::create_new(folder.path().join(LOCK))?;
            lock.lock()?;
            Ok(Self {
                folder,
                _lock: lock,
            })
        };
        make().map_err(|e: std::io::Error| no_folder(root, &e))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// The error of a folder for answers that cannot be made.
pub fn no_folder(at: &Path, e: &std::io::Error) -> ClusterError {
    ClusterError::Options(format!(
        "answers cannot be kept in {}: {e}; name a folder with --work-dir, or another place for temporary ones with TMPDIR",
        at.display()
    ))
}

/// Removes folders whose owner is gone. What cannot be looked at or removed (another user's) stays.
fn sweep(root: &Path, prefix: &str, young: Duration) {
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_ours = name.to_str().is_some_and(|n| n.starts_with(prefix));
        if is_ours && is_left(&entry.path().join(LOCK), young) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn is_left(lock: &Path, young: Duration) -> bool {
    // Only a plain file is opened: to open a pipe that another user laid there would wait for ever.
    let plain = lock.symlink_metadata().ok().filter(|m| m.is_file());
    let made = plain.and_then(|m| m.modified().ok());
    let age = made.and_then(|made| made.elapsed().ok());
    age.is_some_and(|age| age >= young)
        && File::options()
            .write(true)
            .open(lock)
            .is_ok_and(|file| file.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_where_no_folder_can_be_made_is_named_with_what_helps() {
        let error = Scratch::new(Path::new("/proc/none"), "work-")
            .err()
            .unwrap();
        let text = error.to_string();
        assert!(
            text.contains("/proc/none") && text.contains("--work-dir"),
            "{text}"
        );
    }

    #[test]
    fn folders_of_processes_that_are_gone_are_removed_and_others_stay() {
        let root = tempfile::tempdir().unwrap();
        let exists = |name: &str| root.path().join(name).exists();
        let left = |name: &str| {
            let folder = root.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("answer"), "rows").unwrap();
            std::fs::write(folder.join(LOCK), "").unwrap();
        };
        let alive = Scratch::new(root.path(), "work-").unwrap();
        left("work-killed");
        left("other-killed");
        std::fs::create_dir(root.path().join("work-without-a-lock")).unwrap();
        sweep(root.path(), "work-", YOUNG);
        assert!(exists("work-killed"), "it may be about to be locked");
        sweep(root.path(), "work-", Duration::ZERO);
        assert!(!exists("work-killed"));
        assert!(exists("other-killed") && exists("work-without-a-lock"));
        assert!(alive.path().join(LOCK).exists());
        let path = alive.path().to_owned();
        drop(alive);
        assert!(!path.exists());
    }
}

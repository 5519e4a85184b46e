//! Handles of directories that were opened a moment ago: a look at a file in one of them costs a single system call.
//!
//! Ten thousand checks fall due together and look into a handful of directories. Opening each file's way beneath the root
//! again costs three calls a look; a handle that was opened so within the last [`FRESH`] cannot lead out either, at worst
//! it is the directory that stood there then. Only a file that is **there** is believed: whatever else the handle says, the
//! whole way is gone again, so a directory that was just replaced never makes a file look missing.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use cap_std::fs::Dir;
use rustix::fs::{AtFlags, FileType, statat};

use super::{Permission, Stat};
use crate::{clock::Stopwatch, model::moment::Moment};

const FRESH: Duration = Duration::from_millis(5);
const MOST_OPEN: usize = 64;

#[derive(Default)]
pub(super) struct Parents(RwLock<HashMap<String, Opened>>);

struct Opened {
    dir: Arc<Dir>,
    since: Stopwatch,
}

impl Permission {
    /// A regular file that is there under its own name; `None` for anything else, also for what this way cannot tell.
    pub(super) fn glance(&self, path: &str) -> Option<Stat> {
        let (dir, name) = match path.rsplit_once('/') {
            Some((parent, name)) => (self.parent(parent)?, name),
            None => (Arc::clone(&self.dir), path),
        };
        if matches!(name, "" | "." | "..") {
            return None;
        }
        let found = statat(&*dir, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return None;
        }
        let milliseconds = i64::try_from(found.st_mtime_nsec / 1_000_000).ok()?;
        Some(Stat {
            size: u64::try_from(found.st_size).ok()?,
            modified: Moment(
                found
                    .st_mtime
                    .saturating_mul(1000)
                    .saturating_add(milliseconds),
            ),
            mode: found.st_mode & 0o7777,
            device: found.st_dev,
            inode: found.st_ino,
            links: wide(found.st_nlink),
        })
    }

    fn parent(&self, path: &str) -> Option<Arc<Dir>> {
        let open = self
            .parents
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        match open.get(path) {
            Some(opened) if opened.since.elapsed() < FRESH => return Some(Arc::clone(&opened.dir)),
            _ => drop(open),
        }
        let since = Stopwatch::new();
        let dir = self.within(path, |dir, rest| dir.open_dir(rest)).ok()??;
        let dir = Arc::new(dir);
        let opened = Opened {
            dir: Arc::clone(&dir),
            since,
        };
        let mut open = self
            .parents
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, opened| opened.since.elapsed() < FRESH);
        if open.len() < MOST_OPEN {
            open.insert(path.to_owned(), opened);
        }
        Some(dir)
    }
}

/// How wide a count of links is depends on the machine.
fn wide(count: impl Into<u64>) -> u64 {
    count.into()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use crate::permission::{Permission, Settings};

    fn root() -> (tempfile::TempDir, Permission) {
        let root = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(root.path().join("data")).expect("data/");
        fs::write(root.path().join("data/x"), "12").expect("a file");
        fs::write(root.path().join("y"), "1").expect("a file");
        let may = Permission::new(root.path(), Settings::default()).expect("a root");
        (root, may)
    }

    #[test]
    fn a_glance_says_what_the_whole_way_says() {
        let (root, may) = root();
        symlink("x", root.path().join("data/link")).expect("a link");
        for path in ["data/x", "y"] {
            let seen = may.glance(path).expect("seen");
            let whole = may.within(path, |dir, rest| dir.metadata(rest));
            let whole = whole.expect("allowed").expect("there");
            assert_eq!(seen, super::super::reading::stat_of(&whole), "{path}");
        }
        for path in [
            "data/none",
            "none/x",
            "data/link",
            "data",
            "data/",
            "data/..",
            "/",
            "/x",
            "/etc/passwd",
            "../y",
        ] {
            assert_eq!(may.glance(path), None, "{path}");
        }
    }

    #[test]
    fn a_replaced_directory_neither_leads_out_nor_hides_a_file() {
        let outside = tempfile::tempdir().expect("a temporary directory");
        fs::write(outside.path().join("x"), "outside").expect("a file");
        let (root, may) = root();
        let data = root.path().join("data");
        assert!(may.stat("data/x").expect("allowed").is_some());
        fs::remove_dir_all(&data).expect("removed");
        assert_eq!(may.stat("data/x").expect("allowed"), None);
        fs::create_dir(&data).expect("data/");
        fs::write(data.join("x"), "123").expect("a file");
        assert_eq!(
            may.stat("data/x").expect("allowed").map(|stat| stat.size),
            Some(3)
        );
        fs::rename(&data, root.path().join("old")).expect("renamed");
        symlink(outside.path(), &data).expect("a link");
        let seen = may.stat("data/x").ok().flatten();
        assert!(
            seen.is_none_or(|seen| seen.size == 3),
            "never what is outside"
        );
    }
}

//! One engine a root: an advisory lock on `state/homeostat/lock`, which holds the process number of its owner.
//!
//! The directory is locked too, so that deleting the file while an engine runs does not let a second one start. The
//! kernel lets go of both when the process ends, however it ends; the file stays.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, OFlags, flock},
    io::Errno,
};

use super::{StoreError, file::make_dir};

const NAME: &str = "lock";

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it; `None` if it did not say which.
    #[error("another homeostat is running here{}", pid.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    Held { pid: Option<u32> },
    #[error("could not lock {path}")]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("could not make the directory of the lock")]
    Directory(#[source] StoreError),
}

/// Held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    /// `None` on file systems that lock no directories.
    _dir: Option<File>,
}

impl Lock {
    /// Takes the lock of `dir` (made if it is not there) without waiting.
    pub fn take(dir: &Path) -> Result<Lock, LockError> {
        make_dir(dir).map_err(LockError::Directory)?;
        let path = dir.join(NAME);
        let fail = |source: std::io::Error| LockError::Io {
            path: path.clone(),
            source,
        };
        let held = || LockError::Held { pid: owner(&path) };
        let handle = File::open(dir).map_err(fail)?;
        let handle = match flock(&handle, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Some(handle),
            Err(Errno::WOULDBLOCK) => return Err(held()),
            Err(_) => None,
        };
        let mut file = open(&path).map_err(fail)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(held()),
            Err(error) => return Err(fail(error.into())),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(fail)?;
        Ok(Lock {
            _file: file,
            _dir: handle,
        })
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(i32::try_from(flags).unwrap_or_default())
        .open(path)?;
    let found = file.metadata()?;
    if !found.is_file() || found.nlink() > 1 {
        return Err(std::io::Error::other("it is no regular file of its own"));
    }
    Ok(file)
}

fn owner(path: &Path) -> Option<u32> {
    let mut text = String::new();
    let nonblock = i32::try_from(OFlags::NONBLOCK.bits()).ok()?;
    OpenOptions::new()
        .read(true)
        .custom_flags(nonblock)
        .open(path)
        .ok()?
        .take(32)
        .read_to_string(&mut text)
        .ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_engine_a_root() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("state/homeostat");
        let lock = Lock::take(&dir).unwrap();
        let own = std::process::id();
        match Lock::take(&dir) {
            Err(LockError::Held { pid }) => assert_eq!(pid, Some(own)),
            other => panic!("{other:?}"),
        }
        // Not even when somebody tidies up.
        std::fs::remove_file(dir.join(NAME)).unwrap();
        assert!(matches!(
            Lock::take(&dir),
            Err(LockError::Held { pid: None })
        ));
        drop(lock);
        drop(Lock::take(&dir).unwrap());
        drop(Lock::take(&dir).unwrap());
    }

    #[test]
    fn a_planted_link_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let victim = root.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        let dir = root.path().join("homeostat");
        std::fs::create_dir(&dir).unwrap();
        std::os::unix::fs::symlink(&victim, dir.join(NAME)).unwrap();
        assert!(matches!(Lock::take(&dir), Err(LockError::Io { .. })));
        std::fs::remove_file(dir.join(NAME)).unwrap();
        std::fs::hard_link(&victim, dir.join(NAME)).unwrap();
        assert!(matches!(Lock::take(&dir), Err(LockError::Io { .. })));
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
    }
}

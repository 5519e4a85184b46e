//! Saving a rule file, so that at every instant it is either the old one or the new one, whole.
//!
//! The way is walked from the rules directory one name at a time through handles that follow no link; what is replaced is a
//! plain file of one name, and what is new takes no other's place. The body goes to a file beside it, under a name that no
//! loader reads, and to the disk, before it takes its place.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::OwnedFd,
    path::Path,
};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, Stat},
    io::Errno,
};

/// Rights of a file that is new, less what the process's mask takes away.
const FRESH: u32 = 0o644;

#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("{0}")]
    Unfit(String),
    #[error("could not {doing}")]
    Io {
        doing: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("it was changed meanwhile")]
    Changed,
}

impl WriteError {
    /// The whole story in one line, cause included.
    pub fn told(&self) -> String {
        match self {
            WriteError::Io { source, .. } => format!("{self}: {source}"),
            other => other.to_string(),
        }
    }
}

/// Gives the file `relative` below the rules directory this body. `still` is asked right before the act whether the file is
/// the one that is meant.
pub(super) fn write(
    rules: &Path,
    relative: &str,
    body: &[u8],
    still: impl Fn() -> bool,
) -> Result<(), WriteError> {
    let (dir, name) = place(rules, relative)?;
    let there = look(&dir, name)?;
    let temporary = format!(".{name}.{}", std::process::id());
    let written = stage(&dir, &temporary, there.as_ref(), body);
    let placed = written.and_then(|()| match still() {
        true => rename(&dir, &temporary, name, there.is_none()),
        false => Err(WriteError::Changed),
    });
    if placed.is_err() {
        let _ = rustix::fs::unlinkat(&dir, &temporary, AtFlags::empty()); // it may not be there
    }
    placed?;
    rustix::fs::fsync(&dir).map_err(failed("put its directory on the disk"))
}

fn failed(doing: &'static str) -> impl Fn(Errno) -> WriteError {
    move |error| WriteError::Io {
        doing,
        source: error.into(),
    }
}

/// The open directory of a file, and its name there.
fn place<'a>(rules: &Path, relative: &'a str) -> Result<(OwnedFd, &'a str), WriteError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // The rules directory itself may be a link: which one it is was said by whoever started the engine.
    let mut dir =
        rustix::fs::open(rules, flags, Mode::empty()).map_err(failed("open the rules"))?;
    let mut parts: Vec<&str> = relative.split('/').collect();
    let name = parts.pop().unwrap_or_default();
    for part in parts {
        dir = match rustix::fs::openat(&dir, part, flags | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(dir) => dir,
            Err(Errno::NOENT) => {
                return Err(WriteError::Unfit(format!("there is no directory {part}")));
            }
            Err(Errno::LOOP | Errno::NOTDIR) => {
                return Err(WriteError::Unfit(format!(
                    "{part} is no directory of its own"
                )));
            }
            Err(error) => return Err(failed("open its directory")(error)),
        };
    }
    Ok((dir, name))
}

/// What stands there; an error if it may not be replaced.
fn look(dir: &OwnedFd, name: &str) -> Result<Option<Stat>, WriteError> {
    let found = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => found,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(failed("look at it")(error)),
    };
    match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile if found.st_nlink == 1 => Ok(Some(found)),
        FileType::RegularFile => Err(WriteError::Unfit("it has another name as well".to_owned())),
        FileType::Symlink => Err(WriteError::Unfit("it is a link to another file".to_owned())),
        _ => Err(WriteError::Unfit("it is no regular file".to_owned())),
    }
}

/// Puts a body beside its place and on the disk, with the rights of what it replaces.
fn stage(
    dir: &OwnedFd,
    temporary: &str,
    there: Option<&Stat>,
    body: &[u8],
) -> Result<(), WriteError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = there.map_or(FRESH, |there| there.st_mode & 0o7777);
    // What a crash left behind is nobody's.
    let _ = rustix::fs::unlinkat(dir, temporary, AtFlags::empty());
    let made = rustix::fs::openat(dir, temporary, flags, Mode::from_raw_mode(mode));
    let made = made.map_err(failed("make a file beside it"))?;
    if let Some(there) = there {
        // Who may not give it away keeps it; what counts is what is in it.
        let (user, group) = (there.st_uid, there.st_gid);
        let user = rustix::fs::Uid::from_raw(user);
        let group = rustix::fs::Gid::from_raw(group);
        let _ = rustix::fs::fchown(&made, Some(user), Some(group));
        let mode = Mode::from_raw_mode(mode);
        rustix::fs::fchmod(&made, mode).map_err(failed("give it its rights"))?;
    }
    let mut file = File::from(made);
    let written = file.write_all(body).and_then(|()| file.sync_all());
    written.map_err(|source| WriteError::Io {
        doing: "write a file beside it",
        source,
    })
}

/// `new`: nothing may stand there.
fn rename(dir: &OwnedFd, from: &str, to: &str, new: bool) -> Result<(), WriteError> {
    let done = match new {
        true => rustix::fs::renameat_with(dir, from, dir, to, RenameFlags::NOREPLACE),
        false => rustix::fs::renameat(dir, from, dir, to),
    };
    match done {
        Err(Errno::EXIST) => Err(WriteError::Changed),
        done => done.map_err(failed("put it in its place")),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, symlink},
    };

    use super::*;

    fn told(rules: &Path, relative: &str) -> String {
        let refused = write(rules, relative, b"x", || true).unwrap_err();
        refused.told()
    }

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_rights() {
        let rules = tempfile::tempdir().unwrap();
        let dir = rules.path();
        write(dir, "a.yaml", b"one", || true).unwrap();
        fs::set_permissions(dir.join("a.yaml"), fs::Permissions::from_mode(0o640)).unwrap();
        write(dir, "a.yaml", b"two", || true).unwrap();
        assert_eq!(fs::read(dir.join("a.yaml")).unwrap(), b"two");
        let mode = fs::metadata(dir.join("a.yaml"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o640);
        let changed = write(dir, "a.yaml", b"three", || false).unwrap_err();
        assert!(matches!(changed, WriteError::Changed));
        assert_eq!(fs::read(dir.join("a.yaml")).unwrap(), b"two");
        fs::create_dir(dir.join("sub")).unwrap();
        write(dir, "sub/b.yaml", b"b", || true).unwrap();
        let raced = write(dir, "c.yaml", b"ours", || {
            fs::write(dir.join("c.yaml"), "theirs").unwrap();
            true
        });
        assert!(matches!(raced, Err(WriteError::Changed)));
        assert_eq!(fs::read(dir.join("c.yaml")).unwrap(), b"theirs");
        let left: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left.len(), 3, "{left:?}");
    }

    #[test]
    fn no_link_leads_out() {
        let (rules, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (dir, out) = (rules.path(), other.path());
        fs::write(out.join("x.yaml"), "theirs").unwrap();
        symlink(out.join("x.yaml"), dir.join("link.yaml")).unwrap();
        symlink(out, dir.join("sub")).unwrap();
        fs::hard_link(out.join("x.yaml"), dir.join("hard.yaml")).unwrap();
        fs::create_dir(dir.join("dir.yaml")).unwrap();
        assert_eq!(told(dir, "link.yaml"), "it is a link to another file");
        assert_eq!(told(dir, "sub/x.yaml"), "sub is no directory of its own");
        assert_eq!(told(dir, "hard.yaml"), "it has another name as well");
        assert_eq!(told(dir, "dir.yaml"), "it is no regular file");
        assert_eq!(told(dir, "none/x.yaml"), "there is no directory none");
        assert_eq!(fs::read(out.join("x.yaml")).unwrap(), b"theirs");
    }
}

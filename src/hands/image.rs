//! What the target of a file step is: the whole of a small regular file, kept as its before-image, or nothing at all.
//!
//! Symlinks are not followed and nothing that hangs is opened; a file with a second name (a hard link) is refused,
//! since whoever holds the other name did not ask for a change.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{HandsError, denied};
use crate::{
    model::{moment::Moment, standing::HeldBy},
    permission::{Permission, Slot},
};

/// A file larger than this is neither changed nor removed by a step: it could not be kept for undoing.
pub const MOST_BYTES: u64 = 16 << 20;

/// What a target was when it was looked at: it must still be so when the effect is done.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    Absent,
    File(Image),
}

/// A file as it was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    pub device: u64,
    pub inode: u64,
    pub modified: Moment,
    /// Permission bits.
    pub mode: u32,
    pub user: u32,
    pub group: u32,
    /// Lower-case hex.
    pub sha256: String,
    pub body: Vec<u8>,
}

/// Which file it is and how it was last written, without its body: by this a moved file is known again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub device: u64,
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// Seconds and nanoseconds of its last write.
    pub modified: (i64, i64),
}

impl Seen {
    pub fn file(&self) -> Option<&Image> {
        match self {
            Seen::Absent => None,
            Seen::File(image) => Some(image),
        }
    }

    pub fn body(&self) -> Option<&[u8]> {
        self.file().map(|image| &*image.body)
    }

    /// Whether this is still the same file with the same body. Its modes and times may have changed.
    pub fn is_still(&self, now: &Seen) -> bool {
        match (self, now) {
            (Seen::Absent, Seen::Absent) => true,
            (Seen::File(then), Seen::File(now)) => {
                (then.device, then.inode, &then.sha256) == (now.device, now.inode, &now.sha256)
                    && then.body.len() == now.body.len()
            }
            _ => false,
        }
    }

    /// Whether it is still the same and nobody has touched it either.
    pub fn is_untouched(&self, now: &Seen) -> bool {
        self.is_still(now)
            && self.file().map(|image| image.modified) == now.file().map(|image| image.modified)
    }
}

/// Lower-case hex of a body's SHA-256.
pub fn sha256(body: &[u8]) -> String {
    format!("{:x}", Sha256::digest(body))
}

/// Looks at the target of a step that a rule names. Gives its path below the root, normalised. A directory that is not
/// there yet is no hindrance: then the file is not there either.
pub fn look(permission: &Permission, file: &str) -> Result<(String, Seen), HandsError> {
    match permission.may_write(file).map_err(denied)? {
        Some(slot) => {
            let seen = look_in(&slot)?;
            Ok((slot.path, seen))
        }
        None => Ok((permission.may_name(file).map_err(denied)?, Seen::Absent)),
    }
}

/// Finds the file that a step names, as [`look`] does, but does not read it: it may be of any size.
pub fn find(permission: &Permission, file: &str) -> Result<(String, Option<Mark>), HandsError> {
    match permission.may_write(file).map_err(denied)? {
        Some(slot) => {
            let mark = find_in(&slot)?;
            Ok((slot.path, mark))
        }
        None => Ok((permission.may_name(file).map_err(denied)?, None)),
    }
}

/// Which file stands in a slot now; nothing is opened.
pub fn find_in(slot: &Slot) -> Result<Option<Mark>, HandsError> {
    let path = &slot.path;
    let about = match rustix::fs::statat(&slot.dir, &slot.name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(about) => about,
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(error) => return Err(unreadable(path, error.into())),
    };
    match FileType::from_raw_mode(about.st_mode) {
        FileType::RegularFile if about.st_nlink > 1 => {
            Err(refused(path, "has another name (a hard link)"))
        }
        FileType::RegularFile => Ok(Some(Mark {
            device: about.st_dev,
            inode: about.st_ino,
            size: u64::try_from(about.st_size).unwrap_or_default(),
            modified: (
                about.st_mtime,
                i64::try_from(about.st_mtime_nsec).unwrap_or_default(),
            ),
        })),
        FileType::Symlink => Err(refused(path, "is a symbolic link")),
        _ => Err(refused(path, "is no regular file")),
    }
}

/// Looks at what stands in a slot now.
pub fn look_in(slot: &Slot) -> Result<Seen, HandsError> {
    let path = &slot.path;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(&slot.dir, &slot.name, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(Seen::Absent),
        Err(rustix::io::Errno::LOOP) => return Err(refused(path, "is a symbolic link")),
        Err(rustix::io::Errno::NXIO) => return Err(refused(path, "is no regular file")),
        Err(error) => return Err(unreadable(path, error.into())),
    };
    let about = file.metadata().map_err(|error| unreadable(path, error))?;
    if !about.is_file() {
        return Err(refused(path, "is no regular file"));
    }
    if about.nlink() > 1 {
        return Err(refused(path, "has another name (a hard link)"));
    }
    let mut body = Vec::new();
    let most = MOST_BYTES + 1;
    (&file)
        .take(most)
        .read_to_end(&mut body)
        .map_err(|error| unreadable(path, error))?;
    if body.len() as u64 > MOST_BYTES {
        return Err(HandsError::Failed(format!(
            "{path} is larger than 16 MiB: steps do not change a file they could not put back"
        )));
    }
    let nanoseconds = about.mtime_nsec();
    Ok(Seen::File(Image {
        device: about.dev(),
        inode: about.ino(),
        modified: Moment(about.mtime().saturating_mul(1000) + nanoseconds / 1_000_000),
        mode: about.mode() & 0o7777,
        user: about.uid(),
        group: about.gid(),
        sha256: sha256(&body),
        body,
    }))
}

fn refused(path: &str, what: &str) -> HandsError {
    HandsError::Held {
        by: HeldBy::Permission,
        reason: format!("{path} {what}: steps do not write there"),
    }
}

fn unreadable(path: &str, error: io::Error) -> HandsError {
    HandsError::Failed(format!("could not read {path}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink, time::Duration};

    use super::*;
    use crate::hands::testing::World;

    /// A slot that was opened when all was well.
    fn slot(world: &World) -> Slot {
        world.put_aged("data/x", "body", Duration::from_millis(1500));
        let slot = world.permission().writable("data/x", false);
        slot.expect("it may be written")
    }

    #[test]
    fn a_file_is_seen_whole() {
        let world = World::new();
        let Ok(Seen::File(image)) = look_in(&slot(&world)) else {
            panic!("it is there")
        };
        assert_eq!(image.body, b"body");
        assert_eq!(image.sha256.len(), 64);
        assert_eq!(image.modified, Moment(world.now.0 - 1500));
        let about = fs::metadata(world.path("data/x")).expect("a file");
        assert_eq!((image.inode, image.user), (about.ino(), about.uid()));
    }

    #[test]
    fn what_is_not_there_is_absent_and_so_is_what_has_no_directory() {
        let world = World::new();
        let found = look(&world.permission(), "./data/deep/down/x").expect("allowed");
        assert_eq!(found, ("data/deep/down/x".to_owned(), Seen::Absent));
        let found = look(&world.permission(), "data//x").expect("allowed");
        assert_eq!(found, ("data/x".to_owned(), Seen::Absent));
    }

    /// The permission has seen to this before; but it was swapped since.
    #[test]
    fn what_is_no_plain_file_any_more_is_refused_without_hanging() {
        let socket = |path: &std::path::Path| {
            std::os::unix::net::UnixListener::bind(path).expect("a socket");
        };
        let fifo = |path: &std::path::Path| {
            let kind = rustix::fs::FileType::Fifo;
            rustix::fs::mknodat(rustix::fs::CWD, path, kind, 0o600.into(), 0).expect("a FIFO");
        };
        for (nth, why) in [
            "is a symbolic link",
            "has another name",
            "is no regular file",
            "is no regular file",
            "is no regular file",
        ]
        .iter()
        .enumerate()
        {
            let world = World::new();
            let slot = slot(&world);
            let path = world.path("data/x");
            fs::remove_file(&path).expect("a file");
            match nth {
                0 => symlink(world.secret(), &path).expect("a link"),
                1 => {
                    world.put("data/y", "");
                    fs::hard_link(world.path("data/y"), &path).expect("a link");
                }
                2 => fs::create_dir(&path).expect("a directory"),
                3 => fifo(&path),
                _ => socket(&path),
            }
            match look_in(&slot) {
                Err(HandsError::Held { by, reason }) => {
                    assert_eq!(by, HeldBy::Permission);
                    assert!(reason.contains(why), "{reason}");
                }
                other => panic!("{why}: {other:?}"),
            }
        }
    }
}

//! Replacing, moving and removing one file, so that at every instant, a power cut included, the target is either the old file
//! or the new one, whole.
//!
//! The new body goes to a temporary file in the same directory, through the directory's own handle, and to the disk;
//! then the target is looked at once more and the temporary file takes its name. A writer that changes the target in the
//! microseconds between that look and the rename is overwritten: the file system offers no rename that asks first. For a
//! target that was absent it does, and there nothing is ever overwritten.

use std::{
    fs::{File, Permissions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use rustix::{
    fs::{AtFlags, Gid, Mode, OFlags, RenameFlags, Uid},
    io::Errno,
};

use crate::{
    hands::{
        HandsError,
        effect::{Leave, Rights},
        image::{Mark, Seen, find_in, look_in, sha256},
    },
    permission::Slot,
};

/// How temporary files are named; one that a crash left behind is replaced by the next step on the same file.
const TEMPORARY: &str = ".homeostat-";

/// Writes the body to the temporary file. Tests put a full disk here.
pub(super) type Fill<'a> = &'a mut dyn FnMut(&mut File, &[u8]) -> io::Result<()>;

pub(super) fn fill(file: &mut File, body: &[u8]) -> io::Result<()> {
    file.write_all(body)
}

/// Gives the slot this body. What did not go as it should, though the file is written, is in the notes.
pub(super) fn replace(
    slot: &Slot,
    seen: &Seen,
    body: &[u8],
    rights: Rights,
    fill: Fill<'_>,
) -> Result<Vec<String>, HandsError> {
    if !seen.is_still(&look_in(slot)?) {
        return Err(changed(slot));
    }
    let mut notes = Vec::new();
    let temporary = stage(slot, seen, body, rights, fill, &mut notes)?;
    if !seen.is_still(&look_in(slot)?) {
        return Err(changed(slot));
    }
    match temporary.take_name(seen.file().is_none()) {
        Err(Errno::EXIST) => return Err(changed(slot)),
        result => result.map_err(|error| unwritable(slot, error.into()))?,
    }
    notes.extend(settle(slot));
    Ok(notes)
}

/// Puts a body beside its slot and on the disk, with all it shall have but the name.
fn stage<'a>(
    slot: &'a Slot,
    seen: &Seen,
    body: &[u8],
    rights: Rights,
    fill: Fill<'_>,
    notes: &mut Vec<String>,
) -> Result<Temporary<'a>, HandsError> {
    let failed = |error| unwritable(slot, error);
    let mode = rights.mode.or(seen.file().map(|image| image.mode));
    let mut temporary = Temporary::make(slot, mode).map_err(failed)?;
    fill(&mut temporary.file, body).map_err(failed)?;
    let owner = rights
        .owner
        .or(seen.file().map(|image| (image.user, image.group)));
    notes.extend(give_to(&temporary.file, slot, owner).map_err(failed)?);
    if let Some(mode) = mode {
        let mode = Permissions::from_mode(mode);
        temporary.file.set_permissions(mode).map_err(failed)?;
    }
    temporary.file.sync_all().map_err(failed)?;
    Ok(temporary)
}

/// Moves what stands in one slot to another. What is left in its place is on the disk before, under another name.
pub(super) fn move_file(
    from: &Slot,
    to: &Slot,
    mark: Mark,
    there: &Seen,
    leave: Option<&Leave>,
) -> Result<Vec<String>, HandsError> {
    if find_in(from)? != Some(mark) {
        return Err(changed(from));
    }
    let mut notes = Vec::new();
    let left = match leave {
        Some(Leave { body, rights }) => Some(stage(
            from,
            &Seen::Absent,
            body,
            *rights,
            &mut fill,
            &mut notes,
        )?),
        None => None,
    };
    if !there.is_still(&look_in(to)?) {
        return Err(changed(to));
    }
    match rename(from, to, there.file().is_none()) {
        Ok(()) => {}
        Err(Errno::EXIST) => return Err(changed(to)),
        Err(Errno::NOENT) => return Err(changed(from)),
        Err(Errno::XDEV) => {
            return Err(HandsError::Failed(format!(
                "{} and {} are on different file systems: a file is only moved within one",
                from.path, to.path
            )));
        }
        Err(error) => {
            return Err(HandsError::Failed(format!(
                "could not move {} to {}: {}",
                from.path,
                to.path,
                io::Error::from(error)
            )));
        }
    }
    // Another file took its name between the look and the act: then that one was moved, and goes back.
    if find_in(to).ok().flatten() != Some(mark) && there.file().is_none() {
        let _ = rename(to, from, true); // whoever took the name again keeps it
        return Err(changed(from));
    }
    if let Some(left) = left {
        match left.take_name(true) {
            Ok(()) => {}
            Err(error) => notes.push(format!(
                "{} could not be put back: {}",
                from.path,
                io::Error::from(error)
            )),
        }
    }
    notes.extend(settle(to));
    notes.extend(settle(from));
    Ok(notes)
}

/// `new`: nothing may stand there.
fn rename(from: &Slot, to: &Slot, new: bool) -> rustix::io::Result<()> {
    if !new {
        return rustix::fs::renameat(&from.dir, &from.name, &to.dir, &to.name);
    }
    let flags = RenameFlags::NOREPLACE;
    match rustix::fs::renameat_with(&from.dir, &from.name, &to.dir, &to.name, flags) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            // An old file system: a second name is refused where there is one already, too.
            rustix::fs::linkat(&from.dir, &from.name, &to.dir, &to.name, AtFlags::empty())?;
            rustix::fs::unlinkat(&from.dir, &from.name, AtFlags::empty())
        }
        result => result,
    }
}

/// Removes what stands in the slot, if nobody has touched it since.
pub(super) fn remove(slot: &Slot, seen: &Seen) -> Result<Vec<String>, HandsError> {
    if seen.file().is_none() || !seen.is_untouched(&look_in(slot)?) {
        return Err(changed(slot));
    }
    rustix::fs::unlinkat(&slot.dir, &slot.name, AtFlags::empty()).map_err(|error| {
        let error = io::Error::from(error);
        HandsError::Failed(format!("could not remove {}: {error}", slot.path))
    })?;
    Ok(settle(slot).into_iter().collect())
}

fn unwritable(slot: &Slot, error: io::Error) -> HandsError {
    HandsError::Failed(format!("could not write {}: {error}", slot.path))
}

fn changed(slot: &Slot) -> HandsError {
    HandsError::Failed(format!("{} changed since it was looked at", slot.path))
}

/// Puts the directory on the disk. The act is done already, so this cannot fail it.
fn settle(slot: &Slot) -> Option<String> {
    // The slot's own handle only leads the way: it cannot be synced.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let synced =
        rustix::fs::openat(&slot.dir, ".", flags, Mode::empty()).and_then(rustix::fs::fsync);
    let error = io::Error::from(synced.err()?);
    Some(format!(
        "its directory could not be put on the disk: {error}"
    ))
}

/// Gives the new file to the owner of the old one, or, where there was none, to whom its directory belongs: an engine
/// that runs as root must not leave files that the watched program cannot write. Where that is not ours to give, a
/// replaced file says so in a note.
fn give_to(file: &File, slot: &Slot, owner: Option<(u32, u32)>) -> io::Result<Option<String>> {
    let (user, group) = match owner {
        Some(owner) => owner,
        None => {
            let dir = rustix::fs::fstat(&slot.dir)?;
            (dir.st_uid, dir.st_gid)
        }
    };
    let now = file.metadata()?;
    let (user, group) = (
        (now.uid() != user).then(|| Uid::from_raw(user)),
        (now.gid() != group).then(|| Gid::from_raw(group)),
    );
    if user.is_none() && group.is_none() {
        return Ok(None);
    }
    match rustix::fs::fchown(file, user, group) {
        Ok(()) => Ok(None),
        Err(Errno::PERM) => {
            let grouped = user.is_some() && rustix::fs::fchown(file, None, group).is_ok();
            Ok(owner.map(|_| {
                let what = if grouped { "user" } else { "user or group" };
                format!("its {what} could not be kept")
            }))
        }
        Err(error) => Err(error.into()),
    }
}

/// A file beside the target that goes away again unless it takes the target's name.
struct Temporary<'a> {
    slot: &'a Slot,
    name: String,
    file: File,
    there: bool,
}

impl<'a> Temporary<'a> {
    /// Its name depends on the target's alone, so crashes leave at most one behind for each target.
    fn make(slot: &'a Slot, mode: Option<u32>) -> io::Result<Temporary<'a>> {
        let hash = sha256(slot.name.as_bytes());
        let name = format!("{TEMPORARY}{}", hash.get(..16).unwrap_or(&hash));
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Nobody else reads it before it has its mode; one without a mode is made as every new file is.
        let mode = mode.map_or(Mode::from_raw_mode(0o666), |_| Mode::from_raw_mode(0o600));
        let open = || rustix::fs::openat(&slot.dir, &name, flags, mode);
        let file = match open() {
            Err(Errno::EXIST) => {
                rustix::fs::unlinkat(&slot.dir, &name, AtFlags::empty())?;
                open()?
            }
            other => other?,
        };
        Ok(Temporary {
            slot,
            file: File::from(file),
            name,
            there: true,
        })
    }

    /// Becomes the target. `new`: nothing may stand there.
    fn take_name(mut self, new: bool) -> rustix::io::Result<()> {
        let (dir, name) = (&self.slot.dir, &self.slot.name);
        if !new {
            rustix::fs::renameat(dir, &self.name, dir, name)?;
        } else {
            match rustix::fs::renameat_with(dir, &self.name, dir, name, RenameFlags::NOREPLACE) {
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                    // An old file system: a second name is refused where there is one already, too.
                    rustix::fs::linkat(dir, &self.name, dir, name, AtFlags::empty())?;
                    return Ok(());
                }
                result => result?,
            }
        }
        self.there = false;
        Ok(())
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if self.there {
            let _ = rustix::fs::unlinkat(&self.slot.dir, &self.name, AtFlags::empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Barrier};

    use serde_json::json;

    use super::*;
    use crate::hands::{Effect, testing::World};

    fn names(world: &World) -> Vec<String> {
        let entries = fs::read_dir(world.path("data")).expect("a directory");
        let mut names: Vec<String> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .into_string()
                    .expect("a text")
            })
            .collect();
        names.sort();
        names
    }

    fn try_replace(world: &World, fill: Fill<'_>) -> Result<Vec<String>, HandsError> {
        let slot = world
            .permission()
            .writable("data/x", false)
            .expect("allowed");
        let seen = look_in(&slot).expect("it can be seen");
        replace(&slot, &seen, b"new body", Rights::default(), fill)
    }

    #[test]
    fn a_full_disk_leaves_the_target_and_no_litter() {
        let world = World::new();
        for before in ["", "old"] {
            if !before.is_empty() {
                world.put("data/x", before);
            }
            let tree = world.tree();
            let mut full = |file: &mut File, body: &[u8]| {
                file.write_all(&body[..3])?;
                Err(io::Error::from_raw_os_error(Errno::NOSPC.raw_os_error()))
            };
            let error = try_replace(&world, &mut full)
                .expect_err("no room")
                .to_string();
            assert!(
                error.starts_with("could not write data/x: No space left"),
                "{error}"
            );
            assert_eq!(world.tree(), tree);
        }
    }

    #[test]
    fn until_it_is_whole_the_target_is_the_old_file() {
        let world = World::new();
        world.put("data/x", "old");
        let mut watch = |file: &mut File, body: &[u8]| {
            file.write_all(&body[..3])?;
            assert_eq!(world.text("data/x"), "old");
            let mode = file.metadata()?.mode() & 0o777;
            assert_eq!(mode, 0o600, "nobody else reads it yet");
            file.write_all(&body[3..])
        };
        try_replace(&world, &mut watch).expect("it is done");
        assert_eq!(world.text("data/x"), "new body");
        assert_eq!(names(&world), ["x"]);
    }

    #[test]
    fn what_a_crash_left_behind_is_cleared_by_the_next_write() {
        let world = World::new();
        world.put("data/x", "old");
        let mut left = String::new();
        let mut crash = |_: &mut File, _: &[u8]| {
            left = names(&world).remove(0);
            Err(io::Error::other("power cut"))
        };
        try_replace(&world, &mut crash).expect_err("broken off");
        assert!(left.starts_with(TEMPORARY), "{left}");
        // A hostile one, too: a link in its place is removed, not followed.
        let left = format!("data/{left}");
        for hostile in [false, true] {
            match hostile {
                true => {
                    std::os::unix::fs::symlink(world.secret(), world.path(&left)).expect("a link")
                }
                false => world.put(&left, "half a bo"),
            }
            world.put("data/x", "old");
            try_replace(&world, &mut fill).expect("it is done");
            assert_eq!(world.text("data/x"), "new body");
            assert_eq!(names(&world), ["x"]);
            world.assert_outside_is_untouched();
        }
    }

    #[test]
    fn a_change_while_the_new_body_is_written_is_seen() {
        let world = World::new();
        for before in ["old", ""] {
            let _ = fs::remove_file(world.path("data/x"));
            if !before.is_empty() {
                world.put("data/x", before);
            }
            let mut meanwhile = |file: &mut File, body: &[u8]| {
                world.put("data/x", "theirs");
                file.write_all(body)
            };
            let error = try_replace(&world, &mut meanwhile).expect_err("changed");
            assert_eq!(error.to_string(), "data/x changed since it was looked at");
            assert_eq!(world.text("data/x"), "theirs");
            assert_eq!(names(&world), ["x"]);
        }
    }

    #[test]
    fn a_name_that_was_taken_in_the_last_instant_stays_theirs() {
        let world = World::new();
        let slot = world
            .permission()
            .writable("data/x", false)
            .expect("allowed");
        let temporary = Temporary::make(&slot, None).expect("made");
        world.put("data/x", "theirs");
        assert_eq!(temporary.take_name(true), Err(Errno::EXIST));
        assert_eq!(world.text("data/x"), "theirs");
        assert_eq!(names(&world), ["x"]);
    }

    #[test]
    fn the_owner_is_kept_and_new_files_belong_to_their_directory() {
        if !rustix::process::geteuid().is_root() {
            return; // only root may give files away
        }
        let world = World::new();
        let owner = |path: &str| {
            let about = fs::metadata(world.path(path)).expect("a file");
            (about.uid(), about.gid())
        };
        let give = |path: &str, number| {
            std::os::unix::fs::chown(world.path(path), Some(number), Some(number)).expect("root");
        };
        world.put("data/x", "old");
        give("data/x", 4711);
        give("data", 4712);
        let receipt = world.act("write_file", json!({"file": "data/x", "body": "new"}));
        assert_eq!(owner("data/x"), (4711, 4711), "{}", receipt.detail);
        world.act("write_file", json!({"file": "data/new", "body": "new"}));
        assert_eq!(owner("data/new"), (4712, 4712));
    }

    #[test]
    fn of_many_that_saw_the_same_file_one_changes_it() {
        let world = World::new();
        for _ in 0..30 {
            world.put("data/x", "old");
            let effects: Vec<Effect> = (0..4)
                .map(|nth| {
                    let args = json!({"file": "data/x", "body": format!("new {nth}")});
                    world.ready("write_file", args)
                })
                .collect();
            let gate = Barrier::new(effects.len());
            let race = &|effect: &Effect| {
                gate.wait();
                world.commit(effect).is_ok()
            };
            let done: Vec<bool> = std::thread::scope(|scope| {
                let threads: Vec<_> = effects
                    .iter()
                    .map(|effect| scope.spawn(move || race(effect)))
                    .collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().expect("no panic"))
                    .collect()
            });
            assert_eq!(done.iter().filter(|done| **done).count(), 1, "{done:?}");
            let winner = done.iter().position(|done| *done).expect("one");
            assert_eq!(world.text("data/x"), format!("new {winner}"));
            assert_eq!(names(&world), ["x"]);
        }
    }
}

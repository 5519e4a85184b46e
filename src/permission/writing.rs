//! Writing: may a step write here?
//!
//! Below `data/`, `state/` and `logs/` of the root, never to what the engine writes itself, never through a symlink, a
//! `..` or a hard link. The way is walked one name at a time through directory handles that refuse links, and the handle
//! of the last directory is what the step gets: whatever is swapped afterwards, its act stays in that directory.

use std::path::{Component, Path};

use cap_fs_ext::DirExt;
use cap_std::fs::{Dir, MetadataExt};

use super::{Denied, OWN, Permission, Slot, WRITABLE, reading::kind_of};

/// Bytes of a path. Through handles a longer one could be made, which no other program could open by its path.
const LONGEST: usize = 4000;

impl Permission {
    /// Checks that a step may write this file and opens its parent (which must exist unless `make_parents`).
    pub fn writable(&self, path: &str, make_parents: bool) -> Result<Slot, Denied> {
        self.slot(path, make_parents)?
            .ok_or_else(|| Denied::forbidden(format!("the directory of {path} is missing")))
    }

    /// The same for one who only looks: makes nothing. `Ok(None)`: it may be written, but its directory is missing.
    pub fn may_write(&self, path: &str) -> Result<Option<Slot>, Denied> {
        self.slot(path, false)
    }

    /// Whether a step may ever write this path, by its text alone: for checking rules at load. Gives it normalised.
    pub fn may_name(&self, path: &str) -> Result<String, Denied> {
        let names = names_of(path)?;
        let clean = names.join("/");
        if names.len() < 2 || !WRITABLE.contains(&names[0]) {
            return Err(Denied::forbidden(format!(
                "{path}: steps write below {} and nowhere else",
                WRITABLE.map(|dir| format!("{dir}/")).join(", ")
            )));
        }
        if Path::new(&clean).starts_with(OWN) {
            return Err(own(path));
        }
        if self.reserved.iter().any(|file| is_or_was(&clean, file)) {
            return Err(Denied::forbidden(format!(
                "{path} is written by the engine itself: no step may touch it"
            )));
        }
        Ok(clean)
    }

    fn slot(&self, path: &str, make_parents: bool) -> Result<Option<Slot>, Denied> {
        let clean = self.may_name(path)?;
        let mut parents: Vec<&str> = clean.split('/').collect();
        let Some(name) = parents.pop() else {
            return Err(Denied::forbidden(format!("{path:?} is no path")));
        };
        let own_place = self
            .dir
            .symlink_metadata(OWN)
            .ok()
            .map(|own| (own.dev(), own.ino()));
        let mut dir = self
            .dir
            .try_clone()
            .map_err(|error| Denied::io(path, error))?;
        for parent in parents {
            match step_into(&dir, parent, make_parents) {
                Ok(Some(below)) => dir = below,
                Ok(None) => return Ok(None),
                Err(why) => return Err(Denied::forbidden(format!("{path}: {parent} {why}"))),
            }
            let here = dir
                .dir_metadata()
                .map_err(|error| Denied::io(path, error))?;
            if own_place == Some((here.dev(), here.ino())) {
                return Err(own(path)); // by another name: a bind mount, a file system that ignores case
            }
        }
        self.check_target(&dir, name, path)?;
        Ok(Some(Slot {
            name: name.to_owned(),
            path: clean.clone(),
            dir,
        }))
    }

    /// What stands there already must be a regular file with one name, and none of the engine's own.
    fn check_target(&self, dir: &Dir, name: &str, path: &str) -> Result<(), Denied> {
        let target = match dir.symlink_metadata(name) {
            Ok(target) => target,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Denied::io(path, error)),
        };
        if !target.is_file() {
            return Err(Denied::forbidden(format!(
                "{path} is {}, not a regular file",
                kind_of(&target)
            )));
        }
        if target.nlink() > 1 {
            return Err(Denied::forbidden(format!(
                "{path} has {} names (hard links): writing it would change a file elsewhere",
                target.nlink()
            )));
        }
        let same = |file: &String| {
            let known = self.dir.metadata(file).ok();
            known.is_some_and(|known| (known.dev(), known.ino()) == (target.dev(), target.ino()))
        };
        if self.reserved.iter().any(same) {
            return Err(Denied::forbidden(format!(
                "{path} is a file the engine writes itself, by another name"
            )));
        }
        Ok(())
    }
}

fn own(path: &str) -> Denied {
    Denied::forbidden(format!("{path}: {OWN}/ is the engine's own"))
}

/// The names of a relative path that only goes down.
fn names_of(path: &str) -> Result<Vec<&str>, Denied> {
    let refused = |why: &str| Err(Denied::forbidden(format!("{path:?} {why}")));
    if path.is_empty() || path.contains('\0') {
        return refused("is no path");
    }
    if path.len() > LONGEST {
        let start: String = path.chars().take(40).collect();
        return Err(Denied::forbidden(format!(
            "{start:?}… is longer than a path may be ({LONGEST} bytes)"
        )));
    }
    if path.ends_with('/') || path.ends_with("/.") {
        return refused("names a directory, not a file");
    }
    let mut names = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::CurDir => {}
            Component::Normal(name) => names.extend(name.to_str()),
            Component::ParentDir => return refused("holds `..`: steps only write downward"),
            Component::RootDir | Component::Prefix(_) => {
                return refused("is absolute: steps write below the root, by relative paths");
            }
        }
    }
    Ok(names)
}

/// `path` is this reserved file, or what its rotation or its rewriting leaves beside it: `NAME.1`, `NAME.1.gz`,
/// `STEM.1.EXT`, `.NAME.tmp`.
fn is_or_was(path: &str, reserved: &str) -> bool {
    let split = |path| {
        Path::new(path)
            .parent()
            .zip(Path::new(path).file_name()?.to_str())
    };
    let (Some((dir, name)), Some((home, known))) = (split(path), split(reserved)) else {
        return false;
    };
    if dir != home {
        return false;
    }
    let name = name.strip_prefix('.').unwrap_or(name);
    if name
        .strip_prefix(known)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '~', '-']))
    {
        return true;
    }
    let numbered = known.rsplit_once('.').and_then(|(stem, extension)| {
        name.strip_prefix(stem)?
            .strip_prefix(['.', '-'])?
            .strip_suffix(extension)?
            .strip_suffix('.')
    });
    numbered.is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Opens the directory of that name, refusing links; `Ok(None)` if it is missing and not to be made.
fn step_into(dir: &Dir, name: &str, make: bool) -> Result<Option<Dir>, String> {
    let mut made = false;
    loop {
        match dir.open_dir_nofollow(name) {
            Ok(below) => return Ok(Some(below)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if !make || made {
                    return Ok(None);
                }
                made = true;
                match dir.create_dir(name) {
                    Ok(()) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(format!("could not be made: {error}")),
                }
            }
            Err(error) => {
                return Err(match dir.symlink_metadata(name) {
                    Ok(found) if !found.is_dir() => {
                        format!("is {}, not a directory", kind_of(&found))
                    }
                    _ => format!("could not be opened: {error}"),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;
    use crate::permission::Settings;

    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a temporary directory");
        for dir in ["data/sub", "state/homeostat", "logs", "rules", "other"] {
            fs::create_dir_all(root.path().join(dir)).expect("a directory");
        }
        fs::write(root.path().join("data/x.json"), "{}").expect("a file");
        fs::write(root.path().join("logs/checks.jsonl"), "").expect("a file");
        root
    }

    fn permission(root: &Path) -> Permission {
        Permission::new(root, Settings::default())
            .expect("a root")
            .reserving([
                "logs/checks.jsonl".to_owned(),
                "state/sre_metrics.json".to_owned(),
            ])
    }

    fn refused(may: &Permission, path: &str) -> String {
        match may.writable(path, true) {
            Ok(_) => panic!("{path} was allowed"),
            Err(error) => error.told(),
        }
    }

    #[test]
    fn a_slot_is_an_open_parent_and_a_name() {
        let root = root();
        let may = permission(root.path());
        let slot = may
            .writable("./data//sub/./new.json", false)
            .expect("allowed");
        assert_eq!(
            (slot.name.as_str(), slot.path.as_str()),
            ("new.json", "data/sub/new.json")
        );
        slot.dir.write(&slot.name, "1").expect("written");
        assert!(root.path().join("data/sub/new.json").is_file());
        assert!(may.writable("data/x.json", false).is_ok());
    }

    #[test]
    fn parents_are_made_only_when_wished() {
        let root = root();
        let may = permission(root.path());
        assert!(may.writable("data/a/b/x", false).is_err());
        assert!(may.may_write("data/a/b/x").expect("allowed").is_none());
        assert!(!root.path().join("data/a").exists());
        assert!(may.writable("data/a/b/x", true).is_ok());
        assert!(root.path().join("data/a/b").is_dir());
    }

    #[test]
    fn nowhere_else() {
        let root = root();
        let may = permission(root.path());
        for path in [
            "rules/x.yaml",
            "homeostat.yaml",
            "data",
            "other/x",
            "/etc/passwd",
            "../x",
            "data/../rules/x",
            "data/sub/..",
            "data/x/",
            "data/.",
            "",
            "da\0ta/x",
            "data/sub",
        ] {
            refused(&may, path);
        }
        let absolute = root.path().join("data/x.json").display().to_string();
        assert!(refused(&may, &absolute).contains("absolute"));
        assert!(!root.path().join("other/x").exists());
    }

    #[test]
    fn never_what_the_engine_writes() {
        let root = root();
        let may = permission(root.path());
        for path in [
            "state/homeostat/history.db",
            "state/./homeostat/x/y",
            "logs/checks.jsonl",
            "logs/./checks.jsonl",
            "logs/checks.jsonl.1",
            "logs/checks.jsonl.2.gz",
            "logs/checks.3.jsonl",
            "logs/.checks.jsonl.tmp",
            "state/sre_metrics.json",
        ] {
            refused(&may, path);
        }
        for path in [
            "logs/checks2.jsonl",
            "logs/checks.txt",
            "data/checks.jsonl",
            "state/homeostat2",
        ] {
            assert!(may.writable(path, false).is_ok(), "{path}");
        }
    }

    #[test]
    fn never_through_a_link() {
        let root = root();
        let outside = tempfile::tempdir().expect("a temporary directory");
        fs::write(outside.path().join("x"), "").expect("a file");
        symlink(outside.path(), root.path().join("data/out")).expect("a link");
        symlink("sub", root.path().join("data/within")).expect("a link");
        symlink("x.json", root.path().join("data/file")).expect("a link");
        symlink(
            root.path().join("state/homeostat"),
            root.path().join("state/alias"),
        )
        .expect("a link");
        symlink("nothing", root.path().join("data/dangling")).expect("a link");
        let may = permission(root.path());
        assert!(refused(&may, "data/out/x").contains("out is a symlink, not a directory"));
        assert!(refused(&may, "data/within/x").contains("within is a symlink"));
        assert!(refused(&may, "data/file").contains("is a symlink"));
        refused(&may, "data/dangling");
        refused(&may, "data/dangling/x");
        refused(&may, "state/alias/lock");
        assert!(!root.path().join("data/nothing").exists());
        fs::rename(root.path().join("data"), root.path().join("elsewhere")).expect("renamed");
        symlink("elsewhere", root.path().join("data")).expect("a link");
        refused(&may, "data/x.json");
    }

    #[test]
    fn never_what_has_a_second_name() {
        let root = root();
        fs::hard_link(
            root.path().join("data/x.json"),
            root.path().join("data/y.json"),
        )
        .expect("a hard link");
        assert!(refused(&permission(root.path()), "data/y.json").contains("2 names"));
        fs::remove_file(root.path().join("data/x.json")).expect("removed");
        assert!(
            permission(root.path())
                .writable("data/y.json", false)
                .is_ok()
        );
    }

    #[test]
    fn a_swap_after_the_check_stays_inside() {
        let root = root();
        let outside = tempfile::tempdir().expect("a temporary directory");
        let slot = permission(root.path())
            .writable("data/sub/x", false)
            .expect("allowed");
        fs::rename(root.path().join("data/sub"), root.path().join("data/moved")).expect("renamed");
        symlink(outside.path(), root.path().join("data/sub")).expect("a link");
        slot.dir.write(&slot.name, "1").expect("written");
        assert!(root.path().join("data/moved/x").is_file());
        assert!(!outside.path().join("x").exists());
    }
}

//! Could anybody rewrite the rules? Then the engine must not obey them.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Others may write (`o+w`).
const ANYBODY: u32 = 0o002;
/// Only its owner may replace what is in such a directory (`+t`).
const STICKY: u32 = 0o1000;
/// Entries looked at below `rules/`.
const MOST_ENTRIES: usize = 10_000;

/// Says which of `homeostat.yaml`, the root, and the rules directory with all below it everybody may write; `None` if
/// none. Where a link leads counts, not the link. What cannot be looked at is no danger by itself: loading it will fail.
pub fn writable_by_everybody(root: &Path, rules: &Path) -> Option<String> {
    let mut found = None;
    exposed(root, true, &mut found);
    exposed(&root.join("homeostat.yaml"), false, &mut found);
    let mut left = MOST_ENTRIES;
    let mut todo: Vec<PathBuf> = vec![rules.to_owned()];
    while let Some(path) = todo.pop() {
        exposed(&path, false, &mut found);
        let real_dir = fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir());
        if found.is_some() || left == 0 {
            break;
        }
        if real_dir || path == rules {
            for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
                left = left.saturating_sub(1);
                todo.push(entry.path());
            }
        }
    }
    found
}

fn exposed(path: &Path, sticky_is_fine: bool, found: &mut Option<String>) {
    let Ok(metadata) = fs::metadata(path) else {
        return;
    };
    let mode = metadata.permissions().mode();
    let open = mode & ANYBODY != 0 && !(sticky_is_fine && mode & STICKY != 0);
    if open && found.is_none() {
        *found = Some(format!(
            "{} is writable by everybody (mode {:04o}): chmod o-w it first",
            path.display(),
            mode & 0o7777
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_anybody_may_write_is_named() {
        for (path, mode, dangerous) in [
            ("homeostat.yaml", 0o666, true),
            ("homeostat.yaml", 0o664, false),
            ("rules", 0o777, true),
            ("rules", 0o1777, true),
            ("rules/scripts", 0o757, true),
            ("rules/scripts/x.rhai", 0o606, true),
            ("rules/scripts/x.rhai", 0o644, false),
            ("", 0o777, true),
            ("", 0o1777, false),
            ("data", 0o777, false),
        ] {
            let root = tempfile::tempdir().expect("a temporary directory");
            for dir in ["rules/scripts", "data"] {
                fs::create_dir_all(root.path().join(dir)).expect("a directory");
            }
            for file in ["homeostat.yaml", "rules/scripts/x.rhai"] {
                fs::write(root.path().join(file), "").expect("a file");
            }
            let target = root.path().join(path);
            let at = if path.is_empty() {
                root.path()
            } else {
                &target
            };
            fs::set_permissions(at, fs::Permissions::from_mode(mode)).expect("chmod");
            let found = writable_by_everybody(root.path(), &root.path().join("rules"));
            assert_eq!(found.is_some(), dangerous, "{path} {mode:o}: {found:?}");
        }
    }
}

//! Setting a corrupt store aside, so that people can look at it, and starting paused.
//!
//! It takes several renames. The new, paused store lies beside the old one under the name [`PAUSED`] from the first of
//! them to the last, and a start that finds that name begins again. So there is no moment at which a crash leads to a
//! store with fresh budgets that is not paused.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use crate::model::{moment::Moment, standing::Pause};

use super::{
    Opened, Store, StoreError,
    file::{BESIDE, HISTORY, beside, build, existing, present, rename},
    rows, schema,
};

/// A crash while a corrupt store was set aside, or a log without its file: nobody knows what was spent.
pub(super) fn interrupted(dir: &Path) -> bool {
    let path = dir.join(HISTORY);
    present(&dir.join(PAUSED)) || (!present(&path) && present(&beside(&path, "-wal")))
}

pub(super) fn set_aside(dir: &Path, why: &str, now: Moment) -> Result<(Store, Opened), StoreError> {
    let path = dir.join(HISTORY);
    let paused = dir.join(PAUSED);
    build(&paused, schema::HISTORY, |conn| {
        rows::put_pause(
            conn,
            Some(&Pause {
                at: now,
                by: "engine".to_owned(),
                reason: format!("the store was corrupt and was set aside: {why}"),
                until: None,
            }),
        )
    })?;
    let aside = put_aside(&path, now)?;
    rename(&paused, &path)?;
    tracing::error!(aside = %aside.display(), why, "the store is corrupt; a fresh one starts paused");
    let opened = Opened::SetAside {
        path: aside,
        why: why.to_owned(),
    };
    Ok((existing(dir)?, opened))
}

/// Renames a database and what lies beside it; the oldest of those set aside before are removed.
pub(super) fn put_aside(path: &Path, now: Moment) -> Result<PathBuf, StoreError> {
    let base = beside(path, &format!(".corrupt-{}", now.0));
    let mut aside = base.clone();
    let mut again = 1;
    while present(&aside) || BESIDE.iter().any(|suffix| present(&beside(&aside, suffix))) {
        again += 1;
        aside = beside(&base, &format!(".{again}"));
    }
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let (from, to) = (beside(path, suffix), beside(&aside, suffix));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(StoreError::io("set aside", &from)(error));
            }
            _ => {}
        }
    }
    forget_older(path);
    Ok(aside)
}

/// Only a tidying: a failure is no reason not to start.
fn forget_older(path: &Path) {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return;
    };
    let prefix = format!("{}.corrupt-", name.to_string_lossy());
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    let mut aside: Vec<(i64, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let stamp = name.to_str()?.strip_prefix(&prefix)?;
            let digits = stamp.split(['-', '.']).next()?;
            Some((digits.parse().ok()?, entry.path()))
        })
        .collect();
    aside.sort();
    let mut stamps: Vec<i64> = aside.iter().map(|(stamp, _)| *stamp).collect();
    stamps.dedup();
    let Some(&oldest_kept) = stamps.iter().rev().nth(KEPT_ASIDE - 1) else {
        return;
    };
    for (_, path) in aside.iter().filter(|(stamp, _)| *stamp < oldest_kept) {
        let _ = fs::remove_file(path);
    }
}

pub(super) const PAUSED: &str = "history.db.paused";

/// So many corrupt stores are kept for people to look at.
const KEPT_ASIDE: usize = 3;

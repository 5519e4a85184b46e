//! Merging keys into a small JSON file that other programs read.

use std::{
    io::{ErrorKind, Read, Write},
    path::Path,
};

use cap_std::fs::{Dir, MetadataExt, OpenOptions, OpenOptionsExt, Permissions, PermissionsExt};
use serde_json::{Map, Value};

use super::{JournalError, failed, make_parent, open};

/// A larger file is not one that is published.
const BYTES: u64 = 16 << 20;

pub(super) fn publish(
    root: &Dir,
    file: &str,
    set: &Map<String, Value>,
) -> Result<(), JournalError> {
    let (mut merged, mode) = match read(root, file)? {
        Found::Nothing => (Map::new(), 0o644),
        Found::Object(object, mode) => (object, mode),
        Found::Other(mode) => {
            let bad = format!("{file}.bad");
            tracing::warn!(
                file,
                kept = bad,
                "a published file is no JSON object and is replaced"
            );
            root.rename(file, root, &bad)
                .map_err(failed("set aside", file))?;
            (Map::new(), mode)
        }
    };
    for (key, value) in set {
        merged.insert(key.clone(), value.clone());
    }
    replace(root, file, &merged, mode)
}

enum Found {
    Nothing,
    Object(Map<String, Value>, u32),
    /// Something else than a JSON object.
    Other(u32),
}

fn read(root: &Dir, file: &str) -> Result<Found, JournalError> {
    let opened = match open(root, file, OpenOptions::new().read(true)) {
        Err(JournalError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
            return Ok(Found::Nothing);
        }
        other => other?,
    };
    let doing = "read";
    let found = opened.metadata().map_err(failed(doing, file))?;
    if found.len() > BYTES {
        return Err(JournalError::Refused {
            file: file.to_owned(),
            why: "is too large to be published to",
        });
    }
    let mode = found.mode() & 0o777;
    let mut bytes = Vec::new();
    opened
        .take(BYTES)
        .read_to_end(&mut bytes)
        .map_err(failed(doing, file))?;
    Ok(match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) => Found::Object(object, mode),
        _ => Found::Other(mode),
    })
}

/// Whoever reads it sees the old one or the new one. Not flushed: after a loss of power it is published again.
fn replace(
    root: &Dir,
    file: &str,
    object: &Map<String, Value>,
    mode: u32,
) -> Result<(), JournalError> {
    let doing = "publish";
    make_parent(root, file)?;
    let temporary = beside(file);
    match root.remove_file(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(failed(doing, file)(error));
        }
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let written = open(root, &temporary, &mut options).and_then(|mut out| {
        // The mode asked for is narrowed by the umask; the one that was there is kept.
        out.set_permissions(Permissions::from_mode(mode))
            .and_then(|()| out.write_all(&body(object)))
            .and_then(|()| root.rename(&temporary, root, file))
            .map_err(failed(doing, file))
    });
    if written.is_err() {
        let _ = root.remove_file(&temporary);
    }
    written
}

/// Hidden, in the same directory.
fn beside(file: &str) -> String {
    let path = Path::new(file);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = format!(".{name}.homeostat");
    path.with_file_name(temporary)
        .to_string_lossy()
        .into_owned()
}

fn body(object: &Map<String, Value>) -> Vec<u8> {
    // `{:#}` of a value is indented JSON.
    format!("{:#}\n", Value::Object(object.clone())).into_bytes()
}

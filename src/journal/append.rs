//! One journal: whole lines, each in a single write.

use std::{
    collections::VecDeque,
    io::{self, Read, Seek, SeekFrom, Write},
};

use cap_std::fs::{Dir, File, MetadataExt, OpenOptions};
use serde_json::Value;

use crate::permission::settings::Rotation;

use super::{JournalError, failed, make_parent};

/// Lines kept in memory while they cannot be written.
pub const WAITING_LINES: usize = 10_000;
/// And their bytes.
pub const WAITING_BYTES: usize = 4 << 20;

#[derive(Default)]
pub(super) struct Journal {
    open: Option<Open>,
    queue: VecDeque<Vec<u8>>,
    bytes: usize,
    dropped: u64,
    /// The spell of failing has been reported.
    failing: bool,
}

struct Open {
    file: File,
    identity: (u64, u64),
    /// The last byte is no line feed: a line was cut off, by a crash or a full disk.
    torn: bool,
}

impl Journal {
    pub(super) fn append(
        &mut self,
        root: &Dir,
        name: &str,
        rotation: Rotation,
        line: &Value,
    ) -> Result<(), JournalError> {
        let mut line = line.to_string().into_bytes();
        line.push(b'\n');
        self.bytes += line.len();
        self.queue.push_back(line);
        let done = self.write(root, name, rotation);
        while self.queue.len() > WAITING_LINES || self.bytes > WAITING_BYTES {
            self.bytes -= self.queue.pop_front().map_or(self.bytes, |line| line.len());
            self.dropped += 1;
        }
        match done {
            Ok(()) => {
                self.failing = false;
                Ok(())
            }
            Err(_) if self.failing => Ok(()),
            Err(error) => {
                self.failing = true;
                Err(error)
            }
        }
    }

    pub(super) fn retry(&mut self, root: &Dir, name: &str, rotation: Rotation) {
        if !self.queue.is_empty() && self.write(root, name, rotation).is_ok() {
            self.failing = false;
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Writes what is waiting, in its order.
    fn write(&mut self, root: &Dir, name: &str, rotation: Rotation) -> Result<(), JournalError> {
        while let Some(line) = self.queue.front() {
            let done = put(&mut self.open, root, name, rotation, line);
            if done.is_err() {
                // Opened again next time: what failed may be this handle.
                self.open = None;
                return done;
            }
            self.bytes -= line.len();
            self.queue.pop_front();
        }
        Ok(())
    }
}

fn put(
    slot: &mut Option<Open>,
    root: &Dir,
    name: &str,
    rotation: Rotation,
    line: &[u8],
) -> Result<(), JournalError> {
    let size = ready(slot, root, name)?;
    if size > 0 && size + line.len() as u64 > rotation.bytes {
        *slot = None;
        rotate(root, name, rotation.files)?;
        ready(slot, root, name)?;
    }
    let Some(open) = slot else {
        return Ok(());
    };
    let whole;
    let bytes = if open.torn {
        whole = [b"\n", line].concat();
        &whole
    } else {
        line
    };
    let written = match open.file.write(bytes) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => open.file.write(bytes),
        other => other,
    };
    let written = written.map_err(failed("append to", name))?;
    open.torn = written < bytes.len();
    if open.torn {
        // The disk filled up in the middle: the line is written again as a whole, after a line feed.
        return Err(failed("append to", name)(io::ErrorKind::StorageFull.into()));
    }
    Ok(())
}

/// Sees to it that the file of that name is open, also when somebody moved or removed the one that was. Gives its size.
fn ready(slot: &mut Option<Open>, root: &Dir, name: &str) -> Result<u64, JournalError> {
    if let Some(open) = slot
        && let Ok(found) = root.symlink_metadata(name)
        && (found.dev(), found.ino()) == open.identity
    {
        return Ok(found.len());
    }
    make_parent(root, name)?;
    let mut file = super::open(
        root,
        name,
        OpenOptions::new().read(true).append(true).create(true),
    )?;
    let found = file.metadata().map_err(failed("open", name))?;
    let torn = torn(&mut file, found.len()).map_err(failed("read the end of", name))?;
    *slot = Some(Open {
        file,
        identity: (found.dev(), found.ino()),
        torn,
    });
    Ok(found.len())
}

fn torn(file: &mut File, size: u64) -> io::Result<bool> {
    if size == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::Start(size - 1))?;
    let count = file.read(&mut last)?;
    Ok(count == 1 && last != [b'\n'])
}

/// `file.2` becomes `file.3`, `file.1` becomes `file.2`, `file` becomes `file.1`; `files` are kept, the current one
/// included. Interrupted anywhere, nothing is lost but what was to go.
fn rotate(root: &Dir, name: &str, files: u32) -> Result<(), JournalError> {
    let doing = "rotate";
    let numbered = |number: u32| match number {
        0 => name.to_owned(),
        number => format!("{name}.{number}"),
    };
    if files <= 1 {
        return root.remove_file(name).map_err(failed(doing, name));
    }
    for number in (0..files - 1).rev() {
        match root.rename(numbered(number), root, numbered(number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(doing, name)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

//! The kill switch that needs no program: a file `PAUSE` in `state/homeostat/`.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rustix::fs::OFlags;

/// Its name.
pub const PAUSE_FILE: &str = "PAUSE";

/// So much of it is read.
const BYTES: u64 = 512;

/// Whether the file `PAUSE` lies in `dir`, and its text as the reason. Whatever bears the name counts, readable or not;
/// and where it cannot be told, the switch counts as thrown.
pub fn pause_file(dir: &Path) -> Option<String> {
    let path = dir.join(PAUSE_FILE);
    match std::fs::symlink_metadata(&path) {
        Ok(_) => Some(reason(&path).unwrap_or_else(|| "the file PAUSE is there".to_owned())),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            None
        }
        Err(error) => Some(format!(
            "cannot tell whether the file PAUSE is there: {error}"
        )),
    }
}

fn reason(path: &Path) -> Option<String> {
    // A FIFO must not keep us waiting.
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(flags).ok()?)
        .open(path)
        .ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(BYTES).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_called_pause_pauses() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(PAUSE_FILE);
        assert_eq!(pause_file(dir.path()), None);
        assert_eq!(pause_file(&dir.path().join("absent")), None);
        std::fs::write(&path, "moving the disks\n").unwrap();
        assert_eq!(pause_file(dir.path()).as_deref(), Some("moving the disks"));
        let unsaid = Some("the file PAUSE is there");
        std::fs::write(&path, "").unwrap();
        assert_eq!(pause_file(dir.path()).as_deref(), unsaid);
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert_eq!(pause_file(dir.path()).as_deref(), unsaid);
        std::fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink("nowhere", &path).unwrap();
        assert_eq!(pause_file(dir.path()).as_deref(), unsaid);
    }
}

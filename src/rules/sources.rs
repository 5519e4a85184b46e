//! Reading a rules directory: which files belong to it, within which bounds, and what cannot be read.
//!
//! Rule files (`*.yaml`, `*.yml`) stand anywhere below it; below `defaults/` every file is a body that remediations
//! restore; `scripts/*.rhai` are scripts. Names that start with a dot are nobody's rules: editors and mounted
//! configurations keep their own there.

use std::{
    collections::BTreeMap,
    fs::{self, DirEntry, File},
    io::Read,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    complaint::{Complaint, Severity},
    parallel::parallel,
};
use crate::model::text::{Mistake, Place};

/// Directories stand no deeper.
const MOST_DEPTH: usize = 16;
/// So many directory entries are looked at for each file that is allowed.
const ENTRIES_A_FILE: usize = 10;

/// How much a rules directory may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub files: usize,
    /// Of all files together.
    pub bytes: u64,
}

impl Limits {
    pub const ALWAYS: Limits = Limits {
        files: 20_000,
        bytes: 64 << 20,
    };
}

/// (path relative to the rules directory, bytes) of every file.
pub type Sources = BTreeMap<String, Arc<[u8]>>;

/// What a path below the rules directory is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    Rules,
    Script,
    Body,
}

/// The role of a path; `None` if it has none.
pub fn role(path: &str) -> Option<Role> {
    let hidden = path.split('/').any(|part| part.starts_with('.'));
    if hidden {
        return None;
    }
    if path.starts_with("defaults/") {
        return Some(Role::Body);
    }
    if path.ends_with(".yaml") || path.ends_with(".yml") {
        return Some(Role::Rules);
    }
    (path.starts_with("scripts/") && path.ends_with(".rhai")).then_some(Role::Script)
}

/// Reads a rules directory. `prefix` is how complaints name it.
pub fn read(dir: &Path, prefix: &str) -> (Sources, Vec<Complaint>) {
    read_within(dir, prefix, Limits::ALWAYS)
}

fn read_within(dir: &Path, prefix: &str, limits: Limits) -> (Sources, Vec<Complaint>) {
    let mut finder = Finder {
        prefix,
        limits,
        files: Vec::new(),
        complaints: Vec::new(),
        entries: 0,
        open: Vec::new(),
    };
    finder.enter(dir, "");
    let too_many = finder.is_full();
    let Finder {
        mut files,
        mut complaints,
        ..
    } = finder;
    if too_many {
        let message = format!("the directory holds more than {} rule files", limits.files);
        complaints.push(about_dir(prefix, "too-many-files", message));
        return (Sources::new(), complaints);
    }
    files.sort();
    // Counted while reading: the limit is there so that memory is not filled.
    let read = AtomicU64::new(0);
    let contents = parallel(&files, |(_, path)| content(path, &read, limits.bytes));
    if read.into_inner() > limits.bytes {
        let message = format!("the rule files hold more than {} bytes", limits.bytes);
        complaints.push(about_dir(prefix, "too-many-bytes", message));
        return (Sources::new(), complaints);
    }
    let mut sources = Sources::new();
    for ((name, _), content) in files.into_iter().zip(contents) {
        match content {
            Ok(content) => {
                sources.insert(name, content);
            }
            Err(error) => complaints.push(unreadable(prefix, &name, error)),
        }
    }
    (sources, complaints)
}

struct Finder<'a> {
    prefix: &'a str,
    limits: Limits,
    files: Vec<(String, PathBuf)>,
    complaints: Vec<Complaint>,
    entries: usize,
    /// The directories that are being read, to notice a link that leads back.
    open: Vec<(u64, u64)>,
}

impl Finder<'_> {
    fn is_full(&self) -> bool {
        self.files.len() > self.limits.files || self.entries / ENTRIES_A_FILE > self.limits.files
    }

    fn enter(&mut self, dir: &Path, below: &str) {
        let listed =
            fs::metadata(dir).and_then(|meta| Ok((meta.dev(), meta.ino(), fs::read_dir(dir)?)));
        let (device, inode, listed) = match listed {
            Ok(listed) => listed,
            // That there is nothing at all is told by who wanted rules.
            Err(error) if below.is_empty() && error.kind() == std::io::ErrorKind::NotFound => {
                return;
            }
            Err(error) => {
                self.complaints
                    .push(unreadable(self.prefix, below, error.to_string()));
                return;
            }
        };
        if self.open.contains(&(device, inode)) || self.open.len() >= MOST_DEPTH {
            let why = "leads back to where it is, or stands too deep".to_owned();
            self.complaints.push(unreadable(self.prefix, below, why));
            return;
        }
        self.open.push((device, inode));
        for entry in listed {
            match entry {
                Ok(entry) => self.entry(&entry, below),
                Err(error) => {
                    self.complaints
                        .push(unreadable(self.prefix, below, error.to_string()))
                }
            }
            if self.is_full() {
                break;
            }
        }
        self.open.pop();
    }

    fn entry(&mut self, entry: &DirEntry, below: &str) {
        self.entries += 1;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') {
            return;
        }
        let relative = match below {
            "" => name.to_string(),
            below => format!("{below}/{name}"),
        };
        let path = &entry.path();
        // Most are plain files, and the listing says so.
        let plain = entry.file_type().is_ok_and(|kind| kind.is_file());
        if plain {
            if role(&relative).is_some() {
                self.files.push((relative, path.clone()));
            }
            return;
        }
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => self.enter(path, &relative),
            Ok(_) if role(&relative).is_some() => self.files.push((relative, path.clone())),
            Ok(_) => {}
            // Gone between the listing and the look: the directory is being changed, and will be read again.
            Err(_) if fs::symlink_metadata(path).is_err() => {}
            Err(error) if role(&relative).is_some() => {
                let why = match fs::read_link(path) {
                    Ok(target) => format!("is a link to {}, which is not there", target.display()),
                    Err(_) => error.to_string(),
                };
                self.complaints
                    .push(unreadable(self.prefix, &relative, why));
            }
            Err(_) => {}
        }
    }
}

/// The bytes of a regular file; opened without blocking, so that a FIFO holds nobody. Nothing is read once `read`, what
/// all files gave so far, is beyond `most`.
fn content(path: &Path, read: &AtomicU64, most: u64) -> Result<Arc<[u8]>, String> {
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let open = || -> std::io::Result<(File, u64, bool)> {
        let file = File::options()
            .read(true)
            .custom_flags(nonblocking)
            .open(path)?;
        let meta = file.metadata()?;
        Ok((file, meta.len(), meta.is_file()))
    };
    let (file, length, regular) = open().map_err(|error| error.to_string())?;
    if !regular {
        return Err("is no regular file".to_owned());
    }
    if read
        .fetch_add(length, Ordering::Relaxed)
        .saturating_add(length)
        > most
    {
        return Ok(Arc::default());
    }
    let mut bytes = Vec::with_capacity(length as usize + 1);
    file.take(most)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    // It may have grown since.
    read.fetch_add(
        (bytes.len() as u64).saturating_sub(length),
        Ordering::Relaxed,
    );
    Ok(bytes.into())
}

/// The bytes of one file of a rules directory, within the same bounds; `None` if it is not there.
pub fn one(path: &Path) -> Result<Option<Arc<[u8]>>, String> {
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        _ => {}
    }
    content(path, &AtomicU64::new(0), Limits::ALWAYS.bytes).map(Some)
}

/// A complaint about a file as a whole.
pub fn about_file(file: String, code: &'static str, message: String) -> Complaint {
    Complaint {
        severity: Severity::Error,
        mistake: Mistake::new(
            code,
            message,
            Place {
                file: file.into(),
                line: 1,
                column: 1,
            },
        ),
        rule: None,
        source: "".into(),
    }
}

fn about_dir(prefix: &str, code: &'static str, message: String) -> Complaint {
    about_file(prefix.to_owned(), code, message)
}

fn unreadable(prefix: &str, name: &str, why: String) -> Complaint {
    let file = joined(prefix, name);
    let message = format!("could not read {file}: {why}");
    about_file(file, "unreadable", message)
}

/// How complaints name a file of the rules directory.
pub fn joined(prefix: &str, name: &str) -> String {
    match (prefix, name) {
        ("", name) => name.to_owned(),
        (prefix, "") => prefix.to_owned(),
        (prefix, name) => format!("{}/{name}", prefix.trim_end_matches('/')),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, file).expect("written");
        }
        dir
    }

    fn told(complaints: &[Complaint]) -> Vec<String> {
        complaints
            .iter()
            .map(|complaint| format!("{} {}", complaint.mistake.code, complaint.mistake.message))
            .collect()
    }

    #[test]
    fn takes_what_belongs_to_it() {
        let dir = tree(&[
            "a.yaml",
            "sub/b.yml",
            "sub/deep/c.yaml",
            "README.md",
            ".hidden.yaml",
            "..data/d.yaml",
            "a.yaml~",
            "scripts/s.rhai",
            "scripts/t.txt",
            "defaults/e.yaml",
            "defaults/sub/f.json",
            "other/g.rhai",
        ]);
        let (sources, complaints) = read(dir.path(), "rules");
        let names: Vec<&str> = sources.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "a.yaml",
                "defaults/e.yaml",
                "defaults/sub/f.json",
                "scripts/s.rhai",
                "sub/b.yml",
                "sub/deep/c.yaml"
            ]
        );
        assert_eq!(told(&complaints), Vec::<String>::new());
        assert_eq!(&*sources["a.yaml"], b"a.yaml");
    }

    #[test]
    fn follows_links_and_says_which_lead_nowhere() {
        let dir = tree(&["..data/a.yaml"]);
        symlink("..data/a.yaml", dir.path().join("a.yaml")).expect("linked");
        symlink("nowhere.yaml", dir.path().join("b.yaml")).expect("linked");
        symlink("nowhere", dir.path().join("c.txt")).expect("linked");
        symlink(".", dir.path().join("loop")).expect("linked");
        fs::create_dir(dir.path().join("d.yaml")).expect("made");
        let (sources, complaints) = read(dir.path(), "rules");
        assert_eq!(sources.keys().collect::<Vec<_>>(), ["a.yaml"]);
        let mut told = told(&complaints);
        told.sort();
        assert_eq!(
            told,
            [
                "unreadable could not read rules/b.yaml: is a link to nowhere.yaml, which is not there",
                "unreadable could not read rules/loop: leads back to where it is, or stands too deep",
            ]
        );
    }

    #[test]
    fn a_fifo_holds_nobody() {
        let dir = tree(&["a.yaml"]);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            dir.path().join("b.yaml"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .expect("made");
        let (sources, complaints) = read(dir.path(), "rules");
        assert_eq!(sources.len(), 1);
        assert_eq!(
            told(&complaints),
            ["unreadable could not read rules/b.yaml: is no regular file"]
        );
    }

    #[test]
    fn a_directory_is_bounded() {
        let dir = tree(&["a.yaml", "b.yaml", "c.yaml", "c.txt"]);
        let codes = |files, bytes| {
            let (sources, complaints) = read_within(dir.path(), "rules", Limits { files, bytes });
            let codes: Vec<_> = complaints.iter().map(|one| one.mistake.code).collect();
            assert_eq!(sources.is_empty(), !codes.is_empty());
            codes
        };
        assert_eq!(codes(3, 18), [""; 0]);
        assert_eq!(codes(2, 18), ["too-many-files"]);
        assert_eq!(codes(3, 17), ["too-many-bytes"]);
    }

    #[test]
    fn nothing_there_is_nothing() {
        let dir = tree(&[]);
        let (sources, complaints) = read(&dir.path().join("none"), "rules");
        assert!(sources.is_empty() && complaints.is_empty());
    }
}

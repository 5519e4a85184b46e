//! Reading a rules directory: which files belong to it, within which bounds, and what cannot be read.
//!
//! Rule files (`*.yaml`, `*.yml`) stand anywhere below it; below `defaults/` every file is a body that remediations
//! restore; `scripts/*.rhai` are scripts. Names that start with a dot are nobody's rules: editors and mounted
//! configurations keep their own there.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    complaint::{Complaint, Severity},
    parallel::parallel,
};
use crate::model::text::{Mistake, Place};

/// A rules directory holds no more files.
pub const MOST_FILES: usize = 20_000;
/// All of them together hold no more bytes.
pub const MOST_BYTES: u64 = 64 << 20;
/// Directories stand no deeper.
const MOST_DEPTH: usize = 16;
/// So many directory entries are looked at.
const MOST_ENTRIES: usize = 200_000;

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
    let mut finder = Finder {
        prefix,
        files: Vec::new(),
        complaints: Vec::new(),
        entries: 0,
        open: Vec::new(),
    };
    finder.enter(dir, "");
    let Finder {
        mut files,
        mut complaints,
        entries,
        ..
    } = finder;
    if files.len() > MOST_FILES || entries > MOST_ENTRIES {
        complaints.push(whole(
            prefix,
            "too-many-files",
            format!("more than {MOST_FILES} rule files"),
        ));
        return (Sources::new(), complaints);
    }
    files.sort();
    let read = parallel(&files, |(_, path)| content(path));
    let mut sources = Sources::new();
    let mut bytes = 0;
    for ((name, _), content) in files.into_iter().zip(read) {
        match content {
            Ok(content) => {
                bytes += content.len() as u64;
                sources.insert(name, content);
            }
            Err(error) => complaints.push(unreadable(prefix, &name, error)),
        }
    }
    if bytes > MOST_BYTES {
        let message = format!("the rule files hold more than {} MiB", MOST_BYTES >> 20);
        complaints.push(whole(prefix, "too-many-bytes", message));
        sources.clear();
    }
    (sources, complaints)
}

struct Finder<'a> {
    prefix: &'a str,
    files: Vec<(String, PathBuf)>,
    complaints: Vec<Complaint>,
    entries: usize,
    /// The directories that are being read, to notice a link that leads back.
    open: Vec<(u64, u64)>,
}

impl Finder<'_> {
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
                Ok(entry) => self.entry(&entry.path(), &entry.file_name(), below),
                Err(error) => {
                    self.complaints
                        .push(unreadable(self.prefix, below, error.to_string()))
                }
            }
            if self.entries > MOST_ENTRIES || self.files.len() > MOST_FILES {
                break;
            }
        }
        self.open.pop();
    }

    fn entry(&mut self, path: &Path, name: &std::ffi::OsStr, below: &str) {
        self.entries += 1;
        let name = name.to_string_lossy();
        if name.starts_with('.') {
            return;
        }
        let relative = match below {
            "" => name.to_string(),
            below => format!("{below}/{name}"),
        };
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => self.enter(path, &relative),
            Ok(_) if role(&relative).is_some() => self.files.push((relative, path.to_owned())),
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

/// The bytes of a regular file; opened without blocking, so that a FIFO holds nobody.
fn content(path: &Path) -> Result<Arc<[u8]>, String> {
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
    if length > MOST_BYTES {
        return Err(format!("has {length} bytes"));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(MOST_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    Ok(bytes.into())
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

fn whole(prefix: &str, code: &'static str, message: String) -> Complaint {
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
    fn nothing_there_is_nothing() {
        let dir = tree(&[]);
        let (sources, complaints) = read(&dir.path().join("none"), "rules");
        assert!(sources.is_empty() && complaints.is_empty());
    }
}

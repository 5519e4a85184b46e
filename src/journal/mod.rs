//! Where records go: JSON lines, append-only, rotated by size; and the small JSON files that `publish` keeps.
//!
//! All of it below the root, through its directory handle: neither `..` nor a symlink leads out, and a journal that is
//! itself a link, a directory or a FIFO is refused. [`records`] knows the shapes that other programs read.

mod append;
mod publish;
pub mod records;

use std::{collections::HashMap, io, path::Path, sync::Arc};

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt};
use cap_std::fs::{Dir, File, MetadataExt, OpenOptions, OpenOptionsExt};
use rustix::fs::OFlags;
use serde_json::{Map, Value};

use crate::permission::settings::Rotation;

pub use append::{WAITING_BYTES, WAITING_LINES};

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("could not {doing} {file}")]
    Io {
        doing: &'static str,
        file: String,
        #[source]
        source: io::Error,
    },
    /// It is there, and it is nothing to write records to.
    #[error("{file} {why}")]
    Refused { file: String, why: &'static str },
}

/// How the journals are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Journals whose lines are kept in memory because they cannot be written.
    pub failing: Vec<String>,
    /// Lines waiting there.
    pub waiting: usize,
    /// Lines dropped, oldest first, because too many were waiting.
    pub dropped: u64,
}

/// The journals of one root. Not shared: one owner appends.
pub struct Journals {
    root: Arc<Dir>,
    rotation: Rotation,
    journals: HashMap<String, append::Journal>,
}

impl Journals {
    /// `root` is the handle of the root directory.
    pub fn new(root: Arc<Dir>, rotation: Rotation) -> Journals {
        Journals {
            root,
            rotation,
            journals: HashMap::new(),
        }
    }

    /// Appends one line to `file` (relative to the root; its directories are made), rotating it first when it would
    /// exceed its size: `file` becomes `file.1`, that `file.2`, and so on.
    ///
    /// # Errors
    /// Once per spell of failing: while a journal cannot be written its lines are kept in memory (at most
    /// [`WAITING_LINES`] lines and [`WAITING_BYTES`]) and written, in their order, with the next line
    /// that can be; those calls return `Ok`. See [`Journals::health`].
    pub fn append(&mut self, file: &str, line: &Value) -> Result<(), JournalError> {
        let journal = match self.journals.get_mut(file) {
            Some(journal) => journal,
            None => self.journals.entry(file.to_owned()).or_default(),
        };
        journal.append(&self.root, file, self.rotation, line)
    }

    /// Tries again to write what is waiting.
    pub fn retry(&mut self) {
        for (file, journal) in &mut self.journals {
            journal.retry(&self.root, file, self.rotation);
        }
    }

    /// Merges keys into a JSON object file, keeping the order and the other keys of what is there, by a temporary file
    /// and a rename. What is no JSON object is kept as `file.bad` and replaced.
    pub fn publish(&mut self, file: &str, set: &Map<String, Value>) -> Result<(), JournalError> {
        publish::publish(&self.root, file, set)
    }

    pub fn health(&self) -> Health {
        let mut health = Health::default();
        for (file, journal) in &self.journals {
            health.waiting += journal.waiting();
            health.dropped += journal.dropped();
            if journal.waiting() > 0 {
                health.failing.push(file.clone());
            }
        }
        health.failing.sort();
        health
    }
}

fn failed(doing: &'static str, file: &str) -> impl FnOnce(io::Error) -> JournalError {
    let file = file.to_owned();
    move |source| JournalError::Io {
        doing,
        file,
        source,
    }
}

/// Makes the directories of a file.
fn make_parent(root: &Dir, file: &str) -> Result<(), JournalError> {
    match Path::new(file).parent() {
        Some(parent) if !parent.as_os_str().is_empty() => root
            .create_dir_all(parent)
            .map_err(failed("make the directory of", file)),
        _ => Ok(()),
    }
}

/// Opens a regular file, never a link to one, and never waiting for a FIFO's other end.
fn open(root: &Dir, file: &str, options: &mut OpenOptions) -> Result<File, JournalError> {
    options
        .follow(FollowSymlinks::No)
        .custom_flags(OFlags::NONBLOCK.bits() as i32);
    let opened = root
        .open_with(file, options)
        .map_err(failed("open", file))?;
    let found = opened.metadata().map_err(failed("open", file))?;
    let why = if !found.is_file() {
        "is no regular file"
    } else if found.nlink() > 1 {
        "has a second name (a hard link)"
    } else {
        return Ok(opened);
    };
    Err(JournalError::Refused {
        file: file.to_owned(),
        why,
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

    use serde_json::json;

    use super::*;

    struct Root {
        dir: tempfile::TempDir,
    }

    impl Root {
        fn new() -> Root {
            Root {
                dir: tempfile::tempdir().unwrap(),
            }
        }

        fn path(&self, file: &str) -> PathBuf {
            self.dir.path().join(file)
        }

        fn text(&self, file: &str) -> String {
            fs::read_to_string(self.path(file)).unwrap()
        }

        fn journals(&self, bytes: u64, files: u32) -> Journals {
            let authority = cap_std::ambient_authority();
            let root = Dir::open_ambient_dir(self.dir.path(), authority).unwrap();
            Journals::new(Arc::new(root), Rotation { bytes, files })
        }
    }

    fn line(number: usize) -> Value {
        json!({"n": number})
    }

    #[test]
    fn lines_are_appended_and_their_directories_made() {
        let root = Root::new();
        let mut journals = root.journals(1 << 20, 4);
        for number in 0..3 {
            journals.append("logs/deep/a.jsonl", &line(number)).unwrap();
        }
        // Moved away or removed by somebody: the next line makes a new one.
        fs::rename(root.path("logs/deep/a.jsonl"), root.path("moved")).unwrap();
        journals.append("logs/deep/a.jsonl", &line(3)).unwrap();
        fs::remove_dir_all(root.path("logs")).unwrap();
        journals.append("logs/deep/a.jsonl", &line(4)).unwrap();
        assert_eq!(root.text("moved"), "{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n");
        assert_eq!(root.text("logs/deep/a.jsonl"), "{\"n\":4}\n");
        assert_eq!(journals.health(), Health::default());
    }

    #[test]
    fn a_line_that_a_crash_cut_off_is_ended_first() {
        let root = Root::new();
        fs::write(root.path("a.jsonl"), "{\"n\":0}\n{\"n\":").unwrap();
        let mut journals = root.journals(1 << 20, 4);
        journals.append("a.jsonl", &line(1)).unwrap();
        journals.append("a.jsonl", &line(2)).unwrap();
        assert_eq!(
            root.text("a.jsonl"),
            "{\"n\":0}\n{\"n\":\n{\"n\":1}\n{\"n\":2}\n"
        );
    }

    #[test]
    fn a_journal_is_rotated_before_it_is_too_large() {
        let root = Root::new();
        let mut journals = root.journals(20, 3);
        for number in 0..9 {
            journals.append("a.jsonl", &line(number)).unwrap();
        }
        // Two lines of eight bytes each fit.
        assert_eq!(root.text("a.jsonl"), "{\"n\":8}\n");
        assert_eq!(root.text("a.jsonl.1"), "{\"n\":6}\n{\"n\":7}\n");
        assert_eq!(root.text("a.jsonl.2"), "{\"n\":4}\n{\"n\":5}\n");
        assert!(!root.path("a.jsonl.3").exists());
        // A line larger than the whole is not split.
        let large = json!("x".repeat(100));
        journals.append("a.jsonl", &large).unwrap();
        journals.append("a.jsonl", &line(9)).unwrap();
        assert_eq!(root.text("a.jsonl.1"), format!("{large}\n"));
        let mut journals = root.journals(20, 1);
        for number in 0..3 {
            journals.append("b.jsonl", &line(number)).unwrap();
        }
        assert_eq!(root.text("b.jsonl"), "{\"n\":2}\n");
        assert!(!root.path("b.jsonl.1").exists());
    }

    #[test]
    fn what_cannot_be_written_waits_and_is_reported_once() {
        let root = Root::new();
        let mut journals = root.journals(1 << 20, 4);
        journals.append("a.jsonl", &line(0)).unwrap();
        fs::rename(root.path("a.jsonl"), root.path("kept")).unwrap();
        fs::create_dir(root.path("a.jsonl")).unwrap();
        let error = journals.append("a.jsonl", &line(1)).unwrap_err();
        assert!(error.to_string().contains("a.jsonl"), "{error}");
        for number in 2..5 {
            journals.append("a.jsonl", &line(number)).unwrap();
        }
        let health = journals.health();
        assert_eq!(
            (health.failing, health.waiting),
            (vec!["a.jsonl".to_owned()], 4)
        );
        fs::remove_dir(root.path("a.jsonl")).unwrap();
        fs::rename(root.path("kept"), root.path("a.jsonl")).unwrap();
        journals.retry();
        journals.append("a.jsonl", &line(5)).unwrap();
        let all: String = (0..6).map(|number| format!("{}\n", line(number))).collect();
        assert_eq!(root.text("a.jsonl"), all);
        assert_eq!(journals.health(), Health::default());
        // The next spell is reported again.
        fs::remove_file(root.path("a.jsonl")).unwrap();
        fs::create_dir(root.path("a.jsonl")).unwrap();
        assert!(journals.append("a.jsonl", &line(6)).is_err());
    }

    #[test]
    fn what_waits_is_bounded_and_the_oldest_go_first() {
        let root = Root::new();
        let mut journals = root.journals(64 << 20, 4);
        fs::create_dir(root.path("a.jsonl")).unwrap();
        for number in 0..WAITING_LINES + 5 {
            let _ = journals.append("a.jsonl", &line(number));
        }
        let health = journals.health();
        assert_eq!((health.waiting, health.dropped), (WAITING_LINES, 5));
        let _ = journals.append("a.jsonl", &json!("x".repeat(WAITING_BYTES - 100)));
        assert!(journals.health().waiting < 10);
        fs::remove_dir(root.path("a.jsonl")).unwrap();
        journals.retry();
        assert!(root.text("a.jsonl").ends_with("xxx\"\n"));
    }

    #[test]
    fn nothing_leads_out_of_the_root_or_to_another_file() {
        let outside = Root::new();
        let root = Root::new();
        fs::write(outside.path("victim"), "precious").unwrap();
        fs::write(root.path("weights"), "precious").unwrap();
        let link =
            |to: PathBuf, name: &str| std::os::unix::fs::symlink(to, root.path(name)).unwrap();
        link(outside.path("victim"), "out");
        link(outside.dir.path().to_owned(), "outdir");
        link("weights".into(), "in");
        fs::hard_link(root.path("weights"), root.path("hard")).unwrap();
        let mut journals = root.journals(1 << 20, 4);
        let set = Map::from_iter([("a".to_owned(), json!(1))]);
        let absolute = outside.path("victim").to_string_lossy().into_owned();
        for file in ["out", "outdir/victim", "in", "../victim", &absolute, "hard"] {
            assert!(journals.append(file, &line(0)).is_err(), "{file}");
            assert!(journals.publish(file, &set).is_err(), "{file}");
        }
        assert!(journals.append("outdir/new", &line(0)).is_err());
        assert!(journals.publish("outdir/new", &set).is_err());
        assert_eq!(outside.text("victim"), "precious");
        assert_eq!(root.text("weights"), "precious");
        assert_eq!(fs::read_dir(outside.dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_fifo_keeps_nobody_waiting() {
        let root = Root::new();
        let authority = cap_std::ambient_authority();
        let dir = Dir::open_ambient_dir(root.dir.path(), authority).unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(&dir, "fifo", rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let mut journals = root.journals(1 << 20, 4);
        assert!(journals.append("fifo", &line(0)).is_err());
        assert!(journals.publish("fifo", &Map::new()).is_err());
    }

    #[test]
    fn publishing_keeps_the_other_keys_and_their_order() {
        let root = Root::new();
        let mut journals = root.journals(1 << 20, 4);
        let set = |pairs: &[(&str, i64)]| -> Map<String, Value> {
            let pairs = pairs.iter();
            pairs
                .map(|(key, value)| ((*key).to_owned(), json!(value)))
                .collect()
        };
        journals
            .publish("state/m.json", &set(&[("b", 1), ("a", 2)]))
            .unwrap();
        insta::assert_snapshot!(root.text("state/m.json"), @r##"
        {
          "b": 1,
          "a": 2
        }
        "##);
        fs::write(
            root.path("state/m.json"),
            r#"{"z": [1, 2], "b": 0, "y": {"k": null}}"#,
        )
        .unwrap();
        let mode = fs::Permissions::from_mode(0o664);
        fs::set_permissions(root.path("state/m.json"), mode).unwrap();
        journals
            .publish("state/m.json", &set(&[("c", 3), ("b", 4)]))
            .unwrap();
        insta::assert_snapshot!(root.text("state/m.json"), @r##"
        {
          "z": [
            1,
            2
          ],
          "b": 4,
          "y": {
            "k": null
          },
          "c": 3
        }
        "##);
        let mode = fs::metadata(root.path("state/m.json"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o664);
        assert_eq!(fs::read_dir(root.path("state")).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_object_is_kept_and_replaced() {
        for broken in ["", "[1]", "{\"a\": 1", "\u{0}\u{0}"] {
            let root = Root::new();
            let mut journals = root.journals(1 << 20, 4);
            fs::write(root.path("m.json"), broken).unwrap();
            let set = Map::from_iter([("a".to_owned(), json!(1))]);
            journals.publish("m.json", &set).unwrap();
            assert_eq!(root.text("m.json"), "{\n  \"a\": 1\n}\n");
            assert_eq!(root.text("m.json.bad"), broken);
        }
    }
}

//! The files of a test: a root in a temporary directory, whose times of last write are those of virtual time.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde_json::Value;

use super::values::Values;
use crate::{
    model::moment::Moment,
    permission::WRITABLE,
    script::{Template, TemplateTree},
};

/// No file of a test is larger.
const MOST_BYTES: usize = 64 << 20;

/// A file as a test lays it out.
#[derive(Debug)]
pub(super) struct FilePlan {
    pub path: String,
    pub body: Body,
    pub age: Duration,
}

#[derive(Debug)]
pub(super) enum Body {
    Absent,
    Directory,
    Json(TemplateTree),
    Text(Template),
    Lines {
        lines: Vec<TemplateTree>,
        repeat: usize,
        /// At the end of what is there.
        append: bool,
    },
    /// As it stands in the rules directory.
    Bytes(Vec<u8>),
    /// Only the time of the last write.
    Touch,
}

/// Why a file could not be laid out.
#[derive(Debug, thiserror::Error)]
pub(super) enum WorldError {
    #[error("could not {doing} {path}: {source}")]
    Io {
        doing: &'static str,
        path: String,
        source: io::Error,
    },
    #[error("{path}: {fault}")]
    Fault {
        path: String,
        fault: crate::script::Fault,
    },
    #[error("{0} is not there: there is nothing to touch")]
    NotThere(String),
    #[error("{0} is larger than 64 MiB")]
    TooLarge(String),
}

pub(super) struct World {
    root: tempfile::TempDir,
    /// What stood in each file at the start.
    start: BTreeMap<String, Option<Vec<u8>>>,
}

impl World {
    pub fn new() -> io::Result<World> {
        let root = tempfile::Builder::new()
            .prefix("homeostat-test-")
            .tempdir()?;
        for dir in WRITABLE {
            fs::create_dir(root.path().join(dir))?;
        }
        Ok(World {
            root,
            start: BTreeMap::new(),
        })
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// What stands there; nothing if it is no regular file.
    pub fn body(&self, path: &str) -> Option<Vec<u8>> {
        fs::read(self.at(path)).ok()
    }

    /// Whether anything stands there.
    pub fn is_there(&self, path: &str) -> bool {
        self.at(path).symlink_metadata().is_ok()
    }

    /// Remembers a file as it is at the start.
    pub fn remember(&mut self, path: &str) {
        let body = self.body(path);
        self.start.entry(path.to_owned()).or_insert(body);
    }

    pub fn is_unchanged(&self, path: &str) -> bool {
        let then = self.start.get(path).and_then(Option::as_deref);
        self.body(path).as_deref() == then
    }

    /// Lays a file out. A file that is written is a new one, as most programs write theirs; one that is appended to
    /// stays the same.
    pub fn put(&self, plan: &FilePlan, values: &Values<'_>, now: Moment) -> Result<(), WorldError> {
        let path = &plan.path;
        let failed = |doing| {
            move |source| WorldError::Io {
                doing,
                path: path.clone(),
                source,
            }
        };
        let file = self.at(path);
        match &plan.body {
            Body::Absent => self.clear(&file).map_err(failed("remove"))?,
            Body::Directory => {
                self.clear(&file).map_err(failed("remove"))?;
                fs::create_dir_all(&file).map_err(failed("make"))?;
                return Ok(());
            }
            Body::Touch if !file.is_file() => return Err(WorldError::NotThere(path.clone())),
            Body::Touch => {}
            Body::Lines { append: true, .. } if file.is_file() => {
                let body = self.filled(plan, values, now)?;
                let mut opened = File::options()
                    .append(true)
                    .open(&file)
                    .map_err(failed("open"))?;
                io::Write::write_all(&mut opened, &body).map_err(failed("write"))?;
            }
            _ => {
                let body = self.filled(plan, values, now)?;
                self.clear(&file).map_err(failed("remove"))?;
                if let Some(parent) = file.parent() {
                    fs::create_dir_all(parent).map_err(failed("make"))?;
                }
                fs::write(&file, body).map_err(failed("write"))?;
            }
        }
        match plan.body {
            Body::Absent => Ok(()),
            _ => self.touch(path, now.minus(plan.age)),
        }
    }

    fn clear(&self, file: &Path) -> io::Result<()> {
        match file.symlink_metadata() {
            Ok(found) if found.is_dir() => fs::remove_dir_all(file),
            Ok(_) => fs::remove_file(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn filled(
        &self,
        plan: &FilePlan,
        values: &Values<'_>,
        now: Moment,
    ) -> Result<Vec<u8>, WorldError> {
        let fault = |fault| WorldError::Fault {
            path: plan.path.clone(),
            fault,
        };
        let body = match &plan.body {
            Body::Json(tree) => {
                let value = values.render(tree, now, 0).map_err(fault)?;
                format!("{value:#}\n").into_bytes()
            }
            Body::Text(text) => values.render_text(text, now).map_err(fault)?.into_bytes(),
            Body::Bytes(bytes) => bytes.clone(),
            Body::Lines { lines, repeat, .. } => {
                let mut body = String::new();
                let all = std::iter::repeat_n(lines, *repeat).flatten();
                for (i, line) in all.enumerate() {
                    match values.render(line, now, i).map_err(fault)? {
                        Value::String(text) => body.push_str(&text),
                        value => body.push_str(&value.to_string()),
                    }
                    body.push('\n');
                    if body.len() > MOST_BYTES {
                        return Err(WorldError::TooLarge(plan.path.clone()));
                    }
                }
                body.into_bytes()
            }
            Body::Absent | Body::Directory | Body::Touch => Vec::new(),
        };
        Ok(body)
    }

    /// Sets the time of the last write. What is no file (any more) is left alone.
    pub fn touch(&self, path: &str, modified: Moment) -> Result<(), WorldError> {
        let file = self.at(path);
        if !file.is_file() {
            return Ok(());
        }
        let since = Duration::from_millis(u64::try_from(modified.0).unwrap_or(0));
        let time = SystemTime::UNIX_EPOCH + since;
        let opened = File::open(&file).and_then(|file| file.set_modified(time));
        opened.map_err(|source| WorldError::Io {
            doing: "touch",
            path: path.to_owned(),
            source,
        })
    }
}

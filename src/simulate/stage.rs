//! The root of one test: a temporary directory whose files have the ages that the test gives them.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use serde_json::Value;

use super::Files;
use crate::{
    model::{moment::Moment, node::Node},
    rules::testing::{BodyForm, FileForm},
    script::{Engine, Ground, Known, Scope, TemplateTree},
};

pub(super) struct Stage {
    dir: tempfile::TempDir,
    rules: PathBuf,
}

impl Stage {
    pub(super) fn new(rules: &Path) -> io::Result<Stage> {
        let dir = tempfile::tempdir()?;
        for name in crate::permission::WRITABLE {
            fs::create_dir(dir.path().join(name))?;
        }
        Ok(Stage {
            dir,
            rules: rules.to_owned(),
        })
    }

    pub(super) fn root(&self) -> &Path {
        self.dir.path()
    }

    /// Lays out or changes a file.
    pub(super) fn put(
        &self,
        file: &str,
        form: &FileForm,
        engine: &Engine,
        ground: &Ground,
    ) -> Result<(), String> {
        let path = self.root().join(file);
        let told = |error: io::Error| format!("could not lay out {file}: {error}");
        match form {
            FileForm::Absent => remove(&path).map_err(told),
            FileForm::Directory => {
                remove(&path).map_err(told)?;
                fs::create_dir_all(&path).map_err(told)
            }
            FileForm::Body(body) => {
                if let Some(bytes) = self.body(file, body, engine, ground)? {
                    if path.is_dir() {
                        remove(&path).map_err(told)?;
                    }
                    if let Some(parent) = path.parent() {
                        fs::create_dir_all(parent).map_err(told)?;
                    }
                    fs::write(&path, bytes).map_err(told)?;
                }
                let age = body.age.map_or(Duration::ZERO, |age| age.0);
                self.touch(file, ground.now.minus(age)).map_err(told)
            }
        }
    }

    /// What is to stand in a file; `None` when only its age changes.
    fn body(
        &self,
        file: &str,
        body: &BodyForm,
        engine: &Engine,
        ground: &Ground,
    ) -> Result<Option<Vec<u8>>, String> {
        if let Some(json) = &body.json {
            let mut text = serde_json::to_string_pretty(json).map_err(|error| error.to_string())?;
            text.push('\n');
            return Ok(Some(text.into_bytes()));
        }
        if let Some(text) = &body.text {
            return Ok(Some(text.clone().into_bytes()));
        }
        if let Some(from) = &body.from {
            return self.rule_file(from).map(Some);
        }
        if let Some(append) = &body.append {
            let mut text = fs::read(self.root().join(file)).unwrap_or_default();
            text.extend(lines(append, body.repeat, engine, ground)?.into_bytes());
            return Ok(Some(text));
        }
        match &body.lines {
            Some(some) => Ok(Some(lines(some, body.repeat, engine, ground)?.into_bytes())),
            None => Ok(None),
        }
    }

    /// The body of a file below the rules directory, named like `rules/defaults/x.json`.
    pub(super) fn rule_file(&self, from: &str) -> Result<Vec<u8>, String> {
        let path = self.rules.join(from.strip_prefix("rules/").unwrap_or(from));
        fs::read(&path).map_err(|error| format!("could not read {from}: {error}"))
    }

    /// Sets when a file was written.
    pub(super) fn touch(&self, file: &str, at: Moment) -> io::Result<()> {
        let time = UNIX_EPOCH + Duration::from_millis(at.0.max(0) as u64);
        match fs::File::open(self.root().join(file)) {
            Ok(open) => open.set_modified(time),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) fn read(&self, file: &str) -> Option<Vec<u8>> {
        fs::read(self.root().join(file)).ok()
    }

    pub(super) fn exists(&self, file: &str) -> bool {
        self.root().join(file).exists()
    }

    /// Every file there is.
    pub(super) fn files(&self) -> Files {
        let mut found = Files::new();
        let mut stack = vec![self.root().to_owned()];
        while let Some(path) = stack.pop() {
            if let Ok(entries) = fs::read_dir(&path) {
                stack.extend(entries.flatten().map(|entry| entry.path()));
            } else if let (Ok(name), Ok(body)) = (path.strip_prefix(self.root()), fs::read(&path)) {
                found.insert(name.to_string_lossy().into_owned(), body);
            }
        }
        found
    }
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The lines so many times over; `i` counts them from 0.
fn lines(
    some: &[Value],
    repeat: Option<u32>,
    engine: &Engine,
    ground: &Ground,
) -> Result<String, String> {
    let known = Known::ground(&ground.vars).with("i", Some(Value::from(0)));
    let mut trees = Vec::new();
    for line in some {
        let mut mistakes = Vec::new();
        let tree = TemplateTree::compile(engine, &Node::from_json(line), &known, &mut mistakes);
        match tree {
            Some(tree) => trees.push(tree),
            None => {
                let told: Vec<String> = mistakes.into_iter().map(|it| it.message).collect();
                return Err(told.join("; "));
            }
        }
    }
    let mut text = String::new();
    let mut scope = Scope::new(ground);
    let times = repeat.unwrap_or(1) as usize;
    for (index, tree) in (0..times).flat_map(|_| &trees).enumerate() {
        scope.bind("i", Value::from(index));
        let line = tree.render(engine, &scope).map_err(|fault| fault.message)?;
        match line {
            Value::String(line) => text.push_str(&line),
            other => text.push_str(&other.to_string()),
        }
        text.push('\n');
    }
    Ok(text)
}

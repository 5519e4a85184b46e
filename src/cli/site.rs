//! Where a command works: the root, its rules, and the engine's own directory below it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{arguments::Options, outcome::Failure};
use crate::permission::OWN;

#[derive(Clone, Debug)]
pub struct Site {
    /// Absolute, without links.
    pub root: PathBuf,
    /// Absolute. May not exist.
    pub rules: PathBuf,
    /// Whether `--rules` names another directory than the root's own.
    pub foreign: bool,
    /// `--set`.
    pub set: BTreeMap<String, Value>,
}

impl Site {
    pub fn of(options: &Options) -> Result<Site, Failure> {
        let said = options.root.as_deref().unwrap_or(Path::new("."));
        let root = said.canonicalize().map_err(|error| {
            Failure::usage(format!("there is no root {}: {error}", said.display()))
        })?;
        if !root.is_dir() {
            let message = format!("the root {} is no directory", said.display());
            return Err(Failure::usage(message));
        }
        let own = root.join("rules");
        let rules = match &options.rules {
            None => own.clone(),
            Some(rules) => std::path::absolute(rules).map_err(|error| {
                Failure::usage(format!("no rules at {}: {error}", rules.display()))
            })?,
        };
        Ok(Site {
            foreign: !same(&rules, &own),
            root,
            rules,
            set: options.overrides(),
        })
    }

    /// The same root with its own rules and nothing overridden.
    pub fn present(&self) -> Site {
        Site {
            rules: self.root.join("rules"),
            foreign: false,
            set: BTreeMap::new(),
            ..self.clone()
        }
    }

    /// The engine's own directory.
    pub fn own(&self) -> PathBuf {
        self.root.join(OWN)
    }

    /// Whether the command line says rules other than those an engine on this root has by itself.
    pub fn differs(&self) -> bool {
        self.foreign || !self.set.is_empty()
    }
}

/// Whether two paths mean one directory.
pub fn same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(root: &Path, rules: Option<PathBuf>) -> Options {
        Options {
            root: Some(root.to_owned()),
            rules,
            set: Vec::new(),
            json: false,
        }
    }

    #[test]
    fn rules_are_the_roots_own_unless_said_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("rules")).unwrap();
        let own = Site::of(&options(dir.path(), None)).unwrap();
        assert!(!own.foreign && own.rules.ends_with("rules"));
        let said = Site::of(&options(
            dir.path(),
            Some(dir.path().join("rules/../rules")),
        ))
        .unwrap();
        assert!(!said.foreign, "another way to the same directory");
        let other = Site::of(&options(dir.path(), Some("elsewhere".into()))).unwrap();
        assert!(other.foreign && other.rules.is_absolute());
        assert!(Site::of(&options(&dir.path().join("absent"), None)).is_err());
    }
}

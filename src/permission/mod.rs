//! Who may do what: below which directories steps write, what probes read, which programs start.
//!
//! Paths are resolved through directory handles, one component at a time, so neither `..` nor a symlink leads out, also
//! when somebody swaps a directory meanwhile. `homeostat.yaml` at the root widens the little that is allowed by default;
//! it is read at start and never hot-reloaded, so editing a rule cannot widen what rules may do.

pub mod settings;

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::model::moment::Moment;

pub use settings::Settings;

/// Steps write below these directories of the root and nowhere else.
pub const WRITABLE: [&str; 3] = ["data", "state", "logs"];
/// The engine's own: never a target of a step.
pub const OWN: &str = "state/homeostat";

#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// Not allowed: says what and why.
    #[error("{0}")]
    Forbidden(String),
    #[error("could not open {path}")]
    Io {
        path: String,
        #[source]
        source: std::io::Error,
    },
}

/// What may be read, written and started below one root.
pub struct Permission {
    pub(crate) root: PathBuf,
    pub(crate) dir: Arc<cap_std::fs::Dir>,
    pub(crate) settings: Settings,
    /// Journals and other files the engine writes itself, relative to the root: never a target of a step.
    pub(crate) reserved: Vec<String>,
}

/// An open regular file and what `fstat` said of it.
pub struct Opened {
    pub file: File,
    pub stat: Stat,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stat {
    pub size: u64,
    pub modified: Moment,
    /// Permission bits.
    pub mode: u32,
    pub device: u64,
    pub inode: u64,
    pub links: u64,
}

/// A place where a step may write: an open parent directory and the last component, checked.
pub struct Slot {
    pub dir: cap_std::fs::Dir,
    pub name: String,
    /// The path below the root, normalised.
    pub path: String,
}

impl Permission {
    pub fn new(root: &Path, settings: Settings) -> Result<Permission, Denied> {
        let dir = cap_std::fs::Dir::open_ambient_dir(root, cap_std::ambient_authority()).map_err(
            |source| Denied::Io {
                path: root.display().to_string(),
                source,
            },
        )?;
        Ok(Permission {
            root: root.to_owned(),
            dir: Arc::new(dir),
            settings,
            reserved: Vec::new(),
        })
    }

    /// Also protects these files (journals, metrics) from steps.
    pub fn reserving(mut self, files: impl IntoIterator<Item = String>) -> Permission {
        self.reserved.extend(files);
        self
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Opens a file for reading without blocking, only if it is regular. `Ok(None)`: there is nothing of that name.
    /// Anything that cannot be read (permission, a directory, a FIFO, a link that leads out) is an error.
    pub fn read(&self, path: &str) -> Result<Option<Opened>, Denied> {
        let _ = path;
        todo!()
    }

    /// What is there, without opening it. `Ok(None)`: nothing.
    pub fn stat(&self, path: &str) -> Result<Option<Stat>, Denied> {
        let _ = path;
        todo!()
    }

    /// Regular files below the root that match, sorted; more than `limit` is an error.
    pub fn glob(&self, pattern: &str, limit: usize) -> Result<Vec<String>, Denied> {
        let _ = (pattern, limit);
        todo!()
    }

    /// Checks that a step may write this file and opens its parent (which must exist unless `make_parents`).
    pub fn writable(&self, path: &str, make_parents: bool) -> Result<Slot, Denied> {
        let _ = (path, make_parents);
        todo!()
    }

    /// Checks that this program with these arguments may be started.
    pub fn may_run(&self, argv: &[String]) -> Result<(), Denied> {
        let _ = argv;
        todo!()
    }
}

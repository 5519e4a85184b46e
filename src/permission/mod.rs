//! Who may do what: below which directories steps write, what probes read, which programs start, which hosts are reached.
//!
//! Paths are resolved through directory handles, one component at a time, so neither `..` nor a symlink leads out, also
//! when somebody swaps a directory meanwhile. `homeostat.yaml` at the root widens the little that is allowed by default;
//! it is read at start and never hot-reloaded, so editing a rule cannot widen what rules may do.
//!
//! | file | answers |
//! |---|---|
//! | [`reading`] | what is there, and may a probe open it |
//! | [`parents`] | the same with one system call |
//! | [`finding`] | which files match a pattern |
//! | [`writing`] | may a step write here |
//! | [`running`] | may this program be started |
//! | [`signalling`] | may this process be signalled |
//! | [`restarting`] | may this unit be restarted |
//! | [`reaching`] | may this host be connected to |
//! | [`secrets`] | what is never told |
//! | [`tokens`] | whose token is it |
//! | [`exposed`] | could anybody rewrite the rules |

pub mod exposed;
pub mod finding;
mod parents;
pub mod reaching;
pub mod reading;
pub mod restarting;
pub mod running;
pub mod secrets;
pub mod settings;
mod signalling;
pub mod tokens;
pub mod writing;

use std::{
    fs::File,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use crate::model::moment::Moment;

pub use exposed::writable_by_everybody;
pub use finding::Pattern;
pub use secrets::Secrets;
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

impl Denied {
    fn forbidden(text: impl Into<String>) -> Denied {
        Denied::Forbidden(text.into())
    }

    fn io(path: impl Into<String>, source: std::io::Error) -> Denied {
        Denied::Io {
            path: path.into(),
            source,
        }
    }

    /// The whole story in one line, cause included.
    pub fn told(&self) -> String {
        match self {
            Denied::Forbidden(text) => text.clone(),
            Denied::Io { source, .. } => format!("{self}: {source}"),
        }
    }
}

/// What may be read, written, started and reached from one root.
pub struct Permission {
    /// Absolute, without symlinks.
    pub(crate) root: PathBuf,
    /// The root as it was given, made absolute: rules may name it so.
    given: PathBuf,
    pub(crate) dir: Arc<cap_std::fs::Dir>,
    pub(crate) settings: Settings,
    parents: parents::Parents,
    /// Programs that may be started: `settings.allow.run`, read.
    runs: Vec<running::Allowed>,
    /// Processes that may be signalled: `settings.allow.signal`, read.
    signals: Vec<running::Allowed>,
    /// Units that may be restarted: `settings.allow.units`, read.
    units: Vec<restarting::Allowed>,
    /// Hosts that may be reached besides loopback: `settings.allow.reach`, read.
    reaches: Vec<reaching::Allowed>,
    /// Journals and other files the engine writes itself, relative to the root: never a target of a step.
    pub(crate) reserved: Vec<String>,
    /// What is never told.
    secrets: Arc<Secrets>,
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
    /// Opens the root and reads what the settings allow; an error if the root is no directory or an entry of `allow` is
    /// not understood.
    pub fn new(root: &Path, settings: Settings) -> Result<Permission, Denied> {
        let opening = |source| Denied::io(root.display().to_string(), source);
        let given = std::path::absolute(root).map_err(opening)?;
        let root = given.canonicalize().map_err(opening)?;
        let dir = cap_std::fs::Dir::open_ambient_dir(&root, cap_std::ambient_authority())
            .map_err(opening)?;
        let runs = settings
            .allow
            .run
            .iter()
            .map(|pattern| running::Allowed::parse(pattern).map_err(Denied::Forbidden))
            .collect::<Result<_, _>>()?;
        let signals = settings
            .allow
            .signal
            .iter()
            .map(|pattern| running::Allowed::of_process(pattern).map_err(Denied::Forbidden))
            .collect::<Result<_, _>>()?;
        let units = settings
            .allow
            .units
            .iter()
            .map(|entry| restarting::Allowed::parse(entry).map_err(Denied::Forbidden))
            .collect::<Result<_, _>>()?;
        restarting::program(&settings.systemctl).map_err(Denied::Forbidden)?;
        let reaches = settings
            .allow
            .reach
            .iter()
            .map(|entry| reaching::Allowed::parse(entry).map_err(Denied::Forbidden))
            .collect::<Result<_, _>>()?;
        if let Some(path) = settings.allow.read.iter().find(|path| !is_plain(path)) {
            return Err(Denied::forbidden(format!(
                "allow.read: `{path}` is no absolute path without `..`"
            )));
        }
        Ok(Permission {
            root,
            given,
            dir: Arc::new(dir),
            settings,
            parents: parents::Parents::default(),
            runs,
            signals,
            units,
            reaches,
            reserved: Vec::new(),
            secrets: Arc::default(),
        })
    }

    /// Also protects these files (journals, metrics) from steps.
    pub fn reserving(mut self, files: impl IntoIterator<Item = String>) -> Permission {
        self.reserved.extend(files);
        self
    }

    /// Never tells these.
    pub fn hiding(mut self, secrets: Arc<Secrets>) -> Permission {
        self.secrets = secrets;
        self
    }

    /// What is never told.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The root, absolute and without symlinks.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// An absolute path as one below the root, if it is.
    fn below_root<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        path.strip_prefix(&self.root)
            .or_else(|_| path.strip_prefix(&self.given))
            .ok()
    }
}

/// Absolute and without `..`.
fn is_plain(path: impl AsRef<Path>) -> bool {
    let path = path.as_ref();
    path.is_absolute()
        && path
            .components()
            .all(|part| !matches!(part, Component::ParentDir))
}

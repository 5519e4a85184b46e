//! A book: a whole rule set, loaded, checked and compiled. Immutable.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::{Map, Value};

use crate::{
    incident::Policy,
    model::{
        Generation, Name,
        node::Node,
        outline::{CheckOutline, Outline},
        text::Place,
    },
    notify::Channel,
    probe::Probe,
    remediation::StepPlan,
    script::Expr,
    threshold::Judging,
};

pub struct Book {
    pub generation: Generation,
    pub outline: Arc<Outline>,
    pub checks: BTreeMap<Name, Arc<Check>>,
    pub investigations: BTreeMap<Name, Arc<Investigation>>,
    pub notifiers: BTreeMap<Name, Arc<Notifier>>,
    /// Who is told of the incidents of each check from their opening, where anybody is.
    pub listeners: BTreeMap<Name, Vec<Name>>,
    /// `vars:` of all files with `--set` applied.
    pub vars: Arc<Map<String, Value>>,
    pub tests: Vec<Arc<Test>>,
    /// Where the name of each calendar stands.
    pub calendars: BTreeMap<Name, Place>,
    /// (path relative to the rules directory, text) of every file the generation was made of, scripts and defaults included.
    pub sources: Arc<BTreeMap<String, Arc<[u8]>>>,
    /// Every file the book's checks write by themselves (`journal`, `publish`): no step may write them.
    pub reserved: Vec<String>,
}

pub struct Check {
    pub name: Name,
    pub about: Option<String>,
    pub tags: Vec<String>,
    /// Notifiers that it names itself.
    pub notify: Vec<Name>,
    /// Where its name stands.
    pub place: Place,
    pub probes: Probes,
    pub judging: Judging,
    pub remediation: Option<Remediation>,
    /// Relative to the root.
    pub journal: Option<String>,
    pub outline: Arc<CheckOutline>,
}

pub enum Probes {
    /// Its facts are names by themselves.
    One(Arc<dyn Probe>),
    /// Each one's facts stand as an object under its name.
    Many(Vec<(String, Arc<dyn Probe>)>),
}

impl Probes {
    /// Heartbeats they wait for.
    pub fn heartbeats(&self) -> Vec<Name> {
        match self {
            Probes::One(probe) => probe.heartbeats(),
            Probes::Many(probes) => probes
                .iter()
                .flat_map(|(_, probe)| probe.heartbeats())
                .collect(),
        }
    }
}

pub struct Remediation {
    pub ladder: Vec<Vec<StepPlan>>,
    pub until: Option<Expr>,
}

pub struct Investigation {
    pub name: Name,
    pub about: Option<String>,
    pub place: Place,
    /// The record's `trigger` when started by its trigger.
    pub cause: String,
    /// (check, the name under which the record knows it).
    pub checks: Vec<(Name, String)>,
    pub journal: Option<String>,
}

/// Whom `notify` and `escalate` may name.
pub struct Notifier {
    pub name: Name,
    pub about: Option<String>,
    /// The file to which every page and notice is written as a line, relative to the root.
    pub journal: Option<String>,
    pub channels: Vec<Arc<dyn Channel>>,
    pub which: Which,
    pub policy: Policy,
}

/// The checks of which a notifier is told, though they do not name it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Which {
    pub all: bool,
    pub checks: BTreeSet<Name>,
    pub tags: BTreeSet<String>,
    pub layers: BTreeSet<String>,
}

impl Which {
    pub fn holds(&self, check: &Check) -> bool {
        self.all
            || self.checks.contains(&check.name)
            || check.tags.iter().any(|tag| self.tags.contains(tag))
            || self.layers.contains(check.layer())
    }
}

impl Check {
    /// The group it is shown in: its first tag, else the name of its file.
    pub fn layer(&self) -> &str {
        match self.tags.first() {
            Some(tag) => tag,
            None => {
                let file = std::path::Path::new(&*self.place.file);
                file.file_stem()
                    .and_then(|stem| stem.to_str())
                    .unwrap_or_default()
            }
        }
    }
}

/// One entry of a `tests:` block, read by `simulate`.
pub struct Test {
    pub name: String,
    pub place: Place,
    pub body: Node,
}

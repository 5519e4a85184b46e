//! A book: a whole rule set, loaded, checked and compiled. Immutable.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value};

use crate::{
    model::{
        Generation, Name,
        node::Node,
        outline::{CheckOutline, Outline},
        text::Place,
    },
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

/// Whom `escalate` may name.
#[derive(Debug)]
pub struct Notifier {
    pub name: Name,
    pub about: Option<String>,
    /// The file to which every page is written as a line, relative to the root.
    pub journal: Option<String>,
}

/// One entry of a `tests:` block, read by `simulate`.
pub struct Test {
    pub name: String,
    pub place: Place,
    pub body: Node,
}

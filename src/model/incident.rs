//! An incident: a problem that people are told of, with everything that follows from one cause. What opens, moves and
//! ends one is the business of `incident`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Name, moment::Moment, status::Status};

/// Grows by one with every incident, for ever.
pub type IncidentId = u64;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    pub id: IncidentId,
    /// The root cause; `None` for a storm, whose cause nobody knows.
    pub check: Option<Name>,
    pub opened: Moment,
    pub ended: Option<Ended>,
    /// The worst of its checks now; of an ended one, the worst it ever was.
    pub status: Status,
    /// The worst it ever was.
    pub peak: Status,
    /// What the root cause said last, or the worst of the others once that is well.
    pub message: String,
    /// Every check that belonged to it.
    pub members: BTreeMap<Name, Member>,
    #[serde(default)]
    pub acknowledged: Option<Acknowledged>,
    /// Nobody acknowledged it in time, so that others were told.
    #[serde(default)]
    pub escalated: bool,
    /// Why the engine could not help itself, as it was said last.
    #[serde(default)]
    pub why: Option<String>,
    /// The repair that was proven last.
    #[serde(default)]
    pub repair: Option<String>,
    /// Notifiers that are to be told, or were.
    #[serde(default)]
    pub listeners: BTreeMap<Name, Listener>,
}

/// A check of an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// As it counts for the incident: OK once it is well again; UNKNOWN changes nothing.
    pub status: Status,
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    pub at: Moment,
    pub how: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// All of its checks are OK.
    Recovered,
    /// It turned out to follow from the cause of another one.
    Joined(IncidentId),
    /// Its checks are gone from the rules.
    Removed,
}

/// A person has it in hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Acknowledged {
    pub at: Moment,
    pub by: String,
    pub reason: String,
    /// After this nobody has it in hand any more.
    #[serde(default)]
    pub until: Option<Moment>,
}

/// What a notifier was told of an incident, or is to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listener {
    /// To be told from then on, if the incident still stands.
    pub due: Moment,
    /// When it was told of the opening.
    pub told: Option<Moment>,
    /// The worst it was told.
    pub status: Option<Status>,
    /// When it was told anything last.
    pub last: Option<Moment>,
    pub because: Because,
    /// Why it is not told although it is time.
    #[serde(default)]
    pub muted: Option<String>,
    /// Its quiet hours kept it from being told.
    #[serde(default)]
    pub quieted: bool,
    /// It is to be told of changes then.
    #[serde(default)]
    pub owed: Option<Moment>,
    /// It did not acknowledge in time, and others were told.
    #[serde(default)]
    pub passed: bool,
}

/// Why a notifier is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// A rule wants it told of such incidents.
    Named,
    /// The engine cannot help itself.
    Paged,
    /// This notifier did not acknowledge in time.
    Escalated(Name),
}

impl Incident {
    pub fn is_open(&self) -> bool {
        self.ended.is_none()
    }

    /// What it is called: its root cause, or `storm`.
    pub fn title(&self) -> &str {
        self.check.as_deref().unwrap_or("storm")
    }
}

//! What is remembered of a check between looks, and of its remediation between repairs.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Name, moment::Moment, status::Status, verdict::Latch};

/// What is remembered of a check. Survives reload and restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// The status that counts, after patience. UNKNOWN before the first look.
    pub status: Status,
    pub message: String,
    /// Since when `status` has stood.
    pub since: Moment,
    /// Since when there has been no OK look; UNKNOWN does not end it. Recovery time runs from here.
    pub bad_since: Option<Moment>,
    pub looked: Option<Moment>,
    /// The last looks by themselves, oldest first, at most as many as `for: k of n` needs.
    pub recent: Vec<Status>,
    /// OK looks in a row while a problem stands.
    pub good: u32,
    /// Looks in a row with the status of the last one.
    pub streak: u32,
    pub prior: Arc<Prior>,
    /// What held its remediation at the last look, if anything did.
    pub held_by: Option<HeldBy>,
    /// When it last went from OK to bad. A storm is many of these at once.
    #[serde(default)]
    pub turned: Option<Moment>,
    /// Guards that people were paged about since the problem began.
    #[serde(default)]
    pub paged: BTreeSet<HeldBy>,
    /// Its calendar is closed: it is shown as OK and not looked at.
    #[serde(default)]
    pub outside: Option<Outside>,
}

/// A check outside its calendar. What stood when it closed is neither over nor told anew: the first look after the
/// opening goes on from there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outside {
    pub calendar: Name,
    /// When it opens, if that is known.
    pub opens: Option<Moment>,
    /// The status that counted when it closed.
    pub stood: Status,
}

impl Standing {
    /// Before the first look.
    pub fn unseen(now: Moment) -> Standing {
        Standing {
            status: Status::Unknown,
            message: "not looked at yet".to_owned(),
            since: now,
            bad_since: None,
            looked: None,
            recent: Vec::new(),
            good: 0,
            streak: 0,
            prior: Arc::new(Prior::default()),
            held_by: None,
            turned: None,
            paged: BTreeSet::new(),
            outside: None,
        }
    }
}

/// What judging needs to know of the look before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// The status of the last look by itself; `None` before the first.
    pub status: Option<Status>,
    pub lets: Map<String, Value>,
    /// `None` before the first `keep`: then `keep_start` counts.
    pub kept: Option<Map<String, Value>>,
    pub latch: Latch,
    /// What a person confirmed, if anybody did. Stands until it is confirmed anew or forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
}

/// A value that a person says is meant so: what a check's `baseline` gave when it was confirmed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Baseline {
    pub value: Value,
    pub at: Moment,
    pub by: String,
    pub reason: String,
}

/// What a remediation has spent. Kept by name, also over a reload that changes or removes the check.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// When rungs were begun, oldest first; only those inside the longest window are kept.
    pub begun: Vec<Moment>,
    /// When the last ladder ended; the cooldown runs from here.
    pub rested: Option<Moment>,
    /// Unverified repairs in a row: what the breaker counts.
    pub unverified: u32,
    /// Repairs that did not help since the check was last healthy for long enough: what the backoff grows with.
    #[serde(default)]
    pub tries: u32,
    /// When the last of these ended; the backoff runs from here.
    #[serde(default, alias = "failed")]
    pub tried: Option<Moment>,
    /// The rung a ladder under way comes to next; 0 when none is.
    pub rung: usize,
    /// Hash of the ladder that `rung` belongs to.
    pub ladder: String,
    /// The attempts of the ladder under way, oldest first: what a rollback undoes.
    pub climbed: Vec<u64>,
    /// Since when the remediation is quarantined, if it is.
    pub quarantined: Option<Moment>,
}

/// The kill switch: while it is on, no new remediation starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Pause {
    pub at: Moment,
    pub by: String,
    pub reason: String,
    pub until: Option<Moment>,
}

/// Neither repaired nor told of for a while, because a person said so. Looking and recording go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Silence {
    /// Grows by one with every silence.
    pub id: u64,
    /// Names of checks; empty means all of them.
    pub checks: Vec<Name>,
    pub at: Moment,
    pub until: Moment,
    pub by: String,
    pub reason: String,
}

impl Silence {
    pub fn covers(&self, check: &str, now: Moment) -> bool {
        now < self.until
            && (self.checks.is_empty() || self.checks.iter().any(|name| **name == *check))
    }
}

/// So many checks turned bad together that the cause is taken to lie elsewhere: all remediation waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Storm {
    pub began: Moment,
    /// When the last check turned.
    pub last: Moment,
    /// When it is over, if nothing else happens.
    pub until: Moment,
    /// How many had turned when it began.
    pub turned: usize,
    /// Those that are not OK yet.
    pub checks: BTreeSet<Name>,
    /// With fewer than these it is over soon after the last one turned.
    pub threshold: usize,
}

/// What a guard says when it holds a remediation: by what, until when, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub by: HeldBy,
    /// `None`: until something else happens, which `why` names.
    pub until: Option<Moment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Hold {
    pub fn by(by: HeldBy) -> Hold {
        Hold {
            by,
            until: None,
            why: None,
        }
    }

    pub fn until(self, until: Moment) -> Hold {
        Hold {
            until: Some(until),
            ..self
        }
    }

    pub fn because(self, why: impl Into<String>) -> Hold {
        Hold {
            why: Some(why.into()),
            ..self
        }
    }
}

/// What held a remediation back.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum HeldBy {
    Cooldown,
    Limit,
    Backoff,
    Breaker,
    Storm,
    Silence,
    Dependency,
    Pause,
    /// The calendar of `quiet` is open.
    Quiet,
    Permission,
    Approval,
    Settling,
    Clock,
    Conflict,
    /// Another attempt of this check is under way.
    InFlight,
    /// The intent could not be made durable.
    Store,
    /// Nothing to do: the step found no target.
    NoTarget,
    /// More targets than a step may have.
    TooMany,
    /// Asked only to look (`--no-fix`).
    LookOnly,
}

impl HeldBy {
    pub fn word(self) -> &'static str {
        match self {
            HeldBy::Cooldown => "cooldown",
            HeldBy::Limit => "limit",
            HeldBy::Backoff => "backoff",
            HeldBy::Breaker => "breaker",
            HeldBy::Storm => "storm",
            HeldBy::Silence => "silence",
            HeldBy::Dependency => "dependency",
            HeldBy::Pause => "pause",
            HeldBy::Quiet => "quiet",
            HeldBy::Permission => "permission",
            HeldBy::Approval => "approval",
            HeldBy::Settling => "settling",
            HeldBy::Clock => "clock",
            HeldBy::Conflict => "conflict",
            HeldBy::InFlight => "in_flight",
            HeldBy::Store => "store",
            HeldBy::NoTarget => "no_target",
            HeldBy::TooMany => "too_many",
            HeldBy::LookOnly => "look_only",
        }
    }
}

impl std::fmt::Display for HeldBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

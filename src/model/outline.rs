//! What the core needs of a book: names, triggers, deadlines, patience, ladders, guards. A plain value that `rules/`
//! makes; the expressions and templates stay in the book.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    Generation, Name,
    calendar::{Calendar, Cron},
    status::Status,
};

/// One generation of rules, as the core sees it.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    pub generation: Generation,
    pub checks: BTreeMap<Name, Arc<CheckOutline>>,
    pub investigations: BTreeMap<Name, Arc<InvestigationOutline>>,
    /// What `during` and `quiet` name.
    pub calendars: BTreeMap<Name, Arc<Calendar>>,
}

impl Outline {
    /// The same checks without slots and events: nothing is looked at unless a round asks. For one-off commands.
    pub fn at_rest(&self) -> Outline {
        let mut outline = self.clone();
        for check in outline.checks.values_mut() {
            let check = Arc::make_mut(check);
            check.trigger = check.trigger.at_rest();
        }
        for investigation in outline.investigations.values_mut() {
            let investigation = Arc::make_mut(investigation);
            investigation.trigger = investigation.trigger.at_rest();
        }
        outline
    }
}

#[derive(Clone, Debug)]
pub struct CheckOutline {
    pub name: Name,
    /// Hash of everything the check says; another one means the check was changed.
    pub fingerprint: String,
    pub trigger: Trigger,
    /// A look that takes longer is UNKNOWN and its late answer is dropped.
    pub deadline: Duration,
    pub patience: Patience,
    pub remediation: Option<Arc<RemediationOutline>>,
    pub needs: Vec<Name>,
}

#[derive(Clone, Debug)]
pub struct InvestigationOutline {
    pub name: Name,
    pub fingerprint: String,
    pub trigger: Trigger,
    /// So long after it began, events begin it no second time.
    pub cooldown: Duration,
    pub checks: Vec<Name>,
}

/// When to look.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trigger {
    pub every: Option<Duration>,
    /// Spread over the interval by a hash of the name.
    pub splay: bool,
    /// Instead of `every`.
    pub cron: Option<Cron>,
    pub events: Vec<EventTrigger>,
    /// Outside this calendar nothing is looked at.
    pub during: Option<Name>,
    /// While this calendar is open nothing is repaired and nobody told.
    pub quiet: Option<Name>,
}

impl Trigger {
    /// Whether it has slots.
    pub fn has_slots(&self) -> bool {
        self.every.is_some() || self.cron.is_some()
    }

    /// Whether anything sets it off by itself.
    pub fn is_at_rest(&self) -> bool {
        !self.has_slots() && self.events.is_empty()
    }

    /// Set off by nothing, with its calendars.
    pub fn at_rest(&self) -> Trigger {
        Trigger {
            during: self.during.clone(),
            quiet: self.quiet.clone(),
            ..Trigger::default()
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum EventTrigger {
    /// At every look of `check` that gives one of `status`.
    Check { check: Name, status: Vec<Status> },
    /// The file (relative to the root) changed, appeared or vanished.
    File { file: String },
    /// Posted to the API or raised by a step.
    Event { event: String },
}

/// How often in a row (or `bad` of `of`) a status must be seen before it counts, and how often OK before it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patience {
    pub bad: u32,
    pub of: u32,
    pub recover: u32,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            bad: 1,
            of: 1,
            recover: 1,
        }
    }
}

/// What the core needs of a remediation. An attempt freezes it, so it is stored with the attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RemediationOutline {
    pub when: Vec<Status>,
    /// Kinds of the steps of each rung.
    pub ladder: Vec<Vec<String>>,
    /// Hash of the ladder as written; another one means the ladder was changed.
    pub fingerprint: String,
    pub verify: Verify,
    pub guard: Guard,
    /// A person must approve every rung.
    pub approve: bool,
    /// A proposal that nobody approved by then has expired.
    #[serde(default = "an_hour")]
    pub approve_within: Duration,
    pub rollback: bool,
    pub escalate: Vec<Name>,
}

/// How long a proposal waits if its rule does not say.
pub const APPROVE_WITHIN: Duration = Duration::from_secs(3600);

fn an_hour() -> Duration {
    APPROVE_WITHIN
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verify {
    pub after: Duration,
    pub within: Duration,
    /// These must be looked at afresh and be OK too.
    pub checks: Vec<Name>,
}

/// The limits of a remediation. The defaults are on without writing anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    /// Least time between the end of one ladder and the start of the next.
    pub cooldown: Duration,
    /// At most `limit` rungs in any window of this length. In-flight ones count.
    pub limit: u32,
    pub window: Duration,
    /// Wait before the next attempt after one that did not help: doubling from the first to the second.
    pub backoff: (Duration, Duration),
    /// After so many unverified repairs in a row the remediation is quarantined.
    pub breaker: u32,
}

impl Default for Guard {
    fn default() -> Guard {
        Guard {
            cooldown: Duration::from_secs(600),
            limit: 3,
            window: Duration::from_secs(3600),
            backoff: (Duration::from_secs(10), Duration::from_secs(300)),
            breaker: 3,
        }
    }
}

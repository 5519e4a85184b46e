//! An attempt at one rung of a ladder, and the rows in which all of this is stored.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Generation, Name,
    moment::Moment,
    outline::RemediationOutline,
    standing::{Budget, HeldBy, Pause, Standing},
    status::Status,
    step::Receipt,
};

/// Grows by one with every attempt, for ever.
pub type AttemptId = u64;

/// One rung being climbed. Its plan and generation are frozen when it is intended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    pub id: AttemptId,
    pub check: Name,
    pub generation: Generation,
    /// From 0.
    pub rung: usize,
    pub remediation: Arc<RemediationOutline>,
    pub phase: Phase,
    pub begun: Moment,
    /// When the check turned bad: recovery time runs from here.
    pub bad_since: Moment,
    pub acted: Option<Moment>,
    pub receipts: Vec<Receipt>,
    /// The verdict that led to it.
    pub before: Brief,
    /// The last verdict seen while verifying.
    pub after: Option<Brief>,
    /// A single trial of a quarantined remediation.
    pub trial: bool,
    /// The round (a `check` command, an investigation) that asked for it.
    pub round: Option<u64>,
    /// What withheld it, when it ended so.
    #[serde(default)]
    pub withheld: Option<HeldBy>,
    /// A check that is to prove it is outside its calendar until then: so long the clock of its verification stands.
    #[serde(default)]
    pub opens: Option<Moment>,
}

impl Attempt {
    pub fn is_open(&self) -> bool {
        !matches!(self.phase, Phase::Ended { .. })
    }

    /// How it ended, if it has.
    pub fn end(&self) -> Option<End> {
        match self.phase {
            Phase::Ended { end, .. } => Some(end),
            _ => None,
        }
    }

    /// Whether a rung's steps all went through (not yet whether they helped).
    pub fn was_done(&self) -> bool {
        use super::step::Outcome;
        !self.receipts.is_empty()
            && self
                .receipts
                .iter()
                .all(|receipt| receipt.outcome == Outcome::Done)
    }
}

/// A status and its message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Brief {
    pub status: Status,
    pub message: String,
}

/// intended → acting → settling → verifying → ended. Acting begins only when the intent is durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "phase")]
pub enum Phase {
    Intended,
    Acting,
    Settling {
        until: Moment,
    },
    Verifying {
        until: Moment,
    },
    /// The ladder is exhausted and what it did is being undone.
    RollingBack,
    /// The engine died between intent and outcome: only looked at again.
    Interrupted {
        until: Moment,
    },
    Ended {
        at: Moment,
        end: End,
    },
}

impl Phase {
    /// Until when this phase lasts, where it has an end.
    pub fn until(&self) -> Option<Moment> {
        match self {
            Phase::Settling { until }
            | Phase::Verifying { until }
            | Phase::Interrupted { until } => Some(*until),
            Phase::Intended | Phase::Acting | Phase::RollingBack | Phase::Ended { .. } => None,
        }
    }

    /// Moves its end by so many milliseconds, when the clock jumped.
    pub fn shift(&mut self, by: i64) {
        if let Phase::Settling { until }
        | Phase::Verifying { until }
        | Phase::Interrupted { until } = self
        {
            until.0 = until.0.saturating_add(by);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    Verified,
    Failed,
    /// Its ladder was changed meanwhile and it did not help.
    Superseded,
    /// Interrupted, and the check was not OK when looked at again.
    Interrupted,
    /// Nothing was done: a guard held it at the last moment, or there was nothing to do.
    Withheld,
    /// Prepared by dry hands; nothing was done, so there is nothing to verify.
    Would,
}

/// What is persisted. Written in order; the last row of a key counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Row {
    Standing {
        check: Name,
        standing: Standing,
    },
    /// Must be durable before anything is done. The budget is the one that already counts it.
    Intent {
        attempt: Attempt,
        budget: Budget,
    },
    /// A later phase of an attempt.
    Attempt {
        attempt: Attempt,
        budget: Budget,
    },
    /// A ladder's position or cooldown changed without an attempt.
    Budget {
        check: Name,
        budget: Budget,
    },
    Change {
        check: Name,
        at: Moment,
        from: Status,
        to: Status,
        message: String,
    },
    /// A guard began to hold a remediation (written when it begins, not at every look).
    Held {
        check: Name,
        at: Moment,
        by: HeldBy,
        until: Option<Moment>,
    },
    Pause(Option<Pause>),
    /// Something people are told of: `quarantined`, `rearmed`, `escalated`, `interrupted`.
    Note {
        check: Name,
        at: Moment,
        kind: NoteKind,
        text: String,
        to: Vec<Name>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    Quarantined,
    Rearmed,
    Escalated,
    RolledBack,
    Interrupted,
}

/// What a store gives back at start: everything needed to go on.
#[derive(Clone, Debug, Default)]
pub struct Saved {
    pub standings: Vec<(Name, Standing)>,
    pub budgets: Vec<(Name, Budget)>,
    /// Open attempts only.
    pub attempts: Vec<Attempt>,
    pub pause: Option<Pause>,
    /// Greater than every id ever given.
    pub next_attempt: AttemptId,
}

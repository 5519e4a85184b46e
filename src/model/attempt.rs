//! An attempt at one rung of a ladder, and the rows in which all of this is stored.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    Generation, Name,
    incident::Incident,
    moment::Moment,
    notice::{Delivery, Post, Told},
    outline::RemediationOutline,
    standing::{Budget, Hold, Pause, Silence, Standing, Storm},
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
    #[serde(default, deserialize_with = "hold")]
    pub withheld: Option<Hold>,
    /// What its steps act on, as far as they were prepared: nobody else acts on it until the attempt has ended.
    #[serde(default)]
    pub targets: Vec<String>,
    /// Who approved it, where a person must.
    #[serde(default)]
    pub approved: Option<Approved>,
    /// A check that is to prove it is outside its calendar until then: so long the clock of its verification stands.
    #[serde(default)]
    pub opens: Option<Moment>,
}

/// A person said yes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Approved {
    pub at: Moment,
    pub by: String,
}

/// Older stores hold the bare name of the guard.
fn hold<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Option<Hold>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Hold(Hold),
        By(super::standing::HeldBy),
    }
    Ok(Option::<Either>::deserialize(input)?.map(|it| match it {
        Either::Hold(hold) => hold,
        Either::By(by) => Hold::by(by),
    }))
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Brief {
    pub status: Status,
    pub message: String,
}

/// intended → acting → settling → verifying → ended. Acting begins only when the intent is durable. With `approve: true`
/// it is proposed first and goes on when a person approves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "phase")]
pub enum Phase {
    /// Waits for a person until then.
    Proposed {
        until: Moment,
    },
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
            Phase::Proposed { until }
            | Phase::Settling { until }
            | Phase::Verifying { until }
            | Phase::Interrupted { until } => Some(*until),
            Phase::Intended | Phase::Acting | Phase::RollingBack | Phase::Ended { .. } => None,
        }
    }

    /// Moves its end by so many milliseconds, when the clock jumped.
    pub fn shift(&mut self, by: i64) {
        if let Phase::Proposed { until }
        | Phase::Settling { until }
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
    /// A person said no.
    Denied,
    /// Nobody said yes in time.
    Expired,
    /// What was proposed is no longer needed, or no longer in the rules.
    Withdrawn,
}

impl End {
    /// As it is written everywhere.
    pub fn word(self) -> &'static str {
        match self {
            End::Verified => "verified",
            End::Failed => "failed",
            End::Superseded => "superseded",
            End::Interrupted => "interrupted",
            End::Withheld => "withheld",
            End::Would => "would",
            End::Denied => "denied",
            End::Expired => "expired",
            End::Withdrawn => "withdrawn",
        }
    }
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
        hold: Hold,
    },
    Pause(Option<Pause>),
    /// Every pause of a single check that has not ended.
    Pauses(BTreeMap<Name, Pause>),
    /// Every silence that has not ended.
    Silences(Vec<Silence>),
    Storm(Option<Storm>),
    /// Something that happened to a remediation. Without a check it is about all of them.
    Note {
        check: Option<Name>,
        at: Moment,
        kind: NoteKind,
        text: String,
        /// Whom it was meant for.
        to: Vec<Name>,
    },
    /// People must know.
    Page(Page),
    /// Incidents and what is told of them.
    Told(Box<Told>),
    /// How a delivery went.
    Delivery(Box<Delivery>),
    /// Something elsewhere said that it is alive.
    Heartbeat {
        name: Name,
        at: Moment,
        payload: serde_json::Value,
    },
}

/// What people must know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page {
    pub at: Moment,
    /// `None` when it is about all of them.
    pub check: Option<Name>,
    pub kind: NoteKind,
    pub text: String,
    /// Notifiers. Nobody is named where no rule names anybody; it is kept all the same.
    pub to: Vec<Name>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    Quarantined,
    Rearmed,
    /// The ladder is exhausted.
    Escalated,
    RolledBack,
    Interrupted,
    /// Waits for a person to approve it.
    Proposed,
    Approved,
    Denied,
    Expired,
    /// What was proposed is no longer needed.
    Withdrawn,
    /// A guard holds the remediation of a critical check.
    Held,
    StormBegan,
    StormEnded,
    /// A person confirmed a baseline.
    Confirmed,
    /// A person took a baseline back.
    Forgotten,
    /// A person saved a rule file.
    Edited,
}

/// What a store gives back at start: everything needed to go on.
#[derive(Clone, Debug, Default)]
pub struct Saved {
    pub standings: Vec<(Name, Standing)>,
    pub budgets: Vec<(Name, Budget)>,
    /// Open attempts only.
    pub attempts: Vec<Attempt>,
    pub pause: Option<Pause>,
    /// Pauses of single checks.
    pub pauses: BTreeMap<Name, Pause>,
    pub silences: Vec<Silence>,
    pub storm: Option<Storm>,
    /// (name, when it was heard last, what it brought).
    pub heartbeats: Vec<(Name, Moment, serde_json::Value)>,
    /// Greater than every id ever given.
    pub next_attempt: AttemptId,
    /// Open ones.
    pub incidents: Vec<Incident>,
    /// Those that wait, in the order of their notices, and ended ones of open incidents by which their receivers know them.
    pub deliveries: Vec<Delivery>,
    pub post: Option<Post>,
}

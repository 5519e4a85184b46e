//! What the core says of a judged look and of a finished round.

use std::sync::Arc;

use serde::Serialize;

use super::{
    Name,
    attempt::{Attempt, AttemptId},
    moment::Moment,
    standing::Hold,
    status::Status,
    verdict::Verdict,
};

/// Names one look. Late answers (after the deadline, or of a check that was removed meanwhile) are dropped by it.
pub type Ticket = u64;

/// Why a look was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Its slot came.
    Slot,
    Event,
    /// To see whether a repair helped.
    Verify,
    /// A person or an investigation asked.
    Round,
}

/// One judged look.
#[derive(Clone, Debug)]
pub struct Report {
    pub check: Name,
    pub ticket: Ticket,
    pub at: Moment,
    pub reason: Reason,
    pub verdict: Arc<Verdict>,
    /// The status that counts, after patience.
    pub status: Status,
    /// The status that counted before, when this look changed it.
    pub was: Option<Status>,
    /// Since when there has been no OK look, if this one is not.
    pub bad_since: Option<Moment>,
    pub decision: Decision,
}

/// What was decided about remediation.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Nothing to do, or nothing that could be done.
    None,
    Held(Hold),
    /// This look proposed the attempt, which waits for a person.
    Proposed {
        attempt: AttemptId,
        hold: Hold,
    },
    /// This look began the attempt.
    Repair {
        attempt: AttemptId,
    },
    /// The look was part of verifying it.
    Verifying {
        attempt: AttemptId,
    },
}

/// A finished round: checks looked at together because a person, a step or an investigation asked.
#[derive(Clone, Debug)]
pub struct Round {
    pub id: u64,
    pub began: Moment,
    pub ended: Moment,
    /// The investigation it was, and the cause if one was given; `None` for a plain round.
    pub investigation: Option<(Name, Option<String>)>,
    pub outcomes: Vec<Outcome>,
}

/// One check of a finished round.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub check: Name,
    /// The look of the round; `None` if the check is gone.
    pub report: Option<Report>,
    /// The last attempt this round began, ended or still open.
    pub attempt: Option<Arc<Attempt>>,
    /// The last verdict (that of the verification, where there was one).
    pub verdict: Option<Arc<Verdict>>,
}

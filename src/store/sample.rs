//! Values for the tests of this module.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use crate::model::{
    attempt::{Attempt, AttemptId, Brief, End, Phase, Row},
    facts::Facts,
    moment::Moment,
    outline::{Guard, RemediationOutline, Verify},
    standing::{Budget, Standing},
    status::Status,
    step::{Outcome, Receipt},
    verdict::Verdict,
};

use super::LookRecord;

pub(super) const NOON: Moment = Moment(1_767_700_800_000);

pub(super) fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

pub(super) fn standing(status: Status, at: Moment) -> Standing {
    Standing {
        status,
        message: format!("it is {status}"),
        since: at,
        bad_since: status.is_bad().then_some(at),
        looked: Some(at),
        recent: vec![Status::Ok, status],
        good: 0,
        streak: 3,
        prior: Arc::default(),
        held_by: None,
        turned: None,
        paged: Default::default(),
        outside: None,
    }
}

pub(super) fn budget(begun: &[Moment]) -> Budget {
    Budget {
        begun: begun.to_vec(),
        rested: None,
        unverified: 1,
        quarantined: None,
        ..Budget::default()
    }
}

/// An attempt of one step, just intended.
pub(super) fn attempt(id: AttemptId, check: &str, begun: Moment) -> Attempt {
    Attempt {
        id,
        check: check.into(),
        generation: "0123456789ab".into(),
        rung: 0,
        remediation: Arc::new(RemediationOutline {
            when: vec![Status::Critical],
            ladder: vec![vec!["set_json".to_owned(), "run_command".to_owned()]],
            fingerprint: "f".to_owned(),
            verify: Verify {
                after: Duration::ZERO,
                within: minutes(15),
                checks: Vec::new(),
            },
            guard: Guard::default(),
            approve: false,
            approve_within: minutes(60),
            rollback: true,
            escalate: Vec::new(),
        }),
        phase: Phase::Intended,
        begun,
        bad_since: begun.minus(minutes(1)),
        acted: None,
        receipts: Vec::new(),
        before: Brief {
            status: Status::Critical,
            message: "bad".to_owned(),
        },
        after: None,
        trial: false,
        round: None,
        withheld: None,
        targets: Vec::new(),
        approved: None,
        opens: None,
    }
}

pub(super) fn ended(attempt: &Attempt, end: End, at: Moment) -> Attempt {
    Attempt {
        phase: Phase::Ended { at, end },
        acted: Some(attempt.begun),
        receipts: vec![Receipt {
            kind: "set_json".to_owned(),
            target: "data/x.json".to_owned(),
            outcome: Outcome::Done,
            detail: "wrote 3 keys".to_owned(),
            diff: Some("-1\n+2\n".to_owned()),
            undo: Some(json!({"file": "data/x.json", "body": "{}"})),
        }],
        ..attempt.clone()
    }
}

pub(super) fn change(check: &str, at: Moment, from: Status, to: Status) -> Row {
    Row::Change {
        check: check.into(),
        at,
        from,
        to,
        message: format!("{from} to {to}"),
    }
}

pub(super) fn look(check: &str, at: Moment, facts: Facts) -> LookRecord {
    LookRecord {
        check: check.into(),
        at,
        status: Status::Ok,
        counted: Status::Ok,
        duration_ms: 0.25,
        verdict: Arc::new(Verdict {
            facts,
            duration_ms: 0.25,
            ..Verdict::bare(Status::Ok, "fine")
        }),
    }
}

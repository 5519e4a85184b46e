//! The record of an investigation: a root-cause session, written as one line.

use serde_json::Value;

use crate::{
    journal::records::{SessionCheck, SessionFix, SessionLine, session_line},
    model::{
        attempt::End,
        report::{Outcome, Round},
        status::Status,
    },
    rules::book::Book,
};

/// The line of one finished round. `cause` is given when a person began it; else the investigation's own counts.
pub(super) fn record(book: &Book, round: &Round, name: &str, cause: Option<&str>) -> Value {
    let investigation = book.investigations.get(name);
    let trigger = cause
        .or(investigation.map(|it| it.cause.as_str()))
        .unwrap_or("manual");
    let known_as = |check: &str| {
        investigation
            .and_then(|it| it.checks.iter().find(|(name, _)| &**name == check))
            .map_or(check.to_owned(), |(_, known)| known.clone())
    };
    let names: Vec<String> = round
        .outcomes
        .iter()
        .map(|outcome| known_as(&outcome.check))
        .collect();
    let checks = names
        .iter()
        .zip(&round.outcomes)
        .map(|(name, outcome)| session_check(name, outcome))
        .collect();
    let suspect = suspect(book, round).map(|check| known_as(&check));
    let session = format!("{name}-{}", round.began.0);
    session_line(&SessionLine {
        at: round.began,
        trigger,
        checks,
        cause: suspect.as_deref(),
        session: &session,
        duration_ms: round.ended.since(round.began).as_secs_f64() * 1000.0,
    })
}

fn session_check<'a>(name: &'a str, outcome: &'a Outcome) -> SessionCheck<'a> {
    let first = outcome.report.as_ref().map(|report| &report.verdict);
    let attempt = outcome
        .attempt
        .as_ref()
        .filter(|attempt| !attempt.receipts.is_empty());
    SessionCheck {
        name,
        status: first.map_or(Status::Unknown, |verdict| verdict.status),
        message: first.map_or("not looked at", |verdict| &verdict.message),
        fix: attempt.map(|attempt| SessionFix {
            steps: attempt
                .receipts
                .iter()
                .map(|receipt| (receipt.kind.as_str(), receipt.target.as_str()))
                .collect(),
            verified: attempt.end().map(|end| end == End::Verified),
        }),
    }
}

/// The probable cause: of the bad checks the one all of whose own `needs` are well; among several the worst, then the
/// first in the order of the investigation.
fn suspect(book: &Book, round: &Round) -> Option<String> {
    let status = |name: &str| {
        round
            .outcomes
            .iter()
            .find(|outcome| &*outcome.check == name)
            .and_then(|outcome| outcome.report.as_ref())
            .map(|report| report.verdict.status)
    };
    let bad = |name: &str| status(name).is_some_and(Status::is_bad);
    round
        .outcomes
        .iter()
        .filter(|outcome| bad(&outcome.check))
        .filter(|outcome| {
            let needs = book
                .checks
                .get(&outcome.check)
                .map(|check| &check.outline.needs);
            !needs.into_iter().flatten().any(|need| bad(need))
        })
        .rev()
        .max_by_key(|outcome| status(&outcome.check).map(Status::badness))
        .map(|outcome| outcome.check.to_string())
}

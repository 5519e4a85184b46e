//! The record of an investigation: a root-cause session, written as one line.

use serde_json::Value;

use crate::{
    journal::records::{SessionCheck, SessionLine, session_line},
    model::{
        attempt::{Attempt, End},
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
    let checks: Vec<SessionCheck> = round
        .outcomes
        .iter()
        .map(|outcome| session_check(known_as(&outcome.check), outcome))
        .collect();
    let fixes: Vec<String> = round
        .outcomes
        .iter()
        .filter_map(|outcome| Some((outcome, outcome.attempt.as_ref()?)))
        .filter(|(_, attempt)| !attempt.receipts.is_empty())
        .map(|(_, attempt)| fix(attempt))
        .collect();
    let overall = Status::worst(checks.iter().map(|check| check.status));
    session_line(&SessionLine {
        at: round.ended,
        trigger,
        overall_status: overall,
        checks: &checks,
        fixes_applied: &fixes,
        cause: suspect(book, round).as_deref(),
        session: round.id,
        duration: round.ended.since(round.began),
    })
}

fn session_check(known_as: String, outcome: &Outcome) -> SessionCheck {
    let first = outcome.report.as_ref().map(|report| &report.verdict);
    let attempt = outcome
        .attempt
        .as_ref()
        .filter(|attempt| !attempt.receipts.is_empty());
    SessionCheck {
        check_name: known_as,
        status: first.map_or(Status::Unknown, |verdict| verdict.status),
        message: first.map_or("not looked at".to_owned(), |verdict| verdict.message.clone()),
        fix_applied: attempt.map(|attempt| kinds(attempt)),
        fix_success: attempt.is_some_and(|attempt| attempt.end() == Some(End::Verified)),
    }
}

fn kinds(attempt: &Attempt) -> String {
    let kinds: Vec<&str> = attempt
        .receipts
        .iter()
        .map(|receipt| receipt.kind.as_str())
        .collect();
    kinds.join(", ")
}

fn fix(attempt: &Attempt) -> String {
    let steps: Vec<String> = attempt
        .receipts
        .iter()
        .map(|receipt| format!("{} {}", receipt.kind, receipt.target))
        .collect();
    let came_to = match attempt.end() {
        Some(End::Verified) => "verified",
        Some(End::Would) => "would",
        Some(_) => "failed",
        None => "not verified yet",
    };
    format!("{}: {} ({came_to})", attempt.check, steps.join(", "))
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
            let needs = book.checks.get(&outcome.check).map(|check| &check.outline.needs);
            !needs.into_iter().flatten().any(|need| bad(need))
        })
        .rev()
        .max_by_key(|outcome| status(&outcome.check).map(Status::badness))
        .map(|outcome| outcome.check.to_string())
}

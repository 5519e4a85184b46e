//! The record of an investigation: a root-cause session, written as one line.

use serde_json::Value;

use crate::{
    journal::records::{SessionCheck, SessionFix, SessionLine, session_line},
    model::{
        Name,
        attempt::End,
        report::{Outcome, Round},
        status::Status,
    },
    rules::book::Book,
};

/// The line of one finished round. `cause` is given when a person began it; else the investigation's own counts.
/// `status` tells how checks stand that are not in the session.
pub(super) fn record(
    book: &Book,
    round: &Round,
    name: &str,
    cause: Option<&str>,
    status: &dyn Fn(&str) -> Option<Status>,
) -> Value {
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
    let suspect = suspect(book, round, status).map(|check| known_as(&check));
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

/// The probable cause: the deepest failing check along `needs` (one that others rest on and that itself rests on nothing
/// failing), else the one that changed first. `status` tells of checks that are not in the session but are needed.
fn suspect(book: &Book, round: &Round, status: &dyn Fn(&str) -> Option<Status>) -> Option<Name> {
    let report = |name: &str| {
        let outcome = round.outcomes.iter().find(|it| *it.check == *name);
        outcome.and_then(|outcome| outcome.report.as_ref())
    };
    let bad = |name: &str| match report(name) {
        Some(report) => report.verdict.status.is_bad(),
        None => status(name).is_some_and(Status::is_bad),
    };
    let failing: Vec<&Name> = round
        .outcomes
        .iter()
        .map(|outcome| &outcome.check)
        .filter(|name| bad(name))
        .collect();
    let mut roots: Vec<(&Name, usize)> = Vec::new();
    for name in &failing {
        let failed = needed(book, name).into_iter().filter(|name| bad(name));
        for root in failed {
            if self::needed(book, root).iter().any(|deeper| bad(deeper)) {
                continue;
            }
            match roots.iter_mut().find(|(it, _)| *it == root) {
                Some((_, rest)) => *rest += 1,
                None => roots.push((root, 1)),
            }
        }
    }
    let most = roots.iter().map(|(_, rest)| *rest).max();
    if let Some((root, _)) = roots.iter().find(|(_, rest)| Some(*rest) == most) {
        return Some(Name::clone(root));
    }
    let first = failing.iter().enumerate().min_by_key(|(place, name)| {
        let report = report(name);
        let since = report.and_then(|report| report.bad_since);
        let worst = report.map_or(0, |report| report.verdict.status.badness());
        (since, std::cmp::Reverse(worst), *place)
    });
    first.map(|(_, name)| Name::clone(name))
}

/// What a check needs, near or far; nearest first, each once.
fn needed<'a>(book: &'a Book, name: &str) -> Vec<&'a Name> {
    let needs = |name: &str| {
        let check = book.checks.get(name);
        check.into_iter().flat_map(|check| &check.outline.needs)
    };
    let mut all: Vec<&Name> = Vec::new();
    let mut open: std::collections::VecDeque<&Name> = needs(name).collect();
    while let Some(next) = open.pop_front() {
        if **next != *name && !all.contains(&next) {
            all.push(next);
            open.extend(needs(next));
        }
    }
    all
}

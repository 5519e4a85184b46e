//! What tests have seen of the rules, and what none of them ever has.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Outcome;
use crate::{
    model::{Name, status::Status},
    rules::book::{Book, Check},
};

/// What one test has seen of the checks that it expects something of.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Coverage {
    pub checks: BTreeMap<Name, Covered>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Covered {
    /// Of looks by themselves.
    pub statuses: BTreeSet<Status>,
    /// Rungs of the ladder whose steps were tried, from 0; dry runs included.
    pub rungs: BTreeSet<usize>,
}

impl Coverage {
    pub(super) fn of(&mut self, check: &Name) -> &mut Covered {
        self.checks.entry(check.clone()).or_default()
    }

    fn add(&mut self, other: &Coverage) {
        for (name, covered) in &other.checks {
            let known = self.of(name);
            known.statuses.extend(&covered.statuses);
            known.rungs.extend(&covered.rungs);
        }
    }
}

/// What all these tests together have not seen: checks without a test, levels and rungs never reached. A test that
/// failed counts for what it saw.
pub(super) fn gaps(book: &Book, outcomes: &[Outcome]) -> Vec<String> {
    let mut all = Coverage::default();
    for outcome in outcomes {
        all.add(&outcome.coverage);
    }
    let mut gaps = Vec::new();
    for (name, check) in &book.checks {
        match all.checks.get(name) {
            None => gaps.push(format!("{name}: never tested")),
            Some(covered) => {
                let missing = missing(check, covered).into_iter();
                gaps.extend(missing.map(|what| format!("{name}: {what} is never tested")));
            }
        }
    }
    gaps
}

fn missing(check: &Check, covered: &Covered) -> Vec<String> {
    let levels = [
        (Status::Critical, check.judging.critical.is_some()),
        (Status::Warning, check.judging.warning.is_some()),
        (Status::Ok, true),
    ];
    let levels = levels
        .into_iter()
        .filter(|(status, possible)| *possible && !covered.statuses.contains(status))
        .map(|(status, _)| status.word().to_owned());
    let ladder = check
        .remediation
        .iter()
        .flat_map(|remediation| remediation.ladder.iter().enumerate());
    let rungs = ladder
        .filter(|(rung, _)| !covered.rungs.contains(rung))
        .map(|(rung, steps)| {
            let kinds: Vec<&str> = steps.iter().map(|step| step.kind).collect();
            format!("rung {} ({})", rung + 1, kinds.join(", "))
        });
    levels.chain(rungs).collect()
}

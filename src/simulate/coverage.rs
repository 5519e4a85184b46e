//! What tests have seen of the rules, and what none of them ever has.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Outcome;
use crate::{
    model::{Name, status::Status, text::Place},
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

/// Something of a rule that no test has ever seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gap {
    pub check: Name,
    /// Where the check stands.
    pub place: Place,
    /// `CRITICAL is never reached`.
    pub what: String,
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
pub fn gaps(book: &Book, outcomes: &[Outcome]) -> Vec<Gap> {
    let mut all = Coverage::default();
    for outcome in outcomes {
        all.add(&outcome.coverage);
    }
    let mut gaps = Vec::new();
    for check in book.checks.values() {
        let gap = |what: String| Gap {
            check: check.name.clone(),
            place: check.place.clone(),
            what,
        };
        match all.checks.get(&check.name) {
            None => gaps.push(gap("has no test".to_owned())),
            Some(covered) => gaps.extend(missing(check, covered).into_iter().map(gap)),
        }
    }
    gaps
}

fn missing(check: &Check, covered: &Covered) -> Vec<String> {
    let mut missing = Vec::new();
    let levels = [
        (Status::Critical, check.judging.critical.is_some()),
        (Status::Warning, check.judging.warning.is_some()),
        (Status::Ok, true),
    ];
    for (status, possible) in levels {
        if possible && !covered.statuses.contains(&status) {
            missing.push(format!("{status} is never reached"));
        }
    }
    let ladder = check
        .remediation
        .iter()
        .flat_map(|remediation| remediation.ladder.iter().enumerate());
    for (rung, steps) in ladder.filter(|(rung, _)| !covered.rungs.contains(rung)) {
        let kinds: Vec<&str> = steps.iter().map(|step| step.kind).collect();
        missing.push(format!(
            "rung {} ({}) is never tried",
            rung + 1,
            kinds.join(", ")
        ));
    }
    missing
}

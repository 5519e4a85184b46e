//! Which levels and repairs no test has seen.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    model::{Name, status::Status, step::Receipt, verdict::Verdict},
    rules::book::Book,
};

/// What tests have seen, by check.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    statuses: BTreeMap<Name, BTreeSet<Status>>,
    repaired: BTreeSet<Name>,
}

impl Coverage {
    pub(super) fn saw(&mut self, check: &Name, verdict: &Verdict) {
        let seen = self.statuses.entry(check.clone()).or_default();
        seen.insert(verdict.status);
    }

    pub(super) fn acted(&mut self, check: &Name, receipts: &[Receipt]) {
        if !receipts.is_empty() {
            self.repaired.insert(check.clone());
        }
    }

    pub(super) fn merge(&mut self, other: Coverage) {
        for (check, statuses) in other.statuses {
            self.statuses.entry(check).or_default().extend(statuses);
        }
        self.repaired.extend(other.repaired);
    }

    /// `weights_file: critical is never tested`.
    pub(super) fn gaps(&self, book: &Book) -> Vec<String> {
        let mut gaps = Vec::new();
        for (name, check) in &book.checks {
            let Some(seen) = self.statuses.get(name) else {
                gaps.push(format!("{name}: never tested"));
                continue;
            };
            let levels = [
                (Status::Ok, true),
                (Status::Warning, check.judging.warning.is_some()),
                (Status::Critical, check.judging.critical.is_some()),
            ];
            for (status, _) in levels
                .iter()
                .filter(|(status, has)| *has && !seen.contains(status))
            {
                gaps.push(format!("{name}: {} is never tested", status.word()));
            }
            if check.remediation.is_some() && !self.repaired.contains(name) {
                gaps.push(format!("{name}: its remediation is never tested"));
            }
        }
        gaps
    }
}

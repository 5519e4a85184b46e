//! What was to be seen of a test so far: the outcome of each check, attempts, notes, commands.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::{Value, json};

use super::coverage::Coverage;
use crate::model::{
    Name,
    attempt::{Attempt, AttemptId, End, NoteKind, Row},
    report::{Decision, Outcome, Report},
    step,
};

#[derive(Default)]
pub(super) struct Seen {
    /// By check: its last look, that which no repair was waiting for, and the last repair.
    pub outcomes: BTreeMap<Name, Outcome>,
    /// Every attempt as it was last written.
    pub attempts: BTreeMap<AttemptId, Attempt>,
    pub notes: Vec<(Name, NoteKind)>,
    pub ran: Vec<Vec<String>>,
    pub coverage: Coverage,
}

impl Seen {
    pub fn report(&mut self, report: Report) {
        if !report.verdict.skipped {
            let covered = self.coverage.of(&report.check);
            covered.statuses.insert(report.verdict.status);
        }
        let outcome = self.outcome(&report.check);
        outcome.verdict = Some(report.verdict.clone());
        let verifies = matches!(report.decision, Decision::Verifying { .. });
        if outcome.report.is_none() || !verifies {
            outcome.report = Some(report);
        }
    }

    fn outcome(&mut self, check: &Name) -> &mut Outcome {
        self.outcomes
            .entry(check.clone())
            .or_insert_with(|| Outcome {
                check: check.clone(),
                report: None,
                attempt: None,
                verdict: None,
            })
    }

    pub fn row(&mut self, row: &Row) {
        match row {
            Row::Intent { attempt, .. } | Row::Attempt { attempt, .. } => self.attempt(attempt),
            Row::Note {
                check: Some(check),
                kind,
                ..
            } => self.notes.push((check.clone(), *kind)),
            _ => {}
        }
    }

    fn attempt(&mut self, attempt: &Attempt) {
        self.attempts.insert(attempt.id, attempt.clone());
        let tried = |receipt: &step::Receipt| receipt.outcome != step::Outcome::Failed;
        if attempt.receipts.iter().any(tried) {
            let rungs = &mut self.coverage.of(&attempt.check).rungs;
            rungs.insert(attempt.rung);
        }
        self.outcome(&attempt.check).attempt = Some(Arc::new(attempt.clone()));
    }

    /// The rungs of a check that acted, in order.
    pub fn acts(&self, check: &str) -> impl Iterator<Item = &Attempt> {
        self.attempts
            .values()
            .filter(move |attempt| &*attempt.check == check && has_acted(attempt))
    }

    /// The last repair of a check so far, dry ones included.
    pub fn last_repair(&self, check: &str) -> Option<&Attempt> {
        let mut all = self.attempts.values().rev();
        all.find(|attempt| &*attempt.check == check && attempt.acted.is_some())
    }

    /// `ledger` as `publish` sees it: of the check, and of all together.
    pub fn ledger(&self, check: &str) -> Value {
        let sum = |of: &dyn Fn(&Attempt) -> bool| {
            let ends: Vec<End> = self
                .attempts
                .values()
                .filter(|attempt| of(attempt))
                .filter_map(Attempt::end)
                .filter(|end| !matches!(end, End::Withheld | End::Would))
                .collect();
            let verified = ends.iter().filter(|end| **end == End::Verified).count();
            json!({"attempts": ends.len(), "verified": verified, "failed": ends.len() - verified})
        };
        let mut ledger = sum(&|attempt| &*attempt.check == check);
        ledger["all"] = sum(&|_| true);
        ledger
    }

    /// What was noted of a check, in order.
    pub fn notes(&self, check: &str) -> Vec<NoteKind> {
        let own = self.notes.iter().filter(|(name, _)| &**name == check);
        own.map(|(_, kind)| *kind).collect()
    }

    /// Keeps the coverage of these checks only: of the others nothing was expected.
    pub fn covered(mut self, expected: &BTreeSet<&str>) -> Coverage {
        self.coverage
            .checks
            .retain(|name, _| expected.contains(&**name));
        self.coverage
    }
}

/// Whether it did anything: not withheld, and no dry run.
fn has_acted(attempt: &Attempt) -> bool {
    attempt.acted.is_some() && !matches!(attempt.end(), Some(End::Withheld | End::Would))
}

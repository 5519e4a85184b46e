//! The ledger's sums as `publish` sees them: `ledger.verified` and its kin, of the check and of all checks together.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::model::{
    Name,
    attempt::{Attempt, End},
};

/// What repairs came to, so far. Starts from the store and counts on.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    of: HashMap<Name, Sum>,
    all: Sum,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sum {
    pub attempts: u64,
    pub verified: u64,
    pub failed: u64,
    /// How often a guard began to hold it.
    pub held: u64,
}

impl Counts {
    pub(super) fn begin(&mut self, check: Name, sum: Sum) {
        self.all.add(sum);
        self.of.entry(check).or_default().add(sum);
    }

    pub(super) fn count(&mut self, attempt: &Attempt) {
        let sum = match attempt.end() {
            Some(End::Verified) => Sum {
                attempts: 1,
                verified: 1,
                ..Sum::default()
            },
            Some(End::Failed | End::Superseded | End::Interrupted) => Sum {
                attempts: 1,
                failed: 1,
                ..Sum::default()
            },
            Some(End::Withheld | End::Would | End::Denied | End::Expired | End::Withdrawn)
            | None => return,
        };
        self.begin(attempt.check.clone(), sum);
    }

    pub(super) fn held(&mut self, check: Name) {
        let sum = Sum {
            held: 1,
            ..Sum::default()
        };
        self.begin(check, sum);
    }

    /// `{attempts, verified, failed, held, all: {…}}`.
    pub(super) fn of(&self, check: &Name) -> Value {
        let own = self.of.get(check).copied().unwrap_or_default();
        let mut value = own.json();
        value["all"] = self.all.json();
        value
    }
}

impl Sum {
    fn add(&mut self, other: Sum) {
        self.attempts += other.attempts;
        self.verified += other.verified;
        self.failed += other.failed;
        self.held += other.held;
    }

    fn json(self) -> Value {
        json!({
            "attempts": self.attempts,
            "verified": self.verified,
            "failed": self.failed,
            "held": self.held,
        })
    }
}

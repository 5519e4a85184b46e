//! The last looks of every check, kept in memory for whoever looks at many checks at once: what each look showed, the
//! number it came to, and the last repair.
//!
//! A trail is bounded to [`LONGEST`] looks. It is filled as looks come in; what was recorded before a start is laid
//! before it ([`Trails::seed`]).

use std::collections::{HashMap, VecDeque};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{
    Name,
    attempt::{Attempt, AttemptId, End, Phase},
    outline::Outline,
    status::Status,
    verdict::Verdict,
};

/// So many looks are kept of a check.
pub const LONGEST: usize = 40;

/// What is remembered of the last looks at every check.
#[derive(Clone, Debug, Default)]
pub(super) struct Trails(HashMap<Name, Trail>);

/// The last looks at one check, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Trail {
    marks: VecDeque<(u8, f64)>,
    /// The `let` whose number is shown, where the check has no `value`. The first that gave one, and then always that one.
    shown: Option<String>,
    pub repair: Option<LastRepair>,
    /// How long the last look took, in seconds.
    pub took_s: Option<f64>,
    pub looks: u64,
}

/// The newest repair of a check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LastRepair {
    pub attempt: AttemptId,
    /// When it began. Epoch seconds.
    pub at: f64,
    /// `verified`, `failed`, `superseded`, `interrupted`, or `open` while it is under way.
    pub outcome: String,
    /// The kinds of its steps: `restore_file`.
    pub kind: String,
}

impl LastRepair {
    /// Of an attempt that did something, or is doing it; `None` for one that only waits, or was held.
    pub fn of(attempt: &Attempt) -> Option<LastRepair> {
        let outcome = match attempt.phase {
            Phase::Proposed { .. } => return None,
            Phase::Ended { end, .. } => match end {
                End::Verified => "verified",
                End::Failed => "failed",
                End::Superseded => "superseded",
                End::Interrupted => "interrupted",
                End::Withheld | End::Would | End::Denied | End::Expired | End::Withdrawn => {
                    return None;
                }
            },
            _ => "open",
        };
        let mut kinds: Vec<&str> = attempt.receipts.iter().map(|it| &*it.kind).collect();
        if kinds.is_empty() {
            let planned = attempt.remediation.ladder.get(attempt.rung);
            kinds = planned.into_iter().flatten().map(String::as_str).collect();
        }
        kinds.dedup();
        Some(LastRepair {
            attempt: attempt.id,
            at: attempt.begun.seconds(),
            outcome: outcome.to_owned(),
            kind: kinds.join(", "),
        })
    }
}

/// One look as it is remembered: its mark, and the number it came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    mark: u8,
    value: f64,
}

impl Mark {
    pub fn of(verdict: &Verdict, value: Option<f64>) -> Mark {
        let mark = match (verdict.skipped, verdict.status) {
            (true, _) => b'-',
            (false, Status::Ok) => b'O',
            (false, Status::Warning) => b'W',
            (false, Status::Critical) => b'C',
            (false, Status::Unknown) => b'U',
        };
        Mark {
            mark,
            value: value.filter(|it| it.is_finite()).unwrap_or(f64::NAN),
        }
    }
}

impl Trails {
    pub(super) fn of(&self, check: &str) -> Option<&Trail> {
        self.0.get(check)
    }

    /// Adds a look.
    pub(super) fn look(&mut self, check: &Name, verdict: &Verdict) {
        let trail = self.0.entry(check.clone()).or_default();
        let value = trail.number(verdict);
        trail.push(Mark::of(verdict, value));
        trail.looks += 1;
        trail.took_s = (!verdict.skipped).then_some(verdict.duration_ms / 1000.0);
    }

    pub(super) fn repair(&mut self, attempt: &Attempt) {
        let Some(repair) = LastRepair::of(attempt) else {
            return;
        };
        let trail = self.0.entry(attempt.check.clone()).or_default();
        if trail
            .repair
            .as_ref()
            .is_none_or(|it| it.attempt <= repair.attempt)
        {
            trail.repair = Some(repair);
        }
    }

    /// Lays looks that were recorded before this engine started before those it took itself.
    pub(super) fn seed(&mut self, check: Name, marks: Vec<Mark>) {
        let trail = self.0.entry(check).or_default();
        let room = LONGEST.saturating_sub(trail.marks.len());
        for mark in marks.into_iter().rev().take(room) {
            trail.marks.push_front((mark.mark, mark.value));
        }
    }

    /// Forgets checks that this outline does not have.
    pub(super) fn retain(&mut self, outline: &Outline) {
        self.0.retain(|name, _| outline.checks.contains_key(name));
        for trail in self.0.values_mut() {
            trail.shown = None;
        }
    }
}

impl Trail {
    /// The check's `value`, else that of its first `let` that is a number.
    fn number(&mut self, verdict: &Verdict) -> Option<f64> {
        if verdict.value.is_some() {
            return verdict.value;
        }
        if let Some(name) = &self.shown {
            return verdict.lets.get(name).and_then(serde_json::Value::as_f64);
        }
        let mut numbers = verdict.lets.iter();
        let (name, value) = numbers.find_map(|(name, value)| Some((name, value.as_f64()?)))?;
        self.shown = Some(name.clone());
        Some(value)
    }

    fn push(&mut self, mark: Mark) {
        if self.marks.len() >= LONGEST {
            self.marks.pop_front();
        }
        self.marks.push_back((mark.mark, mark.value));
    }

    /// One character a look, newest last: `O W C U`, `-` for one outside its calendar.
    pub(super) fn recent(&self) -> String {
        self.marks
            .iter()
            .map(|(mark, _)| char::from(*mark))
            .collect()
    }

    /// The numbers of the same looks.
    pub(super) fn values(&self) -> Vec<Option<f64>> {
        let number = |(_, value): &(u8, f64)| (!value.is_nan()).then_some(*value);
        self.marks.iter().map(number).collect()
    }

    /// The number of the last look.
    pub(super) fn value(&self) -> Option<f64> {
        self.marks
            .back()
            .map(|(_, value)| *value)
            .filter(|it| !it.is_nan())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(status: Status, lets: serde_json::Value) -> Verdict {
        let serde_json::Value::Object(lets) = lets else {
            panic!("a map")
        };
        Verdict {
            lets,
            ..Verdict::bare(status, "m")
        }
    }

    #[test]
    fn a_trail_is_bounded_and_keeps_to_one_number() {
        let mut trails = Trails::default();
        let check: Name = "a".into();
        trails.look(
            &check,
            &seen(Status::Critical, json!({"text": "x", "pct": 7})),
        );
        for n in 0..LONGEST {
            // Another number computed first is not mistaken for the one that is shown.
            trails.look(&check, &seen(Status::Ok, json!({"other": -1, "pct": n})));
        }
        let trail = trails.of("a").unwrap();
        assert_eq!(trail.recent(), "O".repeat(LONGEST));
        assert_eq!(trail.values().len(), LONGEST);
        assert_eq!(trail.values()[0], Some(0.0));
        assert_eq!(trail.value(), Some((LONGEST - 1) as f64));
        let skipped = Verdict {
            skipped: true,
            ..Verdict::bare(Status::Ok, "outside")
        };
        trails.look(&check, &skipped);
        let trail = trails.of("a").unwrap();
        assert!(trail.recent().ends_with("O-"), "{}", trail.recent());
        assert_eq!(trail.value(), None);
    }

    #[test]
    fn what_was_recorded_lies_before_what_was_seen() {
        let mut trails = Trails::default();
        let check: Name = "a".into();
        trails.look(&check, &seen(Status::Ok, json!({"n": 3})));
        let warned = Mark::of(&Verdict::bare(Status::Warning, "m"), Some(2.0));
        let unknown = Mark::of(&Verdict::bare(Status::Unknown, "m"), Some(f64::NAN));
        let mut marks = vec![warned; LONGEST];
        marks.push(unknown);
        trails.seed(check, marks);
        let trail = trails.of("a").unwrap();
        assert_eq!(trail.recent().len(), LONGEST);
        assert!(trail.recent().ends_with("WUO"), "{}", trail.recent());
        assert_eq!(trail.values()[LONGEST - 2..], [None, Some(3.0)]);
    }
}

//! History and ledger as the API gives them: epoch seconds beside ISO 8601, and nothing of what undoing needs.
//!
//! What is stored is the store's own business and may change with it; this is what scripts read. Add fields, with
//! defaults; never take one away.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    engine::answer::StepAnswer,
    model::{
        attempt::{Attempt, Brief, Phase},
        moment::Moment,
        status::Status,
    },
    store::{HistoryEntry, LedgerLine},
};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HistoryAnswer {
    /// `null` when it is about all of them.
    pub check: Option<String>,
    /// Epoch seconds; of an attempt, when it began.
    pub at: f64,
    /// The same, ISO 8601 in UTC.
    pub time: String,
    #[serde(flatten)]
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    Change {
        from: Status,
        to: Status,
        message: String,
    },
    Attempt(Box<AttemptAnswer>),
    Held {
        by: String,
        /// Epoch seconds.
        until: Option<f64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    Note {
        kind: String,
        text: String,
        /// Notifiers that were told.
        to: Vec<String>,
    },
}

/// A rung that was climbed, as it stands now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AttemptAnswer {
    pub id: u64,
    pub generation: String,
    /// From 0.
    pub rung: usize,
    /// The single trial of a quarantined remediation.
    pub trial: bool,
    /// How it ended (`verified`, `failed`, `superseded`, `interrupted`, `withheld`, `denied`, `expired`, `withdrawn`), or
    /// its phase.
    pub phase: String,
    pub before: Brief,
    pub after: Option<Brief>,
    pub steps: Vec<StepAnswer>,
    /// From the intent to its end, in seconds; `null` while it is open.
    pub took_s: Option<f64>,
    /// What withheld it, when it ended so.
    pub withheld: Option<String>,
    /// Epoch seconds at which a person undid it.
    pub undone: Option<f64>,
}

/// One line of the ledger. `kind` is `null` for the check as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LedgerAnswer {
    pub check: String,
    pub kind: Option<String>,
    pub attempts: u64,
    pub verified: u64,
    pub failed: u64,
    pub superseded: u64,
    pub interrupted: u64,
    pub open: u64,
    /// How often a guard began to hold the remediation.
    pub held: u64,
    /// Mean time to recovery in seconds.
    pub recovery_s: Option<f64>,
    pub recurred_1h: u64,
    pub recurred_24h: u64,
    /// When the last rung was begun, in epoch seconds.
    pub last: Option<f64>,
}

impl From<HistoryEntry> for HistoryAnswer {
    fn from(entry: HistoryEntry) -> HistoryAnswer {
        let at = entry.at();
        HistoryAnswer {
            check: entry.check().map(ToString::to_string),
            at: at.seconds(),
            time: at.iso(),
            what: what(entry),
        }
    }
}

fn what(entry: HistoryEntry) -> What {
    match entry {
        HistoryEntry::Change {
            from, to, message, ..
        } => What::Change { from, to, message },
        HistoryEntry::Attempt { attempt, undone } => {
            What::Attempt(Box::new(AttemptAnswer::of(*attempt, undone)))
        }
        HistoryEntry::Held { hold, .. } => What::Held {
            by: hold.by.word().to_owned(),
            until: hold.until.map(Moment::seconds),
            why: hold.why,
        },
        HistoryEntry::Note { kind, text, to, .. } => What::Note {
            kind: word(&kind),
            text,
            to: to.iter().map(ToString::to_string).collect(),
        },
    }
}

impl AttemptAnswer {
    pub fn of(attempt: Attempt, undone: Option<Moment>) -> AttemptAnswer {
        let (phase, took) = match &attempt.phase {
            Phase::Ended { at, end } => (word(end), Some(at.since(attempt.begun))),
            phase => (name(phase).to_owned(), None),
        };
        AttemptAnswer {
            id: attempt.id,
            generation: attempt.generation.to_string(),
            rung: attempt.rung,
            trial: attempt.trial,
            phase,
            steps: attempt.receipts.iter().map(StepAnswer::of).collect(),
            before: attempt.before,
            after: attempt.after,
            took_s: took.map(|took| took.as_secs_f64()),
            withheld: attempt.withheld.map(|hold| hold.by.word().to_owned()),
            undone: undone.map(Moment::seconds),
        }
    }
}

/// The word under which an enum without fields is serialised.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

fn name(phase: &Phase) -> &'static str {
    match phase {
        Phase::Proposed { .. } => "proposed",
        Phase::Intended => "intended",
        Phase::Acting => "acting",
        Phase::Settling { .. } => "settling",
        Phase::Verifying { .. } => "verifying",
        Phase::RollingBack => "rolling_back",
        Phase::Interrupted { .. } => "interrupted",
        Phase::Ended { .. } => "ended",
    }
}

impl From<LedgerLine> for LedgerAnswer {
    fn from(line: LedgerLine) -> LedgerAnswer {
        LedgerAnswer {
            check: line.check.to_string(),
            kind: line.kind,
            attempts: line.attempts,
            verified: line.verified,
            failed: line.failed,
            superseded: line.superseded,
            interrupted: line.interrupted,
            open: line.open,
            held: line.held,
            recovery_s: line.recovery_s,
            recurred_1h: line.recurred_1h,
            recurred_24h: line.recurred_24h,
            last: line.last_at.map(Moment::seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attempt::NoteKind;

    #[test]
    fn a_line_reads_itself_back() {
        let note = HistoryEntry::Note {
            check: Some("a".into()),
            at: Moment(1_767_700_800_500),
            kind: NoteKind::RolledBack,
            text: "2 steps were undone".to_owned(),
            to: vec!["ops".into()],
        };
        let line = serde_json::to_string(&HistoryAnswer::from(note.clone())).unwrap();
        insta::assert_snapshot!(line, @r#"{"check":"a","at":1767700800.5,"time":"2026-01-06T12:00:00.500Z","what":"note","kind":"rolled_back","text":"2 steps were undone","to":["ops"]}"#);
        let read: HistoryAnswer = serde_json::from_str(&line).unwrap();
        assert_eq!(read, HistoryAnswer::from(note));
    }
}

//! History and ledger as the API gives them: epoch seconds beside ISO 8601, and nothing of what undoing needs.
//!
//! What is stored is the store's own business and may change with it; this is what scripts read. Add fields, with
//! defaults; never take one away.

use serde::{Deserialize, Serialize};

use crate::{
    engine::answer::StepAnswer,
    model::{attempt::Brief, status::Status},
};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryAnswer {
    pub check: String,
    /// Epoch seconds; of an attempt, when it began.
    pub at: f64,
    /// The same, ISO 8601 in UTC.
    pub time: String,
    #[serde(flatten)]
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    },
    Note {
        kind: String,
        text: String,
        /// Notifiers that were told.
        to: Vec<String>,
    },
}

/// A rung that was climbed, as it stands now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptAnswer {
    pub id: u64,
    pub generation: String,
    /// From 0.
    pub rung: usize,
    /// The single trial of a quarantined remediation.
    pub trial: bool,
    /// How it ended (`verified`, `failed`, `superseded`, `interrupted`, `withheld`), or its phase.
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
}

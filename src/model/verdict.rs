//! What a look gave: a status, a message, and why.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{facts::Facts, standing::Prior, status::Status, text::Place};

/// The result of one look, before any patience. A look never fails: what went wrong is in `error`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    pub status: Status,
    pub message: String,
    /// Outside its calendar: not looked at, status OK.
    pub skipped: bool,
    /// `enough` did not hold, so the status is `on_no_data`.
    pub no_data: bool,
    pub error: Option<String>,
    pub why: Option<Why>,
    pub facts: Facts,
    /// The facts as they were seen, when `facts` hides a secret. Steps are planned with them; never recorded.
    #[serde(skip)]
    pub unhidden: Option<Facts>,
    /// The `let` values that were computed.
    #[serde(rename = "let")]
    pub lets: Map<String, Value>,
    /// What `keep` gave; `None` when it was not evaluated (verification, UNKNOWN, no `keep`).
    pub kept: Option<Map<String, Value>>,
    pub latch: Latch,
    /// The number that the check's `value` came to, where it has one. Never recorded: it follows from the facts.
    #[serde(skip)]
    pub value: Option<f64>,
    /// What `baseline` gave: what a person would confirm now. `None` where the rule has none, or it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Value>,
    /// What was remembered when it was judged, where steps may read it.
    #[serde(skip)]
    pub recalled: Option<Arc<Prior>>,
    /// Whether `verify.until` held (for verification looks that have one).
    pub proven: Option<bool>,
    pub publish: Option<Publication>,
    pub duration_ms: f64,
}

impl Verdict {
    /// A verdict without anything but a status and a message.
    pub fn bare(status: Status, message: impl Into<String>) -> Verdict {
        Verdict {
            status,
            message: message.into(),
            skipped: false,
            no_data: false,
            error: None,
            why: None,
            facts: Facts::new(),
            unhidden: None,
            lets: Map::new(),
            kept: None,
            latch: Latch::default(),
            value: None,
            baseline: None,
            recalled: None,
            proven: None,
            publish: None,
            duration_ms: 0.0,
        }
    }

    /// The facts as they were seen.
    pub fn seen(&self) -> &Facts {
        self.unhidden.as_ref().unwrap_or(&self.facts)
    }

    /// UNKNOWN because something could not be done.
    pub fn unknown(error: impl Into<String>) -> Verdict {
        let error = error.into();
        Verdict {
            error: Some(error.clone()),
            ..Verdict::bare(Status::Unknown, error)
        }
    }
}

/// The expression that decided, with the values it saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// `critical`, `warning`, `enough`, or what failed.
    pub line: String,
    pub expression: String,
    #[serde(skip_deserializing)]
    pub place: Place,
    /// The names of the expression and their values, long ones shortened.
    pub saw: Map<String, Value>,
}

/// Which sides of a hysteresis are held down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latch {
    pub critical: bool,
    pub warning: bool,
}

/// Keys to merge into a JSON file after a look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Publication {
    pub file: String,
    pub set: Map<String, Value>,
}

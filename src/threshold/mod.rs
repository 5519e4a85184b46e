//! What is bad: from facts to a verdict. Pure; the order is `enough`, `critical`, `warning`, message, `keep`, `publish`.
//!
//! Patience is not here: whether a status counts is the core's business. Judging says what **this** look shows.

mod keep;
mod line;
mod message;
#[cfg(test)]
mod tests;
mod tree;
mod why;

pub use tree::{Branch, trees};

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::{
    model::{
        facts::Facts,
        moment::Moment,
        standing::Prior,
        status::Status,
        verdict::{Latch, Publication, Verdict, Why},
    },
    script::{Engine, Expr, Fault, Ground, Scope, Template, TemplateTree},
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
    /// What a person may confirm.
    pub baseline: Option<Expr>,
    /// What must hold too when this look is to prove a repair.
    pub proves: Option<Expr>,
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
    /// When the repair acted that this look is to prove: `acted` in `until` and `proves`.
    pub acted: Option<Moment>,
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
    let (facts, failed) = match looked {
        Ok(facts) => (facts, None),
        Err(error) => (Facts::new(), Some(error)),
    };
    let kept = keep::before(judging, prior);
    let late = |name: &str| recall(judging, prior, name);
    let mut scope = Scope::new(ground)
        .facts(&facts)
        .lets(&judging.lets)
        .late(&late);
    let mut decided = match failed {
        Some(error) => Decided::unseen(judging, error, prior.latch),
        None => line::decide(engine, judging, &scope, prior.latch),
    };
    scope.bind("status", Value::from(decided.status.word()));
    let message = message::message(engine, &judging.messages, &scope, &decided);
    let new_kept = keep::after(engine, judging, asked, &kept, &scope, &mut decided);
    let publish = publish(
        engine,
        judging,
        asked,
        new_kept.as_ref().unwrap_or(&kept),
        &mut scope,
        &mut decided,
    );
    let baseline = judging
        .baseline
        .as_ref()
        .filter(|_| decided.error.is_none());
    let baseline = baseline.and_then(|baseline| match baseline.value(engine, &scope) {
        Ok(value) => Some(value),
        Err(fault) => {
            decided.note("baseline", &fault);
            None
        }
    });
    let proven = proven(engine, judging, asked, &mut scope, &mut decided);
    let value = decided.value.or_else(|| {
        let value = judging.value.as_ref().filter(|_| decided.error.is_none())?;
        value.number(engine, &scope).ok()
    });
    Verdict {
        value,
        status: decided.status,
        message,
        skipped: false,
        no_data: decided.no_data,
        error: decided.error,
        why: decided.why,
        lets: scope.computed(),
        kept: new_kept,
        latch: decided.latch,
        baseline,
        recalled: judging.recalls().then(|| Arc::new(prior.clone())),
        proven,
        publish,
        duration_ms: 0.0,
        facts,
        unhidden: None,
    }
}

/// Whether this look proves a repair, beside its status; `None` when it is not asked to.
fn proven(
    engine: &Engine,
    judging: &Judging,
    asked: Asked<'_>,
    scope: &mut Scope<'_>,
    decided: &mut Decided,
) -> Option<bool> {
    if asked.acted.is_none() && asked.until.is_none() {
        return None;
    }
    scope.bind("acted", json!(asked.acted.map(Moment::seconds)));
    let until = asked.until.map(|expr| ("until", expr));
    let proves = judging.proves.as_ref().map(|expr| ("proves", expr));
    let mut proven = None;
    for (what, expr) in until.into_iter().chain(proves) {
        let holds = match expr.truth(engine, scope) {
            Ok(holds) => holds,
            Err(fault) => {
                decided.note(what, &fault);
                false
            }
        };
        proven = Some(proven.unwrap_or(true) && holds);
    }
    proven
}

/// What a name of what is remembered means: `prev`, `kept`, `baseline`.
pub fn recall(judging: &Judging, prior: &Prior, name: &str) -> Option<Value> {
    match name {
        "prev" => Some(previous(prior)),
        "kept" => Some(Value::Object(keep::before(judging, prior))),
        "baseline" => Some(confirmed(prior)),
        _ => None,
    }
}

impl Judging {
    /// Whether an expression that may be asked again (in a step, by `explain`) reads what is remembered.
    fn recalls(&self) -> bool {
        let remembered = |name: &String| matches!(name.as_str(), "prev" | "kept" | "baseline");
        let line = |line: &Option<Line>| match line {
            Some(Line::When(expr)) => expr.names().iter().any(remembered),
            _ => false,
        };
        let reads = |expr: &Expr| expr.names().iter().any(remembered);
        self.baseline.is_some()
            || self.lets.iter().any(|(_, expr)| reads(expr))
            || self.value.as_ref().is_some_and(reads)
            || line(&self.critical)
            || line(&self.warning)
    }
}

/// What was decided, before it is told.
struct Decided {
    status: Status,
    no_data: bool,
    error: Option<String>,
    why: Option<Why>,
    latch: Latch,
    /// What `value` came to, if a line asked for it.
    value: Option<f64>,
    /// What the message says when the rule says nothing, or nothing that can be said.
    plain: String,
}

impl Decided {
    /// The probe could not look.
    fn unseen(judging: &Judging, error: String, latch: Latch) -> Decided {
        Decided {
            status: judging.on_error.probe,
            no_data: false,
            plain: error.clone(),
            error: Some(error),
            why: None,
            latch,
            value: None,
        }
    }

    /// Something besides the status could not be computed: said, unless something worse was.
    fn note(&mut self, what: &str, fault: &Fault) {
        self.error.get_or_insert_with(|| explain(what, fault));
    }
}

/// A fault with its place: ``critical: no property `bse` (rules/a.yaml:3:14)``.
fn explain(what: &str, fault: &Fault) -> String {
    match fault.place.file.is_empty() {
        true => format!("{what}: {fault}"),
        false => format!("{what}: {fault} ({})", fault.place),
    }
}

/// The look before: `prev.status` is `()` when there was none.
fn previous(prior: &Prior) -> Value {
    let mut previous = Map::new();
    let status = prior.status.map(Status::word);
    previous.insert("status".to_owned(), status.into());
    previous.insert("let".to_owned(), Value::Object(prior.lets.clone()));
    Value::Object(previous)
}

/// What a person confirmed: `()`, or a map of `value`, `by`, `at` (epoch seconds) and `reason`.
fn confirmed(prior: &Prior) -> Value {
    let Some(baseline) = &prior.baseline else {
        return Value::Null;
    };
    json!({
        "value": baseline.value,
        "by": baseline.by,
        "at": baseline.at.seconds(),
        "reason": baseline.reason,
    })
}

/// What is to be merged into a file. A key that cannot be computed is left out, so that the others get there.
fn publish(
    engine: &Engine,
    judging: &Judging,
    asked: Asked<'_>,
    kept: &Map<String, Value>,
    scope: &mut Scope<'_>,
    decided: &mut Decided,
) -> Option<Publication> {
    let publish = judging.publish.as_ref()?;
    scope.bind("kept", Value::Object(kept.clone()));
    if let Some(ledger) = asked.ledger {
        scope.bind("ledger", ledger.clone());
    }
    let file = match publish.file.render(engine, scope) {
        Ok(file) => file,
        Err(fault) => {
            decided.note("publish", &fault);
            return None;
        }
    };
    let mut set = Map::new();
    for (key, value) in &publish.set {
        match value.render(engine, scope) {
            Ok(value) => {
                set.insert(key.clone(), value);
            }
            Err(fault) => decided.note(&format!("publish {key}"), &fault),
        }
    }
    Some(Publication { file, set })
}

//! What happened, as programs read it: one object for each piece of news, the same on the screen and in streams.

use std::time::Duration;

use serde_json::{Value, json};

use super::{answer::StepAnswer, handle::News};
use crate::{
    model::{
        attempt::{Attempt, Phase},
        moment::Moment,
    },
    rules::complaint::Complaint,
};

/// The kind of an event of a stream.
pub fn kind(news: &News) -> &'static str {
    match news {
        News::Changed { .. } => "change",
        News::Acted(_) => "acted",
        News::Ended(_) => "ended",
        News::Held { .. } => "held",
        News::Note { .. } => "note",
        News::Reloaded { .. } => "reloaded",
        News::Refused { .. } => "refused",
        News::Paused(_) | News::ChecksPaused { .. } => "paused",
        News::Silenced(_) => "silenced",
        News::Unsilenced(_) => "unsilenced",
        News::Incident(_) => "incident",
        News::Investigated { .. } => "investigated",
    }
}

/// From the intent to the proof.
pub fn took(attempt: &Attempt) -> Duration {
    match attempt.phase {
        Phase::Ended { at, .. } => at.since(attempt.begun),
        _ => Duration::ZERO,
    }
}

/// One thing that happened: a line of `run --json`, an event of a stream.
pub fn json(news: &News, now: Moment) -> Value {
    let mut value = match news {
        News::Changed {
            check,
            from,
            to,
            message,
            behind,
            holds,
        } => json!({
            "news": "changed", "check": check, "from": from, "to": to, "message": message, "behind": behind, "holds": holds,
        }),
        News::Acted(attempt) => json!({"news": "acted", "attempt": brief(attempt)}),
        News::Ended(attempt) => json!({"news": "ended", "attempt": brief(attempt)}),
        News::Silenced(silence) => json!({
            "news": "silenced", "id": silence.id, "checks": silence.checks, "by": silence.by,
            "reason": silence.reason, "until": silence.until.seconds(),
        }),
        News::Unsilenced(id) => json!({"news": "unsilenced", "id": id}),
        News::Incident(incident) => json!({
            "news": "incident", "id": incident.id, "check": incident.check, "status": incident.status,
            "message": incident.message, "checks": incident.members.len(), "opened": incident.opened.seconds(),
            "closed": incident.ended.as_ref().map(|it| it.at.seconds()),
            "acknowledged": incident.acknowledged.as_ref().map(|it| &it.by),
            "escalated": incident.escalated,
        }),
        News::Held { check, hold } => json!({
            "news": "held", "check": check, "by": hold.by, "until": hold.until.map(Moment::seconds), "why": hold.why,
        }),
        News::Note { check, text } => json!({"news": "note", "check": check, "text": text}),
        News::Reloaded {
            generation,
            changes,
            warnings,
        } => json!({
            "news": "reloaded", "generation": generation, "changes": changes, "warnings": machine(warnings),
        }),
        News::Refused {
            generation,
            complaints,
        } => {
            json!({"news": "refused", "generation": generation, "complaints": machine(complaints)})
        }
        News::ChecksPaused { checks, pause } => json!({
            "news": "paused",
            "checks": checks,
            "paused": pause.is_some(),
            "by": pause.as_ref().map(|it| &it.by),
            "reason": pause.as_ref().map(|it| &it.reason),
            "until": pause.as_ref().and_then(|it| it.until).map(Moment::seconds),
        }),
        News::Paused(pause) => json!({
            "news": "paused",
            "paused": pause.is_some(),
            "by": pause.as_ref().map(|pause| &pause.by),
            "reason": pause.as_ref().map(|pause| &pause.reason),
            "until": pause.as_ref().and_then(|pause| pause.until).map(Moment::seconds),
        }),
        News::Investigated { name, record } => {
            json!({"news": "investigated", "name": name, "record": record})
        }
    };
    if let Value::Object(map) = &mut value {
        map.insert("time".to_owned(), json!(now.iso()));
        map.insert("now".to_owned(), json!(now.seconds()));
    }
    value
}

fn machine(complaints: &[Complaint]) -> Vec<Value> {
    complaints.iter().map(Complaint::to_json).collect()
}

/// An attempt for readers outside: without what undoing needs.
fn brief(attempt: &Attempt) -> Value {
    let steps: Vec<StepAnswer> = attempt.receipts.iter().map(StepAnswer::of).collect();
    json!({
        "id": attempt.id,
        "check": attempt.check,
        "generation": attempt.generation,
        "rung": attempt.rung,
        "trial": attempt.trial,
        "end": attempt.end(),
        "withheld": attempt.withheld,
        "before": attempt.before,
        "after": attempt.after,
        "steps": steps,
        "took_s": attempt.end().map(|_| took(attempt).as_secs_f64()),
    })
}

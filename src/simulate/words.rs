//! How what was expected and what was seen are written.

use std::fmt;

use serde_json::{Map, Value};

use crate::{
    engine::answer::{Decided, StepAnswer},
    model::{
        attempt::{Attempt, End, NoteKind},
        moment::Moment,
        span::Span,
        status::Status,
        step,
        verdict::Verdict,
    },
    rules::testing::{ActForm, DecisionWord, StepForm},
};

/// `[one, two]`.
pub(super) struct Words<T>(pub Vec<T>);

impl<T: fmt::Display> fmt::Display for Words<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.0.iter().map(T::to_string).collect();
        write!(f, "[{}]", words.join(", "))
    }
}

pub(super) fn quoted(text: &str) -> String {
    format!("{text:?}")
}

/// `okx3 critical`.
pub(super) fn series(statuses: &[Option<Status>]) -> String {
    let mut runs: Vec<(Option<Status>, usize)> = Vec::new();
    for status in statuses {
        match runs.last_mut() {
            Some((last, count)) if last == status => *count += 1,
            _ => runs.push((*status, 1)),
        }
    }
    let word = |status: Option<Status>| status.map_or("_", Status::word);
    let shown = runs.into_iter().map(|(status, count)| match count {
        1 => word(status).to_owned(),
        count => format!("{}x{count}", word(status)),
    });
    shown.collect::<Vec<_>>().join(" ")
}

pub(super) fn decision(decided: Decided) -> DecisionWord {
    match decided {
        Decided::None => DecisionWord::None,
        Decided::Repaired => DecisionWord::Repaired,
        Decided::Failed => DecisionWord::Failed,
        Decided::Held => DecisionWord::Held,
        Decided::Would => DecisionWord::Would,
    }
}

pub(super) fn note(kind: NoteKind) -> &'static str {
    match kind {
        NoteKind::Quarantined => "quarantined",
        NoteKind::Rearmed => "rearmed",
        NoteKind::Escalated => "escalated",
        NoteKind::RolledBack => "rolled_back",
        NoteKind::Interrupted => "interrupted",
        NoteKind::Proposed => "proposed",
        NoteKind::Approved => "approved",
        NoteKind::Denied => "denied",
        NoteKind::Expired => "expired",
        NoteKind::Withdrawn => "withdrawn",
        NoteKind::Held => "held",
        NoteKind::StormBegan => "storm_began",
        NoteKind::StormEnded => "storm_ended",
        NoteKind::Confirmed => "confirmed",
        NoteKind::Forgotten => "forgotten",
        NoteKind::Edited => "edited",
    }
}

pub(super) fn end_word(attempt: &Attempt) -> &'static str {
    match attempt.end() {
        None => "open",
        Some(End::Verified) => "verified",
        Some(End::Failed) => "failed",
        Some(End::Superseded) => "superseded",
        Some(End::Interrupted) => "interrupted",
        Some(End::Withheld) => "withheld",
        Some(End::Would) => "would",
        Some(End::Denied) => "denied",
        Some(End::Expired) => "expired",
        Some(End::Withdrawn) => "withdrawn",
    }
}

pub(super) fn outcome_word(outcome: step::Outcome) -> &'static str {
    match outcome {
        step::Outcome::Done => "done",
        step::Outcome::Failed => "failed",
        step::Outcome::Would => "would",
    }
}

pub(super) fn step_form(StepForm(form): &StepForm) -> String {
    let parts = [
        form.kind.clone(),
        form.target.as_ref().map(ToString::to_string),
        form.outcome.map(|outcome| outcome.word().to_owned()),
        form.detail.as_ref().map(ToString::to_string),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

pub(super) fn step_answer(step: &StepAnswer) -> String {
    let outcome = outcome_word(step.outcome);
    format!("{} {} {outcome}", step.kind, step.target)
}

pub(super) fn act_form(ActForm(form): &ActForm) -> String {
    let steps = |steps: &Vec<StepForm>| Words(steps.iter().map(step_form).collect()).to_string();
    let parts = [
        form.at.map(|at| at.to_string()),
        form.rung.map(|rung| format!("rung {rung}")),
        form.steps.as_ref().map(steps),
        form.end.map(|end| end.word().to_owned()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// `10s rung 2 [run_command] verified`.
pub(super) fn act_shown(attempt: &Attempt, start: Moment) -> String {
    let at = Span(attempt.acted.unwrap_or(attempt.begun).since(start));
    let kinds = attempt.receipts.iter().map(|receipt| receipt.kind.as_str());
    let kinds = Words(kinds.collect());
    let by = attempt
        .withheld
        .as_ref()
        .map_or_else(String::new, |hold| format!(" by {}", hold.by));
    format!(
        "{at} rung {} {kinds} {}{by}",
        attempt.rung + 1,
        end_word(attempt)
    )
}

/// Why a check stands as it does: what was seen, what decided, with which values, what was done about it.
pub(super) fn because<'a>(
    verdict: &Verdict,
    attempts: impl Iterator<Item = &'a Attempt>,
    start: Moment,
) -> Vec<String> {
    let mut because = vec![format!("seen: {} {:?}", verdict.status, verdict.message)];
    if let Some(why) = &verdict.why {
        because.push(format!("{}: {}{}", why.line, why.expression, saw(&why.saw)));
    }
    if let Some(error) = &verdict.error {
        because.push(format!("error: {error}"));
    }
    let facts = verdict.facts.iter();
    let facts: String = facts
        .map(|(name, value)| format!(" {name}={}", short(value)))
        .collect();
    because.push(format!("facts:{facts}"));
    if !verdict.lets.is_empty() {
        let lets = verdict.lets.iter();
        let lets: String = lets
            .map(|(name, value)| format!(" {name}={}", short(value)))
            .collect();
        because.push(format!("let:{lets}"));
    }
    for attempt in attempts {
        because.push(act_shown(attempt, start));
        because.extend(attempt.receipts.iter().map(|receipt| {
            format!(
                "  {}: {}",
                step_answer(&StepAnswer::of(receipt)),
                receipt.detail
            )
        }));
    }
    because
}

fn saw(values: &Map<String, Value>) -> String {
    if values.is_empty() {
        return String::new();
    }
    let values = values
        .iter()
        .map(|(name, value)| format!("{name}={}", short(value)));
    format!(" ({})", values.collect::<Vec<_>>().join(", "))
}

fn short(value: &Value) -> String {
    cut(&value.to_string(), 60)
}

pub(super) fn excerpt(body: &[u8]) -> String {
    quoted(&cut(&String::from_utf8_lossy(body), 200))
}

/// At most so many characters.
pub(super) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

//! What was expected against what was seen.

use serde_json::{Map, Value};

use super::play::Play;
use crate::{
    engine::answer::{Answer, CheckAnswer, Decided, RemediationAnswer, StepAnswer},
    model::{
        attempt::{Attempt, Brief, End, NoteKind},
        span::Span,
        status::Status,
        step::Outcome,
        verdict::Verdict,
    },
    rules::testing::{
        CheckForm, DecisionWord, EndWord, ExpectForm, FileExpect, NoteWord, Sample, StepForm,
    },
};

/// What was seen of a check, from a round or from its standing.
struct Seen<'a> {
    status: Status,
    message: String,
    before: Option<Brief>,
    remediation: RemediationAnswer,
    verdict: Option<&'a Verdict>,
}

impl Play<'_> {
    pub(super) fn compare(&mut self, expect: &ExpectForm, answer: Option<&Answer>, path: &[&str]) {
        for (name, form) in &expect.checks {
            let found: Vec<String> = self.check_differences(name, form, answer);
            let path: Vec<&str> = path.iter().copied().chain([name.as_str()]).collect();
            for difference in found {
                self.differs(&path, format!("{}{name}: {difference}", self.when(answer)));
            }
        }
        for (file, form) in &expect.files {
            if let Some(difference) = self.file_difference(file, form) {
                let path: Vec<&str> = path.iter().copied().chain(["files", file]).collect();
                self.differs(&path, format!("{}{file}: {difference}", self.when(answer)));
            }
        }
        if let Some(ran) = &expect.ran {
            let same = ran.len() == self.ran.len()
                && ran
                    .iter()
                    .zip(&self.ran)
                    .all(|(wanted, argv)| wanted.means(argv));
            if !same {
                let saw: Vec<String> = self.ran.iter().map(|argv| argv.join(" ")).collect();
                let wanted: Vec<String> = ran.iter().map(|argv| argv.0.join(" ")).collect();
                let message = format!("expected the commands {wanted:?}, saw {saw:?}");
                let path: Vec<&str> = path.iter().copied().chain(["ran"]).collect();
                self.differs(&path, message);
            }
        }
    }

    fn when(&self, answer: Option<&Answer>) -> String {
        match answer {
            Some(_) => String::new(),
            None => format!("at {}: ", Span(self.since_start())),
        }
    }

    pub(super) fn compare_statuses(&mut self, index: usize) {
        let form = self.form;
        for (name, series) in &form.statuses {
            let Some(Sample::Is(wanted)) = series.0.get(index) else {
                continue;
            };
            let saw = self.core.standing(name).map(|it| it.status);
            if saw != Some(*wanted) {
                let message = format!(
                    "at {}: {name}: expected {wanted}, saw {}",
                    Span(self.since_start()),
                    saw.map_or("nothing".to_owned(), |it| it.to_string())
                );
                self.differs(&["statuses", name], message);
            }
        }
    }

    fn seen<'b>(&'b self, name: &str, answer: Option<&CheckAnswer>) -> Option<Seen<'b>> {
        let verdict = self.last.get(name).map(AsRef::as_ref);
        if let Some(answer) = answer {
            return Some(Seen {
                status: answer.status,
                message: answer.message.clone(),
                before: answer.before.clone(),
                remediation: answer.remediation.clone(),
                verdict,
            });
        }
        let standing = self.core.standing(name)?;
        let attempt = self.last_attempt(name);
        Some(Seen {
            status: standing.status,
            message: standing.message.clone(),
            before: attempt.map(|it| it.before.clone()),
            remediation: RemediationAnswer {
                decision: match (standing.held_by, attempt.map(Attempt::end)) {
                    (Some(_), _) => Decided::Held,
                    (None, None) => Decided::None,
                    (None, Some(None | Some(End::Verified))) => Decided::Repaired,
                    (None, Some(Some(End::Would))) => Decided::Would,
                    (None, Some(Some(_))) => Decided::Failed,
                },
                held_by: standing.held_by.map(|by| by.word().to_owned()),
                verified: attempt.and_then(Attempt::end).and_then(proven),
                steps: attempt
                    .map(|it| it.receipts.iter().map(StepAnswer::of).collect())
                    .unwrap_or_default(),
                ..RemediationAnswer::default()
            },
            verdict,
        })
    }

    /// The last attempt of a check that did something, open or ended.
    fn last_attempt(&self, name: &str) -> Option<&Attempt> {
        let open = self.core.attempts().filter(|it| &*it.check == name).last();
        let mut ended = self.ended.values().rev().map(AsRef::as_ref);
        let ended = ended.find(|it| &*it.check == name && it.end() != Some(End::Withheld));
        open.or(ended)
    }

    fn check_differences(
        &self,
        name: &str,
        form: &CheckForm,
        answer: Option<&Answer>,
    ) -> Vec<String> {
        let answered = answer.and_then(|answer| answer.checks.iter().find(|it| it.name == name));
        let Some(seen) = self
            .seen(name, answered)
            .filter(|_| answer.is_none() || answered.is_some())
        else {
            return vec!["it was not looked at".to_owned()];
        };
        let mut found = Vec::new();
        let why = describe(&seen);
        let mut differ = |what: &str, wanted: String, saw: String| {
            found.push(format!("expected {what} {wanted}, saw {saw}{why}"));
        };
        if let Some(wanted) = form
            .status
            .map(Status::from)
            .filter(|it| *it != seen.status)
        {
            differ("status", wanted.to_string(), seen.status.to_string());
        }
        let last = seen.verdict.map(|it| it.status);
        if let Some(wanted) = form.seen.map(Status::from).filter(|it| Some(*it) != last) {
            differ("to have seen", wanted.to_string(), or_nothing(last));
        }
        if let Some(before) = &form.before {
            let saw = seen.before.as_ref();
            let wanted = before.0.status.map(Status::from);
            if wanted.is_some() && wanted != saw.map(|it| it.status) {
                differ(
                    "before",
                    or_nothing(wanted),
                    or_nothing(saw.map(|it| it.status)),
                );
            }
            let fits = |text: &str| before.0.message.as_ref().is_none_or(|it| it.fits(text));
            if let Some(saw) = saw.filter(|saw| !fits(&saw.message)) {
                let wanted = before.0.message.as_ref().map(ToString::to_string);
                differ(
                    "before the message",
                    wanted.unwrap_or_default(),
                    format!("{:?}", saw.message),
                );
            }
        }
        if let Some(wanted) = form.message.as_ref().filter(|it| !it.fits(&seen.message)) {
            differ(
                "the message",
                wanted.to_string(),
                format!("{:?}", seen.message),
            );
        }
        let decision = word(seen.remediation.decision);
        if let Some(wanted) = form.decision.filter(|it| *it != decision) {
            differ(
                "decision",
                wanted.word().to_owned(),
                decision.word().to_owned(),
            );
        }
        if let Some(wanted) = form
            .held_by
            .as_ref()
            .filter(|it| **it != seen.remediation.held_by)
        {
            let name = |by: &Option<String>| by.clone().unwrap_or("nothing".to_owned());
            differ("held by", name(wanted), name(&seen.remediation.held_by));
        }
        if let Some(wanted) = form.verified.filter(|it| *it != seen.remediation.verified) {
            differ(
                "verified",
                or_nothing(wanted),
                or_nothing(seen.remediation.verified),
            );
        }
        if let Some(wanted) = form
            .steps
            .as_ref()
            .filter(|it| !steps_fit(it, &seen.remediation.steps))
        {
            let wanted: Vec<String> = wanted.iter().map(step_words).collect();
            let saw = seen.remediation.steps.iter();
            let saw: Vec<String> = saw
                .map(|it| format!("{} {} ({})", it.kind, it.target, it.detail))
                .collect();
            differ("the steps", format!("{wanted:?}"), format!("{saw:?}"));
        }
        if let Some(difference) = self.acts_difference(name, form) {
            differ("acts", difference.0, difference.1);
        }
        let verdict = seen.verdict;
        let lets = verdict.map(|it| it.lets.clone()).unwrap_or_default();
        let facts = verdict.map(|it| it.facts.to_json());
        let facts = facts
            .as_ref()
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        let kept = self
            .core
            .standing(name)
            .and_then(|it| it.prior.kept.clone())
            .unwrap_or_default();
        for (what, wanted, saw) in [
            ("let", &form.lets, &lets),
            ("fact", &form.facts, &facts),
            ("kept", &form.kept, &kept),
        ] {
            for (key, wanted) in wanted.iter().flatten() {
                match saw.get(key) {
                    Some(saw) if same(wanted, saw) => {}
                    saw => differ(
                        &format!("{what} {key}"),
                        wanted.to_string(),
                        saw.map_or("nothing".to_owned(), ToString::to_string),
                    ),
                }
            }
        }
        let error = verdict.and_then(|it| it.error.clone());
        if let Some(wanted) = &form.error {
            let fits = match (wanted, &error) {
                (None, None) => true,
                (Some(wanted), Some(error)) => wanted.fits(error),
                _ => false,
            };
            if !fits {
                differ(
                    "the error",
                    or_nothing(wanted.as_ref()),
                    or_nothing(error.as_ref()),
                );
            }
        }
        let no_data = verdict.is_some_and(|it| it.no_data);
        if let Some(wanted) = form.no_data.filter(|it| *it != no_data) {
            differ("no_data", wanted.to_string(), no_data.to_string());
        }
        if let Some(wanted) = &form.notes {
            let saw: Vec<NoteWord> = self
                .notes
                .iter()
                .filter(|(check, _)| &**check == name)
                .map(|(_, kind)| note_word(*kind))
                .collect();
            if *wanted != saw {
                let words = |notes: &[NoteWord]| {
                    notes
                        .iter()
                        .map(|it| it.word())
                        .collect::<Vec<_>>()
                        .join(", ")
                };
                differ("the notes", words(wanted), words(&saw));
            }
        }
        found
    }

    fn acts_difference(&self, name: &str, form: &CheckForm) -> Option<(String, String)> {
        let wanted = form.acts.as_ref()?;
        let acts: Vec<_> = self.acts.iter().filter(|act| &*act.check == name).collect();
        let fits = wanted.len() == acts.len()
            && wanted.iter().zip(&acts).all(|(wanted, act)| {
                let wanted = &wanted.0;
                let at = act.at.since(self.start());
                let receipts = self.receipts.get(&act.attempt).cloned().unwrap_or_default();
                let steps: Vec<StepAnswer> = receipts.iter().map(StepAnswer::of).collect();
                let end = match self.ended.get(&act.attempt).and_then(|it| it.end()) {
                    None => EndWord::Open,
                    Some(End::Verified) => EndWord::Verified,
                    Some(End::Superseded) => EndWord::Superseded,
                    Some(_) => EndWord::Failed,
                };
                wanted.at.is_none_or(|it| it.0 == at)
                    && wanted.rung.is_none_or(|it| it == act.rung + 1)
                    && wanted.steps.as_ref().is_none_or(|it| steps_fit(it, &steps))
                    && wanted.end.is_none_or(|it| it == end)
            });
        if fits {
            return None;
        }
        let saw: Vec<String> = acts
            .iter()
            .map(|act| {
                format!(
                    "rung {} at {}",
                    act.rung + 1,
                    Span(act.at.since(self.start()))
                )
            })
            .collect();
        Some((
            format!("{} of them as told", wanted.len()),
            format!("{saw:?}"),
        ))
    }

    fn file_difference(&self, file: &str, form: &FileExpect) -> Option<String> {
        let there = self.stage.exists(file);
        let body = self.stage.read(file);
        let expect = match form {
            FileExpect::Absent if there => {
                return Some("expected nothing, and there is something".to_owned());
            }
            FileExpect::Present if !there => {
                return Some("expected a file, and there is none".to_owned());
            }
            FileExpect::Unchanged if body.as_ref() != self.begun(file) => {
                return Some("expected it unchanged, and it has changed".to_owned());
            }
            FileExpect::Absent | FileExpect::Present | FileExpect::Unchanged => return None,
            FileExpect::Body(expect) => expect,
        };
        let Some(body) = body else {
            return Some("expected a file, and there is none".to_owned());
        };
        let text = String::from_utf8_lossy(&body);
        let json: Option<Value> = serde_json::from_slice(&body).ok();
        if let Some(wanted) = &expect.json
            && !json.as_ref().is_some_and(|saw| same(wanted, saw))
        {
            return Some(format!("expected {wanted}, saw {text}"));
        }
        if let Some(wanted) = &expect.has {
            let wanted = Value::Object(wanted.clone());
            if !json.as_ref().is_some_and(|saw| has(saw, &wanted)) {
                return Some(format!("expected at least {wanted}, saw {text}"));
            }
        }
        if let Some(wanted) = expect.text.as_ref().filter(|it| !it.fits(&text)) {
            return Some(format!("expected {wanted}, saw {text:?}"));
        }
        if let Some(from) = &expect.from {
            match self.stage.rule_file(from) {
                Ok(wanted) if wanted == body => {}
                Ok(_) => return Some(format!("expected the body of {from}, saw {text}")),
                Err(error) => return Some(error),
            }
        }
        let lines = text.lines().count();
        expect
            .lines
            .filter(|wanted| *wanted != lines)
            .map(|wanted| format!("expected {wanted} lines, saw {lines}"))
    }
}

fn proven(end: End) -> Option<bool> {
    match end {
        End::Verified => Some(true),
        End::Failed | End::Superseded | End::Interrupted => Some(false),
        End::Withheld | End::Would => None,
    }
}

fn or_nothing<T: ToString>(value: Option<T>) -> String {
    value.map_or("nothing".to_owned(), |it| it.to_string())
}

/// What an author needs to see why: the message, what decided, what went wrong.
fn describe(seen: &Seen<'_>) -> String {
    let mut told = vec![format!("message: {}", seen.message)];
    if let Some(verdict) = seen.verdict {
        if let Some(why) = &verdict.why {
            let saw: Vec<String> = why
                .saw
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            told.push(format!(
                "{}: {} with {}",
                why.line,
                why.expression,
                saw.join(", ")
            ));
        }
        told.extend(
            verdict
                .error
                .as_ref()
                .map(|error| format!("error: {error}")),
        );
    }
    format!("\n  {}", told.join("\n  "))
}

fn word(decision: Decided) -> DecisionWord {
    match decision {
        Decided::None => DecisionWord::None,
        Decided::Repaired => DecisionWord::Repaired,
        Decided::Failed => DecisionWord::Failed,
        Decided::Held => DecisionWord::Held,
        Decided::Would => DecisionWord::Would,
    }
}

fn note_word(kind: NoteKind) -> NoteWord {
    match kind {
        NoteKind::Quarantined => NoteWord::Quarantined,
        NoteKind::Rearmed => NoteWord::Rearmed,
        NoteKind::Escalated => NoteWord::Escalated,
        NoteKind::RolledBack => NoteWord::RolledBack,
        NoteKind::Interrupted => NoteWord::Interrupted,
    }
}

fn steps_fit(wanted: &[StepForm], saw: &[StepAnswer]) -> bool {
    wanted.len() == saw.len()
        && wanted.iter().zip(saw).all(|(StepForm(wanted), saw)| {
            let outcome = match saw.outcome {
                Outcome::Done => "done",
                Outcome::Failed => "failed",
                Outcome::Would => "would",
            };
            wanted.kind.as_ref().is_none_or(|it| *it == saw.kind)
                && wanted.target.as_ref().is_none_or(|it| it.fits(&saw.target))
                && wanted.detail.as_ref().is_none_or(|it| it.fits(&saw.detail))
                && wanted.outcome.is_none_or(|it| it.word() == outcome)
        })
}

fn step_words(step: &StepForm) -> String {
    let StepForm(step) = step;
    let target = step
        .target
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    format!("{} {target}", step.kind.clone().unwrap_or_default())
        .trim_end()
        .to_owned()
}

/// Numbers are the same by value: 1 and 1.0.
fn same(wanted: &Value, saw: &Value) -> bool {
    match (wanted, saw) {
        (Value::Number(wanted), Value::Number(saw)) => wanted.as_f64() == saw.as_f64(),
        (Value::Array(wanted), Value::Array(saw)) => {
            wanted.len() == saw.len() && wanted.iter().zip(saw).all(|(one, two)| same(one, two))
        }
        (Value::Object(wanted), Value::Object(saw)) => {
            wanted.len() == saw.len() && all_in(wanted, saw, same)
        }
        _ => wanted == saw,
    }
}

/// At least these keys, at any depth.
fn has(saw: &Value, wanted: &Value) -> bool {
    match (wanted, saw) {
        (Value::Object(wanted), Value::Object(saw)) => {
            all_in(wanted, saw, |wanted, saw| has(saw, wanted))
        }
        _ => same(wanted, saw),
    }
}

fn all_in(
    wanted: &Map<String, Value>,
    saw: &Map<String, Value>,
    fits: impl Fn(&Value, &Value) -> bool,
) -> bool {
    wanted
        .iter()
        .all(|(key, wanted)| saw.get(key).is_some_and(|saw| fits(wanted, saw)))
}

//! What was expected and was not so, with the reasons.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    Failure,
    case::{Case, source},
    difference::{self, shown},
    driver::Driver,
};
use crate::{
    engine::answer::{Answer, CheckAnswer, Decided, StepAnswer},
    model::{
        attempt::{Attempt, Brief, End, NoteKind, Phase},
        moment::Moment,
        node::Node,
        report::{Outcome, Round},
        span::Span,
        status::Status,
        step,
        text::Place,
        verdict::Verdict,
    },
    rules::testing::{
        ActForm, BeforeForm, CheckForm, DecisionWord, ExpectForm, FileBody, FileExpect, StepForm,
        spot,
    },
};

/// How a check stands at one instant.
struct View {
    status: Status,
    message: String,
    answer: CheckAnswer,
    verdict: std::sync::Arc<Verdict>,
    before: Option<Brief>,
    steps: Vec<StepAnswer>,
    verified: Option<bool>,
}

/// Everything of one expectation that does not hold now. `round` is the round it is about; `None`: over time.
pub(super) fn expectation(
    driver: &Driver<'_>,
    form: &ExpectForm,
    node: &Node,
    round: Option<&Round>,
) -> Vec<Failure> {
    let mut comparison = Comparison {
        driver,
        round,
        failures: Vec::new(),
    };
    for (name, check) in &form.checks {
        comparison.check(name, check, spot(node, &[name]));
    }
    for (path, file) in &form.files {
        comparison.file(path, file, spot(node, &["files", path]));
    }
    if let Some(ran) = &form.ran {
        let wanted: Vec<String> = ran.iter().map(|argv| argv.0.join(" ")).collect();
        let fits = ran.len() == driver.seen.ran.len()
            && ran
                .iter()
                .zip(&driver.seen.ran)
                .all(|(wanted, argv)| wanted.means(argv));
        if !fits {
            let got: Vec<String> = driver.seen.ran.iter().map(|argv| argv.join(" ")).collect();
            let place = &spot(node, &["ran"]).place;
            comparison.fail(place, "commands".to_owned(), list(&wanted), list(&got));
        }
    }
    comparison.failures
}

/// The statuses that count of one check, against its series.
pub(super) fn statuses(
    name: &str,
    place: &Place,
    step: Span,
    wanted: &[Option<Status>],
    got: &[Option<Status>],
) -> Option<Failure> {
    let differs =
        |(wanted, got): (&Option<Status>, &Option<Status>)| wanted.is_some() && wanted != got;
    let at = wanted.iter().zip(got).position(differs)?;
    let after = Span(step.0.saturating_mul(u32::try_from(at).unwrap_or(u32::MAX)));
    Some(Failure {
        place: place.clone(),
        what: format!("{name}: statuses, first at {after}"),
        expected: Some(series(wanted)),
        got: Some(series(got)),
        because: Vec::new(),
    })
}

/// `okx3 critical`.
fn series(statuses: &[Option<Status>]) -> String {
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

struct Comparison<'d, 'a> {
    driver: &'d Driver<'a>,
    round: Option<&'d Round>,
    failures: Vec<Failure>,
}

impl Comparison<'_, '_> {
    fn case(&self) -> &Case<'_> {
        self.driver.case
    }

    fn when(&self) -> String {
        match self.round {
            Some(_) => String::new(),
            None => format!(" at {}", since(self.case().values.start, self.driver.now)),
        }
    }

    fn fail(&mut self, place: &Place, what: String, expected: String, got: String) {
        self.failures.push(Failure {
            place: place.clone(),
            what: format!("{what}{}", self.when()),
            expected: Some(expected),
            got: Some(got),
            because: Vec::new(),
        });
    }

    fn check(&mut self, name: &str, form: &CheckForm, node: &Node) {
        let first = self.failures.len();
        let Some(view) = self.view(name) else {
            let place = &node.place;
            self.fail(
                place,
                name.to_owned(),
                "a look".to_owned(),
                "it was not looked at".to_owned(),
            );
            return;
        };
        self.look(name, form, node, &view);
        self.repair(name, form, node, &view);
        self.history(name, form, node);
        self.values(name, form, node, &view);
        let because = self.because(name, &view);
        if let Some(failure) = self.failures.get_mut(first) {
            failure.because = because;
        }
    }

    fn view(&self, name: &str) -> Option<View> {
        let outcome = match self.round {
            Some(round) => round
                .outcomes
                .iter()
                .find(|outcome| &*outcome.check == name),
            None => None,
        };
        let outcome = outcome.or_else(|| self.driver.seen.outcomes.get(name))?;
        let answer = answer(outcome, self.driver.now)?;
        let report = outcome.report.as_ref()?;
        let verdict = outcome.verdict.as_ref().unwrap_or(&report.verdict).clone();
        let repair = answer.remediation.clone();
        if self.round.is_some() {
            return Some(View {
                status: answer.status,
                message: answer.message.clone(),
                before: answer.before.clone(),
                steps: repair.steps,
                verified: repair.verified,
                verdict,
                answer,
            });
        }
        let standing = self.driver.core.standing(name)?;
        let last = self.driver.seen.last_repair(name);
        Some(View {
            status: standing.status,
            message: standing.message.clone(),
            before: last.map(|attempt| attempt.before.clone()),
            steps: last
                .map(|it| it.receipts.iter().map(StepAnswer::of).collect())
                .unwrap_or_default(),
            verified: last.and_then(proven),
            verdict,
            answer,
        })
    }

    fn look(&mut self, name: &str, form: &CheckForm, node: &Node, view: &View) {
        let place = |key: &str| spot(node, &[key]).place.clone();
        let statuses = [
            ("status", form.status, view.status),
            ("seen", form.seen, view.verdict.status),
        ];
        for (key, wanted, got) in statuses {
            if let Some(wanted) = wanted.map(Status::from)
                && wanted != got
            {
                self.fail(
                    &place(key),
                    format!("{name}: {key}"),
                    wanted.to_string(),
                    got.to_string(),
                );
            }
        }
        if let Some(wanted) = &form.message
            && !wanted.fits(&view.message)
        {
            let got = format!("{:?}", view.message);
            self.fail(
                &place("message"),
                format!("{name}: message"),
                wanted.to_string(),
                got,
            );
        }
        let error = view.verdict.error.as_deref();
        match (&form.error, error) {
            (Some(None), Some(error)) => {
                let got = format!("{error:?}");
                self.fail(
                    &place("error"),
                    format!("{name}: error"),
                    "none".to_owned(),
                    got,
                );
            }
            (Some(Some(wanted)), error) if !error.is_some_and(|error| wanted.fits(error)) => {
                let got = error.map_or("none".to_owned(), |error| format!("{error:?}"));
                self.fail(
                    &place("error"),
                    format!("{name}: error"),
                    wanted.to_string(),
                    got,
                );
            }
            _ => {}
        }
        if let Some(wanted) = form.no_data
            && wanted != view.verdict.no_data
        {
            let got = view.verdict.no_data.to_string();
            self.fail(
                &place("no_data"),
                format!("{name}: no_data"),
                wanted.to_string(),
                got,
            );
        }
    }

    fn repair(&mut self, name: &str, form: &CheckForm, node: &Node, view: &View) {
        let place = |key: &str| spot(node, &[key]).place.clone();
        if let Some(before) = &form.before {
            self.before(name, before, spot(node, &["before"]), view);
        }
        let remediation = &view.answer.remediation;
        if let Some(wanted) = form.decision
            && wanted != decision(remediation.decision)
        {
            let got = match &remediation.held_by {
                Some(by) => format!("{} by {by}", decision(remediation.decision).word()),
                None => decision(remediation.decision).word().to_owned(),
            };
            self.fail(
                &place("decision"),
                format!("{name}: decision"),
                wanted.word().to_owned(),
                got,
            );
        }
        if let Some(wanted) = &form.held_by
            && *wanted != remediation.held_by
        {
            let word = |by: &Option<String>| by.clone().unwrap_or_else(|| "none".to_owned());
            let got = word(&remediation.held_by);
            self.fail(
                &place("held_by"),
                format!("{name}: held_by"),
                word(wanted),
                got,
            );
        }
        if let Some(wanted) = form.verified
            && wanted != view.verified
        {
            let word = |it: Option<bool>| it.map_or("null".to_owned(), |it| it.to_string());
            self.fail(
                &place("verified"),
                format!("{name}: verified"),
                word(wanted),
                word(view.verified),
            );
        }
        if let Some(wanted) = &form.steps
            && !steps_fit(wanted, &view.steps)
        {
            let wanted: Vec<String> = wanted.iter().map(step_form).collect();
            let got: Vec<String> = view.steps.iter().map(step_answer).collect();
            self.fail(
                &place("steps"),
                format!("{name}: steps"),
                list(&wanted),
                list(&got),
            );
        }
    }

    fn before(&mut self, name: &str, form: &BeforeForm, node: &Node, view: &View) {
        let what = format!("{name}: before");
        let Some(before) = &view.before else {
            self.fail(&node.place, what, "a repair".to_owned(), "none".to_owned());
            return;
        };
        if let Some(wanted) = form.0.status.map(Status::from)
            && wanted != before.status
        {
            let place = &spot(node, &["status"]).place;
            self.fail(
                place,
                what.clone(),
                wanted.to_string(),
                before.status.to_string(),
            );
        }
        if let Some(wanted) = &form.0.message
            && !wanted.fits(&before.message)
        {
            let place = &spot(node, &["message"]).place;
            self.fail(
                place,
                format!("{what}, message"),
                wanted.to_string(),
                format!("{:?}", before.message),
            );
        }
    }

    fn history(&mut self, name: &str, form: &CheckForm, node: &Node) {
        let start = self.case().values.start;
        if let Some(wanted) = &form.acts {
            let got: Vec<&Attempt> = self.driver.seen.acts(name).collect();
            let fits = wanted.len() == got.len()
                && wanted
                    .iter()
                    .zip(&got)
                    .all(|(wanted, got)| act_fits(wanted, got, start));
            if !fits {
                let wanted: Vec<String> = wanted.iter().map(act_form).collect();
                let got: Vec<String> = got.iter().map(|it| act_shown(it, start)).collect();
                let place = &spot(node, &["acts"]).place;
                self.fail(place, format!("{name}: acts"), list(&wanted), list(&got));
            }
        }
        if let Some(wanted) = &form.notes {
            let wanted: Vec<&str> = wanted.iter().map(|word| word.word()).collect();
            let got: Vec<&str> = self.driver.seen.notes(name).into_iter().map(note).collect();
            if wanted != got {
                let place = &spot(node, &["notes"]).place;
                self.fail(place, format!("{name}: notes"), list(&wanted), list(&got));
            }
        }
    }

    fn values(&mut self, name: &str, form: &CheckForm, node: &Node, view: &View) {
        let kept = self
            .driver
            .core
            .standing(name)
            .and_then(|standing| standing.prior.kept.clone());
        let facts = || match view.answer.facts.to_json() {
            Value::Object(facts) => facts,
            _ => Map::new(),
        };
        let lets = || view.answer.lets.clone();
        let parts: [(&str, bool, &dyn Fn() -> Map<String, Value>); 3] = [
            ("let", form.lets.is_some(), &lets),
            ("facts", form.facts.is_some(), &facts),
            ("kept", form.kept.is_some(), &|| {
                kept.clone().unwrap_or_default()
            }),
        ];
        for (part, asked, got) in parts {
            let entries = if asked {
                spot(node, &[part]).entries()
            } else {
                &[]
            };
            if entries.is_empty() {
                continue;
            }
            let got = got();
            for (key, value) in entries {
                let what = format!("{name}: {part}.{}", key.key());
                let Some(wanted) = self.rendered(value) else {
                    continue;
                };
                let found = found(&got, key.key());
                let Some(found) = found else {
                    self.fail(&value.place, what, shown(&wanted), "nothing".to_owned());
                    continue;
                };
                if let Some((path, wanted, got)) = difference::exact(&wanted, found) {
                    self.fail(&value.place, format!("{what}{path}"), wanted, got);
                }
            }
        }
    }

    /// A value of the test as it is now; `None` if it cannot be computed, which is a failure.
    fn rendered(&mut self, node: &Node) -> Option<Value> {
        let mut mistakes = Vec::new();
        let values = &self.driver.case.values;
        let tree = values.tree(node, &mut mistakes);
        self.failures
            .extend(mistakes.into_iter().map(Failure::from)); // found before, when it was compiled
        match values.render(&tree?, self.driver.now, 0) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.failures
                    .push(Failure::trouble(&fault.place, fault.message));
                None
            }
        }
    }

    fn file(&mut self, path: &str, form: &FileExpect, node: &Node) {
        let world = &self.driver.world;
        let there = world.is_there(path);
        let body = world.body(path);
        let said = |there: bool| if there { "present" } else { "absent" }.to_owned();
        match form {
            FileExpect::Absent | FileExpect::Present => {
                let wanted = matches!(form, FileExpect::Present);
                if wanted != there {
                    self.fail(&node.place, path.to_owned(), said(wanted), said(there));
                }
            }
            FileExpect::Unchanged if world.is_unchanged(path) => {}
            FileExpect::Unchanged => {
                let got = body.map_or("absent".to_owned(), |body| {
                    format!("changed: {}", excerpt(&body))
                });
                self.fail(&node.place, path.to_owned(), "unchanged".to_owned(), got);
            }
            FileExpect::Body(_) if body.is_none() => {
                let got = if there { "no regular file" } else { "absent" };
                self.fail(
                    &node.place,
                    path.to_owned(),
                    "a file".to_owned(),
                    got.to_owned(),
                );
            }
            FileExpect::Body(form) => self.body(path, form, node, &body.unwrap_or_default()),
        }
    }

    fn body(&mut self, path: &str, form: &FileBody, node: &Node, body: &[u8]) {
        let text = String::from_utf8_lossy(body);
        for (key, exactly, asked) in [
            ("json", true, form.json.is_some()),
            ("has", false, form.has.is_some()),
        ] {
            let at = spot(node, &[key]);
            let Some(wanted) = asked.then(|| self.rendered(at)).flatten() else {
                continue;
            };
            let got: Value = match serde_json::from_slice(body) {
                Ok(got) => got,
                Err(error) => {
                    let got = format!("no JSON ({error}): {}", excerpt(body));
                    self.fail(&at.place, path.to_owned(), shown(&wanted), got);
                    continue;
                }
            };
            let different = match (&wanted, exactly) {
                (Value::Object(keys), false) => difference::at_least(keys, &got),
                _ => difference::exact(&wanted, &got),
            };
            if let Some((inner, wanted, got)) = different {
                self.fail(
                    &at.place,
                    format!("{path} {inner}").trim().to_owned(),
                    wanted,
                    got,
                );
            }
        }
        if let Some(wanted) = &form.text
            && !wanted.fits(&text)
        {
            self.fail(
                &spot(node, &["text"]).place,
                path.to_owned(),
                wanted.to_string(),
                excerpt(body),
            );
        }
        if let Some(from) = &form.from
            && source(self.driver.ground.book, from).as_deref() != Some(body)
        {
            let wanted = format!("as in {from}");
            self.fail(
                &spot(node, &["from"]).place,
                path.to_owned(),
                wanted,
                excerpt(body),
            );
        }
        if let Some(wanted) = form.lines
            && wanted != text.lines().count()
        {
            let got = text.lines().count().to_string();
            self.fail(
                &spot(node, &["lines"]).place,
                format!("{path}: lines"),
                wanted.to_string(),
                got,
            );
        }
    }

    /// Why a check stands as it does.
    fn because(&self, name: &str, view: &View) -> Vec<String> {
        let verdict = &view.verdict;
        let mut because = vec![format!("seen: {} {:?}", verdict.status, verdict.message)];
        if let Some(why) = &verdict.why {
            because.push(format!("{}: {}{}", why.line, why.expression, saw(&why.saw)));
        }
        if let Some(error) = &verdict.error {
            because.push(format!("error: {error}"));
        }
        let facts: BTreeMap<&str, &Value> = verdict
            .facts
            .iter()
            .map(|(name, value)| (name, &**value))
            .collect();
        because.push(format!(
            "facts:{}",
            facts
                .iter()
                .map(|(name, value)| format!(" {name}={}", short(value)))
                .collect::<String>()
        ));
        if !verdict.lets.is_empty() {
            let lets = verdict
                .lets
                .iter()
                .map(|(name, value)| format!(" {name}={}", short(value)));
            because.push(format!("let:{}", lets.collect::<String>()));
        }
        if let Some(by) = &view.answer.remediation.held_by {
            because.push(format!("held by {by}"));
        }
        let start = self.case().values.start;
        for attempt in self
            .driver
            .seen
            .attempts
            .values()
            .filter(|it| &*it.check == name)
        {
            because.push(act_shown(attempt, start));
            because.extend(attempt.receipts.iter().map(|receipt| {
                let what = step_answer(&StepAnswer::of(receipt));
                format!("  {what}: {}", receipt.detail)
            }));
        }
        because
    }
}

fn answer(outcome: &Outcome, now: Moment) -> Option<CheckAnswer> {
    let round = Round {
        id: 0,
        began: now,
        ended: now,
        investigation: None,
        outcomes: vec![outcome.clone()],
    };
    Answer::of(&round, "", now).checks.into_iter().next()
}

/// `run.count` is `count` of `run`.
fn found<'v>(values: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    let nested = || {
        let (look, fact) = name.split_once('.')?;
        values.get(look)?.get(fact)
    };
    values.get(name).or_else(nested)
}

fn proven(attempt: &Attempt) -> Option<bool> {
    match attempt.end()? {
        End::Verified => Some(true),
        End::Failed | End::Superseded | End::Interrupted => Some(false),
        End::Withheld | End::Would => None,
    }
}

fn decision(decided: Decided) -> DecisionWord {
    match decided {
        Decided::None => DecisionWord::None,
        Decided::Repaired => DecisionWord::Repaired,
        Decided::Failed => DecisionWord::Failed,
        Decided::Held => DecisionWord::Held,
        Decided::Would => DecisionWord::Would,
    }
}

fn note(kind: NoteKind) -> &'static str {
    match kind {
        NoteKind::Quarantined => "quarantined",
        NoteKind::Rearmed => "rearmed",
        NoteKind::Escalated => "escalated",
        NoteKind::RolledBack => "rolled_back",
        NoteKind::Interrupted => "interrupted",
    }
}

fn end_word(phase: &Phase) -> &'static str {
    match phase {
        Phase::Ended { end, .. } => match end {
            End::Verified => "verified",
            End::Failed => "failed",
            End::Superseded => "superseded",
            End::Interrupted => "interrupted",
            End::Withheld => "withheld",
            End::Would => "would",
        },
        _ => "open",
    }
}

fn outcome_word(outcome: step::Outcome) -> &'static str {
    match outcome {
        step::Outcome::Done => "done",
        step::Outcome::Failed => "failed",
        step::Outcome::Would => "would",
    }
}

fn steps_fit(wanted: &[StepForm], got: &[StepAnswer]) -> bool {
    wanted.len() == got.len()
        && wanted
            .iter()
            .zip(got)
            .all(|(wanted, got)| step_fits(wanted, got))
}

fn step_fits(StepForm(wanted): &StepForm, got: &StepAnswer) -> bool {
    wanted.kind.as_ref().is_none_or(|kind| *kind == got.kind)
        && wanted
            .target
            .as_ref()
            .is_none_or(|target| target.fits(&got.target))
        && wanted
            .outcome
            .is_none_or(|outcome| outcome.word() == outcome_word(got.outcome))
        && wanted
            .detail
            .as_ref()
            .is_none_or(|detail| detail.fits(&got.detail))
}

fn act_fits(ActForm(wanted): &ActForm, got: &Attempt, start: Moment) -> bool {
    let steps: Vec<StepAnswer> = got.receipts.iter().map(StepAnswer::of).collect();
    wanted
        .at
        .is_none_or(|at| start.plus(at.0) == got.acted.unwrap_or(got.begun))
        && wanted.rung.is_none_or(|rung| rung == got.rung + 1)
        && wanted
            .steps
            .as_ref()
            .is_none_or(|wanted| steps_fit(wanted, &steps))
        && wanted
            .end
            .is_none_or(|end| end.word() == end_word(&got.phase))
}

fn step_form(StepForm(form): &StepForm) -> String {
    let parts = [
        form.kind.clone(),
        form.target.as_ref().map(ToString::to_string),
        form.outcome.map(|outcome| outcome.word().to_owned()),
        form.detail.as_ref().map(ToString::to_string),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn step_answer(step: &StepAnswer) -> String {
    format!(
        "{} {} {}",
        step.kind,
        step.target,
        outcome_word(step.outcome)
    )
}

fn act_form(ActForm(form): &ActForm) -> String {
    let parts = [
        form.at.map(|at| at.to_string()),
        form.rung.map(|rung| format!("rung {rung}")),
        form.steps
            .as_ref()
            .map(|steps| list(&steps.iter().map(step_form).collect::<Vec<_>>())),
        form.end.map(|end| end.word().to_owned()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn act_shown(attempt: &Attempt, start: Moment) -> String {
    let at = since(start, attempt.acted.unwrap_or(attempt.begun));
    let kinds: Vec<&str> = attempt
        .receipts
        .iter()
        .map(|receipt| &*receipt.kind)
        .collect();
    let end = match attempt.withheld {
        Some(by) => format!("withheld by {by}"),
        None => end_word(&attempt.phase).to_owned(),
    };
    format!("{at} rung {} {} {end}", attempt.rung + 1, list(&kinds))
}

fn since(start: Moment, now: Moment) -> Span {
    Span(now.since(start))
}

fn list<T: AsRef<str>>(items: &[T]) -> String {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    format!("[{}]", items.join(", "))
}

fn saw(values: &Map<String, Value>) -> String {
    if values.is_empty() {
        return String::new();
    }
    let values: Vec<String> = values
        .iter()
        .map(|(name, value)| format!("{name}={}", short(value)))
        .collect();
    format!(" ({})", values.join(", "))
}

fn short(value: &Value) -> String {
    const MOST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn excerpt(body: &[u8]) -> String {
    const MOST: usize = 200;
    let text = String::from_utf8_lossy(body);
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

//! What was expected and was not so, with the reasons.

use std::{fmt::Display, sync::Arc};

use serde_json::{Map, Value};

use super::{
    Failure,
    case::source,
    difference::{self, shown},
    driver::Driver,
    words::{
        Words, act_form, act_shown, because, decision, end_word, excerpt, note, outcome_word,
        quoted, series, step_answer, step_form,
    },
};
use crate::{
    engine::answer::{Answer, CheckAnswer, Decided, StepAnswer},
    model::{
        attempt::{Attempt, Brief, End},
        moment::Moment,
        node::Node,
        report::{self, Round},
        span::Span,
        status::Status,
        text::Place,
        verdict::Verdict,
    },
    rules::testing::{
        ActForm, BeforeForm, CheckForm, ExpectForm, FileBody, FileExpect, StepForm, spot,
    },
};

/// How a check stands at one instant.
struct View {
    status: Status,
    message: String,
    verdict: Arc<Verdict>,
    before: Option<Brief>,
    decision: Decided,
    held_by: Option<String>,
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
    let mut failures = Vec::new();
    let told = |subject: &str, node| Told {
        driver,
        when: match round {
            Some(_) => String::new(),
            None => format!("at {}: ", Span(driver.now.since(driver.case.values.start))),
        },
        subject: subject.to_owned(),
        node,
        failures: Vec::new(),
    };
    for (name, form) in &form.checks {
        let mut told = told(name, spot(node, &[name]));
        told.check(form, round);
        failures.append(&mut told.failures);
    }
    for (path, form) in &form.files {
        let mut told = told(path, spot(node, &["files", path]));
        told.file(form);
        failures.append(&mut told.failures);
    }
    if let Some(wanted) = &form.ran {
        let ran = &driver.seen.ran;
        let means = wanted
            .iter()
            .zip(ran)
            .all(|(wanted, argv)| wanted.means(argv));
        if wanted.len() != ran.len() || !means {
            let mut told = told("commands", node);
            let words = |argv: &Vec<String>| argv.join(" ");
            let wanted = Words(wanted.iter().map(|argv| words(&argv.0)).collect());
            told.differ("ran", "", wanted, Words(ran.iter().map(words).collect()));
            failures.append(&mut told.failures);
        }
    }
    failures
}

/// The statuses of one check that counted, against its series.
pub(super) fn statuses(
    name: &str,
    place: &Place,
    step: Span,
    wanted: &[Option<Status>],
    saw: &[Option<Status>],
) -> Option<Failure> {
    let differs =
        |(wanted, saw): (&Option<Status>, &Option<Status>)| wanted.is_some() && wanted != saw;
    let at = wanted.iter().zip(saw).position(differs)?;
    let after = Span(step.0.saturating_mul(u32::try_from(at).unwrap_or(u32::MAX)));
    let (wanted, saw) = (series(wanted), series(saw));
    let message = format!("at {after}: {name}: expected the statuses {wanted}, saw {saw}");
    Some(Failure::new(place, message))
}

/// Failures of one check or file, told at their places.
struct Told<'d, 'a, 'n> {
    driver: &'d Driver<'a>,
    when: String,
    subject: String,
    node: &'n Node,
    failures: Vec<Failure>,
}

impl Told<'_, '_, '_> {
    /// `at 10m: load: expected status OK, saw CRITICAL`, at the value of this key.
    fn differ(&mut self, key: &str, what: &str, wanted: impl Display, saw: impl Display) {
        let place = spot(self.node, &[key]).place.clone();
        self.differ_at(&place, what, wanted, saw);
    }

    fn differ_at(&mut self, place: &Place, what: &str, wanted: impl Display, saw: impl Display) {
        let blank = if what.is_empty() { "" } else { " " };
        let (when, subject) = (&self.when, &self.subject);
        let message = format!("{when}{subject}: expected {what}{blank}{wanted}, saw {saw}");
        self.failures.push(Failure::new(place, message));
    }

    fn check(&mut self, form: &CheckForm, round: Option<&Round>) {
        let Some(view) = self.view(round) else {
            let message = format!("{}{}: it was not looked at", self.when, self.subject);
            self.failures.push(Failure::new(&self.node.place, message));
            return;
        };
        self.look(form, &view);
        self.repair(form, &view);
        self.history(form);
        self.values(form, &view);
        self.failures
            .sort_by(|one, other| one.place.cmp(&other.place));
        if let Some(first) = self.failures.first_mut() {
            let attempts = self.driver.seen.attempts.values();
            let own = attempts.filter(|attempt| *attempt.check == *self.subject);
            let start = self.driver.case.values.start;
            for line in because(&view.verdict, own, start) {
                first.message.push_str("\n  ");
                first.message.push_str(&line);
            }
        }
    }

    fn view(&self, round: Option<&Round>) -> Option<View> {
        let name = &*self.subject;
        let seen = &self.driver.seen;
        let of_round = round.and_then(|round| {
            let mut outcomes = round.outcomes.iter();
            outcomes.find(|outcome| &*outcome.check == name)
        });
        let outcome = of_round.or_else(|| seen.outcomes.get(name))?;
        let answer = answer(outcome, self.driver.now)?;
        let verdict = outcome.verdict.as_ref();
        let verdict = verdict
            .or(outcome.report.as_ref().map(|report| &report.verdict))?
            .clone();
        let repair = answer.remediation;
        let view = View {
            status: answer.status,
            message: answer.message,
            before: answer.before,
            decision: repair.decision,
            held_by: repair.held_by,
            steps: repair.steps,
            verified: repair.verified,
            verdict,
        };
        match round {
            Some(_) => Some(view),
            None => self.over_time(view),
        }
    }

    /// Over time the status that counts is told, and the last repair so far unless a guard holds the next.
    fn over_time(&self, view: View) -> Option<View> {
        let standing = self.driver.core.standing(&self.subject)?;
        let last = self.driver.seen.last_repair(&self.subject);
        let steps = last.map(|attempt| attempt.receipts.iter().map(StepAnswer::of).collect());
        // While a repair is under way nothing says any more what held the one before.
        let held_by = standing
            .held_by
            .filter(|_| last.is_none_or(|attempt| !attempt.is_open()));
        let decision = match (held_by, last.map(Attempt::end)) {
            (Some(_), _) => Decided::Held,
            (None, None) => Decided::None,
            (None, Some(None | Some(End::Verified))) => Decided::Repaired,
            (None, Some(Some(End::Would))) => Decided::Would,
            (None, Some(Some(_))) => Decided::Failed,
        };
        Some(View {
            status: standing.status,
            message: standing.message.clone(),
            before: last.map(|attempt| attempt.before.clone()),
            decision,
            held_by: held_by.map(|by| by.word().to_owned()),
            steps: steps.unwrap_or_default(),
            verified: last.and_then(Attempt::end).and_then(proven),
            ..view
        })
    }

    fn look(&mut self, form: &CheckForm, view: &View) {
        if let Some(wanted) = form
            .status
            .map(Status::from)
            .filter(|it| *it != view.status)
        {
            self.differ("status", "status", wanted, view.status);
        }
        let seen = view.verdict.status;
        if let Some(wanted) = form.seen.map(Status::from).filter(|it| *it != seen) {
            self.differ("seen", "to have seen", wanted, seen);
        }
        if let Some(wanted) = form.message.as_ref().filter(|it| !it.fits(&view.message)) {
            self.differ("message", "the message", wanted, quoted(&view.message));
        }
        let error = view.verdict.error.as_deref();
        let saw = error.map_or_else(|| "nothing".to_owned(), quoted);
        match &form.error {
            Some(None) if error.is_some() => self.differ("error", "the error", "nothing", saw),
            Some(Some(wanted)) if !error.is_some_and(|error| wanted.fits(error)) => {
                self.differ("error", "the error", wanted, saw);
            }
            _ => {}
        }
        let no_data = view.verdict.no_data;
        if let Some(wanted) = form.no_data.filter(|it| *it != no_data) {
            self.differ("no_data", "no_data", wanted, no_data);
        }
        let skipped = view.verdict.skipped;
        if let Some(wanted) = form.skipped.filter(|it| *it != skipped) {
            self.differ("skipped", "skipped", wanted, skipped);
        }
    }

    fn repair(&mut self, form: &CheckForm, view: &View) {
        if let Some(wanted) = &form.before {
            self.before(wanted, view.before.as_ref());
        }
        let held = view.held_by.as_deref();
        let saw = decision(view.decision);
        if let Some(wanted) = form.decision.filter(|it| *it != saw) {
            let by = held.map_or_else(String::new, |by| format!(" by {by}"));
            let saw = format!("{}{by}", saw.word());
            self.differ("decision", "decision", wanted.word(), saw);
        }
        if let Some(wanted) = form.held_by.as_ref().filter(|it| it.as_deref() != held) {
            let wanted = wanted.as_deref().unwrap_or("nothing");
            self.differ("held_by", "held by", wanted, held.unwrap_or("nothing"));
        }
        if let Some(wanted) = form.verified.filter(|it| *it != view.verified) {
            let word = |it: Option<bool>| it.map_or_else(|| "null".to_owned(), |it| it.to_string());
            self.differ("verified", "verified", word(wanted), word(view.verified));
        }
        if let Some(wanted) = form.steps.as_ref().filter(|it| !steps_fit(it, &view.steps)) {
            let wanted = Words(wanted.iter().map(step_form).collect());
            let saw = Words(view.steps.iter().map(step_answer).collect());
            self.differ("steps", "the steps", wanted, saw);
        }
    }

    fn before(&mut self, BeforeForm(wanted): &BeforeForm, saw: Option<&Brief>) {
        let node = spot(self.node, &["before"]);
        let Some(saw) = saw else {
            let status = wanted.status.map(Status::from);
            let wanted = status.map_or_else(|| "a repair".to_owned(), |it| it.to_string());
            self.differ_at(&node.place, "before", wanted, "no repair");
            return;
        };
        if let Some(wanted) = wanted
            .status
            .map(Status::from)
            .filter(|it| *it != saw.status)
        {
            self.differ_at(&spot(node, &["status"]).place, "before", wanted, saw.status);
        }
        if let Some(wanted) = wanted.message.as_ref().filter(|it| !it.fits(&saw.message)) {
            let place = &spot(node, &["message"]).place;
            self.differ_at(place, "before the message", wanted, quoted(&saw.message));
        }
    }

    fn history(&mut self, form: &CheckForm) {
        let (driver, start) = (self.driver, self.driver.case.values.start);
        if let Some(wanted) = &form.acts {
            let acts: Vec<&Attempt> = driver.seen.acts(&self.subject).collect();
            let mut pairs = wanted.iter().zip(&acts);
            if wanted.len() != acts.len() || !pairs.all(|(one, act)| act_fits(one, act, start)) {
                let wanted = Words(wanted.iter().map(act_form).collect());
                let saw = Words(acts.into_iter().map(|act| act_shown(act, start)).collect());
                self.differ("acts", "the acts", wanted, saw);
            }
        }
        if let Some(wanted) = &form.notes {
            let wanted: Vec<&str> = wanted.iter().map(|word| word.word()).collect();
            let saw: Vec<&str> = driver
                .seen
                .notes(&self.subject)
                .into_iter()
                .map(note)
                .collect();
            if wanted != saw {
                self.differ("notes", "the notes", Words(wanted), Words(saw));
            }
        }
    }

    fn values(&mut self, form: &CheckForm, view: &View) {
        let standing = self.driver.core.standing(&self.subject);
        let kept = standing.and_then(|standing| standing.prior.kept.clone());
        let facts = match view.verdict.facts.to_json() {
            Value::Object(facts) => facts,
            _ => Map::new(),
        };
        for (part, what, asked, saw) in [
            ("let", "let", form.lets.is_some(), &view.verdict.lets),
            ("facts", "fact", form.facts.is_some(), &facts),
            (
                "kept",
                "kept",
                form.kept.is_some(),
                &kept.unwrap_or_default(),
            ),
        ] {
            let node = self.node.get(part).filter(|_| asked);
            for (key, node) in node.map(Node::entries).unwrap_or_default() {
                let Some(wanted) = self.rendered(node) else {
                    continue;
                };
                let what = format!("{what} {}", key.key());
                match found(saw, key.key()) {
                    None => self.differ_at(&node.place, &what, shown(&wanted), "nothing"),
                    Some(saw) => {
                        if let Some((path, wanted, saw)) = difference::exact(&wanted, saw) {
                            self.differ_at(&node.place, &format!("{what}{path}"), wanted, saw);
                        }
                    }
                }
            }
        }
    }

    /// A value of the test as it is now; `None` if it cannot be computed, which is a failure.
    fn rendered(&mut self, node: &Node) -> Option<Value> {
        let values = &self.driver.case.values;
        let tree = values.tree(node, &mut Vec::new())?; // its mistakes were found when the test was compiled
        match values.render(&tree, self.driver.now, 0) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.failures
                    .push(Failure::new(&fault.place, fault.message));
                None
            }
        }
    }

    fn file(&mut self, form: &FileExpect) {
        let world = &self.driver.world;
        let place = &self.node.place;
        let is_there = world.is_there(&self.subject);
        let body = world.body(&self.subject);
        match (form, body) {
            (FileExpect::Absent, None) if !is_there => {}
            (FileExpect::Absent, body) => {
                let saw = body.map_or_else(|| "a directory".to_owned(), |body| excerpt(&body));
                self.differ_at(place, "", "nothing", saw);
            }
            (FileExpect::Present, _) if is_there => {}
            (FileExpect::Present | FileExpect::Body(_), None) => {
                let saw = if is_there { "a directory" } else { "nothing" };
                self.differ_at(place, "", "a file", saw);
            }
            (FileExpect::Present, Some(_)) => {}
            (FileExpect::Unchanged, _) if world.is_unchanged(&self.subject) => {}
            (FileExpect::Unchanged, body) => {
                let saw = body.map_or_else(|| "nothing".to_owned(), |body| excerpt(&body));
                self.differ_at(place, "it", "unchanged", saw);
            }
            (FileExpect::Body(form), Some(body)) => self.body(form, &body),
        }
    }

    fn body(&mut self, form: &FileBody, body: &[u8]) {
        let text = String::from_utf8_lossy(body);
        self.json("json", form.json.is_some(), body);
        self.json("has", form.has.is_some(), body);
        if let Some(wanted) = form.text.as_ref().filter(|wanted| !wanted.fits(&text)) {
            self.differ("text", "", wanted, excerpt(body));
        }
        if let Some(from) = &form.from
            && source(self.driver.lab.book, from).as_deref() != Some(body)
        {
            self.differ("from", "the body of", from, excerpt(body));
        }
        let lines = text.lines().count();
        if let Some(wanted) = form.lines.filter(|wanted| *wanted != lines) {
            self.differ("lines", "lines", wanted, lines);
        }
    }

    fn json(&mut self, key: &str, asked: bool, body: &[u8]) {
        let node = self.node;
        let node = node.get(key).filter(|_| asked);
        let Some(wanted) = node.and_then(|node| self.rendered(node)) else {
            return;
        };
        let saw: Value = match serde_json::from_slice(body) {
            Ok(saw) => saw,
            Err(_) => {
                self.differ(key, "JSON like", shown(&wanted), excerpt(body));
                return;
            }
        };
        let different = match &wanted {
            Value::Object(keys) if key == "has" => difference::at_least(keys, &saw),
            _ => difference::exact(&wanted, &saw),
        };
        if let Some((path, wanted, saw)) = different {
            self.differ(key, &path, wanted, saw);
        }
    }
}

fn answer(outcome: &report::Outcome, now: Moment) -> Option<CheckAnswer> {
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

fn proven(end: End) -> Option<bool> {
    match end {
        End::Verified => Some(true),
        End::Failed | End::Superseded | End::Interrupted => Some(false),
        End::Withheld | End::Would | End::Denied | End::Expired | End::Withdrawn => None,
    }
}

fn steps_fit(wanted: &[StepForm], saw: &[StepAnswer]) -> bool {
    wanted.len() == saw.len()
        && wanted.iter().zip(saw).all(|(StepForm(wanted), saw)| {
            wanted.kind.as_ref().is_none_or(|kind| *kind == saw.kind)
                && wanted
                    .target
                    .as_ref()
                    .is_none_or(|target| target.fits(&saw.target))
                && wanted
                    .outcome
                    .is_none_or(|it| it.word() == outcome_word(saw.outcome))
                && wanted
                    .detail
                    .as_ref()
                    .is_none_or(|detail| detail.fits(&saw.detail))
        })
}

fn act_fits(ActForm(wanted): &ActForm, saw: &Attempt, start: Moment) -> bool {
    let steps: Vec<StepAnswer> = saw.receipts.iter().map(StepAnswer::of).collect();
    wanted
        .at
        .is_none_or(|at| start.plus(at.0) == saw.acted.unwrap_or(saw.begun))
        && wanted.rung.is_none_or(|rung| rung == saw.rung + 1)
        && wanted
            .steps
            .as_ref()
            .is_none_or(|wanted| steps_fit(wanted, &steps))
        && wanted.end.is_none_or(|end| end.word() == end_word(saw))
}

//! The jumping driver of one test: performs the core's outputs at once, then jumps to what is due next.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use serde_json::{Map, Value};

use super::{
    Failure, Files, Lab, acting::Act, coverage::Coverage, facts, facts::Given, failure,
    stage::Stage,
};
use crate::{
    core::{Asked, Command, Core, Input, Output},
    engine::{
        answer::Answer,
        look::{self, Purpose},
    },
    model::{
        Name,
        attempt::{Attempt, AttemptId, NoteKind, Row, Saved},
        moment::Moment,
        outline::{Outline, Trigger},
        report::{Report, Round},
        standing::{Pause, Standing},
        step::Receipt,
        text::Place,
        verdict::Verdict,
    },
    permission::{Permission, Settings},
    probe::{Board, Eyes, Tails},
    rules::{
        book::Test,
        testing::{Expect, FactsForm, FileForm, START, TestForm, spot},
    },
    script::{Env, Ground},
    threshold::{self, Asked as Judged},
};

/// How long one round may wait for its proof, in virtual time.
const ROUND: Duration = Duration::from_secs(3600);
/// More inputs than this at one instant are a loop.
const MOST_AT_ONCE: usize = 100_000;

pub(super) struct Play<'a> {
    pub lab: Lab<'a>,
    pub form: &'a TestForm,
    test: &'a Test,
    pub runtime: &'a tokio::runtime::Runtime,
    pub stage: Stage,
    pub permission: Arc<Permission>,
    /// Probes may look, but start nothing.
    looking: Arc<Permission>,
    vars: Arc<Map<String, Value>>,
    env: Arc<Env>,
    pub core: Core,
    start: Moment,
    pub now: Moment,
    pub inputs: VecDeque<Input>,
    given: BTreeMap<String, Given>,
    begun: Files,
    pub last: BTreeMap<Name, Arc<Verdict>>,
    pub reports: BTreeMap<Name, Report>,
    pub acts: Vec<Act>,
    pub receipts: BTreeMap<AttemptId, Vec<Receipt>>,
    pub ended: BTreeMap<AttemptId, Arc<Attempt>>,
    pub notes: Vec<(Name, NoteKind)>,
    pub ran: Vec<Vec<String>>,
    pub answered: BTreeMap<usize, u32>,
    round: Option<Round>,
    /// Files that steps changed since the file events were last sent.
    pub changed: BTreeSet<String>,
    /// Changes of `then` that are still to come.
    coming: Vec<usize>,
    tails: Arc<Tails>,
    coverage: Coverage,
    failures: Vec<Failure>,
}

/// A board of the core's own standings.
struct Standings(BTreeMap<Name, Standing>);

impl Board for Standings {
    fn status(&self, check: &str) -> Option<(crate::model::status::Status, String)> {
        let standing = self.0.get(check)?;
        Some((standing.status, standing.message.clone()))
    }
}

impl<'a> Play<'a> {
    pub(super) fn begin(
        lab: Lab<'a>,
        test: &'a Test,
        form: &'a TestForm,
        runtime: &'a tokio::runtime::Runtime,
    ) -> Result<Play<'a>, Vec<Failure>> {
        let told = |message: String| vec![failure(&test.place, message)];
        let stage =
            Stage::new(lab.rules).map_err(|error| told(format!("could not begin: {error}")))?;
        let permission = |settings: Settings| {
            Permission::new(stage.root(), settings)
                .map(|it| Arc::new(it.reserving(lab.book.reserved.clone())))
                .map_err(|error| told(error.told()))
        };
        let start = form.at.map_or(START, |at| at.0);
        let mut vars = Map::clone(&lab.book.vars);
        for (name, value) in &form.vars {
            if !vars.contains_key(name) {
                return Err(told(format!("vars: there is no `{name}` in the rules")));
            }
            vars.insert(name.clone(), value.clone());
        }
        let mut listed: BTreeMap<String, Option<String>> = lab
            .settings
            .env
            .iter()
            .map(|name| (name.clone(), None))
            .collect();
        listed.extend(
            form.env
                .iter()
                .map(|(name, value)| (name.clone(), Some(value.clone()))),
        );
        let saved = Saved {
            pause: form.paused.then(|| paused(start)),
            ..Saved::default()
        };
        let names = wanted(form);
        if let Some(unknown) = names.iter().find(|name| !is_known(lab, name)) {
            return Err(told(format!("there is no check `{unknown}`")));
        }
        let outline = outline(lab, form, &names);
        let mut first = Vec::new();
        let core = Core::start(Arc::new(outline), saved, start, &mut first);
        let (looking, permission) = (
            permission(Settings::default())?,
            permission(lab.settings.clone())?,
        );
        let mut play = Play {
            lab,
            form,
            test,
            runtime,
            permission,
            looking,
            vars: Arc::new(vars),
            env: Arc::new(Env { listed }),
            core,
            start,
            now: start,
            inputs: VecDeque::new(),
            given: BTreeMap::new(),
            begun: Files::new(),
            last: BTreeMap::new(),
            reports: BTreeMap::new(),
            acts: Vec::new(),
            receipts: BTreeMap::new(),
            ended: BTreeMap::new(),
            notes: Vec::new(),
            ran: Vec::new(),
            answered: BTreeMap::new(),
            round: None,
            changed: BTreeSet::new(),
            coming: (0..form.then.len()).collect(),
            tails: Arc::default(),
            coverage: Coverage::default(),
            failures: Vec::new(),
            stage,
        };
        for (check, series) in &form.series {
            for fact in series.keys() {
                if let Some(check) = lab.book.checks.get(check.as_str()) {
                    facts::known_fact(check, fact).map_err(told)?;
                }
            }
        }
        play.change_world(&form.files, &form.facts);
        play.changed.clear();
        play.begun = play.stage.files();
        play.perform(first);
        Ok(play)
    }

    /// Plays the test to its end.
    pub(super) fn run(&mut self) -> Vec<Failure> {
        if self.form.runs_over_time() {
            self.over_time();
        } else {
            self.one_round();
        }
        std::mem::take(&mut self.failures)
    }

    pub(super) fn coverage(&mut self) -> Coverage {
        std::mem::take(&mut self.coverage)
    }

    fn one_round(&mut self) {
        let id = self.core.new_round();
        let command = match &self.form.investigate {
            Some(name) => Command::Investigate {
                id,
                name: name.as_str().into(),
                cause: None,
                wait: ROUND,
            },
            None => Command::Round {
                id,
                checks: wanted(self.form).into_iter().map(Name::from).collect(),
                fix: true,
                wait: ROUND,
            },
        };
        self.inputs.push_back(Input::Command(command));
        let end = self.now.plus(ROUND + Duration::from_secs(60));
        while self.round.is_none() && self.now < end {
            self.run_until(end, true);
        }
        let Some(round) = self.round.take() else {
            self.fail("the round did not end within an hour".to_owned());
            return;
        };
        let answer = Answer::of(&round, &self.lab.book.generation, self.now);
        if let Some(Expect::Now(expect)) = &self.form.expect {
            self.compare(expect, Some(&answer), &["expect"]);
        }
    }

    fn over_time(&mut self) {
        let mut instants: BTreeMap<Moment, Vec<usize>> = BTreeMap::new();
        for (index, expect) in self.form.expectations().iter().enumerate() {
            let at = self.start.plus(expect.at.map_or(Duration::ZERO, |at| at.0));
            instants.entry(at).or_default().push(index);
        }
        let step = self
            .form
            .step
            .map_or(Duration::from_secs(60), |step| step.0);
        let longest = self
            .form
            .statuses
            .values()
            .map(|series| series.0.len())
            .max();
        for index in 0..longest.unwrap_or(0) {
            instants
                .entry(self.start.plus(step * index as u32))
                .or_default();
        }
        for (at, expectations) in instants {
            self.run_until(at, false);
            if let Some(index) = self.step_at(at, step) {
                self.compare_statuses(index);
            }
            for index in expectations {
                let expect = &self.form.expectations()[index];
                self.compare(expect, None, &["expect"]);
            }
        }
    }

    fn step_at(&self, at: Moment, step: Duration) -> Option<usize> {
        let since = at.since(self.start).as_millis();
        let step = step.as_millis().max(1);
        since
            .is_multiple_of(step)
            .then_some((since / step) as usize)
    }

    /// Lets time pass up to `end` (or to the end of the round): inputs, changes of the world, what is due.
    fn run_until(&mut self, end: Moment, round: bool) {
        loop {
            self.drain();
            if round && self.round.is_some() {
                return;
            }
            let due = self.core.next_due();
            let change = self.next_change();
            let Some(next) = [due, change]
                .into_iter()
                .flatten()
                .min()
                .filter(|at| *at <= end)
            else {
                self.now = self.now.max(end);
                return;
            };
            self.now = self.now.max(next);
            if change.is_some_and(|at| at <= self.now) {
                self.apply_due();
            }
            self.inputs.push_back(Input::Tick);
        }
    }

    fn drain(&mut self) {
        for _ in 0..MOST_AT_ONCE {
            for file in std::mem::take(&mut self.changed) {
                self.inputs.push_back(Input::FileChanged(file));
            }
            let Some(input) = self.inputs.pop_front() else {
                return;
            };
            let mut out = Vec::new();
            self.core.step(self.now, input, &mut out);
            self.perform(out);
        }
        self.fail("it never comes to rest: do checks set off each other?".to_owned());
        self.inputs.clear();
    }

    fn next_change(&self) -> Option<Moment> {
        let at = |index: &usize| Some(self.start.plus(self.form.then.get(*index)?.at?.0));
        self.coming.iter().filter_map(at).min()
    }

    /// Changes whose time has come.
    fn apply_due(&mut self) {
        let form = self.form;
        let (now, start) = (self.now, self.start);
        let is_due = |index: &usize| {
            form.then[*index]
                .at
                .is_some_and(|at| start.plus(at.0) <= now)
        };
        let due: Vec<usize> = self.coming.iter().copied().filter(is_due).collect();
        self.coming.retain(|index| !due.contains(index));
        due.into_iter().for_each(|index| self.apply(index));
    }

    /// Changes that wait for this act.
    fn apply_after(&mut self, check: &Name) {
        let form = self.form;
        let acts = self.acts.iter().filter(|act| act.check == *check).count();
        let is_due = |index: &usize| {
            let change = &form.then[*index];
            change.after.as_deref() == Some(check) && change.act.unwrap_or(1) as usize == acts
        };
        let due: Vec<usize> = self.coming.iter().copied().filter(is_due).collect();
        self.coming.retain(|index| !due.contains(index));
        due.into_iter().for_each(|index| self.apply(index));
    }

    fn apply(&mut self, index: usize) {
        let change = &self.form.then[index];
        self.change_world(&change.files, &change.facts);
        match change.paused {
            Some(true) => self
                .inputs
                .push_back(Input::Command(Command::Pause(paused(self.now)))),
            Some(false) => self.inputs.push_back(Input::Command(Command::Resume)),
            None => {}
        }
        if let Some(event) = &change.event {
            self.inputs.push_back(Input::Event(event.clone()));
        }
    }

    pub(super) fn change_world(
        &mut self,
        files: &BTreeMap<String, FileForm>,
        facts: &BTreeMap<String, FactsForm>,
    ) {
        let ground = self.ground();
        for (file, form) in files {
            if let Err(error) = self.stage.put(file, form, self.lab.engine, &ground) {
                self.fail(error);
            }
            self.changed.insert(file.clone());
        }
        for (name, form) in facts {
            let Some(check) = self.lab.book.checks.get(name.as_str()) else {
                self.fail(format!("facts: there is no check `{name}`"));
                continue;
            };
            let given = self.given.entry(name.clone()).or_default();
            if let Err(error) = given.change(form, check, self.lab.engine, &ground) {
                self.fail(error);
            }
        }
    }

    pub(super) fn ground(&self) -> Ground {
        Ground {
            now: self.now,
            vars: self.vars.clone(),
            env: self.env.clone(),
        }
    }

    fn perform(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Look(asked) => self.look(&asked),
                Output::Persist(row) => {
                    if let Row::Note { check, kind, .. } = row {
                        self.notes.push((check, kind));
                    }
                }
                Output::PersistThenTell(_, attempt) => {
                    self.inputs.push_back(Input::Durable(attempt))
                }
                Output::Act(attempt) => {
                    let input = self.act(&attempt);
                    if let Input::Acted { receipts, .. } = &input {
                        self.coverage.acted(&attempt.check, receipts);
                        self.receipts.insert(attempt.id, receipts.clone());
                        self.apply_after(&attempt.check);
                    }
                    self.inputs.push_back(input);
                }
                Output::RollBack { attempt, climbed } => {
                    let receipts = self.roll_back(&climbed);
                    self.inputs
                        .push_back(Input::RolledBack { attempt, receipts });
                }
                Output::Report(report) => {
                    self.coverage.saw(&report.check, &report.verdict);
                    self.last
                        .insert(report.check.clone(), report.verdict.clone());
                    self.reports.insert(report.check.clone(), report);
                }
                Output::Ended { attempt, .. } => {
                    self.ended.insert(attempt.id, attempt);
                }
                Output::RoundDone(round) if self.round.is_none() && !self.form.runs_over_time() => {
                    let asked = round.investigation.is_some() == self.form.investigate.is_some();
                    let names = round.outcomes.len() == wanted(self.form).len();
                    if asked && (names || round.investigation.is_some()) {
                        self.round = Some(round);
                    }
                }
                Output::RoundDone(_) | Output::Abandon(_) => {}
            }
        }
    }

    fn look(&mut self, asked: &Asked) {
        let Some(check) = self.lab.book.checks.get(&asked.check).cloned() else {
            return;
        };
        let ground = self.ground();
        let until = asked
            .verify
            .and_then(|_| check.remediation.as_ref()?.until.clone());
        let given = self.given.get(&*asked.check);
        let looked = facts::given(
            self.form,
            &asked.check,
            given,
            self.start,
            self.lab.engine,
            &ground,
        );
        let verdict = match looked {
            Some(looked) => {
                let purpose = Judged {
                    until: until.as_ref(),
                    keep: asked.keep,
                    ledger: None,
                };
                threshold::judge(
                    self.lab.engine,
                    &check.judging,
                    looked,
                    &asked.prior,
                    &ground,
                    purpose,
                )
            }
            None => {
                let purpose = Purpose {
                    prior: asked.prior.clone(),
                    until,
                    keep: asked.keep,
                    ledger: None,
                };
                let standings = self.core.standings();
                let board = standings
                    .map(|(name, it)| (name.clone(), it.clone()))
                    .collect();
                let eyes = Eyes {
                    engine: self.lab.engine.clone(),
                    permission: self.looking.clone(),
                    ground,
                    tails: self.tails.clone(),
                    board: Arc::new(Standings(board)),
                    limit: Duration::from_secs(10),
                };
                match look::is_quick(&check) {
                    true => look::take_quick(&check, &eyes, &purpose),
                    false => self.runtime.block_on(look::take(check, eyes, purpose)),
                }
            }
        };
        let input = Input::Looked {
            ticket: asked.ticket,
            verdict: Arc::new(verdict),
        };
        self.inputs.push_back(input);
    }

    fn fail(&mut self, message: String) {
        let place = self.test.place.clone();
        self.failures.push(failure(&place, message));
    }

    /// Something was not as expected, at the innermost of these keys that is there.
    pub(super) fn differs(&mut self, path: &[&str], message: String) {
        let place = self.place(path);
        self.failures.push(failure(&place, message));
    }

    fn place(&self, path: &[&str]) -> Place {
        spot(&self.test.body, path).place.clone()
    }

    pub(super) fn begun(&self, file: &str) -> Option<&Vec<u8>> {
        self.begun.get(file)
    }

    pub(super) fn since_start(&self) -> Duration {
        self.now.since(self.start)
    }

    pub(super) fn start(&self) -> Moment {
        self.start
    }
}

fn paused(at: Moment) -> Pause {
    Pause {
        at,
        by: "test".to_owned(),
        reason: "the test says so".to_owned(),
        until: None,
    }
}

/// The checks of a test: those it names, else those that it gives facts or expects something of.
fn wanted(form: &TestForm) -> Vec<String> {
    if !form.checks.is_empty() {
        return form.checks.clone();
    }
    let expected = form.expectations().iter().flat_map(|it| it.checks.keys());
    let all: BTreeSet<&String> = expected
        .chain(form.facts.keys())
        .chain(form.series.keys())
        .chain(form.statuses.keys())
        .collect();
    all.into_iter().cloned().collect()
}

fn is_known(lab: Lab<'_>, name: &str) -> bool {
    lab.book.checks.contains_key(name) || lab.book.investigations.contains_key(name)
}

/// The book's outline, with triggers for the checks under test alone, and without splay so that slots are where a reader
/// expects them.
fn outline(lab: Lab<'_>, form: &TestForm, names: &[String]) -> Outline {
    let mut outline = lab.book.outline.at_rest();
    if !form.runs_over_time() {
        return outline;
    }
    let trigger = |trigger: &Trigger| Trigger {
        splay: false,
        ..trigger.clone()
    };
    for name in names {
        let name: Name = name.as_str().into();
        if let (Some(rest), Some(live)) = (
            outline.checks.get_mut(&name),
            lab.book.outline.checks.get(&name),
        ) {
            Arc::make_mut(rest).trigger = trigger(&live.trigger);
        }
        if let (Some(rest), Some(live)) = (
            outline.investigations.get_mut(&name),
            lab.book.outline.investigations.get(&name),
        ) {
            Arc::make_mut(rest).trigger = trigger(&live.trigger);
        }
    }
    outline
}

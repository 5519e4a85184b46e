//! The jumping driver: performs the core's outputs at once, then goes on to the next moment at which anything is due.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{
    Failure, Lab,
    act::Climb,
    case::{Case, Change, Given, When},
    seen::Seen,
    world::World,
};
use crate::{
    core::{Command, Core, Input, Output},
    hands::{Dry, Hands, Live, Runner},
    journal::Journals,
    model::{
        Name,
        attempt::{AttemptId, Phase, Saved},
        moment::Moment,
        report::Round,
        standing::{Baseline, Hold, Pause},
        text::Place,
        verdict::Verdict,
    },
    permission::Permission,
};

/// How long a round waits for its repairs to be verified, in virtual time.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

pub(super) struct Driver<'a> {
    pub case: &'a Case<'a>,
    pub lab: Lab<'a>,
    /// For the hands.
    pub runtime: &'a tokio::runtime::Runtime,
    pub core: Core,
    pub now: Moment,
    pub world: World,
    pub permission: Arc<Permission>,
    pub hands: Box<dyn Hands>,
    pub seen: Seen,
    /// How often each entry of `commands` has answered.
    pub answered: Vec<u32>,
    /// Rungs that wait for a round they asked for.
    pub climbing: HashMap<u64, Climb>,
    out: VecDeque<Output>,
    pub given: BTreeMap<Name, Given>,
    /// Changes that are still to come.
    coming: Vec<&'a Change>,
    journals: Journals,
    rounds: HashMap<u64, Round>,
    pub looks: usize,
}

/// No step asks the hands of a test to run checks: the driver begins a round itself.
struct Nobody;

impl Runner for Nobody {
    fn run_checks(&self, _: Vec<String>) -> futures::future::BoxFuture<'_, Result<String, String>> {
        Box::pin(std::future::ready(Err(
            "a test runs checks by itself".to_owned()
        )))
    }

    fn raise(&self, _: String) -> Result<(), String> {
        Err("a test raises events by itself".to_owned())
    }

    /// In a test everybody is told, and nobody hears it.
    fn tell(
        &self,
        _: Vec<String>,
        _: String,
    ) -> futures::future::BoxFuture<'_, Result<(), String>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

pub(super) type Done<T> = Result<T, Box<Failure>>;

impl<'a> Driver<'a> {
    pub fn new(
        case: &'a Case<'a>,
        lab: Lab<'a>,
        runtime: &'a tokio::runtime::Runtime,
        place: &Place,
    ) -> Done<Driver<'a>> {
        let trouble = |what: String| Box::new(Failure::new(place, what));
        let world = World::new()
            .map_err(|error| trouble(format!("could not lay out a world for the test: {error}")))?;
        let mut settings = lab.settings.clone();
        settings.allow.read.clear(); // a test sees its own world only
        let rotation = settings.keep.journal;
        let permission = Permission::new(world.root(), settings)
            .map_err(|error| trouble(error.told()))?
            .reserving(lab.book.reserved.iter().cloned());
        let permission = Arc::new(permission);
        let hands: Box<dyn Hands> = match case.form.dry {
            true => Box::new(Dry),
            false => Box::new(Live::new(permission.clone(), Arc::new(Nobody))),
        };
        let (mut out, now) = (Vec::new(), case.values.start);
        let core = Core::start(case.outline.clone(), Saved::default(), now, &mut out);
        let mut driver = Driver {
            case,
            lab,
            runtime,
            core,
            now,
            world,
            journals: Journals::new(permission.dir.clone(), rotation),
            permission,
            hands,
            seen: Seen::default(),
            answered: vec![0; case.commands.len()],
            climbing: HashMap::new(),
            out: out.into(),
            given: BTreeMap::new(),
            coming: case.changes.iter().collect(),
            rounds: HashMap::new(),
            looks: 0,
        };
        driver.lay_out()?;
        Ok(driver)
    }

    fn lay_out(&mut self) -> Done<()> {
        let case = self.case;
        self.apply(&case.world)?;
        let later = case
            .changes
            .iter()
            .chain(case.commands.iter().filter_map(|it| it.does.as_ref()));
        let expected = case
            .form
            .expectations()
            .iter()
            .flat_map(|it| it.files.keys());
        let laid = later
            .chain([&case.world])
            .flat_map(|change| change.files.iter().map(|file| &file.path));
        for path in laid.chain(expected) {
            self.world.remember(path);
        }
        if case.form.paused {
            self.pause(true);
        }
        Ok(())
    }

    fn pause(&mut self, on: bool) {
        let command = match on {
            true => Command::Pause(Pause {
                at: self.now,
                by: "test".to_owned(),
                reason: "the test says so".to_owned(),
                until: None,
            }),
            false => Command::Resume,
        };
        self.step(Input::Command(command));
    }

    fn approve(&mut self, check: &Name, place: &Place) -> Done<()> {
        let proposal = self.core.attempts().find(|attempt| {
            attempt.check == *check && matches!(attempt.phase, Phase::Proposed { .. })
        });
        let Some(attempt) = proposal.map(|attempt| attempt.id) else {
            let text = format!("nothing of {check} waits to be approved");
            return Err(Box::new(Failure::new(place, text)));
        };
        let by = "test".to_owned();
        self.step(Input::Command(Command::Approve { attempt, by }));
        Ok(())
    }

    fn confirm(&mut self, check: &Name, place: &Place) -> Done<()> {
        let outcome = self.seen.outcomes.get(check);
        let verdict = outcome.and_then(|it| it.verdict.as_ref());
        let Some(value) = verdict.and_then(|verdict| verdict.baseline.clone()) else {
            let text = format!("the last look at {check} gave no baseline to confirm");
            return Err(Box::new(Failure::new(place, text)));
        };
        let by = "test".to_owned();
        self.step(Input::Command(Command::Confirm {
            check: check.clone(),
            baseline: Some(Baseline {
                value,
                at: self.now,
                by: by.clone(),
                reason: "the test says so".to_owned(),
            }),
            by,
        }));
        Ok(())
    }

    pub fn step(&mut self, input: Input) {
        let mut out = Vec::new();
        self.core.step(self.now, input, &mut out);
        self.out.extend(out);
    }

    /// Everything that is due up to `end` is done; then it is `end`.
    pub fn run_to(&mut self, end: Moment) -> Done<()> {
        while self.advance(end)? {}
        self.now = self.now.max(end);
        Ok(())
    }

    /// One round now; time goes on until it is over.
    pub fn round(&mut self) -> Done<Round> {
        let id = self.core.new_round();
        let case = self.case;
        let command = match &case.investigate {
            Some(name) => Command::Investigate {
                id,
                name: name.clone(),
                cause: None,
                wait: PATIENCE,
            },
            None => Command::Round {
                id,
                checks: case.round.clone(),
                fix: true,
                wait: PATIENCE,
            },
        };
        self.step(Input::Command(command));
        loop {
            self.perform()?;
            if let Some(round) = self.rounds.remove(&id) {
                return Ok(round);
            }
            if !self.advance(Moment(i64::MAX))? {
                return Err(self.trouble("the round did not come to its end"));
            }
        }
    }

    /// Changes by time that never came.
    pub fn never_came(&self) -> impl Iterator<Item = &'a Change> {
        self.coming.iter().copied()
    }

    /// Does what is due at the next moment, if that is not after `end`.
    fn advance(&mut self, end: Moment) -> Done<bool> {
        self.perform()?;
        let start = self.case.values.start;
        let change = self.coming.iter().filter_map(|change| match change.when {
            When::At(after) => Some(start.plus(after)),
            _ => None,
        });
        let change = change.min();
        let Some(at) = [self.core.next_due(), change].into_iter().flatten().min() else {
            return Ok(false);
        };
        if at > end {
            return Ok(false);
        }
        self.now = self.now.max(at);
        if change.is_some_and(|change| change <= self.now) {
            let now = self.now;
            self.change(|when| matches!(when, When::At(after) if start.plus(*after) <= now))?;
        }
        self.step(Input::Tick);
        self.perform()?;
        Ok(true)
    }

    /// Makes the changes whose time has come, in the order of the test.
    pub fn change(&mut self, come: impl Fn(&When) -> bool) -> Done<()> {
        let (now, later) = self.coming.iter().partition(|change| come(&change.when));
        self.coming = later;
        let now: Vec<&Change> = now;
        for change in now {
            self.apply(change)?;
            for file in &change.files {
                self.step(Input::FileChanged(file.path.clone()));
            }
        }
        Ok(())
    }

    /// Lays out files and facts.
    pub fn apply(&mut self, change: &Change) -> Done<()> {
        for file in &change.files {
            let put = self.world.put(file, &self.case.values, self.now);
            put.map_err(|error| Box::new(Failure::new(&change.place, error.to_string())))?;
        }
        for (check, given) in &change.given {
            match (self.given.get_mut(check), given) {
                (Some(Given::Facts(known)), Given::Facts(new)) => {
                    known.retain(|(name, _)| !new.iter().any(|(it, _)| it == name));
                    known.extend(new.iter().cloned());
                }
                _ => {
                    self.given.insert(check.clone(), given.clone());
                }
            }
        }
        if let Some(on) = change.paused {
            self.pause(on);
        }
        if let Some(event) = &change.event {
            self.step(Input::Event(event.clone()));
        }
        if let Some(check) = &change.confirm {
            self.confirm(check, &change.place)?;
        }
        match &change.approve {
            Some(check) => self.approve(check, &change.place),
            None => Ok(()),
        }
    }

    /// Claims what a step acts on; says what refuses it.
    pub fn claim(&mut self, attempt: AttemptId, targets: Vec<String>) -> Option<Hold> {
        if targets.is_empty() {
            return None;
        }
        let mut out = Vec::new();
        let claim = Input::Claim { attempt, targets };
        self.core.step(self.now, claim, &mut out);
        let mut refused = None;
        for output in out {
            match output {
                Output::Claimed { refused: hold, .. } => refused = hold,
                other => self.out.push_back(other),
            }
        }
        refused
    }

    fn perform(&mut self) -> Done<()> {
        while let Some(output) = self.out.pop_front() {
            match output {
                Output::Look(asked) => self.look(asked)?,
                Output::Persist(row) => self.seen.row(&row),
                Output::PersistThenTell(row, id) => {
                    self.seen.row(&row);
                    self.step(Input::Durable(id));
                }
                Output::Act(attempt) => self.act(attempt)?,
                Output::Propose(attempt) => self.propose(&attempt),
                Output::Claimed { .. } => {} // asked for by `claim`, which takes the answer
                Output::RollBack { attempt, climbed } => self.roll_back(attempt, &climbed)?,
                Output::Report(report) => {
                    self.publish(&report.verdict)?;
                    self.seen.report(report);
                }
                Output::RoundDone(round) => match self.climbing.remove(&round.id) {
                    Some(climb) => self.climb_on(climb, &round)?,
                    None => {
                        self.rounds.insert(round.id, round);
                    }
                },
                Output::Ended { .. } | Output::Abandon(_) => {}
            }
        }
        Ok(())
    }

    pub fn trouble(&self, what: impl Into<String>) -> Box<Failure> {
        Box::new(Failure::new(&self.case.body.place, what))
    }

    fn publish(&mut self, verdict: &Verdict) -> Done<()> {
        let Some(publication) = verdict.publish.as_ref().filter(|_| !self.case.form.dry) else {
            return Ok(());
        };
        let done = self.journals.publish(&publication.file, &publication.set);
        done.map_err(|error| {
            self.trouble(format!(
                "could not publish to {}: {error}",
                publication.file
            ))
        })?;
        self.written(&publication.file)
    }

    /// A file was written just now: by the clock of the test.
    pub fn written(&mut self, path: &str) -> Done<()> {
        let touched = self.world.touch(path, self.now);
        touched.map_err(|error| self.trouble(error.to_string()))
    }

    pub fn receipts(&self, id: AttemptId) -> Vec<crate::model::step::Receipt> {
        let attempt = self.seen.attempts.get(&id);
        attempt
            .map(|attempt| attempt.receipts.clone())
            .unwrap_or_default()
    }
}

//! The state machine: inputs in, outputs out. It does no I/O and knows no clock.
//!
//! [`Core::step`] is its only entry. Live, dry run, rule test, replay and restart are *drivers*: they perform outputs
//! and return inputs, and differ in the hands and eyes they have. It owns the agenda (`agenda`), the standings
//! (`looking`), the attempts (`repairing`), proposals (`approval`), what is acted on (`claims`), storms (`storm`), the
//! rounds (`round`), what calendars keep from happening (`hours`), and what a reload changes (`reload`).

mod agenda;
mod approval;
mod claims;
mod hours;
mod looking;
mod pauses;
mod reload;
mod repairing;
mod round;
mod storm;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use crate::model::{
    Generation, Name,
    attempt::{Attempt, AttemptId, NoteKind, Row, Saved},
    moment::Moment,
    outline::{CheckOutline, Outline},
    report::{Reason, Report, Round, Ticket},
    standing::{Baseline, Budget, HeldBy, Hold, Pause, Prior, Silence, Standing, Storm},
    step::Receipt,
    verdict::Verdict,
};

use agenda::Agenda;

/// A clock that goes back by less than this many milliseconds is taken to stand still.
const JITTER: i64 = 1_000;

/// What drivers tell the core.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time has passed; whatever is due by `now` is done.
    Tick,
    /// A look is judged.
    Looked {
        ticket: Ticket,
        verdict: Arc<Verdict>,
    },
    /// The intent of this attempt is on disk.
    Durable(AttemptId),
    /// Its intent could not be written: nothing will be done.
    NotDurable(AttemptId),
    /// A rung was done, with one receipt for each step that was tried. A failed step ends its rung.
    Acted {
        attempt: AttemptId,
        receipts: Vec<Receipt>,
    },
    /// Looking at the targets showed that nothing may or need be done; nothing was.
    Withheld {
        attempt: AttemptId,
        hold: Hold,
    },
    /// A rung is about to act on these (a path below the root, a command line, `event NAME`). Answered by
    /// [`Output::Claimed`].
    Claim {
        attempt: AttemptId,
        targets: Vec<String>,
    },
    /// What a proposal would do, one receipt for each step.
    Proposed {
        attempt: AttemptId,
        receipts: Vec<Receipt>,
    },
    RolledBack {
        attempt: AttemptId,
        receipts: Vec<Receipt>,
    },
    Reload(Arc<Outline>),
    /// A file below the root changed, appeared or vanished (path relative to the root).
    FileChanged(String),
    /// Posted to the API or raised by a step.
    Event(String),
    Command(Command),
    /// The wall clock jumped, or the machine slept, by so many milliseconds. Agenda and deadlines move along.
    Jumped(i64),
}

#[derive(Clone, Debug)]
pub enum Command {
    Pause(Pause),
    /// Ends the pause, and a storm. Pauses of single checks last.
    Resume,
    /// Holds the repairs of these checks.
    PauseChecks {
        checks: Vec<Name>,
        pause: Pause,
    },
    ResumeChecks(Vec<Name>),
    /// Its number and time are given by the core; see [`Core::silences`].
    Silence(Silence),
    /// Ends the silence of this number.
    Unsilence(u64),
    /// A person says that this value of a check is meant so; `None` takes it back.
    Confirm {
        check: Name,
        baseline: Option<Baseline>,
        by: String,
    },
    Approve {
        attempt: AttemptId,
        by: String,
    },
    Deny {
        attempt: AttemptId,
        by: String,
        reason: String,
    },
    /// Looks at these checks now, each judged by this look alone.
    Round {
        id: u64,
        checks: Vec<Name>,
        /// Repairs included.
        fix: bool,
        /// How long to wait for verification.
        wait: Duration,
    },
    Investigate {
        id: u64,
        name: Name,
        cause: Option<String>,
        wait: Duration,
    },
}

/// What the core wants done.
#[derive(Clone, Debug)]
pub enum Output {
    Look(Asked),
    Persist(Row),
    /// Write durably, then answer [`Input::Durable`] or [`Input::NotDurable`].
    PersistThenTell(Row, AttemptId),
    /// Plan, prepare and do this rung, claiming the targets of each step before it is done. Emitted only after
    /// `Durable`.
    Act(Arc<Attempt>),
    /// The answer to a claim: go on, or this is why not.
    Claimed {
        attempt: AttemptId,
        refused: Option<Hold>,
    },
    /// Say what this rung would do, and answer [`Input::Proposed`].
    Propose(Arc<Attempt>),
    /// Undo what these attempts did, newest first, and answer `RolledBack`.
    RollBack {
        attempt: AttemptId,
        climbed: Vec<AttemptId>,
    },
    Report(Report),
    /// An attempt ended, with the verdict that showed it where there is one.
    Ended {
        attempt: Arc<Attempt>,
        verdict: Option<Arc<Verdict>>,
    },
    RoundDone(Round),
    /// Its answer is no longer wanted.
    Abandon(Ticket),
}

/// A look to be taken.
#[derive(Clone, Debug)]
pub struct Asked {
    pub ticket: Ticket,
    pub check: Name,
    pub generation: Generation,
    pub reason: Reason,
    /// The attempt to verify: its frozen plan says what proves it.
    pub verify: Option<AttemptId>,
    /// When the repairs acted that this look is to prove, its own or those of other checks: the last of them.
    pub acted: Option<Moment>,
    /// Whether `keep` is evaluated.
    pub keep: bool,
    pub prior: Arc<Prior>,
}

/// The state machine. Cloning it gives a dry run its own world.
#[derive(Clone, Debug)]
pub struct Core {
    now: Moment,
    outline: Arc<Outline>,
    agenda: Agenda,
    checks: HashMap<Name, Check>,
    budgets: BTreeMap<Name, Budget>,
    attempts: BTreeMap<AttemptId, Attempt>,
    proofs: BTreeMap<AttemptId, repairing::Proof>,
    flights: HashMap<Ticket, Flight>,
    rounds: BTreeMap<u64, round::Open>,
    /// What looks and events set off, by check, file and event name.
    wires: Wires,
    /// Which checks name it in their `needs`.
    needed_by: HashMap<Name, Vec<Name>>,
    /// The number under which the next slot of an investigation is planned; older alarms are void.
    inquiries: BTreeMap<Name, u64>,
    /// When an event last began each investigation.
    inquired: BTreeMap<Name, Moment>,
    pause: Option<Pause>,
    /// Pauses of single checks.
    pauses: BTreeMap<Name, Pause>,
    silences: Vec<Silence>,
    storm: Option<Storm>,
    /// When checks turned bad, as far as that may still count for a storm.
    turns: BTreeMap<Name, Moment>,
    echoes: Vec<claims::Echo>,
    /// Attempts that were refused a target, with the attempt that has it, until they say that nothing was done.
    blocked: BTreeMap<AttemptId, AttemptId>,
    jumped: Option<Moment>,
    next_ticket: Ticket,
    next_attempt: AttemptId,
    next_epoch: u64,
    next_round: u64,
    missed: u64,
}

/// A check with what is remembered of it.
#[derive(Clone, Debug)]
struct Check {
    outline: Arc<CheckOutline>,
    /// Another one for every time its name appears: answers to a predecessor are not taken for its own.
    epoch: u64,
    phase: Duration,
    standing: Standing,
    flight: Option<Ticket>,
    /// Asked for while a look was under way: the next one starts when that ends.
    wanted: Option<Wish>,
    /// What holds its remediation, in full.
    hold: Option<Hold>,
    attempt: Option<AttemptId>,
    /// That it is outside its calendar was told, by this core.
    skipped: bool,
    /// The round for which a held rung waits, with its time.
    retry: Option<(Moment, Option<u64>)>,
}

/// Why a look is taken; several wishes are served by one look.
#[derive(Clone, Debug, Default, PartialEq)]
struct Wish {
    slot: bool,
    event: bool,
    verify: BTreeSet<AttemptId>,
    rounds: BTreeSet<u64>,
    /// The repair that made the event, if nothing else did.
    stirred: Option<crate::guard::Stirred>,
}

impl Wish {
    fn merge(&mut self, other: Wish) {
        self.stirred = match (self.event, other.event) {
            (true, true) => self.stirred.take().filter(|_| other.stirred.is_some()),
            (true, false) => self.stirred.take(),
            (false, _) => other.stirred,
        };
        self.slot |= other.slot;
        self.event |= other.event;
        self.verify.extend(other.verify);
        self.rounds.extend(other.rounds);
    }

    fn reason(&self) -> Reason {
        if !self.verify.is_empty() {
            Reason::Verify
        } else if !self.rounds.is_empty() {
            Reason::Round
        } else if self.event {
            Reason::Event
        } else {
            Reason::Slot
        }
    }
}

/// A look under way.
#[derive(Clone, Debug)]
struct Flight {
    check: Name,
    epoch: u64,
    wish: Wish,
}

#[derive(Clone, Debug, Default)]
struct Wires {
    checks: HashMap<Name, Vec<(Target, Vec<crate::model::status::Status>)>>,
    files: HashMap<String, Vec<Target>>,
    events: HashMap<String, Vec<Target>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Target {
    Check(Name),
    Investigation(Name),
}

impl Core {
    /// Goes on from what a store gave back. Open attempts whose outcome nobody knows are only looked at again.
    pub fn start(outline: Arc<Outline>, saved: Saved, now: Moment, out: &mut Vec<Output>) -> Core {
        let mut core = Core {
            now,
            outline: Arc::new(Outline::default()),
            agenda: Agenda::default(),
            checks: HashMap::new(),
            budgets: saved.budgets.into_iter().collect(),
            attempts: BTreeMap::new(),
            proofs: BTreeMap::new(),
            flights: HashMap::new(),
            rounds: BTreeMap::new(),
            wires: Wires::default(),
            needed_by: HashMap::new(),
            inquiries: BTreeMap::new(),
            inquired: BTreeMap::new(),
            pause: saved.pause,
            pauses: saved.pauses,
            silences: saved.silences,
            storm: None,
            turns: BTreeMap::new(),
            echoes: Vec::new(),
            blocked: BTreeMap::new(),
            jumped: None,
            next_ticket: 1,
            next_attempt: saved.next_attempt.max(1),
            next_epoch: 1,
            next_round: 1 << 32,
            missed: 0,
        };
        let standings: HashMap<Name, Standing> = saved.standings.into_iter().collect();
        core.adopt(outline, standings, out);
        core.recall_storm(saved.storm);
        core.take_up(saved.attempts, out);
        core
    }

    /// The only entry.
    pub fn step(&mut self, now: Moment, input: Input, out: &mut Vec<Output>) {
        let back = self.now.0 - now.0;
        match input {
            Input::Jumped(by) => self.shift(by),
            _ if back > JITTER => self.shift(-back),
            _ => {}
        }
        self.now = if back > JITTER {
            now
        } else {
            now.max(self.now)
        };
        match input {
            Input::Tick => self.tick(out),
            Input::Looked { ticket, verdict } => self.looked(ticket, verdict, out),
            Input::Durable(attempt) => self.durable(attempt, out),
            Input::NotDurable(attempt) => {
                let why = "the intent could not be written";
                self.withheld(attempt, Hold::by(HeldBy::Store).because(why), out);
            }
            Input::Acted { attempt, receipts } => self.acted(attempt, receipts, out),
            Input::Withheld { attempt, hold } => self.withheld(attempt, hold, out),
            Input::Claim { attempt, targets } => self.claim(attempt, targets, out),
            Input::Proposed { attempt, receipts } => self.proposed(attempt, receipts, out),
            Input::RolledBack { attempt, receipts } => self.rolled_back(attempt, receipts, out),
            Input::Reload(outline) => self.reload(outline, out),
            Input::FileChanged(file) => {
                if let Some(targets) = self.wires.files.get(&file).cloned() {
                    let stirred = self.stirred_by(&file);
                    self.set_off(targets, stirred, out);
                }
            }
            Input::Event(event) => {
                if let Some(targets) = self.wires.events.get(&event).cloned() {
                    let stirred = self.stirred_by(&event_target(&event));
                    self.set_off(targets, stirred, out);
                }
            }
            Input::Command(command) => self.command(command, out),
            Input::Jumped(_) => {}
        }
    }

    /// The same world with nothing under way and nothing to come: looks only when a round asks. For a dry run.
    pub fn at_rest(&self) -> Core {
        let mut core = self.clone();
        core.agenda = Agenda::default();
        core.flights.clear();
        core.rounds.clear();
        core.wires = Wires::default();
        core.outline = Arc::new(core.outline.at_rest());
        for (name, check) in &mut core.checks {
            check.flight = None;
            check.wanted = None;
            check.retry = None;
            if let Some(outline) = core.outline.checks.get(name) {
                check.outline = outline.clone();
            }
        }
        core
    }

    fn command(&mut self, command: Command, out: &mut Vec<Output>) {
        match command {
            Command::Pause(pause) => {
                self.pause = Some(pause.clone());
                out.push(Output::Persist(Row::Pause(Some(pause))));
            }
            Command::Resume => {
                self.pause = None;
                out.push(Output::Persist(Row::Pause(None)));
                self.end_storm("a person let repairs go on".to_owned(), out);
                self.release(HeldBy::Pause, out);
            }
            Command::PauseChecks { checks, pause } => self.pause_checks(checks, pause, out),
            Command::ResumeChecks(checks) => self.resume_checks(&checks, out),
            Command::Silence(silence) => self.silence(silence, out),
            Command::Unsilence(id) => {
                let now = self.now;
                for silence in self.silences.iter_mut().filter(|it| it.id == id) {
                    silence.until = silence.until.min(now);
                }
                self.forget_silences();
                out.push(Output::Persist(Row::Silences(self.silences.clone())));
                self.release(HeldBy::Silence, out);
            }
            Command::Confirm {
                check,
                baseline,
                by,
            } => self.confirm(&check, baseline, &by, out),
            Command::Approve { attempt, by } => self.approve(attempt, by, out),
            Command::Deny {
                attempt,
                by,
                reason,
            } => self.deny(attempt, &by, &reason, out),
            Command::Round {
                id,
                checks,
                fix,
                wait,
            } => self.begin_round(id, None, checks, fix, wait, out),
            Command::Investigate {
                id,
                name,
                cause,
                wait,
            } => self.investigate(id, name, cause, wait, out),
        }
    }

    /// Keeps what a person confirmed, and looks again: what was bad may be meant so.
    fn confirm(
        &mut self,
        name: &Name,
        baseline: Option<Baseline>,
        by: &str,
        out: &mut Vec<Output>,
    ) {
        let Some(check) = self.checks.get_mut(name) else {
            return;
        };
        let (kind, text) = match &baseline {
            Some(it) => (
                NoteKind::Confirmed,
                format!("{by} confirmed {}{}", it.value, because(&it.reason)),
            ),
            None => (NoteKind::Forgotten, format!("{by} took the baseline back")),
        };
        check.standing.prior = Arc::new(Prior {
            baseline,
            ..Prior::clone(&check.standing.prior)
        });
        out.push(Output::Persist(Row::Standing {
            check: name.clone(),
            standing: check.standing.clone(),
        }));
        out.push(Output::Persist(Row::Note {
            check: Some(name.clone()),
            at: self.now,
            kind,
            text,
            to: Vec::new(),
        }));
        let wish = Wish {
            event: true,
            ..Wish::default()
        };
        self.want(name, wish, out);
    }

    /// Numbers a silence and keeps it; what has ended is forgotten.
    fn silence(&mut self, silence: Silence, out: &mut Vec<Output>) {
        let now = self.now;
        self.forget_silences();
        self.silences.push(Silence {
            id: self.next_silence(),
            at: now,
            ..silence
        });
        out.push(Output::Persist(Row::Silences(self.silences.clone())));
    }

    /// Forgets the silences that have ended, but for the last one: its number is not given again.
    fn forget_silences(&mut self) {
        let (now, last) = (self.now, self.next_silence() - 1);
        let silences = &mut self.silences;
        silences.retain(|silence| now < silence.until || silence.id == last);
    }

    /// The number the next silence gets: one that no silence ever had.
    pub fn next_silence(&self) -> u64 {
        let last = self.silences.iter().map(|silence| silence.id).max();
        last.map_or(1, |last| last.saturating_add(1))
    }

    /// Silences that have not ended.
    pub fn silences(&self) -> impl Iterator<Item = &Silence> {
        let now = self.now;
        self.silences.iter().filter(move |it| now < it.until)
    }

    pub fn storm(&self) -> Option<&Storm> {
        self.storm.as_ref()
    }

    /// The silence that covers it longest.
    pub fn silence_of(&self, name: &str) -> Option<&Silence> {
        let covering = self.silences.iter();
        let covering = covering.filter(|silence| silence.covers(name, self.now));
        covering.max_by_key(|silence| silence.until)
    }

    /// A check this one needs, near or far, that is CRITICAL.
    fn broken_dependency(&self, name: &str) -> Option<&Name> {
        let all = self.all_needed(name);
        all.into_iter().find(|needed| {
            let check = self.checks.get(*needed);
            check.is_some_and(|it| it.standing.status == crate::model::status::Status::Critical)
        })
    }

    /// The check this one waits behind: the deepest of those it needs that is CRITICAL, or one that nobody has looked at
    /// yet. What it shows is then no news of its own.
    pub fn behind(&self, name: &str) -> Option<&Name> {
        let mut broken = self.broken_dependency(name);
        // A book has no circle of needs; who hands one to the core all the same is not waited for.
        for _ in 0..self.checks.len() {
            match broken.and_then(|name| self.broken_dependency(name)) {
                Some(deeper) => broken = Some(deeper),
                None => break,
            }
        }
        broken.or_else(|| self.unseen_needs(name).into_iter().next())
    }

    /// What it needs, near or far, and nobody has looked at yet.
    fn unseen_needs(&self, name: &str) -> Vec<&Name> {
        let unseen = |needed: &&Name| {
            let check = self.checks.get(*needed);
            check.is_some_and(|it| it.standing.looked.is_none() && it.standing.outside.is_none())
        };
        let all = self.all_needed(name);
        all.into_iter().filter(unseen).collect()
    }

    /// Those that need this check, near or far.
    pub fn resting_on(&self, name: &str) -> BTreeSet<&Name> {
        let mut all = BTreeSet::new();
        let mut open = vec![name];
        while let Some(next) = open.pop() {
            for other in self.needed_by.get(next).into_iter().flatten() {
                if **other != *name && all.insert(other) {
                    open.push(other);
                }
            }
        }
        all
    }

    fn all_needed(&self, name: &str) -> Vec<&Name> {
        let mut all: Vec<&Name> = Vec::new();
        let mut open: Vec<&Name> = self.needs_of(name).collect();
        while let Some(needed) = open.pop() {
            if **needed != *name && !all.contains(&needed) {
                all.push(needed);
                open.extend(self.needs_of(needed));
            }
        }
        all
    }

    fn needs_of(&self, name: &str) -> impl Iterator<Item = &Name> {
        let check = self.checks.get(name);
        check.into_iter().flat_map(|check| &check.outline.needs)
    }

    /// What this guard held is looked at again, and the look decides.
    fn release(&mut self, by: HeldBy, out: &mut Vec<Output>) {
        let held: Vec<Name> = self
            .outline
            .checks
            .keys()
            .filter(|name| {
                let check = self.checks.get(*name);
                check.is_some_and(|check| check.standing.held_by == Some(by))
            })
            .cloned()
            .collect();
        for name in held {
            let waits = self.checks.get_mut(&name).and_then(|it| it.retry.take());
            let wish = Wish {
                event: true,
                rounds: self.waiting_rounds(&name, waits.and_then(|(_, round)| round)),
                ..Wish::default()
            };
            self.want(&name, wish, out);
        }
    }

    /// When the core next wants a `Tick`.
    pub fn next_due(&mut self) -> Option<Moment> {
        self.agenda.next()
    }

    pub fn outline(&self) -> &Arc<Outline> {
        &self.outline
    }

    pub fn standing(&self, check: &str) -> Option<&Standing> {
        self.checks.get(check).map(|check| &check.standing)
    }

    /// Standings in the order of names.
    pub fn standings(&self) -> impl Iterator<Item = (&Name, &Standing)> {
        self.outline
            .checks
            .keys()
            .filter_map(|name| Some((name, &self.checks.get(name)?.standing)))
    }

    /// What held its remediation at the last look, if anything did since the engine started.
    pub fn hold(&self, check: &str) -> Option<&Hold> {
        self.checks.get(check)?.hold.as_ref()
    }

    pub fn budget(&self, check: &str) -> Option<&Budget> {
        self.budgets.get(check)
    }

    /// Open attempts, oldest first.
    pub fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.values()
    }

    pub fn pause(&self) -> Option<&Pause> {
        self.pause
            .as_ref()
            .filter(|pause| crate::guard::pauses(pause, self.now))
    }

    /// What would hold a remediation of this check now, and until when.
    pub fn would_hold(&self, name: &Name) -> Option<Hold> {
        let check = self.checks.get(name)?;
        let remediation = check.remediation()?;
        let rung = self.next_rung(name, remediation);
        match self.rule(name, remediation, rung, None) {
            crate::guard::Ruling::Held(hold) => Some(hold),
            crate::guard::Ruling::Go { .. } => None,
        }
    }

    /// When its next slot comes, by its trigger and its calendar; `None` for one that only events set off.
    pub fn next_look(&self, name: &str) -> Option<Moment> {
        let check = self.checks.get(name)?;
        self.next_due_of(&check.outline.trigger, check.phase)
    }

    /// The checks that name it in their `needs`.
    pub fn needed_by(&self, name: &str) -> &[Name] {
        self.needed_by
            .get(name)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// Slots that came while their check was still being looked at, or while nobody ticked.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Whether no look is under way.
    pub fn is_idle(&self) -> bool {
        self.flights.is_empty()
    }

    /// A number for a round, never given before.
    pub fn new_round(&mut self) -> u64 {
        self.next_round += 1;
        self.next_round
    }
}

fn because(reason: &str) -> String {
    match reason.is_empty() {
        true => String::new(),
        false => format!(": {reason}"),
    }
}

/// The target under which raising an event is claimed.
pub fn event_target(event: &str) -> String {
    format!("event {event}")
}

impl Check {
    fn remediation(&self) -> Option<&Arc<crate::model::outline::RemediationOutline>> {
        self.outline.remediation.as_ref()
    }
}

//! The loop that owns the core: performs its outputs, returns inputs.
//!
//! The live engine, a one-off `check` and a dry run are this same loop with other hands, records and clocks; there is no
//! question here which of them it is.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::{
    answer::Answer,
    board::Standings,
    handle::{
        AcknowledgedAnswer, News, Proposal, ReloadAnswer, Request, StandingAnswer, StatusAnswer,
    },
    look::{self, Purpose},
    looking::{Before, Looking},
    masks::Masks,
    pause,
    pool::{Answers, Item, Pool},
    progress::{Progress, Said},
    pulse::Pulse,
    records::Records,
    telling::Telling,
    trail::{Mark, Trails},
    watch::Askers,
};
use crate::{
    clock::{self, Clock, SetClock, Stopwatch},
    core::{Asked, Command, Core, Input, Output},
    hands::Hands,
    model::{
        Name,
        attempt::{Attempt, AttemptId, End, Page, Phase, Row},
        moment::Moment,
        report::{Reason, Report, Round, Ticket},
        standing::{HeldBy, Hold, Pause, Standing},
        status::Status,
        verdict::Verdict,
    },
    permission::Permission,
    probe::{Eyes, Tails},
    rules::{
        book::{Book, Check},
        complaint::{self, Complaint},
    },
    script::{self, Env, Ground},
    store::LookRecord,
    threshold,
};

/// Due looks gather for so long and run as a batch: a wake-up costs more than a look at a file.
const GATHER: Duration = Duration::from_millis(10);
/// Nothing to do for so long: time to see whether the clock was set.
const LONGEST: Duration = Duration::from_secs(1);
/// How often looks that have not come back are seen to.
const TEND: Duration = Duration::from_millis(100);
/// Lateness is told of so long, at least.
const MINUTE: Duration = Duration::from_secs(60);
/// The time limit of most looks.
const LIMIT: Duration = Duration::from_secs(10);
/// The clock is taken to have jumped when it and the steady clock part by more than this.
const JUMP: i64 = 5_000;
/// How long `stop` waits for rungs that are being done.
const FAREWELL: Duration = Duration::from_secs(60);

/// What reaches the loop.
pub(super) enum Message {
    Input(Input),
    Looked(Answers),
    /// The answer to a look that has not come back, or was not begun.
    Late(Ticket, Arc<Verdict>),
    /// A rung is about to act on these; answered with what refuses it.
    Claim {
        attempt: AttemptId,
        targets: Vec<String>,
        reply: oneshot::Sender<Option<Hold>>,
    },
    Request(Request),
    /// Another generation, with what to say of it.
    Book {
        book: Arc<Book>,
        /// What may be done under it, and the hands that keep to that.
        permission: Arc<Permission>,
        hands: Arc<dyn Hands>,
        changes: String,
        warnings: Vec<Complaint>,
        told: Askers,
    },
    /// What is on disk now is what runs already (again).
    Same(Askers),
    Refused {
        complaints: Vec<Complaint>,
        told: Askers,
    },
    /// Looks that were recorded before this engine started.
    Past(Vec<(Name, Vec<Mark>)>),
    PauseFile(Option<String>),
    /// It was stopped and has waited long enough.
    Overtime,
}

/// What a driver is made of.
pub(super) struct Parts {
    pub book: Arc<Book>,
    pub script: script::Engine,
    pub permission: Arc<Permission>,
    pub rules: PathBuf,
    pub env: Arc<Env>,
    pub clock: Arc<dyn Clock>,
    pub hands: Arc<dyn Hands>,
    pub records: Arc<dyn Records>,
    pub tails: Arc<Tails>,
    pub board: Arc<Standings>,
    pub ledger: super::counts::Counts,
    pub progress: Arc<Progress>,
    /// `--set NAME=VALUE`.
    pub set: Arc<BTreeMap<String, Value>>,
    pub pulse: Arc<Pulse>,
    /// The newest repairs of the past, oldest first.
    pub repairs: Vec<Attempt>,
}

/// Who waits for a round.
pub(super) enum Waiting {
    Answer(oneshot::Sender<Answer>),
    /// A rung that had checks run.
    Rung(oneshot::Sender<Answer>),
    Record(oneshot::Sender<Value>),
}

pub(super) struct Driver {
    pub(super) parts: Parts,
    pub(super) core: Core,
    /// The book of each open attempt: it is repaired and verified by its own plan.
    frozen: HashMap<AttemptId, Arc<Book>>,
    pool: Pool,
    pub(super) sender: mpsc::UnboundedSender<Message>,
    receiver: mpsc::UnboundedReceiver<Message>,
    news: broadcast::Sender<Arc<News>>,
    pub(super) waiting: HashMap<u64, Waiting>,
    /// What was not told, because it waits behind a check that it needs.
    pub(super) masks: Masks,
    pub(super) telling: Telling,
    /// The last verdict of each check, with how many looks there were.
    pub(super) last: HashMap<Name, (Arc<Verdict>, u64)>,
    /// The last looks of each check.
    pub(super) trails: Trails,
    /// What investigations found, newest first.
    pub(super) records: HashMap<Name, VecDeque<(Moment, Value)>>,
    looking: Looking,
    pub(super) complaints: Vec<Complaint>,
    pub(super) rows: Vec<Row>,
    looks: Vec<LookRecord>,
    pub(super) stopping: Option<Vec<oneshot::Sender<()>>>,
    /// How long it waits, when it is stopped, for rungs that are being done.
    pub(super) farewell: Duration,
    /// It has waited so long.
    overtime: bool,
    /// Rungs that wait for what they claimed.
    claims: HashMap<AttemptId, oneshot::Sender<Option<Hold>>>,
    /// Attempts begun here. The world of a dry run may know of others that somebody else is at.
    begun: HashSet<AttemptId>,
    /// What the clock said when it was asked last, and since then by the steady one.
    wall: (Moment, Stopwatch),
    /// How late what is due is begun.
    late: Late,
}

/// The longest that anything due waited, of this minute and of the one before.
#[derive(Default)]
struct Late {
    this: Duration,
    before: Duration,
    began: Option<Moment>,
}

impl Late {
    fn see(&mut self, late: Duration, now: Moment) {
        let began = *self.began.get_or_insert(now);
        if now.since(began) >= MINUTE || now < began {
            self.before = if now.since(began) < 2 * MINUTE {
                self.this
            } else {
                Duration::ZERO
            };
            self.this = Duration::ZERO;
            self.began = Some(now);
        }
        self.this = self.this.max(late);
    }

    fn longest(&self) -> Duration {
        self.this.max(self.before)
    }
}

impl Driver {
    /// Takes up what was saved. The first outputs are performed when [`Driver::run`] begins.
    pub(super) fn new(
        parts: Parts,
        core: Core,
        news: broadcast::Sender<Arc<News>>,
        channel: (
            mpsc::UnboundedSender<Message>,
            mpsc::UnboundedReceiver<Message>,
        ),
    ) -> Driver {
        let (sender, receiver) = channel;
        let mut parts = parts;
        let mut trails = Trails::default();
        for attempt in std::mem::take(&mut parts.repairs) {
            trails.repair(&attempt);
        }
        let wall = (parts.clock.now(), Stopwatch::new());
        let sink = sender.clone();
        let pool = Pool::new(move |answers| {
            let _ = sink.send(Message::Looked(answers)); // the engine has ended
        });
        Driver {
            parts,
            core,
            frozen: HashMap::new(),
            pool,
            sender,
            receiver,
            news,
            waiting: HashMap::new(),
            masks: Masks::default(),
            telling: Telling::default(),
            last: HashMap::new(),
            trails,
            records: HashMap::new(),
            late: Late::default(),
            looking: Looking::default(),
            complaints: Vec::new(),
            rows: Vec::new(),
            looks: Vec::new(),
            stopping: None,
            farewell: FAREWELL,
            overtime: false,
            claims: HashMap::new(),
            begun: HashSet::new(),
            wall,
        }
    }

    /// Until it is stopped.
    pub(super) async fn run(mut self, first: Vec<Output>, complaints: Vec<Complaint>) {
        self.complaints = self.told(complaints);
        self.perform(first);
        loop {
            let now = self.now();
            let due = match self.stopping {
                Some(_) => None,
                None => self.core.next_due(),
            };
            self.tend();
            self.parts.progress.goes_round(Said {
                now,
                next_due: due,
                missed: self.core.missed(),
                stopping: self.stopping.is_some(),
                store: self.parts.records.trouble(),
            });
            self.tend_incidents(now);
            let wait = due.map_or(LONGEST, |due| due.since(now));
            let longest = match self.looking.is_idle() {
                true => LONGEST,
                false => TEND,
            };
            let leaps = due.is_some() && self.parts.clock.stands() && self.is_at_rest();
            let wait = match leaps {
                true => Duration::ZERO,
                false => wait.clamp(GATHER, longest),
            };
            tokio::select! {
                biased;
                message = self.receiver.recv() => match message {
                    Some(message) => self.receive_all(message),
                    None => return,
                },
                () = pass(wait) => {
                    if let Some(due) = due.filter(|_| self.is_at_rest()) {
                        self.parts.clock.leap(due);
                    }
                    if self.stopping.is_none() {
                        let now = self.now();
                        let mut out = Vec::new();
                        self.tick(now, &mut out);
                        self.perform(out);
                    }
                }
            }
            if self.may_end() {
                for told in self.stopping.take().unwrap_or_default() {
                    let _ = told.send(()); // whoever asked may have gone
                }
                return;
            }
        }
    }

    /// What time it is. If the clock was set since it was asked last, the core hears of that before it hears of anything
    /// that happened at the new time: else all that is due within a day would be overdue at once.
    fn now(&mut self) -> Moment {
        let now = self.parts.clock.now();
        let (wall, steady) = std::mem::replace(&mut self.wall, (now, Stopwatch::new()));
        let passed = i64::try_from(steady.elapsed().as_millis()).unwrap_or(i64::MAX);
        let jumped = now.0.saturating_sub(wall.0).saturating_sub(passed);
        if jumped.saturating_abs() > JUMP && self.parts.clock.is_machines() {
            tracing::warn!(milliseconds = jumped, "the clock was set");
            let mut out = Vec::new();
            self.core.step(now, Input::Jumped(jumped), &mut out);
            self.perform(out);
        }
        now
    }

    /// Everything that is due, with how late it comes to that.
    fn tick(&mut self, now: Moment, out: &mut Vec<Output>) {
        let due = self.core.next_due();
        let late = due.map_or(Duration::ZERO, |due| now.since(due));
        self.late.see(late, now);
        self.core.step(now, Input::Tick, out);
    }

    /// How late what is due is begun, in seconds: the longest of the last minute.
    pub(super) fn lateness(&self) -> f64 {
        self.late.longest().as_secs_f64()
    }

    /// Now and then, however many messages come: sees to looks that do not come back. Their time is real time, also where
    /// the clock stands.
    fn tend(&mut self) {
        if !self.looking.is_time(TEND) {
            return;
        }
        self.pool.tend();
        for item in self.looking.overdue() {
            let why = look::no_answer(item.eyes.limit);
            self.fail(item, why);
        }
    }

    /// Answers a look that cannot be taken, or does not come back, by what its check says of that.
    fn fail(&self, item: Arc<Item>, why: String) {
        let sender = self.sender.clone();
        tokio::task::spawn_blocking(move || {
            let verdict = look::failed(&item.check, &item.eyes, &item.purpose, why);
            let _ = sender.send(Message::Late(item.ticket, Arc::new(verdict))); // the engine has ended
        });
    }

    /// One message and all that wait behind it, then everything they ask for at once.
    fn receive_all(&mut self, first: Message) {
        let mut out = Vec::new();
        self.receive(first, &mut out);
        for _ in 0..1024 {
            match self.receiver.try_recv() {
                Ok(message) => self.receive(message, &mut out),
                Err(_) => break,
            }
        }
        let now = self.now();
        if self.stopping.is_none() && self.core.next_due().is_some_and(|due| due <= now) {
            self.tick(now, &mut out);
        }
        self.perform(out);
    }

    /// Nothing is under way: the next thing to happen is on the agenda.
    fn is_at_rest(&self) -> bool {
        let rounds = self.waiting.values();
        let awaiting = rounds.filter(|it| matches!(it, Waiting::Rung(_))).count();
        // A rung that had checks run waits for what is on the agenda, as they do.
        self.core.is_idle() && self.acting().count() <= awaiting
    }

    fn is_acting(&self) -> bool {
        self.acting().next().is_some()
    }

    /// Attempts whose outcome is awaited.
    fn acting(&self) -> impl Iterator<Item = AttemptId> {
        let acts = |attempt: &&Attempt| {
            matches!(
                attempt.phase,
                Phase::Intended | Phase::Acting | Phase::RollingBack
            )
        };
        let open = self.core.attempts().filter(acts).map(|attempt| attempt.id);
        open.filter(|attempt| self.begun.contains(attempt))
    }

    fn may_end(&self) -> bool {
        self.stopping.is_some() && (self.overtime || !self.is_acting())
    }

    fn receive(&mut self, message: Message, out: &mut Vec<Output>) {
        let now = self.now();
        match message {
            Message::Input(input) => self.core.step(now, input, out),
            Message::Looked(answers) => {
                for (ticket, verdict) in answers {
                    if let Some(waited) = self.looking.came_back(ticket) {
                        out.push(Output::Look(waited));
                    }
                    self.core.step(now, Input::Looked { ticket, verdict }, out);
                }
            }
            Message::Late(ticket, verdict) => {
                self.core.step(now, Input::Looked { ticket, verdict }, out);
            }
            Message::Claim {
                attempt,
                targets,
                reply,
            } => {
                self.claims.insert(attempt, reply);
                self.core.step(now, Input::Claim { attempt, targets }, out);
            }
            Message::Request(request) => self.request(request, now, out),
            Message::Overtime => {
                let acting: Vec<AttemptId> = self.acting().collect();
                for attempt in acting {
                    let receipts = vec![super::repair::gave_up_waiting()];
                    let input = Input::Acted { attempt, receipts };
                    self.core.step(now, input, out);
                }
                self.overtime = true;
            }
            Message::Book {
                book,
                permission,
                hands,
                changes,
                warnings,
                told,
            } => {
                // What was decided by the old book is begun by the old book.
                self.perform(std::mem::take(out));
                self.parts.permission = permission;
                self.parts.hands = hands;
                let warnings = self.told(warnings);
                let generation = book.generation.to_string();
                let outline = book.outline.clone();
                self.parts.book = book;
                self.last
                    .retain(|name, _| outline.checks.contains_key(name));
                self.parts.board.retain(&outline);
                self.trails.retain(&outline);
                let known = &self.parts.book.investigations;
                self.records.retain(|name, _| known.contains_key(name));
                self.parts.pulse.reload(true);
                self.complaints.clear();
                self.core.step(now, Input::Reload(outline), out);
                self.tell(News::Reloaded {
                    generation: generation.clone(),
                    changes: changes.clone(),
                    warnings,
                });
                answer_reload(told, true, generation, changes, None);
                self.unmask_all();
                self.incidents_reloaded(now);
            }
            Message::Same(told) => {
                if !self.complaints.is_empty() {
                    self.complaints.clear();
                    self.tell(News::Reloaded {
                        generation: self.parts.book.generation.to_string(),
                        changes: "+0 ~0 -0 checks".to_owned(),
                        warnings: Vec::new(),
                    });
                }
                let generation = self.parts.book.generation.to_string();
                answer_reload(told, true, generation, "+0 ~0 -0 checks".to_owned(), None);
            }
            Message::Refused { complaints, told } => {
                let complaints = self.told(complaints);
                let generation = self.parts.book.generation.to_string();
                let text = Some(plain(&complaints));
                self.parts.pulse.reload(false);
                self.complaints.clone_from(&complaints);
                self.tell(News::Refused {
                    generation: generation.clone(),
                    complaints,
                });
                answer_reload(told, false, generation, String::new(), text);
            }
            Message::Past(looks) => {
                for (check, marks) in looks {
                    if self.parts.book.checks.contains_key(&check) {
                        self.trails.seed(check, marks);
                    }
                }
            }
            Message::PauseFile(reason) => self.pause_file(reason, now, out),
        }
    }

    /// Complaints as they are told: their excerpts are lines of rule files, which may hold secrets.
    fn told(&self, complaints: Vec<Complaint>) -> Vec<Complaint> {
        let secrets = self.parts.permission.secrets();
        if secrets.is_empty() {
            return complaints;
        }
        let hide = |text: &str| secrets.hide(text).into_owned();
        let all = complaints.into_iter();
        all.map(|complaint| complaint.with_texts(&hide)).collect()
    }

    fn pause_file(&mut self, reason: Option<String>, now: Moment, out: &mut Vec<Output>) {
        let by_file = self.core.pause().is_some_and(|pause| pause.by == pause::BY);
        match reason {
            Some(reason) if self.core.pause().is_none() => {
                let pause = Pause {
                    at: now,
                    by: pause::BY.to_owned(),
                    reason,
                    until: None,
                };
                self.command(Command::Pause(pause), now, out);
            }
            None if by_file => self.command(Command::Resume, now, out),
            _ => {}
        }
    }

    pub(super) fn command(&mut self, command: Command, now: Moment, out: &mut Vec<Output>) {
        let pauses = matches!(command, Command::Pause(_) | Command::Resume);
        self.core.step(now, Input::Command(command), out);
        if pauses {
            self.tell(News::Paused(self.core.pause().cloned()));
        }
    }

    /// A rung that does not end must not keep the engine from ending.
    pub(super) fn end_late(&self) {
        let (sender, farewell) = (self.sender.clone(), self.farewell);
        tokio::spawn(async move {
            clock::sleep(farewell).await;
            let _ = sender.send(Message::Overtime); // the engine has ended
        });
    }

    pub(super) fn names(&self, names: Vec<Name>) -> Vec<Name> {
        if names.is_empty() {
            self.parts.book.outline.checks.keys().cloned().collect()
        } else {
            names
        }
    }

    pub(super) fn tell(&self, news: News) {
        let _ = self.news.send(Arc::new(news)); // nobody may be listening
    }

    pub(super) fn news(&self) -> broadcast::Sender<Arc<News>> {
        self.news.clone()
    }

    pub(super) fn ground(&self, now: Moment) -> Ground {
        Ground {
            now,
            vars: self.parts.book.vars.clone(),
            env: self.parts.env.clone(),
        }
    }

    /// The book by which an attempt was planned.
    pub(super) fn book_of(&self, attempt: AttemptId) -> Arc<Book> {
        self.frozen
            .get(&attempt)
            .unwrap_or(&self.parts.book)
            .clone()
    }

    fn perform(&mut self, outputs: Vec<Output>) {
        let now = self.parts.clock.now();
        let mut quick = Vec::new();
        let mut eyes = None;
        self.hear_of_repairs(&outputs);
        for output in outputs {
            match output {
                Output::Look(asked) => {
                    let eyes = eyes.get_or_insert_with(|| Arc::new(self.eyes(now))).clone();
                    self.look(asked, eyes, &mut quick);
                }
                Output::Persist(row) => {
                    self.announce(&row);
                    self.notice_row(&row, now);
                    if let Row::Held { check, hold, .. } = &row {
                        self.parts.ledger.held(check.clone());
                        self.parts.pulse.hold(hold.by.word());
                    }
                    self.rows.push(row);
                }
                Output::PersistThenTell(_, attempt) if self.stopping.is_some() => {
                    // What was begun is finished; nothing new is begun.
                    let hold = Hold::by(HeldBy::Pause).because("the engine is stopping");
                    let input = Input::Withheld { attempt, hold };
                    let _ = self.sender.send(Message::Input(input)); // the engine has ended
                }
                Output::PersistThenTell(row, attempt) => {
                    self.begun.insert(attempt);
                    self.flush();
                    self.frozen.insert(attempt, self.parts.book.clone());
                    let sender = self.sender.clone();
                    let then = Box::new(move |written: Result<(), String>| {
                        let input = match written {
                            Ok(()) => Input::Durable(attempt),
                            Err(error) => {
                                tracing::error!(attempt, %error, "could not write an intent, so nothing is done");
                                Input::NotDurable(attempt)
                            }
                        };
                        let _ = sender.send(Message::Input(input)); // the engine has ended
                    });
                    self.parts.records.durable(row, then);
                }
                Output::Act(attempt) => self.act(attempt, now),
                Output::Propose(attempt) => self.propose(attempt, now),
                Output::Claimed { attempt, refused } => {
                    if let Some(reply) = self.claims.remove(&attempt) {
                        let _ = reply.send(refused); // the rung may have broken off
                    }
                }
                Output::RollBack { attempt, climbed } => {
                    self.begun.insert(attempt);
                    self.roll_back(attempt, climbed, now);
                }
                Output::Report(report) => self.report(report),
                Output::Ended { attempt, verdict } => self.ended(&attempt, verdict.as_deref()),
                Output::RoundDone(round) => self.round_done(&round, now),
                Output::Abandon(ticket) => self.looking.abandon(ticket),
            }
        }
        self.pool.submit(quick);
        self.tell_people(now);
        self.flush();
    }

    /// Hands over what is to be written, in order.
    pub(super) fn flush(&mut self) {
        if !self.rows.is_empty() {
            self.parts.records.write(std::mem::take(&mut self.rows));
        }
        if !self.looks.is_empty() {
            self.parts.records.looks(std::mem::take(&mut self.looks));
        }
    }

    fn announce(&self, row: &Row) {
        match row {
            Row::Held { check, hold, .. } => self.tell(News::Held {
                check: check.clone(),
                hold: hold.clone(),
            }),
            Row::Page(page) => self.deliver(page),
            Row::Note { check, text, .. } => self.tell(News::Note {
                check: check.clone(),
                text: text.clone(),
            }),
            _ => {}
        }
    }

    /// Writes a page for everybody it names.
    fn deliver(&self, page: &Page) {
        let known = |name: &Name| self.parts.book.notifiers.get(name);
        let files = page.to.iter().filter_map(known);
        let files: BTreeSet<&str> = files.filter_map(|it| it.journal.as_deref()).collect();
        let line = crate::journal::records::page_line(page, &self.parts.book.generation);
        for file in files {
            self.parts.records.journal(file, line.clone());
        }
        tracing::info!(
            check = page.check.as_deref(),
            text = page.text,
            "people are paged"
        );
    }

    fn eyes(&self, now: Moment) -> Eyes {
        Eyes {
            engine: self.parts.script.clone(),
            permission: self.parts.permission.clone(),
            ground: self.ground(now),
            tails: self.parts.tails.clone(),
            board: self.parts.board.clone(),
            limit: LIMIT,
        }
    }

    fn look(&mut self, asked: Asked, eyes: Arc<Eyes>, quick: &mut Vec<Arc<Item>>) {
        let ticket = asked.ticket;
        let Some(check) = self.check_of(&asked) else {
            let verdict = Arc::new(Verdict::unknown("the check is gone"));
            let _ = self.sender.send(Message::Late(ticket, verdict)); // the engine has ended
            return;
        };
        let before = self.looking.before(&asked.check);
        if before == Before::Away {
            self.looking.wait(asked);
            return;
        }
        let book = asked.verify.map(|attempt| self.book_of(attempt));
        let until = book.and_then(|book| {
            let check = book.checks.get(&asked.check)?;
            check.remediation.as_ref()?.until.clone()
        });
        let purpose = Purpose {
            prior: asked.prior,
            until,
            acted: asked.acted,
            keep: asked.keep,
            ledger: check
                .judging
                .publish
                .is_some()
                .then(|| self.parts.ledger.of(&asked.check)),
        };
        let limit = check.outline.deadline;
        let item = Arc::new(Item {
            eyes: if limit == eyes.limit {
                eyes
            } else {
                let eyes = Eyes::clone(&eyes);
                Arc::new(Eyes { limit, ..eyes })
            },
            ticket,
            check,
            purpose,
        });
        if before == Before::Stuck {
            self.fail(item, "the look before has not come back yet".to_owned());
        } else if look::is_quick(&item.check) {
            self.looking.began(item.clone(), None);
            quick.push(item);
        } else {
            let sender = self.sender.clone();
            let eyes = Eyes::clone(&item.eyes);
            let taken = look::take(item.check.clone(), eyes, item.purpose.clone());
            let task = tokio::spawn(async move {
                let verdict = taken.await;
                let _ = sender.send(Message::Looked(vec![(ticket, Arc::new(verdict))]));
            });
            self.looking.began(item, Some(task.abort_handle()));
        }
    }

    /// A verification looks by the book of its attempt; everything else by the one that runs.
    fn check_of(&self, asked: &Asked) -> Option<Arc<Check>> {
        let frozen = asked.verify.map(|attempt| self.book_of(attempt));
        let book = frozen.as_ref().unwrap_or(&self.parts.book);
        book.checks.get(&asked.check).cloned()
    }

    fn report(&mut self, report: Report) {
        let looks = self.last.get(&report.check).map_or(0, |(_, looks)| *looks) + 1;
        self.last
            .insert(report.check.clone(), (report.verdict.clone(), looks));
        self.parts
            .board
            .set(&report.check, report.status, &report.verdict.message);
        self.parts.progress.looked();
        self.trails.look(&report.check, &report.verdict);
        let seconds = report.verdict.duration_ms / 1000.0;
        self.parts.pulse.look(&report.check, seconds);
        self.looks.push(LookRecord {
            check: report.check.clone(),
            at: report.at,
            status: report.verdict.status,
            counted: report.status,
            duration_ms: report.verdict.duration_ms,
            verdict: report.verdict.clone(),
        });
        self.tell_change(&report);
        self.notice_report(&report);
        if let Some(publication) = report.verdict.publish.clone() {
            self.parts.records.publish(publication);
        }
        if report.reason != Reason::Verify {
            self.write_line(&report.check, &report.verdict, report.at, None);
        }
    }

    /// The check's line in its journal: one for every look, one more when a repair has ended.
    fn write_line(&self, name: &Name, verdict: &Verdict, at: Moment, attempt: Option<&Attempt>) {
        let Some(check) = self.parts.book.checks.get(name) else {
            return;
        };
        let Some(journal) = &check.journal else {
            return;
        };
        let status = attempt.map_or(verdict.status, |attempt| attempt.before.status);
        let line = crate::journal::records::check_line(&crate::journal::records::CheckLine {
            at,
            name,
            status: verdict.status,
            message: &verdict.message,
            can_auto_fix: check
                .outline
                .remediation
                .as_ref()
                .is_some_and(|it| it.when.contains(&status) && !it.approve),
            fix_applied: attempt.is_some_and(Attempt::was_done),
            before: attempt.map(|attempt| &attempt.before),
            verified: attempt.map(|attempt| attempt.end() == Some(End::Verified)),
            generation: &self.parts.book.generation,
        });
        self.parts.records.journal(journal, line);
    }

    fn ended(&mut self, attempt: &Arc<Attempt>, verdict: Option<&Verdict>) {
        self.frozen.remove(&attempt.id);
        self.begun.remove(&attempt.id);
        self.parts.ledger.count(attempt);
        self.trails.repair(attempt);
        if let Some(end) = attempt.end() {
            self.parts.pulse.repair(&attempt.check, end.word());
        }
        self.tell(News::Ended(attempt.clone()));
        let at = match attempt.phase {
            Phase::Ended {
                at,
                end: End::Verified | End::Failed | End::Superseded | End::Interrupted,
            } => at,
            _ => return,
        };
        let last = self
            .last
            .get(&attempt.check)
            .map(|(verdict, _)| verdict.clone());
        if let Some(verdict) = verdict.or(last.as_deref()) {
            self.write_line(&attempt.check, verdict, at, Some(attempt));
        }
    }

    fn round_done(&mut self, round: &Round, now: Moment) {
        let record = round.investigation.as_ref().map(|(name, cause)| {
            let record = {
                let core = &self.core;
                let status = |name: &str| core.standing(name).map(|it| it.status);
                let (book, cause) = (&self.parts.book, cause.as_deref());
                super::investigate::record(book, round, name, cause, &status)
            };
            if let Some(journal) = self
                .parts
                .book
                .investigations
                .get(name)
                .and_then(|it| it.journal.clone())
            {
                self.parts.records.journal(&journal, record.clone());
            }
            self.tell(News::Investigated {
                name: name.clone(),
                record: record.clone(),
            });
            (name.clone(), record)
        });
        if let Some((name, record)) = &record {
            self.remember_record(name, now, record);
        }
        let record = record.map(|(_, record)| record);
        match self.waiting.remove(&round.id) {
            Some(Waiting::Answer(reply) | Waiting::Rung(reply)) => {
                let mut answer = Answer::of(round, &self.parts.book.generation, now);
                for check in &mut answer.checks {
                    if check.status != Status::Ok {
                        check.behind = self.core.behind(&check.name).map(ToString::to_string);
                        check.notices = self.foretell(check, now);
                    }
                }
                let _ = reply.send(answer); // whoever asked may have gone
            }
            Some(Waiting::Record(reply)) => {
                let _ = reply.send(record.unwrap_or(Value::Null));
            }
            None => {}
        }
    }

    pub(super) fn status(&self, now: Moment) -> StatusAnswer {
        let attempts = self.open_attempts();
        let checks: Vec<StandingAnswer> = self
            .core
            .standings()
            .map(|(name, standing)| self.standing_answer(name, standing, &attempts))
            .collect();
        StatusAnswer {
            generation: self.parts.book.generation.to_string(),
            now: now.seconds(),
            overall: Status::worst(checks.iter().map(|check| check.status)),
            paused: self.core.pause().cloned(),
            checks,
            complaints: self
                .complaints
                .iter()
                .filter_map(|complaint| serde_json::to_value(complaint).ok())
                .collect(),
            complaints_text: (!self.complaints.is_empty()).then(|| plain(&self.complaints)),
            missed_slots: self.core.missed(),
            silences: self.core.silences().cloned().collect(),
            storm: self.core.storm().cloned(),
            proposals: self.core.attempts().filter_map(Proposal::of).collect(),
            store: self.parts.records.trouble(),
        }
    }

    pub(super) fn standing_answer(
        &self,
        name: &Name,
        standing: &Standing,
        attempts: &HashMap<&Name, &Attempt>,
    ) -> StandingAnswer {
        let hold = self.core.hold(name);
        let opens = standing.outside.as_ref().and_then(|outside| outside.opens);
        StandingAnswer {
            name: name.to_string(),
            status: standing.status,
            message: standing.message.clone(),
            since: standing.since.seconds(),
            looked: standing.looked.map(Moment::seconds),
            looks: self.last.get(name).map_or(0, |(_, looks)| *looks),
            held_by: standing.held_by.map(|by| by.word().to_owned()),
            held_until: hold.and_then(|hold| hold.until).map(Moment::seconds),
            held_why: hold.and_then(|hold| hold.why.clone()),
            opens: opens.map(Moment::seconds),
            behind: self.core.behind(name).map(ToString::to_string),
            pause: self.core.own_pause(name).cloned(),
            attempt: attempts
                .get(name)
                .map(|attempt| (attempt.id, super::repair::phase(&attempt.phase).to_owned())),
            incident: self.telling.incidents.of(name).map(|it| it.id),
            acknowledged: self
                .telling
                .incidents
                .of(name)
                .and_then(|it| it.acknowledged.as_ref())
                .map(AcknowledgedAnswer::from),
        }
    }

    pub(super) fn explain(&self, name: &Name, now: Moment) -> Option<Value> {
        let check = self.parts.book.checks.get(name)?;
        let standing = self.core.standing(name);
        let last = self.last.get(name).map(|(verdict, _)| verdict);
        let hold = self.core.would_hold(name);
        let mut explained = json!({
            "check": name,
            "about": check.about,
            "rule": check.place,
            "status": standing.map(|standing| standing.status),
            "message": standing.map(|standing| standing.message.clone()),
            "since": standing.map(|standing| standing.since.seconds()),
            "looked": standing.and_then(|standing| standing.looked).map(Moment::seconds),
            "opens": standing
                .and_then(|standing| standing.outside.as_ref()?.opens)
                .map(Moment::seconds),
            "behind": self.core.behind(name),
            "baseline": standing.and_then(|standing| standing.prior.baseline.as_ref()),
            "verdict": last.map(|verdict| verdict.as_ref()),
            "thresholds": last.filter(|verdict| !verdict.facts.is_empty()).map(|verdict| {
                // As the look saw it: `now` was another one then.
                let looked = standing.and_then(|standing| standing.looked);
                let ground = self.ground(looked.unwrap_or(now));
                let recalled = verdict.recalled.as_deref();
                threshold::trees(&self.parts.script, &check.judging, verdict.seen(), recalled, &ground)
            }),
            "remediation": check.outline.remediation.as_ref().map(|remediation| json!({
                "when": remediation.when,
                "ladder": remediation.ladder,
                "held_by": hold.as_ref().map(|hold| hold.by.word()),
                "until": hold.as_ref().and_then(|hold| hold.until).map(Moment::seconds),
                "why": hold.as_ref().and_then(|hold| hold.why.as_deref()),
                "budget": self.core.budget(name),
                "guard": remediation.guard,
                "pause": self.core.pause(),
                "attempt": self.core.attempts().find(|attempt| attempt.check == *name).map(|attempt| attempt.id),
            })),
        });
        // Expressions are evaluated anew, with what they may know.
        self.parts.permission.secrets().hide_value(&mut explained);
        Some(explained)
    }

    /// The same loop with dry hands, in a world of its own.
    pub(super) fn dry_run(&self, names: Vec<Name>, reply: oneshot::Sender<Answer>) {
        let parts = self.dry_parts(self.parts.book.clone());
        super::dry::spawn(parts, self.core.at_rest(), self.names(names), reply);
    }

    /// The same by another book, as if it had just been taken over.
    pub(super) fn rehearse(
        &mut self,
        book: Arc<Book>,
        names: Vec<Name>,
        reply: oneshot::Sender<Answer>,
    ) {
        let now = self.now();
        let mut core = self.core.at_rest();
        let outline = Arc::new(book.outline.at_rest());
        core.step(now, Input::Reload(outline), &mut Vec::new()); // nothing of it is done
        super::dry::spawn(self.dry_parts(book), core.at_rest(), names, reply);
    }

    fn dry_parts(&self, book: Arc<Book>) -> Parts {
        Parts {
            book,
            script: self.parts.script.clone(),
            permission: self.parts.permission.clone(),
            rules: self.parts.rules.clone(),
            env: self.parts.env.clone(),
            clock: Arc::new(SetClock::at(self.parts.clock.now())),
            hands: Arc::new(crate::hands::Dry),
            records: Arc::new(super::records::Nowhere),
            tails: Arc::default(),
            board: Arc::new(self.parts.board.copy()),
            ledger: self.parts.ledger.clone(),
            progress: Arc::default(),
            set: self.parts.set.clone(),
            pulse: Arc::default(),
            repairs: Vec::new(),
        }
    }
}

/// Waits; for no time at all, it only lets others go first.
async fn pass(wait: Duration) {
    if wait.is_zero() {
        tokio::task::yield_now().await;
    } else {
        clock::sleep(wait).await;
    }
}

/// Complaints as text that goes through an answer to whoever asked.
pub(super) fn plain(complaints: &[Complaint]) -> String {
    complaint::render(
        complaints,
        complaint::Style {
            unicode: true,
            colour: false,
            width: 100,
        },
    )
}

fn answer_reload(
    told: Askers,
    live: bool,
    generation: String,
    changes: String,
    complaints_text: Option<String>,
) {
    let answer = ReloadAnswer {
        live,
        generation,
        changes,
        complaints_text,
    };
    for asker in told {
        let _ = asker.send(answer.clone()); // whoever asked may have gone
    }
}

//! The core under a driver of its own, in virtual time: a world that answers looks and acts, a disk that may lose
//! nothing, a crash at any point.

mod hours;
mod proof;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
    time::Duration,
};

use proptest::prelude::*;

use super::*;
use crate::model::{
    attempt::{End, NoteKind, Phase},
    outline::{
        EventTrigger, Guard, InvestigationOutline, Patience, RemediationOutline, Trigger, Verify,
    },
    report::Decision,
    status::Status,
    step::Outcome,
};

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn remediation(rungs: usize) -> RemediationOutline {
    RemediationOutline {
        when: vec![Status::Critical],
        ladder: vec![vec!["write_file".to_owned()]; rungs],
        fingerprint: format!("ladder of {rungs}"),
        verify: Verify {
            after: seconds(1),
            within: seconds(3),
            checks: vec![],
        },
        guard: Guard::default(),
        approve: false,
        approve_within: seconds(60),
        rollback: false,
        escalate: vec![],
    }
}

fn check(name: &str, remediation: Option<RemediationOutline>) -> CheckOutline {
    CheckOutline {
        name: name.into(),
        fingerprint: format!("{remediation:?}"),
        trigger: Trigger {
            every: Some(seconds(10)),
            ..Trigger::default()
        },
        deadline: seconds(2),
        patience: Patience::default(),
        remediation: remediation.map(Arc::new),
        needs: vec![],
    }
}

fn outline(generation: &str, checks: Vec<CheckOutline>) -> Arc<Outline> {
    Arc::new(Outline {
        generation: generation.into(),
        checks: checks
            .into_iter()
            .map(|check| (check.name.clone(), Arc::new(check)))
            .collect(),
        ..Outline::default()
    })
}

/// How the world answers a look: after so long, with this status; `None` never.
type Answer = Option<(Duration, Status)>;
type World = Box<dyn FnMut(Moment, &str, &[Act]) -> Answer>;

#[derive(Clone, Debug, PartialEq)]
struct Act {
    at: Moment,
    check: String,
    rung: usize,
    generation: String,
}

struct Sim {
    core: Core,
    now: Moment,
    disk: Vec<Row>,
    acts: Vec<Act>,
    /// Rungs that are to be done when their targets are granted.
    acting: BTreeMap<u64, Arc<Attempt>>,
    /// What the repair of a check acts on; `data/CHECK` if nothing is said.
    targets: BTreeMap<String, String>,
    /// (when, which, granted or not).
    claims: Vec<(String, Option<Hold>)>,
    reports: Vec<Report>,
    rounds: Vec<Round>,
    ends: Vec<End>,
    looks: usize,
    world: World,
    later: BinaryHeap<Reverse<(Moment, u64)>>,
    answers: BTreeMap<u64, Input>,
    sequence: u64,
    crash_on_act: bool,
    crashed: bool,
    disk_full: bool,
}

impl Sim {
    fn new(
        outline: Arc<Outline>,
        saved: Saved,
        now: Moment,
        world: impl FnMut(Moment, &str, &[Act]) -> Answer + 'static,
    ) -> Sim {
        let mut out = Vec::new();
        let core = Core::start(outline, saved, now, &mut out);
        let mut sim = Sim {
            core,
            now,
            disk: vec![],
            acts: vec![],
            acting: BTreeMap::new(),
            targets: BTreeMap::new(),
            claims: vec![],
            reports: vec![],
            rounds: vec![],
            ends: vec![],
            looks: 0,
            world: Box::new(world),
            later: BinaryHeap::new(),
            answers: BTreeMap::new(),
            sequence: 0,
            crash_on_act: false,
            crashed: false,
            disk_full: false,
        };
        sim.perform(out);
        sim
    }

    fn post(&mut self, after: Duration, input: Input) {
        self.sequence += 1;
        self.answers.insert(self.sequence, input);
        self.later
            .push(Reverse((self.now.plus(after), self.sequence)));
    }

    fn perform(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            if self.crashed {
                return;
            }
            match output {
                Output::Look(asked) => {
                    self.looks += 1;
                    if let Some((after, status)) = (self.world)(self.now, &asked.check, &self.acts)
                    {
                        let verdict = Arc::new(Verdict::bare(status, status.to_string()));
                        let ticket = asked.ticket;
                        self.post(after, Input::Looked { ticket, verdict });
                    }
                }
                Output::Persist(row) => self.disk.push(row),
                Output::PersistThenTell(_, id) if self.disk_full => {
                    self.post(Duration::from_millis(1), Input::NotDurable(id));
                }
                Output::PersistThenTell(row, id) => {
                    self.disk.push(row);
                    self.post(Duration::from_millis(1), Input::Durable(id));
                }
                Output::Act(attempt) => {
                    let durable = self.disk.iter().any(
                        |row| matches!(row, Row::Intent { attempt: it, .. } if it.id == attempt.id),
                    );
                    assert!(durable, "an act without a durable intent");
                    let id = attempt.id;
                    let target = self.targets.get(&*attempt.check).cloned();
                    let target = target.unwrap_or_else(|| format!("data/{}", attempt.check));
                    self.acting.insert(id, attempt);
                    let claim = Input::Claim {
                        attempt: id,
                        targets: vec![target],
                    };
                    self.post(Duration::ZERO, claim);
                }
                Output::Claimed {
                    attempt: id,
                    refused,
                } => {
                    let attempt = self.acting.remove(&id).expect("it asked");
                    self.claims
                        .push((attempt.check.to_string(), refused.clone()));
                    if let Some(hold) = refused {
                        self.post(
                            Duration::from_millis(1),
                            Input::Withheld { attempt: id, hold },
                        );
                        continue;
                    }
                    self.acts.push(Act {
                        at: self.now,
                        check: attempt.check.to_string(),
                        rung: attempt.rung,
                        generation: attempt.generation.to_string(),
                    });
                    if self.crash_on_act {
                        self.crashed = true;
                        return;
                    }
                    let receipts = vec![receipt(Outcome::Done)];
                    let acted = Input::Acted {
                        attempt: id,
                        receipts,
                    };
                    self.post(Duration::from_millis(5), acted);
                }
                Output::Propose(attempt) => {
                    let receipts = vec![receipt(Outcome::Would)];
                    let attempt = attempt.id;
                    self.post(
                        Duration::from_millis(1),
                        Input::Proposed { attempt, receipts },
                    );
                }
                Output::RollBack { attempt, .. } => {
                    let receipts = vec![receipt(Outcome::Done)];
                    self.post(
                        Duration::from_millis(5),
                        Input::RolledBack { attempt, receipts },
                    );
                }
                Output::Report(report) => self.reports.push(report),
                Output::Ended { attempt, .. } => self.ends.extend(attempt.end()),
                Output::RoundDone(round) => self.rounds.push(round),
                Output::Abandon(_) => {}
            }
        }
    }

    fn input(&mut self, input: Input) {
        let mut out = Vec::new();
        self.core.step(self.now, input, &mut out);
        self.one_attempt_a_check();
        self.perform(out);
    }

    fn one_attempt_a_check(&self) {
        let mut open: Vec<&str> = self.core.attempts().map(|it| &*it.check).collect();
        let all = open.len();
        open.sort_unstable();
        open.dedup();
        assert_eq!(open.len(), all, "two open attempts of one check");
    }

    fn run_to(&mut self, end: Moment) {
        while !self.crashed {
            let answer = self.later.peek().map(|Reverse((at, _))| *at);
            let due = self.core.next_due();
            let Some(at) = [answer, due].into_iter().flatten().min() else {
                break;
            };
            if at > end {
                break;
            }
            self.now = self.now.max(at);
            if answer == Some(at) {
                let next = self
                    .later
                    .pop()
                    .and_then(|Reverse((_, k))| self.answers.remove(&k));
                self.input(next.expect("every answer posted is there"));
            } else {
                self.input(Input::Tick);
            }
        }
        if !self.crashed {
            self.now = self.now.max(end);
        }
    }

    fn run_for(&mut self, span: Duration) {
        self.run_to(self.now.plus(span));
    }

    /// What a store would give back.
    fn saved(&self) -> Saved {
        let mut saved = Saved {
            next_attempt: 1,
            ..Saved::default()
        };
        let (mut standings, mut budgets) = (BTreeMap::new(), BTreeMap::new());
        let mut attempts = BTreeMap::new();
        for row in &self.disk {
            match row.clone() {
                Row::Standing { check, standing } => {
                    standings.insert(check, standing);
                }
                Row::Intent { attempt, budget } | Row::Attempt { attempt, budget } => {
                    saved.next_attempt = saved.next_attempt.max(attempt.id + 1);
                    budgets.insert(attempt.check.clone(), budget);
                    attempts.insert(attempt.id, attempt);
                }
                Row::Budget { check, budget } => {
                    budgets.insert(check, budget);
                }
                Row::Pause(pause) => saved.pause = pause,
                Row::Pauses(pauses) => saved.pauses = pauses,
                Row::Silences(silences) => saved.silences = silences,
                Row::Storm(storm) => saved.storm = storm,
                Row::Change { .. } | Row::Held { .. } | Row::Note { .. } | Row::Page(_) => {}
                Row::Heartbeat { .. } | Row::Told(_) | Row::Delivery(_) => {}
            }
        }
        saved.standings = standings.into_iter().collect();
        saved.budgets = budgets.into_iter().collect();
        saved.attempts = attempts.into_values().filter(Attempt::is_open).collect();
        saved
    }

    fn rungs(&self) -> Vec<(usize, &str)> {
        self.acts
            .iter()
            .map(|act| (act.rung, act.generation.as_str()))
            .collect()
    }

    fn notes(&self) -> Vec<NoteKind> {
        self.disk
            .iter()
            .filter_map(|row| match row {
                Row::Note { kind, .. } => Some(*kind),
                _ => None,
            })
            .collect()
    }

    fn held(&self) -> Vec<HeldBy> {
        self.disk
            .iter()
            .filter_map(|row| match row {
                Row::Held { hold, .. } => Some(hold.by),
                _ => None,
            })
            .collect()
    }
}

fn receipt(outcome: Outcome) -> Receipt {
    Receipt {
        kind: "write_file".to_owned(),
        target: "data/x".to_owned(),
        outcome,
        detail: "written".to_owned(),
        diff: None,
        undo: Some(serde_json::json!({})),
    }
}

fn always(status: Status) -> impl FnMut(Moment, &str, &[Act]) -> Answer {
    move |_, _, _| Some((Duration::from_millis(1), status))
}

/// CRITICAL until `acts` acts were done.
fn healed_by(acts: usize) -> impl FnMut(Moment, &str, &[Act]) -> Answer {
    move |_, _, done| {
        let status = if done.len() >= acts {
            Status::Ok
        } else {
            Status::Critical
        };
        Some((Duration::from_millis(1), status))
    }
}

const START: Moment = Moment(1_000_000);

fn start(
    checks: Vec<CheckOutline>,
    world: impl FnMut(Moment, &str, &[Act]) -> Answer + 'static,
) -> Sim {
    Sim::new(outline("g1", checks), Saved::default(), START, world)
}

mod guards;

#[test]
fn the_ladder_is_climbed_until_it_helps() {
    let mut sim = start(vec![check("a", Some(remediation(3)))], healed_by(2));
    sim.run_for(seconds(120));
    assert_eq!(sim.rungs(), [(0, "g1"), (1, "g1")]);
    assert_eq!(sim.ends, [End::Failed, End::Verified]);
    let between = sim.acts[1].at.since(sim.acts[0].at);
    assert!(
        between >= seconds(10),
        "the backoff holds the second rung: {between:?}"
    );
}

#[test]
fn an_exhausted_ladder_escalates_and_then_rests_for_its_cooldown() {
    let mut sim = start(
        vec![check("a", Some(remediation(1)))],
        always(Status::Critical),
    );
    sim.run_for(seconds(500));
    assert_eq!(sim.acts.len(), 1);
    assert_eq!(sim.notes(), [NoteKind::Escalated]);
    assert_eq!(sim.held(), [HeldBy::Cooldown]);
}

#[test]
fn a_remediation_that_never_helps_is_quarantined_and_tried_once_a_cooldown() {
    let mut it = remediation(1);
    it.guard.cooldown = seconds(60);
    it.guard.limit = 100;
    let mut sim = start(vec![check("a", Some(it))], always(Status::Critical));
    sim.run_for(seconds(3600));
    let first = sim.acts[2].at; // the third breaks it
    let rest: Vec<_> = sim.acts[2..]
        .windows(2)
        .map(|pair| pair[1].at.since(pair[0].at))
        .collect();
    assert!(
        rest.iter().all(|gap| *gap >= seconds(60)),
        "{first:?} {rest:?}"
    );
    assert!(sim.notes().contains(&NoteKind::Quarantined));
    assert!(!sim.notes().contains(&NoteKind::Rearmed));
}

#[test]
fn a_verified_trial_puts_it_in_service_again() {
    let mut it = remediation(1);
    it.guard.cooldown = seconds(60);
    it.guard.limit = 100;
    let mut sim = start(vec![check("a", Some(it))], healed_by(4));
    sim.run_for(seconds(3600));
    assert_eq!(sim.acts.len(), 4);
    assert_eq!(sim.ends.last(), Some(&End::Verified));
    assert!(sim.notes().contains(&NoteKind::Rearmed));
    assert_eq!(
        sim.core.budget("a").and_then(|budget| budget.quarantined),
        None
    );
}

#[test]
fn a_reload_in_the_middle_of_a_ladder_never_mixes() {
    let mut sim = start(
        vec![check("a", Some(remediation(2)))],
        always(Status::Critical),
    );
    sim.run_for(Duration::from_millis(1500));
    assert_eq!(sim.rungs(), [(0, "g1")]);
    let mut other = remediation(1);
    other.fingerprint = "another ladder".to_owned();
    sim.input(Input::Reload(outline("g2", vec![check("a", Some(other))])));
    sim.run_for(seconds(700));
    assert_eq!(
        sim.rungs(),
        [(0, "g1"), (0, "g2")],
        "never rung 1 of the old ladder"
    );
    assert_eq!(sim.ends[0], End::Superseded);
    let budget = sim.core.budget("a").expect("it was spent");
    assert_eq!(budget.begun.len(), 2, "the budget is kept over the reload");
    assert!(
        sim.acts[1].at.since(sim.acts[0].at) >= seconds(600),
        "and so is the cooldown"
    );
}

#[test]
fn an_unchanged_check_keeps_its_standing_and_its_slots_over_a_reload() {
    let mut sim = start(vec![check("a", None)], always(Status::Warning));
    sim.run_for(seconds(25));
    let (looks, since) = (sim.looks, sim.core.standing("a").map(|it| it.since));
    sim.input(Input::Reload(outline(
        "g2",
        vec![check("a", None), check("b", None)],
    )));
    sim.run_for(seconds(4));
    assert_eq!(
        sim.looks,
        looks + 1,
        "only the new check is looked at out of turn"
    );
    assert_eq!(sim.core.standing("a").map(|it| it.since), since);
}

#[test]
fn a_crash_between_intent_and_outcome_repeats_nothing_and_refunds_nothing() {
    let checks = || vec![check("a", Some(remediation(2)))];
    let mut sim = start(checks(), always(Status::Critical));
    sim.crash_on_act = true;
    sim.run_for(seconds(10));
    assert!(sim.crashed);
    let saved = sim.saved();
    let mut again = Sim::new(
        outline("g1", checks()),
        saved,
        sim.now.plus(seconds(5)),
        always(Status::Ok),
    );
    again.run_for(seconds(60));
    assert!(again.acts.is_empty(), "never blindly repeated");
    assert_eq!(again.ends, [End::Verified]);
    assert_eq!(
        again.core.budget("a").map(|budget| budget.begun.len()),
        Some(1)
    );
}

#[test]
fn what_was_interrupted_and_did_not_help_rests_for_its_cooldown() {
    let checks = || vec![check("a", Some(remediation(2)))];
    let mut sim = start(checks(), always(Status::Critical));
    sim.crash_on_act = true;
    sim.run_for(seconds(10));
    let mut again = Sim::new(
        outline("g1", checks()),
        sim.saved(),
        sim.now,
        always(Status::Critical),
    );
    again.run_for(seconds(500));
    assert_eq!(again.ends, [End::Interrupted]);
    assert!(again.acts.is_empty());
}

#[test]
fn a_hanging_probe_is_unknown_and_delays_nobody() {
    let mut sim = start(
        vec![check("hangs", None), check("works", None)],
        |_, name, _| (name == "works").then_some((Duration::from_millis(1), Status::Ok)),
    );
    sim.run_for(seconds(25));
    let status = |name| sim.core.standing(name).map(|it| it.status);
    assert_eq!(status("hangs"), Some(Status::Unknown));
    assert_eq!(status("works"), Some(Status::Ok));
    let of = |name: &str| sim.reports.iter().filter(|it| &*it.check == name).count();
    assert_eq!((of("hangs"), of("works")), (3, 3));
}

#[test]
fn a_late_answer_is_dropped() {
    let mut sim = start(vec![check("slow", None)], |_, _, _| {
        Some((seconds(6), Status::Ok))
    });
    sim.run_for(seconds(9));
    assert_eq!(
        sim.core.standing("slow").map(|it| it.status),
        Some(Status::Unknown)
    );
}

#[test]
fn ten_thousand_due_at_once_are_all_looked_at() {
    let checks = (0..10_000).map(|n| check(&format!("c{n}"), None)).collect();
    let mut sim = start(checks, always(Status::Ok));
    sim.run_for(seconds(99));
    assert_eq!(sim.looks, 10_000 + 9 * 10_000 + 10_000 - 10_000);
    assert_eq!(sim.core.missed(), 0);
}

#[test]
fn unknown_starts_no_remediation_and_proves_nothing() {
    let mut it = remediation(1);
    it.when = vec![Status::Warning, Status::Critical];
    let mut sim = start(vec![check("a", Some(it.clone()))], always(Status::Unknown));
    sim.run_for(seconds(60));
    assert!(sim.acts.is_empty());
    let mut sim = start(vec![check("a", Some(it))], |_, _, acts| {
        let status = if acts.is_empty() {
            Status::Critical
        } else {
            Status::Unknown
        };
        Some((Duration::from_millis(1), status))
    });
    sim.run_for(seconds(60));
    assert_eq!(sim.ends, [End::Failed]);
}

#[test]
fn a_kill_switch_between_intent_and_act_holds_the_act() {
    let mut sim = start(
        vec![check("a", Some(remediation(1)))],
        always(Status::Critical),
    );
    sim.run_to(START.plus(Duration::from_millis(1)));
    assert!(sim.core.attempts().any(|it| it.phase == Phase::Intended));
    let pause = Pause {
        at: sim.now,
        by: "me".to_owned(),
        reason: "maintenance".to_owned(),
        until: None,
    };
    sim.input(Input::Command(Command::Pause(pause)));
    sim.run_for(seconds(60));
    assert!(sim.acts.is_empty());
    assert_eq!(sim.held(), [HeldBy::Pause]);
    assert_eq!(
        sim.saved().pause.map(|it| it.reason),
        Some("maintenance".to_owned())
    );
    sim.input(Input::Command(Command::Resume));
    sim.run_for(seconds(20));
    assert_eq!(
        sim.acts.len(),
        1,
        "nothing was spent while nothing was done"
    );
}

#[test]
fn a_check_that_is_paused_by_name_is_held_alone_also_over_a_restart_until_its_time() {
    let both = || {
        vec![
            check("a", Some(remediation(1))),
            check("b", Some(remediation(1))),
        ]
    };
    let mut sim = start(both(), always(Status::Critical));
    let pause = Pause {
        at: sim.now,
        by: "ann".to_owned(),
        reason: "by hand".to_owned(),
        until: Some(sim.now.plus(seconds(100))),
    };
    let checks = vec!["a".into(), "nobody".into()];
    sim.input(Input::Command(Command::PauseChecks { checks, pause }));
    sim.run_for(seconds(30));
    let acted = |sim: &Sim| -> Vec<String> {
        let mut names: Vec<String> = sim.acts.iter().map(|act| act.check.clone()).collect();
        names.dedup();
        names
    };
    assert_eq!(acted(&sim), ["b"]);
    let hold = sim.core.hold("a").cloned();
    assert_eq!(hold.map(|it| it.by), Some(HeldBy::Pause));
    assert!(sim.core.own_pause("b").is_none() && sim.core.pause().is_none());

    // The kill switch is another switch.
    sim.input(Input::Command(Command::Resume));
    sim.run_for(seconds(20));
    assert_eq!(acted(&sim), ["b"]);

    let saved = sim.saved();
    assert_eq!(
        saved.pauses.keys().map(|it| &**it).collect::<Vec<_>>(),
        ["a"]
    );
    let mut sim = Sim::new(outline("g1", both()), saved, sim.now, |_, _, _| {
        Some((Duration::ZERO, Status::Critical))
    });
    sim.run_for(seconds(30));
    assert!(!acted(&sim).contains(&"a".to_owned()));
    sim.input(Input::Command(Command::ResumeChecks(vec!["a".into()])));
    sim.run_for(seconds(5));
    assert!(acted(&sim).contains(&"a".to_owned()));
    assert!(sim.core.pauses().is_empty());
}

#[test]
fn the_pause_of_a_check_ends_by_itself() {
    let mut sim = start(
        vec![check("a", Some(remediation(1)))],
        always(Status::Critical),
    );
    let pause = Pause {
        at: sim.now,
        by: String::new(),
        reason: String::new(),
        until: Some(sim.now.plus(seconds(100))),
    };
    let checks = vec!["a".into()];
    sim.input(Input::Command(Command::PauseChecks { checks, pause }));
    sim.run_for(seconds(99));
    assert!(sim.acts.is_empty());
    sim.run_for(seconds(20));
    assert_eq!(sim.acts.len(), 1);
}

#[test]
fn when_the_intent_cannot_be_written_nothing_is_done() {
    let mut sim = start(
        vec![check("a", Some(remediation(1)))],
        always(Status::Critical),
    );
    sim.disk_full = true;
    sim.run_for(seconds(60));
    assert!(sim.acts.is_empty());
    assert_eq!(sim.held(), [HeldBy::Store]);
    sim.disk_full = false;
    sim.run_for(seconds(20));
    assert_eq!(sim.acts.len(), 1);
}

#[test]
fn the_other_checks_of_a_verification_must_be_ok_too() {
    let mut it = remediation(1);
    it.verify.checks = vec!["b".into()];
    let checks = || vec![check("a", Some(it.clone())), check("b", None)];
    let world = |b: Status| {
        move |_: Moment, name: &str, acts: &[Act]| {
            let status = match name {
                "b" => b,
                _ if acts.is_empty() => Status::Critical,
                _ => Status::Ok,
            };
            Some((Duration::from_millis(1), status))
        }
    };
    for (b, end) in [(Status::Ok, End::Verified), (Status::Warning, End::Failed)] {
        let mut sim = start(checks(), world(b));
        sim.run_for(seconds(60));
        assert_eq!(sim.ends, [end]);
    }
}

#[test]
fn a_failed_step_gets_one_look_and_no_more() {
    let mut sim = start(
        vec![check("a", Some(remediation(1)))],
        always(Status::Critical),
    );
    sim.run_to(START.plus(Duration::from_millis(2)));
    let id = sim.core.attempts().next().map(|it| it.id).expect("acting");
    sim.later.clear();
    let receipts = vec![receipt(Outcome::Failed)];
    sim.input(Input::Acted {
        attempt: id,
        receipts,
    });
    sim.run_for(Duration::from_millis(100));
    assert_eq!(sim.ends, [End::Failed]);
}

#[test]
fn an_exhausted_ladder_is_rolled_back_when_the_rule_says_so() {
    let mut it = remediation(1);
    it.rollback = true;
    let mut sim = start(vec![check("a", Some(it))], always(Status::Critical));
    sim.run_for(seconds(60));
    assert_eq!(sim.ends, [End::Failed]);
    assert_eq!(sim.notes(), [NoteKind::Escalated, NoteKind::RolledBack]);
}

#[test]
fn a_crash_in_the_middle_of_a_rollback_counts_the_repair_once() {
    let checks = || {
        let mut it = remediation(1);
        it.rollback = true;
        vec![check("a", Some(it))]
    };
    let mut sim = start(checks(), always(Status::Critical));
    let rolls_back = |saved: &Saved| {
        let phase = saved.attempts.first().map(|attempt| &attempt.phase);
        phase == Some(&Phase::RollingBack)
    };
    while !rolls_back(&sim.saved()) {
        assert!(sim.now < START.plus(seconds(60)));
        sim.run_for(Duration::from_millis(1));
    }
    let mut again = Sim::new(
        outline("g1", checks()),
        sim.saved(),
        sim.now,
        always(Status::Critical),
    );
    again.run_for(seconds(60));
    assert_eq!(again.ends, [End::Interrupted]);
    assert_eq!(again.core.budget("a").map(|it| it.unverified), Some(1));
}

#[test]
fn a_check_removed_while_its_rung_is_done_ends_superseded() {
    let mut sim = start(
        vec![check("a", Some(remediation(2)))],
        always(Status::Critical),
    );
    sim.run_to(START.plus(Duration::from_millis(3)));
    assert_eq!(sim.acts.len(), 1);
    sim.input(Input::Reload(outline("g2", vec![])));
    sim.run_for(seconds(60));
    assert_eq!(sim.ends, [End::Superseded]);
    sim.input(Input::Reload(outline(
        "g3",
        vec![check("a", Some(remediation(2)))],
    )));
    assert_eq!(
        sim.core.budget("a").map(|it| it.begun.len()),
        Some(1),
        "no fresh budget by removing and adding"
    );
}

#[test]
fn a_check_added_again_while_its_rung_is_done_begins_no_second_attempt() {
    let checks = || vec![check("a", Some(remediation(1)))];
    let mut sim = start(checks(), always(Status::Critical));
    sim.run_to(START.plus(Duration::from_millis(3)));
    assert_eq!(sim.acts.len(), 1);
    sim.input(Input::Reload(outline("g2", vec![])));
    sim.input(Input::Reload(outline("g3", checks())));
    // Its first look comes while the rung is still being done; `input` sees to it that there is one attempt.
    sim.run_for(Duration::from_millis(3));
    assert_eq!(sim.reports.len(), 2);
    sim.run_for(seconds(60));
    assert_eq!(sim.acts.len(), 1, "its cooldown holds");
    assert_eq!(sim.ends, [End::Failed], "verified by its own plan");
}

#[test]
fn a_rung_that_waits_for_a_guard_is_not_forgotten_when_the_clock_jumps() {
    for hour in [3_600_000, -3_600_000] {
        let mut by_event = check("a", Some(remediation(2)));
        by_event.trigger.every = None;
        by_event.trigger.events = vec![EventTrigger::File {
            file: "data/x".to_owned(),
        }];
        let mut sim = start(vec![by_event], always(Status::Critical));
        sim.run_for(seconds(6));
        assert_eq!(sim.ends, [End::Failed], "and the next rung waits");
        let looks = sim.looks;
        sim.now = Moment(sim.now.0 + hour);
        sim.input(Input::Jumped(hour));
        sim.run_for(seconds(15));
        assert!(sim.looks > looks, "never looked at again after {hour}");
    }
}

#[test]
fn a_round_judges_this_look_alone_and_waits_for_the_proof() {
    let mut patient = check("a", Some(remediation(1)));
    patient.patience = Patience {
        bad: 3,
        of: 3,
        recover: 1,
    };
    patient.trigger.every = None;
    let mut sim = start(vec![patient, check("b", None)], healed_by(1));
    sim.run_for(Duration::from_millis(10));
    assert!(sim.acts.is_empty(), "one look does not count yet");
    let id = sim.core.new_round();
    let checks = vec!["a".into(), "b".into(), "gone".into()];
    sim.input(Input::Command(Command::Round {
        id,
        checks,
        fix: true,
        wait: seconds(60),
    }));
    sim.run_for(seconds(20));
    let round = &sim.rounds[0];
    let first = &round.outcomes[0];
    assert_eq!(
        first.report.as_ref().map(|it| it.verdict.status),
        Some(Status::Critical)
    );
    assert_eq!(
        first.attempt.as_ref().and_then(|it| it.end()),
        Some(End::Verified)
    );
    assert_eq!(first.verdict.as_ref().map(|it| it.status), Some(Status::Ok));
    assert!(round.outcomes[2].report.is_none());
}

#[test]
fn a_round_that_only_looks_repairs_nothing() {
    let mut quiet = check("a", Some(remediation(1)));
    quiet.trigger.every = Some(seconds(3600));
    let mut sim = start(vec![], always(Status::Critical));
    sim.input(Input::Reload(outline("g2", vec![quiet])));
    let id = sim.core.new_round();
    let checks = vec!["a".into()];
    sim.input(Input::Command(Command::Round {
        id,
        checks,
        fix: false,
        wait: Duration::ZERO,
    }));
    sim.run_for(Duration::ZERO);
    sim.run_for(Duration::from_millis(1));
    let report = sim.rounds[0].outcomes[0].report.as_ref().expect("looked");
    assert_eq!(report.decision, Decision::Held(Hold::by(HeldBy::LookOnly)));
}

#[test]
fn an_investigation_is_set_off_by_a_status_and_does_not_set_off_itself() {
    let mut book = Outline::clone(&outline("g1", vec![check("a", None), check("b", None)]));
    let it = InvestigationOutline {
        name: "rca".into(),
        fingerprint: String::new(),
        trigger: Trigger {
            events: vec![EventTrigger::Check {
                check: "a".into(),
                status: vec![Status::Critical],
            }],
            ..Trigger::default()
        },
        cooldown: Duration::ZERO,
        checks: vec!["a".into(), "b".into()],
    };
    book.investigations.insert("rca".into(), Arc::new(it));
    let mut sim = Sim::new(
        Arc::new(book),
        Saved::default(),
        START,
        always(Status::Critical),
    );
    sim.run_for(seconds(9));
    assert_eq!(sim.rounds.len(), 1);
    assert_eq!(sim.rounds[0].outcomes.len(), 2);
    sim.run_for(seconds(10));
    assert_eq!(sim.rounds.len(), 2, "at every look with that status");
}

#[test]
fn a_clock_set_back_a_day_stalls_nothing_and_pauses_repairs_for_one_cooldown() {
    let mut sim = start(vec![check("a", Some(remediation(1)))], |now, _, _| {
        let status = if now.0 < 0 {
            Status::Critical
        } else {
            Status::Ok
        };
        Some((Duration::from_millis(1), status))
    });
    sim.run_for(seconds(25));
    let looks = sim.looks;
    sim.later.clear();
    sim.answers.clear();
    sim.now = Moment(sim.now.0 - 86_400_000);
    sim.input(Input::Tick);
    sim.run_for(seconds(60));
    assert!(sim.looks >= looks + 5, "{} then {}", looks, sim.looks);
    assert!(sim.acts.is_empty());
    assert_eq!(sim.held(), [HeldBy::Clock]);
    sim.run_for(seconds(600));
    assert_eq!(sim.acts.len(), 1);
}

/// One thing that may happen to the core.
#[derive(Clone, Debug)]
enum Happening {
    Wait(u64),
    Reload(u8),
    Pause(bool),
    Round(bool),
    DiskFull(bool),
    Crash,
    Jump(i64),
    Changed,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        8 => (1u64..90_000).prop_map(Happening::Wait),
        2 => (0u8..4).prop_map(Happening::Reload),
        1 => any::<bool>().prop_map(Happening::Pause),
        2 => any::<bool>().prop_map(Happening::Round),
        1 => any::<bool>().prop_map(Happening::DiskFull),
        1 => Just(Happening::Crash),
        1 => (-100_000i64..100_000).prop_map(Happening::Jump),
        2 => Just(Happening::Changed),
    ]
}

/// A world that answers by a seed: late, never, bad, good.
fn seeded(seed: u64) -> impl FnMut(Moment, &str, &[Act]) -> Answer {
    let mut state = seed | 1;
    move |_, _, acts| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let status = match (state >> 8) % 10 {
            0..=4 => Status::Critical,
            5 => Status::Warning,
            6 => Status::Unknown,
            _ if acts.len() % 2 == 0 => Status::Critical,
            _ => Status::Ok,
        };
        match state % 20 {
            0 => None,
            1 => Some((seconds(7), status)),
            n => Some((Duration::from_millis(n), status)),
        }
    }
}

fn books(variant: u8) -> Arc<Outline> {
    let mut one = remediation(1 + usize::from(variant % 2));
    one.guard.cooldown = seconds(30);
    one.guard.window = seconds(300);
    one.rollback = variant == 3;
    let mut two = one.clone();
    two.verify.checks = vec!["a".into()];
    let mut checks = vec![check("a", Some(one)), check("b", Some(two))];
    checks[0].trigger.events = vec![EventTrigger::File {
        file: "data/x".to_owned(),
    }];
    if variant == 2 {
        checks.pop();
    }
    let mut book = Outline::clone(&outline(&format!("g{variant}"), checks));
    if variant > 0 {
        // Three minutes open and two closed, so that every history meets both.
        let mut hours = hours::office();
        let session = |from| crate::model::calendar::Session { from, to: from + 3 };
        hours.weekly = std::array::from_fn(|_| (0..1440).step_by(5).map(session).collect());
        book.calendars.insert("office".into(), Arc::new(hours));
        let ruled = |name: &str| {
            book.checks
                .get(name)
                .map(|check| CheckOutline::clone(check))
        };
        for (name, check) in [("a", ruled("a")), ("b", ruled("b"))] {
            let Some(mut check) = check else { continue };
            match (variant, name) {
                (1, "a") | (2, _) => check.trigger.during = Some("office".into()),
                (1, _) | (3, "a") => check.trigger.quiet = Some("office".into()),
                _ => {}
            }
            check.fingerprint.push_str(&format!("{:?}", check.trigger));
            book.checks.insert(name.into(), Arc::new(check));
        }
    }
    Arc::new(book)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// No act without a durable intent, no two attempts of one check at once (both asserted by `Sim`), and neither limit
    /// nor cooldown is ever exceeded: over reloads, crashes, full disks, pauses and clocks that jump ahead.
    #[test]
    fn random_histories_keep_the_guards(seed in any::<u64>(), happenings in prop::collection::vec(happening(), 1..60)) {
        let mut variant = 0;
        let mut sim = Sim::new(books(variant), Saved::default(), START, seeded(seed));
        let mut acts: Vec<Act> = vec![];
        let mut salt = 0;
        for happening in happenings {
            match happening {
                Happening::Wait(ms) => sim.run_for(Duration::from_millis(ms)),
                Happening::Reload(next) => {
                    variant = next;
                    sim.input(Input::Reload(books(variant)));
                }
                Happening::Pause(true) => {
                    let pause = Pause { at: sim.now, by: String::new(), reason: String::new(), until: None };
                    sim.input(Input::Command(Command::Pause(pause)));
                    let before = sim.acts.len();
                    sim.run_for(seconds(30));
                    prop_assert_eq!(sim.acts.len(), before, "nothing new begins while paused");
                    sim.input(Input::Command(Command::Resume));
                }
                Happening::Pause(false) => {}
                Happening::Round(fix) => {
                    let id = sim.core.new_round();
                    let checks = vec!["a".into(), "b".into()];
                    sim.input(Input::Command(Command::Round { id, checks, fix, wait: seconds(20) }));
                }
                Happening::DiskFull(full) => sim.disk_full = full,
                Happening::Changed => sim.input(Input::FileChanged("data/x".to_owned())),
                Happening::Jump(by) if by > 0 => {
                    // answers under way are lost with the time that was jumped over
                    sim.now = Moment(sim.now.0 + by);
                    sim.input(Input::Tick);
                }
                Happening::Jump(_) => {}
                Happening::Crash => {
                    acts.append(&mut sim.acts);
                    salt += 1;
                    let saved = sim.saved();
                    let disk = std::mem::take(&mut sim.disk);
                    sim = Sim::new(books(variant), saved, sim.now.plus(seconds(1)), seeded(seed ^ salt));
                    let new = std::mem::replace(&mut sim.disk, disk);
                    sim.disk.extend(new);
                }
            }
        }
        sim.run_for(seconds(200));
        acts.append(&mut sim.acts);
        for name in ["a", "b"] {
            let mine: Vec<&Act> = acts.iter().filter(|act| act.check == name).collect();
            for (index, first) in mine.iter().enumerate() {
                let inside = mine[index..].iter().filter(|act| act.at < first.at.plus(seconds(299))).count();
                prop_assert!(inside <= 3, "{inside} acts of {name} in one window: {mine:?}");
            }
            for pair in mine.windows(2) {
                if pair[1].rung == 0 {
                    prop_assert!(pair[1].at.since(pair[0].at) >= seconds(29), "within its cooldown: {pair:?}");
                }
            }
        }
        let rounds = sim.rounds.len();
        prop_assert!(sim.core.rounds.is_empty(), "no round is left open ({rounds} done)");
    }
}

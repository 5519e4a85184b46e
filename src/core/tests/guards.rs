//! The guards, each by itself and then all together over a year.

use std::collections::BTreeSet;

use super::*;
use crate::{
    core::storm,
    model::{
        attempt::Page,
        standing::{HeldBy, Silence},
    },
};

/// Bad in these spans, in seconds from the start, unless repaired meanwhile: `(check, from, to)`.
type Spans = &'static [(&'static str, u64, u64)];

/// CRITICAL in its spans; nothing that is done helps.
fn weather(spans: Spans) -> impl FnMut(Moment, &str, &[Act]) -> Answer {
    move |now, name, _| {
        let at = now.since(START).as_secs();
        let bad = spans
            .iter()
            .any(|(check, from, to)| *check == name && (*from..*to).contains(&at));
        let status = if bad { Status::Critical } else { Status::Ok };
        Some((Duration::from_millis(1), status))
    }
}

/// The same, until it has been acted on since its span began.
fn healed(spans: Spans) -> impl FnMut(Moment, &str, &[Act]) -> Answer {
    move |now, name, acts| {
        let at = now.since(START).as_secs();
        let bad = spans.iter().any(|(check, from, to)| {
            let mended = acts
                .iter()
                .any(|act| act.check == name && act.at.since(START).as_secs() >= *from);
            *check == name && (*from..*to).contains(&at) && !mended
        });
        let status = if bad { Status::Critical } else { Status::Ok };
        Some((Duration::from_millis(1), status))
    }
}

const EVER: u64 = u64::MAX;

fn named(names: &[&str]) -> Vec<CheckOutline> {
    let one = |name: &&str| check(name, Some(remediation(1)));
    names.iter().map(one).collect()
}

fn pages(sim: &Sim) -> Vec<(NoteKind, Option<String>)> {
    let pages = sim.disk.iter().filter_map(|row| match row {
        Row::Page(Page { check, kind, .. }) => {
            Some((*kind, check.as_ref().map(ToString::to_string)))
        }
        _ => None,
    });
    pages.collect()
}

fn status(sim: &Sim, name: &str) -> Status {
    sim.core.standing(name).expect("it is there").status
}

fn hold<'a>(sim: &'a Sim, name: &str) -> &'a Hold {
    sim.core.hold(name).expect("it is held")
}

fn acted(sim: &Sim) -> Vec<&str> {
    sim.acts.iter().map(|act| act.check.as_str()).collect()
}

fn again(
    sim: &Sim,
    checks: Vec<CheckOutline>,
    world: impl FnMut(Moment, &str, &[Act]) -> Answer + 'static,
) -> Sim {
    Sim::new(outline("g1", checks), sim.saved(), sim.now, world)
}

// Storm.

const SIX: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const THREE_OF_SIX: Spans = &[("a", 100, 400), ("b", 100, EVER), ("c", 100, EVER)];

#[test]
fn half_of_the_checks_turning_bad_together_pauses_all_remediation_with_one_page() {
    let mut sim = start(named(&SIX), weather(THREE_OF_SIX));
    sim.run_for(seconds(300));
    assert_eq!(acted(&sim), [""; 0]);
    assert_eq!(pages(&sim), [(NoteKind::StormBegan, None)]);
    let held = hold(&sim, "b");
    assert_eq!(held.by, HeldBy::Storm);
    assert!(held.until.is_some());
    assert_eq!(held.why.as_deref(), Some("3 checks turned bad together"));
    // `a` is well again by itself: fewer than half are left.
    sim.run_for(seconds(130));
    assert_eq!(status(&sim, "a"), Status::Ok, "looked at all the same");
    assert_eq!(acted(&sim), ["b", "c"]);
    assert!(sim.notes().contains(&NoteKind::StormEnded));
    assert_eq!(sim.core.storm(), None);
}

#[test]
fn repairs_that_seem_to_help_do_not_hide_a_storm() {
    // A disk that is not mounted any more: whatever is written there is there.
    const ALL: Spans = &[
        ("a", 100, EVER),
        ("b", 110, EVER),
        ("c", 120, EVER),
        ("d", 130, EVER),
    ];
    let names = ["a", "b", "c", "d"];
    let mut sim = start(named(&names), healed(ALL));
    sim.run_for(seconds(200));
    assert_eq!(
        acted(&sim),
        ["a", "b"],
        "the third shows that it is a storm"
    );
    assert_eq!(hold(&sim, "d").by, HeldBy::Storm);
    assert_eq!(pages(&sim), [(NoteKind::StormBegan, None)]);
    // Nothing turns any more and fewer than half are bad: five minutes after the last.
    let until = hold(&sim, "d").until.expect("it says until when");
    assert_eq!(
        until,
        START
            .plus(seconds(130) + Duration::from_millis(1))
            .plus(storm::WINDOW)
    );
    sim.run_to(until.plus(seconds(10)));
    assert_eq!(acted(&sim), ["a", "b", "c", "d"]);
}

#[test]
fn what_was_bad_when_it_was_first_seen_is_no_storm() {
    const ALL: Spans = &[("a", 0, EVER), ("b", 0, EVER), ("c", 0, EVER)];
    let mut sim = start(named(&["a", "b", "c"]), healed(ALL));
    sim.run_for(seconds(60));
    assert_eq!(acted(&sim), ["a", "b", "c"]);
    assert_eq!(sim.ends, [End::Verified; 3]);
}

#[test]
fn one_check_alone_and_two_still_heal() {
    const TWO: Spans = &[("a", 50, EVER), ("b", 50, EVER)];
    for names in [&["a"][..], &["a", "b"]] {
        let mut sim = start(named(names), healed(TWO));
        sim.run_for(seconds(120));
        assert_eq!(acted(&sim), names);
    }
}

#[test]
fn checks_that_turn_bad_one_after_the_other_are_no_storm() {
    const SLOWLY: Spans = &[("a", 100, EVER), ("b", 500, EVER), ("c", 900, EVER)];
    let mut sim = start(named(&["a", "b", "c"]), healed(SLOWLY));
    sim.run_for(seconds(1000));
    assert_eq!(acted(&sim), ["a", "b", "c"]);
}

#[test]
fn a_storm_survives_a_restart_and_ends_half_an_hour_after_its_last_turn() {
    const THREE: Spans = &[("a", 100, EVER), ("b", 100, EVER), ("c", 100, EVER)];
    let mut sim = start(named(&["a", "b", "c"]), weather(THREE));
    sim.run_for(seconds(300));
    assert!(sim.core.storm().is_some());
    let mut sim = again(&sim, named(&["a", "b", "c"]), weather(THREE));
    sim.run_for(seconds(60));
    assert_eq!(hold(&sim, "c").by, HeldBy::Storm);
    sim.run_for(storm::LONGEST);
    assert_eq!(acted(&sim), ["a", "b", "c"]);
    let began = pages(&sim)
        .iter()
        .filter(|(kind, _)| *kind == NoteKind::StormBegan)
        .count();
    assert_eq!(began, 0, "no second page for the same storm");
}

#[test]
fn a_person_ends_a_storm() {
    const THREE: Spans = &[("a", 100, EVER), ("b", 100, EVER), ("c", 100, EVER)];
    let mut sim = start(named(&["a", "b", "c"]), healed(THREE));
    sim.run_for(seconds(200));
    sim.input(Input::Command(Command::Resume));
    sim.run_for(seconds(1));
    assert_eq!(acted(&sim), ["a", "b", "c"], "at once");
}

#[test]
fn what_is_intended_when_the_storm_begins_is_not_done() {
    // All six are looked at in one moment; the first two are intended before the third shows that it is a storm.
    const ALL: Spans = &[
        ("a", 100, EVER),
        ("b", 100, EVER),
        ("c", 100, EVER),
        ("d", 100, EVER),
        ("e", 100, EVER),
        ("f", 100, EVER),
    ];
    let mut sim = start(named(&SIX), weather(ALL));
    sim.run_for(seconds(200));
    assert_eq!(acted(&sim), [""; 0]);
    for name in SIX {
        let spent = sim.core.budget(name).map_or(0, |budget| budget.begun.len());
        assert_eq!(spent, 0, "{name}: nothing was done, nothing is spent");
    }
}

// Dependency.

fn chain() -> Vec<CheckOutline> {
    let mut checks = named(&["a", "b", "c"]);
    checks[0].needs = vec!["b".into()];
    checks[1].needs = vec!["c".into()];
    checks[2].remediation = None;
    checks
}

#[test]
fn a_critical_dependency_near_or_far_holds_and_silences_but_everything_is_looked_at_and_resolves() {
    const WORLD: Spans = &[("c", 100, 400), ("a", 150, 250), ("a", 300, EVER)];
    let mut sim = start(chain(), healed(WORLD));
    sim.run_for(seconds(200));
    let held = hold(&sim, "a").clone();
    assert_eq!(
        (held.by, held.why.as_deref()),
        (HeldBy::Dependency, Some("c is CRITICAL"))
    );
    assert_eq!(pages(&sim), [], "its dependants page nobody");
    let looks = sim.looks;
    sim.run_for(seconds(80));
    assert_eq!(sim.looks, looks + 3 * 8, "all are looked at as always");
    assert_eq!(status(&sim, "a"), Status::Ok, "and resolve");
    sim.run_for(seconds(100));
    assert_eq!(acted(&sim), [""; 0]);
    sim.run_for(seconds(30));
    assert_eq!(acted(&sim), ["a"], "when what it needs is well again");
}

#[test]
fn a_dependency_that_only_warns_or_is_unknown_holds_nothing() {
    for other in [Status::Warning, Status::Unknown] {
        let mut sim = start(chain(), move |_, name, acts| {
            let status = match name {
                "c" => other,
                "a" if acts.is_empty() => Status::Critical,
                _ => Status::Ok,
            };
            Some((Duration::from_millis(1), status))
        });
        sim.run_for(seconds(60));
        assert_eq!(acted(&sim), ["a"]);
    }
}

// Settling and conflicts.

fn watching(name: &str, file: &str) -> CheckOutline {
    let mut check = check(name, Some(remediation(1)));
    check.trigger.every = Some(seconds(3600));
    check.trigger.events = vec![EventTrigger::File {
        file: file.to_owned(),
    }];
    check
}

#[test]
fn a_repair_sets_off_neither_itself_nor_a_sibling_while_it_settles() {
    // `b` is bad from the moment `a` has written the file both watch.
    let world = |_: Moment, name: &str, acts: &[Act]| {
        let acted = acts.iter().any(|act| act.check == "a");
        let status = match (name, acted) {
            ("a", false) | ("b", true) => Status::Critical,
            _ => Status::Ok,
        };
        Some((Duration::from_millis(1), status))
    };
    let mut sim = start(
        vec![watching("a", "data/a"), watching("b", "data/a")],
        world,
    );
    sim.run_for(Duration::from_millis(4));
    assert_eq!(acted(&sim), ["a"]);
    sim.input(Input::FileChanged("data/a".to_owned()));
    sim.run_for(Duration::from_millis(500));
    let held = hold(&sim, "b").clone();
    assert_eq!(
        (held.by, held.why.as_deref()),
        (HeldBy::Settling, Some("the repair of a set this off"))
    );
    assert_eq!(acted(&sim), ["a"]);
    sim.run_for(seconds(30));
    assert_eq!(acted(&sim), ["a", "b"], "but is not forgotten");
    assert_eq!(sim.ends[0], End::Verified);
}

#[test]
fn a_change_from_elsewhere_is_no_echo() {
    const WORLD: Spans = &[("a", 0, 1), ("b", 5, EVER)];
    let mut sim = start(
        vec![watching("a", "data/a"), watching("b", "data/x")],
        healed(WORLD),
    );
    sim.run_for(seconds(6));
    sim.input(Input::FileChanged("data/x".to_owned()));
    sim.run_for(Duration::from_millis(20));
    assert_eq!(acted(&sim), ["a", "b"]);
}

#[test]
fn two_repairs_of_one_target_are_one_at_a_time_and_the_loser_says_so() {
    const WORLD: Spans = &[("a", 0, EVER), ("b", 0, EVER)];
    let mut sim = start(named(&["a", "b"]), healed(WORLD));
    sim.targets.insert("a".to_owned(), "data/x".to_owned());
    sim.targets.insert("b".to_owned(), "data/x".to_owned());
    sim.run_for(Duration::from_millis(100));
    assert_eq!(acted(&sim), ["a"]);
    let held = hold(&sim, "b").clone();
    assert_eq!(held.by, HeldBy::Conflict);
    assert_eq!(
        held.why.as_deref(),
        Some("data/x is being repaired by a (attempt 1)")
    );
    let spent = sim.core.budget("b").map(|budget| budget.begun.len());
    assert_eq!(spent, Some(0));
    sim.run_for(seconds(5));
    assert_eq!(acted(&sim), ["a", "b"], "as soon as the first is proven");
    assert!(sim.acts[1].at.since(sim.acts[0].at) < seconds(3));
}

#[test]
fn a_round_waits_for_the_turn_of_the_loser() {
    const WORLD: Spans = &[("a", 5, EVER), ("b", 5, EVER)];
    let mut checks = named(&["a", "b"]);
    for check in &mut checks {
        check.trigger.every = Some(seconds(3600));
    }
    let mut sim = start(checks, healed(WORLD));
    sim.targets.insert("a".to_owned(), "data/x".to_owned());
    sim.targets.insert("b".to_owned(), "data/x".to_owned());
    sim.run_for(seconds(6));
    let id = sim.core.new_round();
    let checks = vec!["a".into(), "b".into()];
    sim.input(Input::Command(Command::Round {
        id,
        checks,
        fix: true,
        wait: seconds(60),
    }));
    sim.run_for(seconds(20));
    assert_eq!(acted(&sim), ["a", "b"]);
    for outcome in &sim.rounds[0].outcomes {
        assert_eq!(
            outcome.attempt.as_ref().and_then(|it| it.end()),
            Some(End::Verified),
            "{}",
            outcome.check
        );
    }
}

#[test]
fn a_claim_survives_a_restart_until_its_attempt_has_ended() {
    const WORLD: Spans = &[("a", 0, EVER), ("b", 3, EVER)];
    let mut one = remediation(1);
    one.verify.within = seconds(30);
    let checks = || {
        vec![
            check("a", Some(one.clone())),
            check("b", Some(remediation(1))),
        ]
    };
    let mut sim = start(checks(), weather(WORLD));
    sim.targets.insert("a".to_owned(), "data/x".to_owned());
    sim.run_for(seconds(3));
    let mut sim = again(&sim, checks(), weather(WORLD));
    sim.targets.insert("b".to_owned(), "data/x".to_owned());
    sim.run_for(seconds(20));
    assert_eq!(hold(&sim, "b").by, HeldBy::Conflict);
    assert_eq!(acted(&sim), [""; 0]);
}

// Approval.

fn asking() -> Vec<CheckOutline> {
    let mut it = remediation(2);
    it.approve = true;
    it.approve_within = seconds(300);
    it.escalate = vec!["ops".into()];
    vec![check("a", Some(it))]
}

fn proposal(sim: &Sim) -> u64 {
    let mut open = sim
        .core
        .attempts()
        .filter(|it| matches!(it.phase, Phase::Proposed { .. }));
    open.next().expect("one is proposed").id
}

fn approve(sim: &mut Sim) {
    let attempt = proposal(sim);
    sim.input(Input::Command(Command::Approve {
        attempt,
        by: "ann".to_owned(),
    }));
}

const BAD: Spans = &[("a", 0, EVER)];

#[test]
fn with_approve_nothing_is_done_before_a_person_says_so_and_then_after_another_look() {
    let mut sim = start(asking(), healed(BAD));
    sim.run_for(seconds(105));
    assert_eq!(acted(&sim), [""; 0]);
    assert_eq!(
        pages(&sim),
        [(NoteKind::Proposed, Some("a".to_owned()))],
        "once, not at every look"
    );
    let held = hold(&sim, "a").clone();
    assert_eq!(
        (held.by, held.until),
        (
            HeldBy::Approval,
            Some(START.plus(Duration::from_millis(300_001)))
        )
    );
    assert_eq!(sim.core.budget("a"), None, "a proposal costs nothing");
    let would = sim.core.attempts().next().map(|it| it.receipts[0].outcome);
    assert_eq!(would, Some(Outcome::Would), "and says what it would do");
    let looks = sim.looks;
    approve(&mut sim);
    assert_eq!(sim.looks, looks + 1);
    sim.run_for(seconds(10));
    assert_eq!(acted(&sim), ["a"]);
    assert_eq!(sim.ends, [End::Verified]);
    assert_eq!(sim.notes(), [NoteKind::Proposed, NoteKind::Approved]);
}

#[test]
fn a_proposal_is_made_of_what_the_very_look_saw() {
    let mut out = Vec::new();
    let mut core = Core::start(outline("g1", asking()), Saved::default(), START, &mut out);
    core.step(START, Input::Tick, &mut out);
    let ticket = out.iter().find_map(|output| match output {
        Output::Look(asked) => Some(asked.ticket),
        _ => None,
    });
    out.clear();
    let verdict = Arc::new(Verdict::bare(Status::Critical, "bad"));
    let ticket = ticket.expect("it is looked at");
    core.step(START, Input::Looked { ticket, verdict }, &mut out);
    let order: Vec<&str> = out
        .iter()
        .filter_map(|output| match output {
            Output::Report(_) => Some("report"),
            Output::Propose(_) => Some("propose"),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["report", "propose"]);
}

#[test]
fn every_rung_is_proposed() {
    let mut sim = start(asking(), weather(BAD));
    sim.run_for(seconds(20));
    approve(&mut sim);
    sim.run_for(seconds(30));
    assert_eq!(sim.rungs(), [(0, "g1")]);
    approve(&mut sim);
    sim.run_for(seconds(30));
    assert_eq!(sim.rungs(), [(0, "g1"), (1, "g1")]);
}

#[test]
fn what_is_denied_or_expires_rests_for_its_cooldown() {
    for deny in [true, false] {
        let mut sim = start(asking(), weather(BAD));
        sim.run_for(seconds(20));
        if deny {
            let attempt = proposal(&sim);
            let (by, reason) = ("ann".to_owned(), "not now".to_owned());
            sim.input(Input::Command(Command::Deny {
                attempt,
                by,
                reason,
            }));
        }
        sim.run_for(seconds(400));
        let end = if deny { End::Denied } else { End::Expired };
        assert_eq!(sim.ends, [end]);
        assert_eq!(hold(&sim, "a").by, HeldBy::Cooldown);
        sim.run_for(seconds(700));
        let proposed = sim.notes();
        let proposed = proposed.iter().filter(|it| **it == NoteKind::Proposed);
        assert!(proposed.count() > 1, "then it is proposed again");
        assert_eq!(acted(&sim), [""; 0]);
    }
}

#[test]
fn a_proposal_is_withdrawn_when_it_is_no_longer_needed_or_its_rule_changes() {
    const SHORT: Spans = &[("a", 0, 50)];
    let mut sim = start(asking(), weather(SHORT));
    sim.run_for(seconds(60));
    assert_eq!(sim.ends, [End::Withdrawn]);
    let mut sim = start(asking(), weather(BAD));
    sim.run_for(seconds(20));
    let mut changed = asking();
    if let Some(it) = &mut changed[0].remediation {
        Arc::make_mut(it).fingerprint = "another".to_owned();
    }
    changed[0].fingerprint = "another".to_owned();
    sim.input(Input::Reload(outline("g2", changed)));
    sim.run_for(seconds(20));
    assert_eq!(sim.ends, [End::Withdrawn]);
    assert!(
        sim.core
            .attempts()
            .next()
            .is_some_and(|it| it.remediation.fingerprint == "another")
    );
}

#[test]
fn a_proposal_survives_a_restart() {
    let mut sim = start(asking(), healed(BAD));
    sim.run_for(seconds(20));
    let mut sim = again(&sim, asking(), healed(BAD));
    sim.run_for(seconds(20));
    assert_eq!(pages(&sim), [], "it is not proposed twice");
    approve(&mut sim);
    sim.run_for(seconds(10));
    assert_eq!(acted(&sim), ["a"]);
}

#[test]
fn a_ladder_that_was_changed_while_no_engine_ran_is_not_done_on_an_old_approval() {
    let mut sim = start(asking(), weather(BAD));
    sim.run_for(seconds(20));
    let attempt = proposal(&sim);
    let (by, at) = ("ann".to_owned(), sim.now);
    let mut saved = sim.saved();
    saved.attempts[0].approved = Some(crate::model::attempt::Approved { at, by });
    let mut changed = asking();
    if let Some(it) = &mut changed[0].remediation {
        Arc::make_mut(it).fingerprint = "another".to_owned();
    }
    let mut sim = Sim::new(outline("g2", changed), saved, sim.now, weather(BAD));
    sim.run_for(seconds(20));
    assert_eq!(sim.ends, [End::Withdrawn]);
    assert_eq!(acted(&sim), [""; 0]);
    assert_ne!(proposal(&sim), attempt, "it is proposed anew");
}

#[test]
fn a_proposal_whose_check_is_removed_costs_nothing() {
    let mut sim = start(asking(), weather(BAD));
    sim.run_for(seconds(20));
    sim.input(Input::Reload(outline("g2", vec![])));
    assert_eq!(sim.ends, [End::Withdrawn]);
    assert_eq!(sim.core.budget("a"), None);
}

#[test]
fn no_number_of_a_silence_is_given_twice() {
    let mut sim = start(vec![check("a", None)], weather(BAD));
    let hush = |sim: &mut Sim, span: u64| -> u64 {
        let id = sim.core.next_silence();
        sim.input(Input::Command(Command::Silence(Silence {
            id: 0,
            checks: vec![],
            at: sim.now,
            until: sim.now.plus(seconds(span)),
            by: "ann".to_owned(),
            reason: String::new(),
        })));
        id
    };
    let standing = |sim: &Sim| -> Vec<u64> { sim.core.silences().map(|it| it.id).collect() };
    assert_eq!([hush(&mut sim, 100), hush(&mut sim, 10)], [1, 2]);
    sim.input(Input::Command(Command::Unsilence(2)));
    assert_eq!(standing(&sim), [1]);
    assert_eq!(hush(&mut sim, 10), 3);
    sim.run_for(seconds(200));
    assert!(standing(&sim).is_empty());
    let saved = sim.saved();
    let mut sim = Sim::new(outline("g1", vec![]), saved, sim.now, weather(BAD));
    assert_eq!(hush(&mut sim, 10), 4, "nor after a restart");
    assert_eq!(standing(&sim), [4]);
    assert!(
        sim.saved().silences.len() <= 2,
        "what has ended is forgotten"
    );
}

#[test]
fn what_is_approved_still_waits_for_the_other_guards() {
    let mut sim = start(asking(), healed(BAD));
    sim.run_for(seconds(20));
    let pause = Pause {
        at: sim.now,
        by: "ann".to_owned(),
        reason: String::new(),
        until: None,
    };
    sim.input(Input::Command(Command::Pause(pause)));
    approve(&mut sim);
    sim.run_for(seconds(50));
    assert_eq!(hold(&sim, "a").by, HeldBy::Pause);
    assert_eq!(acted(&sim), [""; 0]);
    sim.input(Input::Command(Command::Resume));
    sim.run_for(seconds(5));
    assert_eq!(acted(&sim), ["a"]);
}

#[test]
fn a_round_says_what_is_proposed_and_does_not_wait_for_the_person() {
    let mut sim = start(asking(), weather(BAD));
    sim.later.clear();
    let id = sim.core.new_round();
    let checks = vec!["a".into()];
    sim.input(Input::Command(Command::Round {
        id,
        checks,
        fix: true,
        wait: seconds(60),
    }));
    sim.run_for(seconds(5));
    let outcome = &sim.rounds[0].outcomes[0];
    let attempt = outcome.attempt.as_ref().expect("it is shown");
    assert_eq!(attempt.receipts.len(), 1);
    assert!(matches!(attempt.phase, Phase::Proposed { .. }));
}

// Silence.

fn silence(sim: &Sim, checks: &[&str], span: u64) -> Command {
    Command::Silence(Silence {
        id: 0,
        checks: checks.iter().map(|name| (*name).into()).collect(),
        at: sim.now,
        until: sim.now.plus(seconds(span)),
        by: "ann".to_owned(),
        reason: "moving".to_owned(),
    })
}

#[test]
fn a_silenced_check_is_neither_repaired_nor_told_of_until_it_ends() {
    const WORLD: Spans = &[("a", 10, EVER)];
    let mut sim = start(named(&["a"]), healed(WORLD));
    sim.run_for(seconds(1));
    let command = silence(&sim, &["a"], 600);
    sim.input(Input::Command(command));
    sim.run_for(seconds(200));
    let held = hold(&sim, "a").clone();
    assert_eq!(held.by, HeldBy::Silence);
    assert_eq!(held.until, Some(START.plus(seconds(601))));
    assert_eq!(held.why.as_deref(), Some("silence 1 by ann: moving"));
    assert_eq!(status(&sim, "a"), Status::Critical, "but it is shown");
    assert_eq!(sim.ends, [], "nothing was even intended");
    assert_eq!(pages(&sim), []);
    // It survives a restart.
    let mut sim = again(&sim, named(&["a"]), healed(WORLD));
    sim.run_for(seconds(300));
    assert_eq!(hold(&sim, "a").by, HeldBy::Silence);
    sim.run_for(seconds(200));
    assert_eq!(acted(&sim), ["a"]);
}

#[test]
fn a_silence_covers_what_it_names_and_can_be_ended() {
    const WORLD: Spans = &[("a", 10, EVER), ("b", 10, EVER)];
    let mut sim = start(named(&["a", "b"]), healed(WORLD));
    sim.run_for(seconds(1));
    let command = silence(&sim, &["a"], 6000);
    sim.input(Input::Command(command));
    sim.run_for(seconds(60));
    assert_eq!(acted(&sim), ["b"]);
    sim.input(Input::Command(Command::Unsilence(1)));
    sim.run_for(seconds(1));
    assert_eq!(acted(&sim), ["b", "a"], "at once");
    let command = silence(&sim, &[], 60);
    sim.input(Input::Command(command));
    assert!(sim.core.silences().all(|it| it.covers("whatever", sim.now)));
}

// Backoff.

#[test]
fn the_backoff_grows_with_every_repair_and_begins_anew_after_ten_healthy_minutes() {
    let mut it = remediation(1);
    it.guard = Guard {
        cooldown: Duration::ZERO,
        limit: 1000,
        breaker: 1000,
        ..Guard::default()
    };
    const WORLD: Spans = &[("a", 0, 1500), ("a", 2500, EVER)];
    let mut sim = start(vec![check("a", Some(it))], weather(WORLD));
    sim.run_for(seconds(2600));
    let gaps: Vec<u64> = sim
        .acts
        .windows(2)
        .map(|two| two[1].at.since(two[0].at).as_secs())
        .collect();
    // Every attempt is verified for 4 s, and a look comes every 10 s.
    assert_eq!(gaps[..7], [20, 30, 50, 90, 170, 310, 310]);
    let after = sim
        .acts
        .iter()
        .position(|act| act.at >= START.plus(seconds(2500)))
        .expect("again");
    assert_eq!(gaps[after], 20, "from the beginning");
}

// Pages.

#[test]
fn a_guard_that_holds_a_critical_check_is_paged_once_for_as_long_as_the_problem_lasts() {
    const FLAPS: Spans = &[("a", 0, 50), ("a", 100, 300), ("a", 400, 500)];
    let mut it = remediation(1);
    it.escalate = vec!["ops".into()];
    it.guard.cooldown = Duration::ZERO;
    it.guard.limit = 1;
    let mut sim = start(vec![check("a", Some(it))], healed(FLAPS));
    sim.run_for(seconds(290));
    let held = (NoteKind::Held, Some("a".to_owned()));
    assert_eq!(hold(&sim, "a").by, HeldBy::Limit);
    assert_eq!(pages(&sim), std::slice::from_ref(&held));
    sim.run_for(seconds(200));
    assert_eq!(
        pages(&sim),
        [held.clone(), held],
        "another problem is another page"
    );
}

#[test]
fn what_people_were_told_of_by_the_end_of_the_ladder_is_not_told_again() {
    let mut sim = start(named(&["a"]), weather(BAD));
    sim.run_for(seconds(300));
    assert_eq!(hold(&sim, "a").by, HeldBy::Cooldown);
    assert_eq!(pages(&sim), [(NoteKind::Escalated, Some("a".to_owned()))]);
}

#[test]
fn a_round_that_meets_a_repair_under_way_waits_for_its_end() {
    let mut it = remediation(1);
    it.verify.after = seconds(5);
    let mut sim = start(vec![check("a", Some(it))], healed(BAD));
    sim.run_for(Duration::from_millis(3));
    assert_eq!(acted(&sim), ["a"], "and is not proven yet");
    sim.world = Box::new(weather(&[("a", 0, 4)]));
    let id = sim.core.new_round();
    let checks = vec!["a".into()];
    sim.input(Input::Command(Command::Round {
        id,
        checks,
        fix: true,
        wait: seconds(60),
    }));
    sim.run_for(seconds(20));
    let outcome = &sim.rounds[0].outcomes[0];
    assert_eq!(
        outcome.attempt.as_ref().and_then(|it| it.end()),
        Some(End::Verified)
    );
    assert_eq!(
        outcome.verdict.as_ref().map(|it| it.status),
        Some(Status::Ok)
    );
}

#[test]
fn a_warning_that_is_held_pages_nobody() {
    let mut it = remediation(1);
    it.when = vec![Status::Warning];
    let mut sim = start(vec![check("a", Some(it))], always(Status::Warning));
    sim.run_for(seconds(300));
    assert_eq!(hold(&sim, "a").by, HeldBy::Cooldown);
    assert_eq!(pages(&sim), [(NoteKind::Escalated, Some("a".to_owned()))]);
}

impl Sim {
    /// Begins its disk with what another one's held.
    fn remember(&mut self, saved: Saved) {
        let mut rows = vec![
            Row::Pause(saved.pause),
            Row::Silences(saved.silences),
            Row::Storm(saved.storm),
        ];
        let standings = saved.standings.into_iter();
        rows.extend(standings.map(|(check, standing)| Row::Standing { check, standing }));
        let budgets = saved.budgets.clone().into_iter();
        rows.extend(budgets.map(|(check, budget)| Row::Budget { check, budget }));
        rows.extend(saved.attempts.into_iter().map(|attempt| {
            let budget = saved
                .budgets
                .iter()
                .find(|(name, _)| *name == attempt.check);
            let budget = budget.map(|(_, budget)| budget.clone()).unwrap_or_default();
            Row::Attempt { attempt, budget }
        }));
        self.disk.splice(0..0, rows);
    }
}

// Everything together.

/// A year: `a` and `b` share a target, `b` needs `c`, `d` asks for approval, `e` is bad now and then by itself.
fn year_book() -> Vec<CheckOutline> {
    let mut checks = named(&["a", "b", "c", "d", "e"]);
    for check in &mut checks {
        check.trigger.every = Some(seconds(600));
        if let Some(it) = &mut check.remediation {
            let it = Arc::make_mut(it);
            it.ladder = vec![vec!["write_file".to_owned()]; 2];
            it.guard.cooldown = seconds(1800);
            it.guard.limit = 3;
            it.guard.window = seconds(6 * 3600);
            it.approve = &*check.name == "d";
            it.approve_within = seconds(7200);
        }
    }
    checks[1].needs = vec!["c".into()];
    checks
}

const YEAR: u64 = 365 * 86_400;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2, max_shrink_iters: 20, ..ProptestConfig::default() })]

    /// In a year of problems that come alone and together, repairs that help and do not, silences, pauses, approvals and
    /// crashes: no limit, cooldown or backoff is ever exceeded, no two repairs hold one target, nothing is done in a
    /// storm, a silence or under a broken dependency, a storm pages once, and what is well again is shown so.
    #[test]
    fn a_year_keeps_the_guards(seed in any::<u64>()) {
        let mut state = seed | 1;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        // Whether a check is bad is decided hour by hour; some hours are bad for everybody.
        let salt = next();
        let bad = move |name: &str, now: Moment, acts: &[Act]| {
            let hour = now.0 as u64 / 3_600_000;
            let mix = |text: &str, n: u64| {
                let mut hash = salt ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                for byte in text.bytes() {
                    hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
                }
                hash ^ (hash >> 29)
            };
            let everybody = mix("all", hour) % 200 == 0;
            let itself = mix(name, hour) % 12 == 0;
            let helped = acts.iter().rev().take(20).any(|act| {
                act.check == name && act.at.0 as u64 / 3_600_000 == hour && mix("helps", act.at.0 as u64) % 3 > 0
            });
            everybody || (itself && !helped)
        };
        let world = move |now: Moment, name: &str, acts: &[Act]| {
            let status = if bad(name, now, acts) { Status::Critical } else { Status::Ok };
            Some((Duration::from_millis(1), status))
        };
        let fresh = move |sim: &Sim| {
            let mut sim = again(sim, year_book(), world);
            for name in ["a", "b"] {
                sim.targets.insert(name.to_owned(), "data/shared".to_owned());
            }
            sim
        };
        let mut sim = start(year_book(), world);
        sim = fresh(&sim);
        let mut acts: Vec<Act> = vec![];
        let (mut storms, mut looked) = (0, 0);
        while sim.now < START.plus(seconds(YEAR)) {
            let before = sim.acts.len();
            let held: BTreeSet<String> = year_book().iter().map(|check| check.name.to_string()).filter(|name| {
                sim.core.silences().any(|it| it.covers(name, sim.now) && it.until > sim.now.plus(seconds(6 * 3600)))
            }).collect();
            let pausing = match next() % 40 {
                0 => {
                    let pause = Pause { at: sim.now, by: String::new(), reason: String::new(), until: None };
                    sim.input(Input::Command(Command::Pause(pause)));
                    true
                }
                1 => {
                    let name = ["a", "b", "c", "d", "e"][(next() % 5) as usize];
                    let command = silence(&sim, &[name], 3600 + next() % 86_400);
                    sim.input(Input::Command(command));
                    false
                }
                2 | 3 => {
                    looked += sim.looks;
                    let mut born = fresh(&sim);
                    acts.append(&mut sim.acts);
                    born.remember(sim.saved());
                    sim = born;
                    false
                }
                4..=20 => {
                    let open: Vec<u64> = sim.core.attempts()
                        .filter(|it| matches!(it.phase, Phase::Proposed { .. }))
                        .map(|it| it.id)
                        .collect();
                    for attempt in open {
                        let by = "ann".to_owned();
                        let command = match next() % 4 {
                            0 => Command::Deny { attempt, by, reason: String::new() },
                            _ => Command::Approve { attempt, by },
                        };
                        sim.input(Input::Command(command));
                    }
                    false
                }
                _ => false,
            };
            let before = before.min(sim.acts.len());
            let began = sim.acts.len();
            let span = if pausing { 6 * 3600 } else { 600 + next() % (6 * 3600) };
            let end = sim.now.plus(seconds(span));
            while sim.now < end {
                let stormy = sim.core.storm().is_some();
                let count = sim.acts.len();
                sim.run_to(sim.now.plus(seconds(300)).min(end));
                if stormy && sim.core.storm().is_some() {
                    prop_assert_eq!(sim.acts.len(), count, "nothing is done in a storm");
                }
                storms += usize::from(!stormy && sim.core.storm().is_some());
                let mut targets: Vec<&String> = sim.core.attempts().flat_map(|it| &it.targets).collect();
                let all = targets.len();
                targets.sort();
                targets.dedup();
                prop_assert_eq!(targets.len(), all, "one target, one repair");
            }
            if pausing {
                prop_assert_eq!(sim.acts.len(), began, "nothing begins while paused");
                sim.input(Input::Command(Command::Resume));
            }
            for report in sim.reports.drain(..) {
                if report.verdict.status == Status::Ok {
                    prop_assert_eq!(report.status, Status::Ok, "what is well is shown so, whatever holds its repair");
                }
            }
            for act in &sim.acts[before..] {
                prop_assert!(!held.contains(&act.check), "{act:?} is silenced");
            }
        }
        looked += sim.looks;
        acts.append(&mut sim.acts);
        prop_assert!(looked > 5 * 52_000, "a year was looked at: {looked}");
        prop_assert!(acts.len() > 100, "and repaired: {}", acts.len());
        prop_assert!(storms > 5, "there were storms: {storms}");
        for name in ["a", "b", "c", "d", "e"] {
            let mine: Vec<&Act> = acts.iter().filter(|act| act.check == name).collect();
            for (index, first) in mine.iter().enumerate() {
                let inside = mine[index..].iter().filter(|act| act.at < first.at.plus(seconds(6 * 3600 - 1))).count();
                prop_assert!(inside <= 3, "{inside} acts of {name} in one window");
            }
            for pair in mine.windows(2) {
                let gap = pair[1].at.since(pair[0].at);
                prop_assert!(gap >= seconds(10), "the backoff is kept: {pair:?}");
                if pair[1].rung == 0 {
                    prop_assert!(gap >= seconds(1799), "the cooldown is kept: {pair:?}");
                }
            }
        }
    }
}

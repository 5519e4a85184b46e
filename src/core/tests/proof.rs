//! What proves a repair, what cannot, and what a person says is meant so.

use super::hours::office;
use super::*;
use crate::model::standing::Baseline;

const CLOSED: Moment = Moment(40 * 60_000);
const OPENS: Moment = Moment(60 * 60_000);
const LONG: Duration = Duration::from_secs(1800);

/// `a` is repaired and proven by `orders`, which is looked at while the office is open and needs `bot`.
fn book() -> Arc<Outline> {
    let mut ladder = remediation(1);
    ladder.verify.within = LONG;
    ladder.verify.checks = vec!["orders".into()];
    let mut orders = check("orders", None);
    orders.needs = vec!["bot".into()];
    orders.trigger.during = Some("office".into());
    let mut book = Outline::clone(&outline(
        "g1",
        vec![check("a", Some(ladder)), check("bot", None), orders],
    ));
    book.calendars.insert("office".into(), Arc::new(office()));
    Arc::new(book)
}

fn answer(bad: bool) -> Answer {
    let status = if bad { Status::Critical } else { Status::Ok };
    Some((Duration::from_millis(1), status))
}

#[test]
fn by_night_a_repair_is_looked_at_and_proven_when_the_witness_can_speak() {
    let world = |now: Moment, name: &str, acts: &[Act]| {
        answer(match name {
            "a" => acts.is_empty(),
            "orders" => now.0 < OPENS.0 + 120_000,
            _ => false,
        })
    };
    let mut sim = Sim::new(book(), Saved::default(), CLOSED, world);
    sim.run_for(seconds(30));
    assert_eq!(sim.acts.len(), 1);
    let attempt = sim.core.attempts().next().expect("it waits");
    let after = attempt.after.as_ref().expect("its own check was looked at");
    assert_eq!(after.status, Status::Ok);
    assert_eq!(attempt.opens, Some(OPENS));
    sim.run_to(OPENS.plus(seconds(60)));
    assert!(sim.ends.is_empty(), "no orders yet");
    sim.run_to(OPENS.plus(seconds(300)));
    assert_eq!(sim.ends, [End::Verified]);
}

#[test]
fn what_relapses_while_its_witness_is_waited_for_has_not_held_and_is_repaired_again() {
    // Broken again five minutes later, by night; after the cooldown it is repaired again.
    let world = |now: Moment, name: &str, acts: &[Act]| {
        let again = Moment(CLOSED.0 + 5 * 60_000);
        let mended = acts.iter().any(|act| act.at >= again) || now < again && !acts.is_empty();
        answer(name == "a" && !mended)
    };
    let mut sim = Sim::new(book(), Saved::default(), CLOSED, world);
    sim.run_for(seconds(60));
    // An engine that is started meanwhile knows it as well: it did not do the first act itself.
    let begun_again = move |now: Moment, name: &str, acts: &[Act]| {
        let again = Moment(CLOSED.0 + 5 * 60_000);
        answer(name == "a" && now >= again && acts.is_empty())
    };
    let mut other = Sim::new(book(), sim.saved(), sim.now, begun_again);
    other.run_to(Moment(OPENS.0 - 1));
    assert_eq!((other.acts.len(), &other.ends[..]), (1, &[End::Failed][..]));
    sim.run_to(Moment(OPENS.0 - 1));
    assert_eq!(sim.acts.len(), 2);
    assert_eq!(sim.ends, [End::Failed]);
    sim.run_to(OPENS.plus(seconds(60)));
    assert_eq!(sim.ends, [End::Failed, End::Verified]);
}

#[test]
fn a_witness_behind_something_that_was_broken_before_is_not_asked() {
    let world = |_: Moment, name: &str, acts: &[Act]| {
        answer(match name {
            "a" => acts.is_empty(),
            _ => true, // no bot, no orders
        })
    };
    for begin in [Moment(0), CLOSED] {
        let mut sim = Sim::new(book(), Saved::default(), begin, world);
        sim.run_for(seconds(30));
        assert_eq!(sim.ends, [End::Verified], "{begin:?}");
    }
}

#[test]
fn a_witness_whose_dependency_breaks_after_the_repair_is_still_waited_for() {
    // `a` breaks after the bot was seen well; its repair breaks the bot.
    let world = |now: Moment, name: &str, acts: &[Act]| {
        answer(match name {
            "a" => now.0 > 25_000 && acts.is_empty(),
            _ => !acts.is_empty(),
        })
    };
    let mut sim = Sim::new(book(), Saved::default(), Moment(0), world);
    sim.run_for(seconds(600));
    assert_eq!(sim.acts.len(), 1);
    assert!(sim.ends.is_empty(), "nobody says that orders flow");
}

#[test]
fn a_round_over_one_check_asks_first_whether_its_witness_can_speak() {
    let world = |_: Moment, name: &str, acts: &[Act]| {
        answer(match name {
            "a" => acts.is_empty(),
            _ => true,
        })
    };
    let mut rest = book().at_rest();
    rest.generation = "g1".into();
    let mut sim = Sim::new(Arc::new(rest), Saved::default(), Moment(0), world);
    let id = sim.core.new_round();
    sim.input(Input::Command(Command::Round {
        id,
        checks: vec!["a".into()],
        fix: true,
        wait: seconds(60),
    }));
    sim.run_for(seconds(30));
    assert_eq!(sim.ends, [End::Verified]);
    assert!(sim.core.standing("bot").expect("there").looked.is_some());
}

#[test]
fn a_baseline_stays_with_the_standing_over_looks_reload_and_restart() {
    let mut sim = start(vec![check("a", None)], always(Status::Critical));
    sim.run_for(seconds(15));
    let baseline = Baseline {
        value: serde_json::json!({"base": 3.5}),
        at: sim.now,
        by: "ops".to_owned(),
        reason: "loss stop".to_owned(),
    };
    let looks = sim.looks;
    sim.input(Input::Command(Command::Confirm {
        check: "a".into(),
        baseline: Some(baseline.clone()),
        by: "ops".to_owned(),
    }));
    assert_eq!(sim.notes(), [NoteKind::Confirmed]);
    sim.run_for(Duration::from_millis(2));
    assert_eq!(sim.looks, looks + 1, "it is looked at again at once");
    sim.run_for(seconds(30));
    let kept = |sim: &Sim| {
        sim.core
            .standing("a")
            .expect("there")
            .prior
            .baseline
            .clone()
    };
    assert_eq!(kept(&sim), Some(baseline.clone()));
    let again = Sim::new(
        outline("g1", vec![check("a", None)]),
        sim.saved(),
        sim.now,
        always(Status::Ok),
    );
    assert_eq!(kept(&again), Some(baseline));
    sim.input(Input::Command(Command::Confirm {
        check: "a".into(),
        baseline: None,
        by: "ops".to_owned(),
    }));
    assert_eq!(kept(&sim), None);
    assert_eq!(sim.notes(), [NoteKind::Confirmed, NoteKind::Forgotten]);
}

#[test]
fn events_begin_an_investigation_once_in_its_cooldown_and_a_person_whenever() {
    let mut book = Outline::clone(&outline("g1", vec![check("a", None)]));
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
        cooldown: seconds(60),
        checks: vec!["a".into()],
    };
    book.investigations.insert("rca".into(), Arc::new(it));
    let mut sim = Sim::new(
        Arc::new(book),
        Saved::default(),
        START,
        always(Status::Critical),
    );
    sim.run_for(seconds(55));
    assert_eq!(sim.rounds.len(), 1);
    let id = sim.core.new_round();
    sim.input(Input::Command(Command::Investigate {
        id,
        name: "rca".into(),
        cause: None,
        wait: seconds(5),
    }));
    sim.run_for(seconds(1));
    assert_eq!(sim.rounds.len(), 2);
    sim.run_for(seconds(30));
    assert_eq!(sim.rounds.len(), 3, "the cooldown is over");
}

#[test]
fn a_check_waits_behind_what_is_broken_or_unseen() {
    let mut needy = check("b", None);
    needy.needs = vec!["a".into()];
    let mut sim = start(vec![check("a", None), needy], |now, name, _| {
        (name != "a" || now.0 > 0).then_some((Duration::from_millis(1), Status::Critical))
    });
    assert_eq!(sim.core.behind("b").map(|it| &**it), Some("a"), "unseen");
    sim.run_for(seconds(30));
    assert_eq!(sim.core.behind("b").map(|it| &**it), Some("a"), "broken");
    let resting: Vec<&str> = sim
        .core
        .resting_on("a")
        .into_iter()
        .map(|it| &**it)
        .collect();
    assert_eq!(resting, ["b"]);
    sim.world = Box::new(always(Status::Ok));
    sim.run_for(seconds(30));
    assert_eq!(sim.core.behind("b"), None);
}

#[test]
fn a_round_by_night_is_answered_at_once_with_what_was_seen_after_the_repair() {
    let world = |_: Moment, name: &str, acts: &[Act]| answer(name == "a" && acts.is_empty());
    let mut sim = Sim::new(book(), Saved::default(), CLOSED, world);
    let id = sim.core.new_round();
    sim.input(Input::Command(Command::Round {
        id,
        checks: vec!["a".into()],
        fix: true,
        wait: seconds(60),
    }));
    sim.run_for(seconds(5));
    let outcome = &sim.rounds[0].outcomes[0];
    let status = outcome.verdict.as_ref().map(|verdict| verdict.status);
    assert_eq!(status, Some(Status::Ok));
    let attempt = outcome.attempt.as_ref().expect("the repair");
    assert_eq!((attempt.opens, attempt.end()), (Some(OPENS), None));
    // One that waits for longer than that sees the proof.
    let id = sim.core.new_round();
    sim.input(Input::Command(Command::Round {
        id,
        checks: vec!["a".into()],
        fix: true,
        wait: LONG,
    }));
    sim.run_to(OPENS.plus(seconds(30)));
    assert_eq!(sim.ends, [End::Verified]);
}

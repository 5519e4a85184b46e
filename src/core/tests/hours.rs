//! Calendars and clock times, seen through the core.

use super::*;
use crate::{
    model::calendar::{Calendar, Session, Window},
    model::standing::Outside,
    trigger::{calendar::tests::empty, cron},
};

/// Open from midnight to 00:30 and from 01:00 to 02:00, every day.
pub fn office() -> Calendar {
    let session = |from, to| Session { from, to };
    Calendar {
        name: "office".into(),
        weekly: std::array::from_fn(|_| vec![session(0, 30), session(60, 120)]),
        ..empty(chrono_tz::UTC)
    }
}

fn minutes(n: i64) -> Moment {
    Moment(n * 60_000)
}

const CLOSES: Moment = Moment(30 * 60_000);
const OPENS: Moment = Moment(60 * 60_000);

fn with(calendar: Calendar, checks: Vec<CheckOutline>) -> Arc<Outline> {
    let mut book = Outline::clone(&outline("g1", checks));
    book.calendars
        .insert(calendar.name.clone(), Arc::new(calendar));
    Arc::new(book)
}

fn during(name: &str, remediation: Option<RemediationOutline>) -> CheckOutline {
    let mut check = check(name, remediation);
    check.trigger.during = Some("office".into());
    check
}

fn quiet(name: &str, remediation: RemediationOutline) -> CheckOutline {
    let mut check = check(name, Some(remediation));
    check.trigger.quiet = Some("office".into());
    check
}

fn begin(
    outline: Arc<Outline>,
    now: Moment,
    world: impl FnMut(Moment, &str, &[Act]) -> Answer + 'static,
) -> Sim {
    Sim::new(outline, Saved::default(), now, world)
}

fn round(sim: &mut Sim, fix: bool) {
    let id = sim.core.new_round();
    sim.input(Input::Command(Command::Round {
        id,
        checks: vec!["a".into()],
        fix,
        wait: seconds(60),
    }));
}

#[test]
fn outside_its_calendar_a_check_is_not_looked_at_and_at_the_opening_it_is_at_once() {
    let mut sim = begin(
        with(office(), vec![during("a", None)]),
        minutes(29),
        always(Status::Critical),
    );
    sim.run_to(Moment(CLOSES.0 - 1));
    let looks = sim.looks;
    assert_eq!(looks, 6);
    let since = sim.core.standing("a").expect("there").bad_since;
    sim.run_to(Moment(OPENS.0 - 1));
    assert_eq!(sim.looks, looks);
    let standing = sim.core.standing("a").expect("there").clone();
    assert_eq!(
        (standing.status, &*standing.message),
        (Status::Ok, "outside office")
    );
    assert_eq!(standing.since, CLOSES, "shown the moment it closes");
    let outside = Outside {
        calendar: "office".into(),
        opens: Some(OPENS),
        stood: Status::Critical,
    };
    assert_eq!(standing.outside, Some(outside));
    let last = sim.reports.last().expect("reported");
    assert!(last.verdict.skipped && last.at == CLOSES && last.was == Some(Status::Critical));
    assert_eq!(sim.reports.len(), looks + 1, "told once, not at every slot");

    // A restart in between tells it once more, to whoever was not there.
    let mut again = Sim::new(
        with(office(), vec![during("a", None)]),
        sim.saved(),
        minutes(40),
        always(Status::Critical),
    );
    again.run_to(minutes(50));
    assert_eq!((again.looks, again.reports.len()), (0, 1));
    again.run_to(OPENS.plus(seconds(1)));
    assert_eq!(again.core.standing("a").expect("there").bad_since, since);

    sim.run_to(OPENS.plus(Duration::from_millis(1)));
    assert_eq!(sim.looks, looks + 1);
    let standing = sim.core.standing("a").expect("there");
    assert_eq!(
        (standing.status, standing.since),
        (Status::Critical, OPENS.plus(Duration::from_millis(1)))
    );
    assert_eq!(standing.outside, None);
    assert_eq!(standing.bad_since, since, "the problem was never over");
    assert_eq!(sim.core.missed(), 0);
}

#[test]
fn patience_goes_on_where_it_was_when_the_calendar_closed() {
    let mut patient = during("a", None);
    patient.patience = Patience {
        bad: 1,
        of: 1,
        recover: 3,
    };
    let mut sim = begin(with(office(), vec![patient]), minutes(29), |now, _, _| {
        let status = if now < minutes(45) {
            Status::Critical
        } else {
            Status::Ok
        };
        Some((Duration::from_millis(1), status))
    });
    sim.run_to(OPENS.plus(seconds(15)));
    let standing = sim.core.standing("a").expect("there");
    assert_eq!(
        (standing.status, standing.good),
        (Status::Critical, 2),
        "two of three looks"
    );
    sim.run_for(seconds(10));
    assert_eq!(sim.core.standing("a").expect("there").status, Status::Ok);
}

#[test]
fn a_night_outside_is_no_night_of_health() {
    for seen_before in [Status::Ok, Status::Critical] {
        let world = move |now: Moment, _: &str, _: &[Act]| {
            let status = if now < CLOSES {
                seen_before
            } else {
                Status::Ok
            };
            Some((Duration::ZERO, status))
        };
        let mut sim = begin(with(office(), vec![during("a", None)]), minutes(29), world);
        sim.run_to(OPENS.plus(seconds(30)));
        let standing = sim.core.standing("a").expect("there");
        assert_eq!((standing.status, standing.since), (Status::Ok, OPENS));
    }
}

#[test]
fn events_rounds_and_other_checks_do_not_look_either() {
    let mut a = during("a", Some(remediation(1)));
    a.trigger.events = vec![EventTrigger::File {
        file: "data/x".to_owned(),
    }];
    let mut b = check("b", None);
    b.trigger.every = None;
    b.trigger.events = vec![EventTrigger::Check {
        check: "a".into(),
        status: vec![Status::Ok],
    }];
    let mut sim = begin(
        with(office(), vec![a, b]),
        minutes(40),
        always(Status::Critical),
    );
    sim.run_for(seconds(30));
    let looks = sim.looks;
    sim.input(Input::FileChanged("data/x".to_owned()));
    round(&mut sim, true);
    sim.run_for(seconds(30));
    assert_eq!(sim.looks, looks, "b was looked at once when it was new");
    let outcome = &sim.rounds[0].outcomes[0];
    let report = outcome.report.as_ref().expect("answered");
    assert_eq!(
        (report.verdict.status, report.verdict.skipped),
        (Status::Ok, true)
    );
    assert_eq!(report.verdict.message, "outside office");
    assert!(sim.acts.is_empty() && outcome.attempt.is_none());
}

#[test]
fn a_look_under_way_when_it_closes_still_counts_and_then_it_is_outside() {
    let mut a = during("a", None);
    a.trigger.events = vec![EventTrigger::Event {
        event: "x".to_owned(),
    }];
    let slow = |_: Moment, _: &str, _: &[Act]| Some((seconds(1), Status::Critical));
    let mut sim = begin(with(office(), vec![a]), minutes(29), slow);
    sim.run_to(Moment(CLOSES.0 - 500));
    sim.input(Input::Event("x".to_owned()));
    sim.run_to(CLOSES.plus(Duration::from_millis(499)));
    assert_eq!(
        sim.core.standing("a").expect("there").status,
        Status::Critical
    );
    sim.run_to(minutes(31));
    assert_eq!(
        sim.core.standing("a").expect("there").message,
        "outside office"
    );
    assert_eq!(sim.core.missed(), 0);
}

#[test]
fn what_only_events_set_off_is_looked_at_when_it_opens() {
    let mut a = during("a", None);
    a.trigger.every = None;
    a.trigger.events = vec![EventTrigger::Event {
        event: "x".to_owned(),
    }];
    let mut sim = begin(with(office(), vec![a]), minutes(40), always(Status::Ok));
    sim.run_to(minutes(59));
    assert_eq!(sim.looks, 0);
    sim.run_to(minutes(100));
    assert_eq!(sim.looks, 1);
    sim.run_to(minutes(130));
    assert_eq!(
        sim.core.standing("a").expect("there").message,
        "outside office"
    );
}

#[test]
fn the_clock_of_a_verification_stands_while_a_witness_is_outside_its_calendar() {
    let mut ladder = remediation(1);
    ladder.verify.within = seconds(60);
    ladder.verify.checks = vec!["b".into()];
    let book = with(office(), vec![check("a", Some(ladder)), during("b", None)]);
    // Bad from twenty seconds before the closing on and repaired at once; the witness is well twenty seconds after the
    // opening.
    let world = |now: Moment, name: &str, acts: &[Act]| {
        let bad = match name {
            "a" => now.0 >= CLOSES.0 - 20_000 && now.0 < OPENS.0 && acts.is_empty(),
            _ => now.0 >= CLOSES.0 - 20_000 && now.0 < OPENS.0 + 20_000,
        };
        Some((
            Duration::from_millis(1),
            if bad { Status::Critical } else { Status::Ok },
        ))
    };
    let mut sim = begin(book.clone(), Moment(CLOSES.0 - 60_000), world);
    sim.run_to(minutes(45));
    assert_eq!(sim.acts.len(), 1);
    assert!(
        sim.ends.is_empty(),
        "its minute is over by the clock on the wall only"
    );
    let attempt = sim.core.attempts().next().expect("open");
    assert_eq!(attempt.opens, Some(OPENS));
    let until = attempt.phase.until().expect("verifying");
    let left = until.since(OPENS);
    assert!(left > seconds(35) && left < seconds(60), "{left:?}");

    // The same after a restart in the middle, and with the clock set meanwhile.
    let mut again = Sim::new(book, sim.saved(), minutes(50), world);
    again.run_to(minutes(55));
    let same = again.core.attempts().next().expect("open").phase.until();
    assert_eq!(same, Some(until));
    for sim in [&mut sim, &mut again] {
        sim.run_to(OPENS.plus(seconds(59)));
        assert_eq!(sim.ends, [End::Verified]);
    }
}

#[test]
fn a_repair_that_nobody_will_ever_see_is_neither_a_success_nor_a_failure() {
    let mut works = office();
    works.weekly = Default::default();
    works.windows = vec![Window {
        from: minutes(0),
        to: CLOSES,
    }];
    let mut ladder = remediation(1);
    ladder.verify.within = seconds(600);
    let book = with(works, vec![during("a", Some(ladder))]);
    let mut sim = begin(book, Moment(CLOSES.0 - 30_000), always(Status::Critical));
    sim.run_to(OPENS);
    assert_eq!((sim.acts.len(), &sim.ends[..]), (1, &[End::Superseded][..]));
    assert_eq!(sim.core.budget("a").expect("there").unverified, 0);
}

#[test]
fn a_half_climbed_ladder_goes_on_after_the_opening() {
    let mut ladder = remediation(2);
    ladder.guard.backoff = (seconds(60), seconds(60));
    let book = with(office(), vec![during("a", Some(ladder))]);
    let mut sim = begin(book, Moment(CLOSES.0 - 30_000), always(Status::Critical));
    sim.run_to(Moment(OPENS.0 - 1));
    assert_eq!(sim.rungs(), [(0, "g1")]);
    assert_eq!(sim.core.standing("a").expect("there").held_by, None);
    sim.run_to(OPENS.plus(seconds(1)));
    assert_eq!(sim.rungs(), [(0, "g1"), (1, "g1")]);
}

#[test]
fn past_its_data_a_calendar_makes_its_checks_unknown() {
    let mut calendar = office();
    calendar.until = "1970-01-01".parse().ok();
    let mut nightly = quiet("q", remediation(1));
    nightly.trigger.every = Some(seconds(60));
    let book = with(calendar, vec![during("a", Some(remediation(1))), nightly]);
    let mut sim = begin(book, minutes(24 * 60 - 1), always(Status::Critical));
    sim.run_to(minutes(24 * 60 + 1));
    let standing = sim.core.standing("a").expect("there");
    assert_eq!(standing.status, Status::Unknown);
    assert!(
        standing.message.contains("its data ends on 1970-01-01"),
        "{}",
        standing.message
    );
    assert!(
        standing.looked > Some(minutes(24 * 60)),
        "seen at every slot"
    );
    round(&mut sim, true);
    sim.run_for(seconds(1));
    let report = sim.rounds[0].outcomes[0].report.as_ref().expect("answered");
    assert_eq!(
        (report.verdict.status, report.verdict.skipped),
        (Status::Unknown, false)
    );
    // Not knowing whether it is quiet, it holds; and does not keep silent.
    let quiet_acts = |sim: &Sim| {
        sim.acts
            .iter()
            .filter(|act| act.check == "q" && act.at > minutes(24 * 60))
            .count()
    };
    assert_eq!(quiet_acts(&sim), 0);
    assert_eq!(
        sim.core.would_hold(&"q".into()).map(|hold| hold.by),
        Some(HeldBy::Quiet)
    );
    assert_eq!(sim.core.quiet("q", sim.now), None);
}

#[test]
fn while_it_is_quiet_a_check_is_looked_at_and_not_repaired() {
    let book = with(office(), vec![quiet("a", remediation(1))]);
    let mut sim = begin(book, minutes(29), healed_by(1));
    sim.run_to(Moment(CLOSES.0 - 1_000));
    assert_eq!(
        sim.core.standing("a").expect("there").status,
        Status::Critical
    );
    assert!(sim.looks >= 5 && sim.acts.is_empty());
    assert_eq!(sim.held(), [HeldBy::Quiet]);
    let decision = &sim.reports.last().expect("looked").decision;
    assert_eq!(
        *decision,
        Decision::Held(
            Hold::by(HeldBy::Quiet)
                .until(CLOSES)
                .because("by the calendar office")
        )
    );
    assert!(sim.core.quiet("a", sim.now).is_some());
    round(&mut sim, true);
    sim.run_for(Duration::from_millis(10));
    assert!(sim.acts.is_empty(), "a person who asks is held as well");
    sim.run_to(CLOSES.plus(seconds(20)));
    assert_eq!((sim.acts.len(), &sim.ends[..]), (1, &[End::Verified][..]));
}

#[test]
fn what_is_under_way_is_verified_in_quiet_time_and_the_next_rung_waits_for_its_end() {
    // Quiet from 01:00 to 02:00; the first rung is done just before.
    let book = with(office(), vec![quiet("a", remediation(2))]);
    let mut sim = begin(book, Moment(OPENS.0 - 2_000), always(Status::Critical));
    sim.run_to(minutes(119));
    assert_eq!(sim.rungs(), [(0, "g1")]);
    assert_eq!(sim.ends, [End::Failed], "verified in quiet time");
    assert_eq!(sim.held(), [HeldBy::Quiet]);
    sim.run_to(minutes(121));
    assert_eq!(sim.rungs(), [(0, "g1"), (1, "g1")]);
}

#[test]
fn the_kill_switch_is_named_before_the_quiet_time() {
    let mut sim = begin(
        with(office(), vec![quiet("a", remediation(1))]),
        minutes(10),
        always(Status::Critical),
    );
    let pause = Pause {
        at: sim.now,
        by: String::new(),
        reason: String::new(),
        until: None,
    };
    sim.input(Input::Command(Command::Pause(pause)));
    sim.run_for(seconds(1));
    assert_eq!(sim.held(), [HeldBy::Pause]);
}

#[test]
fn a_changed_calendar_counts_at_once() {
    let book = with(office(), vec![during("a", None)]);
    let mut sim = begin(book, minutes(40), always(Status::Ok));
    sim.run_for(seconds(30));
    assert_eq!(sim.looks, 0);
    let mut longer = office();
    longer.weekly = std::array::from_fn(|_| vec![Session { from: 0, to: 120 }]);
    sim.input(Input::Reload(with(longer, vec![during("a", None)])));
    sim.run_for(seconds(1));
    assert_eq!(sim.looks, 1);
    sim.run_to(minutes(50));
    let looks = sim.looks;
    sim.input(Input::Reload(with(office(), vec![during("a", None)])));
    sim.run_to(minutes(59));
    assert_eq!(sim.looks, looks);
    assert_eq!(
        sim.core.standing("a").expect("there").message,
        "outside office"
    );
}

fn clock(text: &str) -> CheckOutline {
    let mut check = check("a", None);
    check.trigger.every = None;
    check.trigger.cron = cron::parse(text, chrono_tz::UTC).ok();
    check
}

#[test]
fn clock_times_are_kept_and_what_is_missed_is_counted() {
    let mut sim = begin(
        outline("g1", vec![clock("*/10 * * * *")]),
        minutes(5),
        always(Status::Ok),
    );
    sim.run_to(minutes(31));
    assert_eq!(
        sim.looks, 4,
        "once because it is new, and three times by the clock"
    );
    let at: Vec<i64> = sim
        .reports
        .iter()
        .map(|report| report.at.0 / 60_000)
        .collect();
    assert_eq!(at, [5, 10, 20, 30]);
    // Nobody ticks for an hour.
    sim.now = minutes(95);
    sim.input(Input::Tick);
    sim.run_for(seconds(1));
    assert_eq!((sim.looks, sim.core.missed()), (5, 5));
    // After a restart it waits for its slot, and an `every` besides does not.
    let mut saved = sim.saved();
    saved.standings = vec![("a".into(), sim.core.standing("a").expect("there").clone())];
    let mut again = Sim::new(
        outline("g1", vec![clock("*/10 * * * *")]),
        saved,
        minutes(96),
        always(Status::Ok),
    );
    again.run_to(minutes(99));
    assert_eq!(again.looks, 0);
    again.run_to(minutes(101));
    assert_eq!(again.looks, 1);
}

#[test]
fn an_investigation_by_clock_times_begins_inside_its_calendar_and_once() {
    let book = |text: &str| {
        let mut book = Outline::clone(&with(office(), vec![during("a", None)]));
        let it = InvestigationOutline {
            name: "rca".into(),
            fingerprint: text.to_owned(),
            trigger: Trigger {
                cron: cron::parse(text, chrono_tz::UTC).ok(),
                during: Some("office".into()),
                ..Trigger::default()
            },
            cooldown: Duration::ZERO,
            checks: vec!["a".into()],
        };
        book.investigations.insert("rca".into(), Arc::new(it));
        Arc::new(book)
    };
    let mut sim = begin(book("*/15 * * * *"), minutes(1), always(Status::Ok));
    sim.run_to(minutes(61));
    let began = |sim: &Sim| {
        sim.rounds
            .iter()
            .map(|round| round.began.0 / 60_000)
            .collect::<Vec<_>>()
    };
    assert_eq!(began(&sim), [15, 60], "not at 30 and 45, when it is closed");
    // Changed and changed back: the alarms of before are void.
    sim.input(Input::Reload(book("*/20 * * * *")));
    sim.input(Input::Reload(book("*/15 * * * *")));
    sim.run_to(minutes(81));
    assert_eq!(began(&sim), [15, 60, 75]);
    // By hand it begins at any time; the check is outside all the same.
    sim.run_to(minutes(130));
    let id = sim.core.new_round();
    let name = "rca".into();
    sim.input(Input::Command(Command::Investigate {
        id,
        name,
        cause: None,
        wait: seconds(1),
    }));
    sim.run_for(seconds(2));
    let last = sim.rounds.last().expect("done");
    assert!(
        last.outcomes[0]
            .report
            .as_ref()
            .is_some_and(|report| report.verdict.skipped)
    );
}

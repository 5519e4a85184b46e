//! Incidents in a small world of their own: what opens, joins and ends one, and who hears of it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::model::{
    attempt::{NoteKind, Page},
    incident::Acknowledged,
    notice::NoticeKind,
};

/// Rules and an engine, as far as incidents ask.
#[derive(Debug, Default)]
struct World {
    now: Moment,
    policies: BTreeMap<&'static str, Policy>,
    listeners: BTreeMap<&'static str, Vec<&'static str>>,
    silenced: BTreeSet<&'static str>,
    quiet: Option<Option<Moment>>,
    behind: BTreeMap<&'static str, &'static str>,
    stormed: BTreeSet<&'static str>,
    incidents: Incidents,
    told: Vec<Notice>,
    kept: BTreeMap<IncidentId, Incident>,
    post: Option<Post>,
}

struct Seer<'a>(&'a World);

impl View for Seer<'_> {
    fn listeners(&self, check: &str) -> Vec<Name> {
        let found = self.0.listeners.get(check);
        found
            .into_iter()
            .flatten()
            .map(|it| Name::from(*it))
            .collect()
    }
    fn policy(&self, notifier: &str) -> Option<&Policy> {
        self.0.policies.get(notifier)
    }
    fn hushed(&self, check: &str) -> Option<String> {
        let hushed = self.0.silenced.contains(check);
        hushed.then(|| "silenced by ann".to_owned())
    }
    fn open_until(&self, _: &Name) -> Option<Option<Moment>> {
        self.0.quiet
    }
}

const SECOND: i64 = 1000;
use Status::{Critical as C, Ok as O, Unknown as U, Warning as W};

impl World {
    /// One notifier, `ops`, told at once of what these checks say.
    fn telling(checks: &[&'static str]) -> World {
        let policy = Policy {
            after: Duration::ZERO,
            ..Policy::default()
        };
        World {
            policies: [("ops", policy)].into(),
            listeners: checks.iter().map(|check| (*check, vec!["ops"])).collect(),
            ..World::default()
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Policy)) -> World {
        change(self.policies.get_mut("ops").expect("ops"));
        self
    }

    fn apply<T>(&mut self, act: impl FnOnce(&mut Incidents, Moment, &Seer<'_>) -> T) -> T {
        let mut incidents = std::mem::take(&mut self.incidents);
        let done = act(&mut incidents, self.now, &Seer(self));
        incidents.tick_changed(self.now, &Seer(self));
        self.incidents = incidents;
        self.collect();
        done
    }

    fn collect(&mut self) {
        let (changed, post, notices) = self.incidents.take();
        for incident in changed {
            self.kept.insert(incident.id, incident);
        }
        if post.is_some() {
            self.post = post;
        }
        self.told.extend(notices);
    }

    fn see(&mut self, check: &'static str, status: Status) {
        let behind = self.behind.get(check).map(|cause| Name::from(*cause));
        let stormed = self.stormed.contains(check);
        let name = Name::from(check);
        self.apply(|incidents, now, view| {
            let seen = Seen {
                check: &name,
                status,
                message: "as it is",
                behind: behind.as_ref(),
                stormed,
            };
            incidents.seen(now, seen, view);
        });
    }

    /// Lets time pass, a second at a time.
    fn pass(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.now.0 += SECOND;
            self.apply(|incidents, now, view| incidents.tick(now, view));
        }
    }

    fn page(&mut self, check: &'static str, text: &str, to: &[&str]) {
        let page = Page {
            at: self.now,
            check: Some(check.into()),
            kind: NoteKind::Escalated,
            text: text.to_owned(),
            to: to.iter().map(|it| Name::from(*it)).collect(),
        };
        self.apply(|incidents, now, view| incidents.page(now, &page, view));
    }

    fn acknowledge(&mut self, check: &str, until: Option<i64>) -> Result<Incident, String> {
        let word = Acknowledged {
            at: self.now,
            by: "ann".to_owned(),
            reason: "on it".to_owned(),
            until: until.map(Moment),
        };
        self.apply(|incidents, _, view| incidents.acknowledge(Err(check), word, view))
    }

    /// (notifier, kind, check) of what was told since this was asked last.
    fn heard(&mut self) -> Vec<(String, &'static str, String)> {
        let told = std::mem::take(&mut self.told);
        told.iter()
            .map(|it| {
                let check = it.check.as_deref().unwrap_or("-").to_owned();
                (it.notifier.to_string(), it.kind.word(), check)
            })
            .collect()
    }

    /// The same of `ops` alone, as `opened a`.
    fn ops(&mut self) -> Vec<String> {
        let heard = self.heard().into_iter();
        heard
            .filter(|(name, ..)| name == "ops")
            .map(|(_, kind, check)| format!("{kind} {check}"))
            .collect()
    }

    /// The engine is killed and started again: what was kept is all there is.
    fn restart(&mut self) {
        let open = self.kept.values().filter(|it| it.is_open()).cloned();
        let storming = self.incidents.storming;
        self.incidents = Incidents::start(open.collect(), self.post.clone(), storming);
    }
}

#[test]
fn an_incident_is_told_once_and_its_end_to_who_heard_of_it() {
    let mut world = World::telling(&["a"]);
    world.see("a", C);
    world.see("a", C);
    world.pass(100);
    assert_eq!(world.ops(), ["opened a"]);
    world.see("a", O);
    assert_eq!(world.ops(), ["resolved a"]);
    world.see("a", C);
    assert_eq!(
        world.ops(),
        ["opened a"],
        "another problem is another incident"
    );
    assert_eq!(world.kept.len(), 2);
}

#[test]
fn what_is_over_before_it_is_told_is_told_to_nobody_unless_that_is_asked() {
    let mut world = World::telling(&["a"]).with(|it| it.after = Duration::from_secs(30));
    world.see("a", C);
    world.pass(29);
    world.see("a", O);
    world.pass(60);
    assert_eq!(world.ops(), [""; 0]);
    let mut world = world.with(|it| it.repaired = true);
    world.see("a", C);
    world.pass(5);
    world
        .incidents
        .repaired("a", "set_json data/x.json (proven)".to_owned());
    world.see("a", O);
    let said = world.told[0].text.clone();
    assert_eq!(world.ops(), ["resolved a"]);
    assert!(
        said.contains("repaired: a: set_json data/x.json (proven)"),
        "{said}"
    );
    // What stands so long is told.
    world.see("a", C);
    world.pass(31);
    assert_eq!(world.ops(), ["opened a"]);
}

#[test]
fn unknown_ends_nothing_and_opens_only_for_who_wants_to_hear_of_it() {
    let mut world = World::telling(&["a"]);
    world.see("a", U);
    world.see("a", C);
    world.see("a", U);
    world.pass(10);
    assert_eq!(world.ops(), ["opened a"]);
    world.see("a", O);
    assert_eq!(world.ops(), ["resolved a"]);
    let mut world = World::telling(&["a"]).with(|it| it.when = vec![C, U]);
    world.see("a", U);
    assert_eq!(world.ops(), ["opened a"]);
    world.see("a", O);
    assert_eq!(world.ops(), ["resolved a"]);
}

#[test]
fn a_warning_is_told_when_it_gets_worse_and_then_its_acknowledgement_is_void() {
    let mut world = World::telling(&["a"]);
    world.see("a", W);
    world.pass(5);
    assert_eq!(world.ops(), [""; 0], "warnings are not what it wants");
    world.acknowledge("a", None).unwrap();
    world.see("a", C);
    assert_eq!(world.ops(), ["opened a"]);
    let mut world = World::telling(&["a"]).with(|it| it.when = vec![W, C]);
    world.see("a", W);
    world.acknowledge("a", None).unwrap();
    world.see("a", C);
    assert_eq!(world.ops(), ["opened a", "acknowledged a", "worse a"]);
    assert_eq!(world.kept[&1].acknowledged, None);
    world.see("a", W);
    world.pass(60);
    assert_eq!(world.ops(), [""; 0], "better is no news");
    world.see("a", O);
    assert_eq!(world.ops(), ["resolved a"]);
}

#[test]
fn what_rests_on_a_broken_check_is_part_of_its_incident() {
    let mut world = World::telling(&["db", "web", "shop"]);
    world.behind = [("web", "db"), ("shop", "db")].into();
    world.see("db", C);
    world.see("web", C);
    world.see("shop", C);
    assert_eq!(world.ops(), ["opened db"]);
    world.pass(31);
    let update = world.told[0].clone();
    assert_eq!(world.ops(), ["update db"], "what joined is told as one");
    assert_eq!(update.checks, ["db".into(), "shop".into(), "web".into()]);
    assert!(
        update.text.contains("with it: shop, web"),
        "{}",
        update.text
    );
    world.behind.clear();
    world.see("db", O);
    world.see("web", O);
    world.pass(10);
    assert_eq!(world.ops(), [""; 0], "shop is still bad");
    world.see("shop", O);
    assert_eq!(world.ops(), ["resolved db"]);
    assert_eq!(world.kept.len(), 1);
}

#[test]
fn the_cause_may_be_seen_after_what_follows_from_it() {
    let mut world = World::telling(&["web"]);
    world.listeners.insert("db", vec!["ops"]);
    world.see("web", C);
    world.behind = [("web", "db")].into();
    world.see("db", C);
    world.see("web", C);
    assert_eq!(world.ops(), ["opened web", "opened db", "joined web"]);
    assert_eq!(
        world.kept[&1].ended.as_ref().map(|it| it.how),
        Some(Ending::Joined(2))
    );
    world.see("db", O);
    world.see("web", O);
    assert_eq!(world.ops(), ["resolved db"]);
}

#[test]
fn who_heard_of_the_consequence_hears_of_the_cause() {
    let mut world = World::telling(&["web"]);
    world.see("web", C);
    world.behind = [("web", "db")].into();
    world.see("db", C);
    assert_eq!(world.ops(), ["opened web"], "nobody wants to hear of db");
    world.see("web", C);
    world.pass(1);
    assert_eq!(world.ops(), ["joined web", "opened db"]);
    world.see("web", O);
    world.see("db", O);
    assert_eq!(world.ops(), ["resolved db"]);
}

#[test]
fn a_storm_is_one_incident() {
    let mut world = World::telling(&["a", "b", "c"]);
    world.see("a", C);
    world.stormed = ["a", "b", "c"].into();
    world.apply(|incidents, now, view| incidents.storm(now, Some("3 of 4 turned bad"), view));
    for check in ["a", "b", "c"] {
        world.see(check, C);
    }
    assert_eq!(world.ops(), ["opened a", "joined a", "opened -"]);
    for check in ["a", "b", "c"] {
        world.see(check, O);
    }
    assert_eq!(world.ops(), [""; 0], "the storm is not over");
    world.apply(|incidents, now, view| incidents.storm(now, None, view));
    assert_eq!(world.ops(), ["resolved -"]);
}

#[test]
fn only_whom_the_page_named_has_a_line_of_the_storm_already() {
    for named in [true, false] {
        let mut world = World::telling(&["a", "b"]);
        world.see("a", C);
        world.see("b", C);
        world.stormed = ["a", "b"].into();
        world.told.clear();
        let page = Page {
            at: world.now,
            check: None,
            kind: NoteKind::StormBegan,
            text: "a storm".to_owned(),
            to: named.then(|| "ops".into()).into_iter().collect(),
        };
        world.apply(|incidents, now, view| {
            incidents.storm(now, Some("2 of 2 turned bad"), view);
            for check in ["a", "b"] {
                let seen = Seen {
                    check: &check.into(),
                    status: C,
                    message: "as it is",
                    behind: None,
                    stormed: true,
                };
                incidents.seen(now, seen, view);
            }
            incidents.page(now, &page, view);
        });
        let opened: Vec<bool> = world
            .told
            .iter()
            .filter(|it| it.check.is_none() && it.kind == NoticeKind::Opened)
            .map(|it| it.paged)
            .collect();
        assert_eq!(opened, [named]);
    }
}

#[test]
fn a_page_is_told_at_once_to_whom_it_names() {
    let mut world = World::telling(&[]).with(|it| it.after = Duration::from_secs(600));
    world.see("a", C);
    world.page("a", "as it is: the ladder is exhausted", &["ops"]);
    let notice = world.told[0].clone();
    assert_eq!(world.ops(), ["opened a"]);
    assert!(notice.paged, "journals have it from the page");
    assert!(
        notice.text.contains("\nthe ladder is exhausted\n"),
        "{}",
        notice.text
    );
    world.page("a", "as it is: quarantined", &["ops"]);
    assert_eq!(world.ops(), ["update a"]);
    world.see("a", O);
    assert_eq!(world.ops(), ["resolved a"]);
    // Of what is no incident there is nothing to resolve.
    world.page("a", "nothing proves the repair", &["ops", "nobody"]);
    assert_eq!(world.ops(), ["note a"]);
}

#[test]
fn what_is_silenced_is_told_when_the_silence_ends_if_it_still_stands() {
    let mut world = World::telling(&["a", "b"]);
    world.silenced = ["a"].into();
    world.see("a", C);
    world.see("b", C);
    world.pass(60);
    assert_eq!(world.ops(), ["opened b"]);
    world.silenced.clear();
    world.pass(1);
    assert_eq!(world.ops(), ["opened a"]);
    world.silenced = ["a"].into();
    world.see("a", O);
    assert_eq!(
        world.ops(),
        ["resolved a"],
        "whoever heard of it hears of its end"
    );
}

#[test]
fn quiet_hours_hold_what_stands_and_sum_up_what_came_and_went() {
    let mut world = World::telling(&["a", "b", "c"]).with(|it| {
        it.quiet = Some(("night".into(), vec![]));
        it.when = vec![W, C];
    });
    world.see("c", C);
    assert_eq!(world.ops(), ["opened c"]);
    let morning = Moment(3_600_000);
    world.quiet = Some(Some(morning));
    world.see("a", C);
    world.see("b", W);
    world.pass(60);
    world.see("b", O);
    world.see("c", O);
    let end = world.told[0].clone();
    assert_eq!(world.ops(), ["resolved c"]);
    assert_eq!(end.due, morning, "told, but not before they are over");
    world.restart();
    world.quiet = None;
    world.pass(1);
    let told = world.told.clone();
    assert_eq!(world.ops(), ["opened a", "summary -"]);
    assert_eq!(told[1].title, "1 incident came and went while it was quiet");
    assert!(
        told[1].text.starts_with("WARNING b: as it is"),
        "{}",
        told[1].text
    );
    world.pass(10);
    assert_eq!(world.ops(), [""; 0]);
}

#[test]
fn quiet_hours_may_let_the_worst_through() {
    let mut world = World::telling(&["a", "b"]).with(|it| {
        it.quiet = Some(("night".into(), vec![C]));
        it.when = vec![W, C];
    });
    world.quiet = Some(None);
    world.see("a", C);
    world.see("b", W);
    assert_eq!(world.ops(), ["opened a"]);
    world.see("a", O);
    assert_eq!(world.told[0].due, world.now);
    assert_eq!(world.ops(), ["resolved a"]);
}

#[test]
fn what_is_over_the_limit_comes_in_one_and_ends_are_always_told() {
    const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let limit = Some((3, Duration::from_secs(3600)));
    let mut world = World::telling(&NAMES).with(|it| it.limit = limit);
    for name in NAMES {
        world.see(name, C);
        world.pass(1);
    }
    assert_eq!(world.ops(), ["opened a", "opened b", "opened c"]);
    world.see("a", O);
    assert_eq!(world.ops(), ["resolved a"]);
    world.restart();
    world.pass(3600);
    let told = world.told.clone();
    assert_eq!(world.ops(), ["summary -"]);
    assert_eq!(told[0].title, "3 more incidents");
    assert_eq!(told[0].text.lines().count(), 3);
    for name in ["d", "e", "f"] {
        world.see(name, O);
    }
    assert_eq!(
        world.ops().len(),
        3,
        "whoever heard of them hears of their ends"
    );
}

#[test]
fn nobody_acknowledges_and_the_next_one_hears_of_it() {
    let escalate = Some((Duration::from_secs(900), vec!["boss".into()]));
    let mut world = World::telling(&["a"]).with(|it| it.escalate = escalate);
    world.policies.insert("boss", Policy::default());
    world.see("a", C);
    world.pass(899);
    world.restart();
    assert_eq!(world.ops(), ["opened a"]);
    world.pass(2);
    let boss = ("boss".to_owned(), "escalated", "a".to_owned());
    assert!(world.told[0].text.contains("ops did not acknowledge it"));
    assert_eq!(world.heard(), [boss]);
    assert!(world.kept[&1].escalated);
    world.pass(3600);
    assert_eq!(world.heard(), []);
    world.see("a", O);
    assert_eq!(world.heard().len(), 2, "both hear of the end");
}

#[test]
fn an_acknowledgement_stops_escalation_and_repeats_until_its_time_is_over() {
    let escalate = Some((Duration::from_secs(60), vec!["boss".into()]));
    let mut world = World::telling(&["a"]).with(|it| {
        it.escalate = escalate;
        it.repeat = Some(Duration::from_secs(120));
    });
    world.policies.insert("boss", Policy::default());
    world.see("a", C);
    world.pass(10);
    assert!(world.acknowledge("b", None).is_err());
    let until = world.now.0 + 300 * SECOND;
    let incident = world.acknowledge("a", Some(until)).unwrap();
    assert_eq!(
        incident.acknowledged.map(|it| it.by).as_deref(),
        Some("ann")
    );
    assert_eq!(world.ops(), ["opened a", "acknowledged a"]);
    world.restart();
    world.pass(299);
    assert_eq!(world.heard(), []);
    world.pass(2);
    let heard = world.heard();
    assert!(
        heard.contains(&("boss".to_owned(), "escalated", "a".to_owned())),
        "{heard:?}"
    );
    assert!(
        heard.contains(&("ops".to_owned(), "repeat", "a".to_owned())),
        "{heard:?}"
    );
}

#[test]
fn checks_that_are_gone_end_their_incidents() {
    let mut world = World::telling(&["a", "b"]);
    world.behind = [("b", "a")].into();
    world.see("a", C);
    world.see("b", C);
    world.ops();
    world.apply(|incidents, now, view| incidents.retain(now, |name| &**name != "a", view));
    assert_eq!(world.ops(), [""; 0], "b is still bad");
    world.apply(|incidents, now, view| incidents.retain(now, |_| false, view));
    assert_eq!(world.ops(), ["resolved a"]);
    assert_eq!(
        world.kept[&1].ended.as_ref().map(|it| it.how),
        Some(Ending::Removed)
    );
}

#[test]
fn the_words_of_a_notice() {
    let mut world = World::telling(&["db", "web"]);
    world.now = Moment(1_767_717_000_000);
    world.behind = [("web", "db")].into();
    world.see("db", C);
    world.see("web", C);
    world.pass(60);
    world.page("db", "as it is: its repair is held by cooldown", &["ops"]);
    world
        .incidents
        .repaired("db", "restart_unit db (proven, attempt 3)".to_owned());
    world.see("web", O);
    world.see("db", O);
    let told = std::mem::take(&mut world.told);
    let shown: Vec<String> = told
        .iter()
        .map(|it| format!("{}: {}\n{}\n", it.kind.word(), it.title, it.text))
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r"
    opened: CRITICAL db
    as it is
    since 2026-01-06T16:30:00.000Z
    incident 1

    update: CRITICAL db
    as it is
    with it: web
    since 2026-01-06T16:30:00.000Z (30s)
    incident 1

    update: CRITICAL db
    as it is
    its repair is held by cooldown
    with it: web
    since 2026-01-06T16:30:00.000Z (1m)
    incident 1

    resolved: OK db
    as it is
    with it: web
    repaired: db: restart_unit db (proven, attempt 3)
    it was CRITICAL for 1m, since 2026-01-06T16:30:00.000Z
    incident 1
    ");
}

#[derive(Clone, Debug)]
enum Step {
    See(usize, Status),
    Pass(i64),
    Silence(usize),
    Quiet(bool),
    Storm(bool),
    Page(usize),
    Acknowledge(usize),
    Behind(usize, usize),
    Restart,
}

const CHECKS: [&str; 4] = ["a", "b", "c", "d"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let check = || 0..CHECKS.len();
    let status = prop::sample::select(&Status::ALL[..]);
    let one = prop_oneof![
        8 => (check(), status).prop_map(|(check, status)| Step::See(check, status)),
        4 => (1..200_i64).prop_map(Step::Pass),
        1 => check().prop_map(Step::Silence),
        1 => any::<bool>().prop_map(Step::Quiet),
        1 => any::<bool>().prop_map(Step::Storm),
        1 => check().prop_map(Step::Page),
        1 => check().prop_map(Step::Acknowledge),
        1 => (check(), check()).prop_map(|(one, other)| Step::Behind(one, other)),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(one, 1..60)
}

fn walk(world: &mut World, steps: &[Step]) {
    for step in steps {
        match step {
            Step::See(check, status) => world.see(CHECKS[*check], *status),
            Step::Pass(seconds) => world.pass(*seconds),
            Step::Silence(check) => {
                let name = CHECKS[*check];
                if !world.silenced.remove(name) {
                    world.silenced.insert(name);
                }
            }
            Step::Quiet(quiet) => world.quiet = quiet.then_some(None),
            Step::Storm(on) => {
                world.stormed = if *on { CHECKS.into() } else { BTreeSet::new() };
                let said = on.then_some("many turned bad");
                world.apply(|incidents, now, view| incidents.storm(now, said, view));
            }
            Step::Page(check) => world.page(CHECKS[*check], "it cannot help itself", &["ops"]),
            Step::Acknowledge(check) => drop(world.acknowledge(CHECKS[*check], None)),
            Step::Behind(one, other) if one < other => {
                world.behind.insert(CHECKS[*one], CHECKS[*other]);
            }
            Step::Behind(..) => world.behind.clear(),
            Step::Restart => world.restart(),
        }
    }
}

fn worlds() -> impl Strategy<Value = World> {
    let limits = prop_oneof![Just(None), Just(Some((2, Duration::from_secs(100))))];
    let quiet = prop_oneof![Just(None), Just(Some(("night".into(), vec![C])))];
    (0..90_u64, limits, quiet, any::<bool>()).prop_map(|(after, limit, quiet, repeats)| {
        let mut world = World::telling(&CHECKS).with(|it| {
            it.when = vec![W, C];
            it.after = Duration::from_secs(after);
            it.limit = limit;
            it.quiet = quiet;
            it.repeat = repeats.then_some(Duration::from_secs(60));
            it.escalate = Some((Duration::from_secs(90), vec!["boss".into()]));
        });
        world.policies.insert("boss", Policy::default());
        world
    })
}

proptest! {
    /// One opening an incident and notifier; nothing before it but a summary, nothing after the end; and whoever heard
    /// of it hears of its end, once, when everything is well.
    #[test]
    fn everybody_hears_a_beginning_and_an_end(mut world in worlds(), steps in steps()) {
        walk(&mut world, &steps);
        world.stormed.clear();
        world.apply(|incidents, now, view| incidents.storm(now, None, view));
        for check in CHECKS {
            world.see(check, O);
        }
        prop_assert_eq!(world.incidents.open().count(), 0);
        prop_assert_eq!(world.incidents.members().count(), 0);
        for incident in world.kept.values() {
            prop_assert!(!incident.is_open());
            for (name, listener) in &incident.listeners {
                let about: Vec<NoticeKind> = world
                    .told
                    .iter()
                    .filter(|it| it.incident == Some(incident.id) && it.notifier == *name)
                    .map(|it| it.kind)
                    .collect();
                let begins = |kind: &&NoticeKind| matches!(kind, NoticeKind::Opened | NoticeKind::Escalated);
                let openings = about.iter().filter(begins).count();
                let ends = about.iter().filter(|kind| kind.closes()).count();
                prop_assert!(openings <= 1, "{about:?}");
                prop_assert_eq!(ends, usize::from(listener.told.is_some()), "{:?}", about);
                if listener.told.is_none() {
                    prop_assert_eq!(&about, &Vec::<NoticeKind>::new());
                } else {
                    prop_assert!(about.last().is_some_and(|last| last.closes()), "{about:?}");
                    if openings == 1 {
                        prop_assert!(begins(&&about[0]), "{about:?}");
                    }
                }
            }
        }
    }

    /// UNKNOWN changes nothing: with it or without, the same incidents end.
    #[test]
    fn unknown_never_ends_an_incident(mut world in worlds(), steps in steps()) {
        walk(&mut world, &steps);
        let open: Vec<IncidentId> = world.incidents.open().map(|it| it.id).collect();
        for check in CHECKS {
            world.see(check, U);
        }
        let still: Vec<IncidentId> = world.incidents.open().map(|it| it.id).collect();
        prop_assert_eq!(open, still);
    }

    /// A restart forgets and repeats nothing.
    #[test]
    fn a_restart_changes_nothing(world in worlds(), steps in steps(), at in 0..60_usize) {
        let run = |restart: bool| {
            let mut world = World {
                policies: world.policies.clone(),
                listeners: world.listeners.clone(),
                ..World::default()
            };
            let steps: Vec<Step> = steps.iter().filter(|it| !matches!(it, Step::Restart)).cloned().collect();
            let at = at.min(steps.len());
            walk(&mut world, &steps[..at]);
            if restart {
                world.restart();
            }
            walk(&mut world, &steps[at..]);
            world.told
        };
        prop_assert_eq!(run(false), run(true));
    }

    /// Never more in a window than the limit says, but for ends.
    #[test]
    fn the_limit_holds(mut world in worlds(), steps in steps()) {
        let window = Duration::from_secs(100);
        if let Some(policy) = world.policies.get_mut("ops") {
            policy.limit = Some((2, window));
        }
        // What a page or a step of a rule says is said.
        let steps: Vec<Step> = steps.into_iter().filter(|it| !matches!(it, Step::Page(_))).collect();
        walk(&mut world, &steps);
        let at: Vec<Moment> = world
            .told
            .iter()
            .filter(|it| &*it.notifier == "ops" && !it.kind.closes())
            .map(|it| it.at)
            .collect();
        for (index, first) in at.iter().enumerate() {
            let inside = at[index..].iter().filter(|it| it.since(*first) < window).count();
            prop_assert!(inside <= 2, "{at:?}");
        }
    }
}

//! Receivers that are down, slow or choosy, by a clock that jumps.

use proptest::prelude::*;

use super::*;
use crate::model::{
    notice::{Notice, NoticeKind},
    status::Status,
};

const MINUTE: i64 = 60_000;

fn notice(id: u64, incident: u64, kind: NoticeKind, at: i64) -> Delivery {
    let notice = Notice {
        id,
        notifier: "ops".into(),
        incident: Some(incident),
        at: Moment(at),
        kind,
        status: Status::Critical,
        before: None,
        check: None,
        checks: Vec::new(),
        title: String::new(),
        text: String::new(),
        opened: None,
        closed: None,
        due: Moment(at),
        paged: false,
    };
    Delivery::new(Arc::new(notice), "webhook")
}

/// A receiver, and the clock.
#[derive(Default)]
struct Sim {
    queue: Queue,
    now: i64,
    /// What arrived, in its order.
    arrived: Vec<u64>,
    tries: Vec<(i64, u64)>,
    kept: BTreeMap<u64, Delivery>,
}

impl Sim {
    fn add(&mut self, delivery: Delivery) {
        self.kept.insert(delivery.notice.id, delivery.clone());
        for gone in self.queue.add(delivery, Moment(self.now)) {
            self.kept.insert(gone.notice.id, gone);
        }
    }

    /// Until then, with what the receiver says to each try.
    fn run(&mut self, until: i64, receiver: &mut dyn FnMut(i64, u64) -> Result<Sent, Unsent>) {
        loop {
            while let Some(next) = self.queue.next(Moment(self.now)) {
                let id = next.delivery.notice.id;
                self.tries.push((self.now, id));
                let outcome = receiver(self.now, id);
                if outcome.is_ok() {
                    self.arrived.push(id);
                }
                let done = self.queue.done(&next.lane, id, outcome, Moment(self.now));
                self.kept.extend(done.map(|it| (it.notice.id, it)));
            }
            match self.queue.due() {
                Some(due) if due.0 <= until => self.now = due.0.max(self.now),
                _ => break,
            }
        }
        self.now = until;
    }

    fn restart(&mut self) {
        let kept = self.kept.values().cloned().collect();
        self.queue = Queue::start(kept, Moment(self.now));
    }

    fn state(&self, id: u64) -> DeliveryState {
        self.kept[&id].state
    }
}

fn down(_: i64, _: u64) -> Result<Sent, Unsent> {
    Err(Unsent::later("refused"))
}

fn fine(_: i64, _: u64) -> Result<Sent, Unsent> {
    Ok(Sent::default())
}

#[test]
fn a_receiver_that_is_down_for_an_hour_gets_everything_in_order() {
    use NoticeKind::{Opened, Resolved};
    let mut sim = Sim::default();
    sim.add(notice(1, 1, Opened, 0));
    sim.run(10 * MINUTE, &mut down);
    sim.add(notice(2, 2, Opened, sim.now));
    sim.add(notice(3, 1, Resolved, sim.now));
    sim.run(30 * MINUTE, &mut down);
    sim.restart();
    sim.add(notice(4, 2, Resolved, sim.now));
    sim.add(notice(5, 3, Opened, sim.now));
    sim.run(60 * MINUTE, &mut down);
    assert_eq!(sim.arrived, [0; 0]);
    assert!(
        sim.tries.len() < 40,
        "it is not hammered: {}",
        sim.tries.len()
    );
    sim.run(71 * MINUTE, &mut fine);
    let mut sorted = sim.arrived.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [1, 2, 3, 4, 5]);
    let at = |id: u64| sim.arrived.iter().position(|it| *it == id);
    assert!(at(1) < at(3) && at(2) < at(4), "{:?}", sim.arrived);
    let last = sim.tries.last().map(|(at, _)| *at);
    assert!(last < Some(71 * MINUTE), "at once when it is back");
    assert!(sim.kept.values().all(|it| it.state == DeliveryState::Sent));
}

#[test]
fn waits_double_up_to_ten_minutes_with_some_spread() {
    let mut sim = Sim::default();
    sim.add(notice(1, 1, NoticeKind::Opened, 0));
    sim.run(180 * MINUTE, &mut down);
    let at: Vec<i64> = sim.tries.iter().map(|(at, _)| at / 1000).collect();
    let waits: Vec<i64> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (wait, wanted) in waits.iter().zip([5, 10, 20, 40, 80, 160, 320, 600, 600]) {
        let wanted = f64::from(wanted);
        let wait = *wait as f64;
        assert!(
            wait >= (wanted * 0.8).floor() && wait <= (wanted * 1.2).ceil().min(600.0),
            "{waits:?}"
        );
    }
    assert_ne!(backoff(1, 5), backoff(2, 5));
}

#[test]
fn what_is_refused_for_good_is_failed_and_delays_nothing() {
    let mut sim = Sim::default();
    sim.add(notice(1, 1, NoticeKind::Opened, 0));
    sim.add(notice(2, 2, NoticeKind::Opened, 0));
    sim.run(1000, &mut |_, id| match id {
        1 => Err(Unsent::never("answered 404")),
        _ => Ok(Sent::default()),
    });
    assert_eq!(sim.arrived, [2]);
    assert_eq!(sim.state(1), DeliveryState::Failed);
    assert_eq!(sim.kept[&1].why.as_deref(), Some("answered 404"));
}

#[test]
fn one_that_is_refused_again_and_again_holds_up_its_own_incident_only() {
    use NoticeKind::{Opened, Resolved};
    let mut sim = Sim::default();
    sim.add(notice(1, 1, Opened, 0));
    sim.add(notice(2, 1, Resolved, 0));
    sim.add(notice(3, 2, Opened, 0));
    sim.add(notice(4, 2, Resolved, 0));
    let mut poisoned = |_, id| match id {
        1 => Err(Unsent::later("answered 500")),
        _ => Ok(Sent::default()),
    };
    sim.run(10 * MINUTE, &mut poisoned);
    assert_eq!(sim.arrived, [3, 4]);
    sim.run(4 * 24 * 60 * MINUTE, &mut poisoned);
    assert_eq!(
        sim.state(1),
        DeliveryState::Failed,
        "given up after three days"
    );
    assert!(
        sim.kept[&1]
            .why
            .as_deref()
            .is_some_and(|why| why.starts_with("given up after "))
    );
    assert_eq!(sim.state(2), DeliveryState::Sent);
}

#[test]
fn a_receiver_is_not_asked_before_the_time_it_names() {
    let mut sim = Sim::default();
    sim.add(notice(1, 1, NoticeKind::Opened, 0));
    sim.add(notice(2, 2, NoticeKind::Opened, 0));
    let wait = Duration::from_secs(1800);
    sim.run(5 * MINUTE, &mut |_, _| {
        Err(Unsent {
            why: "answered 429".to_owned(),
            again: Again::After(wait),
        })
    });
    assert_eq!(sim.tries, [(0, 1)], "nor for another notice");
    sim.run(31 * MINUTE, &mut fine);
    assert_eq!(
        sim.arrived,
        [2, 1],
        "the one that was not tried comes first"
    );
}

#[test]
fn a_newer_one_replaces_an_update_that_was_not_tried() {
    use NoticeKind::{Opened, Resolved, Update};
    let mut sim = Sim::default();
    sim.add(notice(1, 1, Opened, 0));
    sim.run(1000, &mut down);
    sim.add(notice(2, 1, Update, 1000));
    sim.add(notice(3, 2, Update, 1000));
    sim.add(notice(4, 1, Update, 2000));
    sim.add(notice(5, 1, Resolved, 3000));
    assert_eq!(sim.state(2), DeliveryState::Replaced);
    assert_eq!(sim.state(3), DeliveryState::Waiting, "of another incident");
    sim.run(20 * MINUTE, &mut fine);
    let of_one: Vec<u64> = sim.arrived.iter().copied().filter(|id| *id != 3).collect();
    assert_eq!(of_one, [1, 4, 5]);
}

#[test]
fn too_many_drop_what_can_be_done_without_and_never_an_end_before_that() {
    use NoticeKind::{Opened, Repeat, Resolved};
    let mut sim = Sim::default();
    sim.add(notice(1, 1, Resolved, 0));
    sim.add(notice(2, 2, Opened, 0));
    sim.add(notice(3, 3, Repeat, 0));
    for id in 4..=MOST as u64 + 2 {
        sim.add(notice(id, id, Opened, 0));
    }
    assert_eq!(sim.state(3), DeliveryState::Dropped);
    assert_eq!(sim.state(2), DeliveryState::Dropped);
    assert_eq!(sim.state(1), DeliveryState::Waiting);
    let counts: Vec<Counts> = sim.queue.counts().map(|(_, counts)| counts).collect();
    assert_eq!((counts[0].waiting, counts[0].dropped), (MOST as u64, 2));
}

#[test]
fn later_messages_of_an_incident_know_the_first() {
    let mut sim = Sim::default();
    sim.add(notice(1, 1, NoticeKind::Opened, 0));
    sim.run(0, &mut |_, _| {
        Ok(Sent {
            said: String::new(),
            thread: Some("m1".to_owned()),
        })
    });
    sim.restart();
    sim.add(notice(2, 1, NoticeKind::Resolved, 10));
    let next = sim.queue.next(Moment(10)).unwrap();
    assert_eq!(next.thread.as_deref(), Some("m1"));
    sim.add(notice(3, 2, NoticeKind::Opened, 10));
    assert!(sim.queue.next(Moment(10)).is_none(), "one at a time");
}

#[test]
fn what_is_held_back_waits_for_its_time() {
    let mut held = notice(1, 1, NoticeKind::Resolved, 0);
    let notice = Notice {
        due: Moment(8 * 60 * MINUTE),
        ..Notice::clone(&held.notice)
    };
    held = Delivery::new(Arc::new(notice), "webhook");
    let mut sim = Sim::default();
    sim.add(held);
    sim.restart();
    sim.run(7 * 60 * MINUTE, &mut fine);
    assert_eq!(sim.arrived, [0; 0]);
    sim.run(8 * 60 * MINUTE, &mut fine);
    assert_eq!(sim.arrived, [1]);
}

proptest! {
    /// Whatever the receiver does and however often the engine dies: what is not refused for good arrives, once for
    /// every time it was not known to have arrived, and in its order within an incident.
    #[test]
    fn everything_arrives_in_order(
        notices in prop::collection::vec((1..4_u64, 0..120_i64), 1..20),
        outages in prop::collection::vec((0..120_i64, 1..60_i64), 0..5),
        kills in prop::collection::btree_set(0..200_i64, 0..4),
    ) {
        let up = |at: i64| !outages.iter().any(|(from, long)| (from * MINUTE..(from + long) * MINUTE).contains(&at));
        let mut receiver = |at, _| if up(at) { Ok(Sent::default()) } else { Err(Unsent::later("down")) };
        let mut sim = Sim::default();
        let mut notices: Vec<(u64, i64)> = notices;
        notices.sort_by_key(|(_, at)| *at);
        let kinds = [NoticeKind::Opened, NoticeKind::Worse, NoticeKind::Resolved];
        let mut events: Vec<(i64, Option<Delivery>)> = notices
            .iter()
            .enumerate()
            .map(|(index, (incident, at))| {
                let kind = kinds[index % 3];
                (at * MINUTE, Some(notice(index as u64 + 1, *incident, kind, at * MINUTE)))
            })
            .collect();
        events.extend(kills.iter().map(|at| (at * MINUTE, None)));
        events.sort_by_key(|(at, _)| *at);
        for (at, event) in events {
            sim.run(at, &mut receiver);
            match event {
                Some(delivery) => sim.add(delivery),
                None => sim.restart(),
            }
        }
        sim.run(400 * MINUTE, &mut receiver);
        let mut sorted = sim.arrived.clone();
        sorted.sort_unstable();
        prop_assert_eq!(sorted, (1..=notices.len() as u64).collect::<Vec<_>>());
        for incident in 1..4 {
            let of: Vec<u64> = sim
                .arrived
                .iter()
                .copied()
                .filter(|id| notices[*id as usize - 1].0 == incident)
                .collect();
            prop_assert!(of.is_sorted(), "{of:?}");
        }
    }
}

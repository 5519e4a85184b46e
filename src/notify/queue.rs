//! What is on its way, without I/O: what to try next, when to try again, when to give up.
//!
//! Each channel of each notifier is a *lane* of its own: a receiver that is down delays no other. In a lane one notice is
//! tried at a time; those of one incident go in their order, and one that is refused again and again holds up its own
//! incident only. Every notice is tried until it arrives, is refused for good, or is older than [`GIVE_UP`]; what is on its
//! way is bounded by [`MOST`].

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use sha2::{Digest, Sha256};

use super::{Again, Sent, Unsent};
use crate::model::{
    Name,
    incident::IncidentId,
    moment::Moment,
    notice::{Delivery, DeliveryState, NoticeId},
};

/// From the first failure to the second try, and the longest wait between two tries.
pub const BACKOFF: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(600));
/// What did not arrive for so long is given up.
pub const GIVE_UP: Duration = Duration::from_secs(3 * 86_400);
/// Notices that wait in a lane; beyond these the oldest that can be done without are dropped, and counted.
pub const MOST: usize = 1000;
/// Incidents whose messages are known by their receivers' names.
const MOST_THREADS: usize = 10_000;

/// A channel of a notifier.
pub type LaneKey = (Name, String);

#[derive(Default)]
pub struct Queue {
    lanes: BTreeMap<LaneKey, Lane>,
    threads: HashMap<(Name, String, IncidentId), String>,
}

#[derive(Default)]
struct Lane {
    waiting: BTreeMap<NoticeId, Delivery>,
    flying: Option<NoticeId>,
    /// Tries in a row that failed.
    failures: u32,
    /// Nothing is tried before this.
    next: Moment,
    counts: Counts,
}

/// How a lane did since the engine started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    pub waiting: u64,
    pub sent: u64,
    pub failed: u64,
    pub dropped: u64,
    pub last_error: Option<String>,
    /// When the next one is tried.
    pub next: Option<Moment>,
}

/// One to be tried now.
#[derive(Clone, Debug)]
pub struct Try {
    pub lane: LaneKey,
    pub delivery: Delivery,
    /// By what the receiver knows the incident's message.
    pub thread: Option<String>,
}

impl Queue {
    /// Goes on from what was kept. What waited is tried at once: the receiver may be well again.
    pub fn start(deliveries: Vec<Delivery>, now: Moment) -> Queue {
        let mut queue = Queue::default();
        for mut delivery in deliveries {
            queue.remember_thread(&delivery);
            if delivery.state == DeliveryState::Waiting {
                delivery.next = delivery.notice.due.max(now.min(delivery.next));
                let lane = queue.lane(&delivery);
                lane.waiting.insert(delivery.notice.id, delivery);
            }
        }
        queue
    }

    fn lane(&mut self, delivery: &Delivery) -> &mut Lane {
        let key = (delivery.notice.notifier.clone(), delivery.channel.clone());
        self.lanes.entry(key).or_default()
    }

    fn remember_thread(&mut self, delivery: &Delivery) {
        let (Some(thread), Some(incident)) = (&delivery.thread, delivery.notice.incident) else {
            return;
        };
        if self.threads.len() >= MOST_THREADS {
            let oldest = self.threads.keys().map(|(.., id)| *id).min();
            self.threads.retain(|(.., id), _| Some(*id) != oldest);
        }
        let key = (
            delivery.notice.notifier.clone(),
            delivery.channel.clone(),
            incident,
        );
        // What came first is what later ones answer.
        self.threads.entry(key).or_insert_with(|| thread.clone());
    }

    /// Takes one up. Returns those that it makes needless, to be kept so.
    pub fn add(&mut self, delivery: Delivery, now: Moment) -> Vec<Delivery> {
        let lane = self.lane(&delivery);
        let mut gone = Vec::new();
        let incident = delivery.notice.incident;
        let overtaken: Vec<NoticeId> = lane
            .waiting
            .values()
            .filter(|old| incident.is_some() && old.notice.incident == incident)
            .filter(|old| old.tries == 0 && lane.flying != Some(old.notice.id))
            .filter(|old| old.notice.kind.is_overtaken() && !delivery.notice.kind.closes())
            .map(|old| old.notice.id)
            .collect();
        for id in overtaken {
            let why = "a newer one says it".to_owned();
            gone.extend(lane.take(id, DeliveryState::Replaced, why, now));
        }
        lane.waiting.insert(delivery.notice.id, delivery);
        while lane.waiting.len() > MOST {
            let Some(id) = lane.least() else { break };
            let why = format!("more than {MOST} notices wait");
            gone.extend(lane.take(id, DeliveryState::Dropped, why, now));
            lane.counts.dropped += 1;
        }
        gone
    }

    /// The next to be tried now, if any. It is in flight until [`Queue::done`].
    pub fn next(&mut self, now: Moment) -> Option<Try> {
        let (key, id) = self.lanes.iter().find_map(|(key, lane)| {
            let id = lane.ready(now)?;
            Some((key.clone(), id))
        })?;
        let lane = self.lanes.get_mut(&key)?;
        lane.flying = Some(id);
        let delivery = lane.waiting.get(&id)?.clone();
        let thread = delivery.notice.incident.and_then(|incident| {
            let key = (key.0.clone(), key.1.clone(), incident);
            self.threads.get(&key).cloned()
        });
        Some(Try {
            lane: key,
            delivery,
            thread,
        })
    }

    /// How a try went. Returns what is to be kept.
    pub fn done(
        &mut self,
        key: &LaneKey,
        id: NoticeId,
        outcome: Result<Sent, Unsent>,
        now: Moment,
    ) -> Option<Delivery> {
        let lane = self.lanes.get_mut(key)?;
        if lane.flying == Some(id) {
            lane.flying = None;
        }
        let delivery = lane.waiting.get_mut(&id)?;
        delivery.tries = delivery.tries.saturating_add(1);
        match outcome {
            Ok(sent) => {
                delivery.thread = sent.thread;
                let mut done = lane.waiting.remove(&id)?;
                done.state = DeliveryState::Sent;
                done.ended = Some(now);
                done.why = None;
                lane.counts.sent += 1;
                lane.counts.last_error = None;
                if lane.failures > 1 {
                    // The receiver is back: what waited for it does not wait any longer.
                    for other in lane.waiting.values_mut() {
                        other.next = other.notice.due;
                    }
                }
                lane.failures = 0;
                lane.next = now;
                self.remember_thread(&done);
                Some(done)
            }
            Err(Unsent { why, again }) => {
                lane.counts.last_error = Some(why.clone());
                let old = now.since(delivery.notice.at.max(delivery.notice.due)) >= GIVE_UP;
                if again == Again::Never || old {
                    let why = match again {
                        Again::Never => why,
                        _ => format!("given up after {} tries: {why}", delivery.tries),
                    };
                    lane.counts.failed += 1;
                    return lane.take(id, DeliveryState::Failed, why, now);
                }
                delivery.why = Some(why);
                let asked = match again {
                    Again::After(wait) => wait,
                    _ => Duration::ZERO,
                };
                let own = backoff(id, delivery.tries).max(asked);
                delivery.next = now.plus(own);
                let kept = delivery.clone();
                lane.failures = lane.failures.saturating_add(1);
                lane.next = now.plus(backoff(id, lane.failures).max(asked));
                Some(kept)
            }
        }
    }

    /// Takes a lane for something that is no notice, if nothing waits there. Until it is given back nothing is tried.
    pub fn borrow(&mut self, key: &LaneKey) -> bool {
        let lane = self.lanes.entry(key.clone()).or_default();
        let free = lane.waiting.is_empty() && lane.flying.is_none();
        if free {
            lane.flying = Some(0);
        }
        free
    }

    pub fn give_back(&mut self, key: &LaneKey) {
        if let Some(lane) = self.lanes.get_mut(key)
            && lane.flying == Some(0)
        {
            lane.flying = None;
        }
    }

    /// When there is something to try next, if nothing else happens.
    pub fn due(&self) -> Option<Moment> {
        self.lanes.values().filter_map(Lane::due).min()
    }

    /// Whether something could be tried right now, or is being tried.
    pub fn is_busy(&self, now: Moment) -> bool {
        let mut lanes = self.lanes.values();
        lanes.any(|lane| lane.flying.is_some() || lane.ready(now).is_some())
    }

    pub fn counts(&self) -> impl Iterator<Item = (&LaneKey, Counts)> {
        self.lanes.iter().map(|(key, lane)| {
            let counts = Counts {
                waiting: lane.waiting.len() as u64,
                next: lane.due(),
                ..lane.counts.clone()
            };
            (key, counts)
        })
    }
}

impl Lane {
    /// Ends one that waits.
    fn take(
        &mut self,
        id: NoticeId,
        state: DeliveryState,
        why: String,
        now: Moment,
    ) -> Option<Delivery> {
        let mut delivery = self.waiting.remove(&id)?;
        delivery.state = state;
        delivery.why = Some(why);
        delivery.ended = Some(now);
        Some(delivery)
    }

    /// The oldest of those that can best be done without: never what ends something that was told.
    fn least(&self) -> Option<NoticeId> {
        let all = || {
            let all = self.waiting.values();
            all.filter(|it| self.flying != Some(it.notice.id))
        };
        let small = all().find(|it| it.notice.kind.is_overtaken());
        let open = || all().find(|it| !it.notice.kind.closes());
        let any = || all().next();
        let least = small.or_else(open).or_else(any);
        least.map(|it| it.notice.id)
    }

    /// The first of each incident.
    fn heads(&self) -> impl Iterator<Item = &Delivery> {
        let mut seen = BTreeSet::new();
        self.waiting
            .values()
            .filter(move |it| match it.notice.incident {
                Some(incident) => seen.insert(incident),
                None => true,
            })
    }

    fn ready(&self, now: Moment) -> Option<NoticeId> {
        if self.flying.is_some() || self.next > now {
            return None;
        }
        let heads = self.heads().filter(|it| it.next <= now);
        let first = heads.min_by_key(|it| (it.tries, it.notice.id));
        first.map(|it| it.notice.id)
    }

    fn due(&self) -> Option<Moment> {
        if self.flying.is_some() {
            return None;
        }
        let first = self.heads().map(|it| it.next).min()?;
        Some(first.max(self.next))
    }
}

/// How long to wait after so many tries: doubling, and a fifth more or less by a hash, so that many do not come at once.
fn backoff(id: NoticeId, tries: u32) -> Duration {
    let (first, longest) = BACKOFF;
    let doubled = first.saturating_mul(
        1_u32
            .checked_shl(tries.saturating_sub(1).min(20))
            .unwrap_or(1),
    );
    let hash = Sha256::digest(format!("{id}/{tries}"));
    let part = f64::from(hash.first().copied().unwrap_or(0)) / 255.0;
    doubled.min(longest).mul_f64(0.8 + 0.4 * part).min(longest)
}

/// A delivery for each channel of a notifier.
pub fn deliveries<'a>(
    notice: &Arc<crate::model::notice::Notice>,
    channels: impl Iterator<Item = &'a str>,
) -> Vec<Delivery> {
    channels
        .map(|channel| Delivery::new(notice.clone(), channel))
        .collect()
}

#[cfg(test)]
mod tests {
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
}

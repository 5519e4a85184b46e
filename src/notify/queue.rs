//! What is on its way, without I/O: what to try next, when to try again, when to give up.
//!
//! Each channel of each notifier is a *lane* of its own: a receiver that is down delays no other. In a lane one notice is
//! tried at a time; those of one incident go in their order, and one that is refused again and again holds up its own
//! incident only. Every notice is tried until it arrives, is refused for good, or is older than [`GIVE_UP`]; what is on its
//! way is bounded by [`MOST`].

#[cfg(test)]
mod tests;

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

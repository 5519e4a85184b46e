//! When to look: slots by arithmetic from a fixed origin, never by adding to the last finish.
//!
//! The slots of an interval are `phase + k × every` since the Unix epoch, so they are the same before and after a
//! restart, a reload or a long look. What is due is computed; what was missed is counted, not replayed. Slots of a cron
//! expression are clock times ([`cron`]); a [`calendar`] says when there is anything to look at.

pub mod calendar;
pub mod cron;
pub mod zone;

use std::time::Duration;

use sha2::{Digest, Sha256};

use self::calendar::State;
use crate::model::{calendar::Calendar, moment::Moment, outline::Trigger};

/// The shortest interval a slot may have.
pub const SHORTEST: Duration = Duration::from_millis(100);

/// Where in the interval a check's slots lie: a hash of its name spreads checks evenly; zero without splay.
pub fn phase(name: &str, trigger: &Trigger) -> Duration {
    let Some(every) = trigger.every.filter(|_| trigger.splay) else {
        return Duration::ZERO;
    };
    let hash = Sha256::digest(name.as_bytes());
    let mut first = [0u8; 8];
    first.copy_from_slice(&hash[..8]);
    let every = (every.as_millis() as u64).max(1);
    Duration::from_millis(u64::from_be_bytes(first) % every)
}

/// The first slot after `now`.
pub fn next_slot(every: Duration, phase: Duration, now: Moment) -> Moment {
    let every = every.max(SHORTEST).as_millis() as i64;
    let phase = phase.as_millis() as i64;
    let gone = (now.0.saturating_sub(phase)).div_euclid(every);
    Moment(
        gone.saturating_add(1)
            .saturating_mul(every)
            .saturating_add(phase),
    )
}

/// How many whole slots lie between the one that was due and `now`: they were missed.
pub fn missed(every: Duration, slot: Moment, now: Moment) -> u64 {
    (now.since(slot).as_millis() / every.max(SHORTEST).as_millis()) as u64
}

/// The first slot of a trigger after `now`, whatever its calendars say.
pub fn next(trigger: &Trigger, phase: Duration, now: Moment) -> Option<Moment> {
    match (trigger.every, &trigger.cron) {
        (Some(every), _) => Some(next_slot(every, phase, now)),
        (None, Some(cron)) => cron::next_slot(cron, now),
        (None, None) => None,
    }
}

/// More missed slots of a cron expression, or stretches of a calendar, are not counted.
const MOST_COUNTED: u64 = 10_000;

/// How many slots lie after the one that was due and up to `now`, while the calendar was open.
pub fn missed_slots(
    trigger: &Trigger,
    phase: Duration,
    calendar: Option<&Calendar>,
    slot: Moment,
    now: Moment,
) -> u64 {
    if let (Some(every), None) = (trigger.every, calendar) {
        return missed(every, slot, now);
    }
    let after = Moment(now.0.saturating_add(1));
    let (mut at, mut count) = (slot, 0);
    for _ in 0..MOST_COUNTED {
        if at >= now {
            break;
        }
        let hours = calendar.map(|calendar| calendar.hours(at));
        let until = hours.and_then(|hours| hours.until);
        let end = until.map_or(after, |until| until.min(after));
        if hours.is_none_or(|hours| hours.state == State::Open) {
            count += slots_between(trigger, phase, at, end);
        }
        at = end;
    }
    count
}

/// Slots after `from` and before `to`.
fn slots_between(trigger: &Trigger, phase: Duration, from: Moment, to: Moment) -> u64 {
    if let Some(every) = trigger.every {
        let first = next_slot(every, phase, from);
        return match first < to {
            true => 1 + missed(every, first, Moment(to.0 - 1)),
            false => 0,
        };
    }
    let mut slot = next(trigger, phase, from);
    let mut count = 0;
    while let Some(at) = slot.filter(|at| *at < to)
        && count < MOST_COUNTED
    {
        count += 1;
        slot = next(trigger, phase, at);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_slot_does_not_depend_on_when_it_is_asked_for() {
        let asked: Vec<_> = [60_000, 60_001, 119_999]
            .map(|now| next_slot(MINUTE, Duration::ZERO, Moment(now)))
            .into();
        assert_eq!(asked, [Moment(120_000); 3]);
    }

    #[test]
    fn a_late_look_counts_what_it_missed() {
        assert_eq!(missed(MINUTE, Moment(60_000), Moment(60_500)), 0);
        assert_eq!(missed(MINUTE, Moment(60_000), Moment(300_000)), 4);
    }

    #[test]
    fn what_is_missed_while_closed_is_not_missed() {
        let hour = 3_600_000;
        let mut office = calendar::tests::empty(chrono_tz::UTC);
        let session = crate::model::calendar::Session { from: 540, to: 600 };
        office.weekly = std::array::from_fn(|_| vec![session]); // 9 to 10
        let every = Trigger {
            every: Some(MINUTE * 10),
            ..Trigger::default()
        };
        let cron = Trigger {
            cron: Some(cron::parse("*/10 * * * *", chrono_tz::UTC).expect("an expression")),
            ..Trigger::default()
        };
        for trigger in [&every, &cron] {
            let missed = |slot, now| {
                missed_slots(
                    trigger,
                    Duration::ZERO,
                    Some(&office),
                    Moment(slot),
                    Moment(now),
                )
            };
            assert_eq!(missed(9 * hour, 9 * hour), 0);
            assert_eq!(missed(9 * hour, 9 * hour + 600_000), 1);
            assert_eq!(
                missed(9 * hour, 20 * hour),
                5,
                "the slot at 10 does not count"
            );
            assert_eq!(
                missed(9 * hour, 33 * hour + 600_000),
                6,
                "and on the next day one more"
            );
            let always = missed_slots(trigger, Duration::ZERO, None, Moment(0), Moment(hour));
            assert_eq!(always, 6);
        }
    }

    proptest! {
        #[test]
        fn slots_are_the_grid(every in 100u64..10_000_000, phase in 0u64..10_000_000, now in -1_000_000_000_000i64..4_000_000_000_000) {
            let phase = phase % every;
            let slot = next_slot(Duration::from_millis(every), Duration::from_millis(phase), Moment(now));
            prop_assert!(slot.0 > now && slot.0 - now <= every as i64);
            prop_assert_eq!((slot.0 - phase as i64).rem_euclid(every as i64), 0);
        }

        #[test]
        fn checks_are_spread_over_their_interval(names in prop::collection::hash_set("[a-z]{3,12}", 50)) {
            let trigger = Trigger { every: Some(MINUTE), splay: true, ..Trigger::default() };
            let early = names.iter().filter(|name| phase(name, &trigger) < MINUTE / 2).count();
            prop_assert!((5..=45).contains(&early), "{early} of 50 in the first half");
        }
    }
}

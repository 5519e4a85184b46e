//! May I: what may hold a remediation back. Pure; every answer names the guard and until when it holds.

use std::time::Duration;

use crate::model::{
    moment::Moment,
    outline::Guard,
    standing::{Budget, HeldBy, Pause},
};

/// Asked before every rung.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub now: Moment,
    pub guard: &'a Guard,
    pub budget: &'a Budget,
    pub pause: Option<&'a Pause>,
    /// Another attempt of the same check is open.
    pub in_flight: bool,
    /// The rung in question; a ladder begins with 0.
    pub rung: usize,
    /// When the clock last jumped, or the machine slept.
    pub jumped: Option<Moment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    Go {
        /// The one trial of a quarantined remediation.
        trial: bool,
    },
    Held {
        by: HeldBy,
        until: Option<Moment>,
    },
}

/// The first guard that holds, hardest first: what a person said, what is under way, what has been spent.
pub fn decide(request: Request<'_>) -> Ruling {
    let Request {
        now, guard, budget, ..
    } = request;
    let held = |by, until| Ruling::Held { by, until };
    if let Some(pause) = request.pause.filter(|pause| pauses(pause, now)) {
        return held(HeldBy::Pause, pause.until);
    }
    if request.in_flight {
        return held(HeldBy::InFlight, None);
    }
    if let Some(until) = later(request.jumped, guard.cooldown, now) {
        return held(HeldBy::Clock, Some(until));
    }
    if let Some(until) = later(budget.quarantined, guard.cooldown, now) {
        return held(HeldBy::Breaker, Some(until));
    }
    if let Some(until) = full_until(budget, guard, now) {
        return held(HeldBy::Limit, Some(until));
    }
    if request.rung == 0
        && let Some(until) = later(budget.rested, guard.cooldown, now)
    {
        return held(HeldBy::Cooldown, Some(until));
    }
    if let Some(until) = later(budget.failed, backoff(guard, budget.unverified), now) {
        return held(HeldBy::Backoff, Some(until));
    }
    Ruling::Go {
        trial: budget.quarantined.is_some(),
    }
}

/// Whether the kill switch is on at `now`.
pub fn pauses(pause: &Pause, now: Moment) -> bool {
    pause.until.is_none_or(|until| now < until)
}

/// `from + span`, if that still lies ahead. A `from` in the future (a clock set back) holds for one span from now.
fn later(from: Option<Moment>, span: Duration, now: Moment) -> Option<Moment> {
    let until = from?.min(now).plus(span);
    (now < until).then_some(until)
}

/// When the window has room again, if it has none now.
fn full_until(budget: &Budget, guard: &Guard, now: Moment) -> Option<Moment> {
    let edge = now.minus(guard.window);
    let inside: Vec<Moment> = budget
        .begun
        .iter()
        .copied()
        .filter(|at| *at > edge)
        .collect();
    let limit = guard.limit as usize;
    if inside.len() < limit {
        return None;
    }
    // A limit of 0 never has room.
    let leaving = inside
        .len()
        .checked_sub(limit.max(1))
        .map_or(now, |index| inside[index]);
    Some(leaving.min(now).plus(guard.window))
}

/// The wait after `unverified` repairs in a row that did not help: 0, first, 2 × first … at most the last.
fn backoff(guard: &Guard, unverified: u32) -> Duration {
    let (first, most) = guard.backoff;
    match unverified {
        0 => Duration::ZERO,
        n => first.saturating_mul(1u32 << (n - 1).min(20)).min(most),
    }
}

/// What begins to be spent when a rung is intended.
pub fn spend(budget: &mut Budget, guard: &Guard, now: Moment) {
    let edge = now.minus(guard.window);
    budget.begun.retain(|at| *at > edge);
    budget.begun.push(now);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request<'a>(now: i64, guard: &'a Guard, budget: &'a Budget) -> Request<'a> {
        Request {
            now: Moment(now),
            guard,
            budget,
            pause: None,
            in_flight: false,
            rung: 0,
            jumped: None,
        }
    }

    #[test]
    fn a_fresh_check_may() {
        let (guard, budget) = (Guard::default(), Budget::default());
        assert_eq!(
            decide(request(0, &guard, &budget)),
            Ruling::Go { trial: false }
        );
    }

    #[test]
    fn the_kill_switch_comes_first_and_ends_when_it_says() {
        let (guard, budget) = (Guard::default(), Budget::default());
        let pause = Pause {
            at: Moment(0),
            by: "me".to_owned(),
            reason: String::new(),
            until: Some(Moment(10)),
        };
        let at = |now| {
            decide(Request {
                pause: Some(&pause),
                ..request(now, &guard, &budget)
            })
        };
        assert_eq!(
            at(9),
            Ruling::Held {
                by: HeldBy::Pause,
                until: Some(Moment(10))
            }
        );
        assert_eq!(at(10), Ruling::Go { trial: false });
    }

    #[test]
    fn a_quarantined_remediation_gets_one_trial_after_its_cooldown() {
        let guard = Guard::default();
        let budget = Budget {
            quarantined: Some(Moment(0)),
            ..Budget::default()
        };
        assert_eq!(
            decide(request(599_999, &guard, &budget)),
            Ruling::Held {
                by: HeldBy::Breaker,
                until: Some(Moment(600_000))
            }
        );
        assert_eq!(
            decide(request(600_000, &guard, &budget)),
            Ruling::Go { trial: true }
        );
    }

    #[test]
    fn backoff_doubles_up_to_its_end() {
        let guard = Guard::default();
        let seconds: Vec<u64> = (0..8).map(|n| backoff(&guard, n).as_secs()).collect();
        assert_eq!(seconds, [0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn a_clock_set_back_holds_for_one_cooldown_and_not_for_ever() {
        let guard = Guard::default();
        let budget = Budget {
            rested: Some(Moment(86_400_000)),
            ..Budget::default()
        };
        assert_eq!(
            decide(request(0, &guard, &budget)),
            Ruling::Held {
                by: HeldBy::Cooldown,
                until: Some(Moment(600_000))
            }
        );
    }

    proptest! {
        #[test]
        fn the_limit_holds_in_any_window(limit in 1u32..5, window in 1u64..1_000, asks in prop::collection::vec(0i64..200, 1..200)) {
            let guard = Guard {
                cooldown: Duration::ZERO,
                limit,
                window: Duration::from_millis(window),
                ..Guard::default()
            };
            let (mut now, mut budget, mut begun) = (0, Budget::default(), Vec::new());
            for wait in asks {
                now += wait;
                match decide(request(now, &guard, &budget)) {
                    Ruling::Go { .. } => {
                        spend(&mut budget, &guard, Moment(now));
                        begun.push(now);
                    }
                    Ruling::Held { by, until } => {
                        prop_assert_eq!(by, HeldBy::Limit);
                        prop_assert!(until.is_some_and(|until| until.0 > now));
                    }
                }
            }
            for (index, start) in begun.iter().enumerate() {
                let inside = begun[index..].iter().filter(|at| **at < start + window as i64).count();
                prop_assert!(inside <= limit as usize);
            }
        }
    }
}

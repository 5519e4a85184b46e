//! May I: what may hold a remediation back. Pure; every answer names the guard, until when it holds, and why.

use std::time::Duration;

use crate::model::{
    Name,
    moment::Moment,
    outline::Guard,
    standing::{Budget, HeldBy, Hold, Pause, Silence, Storm},
};

/// A check that has been healthy for so long begins its backoff anew.
pub const HEALTHY: Duration = Duration::from_secs(600);

/// Asked before every rung.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub now: Moment,
    pub guard: &'a Guard,
    pub budget: &'a Budget,
    pub pause: Option<&'a Pause>,
    /// One that covers the check.
    pub silence: Option<&'a Silence>,
    pub storm: Option<&'a Storm>,
    /// A check this one needs, near or far, that is CRITICAL.
    pub dependency: Option<&'a Name>,
    /// The check whose repair set off this very look, while that settles.
    pub stirred: Option<&'a Stirred>,
    /// Another attempt of the same check is open.
    pub in_flight: bool,
    /// The rung in question; a ladder begins with 0.
    pub rung: usize,
    /// When the clock last jumped, or the machine slept.
    pub jumped: Option<Moment>,
}

/// A repair whose own traces set off a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stirred {
    /// The check that is being repaired.
    pub check: Name,
    /// When it has settled, where that is known.
    pub until: Option<Moment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    Go {
        /// The one trial of a quarantined remediation.
        trial: bool,
    },
    Held(Hold),
}

/// The first guard that holds, hardest first: what a person said, what is amiss elsewhere, what is under way, what has
/// been spent.
pub fn decide(request: Request<'_>) -> Ruling {
    match held(&request) {
        Some(hold) => Ruling::Held(hold),
        None => Ruling::Go {
            trial: request.budget.quarantined.is_some(),
        },
    }
}

fn held(request: &Request<'_>) -> Option<Hold> {
    let Request {
        now, guard, budget, ..
    } = *request;
    let until = |by, until: Moment| Some(Hold::by(by).until(until));
    if let Some(pause) = request.pause.filter(|pause| pauses(pause, now)) {
        return Some(paused(pause));
    }
    if let Some(silence) = request.silence {
        let why = said(&silence.by, &silence.reason);
        return Some(
            Hold::by(HeldBy::Silence)
                .until(silence.until)
                .because(format!("silence {} {why}", silence.id)),
        );
    }
    if let Some(storm) = request.storm.filter(|storm| now < storm.until) {
        return Some(stormy(storm));
    }
    if request.in_flight {
        let why = "the repair before has not ended";
        return Some(Hold::by(HeldBy::InFlight).because(why));
    }
    if let Some(needed) = request.dependency {
        let why = format!("{needed} is CRITICAL");
        return Some(Hold::by(HeldBy::Dependency).because(why));
    }
    if let Some(stirred) = request.stirred {
        let why = format!("the repair of {} set this off", stirred.check);
        let hold = Hold::by(HeldBy::Settling).because(why);
        return Some(Hold {
            until: stirred.until,
            ..hold
        });
    }
    if let Some(at) = later(request.jumped, guard.cooldown, now) {
        let why = "the clock jumped, or the machine slept";
        return Some(Hold::by(HeldBy::Clock).until(at).because(why));
    }
    if let Some(at) = later(budget.quarantined, guard.cooldown, now) {
        let why = format!(
            "{} repairs in a row were not verified; then one trial",
            budget.unverified
        );
        return Some(Hold::by(HeldBy::Breaker).until(at).because(why));
    }
    if let Some(at) = full_until(budget, guard, now) {
        let window = humantime::format_duration(guard.window);
        let why = format!("{} per {window} are spent", guard.limit);
        return Some(Hold::by(HeldBy::Limit).until(at).because(why));
    }
    if request.rung == 0
        && let Some(at) = later(budget.rested, guard.cooldown, now)
    {
        return until(HeldBy::Cooldown, at);
    }
    if let Some(at) = later(budget.tried, backoff(guard, budget.tries), now) {
        let why = format!("after {} without lasting health", times(budget.tries));
        return Some(Hold::by(HeldBy::Backoff).until(at).because(why));
    }
    None
}

fn times(count: u32) -> String {
    match count {
        1 => "a repair".to_owned(),
        n => format!("{n} repairs"),
    }
}

/// The kill switch, as a hold.
pub fn paused(pause: &Pause) -> Hold {
    Hold {
        by: HeldBy::Pause,
        until: pause.until,
        why: Some(said(&pause.by, &pause.reason)),
    }
}

/// A storm, as a hold.
pub fn stormy(storm: &Storm) -> Hold {
    let why = format!("{} checks turned bad together", storm.turned);
    Hold::by(HeldBy::Storm).until(storm.until).because(why)
}

fn said(by: &str, reason: &str) -> String {
    match (by, reason) {
        ("", reason) => reason.to_owned(),
        (by, "") => format!("by {by}"),
        (by, reason) => format!("by {by}: {reason}"),
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

/// The wait after so many repairs: 0, first, 2 × first … at most the last.
fn backoff(guard: &Guard, tries: u32) -> Duration {
    let (first, most) = guard.backoff;
    match tries {
        0 => Duration::ZERO,
        n => first.saturating_mul(1u32 << (n - 1).min(20)).min(most),
    }
}

/// Limits that never hold: for asking only what people and storms say.
pub fn unlimited() -> Guard {
    Guard {
        cooldown: Duration::ZERO,
        limit: u32::MAX,
        backoff: (Duration::ZERO, Duration::ZERO),
        ..Guard::default()
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
            silence: None,
            storm: None,
            dependency: None,
            stirred: None,
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
            Ruling::Held(Hold::by(HeldBy::Pause).until(Moment(10)).because("by me"))
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
            Ruling::Held(
                Hold::by(HeldBy::Breaker)
                    .until(Moment(600_000))
                    .because("0 repairs in a row were not verified; then one trial")
            )
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
            Ruling::Held(Hold::by(HeldBy::Cooldown).until(Moment(600_000)))
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
                    Ruling::Held(Hold { by, until, .. }) => {
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

//! What is being acted on: two repairs never act on one target at a time, and what a repair itself stirs up while it
//! settles begins no other.

use std::time::Duration;

use super::{Core, Output, Wish};
use crate::{
    guard::Stirred,
    model::{
        attempt::{Attempt, AttemptId, Phase},
        moment::Moment,
        standing::{HeldBy, Hold},
    },
};

/// News of a change may come so long after the repair that made it has ended.
const ECHO: Duration = Duration::from_secs(2);

/// What an ended repair may still be heard of.
#[derive(Clone, Debug)]
pub(super) struct Echo {
    stirred: Stirred,
    until: Moment,
    targets: Vec<String>,
}

impl Core {
    /// A rung is about to act on these. Granted to the first who asks, until its attempt ends.
    pub(super) fn claim(&mut self, id: AttemptId, targets: Vec<String>, out: &mut Vec<Output>) {
        let taken = self.taken(id, &targets);
        if let Some((_, other)) = &taken {
            self.blocked.insert(id, *other);
        }
        let refused = match self.attempts.get(&id) {
            Some(attempt) if attempt.phase == Phase::Acting => taken.map(|(hold, _)| hold),
            _ => Some(Hold::by(HeldBy::InFlight).because("its attempt has ended")),
        };
        if refused.is_none()
            && let Some(attempt) = self.attempts.get_mut(&id)
        {
            let known = attempt.targets.len();
            for target in targets {
                if !attempt.targets.contains(&target) {
                    attempt.targets.push(target);
                }
            }
            if attempt.targets.len() > known {
                self.write_attempt(id, out);
            }
        }
        out.push(Output::Claimed {
            attempt: id,
            refused,
        });
    }

    /// Whether what blocked this attempt has ended before the attempt could say that it was blocked: then nobody is left
    /// to wake it.
    pub(super) fn is_free_again(&mut self, id: AttemptId) -> bool {
        let other = self.blocked.remove(&id);
        other.is_some_and(|other| !self.attempts.contains_key(&other))
    }

    /// What holds it back, and the attempt that has the target.
    fn taken(&self, id: AttemptId, targets: &[String]) -> Option<(Hold, AttemptId)> {
        let others = self.attempts.values().filter(|other| other.id != id);
        for other in others {
            if let Some(target) = targets.iter().find(|it| other.targets.contains(it)) {
                let why = format!(
                    "{target} is being repaired by {} (attempt {})",
                    other.check, other.id
                );
                let hold = Hold::by(HeldBy::Conflict).because(why);
                return Some((hold, other.id));
            }
        }
        None
    }

    /// Whose repair made this change, if one did just now.
    pub(super) fn stirred_by(&mut self, target: &str) -> Option<Stirred> {
        let now = self.now;
        self.echoes.retain(|echo| now < echo.until);
        let is = |targets: &[String]| targets.iter().any(|it| it == target);
        let acting = |attempt: &&Attempt| {
            matches!(
                attempt.phase,
                Phase::Acting | Phase::Settling { .. } | Phase::Verifying { .. }
            ) && is(&attempt.targets)
        };
        if let Some(attempt) = self.attempts.values().find(acting) {
            return Some(Stirred {
                check: attempt.check.clone(),
                until: None,
            });
        }
        let echo = self.echoes.iter().find(|echo| is(&echo.targets))?;
        Some(echo.stirred.clone())
    }

    /// What set off this look, if it was nothing but a repair that still settles.
    pub(super) fn stirred(&self, wish: &Wish) -> Option<Stirred> {
        let stirred = wish.stirred.as_ref()?;
        if wish.slot || !wish.rounds.is_empty() {
            return None;
        }
        let open = || self.attempts.values().any(|it| it.check == stirred.check);
        match stirred.until {
            Some(until) => self.now < until,
            None => open(),
        }
        .then(|| stirred.clone())
    }

    /// An attempt has ended: others may have its targets, and what it left behind may still be heard of.
    pub(super) fn let_go(&mut self, attempt: &Attempt, out: &mut Vec<Output>) {
        if attempt.targets.is_empty() {
            return;
        }
        let until = self.now.plus(ECHO);
        self.echoes.retain(|echo| self.now < echo.until);
        self.echoes.push(Echo {
            stirred: Stirred {
                check: attempt.check.clone(),
                until: Some(until),
            },
            until,
            targets: attempt.targets.clone(),
        });
        self.release(HeldBy::Conflict, out);
        self.release(HeldBy::Settling, out);
    }

    /// The clock jumped.
    pub(super) fn shift_echoes(&mut self, by: i64) {
        for echo in &mut self.echoes {
            echo.until.0 = echo.until.0.saturating_add(by);
            echo.stirred.until = Some(echo.until);
        }
    }
}

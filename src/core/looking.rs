//! Looks: when one starts, what its answer means for the standing, and what it sets off.

use std::sync::Arc;

use super::{Asked, Check, Core, Flight, Output, Target, Wish, agenda::Alarm, hours::Outside};
use crate::model::{
    Name,
    attempt::Row,
    moment::Moment,
    outline::Patience,
    report::{Decision, Reason, Report, Ticket},
    standing::{Prior, Standing},
    status::Status,
    verdict::Verdict,
};

impl Core {
    /// Wants a look: now, or as soon as the one under way has ended.
    pub(super) fn want(&mut self, name: &Name, wish: Wish, out: &mut Vec<Output>) {
        let Some(check) = self.checks.get_mut(name) else {
            return;
        };
        if check.flight.is_some() {
            check.wanted.get_or_insert_default().merge(wish);
        } else {
            self.look(name, wish, out);
        }
    }

    fn look(&mut self, name: &Name, wish: Wish, out: &mut Vec<Output>) {
        match self.outside(name) {
            Some(Outside::Closed { calendar, opens }) => {
                return self.skip(name, &wish, calendar, opens, out);
            }
            Some(Outside::Unknown { why }) => return self.see_nothing(name, wish, why, out),
            None => {}
        }
        let Some(check) = self.checks.get_mut(name) else {
            return;
        };
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        check.flight = Some(ticket);
        let reason = wish.reason();
        let verify = check
            .attempt
            .filter(|attempt| wish.verify.contains(attempt));
        let keep = wish.slot || wish.event || !wish.rounds.is_empty();
        let asked = Asked {
            ticket,
            check: name.clone(),
            generation: self.outline.generation.clone(),
            reason,
            verify,
            keep,
            prior: check.standing.prior.clone(),
        };
        let deadline = self.now.plus(check.outline.deadline + Core::MARGIN);
        let epoch = check.epoch;
        self.agenda.add(deadline, Alarm::Deadline(ticket));
        let flight = Flight {
            check: name.clone(),
            epoch,
            wish,
        };
        self.flights.insert(ticket, flight);
        out.push(Output::Look(asked));
    }

    /// A look that shows why there is none.
    fn see_nothing(&mut self, name: &Name, wish: Wish, why: String, out: &mut Vec<Output>) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let Some(check) = self.checks.get_mut(name) else {
            return;
        };
        check.flight = Some(ticket);
        let flight = Flight {
            check: name.clone(),
            epoch: check.epoch,
            wish,
        };
        self.flights.insert(ticket, flight);
        self.looked(ticket, Arc::new(Verdict::unknown(why)), out);
    }

    /// No answer in time: UNKNOWN. The driver judges its own time-outs (`on_error`); this is for drivers that hang.
    pub(super) fn overdue(&mut self, ticket: Ticket, out: &mut Vec<Output>) {
        if !self.flights.contains_key(&ticket) {
            return;
        }
        out.push(Output::Abandon(ticket));
        let verdict = Verdict::unknown("no answer within the deadline");
        self.looked(ticket, Arc::new(verdict), out);
    }

    pub(super) fn looked(&mut self, ticket: Ticket, verdict: Arc<Verdict>, out: &mut Vec<Output>) {
        let Some(flight) = self.flights.remove(&ticket) else {
            return; // late: its deadline was kept for it
        };
        let name = flight.check.clone();
        let Some(check) = self
            .checks
            .get_mut(&name)
            .filter(|check| check.epoch == flight.epoch && check.flight == Some(ticket))
        else {
            return; // of a check that is gone, or of its predecessor
        };
        check.flight = None;
        let now = self.now;
        let old = check.standing.status;
        let (moved, persist) = remember(check, &verdict, now);
        let status = check.standing.status;
        let was = moved.then_some(old);
        if persist {
            out.push(Output::Persist(Row::Standing {
                check: name.clone(),
                standing: check.standing.clone(),
            }));
        }
        if let Some(from) = was {
            out.push(Output::Persist(Row::Change {
                check: name.clone(),
                at: now,
                from,
                to: status,
                message: verdict.message.clone(),
            }));
        }
        let decision = self.consider(&name, &flight.wish, &verdict, out);
        let report = Report {
            check: name.clone(),
            ticket,
            at: now,
            reason: flight.wish.reason(),
            verdict: verdict.clone(),
            status,
            was,
            decision,
        };
        out.push(Output::Report(report.clone()));
        self.set_off_by_check(&name, &flight.wish, verdict.status, out);
        self.prove(&name, &flight.wish, &verdict, out);
        self.round_looked(&flight.wish, report, out);
        let wanted = self.checks.get_mut(&name).and_then(|check| {
            if check.flight.is_none() {
                check.wanted.take()
            } else {
                None
            }
        });
        if let Some(wish) = wanted {
            self.look(&name, wish, out);
        }
    }

    /// Every look of a check may set off others. A look that only verifies a repair sets off nothing, nor does the look
    /// of an investigation set off the same investigation: neither is news.
    fn set_off_by_check(
        &mut self,
        name: &Name,
        wish: &Wish,
        status: Status,
        out: &mut Vec<Output>,
    ) {
        if wish.reason() == Reason::Verify && !wish.slot && !wish.event && wish.rounds.is_empty() {
            return;
        }
        let Some(wires) = self.wires.checks.get(name) else {
            return;
        };
        let targets: Vec<Target> = wires
            .iter()
            .filter(|(target, statuses)| {
                statuses.contains(&status) && *target != Target::Check(name.clone())
            })
            .map(|(target, _)| target.clone())
            .collect();
        self.set_off(targets, out);
    }

    /// An event: its checks are looked at, its investigations begin.
    pub(super) fn set_off(&mut self, targets: Vec<Target>, out: &mut Vec<Output>) {
        for target in targets {
            match target {
                Target::Check(name) => {
                    let wish = Wish {
                        event: true,
                        ..Wish::default()
                    };
                    self.want(&name, wish, out);
                }
                Target::Investigation(name)
                    if self.investigating(&name) || self.is_outside(&name) => {}
                Target::Investigation(name) => {
                    let id = self.new_round();
                    self.investigate(id, name, None, super::round::PATIENCE, out);
                }
            }
        }
    }

    /// Changes what holds a remediation; a row is written only when that begins.
    pub(super) fn note_held(&mut self, name: &Name, decision: &Decision, out: &mut Vec<Output>) {
        let Some(check) = self.checks.get_mut(name) else {
            return;
        };
        let held = match decision {
            Decision::Held { by, .. } => Some(*by),
            Decision::None => None,
            // Whether it is still held shows when the attempt acts or is withheld.
            Decision::Repair { .. } | Decision::Verifying { .. } => return,
        };
        if check.standing.held_by == held {
            return;
        }
        check.standing.held_by = held;
        if let Decision::Held { by, until } = decision {
            out.push(Output::Persist(Row::Held {
                check: name.clone(),
                at: self.now,
                by: *by,
                until: *until,
            }));
        }
    }
}

/// Takes a verdict into the standing. Returns whether the status that counts changed, and whether there is anything
/// worth writing down.
fn remember(check: &mut Check, verdict: &Verdict, now: Moment) -> (bool, bool) {
    let patience = check.outline.patience;
    check.skipped = false;
    let standing = &mut check.standing;
    let first = standing.looked.is_none();
    let shown = standing.status;
    let reopened = standing.outside.take();
    if let Some(outside) = &reopened {
        standing.status = outside.stood;
    }
    let same_as_last = standing.prior.status == Some(verdict.status);
    standing.looked = Some(now);
    standing.streak = if same_as_last {
        standing.streak.saturating_add(1)
    } else {
        1
    };
    let counted = count(standing, verdict.status, patience);
    if verdict.status.is_bad() {
        standing.bad_since.get_or_insert(now);
    } else if counted == Status::Ok {
        standing.bad_since = None;
    }
    let moved = first || counted != shown;
    let mut persist = moved || reopened.is_some() || patience.of > 1 || patience.recover > 1;
    standing.status = counted;
    // While it was outside its calendar nobody saw how it stood.
    if moved || reopened.is_some() {
        standing.since = now;
    }
    if counted == verdict.status || reopened.is_some() {
        standing.message.clone_from(&verdict.message);
    }
    let kept = match verdict.status {
        Status::Unknown => None,
        _ => verdict.kept.clone(),
    };
    let prior = Prior {
        status: Some(verdict.status),
        lets: verdict.lets.clone(),
        kept: kept.or_else(|| standing.prior.kept.clone()),
        latch: if verdict.status == Status::Unknown {
            standing.prior.latch
        } else {
            verdict.latch
        },
    };
    if *standing.prior != prior {
        standing.prior = Arc::new(prior);
        persist = true;
    }
    (moved, persist)
}

/// Patience: `bad` of the last `of` looks before a problem counts, `recover` OK looks in a row before it is over.
/// UNKNOWN is shown at once and neither begins nor ends a problem.
fn count(standing: &mut Standing, seen: Status, patience: Patience) -> Status {
    standing.recent.push(seen);
    let most = patience.of.max(1) as usize;
    if standing.recent.len() > most {
        let over = standing.recent.len() - most;
        standing.recent.drain(..over);
    }
    standing.good = if seen == Status::Ok {
        standing.good.saturating_add(1)
    } else {
        0
    };
    let at_least = |floor: Status| {
        standing
            .recent
            .iter()
            .filter(|status| status.is_bad() && status.badness() >= floor.badness())
            .count() as u32
    };
    match seen {
        Status::Unknown => Status::Unknown,
        Status::Ok if standing.bad_since.is_none() || standing.good >= patience.recover => {
            Status::Ok
        }
        Status::Critical | Status::Warning if at_least(Status::Critical) >= patience.bad => {
            Status::Critical
        }
        Status::Critical | Status::Warning if at_least(Status::Warning) >= patience.bad => {
            Status::Warning
        }
        // Not yet: as it stood. What was UNKNOWN stays so rather than being called healthy.
        Status::Ok | Status::Critical | Status::Warning => standing.status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(patience: Patience, looks: &[Status]) -> Vec<Status> {
        let mut standing = Standing::unseen(Moment(0));
        looks
            .iter()
            .map(|seen| {
                let counted = count(&mut standing, *seen, patience);
                if seen.is_bad() {
                    standing.bad_since.get_or_insert(Moment(0));
                } else if counted == Status::Ok {
                    standing.bad_since = None;
                }
                standing.status = counted;
                counted
            })
            .collect()
    }

    use Status::{Critical as C, Ok as O, Unknown as U, Warning as W};

    #[test]
    fn two_of_three() {
        let patience = Patience {
            bad: 2,
            of: 3,
            recover: 1,
        };
        assert_eq!(run(patience, &[O, C, O, C, C, O]), [O, O, O, C, C, O]);
        assert_eq!(run(patience, &[O, W, C, C]), [O, O, W, C]);
    }

    #[test]
    fn recovery_has_its_own_patience() {
        let patience = Patience {
            recover: 2,
            ..Patience::default()
        };
        assert_eq!(run(patience, &[C, O, C, O, O]), [C, C, C, C, O]);
    }

    #[test]
    fn unknown_shows_at_once_and_resolves_nothing() {
        let patience = Patience {
            recover: 2,
            ..Patience::default()
        };
        assert_eq!(run(patience, &[C, U, O, O]), [C, U, U, O]);
    }

    proptest! {
        #[test]
        fn without_patience_a_status_is_what_was_seen(looks in prop::collection::vec(prop::sample::select(&Status::ALL[..]), 1..40)) {
            prop_assert_eq!(run(Patience::default(), &looks), looks);
        }
    }
}

//! Looks: when one starts, what its answer means for the standing, and what it sets off.

use std::sync::Arc;

use super::{Asked, Check, Core, Flight, Output, Target, Wish, agenda::Alarm, hours::Outside};
use crate::guard::Stirred;
use crate::model::{
    Name,
    attempt::{NoteKind, Page, Row},
    moment::Moment,
    outline::Patience,
    report::{Decision, Reason, Report, Ticket},
    standing::{HeldBy, Hold, Prior, Standing},
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
        let proving = wish.verify.iter().filter_map(|id| self.attempts.get(id));
        let acted = proving
            .map(|attempt| attempt.acted.unwrap_or(attempt.begun))
            .max();
        let keep = wish.slot || wish.event || !wish.rounds.is_empty();
        let asked = Asked {
            ticket,
            check: name.clone(),
            generation: self.outline.generation.clone(),
            reason,
            verify,
            acted,
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
        let turned = check.standing.turned;
        let (moved, persist) = remember(check, &verdict, now);
        let status = check.standing.status;
        let was = moved.then_some(old);
        let turns = check.standing.turned;
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
        if turns != turned {
            self.turned(&name, out);
        } else if status == Status::Ok {
            self.recovered(&name, out);
        }
        self.relapse(&name, &flight.wish, out);
        let before = out.len();
        let decision = self.consider(&name, &flight.wish, &verdict, out);
        // What a proposal would do is made of what this very look saw, which the report brings.
        let proposals: Vec<Output> = out
            .extract_if(before.., |output| matches!(output, Output::Propose(_)))
            .collect();
        if old == Status::Critical && status != Status::Critical {
            self.release(HeldBy::Dependency, out);
        }
        let bad_since = self.checks.get(&name).and_then(|it| it.standing.bad_since);
        let report = Report {
            check: name.clone(),
            bad_since,
            ticket,
            at: now,
            reason: flight.wish.reason(),
            verdict: verdict.clone(),
            status,
            was,
            decision,
        };
        out.push(Output::Report(report.clone()));
        out.extend(proposals);
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
        let stirred = self.stirred(wish);
        self.set_off(targets, stirred, out);
    }

    /// An event: its checks are looked at, its investigations begin.
    pub(super) fn set_off(
        &mut self,
        targets: Vec<Target>,
        stirred: Option<Stirred>,
        out: &mut Vec<Output>,
    ) {
        for target in targets {
            match target {
                Target::Check(name) => {
                    let wish = Wish {
                        event: true,
                        stirred: stirred.clone(),
                        ..Wish::default()
                    };
                    self.want(&name, wish, out);
                }
                // The traces of a repair that still settles are no news.
                Target::Investigation(_) if stirred.is_some() => {}
                Target::Investigation(name)
                    if self.investigating(&name)
                        || self.is_outside(&name)
                        || self.just_investigated(&name) => {}
                Target::Investigation(name) => {
                    self.inquired.insert(name.clone(), self.now);
                    let id = self.new_round();
                    self.investigate(id, name, None, super::round::PATIENCE, out);
                }
            }
        }
    }

    /// Changes what holds a remediation; a row is written only when that begins.
    pub(super) fn note_held(&mut self, name: &Name, decision: &Decision, out: &mut Vec<Output>) {
        let hold = match decision {
            Decision::Held(hold) | Decision::Proposed { hold, .. } => Some(hold),
            Decision::None => None,
            // Whether it is still held shows when the attempt acts or is withheld.
            Decision::Repair { .. } | Decision::Verifying { .. } => return,
        };
        let Some(check) = self.checks.get_mut(name) else {
            return;
        };
        let by = hold.map(|hold| hold.by);
        let begins = check.standing.held_by != by;
        check.standing.held_by = by;
        check.hold = hold.cloned();
        let Some(hold) = hold else {
            return;
        };
        if begins {
            out.push(Output::Persist(Row::Held {
                check: name.clone(),
                at: self.now,
                hold: hold.clone(),
            }));
        }
        let again = check.outline.trigger.every.is_none() || hold.by == HeldBy::Settling;
        let epoch = check.epoch;
        if let Some(until) = hold.until.filter(|_| again && check.retry.is_none()) {
            // No slot comes for it: when the guard lets it, it is looked at again.
            check.retry = Some((until, None));
            self.agenda.add(until, Alarm::Retry(name.clone(), epoch));
        }
        self.page_held(name, hold, out);
    }

    /// People are told of a critical check that nobody repairs: once for each guard, as long as the problem lasts.
    fn page_held(&mut self, name: &Name, hold: &Hold, out: &mut Vec<Output>) {
        let now = self.now;
        let Some(check) = self.checks.get(name) else {
            return;
        };
        let critical = check.standing.status == Status::Critical;
        if !critical || !tells(hold.by) || check.standing.paged.contains(&hold.by) {
            return;
        }
        let until = hold
            .until
            .map(|until| format!(" for {}", whole_seconds(until.since(now))));
        let why = hold.why.as_deref().map(|why| format!(" ({why})"));
        let text = format!(
            "its repair is held by {}{}{}",
            hold.by,
            until.unwrap_or_default(),
            why.unwrap_or_default()
        );
        if !self.page(name, NoteKind::Held, text.clone(), out) {
            return;
        }
        out.push(Output::Persist(Row::Note {
            check: Some(name.clone()),
            at: now,
            kind: NoteKind::Held,
            text,
            to: self.told(name),
        }));
        if let Some(check) = self.checks.get_mut(name) {
            check.standing.paged.insert(hold.by);
            out.push(Output::Persist(Row::Standing {
                check: name.clone(),
                standing: check.standing.clone(),
            }));
        }
    }

    /// Pages people that the engine can do no more. That the guards hold it after that is no further news.
    pub(super) fn page_spent(
        &mut self,
        name: &Name,
        kind: NoteKind,
        text: String,
        out: &mut Vec<Output>,
    ) {
        if !self.page(name, kind, text, out) {
            return;
        }
        if let Some(check) = self.checks.get_mut(name) {
            let spent = [HeldBy::Cooldown, HeldBy::Limit, HeldBy::Breaker];
            check.standing.paged.extend(spent);
            out.push(Output::Persist(Row::Standing {
                check: name.clone(),
                standing: check.standing.clone(),
            }));
        }
    }

    /// Pages people, unless the check is silenced or quiet, or masked by one that it needs. Says whether it did.
    pub(super) fn page(
        &mut self,
        name: &Name,
        kind: NoteKind,
        text: String,
        out: &mut Vec<Output>,
    ) -> bool {
        if self.silence_of(name).is_some()
            || self.broken_dependency(name).is_some()
            || self.quiet(name, self.now).is_some()
        {
            return false;
        }
        let to = self.told(name);
        let text = match self.checks.get(name) {
            Some(check) => format!("{}: {text}", check.standing.message),
            None => text,
        };
        out.push(Output::Persist(Row::Page(Page {
            at: self.now,
            check: Some(name.clone()),
            kind,
            text,
            to,
        })));
        true
    }

    /// Whom the remediation of a check names.
    fn told(&self, name: &Name) -> Vec<Name> {
        let remediation = self.checks.get(name).and_then(Check::remediation);
        remediation.map_or_else(Vec::new, |remediation| remediation.escalate.clone())
    }
}

/// Whether people are paged when this guard holds a critical check: not where they asked for it, where it passes within
/// moments, or where one page was sent for all.
fn tells(by: HeldBy) -> bool {
    match by {
        HeldBy::Cooldown
        | HeldBy::Limit
        | HeldBy::Breaker
        | HeldBy::Pause
        | HeldBy::Permission
        | HeldBy::Clock
        | HeldBy::Store
        | HeldBy::NoTarget
        | HeldBy::TooMany => true,
        HeldBy::Backoff
        | HeldBy::Quiet
        | HeldBy::Storm
        | HeldBy::Silence
        | HeldBy::Dependency
        | HeldBy::Approval // it has a page of its own
        | HeldBy::Settling
        | HeldBy::Conflict
        | HeldBy::InFlight
        | HeldBy::LookOnly => false,
    }
}

fn whole_seconds(span: std::time::Duration) -> String {
    let rounded = std::time::Duration::from_secs(span.as_millis().div_ceil(1000) as u64);
    humantime::format_duration(rounded).to_string()
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
    if counted == Status::Ok {
        standing.paged.clear();
    } else if !first && standing.status == Status::Ok && counted.is_bad() {
        standing.turned = Some(now);
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
        baseline: standing.prior.baseline.clone(),
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

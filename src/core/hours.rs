//! Calendars: when a check is not looked at, and when nothing is repaired.
//!
//! A check outside its calendar stands as OK, `outside NAME`, and is looked at when that opens. What stood when it closed
//! is neither resolved nor told anew: patience, what is kept, the ladder and the time since which it is bad go on at the
//! first look after the opening. A verification that needs such a check waits, and its clock with it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{Check, Core, Output, Wish, agenda::Alarm};
use crate::{
    guard::Ruling,
    model::{
        Name,
        attempt::{Attempt, AttemptId, End, Row},
        calendar::Calendar,
        moment::Moment,
        outline::Trigger,
        report::{Decision, Report},
        standing::{self, HeldBy, Hold},
        status::Status,
        verdict::Verdict,
    },
    trigger::{
        self,
        calendar::{Hours, State},
    },
};

/// Why a check is not looked at now.
pub(super) enum Outside {
    Closed {
        calendar: Name,
        opens: Option<Moment>,
    },
    /// The calendar's data does not reach so far: neither open nor closed may be assumed.
    Unknown { why: String },
}

impl Core {
    pub(super) fn calendar(&self, name: Option<&Name>) -> Option<&Arc<Calendar>> {
        self.outline.calendars.get(name?)
    }

    fn hours(&self, name: Option<&Name>) -> Option<Hours> {
        Some(self.calendar(name)?.hours(self.now))
    }

    /// Whether nothing is looked at by this trigger now.
    pub(super) fn is_closed(&self, trigger: &Trigger) -> bool {
        let calendar = self.calendar(trigger.during.as_ref());
        calendar.is_some_and(|calendar| calendar.state(self.now) == State::Closed)
    }

    /// Whether this investigation does not begin by itself now.
    pub(super) fn is_outside(&self, investigation: &Name) -> bool {
        let found = self.outline.investigations.get(investigation);
        found.is_some_and(|it| self.is_closed(&it.trigger))
    }

    pub(super) fn outside(&self, name: &Name) -> Option<Outside> {
        let check = self.checks.get(name)?;
        let calendar = self.calendar(check.outline.trigger.during.as_ref())?;
        match calendar.state(self.now) {
            State::Open => None,
            State::Closed => Some(Outside::Closed {
                calendar: calendar.name.clone(),
                opens: calendar.next_opening(self.now),
            }),
            State::Unknown => Some(Outside::Unknown {
                why: format!(
                    "the calendar {} does not say whether it is open now: {}",
                    calendar.name,
                    calendar.reach()
                ),
            }),
        }
    }

    /// When a check has something due by itself: its next slot, or its calendar opens or closes.
    pub(super) fn next_due_of(&self, trigger: &Trigger, phase: Duration) -> Option<Moment> {
        if trigger.is_at_rest() {
            return None;
        }
        let slot = trigger::next(trigger, phase, self.now);
        match self.hours(trigger.during.as_ref()) {
            Some(hours) if hours.state == State::Closed => hours.until,
            Some(hours) => slot.into_iter().chain(hours.until).min(),
            None => slot,
        }
    }

    /// Not looked at: the calendar is closed. Told once, and to every round that asks.
    pub(super) fn skip(
        &mut self,
        name: &Name,
        wish: &Wish,
        calendar: Name,
        opens: Option<Moment>,
        out: &mut Vec<Output>,
    ) {
        let Some(check) = self.checks.get_mut(name) else {
            return;
        };
        let message = format!("outside {calendar}");
        let (was, new) = close(check, calendar, opens, &message, self.now);
        let standing = &check.standing;
        if new {
            out.push(Output::Persist(Row::Standing {
                check: name.clone(),
                standing: standing.clone(),
            }));
        }
        if let Some(from) = was {
            out.push(Output::Persist(Row::Change {
                check: name.clone(),
                at: self.now,
                from,
                to: Status::Ok,
                message: message.clone(),
            }));
        }
        for id in &wish.verify {
            if let Some(proof) = self.proofs.get_mut(id) {
                proof.broke_off();
                self.agenda.add(self.now, Alarm::Wake(*id));
            }
        }
        if !new && wish.rounds.is_empty() {
            return;
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let report = Report {
            bad_since: None,
            check: name.clone(),
            ticket,
            at: self.now,
            reason: wish.reason(),
            verdict: Arc::new(Verdict {
                skipped: true,
                ..Verdict::bare(Status::Ok, message)
            }),
            status: Status::Ok,
            was,
            decision: Decision::None,
        };
        out.push(Output::Report(report.clone()));
        self.round_looked(wish, report, out);
    }

    /// Whether the verification waits because one of its checks is outside its calendar. Its clock stands so long.
    pub(super) fn waits_for_opening(
        &mut self,
        id: AttemptId,
        names: &BTreeSet<Name>,
        out: &mut Vec<Output>,
    ) -> bool {
        let now = self.now;
        let closed: Vec<Option<Moment>> = names
            .iter()
            .filter_map(|name| match self.outside(name)? {
                Outside::Closed { opens, .. } => Some(opens),
                Outside::Unknown { .. } => None,
            })
            .collect();
        let Some(attempt) = self.attempts.get_mut(&id) else {
            return true;
        };
        let waited = attempt.opens.take();
        if let Some(early) = waited.filter(|opens| now < *opens && closed.is_empty()) {
            attempt.phase.shift(now.0 - early.0); // it opened before it was to: the calendar was changed
        }
        if closed.is_empty() {
            return false;
        }
        if closed.contains(&None) {
            self.end(id, End::Superseded, None, out); // nobody will ever see whether it helped
            return true;
        }
        if let Some(opens) = closed.into_iter().flatten().max() {
            let stands_since = waited.map_or(now, |waited| waited.max(now));
            attempt.phase.shift(opens.0 - stands_since.0);
            attempt.opens = Some(opens);
            self.agenda.add(opens, Alarm::Wake(id));
            let attempt = Arc::new(attempt.clone());
            if waited != Some(opens) {
                self.write_attempt(id, out);
            }
            self.round_waits_no_longer(&attempt, opens, out);
        }
        true
    }

    /// When the first of the checks that are to prove an attempt closes.
    pub(super) fn closing(&self, attempt: &Attempt) -> Option<Moment> {
        let others = attempt.remediation.verify.checks.iter();
        let names = others.chain([&attempt.check]);
        names
            .filter_map(|name| {
                let trigger = &self.checks.get(name)?.outline.trigger;
                self.hours(trigger.during.as_ref())?.until
            })
            .min()
    }

    /// Whether a check is quiet at `now`, and until when: its problems are neither repaired nor told. Past the data of
    /// its calendar it is not: whoever may be asleep is woken rather than never told.
    pub fn quiet(&self, check: &str, now: Moment) -> Option<Hours> {
        let trigger = &self.checks.get(check)?.outline.trigger;
        let hours = self.calendar(trigger.quiet.as_ref())?.hours(now);
        (hours.state == State::Open).then_some(hours)
    }

    /// No new attempt and no further rung while it is quiet; the kill switch is named before that. Where the calendar
    /// does not say whether it is quiet, nothing is done either.
    pub(super) fn hush(&self, name: &Name, ruling: Ruling) -> Ruling {
        if let Ruling::Held(hold) = &ruling
            && matches!(
                hold.by,
                HeldBy::Pause | HeldBy::Silence | HeldBy::Storm | HeldBy::InFlight
            )
        {
            return ruling;
        }
        let trigger = self.checks.get(name).map(|check| &check.outline.trigger);
        let calendar = trigger.and_then(|trigger| self.calendar(trigger.quiet.as_ref()));
        match calendar.map(|calendar| (calendar, calendar.hours(self.now))) {
            Some((
                calendar,
                Hours {
                    state: State::Open | State::Unknown,
                    until,
                },
            )) => Ruling::Held(Hold {
                by: HeldBy::Quiet,
                until,
                why: Some(format!("by the calendar {}", calendar.name)),
            }),
            _ => ruling,
        }
    }
}

/// Takes it into the standing that the calendar is closed. Returns the status that was shown if it was another one, and
/// whether this is news.
fn close(
    check: &mut Check,
    calendar: Name,
    opens: Option<Moment>,
    message: &str,
    now: Moment,
) -> (Option<Status>, bool) {
    let told = std::mem::replace(&mut check.skipped, true);
    let standing = &mut check.standing;
    let shown = standing.status;
    let known = standing.outside.take();
    let outside = standing::Outside {
        calendar,
        opens,
        stood: known.as_ref().map_or(shown, |known| known.stood),
    };
    let new = !told || known.as_ref() != Some(&outside);
    standing.outside = Some(outside);
    standing.status = Status::Ok;
    standing.held_by = None;
    message.clone_into(&mut standing.message);
    let was = (shown != Status::Ok).then_some(shown);
    if was.is_some() {
        standing.since = now;
    }
    (was, new)
}

//! The agenda: what is to happen when.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    time::Duration,
};

use super::{Core, Output, Wish};
use crate::{
    model::{Name, attempt::AttemptId, moment::Moment, report::Ticket},
    trigger,
};

#[derive(Clone, Debug, Default)]
pub(super) struct Agenda {
    heap: BinaryHeap<Reverse<(Moment, u64, Alarm)>>,
    sequence: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alarm {
    /// A slot of the check of this epoch.
    Due(Name, u64),
    /// The look should have answered.
    Deadline(Ticket),
    /// Look whether the repair helped.
    Wake(AttemptId),
    /// A rung that a guard held for some seconds may be tried again.
    Retry(Name, u64),
    RoundOver(u64),
    StormOver,
    /// A slot of an investigation, planned under this number.
    Inquiry(Name, u64),
}

impl Agenda {
    pub(super) fn add(&mut self, at: Moment, alarm: Alarm) {
        self.sequence += 1;
        self.heap.push(Reverse((at, self.sequence, alarm)));
    }

    pub(super) fn next(&self) -> Option<Moment> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    fn pop(&mut self, now: Moment) -> Option<(Moment, Alarm)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((at, _, alarm))| (at, alarm))
    }

    /// Moves everything by so many milliseconds.
    fn shift(&mut self, by: i64) {
        let moved = std::mem::take(&mut self.heap);
        self.heap = moved
            .into_iter()
            .map(|Reverse((at, sequence, alarm))| {
                Reverse((Moment(at.0.saturating_add(by)), sequence, alarm))
            })
            .collect();
    }
}

impl Core {
    /// Everything that was due by now. Alarms added meanwhile wait for the next tick, so this ends.
    pub(super) fn tick(&mut self, out: &mut Vec<Output>) {
        let mut due = Vec::new();
        while let Some(alarm) = self.agenda.pop(self.now) {
            due.push(alarm);
        }
        for (at, alarm) in due {
            self.ring(at, alarm, out);
        }
    }

    fn ring(&mut self, at: Moment, alarm: Alarm, out: &mut Vec<Output>) {
        match alarm {
            Alarm::Due(name, epoch) => self.due(at, &name, epoch, out),
            Alarm::Deadline(ticket) => self.overdue(ticket, out),
            Alarm::Wake(attempt) => self.wake(attempt, out),
            Alarm::Retry(name, epoch) => self.retry(&name, epoch, out),
            Alarm::RoundOver(round) => self.round_over(round, out),
            Alarm::StormOver => self.clear_up(out),
            Alarm::Inquiry(name, plan) => self.inquire(&name, plan, out),
        }
    }

    fn due(&mut self, slot: Moment, name: &Name, epoch: u64, out: &mut Vec<Output>) {
        let Some(check) = self.checks.get(name).filter(|check| check.epoch == epoch) else {
            return;
        };
        let (busy, phase) = (check.flight.is_some(), check.phase);
        let outline = check.outline.clone();
        let trigger = &outline.trigger;
        if trigger.is_at_rest() {
            return;
        }
        let has_slots = trigger.has_slots();
        if has_slots {
            let calendar = self.calendar(trigger.during.as_ref()).cloned();
            let calendar = calendar.as_deref();
            self.missed += trigger::missed_slots(trigger, phase, calendar, slot, self.now);
        }
        let closed = self.is_closed(trigger);
        if !busy || closed {
            // Set off by events only: looked at once when it is new, or its calendar opens, so that it has a status.
            let wish = Wish {
                slot: has_slots,
                event: !has_slots,
                ..Wish::default()
            };
            self.want(name, wish, out);
        } else if has_slots {
            self.missed += 1; // a check never runs twice at the same time, and what it missed is not replayed
        }
        self.plan_slots(name, false);
    }

    /// Plans the next slot of a check. With `at_once` its first look is now.
    pub(super) fn plan_slots(&mut self, name: &Name, at_once: bool) {
        let Some(check) = self.checks.get(name) else {
            return;
        };
        let epoch = check.epoch;
        let slot = match at_once {
            true => Some(self.now),
            false => self.next_due_of(&check.outline.trigger, check.phase),
        };
        if let Some(slot) = slot {
            self.agenda.add(slot, Alarm::Due(name.clone(), epoch));
        }
    }

    /// The clock jumped: deadlines and waits move along, slots stay on their grid.
    pub(super) fn shift(&mut self, by: i64) {
        if by == 0 {
            return;
        }
        self.agenda.shift(by);
        self.now = Moment(self.now.0.saturating_add(by));
        self.jumped = Some(self.now);
        let names: BTreeSet<Name> = self.checks.keys().cloned().collect();
        for name in names {
            if let Some(check) = self.checks.get_mut(&name) {
                self.next_epoch += 1;
                let old = std::mem::replace(&mut check.epoch, self.next_epoch);
                let new = check.epoch;
                if let Some(flight) = check
                    .flight
                    .and_then(|ticket| self.flights.get_mut(&ticket))
                    && flight.epoch == old
                {
                    flight.epoch = new;
                }
                if let Some((until, _)) = &mut check.retry {
                    *until = Moment(until.0.saturating_add(by));
                    self.agenda.add(*until, Alarm::Retry(name.clone(), new));
                }
            }
            self.plan_slots(&name, false);
        }
        for attempt in self.attempts.values_mut() {
            match attempt.opens {
                Some(opens) => self.agenda.add(opens, Alarm::Wake(attempt.id)), // calendars do not move along
                None => attempt.phase.shift(by),
            }
        }
        let outline = self.outline.clone();
        for (name, investigation) in &outline.investigations {
            self.plan_investigation(name, &investigation.trigger);
        }
        if let Some(storm) = &mut self.storm {
            storm.until = Moment(storm.until.0.saturating_add(by));
            storm.last = Moment(storm.last.0.saturating_add(by));
        }
        self.shift_echoes(by);
    }

    /// A late margin for drivers that keep the deadline themselves and judge what it means.
    pub(super) const MARGIN: Duration = Duration::from_secs(2);
}

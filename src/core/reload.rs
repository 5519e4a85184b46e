//! Another book: unchanged checks keep their standing, timers and phase; a changed one inherits its standing and is
//! looked at at once; a repair under way finishes its rung by its own plan.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::{Check, Core, Output, Target, Wires, agenda::Alarm};
use crate::{
    model::{
        Name,
        attempt::{End, Phase},
        outline::{CheckOutline, EventTrigger, Outline, Trigger},
        standing::Standing,
    },
    trigger,
};

impl Core {
    pub(super) fn reload(&mut self, outline: Arc<Outline>, out: &mut Vec<Output>) {
        self.adopt(outline, HashMap::new(), out);
    }

    pub(super) fn adopt(
        &mut self,
        outline: Arc<Outline>,
        mut standings: HashMap<Name, Standing>,
        out: &mut Vec<Output>,
    ) {
        let old = std::mem::replace(&mut self.outline, outline.clone());
        self.wires = wires(&outline);
        self.needed_by.clear();
        for (name, check) in &outline.checks {
            for needed in &check.needs {
                let by = self.needed_by.entry(needed.clone()).or_default();
                by.push(name.clone());
            }
        }
        let gone: Vec<Name> = self
            .checks
            .keys()
            .filter(|name| !outline.checks.contains_key(*name))
            .cloned()
            .collect();
        for name in gone {
            self.remove(&name, out);
        }
        for (name, check) in &outline.checks {
            match self.checks.get(name) {
                None => {
                    let standing = standings.remove(name);
                    self.add(name, check, standing);
                }
                Some(known)
                    if known.outline.fingerprint != check.fingerprint
                        || has_other_hours(&old, &outline, &check.trigger) =>
                {
                    self.change(name, check, out);
                }
                Some(_) => {
                    if let Some(known) = self.checks.get_mut(name) {
                        known.outline = check.clone();
                    }
                }
            }
        }
        self.plan_investigations(&old);
        let waiting = self.attempts.values().filter(|it| it.opens.is_some());
        for attempt in waiting {
            self.agenda.add(self.now, Alarm::Wake(attempt.id)); // what it waits for may be open now
        }
    }

    fn add(&mut self, name: &Name, outline: &Arc<CheckOutline>, standing: Option<Standing>) {
        self.next_epoch += 1;
        // It may have been removed while a rung was being done, which still is.
        let attempt = self.attempts.values().find(|it| it.check == *name);
        let standing = standing.unwrap_or_else(|| Standing::unseen(self.now));
        // What runs by clock times is not run besides because the engine starts, unless it was never looked at.
        let trigger = &outline.trigger;
        let waits = trigger.cron.is_some()
            && standing.looked.is_some()
            && standing.outside.is_none()
            && !self.is_closed(trigger);
        let check = Check {
            attempt: attempt.map(|it| it.id),
            phase: trigger::phase(name, &outline.trigger),
            outline: outline.clone(),
            epoch: self.next_epoch,
            standing,
            flight: None,
            wanted: None,
            hold: None,
            skipped: false,
            retry: None,
        };
        self.checks.insert(name.clone(), check);
        self.plan_slots(name, !waits);
    }

    /// A look under way was begun by the old book: it is dropped, and what it was for is looked at by the new one.
    fn change(&mut self, name: &Name, outline: &Arc<CheckOutline>, out: &mut Vec<Output>) {
        self.next_epoch += 1;
        let epoch = self.next_epoch;
        let Some(check) = self.checks.get_mut(name) else {
            return;
        };
        let proposed = check.attempt.filter(|id| {
            let attempt = self.attempts.get(id);
            let ladder = outline.remediation.as_ref();
            attempt.is_some_and(|attempt| {
                matches!(attempt.phase, Phase::Proposed { .. })
                    && ladder.map(|it| &it.fingerprint) != Some(&attempt.remediation.fingerprint)
            })
        });
        check.outline = outline.clone();
        check.phase = trigger::phase(name, &outline.trigger);
        check.epoch = epoch;
        let mut wish = check.wanted.take();
        if let Some(ticket) = check.flight.take()
            && let Some(flight) = self.flights.remove(&ticket)
        {
            out.push(Output::Abandon(ticket));
            wish.get_or_insert_default().merge(flight.wish);
        }
        if let Some((until, _)) = check.retry {
            self.agenda.add(until, Alarm::Retry(name.clone(), epoch));
        }
        match wish {
            Some(mut wish) => {
                wish.event = true;
                self.plan_slots(name, false);
                self.want(name, wish, out);
            }
            None => self.plan_slots(name, true),
        }
        if let Some(id) = proposed {
            self.withdraw(id, "its rule was changed", out);
        }
    }

    fn remove(&mut self, name: &Name, out: &mut Vec<Output>) {
        let Some(check) = self.checks.remove(name) else {
            return;
        };
        if let Some(ticket) = check.flight {
            self.flights.remove(&ticket);
            out.push(Output::Abandon(ticket));
        }
        self.turns.remove(name);
        self.recovered(name, out);
        if let Some(id) = check.attempt {
            let acting = self
                .attempts
                .get(&id)
                .is_some_and(|attempt| matches!(attempt.phase, Phase::Acting | Phase::RollingBack));
            self.withdraw(id, "its check was removed", out);
            if !acting {
                self.end(id, End::Superseded, None, out); // while acting: when its receipts are there
            }
        }
        let proofs: Vec<_> = self.proofs.keys().copied().collect();
        for id in proofs {
            self.forget_witness(id, name, out);
        }
        self.settle(name, out);
    }

    /// Investigations that have slots. They lie where they lie, so planning them anew moves none.
    fn plan_investigations(&mut self, old: &Outline) {
        let outline = self.outline.clone();
        self.inquiries
            .retain(|name, _| outline.investigations.contains_key(name));
        for (name, investigation) in &outline.investigations {
            let new = &investigation.trigger;
            let known = old
                .investigations
                .get(name)
                .map(|known| &known.trigger)
                .is_some_and(|known| known.every == new.every && known.cron == new.cron);
            if !known {
                self.plan_investigation(name, new);
            }
        }
    }

    pub(super) fn plan_investigation(&mut self, name: &Name, trigger: &Trigger) {
        self.next_epoch += 1;
        let plan = self.next_epoch;
        self.inquiries.insert(name.clone(), plan);
        let phase = trigger::phase(name, trigger);
        if let Some(slot) = trigger::next(trigger, phase, self.now) {
            self.agenda.add(slot, Alarm::Inquiry(name.clone(), plan));
        }
    }

    pub(super) fn inquire(&mut self, name: &Name, plan: u64, out: &mut Vec<Output>) {
        let outline = self.outline.clone();
        let current = self.inquiries.get(name) == Some(&plan);
        let Some(investigation) = outline.investigations.get(name).filter(|_| current) else {
            return;
        };
        self.plan_investigation(name, &investigation.trigger);
        self.set_off(vec![Target::Investigation(name.clone())], None, out);
    }
}

/// Whether the calendar by which it is looked at was changed.
fn has_other_hours(old: &Outline, new: &Outline, trigger: &Trigger) -> bool {
    let during = |outline: &Outline| {
        let name = trigger.during.as_ref()?;
        outline.calendars.get(name).cloned()
    };
    during(old) != during(new)
}

fn wires(outline: &Outline) -> Wires {
    let mut wires = Wires::default();
    let checks = outline
        .checks
        .values()
        .map(|check| (Target::Check(check.name.clone()), &check.trigger));
    let investigations = outline
        .investigations
        .values()
        .map(|it| (Target::Investigation(it.name.clone()), &it.trigger));
    for (target, trigger) in checks.chain(investigations) {
        let mut seen = BTreeSet::new();
        for event in &trigger.events {
            match event {
                EventTrigger::Check { check, status } => wires
                    .checks
                    .entry(check.clone())
                    .or_default()
                    .push((target.clone(), status.clone())),
                EventTrigger::File { file } if seen.insert(("file", file)) => wires
                    .files
                    .entry(file.clone())
                    .or_default()
                    .push(target.clone()),
                EventTrigger::Event { event } if seen.insert(("event", event)) => wires
                    .events
                    .entry(event.clone())
                    .or_default()
                    .push(target.clone()),
                EventTrigger::File { .. } | EventTrigger::Event { .. } => {}
            }
        }
    }
    wires
}

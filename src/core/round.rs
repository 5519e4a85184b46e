//! Rounds: checks looked at together because a person, a step or an investigation asked, each judged by this look alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{Core, Output, Wish, agenda::Alarm};
use crate::model::{
    Name,
    attempt::{Attempt, End, Phase},
    moment::Moment,
    report::{Decision, Outcome, Report, Round},
    standing::HeldBy,
    verdict::Verdict,
};

/// How long an investigation that an event began waits for its repairs to be verified.
pub(super) const PATIENCE: Duration = Duration::from_secs(20 * 60);

#[derive(Clone, Debug)]
pub(super) struct Open {
    began: Moment,
    investigation: Option<(Name, Option<String>)>,
    fix: bool,
    /// In the order asked for.
    order: Vec<Name>,
    seats: BTreeMap<Name, Seat>,
    /// How long it waits for repairs to be verified.
    until: Moment,
    /// Waited long enough: ends as soon as every look has answered.
    over: bool,
}

#[derive(Clone, Debug, Default)]
struct Seat {
    report: Option<Report>,
    attempt: Option<Arc<Attempt>>,
    verdict: Option<Arc<Verdict>>,
    /// Nothing more is to come.
    settled: bool,
}

impl Core {
    pub(super) fn begin_round(
        &mut self,
        id: u64,
        investigation: Option<(Name, Option<String>)>,
        checks: Vec<Name>,
        fix: bool,
        wait: Duration,
        out: &mut Vec<Output>,
    ) {
        let seats = checks
            .iter()
            .map(|name| {
                let seat = Seat {
                    settled: !self.checks.contains_key(name),
                    ..Seat::default()
                };
                (name.clone(), seat)
            })
            .collect();
        let open = Open {
            began: self.now,
            investigation,
            fix,
            order: checks.clone(),
            seats,
            until: self.now.plus(wait),
            over: wait.is_zero(),
        };
        self.rounds.insert(id, open);
        self.agenda.add(self.now.plus(wait), Alarm::RoundOver(id));
        for name in checks {
            let wish = Wish {
                rounds: [id].into(),
                ..Wish::default()
            };
            self.want(&name, wish, out);
        }
        self.finish_round(id, out);
    }

    pub(super) fn investigate(
        &mut self,
        id: u64,
        name: Name,
        cause: Option<String>,
        wait: Duration,
        out: &mut Vec<Output>,
    ) {
        let checks = match self.outline.investigations.get(&name) {
            Some(investigation) => investigation.checks.clone(),
            None => Vec::new(),
        };
        self.begin_round(id, Some((name, cause)), checks, true, wait, out);
    }

    /// Whether this investigation is under way already.
    pub(super) fn investigating(&self, name: &Name) -> bool {
        self.rounds.values().any(|open| {
            open.investigation
                .as_ref()
                .is_some_and(|(it, _)| it == name)
        })
    }

    /// Whether an event began this investigation less than its cooldown ago.
    pub(super) fn just_investigated(&self, name: &Name) -> bool {
        let cooldown = self.outline.investigations.get(name).map(|it| it.cooldown);
        let began = self.inquired.get(name);
        began
            .zip(cooldown)
            .is_some_and(|(began, cooldown)| self.now < began.plus(cooldown))
    }

    pub(super) fn round_fixes(&self, id: u64) -> bool {
        self.rounds.get(&id).is_some_and(|open| open.fix)
    }

    pub(super) fn round_looked(&mut self, wish: &Wish, report: Report, out: &mut Vec<Output>) {
        for id in &wish.rounds {
            let Some(open) = self.rounds.get_mut(id) else {
                continue;
            };
            let fix = open.fix;
            let Some(seat) = open.seats.get_mut(&report.check) else {
                continue;
            };
            seat.verdict = Some(report.verdict.clone());
            // A round that only looks waits for no repair, also when the same look began one for another reason.
            let waits = match report.decision {
                Decision::Repair { .. } | Decision::Proposed { .. } => true,
                // Somebody else's repair is under way: its end is the answer.
                Decision::Verifying { .. } => report.verdict.status.is_bad(),
                Decision::None | Decision::Held(_) => false,
            };
            seat.settled = !fix || !waits;
            seat.report.get_or_insert_with(|| report.clone());
            self.finish_round(*id, out);
        }
    }

    /// Whoever asked for it, every round that saw the repair begin waits for its end.
    pub(super) fn round_attempt_ended(
        &mut self,
        attempt: &Arc<Attempt>,
        verdict: Option<&Arc<Verdict>>,
        out: &mut Vec<Output>,
    ) {
        let name = &attempt.check;
        for open in self.rounds.values_mut() {
            let waits = |seat: &&mut Seat| seat.report.is_some() && !seat.settled;
            if let Some(seat) = open.seats.get_mut(name).filter(|seat| waits(seat)) {
                if let Some(verdict) = verdict {
                    seat.verdict = Some(verdict.clone());
                }
                seat.attempt = Some(attempt.clone());
            }
        }
        let climbs = attempt.end() == Some(End::Failed)
            && self
                .budgets
                .get(name)
                .is_some_and(|budget| budget.rung > attempt.rung);
        if !climbs {
            self.settle(name, out);
        }
    }

    /// What a proposal would do is known: nobody waits for the person who is to approve it.
    pub(super) fn round_proposed(&mut self, attempt: &Arc<Attempt>, out: &mut Vec<Output>) {
        let ids: Vec<u64> = self.rounds.keys().copied().collect();
        for id in ids {
            let seats = self.rounds.get_mut(&id).map(|open| &mut open.seats);
            let seat = seats.and_then(|seats| seats.get_mut(&attempt.check));
            if let Some(seat) = seat.filter(|seat| seat.report.is_some() && !seat.settled) {
                seat.attempt = Some(attempt.clone());
                seat.settled = true;
            }
            self.finish_round(id, out);
        }
    }

    /// What proves this repair opens later than a round waits: it is answered with what is known now.
    pub(super) fn round_waits_no_longer(
        &mut self,
        attempt: &Arc<Attempt>,
        opens: Moment,
        out: &mut Vec<Output>,
    ) {
        let known = self
            .proofs
            .get(&attempt.id)
            .and_then(|it| it.verdict.clone());
        let ids: Vec<u64> = self.rounds.keys().copied().collect();
        for id in ids {
            let Some(open) = self.rounds.get_mut(&id).filter(|it| it.until < opens) else {
                continue;
            };
            let seat = open.seats.get_mut(&attempt.check);
            if let Some(seat) = seat.filter(|seat| seat.report.is_some() && !seat.settled) {
                seat.attempt = Some(attempt.clone());
                seat.verdict = known.clone().or(seat.verdict.take());
                seat.settled = true;
            }
            self.finish_round(id, out);
        }
    }

    /// The rounds that a further look at this check is for: the one that asked for its repair, and those that wait for what
    /// comes of it though something else had begun it.
    pub(super) fn waiting_rounds(&self, name: &Name, asked: Option<u64>) -> BTreeSet<u64> {
        let waits = |open: &Open| open.seats.get(name).is_some_and(|seat| !seat.settled);
        let rounds = self.rounds.iter();
        rounds
            .filter(|(id, open)| Some(**id) == asked || waits(open))
            .map(|(id, _)| *id)
            .collect()
    }

    /// Nothing more is to come for this check, unless a rung is under way or waits for a guard.
    pub(super) fn settle(&mut self, name: &Name, out: &mut Vec<Output>) {
        let more = self
            .checks
            .get(name)
            .is_some_and(|check| check.attempt.is_some() || check.retry.is_some());
        let gone = !self.checks.contains_key(name);
        let ids: Vec<u64> = self.rounds.keys().copied().collect();
        for id in ids {
            if let Some(seat) = self
                .rounds
                .get_mut(&id)
                .and_then(|open| open.seats.get_mut(name))
                .filter(|seat| seat.report.is_some() || gone)
            {
                seat.settled |= !more;
            }
            self.finish_round(id, out);
        }
    }

    pub(super) fn round_over(&mut self, id: u64, out: &mut Vec<Output>) {
        if let Some(open) = self.rounds.get_mut(&id) {
            open.over = true;
        }
        self.finish_round(id, out);
    }

    /// What was begun is finished, also when nobody waits for its verification.
    fn is_acting(&self, name: &Name) -> bool {
        let attempt = self.checks.get(name).and_then(|check| check.attempt);
        attempt
            .and_then(|attempt| self.attempts.get(&attempt))
            .is_some_and(|attempt| {
                matches!(
                    attempt.phase,
                    Phase::Intended | Phase::Acting | Phase::RollingBack
                )
            })
    }

    pub(super) fn finish_round(&mut self, id: u64, out: &mut Vec<Output>) {
        let Some(open) = self.rounds.get(&id) else {
            return;
        };
        let done = open.seats.values().all(|seat| {
            let looked = seat.report.as_ref().map(|report| &report.check);
            let began = |seat: &Seat| {
                let decision = seat.report.as_ref().map(|report| &report.decision);
                !matches!(decision, Some(Decision::Verifying { .. }))
            };
            // What this round did not begin it need not see to its end.
            let done = |name| !began(seat) || !self.is_acting(name);
            seat.settled || (open.over && looked.is_some_and(done))
        });
        if !done {
            return;
        }
        let Some(mut open) = self.rounds.remove(&id) else {
            return;
        };
        let outcomes = open
            .order
            .iter()
            .map(|name| {
                let seat = open.seats.remove(name).unwrap_or_default();
                let began = match seat.report.as_ref().map(|report| &report.decision) {
                    Some(Decision::Repair { .. } | Decision::Proposed { .. }) if !seat.settled => {
                        self.checks.get(name)
                    }
                    Some(Decision::Held(hold)) if hold.by == HeldBy::Approval => {
                        self.checks.get(name)
                    }
                    _ => None,
                };
                let under_way = began
                    .and_then(|check| check.attempt)
                    .and_then(|attempt| self.attempts.get(&attempt));
                // Not proven yet, but looked at since.
                let since = under_way.and_then(|it| self.proofs.get(&it.id)?.verdict.clone());
                Outcome {
                    check: name.clone(),
                    report: seat.report,
                    attempt: under_way.cloned().map(Arc::new).or(seat.attempt),
                    verdict: since.or(seat.verdict),
                }
            })
            .collect();
        out.push(Output::RoundDone(Round {
            id,
            began: open.began,
            ended: self.now,
            investigation: open.investigation,
            outcomes,
        }));
    }
}

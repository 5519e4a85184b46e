//! Rounds: checks looked at together because a person, a step or an investigation asked, each judged by this look alone.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{Core, Output, Wish, agenda::Alarm};
use crate::model::{
    Name,
    attempt::{Attempt, Phase},
    moment::Moment,
    report::{Decision, Outcome, Report, Round},
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

    pub(super) fn round_fixes(&self, id: u64) -> bool {
        self.rounds.get(&id).is_some_and(|open| open.fix)
    }

    pub(super) fn round_looked(&mut self, wish: &Wish, report: Report, out: &mut Vec<Output>) {
        for id in &wish.rounds {
            let Some(seat) = self
                .rounds
                .get_mut(id)
                .and_then(|open| open.seats.get_mut(&report.check))
            else {
                continue;
            };
            seat.verdict = Some(report.verdict.clone());
            seat.settled = !matches!(report.decision, Decision::Repair { .. });
            seat.report.get_or_insert_with(|| report.clone());
            self.finish_round(*id, out);
        }
    }

    pub(super) fn round_attempt_ended(
        &mut self,
        attempt: Arc<Attempt>,
        verdict: Option<Arc<Verdict>>,
        out: &mut Vec<Output>,
    ) {
        let Some(id) = attempt.round else {
            return;
        };
        let name = attempt.check.clone();
        if let Some(seat) = self
            .rounds
            .get_mut(&id)
            .and_then(|open| open.seats.get_mut(&name))
        {
            if verdict.is_some() {
                seat.verdict = verdict;
            }
            seat.attempt = Some(attempt.clone());
        }
        let climbs = attempt.end() == Some(crate::model::attempt::End::Failed)
            && self
                .budgets
                .get(&name)
                .is_some_and(|budget| budget.rung > attempt.rung);
        if !climbs {
            self.settle(id, &name, out);
        }
    }

    /// Nothing more is to come for this check, unless a rung is under way or waits for a guard.
    pub(super) fn settle(&mut self, id: u64, name: &Name, out: &mut Vec<Output>) {
        let more = self.checks.get(name).is_some_and(|check| {
            let waits = check.retry.is_some_and(|(_, round)| round == Some(id));
            let climbs = check.attempt.is_some_and(|attempt| {
                self.attempts
                    .get(&attempt)
                    .is_some_and(|attempt| attempt.round == Some(id))
            });
            waits || climbs
        });
        if let Some(seat) = self
            .rounds
            .get_mut(&id)
            .and_then(|open| open.seats.get_mut(name))
        {
            seat.settled = !more;
        }
        self.finish_round(id, out);
    }

    /// A check left the book: its seat is empty.
    pub(super) fn vacate(&mut self, name: &Name, out: &mut Vec<Output>) {
        let ids: Vec<u64> = self.rounds.keys().copied().collect();
        for id in ids {
            self.settle(id, name, out);
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
            seat.settled || (open.over && looked.is_some_and(|name| !self.is_acting(name)))
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
                let under_way = self
                    .checks
                    .get(name)
                    .and_then(|check| check.attempt)
                    .and_then(|attempt| self.attempts.get(&attempt))
                    .filter(|attempt| attempt.round == Some(id));
                Outcome {
                    check: name.clone(),
                    report: seat.report,
                    attempt: under_way.cloned().map(Arc::new).or(seat.attempt),
                    verdict: seat.verdict,
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

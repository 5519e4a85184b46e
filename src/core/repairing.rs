//! Attempts: intended → acting → settling → verifying → ended, rung by rung up the ladder.
//!
//! `Act` is emitted only after the intent is durable. A failed step still gets one look: only looking again says whether
//! the problem is gone. What an attempt was when the engine died between intent and outcome is unknown, so it is
//! *interrupted*: looked at again, never repeated, never refunded.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{Core, Output, Wish, agenda::Alarm, hours::Outside};
use crate::{
    guard::{self, Request, Ruling, Stirred},
    model::{
        Name,
        attempt::{Attempt, AttemptId, Brief, End, NoteKind, Phase, Row},
        outline::RemediationOutline,
        report::Decision,
        standing::{Budget, HeldBy, Hold},
        status::Status,
        step::{Outcome, Receipt},
        verdict::Verdict,
    },
};

/// The first wait between two looks of a verification; it doubles up to [`SLOWEST`].
const QUICKEST: Duration = Duration::from_secs(1);
const SLOWEST: Duration = Duration::from_secs(30);

/// What another repair acts on is asked for again after this at the latest.
const TURN: Duration = Duration::from_secs(60);

/// One round of looks that verifies an attempt.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    waiting: BTreeSet<Name>,
    good: bool,
    /// The check itself was seen well.
    own: bool,
    /// Not all were asked: its own check first, when others cannot speak yet.
    partial: bool,
    poll: Duration,
    /// Of the last look at the check itself.
    pub(super) verdict: Option<Arc<Verdict>>,
}

impl Proof {
    /// Its looks are not taken, or not counted: it begins anew.
    pub(super) fn broke_off(&mut self) {
        self.waiting.clear();
    }
}

impl Core {
    /// Decides whether this look begins a repair.
    pub(super) fn consider(
        &mut self,
        name: &Name,
        wish: &Wish,
        verdict: &Verdict,
        out: &mut Vec<Output>,
    ) -> Decision {
        if verdict.status == Status::Ok {
            self.come_down(name, out);
            self.grow_healthy(name, out);
        }
        let decision = self.decide(name, wish, verdict, out);
        self.note_held(name, &decision, out);
        decision
    }

    fn decide(
        &mut self,
        name: &Name,
        wish: &Wish,
        verdict: &Verdict,
        out: &mut Vec<Output>,
    ) -> Decision {
        let Some(check) = self.checks.get(name) else {
            return Decision::None;
        };
        let asked = wish
            .rounds
            .iter()
            .copied()
            .find(|round| self.round_fixes(*round));
        let looks_only = asked.is_none() && !wish.rounds.is_empty() && !wish.slot && !wish.event;
        if let Some(attempt) = check.attempt {
            return self.consider_proposal(attempt, wish, verdict, looks_only, out);
        }
        let Some(remediation) = check.remediation().cloned() else {
            return Decision::None;
        };
        let counts = asked.is_some() || remediation.when.contains(&check.standing.status);
        if !remediation.when.contains(&verdict.status) || !counts {
            return Decision::None;
        }
        if looks_only {
            return Decision::Held(Hold::by(HeldBy::LookOnly));
        }
        let rung = self.next_rung(name, &remediation);
        let stirred = self.stirred(wish);
        match self.rule(name, &remediation, rung, stirred.as_ref()) {
            Ruling::Held(hold) => Decision::Held(hold),
            Ruling::Go { trial } => {
                let before = Brief {
                    status: verdict.status,
                    message: verdict.message.clone(),
                };
                if remediation.approve {
                    return self.propose(name, remediation, rung, before, asked, out);
                }
                let attempt = self.new_attempt(name, remediation, rung, before, asked);
                self.begin(attempt, trial, out);
                Decision::Repair { attempt }
            }
        }
    }

    pub(super) fn next_rung(&self, name: &Name, remediation: &RemediationOutline) -> usize {
        self.budgets
            .get(name)
            .filter(|budget| budget.ladder == remediation.fingerprint)
            .map(|budget| budget.rung)
            .filter(|rung| *rung < remediation.ladder.len())
            .unwrap_or(0)
    }

    pub(super) fn rule(
        &self,
        name: &Name,
        remediation: &RemediationOutline,
        rung: usize,
        stirred: Option<&Stirred>,
    ) -> Ruling {
        let in_flight = self
            .checks
            .get(name)
            .and_then(|check| self.attempts.get(&check.attempt?))
            .is_some_and(|attempt| !matches!(attempt.phase, Phase::Proposed { .. }));
        let fresh = Budget::default();
        let ruling = guard::decide(Request {
            now: self.now,
            guard: &remediation.guard,
            budget: self.budgets.get(name).unwrap_or(&fresh),
            pause: self.pause_of(name),
            silence: self.silence_of(name),
            storm: self.storm.as_ref(),
            dependency: self.broken_dependency(name),
            stirred,
            in_flight,
            rung,
            jumped: self.jumped,
        });
        self.hush(name, ruling)
    }

    /// An attempt that is intended and not begun.
    pub(super) fn new_attempt(
        &mut self,
        name: &Name,
        remediation: Arc<RemediationOutline>,
        rung: usize,
        before: Brief,
        round: Option<u64>,
    ) -> AttemptId {
        let id = self.next_attempt;
        self.next_attempt += 1;
        let now = self.now;
        let mut bad_since = now;
        if let Some(check) = self.checks.get_mut(name) {
            check.attempt = Some(id);
            check.retry = None;
            bad_since = check.standing.bad_since.unwrap_or(now);
        }
        let attempt = Attempt {
            id,
            check: name.clone(),
            generation: self.outline.generation.clone(),
            rung,
            remediation,
            phase: Phase::Intended,
            begun: now,
            bad_since,
            acted: None,
            receipts: Vec::new(),
            before,
            after: None,
            trial: false,
            round,
            withheld: None,
            targets: Vec::new(),
            approved: None,
            opens: None,
        };
        self.attempts.insert(id, attempt);
        id
    }

    /// Spends what it costs; it goes on when that is durable.
    pub(super) fn begin(&mut self, id: AttemptId, trial: bool, out: &mut Vec<Output>) {
        let now = self.now;
        let Some(attempt) = self.attempts.get_mut(&id) else {
            return;
        };
        attempt.phase = Phase::Intended;
        attempt.begun = now;
        attempt.trial = trial;
        attempt.receipts.clear(); // of a proposal: what it would have done
        attempt.generation = self.outline.generation.clone();
        let attempt = attempt.clone();
        let budget = self.budgets.entry(attempt.check.clone()).or_default();
        guard::spend(budget, &attempt.remediation.guard, now);
        if attempt.rung == 0 {
            budget.climbed.clear();
        }
        budget.rung = attempt.rung;
        budget.ladder.clone_from(&attempt.remediation.fingerprint);
        budget.climbed.push(id);
        let budget = budget.clone();
        if let Some(check) = self.checks.get_mut(&attempt.check) {
            check.retry = None;
        }
        out.push(Output::PersistThenTell(Row::Intent { attempt, budget }, id));
    }

    pub(super) fn durable(&mut self, id: AttemptId, out: &mut Vec<Output>) {
        let held = self.stopped(id);
        let Some(attempt) = self
            .attempts
            .get_mut(&id)
            .filter(|attempt| attempt.phase == Phase::Intended)
        else {
            return;
        };
        if let Some(hold) = held {
            self.withheld(id, hold, out); // it came between intent and act
            return;
        }
        attempt.phase = Phase::Acting;
        let attempt = Arc::new(attempt.clone());
        self.write_attempt(id, out);
        out.push(Output::Act(attempt));
    }

    /// What stops even what is intended already: the kill switch, a silence, a storm.
    fn stopped(&self, id: AttemptId) -> Option<Hold> {
        let name = &self.attempts.get(&id)?.check;
        let (budget, guard) = (Budget::default(), guard::unlimited());
        let ruling = guard::decide(Request {
            now: self.now,
            guard: &guard,
            budget: &budget,
            pause: self.pause_of(name),
            silence: self.silence_of(name),
            storm: self.storm.as_ref(),
            dependency: None,
            stirred: None,
            in_flight: false,
            rung: 0,
            jumped: None,
        });
        match ruling {
            Ruling::Held(hold) => Some(hold),
            Ruling::Go { .. } => None,
        }
    }

    /// Nothing was done, for certain: what was to be spent is given back.
    pub(super) fn withheld(&mut self, id: AttemptId, hold: Hold, out: &mut Vec<Output>) {
        let Some(attempt) = self.attempts.get_mut(&id).filter(|attempt| {
            matches!(
                attempt.phase,
                Phase::Proposed { .. } | Phase::Intended | Phase::Acting
            )
        }) else {
            return;
        };
        let spent = !matches!(attempt.phase, Phase::Proposed { .. });
        attempt.withheld = Some(hold.clone());
        let (name, begun, round) = (attempt.check.clone(), attempt.begun, attempt.round);
        if let Some(budget) = self.budgets.get_mut(&name).filter(|_| spent) {
            if let Some(index) = budget.begun.iter().rposition(|at| *at == begun) {
                budget.begun.remove(index);
            }
            budget.climbed.retain(|climbed| *climbed != id);
        }
        let free = self.is_free_again(id);
        if hold.by == HeldBy::Conflict
            && let Some(check) = self.checks.get_mut(&name)
        {
            // Its turn comes when the other has ended; whoever waits for this one waits for that.
            let until = match free {
                true => self.now,
                false => self.now.plus(TURN),
            };
            check.retry = Some((until, round));
            self.agenda
                .add(until, Alarm::Retry(name.clone(), check.epoch));
        } else if !spent && let Some(check) = self.checks.get_mut(&name) {
            check.retry = None; // nobody is asked any more, so nobody's answer is waited for
        }
        self.note_held(&name, &Decision::Held(hold), out);
        self.end(id, End::Withheld, None, out);
    }

    pub(super) fn acted(&mut self, id: AttemptId, receipts: Vec<Receipt>, out: &mut Vec<Output>) {
        let now = self.now;
        let Some(attempt) = self
            .attempts
            .get_mut(&id)
            .filter(|attempt| attempt.phase == Phase::Acting)
        else {
            return;
        };
        attempt.acted = Some(now);
        attempt.receipts = receipts;
        let any = |outcome| {
            attempt
                .receipts
                .iter()
                .any(|receipt| receipt.outcome == outcome)
        };
        if any(Outcome::Would) {
            self.end(id, End::Would, None, out);
            return;
        }
        let after = if any(Outcome::Failed) {
            Duration::ZERO
        } else {
            attempt.remediation.verify.after
        };
        let until = now.plus(after);
        attempt.phase = Phase::Settling { until };
        let gone = !self.checks.contains_key(&attempt.check);
        let name = attempt.check.clone();
        self.write_attempt(id, out);
        if gone {
            self.end(id, End::Superseded, None, out);
        } else if until <= now {
            self.wake(id, out);
        } else {
            self.agenda.add(until, Alarm::Wake(id));
        }
        self.settle(&name, out);
    }

    /// Settled, or time for another look.
    pub(super) fn wake(&mut self, id: AttemptId, out: &mut Vec<Output>) {
        let now = self.now;
        let Some(attempt) = self.attempts.get_mut(&id) else {
            return;
        };
        match attempt.phase {
            Phase::Settling { until } if now >= until => {
                let failed = attempt
                    .receipts
                    .iter()
                    .any(|receipt| receipt.outcome == Outcome::Failed);
                let within = if failed {
                    Duration::ZERO
                } else {
                    attempt.remediation.verify.within
                };
                attempt.phase = Phase::Verifying {
                    until: now.plus(within),
                };
                self.write_attempt(id, out);
            }
            Phase::Verifying { .. } | Phase::Interrupted { .. } => {}
            Phase::Proposed { until } if now >= until => {
                self.expire(id, out);
                return;
            }
            _ => return,
        }
        self.look_for_proof(id, out);
    }

    fn look_for_proof(&mut self, id: AttemptId, out: &mut Vec<Output>) {
        let Some(attempt) = self.attempts.get(&id) else {
            return;
        };
        if self
            .proofs
            .get(&id)
            .is_some_and(|proof| !proof.waiting.is_empty())
        {
            return; // its looks are still under way
        }
        let own = attempt.check.clone();
        let witnesses = self.witnesses(attempt);
        let unseen: BTreeSet<Name> = witnesses
            .iter()
            .flat_map(|name| self.unseen_needs(name))
            .cloned()
            .collect();
        let seen_well = self.proofs.get(&id).is_some_and(|proof| proof.own);
        let closed = |name: &Name| matches!(self.outside(name), Some(Outside::Closed { .. }));
        let closed = witnesses.iter().any(closed) && !closed(&own);
        let partial = !unseen.is_empty() || closed && !seen_well;
        let mut waiting = if partial { unseen } else { witnesses };
        waiting.insert(own);
        if !partial && self.waits_for_opening(id, &waiting, out) {
            return;
        }
        let poll = match self.proofs.get(&id) {
            Some(proof) if proof.partial => proof.poll,
            Some(proof) => (proof.poll * 2).min(SLOWEST),
            None => QUICKEST,
        };
        let names: Vec<Name> = waiting.iter().cloned().collect();
        let proof = Proof {
            waiting,
            good: true,
            own: seen_well,
            partial,
            poll,
            verdict: self.proofs.get(&id).and_then(|proof| proof.verdict.clone()),
        };
        self.proofs.insert(id, proof);
        for name in names {
            let wish = Wish {
                verify: BTreeSet::from([id]),
                ..Wish::default()
            };
            self.want(&name, wish, out);
        }
    }

    /// The checks that must be OK too. One that waits behind something that was broken before the repair began cannot
    /// speak: it is not asked.
    fn witnesses(&self, attempt: &Attempt) -> BTreeSet<Name> {
        let speaks = |name: &&Name| {
            let broken = self.broken_dependency(name);
            let broken = broken.and_then(|name| self.checks.get(name));
            broken.is_none_or(|it| {
                let turned = it.standing.turned;
                turned.is_some_and(|turned| turned >= attempt.begun)
            })
        };
        let all = attempt.remediation.verify.checks.iter();
        all.filter(|name| self.checks.contains_key(*name))
            .filter(speaks)
            .cloned()
            .collect()
    }

    /// The check was seen well after its repair, and is bad again while others are to prove it: it did not hold.
    pub(super) fn relapse(&mut self, name: &Name, wish: &Wish, out: &mut Vec<Output>) {
        let Some(check) = self.checks.get(name) else {
            return;
        };
        let Some(attempt) = check.attempt.and_then(|id| self.attempts.get(&id)) else {
            return;
        };
        let id = attempt.id;
        let verifying = matches!(attempt.phase, Phase::Verifying { .. });
        let seen_well = self.proofs.get(&id).is_some_and(|proof| proof.own);
        let bad = attempt.remediation.when.contains(&check.standing.status);
        if verifying && seen_well && bad && !wish.verify.contains(&id) {
            self.give_up(id, End::Failed, None, out);
        }
    }

    /// A look that was taken to verify something.
    pub(super) fn prove(
        &mut self,
        name: &Name,
        wish: &Wish,
        verdict: &Arc<Verdict>,
        out: &mut Vec<Output>,
    ) {
        for id in &wish.verify {
            let (Some(attempt), Some(proof)) = (self.attempts.get_mut(id), self.proofs.get_mut(id))
            else {
                continue;
            };
            if !proof.waiting.remove(name) {
                continue;
            }
            if attempt.check == *name {
                let proven = verdict.proven.unwrap_or(verdict.status == Status::Ok);
                proof.own = proven && verdict.status != Status::Unknown;
                proof.good &= proof.own;
                proof.verdict = Some(verdict.clone());
                attempt.after = Some(Brief {
                    status: verdict.status,
                    message: verdict.message.clone(),
                });
            } else if !proof.partial {
                proof.good &= verdict.status == Status::Ok && verdict.proven != Some(false);
            }
            if proof.waiting.is_empty() {
                self.conclude(*id, out);
            }
        }
    }

    /// A check that was to be OK too has left the book: it is no longer asked.
    pub(super) fn forget_witness(&mut self, id: AttemptId, name: &Name, out: &mut Vec<Output>) {
        let Some(proof) = self.proofs.get_mut(&id) else {
            return;
        };
        if proof.waiting.remove(name) && proof.waiting.is_empty() {
            self.conclude(id, out);
        }
    }

    fn conclude(&mut self, id: AttemptId, out: &mut Vec<Output>) {
        let (Some(attempt), Some(proof)) = (self.attempts.get(&id), self.proofs.get(&id)) else {
            return;
        };
        let Some(until) = attempt.phase.until() else {
            return;
        };
        let verdict = proof.verdict.clone();
        if proof.good && proof.partial {
            self.agenda.add(self.now, Alarm::Wake(id)); // now the others, or their opening is waited for
        } else if proof.good {
            self.end(id, End::Verified, verdict, out);
        } else if self.now < until {
            let next = self.now.plus(proof.poll).min(until);
            let next = self.closing(attempt).map_or(next, |at| at.min(next));
            self.agenda.add(next, Alarm::Wake(id));
        } else if matches!(attempt.phase, Phase::Interrupted { .. }) {
            self.give_up(id, End::Interrupted, verdict, out);
        } else if self.same_ladder(attempt) {
            self.give_up(id, End::Failed, verdict, out);
        } else {
            self.give_up(id, End::Superseded, verdict, out);
        }
    }

    fn same_ladder(&self, attempt: &Attempt) -> bool {
        self.checks
            .get(&attempt.check)
            .and_then(|check| check.remediation())
            .is_some_and(|now| now.fingerprint == attempt.remediation.fingerprint)
    }

    /// It did not help. Counts, and decides what comes next: the next rung, quarantine, or the end of the ladder.
    fn give_up(
        &mut self,
        id: AttemptId,
        end: End,
        verdict: Option<Arc<Verdict>>,
        out: &mut Vec<Output>,
    ) {
        let Some(attempt) = self.attempts.get(&id).cloned() else {
            return;
        };
        let now = self.now;
        let remediation = attempt.remediation.clone();
        let budget = self.budgets.entry(attempt.check.clone()).or_default();
        budget.unverified = budget.unverified.saturating_add(1);
        let broken = attempt.trial || budget.unverified >= remediation.guard.breaker.max(1);
        let more = end == End::Failed && attempt.rung + 1 < remediation.ladder.len() && !broken;
        if broken {
            budget.quarantined = Some(now);
        }
        budget.rung = if more { attempt.rung + 1 } else { 0 };
        let climbed = budget.climbed.clone();
        if broken {
            let text = format!(
                "{} repairs in a row were not verified: quarantined",
                remediation.guard.breaker
            );
            self.note(&attempt, NoteKind::Quarantined, text.clone(), out);
            self.page_spent(&attempt.check, NoteKind::Quarantined, text, out);
        } else if !more && end == End::Failed {
            let well = attempt.after.as_ref().map(|after| after.status) == Some(Status::Ok);
            let text = match well {
                true => "the ladder is exhausted: the check is OK, but nothing proves the repair",
                false => "the ladder is exhausted and the check is still bad",
            };
            let text = text.to_owned();
            self.note(&attempt, NoteKind::Escalated, text.clone(), out);
            self.page_spent(&attempt.check, NoteKind::Escalated, text, out);
        }
        if !more && remediation.rollback && end != End::Interrupted {
            if let Some(open) = self.attempts.get_mut(&id) {
                open.phase = Phase::RollingBack;
            }
            self.proofs.remove(&id);
            self.write_attempt(id, out);
            out.push(Output::RollBack {
                attempt: id,
                climbed,
            });
            return;
        }
        self.end(id, end, verdict, out);
        if more {
            self.climb(&attempt, out);
        }
    }

    /// The next rung, now or when a guard lets it.
    fn climb(&mut self, last: &Attempt, out: &mut Vec<Output>) {
        let rung = last.rung + 1;
        let name = last.check.clone();
        match self.rule(&name, &last.remediation, rung, None) {
            Ruling::Go { trial } => {
                let before = last.after.clone().unwrap_or_else(|| last.before.clone());
                let remediation = last.remediation.clone();
                if remediation.approve {
                    let decision = self.propose(&name, remediation, rung, before, last.round, out);
                    self.note_held(&name, &decision, out);
                    return;
                }
                let id = self.new_attempt(&name, remediation, rung, before, last.round);
                self.begin(id, trial, out);
            }
            Ruling::Held(hold) => {
                let until = hold.until;
                self.note_held(&name, &Decision::Held(hold), out);
                let (Some(until), Some(check)) = (until, self.checks.get_mut(&name)) else {
                    return;
                };
                check.retry = Some((until, last.round));
                let epoch = check.epoch;
                self.agenda.add(until, Alarm::Retry(name.clone(), epoch));
            }
        }
        self.settle(&name, out);
    }

    /// A guard's wait is over: look first, and the look decides.
    pub(super) fn retry(&mut self, name: &Name, epoch: u64, out: &mut Vec<Output>) {
        let now = self.now;
        let Some(check) = self
            .checks
            .get_mut(name)
            .filter(|check| check.epoch == epoch)
        else {
            return;
        };
        let Some((_, round)) = check.retry.take_if(|(until, _)| *until <= now) else {
            return;
        };
        let wish = Wish {
            event: true,
            rounds: self.waiting_rounds(name, round),
            ..Wish::default()
        };
        self.want(name, wish, out);
    }

    pub(super) fn rolled_back(
        &mut self,
        id: AttemptId,
        receipts: Vec<Receipt>,
        out: &mut Vec<Output>,
    ) {
        let Some(attempt) = self
            .attempts
            .get_mut(&id)
            .filter(|attempt| attempt.phase == Phase::RollingBack)
        else {
            return;
        };
        if !receipts.is_empty() {
            let undone: Vec<&str> = receipts
                .iter()
                .map(|receipt| receipt.detail.as_str())
                .collect();
            let text = undone.join("; ");
            attempt.receipts.extend(receipts);
            let attempt = attempt.clone();
            self.note(&attempt, NoteKind::RolledBack, text, out);
        }
        let end = match self.attempts.get(&id) {
            Some(attempt) if self.same_ladder(attempt) => End::Failed,
            _ => End::Superseded,
        };
        self.end(id, end, None, out);
    }

    pub(super) fn end(
        &mut self,
        id: AttemptId,
        end: End,
        verdict: Option<Arc<Verdict>>,
        out: &mut Vec<Output>,
    ) {
        let Some(attempt) = self.attempts.get_mut(&id) else {
            return;
        };
        let at = self.now;
        attempt.phase = Phase::Ended { at, end };
        let did = matches!(
            end,
            End::Verified | End::Failed | End::Superseded | End::Interrupted
        );
        if did || matches!(end, End::Denied | End::Expired) {
            // Whatever comes next, a new ladder begins only after the cooldown: also when this one was changed meanwhile.
            let name = attempt.check.clone();
            let budget = self.budgets.entry(name).or_default();
            budget.rested = Some(at);
            if did && end != End::Verified {
                budget.tries = budget.tries.saturating_add(1);
                budget.tried = Some(at);
            }
        }
        if end == End::Verified {
            self.verified(id, out);
        }
        self.write_attempt(id, out);
        self.proofs.remove(&id);
        self.blocked.remove(&id);
        let Some(attempt) = self.attempts.remove(&id).map(Arc::new) else {
            return;
        };
        if let Some(check) = self.checks.get_mut(&attempt.check)
            && check.attempt == Some(id)
        {
            check.attempt = None;
            if end != End::Withheld {
                check.standing.held_by = None;
                check.hold = None;
            }
        }
        self.let_go(&attempt, out);
        out.push(Output::Ended {
            attempt: attempt.clone(),
            verdict: verdict.clone(),
        });
        self.round_attempt_ended(&attempt, verdict.as_ref(), out);
    }

    fn verified(&mut self, id: AttemptId, out: &mut Vec<Output>) {
        let Some(attempt) = self.attempts.get(&id).cloned() else {
            return;
        };
        let budget = self.budgets.entry(attempt.check.clone()).or_default();
        budget.unverified = 0;
        budget.rung = 0;
        budget.climbed.clear();
        if budget.quarantined.take().is_some() {
            let text = "the trial was verified: in service again".to_owned();
            self.note(&attempt, NoteKind::Rearmed, text, out);
        }
    }

    /// The check is OK by itself: a ladder that was half climbed begins anew the next time, after its cooldown.
    fn come_down(&mut self, name: &Name, out: &mut Vec<Output>) {
        let idle = self
            .checks
            .get(name)
            .is_some_and(|check| check.attempt.is_none());
        let Some(budget) = self.budgets.get_mut(name) else {
            return;
        };
        if idle && budget.rung > 0 {
            budget.rung = 0;
            budget.rested = Some(self.now);
            let row = Row::Budget {
                check: name.clone(),
                budget: budget.clone(),
            };
            out.push(Output::Persist(row));
            if let Some(check) = self.checks.get_mut(name) {
                check.retry = None;
            }
        }
    }

    /// Healthy for long enough: the backoff begins anew.
    fn grow_healthy(&mut self, name: &Name, out: &mut Vec<Output>) {
        let now = self.now;
        let healthy = self.checks.get(name).is_some_and(|check| {
            check.attempt.is_none()
                && check.standing.status == Status::Ok
                && now >= check.standing.since.plus(guard::HEALTHY)
        });
        let Some(budget) = self.budgets.get_mut(name) else {
            return;
        };
        if healthy && budget.tries > 0 {
            budget.tries = 0;
            budget.tried = None;
            let row = Row::Budget {
                check: name.clone(),
                budget: budget.clone(),
            };
            out.push(Output::Persist(row));
        }
    }

    pub(super) fn note(
        &self,
        attempt: &Attempt,
        kind: NoteKind,
        text: String,
        out: &mut Vec<Output>,
    ) {
        out.push(Output::Persist(Row::Note {
            check: Some(attempt.check.clone()),
            at: self.now,
            kind,
            text,
            to: match kind {
                NoteKind::Escalated
                | NoteKind::Quarantined
                | NoteKind::Proposed
                | NoteKind::Expired => attempt.remediation.escalate.clone(),
                _ => Vec::new(), // no page goes with it
            },
        }));
    }

    pub(super) fn write_attempt(&self, id: AttemptId, out: &mut Vec<Output>) {
        if let Some(attempt) = self.attempts.get(&id) {
            out.push(Output::Persist(Row::Attempt {
                attempt: attempt.clone(),
                budget: self
                    .budgets
                    .get(&attempt.check)
                    .cloned()
                    .unwrap_or_default(),
            }));
        }
    }

    /// What was open when the engine ended.
    pub(super) fn take_up(&mut self, attempts: Vec<Attempt>, out: &mut Vec<Output>) {
        for mut attempt in attempts {
            let id = attempt.id;
            self.next_attempt = self.next_attempt.max(id + 1);
            let until = self.now.plus(attempt.remediation.verify.within);
            let unknown = matches!(
                attempt.phase,
                Phase::Intended | Phase::Acting | Phase::RollingBack
            );
            if attempt.phase == Phase::RollingBack
                && let Some(budget) = self.budgets.get_mut(&attempt.check)
            {
                // It was counted when the rollback began, and will be when it is judged again.
                budget.unverified = budget.unverified.saturating_sub(1);
            }
            if unknown {
                attempt.phase = Phase::Interrupted { until };
            }
            attempt.round = None;
            let wake = match attempt.phase {
                Phase::Settling { until } | Phase::Proposed { until } => until.max(self.now),
                _ => self.now,
            };
            let name = attempt.check.clone();
            self.attempts.insert(id, attempt.clone());
            if unknown {
                let text = "the engine ended between intent and outcome: looking again".to_owned();
                self.note(&attempt, NoteKind::Interrupted, text, out);
                self.write_attempt(id, out);
            }
            match self.checks.get_mut(&name) {
                Some(check) => {
                    check.attempt = Some(id);
                    self.agenda.add(wake, Alarm::Wake(id));
                    if !self.same_ladder(&attempt) {
                        // Nobody approves one thing and gets another.
                        self.withdraw(id, "its rule was changed", out);
                    }
                }
                None => {
                    self.withdraw(id, "its check was removed", out);
                    self.end(id, End::Superseded, None, out);
                }
            }
        }
    }
}

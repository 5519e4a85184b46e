//! Proposals: a rung that a person must approve first. What was approved is looked at again before it is done, so nobody
//! approves yesterday's problem; a proposal that is no longer needed is withdrawn, and one that nobody answers expires.

use std::sync::Arc;

use super::{Core, Output, Wish};
use crate::{
    guard::Ruling,
    model::{
        Name,
        attempt::{Approved, Attempt, AttemptId, Brief, End, NoteKind, Phase},
        outline::RemediationOutline,
        report::Decision,
        standing::{HeldBy, Hold},
        status::Status,
        step::Receipt,
        verdict::Verdict,
    },
};

impl Core {
    /// Proposes a rung. Nothing is spent yet.
    pub(super) fn propose(
        &mut self,
        name: &Name,
        remediation: Arc<RemediationOutline>,
        rung: usize,
        before: Brief,
        round: Option<u64>,
        out: &mut Vec<Output>,
    ) -> Decision {
        let until = self.now.plus(remediation.approve_within);
        let kinds = remediation
            .ladder
            .get(rung)
            .map_or_else(String::new, |rung| rung.join(", "));
        let id = self.new_attempt(name, remediation, rung, before, round);
        let Some(attempt) = self.attempts.get_mut(&id) else {
            return Decision::None;
        };
        attempt.phase = Phase::Proposed { until };
        let attempt = attempt.clone();
        self.agenda.add(until, super::agenda::Alarm::Wake(id));
        self.write_attempt(id, out);
        let text = format!(
            "proposes {kinds}: `homeostat approve {id}` within {}",
            humantime::format_duration(attempt.remediation.approve_within)
        );
        self.note(&attempt, NoteKind::Proposed, text.clone(), out);
        self.page(name, NoteKind::Proposed, text, out);
        let hold = waits(id, until);
        out.push(Output::Propose(Arc::new(attempt)));
        Decision::Proposed { attempt: id, hold }
    }

    /// Dry hands have said what it would do.
    pub(super) fn proposed(
        &mut self,
        id: AttemptId,
        receipts: Vec<Receipt>,
        out: &mut Vec<Output>,
    ) {
        let Some(attempt) = self
            .attempts
            .get_mut(&id)
            .filter(|attempt| matches!(attempt.phase, Phase::Proposed { .. }))
        else {
            return;
        };
        attempt.receipts = receipts;
        let attempt = Arc::new(attempt.clone());
        self.write_attempt(id, out);
        self.round_proposed(&attempt, out);
    }

    /// A look while a proposal waits.
    pub(super) fn consider_proposal(
        &mut self,
        id: AttemptId,
        wish: &Wish,
        verdict: &Verdict,
        looks_only: bool,
        out: &mut Vec<Output>,
    ) -> Decision {
        let Some(attempt) = self.attempts.get(&id).cloned() else {
            return Decision::None;
        };
        let Phase::Proposed { until } = attempt.phase else {
            return Decision::Verifying { attempt: id };
        };
        let wanted = attempt.remediation.when.contains(&verdict.status);
        if !wanted && verdict.status != Status::Unknown {
            let why = format!("no longer needed: the check is {}", verdict.status);
            self.withdraw(id, &why, out);
            return Decision::None;
        }
        if attempt.approved.is_none() || !wanted {
            return Decision::Held(waits(id, until));
        }
        if looks_only {
            return Decision::Held(Hold::by(HeldBy::LookOnly));
        }
        let (name, rung) = (attempt.check.clone(), attempt.rung);
        let stirred = self.stirred(wish);
        match self.rule(&name, &attempt.remediation, rung, stirred.as_ref()) {
            Ruling::Held(hold) => Decision::Held(hold),
            Ruling::Go { trial } => {
                if let Some(open) = self.attempts.get_mut(&id) {
                    open.before = Brief {
                        status: verdict.status,
                        message: verdict.message.clone(),
                    };
                }
                self.begin(id, trial, out);
                Decision::Repair { attempt: id }
            }
        }
    }

    /// A person said yes: look, and if it is still needed, do it.
    pub(super) fn approve(&mut self, id: AttemptId, by: String, out: &mut Vec<Output>) {
        let at = self.now;
        let Some(attempt) = self
            .attempts
            .get_mut(&id)
            .filter(|attempt| matches!(attempt.phase, Phase::Proposed { .. }))
        else {
            return;
        };
        let text = format!("approved by {by}");
        attempt.approved = Some(Approved { at, by });
        let attempt = attempt.clone();
        self.write_attempt(id, out);
        self.note(&attempt, NoteKind::Approved, text, out);
        let wish = Wish {
            event: true,
            ..Wish::default()
        };
        self.want(&attempt.check, wish, out);
    }

    /// A person said no. The cooldown runs from here.
    pub(super) fn deny(&mut self, id: AttemptId, by: &str, reason: &str, out: &mut Vec<Output>) {
        let reason = match reason {
            "" => String::new(),
            reason => format!(": {reason}"),
        };
        self.drop_proposal(
            id,
            End::Denied,
            NoteKind::Denied,
            format!("denied by {by}{reason}"),
            out,
        );
    }

    /// Nobody has answered in time, or what was approved could not begin in time.
    pub(super) fn expire(&mut self, id: AttemptId, out: &mut Vec<Output>) {
        let approved = self
            .attempts
            .get(&id)
            .is_some_and(|attempt| attempt.approved.is_some());
        let text = match approved {
            true => "it was approved, but a guard held it until its time was over",
            false => "nobody approved it in time",
        };
        let name = self.attempts.get(&id).map(|it| it.check.clone());
        self.drop_proposal(id, End::Expired, NoteKind::Expired, text.to_owned(), out);
        if let Some(name) = name {
            self.page(&name, NoteKind::Expired, text.to_owned(), out);
        }
    }

    pub(super) fn withdraw(&mut self, id: AttemptId, why: &str, out: &mut Vec<Output>) {
        self.drop_proposal(id, End::Withdrawn, NoteKind::Withdrawn, why.to_owned(), out);
    }

    fn drop_proposal(
        &mut self,
        id: AttemptId,
        end: End,
        kind: NoteKind,
        text: String,
        out: &mut Vec<Output>,
    ) {
        let proposed = |attempt: &&Attempt| matches!(attempt.phase, Phase::Proposed { .. });
        if let Some(attempt) = self.attempts.get(&id).filter(proposed).cloned() {
            self.note(&attempt, kind, text, out);
            self.end(id, end, None, out);
        }
    }
}

fn waits(id: AttemptId, until: crate::model::moment::Moment) -> Hold {
    Hold::by(HeldBy::Approval)
        .until(until)
        .because(format!("`homeostat approve {id}`"))
}

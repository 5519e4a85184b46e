//! What `check` and `dry-run` answer: the JSON contract of `docs/commands.md`, and what the human output is made from.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::{
    attempt::{Brief, End, Phase},
    facts::Facts,
    moment::Moment,
    report::{Decision, Outcome, Round},
    standing::Hold,
    status::Status,
    step,
};

/// One round of looks. `now` is in epoch seconds.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Answer {
    pub generation: String,
    pub now: f64,
    /// The worst status after repairs.
    pub overall: Status,
    pub checks: Vec<CheckAnswer>,
}

#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CheckAnswer {
    pub name: String,
    /// After any repair.
    pub status: Status,
    pub message: String,
    pub skipped: bool,
    /// `enough` did not hold: the status is `on_no_data` for want of data.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_data: bool,
    pub facts: Facts,
    #[serde(rename = "let")]
    pub lets: Map<String, Value>,
    pub error: Option<String>,
    pub duration_ms: f64,
    /// The broken check that this one needs, near or far: what it shows follows from that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<String>,
    /// What led to the repair, when there was one.
    pub before: Option<Brief>,
    pub remediation: RemediationAnswer,
    /// Whom the rules want told if it stands so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<NoticeAnswer>,
}

/// What would be told, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NoticeAnswer {
    pub notifier: String,
    pub channel: String,
    /// Whom the channel tells.
    pub whom: String,
    /// `at once`, `after 30s, if it still stands` …
    pub when: String,
    pub text: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RemediationAnswer {
    pub decision: Decided,
    pub held_by: Option<String>,
    /// Epoch seconds until which the guard holds, where it can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_until: Option<f64>,
    /// What the guard goes by, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_why: Option<String>,
    pub steps: Vec<StepAnswer>,
    /// `null`: nothing to verify, or not known yet.
    pub verified: Option<bool>,
    /// From the intent to the end of the attempt (the proof, if it is verified), in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_s: Option<f64>,
    /// For `homeostat undo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u64>,
}

#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Decided {
    #[default]
    None,
    Repaired,
    Failed,
    Held,
    Would,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StepAnswer {
    pub kind: String,
    pub target: String,
    pub outcome: step::Outcome,
    pub detail: String,
    pub diff: Option<String>,
}

impl Answer {
    pub fn of(round: &Round, generation: &str, now: Moment) -> Answer {
        let checks: Vec<CheckAnswer> = round.outcomes.iter().filter_map(answer).collect();
        Answer {
            generation: generation.to_owned(),
            now: now.seconds(),
            overall: Status::worst(checks.iter().map(|check| check.status)),
            checks,
        }
    }
}

fn answer(outcome: &Outcome) -> Option<CheckAnswer> {
    let report = outcome.report.as_ref()?;
    let remediation = remediation(outcome);
    let acted = matches!(remediation.decision, Decided::Repaired | Decided::Failed);
    // Also without a repair of its own: somebody else's may have made it well meanwhile.
    let last = outcome.verdict.as_ref().unwrap_or(&report.verdict);
    let before = acted.then(|| Brief {
        status: report.verdict.status,
        message: report.verdict.message.clone(),
    });
    Some(CheckAnswer {
        name: outcome.check.to_string(),
        status: last.status,
        message: last.message.clone(),
        skipped: last.skipped,
        no_data: last.no_data,
        facts: last.facts.clone(),
        lets: last.lets.clone(),
        error: last.error.clone(),
        duration_ms: last.duration_ms,
        behind: None,
        before,
        remediation,
        notices: Vec::new(),
    })
}

fn remediation(outcome: &Outcome) -> RemediationAnswer {
    let mut answer = RemediationAnswer::default();
    if let Some(report) = &outcome.report
        && let Decision::Held(hold) | Decision::Proposed { hold, .. } = &report.decision
    {
        answer.hold(hold);
    }
    if let Some(report) = &outcome.report
        && let Decision::Verifying { attempt } = &report.decision
        && report.verdict.status.is_bad()
    {
        answer.decision = Decided::Held;
        answer.held_by = Some("in_flight".to_owned());
        answer.attempt = Some(*attempt);
    }
    let Some(attempt) = &outcome.attempt else {
        return answer;
    };
    answer.attempt = Some(attempt.id);
    answer.steps = attempt.receipts.iter().map(StepAnswer::of).collect();
    if let Phase::Ended { at, .. } = attempt.phase {
        answer.took_s = Some(at.since(attempt.begun).as_secs_f64());
    }
    let failed = answer
        .steps
        .iter()
        .any(|step| step.outcome == step::Outcome::Failed);
    (answer.decision, answer.verified) = match attempt.phase {
        Phase::Ended { end, .. } => match end {
            End::Verified => (Decided::Repaired, Some(true)),
            End::Would => (Decided::Would, None),
            // What held it is over: another repair did it.
            End::Withheld if is_well(outcome) => (Decided::None, None),
            End::Withheld => {
                if let Some(hold) = &attempt.withheld {
                    answer.hold(hold);
                }
                (Decided::Held, None)
            }
            // Nothing was done, and nothing waits any more.
            End::Denied | End::Expired | End::Withdrawn => (Decided::None, None),
            End::Failed | End::Superseded | End::Interrupted => (Decided::Failed, Some(false)),
        },
        Phase::Proposed { .. } => (Decided::Held, None),
        _ if failed => (Decided::Failed, None),
        _ => (Decided::Repaired, None),
    };
    answer
}

fn is_well(outcome: &Outcome) -> bool {
    let last = outcome.verdict.as_ref();
    last.is_some_and(|verdict| verdict.status == Status::Ok)
}

impl RemediationAnswer {
    fn hold(&mut self, hold: &Hold) {
        self.decision = Decided::Held;
        self.held_by = Some(hold.by.word().to_owned());
        self.held_until = hold.until.map(Moment::seconds);
        self.held_why.clone_from(&hold.why);
    }
}

impl StepAnswer {
    pub fn of(receipt: &step::Receipt) -> StepAnswer {
        StepAnswer {
            kind: receipt.kind.clone(),
            target: receipt.target.clone(),
            outcome: receipt.outcome,
            detail: receipt.detail.clone(),
            diff: receipt.diff.clone(),
        }
    }
}

//! A candidate rule set against the present one, check by check: what each shows now, and what each would do about it.

use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Answer, CheckAnswer, Decided};
use crate::model::status::Status;

/// Both rule sets, check by check: what `dry-run --rules NEW` adds to the object it prints.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Compared {
    /// Generation of the present rules.
    pub present: String,
    /// Generation of the candidate.
    pub candidate: String,
    pub checks: Vec<Pair>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Pair {
    pub name: String,
    /// `null`: the candidate adds it.
    pub present: Option<Side>,
    /// `null`: the candidate drops it.
    pub candidate: Option<Side>,
    /// Whether anything of the two differs.
    pub differs: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Side {
    pub status: Status,
    pub message: String,
    pub decision: Decided,
    pub held_by: Option<String>,
}

impl Compared {
    pub fn of(present: &Answer, candidate: &Answer) -> Compared {
        let find = |answer: &Answer, name: &str| {
            let found = answer.checks.iter().find(|check| check.name == name);
            found.map(Side::of)
        };
        let mut names: Vec<&String> = candidate
            .checks
            .iter()
            .chain(&present.checks)
            .map(|check| &check.name)
            .collect();
        names.sort();
        names.dedup();
        let checks = names.into_iter().map(|name| {
            let (present, candidate) = (find(present, name), find(candidate, name));
            Pair {
                name: name.clone(),
                differs: present != candidate,
                present,
                candidate,
            }
        });
        Compared {
            present: present.generation.clone(),
            candidate: candidate.generation.clone(),
            checks: checks.collect(),
        }
    }
}

impl Side {
    fn of(check: &CheckAnswer) -> Side {
        Side {
            status: check.status,
            message: check.message.clone(),
            decision: check.remediation.decision,
            held_by: check.remediation.held_by.clone(),
        }
    }
}

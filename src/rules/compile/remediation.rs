//! What to do about it: the ladder, and what it is held by and proven by.

use std::time::Duration;

use super::{
    super::{
        book::Remediation,
        fingerprint::Fingerprint,
        format::{GuardRule, RemediationRule, VerifyRule},
        reading,
        unit::Notes,
    },
    defaults::Defaults,
    known::Names,
    steps::{self, Found},
};
use crate::model::{
    node::{Node, Tree},
    outline::{APPROVE_WITHIN, Guard, RemediationOutline, Verify},
    span::Span,
    status::Status,
    text::{Mistake, Text},
};

const SOONEST_ANSWER: Duration = Duration::from_secs(1);
const LATEST_ANSWER: Duration = Duration::from_secs(30 * 86_400);
const LONGEST_WITHIN: Duration = Duration::from_secs(15 * 60);

pub struct Compiled {
    pub remediation: Remediation,
    pub outline: RemediationOutline,
    /// What the steps write and whom they ask.
    pub found: Found,
    /// The checks that verification asks.
    pub asks: Vec<Text>,
    /// The notifiers it names itself.
    pub escalate: Vec<Text>,
}

/// Reads a remediation. `every` is the check's interval.
pub fn read(
    node: &Node,
    every: Option<Duration>,
    defaults: &Defaults,
    names: &Names<'_>,
    print: Fingerprint<'_>,
    notes: &mut Notes,
) -> Compiled {
    let mistakes = &mut notes.mistakes;
    let (rule, steps) = match &node.tree {
        Tree::Seq(_) => (RemediationRule::default(), Some(node)),
        Tree::Map(_) => {
            let rule: RemediationRule = reading::read(node, mistakes);
            reading::missing(node, "steps", mistakes);
            (
                rule,
                node.get("steps")
                    .filter(|steps| !matches!(steps.tree, Tree::Null)),
            )
        }
        _ => {
            mistakes.push(reading::not_a(
                node,
                "a list of steps, or a map with `steps`",
            ));
            (RemediationRule::default(), None)
        }
    };
    let approve_within = approve_within(node, rule.approve_within, mistakes);
    let escalate = rule
        .escalate
        .map(|names| reading::check_names(names, mistakes));
    let mut print = print;
    let (ladder, found) = match steps {
        Some(steps) => {
            print.part("steps", steps);
            steps::ladder(steps, names, mistakes)
        }
        None => Default::default(),
    };
    let own_verify = node
        .get("verify")
        .filter(|_| rule.verify.is_some())
        .map(|node| verify_rule(node, mistakes))
        .unwrap_or_default();
    let own_guard = node
        .get("guard")
        .filter(|_| rule.guard.is_some())
        .map(|node| guard_rule(node, mistakes))
        .unwrap_or_default();
    let mut asks = own_verify.checks.clone().unwrap_or_default();
    asks.extend(found.asks.iter().cloned());
    let (verify, until) = verify(own_verify, &defaults.verify, every);
    let until = reading::filled(until, "`until`", mistakes)
        .and_then(|text| names.expr(&text, &names.proving(), mistakes));
    let when = rule.when.or_else(|| defaults.when.clone());
    let written = node.get("when").map(Node::items);
    if when.as_ref().is_some_and(Vec::is_empty) && written.is_none_or(<[Node]>::is_empty) {
        let place = node.get("when").map_or(&node.place, |node| &node.place);
        mistakes.push(
            Mistake::new(
                "bad-value",
                "`when` names no status, so nothing would ever be done",
                place.clone(),
            )
            .help("write `when: [critical]` or `when: [warning, critical]`"),
        );
    }
    let outline = RemediationOutline {
        when: when.map_or_else(
            || vec![Status::Critical],
            |when| when.into_iter().map(Status::from).collect(),
        ),
        ladder: ladder
            .iter()
            .map(|rung| rung.iter().map(|step| step.kind.to_owned()).collect())
            .collect(),
        fingerprint: print.finish(),
        verify,
        guard: guard(own_guard, &defaults.guard),
        approve: rule.approve.or(defaults.approve).unwrap_or(false),
        approve_within: approve_within
            .or(defaults.approve_within)
            .unwrap_or(APPROVE_WITHIN),
        rollback: rule.rollback.or(defaults.rollback).unwrap_or(false),
        escalate: escalate
            .as_ref()
            .or(defaults.escalate.as_ref())
            .into_iter()
            .flatten()
            .map(|name| name.as_str().into())
            .collect(),
    };
    Compiled {
        remediation: Remediation { ladder, until },
        outline,
        found,
        asks,
        escalate: escalate.unwrap_or_default(),
    }
}

/// How long a proposal waits for a person.
pub fn approve_within(
    node: &Node,
    within: Option<Span>,
    mistakes: &mut Vec<Mistake>,
) -> Option<Duration> {
    let within = within?;
    if within.0 < SOONEST_ANSWER || within.0 > LATEST_ANSWER {
        let place = node
            .get("approve_within")
            .map_or(&node.place, |value| &value.place);
        mistakes.push(
            Mistake::new(
                "bad-value",
                format!("nobody can approve within {within}"),
                place.clone(),
            )
            .help("write something from 1s to 30d"),
        );
        return None;
    }
    Some(within.0)
}

pub fn verify_rule(node: &Node, mistakes: &mut Vec<Mistake>) -> VerifyRule {
    let mut rule: VerifyRule = reading::read(node, mistakes);
    if rule.within.is_some_and(|within| within.0.is_zero())
        && let Some(node) = node.get("within")
    {
        mistakes.push(
            Mistake::new(
                "bad-value",
                "nothing can be proven within no time",
                node.place.clone(),
            )
            .help("write `within: 2m`"),
        );
    }
    rule.checks = rule
        .checks
        .map(|checks| reading::check_names(checks, mistakes));
    rule
}

pub fn guard_rule(node: &Node, mistakes: &mut Vec<Mistake>) -> GuardRule {
    let mut rule: GuardRule = reading::read(node, mistakes);
    if rule
        .breaker
        .is_some_and(|breaker| !(1..=1000).contains(&breaker))
    {
        rule.breaker = None;
        if let Some(node) = node.get("breaker") {
            mistakes.push(
                Mistake::new(
                    "bad-value",
                    "a breaker counts from 1 to 1000 repairs",
                    node.place.clone(),
                )
                .help("write `breaker: 3`"),
            );
        }
    }
    rule
}

fn verify(
    own: VerifyRule,
    defaults: &VerifyRule,
    every: Option<Duration>,
) -> (Verify, Option<Text>) {
    let within = own.within.or(defaults.within).map(|span| span.0);
    let after = own.after.or(defaults.after).map(|span| span.0);
    let checks = own.checks.or_else(|| defaults.checks.clone());
    let by_default = every.map_or(LONGEST_WITHIN, |every| (every * 3).min(LONGEST_WITHIN));
    let verify = Verify {
        after: after.unwrap_or_default(),
        within: within.unwrap_or(by_default),
        checks: checks
            .unwrap_or_default()
            .iter()
            .map(|name| name.as_str().into())
            .collect(),
    };
    (verify, own.until.or_else(|| defaults.until.clone()))
}

fn guard(own: GuardRule, defaults: &GuardRule) -> Guard {
    let always = Guard::default();
    let limit = own.limit.or(defaults.limit);
    Guard {
        cooldown: own
            .cooldown
            .or(defaults.cooldown)
            .map_or(always.cooldown, |span| span.0),
        limit: limit.map_or(always.limit, |limit| limit.count),
        window: limit.map_or(always.window, |limit| limit.window),
        backoff: own
            .backoff
            .or(defaults.backoff)
            .map_or(always.backoff, |backoff| (backoff.from, backoff.to)),
        breaker: own.breaker.or(defaults.breaker).unwrap_or(always.breaker),
    }
}

//! One look in a test: at the files of its world, or not at all where facts are given.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value};

use super::{
    Failure,
    case::{Given, asked_by_probes},
    driver::{Done, Driver},
};
use crate::{
    core::{Asked, Input},
    engine::look::{self, Purpose},
    model::{Name, facts::Facts, status::Status, verdict::Verdict},
    probe::{Board, Eyes, NoBoard},
    rules::{book::Check, testing::Sample},
    threshold::{self, Asked as Judged},
};

/// A test that needs more looks than this does not come to its end.
const MOST_LOOKS: usize = 1_000_000;

/// How every check stands, for the `status` probe.
struct Standings(BTreeMap<Name, (Status, String)>);

impl Board for Standings {
    fn status(&self, check: &str) -> Option<(Status, String)> {
        self.0.get(check).cloned()
    }
}

impl Driver<'_> {
    pub(super) fn look(&mut self, asked: Asked) -> Done<()> {
        self.looks += 1;
        if self.looks > MOST_LOOKS {
            return Err(self.trouble(format!(
                "more than {MOST_LOOKS} looks: the test is too long"
            )));
        }
        let Some(check) = self.lab.book.checks.get(&asked.check) else {
            return Err(self.trouble(format!("there is no check {}", asked.check)));
        };
        let remediation = check
            .remediation
            .as_ref()
            .filter(|_| asked.verify.is_some());
        let purpose = Purpose {
            acted: asked.acted,
            until: remediation.and_then(|remediation| remediation.until.clone()),
            keep: asked.keep && !self.case.form.dry,
            ledger: check
                .judging
                .publish
                .is_some()
                .then(|| self.seen.ledger(&asked.check)),
            prior: asked.prior,
        };
        let mut verdict = match self.facts_of(&asked.check)? {
            Some(facts) => self.judge(check, facts, &purpose),
            None if look::is_quick(check) => look::take_quick(check, &self.eyes(check), &purpose),
            None => {
                let name = &check.name;
                let trouble =
                    self.trouble(format!("{name}: its probe would look outside the test"));
                let help = format!("give it facts: `facts: {{ {name}: {{ … }} }}`");
                return Err(Box::new(trouble.because(&help)));
            }
        };
        verdict.duration_ms = 0.0;
        self.step(Input::Looked {
            ticket: asked.ticket,
            verdict: Arc::new(verdict),
        });
        Ok(())
    }

    fn judge(&self, check: &Check, facts: Result<Facts, String>, purpose: &Purpose) -> Verdict {
        let asked = Judged {
            until: purpose.until.as_ref(),
            acted: purpose.acted,
            keep: purpose.keep,
            ledger: purpose.ledger.as_ref(),
        };
        let ground = self.case.values.ground(self.now);
        threshold::judge(
            self.lab.engine,
            &check.judging,
            facts,
            &purpose.prior,
            &ground,
            asked,
        )
    }

    fn eyes(&self, check: &Check) -> Eyes {
        Eyes {
            engine: self.lab.engine.clone(),
            permission: self.permission.clone(),
            ground: self.case.values.ground(self.now),
            tails: Arc::default(), // what a file was is no business of a test: every look reads afresh
            board: self.board(check),
            limit: check.outline.deadline,
        }
    }

    /// Only a `status` probe reads it.
    fn board(&self, check: &Check) -> Arc<dyn Board> {
        if asked_by_probes(check).is_empty() {
            return Arc::new(NoBoard);
        }
        let looked = self
            .core
            .standings()
            .filter(|(_, standing)| standing.looked.is_some());
        let all = looked.map(|(name, it)| (name.clone(), (it.status, it.message.clone())));
        Arc::new(Standings(all.collect()))
    }

    /// The facts that the test gives at this instant, if it gives any.
    fn facts_of(&self, check: &Name) -> Done<Option<Result<Facts, String>>> {
        let series = self.case.series.get(check);
        let given = self.given.get(check);
        if series.is_none() && given.is_none() {
            return Ok(None);
        }
        let mut facts = Facts::new();
        match given {
            Some(Given::Fails(error)) => return Ok(Some(Err(error.clone()))),
            Some(Given::Facts(trees)) => {
                for (name, tree) in trees {
                    let value = self.case.values.render(tree, self.now, 0);
                    let value = value
                        .map_err(|fault| Box::new(Failure::new(&fault.place, fault.message)))?;
                    set(&mut facts, name, value);
                }
            }
            None => {}
        }
        let gone = self.now.since(self.case.values.start).as_millis();
        let index = usize::try_from(gone / self.case.step.as_millis().max(1)).unwrap_or(usize::MAX);
        for (name, series) in series.into_iter().flatten() {
            match series.at(index) {
                Some(Sample::Is(value)) => set(&mut facts, name, value.clone()),
                Some(Sample::Missing) | None => {
                    return Ok(Some(Err(format!("the test has no `{name}` at this time"))));
                }
            }
        }
        Ok(Some(Ok(facts)))
    }
}

/// Sets a fact; `run.count` is `count` of the look `run`.
fn set(facts: &mut Facts, name: &str, value: Value) {
    let Some((look, fact)) = name.split_once('.') else {
        facts.set(name.to_owned(), value);
        return;
    };
    let known = facts.get(look).map(|value| Value::clone(value));
    let mut all = match known {
        Some(Value::Object(all)) => all,
        _ => Map::new(),
    };
    all.insert(fact.to_owned(), value);
    facts.set(look.to_owned(), Value::Object(all));
}

//! Doing a rung in a test: steps on files act in the test's root, commands answer what the test says.

use serde_json::Value;

use super::play::Play;
use crate::{
    core::{Command, Input},
    hands::{self, Effect, Eyes, Hands},
    model::{
        Name,
        attempt::{Attempt, AttemptId},
        standing::HeldBy,
        step::{Outcome, Receipt, Step},
    },
    remediation::{self, PlanError},
    script::Scope,
};

/// A rung that acted.
#[derive(Clone, Debug)]
pub(super) struct Act {
    pub attempt: AttemptId,
    pub check: Name,
    pub at: crate::model::moment::Moment,
    pub rung: usize,
}

/// Why a step was not done: what held it, if anything did, and its receipt.
type Refusal = Box<(Option<HeldBy>, Receipt)>;

impl Play<'_> {
    pub(super) fn act(&mut self, attempt: &Attempt) -> Input {
        let id = attempt.id;
        let steps = match self.plan(attempt) {
            Ok(steps) if steps.is_empty() => return withheld(id, HeldBy::NoTarget),
            Ok(steps) => steps,
            Err(PlanError::TooMany(_)) => return withheld(id, HeldBy::TooMany),
            Err(error) => {
                let receipts = vec![told("plan", &error.to_string())];
                return Input::Acted {
                    attempt: id,
                    receipts,
                };
            }
        };
        let mut receipts: Vec<Receipt> = Vec::new();
        for step in &steps {
            match self.one(step) {
                Ok(receipt) => receipts.push(receipt),
                Err(refusal) => match *refusal {
                    (Some(by), _) if receipts.is_empty() => return withheld(id, by),
                    (_, receipt) => receipts.push(receipt),
                },
            }
            if receipts
                .last()
                .is_some_and(|it| it.outcome == Outcome::Failed)
            {
                break;
            }
        }
        let acted = receipts.iter().any(|it| it.outcome != Outcome::Would);
        if acted {
            self.acts.push(Act {
                attempt: id,
                check: attempt.check.clone(),
                at: self.now,
                rung: attempt.rung,
            });
        }
        Input::Acted {
            attempt: id,
            receipts,
        }
    }

    fn plan(&self, attempt: &Attempt) -> Result<Vec<Step>, PlanError> {
        let check = self.lab.book.checks.get(&attempt.check);
        let Some((check, rung)) = check.and_then(|check| {
            let rung = check.remediation.as_ref()?.ladder.get(attempt.rung)?;
            Some((check, rung))
        }) else {
            return Ok(Vec::new());
        };
        let ground = self.ground();
        let facts = self.last.get(&attempt.check).map(|it| it.facts.clone());
        let facts = facts.unwrap_or_default();
        let mut scope = Scope::new(&ground).facts(&facts).lets(&check.judging.lets);
        scope.bind("status", Value::from(attempt.before.status.word()));
        remediation::plan(self.lab.engine, rung, &mut scope)
    }

    fn one(&mut self, step: &Step) -> Result<Receipt, Refusal> {
        let eyes = Eyes {
            permission: self.permission.clone(),
            now: self.now,
            rules: self.lab.rules.to_owned(),
        };
        let effect = hands::prepare(step, &eyes).map_err(|error| {
            let receipt = hands::refused(step, &error);
            Box::new((held_by(&error), receipt))
        })?;
        if self.form.dry {
            return self.commit(&hands::Dry, &effect);
        }
        match &effect {
            Effect::Run { argv, .. } => Ok(self.command(&effect, argv)),
            Effect::RunChecks { checks } => {
                let id = self.core.new_round();
                let checks: Vec<Name> = checks.iter().map(|it| it.as_str().into()).collect();
                let wait = std::time::Duration::from_secs(15);
                self.inputs.push_back(Input::Command(Command::Round {
                    id,
                    checks,
                    fix: true,
                    wait,
                }));
                Ok(done(&effect, "asked for".to_owned()))
            }
            Effect::Nothing { .. } | Effect::Write { .. } | Effect::Remove { .. } => {
                let live = hands::Live::new(self.permission.clone(), std::sync::Arc::new(Nobody));
                let receipt = self.commit(&live, &effect)?;
                if let Effect::Write { file, .. } = &effect {
                    let _ = self.stage.touch(file, self.now); // gone again already
                }
                self.changed.insert(effect.target());
                Ok(receipt)
            }
        }
    }

    fn commit(&self, hands: &dyn Hands, effect: &Effect) -> Result<Receipt, Refusal> {
        self.runtime
            .block_on(hands.commit(effect))
            .map_err(|error| Box::new((held_by(&error), effect.failed(&error))))
    }

    /// What the test says this command answers; a command that it does not name succeeds.
    fn command(&mut self, effect: &Effect, argv: &[String]) -> Receipt {
        self.ran.push(argv.to_vec());
        let form = self.form;
        let answer = form.commands.iter().enumerate().find(|(index, command)| {
            let left = command
                .times
                .is_none_or(|times| self.answered.get(index).copied().unwrap_or(0) < times);
            left && command.run.as_ref().is_some_and(|run| run.means(argv))
        });
        let Some((index, answer)) = answer else {
            return done(effect, "exit 0".to_owned());
        };
        *self.answered.entry(index).or_default() += 1;
        if let Some(does) = &answer.does {
            self.change_world(&does.files, &does.facts);
        }
        let says = answer.says.clone().unwrap_or_default();
        let detail = format!(
            "exit {}{}{says}",
            answer.exit,
            if says.is_empty() { "" } else { ": " }
        );
        match answer.exit {
            0 => done(effect, detail),
            _ => Receipt {
                outcome: Outcome::Failed,
                ..done(effect, detail)
            },
        }
    }

    /// Undoes what the attempts of a ladder did, newest first.
    pub(super) fn roll_back(&mut self, climbed: &[AttemptId]) -> Vec<Receipt> {
        let eyes = Eyes {
            permission: self.permission.clone(),
            now: self.now,
            rules: self.lab.rules.to_owned(),
        };
        let live = hands::Live::new(self.permission.clone(), std::sync::Arc::new(Nobody));
        let mut undone = Vec::new();
        for id in climbed.iter().rev() {
            let receipts = self.receipts.get(id).cloned().unwrap_or_default();
            for receipt in receipts.iter().rev().filter(|it| hands::can_undo(it)) {
                undone.push(match hands::prepare_undo(receipt, &eyes) {
                    Ok(effect) => match self.commit(&live, &effect) {
                        Ok(receipt) => receipt,
                        Err(refusal) => refusal.1,
                    },
                    Err(error) => told("undo", &error.to_string()),
                });
                self.changed.insert(receipt.target.clone());
            }
        }
        undone
    }
}

/// Rounds are the core's business here, so no hand runs checks.
struct Nobody;

impl hands::Runner for Nobody {
    fn run_checks(&self, _: Vec<String>) -> futures::future::BoxFuture<'_, Result<String, String>> {
        Box::pin(async { Ok(String::new()) })
    }
}

fn withheld(attempt: AttemptId, by: HeldBy) -> Input {
    Input::Withheld { attempt, by }
}

fn held_by(error: &hands::HandsError) -> Option<HeldBy> {
    match error {
        hands::HandsError::Held { by, .. } => Some(*by),
        hands::HandsError::Failed(_) => None,
    }
}

fn done(effect: &Effect, detail: String) -> Receipt {
    Receipt {
        kind: effect.kind().to_owned(),
        target: effect.target(),
        outcome: Outcome::Done,
        detail,
        diff: None,
        undo: None,
    }
}

fn told(kind: &str, why: &str) -> Receipt {
    Receipt {
        kind: kind.to_owned(),
        target: String::new(),
        outcome: Outcome::Failed,
        detail: why.to_owned(),
        diff: None,
        undo: None,
    }
}

//! Doing a rung in the world of a test: plan, prepare and commit as the live engine does, except that commands, restarts
//! and signals are answered by the test and `run_checks` is a round of the same core.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use serde_json::Value;

use super::{
    case::When,
    driver::{Done, Driver},
};
use crate::{
    core::{Command, Input},
    hands::{self, Effect, Eyes, Hands, HandsError},
    model::{
        Name,
        attempt::{Attempt, AttemptId},
        report::Round,
        standing::{HeldBy, Hold},
        step::{Outcome, Receipt, Step},
    },
    remediation::{self, PlanError},
    script::Scope,
    threshold,
};

/// How long a step waits for the checks it runs.
const PATIENCE: Duration = Duration::from_secs(15);

/// A rung under way.
pub(super) struct Climb {
    attempt: Arc<Attempt>,
    steps: VecDeque<Step>,
    receipts: Vec<Receipt>,
    changed: Vec<String>,
    /// The checks it waits for.
    waits: Option<Effect>,
}

/// What came of one step.
enum Tried {
    Done(Receipt),
    Held(Hold, Receipt),
    Waits(Effect, Vec<Name>),
}

impl Driver<'_> {
    pub(super) fn act(&mut self, attempt: Arc<Attempt>) -> Done<()> {
        let id = attempt.id;
        match self.plan(&attempt) {
            Ok(steps) if steps.is_empty() => self.withhold(id, Hold::by(HeldBy::NoTarget)),
            Err(error @ PlanError::TooMany(_)) => {
                let hold = Hold::by(HeldBy::TooMany).because(error.to_string());
                self.withhold(id, hold);
            }
            Err(error) => {
                let receipt = Receipt {
                    kind: "plan".to_owned(),
                    target: String::new(),
                    outcome: Outcome::Failed,
                    detail: error.to_string(),
                    diff: None,
                    undo: None,
                };
                let receipts = vec![receipt];
                self.step(Input::Acted {
                    attempt: id,
                    receipts,
                });
            }
            Ok(steps) => {
                let climb = Climb {
                    attempt,
                    steps: steps.into(),
                    receipts: Vec::new(),
                    changed: Vec::new(),
                    waits: None,
                };
                return self.climb(climb);
            }
        }
        Ok(())
    }

    fn withhold(&mut self, attempt: AttemptId, hold: Hold) {
        self.step(Input::Withheld { attempt, hold });
    }

    fn plan(&self, attempt: &Attempt) -> Result<Vec<Step>, PlanError> {
        let check = self.lab.book.checks.get(&attempt.check);
        let Some((check, rung)) = check.and_then(|check| {
            let rung = check.remediation.as_ref()?.ladder.get(attempt.rung)?;
            Some((check, rung))
        }) else {
            return Ok(Vec::new());
        };
        let verdict = self
            .seen
            .outcomes
            .get(&attempt.check)
            .and_then(|it| it.verdict.clone());
        let facts = verdict
            .as_ref()
            .map(|verdict| verdict.facts.clone())
            .unwrap_or_default();
        let ground = self.case.values.ground(self.now);
        let recalled = verdict.as_ref().and_then(|it| it.recalled.as_deref());
        let late = |name: &str| threshold::recall(&check.judging, recalled?, name);
        let mut scope = Scope::new(&ground)
            .facts(&facts)
            .lets(&check.judging.lets)
            .late(&late);
        scope.bind("status", Value::from(attempt.before.status.word()));
        remediation::plan(self.lab.engine, rung, &mut scope)
    }

    fn climb(&mut self, mut climb: Climb) -> Done<()> {
        while let Some(step) = climb.steps.pop_front() {
            match self.one(&step, climb.attempt.id, &mut climb.changed)? {
                Tried::Held(hold, _) if climb.receipts.is_empty() => {
                    self.withhold(climb.attempt.id, hold);
                    return Ok(());
                }
                Tried::Done(receipt) | Tried::Held(_, receipt) => {
                    let failed = receipt.outcome == Outcome::Failed;
                    climb.receipts.push(receipt);
                    if failed {
                        break; // a rung is done in order, and not past what failed
                    }
                }
                Tried::Waits(effect, checks) => {
                    let id = self.core.new_round();
                    climb.waits = Some(effect);
                    self.climbing.insert(id, climb);
                    let (fix, wait) = (true, PATIENCE);
                    self.step(Input::Command(Command::Round {
                        id,
                        checks,
                        fix,
                        wait,
                    }));
                    return Ok(());
                }
            }
        }
        self.acted(climb)
    }

    /// The checks a step asked for have been looked at.
    pub(super) fn climb_on(&mut self, mut climb: Climb, round: &Round) -> Done<()> {
        if let Some(effect) = climb.waits.take() {
            let told = round.outcomes.iter().filter_map(|outcome| {
                let verdict = outcome.verdict.as_ref()?;
                Some(format!("{} {}", outcome.check, verdict.status))
            });
            let detail = told.collect::<Vec<_>>().join(", ");
            climb.receipts.push(Receipt {
                detail,
                ..effect.promise()
            });
        }
        self.climb(climb)
    }

    fn acted(&mut self, climb: Climb) -> Done<()> {
        let check = climb.attempt.check.clone();
        let nth = self
            .seen
            .acts(&check)
            .filter(|it| it.id != climb.attempt.id)
            .count()
            + 1;
        let dry = self.case.form.dry;
        if !dry {
            self.change(|when| {
                matches!(when, When::After { check: it, act } if *it == check && *act as usize == nth)
            })?;
        }
        self.step(Input::Acted {
            attempt: climb.attempt.id,
            receipts: climb.receipts,
        });
        for path in climb.changed {
            self.step(Input::FileChanged(path));
        }
        Ok(())
    }

    fn hand_eyes(&self) -> Eyes {
        Eyes {
            permission: self.permission.clone(),
            now: self.now,
            rules: self.lab.rules.to_owned(),
        }
    }

    /// Looks at a target inside of the test; what is outside is not looked at.
    fn prepare(&self, step: &Step) -> Result<Effect, HandsError> {
        hands::unlooked(step).unwrap_or_else(|| hands::prepare(step, &self.hand_eyes()))
    }

    fn one(&mut self, step: &Step, attempt: AttemptId, changed: &mut Vec<String>) -> Done<Tried> {
        let effect = match self.prepare(step) {
            Ok(effect) => effect,
            Err(error) => {
                let receipt = hands::refused(step, &error);
                return Ok(tried(error, receipt));
            }
        };
        if let Some(hold) = self.claim(attempt, effect.claims()) {
            let error = HandsError::Held {
                by: hold.by,
                reason: hold.why.unwrap_or_default(),
            };
            let receipt = effect.failed(&error);
            return Ok(tried(error, receipt));
        }
        match &effect {
            Effect::Run { argv, .. } if !self.case.form.dry => {
                let argv = argv.clone();
                self.answer(&effect, argv, changed).map(Tried::Done)
            }
            Effect::Signal { signal, who, .. } if !self.case.form.dry => {
                let kind = effect.kind().to_owned();
                let argv = vec![kind, signal.word().to_owned(), who.clone()];
                self.answer(&effect, argv, changed).map(Tried::Done)
            }
            Effect::Restart { unit, .. } if !self.case.form.dry => {
                let argv = vec![effect.kind().to_owned(), unit.to_string()];
                self.answer(&effect, argv, changed).map(Tried::Done)
            }
            // Nothing of a test goes over the network.
            Effect::Call(call) if !self.case.form.dry => {
                let line = call.words();
                self.answer(&effect, line, changed).map(Tried::Done)
            }
            Effect::Raise { event } if !self.case.form.dry => {
                let detail = format!("raised the event {event}");
                self.step(Input::Event(event.clone()));
                Ok(Tried::Done(Receipt {
                    detail,
                    ..effect.promise()
                }))
            }
            Effect::RunChecks { checks } if !self.case.form.dry => {
                let checks = checks.iter().map(|name| name.as_str().into()).collect();
                Ok(Tried::Waits(effect, checks))
            }
            _ => Ok(match self.commit(&effect, changed)? {
                Ok(receipt) => Tried::Done(receipt),
                Err(error) => {
                    let receipt = effect.failed(&error);
                    tried(error, receipt)
                }
            }),
        }
    }

    /// What the steps of this rung would do, by dry hands.
    pub(super) fn propose(&mut self, attempt: &Attempt) {
        let id = attempt.id;
        let steps = match self.plan(attempt) {
            Ok(steps) if steps.is_empty() => {
                return self.withhold(id, Hold::by(HeldBy::NoTarget));
            }
            Ok(steps) => steps,
            Err(error @ PlanError::TooMany(_)) => {
                let hold = Hold::by(HeldBy::TooMany).because(error.to_string());
                return self.withhold(id, hold);
            }
            Err(_) => Vec::new(), // told when it is done
        };
        let receipts = steps.iter().map(|step| match self.prepare(step) {
            Err(error) => hands::refused(step, &error),
            Ok(effect) => {
                let done = self.runtime.block_on(hands::Dry.commit(&effect));
                done.unwrap_or_else(|error| effect.failed(&error))
            }
        });
        let receipts = receipts.collect();
        self.step(Input::Proposed {
            attempt: id,
            receipts,
        });
    }

    fn commit(
        &mut self,
        effect: &Effect,
        changed: &mut Vec<String>,
    ) -> Done<Result<Receipt, HandsError>> {
        let done = self.runtime.block_on(self.hands.commit(effect));
        if done.is_ok() && !self.case.form.dry {
            match effect {
                Effect::Write { file, .. } => {
                    self.written(file)?;
                    changed.push(file.clone());
                }
                Effect::Remove { file, .. } => changed.push(file.clone()),
                Effect::Move { file, to, .. } => changed.extend([file.clone(), to.clone()]),
                _ => {}
            }
        }
        Ok(done)
    }

    /// A command is not started and a request not sent: the first entry of `commands` that means it answers; without one it succeeds.
    fn answer(
        &mut self,
        effect: &Effect,
        argv: Vec<String>,
        changed: &mut Vec<String>,
    ) -> Done<Receipt> {
        let case = self.case;
        let fine = match effect {
            Effect::Call(_) => "answered as expected".to_owned(),
            _ => "exit 0".to_owned(),
        };
        let entry = case.commands.iter().enumerate().find(|(index, answers)| {
            let spent = answers
                .times
                .is_some_and(|times| self.answered.get(*index).is_some_and(|it| *it >= times));
            answers.run.means(&argv) && !spent
        });
        self.seen.ran.push(argv);
        let Some((index, answers)) = entry else {
            return Ok(Receipt {
                detail: fine,
                ..effect.promise()
            });
        };
        if let Some(count) = self.answered.get_mut(index) {
            *count += 1;
        }
        if let Some(change) = &answers.does {
            self.apply(change)?;
            changed.extend(change.files.iter().map(|file| file.path.clone()));
        }
        let said = answers
            .says
            .as_ref()
            .map_or_else(String::new, |says| format!(": {says}"));
        Ok(match answers.exit {
            0 => Receipt {
                detail: fine,
                ..effect.promise()
            },
            code => effect.failed(&HandsError::Failed(match effect {
                Effect::Call(_) => format!("not answered as expected{said}"),
                _ => format!("exit {code}{said}"),
            })),
        })
    }

    /// Undoes what can be undone, newest first.
    pub(super) fn roll_back(&mut self, attempt: AttemptId, climbed: &[AttemptId]) -> Done<()> {
        let mut undone = Vec::new();
        let mut changed = Vec::new();
        for id in climbed.iter().rev() {
            let receipts = self.receipts(*id);
            for receipt in receipts
                .iter()
                .rev()
                .filter(|receipt| hands::can_undo(receipt))
            {
                let done = match hands::prepare_undo(receipt, &self.hand_eyes()) {
                    Ok(effect) => match self.commit(&effect, &mut changed)? {
                        Ok(receipt) => receipt,
                        Err(error) => effect.failed(&error),
                    },
                    Err(error) => Receipt {
                        outcome: Outcome::Failed,
                        detail: error.to_string(),
                        diff: None,
                        undo: None,
                        ..receipt.clone()
                    },
                };
                undone.push(done);
            }
        }
        self.step(Input::RolledBack {
            attempt,
            receipts: undone,
        });
        for path in changed {
            self.step(Input::FileChanged(path));
        }
        Ok(())
    }
}

fn tried(error: HandsError, receipt: Receipt) -> Tried {
    match error {
        HandsError::Held { by, reason } => Tried::Held(Hold::by(by).because(reason), receipt),
        HandsError::Failed(_) => Tried::Done(receipt),
    }
}

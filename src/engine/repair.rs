//! Doing a rung, undoing a ladder: plan, prepare, commit, one step after the other.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures::future::FutureExt;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::{
    driver::{Driver, Message},
    failpoint::{Boundary, pass},
    handle::News,
    records::Records,
};
use crate::{
    core::Input,
    hands::{self, Effect, Eyes, Hands, HandsError},
    model::{
        attempt::{Attempt, AttemptId, Phase},
        moment::Moment,
        standing::{HeldBy, Hold},
        step::{Outcome, Receipt, Step},
        verdict::Verdict,
    },
    permission::Secrets,
    remediation::{self, PlanError},
    rules::book::Book,
    script::{self, Ground, Scope},
    threshold,
};

/// Everything a rung needs, so that it can go on while the loop does.
struct Work {
    attempt: Arc<Attempt>,
    book: Arc<Book>,
    script: script::Engine,
    ground: Ground,
    verdict: Option<Arc<Verdict>>,
    eyes: Eyes,
    hands: Arc<dyn Hands>,
    records: Arc<dyn Records>,
    /// Where targets are claimed. Nobody need claim what is only proposed.
    claims: Option<mpsc::UnboundedSender<Message>>,
}

/// What came of a rung.
enum Done {
    Acted(Vec<Receipt>),
    Withheld(Hold),
}

impl Done {
    /// It is done: from here on it is told.
    fn hide(&mut self, secrets: &Secrets) {
        match self {
            Done::Acted(receipts) => receipts.iter_mut().for_each(|it| secrets.hide_receipt(it)),
            Done::Withheld(hold) => {
                if let Some(why) = &mut hold.why {
                    *why = secrets.hide(why).into_owned();
                }
            }
        }
    }
}

impl Driver {
    fn work(&self, attempt: Arc<Attempt>, now: Moment) -> Work {
        Work {
            book: self.book_of(attempt.id),
            script: self.parts.script.clone(),
            ground: self.ground(now),
            verdict: self
                .last
                .get(&attempt.check)
                .map(|(verdict, _)| verdict.clone()),
            eyes: self.hand_eyes(now),
            hands: self.parts.hands.clone(),
            records: self.parts.records.clone(),
            claims: Some(self.sender.clone()),
            attempt,
        }
    }

    /// Says what a rung would do, for the person who is to approve it.
    pub(super) fn propose(&mut self, attempt: Arc<Attempt>, now: Moment) {
        let work = Work {
            hands: Arc::new(hands::Dry),
            records: Arc::new(super::records::Nowhere),
            claims: None,
            ..self.work(attempt, now)
        };
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let attempt = work.attempt.id;
            let done = AssertUnwindSafe(work.climb()).catch_unwind().await;
            let mut done = done.unwrap_or_else(|_| Done::Acted(vec![broke_off()]));
            done.hide(work.eyes.permission.secrets());
            let input = match done {
                Done::Acted(receipts) => Input::Proposed { attempt, receipts },
                Done::Withheld(hold) => Input::Withheld { attempt, hold },
            };
            let _ = sender.send(Message::Input(input)); // the engine has ended
        });
    }

    pub(super) fn act(&mut self, attempt: Arc<Attempt>, now: Moment) {
        let work = self.work(attempt, now);
        let sender = self.sender.clone();
        let news = self.news();
        tokio::spawn(async move {
            let id = work.attempt.id;
            let mut told = Attempt::clone(&work.attempt);
            // Without an outcome the attempt would stay open for ever.
            let done = AssertUnwindSafe(work.climb()).catch_unwind().await;
            let mut done = done.unwrap_or_else(|_| Done::Acted(vec![broke_off()]));
            done.hide(work.eyes.permission.secrets());
            let input = match done {
                Done::Acted(receipts) => {
                    told.receipts.clone_from(&receipts);
                    let _ = news.send(Arc::new(News::Acted(Arc::new(told)))); // nobody may listen
                    Input::Acted {
                        attempt: id,
                        receipts,
                    }
                }
                Done::Withheld(hold) => {
                    let reason = hold.why.as_deref().unwrap_or_default();
                    tracing::warn!(check = %told.check, by = %hold.by, reason, "a repair was withheld");
                    Input::Withheld { attempt: id, hold }
                }
            };
            pass(Boundary::BeforeTold);
            let _ = sender.send(Message::Input(input)); // the engine has ended
            pass(Boundary::AfterTold);
        });
    }

    fn hand_eyes(&self, now: Moment) -> Eyes {
        Eyes {
            permission: self.parts.permission.clone(),
            now,
            rules: self.parts.rules.clone(),
        }
    }

    pub(super) fn roll_back(&mut self, attempt: AttemptId, climbed: Vec<AttemptId>, now: Moment) {
        let (eyes, hands) = (self.hand_eyes(now), self.parts.hands.clone());
        let records = self.parts.records.clone();
        let open: Vec<Attempt> = self.core.attempts().cloned().collect();
        let sender = self.sender.clone();
        tokio::spawn(async move {
            pass(Boundary::BeforeRollBack);
            let rolled = async {
                let mut undone = Vec::new();
                for id in climbed.into_iter().rev() {
                    let receipts = match open.iter().find(|it| it.id == id) {
                        Some(attempt) => Ok(attempt.receipts.clone()),
                        None => records.receipts(id).await,
                    };
                    match receipts {
                        Ok(receipts) => undone.extend(undo_all(&receipts, &eyes, &hands).await),
                        Err(error) => tracing::warn!(attempt = id, %error, "could not roll back"),
                    }
                }
                undone
            };
            let undone = AssertUnwindSafe(rolled).catch_unwind().await;
            let receipts = undone.unwrap_or_else(|_| vec![broke_off()]);
            let input = Input::RolledBack { attempt, receipts };
            pass(Boundary::AfterRollBack);
            let _ = sender.send(Message::Input(input)); // the engine has ended
        });
    }

    /// What a person undoes by hand.
    pub(super) fn undo(
        &self,
        attempt: AttemptId,
        by: String,
        reply: oneshot::Sender<Result<Vec<Receipt>, String>>,
    ) {
        let now = self.parts.clock.now();
        let (eyes, hands) = (self.hand_eyes(now), self.parts.hands.clone());
        let records = self.parts.records.clone();
        let open = self.core.attempts().any(|it| it.id == attempt);
        tokio::spawn(async move {
            let answer = if open {
                Err(format!("attempt {attempt} is still under way"))
            } else {
                undo_one(attempt, now, by, &eyes, &hands, records.as_ref()).await
            };
            let _ = reply.send(answer); // whoever asked may have gone
        });
    }
}

async fn undo_one(
    attempt: AttemptId,
    now: Moment,
    by: String,
    eyes: &Eyes,
    hands: &Arc<dyn Hands>,
    records: &dyn Records,
) -> Result<Vec<Receipt>, String> {
    let receipts = records.receipts(attempt).await?;
    if !receipts.iter().any(hands::can_undo) {
        return Err(format!("attempt {attempt} did nothing that can be undone"));
    }
    let undone = undo_all(&receipts, eyes, hands).await;
    if undone.iter().all(|it| it.outcome == Outcome::Done) {
        records.undone(attempt, now, by).await?;
    }
    Ok(undone)
}

/// Undoes what can be undone, newest first; what cannot has a failed receipt that says why.
async fn undo_all(receipts: &[Receipt], eyes: &Eyes, hands: &Arc<dyn Hands>) -> Vec<Receipt> {
    let mut undone = Vec::new();
    for receipt in receipts.iter().rev().filter(|it| hands::can_undo(it)) {
        let effect = blocking(|| hands::prepare_undo(receipt, eyes));
        let done = match effect {
            Ok(effect) => match commit(hands, &effect).await {
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
    let secrets = eyes.permission.secrets();
    undone.iter_mut().for_each(|it| secrets.hide_receipt(it));
    undone
}

/// Does it to the world.
async fn commit(hands: &Arc<dyn Hands>, effect: &Effect) -> Result<Receipt, HandsError> {
    pass(Boundary::BeforeAct);
    let done = hands.commit(effect).await;
    pass(Boundary::AfterAct);
    done
}

/// Looking at a target blocks for as long as a file takes to be read.
fn blocking<T>(look: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::try_current().map(|it| it.runtime_flavor()) {
        Ok(tokio::runtime::RuntimeFlavor::MultiThread) => tokio::task::block_in_place(look),
        _ => look(),
    }
}

impl Work {
    async fn climb(&self) -> Done {
        let steps = match blocking(|| self.plan()) {
            Ok(steps) if steps.is_empty() => {
                return Done::Withheld(Hold::by(HeldBy::NoTarget));
            }
            Ok(steps) => steps,
            Err(error @ PlanError::TooMany(_)) => {
                return Done::Withheld(Hold::by(HeldBy::TooMany).because(error.to_string()));
            }
            Err(error) => return Done::Acted(vec![unplanned(&error)]),
        };
        let mut receipts = Vec::new();
        for step in &steps {
            match self.one(step).await {
                Ok(receipt) => receipts.push(receipt),
                Err((HandsError::Held { by, reason }, _)) if receipts.is_empty() => {
                    return Done::Withheld(Hold::by(by).because(reason));
                }
                Err((_, receipt)) => receipts.push(receipt),
            }
            if receipts
                .last()
                .is_some_and(|it| it.outcome == Outcome::Failed)
            {
                break; // a rung is done in order, and not past what failed
            }
        }
        Done::Acted(receipts)
    }

    fn plan(&self) -> Result<Vec<Step>, PlanError> {
        let check = self.book.checks.get(&self.attempt.check);
        let Some((check, remediation)) =
            check.and_then(|check| Some((check, check.remediation.as_ref()?)))
        else {
            return Ok(Vec::new());
        };
        let Some(rung) = remediation.ladder.get(self.attempt.rung) else {
            return Ok(Vec::new());
        };
        let facts = self.verdict.as_ref().map(|verdict| verdict.seen().clone());
        let facts = facts.unwrap_or_default();
        let recalled = self.verdict.as_ref().and_then(|it| it.recalled.as_deref());
        let late = |name: &str| threshold::recall(&check.judging, recalled?, name);
        let mut scope = Scope::new(&self.ground)
            .facts(&facts)
            .lets(&check.judging.lets)
            .late(&late);
        scope.bind("status", Value::from(self.attempt.before.status.word()));
        remediation::plan(&self.script, rung, &mut scope)
    }

    async fn one(&self, step: &Step) -> Result<Receipt, (HandsError, Receipt)> {
        let effect = blocking(|| hands::prepare(step, &self.eyes));
        let effect = effect.map_err(|error| {
            let receipt = hands::refused(step, &error);
            (error, receipt)
        })?;
        if let Some(hold) = self.refused(&effect).await {
            let error = HandsError::Held {
                by: hold.by,
                reason: hold.why.unwrap_or_default(),
            };
            let receipt = effect.failed(&error);
            return Err((error, receipt));
        }
        if let Err(error) = self.keep_image(&effect).await {
            let error = HandsError::Held {
                by: HeldBy::Store,
                reason: format!("the before-image could not be kept: {error}"),
            };
            let receipt = effect.failed(&error);
            return Err((error, receipt));
        }
        commit(&self.hands, &effect).await.map_err(|error| {
            let receipt = effect.failed(&error);
            (error, receipt)
        })
    }

    /// Claims what the step acts on; says what refuses it.
    async fn refused(&self, effect: &Effect) -> Option<Hold> {
        let claims = self.claims.as_ref()?;
        let secrets = self.eyes.permission.secrets();
        let targets: Vec<String> = effect
            .claims()
            .iter()
            .map(|target| secrets.hide(target).into_owned())
            .collect();
        if targets.is_empty() {
            return None;
        }
        let (reply, answer) = oneshot::channel();
        let claim = Message::Claim {
            attempt: self.attempt.id,
            targets,
            reply,
        };
        let gone = || Hold::by(HeldBy::InFlight).because("the engine has ended");
        match claims.send(claim) {
            Ok(()) => answer.await.unwrap_or_else(|_| Some(gone())),
            Err(_) => Some(gone()),
        }
    }

    /// What undoing needs is durable before the act.
    async fn keep_image(&self, effect: &Effect) -> Result<(), String> {
        let mut promise = effect.promise();
        self.eyes.permission.secrets().hide_receipt(&mut promise);
        if promise.undo.is_none() || matches!(effect, Effect::Nothing { .. }) {
            return Ok(());
        }
        let image = serde_json::to_value(promise).map_err(|error| error.to_string())?;
        self.records.prepared(self.attempt.id, vec![image]).await
    }
}

fn unplanned(error: &PlanError) -> Receipt {
    Receipt {
        kind: "plan".to_owned(),
        target: String::new(),
        outcome: Outcome::Failed,
        detail: error.to_string(),
        diff: None,
        undo: None,
    }
}

/// The receipt of a rung in whose middle something panicked: a defect, told in the log.
fn broke_off() -> Receipt {
    tracing::error!("a rung broke off");
    Receipt {
        kind: "panic".to_owned(),
        target: String::new(),
        outcome: Outcome::Failed,
        detail: "it broke off in the middle; what was done before is not known".to_owned(),
        diff: None,
        undo: None,
    }
}

/// The receipt of a rung that did not end in the time a stopping engine gives it.
pub(super) fn gave_up_waiting() -> Receipt {
    Receipt {
        kind: "stop".to_owned(),
        target: String::new(),
        outcome: Outcome::Failed,
        detail: "the engine was stopped and did not wait any longer".to_owned(),
        diff: None,
        undo: None,
    }
}

/// A phase in one word.
pub(super) fn phase(phase: &Phase) -> &'static str {
    match phase {
        Phase::Proposed { .. } => "proposed",
        Phase::Intended => "intended",
        Phase::Acting => "acting",
        Phase::Settling { .. } => "settling",
        Phase::Verifying { .. } => "verifying",
        Phase::RollingBack => "rolling back",
        Phase::Interrupted { .. } => "interrupted",
        Phase::Ended { .. } => "ended",
    }
}

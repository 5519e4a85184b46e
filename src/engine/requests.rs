//! What commands, the API and tests ask of the driver, one by one.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;

use super::{
    driver::{Driver, Waiting},
    handle::{News, Request},
};
use crate::{
    core::{Command, Input, Output},
    model::{
        Name,
        attempt::{AttemptId, NoteKind, Phase, Row},
        moment::Moment,
        standing::{Baseline, Silence},
    },
};

/// How long a rung that had checks run waits for what they repair to be proven.
const RUNG: Duration = Duration::from_secs(15);

impl Driver {
    pub(super) fn request(&mut self, request: Request, now: Moment, out: &mut Vec<Output>) {
        match self.discreet(request) {
            Request::Check {
                names,
                fix,
                wait,
                reply,
            } => {
                let id = self.core.new_round();
                self.waiting.insert(id, Waiting::Answer(reply));
                let checks = self.names(names);
                let round = Command::Round {
                    id,
                    checks,
                    fix,
                    wait,
                };
                self.command(round, now, out);
            }
            Request::Rung { names, reply } => {
                let id = self.core.new_round();
                self.waiting.insert(id, Waiting::Rung(reply));
                let round = Command::Round {
                    id,
                    checks: names,
                    fix: true,
                    wait: RUNG,
                };
                self.command(round, now, out);
            }
            Request::DryRun { names, reply } => self.dry_run(names, reply),
            Request::Rehearse { book, names, reply } => self.rehearse(book, names, reply),
            Request::Note { text, reply } => {
                self.tell(News::Note {
                    check: None,
                    text: text.clone(),
                });
                self.rows.push(Row::Note {
                    check: None,
                    at: now,
                    kind: NoteKind::Edited,
                    text,
                    to: Vec::new(),
                });
                self.flush();
                let _ = reply.send(()); // the asker may have gone
            }
            Request::Investigate { name, reply, .. }
                if !self.parts.book.investigations.contains_key(&name) =>
            {
                let _ = reply.send(Value::Null); // the asker may have gone
            }
            Request::Investigate { name, wait, reply } => {
                let id = self.core.new_round();
                self.waiting.insert(id, Waiting::Record(reply));
                let it = Command::Investigate {
                    id,
                    name,
                    cause: Some("manual".to_owned()),
                    wait,
                };
                self.command(it, now, out);
            }
            Request::Status(reply) => {
                let _ = reply.send(self.status(now)); // the asker may have gone
            }
            Request::Overview(wanted, reply) => {
                let _ = reply.send(self.overview(&wanted, now));
            }
            Request::Sight(name, reply) => {
                let _ = reply.send(self.sight(&name, now).map(Box::new));
            }
            Request::Bench(reply) => {
                let _ = reply.send(self.workbench());
            }
            Request::Sessions(reply) => {
                let _ = reply.send(self.sessions());
            }
            Request::Waiting(reply) => {
                let _ = reply.send(self.waits());
            }
            Request::Measures(reply) => {
                let _ = reply.send(self.measures());
            }
            Request::Beat(reply) => {
                let _ = reply.send(self.beat(now));
            }
            Request::Explain { name, reply } => {
                let _ = reply.send(self.explain(&name, now));
            }
            Request::Pause(pause, reply) => {
                self.command(Command::Pause(pause), now, out);
                self.flush();
                let _ = reply.send(());
            }
            Request::Resume(reply) => {
                self.command(Command::Resume, now, out);
                self.flush();
                let _ = reply.send(());
            }
            Request::PauseChecks(checks, pause, reply) => {
                let command = Command::PauseChecks {
                    checks: checks.clone(),
                    pause: pause.clone(),
                };
                self.command(command, now, out);
                self.flush();
                let pause = Some(pause);
                self.tell(News::ChecksPaused { checks, pause });
                let _ = reply.send(()); // whoever asked may have gone
            }
            Request::ResumeChecks(checks, reply) => {
                let paused = |name: &Name| self.core.own_pause(name).is_some();
                let checks: Vec<Name> = checks.into_iter().filter(paused).collect();
                if !checks.is_empty() {
                    self.command(Command::ResumeChecks(checks.clone()), now, out);
                    self.flush();
                    self.tell(News::ChecksPaused {
                        checks: checks.clone(),
                        pause: None,
                    });
                }
                let _ = reply.send(checks); // whoever asked may have gone
            }
            Request::Silence(silence, reply) => {
                let id = self.core.next_silence();
                let said = Silence {
                    id,
                    at: now,
                    ..silence.clone()
                };
                self.command(Command::Silence(silence), now, out);
                let kept = self.core.silences().find(|it| it.id == id).cloned();
                self.flush();
                if let Some(kept) = &kept {
                    self.tell(News::Silenced(kept.clone()));
                }
                let _ = reply.send(kept.unwrap_or(said)); // it may be over already, and whoever asked may have gone
            }
            Request::Unsilence(id, reply) => {
                let known = self.core.silences().any(|it| it.id == id);
                if known {
                    self.command(Command::Unsilence(id), now, out);
                    self.flush();
                    self.tell(News::Unsilenced(id));
                }
                let _ = reply.send(known); // whoever asked may have gone
            }
            Request::Decide {
                attempt,
                by,
                verdict,
                reply,
            } => {
                let _ = reply.send(self.decide(attempt, by, verdict, now, out)); // the asker may have gone
            }
            Request::Confirm {
                check,
                by,
                reason,
                reply,
            } => {
                let _ = reply.send(self.confirm(check, by, reason, now, out)); // the asker may have gone
            }
            Request::Undo { attempt, by, reply } => self.undo(attempt, by, reply),
            Request::Heartbeat {
                name,
                payload,
                reply,
            } => {
                let _ = reply.send(self.hear(name, payload, now)); // the asker may have gone
            }
            Request::Acknowledge { which, word, reply } => {
                let _ = reply.send(self.acknowledge(which, word)); // the asker may have gone
            }
            Request::Tell { to, text, reply } => {
                let _ = reply.send(self.tell_notifiers(&to, &text, now)); // the rung may have ended
            }
            Request::TestNotifier { name, reply } => self.test_notifier(&name, now, reply),
            Request::Incidents(reply) => {
                let _ = reply.send(self.open_incidents()); // the asker may have gone
            }
            Request::Notifiers(reply) => {
                let _ = reply.send(self.notifiers()); // the asker may have gone
            }
            Request::Event(event) => self.core.step(now, Input::Event(event), out),
            Request::Reload(_) | Request::Store(_) => {
                // Answered before the loop: by the watcher and by the store.
            }
            Request::Stop(reply) => {
                let first = self.stopping.is_none();
                self.stopping.get_or_insert_default().push(reply);
                if first {
                    self.end_late();
                }
            }
        }
    }

    /// What a person says is kept, shown and sent on: without secrets.
    fn discreet(&self, mut request: Request) -> Request {
        let secrets = self.parts.permission.secrets();
        let hide = |text: &mut String| *text = secrets.hide(text).into_owned();
        match &mut request {
            Request::Pause(pause, _) | Request::PauseChecks(_, pause, _) => {
                hide(&mut pause.by);
                hide(&mut pause.reason);
            }
            Request::Silence(silence, _) => {
                hide(&mut silence.by);
                hide(&mut silence.reason);
            }
            Request::Acknowledge { word, .. } => {
                hide(&mut word.by);
                hide(&mut word.reason);
            }
            Request::Decide { by, verdict, .. } => {
                hide(by);
                if let Err(reason) = verdict {
                    hide(reason);
                }
            }
            Request::Confirm { by, reason, .. } => {
                hide(by);
                if let Some(reason) = reason {
                    hide(reason);
                }
            }
            Request::Undo { by, .. } => hide(by),
            _ => {}
        }
        request
    }

    /// A heartbeat that a rule waits for is remembered, also over a restart.
    fn hear(&mut self, name: Name, payload: Value, now: Moment) -> Result<(), Vec<Name>> {
        let checks = self.parts.book.checks.values();
        let known: BTreeSet<Name> = checks.flat_map(|check| check.probes.heartbeats()).collect();
        if !known.contains(&name) {
            return Err(known.into_iter().collect());
        }
        self.parts.board.hear(name.clone(), now, payload.clone());
        self.rows.push(Row::Heartbeat {
            name,
            at: now,
            payload,
        });
        self.flush();
        Ok(())
    }

    /// A person's word that the present value of a check is meant so (with a reason), or no longer.
    fn confirm(
        &mut self,
        check: Name,
        by: String,
        reason: Option<String>,
        now: Moment,
        out: &mut Vec<Output>,
    ) -> Result<Option<Baseline>, String> {
        let Some(rule) = self.parts.book.checks.get(&check) else {
            return Err(format!("there is no check {check}"));
        };
        if rule.judging.baseline.is_none() {
            return Err(format!(
                "{check} has no `baseline`, so there is nothing to confirm"
            ));
        }
        let standing = self.core.standing(&check);
        let before = standing.and_then(|standing| standing.prior.baseline.clone());
        let (baseline, answer) = match reason {
            Some(reason) => {
                let value = self
                    .last
                    .get(&check)
                    .and_then(|(verdict, _)| verdict.baseline.clone())
                    .ok_or_else(|| self.no_baseline(&check))?;
                let at = now;
                let baseline = Baseline {
                    value,
                    at,
                    by: by.clone(),
                    reason,
                };
                (Some(baseline.clone()), Some(baseline))
            }
            None if before.is_none() => {
                return Err(format!("nothing is confirmed for {check}"));
            }
            None => (None, before),
        };
        let command = Command::Confirm {
            check,
            baseline,
            by,
        };
        self.command(command, now, out);
        self.flush();
        Ok(answer)
    }

    /// Why the last look of a check gave nothing to confirm.
    fn no_baseline(&self, check: &Name) -> String {
        let last = self.last.get(check).map(|(verdict, _)| verdict);
        match last.and_then(|verdict| verdict.error.as_deref()) {
            Some(error) => format!("the last look at {check} has no value to confirm: {error}"),
            None => format!("{check} has not been looked at: its calendar may be closed"),
        }
    }

    /// A person's word on a proposal; the name of its check, or why there is nothing to say.
    fn decide(
        &mut self,
        attempt: AttemptId,
        by: String,
        verdict: Result<(), String>,
        now: Moment,
        out: &mut Vec<Output>,
    ) -> Result<Name, String> {
        let found = self.core.attempts().find(|it| it.id == attempt);
        let proposed = found.filter(|it| matches!(it.phase, Phase::Proposed { .. }));
        let Some(check) = proposed.map(|it| it.check.clone()) else {
            return Err(match found {
                Some(it) => format!(
                    "attempt {attempt} is {} and waits for nobody",
                    super::repair::phase(&it.phase)
                ),
                None => format!("nothing of the number {attempt} waits to be approved"),
            });
        };
        let command = match verdict {
            Ok(()) => Command::Approve { attempt, by },
            Err(reason) => Command::Deny {
                attempt,
                by,
                reason,
            },
        };
        self.command(command, now, out);
        self.flush();
        Ok(check)
    }
}

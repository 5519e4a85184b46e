//! What commands, the API and tests ask of a running engine.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::{
    answer::{Answer, StepAnswer},
    measures::Measures,
    overview::{Beat, Overview, Waiting, Wanted},
    progress::{Health, Progress},
    pulse::Pulse,
    sight::{Sessions, Sight, Workbench},
};
use crate::{
    model::{
        Name,
        attempt::{Attempt, AttemptId, Brief, Phase},
        incident::{Acknowledged, Incident, IncidentId},
        moment::Moment,
        standing::{Baseline, Hold, Pause, Silence, Storm},
        status::Status,
        step::Receipt,
    },
    rules::{book::Book, complaint::Complaint},
};

/// A running engine, from outside. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(super) requests: mpsc::UnboundedSender<Request>,
    pub(super) news: broadcast::Sender<Arc<News>>,
    pub(super) progress: Arc<Progress>,
    pub(super) pulse: Arc<Pulse>,
}

/// What the engine is asked; it answers through the channel.
pub(super) enum Request {
    Check {
        names: Vec<Name>,
        fix: bool,
        wait: Duration,
        reply: oneshot::Sender<Answer>,
    },
    /// A rung has these checks looked at, repairs included.
    Rung {
        names: Vec<Name>,
        reply: oneshot::Sender<Answer>,
    },
    DryRun {
        names: Vec<Name>,
        reply: oneshot::Sender<Answer>,
    },
    /// A dry round by another book.
    Rehearse {
        book: Arc<Book>,
        names: Vec<Name>,
        reply: oneshot::Sender<Answer>,
    },
    /// Something a person did to the rules.
    Note {
        text: String,
        reply: oneshot::Sender<()>,
    },
    Investigate {
        name: Name,
        wait: Duration,
        reply: oneshot::Sender<Value>,
    },
    Status(oneshot::Sender<StatusAnswer>),
    Overview(Wanted, oneshot::Sender<Overview>),
    /// Answers `None` if there is no such check.
    Sight(Name, oneshot::Sender<Option<Box<Sight>>>),
    Bench(oneshot::Sender<Workbench>),
    Sessions(oneshot::Sender<Vec<Sessions>>),
    Beat(oneshot::Sender<Beat>),
    Measures(oneshot::Sender<Measures>),
    Waiting(oneshot::Sender<Waiting>),
    Explain {
        name: Name,
        reply: oneshot::Sender<Option<Value>>,
    },
    Pause(Pause, oneshot::Sender<()>),
    Resume(oneshot::Sender<()>),
    /// Holds the repairs of these checks.
    PauseChecks(Vec<Name>, Pause, oneshot::Sender<()>),
    /// Answers with those of them that were paused by themselves.
    ResumeChecks(Vec<Name>, oneshot::Sender<Vec<Name>>),
    /// Answers with the silence as it is kept.
    Silence(Silence, oneshot::Sender<Silence>),
    /// Answers whether there was one of that number.
    Unsilence(u64, oneshot::Sender<bool>),
    /// Approves (`Ok`) or denies, with a reason (`Err`).
    Decide {
        attempt: AttemptId,
        by: String,
        verdict: Result<(), String>,
        reply: oneshot::Sender<Result<Name, String>>,
    },
    /// Confirms what the last look of a check gave as its baseline (`Some` reason), or takes it back.
    Confirm {
        check: Name,
        by: String,
        reason: Option<String>,
        reply: oneshot::Sender<Result<Option<Baseline>, String>>,
    },
    Undo {
        attempt: AttemptId,
        by: String,
        reply: oneshot::Sender<Result<Vec<Receipt>, String>>,
    },
    Event(String),
    /// A person has an incident in hand: by its number, or by one of its checks.
    Acknowledge {
        which: Result<IncidentId, Name>,
        word: Acknowledged,
        reply: oneshot::Sender<Result<Incident, String>>,
    },
    /// A step tells notifiers something.
    Tell {
        to: Vec<Name>,
        text: String,
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// Sends a test notice; answers for each channel what came of it.
    TestNotifier {
        name: Name,
        reply: oneshot::Sender<Result<Vec<Tested>, Vec<Name>>>,
    },
    Notifiers(oneshot::Sender<Vec<NotifierAnswer>>),
    /// Open incidents, newest first.
    Incidents(oneshot::Sender<Vec<Incident>>),
    /// Something elsewhere said that it is alive. Answers with the names that rules wait for, if this is none of them.
    Heartbeat {
        name: Name,
        payload: Value,
        reply: oneshot::Sender<Result<(), Vec<Name>>>,
    },
    Reload(oneshot::Sender<ReloadAnswer>),
    /// A question to the store, answered in order with the writes.
    Store(Box<dyn FnOnce(&mut crate::store::Store) + Send>),
    Stop(oneshot::Sender<()>),
}

#[derive(Debug, thiserror::Error)]
#[error("the engine has ended")]
pub struct Gone;

/// How everything stands.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StatusAnswer {
    pub generation: String,
    /// Epoch seconds.
    pub now: f64,
    pub overall: Status,
    pub paused: Option<Pause>,
    pub checks: Vec<StandingAnswer>,
    /// Complaints of a rule set that was refused; empty when what is on disk is what runs.
    pub complaints: Vec<Value>,
    /// Complaints as shown to people.
    pub complaints_text: Option<String>,
    pub missed_slots: u64,
    /// Silences that have not ended.
    #[serde(default)]
    pub silences: Vec<Silence>,
    /// Half of the checks turned bad together: all remediation waits.
    #[serde(default)]
    pub storm: Option<Storm>,
    /// What waits for a person.
    #[serde(default)]
    pub proposals: Vec<Proposal>,
    pub store: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StandingAnswer {
    pub name: String,
    pub status: Status,
    pub message: String,
    /// Epoch seconds.
    pub since: f64,
    pub looked: Option<f64>,
    pub looks: u64,
    pub held_by: Option<String>,
    /// Until when, in epoch seconds, where the guard can tell.
    #[serde(default)]
    pub held_until: Option<f64>,
    #[serde(default)]
    pub held_why: Option<String>,
    /// When its calendar opens, while that is closed. Epoch seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens: Option<f64>,
    /// The check it waits behind: one that it needs and that is CRITICAL, or that nobody has looked at yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<String>,
    /// Its own pause: its repairs wait, whatever the kill switch says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// The open attempt and its phase.
    pub attempt: Option<(AttemptId, String)>,
    /// The open incident that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentId>,
    /// Who has that incident in hand, if anybody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<AcknowledgedAnswer>,
}

/// A person has it in hand. Times are in epoch seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AcknowledgedAnswer {
    pub at: f64,
    pub by: String,
    pub reason: String,
    pub until: Option<f64>,
}

impl From<&Acknowledged> for AcknowledgedAnswer {
    fn from(word: &Acknowledged) -> AcknowledgedAnswer {
        AcknowledgedAnswer {
            at: word.at.seconds(),
            by: word.by.clone(),
            reason: word.reason.clone(),
            until: word.until.map(Moment::seconds),
        }
    }
}

/// How it goes with telling somebody. The counts are those since the engine started.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NotifierAnswer {
    pub name: String,
    pub about: Option<String>,
    /// `journal`, `webhook` …
    pub channels: Vec<String>,
    pub waiting: u64,
    pub sent: u64,
    pub failed: u64,
    /// Incidents it is not told of now: silenced, quiet, acknowledged or over its limit.
    pub muted: u64,
    /// Notices that were dropped because too many waited.
    pub dropped: u64,
    pub last_error: Option<String>,
    /// When the next one is tried. Epoch seconds.
    pub next: Option<f64>,
    /// Its quiet hours are on.
    pub quiet: bool,
}

/// What came of a test notice by one channel.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Tested {
    pub channel: String,
    /// Whom that tells.
    pub whom: String,
    pub arrived: bool,
    pub said: String,
}

/// A repair that a person must approve.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Proposal {
    pub attempt: AttemptId,
    pub check: String,
    /// From 0.
    pub rung: usize,
    /// What led to it.
    pub before: Brief,
    /// Epoch seconds.
    pub since: f64,
    pub until: f64,
    /// Who approved it, while a guard still holds it.
    pub approved_by: Option<String>,
    /// What it would do.
    pub steps: Vec<StepAnswer>,
}

impl Proposal {
    /// Of an attempt that waits for a person.
    pub fn of(attempt: &Attempt) -> Option<Proposal> {
        let Phase::Proposed { until } = attempt.phase else {
            return None;
        };
        Some(Proposal {
            attempt: attempt.id,
            check: attempt.check.to_string(),
            rung: attempt.rung,
            before: attempt.before.clone(),
            since: attempt.begun.seconds(),
            until: until.seconds(),
            approved_by: attempt.approved.as_ref().map(|it| it.by.clone()),
            steps: attempt.receipts.iter().map(StepAnswer::of).collect(),
        })
    }
}

#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ReloadAnswer {
    /// Whether what is on disk is what runs now.
    pub live: bool,
    pub generation: String,
    /// `+2 ~1 -0 checks`.
    pub changes: String,
    pub complaints_text: Option<String>,
}

/// What happened, for the screen and for streams.
#[derive(Clone, Debug)]
pub enum News {
    /// A status that counts changed.
    Changed {
        check: Name,
        from: Status,
        to: Status,
        message: String,
        /// The check it waits behind: a broken one that it needs. Then it is no news of its own.
        behind: Option<Name>,
        /// How many checks wait behind it now.
        holds: usize,
    },
    /// A rung was done (before verification).
    Acted(Arc<crate::model::attempt::Attempt>),
    /// An attempt ended.
    Ended(Arc<crate::model::attempt::Attempt>),
    Held {
        check: Name,
        hold: Hold,
    },
    Note {
        /// `None` when it is about all of them.
        check: Option<Name>,
        text: String,
    },
    Reloaded {
        generation: String,
        changes: String,
        warnings: Vec<Complaint>,
    },
    /// The rules on disk were refused; the last good book keeps running.
    Refused {
        generation: String,
        complaints: Vec<Complaint>,
    },
    Paused(Option<Pause>),
    /// The repairs of these checks wait, or (`None`) no longer.
    ChecksPaused {
        checks: Vec<Name>,
        pause: Option<Pause>,
    },
    Silenced(Silence),
    Unsilenced(u64),
    /// An incident began, changed for those who are told, or ended.
    Incident(Arc<Incident>),
    Investigated {
        name: Name,
        record: Value,
    },
}

impl Handle {
    async fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Gone> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(make(reply)).map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }

    /// One round now. No names: every check.
    pub async fn check(&self, names: Vec<Name>, fix: bool, wait: Duration) -> Result<Answer, Gone> {
        self.ask(|reply| Request::Check {
            names,
            fix,
            wait,
            reply,
        })
        .await
    }

    /// For `run_checks`: a round that a rung waits for.
    pub(super) async fn check_for_rung(&self, names: Vec<Name>) -> Result<Answer, Gone> {
        self.ask(|reply| Request::Rung { names, reply }).await
    }

    /// What `check` would do, by the standings of now, without doing it.
    pub async fn dry_run(&self, names: Vec<Name>) -> Result<Answer, Gone> {
        self.ask(|reply| Request::DryRun { names, reply }).await
    }

    /// What these checks would do by another book, by the standings of now, without doing it.
    pub async fn rehearse(&self, book: Arc<Book>, names: Vec<Name>) -> Result<Answer, Gone> {
        self.ask(|reply| Request::Rehearse { book, names, reply })
            .await
    }

    /// Records that a person saved a rule file.
    pub async fn edited(&self, text: String) -> Result<(), Gone> {
        self.ask(|reply| Request::Note { text, reply }).await
    }

    /// The record of an investigation; `null` if there is none of that name.
    pub async fn investigate(&self, name: Name, wait: Duration) -> Result<Value, Gone> {
        self.ask(|reply| Request::Investigate { name, wait, reply })
            .await
    }

    pub async fn status(&self) -> Result<StatusAnswer, Gone> {
        self.ask(Request::Status).await
    }

    /// How everything stands, in a page of rows.
    pub async fn overview(&self, wanted: Wanted) -> Result<Overview, Gone> {
        self.ask(|reply| Request::Overview(wanted, reply)).await
    }

    /// Everything of one check; `None` if there is none of that name.
    pub async fn sight(&self, name: Name) -> Result<Option<Box<Sight>>, Gone> {
        self.ask(|reply| Request::Sight(name, reply)).await
    }

    /// The rules that run, with what judging by them needs.
    pub async fn bench(&self) -> Result<Workbench, Gone> {
        self.ask(Request::Bench).await
    }

    /// The investigations and what they found lately.
    pub async fn sessions(&self) -> Result<Vec<Sessions>, Gone> {
        self.ask(Request::Sessions).await
    }

    /// Silences in force, and what waits for a person.
    pub async fn waiting(&self) -> Result<Waiting, Gone> {
        self.ask(Request::Waiting).await
    }

    /// Whether the engine has ended, so that nobody answers any more.
    pub fn is_gone(&self) -> bool {
        self.requests.is_closed()
    }

    /// The numbers of the loop, for metrics.
    pub async fn measures(&self) -> Result<Measures, Gone> {
        self.ask(Request::Measures).await
    }

    /// How the loop goes, in a word.
    pub async fn beat(&self) -> Result<Beat, Gone> {
        self.ask(Request::Beat).await
    }

    /// What may be read of the engine without asking it.
    pub fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    /// The last verdict of a check with its reasons.
    pub async fn explain(&self, name: Name) -> Result<Option<Value>, Gone> {
        self.ask(|reply| Request::Explain { name, reply }).await
    }

    pub async fn pause(&self, pause: Pause) -> Result<(), Gone> {
        self.ask(|reply| Request::Pause(pause, reply)).await
    }

    pub async fn resume(&self) -> Result<(), Gone> {
        self.ask(Request::Resume).await
    }

    /// Holds the repairs of these checks; looking and telling go on.
    pub async fn pause_checks(&self, checks: Vec<Name>, pause: Pause) -> Result<(), Gone> {
        self.ask(|reply| Request::PauseChecks(checks, pause, reply))
            .await
    }

    /// Lets these checks be repaired again. Answers with those that were paused by themselves.
    pub async fn resume_checks(&self, checks: Vec<Name>) -> Result<Vec<Name>, Gone> {
        self.ask(|reply| Request::ResumeChecks(checks, reply)).await
    }

    /// Its number and time are given by the engine.
    pub async fn silence(&self, silence: Silence) -> Result<Silence, Gone> {
        self.ask(|reply| Request::Silence(silence, reply)).await
    }

    /// Whether there was one of that number.
    pub async fn unsilence(&self, id: u64) -> Result<bool, Gone> {
        self.ask(|reply| Request::Unsilence(id, reply)).await
    }

    /// Approves a proposal, or denies it for a reason. The inner error says why that is not possible.
    pub async fn decide(
        &self,
        attempt: AttemptId,
        by: String,
        verdict: Result<(), String>,
    ) -> Result<Result<Name, String>, Gone> {
        self.ask(|reply| Request::Decide {
            attempt,
            by,
            verdict,
            reply,
        })
        .await
    }

    /// Looks afresh at a check and confirms what its `baseline` gives, for a reason; without one, what was confirmed is
    /// taken back. The inner error says why that is not possible.
    pub async fn confirm(
        &self,
        check: Name,
        by: String,
        reason: Option<String>,
    ) -> Result<Result<Option<Baseline>, String>, Gone> {
        if reason.is_some() {
            self.check(vec![check.clone()], false, Duration::ZERO)
                .await?;
        }
        self.ask(|reply| Request::Confirm {
            check,
            by,
            reason,
            reply,
        })
        .await
    }

    pub async fn undo(
        &self,
        attempt: AttemptId,
        by: String,
    ) -> Result<Result<Vec<Receipt>, String>, Gone> {
        self.ask(|reply| Request::Undo { attempt, by, reply }).await
    }

    pub async fn reload(&self) -> Result<ReloadAnswer, Gone> {
        self.ask(Request::Reload).await
    }

    pub fn event(&self, event: String) -> Result<(), Gone> {
        self.requests.send(Request::Event(event)).map_err(|_| Gone)
    }

    /// A person has an incident in hand. The inner error says why there is none.
    pub async fn acknowledge(
        &self,
        which: Result<IncidentId, Name>,
        word: Acknowledged,
    ) -> Result<Result<Incident, String>, Gone> {
        self.ask(|reply| Request::Acknowledge { which, word, reply })
            .await
    }

    /// Tells notifiers something; the inner error says which of them is not there.
    pub async fn tell(&self, to: Vec<Name>, text: String) -> Result<Result<(), String>, Gone> {
        self.ask(|reply| Request::Tell { to, text, reply }).await
    }

    /// Sends a test notice by each channel of a notifier; the inner error has the notifiers that there are.
    pub async fn test_notifier(&self, name: Name) -> Result<Result<Vec<Tested>, Vec<Name>>, Gone> {
        self.ask(|reply| Request::TestNotifier { name, reply })
            .await
    }

    /// Open incidents as they are now, newest first. Those that are over are in the store.
    pub async fn incidents(&self) -> Result<Vec<Incident>, Gone> {
        self.ask(Request::Incidents).await
    }

    /// How it goes with telling people, notifier by notifier.
    pub async fn notifiers(&self) -> Result<Vec<NotifierAnswer>, Gone> {
        self.ask(Request::Notifiers).await
    }

    /// Hears a heartbeat; the inner error has the names that rules wait for.
    pub async fn heartbeat(
        &self,
        name: Name,
        payload: Value,
    ) -> Result<Result<(), Vec<Name>>, Gone> {
        self.ask(|reply| Request::Heartbeat {
            name,
            payload,
            reply,
        })
        .await
    }

    /// Asks the store, in order with the writes.
    pub async fn store<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut crate::store::Store) -> T + Send + 'static,
    ) -> Result<T, Gone> {
        self.ask(|reply| {
            Request::Store(Box::new(move |store| {
                let _ = reply.send(question(store)); // the asker may have gone
            }))
        })
        .await
    }

    /// Finishes what was started, then ends.
    pub async fn stop(&self) -> Result<(), Gone> {
        self.ask(Request::Stop).await
    }

    /// How it gets on, without asking the loop.
    pub fn health(&self) -> Health {
        self.progress.health()
    }

    /// What happens from now on.
    pub fn news(&self) -> broadcast::Receiver<Arc<News>> {
        self.news.subscribe()
    }
}

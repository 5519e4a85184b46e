//! `/api/incidents`, `/api/notices`, `/api/ack` and `/api/notify/test`: what people are told of, and how it goes.
//!
//! Incidents and what became of their notices come from the store, so an engine that has just started knows them as well.

use std::time::Duration;

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    api::{Answered, Api},
    caller::{Caller, limited},
    endpoint::Endpoint,
    refusal::{Refusal, Said, Wanted},
};
use crate::{
    engine::handle::{AcknowledgedAnswer, NotifierAnswer, Tested},
    model::{
        Name,
        incident::{Acknowledged, Ending, Incident, IncidentId},
        notice::{Delivery, DeliveryState},
        status::Status,
        text::meant,
    },
    store::StoreError,
};

/// Answers have at most so many entries.
const LIMIT: usize = 1000;
/// The longest an acknowledgement may last, in seconds.
const HELD: f64 = 366.0 * 86_400.0;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/api/incidents", incidents)
            .is(
                "incidents",
                "Incidents, newest first, with who was told of them.",
            )
            .query::<Which>()
            .answers::<Vec<IncidentAnswer>>(),
        Endpoint::get("/api/notices", notices)
            .is(
                "notices",
                "Whom people are told by, how that goes, and the last notices.",
            )
            .query::<Recent>()
            .answers::<NoticesAnswer>(),
        Endpoint::post("/api/ack", acknowledge)
            .is(
                "acknowledge",
                "Somebody has an incident in hand: nobody else is called for it.",
            )
            .body::<Word>()
            .answers::<IncidentAnswer>()
            .error(404, "there is no check of that name")
            .error(409, "there is no open incident of that check or number"),
        Endpoint::post("/api/notify/test", test)
            .is(
                "test_notifier",
                "Sends a test notice by every channel of a notifier.",
            )
            .body::<Test>()
            .answers::<TestAnswer>()
            .error(404, "there is no notifier of that name")
            .waits(),
    ]
}

/// An incident, as scripts read it. Times are in epoch seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IncidentAnswer {
    pub id: IncidentId,
    /// The root cause; `null` for a storm.
    pub check: Option<String>,
    /// Every check that belongs to it, the root cause first; of an open one those that are not OK.
    pub checks: Vec<String>,
    /// How bad it is; of an ended one, the worst it was.
    pub status: Status,
    pub message: String,
    pub opened: f64,
    pub closed: Option<f64>,
    /// How it ended: `recovered`, `joined` (another incident, `into`) or `removed`.
    pub ended: Option<String>,
    pub into: Option<IncidentId>,
    pub acknowledged: Option<AcknowledgedAnswer>,
    /// Others were told because nobody acknowledged.
    pub escalated: bool,
    /// Why the engine could not help itself, as it said last.
    pub why: Option<String>,
    pub repair: Option<String>,
    pub told: Vec<ToldAnswer>,
}

/// How it stands with telling one notifier of an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToldAnswer {
    pub notifier: String,
    /// `sent`, `waiting`, `failed`, `muted`; `due` when its time has not come.
    pub state: String,
    /// When it was told last, or is to be.
    pub at: f64,
    pub why: Option<String>,
}

/// A notice on its way through one channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NoticeAnswer {
    pub id: u64,
    pub notifier: String,
    pub channel: String,
    pub incident: Option<IncidentId>,
    pub at: f64,
    pub kind: String,
    pub title: String,
    /// `waiting`, `sent`, `failed`, `replaced` or `dropped`.
    pub state: String,
    pub tries: u32,
    /// When it is tried next, while it waits.
    pub next: Option<f64>,
    pub why: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct NoticesAnswer {
    pub notifiers: Vec<NotifierAnswer>,
    /// Newest first.
    pub recent: Vec<NoticeAnswer>,
}

impl IncidentAnswer {
    pub fn of(incident: &Incident, deliveries: &[Delivery]) -> IncidentAnswer {
        let over = incident.ended.as_ref();
        let mut checks: Vec<&Name> = incident
            .members
            .iter()
            .filter(|(_, member)| over.is_some() || member.status != Status::Ok)
            .map(|(name, _)| name)
            .collect();
        checks.sort_by_key(|name| Some(*name) != incident.check.as_ref());
        let told = incident.listeners.iter().map(|(name, listener)| {
            let own = deliveries.iter().filter(|it| it.notice.notifier == *name);
            let worst = own.max_by_key(|it| {
                let weight = match it.state {
                    DeliveryState::Failed => 2,
                    DeliveryState::Waiting => 1,
                    _ => 0,
                };
                (weight, it.notice.id)
            });
            let (state, at, why) = match (listener.told, worst) {
                (None, _) if listener.muted.is_some() && over.is_none() => {
                    ("muted", listener.due, listener.muted.clone())
                }
                (None, _) => ("due", listener.due, None),
                (Some(_), Some(it)) if it.state == DeliveryState::Failed => {
                    ("failed", it.notice.at, it.why.clone())
                }
                (Some(_), Some(it)) if it.state == DeliveryState::Waiting => {
                    ("waiting", it.next, it.why.clone())
                }
                (Some(told), _) => ("sent", listener.last.unwrap_or(told), None),
            };
            ToldAnswer {
                notifier: name.to_string(),
                state: state.to_owned(),
                at: at.seconds(),
                why,
            }
        });
        IncidentAnswer {
            id: incident.id,
            check: incident.check.as_deref().map(str::to_owned),
            checks: checks.into_iter().map(ToString::to_string).collect(),
            status: incident.status,
            message: incident.message.clone(),
            opened: incident.opened.seconds(),
            closed: over.map(|it| it.at.seconds()),
            ended: over.map(|it| {
                let word = match it.how {
                    Ending::Recovered => "recovered",
                    Ending::Joined(_) => "joined",
                    Ending::Removed => "removed",
                };
                word.to_owned()
            }),
            into: over.and_then(|it| match it.how {
                Ending::Joined(other) => Some(other),
                _ => None,
            }),
            acknowledged: incident.acknowledged.as_ref().map(AcknowledgedAnswer::from),
            escalated: incident.escalated,
            why: incident.why.clone(),
            repair: incident.repair.clone(),
            // Who was never told of one that is over need not be named.
            told: told
                .filter(|it| over.is_none() || it.state != "due")
                .collect(),
        }
    }
}

impl NoticeAnswer {
    pub fn of(delivery: &Delivery) -> NoticeAnswer {
        let notice = &delivery.notice;
        let waits = delivery.state == DeliveryState::Waiting;
        NoticeAnswer {
            id: notice.id,
            notifier: notice.notifier.to_string(),
            channel: delivery.channel.clone(),
            incident: notice.incident,
            at: notice.at.seconds(),
            kind: notice.kind.word().to_owned(),
            title: notice.title.clone(),
            state: delivery.state.word().to_owned(),
            tries: delivery.tries,
            next: waits.then(|| delivery.next.seconds()),
            why: delivery.why.clone(),
        }
    }
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Which {
    open: bool,
    #[schemars(range(max = 1000))]
    limit: Option<usize>,
}

async fn incidents(
    State(api): State<Api>,
    Wanted(which): Wanted<Which>,
) -> Answered<Vec<IncidentAnswer>> {
    let limit = which.limit.unwrap_or(100).min(LIMIT);
    // As they are now, also what was not worth writing yet.
    let open = api.handle.incidents().await?;
    let answers = api.handle.store(move |store| -> Result<_, StoreError> {
        let mut found = match which.open {
            true => open,
            false => {
                let mut all = store.incidents(false, limit)?;
                for old in &mut all {
                    if let Some(now) = open.iter().find(|it| it.id == old.id) {
                        old.clone_from(now);
                    }
                }
                all
            }
        };
        found.truncate(limit);
        let answers = found.iter().map(|incident| {
            let deliveries = store.deliveries_of(incident.id)?;
            Ok(IncidentAnswer::of(incident, &deliveries))
        });
        answers.collect()
    });
    Ok(Json(answers.await??))
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Recent {
    #[schemars(range(max = 1000))]
    limit: Option<usize>,
}

async fn notices(
    State(api): State<Api>,
    Wanted(recent): Wanted<Recent>,
) -> Answered<NoticesAnswer> {
    let limit = recent.limit.unwrap_or(100).min(LIMIT);
    let found = api.handle.store(move |store| store.deliveries(limit));
    let found = found.await??;
    Ok(Json(NoticesAnswer {
        notifiers: api.handle.notifiers().await?,
        recent: found.iter().map(NoticeAnswer::of).collect(),
    }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Word {
    /// A check of the incident…
    check: Option<String>,
    /// … or its number.
    incident: Option<IncidentId>,
    #[serde(default)]
    #[schemars(length(max = 500))]
    reason: String,
    #[schemars(length(max = 500))]
    by: Option<String>,
    /// After so many seconds nobody has it in hand any more.
    #[schemars(range(min = 0.001, max = 31_622_400.0))]
    for_s: Option<f64>,
}

async fn acknowledge(
    State(api): State<Api>,
    caller: Caller,
    Said(word): Said<Word>,
) -> Answered<IncidentAnswer> {
    let which = match (word.check, word.incident) {
        (Some(check), None) => {
            let known = api.known(vec![check]).await?;
            let check = known.into_iter().next();
            Err(check.ok_or_else(|| Refusal::bad("name the check"))?)
        }
        (None, Some(id)) => Ok(id),
        _ => {
            let wrong = "name a `check` of the incident, or the number of the `incident`";
            return Err(Refusal::bad(wrong));
        }
    };
    let by = caller.by(word.by)?;
    let reason = limited("reason", word.reason)?;
    let span = word.for_s.map(|seconds| {
        Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|span| span.as_millis() > 0 && seconds <= HELD)
            .ok_or_else(|| Refusal::bad("for_s is a number of seconds above 0, at most a year"))
    });
    let span = span.transpose()?;
    let now = api.clock.now();
    let word = Acknowledged {
        at: now,
        by,
        reason,
        until: span.map(|span| now.plus(span)),
    };
    match api.handle.acknowledge(which, word).await? {
        Ok(incident) => {
            let id = incident.id;
            let deliveries = api.handle.store(move |store| store.deliveries_of(id));
            let deliveries = deliveries.await??;
            Ok(Json(IncidentAnswer::of(&incident, &deliveries)))
        }
        Err(why) => Err(Refusal::conflict(why)),
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Test {
    notifier: String,
}

/// What came of a test notice.
#[derive(Serialize, JsonSchema)]
struct TestAnswer {
    notifier: String,
    /// By every channel.
    arrived: bool,
    channels: Vec<Tested>,
    /// Epoch seconds.
    at: f64,
}

async fn test(State(api): State<Api>, Said(Test { notifier }): Said<Test>) -> Answered<TestAnswer> {
    let name = notifier.as_str().into();
    match api.handle.test_notifier(name).await? {
        Ok(channels) => {
            let arrived = channels.iter().all(|it| it.arrived);
            Ok(Json(TestAnswer {
                notifier,
                arrived,
                channels,
                at: api.clock.now().seconds(),
            }))
        }
        Err(known) => {
            let meant = meant(&notifier, known.iter().map(|name| &**name))
                .map(|meant| format!(": did you mean `{meant}`?"))
                .unwrap_or_default();
            let wrong = format!("there is no notifier `{notifier}`{meant}");
            Err(Refusal::absent(wrong))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{
        incident::{Because, Ended, Listener, Member},
        moment::Moment,
        notice::{Notice, NoticeKind},
    };

    fn listener(told: Option<i64>, muted: Option<&str>) -> Listener {
        Listener {
            due: Moment(30_000),
            told: told.map(Moment),
            status: None,
            last: told.map(Moment),
            because: Because::Named,
            muted: muted.map(str::to_owned),
            quieted: false,
            owed: None,
            passed: false,
        }
    }

    fn delivery(notifier: &str, state: DeliveryState, why: Option<&str>) -> Delivery {
        let notice = Notice {
            id: 4,
            notifier: notifier.into(),
            incident: Some(7),
            at: Moment(40_000),
            kind: NoticeKind::Opened,
            status: Status::Critical,
            before: None,
            check: Some("a".into()),
            checks: vec!["a".into()],
            title: "CRITICAL a".to_owned(),
            text: String::new(),
            opened: None,
            closed: None,
            due: Moment(40_000),
            paged: false,
        };
        Delivery {
            state,
            why: why.map(str::to_owned),
            ..Delivery::new(Arc::new(notice), "webhook")
        }
    }

    #[test]
    fn an_incident_says_who_knows_of_it() {
        let member = |status| Member {
            status,
            message: String::new(),
        };
        let mut incident = Incident {
            id: 7,
            check: Some("b".into()),
            opened: Moment(1000),
            ended: None,
            status: Status::Critical,
            peak: Status::Critical,
            message: "it is bad".to_owned(),
            members: [
                ("a".into(), member(Status::Warning)),
                ("b".into(), member(Status::Critical)),
                ("c".into(), member(Status::Ok)),
            ]
            .into(),
            acknowledged: None,
            escalated: false,
            why: None,
            repair: None,
            listeners: [
                ("broken".into(), listener(Some(40_000), None)),
                ("heard".into(), listener(Some(40_000), None)),
                ("later".into(), listener(None, None)),
                ("muted".into(), listener(None, Some("quiet hours"))),
                ("slow".into(), listener(Some(40_000), None)),
            ]
            .into(),
        };
        let deliveries = [
            delivery("broken", DeliveryState::Failed, Some("answered 404")),
            delivery("heard", DeliveryState::Sent, None),
            delivery("slow", DeliveryState::Waiting, Some("refused")),
        ];
        let answer = IncidentAnswer::of(&incident, &deliveries);
        assert_eq!(
            answer.checks,
            ["b", "a"],
            "those that are not OK, the cause first"
        );
        let told: Vec<(&str, &str, Option<&str>)> = answer
            .told
            .iter()
            .map(|it| (&*it.notifier, &*it.state, it.why.as_deref()))
            .collect();
        assert_eq!(
            told,
            [
                ("broken", "failed", Some("answered 404")),
                ("heard", "sent", None),
                ("later", "due", None),
                ("muted", "muted", Some("quiet hours")),
                ("slow", "waiting", Some("refused")),
            ]
        );
        incident.ended = Some(Ended {
            at: Moment(90_000),
            how: Ending::Joined(9),
        });
        let answer = IncidentAnswer::of(&incident, &deliveries);
        assert_eq!(answer.checks, ["b", "a", "c"]);
        assert_eq!(answer.ended.as_deref(), Some("joined"));
        assert_eq!((answer.into, answer.closed), (Some(9), Some(90.0)));
        assert_eq!(answer.told.len(), 3, "only who was told");
    }
}

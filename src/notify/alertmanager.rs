//! `alertmanager`: incidents as alerts of a Prometheus Alertmanager, by its API v2.
//!
//! An alert is known by its labels, so these say only what stays: which incident, of which check, how bad. It ends by
//! itself when nobody says it again, so it is said again every minute; when it got worse, that is another alert, and the one
//! before ends with the same request.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderMap, HeaderName},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Channel, Kind, Parcel, Sent, Unsent, Workshop,
    filled::{self, Address, Filled, place},
    http::{self, Post},
};
use crate::{
    model::{
        moment::Moment,
        node::{self, Node},
        notice::{Notice, NoticeKind},
        span::Span,
        status::Status,
        text::{Mistake, Text},
    },
    net::exchange,
};

pub static KIND: Kind = Kind {
    name: "alertmanager",
    about: "Incidents as alerts of a Prometheus Alertmanager, which routes, groups and inhibits them.",
    example: "alertmanager: { url: 'http://127.0.0.1:9093' }",
    build,
};

/// An alert that is not said again for so long is over.
const STANDS: Duration = Duration::from_secs(4 * 60);
/// What is told once stands in the list for so long.
const ONCE: Duration = Duration::from_secs(3600);

/// Labels that are the engine's own.
const OURS: [&str; 5] = ["alertname", "check", "severity", "incident", "notifier"];

/// Incidents as alerts.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// Its address, without `/api/v2`.
    url: Text,
    /// Labels besides `alertname`, `check`, `severity`, `incident` and `notifier`.
    #[serde(default)]
    labels: BTreeMap<String, Text>,
    /// Their values are never shown.
    #[serde(default)]
    headers: BTreeMap<String, Text>,
    /// After this it has failed and is tried again later. By default 30s.
    timeout: Option<Span>,
    /// A PEM file with the certificates that are trusted instead of those of the system.
    ca: Option<Text>,
}

struct Alertmanager {
    url: Address,
    labels: Vec<(String, Filled)>,
    headers: Vec<(HeaderName, Filled)>,
    timeout: Duration,
    ca: Option<Text>,
}

fn build(node: &Node, workshop: &mut Workshop<'_>) -> Option<Arc<dyn Channel>> {
    let before = workshop.mistakes.len();
    let form: Form = node::decode(node, workshop.mistakes)?;
    let url = Address::build(&form.url, workshop);
    let mut labels = Vec::new();
    for (name, text) in &form.labels {
        let wrong = match () {
            () if OURS.contains(&name.as_str()) => Some(format!("`{name}` is set by the engine")),
            () if !is_label(name) => Some(format!("`{name}` is no name of a label")),
            () => None,
        };
        if let Some(wrong) = wrong {
            let wrong = Mistake::new("bad-value", wrong, place(node, "labels"));
            workshop
                .mistakes
                .push(wrong.help("letters, digits and `_`, as Prometheus wants it"));
        }
        labels.extend(Filled::build(text, workshop).map(|text| (name.clone(), text)));
    }
    let mut headers = Vec::new();
    for (name, text) in &form.headers {
        match exchange::header_name(name) {
            Ok(read) => headers.extend(Filled::build(text, workshop).map(|text| (read, text))),
            Err(why) => {
                let wrong = Mistake::new("bad-value", why, place(node, "headers"));
                workshop.mistakes.push(wrong);
            }
        }
    }
    let timeout = filled::timeout(form.timeout, node, workshop);
    let ca = filled::authority(form.ca.as_ref(), workshop);
    if workshop.mistakes.len() > before {
        return None;
    }
    Some(Arc::new(Alertmanager {
        url: url?,
        labels,
        headers,
        timeout: timeout?,
        ca: ca?,
    }))
}

fn is_label(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !name.starts_with("__")
}

impl Channel for Alertmanager {
    fn kind(&self) -> &'static str {
        KIND.name
    }

    fn whom(&self) -> String {
        self.url.whom()
    }

    fn send<'a>(&'a self, parcel: Parcel<'a>) -> BoxFuture<'a, Result<Sent, Unsent>> {
        self.tell(parcel).boxed()
    }

    fn forgets(&self) -> bool {
        true
    }
}

impl Alertmanager {
    async fn tell(&self, parcel: Parcel<'_>) -> Result<Sent, Unsent> {
        let Parcel { notice, office, .. } = parcel;
        let mut url = self.url.fill(notice, office)?;
        url.path_segments_mut()
            .map_err(|()| Unsent::never("nothing can stand below this URL"))?
            .pop_if_empty()
            .extend(["api", "v2", "alerts"]);
        let mut extra = Map::new();
        for (name, text) in &self.labels {
            extra.insert(name.clone(), text.fill(notice, office)?.into());
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, exchange::JSON);
        for (name, text) in &self.headers {
            let text = text.fill(notice, office)?;
            headers.insert(name.clone(), http::header(name, &text)?);
        }
        let body = Value::Array(alerts(notice, &extra, office.ground.now));
        let post = Post {
            method: Method::POST,
            url,
            headers,
            body: body.to_string().into_bytes(),
            ca: self.ca.as_ref(),
            timeout: self.timeout,
        };
        let answer = http::post(post, office).await?;
        Ok(Sent {
            said: answer.said,
            thread: None,
        })
    }
}

/// What a notice means as alerts, at the instant it is sent.
fn alerts(notice: &Notice, extra: &Map<String, Value>, now: Moment) -> Vec<Value> {
    let alert = |severity: Status, ends: Moment| {
        let mut labels = extra.clone();
        let name = notice.check.as_deref().unwrap_or(match notice.incident {
            Some(_) => "storm",
            None => "homeostat",
        });
        labels.insert("alertname".to_owned(), name.into());
        labels.insert("severity".to_owned(), severity.word().into());
        labels.insert("notifier".to_owned(), (*notice.notifier).into());
        if let Some(check) = &notice.check {
            labels.insert("check".to_owned(), (**check).into());
        }
        match notice.incident {
            Some(incident) => labels.insert("incident".to_owned(), incident.to_string().into()),
            None => labels.insert(
                "incident".to_owned(),
                format!("notice-{}", notice.id).into(),
            ),
        };
        json!({
            "labels": labels,
            "annotations": {"summary": notice.title, "description": notice.text},
            "startsAt": notice.opened.unwrap_or(notice.at).iso(),
            "endsAt": ends.iso(),
        })
    };
    // An end that lies ahead is one that has not come.
    let over = notice.closed.unwrap_or(now).min(now);
    let told = notice.before.filter(|before| *before != Status::Ok);
    match notice.kind {
        NoticeKind::Resolved | NoticeKind::Joined => {
            let ends = told.map(|severity| alert(severity, over));
            ends.into_iter().collect()
        }
        NoticeKind::Note | NoticeKind::Test | NoticeKind::Summary => {
            vec![alert(notice.status, now.plus(ONCE))]
        }
        _ => {
            // One that got better stays the alert that it was: its labels must be those of its end.
            let severity = Status::worst(told.into_iter().chain([notice.status]));
            let former = told.filter(|told| *told != severity);
            let former = former.map(|severity| alert(severity, now));
            let stands = alert(severity, now.plus(STANDS));
            former.into_iter().chain([stands]).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        net::testing::{Server, answer},
        notify::testing::{NOON, World, body, notice},
    };

    fn of(notice: &Notice) -> Vec<Value> {
        alerts(notice, &Map::new(), NOON)
    }

    #[test]
    fn an_alert_stands_until_it_is_not_said_again_and_ends_by_the_labels_it_had() {
        let opened = of(&notice(NoticeKind::Opened));
        insta::assert_snapshot!(format!("{:#}", Value::Array(opened.clone())), @r#"
        [
          {
            "labels": {
              "alertname": "weights_file",
              "severity": "critical",
              "notifier": "ops",
              "check": "weights_file",
              "incident": "4"
            },
            "annotations": {
              "summary": "CRITICAL weights_file: <b> & ü",
              "description": "Weights file is corrupted\nincident 4"
            },
            "startsAt": "2026-01-06T16:29:00.000Z",
            "endsAt": "2026-01-06T16:34:00.000Z"
          }
        ]
        "#);
        let over = of(&notice(NoticeKind::Resolved));
        assert_eq!(over.len(), 1);
        assert_eq!(over[0]["labels"], opened[0]["labels"]);
        assert_eq!(over[0]["endsAt"], "2026-01-06T16:30:00.000Z");
        let never_told = Notice {
            before: None,
            ..notice(NoticeKind::Resolved)
        };
        assert_eq!(of(&never_told), [Value::Null; 0]);
    }

    #[test]
    fn what_got_worse_is_another_alert_and_the_one_before_ends() {
        let worse = Notice {
            before: Some(Status::Warning),
            ..notice(NoticeKind::Worse)
        };
        let both = of(&worse);
        let severities: Vec<&Value> = both.iter().map(|it| &it["labels"]["severity"]).collect();
        assert_eq!(severities, ["warning", "critical"]);
        assert_eq!(both[0]["endsAt"], "2026-01-06T16:30:00.000Z");
        assert_eq!(both[1]["endsAt"], "2026-01-06T16:34:00.000Z");
        let better = Notice {
            status: Status::Warning,
            ..notice(NoticeKind::Update)
        };
        let same = of(&better);
        assert_eq!(same.len(), 1, "what got better is the alert that it was");
        assert_eq!(same[0]["labels"]["severity"], "critical");
    }

    #[test]
    fn it_is_posted_with_the_labels_of_the_rule() {
        let world = World::new();
        let server = Server::http(|_| answer("200 OK", "", ""));
        let url = format!("http://127.0.0.1:{}/am/", server.port);
        let form = json!({"url": url, "labels": {"team": "${notice.notifier}"}, "headers": {"X-Scope": "a"}});
        let channel = world.channel("alertmanager", form);
        assert!(channel.forgets());
        world
            .send(channel.as_ref(), &notice(NoticeKind::Opened))
            .expect("it arrives");
        let heard = server.finish().remove(0);
        assert!(
            heard.starts_with("POST /am/api/v2/alerts HTTP/1.1"),
            "{heard}"
        );
        assert_eq!(body(&heard)[0]["labels"]["team"], "ops");
        for form in [
            json!({"url": url, "labels": {"severity": "x"}}),
            json!({"url": url, "labels": {"a-b": "x"}}),
            json!({"url": "http://am.example.net:9093"}),
        ] {
            assert!(world.built("alertmanager", form.clone()).is_err(), "{form}");
        }
    }
}

//! `ack`: a person has an incident in hand. Nobody else is told of it, until it ends, gets worse or the time is over.

use std::time::Duration;

use serde_json::json;

use super::{
    kill_switch::person,
    outcome::{Failure, OK, Outcome, REFUSED},
    reach::{self, Reach},
    screen::Screen,
    show::{Tone, text, time},
    silence::unknown,
    site::Site,
};
use crate::{
    clock::{Clock, SystemClock},
    model::{Name, incident::Acknowledged, moment::Moment},
    web::{client::QUICK, incidents::IncidentAnswer},
};

/// Names a check of the incident, or its number.
pub async fn ack(
    site: &Site,
    what: &str,
    reason: Option<&str>,
    span: Option<Duration>,
    screen: &Screen,
) -> Outcome {
    let reason = reason.unwrap_or_default();
    let number = what.parse::<u64>().ok();
    let answer: IncidentAnswer = match reach::reach(site, screen).await? {
        Reach::Running(client) => {
            let mut body = json!({"reason": reason, "by": person()});
            match number {
                Some(number) => body["incident"] = number.into(),
                None => body["check"] = what.into(),
            }
            if let Some(span) = span {
                body["for_s"] = span.as_secs_f64().into();
            }
            client.post("/api/ack", &body, QUICK).await?
        }
        Reach::Here(live) => {
            let known = live.handle.status().await;
            let done = match known {
                Ok(known) => {
                    let names = || known.checks.iter().map(|it| it.name.as_str());
                    match number.is_none() && !names().any(|name| name == what) {
                        true => Err(unknown(what, names())),
                        false => {
                            let now = SystemClock.now();
                            let word = Acknowledged {
                                at: now,
                                by: person(),
                                reason: reason.to_owned(),
                                until: span.map(|span| now.plus(span)),
                            };
                            let which = number.ok_or_else(|| Name::from(what));
                            let done = live.handle.acknowledge(which, word).await;
                            done.map_err(Failure::from)
                        }
                    }
                }
                Err(gone) => Err(gone.into()),
            };
            reach::end(*live).await?;
            let incident = done?.map_err(|why| Failure::new(REFUSED, why))?;
            IncidentAnswer::of(&incident, &[])
        }
    };
    screen.answer(&answer, |style| {
        let head = style.paint(Tone::Good, "acknowledged");
        let name = text::clean(answer.check.as_deref().unwrap_or("storm"));
        let opened = Moment::from_seconds(answer.opened);
        let since = time::span(SystemClock.now().since(opened));
        format!(
            "{head}: incident {} {} {}, open for {since}\n{}\n",
            answer.id,
            style.status(answer.status),
            style.strong(&name),
            style.dim(
                &match answer.acknowledged.as_ref().and_then(|it| it.until) {
                    Some(until) => format!(
                        "until {}, or when the incident ends or gets worse",
                        style
                            .zone
                            .relative(Moment::from_seconds(until), SystemClock.now())
                    ),
                    None => "until the incident ends or gets worse".to_owned(),
                }
            )
        )
    });
    Ok(OK)
}

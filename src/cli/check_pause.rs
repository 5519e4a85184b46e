//! `pause NAME…` and `resume NAME…`: the repairs of single checks wait, while they are looked at and told of as ever.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    kill_switch::person,
    outcome::{Failure, OK, Outcome},
    reach::{self, Reach},
    screen::Screen,
    show::{Tone, text},
    silence::unknown,
    site::Site,
};
use crate::{
    clock::{Clock, SystemClock},
    engine::live::Live,
    model::{Name, moment::Moment, standing::Pause},
    web::client::QUICK,
};

pub async fn pause(
    site: &Site,
    names: &[String],
    reason: Option<&str>,
    span: Option<Duration>,
    screen: &Screen,
) -> Outcome {
    let (reason, by) = (reason.unwrap_or_default(), person());
    let now = SystemClock.now();
    let until = span.map(|span| now.plus(span));
    let value: Value = match reach::reach(site, screen).await? {
        Reach::Running(client) => {
            let span = span.map(|span| span.as_secs_f64());
            let body = json!({"checks": names, "reason": reason, "for_s": span, "by": by});
            client.post("/api/pause", &body, QUICK).await?
        }
        Reach::Here(live) => {
            let pause = Pause {
                at: now,
                by: by.clone(),
                reason: reason.to_owned(),
                until,
            };
            let done = match known(&live, names).await {
                Ok(checks) => {
                    let paused = live.handle.pause_checks(checks, pause).await;
                    paused.map_err(Failure::from)
                }
                Err(failure) => Err(failure),
            };
            reach::end(*live).await?;
            done?;
            let until = until.map(Moment::seconds);
            json!({"paused": true, "checks": names, "by": by, "reason": reason, "until": until})
        }
    };
    screen.answer(&value, |style| {
        let until = match until {
            Some(until) => format!("until {}", style.zone.near(until, now)),
            None => format!("until `homeostat resume {}`", text::clean(&names.join(" "))),
        };
        let reason = match reason {
            "" => String::new(),
            reason => format!(" ({})", text::clean(reason)),
        };
        let head = style.paint(Tone::Warning, "paused");
        let whose = text::clean(&names.join(", "));
        format!("{head}: no repair of {whose} starts {until}{reason}; looking goes on\n")
    });
    Ok(OK)
}

pub async fn resume(site: &Site, names: &[String], screen: &Screen) -> Outcome {
    let resumed: Vec<String> = match reach::reach(site, screen).await? {
        Reach::Running(client) => {
            let body = json!({"checks": names});
            let value: Value = client.post("/api/resume", &body, QUICK).await?;
            let resumed = value.get("checks").cloned().unwrap_or_default();
            serde_json::from_value(resumed).unwrap_or_default()
        }
        Reach::Here(live) => {
            let done = match known(&live, names).await {
                Ok(checks) => {
                    let resumed = live.handle.resume_checks(checks).await;
                    resumed.map_err(Failure::from)
                }
                Err(failure) => Err(failure),
            };
            reach::end(*live).await?;
            done?.iter().map(ToString::to_string).collect()
        }
    };
    let value = json!({"paused": false, "checks": resumed, "was_paused": !resumed.is_empty()});
    screen.answer(&value, |style| match resumed.as_slice() {
        [] => format!("{}: not paused by name\n", text::clean(&names.join(", "))),
        some => format!(
            "{}: {} may be repaired again\n",
            style.paint(Tone::Good, "resumed"),
            text::clean(&some.join(", "))
        ),
    });
    Ok(OK)
}

/// These names, if all of them are checks of this engine.
async fn known(live: &Live, names: &[String]) -> Result<Vec<Name>, Failure> {
    let status = live.handle.status().await?;
    let known = || status.checks.iter().map(|check| check.name.as_str());
    match names.iter().find(|name| !known().any(|it| it == *name)) {
        Some(name) => Err(unknown(name, known())),
        None => Ok(names.iter().map(|it| Name::from(it.as_str())).collect()),
    }
}

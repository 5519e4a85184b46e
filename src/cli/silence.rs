//! `silence`: some checks are neither repaired nor told of for a while; looking and recording go on. It always ends by
//! itself, and says who wanted it and why.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    kill_switch::person,
    outcome::{Failure, OK, Outcome},
    reach::{self, Reach},
    screen::Screen,
    show::{Style, Tone, standings::silences, text},
    site::Site,
    status,
};
use crate::{
    clock::{Clock, SystemClock},
    model::{Name, standing::Silence, text::meant},
    web::client::QUICK,
};

/// What was asked for.
pub enum Wish<'a> {
    List,
    Begin {
        /// Empty for all of them.
        checks: &'a [String],
        span: Duration,
        reason: Option<&'a str>,
    },
    End(u64),
}

pub async fn silence(site: &Site, wish: Wish<'_>, screen: &Screen) -> Outcome {
    match wish {
        Wish::List => list(site, screen).await,
        Wish::Begin {
            checks,
            span,
            reason,
        } => begin(site, checks, span, reason.unwrap_or_default(), screen).await,
        Wish::End(id) => end(site, id, screen).await,
    }
}

async fn list(site: &Site, screen: &Screen) -> Outcome {
    let (answer, _) = status::standing(site).await?;
    let value = json!({"silences": answer.silences});
    let now = SystemClock.now();
    screen.answer(&value, |style| match answer.silences.as_slice() {
        [] => "nothing is silenced\n".to_owned(),
        all => silences(all, now, style),
    });
    Ok(OK)
}

async fn begin(
    site: &Site,
    checks: &[String],
    span: Duration,
    reason: &str,
    screen: &Screen,
) -> Outcome {
    let silence: Silence = match reach::reach(site, screen).await? {
        Reach::Running(client) => {
            let body = json!({
                "checks": checks, "for_s": span.as_secs_f64(), "reason": reason, "by": person(),
            });
            client.post("/api/silence", &body, QUICK).await?
        }
        Reach::Here(live) => {
            let known = live.handle.status().await;
            let made = match known {
                Ok(known) => {
                    let known = || known.checks.iter().map(|check| check.name.as_str());
                    match checks.iter().find(|name| !known().any(|it| it == *name)) {
                        Some(name) => Err(unknown(name, known())),
                        None => {
                            let now = SystemClock.now();
                            let silence = Silence {
                                id: 0,
                                checks: checks.iter().map(|it| Name::from(it.as_str())).collect(),
                                at: now,
                                until: now.plus(span),
                                by: person(),
                                reason: reason.to_owned(),
                            };
                            live.handle.silence(silence).await.map_err(Failure::from)
                        }
                    }
                }
                Err(gone) => Err(gone.into()),
            };
            reach::end(*live).await?;
            made?
        }
    };
    let now = SystemClock.now();
    screen.answer(&json!(silence), |style| {
        let all = silences(std::slice::from_ref(&silence), now, style);
        format!(
            "{all}{}\n",
            style.dim(&format!("`homeostat silence --end {}` ends it", silence.id))
        )
    });
    Ok(OK)
}

async fn end(site: &Site, id: u64, screen: &Screen) -> Outcome {
    match reach::reach(site, screen).await? {
        Reach::Running(client) => {
            let body = json!({"id": id});
            let _: Value = client.post("/api/unsilence", &body, QUICK).await?;
        }
        Reach::Here(live) => {
            let known = live.handle.unsilence(id).await;
            reach::end(*live).await?;
            if !known? {
                return Err(Failure::usage(format!("there is no silence {id}"))
                    .help("`homeostat silence` lists them"));
            }
        }
    }
    screen.answer(&json!({"id": id, "ended": true}), |style: &Style| {
        let head = style.paint(Tone::Good, "ended");
        format!("{head}: silence {id}\n")
    });
    Ok(OK)
}

pub(super) fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Failure {
    let meant = meant(name, known)
        .map(|meant| format!(": did you mean `{meant}`?"))
        .unwrap_or_default();
    Failure::usage(format!("there is no check `{}`{meant}", text::clean(name)))
}

//! `pause` and `resume`: the kill switch. A running engine is told; where none runs, the file `state/homeostat/PAUSE`
//! holds every engine that starts, until it is removed.

use std::{
    fs::{self, DirBuilder, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    outcome::{Failure, OK, Outcome, SOFTWARE},
    past,
    reach::{self, Reach},
    screen::Screen,
    show::{Style, Tone, text},
    site::Site,
};
use crate::{
    clock::{Clock, SystemClock},
    model::{moment::Moment, standing::Pause},
    permission::OWN,
    store::PAUSE_FILE,
    web::client::{Client, QUICK},
};

pub async fn pause(
    site: &Site,
    reason: Option<&str>,
    span: Option<Duration>,
    screen: &Screen,
) -> Outcome {
    let reason = reason.unwrap_or_default();
    let by = person();
    let value: Value = match (Client::find(&site.root).await, span) {
        (Some(client), span) => {
            let span = span.map(|span| span.as_secs_f64());
            let body = json!({"reason": reason, "for_s": span, "by": by});
            client.post("/api/pause", &body, QUICK).await?
        }
        (None, None) => {
            lay_file(site, &by, reason).map_err(could_not)?;
            json!({"paused": true, "by": by, "reason": reason, "until": null})
        }
        // Only the store can remember when it ends.
        (None, Some(span)) => remember(site, reason, &by, span, screen).await?,
    };
    screen.answer(&value, |style| paused(&value, style));
    Ok(OK)
}

async fn remember(
    site: &Site,
    reason: &str,
    by: &str,
    span: Duration,
    screen: &Screen,
) -> Result<Value, Failure> {
    let now = SystemClock.now();
    let until = now.plus(span);
    match reach::reach(site, screen).await? {
        // It started meanwhile.
        Reach::Running(client) => {
            let body = json!({"reason": reason, "for_s": span.as_secs_f64(), "by": by});
            Ok(client.post("/api/pause", &body, QUICK).await?)
        }
        Reach::Here(live) => {
            let pause = Pause {
                at: now,
                by: by.to_owned(),
                reason: reason.to_owned(),
                until: Some(until),
            };
            let told = live.handle.pause(pause).await;
            reach::end(*live).await?;
            told?;
            Ok(json!({"paused": true, "by": by, "reason": reason, "until": until.seconds()}))
        }
    }
}

fn paused(value: &Value, style: &Style) -> String {
    let until = value.get("until").and_then(Value::as_f64);
    let until = match until.and_then(Moment::from_number) {
        Some(until) => format!("until {}", style.zone.near(until, SystemClock.now())),
        None => "until `homeostat resume`".to_owned(),
    };
    let reason = value
        .get("reason")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let reason = match reason {
        "" => String::new(),
        reason => format!(" ({})", text::clean(reason)),
    };
    let head = style.paint(Tone::Warning, "paused");
    format!("{head}: no repair starts {until}{reason}; looking goes on\n")
}

pub async fn resume(site: &Site, screen: &Screen) -> Outcome {
    let was = match Client::find(&site.root).await {
        Some(client) => {
            let value: Value = client.post("/api/resume", &json!({}), QUICK).await?;
            value
                .get("was_paused")
                .and_then(Value::as_bool)
                .unwrap_or(true)
        }
        None => forget(site, screen).await?,
    };
    let value = json!({"paused": false, "was_paused": was});
    screen.answer(&value, |style| match was {
        true => format!(
            "{}: repairs are allowed again\n",
            style.paint(Tone::Good, "resumed")
        ),
        false => "repairs were not paused\n".to_owned(),
    });
    Ok(OK)
}

/// Removes the file, and what the store remembers.
async fn forget(site: &Site, screen: &Screen) -> Result<bool, Failure> {
    let stored = match past::snapshot(site) {
        Ok(Some(store)) => {
            let saved = store.load().map_err(past::unreadable)?;
            saved.pause.is_some() || saved.storm.is_some()
        }
        Ok(None) => false,
        // A corrupt store is set aside and paused when an engine starts; that pause is what is resumed here.
        Err(_) => true,
    };
    if stored {
        match reach::reach(site, screen).await? {
            Reach::Running(client) => {
                let _: Value = client.post("/api/resume", &json!({}), QUICK).await?;
            }
            Reach::Here(live) => {
                let told = live.handle.resume().await;
                reach::end(*live).await?;
                told?;
            }
        }
    }
    let removed = match fs::remove_file(site.own().join(PAUSE_FILE)) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(could_not(error)),
    };
    Ok(stored || removed)
}

/// Whole or not at all; replaces one that is there.
fn lay_file(site: &Site, by: &str, reason: &str) -> io::Result<()> {
    let own = site.own();
    DirBuilder::new().recursive(true).mode(0o700).create(&own)?;
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(&own)?;
    let line: String = reason.lines().collect::<Vec<_>>().join(" ");
    match line.is_empty() {
        true => writeln!(file, "paused by {by}")?,
        false => writeln!(file, "{line} (paused by {by})")?,
    }
    file.as_file().sync_all()?;
    file.persist(own.join(PAUSE_FILE))
        .map(drop)
        .map_err(|error| error.error)
}

fn could_not(error: io::Error) -> Failure {
    Failure::new(
        SOFTWARE,
        format!("could not turn the kill switch {OWN}/{PAUSE_FILE}: {error}"),
    )
}

/// Who says so, for those who read it later.
pub fn person() -> String {
    std::env::var("SUDO_USER")
        .or_else(|_| std::env::var("USER"))
        .ok()
        .filter(|name| !name.is_empty() && name.len() <= 64)
        .unwrap_or_else(|| "the command line".to_owned())
}

//! `check`: one round now, repairs included. The exit code is that of monitoring plugins.

use std::time::Duration;

use serde_json::json;

use super::{
    engine,
    outcome::{Failure, INTERRUPTED, Outcome, of_status},
    reach::{self, Reach},
    screen::Screen,
    show,
    signals::Signals,
    site::Site,
};
use crate::{
    engine::{answer::Answer, live::Live},
    model::Name,
};

/// What looking, planning and doing may take besides the wait for verification.
pub const GRACE: Duration = Duration::from_secs(300);

pub async fn check(
    site: &Site,
    names: &[String],
    fix: bool,
    wait: Duration,
    screen: &Screen,
) -> Outcome {
    let answer = match reach::reach(site, screen).await? {
        Reach::Running(client) => {
            let body = json!({"names": names, "fix": fix, "wait_s": wait.as_secs_f64()});
            client.post("/api/check", &body, wait + GRACE).await?
        }
        Reach::Here(live) => {
            let round = round(&live, names, fix, wait).await;
            reach::end(*live).await?;
            match round? {
                Some(answer) => answer,
                None => return Ok(INTERRUPTED),
            }
        }
    };
    screen.answer(&answer, |style| show::answer::answer(&answer, style));
    Ok(of_status(answer.overall))
}

/// `None`: interrupted. What was begun is finished when the engine ends.
async fn round(
    live: &Live,
    names: &[String],
    fix: bool,
    wait: Duration,
) -> Result<Option<Answer>, Failure> {
    let mut signals = listen()?;
    let status = live.handle.status().await?;
    let known = || status.checks.iter().map(|check| check.name.as_str());
    if let Some(name) = names
        .iter()
        .find(|name| !known().any(|known| known == **name))
    {
        return Err(engine::unknown(name, known()));
    }
    let names = names.iter().map(|name| Name::from(name.as_str())).collect();
    tokio::select! {
        answer = live.handle.check(names, fix, wait) => Ok(Some(answer?)),
        () = signals.next() => Ok(None),
    }
}

pub fn listen() -> Result<Signals, Failure> {
    Signals::listen().map_err(|error| {
        let told = format!("could not listen for signals: {error}");
        Failure::new(super::outcome::SOFTWARE, told)
    })
}

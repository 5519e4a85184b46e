//! `status`: how everything stands, by the running engine or by what the last one remembered.

use serde_json::{Value, json};

use super::{
    outcome::{Failure, OK, Outcome, UNAVAILABLE},
    past,
    screen::Screen,
    show::standings,
    silence::unknown,
    site::Site,
};
use crate::{
    clock::{Clock, SystemClock},
    engine::handle::{AcknowledgedAnswer, Proposal, StandingAnswer, StatusAnswer},
    guard,
    model::{moment::Moment, standing::Pause, status::Status},
    store::{self, LastGood},
    web::client::Client,
};

/// Exit code 0 if an engine is running, however things stand.
pub async fn status(site: &Site, names: &[String], bad: bool, screen: &Screen) -> Outcome {
    let (answer, running) = standing(site).await?;
    all_known(&answer, names)?;
    let answer = standings::chosen(answer, names, bad);
    let mut value = json!(answer);
    if let Value::Object(map) = &mut value {
        map.insert("running".to_owned(), json!(running));
    }
    screen.answer(&value, |style| standings::status(&answer, !running, style));
    Ok(if running { OK } else { UNAVAILABLE })
}

/// Refuses names that no check has.
pub fn all_known(answer: &StatusAnswer, names: &[String]) -> Result<(), Failure> {
    let known = || answer.checks.iter().map(|check| check.name.as_str());
    match names.iter().find(|name| !known().any(|it| it == *name)) {
        Some(name) => Err(unknown(name, known())),
        None => Ok(()),
    }
}

/// How everything stands, and whether an engine is running that says so.
pub async fn standing(site: &Site) -> Result<(StatusAnswer, bool), Failure> {
    Ok(match Client::find(&site.root).await {
        Some(client) => (client.get::<StatusAnswer>("/api/status").await?, true),
        None => (remembered(site)?, false),
    })
}

fn remembered(site: &Site) -> Result<StatusAnswer, Failure> {
    let now = SystemClock.now();
    let saved = match past::snapshot(site)? {
        Some(store) => store.load().map_err(past::unreadable)?,
        None => return Err(Failure::no_engine()),
    };
    let open = |name: &str| {
        saved
            .attempts
            .iter()
            .find(|attempt| *attempt.check == *name)
    };
    let incident = |name: &str| {
        saved.incidents.iter().find(|incident| {
            let member = incident.members.get(name);
            member.is_some_and(|member| member.status != Status::Ok)
        })
    };
    let checks: Vec<StandingAnswer> = saved
        .standings
        .iter()
        .map(|(name, standing)| StandingAnswer {
            name: name.to_string(),
            status: standing.status,
            message: standing.message.clone(),
            since: standing.since.seconds(),
            looked: standing.looked.map(Moment::seconds),
            looks: 0,
            held_by: standing.held_by.map(|by| by.word().to_owned()),
            held_until: None,
            held_why: None,
            opens: standing
                .outside
                .as_ref()
                .and_then(|outside| outside.opens)
                .map(Moment::seconds),
            behind: None,
            pause: saved
                .pauses
                .get(name)
                .filter(|pause| guard::pauses(pause, now))
                .cloned(),
            attempt: open(name).map(|attempt| (attempt.id, "open".to_owned())),
            incident: incident(name).map(|it| it.id),
            acknowledged: incident(name)
                .and_then(|it| it.acknowledged.as_ref())
                .map(AcknowledgedAnswer::from),
        })
        .collect();
    let generation = LastGood::load(&site.own()).ok().flatten();
    Ok(StatusAnswer {
        generation: generation
            .map_or_else(|| "unknown".to_owned(), |good| good.generation.to_string()),
        now: now.seconds(),
        overall: Status::worst(checks.iter().map(|check| check.status)),
        paused: paused(site, saved.pause, now),
        checks,
        complaints: Vec::new(),
        complaints_text: None,
        missed_slots: 0,
        silences: saved
            .silences
            .into_iter()
            .filter(|silence| now < silence.until)
            .collect(),
        storm: saved.storm.filter(|storm| now < storm.until),
        proposals: saved.attempts.iter().filter_map(Proposal::of).collect(),
        store: None,
    })
}

fn paused(site: &Site, stored: Option<Pause>, now: Moment) -> Option<Pause> {
    let stored = stored.filter(|pause| pause.until.is_none_or(|until| now < until));
    stored.or_else(|| {
        store::pause_file(&site.own()).map(|reason| Pause {
            at: now,
            by: "the file PAUSE".to_owned(),
            reason,
            until: None,
        })
    })
}

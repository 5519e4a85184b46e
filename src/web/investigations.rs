//! Root-cause sessions: which there are, and what they found.

use std::io::{Read, Seek, SeekFrom};

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    api::{Answered, Api},
    checks::broke_off,
    endpoint::Endpoint,
    refusal::{Part, Refusal, Wanted},
};
use crate::{engine::sight::Sessions, permission::Permission};

/// So many records are given at once.
const MOST: usize = 200;
/// So much of the end of a journal is read.
const TAIL: u64 = 1 << 20;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/api/investigations", all)
            .is("investigations", "The investigations, each with what it found last.")
            .answers::<Vec<InvestigationAnswer>>(),
        Endpoint::get("/api/investigations/{name}/records", records)
            .is("investigation_records", "What an investigation found, newest first: from memory, and from the end of its journal.")
            .query::<Wish>()
            .answers::<Vec<Value>>()
            .error(404, "there is no investigation of that name"),
    ]
}

/// One investigation.
#[derive(Serialize, JsonSchema)]
struct InvestigationAnswer {
    name: String,
    about: Option<String>,
    checks: Vec<String>,
    /// What its records give as their trigger when an event began it.
    cause: String,
    /// The last record.
    last: Option<Value>,
    /// When it was made. Epoch seconds.
    at: Option<f64>,
}

async fn all(State(api): State<Api>) -> Answered<Vec<InvestigationAnswer>> {
    let sessions = api.handle.sessions().await?;
    let permission = api.handle.bench().await?.permission;
    let told = tokio::task::spawn_blocking(move || {
        let answer = |it: Sessions| {
            let last = found(&permission, &it, 1).into_iter().next();
            InvestigationAnswer {
                name: it.name.to_string(),
                about: it.about,
                checks: it.checks,
                cause: it.cause,
                at: last
                    .as_ref()
                    .and_then(|last| last.get("timestamp")?.as_f64()),
                last,
            }
        };
        sessions.into_iter().map(answer).collect()
    });
    told.await.map(Json).map_err(broke_off)
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Wish {
    /// So many at most; 20 if it is not said.
    #[schemars(range(min = 0, max = 200))]
    limit: Option<usize>,
}

async fn records(
    State(api): State<Api>,
    Part(name): Part<String>,
    Wanted(wish): Wanted<Wish>,
) -> Answered<Vec<Value>> {
    let limit = wish.limit.unwrap_or(20);
    if limit > MOST {
        return Err(Refusal::bad(format!("limit goes from 0 to {MOST}")));
    }
    let sessions = api.handle.sessions().await?;
    let Some(wanted) = sessions.into_iter().find(|it| *it.name == *name) else {
        return Err(Refusal::absent(format!(
            "there is no investigation `{name}`"
        )));
    };
    let permission = api.handle.bench().await?.permission;
    let told = tokio::task::spawn_blocking(move || found(&permission, &wanted, limit));
    told.await.map(Json).map_err(broke_off)
}

/// Records, newest first: those in memory, then older ones from the end of the journal.
fn found(permission: &Permission, sessions: &Sessions, limit: usize) -> Vec<Value> {
    let mut found: Vec<Value> = sessions
        .records
        .iter()
        .map(|(_, record)| record.clone())
        .collect();
    if found.len() < limit
        && let Some(journal) = &sessions.journal
    {
        let oldest = found.last().and_then(session).map(str::to_owned);
        let known: Vec<String> = found
            .iter()
            .filter_map(session)
            .map(str::to_owned)
            .collect();
        let older = tail(permission, journal)
            .into_iter()
            .rev()
            .filter(|record| {
                session(record).is_some_and(|session| {
                    session.strip_prefix(&*sessions.name).is_some_and(|rest| rest.starts_with('-'))
                    && !known.iter().any(|known| known == session)
                    // What a session of the same instant under another spelling is, nobody can tell.
                    && oldest.as_deref().is_none_or(|oldest| number(session) <= number(oldest))
                })
            });
        found.extend(older);
    }
    found.truncate(limit);
    found
}

fn session(record: &Value) -> Option<&str> {
    record.get("session")?.as_str()
}

/// The instant at the end of a session's name.
fn number(session: &str) -> i64 {
    let last = session.rsplit('-').next();
    last.and_then(|last| last.parse().ok()).unwrap_or(0)
}

/// The whole lines at the end of a journal, oldest first; none if it cannot be read.
fn tail(permission: &Permission, journal: &str) -> Vec<Value> {
    let read = || -> std::io::Result<String> {
        let opened = permission
            .read(journal)
            .map_err(|denied| std::io::Error::other(denied.told()))?;
        let Some(mut opened) = opened else {
            return Ok(String::new());
        };
        let from = opened.stat.size.saturating_sub(TAIL);
        opened.file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        opened.file.take(TAIL).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(match from {
            0 => text,
            _ => text
                .split_once('\n')
                .map_or(String::new(), |(_, rest)| rest.to_owned()),
        })
    };
    let text = match read() {
        Ok(text) => text,
        Err(error) => {
            tracing::debug!(%error, journal, "could not read the end of a journal");
            return Vec::new();
        }
    };
    let mut records: Vec<Value> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    records
        .iter_mut()
        .for_each(|record| permission.secrets().hide_value(record));
    records
}

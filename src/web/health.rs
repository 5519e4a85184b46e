//! `/api/sre/health`: the overall health, the checks, recent repairs and metrics in one answer. Asking for it changes
//! nothing; posting to it runs the checks now, repairs included.

use std::{fs::OpenOptions, io::Read, os::unix::fs::OpenOptionsExt, path::Path};

use axum::{Json, extract::State};
use rustix::fs::OFlags;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    acting::wait,
    api::{Answered, Api},
    endpoint::Endpoint,
    records::{HistoryAnswer, What},
    refusal::{Refusal, Said},
};
use crate::{
    engine::handle::StatusAnswer,
    model::{moment::Moment, status::Status},
    store::HistoryQuery,
};

/// The metrics that checks publish.
const METRICS: &str = "state/sre_metrics.json";
/// A larger file of metrics is not read.
const METRICS_BYTES: u64 = 1 << 20;
/// So many repairs are recent.
const REPAIRS: usize = 10;
/// Among so many entries of history they are looked for.
const ENTRIES: usize = 500;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/api/sre/health", show)
            .is("sre_health", "Overall health, the checks, recent repairs and the metrics that checks publish. Changes nothing.")
            .answers::<Value>(),
        Endpoint::post("/api/sre/health", look)
            .is("sre_health_now", "The same after a round of looks, repairs included; what the round said is `round`.")
            .body::<Round>()
            .answers::<Value>()
            .error(404, "there is no check of that name")
            .waits(),
    ]
}

async fn show(State(api): State<Api>) -> Answered<Value> {
    Ok(Json(health(&api).await?))
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Round {
    /// Empty: all of them.
    names: Vec<String>,
    /// `false` only looks.
    fix: Option<bool>,
    /// How long to wait for verification, in seconds.
    #[schemars(range(min = 0.0, max = 3600.0))]
    wait_s: Option<f64>,
}

/// The same answer after a round of looks, with what the round said as `round`.
async fn look(State(api): State<Api>, Said(round): Said<Round>) -> Answered<Value> {
    let wait = wait(round.wait_s)?;
    let names = api.known(round.names).await?;
    let answer = api
        .handle
        .check(names, round.fix.unwrap_or(true), wait)
        .await?;
    let mut health = health(&api).await?;
    if let Value::Object(map) = &mut health {
        map.insert("round".to_owned(), json!(answer));
    }
    Ok(Json(health))
}

async fn health(api: &Api) -> Result<Value, Refusal> {
    let status = api.handle.status().await?;
    let query = HistoryQuery {
        limit: ENTRIES,
        ..HistoryQuery::default()
    };
    let entries = api.history(query).await?;
    let root = api.root.clone();
    let metrics = tokio::task::spawn_blocking(move || metrics(&root)).await;
    Ok(told(&status, entries, metrics.unwrap_or(Value::Null)))
}

fn told(status: &StatusAnswer, entries: Vec<HistoryAnswer>, metrics: Value) -> Value {
    let of = |wanted: Status| {
        let found = status
            .checks
            .iter()
            .filter(move |check| check.status == wanted);
        let lines = found.map(|check| format!("{}: {}", check.name, check.message));
        lines.collect::<Vec<String>>()
    };
    let repairs: Vec<HistoryAnswer> = entries
        .into_iter()
        .filter(|entry| matches!(entry.what, What::Attempt(_)))
        .take(REPAIRS)
        .collect();
    json!({
        "timestamp": status.now,
        "time": Moment::from_seconds(status.now).iso(),
        "generation": status.generation,
        "overall_health": word(status.overall),
        "overall_status": status.overall,
        "paused": status.paused.is_some(),
        "critical_issues": of(Status::Critical),
        "warnings": of(Status::Warning),
        "unknown": of(Status::Unknown),
        "checks": status.checks,
        "recent_repairs": repairs,
        "sre_metrics": metrics,
    })
}

/// The words that readers of this address know. What cannot be told is not healthy.
fn word(overall: Status) -> &'static str {
    match overall {
        Status::Ok => "healthy",
        Status::Warning | Status::Unknown => "degraded",
        Status::Critical => "critical",
    }
}

/// What checks published; `null` if there is nothing that can be read.
fn metrics(root: &Path) -> Value {
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits();
    let read = || -> Option<Value> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(i32::try_from(flags).ok()?)
            .open(root.join(METRICS))
            .ok()?;
        if !file.metadata().ok()?.is_file() {
            return None;
        }
        let mut text = Vec::new();
        file.take(METRICS_BYTES).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    };
    read().unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_what_was_published_or_nothing() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(metrics(root.path()), Value::Null);
        std::fs::create_dir(root.path().join("state")).unwrap();
        std::fs::write(root.path().join(METRICS), r#"{"auto_fix_count": 3}"#).unwrap();
        assert_eq!(metrics(root.path()), json!({"auto_fix_count": 3}));
        std::fs::write(root.path().join(METRICS), "{").unwrap();
        assert_eq!(metrics(root.path()), Value::Null);
    }

    #[test]
    fn what_cannot_be_told_is_not_healthy() {
        assert_eq!(
            Status::ALL.map(word),
            ["healthy", "degraded", "critical", "degraded"]
        );
    }
}

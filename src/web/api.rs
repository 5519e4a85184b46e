//! What is answered. Everything here asks the engine's [`Handle`]; nothing is decided here.

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    health, page,
    records::{HistoryAnswer, LedgerAnswer},
    refusal::{Refusal, Said, Wanted},
};
use crate::{
    clock::{self, Clock},
    engine::{
        Handle,
        answer::{Answer, StepAnswer},
        handle::{ReloadAnswer, StatusAnswer},
    },
    model::{
        Name,
        moment::Moment,
        span::Span,
        standing::{Pause, Silence},
        text::meant,
    },
    permission::OWN,
    store::{HISTORY_LIMIT, HistoryQuery, PAUSE_FILE},
};

/// Larger bodies are refused.
const BODY: usize = 1 << 20;
/// Longer reasons and names of events are refused, in characters.
const TEXT: usize = 500;
/// The longest wait for verification, in seconds.
const WAIT: f64 = 3600.0;
/// How long a healthy engine may take to say how it is.
const PULSE: Duration = Duration::from_secs(2);

/// What the API works with.
#[derive(Clone)]
pub struct Api {
    pub handle: Handle,
    pub clock: Arc<dyn Clock>,
    /// The root of the engine.
    pub root: PathBuf,
}

pub(super) type Answered<T> = Result<Json<T>, Refusal>;

/// Everything. Only for the owner's socket.
pub fn router(api: Api) -> Router {
    let writing = Router::new()
        .route("/api/check", post(check))
        .route("/api/dry-run", post(dry_run))
        .route("/api/investigate", post(investigate))
        .route("/api/pause", post(pause))
        .route("/api/resume", post(resume))
        .route("/api/silence", post(silence))
        .route("/api/unsilence", post(unsilence))
        .route("/api/approve", post(approve))
        .route("/api/deny", post(deny))
        .route("/api/confirm", post(confirm))
        .route("/api/undo", post(undo))
        .route("/api/reload", post(reload))
        .route("/api/event", post(event))
        .route("/api/heartbeat/{name}", post(heartbeat))
        .route("/api/sre/health", post(health::look));
    finished(reading().merge(writing), api)
}

/// What only reads, for loopback until there are tokens.
pub fn read_only(api: Api) -> Router {
    finished(reading(), api)
}

fn reading() -> Router<Api> {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/api/status", get(status))
        .route("/api/explain/{name}", get(explain))
        .route("/api/history", get(history))
        .route("/api/ledger", get(ledger))
        .route("/api/sre/health", get(health::show))
}

fn finished(routes: Router<Api>, api: Api) -> Router {
    routes
        .merge(page::router())
        .fallback(|| async { Refusal::absent("there is nothing of that name") })
        .method_not_allowed_fallback(|| async {
            Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this does not go with that method",
            )
        })
        .layer(DefaultBodyLimit::max(BODY))
        .with_state(api)
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Look {
    names: Vec<String>,
    fix: Option<bool>,
    wait_s: Option<f64>,
}

async fn check(State(api): State<Api>, Said(look): Said<Look>) -> Answered<Answer> {
    let wait = wait(look.wait_s)?;
    let names = api.known(look.names).await?;
    let fix = look.fix.unwrap_or(true);
    Ok(Json(api.handle.check(names, fix, wait).await?))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Names {
    names: Vec<String>,
}

async fn dry_run(State(api): State<Api>, Said(Names { names }): Said<Names>) -> Answered<Answer> {
    let names = api.known(names).await?;
    Ok(Json(api.handle.dry_run(names).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Session {
    name: String,
    wait_s: Option<f64>,
}

async fn investigate(State(api): State<Api>, Said(session): Said<Session>) -> Answered<Value> {
    let wait = wait(session.wait_s)?;
    let record = api
        .handle
        .investigate(session.name.as_str().into(), wait)
        .await?;
    match record {
        Value::Null => Err(Refusal::absent(format!(
            "there is no investigation `{}`",
            session.name
        ))),
        record => Ok(Json(record)),
    }
}

pub(super) fn wait(seconds: Option<f64>) -> Result<Duration, Refusal> {
    let seconds = seconds.unwrap_or(60.0);
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|_| seconds <= WAIT)
        .ok_or_else(|| Refusal::bad(format!("wait_s goes from 0 to {WAIT}")))
}

async fn healthz(State(api): State<Api>) -> Response {
    let answer = tokio::select! {
        status = api.handle.status() => status.ok(),
        () = clock::sleep(PULSE) => None,
    };
    match answer {
        Some(_) => Json(json!({"alive": true})).into_response(),
        None => Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the engine does not answer",
        )
        .into_response(),
    }
}

async fn status(State(api): State<Api>) -> Answered<StatusAnswer> {
    Ok(Json(api.handle.status().await?))
}

async fn explain(State(api): State<Api>, Path(name): Path<String>) -> Answered<Value> {
    match api.handle.explain(name.as_str().into()).await? {
        Some(explanation) => Ok(Json(explanation)),
        None => Err(absent(&name, &api.handle.status().await?)),
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Past {
    check: Option<String>,
    /// `7d`, an instant in ISO 8601, or epoch seconds.
    since: Option<String>,
    limit: Option<usize>,
}

async fn history(
    State(api): State<Api>,
    Wanted(past): Wanted<Past>,
) -> Answered<Vec<HistoryAnswer>> {
    let since = past.since.map(|since| api.instant(&since)).transpose()?;
    let query = HistoryQuery {
        check: past.check.map(Name::from),
        since,
        limit: past.limit.unwrap_or(100).min(HISTORY_LIMIT),
        ..HistoryQuery::default()
    };
    Ok(Json(api.history(query).await?))
}

async fn ledger(State(api): State<Api>) -> Answered<Vec<LedgerAnswer>> {
    let now = api.clock.now();
    let lines = api.handle.store(move |store| store.ledger(now)).await??;
    Ok(Json(lines.into_iter().map(LedgerAnswer::from).collect()))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Stop {
    reason: String,
    /// Ends by itself after so many seconds.
    for_s: Option<f64>,
    by: Option<String>,
}

async fn pause(State(api): State<Api>, Said(stop): Said<Stop>) -> Answered<Value> {
    let now = api.clock.now();
    let span = match stop.for_s {
        None => None,
        Some(seconds) => Some(
            Duration::try_from_secs_f64(seconds)
                .ok()
                .filter(|span| !span.is_zero())
                .ok_or_else(|| Refusal::bad("for_s is a number of seconds above 0"))?,
        ),
    };
    let pause = Pause {
        at: now,
        by: limited("by", stop.by.unwrap_or_else(|| "the API".to_owned()))?,
        reason: limited("reason", stop.reason)?,
        until: span.map(|span| now.plus(span)),
    };
    api.handle.pause(pause.clone()).await?;
    Ok(Json(json!({
        "paused": true, "by": pause.by, "reason": pause.reason, "until": pause.until.map(Moment::seconds),
    })))
}

async fn resume(State(api): State<Api>) -> Answered<Value> {
    let status = api.handle.status().await?;
    let was = status.paused.is_some() || status.storm.is_some();
    let file = api.root.join(OWN).join(PAUSE_FILE);
    let removed = match std::fs::remove_file(&file) {
        Ok(()) => true,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => {
            let told = format!("could not remove {OWN}/{PAUSE_FILE}: {error}");
            return Err(Refusal::new(StatusCode::CONFLICT, told));
        }
    };
    api.handle.resume().await?;
    Ok(Json(json!({"paused": false, "was_paused": was || removed})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hush {
    /// Empty for all of them.
    checks: Vec<String>,
    for_s: f64,
    #[serde(default)]
    reason: String,
    by: Option<String>,
}

/// The longest a silence may last, in seconds: nobody remembers one after a year.
const SILENT: f64 = 366.0 * 86_400.0;

async fn silence(State(api): State<Api>, Said(hush): Said<Hush>) -> Answered<Silence> {
    let span = Duration::try_from_secs_f64(hush.for_s)
        .ok()
        .filter(|span| !span.is_zero() && hush.for_s <= SILENT)
        .ok_or_else(|| Refusal::bad("for_s is a number of seconds above 0, at most a year"))?;
    let now = api.clock.now();
    let silence = Silence {
        id: 0,
        checks: api.known(hush.checks).await?,
        at: now,
        until: now.plus(span),
        by: limited("by", hush.by.unwrap_or_else(|| "the API".to_owned()))?,
        reason: limited("reason", hush.reason)?,
    };
    Ok(Json(api.handle.silence(silence).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unhush {
    id: u64,
}

async fn unsilence(State(api): State<Api>, Said(Unhush { id }): Said<Unhush>) -> Answered<Value> {
    match api.handle.unsilence(id).await? {
        true => Ok(Json(json!({"id": id, "ended": true}))),
        false => Err(Refusal::absent(format!("there is no silence {id}"))),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    attempt: u64,
    by: Option<String>,
    reason: Option<String>,
}

async fn approve(State(api): State<Api>, Said(word): Said<Word>) -> Answered<Value> {
    decide(&api, word, true).await
}

async fn deny(State(api): State<Api>, Said(word): Said<Word>) -> Answered<Value> {
    decide(&api, word, false).await
}

async fn decide(api: &Api, word: Word, yes: bool) -> Answered<Value> {
    let by = limited("by", word.by.unwrap_or_else(|| "the API".to_owned()))?;
    let reason = limited("reason", word.reason.unwrap_or_default())?;
    let verdict = if yes { Ok(()) } else { Err(reason) };
    match api.handle.decide(word.attempt, by, verdict).await? {
        Ok(check) => Ok(Json(json!({"attempt": word.attempt, "check": check}))),
        Err(why) => Err(Refusal::new(StatusCode::CONFLICT, why)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Confirm {
    check: String,
    #[serde(default)]
    reason: String,
    by: Option<String>,
    /// Takes back what was confirmed.
    #[serde(default)]
    forget: bool,
}

async fn confirm(State(api): State<Api>, Said(word): Said<Confirm>) -> Answered<Value> {
    let by = limited("by", word.by.unwrap_or_else(|| "the API".to_owned()))?;
    let reason = limited("reason", word.reason)?;
    let known = api.known(vec![word.check.clone()]).await?;
    let Some(check) = known.into_iter().next() else {
        return Err(Refusal::bad("name the check"));
    };
    let reason = (!word.forget).then_some(reason);
    match api.handle.confirm(check, by, reason).await? {
        Ok(baseline) => Ok(Json(
            json!({"check": word.check, "baseline": baseline, "forgotten": word.forget}),
        )),
        Err(why) => Err(Refusal::new(StatusCode::CONFLICT, why)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Undo {
    attempt: u64,
    by: Option<String>,
}

async fn undo(State(api): State<Api>, Said(undo): Said<Undo>) -> Answered<Value> {
    let by = limited("by", undo.by.unwrap_or_else(|| "the API".to_owned()))?;
    match api.handle.undo(undo.attempt, by).await? {
        Ok(receipts) => {
            let steps: Vec<StepAnswer> = receipts.iter().map(StepAnswer::of).collect();
            Ok(Json(json!({"attempt": undo.attempt, "steps": steps})))
        }
        Err(why) => Err(Refusal::new(StatusCode::CONFLICT, why)),
    }
}

async fn reload(State(api): State<Api>) -> Answered<ReloadAnswer> {
    Ok(Json(api.handle.reload().await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    event: String,
}

async fn event(
    State(api): State<Api>,
    Said(Event { event }): Said<Event>,
) -> Result<Response, Refusal> {
    let event = limited("event", event)?;
    if event.is_empty() {
        return Err(Refusal::bad("an event has a name"));
    }
    api.handle.event(event)?;
    Ok((StatusCode::ACCEPTED, Json(json!({"accepted": true}))).into_response())
}

/// Larger payloads are refused, in bytes.
const PAYLOAD: usize = 64 << 10;

/// The body is the payload: any JSON, or nothing.
async fn heartbeat(
    State(api): State<Api>,
    Path(name): Path<String>,
    body: axum::body::Bytes,
) -> Answered<Value> {
    if body.len() > PAYLOAD {
        let told = format!("a payload has at most {PAYLOAD} bytes");
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, told));
    }
    let payload = match body.as_ref() {
        [] => Value::Null,
        body => serde_json::from_slice(body)
            .map_err(|error| Refusal::bad(format!("the payload is no JSON: {error}")))?,
    };
    match api.handle.heartbeat(name.as_str().into(), payload).await? {
        Ok(()) => Ok(Json(json!({"heard": name}))),
        Err(known) => {
            let meant = meant(&name, known.iter().map(|name| &**name))
                .map(|meant| format!(": did you mean `{meant}`?"))
                .unwrap_or_default();
            Err(Refusal::absent(format!(
                "no rule waits for a heartbeat `{name}`{meant}"
            )))
        }
    }
}

fn limited(what: &str, text: String) -> Result<String, Refusal> {
    match text.chars().count() <= TEXT {
        true => Ok(text),
        false => Err(Refusal::bad(format!(
            "{what} is longer than {TEXT} characters"
        ))),
    }
}

fn absent(name: &str, status: &StatusAnswer) -> Refusal {
    let known = status.checks.iter().map(|check| check.name.as_str());
    let meant = meant(name, known)
        .map(|meant| format!(": did you mean `{meant}`?"))
        .unwrap_or_default();
    Refusal::absent(format!("there is no check `{name}`{meant}"))
}

impl Api {
    /// These names, if all of them are checks. The book may change before they are used; then the round leaves out what
    /// is gone.
    pub(super) async fn known(&self, names: Vec<String>) -> Result<Vec<Name>, Refusal> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let status = self.handle.status().await?;
        let unknown = names
            .iter()
            .find(|name| !status.checks.iter().any(|check| check.name == **name));
        match unknown {
            Some(name) => Err(absent(name, &status)),
            None => Ok(names.into_iter().map(Name::from).collect()),
        }
    }

    pub(super) async fn history(&self, query: HistoryQuery) -> Result<Vec<HistoryAnswer>, Refusal> {
        let entries = self
            .handle
            .store(move |store| store.history(&query))
            .await??;
        Ok(entries.into_iter().map(HistoryAnswer::from).collect())
    }

    fn instant(&self, text: &str) -> Result<Moment, Refusal> {
        let back = Span::parse(text).ok();
        back.map(|span| self.clock.now().minus(span.0))
            .or_else(|| Moment::parse(text))
            .ok_or_else(|| {
                Refusal::bad(format!(
                    "`{text}` is no time: write 7d, 12h, an instant with its zone, or epoch seconds"
                ))
            })
    }
}

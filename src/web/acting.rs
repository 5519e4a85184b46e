//! What acts on the running system: rounds, repairs, silences, pauses, events. The engine does it and decides whether it
//! may be done; here it is asked for, under the name of whoever asks.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    api::{Answered, Api},
    caller::{Caller, limited},
    endpoint::Endpoint,
    refusal::{Part, Refusal, Said, number},
};
use crate::{
    engine::{
        answer::{Answer, StepAnswer},
        handle::{ReloadAnswer, StatusAnswer},
    },
    model::{
        moment::Moment,
        standing::{Baseline, Pause, Silence},
        text::meant,
    },
    permission::OWN,
    store::PAUSE_FILE,
};

/// The longest wait for verification, in seconds.
const WAIT: f64 = 3600.0;
/// The longest a silence or a pause may last, in seconds: nobody remembers one after a year.
const YEAR: f64 = 366.0 * 86_400.0;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let of_checks = "there is no check of that name";
    vec![
        Endpoint::post("/api/check", check)
            .is("check", "Looks at these checks now, repairs included, and waits for what is repaired to be proven. Without names: at all of them.")
            .body::<Look>()
            .answers::<Answer>()
            .error(404, of_checks)
            .waits(),
        Endpoint::post("/api/dry-run", dry_run)
            .is("dry_run", "What `check` would do, without doing it.")
            .body::<Names>()
            .answers::<Answer>()
            .error(404, of_checks)
            .waits(),
        Endpoint::post("/api/investigate", investigate)
            .is("investigate", "A root-cause session now; its record.")
            .body::<Session>()
            .answers::<Value>()
            .error(404, "there is no investigation of that name")
            .waits(),
        Endpoint::post("/api/pause", pause)
            .is("pause", "Stops remediation from starting, of all checks or of the named ones, until it is resumed or the time is over.")
            .body::<Stop>()
            .answers::<Paused>()
            .error(404, of_checks),
        Endpoint::post("/api/resume", resume)
            .is("resume", "Ends a pause, and a storm; with names the pauses of these checks alone.")
            .body::<Go>()
            .error(404, of_checks)
            .answers::<Resumed>()
            .error(409, "the file that pauses cannot be removed"),
        Endpoint::post("/api/silence", silence)
            .is("silence", "These checks are neither repaired nor told of for a while. An empty list means all.")
            .body::<Hush>()
            .answers::<Silence>()
            .error(404, of_checks),
        Endpoint::post("/api/unsilence", unsilence)
            .is("unsilence", "Ends a silence.")
            .body::<Unhush>()
            .answers::<Unsilenced>()
            .error(404, "there is no silence of that number"),
        Endpoint::post("/api/approve", approve)
            .is("approve", "Lets a proposed repair be done.")
            .body::<Word>()
            .answers::<Decided>()
            .error(409, "it does not wait for anybody"),
        Endpoint::post("/api/deny", deny)
            .is("deny", "Refuses a proposed repair.")
            .body::<Word>()
            .answers::<Decided>()
            .error(409, "it does not wait for anybody"),
        Endpoint::post("/api/confirm", confirm)
            .is("confirm", "Says that the present value of a check's `baseline` is meant so; or takes that back.")
            .body::<Confirm>()
            .answers::<Confirmed>()
            .error(404, of_checks)
            .error(409, "there is nothing to confirm")
            .waits(),
        Endpoint::post("/api/undo", undo)
            .is("undo", "Undoes what a repair did, as far as that can be undone.")
            .body::<Undo>()
            .answers::<Undone>()
            .error(409, "it cannot be undone")
            .waits(),
        Endpoint::post("/api/reload", reload)
            .is("reload", "Reads the rules on disk now, and says whether they run.")
            .answers::<ReloadAnswer>()
            .admin(),
        Endpoint::post("/api/event", event)
            .is("event", "Raises an event for the triggers that wait for it.")
            .body::<Event>()
            .answers::<Accepted>()
            .status(202),
        Endpoint::post("/api/heartbeat/{name}", heartbeat)
            .is("heartbeat", "Says that something elsewhere is alive. The body is the payload: any JSON up to 64 KiB, or nothing.")
            .body::<Value>()
            .answers::<Heard>()
            .error(404, "no rule waits for a heartbeat of that name")
            .largest(PAYLOAD),
    ]
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Look {
    /// Empty: all of them.
    names: Vec<String>,
    /// `false` only looks.
    fix: Option<bool>,
    /// How long to wait for verification, in seconds; a minute if it is not said.
    #[schemars(range(min = 0.0, max = 3600.0))]
    wait_s: Option<f64>,
}

async fn check(State(api): State<Api>, Said(look): Said<Look>) -> Answered<Answer> {
    let wait = wait(look.wait_s)?;
    let names = api.known(look.names).await?;
    let fix = look.fix.unwrap_or(true);
    Ok(Json(api.handle.check(names, fix, wait).await?))
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Names {
    /// Empty: all of them.
    names: Vec<String>,
}

async fn dry_run(State(api): State<Api>, Said(Names { names }): Said<Names>) -> Answered<Answer> {
    let names = api.known(names).await?;
    let _turn = api.dry_runs.acquire().await; // never closed; each is a world of its own, so only some at a time
    Ok(Json(api.handle.dry_run(names).await?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Session {
    name: String,
    /// How long to wait for verification, in seconds.
    #[schemars(range(min = 0.0, max = 3600.0))]
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

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Stop {
    #[schemars(length(max = 500))]
    reason: String,
    /// Ends by itself after so many seconds.
    #[schemars(range(min = 1.0, max = 31_622_400.0))]
    for_s: Option<f64>,
    #[schemars(length(max = 500))]
    by: Option<String>,
    /// Only of these; the kill switch stays as it is. Without it: of all.
    #[schemars(length(min = 1))]
    checks: Option<Vec<String>>,
}

#[derive(Serialize, JsonSchema)]
struct Paused {
    paused: bool,
    /// Empty: all of them.
    checks: Vec<String>,
    by: String,
    reason: String,
    /// Epoch seconds.
    until: Option<f64>,
}

async fn pause(State(api): State<Api>, caller: Caller, Said(stop): Said<Stop>) -> Answered<Paused> {
    let now = api.clock.now();
    let span = stop.for_s.map(span).transpose()?;
    let pause = Pause {
        at: now,
        by: caller.by(stop.by)?,
        reason: limited("reason", stop.reason)?,
        until: span.map(|span| now.plus(span)),
    };
    let checks = api.known(named(stop.checks)?).await?;
    match checks.is_empty() {
        true => api.handle.pause(pause.clone()).await?,
        false => {
            let paused = api.handle.pause_checks(checks.clone(), pause.clone());
            paused.await?;
        }
    }
    Ok(Json(Paused {
        paused: true,
        checks: checks.iter().map(ToString::to_string).collect(),
        by: pause.by,
        reason: pause.reason,
        until: pause.until.map(Moment::seconds),
    }))
}

/// `for_s`: how long something lasts.
fn span(seconds: f64) -> Result<Duration, Refusal> {
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|_| (1.0..=YEAR).contains(&seconds))
        .ok_or_else(|| Refusal::bad("for_s is a number of seconds from 1 to those of a year"))
}

#[derive(Serialize, JsonSchema)]
struct Resumed {
    paused: bool,
    was_paused: bool,
    /// Those of the named checks that were paused by name.
    checks: Vec<String>,
    /// Checks that are paused by name still.
    still_paused: Vec<String>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Go {
    /// Only of these, which were paused by name. Without it the kill switch is turned off, and nothing else.
    #[schemars(length(min = 1))]
    checks: Option<Vec<String>>,
}

async fn resume(State(api): State<Api>, Said(go): Said<Go>) -> Answered<Resumed> {
    let named = api.known(named(go.checks)?).await?;
    if !named.is_empty() {
        let resumed = api.handle.resume_checks(named).await?;
        return Ok(Json(Resumed {
            paused: false,
            was_paused: !resumed.is_empty(),
            checks: resumed.iter().map(ToString::to_string).collect(),
            still_paused: paused_by_name(&api.handle.status().await?),
        }));
    }
    let status = api.handle.status().await?;
    let was = status.paused.is_some() || status.storm.is_some();
    let file = api.root.join(OWN).join(PAUSE_FILE);
    let removed = match std::fs::remove_file(&file) {
        Ok(()) => true,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => {
            let told = format!("could not remove {OWN}/{PAUSE_FILE}: {error}");
            return Err(Refusal::conflict(told));
        }
    };
    api.handle.resume().await?;
    Ok(Json(Resumed {
        paused: false,
        was_paused: was || removed,
        checks: Vec::new(),
        still_paused: paused_by_name(&status),
    }))
}

/// Checks that were named, if any were. A list that came out empty does not mean all of them.
fn named(checks: Option<Vec<String>>) -> Result<Vec<String>, Refusal> {
    match checks {
        Some(checks) if checks.is_empty() => Err(Refusal::bad(
            "`checks` names nobody: leave it out to mean all of them",
        )),
        checks => Ok(checks.unwrap_or_default()),
    }
}

fn paused_by_name(status: &StatusAnswer) -> Vec<String> {
    let paused = status.checks.iter().filter(|it| it.pause.is_some());
    paused.map(|it| it.name.clone()).collect()
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Hush {
    /// Empty for all of them.
    checks: Vec<String>,
    #[schemars(range(min = 1.0, max = 31_622_400.0))]
    for_s: f64,
    #[serde(default)]
    #[schemars(length(max = 500))]
    reason: String,
    #[schemars(length(max = 500))]
    by: Option<String>,
}

async fn silence(
    State(api): State<Api>,
    caller: Caller,
    Said(hush): Said<Hush>,
) -> Answered<Silence> {
    let span = span(hush.for_s)?;
    let now = api.clock.now();
    let silence = Silence {
        id: 0,
        checks: api.known(hush.checks).await?,
        at: now,
        until: now.plus(span),
        by: caller.by(hush.by)?,
        reason: limited("reason", hush.reason)?,
    };
    Ok(Json(api.handle.silence(silence).await?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Unhush {
    #[serde(deserialize_with = "number")]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_u64))]
    id: u64,
}

#[derive(Serialize, JsonSchema)]
struct Unsilenced {
    id: u64,
    ended: bool,
}

async fn unsilence(
    State(api): State<Api>,
    Said(Unhush { id }): Said<Unhush>,
) -> Answered<Unsilenced> {
    match api.handle.unsilence(id).await? {
        true => Ok(Json(Unsilenced { id, ended: true })),
        false => Err(Refusal::absent(format!("there is no silence {id}"))),
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Word {
    #[serde(deserialize_with = "number")]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_u64))]
    attempt: u64,
    #[schemars(length(max = 500))]
    by: Option<String>,
    #[schemars(length(max = 500))]
    reason: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Decided {
    attempt: u64,
    check: String,
}

async fn approve(
    State(api): State<Api>,
    caller: Caller,
    Said(word): Said<Word>,
) -> Answered<Decided> {
    decide(&api, &caller, word, true).await
}

async fn deny(State(api): State<Api>, caller: Caller, Said(word): Said<Word>) -> Answered<Decided> {
    decide(&api, &caller, word, false).await
}

async fn decide(api: &Api, caller: &Caller, word: Word, yes: bool) -> Answered<Decided> {
    let by = caller.by(word.by)?;
    let reason = limited("reason", word.reason.unwrap_or_default())?;
    let verdict = if yes { Ok(()) } else { Err(reason) };
    match api.handle.decide(word.attempt, by, verdict).await? {
        Ok(check) => Ok(Json(Decided {
            attempt: word.attempt,
            check: check.to_string(),
        })),
        Err(why) => Err(Refusal::conflict(why)),
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Confirm {
    check: String,
    #[serde(default)]
    #[schemars(length(max = 500))]
    reason: String,
    #[schemars(length(max = 500))]
    by: Option<String>,
    /// Takes back what was confirmed.
    #[serde(default)]
    forget: bool,
}

#[derive(Serialize, JsonSchema)]
struct Confirmed {
    check: String,
    baseline: Option<Baseline>,
    forgotten: bool,
}

async fn confirm(
    State(api): State<Api>,
    caller: Caller,
    Said(word): Said<Confirm>,
) -> Answered<Confirmed> {
    let by = caller.by(word.by)?;
    let reason = limited("reason", word.reason)?;
    let known = api.known(vec![word.check.clone()]).await?;
    let Some(check) = known.into_iter().next() else {
        return Err(Refusal::bad("name the check"));
    };
    let reason = (!word.forget).then_some(reason);
    match api.handle.confirm(check, by, reason).await? {
        Ok(baseline) => Ok(Json(Confirmed {
            check: word.check,
            baseline,
            forgotten: word.forget,
        })),
        Err(why) => Err(Refusal::conflict(why)),
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Undo {
    #[serde(deserialize_with = "number")]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_u64))]
    attempt: u64,
    #[schemars(length(max = 500))]
    by: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Undone {
    attempt: u64,
    steps: Vec<StepAnswer>,
}

async fn undo(State(api): State<Api>, caller: Caller, Said(undo): Said<Undo>) -> Answered<Undone> {
    let by = caller.by(undo.by)?;
    match api.handle.undo(undo.attempt, by).await? {
        Ok(receipts) => Ok(Json(Undone {
            attempt: undo.attempt,
            steps: receipts.iter().map(StepAnswer::of).collect(),
        })),
        Err(why) => Err(Refusal::conflict(why)),
    }
}

async fn reload(State(api): State<Api>) -> Answered<ReloadAnswer> {
    Ok(Json(api.handle.reload().await?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Event {
    #[schemars(length(min = 1, max = 500))]
    event: String,
}

#[derive(Serialize, JsonSchema)]
struct Accepted {
    accepted: bool,
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
    let accepted = Json(Accepted { accepted: true });
    Ok((StatusCode::ACCEPTED, accepted).into_response())
}

/// Larger payloads are refused, in bytes.
const PAYLOAD: usize = 64 << 10;

#[derive(Serialize, JsonSchema)]
struct Heard {
    heard: String,
}

async fn heartbeat(
    State(api): State<Api>,
    Part(name): Part<String>,
    body: axum::body::Bytes,
) -> Answered<Heard> {
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
        Ok(()) => Ok(Json(Heard { heard: name })),
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

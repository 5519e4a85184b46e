//! What the bot answers over HTTP: its health, mock signals, and (on the same listener) the broker's account.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::{cycle::Bot, outside::Outside};

/// Tells the time.
pub type Now = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

#[derive(Clone)]
struct Shared {
    bot: Arc<Mutex<Bot>>,
    now: Now,
}

impl Shared {
    /// The bot. It is whole even if somebody panicked with it: every cycle starts from its files.
    fn bot(&self) -> MutexGuard<'_, Bot> {
        self.bot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outside(&self) -> Outside {
        Outside::read(self.bot().root())
    }
}

/// Routes over a bot that somebody else lets run.
///
/// | route | answer |
/// |---|---|
/// | `GET /health` | status (`starting`, `ok`, `degraded`), cycle, last_cycle, market_open, last_error |
/// | `POST /mock_signal` | a [`super::MockAnswer`]; 400 with `error` for a signal that is none |
/// | `GET /v2/account`, `/v2/positions`, `/v2/clock` | the broker's, to those who carry its two headers |
pub fn router(bot: Arc<Mutex<Bot>>, now: Now) -> Router {
    let shared = Shared { bot, now };
    let broker = Router::new()
        .route("/v2/account", get(account))
        .route("/v2/positions", get(positions))
        .route("/v2/clock", get(clock))
        .layer(middleware::from_fn_with_state(shared.clone(), gate));
    Router::new()
        .route("/health", get(health))
        .route("/mock_signal", post(mock_signal))
        .merge(broker)
        .with_state(shared)
}

async fn health(State(shared): State<Shared>) -> Json<Value> {
    let now = (shared.now)();
    let bot = shared.bot();
    let last = bot.last();
    let status = match last {
        None => "starting",
        Some(report) if report.errors.is_empty() => "ok",
        Some(_) => "degraded",
    };
    Json(json!({
        "status": status,
        "cycle": last.map_or(0, |report| report.cycle),
        "last_cycle": last.map(|report| iso(report.at)),
        "market_open": bot.market().open_session(now).is_some(),
        "last_error": last.and_then(|report| report.errors.last()),
    }))
}

async fn mock_signal(State(shared): State<Shared>, body: String) -> Response {
    let now = (shared.now)();
    let answer = serde_json::from_str::<Value>(&body)
        .map_err(|error| format!("the body is no JSON: {error}"))
        .and_then(|signal| shared.bot().mock_signal(&signal, now));
    match answer {
        Ok(answer) => Json(answer).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response(),
    }
}

async fn account(State(shared): State<Shared>) -> Json<Value> {
    Json(shared.bot().book().account_json())
}

async fn positions(State(shared): State<Shared>) -> Json<Value> {
    let outside = shared.outside();
    Json(shared.bot().book().positions_json(outside))
}

async fn clock(State(shared): State<Shared>) -> Json<Value> {
    let now = (shared.now)();
    let market = shared.bot().market();
    Json(json!({
        "timestamp": iso(now),
        "is_open": market.open_session(now).is_some(),
        "next_open": market.next_open(now).map(iso),
        "next_close": market.next_close(now).map(iso),
    }))
}

/// What the broker's listener does before anything else: it is slow or down, and asks who is there.
async fn gate(
    State(shared): State<Shared>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    let outside = shared.outside();
    if outside.broker_latency_ms > 0 {
        delay(Duration::from_millis(outside.broker_latency_ms)).await;
    }
    if outside.broker_down {
        return refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            50_310_000,
            "service unavailable",
        );
    }
    let named = |name: &str| headers.get(name).is_some_and(|value| !value.is_empty());
    if named("APCA-API-KEY-ID") && named("APCA-API-SECRET-KEY") {
        next.run(request).await
    } else {
        refusal(
            StatusCode::UNAUTHORIZED,
            40_110_000,
            "access key verification failed",
        )
    }
}

fn refusal(status: StatusCode, code: u32, message: &str) -> Response {
    (status, Json(json!({"code": code, "message": message}))).into_response()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a slow broker is slow: this is not waiting for a state"
)]
async fn delay(time: Duration) {
    tokio::time::sleep(time).await;
}

fn iso(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

//! The API as a whole: what it works with, and the router over the table of endpoints. Everything asks the engine's
//! [`Handle`]; nothing is decided here.

use std::{borrow::Cow, path::PathBuf, sync::Arc};

use axum::{Json, Router, extract::DefaultBodyLimit, http::StatusCode, middleware};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use tokio::sync::Semaphore;

use super::{
    acting, checks,
    door::{self, Codes, Door, Needs},
    endpoint::Endpoint,
    health, incidents, investigations, metrics, openapi, page,
    records::HistoryAnswer,
    refusal::Refusal,
    repairs, rules, standing, stream,
};
use crate::{
    clock::Clock,
    engine::{Handle, handle::StatusAnswer},
    model::{Name, moment::Moment, span::Span, text::meant},
    permission::settings::Reading,
    store::HistoryQuery,
};

/// So many dry runs go on at once; the others wait for their turn.
const DRY_RUNS: usize = 4;

/// What the API works with.
#[derive(Clone)]
pub struct Api {
    pub handle: Handle,
    pub clock: Arc<dyn Clock>,
    /// The root of the engine.
    pub root: PathBuf,
    /// Whether reading over loopback needs a token.
    pub reading: Reading,
    pub(super) hub: Arc<stream::Hub>,
    pub(super) codes: Arc<Codes>,
    /// Turns of dry runs.
    pub(super) dry_runs: Arc<Semaphore>,
    pub(super) desk: Arc<rules::Desk>,
}

pub(super) type Answered<T> = Result<Json<T>, Refusal>;

impl Api {
    /// Begins to hear what happens, for streams. Needs a runtime.
    pub fn new(handle: Handle, clock: Arc<dyn Clock>, root: PathBuf, reading: Reading) -> Api {
        let hub = stream::Hub::start(&handle, &clock);
        Api {
            handle,
            clock,
            root,
            reading,
            hub,
            codes: Arc::default(),
            dry_runs: Arc::new(Semaphore::new(DRY_RUNS)),
            desk: Arc::default(),
        }
    }
}

/// Everything there is, in the order of the document.
pub(super) fn endpoints() -> Vec<Endpoint> {
    [
        standing::endpoints(),
        checks::endpoints(),
        repairs::endpoints(),
        investigations::endpoints(),
        incidents::endpoints(),
        health::endpoints(),
        rules::endpoints(),
        stream::endpoints(),
        metrics::endpoints(),
        acting::endpoints(),
        openapi::endpoints(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Everything there is, each endpoint behind its own gate.
fn routes(api: &Api) -> Router {
    let mut routes = Router::new();
    for endpoint in endpoints() {
        let needs = Needs {
            scope: endpoint.scope,
            only_reads: endpoint.only_reads(),
            waits: endpoint.waits,
            largest: endpoint.largest,
        };
        let gate = middleware::from_fn_with_state(needs, door::gate);
        let handler = endpoint
            .handler
            .layer(DefaultBodyLimit::disable()) // the gate has bounds
            .route_layer(gate);
        routes = routes.route(endpoint.path, handler);
    }
    unknown(routes).with_state(api.clone())
}

/// Everything, for whoever may open the owner's socket.
pub fn router(api: Api) -> Router {
    routes(&api)
        .layer(middleware::from_fn(door::owner))
        .layer(middleware::from_fn_with_state(api.codes, door::told))
}

/// Everything, for whoever the door on the loopback address lets in.
pub fn loopback_router(api: Api, door: Door) -> Router {
    let door = Arc::new(door);
    routes(&api)
        .layer(middleware::from_fn_with_state(door, door::loopback))
        .layer(middleware::from_fn_with_state(api.codes, door::told))
}

/// Answers what no endpoint does.
pub(super) fn unknown(routes: Router<Api>) -> Router<Api> {
    routes
        .merge(page::router())
        .fallback(|| async { Refusal::absent("there is nothing of that name") })
        .method_not_allowed_fallback(|| async {
            Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this does not go with that method",
            )
        })
}

pub(super) fn absent(name: &str, status: &StatusAnswer) -> Refusal {
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
        let book = self.handle.bench().await?.book;
        let unknown = names
            .iter()
            .find(|name| !book.checks.contains_key(name.as_str()));
        match unknown {
            Some(name) => Err(absent(name, &self.handle.status().await?)),
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

    /// An instant from a query.
    pub(super) fn when(&self, text: Option<String>) -> Result<Option<Moment>, Refusal> {
        text.map(|text| self.instant(&text)).transpose()
    }

    fn instant(&self, text: &str) -> Result<Moment, Refusal> {
        // An instant before there were any is a slip.
        let plain = text.starts_with(|c: char| c.is_ascii_digit()) && !text.contains(['e', 'E']);
        let back = Span::parse(text).ok();
        let found = back
            .map(|span| self.clock.now().minus(span.0))
            .or_else(|| Moment::parse(text).filter(|_| plain));
        found.ok_or_else(|| {
            Refusal::bad(format!(
                "`{text}` is no time: write 7d, 12h, an instant with its zone, or epoch seconds"
            ))
        })
    }

    /// A text that may hold a part of a rule file, without secrets.
    pub(super) async fn hidden(&self, text: &str) -> Result<String, Refusal> {
        let permission = self.handle.bench().await?.permission;
        Ok(permission.secrets().hide(text).into_owned())
    }
}

/// How an instant is said in a query.
pub(super) struct When;

impl JsonSchema for When {
    fn schema_name() -> Cow<'static, str> {
        "When".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A span back from now (`30s`, `7d`), an instant in ISO 8601 with its zone, or epoch seconds.",
            "anyOf": [
                {"pattern": "^(0|[1-9][0-9]{0,9})(\\.[0-9]{1,3}|s|m|h|d)?$"},
                {"format": "date-time"},
            ],
            "examples": ["7d", "1767700800"]
        })
    }
}

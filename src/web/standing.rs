//! How things stand: everything in a page, silences, what waits for a person, who is asking.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{
    api::{Answered, Api, absent},
    caller::{Caller, Can, Scope, WhoAnswer},
    endpoint::Endpoint,
    records::{HistoryAnswer, LedgerAnswer},
    refusal::{Part, Refusal, Wanted},
};
use crate::{
    engine::{
        handle::{Proposal, StatusAnswer},
        overview::{self, MOST_ROWS, Overview, SilenceAnswer},
        progress::Health,
    },
    model::{Name, status::Status},
    store::{HISTORY_LIMIT, HistoryQuery},
};

/// Nobody pages further.
const MOST_OFFSET: usize = 1_000_000;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/healthz", healthz)
            .is("healthz", "Whether the engine works off its agenda, not only whether its socket answers.")
            .answers::<Health>()
            .error(503, "the engine does not answer"),
        Endpoint::get("/api/whoami", whoami)
            .is("whoami", "Who is asking, and what they may do.")
            .answers::<WhoAnswer>()
            .open(),
        Endpoint::get("/api/status", status)
            .is("status", "How every check stands.")
            .answers::<StatusAnswer>(),
        Endpoint::get("/api/overview", overview)
            .is("overview", "How everything stands: counts, layers, and a page of checks, worst first.")
            .query::<Page>()
            .answers::<Overview>(),
        Endpoint::get("/api/explain/{name}", explain)
            .is("explain", "The last verdict of a check as a tree of expressions with their values, and what holds its repair.")
            .answers::<Value>()
            .error(404, "there is no check of that name"),
        Endpoint::get("/api/history", history)
            .is("history", "What happened, newest first: changes of status, repairs, what was held, notes.")
            .query::<Past>()
            .answers::<Vec<HistoryAnswer>>(),
        Endpoint::get("/api/ledger", ledger)
            .is("ledger", "Which repairs work: for each check, and for each of its kinds of steps.")
            .answers::<Vec<LedgerAnswer>>(),
        Endpoint::get("/api/silences", silences)
            .is("silences", "Silences that have not ended.")
            .answers::<Vec<SilenceAnswer>>(),
        Endpoint::get("/api/approvals", approvals)
            .is("approvals", "Repairs that wait for a person, with what they would do.")
            .answers::<Vec<Proposal>>(),
    ]
}

async fn healthz(State(api): State<Api>) -> Response {
    let health = api.handle.health();
    if health.alive {
        return Json(health).into_response();
    }
    let why = health.why.as_deref().unwrap_or("the engine does not go on");
    let mut refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why);
    if let Ok(Value::Object(all)) = serde_json::to_value(&health) {
        for (key, value) in all {
            refusal = refusal.with(&key, value);
        }
    }
    refusal.into_response()
}

async fn whoami(State(api): State<Api>, caller: Caller) -> Json<WhoAnswer> {
    let root = api.root.file_name().unwrap_or_default();
    Json(WhoAnswer {
        name: caller.name.as_ref().map(ToString::to_string),
        scope: caller.scope,
        reading: api.reading,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        root_name: root.to_string_lossy().into_owned(),
        can: Can {
            operate: caller.may(Scope::Operate),
            admin: caller.may(Scope::Admin),
        },
    })
}

async fn status(State(api): State<Api>) -> Answered<StatusAnswer> {
    Ok(Json(api.handle.status().await?))
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Page {
    /// Only checks of these statuses, separated by commas.
    #[schemars(regex(
        pattern = "^(OK|WARNING|CRITICAL|UNKNOWN)(,(OK|WARNING|CRITICAL|UNKNOWN))*$"
    ))]
    status: Option<String>,
    /// Only checks of these layers, separated by commas.
    layer: Option<String>,
    /// Only checks that hold this text in their name, message, layer, or what they are about.
    search: Option<String>,
    /// So many checks at most; 200 if it is not said.
    #[schemars(range(min = 0, max = 1000))]
    limit: Option<usize>,
    /// So many of them are passed over.
    #[schemars(range(min = 0, max = 1_000_000))]
    offset: Option<usize>,
}

async fn overview(State(api): State<Api>, Wanted(page): Wanted<Page>) -> Answered<Overview> {
    let words = |text: Option<String>| -> Vec<String> {
        let text = text.unwrap_or_default();
        let words = text
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty());
        words.map(str::to_owned).collect()
    };
    let statuses = page
        .status
        .map(|text| text.split(',').map(status_of).collect());
    let statuses = statuses.transpose()?.unwrap_or_default();
    let limit = page.limit.unwrap_or(200);
    if limit > MOST_ROWS {
        return Err(Refusal::bad(format!("limit goes from 0 to {MOST_ROWS}")));
    }
    let offset = page.offset.unwrap_or(0);
    if offset > MOST_OFFSET {
        return Err(Refusal::bad(format!("offset goes from 0 to {MOST_OFFSET}")));
    }
    let wanted = overview::Wanted {
        statuses,
        layers: words(page.layer),
        search: page.search.filter(|text| !text.is_empty()),
        limit,
        offset,
    };
    let mut overview = api.handle.overview(wanted).await?;
    if let Some(text) = &mut overview.complaints_text {
        *text = api.hidden(text).await?;
    }
    Ok(Json(overview))
}

fn status_of(word: &str) -> Result<Status, Refusal> {
    let found = Status::ALL
        .into_iter()
        .find(|status| status.to_string() == word);
    found.ok_or_else(|| {
        Refusal::bad(format!(
            "`{word}` is no status: OK, WARNING, CRITICAL or UNKNOWN"
        ))
    })
}

async fn explain(State(api): State<Api>, Part(name): Part<String>) -> Answered<Value> {
    match api.handle.explain(name.as_str().into()).await? {
        Some(explanation) => Ok(Json(explanation)),
        None => Err(absent(&name, &api.handle.status().await?)),
    }
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Past {
    /// Only of this check.
    check: Option<String>,
    /// Not before this: `7d`, an instant in ISO 8601 with its zone, or epoch seconds.
    #[schemars(with = "Option<super::api::When>")]
    since: Option<String>,
    /// Not after this, said likewise.
    #[schemars(with = "Option<super::api::When>")]
    until: Option<String>,
    /// So many at most, and never more than 10,000; 100 if it is not said.
    #[schemars(range(min = 0, max = 4_294_967_295_u32))]
    limit: Option<u32>,
}

async fn history(
    State(api): State<Api>,
    Wanted(past): Wanted<Past>,
) -> Answered<Vec<HistoryAnswer>> {
    let query = HistoryQuery {
        check: past.check.map(Name::from),
        since: api.when(past.since)?,
        until: api.when(past.until)?,
        limit: past
            .limit
            .map_or(100, |limit| limit as usize)
            .min(HISTORY_LIMIT),
    };
    Ok(Json(api.history(query).await?))
}

async fn ledger(State(api): State<Api>) -> Answered<Vec<LedgerAnswer>> {
    let now = api.clock.now();
    let lines = api.handle.store(move |store| store.ledger(now)).await??;
    Ok(Json(lines.into_iter().map(LedgerAnswer::from).collect()))
}

async fn silences(State(api): State<Api>) -> Answered<Vec<SilenceAnswer>> {
    let stood = api.handle.waiting().await?;
    Ok(Json(stood.silences))
}

async fn approvals(State(api): State<Api>) -> Answered<Vec<Proposal>> {
    let stood = api.handle.waiting().await?;
    Ok(Json(stood.proposals))
}

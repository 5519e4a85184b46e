//! One check: its page, its recorded looks with their numbers, the facts of one of them.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    api::{Answered, Api, absent},
    endpoint::Endpoint,
    excerpt::{self, RuleText},
    plots::{self, Plot},
    refusal::{Part, Refusal, Wanted},
};
use crate::{
    engine::{
        handle::Proposal,
        overview::{PauseAnswer, Row, SilenceAnswer},
        sight::{Sight, Workbench},
    },
    model::{
        facts::Facts,
        moment::Moment,
        outline::{EventTrigger, Trigger},
        span::Span,
        status::Status,
        verdict::Verdict,
    },
    permission::OWN,
    script::Scope,
    store::{Found, LookRecord, Recorded},
};

/// So many looks are given at once.
const MOST_LOOKS: usize = 5_000;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let none = "there is no check of that name";
    vec![
        Endpoint::get("/api/checks/{name}", show)
            .is("check_page", "Everything of one check: how it stands, why, by which rule, and what is worth drawing.")
            .answers::<CheckPage>()
            .error(404, none),
        Endpoint::get("/api/checks/{name}/looks", looks)
            .is("check_looks", "Its recorded looks, oldest first, with the numbers that `plots` of its page names.")
            .query::<Range>()
            .answers::<LooksAnswer>()
            .error(404, none),
        Endpoint::get("/api/checks/{name}/facts", facts)
            .is("check_facts", "What its last look at or before an instant saw.")
            .query::<Instant>()
            .answers::<FactsAnswer>()
            .error(404, "there is no check of that name, or no look that was recorded"),
    ]
}

/// Everything of one check.
#[derive(Serialize, JsonSchema)]
struct CheckPage {
    row: Row,
    about: Option<String>,
    trigger: TriggerAnswer,
    rule: RuleText,
    /// As `/api/explain` tells it.
    explain: Value,
    plots: Vec<Plot>,
    needs: Vec<String>,
    needed_by: Vec<String>,
    proposals: Vec<Proposal>,
    silences: Vec<SilenceAnswer>,
    baseline: Option<BaselineAnswer>,
    pause: Option<PauseAnswer>,
}

/// When it is looked at.
#[derive(Serialize, JsonSchema)]
struct TriggerAnswer {
    /// In a sentence: `every 5m, and when data/x.json changes`.
    text: String,
    every_s: Option<f64>,
    cron: Option<String>,
    events: Vec<String>,
    during: Option<String>,
    quiet: Option<String>,
    /// When its next slot comes, or its calendar opens or closes. Epoch seconds.
    next: Option<f64>,
}

/// What a person confirmed.
#[derive(Serialize, JsonSchema)]
struct BaselineAnswer {
    value: Value,
    /// Epoch seconds.
    at: f64,
    by: String,
    reason: String,
}

async fn show(State(api): State<Api>, Part(name): Part<String>) -> Answered<CheckPage> {
    let sight = sight(&api, &name).await?;
    // Reading an expression again, and a rule file of any length: not in the loop, nor among the answers of others.
    let page = tokio::task::spawn_blocking(move || page(*sight)).await;
    page.map(Json).map_err(broke_off)
}

fn page(sight: Sight) -> CheckPage {
    let check = &sight.check;
    let secrets = sight.bench.permission.secrets();
    CheckPage {
        about: check.about.clone(),
        trigger: trigger(&check.outline.trigger, sight.next),
        rule: excerpt::rule(&sight.bench.book, check, sight.verdict.as_deref(), secrets),
        explain: sight.explain.clone().unwrap_or_default(),
        plots: plots::of(&sight.bench, check, sight.verdict.as_deref()),
        needs: check
            .outline
            .needs
            .iter()
            .map(ToString::to_string)
            .collect(),
        needed_by: sight.needed_by.clone(),
        baseline: sight.baseline.as_ref().map(|it| {
            let mut value = it.value.clone();
            secrets.hide_value(&mut value);
            BaselineAnswer {
                value,
                at: it.at.seconds(),
                by: it.by.clone(),
                reason: it.reason.clone(),
            }
        }),
        row: sight.row,
        proposals: sight.proposals,
        silences: sight.silences,
        pause: sight.pause,
    }
}

fn trigger(trigger: &Trigger, next: Option<f64>) -> TriggerAnswer {
    let events: Vec<String> = trigger.events.iter().map(event).collect();
    let cron = trigger
        .cron
        .as_ref()
        .map(|cron| format!("{} ({})", cron.pattern.pattern, cron.zone));
    let every = trigger.every.map(|every| format!("every {}", Span(every)));
    let slots = every.or_else(|| cron.as_ref().map(|cron| format!("cron {cron}")));
    let mut text: Vec<String> = slots.into_iter().collect();
    if !events.is_empty() {
        text.push(events.join(", "));
    }
    let mut text = match text.is_empty() {
        true => "only when it is asked for".to_owned(),
        false => text.join(", and "),
    };
    if let Some(during) = &trigger.during {
        text.push_str(&format!(", during {during}"));
    }
    if let Some(quiet) = &trigger.quiet {
        text.push_str(&format!(", quiet during {quiet}"));
    }
    TriggerAnswer {
        text,
        every_s: trigger.every.map(|every| every.as_secs_f64()),
        cron,
        events,
        during: trigger.during.as_ref().map(ToString::to_string),
        quiet: trigger.quiet.as_ref().map(ToString::to_string),
        next,
    }
}

fn event(event: &EventTrigger) -> String {
    match event {
        EventTrigger::File { file } => format!("when {file} changes"),
        EventTrigger::Event { event } => format!("at the event {event}"),
        EventTrigger::Check { check, status } => {
            let words: Vec<&str> = status.iter().map(|status| status.word()).collect();
            format!("when {check} is {}", words.join(" or "))
        }
    }
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Range {
    /// Not before this.
    #[schemars(with = "Option<super::api::When>")]
    since: Option<String>,
    /// Not after this.
    #[schemars(with = "Option<super::api::When>")]
    until: Option<String>,
    /// So many at most, the newest; 500 if it is not said.
    #[schemars(range(min = 1, max = 5000))]
    limit: Option<usize>,
}

/// Recorded looks.
#[derive(Serialize, JsonSchema)]
struct LooksAnswer {
    check: String,
    /// Oldest first.
    looks: Vec<LookAnswer>,
    /// There are older ones in this range.
    truncated: bool,
}

#[derive(Serialize, JsonSchema)]
struct LookAnswer {
    /// Epoch seconds.
    at: f64,
    /// Of the look by itself.
    status: Status,
    /// After patience.
    counted: Status,
    skipped: bool,
    message: String,
    error: Option<String>,
    duration_ms: f64,
    /// What the names of `plots` came to, where they came to a number.
    values: BTreeMap<String, f64>,
}

async fn looks(
    State(api): State<Api>,
    Part(name): Part<String>,
    Wanted(range): Wanted<Range>,
) -> Answered<LooksAnswer> {
    let limit = range.limit.unwrap_or(500);
    if !(1..=MOST_LOOKS).contains(&limit) {
        return Err(Refusal::bad(format!("limit goes from 1 to {MOST_LOOKS}")));
    }
    let from = api.when(range.since)?.unwrap_or(Moment(i64::MIN));
    let to = api.when(range.until)?.unwrap_or(Moment(i64::MAX));
    let sight = sight(&api, &name).await?;
    let found = recorded(&api, &name, from, to, limit).await?;
    let answer = tokio::task::spawn_blocking(move || {
        let Sight {
            bench,
            check,
            verdict,
            ..
        } = *sight;
        let names: Vec<String> = plots::of(&bench, &check, verdict.as_deref())
            .into_iter()
            .map(|plot| plot.name)
            .collect();
        let looks = found.looks.iter().rev();
        LooksAnswer {
            check: name,
            looks: looks
                .map(|look| LookAnswer {
                    at: look.at.seconds(),
                    status: look.status,
                    counted: look.counted,
                    skipped: look.verdict.skipped,
                    message: look.verdict.message.clone(),
                    error: look.verdict.error.clone(),
                    duration_ms: look.duration_ms,
                    values: bench.numbers(&check, &names, look).into_iter().collect(),
                })
                .collect(),
            truncated: found.more,
        }
    });
    answer.await.map(Json).map_err(broke_off)
}

/// The newest recorded looks of a check, newest first: those on disk are read beside the store's owner, those it has not
/// written yet are asked for.
async fn recorded(
    api: &Api,
    name: &str,
    from: Moment,
    to: Moment,
    limit: usize,
) -> Result<Found, Refusal> {
    let check = name.to_owned();
    let buffered = api
        .handle
        .store(move |store| store.buffered_looks_of(&check))
        .await?;
    let (own, check) = (api.root.join(OWN), name.to_owned());
    let read = tokio::task::spawn_blocking(move || match Recorded::open(&own)? {
        Some(recorded) => recorded.newest(Some(&check), from, to, limit),
        None => Ok(Found::default()),
    });
    let mut found = read.await.map_err(broke_off)??;
    let inside = |look: &LookRecord| look.at >= from && look.at <= to;
    // What was written between the two questions is in both.
    let fresh: Vec<LookRecord> = buffered
        .into_iter()
        .rev()
        .filter(inside)
        .filter(|look| !found.looks.iter().take(200).any(|known| known == look))
        .collect();
    found.looks.splice(0..0, fresh);
    if found.looks.len() > limit {
        found.looks.truncate(limit);
        found.more = true;
    }
    Ok(found)
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Instant {
    /// The last look at or before this; the last of all if it is not said.
    #[schemars(with = "Option<super::api::When>")]
    at: Option<String>,
}

/// What one look saw.
#[derive(Serialize, JsonSchema)]
struct FactsAnswer {
    check: String,
    /// Epoch seconds.
    at: f64,
    facts: Facts,
    #[serde(rename = "let")]
    lets: Map<String, Value>,
    message: String,
    status: Status,
    error: Option<String>,
}

async fn facts(
    State(api): State<Api>,
    Part(name): Part<String>,
    Wanted(instant): Wanted<Instant>,
) -> Answered<FactsAnswer> {
    let at = api.when(instant.at)?;
    let sight = sight(&api, &name).await?;
    // The last look of all is at hand, whole.
    if let Some((looked, verdict)) = sight.looked.zip(sight.verdict.clone())
        && at.is_none_or(|at| at >= looked)
    {
        return Ok(Json(told(name, looked, &verdict, verdict.lets.clone())));
    }
    let to = at.unwrap_or(Moment(i64::MAX));
    let found = recorded(&api, &name, Moment(i64::MIN), to, 1).await?;
    let Some(look) = found.looks.into_iter().next() else {
        return Err(Refusal::absent(format!(
            "no look at {name} was recorded by then"
        )));
    };
    let answer = tokio::task::spawn_blocking(move || {
        let lets = computed(&sight.bench, &sight.check, &look);
        told(name, look.at, &look.verdict, lets)
    });
    answer.await.map(Json).map_err(broke_off)
}

fn told(check: String, at: Moment, verdict: &Verdict, lets: Map<String, Value>) -> FactsAnswer {
    FactsAnswer {
        check,
        at: at.seconds(),
        facts: verdict.facts.clone(),
        lets,
        message: verdict.message.clone(),
        status: verdict.status,
        error: verdict.error.clone(),
    }
}

/// The `let` values of a recorded look, by the rules that run now, as far as they can still be known.
fn computed(
    bench: &Workbench,
    check: &crate::rules::book::Check,
    look: &LookRecord,
) -> Map<String, Value> {
    let ground = bench.ground(look.at);
    let scope = Scope::new(&ground)
        .facts(&look.verdict.facts)
        .lets(&check.judging.lets);
    let values = check.judging.lets.iter().filter_map(|(name, expr)| {
        let value = expr.value(&bench.script, &scope).ok()?;
        Some((name.clone(), value))
    });
    let mut lets: Map<String, Value> = values.collect();
    bench.permission.secrets().hide_map(&mut lets);
    lets
}

async fn sight(api: &Api, name: &str) -> Result<Box<Sight>, Refusal> {
    match api.handle.sight(name.into()).await? {
        Some(sight) => Ok(sight),
        None => Err(absent(name, &api.handle.status().await?)),
    }
}

pub(super) fn broke_off(error: tokio::task::JoinError) -> Refusal {
    tracing::error!(%error, "an answer broke off");
    Refusal::new(
        axum::http::StatusCode::INTERNAL_SERVER_ERROR,
        "the answer could not be made",
    )
}

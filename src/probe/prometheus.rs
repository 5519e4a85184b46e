//! `prometheus`: what an instant query is answered by Prometheus, or by what speaks its API.
//!
//! The API is that of <https://prometheus.io/docs/prometheus/latest/querying/api/>: `/api/v1/query`, with numbers written as
//! texts. Those that JSON cannot hold (`NaN`, `+Inf`, `-Inf`) become `()` with their name in `special`, so that a comparison
//! with them is an error and no answer. A part of an answer is never taken for the whole: too many series are an `error`,
//! and the server is not asked for fewer, for it would leave some out and call that a success.
//!
//! The server evaluates at its own time. That of the look is not sent: by the server's clock it may lie ahead, where
//! nothing has been scraped yet, or behind.

mod answer;

use std::{collections::BTreeMap, sync::Arc};

use futures::future::BoxFuture;
use reqwest::{Method, header};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use self::answer::{Outcome, Reply, Series, read};
use super::{
    Eyes, Kind, Probe, ProbeError, Workshop,
    path::Filled,
    remote::{self, ERROR, NOT_CONFIGURED, SENT},
    request::{self, AskedServer, BasicAuth, Form, MAX_BODY},
    strict_json,
};
use crate::{
    model::{
        facts::Facts,
        moment::Moment,
        node::{Node, decode},
        span::Span,
        text::{Mistake, Text},
    },
    net::exchange::{self, Answer, Exchange, FORM, Request},
    permission::settings::Size,
};

pub static KIND: Kind = Kind {
    name: "prometheus",
    about: "the answer of Prometheus to an instant query",
    example: r#"probe: { prometheus: { url: 'http://127.0.0.1:9090', query: 'up{job="bot"}' } }"#,
    facts: &[
        SENT,
        ("code", "number or ()", "the status code of the answer"),
        (
            "latency_ms",
            "milliseconds or ()",
            "until the whole answer was there or it failed, resolving included",
        ),
        (
            "kind",
            "text or ()",
            "`vector`, `scalar`, `string` or `matrix`; () if there is no answer",
        ),
        (
            "value",
            "number or ()",
            "that of a scalar, or of the only series of a vector; () when there is none or several, or JSON cannot hold it",
        ),
        (
            "special",
            "text or ()",
            "`NaN`, `+Inf` or `-Inf` where `value` is () for that; `histogram` for a native histogram",
        ),
        ("text", "text or ()", "that of a string"),
        (
            "series",
            "list",
            "of a vector or matrix, each with `labels` (a map of texts), `value`, `special`, `at` (epoch seconds) and `samples`; of a matrix the last sample is the value, and `samples` holds each `value`, `special` and `at`",
        ),
        ("count", "number", "of the series"),
        (
            "warnings",
            "list",
            "texts: what may be wrong with the answer, as the server says",
        ),
        ERROR,
    ],
    schema: Rule::json_schema,
    build,
};

/// Series of an answer, unless the rule says otherwise.
const MAX_SERIES: usize = 1000;
const MOST_SERIES: usize = 10_000;

/// An instant query.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// Where the server is, without `/api/v1/query`. What a `${…}` gives in its path is encoded; the whole URL may be one
    /// `${…}`. Besides loopback only what `allow: { reach: [...] }` of homeostat.yaml allows.
    url: Text,
    /// PromQL. What a `${…}` gives stands in it as it is.
    query: Text,
    /// The instant to evaluate at: epoch seconds, or ISO 8601 with zone. By default the server's own present.
    time: Option<Text>,
    /// By default GET. POST sends the query in the body: for a long one.
    #[serde(default)]
    method: Verb,
    /// Their values are never shown when they come from `env("…")`.
    #[serde(default)]
    headers: BTreeMap<String, Text>,
    /// User and password, sent as a header.
    basic_auth: Option<BasicAuth>,
    /// After this there is no answer; the server is told as well. By default, and at the most, a little less than the time
    /// limit of the check.
    timeout: Option<Span>,
    /// A larger answer is an `error`. By default 1 MiB.
    max_body: Option<Size>,
    /// More series are an `error`. By default 1000, at most 10000.
    max_series: Option<usize>,
    /// A PEM file with the certificates that are trusted instead of those of the system.
    ca: Option<Text>,
    /// Whether the certificate must be trusted before anything is sent. By default true.
    #[serde(default = "request::yes")]
    verify: bool,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Verb {
    #[default]
    Get,
    Post,
}

struct PrometheusProbe {
    server: AskedServer,
    query: Filled,
    time: Option<Filled>,
    method: Verb,
    max_body: u64,
    max_series: usize,
}

fn build(node: &Node, workshop: &mut Workshop<'_>) -> Option<Arc<dyn Probe>> {
    let rule: Rule = decode(node, workshop.mistakes)?;
    let before = workshop.mistakes.len();
    let server = AskedServer::build(
        Form {
            url: &rule.url,
            headers: &rule.headers,
            basic_auth: rule.basic_auth.as_ref(),
            timeout: rule.timeout,
            ca: rule.ca.as_ref(),
            verify: rule.verify,
        },
        node,
        workshop,
    );
    let query = Filled::build(&rule.query, workshop);
    let time = rule
        .time
        .as_ref()
        .and_then(|text| Filled::build(text, workshop));
    let mut wrong = |key: &str, why: String| {
        let place = remote::place(node, key);
        workshop
            .mistakes
            .push(Mistake::new("bad-value", why, place));
    };
    if let Some(Err(why)) = server.as_ref().and_then(AskedServer::plain_url).map(base) {
        wrong("url", why);
    }
    if query
        .as_ref()
        .and_then(Filled::plain)
        .is_some_and(|query| query.trim().is_empty())
    {
        wrong("query", "there is nothing to ask".to_owned());
    }
    if let Some(Err(why)) = time.as_ref().and_then(Filled::plain).map(instant) {
        wrong("time", why);
    }
    let max_series = rule.max_series.unwrap_or(MAX_SERIES);
    if !(1..=MOST_SERIES).contains(&max_series) {
        wrong("max_series", format!("from 1 to {MOST_SERIES} series"));
    }
    if workshop.mistakes.len() > before {
        return None;
    }
    Some(Arc::new(PrometheusProbe {
        server: server?,
        query: query?,
        time,
        method: rule.method,
        max_body: rule.max_body.unwrap_or(MAX_BODY).0,
        max_series,
    }))
}

/// Reads where a server is.
fn base(text: &str) -> Result<Url, String> {
    let url = exchange::url(text)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(
            "the URL of a server ends with its path: the query stands under `query`".to_owned(),
        );
    }
    if url.path().trim_end_matches('/').ends_with("/api/v1/query") {
        return Err("the URL is that of the server, without `/api/v1/query`".to_owned());
    }
    Ok(url)
}

fn instant(text: &str) -> Result<Moment, String> {
    let wrong = || format!("`{text}` is no instant: write epoch seconds, or ISO 8601 with zone");
    Moment::parse(text.trim()).ok_or_else(wrong)
}

impl Probe for PrometheusProbe {
    fn observe<'a>(&'a self, eyes: &'a Eyes) -> BoxFuture<'a, Result<Facts, ProbeError>> {
        Box::pin(self.ask(eyes))
    }

    fn shape(&self) -> Facts {
        let sample = json!({"value": 1.5, "special": null, "at": 1_767_717_000.5});
        let mut series = sample.clone();
        series["labels"] = json!({});
        series["samples"] = json!([sample]);
        none()
            .with("code", 200)
            .with("latency_ms", 12.5)
            .with("kind", "vector")
            .with("value", 1.5)
            .with("series", vec![series])
            .with("count", 1)
            .with("warnings", vec![String::new()])
    }
}

/// The facts when nothing is known.
fn none() -> Facts {
    let mut facts = Facts::new().with("sent", true);
    for name in ["code", "latency_ms", "kind", "value", "special", "text"] {
        facts.set(name, Value::Null);
    }
    facts
        .with("series", Value::Array(Vec::new()))
        .with("count", 0)
        .with("warnings", Value::Array(Vec::new()))
        .with("error", Value::Null)
}

impl PrometheusProbe {
    async fn ask(&self, eyes: &Eyes) -> Result<Facts, ProbeError> {
        let request = match self.request(eyes)? {
            Ok(request) => request,
            Err(why) => return Ok(remote::unsent(none(), why)),
        };
        let exchange = exchange::exchange(&request, &eyes.permission).await;
        Ok(self.facts(exchange))
    }

    /// The request with everything filled in; the inner error says why there is none.
    fn request(&self, eyes: &Eyes) -> Result<Result<Request, String>, ProbeError> {
        let mut request = match self.server.request(eyes)? {
            Ok(request) => request,
            Err(why) => return Ok(Err(why)),
        };
        if let Err(why) = base(request.url.as_str()) {
            return Ok(Err(why));
        }
        let Some(query) = self.query.given(eyes)? else {
            return Ok(Err(NOT_CONFIGURED.to_owned()));
        };
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("query", &query);
        if let Some(time) = &self.time {
            let Some(time) = time.given(eyes)? else {
                return Ok(Err(NOT_CONFIGURED.to_owned()));
            };
            match instant(&time) {
                Ok(time) => form.append_pair("time", &format!("{:.3}", time.seconds())),
                Err(why) => return Ok(Err(why)),
            };
        }
        form.append_pair(
            "timeout",
            &format!("{}ms", request.timeout.as_millis().max(1)),
        );
        let form = form.finish();
        if let Ok(mut path) = request.url.path_segments_mut() {
            path.pop_if_empty().extend(["api", "v1", "query"]);
        }
        match self.method {
            Verb::Get => request.url.set_query(Some(&form)),
            Verb::Post => {
                request.method = Method::POST;
                request.body = Some(form.into_bytes());
                request.headers.insert(header::CONTENT_TYPE, FORM);
            }
        }
        request.most_body = self.max_body;
        Ok(Ok(request))
    }

    fn facts(&self, exchange: Exchange) -> Facts {
        let mut facts = none();
        let tried = exchange.error.as_ref().is_none_or(|it| it.was_tried());
        facts.set("sent", tried);
        if tried {
            facts.set("latency_ms", remote::milliseconds(exchange.latency));
        }
        if let Some(answer) = &exchange.answer {
            facts.set("code", answer.code);
        }
        let why = match (exchange.error, exchange.answer) {
            (None, Some(answer)) => self.understand(&answer, &mut facts).err(),
            (Some(error), _) => Some(error.to_string()),
            (None, None) => Some("there is no answer".to_owned()),
        };
        facts.set("error", why);
        facts
    }

    /// Takes an answer apart; the error says why it is none.
    fn understand(&self, answer: &Answer, facts: &mut Facts) -> Result<(), String> {
        let reply = strict_json::parse(&answer.body)
            .and_then(|json| serde_json::from_value(json).map_err(|error| error.to_string()));
        let code = answer.code;
        let reply: Reply = match (reply, &answer.redirect) {
            (Ok(reply), _) => reply,
            (Err(_), Some(to)) => {
                let to = to.split(['?', '#']).next().unwrap_or_default();
                return Err(format!("answered {code}: it has gone to {to}"));
            }
            (Err(why), None) if (200..300).contains(&code) => {
                return Err(format!("the answer is not that of Prometheus: {why}"));
            }
            (Err(_), None) => return Err(format!("answered {code}")),
        };
        facts.set("warnings", reply.warnings.unwrap_or_default());
        let data = match (reply.status.as_str(), reply.data) {
            ("success", Some(data)) if (200..300).contains(&code) => data,
            ("error", _) => {
                let kind = reply.error_type.unwrap_or_else(|| "error".to_owned());
                let why = reply.error.unwrap_or_else(|| format!("answered {code}"));
                return Err(format!("{kind}: {why}"));
            }
            (status, _) => return Err(format!("answered {code} with the status `{status}`")),
        };
        let result = read(data)?;
        facts.set("kind", result.kind());
        match result {
            Outcome::Scalar(sample) => sample.tell(facts),
            Outcome::String(text) => facts.set("text", text),
            Outcome::Vector(all) | Outcome::Matrix(all) if all.len() > self.max_series => {
                facts.set("count", all.len());
                let (count, most) = (all.len(), self.max_series);
                return Err(format!(
                    "the answer has {count} series, more than {most} (`max_series`)"
                ));
            }
            Outcome::Vector(all) => {
                if let [Series { last, .. }] = all.as_slice() {
                    last.tell(facts);
                }
                tell(all, facts);
            }
            Outcome::Matrix(all) => tell(all, facts),
        }
        Ok(())
    }
}

fn tell(all: Vec<Series>, facts: &mut Facts) {
    facts.set("count", all.len());
    let series: Vec<Value> = all.into_iter().map(Series::into_json).collect();
    facts.set("series", series);
}

#[cfg(test)]
mod tests;

//! `http`: what an HTTP request is answered.
//!
//! Redirects are answers, unless the rule says how many to follow; each hop is judged by permission as the first one was,
//! and another origin is told none of the rule's headers. No proxy is used. The answer is not asked for compressed.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::BoxFuture;
use reqwest::{
    Method,
    header::{self, HeaderMap, HeaderName},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

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
        node::{Node, decode},
        span::Span,
        text::{Mistake, Text},
    },
    net::exchange::{self, Exchange, Request},
    permission::settings::Size,
    script::{Scope, TemplateTree},
};

pub static KIND: Kind = Kind {
    name: "http",
    about: "what an HTTP request is answered",
    example: r#"probe: { http: { url: 'http://127.0.0.1:8080/health', headers: { Accept: application/json } } }"#,
    facts: &[
        SENT,
        ("code", "number or ()", "the status code of the answer"),
        (
            "latency_ms",
            "milliseconds or ()",
            "until the whole answer was there or it failed, resolving and redirects included",
        ),
        ("body", "text", "the body of the answer"),
        ("json", "any", "the body if it is JSON, else ()"),
        (
            "parse_error",
            "text or ()",
            "why a body that says it is JSON is none",
        ),
        (
            "headers",
            "map",
            "the headers of the answer, their names lower-case",
        ),
        (
            "redirected_to",
            "text or ()",
            "where a redirect leads that was not followed",
        ),
        (
            "address",
            "text or ()",
            "the address and port that answered",
        ),
        (
            "cert_days_left",
            "days or ()",
            "until the certificate expires, negative when it has; known also when it is not trusted",
        ),
        ERROR,
    ],
    schema: Rule::json_schema,
    build,
};

const MOST_REDIRECTS: u32 = 20;

/// A request.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// What a `${…}` gives in its path or query is encoded. It cannot be a part of scheme, host or port; the whole URL may
    /// be one `${…}`. Besides loopback only what `allow: { reach: [...] }` of homeostat.yaml allows.
    url: Text,
    /// A probe only looks: POST is for questions. By default GET.
    #[serde(default)]
    method: Verb,
    /// Their values are never shown when they come from `env("…")`.
    #[serde(default)]
    headers: BTreeMap<String, Text>,
    /// User and password, sent as a header.
    basic_auth: Option<BasicAuth>,
    /// The body as text.
    body: Option<Text>,
    /// The body as JSON, built as values. Sets `Content-Type`.
    json: Option<Value>,
    /// After this there is no answer. By default, and at the most, a little less than the time limit of the check.
    timeout: Option<Span>,
    /// A larger body is an `error`; what came before is kept. By default 1 MiB.
    max_body: Option<Size>,
    /// How many redirects are followed. By default 0: a redirect is the answer.
    #[serde(default)]
    redirects: u32,
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
    Head,
    Options,
    Post,
}

struct HttpProbe {
    server: AskedServer,
    method: Method,
    body: Option<Filled>,
    json: Option<TemplateTree>,
    max_body: u64,
    redirects: u32,
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
    let body = rule
        .body
        .as_ref()
        .and_then(|text| Filled::build(text, workshop));
    let json = node.get("json").and_then(|node| {
        TemplateTree::compile(workshop.engine, node, workshop.known, workshop.mistakes)
    });
    let mut wrong = |key: &str, why: &str| {
        let place = remote::place(node, key);
        workshop
            .mistakes
            .push(Mistake::new("bad-value", why, place));
    };
    if rule.body.is_some() && rule.json.is_some() {
        wrong("json", "a request has one body: `body` or `json`");
    }
    if (rule.body.is_some() || rule.json.is_some()) && !matches!(rule.method, Verb::Post) {
        let key = if rule.body.is_some() { "body" } else { "json" };
        wrong(key, "only a POST has a body: add `method: POST`");
    }
    if rule.redirects > MOST_REDIRECTS {
        wrong("redirects", "at most 20 redirects are followed");
    }
    if workshop.mistakes.len() > before {
        return None;
    }
    Some(Arc::new(HttpProbe {
        server: server?,
        method: match rule.method {
            Verb::Get => Method::GET,
            Verb::Head => Method::HEAD,
            Verb::Options => Method::OPTIONS,
            Verb::Post => Method::POST,
        },
        body,
        json,
        max_body: rule.max_body.unwrap_or(MAX_BODY).0,
        redirects: rule.redirects,
    }))
}

impl Probe for HttpProbe {
    fn observe<'a>(&'a self, eyes: &'a Eyes) -> BoxFuture<'a, Result<Facts, ProbeError>> {
        Box::pin(self.ask(eyes))
    }

    fn shape(&self) -> Facts {
        none().with("code", 200).with("latency_ms", 12.5)
    }
}

/// The facts when nothing is known.
fn none() -> Facts {
    Facts::new()
        .with("sent", true)
        .with("code", Value::Null)
        .with("latency_ms", Value::Null)
        .with("body", "")
        .with("json", Value::Null)
        .with("parse_error", Value::Null)
        .with("headers", Map::new())
        .with("redirected_to", Value::Null)
        .with("address", Value::Null)
        .with("cert_days_left", Value::Null)
        .with("error", Value::Null)
}

impl HttpProbe {
    async fn ask(&self, eyes: &Eyes) -> Result<Facts, ProbeError> {
        let request = match self.request(eyes)? {
            Ok(request) => request,
            Err(why) => return Ok(remote::unsent(none(), why)),
        };
        let exchange = exchange::exchange(&request, &eyes.permission).await;
        Ok(facts(exchange, eyes))
    }

    /// The request with everything filled in; the inner error says why there is none.
    fn request(&self, eyes: &Eyes) -> Result<Result<Request, String>, ProbeError> {
        let mut request = match self.server.request(eyes)? {
            Ok(request) => request,
            Err(why) => return Ok(Err(why)),
        };
        if let Some(filled) = &self.body {
            let Some(text) = filled.given(eyes)? else {
                return Ok(Err(NOT_CONFIGURED.to_owned()));
            };
            request.body = Some(text.into_owned().into_bytes());
        }
        if let Some(tree) = &self.json {
            let scope = Scope::new(&eyes.ground);
            let given = tree.given(&eyes.engine, &scope).map_err(request::fault)?;
            let Some(value) = given else {
                return Ok(Err(NOT_CONFIGURED.to_owned()));
            };
            request.body = Some(value.to_string().into_bytes());
            request
                .headers
                .entry(header::CONTENT_TYPE)
                .or_insert(exchange::JSON);
        }
        request.method = self.method.clone();
        request.most_body = self.max_body;
        request.redirects = self.redirects;
        Ok(Ok(request))
    }
}

fn facts(exchange: Exchange, eyes: &Eyes) -> Facts {
    let mut facts = none();
    let tried = exchange.error.as_ref().is_none_or(|it| it.was_tried());
    // A hop that is not allowed comes after one that was tried.
    facts.set("sent", tried || exchange.answer.is_some());
    facts.set("error", exchange.error.map(|error| error.to_string()));
    if tried || exchange.answer.is_some() {
        facts.set("latency_ms", remote::milliseconds(exchange.latency));
    }
    let days = exchange
        .certificate
        .and_then(|it| it.days_left(eyes.ground.now));
    facts.set("cert_days_left", days);
    let Some(answer) = exchange.answer else {
        return facts;
    };
    facts.set("code", answer.code);
    facts.set("redirected_to", answer.redirect);
    facts.set("address", answer.address.map(|it| it.to_string()));
    let says_json = answer
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|it| it.to_str().ok())
        .is_some_and(|it| it.to_ascii_lowercase().contains("json"));
    match strict_json::parse(&answer.body) {
        Ok(json) => facts.set("json", json),
        Err(why) if says_json && !answer.body.is_empty() => facts.set("parse_error", why),
        Err(_) => {}
    }
    facts.set("headers", told(&answer.headers));
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    facts.set("body", body);
    facts
}

/// Headers as a map; what stands more than once is joined.
fn told(headers: &HeaderMap) -> Map<String, Value> {
    let joined = |name: &HeaderName| {
        let values = headers.get_all(name).iter();
        let values = values.map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned());
        values.collect::<Vec<_>>().join(", ")
    };
    headers
        .keys()
        .map(|name| (name.to_string(), Value::from(joined(name))))
        .collect()
}

#[cfg(test)]
mod tests;

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
    strict_json,
};
use crate::{
    model::{
        facts::Facts,
        node::{Node, decode},
        span::Span,
        text::{Mistake, Text},
    },
    net::{
        dial,
        exchange::{self, Exchange, Request},
        tls::Trust,
    },
    permission::settings::Size,
    script::{Scope, Template, TemplateTree, Unfit, UrlTemplate},
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

const MAX_BODY: Size = Size(1 << 20);
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
    #[serde(default = "yes")]
    verify: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BasicAuth {
    user: Text,
    password: Text,
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

fn yes() -> bool {
    true
}

struct HttpProbe {
    url: UrlTemplate,
    method: Method,
    headers: Vec<(HeaderName, Filled)>,
    basic_auth: Option<(Filled, Filled)>,
    body: Option<Filled>,
    json: Option<TemplateTree>,
    timeout: Option<Span>,
    max_body: u64,
    redirects: u32,
    ca: Option<Filled>,
    verify: bool,
}

fn build(node: &Node, workshop: &mut Workshop<'_>) -> Option<Arc<dyn Probe>> {
    let rule: Rule = decode(node, workshop.mistakes)?;
    let before = workshop.mistakes.len();
    remote::check_timeout(rule.timeout, node, workshop.mistakes);
    let url = url(&rule.url, workshop);
    let headers = headers(&rule, node, workshop);
    let filled = |text: &Text, workshop: &mut Workshop<'_>| Filled::build(text, workshop);
    let basic_auth = rule.basic_auth.as_ref().and_then(|it| {
        let user = filled(&it.user, workshop);
        Some((user?, filled(&it.password, workshop)?))
    });
    let body = rule.body.as_ref().and_then(|text| filled(text, workshop));
    let json = node.get("json").and_then(|node| {
        TemplateTree::compile(workshop.engine, node, workshop.known, workshop.mistakes)
    });
    let ca = rule
        .ca
        .as_ref()
        .and_then(|text| Filled::path(text, workshop));
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
        url: url?,
        method: match rule.method {
            Verb::Get => Method::GET,
            Verb::Head => Method::HEAD,
            Verb::Options => Method::OPTIONS,
            Verb::Post => Method::POST,
        },
        headers,
        basic_auth,
        body,
        json,
        timeout: rule.timeout,
        max_body: rule.max_body.unwrap_or(MAX_BODY).0,
        redirects: rule.redirects,
        ca,
        verify: rule.verify,
    }))
}

/// A URL; one that may never be asked is a mistake already at load.
fn url(text: &Text, workshop: &mut Workshop<'_>) -> Option<UrlTemplate> {
    let template = Template::compile(workshop.engine, text, workshop.known, workshop.mistakes)?;
    let url = UrlTemplate::of(template, workshop.mistakes)?;
    // A filled-in part changes neither host nor port, so the plain start tells whom it leads to.
    let start = text.as_str().split("${").next().unwrap_or_default();
    if !start.is_empty() {
        let start = url.template().constant().unwrap_or(start);
        let wrong = match exchange::url(start) {
            Err(why) => Some(Mistake::new("bad-value", why, text.place())),
            Ok(url) => exchange::peer(&url).ok().and_then(|peer| {
                let may = workshop.permission.may_name_host(&peer.host, peer.port);
                Some(remote::not_allowed(&may.err()?, &peer, text))
            }),
        };
        if let Some(wrong) = wrong {
            workshop.mistakes.push(wrong);
            return None;
        }
    }
    Some(url)
}

fn headers(rule: &Rule, node: &Node, workshop: &mut Workshop<'_>) -> Vec<(HeaderName, Filled)> {
    let mut headers = Vec::new();
    for (name, text) in &rule.headers {
        let place = || {
            let entries = node.get("headers").map(Node::entries).unwrap_or_default();
            let key = entries.iter().find(|(key, _)| key.key() == name);
            key.map_or(&node.place, |(key, _)| &key.place).clone()
        };
        let filled = Filled::build(text, workshop);
        let wrong = match exchange::header_name(name) {
            Ok(read) if headers.iter().any(|(known, _)| *known == read) => {
                format!("the header `{name}` stands here twice")
            }
            Ok(read) if rule.basic_auth.is_some() && read == header::AUTHORIZATION => {
                "`basic_auth` sets this header as well".to_owned()
            }
            Ok(read) => match filled.as_ref().and_then(Filled::plain) {
                Some(plain) if exchange::header_value(&read, plain).is_err() => {
                    format!("the value of the header `{name}` holds a line break or the like")
                }
                _ => {
                    headers.extend(filled.map(|filled| (read, filled)));
                    continue;
                }
            },
            Err(why) => why,
        };
        let wrong = Mistake::new("bad-value", wrong, place());
        workshop.mistakes.push(wrong);
    }
    headers
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
        let scope = Scope::new(&eyes.ground);
        let fault =
            |fault: crate::script::Fault| ProbeError(format!("{}: {fault}", fault.expression));
        let url = match self.url.render(&eyes.engine, &scope).map_err(fault)? {
            Ok(text) => exchange::url(&text),
            Err(Unfit::NotConfigured) => return Ok(Err(NOT_CONFIGURED.to_owned())),
            Err(Unfit::Wrong(why)) => Err(why),
        };
        let url = match url {
            Ok(url) => url,
            Err(why) => return Ok(Err(why)),
        };
        let mut headers = HeaderMap::new();
        for (name, filled) in &self.headers {
            let Some(value) = filled.given(eyes)? else {
                return Ok(Err(NOT_CONFIGURED.to_owned()));
            };
            match exchange::header_value(name, &value) {
                Ok(value) => headers.insert(name.clone(), value),
                Err(why) => return Ok(Err(why)),
            };
        }
        if let Some((user, password)) = &self.basic_auth {
            let (Some(user), Some(password)) = (user.given(eyes)?, password.given(eyes)?) else {
                return Ok(Err(NOT_CONFIGURED.to_owned()));
            };
            headers.insert(header::AUTHORIZATION, exchange::basic(&user, &password));
        }
        let mut body = None;
        if let Some(filled) = &self.body {
            let Some(text) = filled.given(eyes)? else {
                return Ok(Err(NOT_CONFIGURED.to_owned()));
            };
            body = Some(text.into_owned().into_bytes());
        }
        if let Some(tree) = &self.json {
            let Some(value) = tree.given(&eyes.engine, &scope).map_err(fault)? else {
                return Ok(Err(NOT_CONFIGURED.to_owned()));
            };
            body = Some(value.to_string().into_bytes());
            headers
                .entry(header::CONTENT_TYPE)
                .or_insert(exchange::JSON);
        }
        Ok(Ok(Request {
            method: self.method.clone(),
            url,
            headers,
            body,
            trust: Trust {
                roots: remote::roots(self.ca.as_ref(), eyes)?,
                verify: self.verify,
                at: eyes.ground.now,
            },
            timeout: dial::patience(self.timeout, eyes.limit),
            most_body: self.max_body,
            redirects: self.redirects,
        }))
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

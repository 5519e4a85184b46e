//! `call_http`: sends one HTTP request to a host that `homeostat.yaml` allows.
//!
//! It is sent once: whether a request that was not answered was done, only looking again can tell. Redirects are not
//! followed, and it cannot be undone.

use std::{collections::BTreeMap, time::Duration};

use reqwest::{
    Method,
    header::{self, HeaderMap},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use super::{Effect, Eyes, HandsError, Kind, args, denied, diff};
use crate::{
    model::{
        node::{self, Node},
        span::Span,
        text::{Mistake, Text},
    },
    net::{
        exchange::{self, Exchange, Request},
        tls::{Roots, Trust},
    },
    permission::{Permission, reaching},
};

pub static KIND: Kind = Kind {
    name: "call_http",
    about: "Sends one HTTP request to a host that homeostat.yaml allows; any answer that is not expected is a failure.",
    example: "call_http: { url: 'http://127.0.0.1:8080/cache/flush', json: { reason: stale } }",
    shorthand: None,
    schema: <Args as JsonSchema>::json_schema,
    check,
    prepare,
};

/// No step waits longer, whatever it says.
const LONGEST: Duration = Duration::from_secs(3600);
/// Read of an answer; more is cut.
const MOST_ANSWER: u64 = 64 << 10;
/// Characters of a failed answer that a receipt tells.
const MOST_TOLD: usize = 300;
/// A PEM file.
const MOST_PEM: u64 = 1 << 20;

/// A request.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// What a `${…}` gives in its path or query is encoded. It cannot be a part of scheme, host or port; the whole URL may
    /// be one `${…}`. Besides loopback only what `allow: { reach: [...] }` of homeostat.yaml allows.
    url: Text,
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
    /// Status codes that mean it was done: a number, or the first and the last of several. By default 200 to 299.
    #[serde(default = "fine")]
    expect: Vec<Codes>,
    /// After this it has failed. By default 30s, at most 1h.
    #[serde(default = "half_a_minute")]
    timeout: Span,
    /// A PEM file with the certificates that are trusted instead of those of the system.
    ca: Option<Text>,
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
    Get,
    #[default]
    Post,
    Put,
    Patch,
    Delete,
}

impl Verb {
    fn method(self) -> Method {
        match self {
            Verb::Get => Method::GET,
            Verb::Post => Method::POST,
            Verb::Put => Method::PUT,
            Verb::Patch => Method::PATCH,
            Verb::Delete => Method::DELETE,
        }
    }
}

/// `204`, or `200..299`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Codes(u16, u16);

impl Codes {
    fn parse(text: &str) -> Result<Codes, String> {
        let wrong = || format!("`{text}` is no status code: write 204 or 200..299");
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let code = |text: &str| text.trim().parse::<u16>().map_err(|_| wrong());
        let codes = Codes(code(first)?, code(last)?);
        match (100..=599).contains(&codes.0) && (codes.0..=599).contains(&codes.1) {
            true => Ok(codes),
            false => Err(wrong()),
        }
    }

    fn hold(self, code: u16) -> bool {
        (self.0..=self.1).contains(&code)
    }
}

impl<'de> Deserialize<'de> for Codes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Codes, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Codes;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a status code like 204, or 200..299")
            }
            fn visit_u64<E: serde::de::Error>(self, code: u64) -> Result<Codes, E> {
                Codes::parse(&code.to_string()).map_err(E::custom)
            }
            fn visit_i64<E: serde::de::Error>(self, code: i64) -> Result<Codes, E> {
                Codes::parse(&code.to_string()).map_err(E::custom)
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Codes, E> {
                Codes::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Codes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Codes".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["integer", "string"],
            "description": "A status code, or the first and the last of several.",
            "examples": [204, "200..299"]
        })
    }
}

fn fine() -> Vec<Codes> {
    vec![Codes(200, 299)]
}

fn half_a_minute() -> Span {
    Span::seconds(30)
}

/// A request that is ready to be sent.
#[derive(Clone, Debug)]
pub struct Call {
    pub(super) request: Request,
    expect: Vec<Codes>,
}

impl PartialEq for Call {
    fn eq(&self, other: &Call) -> bool {
        let parts = |call: &Call| {
            let request = &call.request;
            (
                request.method.clone(),
                request.url.clone(),
                request.headers.clone(),
                request.body.clone(),
                request.timeout,
            )
        };
        parts(self) == parts(other) && self.expect == other.expect
    }
}

fn check(node: &Node, permission: &Permission, mistakes: &mut Vec<Mistake>) {
    let Some(args) = node::decode::<Args>(node, mistakes) else {
        return;
    };
    let mut blame = |key: &str, why: String| {
        mistakes.push(Mistake::new("bad-value", why, args::place(node, key)));
    };
    if let Err(why) = bounded(args.timeout) {
        blame("timeout", why);
    }
    if args.body.is_some() && args.json.is_some() {
        let why = "a request has one body: `body` or `json`";
        blame("json", why.to_owned());
    }
    if args.expect.is_empty() {
        let why = "nothing is expected, so nothing could be done";
        blame("expect", why.to_owned());
    }
    let mut names = Vec::new();
    for (name, value) in &args.headers {
        match exchange::header_name(name) {
            Err(why) => blame("headers", why),
            Ok(read) if names.contains(&read) => {
                let why = format!("the header `{name}` stands here twice");
                blame("headers", why);
            }
            Ok(read) if read == header::AUTHORIZATION && args.basic_auth.is_some() => {
                let why = "`basic_auth` sets this header as well".to_owned();
                blame("headers", why);
            }
            Ok(read) => {
                if let Some(Err(why)) =
                    args::constant(value).map(|plain| exchange::header_value(&read, plain))
                {
                    blame("headers", why);
                }
                names.push(read);
            }
        }
    }
    // A filled-in part changes neither host nor port, so the plain start tells whom it leads to.
    let start = args.url.as_str().split("${").next().unwrap_or_default();
    // That a template may not stand there is told where templates are compiled.
    let whole = args::constant(&args.url).is_some()
        || start
            .split_once("://")
            .is_some_and(|(_, rest)| rest.contains(['/', '?', '#']));
    if whole {
        match exchange::url(start).and_then(|url| exchange::peer(&url)) {
            Err(why) => blame("url", why),
            Ok(peer) => {
                if let Err(error) = permission.may_name_host(&peer.host, peer.port) {
                    let wrong = Mistake::new("not-allowed", error.told(), args.url.place());
                    mistakes.push(wrong.help(reaching::help(&peer.host, peer.port)));
                }
            }
        }
    }
    if let Some(json) = node.get("json") {
        args::check_json(json, mistakes);
    }
    if let Some(path) = args.ca.as_ref().and_then(args::constant)
        && let Err(error) = permission.may_look(path)
    {
        let place = args::place(node, "ca");
        mistakes.push(Mistake::new("not-allowed", error.told(), place));
    }
}

fn prepare(args: &Map<String, Value>, eyes: &Eyes) -> Result<Effect, HandsError> {
    let args: Args = args::read(args)?;
    let failed = HandsError::Failed;
    bounded(args.timeout).map_err(failed)?;
    let url = exchange::url(args.url.as_str()).map_err(failed)?;
    let peer = exchange::peer(&url).map_err(failed)?;
    eyes.permission
        .may_name_host(&peer.host, peer.port)
        .map_err(denied)?;
    let mut headers = HeaderMap::new();
    for (name, value) in &args.headers {
        let name = exchange::header_name(name).map_err(failed)?;
        let value = exchange::header_value(&name, value.as_str()).map_err(failed)?;
        headers.insert(name, value);
    }
    if let Some(BasicAuth { user, password }) = &args.basic_auth {
        let value = exchange::basic(user.as_str(), password.as_str());
        headers.insert(header::AUTHORIZATION, value);
    }
    let body = match (&args.body, &args.json) {
        (Some(text), None) => Some(text.as_str().as_bytes().to_vec()),
        (None, Some(json)) => {
            headers
                .entry(header::CONTENT_TYPE)
                .or_insert(exchange::JSON);
            Some(json.to_string().into_bytes())
        }
        (None, None) => None,
        (Some(_), Some(_)) => return Err(failed("a request has one body".to_owned())),
    };
    Ok(Effect::Call(Box::new(Call {
        request: Request {
            method: args.method.method(),
            url,
            headers,
            body,
            trust: Trust {
                roots: roots(args.ca.as_ref(), eyes)?,
                verify: true,
                at: eyes.now,
            },
            timeout: args.timeout.0,
            most_body: MOST_ANSWER,
            redirects: 0,
        },
        expect: args.expect,
    })))
}

fn roots(ca: Option<&Text>, eyes: &Eyes) -> Result<Roots, HandsError> {
    use std::io::Read;

    let Some(path) = ca.map(Text::as_str) else {
        return Ok(Roots::System);
    };
    let failed = |why: &str| HandsError::Failed(format!("{path} {why}"));
    let opened = eyes.permission.read(path).map_err(denied)?;
    let mut opened = opened.ok_or_else(|| failed("is missing"))?;
    let mut pem = Vec::new();
    (&mut opened.file)
        .take(MOST_PEM)
        .read_to_end(&mut pem)
        .map_err(|error| failed(&format!("could not be read: {error}")))?;
    Roots::from_pem(&pem).map_err(|why| failed(&why))
}

fn bounded(timeout: Span) -> Result<(), String> {
    match timeout.0 {
        Duration::ZERO => Err("a time limit of nothing leaves no time to call".to_owned()),
        long if long > LONGEST => Err(format!(
            "`{timeout}` is longer than a step may take: at most 1h"
        )),
        _ => Ok(()),
    }
}

impl Call {
    /// `POST https://host/path`.
    pub(super) fn line(&self) -> String {
        format!("{} {}", self.request.method, shown(&self.request.url))
    }

    /// Method and URL, as a rule test names a request.
    pub fn words(&self) -> Vec<String> {
        vec![
            self.request.method.to_string(),
            self.request.url.to_string(),
        ]
    }

    /// The request as it is sent, for people: like a difference, since all of it is new to the other side. Credentials are
    /// never shown, wherever they come from.
    pub(super) fn told(&self) -> String {
        let mut lines = vec![self.line()];
        for (name, value) in &self.request.headers {
            let secret = [header::AUTHORIZATION, header::COOKIE].contains(name);
            let value = match secret {
                true => "•••".into(),
                false => String::from_utf8_lossy(value.as_bytes()),
            };
            lines.push(format!("{name}: {value}"));
        }
        let none = Vec::new();
        let body = String::from_utf8_lossy(self.request.body.as_ref().unwrap_or(&none));
        if !body.is_empty() {
            lines.push(String::new());
            lines.extend(body.lines().map(str::to_owned));
        }
        let lines = lines
            .iter()
            .map(|line| format!("+{}\n", diff::visible(line)));
        lines.collect()
    }

    /// Sends it and says what came of it, or why it failed.
    pub(super) async fn send(&self, permission: &Permission) -> Result<String, HandsError> {
        let exchange = exchange::exchange(&self.request, permission).await;
        let Exchange { error, answer, .. } = exchange;
        if let Some(error) = &error
            && !error.was_tried()
        {
            return Err(HandsError::Held {
                by: crate::model::standing::HeldBy::Permission,
                reason: error.to_string(),
            });
        }
        let took = Span(Duration::from_millis(
            u64::try_from(exchange.latency.as_millis()).unwrap_or(u64::MAX),
        ));
        let Some(answer) = answer else {
            let why = error.map_or("no answer".to_owned(), |it| it.to_string());
            return Err(HandsError::Failed(why));
        };
        let code = answer.code;
        // The answer's head decides: a body that is too long or breaks off does not undo what was done.
        if self.expect.iter().any(|codes| codes.hold(code)) {
            return Ok(format!("answered {code} after {took}"));
        }
        let body = String::from_utf8_lossy(&answer.body);
        let body = body.trim();
        let told: String = body.chars().take(MOST_TOLD).collect();
        Err(HandsError::Failed(match told.is_empty() {
            true => format!("answered {code} after {took}"),
            false => format!("answered {code} after {took}: {}", diff::visible(&told)),
        }))
    }
}

/// A URL without what would steer a terminal.
fn shown(url: &Url) -> String {
    diff::escaped(url.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        hands::testing::{World, mistakes},
        model::{moment::Moment, standing::HeldBy, step::Outcome},
        net::testing::{Authority, Server, answer},
    };

    fn server(status: &'static str) -> Server {
        Server::http(move |_| answer(status, "", "what came of it"))
    }

    fn url(server: &Server, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", server.port)
    }

    fn failure(world: &World, args: Value) -> String {
        match world.commit(&world.ready("call_http", args)) {
            Err(HandsError::Failed(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn is_sent_once_and_leaves_a_receipt() {
        let (world, server) = (World::new(), server("202 Accepted"));
        let args = json!({
            "url": url(&server, "/flush?all=1"), "headers": {"X-Key": "k"},
            "basic_auth": {"user": "u", "password": "p"}, "json": {"why": "a \"b\"", "n": [1]},
        });
        let receipt = world.act("call_http", args);
        assert_eq!(
            (receipt.outcome, receipt.target),
            (
                Outcome::Done,
                format!("POST {}", url(&server, "/flush?all=1"))
            )
        );
        assert!(
            receipt.detail.starts_with("answered 202 after "),
            "{}",
            receipt.detail
        );
        assert_eq!(receipt.undo, None);
        let heard = server.finish();
        assert_eq!(heard.len(), 1);
        let (head, body) = heard[0].split_once("\r\n\r\n").expect("head and body");
        assert!(head.starts_with("POST /flush?all=1 HTTP/1.1"), "{head}");
        assert!(
            head.contains("x-key: k") && head.contains("Basic dTpw"),
            "{head}"
        );
        assert_eq!(body, r#"{"why":"a \"b\"","n":[1]}"#);
    }

    #[test]
    fn a_dry_run_shows_exactly_what_would_be_sent() {
        let (world, server) = (World::new(), server("200 OK"));
        let args = json!({
            "url": url(&server, "/flush"), "method": "PUT",
            "headers": {"X-Key": "k", "Cookie": "c"}, "basic_auth": {"user": "u", "password": "p"},
            "body": "one\ntwo\u{1b}\n",
        });
        let effect = world.ready("call_http", args);
        let would = world.dry(&effect);
        let at = url(&server, "/flush");
        assert_eq!(would.detail, format!("would send PUT {at}"));
        assert_eq!(
            would.diff.as_deref(),
            Some(
                format!("+PUT {at}\n+x-key: k\n+cookie: •••\n+authorization: •••\n+\n+one\n+two\\u{{1b}}\n")
                    .replace("x-key: k\n+cookie: •••", "cookie: •••\n+x-key: k")
                    .as_str()
            )
        );
        assert_eq!(server.finish(), [""; 0]);
    }

    #[test]
    fn another_answer_is_a_failure_and_not_tried_again() {
        let world = World::new();
        let broken = server("503 Busy");
        let told = failure(&world, json!({"url": url(&broken, "/")}));
        assert!(
            told.starts_with("answered 503 after ") && told.ends_with(": what came of it"),
            "{told}"
        );
        assert_eq!(broken.finish().len(), 1);
        let moved = Server::http(|_| answer("302 Found", "Location: /x\r\n", ""));
        let told = failure(&world, json!({"url": url(&moved, "/")}));
        assert!(told.starts_with("answered 302 after "), "{told}");
        assert_eq!(moved.finish().len(), 1, "a redirect is not followed");
        let gone = server("404 Not Found");
        let args = json!({"url": url(&gone, "/"), "method": "DELETE", "expect": [404, "200..204"]});
        assert_eq!(world.act("call_http", args).outcome, Outcome::Done);
    }

    #[test]
    fn no_answer_is_a_failure() {
        let world = World::new();
        let silent = Server::raw(|mut stream| {
            let _ = std::io::copy(&mut stream, &mut std::io::sink()); // until the other side goes
            String::new()
        });
        let told = failure(
            &world,
            json!({"url": url(&silent, "/"), "timeout": "200ms"}),
        );
        let port = silent.port;
        assert_eq!(
            told,
            format!("no answer from 127.0.0.1:{port} within 200ms")
        );
        let port = { server("200 OK").port };
        let told = failure(&world, json!({"url": format!("http://127.0.0.1:{port}/")}));
        assert!(told.contains("refused"), "{told}");
    }

    #[test]
    fn a_certificate_that_is_not_trusted_is_a_failure() {
        let (mut world, authority) = (World::new(), Authority::new());
        world.put("data/ca.pem", &authority.pem);
        let config = authority.server(&["localhost"], (2025, 1, 1), (2027, 1, 1));
        let server = Server::https(config, |_| answer("200 OK", "", ""));
        let args =
            json!({"url": format!("https://localhost:{}/", server.port), "ca": "data/ca.pem"});
        assert_eq!(world.act("call_http", args.clone()).outcome, Outcome::Done);
        world.now = Moment(world.now.0 + 400 * 86_400_000);
        let told = failure(&world, args);
        assert!(told.ends_with("is not trusted: it is expired"), "{told}");
        let heard = server.finish();
        assert_eq!(heard.iter().filter(|it| !it.is_empty()).count(), 1);
    }

    #[test]
    fn what_is_not_allowed_is_held() {
        let world = World::new();
        for at in [
            "http://10.0.0.1/",
            "http://169.254.169.254/",
            "http://api.example.net/",
        ] {
            match world.prepare("call_http", json!({"url": at})) {
                Err(HandsError::Held {
                    by: HeldBy::Permission,
                    ..
                }) => {}
                other => panic!("{at}: {other:?}"),
            }
        }
        for args in [
            json!({"url": "nonsense"}),
            json!({"url": "ftp://127.0.0.1/"}),
            json!({"url": null}),
            json!({"url": "http://127.0.0.1/", "headers": {"A": "x\r\nB: y"}}),
            json!({"url": "http://127.0.0.1/", "headers": {"A": null}}),
            json!({"url": "http://127.0.0.1/", "body": "x", "json": 1}),
            json!({"url": "http://127.0.0.1/", "timeout": "2h"}),
            json!({"url": "http://127.0.0.1/", "ca": "data/none.pem"}),
        ] {
            let error = world
                .prepare("call_http", args.clone())
                .expect_err("it cannot be");
            assert!(matches!(error, HandsError::Failed(_)), "{args}: {error}");
        }
    }

    #[test]
    fn a_call_is_judged_as_of_its_look() {
        let world = World::new();
        match world.ready("call_http", json!({"url": "http://127.0.0.1/"})) {
            Effect::Call(call) => assert_eq!(call.request.trust.at, world.now),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn mistakes_are_found_at_load() {
        let world = World::new();
        let codes = |args: Value| {
            let found = mistakes(&world, "call_http", args);
            found.into_iter().map(|(code, ..)| code).collect::<Vec<_>>()
        };
        let at = "http://127.0.0.1/";
        for (args, wanted) in [
            (json!({"url": at}), &[][..]),
            (json!({"url": "http://127.0.0.1/${x}"}), &[]),
            (json!({"url": "${x}"}), &[]),
            (json!({}), &["missing-key"]),
            (json!({"url": "nonsense"}), &["bad-value"]),
            (
                json!({"url": "http://api.example.net/${x}"}),
                &["not-allowed"],
            ),
            (json!({"url": at, "method": "post"}), &["bad-value"]),
            (json!({"url": at, "expect": []}), &["bad-value"]),
            (json!({"url": at, "expect": ["200..2"]}), &["bad-value"]),
            (json!({"url": at, "expect": [700]}), &["bad-value"]),
            (
                json!({"url": at, "headers": {"Host": "x", "TE": "x"}}),
                &["bad-value"],
            ),
            (
                json!({"url": at, "headers": {"A": "1", "a": "2"}}),
                &["bad-value"],
            ),
            (json!({"url": at, "headers": {"A": "1\n2"}}), &["bad-value"]),
            (json!({"url": at, "body": "x", "json": 1}), &["bad-value"]),
            (json!({"url": at, "timeout": "0s"}), &["bad-value"]),
            (json!({"url": at, "ca": "/etc/x"}), &["not-allowed"]),
        ] {
            assert_eq!(codes(args.clone()), wanted, "{args}");
        }
    }
}

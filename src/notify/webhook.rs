//! `webhook`: one HTTP request a notice, in the form that its receiver understands.
//!
//! What each receiver permits is used: Discord and Telegram give their messages names, so what is new and quiet changes
//! the message that stands, and what is loud comes as a new one that answers it; ntfy replaces by a sequence of our own.
//! Incoming webhooks of Slack and Teams give no names: there every notice is a message by itself.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::{
    Channel, Kind, Parcel, Sent, Unsent, Workshop,
    filled::{self, Address, Filled, place},
    http::{self, Post, Refused},
    key, known, value,
};
use crate::{
    model::{
        node::{self, Node, Part},
        notice::{Notice, NoticeKind},
        span::Span,
        status::Status,
        text::{Mistake, Text},
    },
    net::exchange,
    script::TemplateTree,
};

pub static KIND: Kind = Kind {
    name: "webhook",
    about: "One HTTP request a notice: JSON, or as Slack, Discord, ntfy, Telegram or Teams want it.",
    example: "webhook: { url: '${env(\"SLACK_URL\")}', template: slack }",
    build,
};

/// The same for every try of a notice: a receiver that has it already may leave it.
const IDEMPOTENCY: HeaderName = HeaderName::from_static("idempotency-key");

/// One HTTP request a notice.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// Where to. Besides loopback only what `allow: { reach: [...] }` of homeostat.yaml allows. For `ntfy` with the topic
    /// as the last part of its path, for `telegram` up to the token: `https://api.telegram.org/bot${env("TOKEN")}`.
    url: Text,
    /// What the receiver understands (json).
    #[serde(default)]
    template: Style,
    /// The body, with `${notice.title}` and the like in it: JSON, or a text that is sent as it is. Instead of `template`.
    body: Option<Part<Value>>,
    /// The method of the request (POST), with a `body` of its own.
    method: Option<Verb>,
    /// Beside those of the template. Their values are never shown.
    #[serde(default)]
    headers: BTreeMap<String, Text>,
    /// The chat that Telegram is to tell.
    chat: Option<Text>,
    /// After this it has failed and is tried again later. By default 30s.
    timeout: Option<Span>,
    /// A PEM file with the certificates that are trusted instead of those of the system.
    ca: Option<Text>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Style {
    #[default]
    Json,
    Slack,
    Discord,
    Ntfy,
    Telegram,
    Teams,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
enum Verb {
    Post,
    Put,
    Patch,
}

struct Webhook {
    url: Address,
    style: Style,
    body: Option<TemplateTree>,
    method: Method,
    headers: Vec<(HeaderName, Filled)>,
    chat: Option<Filled>,
    timeout: Duration,
    ca: Option<Text>,
}

fn build(node: &Node, workshop: &mut Workshop<'_>) -> Option<Arc<dyn Channel>> {
    let before = workshop.mistakes.len();
    let form: Form = node::decode(node, workshop.mistakes)?;
    let url = Address::build(&form.url, workshop);
    let written = node.get("body").filter(|_| form.body.is_some());
    let body = written.and_then(|body| {
        let known = known(workshop.known);
        TemplateTree::compile(workshop.engine, body, &known, workshop.mistakes)
    });
    let mut blame = |key: &str, why: &str| {
        let wrong = Mistake::new("bad-value", why, place(node, key));
        workshop.mistakes.push(wrong);
    };
    let written = |key: &str| node.get(key).is_some();
    if written("body") && written("template") {
        blame("body", "`template` says the body, or `body` does");
    }
    if written("method") && !written("body") {
        blame("method", "the method goes with a `body` of your own");
    }
    match (form.style(), written("chat")) {
        (Style::Telegram, false) => blame("template", "Telegram needs the `chat` to tell"),
        (Style::Telegram, true) | (_, false) => {}
        (_, true) => blame("chat", "`chat` goes with `template: telegram`"),
    }
    let mut headers: Vec<(HeaderName, Filled)> = Vec::new();
    for (name, text) in &form.headers {
        let filled = Filled::build(text, workshop);
        let wrong = match exchange::header_name(name) {
            Ok(read) if headers.iter().any(|(known, _)| *known == read) => {
                format!("the header `{name}` stands here twice")
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
        let wrong = Mistake::new("bad-value", wrong, place(node, "headers"));
        workshop.mistakes.push(wrong);
    }
    let chat = form.chat.as_ref().map(|text| Filled::build(text, workshop));
    let timeout = filled::timeout(form.timeout, node, workshop);
    let ca = filled::authority(form.ca.as_ref(), workshop);
    if workshop.mistakes.len() > before {
        return None;
    }
    Some(Arc::new(Webhook {
        url: url?,
        style: form.template,
        body,
        method: match form.method {
            None | Some(Verb::Post) => Method::POST,
            Some(Verb::Put) => Method::PUT,
            Some(Verb::Patch) => Method::PATCH,
        },
        headers,
        chat: chat.flatten(),
        timeout: timeout?,
        ca: ca?,
    }))
}

impl Form {
    fn style(&self) -> Style {
        self.template
    }
}

impl Channel for Webhook {
    fn kind(&self) -> &'static str {
        KIND.name
    }

    fn whom(&self) -> String {
        self.url.whom()
    }

    fn send<'a>(&'a self, parcel: Parcel<'a>) -> BoxFuture<'a, Result<Sent, Unsent>> {
        self.tell(parcel).boxed()
    }
}

impl Webhook {
    async fn tell(&self, parcel: Parcel<'_>) -> Result<Sent, Unsent> {
        let Parcel { notice, office, .. } = parcel;
        let url = self.url.fill(notice, office)?;
        let mut headers = HeaderMap::new();
        let unfit = |_| Unsent::never("the key of the notice fits no header");
        headers.insert(
            IDEMPOTENCY,
            HeaderValue::try_from(key(notice)).map_err(unfit)?,
        );
        for (name, text) in &self.headers {
            let text = text.fill(notice, office)?;
            headers.insert(name.clone(), http::header(name, &text)?);
        }
        if let Some(body) = &self.body {
            let scope = office.scope(notice);
            let body = body
                .render(&office.engine, &scope)
                .map_err(|fault| Unsent::never(format!("{}: {fault}", fault.expression)))?;
            let (body, kind) = match body {
                Value::String(text) => (text.into_bytes(), "text/plain; charset=utf-8"),
                body => (body.to_string().into_bytes(), "application/json"),
            };
            headers
                .entry(CONTENT_TYPE)
                .or_insert(HeaderValue::from_static(kind));
            let method = self.method.clone();
            return Ok(self.post(method, url, headers, body, parcel).await?);
        }
        headers.entry(CONTENT_TYPE).or_insert(exchange::JSON);
        let send = |method, url: Url, body: Value| {
            self.post(
                method,
                url,
                headers.clone(),
                body.to_string().into_bytes(),
                parcel,
            )
        };
        let done = match self.style {
            Style::Json => send(Method::POST, url, value(notice)).await,
            Style::Slack => send(Method::POST, url, slack(notice)).await,
            Style::Teams => send(Method::POST, url, teams(notice)).await,
            Style::Ntfy => {
                let (url, body) = ntfy(url, notice)?;
                send(Method::POST, url, body).await
            }
            Style::Discord => {
                let thread = parcel.thread.filter(|_| !notice.kind.is_loud());
                let edited = match thread {
                    Some(message) => {
                        let at = below(&url, &["messages", message])?;
                        Some(send(Method::PATCH, at, discord(notice)).await)
                    }
                    None => None,
                };
                match edited {
                    Some(Ok(sent)) => Ok(sent),
                    // Somebody deleted the message: then it is said anew.
                    Some(Err(refused)) if !is_gone(&refused) => Err(refused),
                    _ => {
                        let mut url = url;
                        url.query_pairs_mut().append_pair("wait", "true");
                        let body = discord(notice);
                        send(Method::POST, url, body).await
                    }
                }
            }
            Style::Telegram => {
                let chat = match &self.chat {
                    Some(chat) => chat.fill(notice, office)?,
                    None => return Err(Unsent::never("there is no chat to tell")),
                };
                let thread = parcel.thread.and_then(|it| it.parse::<i64>().ok());
                let edited = match thread.filter(|_| !notice.kind.is_loud()) {
                    Some(message) => {
                        let mut body = telegram(&chat, notice);
                        body["message_id"] = message.into();
                        let at = method_of(&url, "editMessageText")?;
                        Some(send(Method::POST, at, body).await)
                    }
                    None => None,
                };
                match edited {
                    Some(Ok(sent)) => Ok(sent),
                    Some(Err(refused)) if !is_gone(&refused) => Err(refused),
                    _ => {
                        let mut body = telegram(&chat, notice);
                        if let Some(message) = thread {
                            body["reply_parameters"] = json!({
                                "message_id": message, "allow_sending_without_reply": true,
                            });
                        }
                        let at = method_of(&url, "sendMessage")?;
                        send(Method::POST, at, body).await
                    }
                }
            }
        };
        Ok(done?)
    }

    async fn post(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Vec<u8>,
        parcel: Parcel<'_>,
    ) -> Result<Sent, Refused> {
        let post = Post {
            method,
            url,
            headers,
            body,
            ca: self.ca.as_ref(),
            timeout: self.timeout,
        };
        let answer = http::post(post, parcel.office).await?;
        let name = match self.style {
            Style::Discord => answer.json.get("id"),
            Style::Telegram => answer.json.pointer("/result/message_id"),
            _ => None,
        };
        let thread = name.and_then(|name| match name {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        });
        Ok(Sent {
            said: answer.said,
            thread,
        })
    }
}

/// Whether what was to be changed is not there (any more), or cannot be changed.
fn is_gone(refused: &Refused) -> bool {
    matches!(refused.code, Some(400 | 403 | 404))
}

/// A path below that of a URL; its query stays.
fn below(url: &Url, parts: &[&str]) -> Result<Url, Unsent> {
    let mut url = url.clone();
    url.path_segments_mut()
        .map_err(|()| Unsent::never("nothing can stand below this URL"))?
        .pop_if_empty()
        .extend(parts);
    Ok(url)
}

/// A method of Telegram's API: the URL is that of the bot, with or without a method.
fn method_of(url: &Url, method: &str) -> Result<Url, Unsent> {
    let mut url = url.clone();
    url.path_segments_mut()
        .map_err(|()| Unsent::never("nothing can stand below this URL"))?
        .pop_if_empty();
    let last = url.path_segments().and_then(|mut all| all.next_back());
    if matches!(last, Some("sendMessage" | "editMessageText"))
        && let Ok(mut segments) = url.path_segments_mut()
    {
        segments.pop();
    }
    below(&url, &[method])
}

/// A colour by how it stands.
fn colour(notice: &Notice) -> u32 {
    match notice.kind {
        NoticeKind::Note | NoticeKind::Test | NoticeKind::Joined => 0x6b_72_80,
        _ => match notice.status {
            Status::Ok => 0x2e_a0_43,
            Status::Warning => 0xd2_99_22,
            Status::Critical => 0xda_36_33,
            Status::Unknown => 0x8b_5c_f6,
        },
    }
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Slack takes `<…>` for links and mentions.
fn slack(notice: &Notice) -> Value {
    let plain = |text: &str| {
        let text = text.replace('&', "&amp;");
        text.replace('<', "&lt;").replace('>', "&gt;")
    };
    json!({
        "text": plain(&notice.title),
        "attachments": [{
            "color": format!("#{:06x}", colour(notice)),
            "fallback": plain(&notice.title),
            "text": cut(&plain(&notice.text), 3000),
            "mrkdwn_in": [],
        }],
    })
}

/// Nobody is mentioned by what a message happens to hold.
fn discord(notice: &Notice) -> Value {
    json!({
        "embeds": [{
            "title": cut(&notice.title, 255),
            "description": cut(&notice.text, 4000),
            "color": colour(notice),
            "timestamp": notice.at.iso(),
        }],
        "allowed_mentions": {"parse": []},
    })
}

/// As a card: what Teams takes from its workflows.
fn teams(notice: &Notice) -> Value {
    let tone = match notice.status {
        Status::Ok => "Good",
        Status::Warning => "Warning",
        Status::Critical => "Attention",
        Status::Unknown => "Accent",
    };
    let lines = notice.text.lines().map(|line| {
        json!({"type": "TextBlock", "text": cut(line, 2000), "wrap": true, "spacing": "Small"})
    });
    let title = json!({
        "type": "TextBlock", "text": notice.title, "weight": "Bolder", "size": "Medium", "color": tone, "wrap": true,
    });
    let body: Vec<Value> = std::iter::once(title).chain(lines).collect();
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": body,
            },
        }],
    })
}

/// Published as JSON to the server itself, so that every letter of a title arrives. A server that knows sequences shows
/// what is new of an incident in its place.
fn ntfy(url: Url, notice: &Notice) -> Result<(Url, Value), Unsent> {
    let topic = url.path_segments().and_then(|mut all| all.next_back());
    let topic = topic.filter(|topic| !topic.is_empty()).map(str::to_owned);
    let Some(topic) = topic else {
        return Err(Unsent::never("the URL ends in no topic"));
    };
    let mut server = url;
    if let Ok(mut segments) = server.path_segments_mut() {
        segments.pop().push("");
    }
    let (priority, tag) = match (notice.kind, notice.status) {
        (NoticeKind::Note | NoticeKind::Test, _) => (3, "information_source"),
        (_, Status::Ok) => (2, "white_check_mark"),
        (_, Status::Critical) if notice.kind.is_loud() => (5, "rotating_light"),
        (_, Status::Critical) => (3, "rotating_light"),
        (_, Status::Warning) => (3, "warning"),
        (_, Status::Unknown) => (3, "grey_question"),
    };
    let mut body = json!({
        "topic": topic,
        "title": notice.title,
        "message": cut(&notice.text, 3500),
        "priority": priority,
        "tags": [tag],
    });
    if let Some(incident) = notice.incident {
        body["sequence_id"] = format!("homeostat-{incident}").into();
    }
    Ok((server, body))
}

fn telegram(chat: &str, notice: &Notice) -> Value {
    let mark = match (notice.kind, notice.status) {
        (NoticeKind::Note | NoticeKind::Test, _) => "ℹ️",
        (_, Status::Ok) => "✅",
        (_, Status::Warning) => "⚠️",
        (_, Status::Critical) => "🔴",
        (_, Status::Unknown) => "❔",
    };
    json!({
        "chat_id": chat,
        "text": cut(&format!("{mark} {}\n{}", notice.title, notice.text), 4000),
        "link_preview_options": {"is_disabled": true},
        "disable_notification": !notice.kind.is_loud(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        net::testing::{Server, answer},
        notify::{
            Again,
            testing::{TOKEN, World, body, notice},
        },
    };

    fn taking(says: &'static str) -> Server {
        Server::http(move |_| answer("200 OK", "", says))
    }

    /// What a receiver of this style gets.
    fn sent(style: &str, more: Value, notice: &Notice) -> (String, Value) {
        let world = World::new();
        let server = taking("{}");
        let mut form =
            json!({"url": format!("http://127.0.0.1:{}/hook/ops", server.port), "template": style});
        if let (Value::Object(form), Value::Object(more)) = (&mut form, more) {
            form.extend(more);
        }
        let channel = world.channel("webhook", form);
        world.send(channel.as_ref(), notice).expect("it arrives");
        let heard = server.finish().remove(0);
        let line = heard.lines().next().unwrap_or_default().to_owned();
        (line, body(&heard))
    }

    #[test]
    fn each_receiver_gets_what_it_understands() {
        let opened = notice(NoticeKind::Opened);
        let (line, slack) = sent("slack", json!({}), &opened);
        assert_eq!(line, "POST /hook/ops HTTP/1.1");
        insta::assert_snapshot!(slack, @r##"{"text":"CRITICAL weights_file: &lt;b&gt; &amp; ü","attachments":[{"color":"#da3633","fallback":"CRITICAL weights_file: &lt;b&gt; &amp; ü","text":"Weights file is corrupted\nincident 4","mrkdwn_in":[]}]}"##);
        let (line, discord) = sent("discord", json!({}), &opened);
        assert_eq!(line, "POST /hook/ops?wait=true HTTP/1.1");
        insta::assert_snapshot!(discord, @r#"{"embeds":[{"title":"CRITICAL weights_file: <b> & ü","description":"Weights file is corrupted\nincident 4","color":14300723,"timestamp":"2026-01-06T16:30:00.000Z"}],"allowed_mentions":{"parse":[]}}"#);
        let (line, ntfy) = sent("ntfy", json!({}), &opened);
        assert_eq!(line, "POST /hook/ HTTP/1.1");
        insta::assert_snapshot!(ntfy, @r#"{"topic":"ops","title":"CRITICAL weights_file: <b> & ü","message":"Weights file is corrupted\nincident 4","priority":5,"tags":["rotating_light"],"sequence_id":"homeostat-4"}"#);
        let (line, telegram) = sent("telegram", json!({"chat": "-100"}), &opened);
        assert_eq!(line, "POST /hook/ops/sendMessage HTTP/1.1");
        insta::assert_snapshot!(telegram, @r#"{"chat_id":"-100","text":"🔴 CRITICAL weights_file: <b> & ü\nWeights file is corrupted\nincident 4","link_preview_options":{"is_disabled":true},"disable_notification":false}"#);
        let (_, teams) = sent("teams", json!({}), &opened);
        let card = &teams["attachments"][0]["content"];
        assert_eq!(card["type"], "AdaptiveCard");
        assert_eq!(card["body"][0]["text"], "CRITICAL weights_file: <b> & ü");
        assert_eq!(card["body"][1]["text"], "Weights file is corrupted");
        let (_, whole) = sent("json", json!({}), &opened);
        assert_eq!(whole, value(&opened));
        let (_, over) = sent("slack", json!({}), &notice(NoticeKind::Resolved));
        assert_eq!(over["attachments"][0]["color"], "#2ea043");
    }

    #[test]
    fn a_body_of_ones_own_with_headers_and_secrets() {
        let world = World::new();
        let server = taking("ok");
        let channel = world.channel(
            "webhook",
            json!({
                "url": format!("http://127.0.0.1:{}/x/${{notice.kind}}?a=${{notice.title}}", server.port),
                "method": "PUT",
                "headers": {"Authorization": "Bearer ${env(\"TOKEN\")}"},
                "body": {"say": "${notice.title}!", "list": "${notice.checks}", "n": 1},
            }),
        );
        let sent = world
            .send(channel.as_ref(), &notice(NoticeKind::Opened))
            .expect("it arrives");
        assert!(
            sent.said.starts_with("answered 200 after "),
            "{}",
            sent.said
        );
        let heard = server.finish().remove(0);
        let head = heard.to_ascii_lowercase();
        assert!(
            head.starts_with("put /x/opened?a=critical%20weights_file%3a%20%3cb%3e"),
            "{heard}"
        );
        assert!(
            head.contains(&format!("authorization: bearer {TOKEN}")),
            "{heard}"
        );
        assert!(
            head.contains("idempotency-key: homeostat-17-1767717000000"),
            "{heard}"
        );
        assert!(head.contains("content-type: application/json"), "{heard}");
        assert_eq!(
            body(&heard),
            json!({"say": "CRITICAL weights_file: <b> & ü!", "list": ["weights_file", "zero_trades"], "n": 1})
        );
    }

    #[test]
    fn discord_and_telegram_change_what_stands_and_say_anew_what_is_loud() {
        let world = World::new();
        let server = taking(r#"{"id": "m7", "result": {"message_id": 42}}"#);
        let url = format!("http://127.0.0.1:{}/hook?thread_id=5", server.port);
        let discord = world.channel("webhook", json!({"url": url, "template": "discord"}));
        let first = world
            .send(discord.as_ref(), &notice(NoticeKind::Opened))
            .expect("sent");
        assert_eq!(first.thread.as_deref(), Some("m7"));
        let say = |kind| {
            let said = world.answer(discord.as_ref(), &notice(kind), Some("m7"));
            said.expect("sent");
        };
        say(NoticeKind::Update);
        say(NoticeKind::Resolved);
        let url = format!("http://127.0.0.1:{}/bot${{env(\"TOKEN\")}}", server.port);
        let form = json!({"url": url, "template": "telegram", "chat": "7"});
        let telegram = world.channel("webhook", form);
        let first = world
            .send(telegram.as_ref(), &notice(NoticeKind::Opened))
            .expect("sent");
        assert_eq!(first.thread.as_deref(), Some("42"));
        for kind in [NoticeKind::Acknowledged, NoticeKind::Resolved] {
            world
                .answer(telegram.as_ref(), &notice(kind), Some("42"))
                .expect("sent");
        }
        let heard = server.finish();
        let lines: Vec<&str> = heard.iter().filter_map(|it| it.lines().next()).collect();
        assert_eq!(
            lines,
            [
                "POST /hook?thread_id=5&wait=true HTTP/1.1",
                "PATCH /hook/messages/m7?thread_id=5 HTTP/1.1",
                "POST /hook?thread_id=5&wait=true HTTP/1.1",
                &format!("POST /bot{TOKEN}/sendMessage HTTP/1.1"),
                &format!("POST /bot{TOKEN}/editMessageText HTTP/1.1"),
                &format!("POST /bot{TOKEN}/sendMessage HTTP/1.1"),
            ]
        );
        assert_eq!(body(&heard[4])["message_id"], 42);
        assert_eq!(body(&heard[4])["disable_notification"], true);
        assert_eq!(body(&heard[5])["reply_parameters"]["message_id"], 42);
    }

    #[test]
    fn a_message_that_was_deleted_is_said_anew() {
        let world = World::new();
        let server = Server::http(|request| match request.starts_with("PATCH") {
            true => answer("404 Not Found", "", "{}"),
            false => answer("200 OK", "", r#"{"id": "m8"}"#),
        });
        let url = format!("http://127.0.0.1:{}/hook", server.port);
        let channel = world.channel("webhook", json!({"url": url, "template": "discord"}));
        let sent = world.answer(channel.as_ref(), &notice(NoticeKind::Update), Some("m7"));
        assert_eq!(sent.expect("sent").thread.as_deref(), Some("m8"));
        assert_eq!(
            server.finish().iter().filter(|it| !it.is_empty()).count(),
            2
        );
    }

    #[test]
    fn what_passes_is_tried_again_and_what_does_not_is_not() {
        let world = World::new();
        let tried = |status: &'static str, headers: &'static str| {
            let server = Server::http(move |_| answer(status, headers, "no such\nhook"));
            let url = format!("http://127.0.0.1:{}/", server.port);
            let channel = world.channel("webhook", json!({"url": url}));
            let unsent = world.send(channel.as_ref(), &notice(NoticeKind::Opened));
            unsent.expect_err("it is refused")
        };
        assert_eq!(tried("503 Busy", "").again, Again::Later);
        let wait = Again::After(Duration::from_secs(120));
        assert_eq!(tried("429 Slow", "Retry-After: 120\r\n").again, wait);
        let gone = tried("404 Not Found", "");
        assert_eq!(gone.again, Again::Never);
        assert!(gone.why.ends_with(": no such hook"), "{}", gone.why);
        let moved = tried("302 Found", "Location: http://127.0.0.1:1/x\r\n");
        assert_eq!(moved.again, Again::Never);
        assert!(
            moved
                .why
                .contains("a redirect to http://127.0.0.1:1/x, which is not followed"),
            "{}",
            moved.why
        );
        let port = taking("").port;
        let channel = world.channel(
            "webhook",
            json!({"url": format!("http://127.0.0.1:{port}/")}),
        );
        let down = world
            .send(channel.as_ref(), &notice(NoticeKind::Opened))
            .expect_err("nobody");
        assert_eq!(down.again, Again::Later);
    }

    #[test]
    fn what_is_not_configured_or_not_allowed_is_sent_nowhere() {
        let mut world = World::new();
        let opened = notice(NoticeKind::Opened);
        let channel = world.channel("webhook", json!({"url": "${env(\"UNSET\")}"}));
        let unsent = world
            .send(channel.as_ref(), &opened)
            .expect_err("there is no URL");
        assert_eq!(unsent.again, Again::Never);
        assert!(unsent.why.contains("not configured"), "{}", unsent.why);
        assert_eq!(channel.whom(), "a URL of the environment");
        world.set("ELSEWHERE", "http://10.1.2.3/secret-path-of-hook");
        let channel = world.channel("webhook", json!({"url": "${env(\"ELSEWHERE\")}"}));
        let unsent = world
            .send(channel.as_ref(), &opened)
            .expect_err("not allowed");
        assert_eq!(unsent.again, Again::Never);
        assert!(!unsent.why.contains("secret-path"), "{}", unsent.why);
    }

    #[test]
    fn mistakes_are_found_at_load() {
        let world = World::new();
        let at = "http://127.0.0.1/hook";
        let wrong = |form: Value| match world.built("webhook", form.clone()) {
            Ok(_) => panic!("nothing is wrong with {form}"),
            Err(mistakes) => mistakes.join("; "),
        };
        for (form, told) in [
            (json!({}), "missing-key: `url` is missing"),
            (
                json!({"url": "nonsense"}),
                "bad-value: `nonsense` is no URL",
            ),
            (json!({"url": "http://api.example.net/x"}), "not-allowed"),
            (json!({"url": "http://${notice.title}/x"}), "bad-value"),
            (json!({"url": at, "tempalte": "slack"}), "unknown-key"),
            (json!({"url": at, "template": "irc"}), "bad-value"),
            (
                json!({"url": at, "template": "telegram"}),
                "Telegram needs the `chat`",
            ),
            (json!({"url": at, "chat": "1"}), "`chat` goes with"),
            (json!({"url": at, "method": "PUT"}), "the method goes with"),
            (
                json!({"url": at, "body": {}, "template": "slack"}),
                "or `body` does",
            ),
            (
                json!({"url": at, "headers": {"Upgrade": "x"}}),
                "set by the connection",
            ),
            (json!({"url": at, "body": "${notice.titel}"}), "titel"),
            (
                json!({"url": at, "timeout": "2h"}),
                "a notice cannot take 2h",
            ),
            (json!({"url": at, "ca": "/etc/shadow"}), "not-allowed"),
        ] {
            let said = wrong(form.clone());
            assert!(said.contains(told), "{form}: {said}");
        }
    }
}

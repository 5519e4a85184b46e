//! `webhook`: one HTTP request a notice, in the form that its receiver understands.
//!
//! What each receiver permits is used: Discord and Telegram give their messages names, so what is new and quiet changes
//! the message that stands, and what is loud comes as a new one that answers it; ntfy replaces by a sequence of our own.
//! Incoming webhooks of Slack and Teams give no names: there every notice is a message by itself.

#[cfg(test)]
mod tests;

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
                    // It was taken at an earlier try.
                    Some(Err(refused))
                        if refused.unsent.why.contains("message is not modified") =>
                    {
                        Ok(Sent {
                            said: "it stands there already".to_owned(),
                            thread: parcel.thread.map(str::to_owned),
                        })
                    }
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

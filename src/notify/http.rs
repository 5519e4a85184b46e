//! One HTTP request of a channel, and what its answer means: whether it arrived, and if not, whether to try again.

use std::time::Duration;

use chrono::DateTime;
use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
};
use serde_json::Value;
use url::Url;

use super::{Again, Office, Unsent, filled};
use crate::{
    model::{moment::Moment, text::Text},
    net::{
        exchange::{self, Request},
        tls::Trust,
    },
};

/// Read of an answer; more is cut.
const MOST_ANSWER: u64 = 64 << 10;
/// Characters of an answer that are told.
const MOST_TOLD: usize = 300;
/// No receiver makes us wait longer than this by its word.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// What is to be sent.
pub(super) struct Post<'a> {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub ca: Option<&'a Text>,
    pub timeout: Duration,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    /// In a few words.
    pub said: String,
    /// Its body, if that is JSON.
    pub json: Value,
}

/// Why it did not arrive, with the code where there was an answer.
pub(super) struct Refused {
    pub code: Option<u16>,
    pub unsent: Unsent,
}

impl From<Unsent> for Refused {
    fn from(unsent: Unsent) -> Refused {
        Refused { code: None, unsent }
    }
}

impl From<Refused> for Unsent {
    fn from(refused: Refused) -> Unsent {
        refused.unsent
    }
}

pub(super) async fn post(post: Post<'_>, office: &Office) -> Result<Answer, Refused> {
    let now = office.ground.now;
    let request = Request {
        method: post.method,
        url: post.url,
        headers: post.headers,
        body: Some(post.body),
        trust: Trust {
            roots: filled::roots(post.ca, office)?,
            verify: true,
            at: now,
        },
        timeout: post.timeout,
        most_body: MOST_ANSWER,
        redirects: 0,
    };
    let exchange = exchange::exchange(&request, &office.permission).await;
    let took = exchange.latency.as_millis();
    let Some(answer) = exchange.answer else {
        let error = exchange.error;
        let why = error.as_ref().map(ToString::to_string).unwrap_or_default();
        let tried = error.is_none_or(|error| error.was_tried());
        let unsent = match tried {
            true => Unsent::later(why),
            false => Unsent::never(why),
        };
        return Err(unsent.into());
    };
    let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if (200..300).contains(&answer.code) {
        return Ok(Answer {
            said: format!("answered {} after {took} ms", answer.code),
            json,
        });
    }
    let text = String::from_utf8_lossy(&answer.body);
    let text: String = text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .filter(|c| !c.is_control())
        .take(MOST_TOLD)
        .collect();
    let told = match (text.as_str(), &answer.redirect) {
        (_, Some(to)) => format!(", a redirect to {to}, which is not followed"),
        ("", None) => String::new(),
        (text, None) => format!(": {text}"),
    };
    let passes = matches!(answer.code, 408 | 425 | 429 | 500..=599);
    let again = match passes {
        false => Again::Never,
        true => {
            wait(answer.headers.get(RETRY_AFTER), &json, now).map_or(Again::Later, Again::After)
        }
    };
    Err(Refused {
        code: Some(answer.code),
        unsent: Unsent {
            why: format!("answered {} after {took} ms{told}", answer.code),
            again,
        },
    })
}

/// How long the receiver wants us to wait: by the header (seconds, or a date), or as Telegram and Discord say it.
fn wait(header: Option<&HeaderValue>, json: &Value, now: Moment) -> Option<Duration> {
    let header = header.and_then(|value| value.to_str().ok()).map(str::trim);
    let of_header = header.and_then(|text| match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => DateTime::parse_from_rfc2822(text)
            .ok()
            .map(|date| Moment(date.timestamp_millis()).since(now)),
    });
    let seconds = json
        .pointer("/parameters/retry_after")
        .or_else(|| json.get("retry_after"))
        .and_then(Value::as_f64);
    let of_body = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let wait = of_header.max(of_body)?;
    Some(wait.min(LONGEST_WAIT))
}

/// Headers with their values, where each can be sent.
pub(super) fn header(name: &HeaderName, value: &str) -> Result<HeaderValue, Unsent> {
    exchange::header_value(name, value).map_err(Unsent::never)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_receiver_may_say_how_long_to_wait_but_not_for_ever() {
        let now = Moment(1_767_717_000_000);
        let header = |text: &'static str| HeaderValue::from_static(text);
        let of = |text| wait(Some(&header(text)), &Value::Null, now);
        assert_eq!(of("7"), Some(Duration::from_secs(7)));
        assert_eq!(of("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(of("99999999"), Some(LONGEST_WAIT));
        assert_eq!(
            of("Tue, 06 Jan 2026 16:31:00 GMT"),
            Some(Duration::from_secs(60))
        );
        assert_eq!(of("-3"), None);
        assert_eq!(of("soon"), None);
        let telegram = json!({"ok": false, "parameters": {"retry_after": 5}});
        assert_eq!(wait(None, &telegram, now), Some(Duration::from_secs(5)));
        let discord = json!({"retry_after": 0.75});
        assert_eq!(wait(None, &discord, now), Some(Duration::from_millis(750)));
        assert_eq!(wait(None, &json!("busy"), now), None);
    }
}

//! `tcp`: whether a port takes a connection, and what is said there.

use std::sync::Arc;

use futures::future::BoxFuture;
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    Eyes, Kind, Probe, ProbeError, Workshop,
    path::Filled,
    remote::{self, ERROR, NOT_CONFIGURED, SENT, Whom},
};
use crate::{
    clock::Stopwatch,
    model::{
        facts::Facts,
        node::{Node, decode},
        span::Span,
        text::{Mistake, Text},
    },
    net::{NetError, Peer, dial},
};

pub static KIND: Kind = Kind {
    name: "tcp",
    about: "whether a port takes connections, and what is said there",
    example: r#"probe: { tcp: { host: 127.0.0.1, port: 6379, send: "PING\r\n", expect: '^\+PONG' } }"#,
    facts: &[
        SENT,
        ("open", "boolean", "a connection was made"),
        (
            "address",
            "text or ()",
            "the address and port it was made to",
        ),
        (
            "latency_ms",
            "milliseconds or ()",
            "until the connection stood, resolving included",
        ),
        (
            "answer",
            "text or ()",
            "with `expect` what came until it matched, or until the end",
        ),
        ERROR,
    ],
    schema: Rule::json_schema,
    build,
};

/// Read at the most while waiting for `expect`.
const MOST_ANSWER: usize = 64 << 10;

/// A connection to a port.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// A name or an address. Besides loopback only what `allow: { reach: [...] }` of homeostat.yaml allows.
    host: Text,
    port: Text,
    /// Sent once the connection stands.
    send: Option<Text>,
    /// A regular expression that what comes back must match; otherwise that is the `error`. Without it nothing is read.
    expect: Option<Text>,
    /// After this there is no answer. By default, and at the most, a little less than the time limit of the check.
    timeout: Option<Span>,
}

struct TcpProbe {
    whom: Whom,
    send: Option<Filled>,
    expect: Option<Regex>,
    timeout: Option<Span>,
}

fn build(node: &Node, workshop: &mut Workshop<'_>) -> Option<Arc<dyn Probe>> {
    let rule: Rule = decode(node, workshop.mistakes)?;
    let before = workshop.mistakes.len();
    remote::check_timeout(rule.timeout, node, workshop.mistakes);
    let whom = Whom::build(&rule.host, Some(&rule.port), 0, workshop);
    let send = rule
        .send
        .as_ref()
        .and_then(|text| Filled::build(text, workshop));
    let expect = rule
        .expect
        .as_ref()
        .and_then(|text| match Regex::new(text.as_str()) {
            Ok(expect) => Some(expect),
            Err(error) => {
                workshop.mistakes.push(bad_pattern(text, &error));
                None
            }
        });
    (workshop.mistakes.len() == before).then_some(Arc::new(TcpProbe {
        whom: whom?,
        send,
        expect,
        timeout: rule.timeout,
    }))
}

fn bad_pattern(text: &Text, error: &regex::Error) -> Mistake {
    let why = error.to_string();
    let why = why.lines().last().unwrap_or_default();
    let why = why.strip_prefix("error: ").unwrap_or(why);
    let message = format!("`{text}` is no regular expression: {why}");
    Mistake::new("bad-pattern", message, text.place())
}

impl Probe for TcpProbe {
    fn observe<'a>(&'a self, eyes: &'a Eyes) -> BoxFuture<'a, Result<Facts, ProbeError>> {
        Box::pin(self.ask(eyes))
    }

    fn shape(&self) -> Facts {
        none()
            .with("open", true)
            .with("address", "127.0.0.1:6379")
            .with("latency_ms", Value::Null)
    }
}

/// The facts when nothing is known.
fn none() -> Facts {
    Facts::new()
        .with("sent", true)
        .with("open", false)
        .with("address", Value::Null)
        .with("latency_ms", Value::Null)
        .with("answer", Value::Null)
        .with("error", Value::Null)
}

impl TcpProbe {
    async fn ask(&self, eyes: &Eyes) -> Result<Facts, ProbeError> {
        let peer = match self.whom.at(eyes)? {
            Some(Ok(peer)) => peer,
            Some(Err(why)) => return Ok(remote::unsent(none(), why)),
            None => return Ok(remote::unsent(none(), NOT_CONFIGURED)),
        };
        let send = match &self.send {
            None => String::new(),
            Some(send) => match send.given(eyes)? {
                Some(send) => send.into_owned(),
                None => return Ok(remote::unsent(none(), NOT_CONFIGURED)),
            },
        };
        let limit = dial::patience(self.timeout, eyes.limit);
        let mut facts = none();
        let talked = dial::within(limit, &peer, async {
            let watch = Stopwatch::new();
            let addresses = peer.addresses(&eyes.permission).await?;
            let left = limit.saturating_sub(watch.elapsed());
            let stream = dial::connect(&addresses, left).await?;
            facts.set("open", true);
            facts.set("latency_ms", watch.milliseconds());
            facts.set("address", stream.peer_addr().ok().map(|it| it.to_string()));
            self.talk(stream, &send, &peer, &mut facts).await
        });
        Ok(match talked.await {
            Ok(()) => facts,
            Err(error) => remote::failed(facts, &error),
        })
    }

    /// Sends and reads, as far as the rule wants it.
    async fn talk(
        &self,
        mut stream: TcpStream,
        send: &str,
        peer: &Peer,
        facts: &mut Facts,
    ) -> Result<(), NetError> {
        let broke = |error: std::io::Error| NetError::Failed(format!("{peer} broke off: {error}"));
        if !send.is_empty() {
            stream.write_all(send.as_bytes()).await.map_err(broke)?;
        }
        let Some(expect) = &self.expect else {
            return Ok(());
        };
        let mut read = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let count = stream.read(&mut chunk).await.map_err(broke)?;
            read.extend_from_slice(chunk.get(..count).unwrap_or_default());
            let answer = String::from_utf8_lossy(&read).into_owned();
            let matches = expect.is_match(&answer);
            facts.set("answer", answer);
            if matches {
                return Ok(());
            }
            if count == 0 || read.len() >= MOST_ANSWER {
                let why = format!("{peer} did not say what is expected");
                return Err(NetError::Failed(why));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
    };

    use serde_json::json;

    use super::{super::testing::Bench, *};

    /// A server for one connection, which it gives to `talk`.
    fn server(
        talk: impl FnOnce(std::net::TcpStream) + Send + 'static,
    ) -> (u16, std::thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let served = std::thread::spawn(move || {
            if let Ok((stream, _)) = listener.accept() {
                talk(stream);
            }
        });
        (port, served)
    }

    fn closed_port() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").port()
    }

    #[test]
    fn an_open_port_is_open() {
        let (port, served) = server(drop);
        let seen = Bench::new()
            .look(&KIND, json!({"host": "localhost", "port": port}))
            .expect("seen");
        assert_eq!(
            (&seen["sent"], &seen["open"], &seen["error"]),
            (&json!(true), &json!(true), &json!(null))
        );
        assert_eq!(seen["address"], format!("127.0.0.1:{port}"));
        assert!(seen["latency_ms"].as_f64().is_some_and(|it| it < 5000.0));
        served.join().expect("it was connected to");
    }

    #[test]
    fn a_closed_port_is_an_error_and_no_failure() {
        let port = closed_port();
        let seen = Bench::new()
            .look(&KIND, json!({"host": "127.0.0.1", "port": port}))
            .expect("seen");
        assert_eq!(
            (&seen["sent"], &seen["open"], &seen["latency_ms"]),
            (&json!(true), &json!(false), &json!(null))
        );
        let error = seen["error"].as_str().expect("an error");
        assert!(error.contains("refused"), "{error}");
    }

    #[test]
    fn says_and_hears() {
        let (port, served) = server(|mut stream| {
            let mut said = [0; 6];
            stream.read_exact(&mut said).expect("it is said");
            assert_eq!(&said, b"PING\r\n");
            stream.write_all(b"+PO").expect("sent");
            stream.write_all(b"NG\r\n").expect("sent");
        });
        let rule =
            json!({"host": "127.0.0.1", "port": port, "send": "PING\r\n", "expect": r"^\+PONG"});
        let seen = Bench::new().look(&KIND, rule).expect("seen");
        assert!(
            seen["answer"]
                .as_str()
                .is_some_and(|it| it.starts_with("+PONG"))
        );
        assert_eq!(seen["error"], json!(null));
        served.join().expect("it went as it should");
    }

    #[test]
    fn another_answer_and_none_are_errors() {
        let (port, _) = server(|mut stream| stream.write_all(b"-ERR\r\n").expect("sent"));
        let rule = |port: u16| json!({"host": "127.0.0.1", "port": port, "expect": "PONG", "timeout": "300ms"});
        let seen = Bench::new().look(&KIND, rule(port)).expect("seen");
        assert_eq!(
            (&seen["open"], &seen["answer"]),
            (&json!(true), &json!("-ERR\r\n"))
        );
        let error = seen["error"].as_str().expect("an error");
        assert!(error.ends_with("did not say what is expected"), "{error}");

        let (port, _) = server(|mut stream| {
            let _ = stream.read(&mut [0]); // until the other side goes
        });
        let seen = Bench::new().look(&KIND, rule(port)).expect("seen");
        assert_eq!(
            (&seen["open"], &seen["error"]),
            (
                &json!(true),
                &json!(format!("no answer from 127.0.0.1:{port} within 300ms"))
            )
        );
    }

    #[test]
    fn what_is_not_configured_or_not_allowed_is_not_sent() {
        let bench = Bench::new();
        let seen = bench
            .look(&KIND, json!({"host": "${env(\"HOST\")}", "port": 1}))
            .expect("seen");
        assert_eq!(
            (&seen["sent"], &seen["error"]),
            (&json!(false), &json!("not configured"))
        );
        let seen = bench
            .look(&KIND, json!({"host": "10.0.0.${1 + 0}", "port": 80}))
            .expect("seen");
        assert_eq!(seen["sent"], json!(false));
        assert_eq!(
            seen["error"],
            "10.0.0.1:80 is not allowed by `allow: { reach: [...] }` of homeostat.yaml"
        );
        let seen = bench
            .look(&KIND, json!({"host": "a b${1 + 0}", "port": 80}))
            .expect("seen");
        assert_eq!(seen["error"], "`a b1` is no host");
    }

    #[test]
    fn mistakes_are_found_at_load() {
        let bench = Bench::new();
        for (rule, codes) in [
            (json!({}), &["missing-key"][..]),
            (json!({"host": "10.0.0.1", "port": 80}), &["not-allowed"]),
            (
                json!({"host": "db.example.net", "port": 80}),
                &["not-allowed"],
            ),
            (json!({"host": "localhost", "port": 0}), &["bad-value"]),
            (json!({"host": "local host", "port": 1}), &["bad-value"]),
            (
                json!({"host": "localhost", "port": 1, "expect": "("}),
                &["bad-pattern"],
            ),
            (
                json!({"host": "localhost", "port": 1, "timeout": "0s"}),
                &["bad-value"],
            ),
        ] {
            assert_eq!(bench.codes(&KIND, rule.clone()), codes, "{rule}");
        }
        let allowed = Bench::new().allowing_to_reach(&["db.example.net:80"]);
        let rule = json!({"host": "db.example.net", "port": 80});
        assert_eq!(allowed.codes(&KIND, rule), [""; 0]);
    }
}

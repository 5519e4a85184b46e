//! `tls`: what a TLS handshake shows, above all how long the certificate is good for.
//!
//! The handshake is made to its end whatever the certificate: its days are known also when it is expired, self-signed or
//! somebody else's. Nothing is sent over the connection.

use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use url::Host;

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
    net::{
        NetError, Peer, dial,
        tls::{self, Certificate, Trust},
    },
};

pub static KIND: Kind = Kind {
    name: "tls",
    about: "what a TLS handshake shows: certificate, trust, version",
    example: r#"probe: { tls: { host: 127.0.0.1, port: 8443, server_name: internal.example.net } }"#,
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
            "until the handshake was done, resolving included",
        ),
        (
            "trusted",
            "boolean",
            "the certificate is valid now, for this name, and issued by somebody trusted",
        ),
        (
            "cert_days_left",
            "days or ()",
            "until the certificate expires, negative when it has; known also when it is not trusted",
        ),
        (
            "not_after",
            "epoch seconds or ()",
            "when the certificate expires",
        ),
        ("subject", "text or ()", "whom the certificate is for"),
        ("issuer", "text or ()", "who issued it"),
        ("names", "list", "the names and addresses it is for"),
        ("serial", "text or ()", "its number, in hexadecimal"),
        (
            "fingerprint",
            "text or ()",
            "SHA-256 of the certificate, in hexadecimal",
        ),
        ("version", "text or ()", "`1.3` or `1.2`"),
        ERROR,
    ],
    schema: Rule::json_schema,
    build,
};

/// A TLS handshake.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// A name or an address. Besides loopback only what `allow: { reach: [...] }` of homeostat.yaml allows.
    host: Text,
    /// By default 443.
    port: Option<Text>,
    /// The name that is asked for and that the certificate must be for. By default the host.
    server_name: Option<Text>,
    /// A PEM file with the certificates that are trusted instead of those of the system.
    ca: Option<Text>,
    /// Whether a certificate that is not trusted is an `error`. By default true; `trusted` tells it either way.
    #[serde(default = "yes")]
    verify: bool,
    /// After this there is no answer. By default, and at the most, a little less than the time limit of the check.
    timeout: Option<Span>,
}

fn yes() -> bool {
    true
}

struct TlsProbe {
    whom: Whom,
    server_name: Option<Filled>,
    ca: Option<Filled>,
    verify: bool,
    timeout: Option<Span>,
}

fn build(node: &Node, workshop: &mut Workshop<'_>) -> Option<Arc<dyn Probe>> {
    let rule: Rule = decode(node, workshop.mistakes)?;
    let before = workshop.mistakes.len();
    remote::check_timeout(rule.timeout, node, workshop.mistakes);
    let whom = Whom::build(&rule.host, rule.port.as_ref(), 443, workshop);
    let server_name = rule
        .server_name
        .as_ref()
        .and_then(|text| Filled::build(text, workshop));
    if let (Some(text), Some(Filled::Plain(plain))) = (&rule.server_name, &server_name)
        && let Err(why) = name(plain)
    {
        let wrong = Mistake::new("bad-value", why, text.place());
        workshop.mistakes.push(wrong);
    }
    let ca = rule
        .ca
        .as_ref()
        .and_then(|text| Filled::path(text, workshop));
    (workshop.mistakes.len() == before).then_some(Arc::new(TlsProbe {
        whom: whom?,
        server_name,
        ca,
        verify: rule.verify,
        timeout: rule.timeout,
    }))
}

/// A name to ask for.
fn name(text: &str) -> Result<Host<String>, String> {
    let peer = Peer::new(text, 1)?;
    tls::server_name(&peer.host).map_err(|error| error.to_string())?;
    Ok(peer.host)
}

impl Probe for TlsProbe {
    fn observe<'a>(&'a self, eyes: &'a Eyes) -> BoxFuture<'a, Result<Facts, ProbeError>> {
        Box::pin(self.ask(eyes))
    }

    fn shape(&self) -> Facts {
        none()
            .with("latency_ms", 12.5)
            .with("cert_days_left", 60.5)
            .with("not_after", 1_767_717_000.0)
    }
}

/// The facts when nothing is known.
fn none() -> Facts {
    let mut facts = Facts::new()
        .with("sent", true)
        .with("open", false)
        .with("address", Value::Null)
        .with("latency_ms", Value::Null)
        .with("trusted", false);
    for name in ["cert_days_left", "not_after", "subject", "issuer"] {
        facts.set(name, Value::Null);
    }
    facts
        .with("names", Value::Array(Vec::new()))
        .with("serial", Value::Null)
        .with("fingerprint", Value::Null)
        .with("version", Value::Null)
        .with("error", Value::Null)
}

impl TlsProbe {
    async fn ask(&self, eyes: &Eyes) -> Result<Facts, ProbeError> {
        let unsent = |why: &str| Ok(remote::unsent(none(), why));
        let peer = match self.whom.at(eyes)? {
            Some(Ok(peer)) => peer,
            Some(Err(why)) => return unsent(&why),
            None => return unsent(NOT_CONFIGURED),
        };
        let asked = match &self.server_name {
            None => peer.host.clone(),
            Some(filled) => match filled.given(eyes)?.map(|text| name(&text)) {
                Some(Ok(host)) => host,
                Some(Err(why)) => return unsent(&why),
                None => return unsent(NOT_CONFIGURED),
            },
        };
        let trust = Trust {
            roots: remote::roots(self.ca.as_ref(), eyes)?,
            verify: false, // it is judged here, after the handshake
            at: eyes.ground.now,
        };
        let limit = dial::patience(self.timeout, eyes.limit);
        let mut facts = none();
        let shown = dial::within(
            limit,
            &peer,
            shake(&peer, &asked, trust, eyes, limit, &mut facts),
        );
        let error = shown.await.err();
        Ok(match error {
            Some(error) => remote::failed(facts, &error),
            None if self.verify && facts.get("trusted").is_none_or(|it| **it == false) => {
                let why = facts.get("error").cloned().unwrap_or_default();
                let why = why.as_str().unwrap_or("nobody knows why");
                let told = format!("the certificate is not trusted: {why}");
                facts.with("error", told)
            }
            None => facts.with("error", Value::Null),
        })
    }
}

/// Makes the handshake. Afterwards the fact `error` says what is wrong with the certificate.
async fn shake(
    peer: &Peer,
    asked: &Host<String>,
    trust: Trust,
    eyes: &Eyes,
    limit: std::time::Duration,
    facts: &mut Facts,
) -> Result<(), NetError> {
    let watch = Stopwatch::new();
    let name = tls::server_name(asked)?;
    let addresses = peer.addresses(&eyes.permission).await?;
    let handshake = trust.handshake(&[]).await?;
    let left = limit.saturating_sub(watch.elapsed());
    let stream = dial::connect(&addresses, left).await?;
    facts.set("open", true);
    facts.set("address", stream.peer_addr().ok().map(|it| it.to_string()));
    let shaken = tls::shake(stream, name, &handshake).await;
    if let Some(certificate) = handshake.witness.certificate() {
        tell(facts, certificate, eyes);
    }
    let stream = shaken?;
    facts.set("latency_ms", watch.milliseconds());
    let wrong = facts.get("error").is_some_and(|it| !it.is_null());
    facts.set("trusted", !wrong);
    let (_, connection) = stream.get_ref();
    let version = connection.protocol_version().map(|version| match version {
        rustls::ProtocolVersion::TLSv1_3 => "1.3".to_owned(),
        rustls::ProtocolVersion::TLSv1_2 => "1.2".to_owned(),
        other => format!("{other:?}"),
    });
    facts.set("version", version);
    Ok(())
}

fn tell(facts: &mut Facts, certificate: Certificate, eyes: &Eyes) {
    let now = eyes.ground.now;
    facts.set("cert_days_left", certificate.days_left(now));
    facts.set("not_after", certificate.not_after.map(|it| it.seconds()));
    facts.set("subject", certificate.subject);
    facts.set("issuer", certificate.issuer);
    facts.set("names", certificate.names);
    facts.set("serial", certificate.serial);
    facts.set("fingerprint", certificate.fingerprint);
    facts.set("error", certificate.wrong);
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use rustls::{ServerConfig, server::ResolvesServerCertUsingSni, sign::CertifiedKey};
    use serde_json::json;

    use super::{super::testing::Bench, *};
    use crate::net::testing::{Authority, Server, self_signed};

    fn look(bench: &Bench, server: &Server, more: Value) -> Value {
        let mut rule = json!({"host": "localhost", "port": server.port, "timeout": "3s"});
        let map = rule.as_object_mut().expect("a map");
        map.extend(more.as_object().cloned().unwrap_or_default());
        bench
            .look(&KIND, rule)
            .expect("a network probe never fails")
    }

    fn shown(config: ServerConfig) -> Server {
        Server::https(config, |_| Vec::new())
    }

    fn bench(authority: &Authority) -> Bench {
        let bench = Bench::new();
        bench.file("data/ca.pem", &authority.pem, 0.0);
        bench
    }

    fn days(seen: &Value) -> f64 {
        seen["cert_days_left"].as_f64().expect("known")
    }

    #[test]
    fn a_good_certificate_is_trusted_and_counted_down() {
        let authority = Authority::new();
        for (to, least, most) in [((2026, 12, 31), 358.0, 359.0), ((2026, 1, 8), 1.0, 2.0)] {
            let names = &["localhost", "x.example"];
            let server = shown(authority.server(names, (2025, 1, 1), to));
            let seen = look(&bench(&authority), &server, json!({"ca": "data/ca.pem"}));
            assert_eq!(
                (
                    &seen["sent"],
                    &seen["open"],
                    &seen["trusted"],
                    &seen["error"]
                ),
                (&json!(true), &json!(true), &json!(true), &json!(null)),
                "{seen}"
            );
            assert!((least..most).contains(&days(&seen)), "{}", days(&seen));
            assert_eq!(
                (&seen["names"], &seen["version"]),
                (&json!(names), &json!("1.3"))
            );
            assert_eq!(seen["issuer"], "CN=Test Authority");
            assert!(
                seen["subject"]
                    .as_str()
                    .is_some_and(|it| it.contains("CN=localhost"))
            );
            assert_eq!(seen["fingerprint"].as_str().map(str::len), Some(64));
            assert!(seen["latency_ms"].is_f64());
        }
    }

    #[test]
    fn one_that_is_not_trusted_is_known_all_the_same() {
        let authority = Authority::new();
        let here = &["localhost"];
        for (config, ca, why, left) in [
            (
                authority.server(here, (2025, 1, 1), (2026, 1, 1)),
                true,
                "it is expired",
                -5.6,
            ),
            (
                authority.server(here, (2026, 2, 1), (2026, 3, 1)),
                true,
                "it is not valid yet",
                53.3,
            ),
            (
                authority.server(&["other.example"], (2025, 1, 1), (2026, 1, 10)),
                true,
                "it is not for localhost but for other.example",
                3.3,
            ),
            (
                self_signed(here, (2025, 1, 1), (2026, 1, 10)),
                true,
                "it is self-signed",
                3.3,
            ),
            (
                self_signed(here, (2025, 1, 1), (2026, 1, 1)),
                true,
                "it is expired",
                -5.6,
            ),
            (
                authority.server(here, (2025, 1, 1), (2026, 1, 10)),
                false,
                "its issuer is not known: CN=Test Authority",
                3.3,
            ),
        ] {
            let server = shown(config);
            let bench = bench(&authority);
            let ca = match ca {
                true => json!({"ca": "data/ca.pem"}),
                false => json!({}),
            };
            let seen = look(&bench, &server, ca.clone());
            assert_eq!(
                (&seen["open"], &seen["trusted"]),
                (&json!(true), &json!(false)),
                "{why}"
            );
            assert_eq!(
                seen["error"],
                format!("the certificate is not trusted: {why}")
            );
            assert!((days(&seen) - left).abs() < 0.1, "{why}: {}", days(&seen));
            let mut lenient = ca;
            lenient["verify"] = json!(false);
            let seen = look(&bench, &server, lenient);
            assert_eq!(
                (&seen["trusted"], &seen["error"]),
                (&json!(false), &json!(null)),
                "{why}"
            );
        }
    }

    #[test]
    fn the_name_is_asked_for() {
        let authority = Authority::new();
        let config = authority.server(&["inner.example"], (2025, 1, 1), (2027, 1, 1));
        let server = shown(config);
        let bench = bench(&authority);
        let rule = json!({"ca": "data/ca.pem", "server_name": "inner.example"});
        let seen = look(&bench, &server, rule.clone());
        assert_eq!(
            (&seen["trusted"], &seen["error"]),
            (&json!(true), &json!(null))
        );

        // A server that shows nothing to whoever does not ask for it by name.
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec!["inner.example".to_owned()]);
        let own = params
            .and_then(|it| it.self_signed(&key))
            .expect("a certificate");
        let der = rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let key = rustls::crypto::ring::sign::any_supported_type(&der).expect("a key");
        let mut picky = ResolvesServerCertUsingSni::new();
        let shown_by_name = CertifiedKey::new(vec![own.der().clone()], key);
        picky.add("inner.example", shown_by_name).expect("its name");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(picky));
        let server = shown(config);
        let seen = look(
            &bench,
            &server,
            json!({"server_name": "inner.example", "verify": false}),
        );
        assert_eq!(
            (&seen["names"], &seen["error"]),
            (&json!(["inner.example"]), &json!(null))
        );
        let seen = look(&bench, &server, json!({}));
        assert_eq!(
            (&seen["open"], &seen["cert_days_left"]),
            (&json!(true), &json!(null))
        );
        let error = seen["error"].as_str().expect("an error");
        assert!(error.starts_with("no TLS handshake: "), "{error}");
    }

    #[test]
    fn a_port_that_speaks_something_else_is_an_error() {
        let server = Server::raw(|mut stream| {
            let _ = stream.write_all(b"220 mail.example ESMTP ready\r\n"); // it may have gone
            let _ = stream.read(&mut [0; 1024]);
            String::new()
        });
        let seen = look(&Bench::new(), &server, json!({}));
        assert_eq!(
            (&seen["open"], &seen["trusted"], &seen["error"]),
            (
                &json!(true),
                &json!(false),
                &json!("the other side does not speak TLS")
            )
        );
        let server = Server::raw(|mut stream| {
            let _ = stream.read(&mut [0; 4096]); // then it closes
            String::new()
        });
        let seen = look(&Bench::new(), &server, json!({}));
        let error = seen["error"].as_str().expect("an error");
        assert!(
            error.contains("closed the connection") || error.contains("reset"),
            "{error}"
        );
    }

    #[test]
    fn one_that_hangs_in_the_handshake_is_given_up() {
        let server = Server::raw(|mut stream| {
            let _ = std::io::copy(&mut stream, &mut std::io::sink()); // until the other side goes
            String::new()
        });
        let seen = look(&Bench::new(), &server, json!({"timeout": "200ms"}));
        assert_eq!((&seen["open"], &seen["sent"]), (&json!(true), &json!(true)));
        let port = server.port;
        assert_eq!(
            seen["error"],
            format!("no answer from localhost:{port} within 200ms")
        );
    }

    #[test]
    fn a_closed_port_and_what_is_not_configured() {
        let gone = { Server::http(|_| Vec::new()).port };
        let rule = json!({"host": "127.0.0.1", "port": gone});
        let seen = Bench::new().look(&KIND, rule).expect("seen");
        assert_eq!(
            (&seen["sent"], &seen["open"]),
            (&json!(true), &json!(false))
        );
        assert!(
            seen["error"]
                .as_str()
                .is_some_and(|it| it.contains("refused"))
        );
        for rule in [
            json!({"host": "${env(\"HOST\")}"}),
            json!({"host": "127.0.0.1", "port": "${env(\"HOST\")}"}),
            json!({"host": "127.0.0.1", "server_name": "${env(\"HOST\")}"}),
        ] {
            let seen = Bench::new().look(&KIND, rule).expect("seen");
            assert_eq!(
                (&seen["sent"], &seen["error"]),
                (&json!(false), &json!("not configured"))
            );
        }
    }

    #[test]
    fn mistakes_are_found_at_load() {
        let bench = Bench::new();
        for (rule, codes) in [
            (json!({}), &["missing-key"][..]),
            (json!({"host": "api.example.net"}), &["not-allowed"]),
            (json!({"host": "localhost", "port": "x"}), &["bad-value"]),
            (
                json!({"host": "localhost", "server_name": "a b"}),
                &["bad-value"],
            ),
            (
                json!({"host": "localhost", "timeout": "0s"}),
                &["bad-value"],
            ),
            (json!({"host": "localhost", "ca": "/x"}), &["not-allowed"]),
        ] {
            assert_eq!(bench.codes(&KIND, rule.clone()), codes, "{rule}");
        }
    }
}
